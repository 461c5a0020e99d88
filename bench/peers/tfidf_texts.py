#!/usr/bin/env python3
"""TF-IDF of character n-grams with logistic regression, on the texts that `heed reproduce zh-cold` and `zh-takeaway` read.

    python3 -m venv build/peers && build/peers/bin/pip install scikit-learn
    build/peers/bin/python bench/peers/tfidf_texts.py DIR/zh_cold
    build/peers/bin/python bench/peers/tfidf_texts.py DIR/zh_reviews/waimai_10k.csv

Needed by no build and no test. A folder has train.csv, dev.csv and test.csv; a file is split by the MD5 of its texts, fold 0 of
ten for the test, fold 1 for dev. For each longest n-gram, C is chosen on dev, then one more fit on train and dev. All are judged on the
test texts, and the best of them is the one to beat: an advantage that Heed's own settings do not have.
"""
import csv
import hashlib
import pathlib
import sys
import unicodedata

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score, log_loss, roc_auc_score


def read(path, text):
    with open(path, encoding="utf-8-sig", newline="") as file:
        return [(row[text], int(row["label"])) for row in csv.DictReader(file)]


def folds(path):
    """Rows of a file by the MD5 of their texts; tests hold out one after another."""
    rows = [[] for _ in range(10)]
    for text, label in read(path, "review"):
        fold = int.from_bytes(hashlib.md5(text.encode()).digest(), "big") % 10
        rows[fold].append((unicodedata.normalize("NFKC", text), label))
    return rows


def parts(path):
    """Rows of train, dev and test."""
    if path.is_dir():
        return [[(unicodedata.normalize("NFKC", text), label) for text, label in read(path / f"{name}.csv", "TEXT")]
                for name in ("train", "dev", "test")]
    test, dev, *rest = folds(path)
    return sum(rest, []), dev, test


def all_folds(path, longest, c):
    """Mean accuracy, each fold held out once."""
    rows, total = folds(path), 0
    for k, held_out in enumerate(rows):
        p, y = predict(*fit(sum(rows[:k] + rows[k + 1:], []), longest, c), held_out)
        total += accuracy_score(y, p >= 0.5)
    return total / len(rows)


def fit(rows, longest, c):
    vectors = TfidfVectorizer(analyzer="char", ngram_range=(1, longest), min_df=3, sublinear_tf=True)
    model = LogisticRegression(C=c, max_iter=1000)
    return vectors, model.fit(vectors.fit_transform([text for text, _ in rows]), [label for _, label in rows])


def predict(vectors, model, rows):
    return model.predict_proba(vectors.transform([text for text, _ in rows]))[:, 1], [label for _, label in rows]


def main():
    path = pathlib.Path(sys.argv[1])
    train, dev, test = parts(path)
    for longest in (2, 3, 4):
        scores = {}
        for c in (0.3, 1, 3, 10, 30):
            p, y = predict(*fit(train, longest, c), dev)
            scores[c] = accuracy_score(y, p >= 0.5)
        c = max(scores, key=scores.get)
        p, y = predict(*fit(train + dev, longest, c), test)
        print(f"n-grams of up to {longest}, C {c}: dev accuracy {scores[c]:.4f}; test accuracy {accuracy_score(y, p >= 0.5):.4f}, "
              f"macro-F1 {f1_score(y, p >= 0.5, average='macro'):.4f}, AUC {roc_auc_score(y, p):.4f}, "
              f"log loss {log_loss(y, p):.4f}", flush=True)
        if path.is_file():
            print(f"    all ten folds: accuracy {all_folds(path, longest, c):.4f}", flush=True)


if __name__ == "__main__":
    main()
