#!/usr/bin/env python3
"""TF-IDF of character n-grams with logistic regression, on the texts that `heed reproduce zh-cold` reads.

    python3 -m venv build/peers && build/peers/bin/pip install scikit-learn
    build/peers/bin/python bench/peers/tfidf_texts.py DIR/zh_cold

Needed by no build and no test. C is chosen on the dev file, then one more fit on train and dev; the test file is
judged once.
"""
import csv
import pathlib
import sys
import unicodedata

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score, log_loss, roc_auc_score


def read(path):
    with open(path, encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    return [unicodedata.normalize("NFKC", row["TEXT"]) for row in rows], [int(row["label"]) for row in rows]


def fit(texts, labels, c):
    vectors = TfidfVectorizer(analyzer="char", ngram_range=(1, 3), min_df=3, sublinear_tf=True)
    model = LogisticRegression(C=c, max_iter=1000)
    return vectors, model.fit(vectors.fit_transform(texts), labels)


def main():
    folder = pathlib.Path(sys.argv[1])
    (train, train_y), (dev, dev_y), (test, test_y) = (
        read(folder / f"{name}.csv") for name in ("train", "dev", "test"))
    scores = {}
    for c in (0.3, 1, 3, 10, 30):
        vectors, model = fit(train, train_y, c)
        scores[c] = accuracy_score(dev_y, model.predict(vectors.transform(dev)))
        print(f"C {c}: dev accuracy {scores[c]:.4f}")
    best = max(scores, key=scores.get)
    vectors, model = fit(train + dev, train_y + dev_y, best)
    p = model.predict_proba(vectors.transform(test))[:, 1]
    print(f"C {best}, test: accuracy {accuracy_score(test_y, p >= 0.5):.4f}, macro-F1 {f1_score(test_y, p >= 0.5, average='macro'):.4f}, "
          f"AUC {roc_auc_score(test_y, p):.4f}, log loss {log_loss(test_y, p):.4f}")


if __name__ == "__main__":
    main()
