"""Softmax attention pooling, additive attention, cross-entropy over classes."""
import numpy as np
import torch
from tensors import leaf, t64


def pool(scores_of, names, c, judge):
    p = {n: leaf(c["pooling." + n]) for n in names + ("value", "null_score") if "pooling." + n in c}
    items, queries = leaf(c["items"]), leaf(c["queries"])
    tau, heads = float(c["temperature"][0]), c["evidence"].shape[1]
    o = c["offsets"].astype(int)
    outs, evidences, weights = [], [], []
    for b, (first, last) in enumerate(zip(o[:-1], o[1:])):
        x = items[first:last]
        s = scores_of(p, x, queries[b]) / tau  # [L, H]
        if c["excluded"].size:
            s = s.masked_fill(torch.tensor(c["excluded"][first:last].astype(bool))[:, None], -np.inf)
        null = p["null_score"] if "null_score" in p else torch.full((1, heads), -np.inf, dtype=torch.float64)
        s = torch.cat([s, null])
        blind = torch.isinf(s).all(0, keepdim=True)
        a = torch.softmax(s.masked_fill(blind, 0.0), 0).masked_fill(blind, 0.0)
        weights.append(a.T.reshape(-1))
        y = a[:-1].T @ x  # [H, D]
        if "value" in p:
            y = torch.einsum("hd,hdv->hv", y, p["value"].view(heads, x.shape[1], -1))
        outs.append(y.reshape(-1))
        evidences.append((1 - a[-1]).masked_fill(blind[0], 0.0))
    out, evidence = torch.stack(outs), torch.stack(evidences)
    ((out * t64(c["d_out"])).sum() + (evidence * t64(c["d_evidence"])).sum()).backward()
    judge.same("out", out)
    judge.same("evidence", evidence)
    judge.same("weights", torch.cat(weights))
    judge.same("d items", items.grad)
    if "d queries" in c:
        judge.same("d queries", queries.grad)
    for n, parameter in p.items():
        judge.same("d pooling." + n, parameter.grad)


def pooling(c, judge):
    pool(lambda p, x, q: x @ p["score"].T, ("score",), c, judge)


def additive(c, judge):
    def scores(p, x, q):
        z = x @ p["item"] + p["bias"]
        if "query" in p:
            z = z + q @ p["query"]
        return torch.tanh(z) @ p["vector"].T
    pool(scores, ("item", "query", "bias", "vector"), c, judge)


def class_loss(c, judge):
    logits = leaf(c["logits"])
    loss = torch.nn.functional.cross_entropy(
        logits, torch.tensor(c["labels"].astype(np.int64)), reduction="none",
        label_smoothing=0.0)
    # PyTorch weighs the smoothed part by every class's own weight; here a sample has one weight.
    even = -torch.log_softmax(logits, 1).mean(1)
    weight = t64(c["class_weights"])[torch.tensor(c["labels"].astype(np.int64))]
    smoothing = float(c["smoothing"][0])
    total = (weight * ((1 - smoothing) * loss + smoothing * even)).sum() / weight.sum()
    total.backward()
    judge.same("loss", total)
    judge.same("d logits", logits.grad)


JUDGES = {"pooling": pooling, "additive": additive, "class_loss": class_loss}
