"""Multi-head target attention and mean pooling."""
import numpy as np
import torch
from tensors import leaf, t64


def attention(c, judge):
    queries, tokens = leaf(c["queries"]), leaf(c["tokens"])
    p = {k: leaf(c["attention." + k]) for k in ("query", "query_bias", "key", "value", "null_score", "decay")}
    heads = p["decay"].numel()
    width = p["query"].shape[1] // heads
    outs, evidences, weights = [], [], []
    for n, r in enumerate(c["request_of"]):
        first, last = int(c["offsets"][r]), int(c["offsets"][r + 1])
        x = tokens[first:last]
        q = (queries[n] @ p["query"] + p["query_bias"][0]).view(heads, width)
        k = (x @ p["key"]).view(-1, heads, width)
        v = (x @ p["value"]).view(-1, heads, width)
        s = torch.einsum("hd,thd->ht", q, k) / width ** 0.5
        s = s - p["decay"].view(heads, 1) * t64(c["log_age"][first:last])
        if c["excluded"].size:
            gone = torch.tensor(c["excluded"][first:last].astype(bool))
            s = s.masked_fill(gone, -np.inf)
        if c["null_slot"][0]:
            a = torch.softmax(torch.cat([s, p["null_score"].view(heads, 1)], 1), 1)
        else:
            items = torch.softmax(s, 1) if last > first else s
            a = torch.cat([items, torch.zeros(heads, 1, dtype=torch.float64)], 1)
        weights.append(a.reshape(-1))
        outs.append(torch.einsum("ht,thd->hd", a[:, :-1], v).reshape(-1))
        evidences.append(1 - a[:, -1] if c["null_slot"][0] or last > first
                         else torch.zeros(heads, dtype=torch.float64))
    out, evidence = torch.stack(outs), torch.stack(evidences)
    loss = (out * t64(c["d_out"])).sum() + (evidence * t64(c["d_evidence"])).sum()
    loss.backward()
    judge.same("out", out)
    judge.same("evidence", evidence)
    judge.same("weights", torch.cat(weights))
    judge.same("d queries", queries.grad)
    judge.same("d tokens", tokens.grad)
    for k, parameter in p.items():
        grad = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        judge.same("d attention." + k, grad)


def pool(c, judge):
    tokens, o = leaf(c["tokens"]), c["offsets"].astype(int)
    out = torch.stack([tokens[a:b].sum(0) / (b - a + 1) for a, b in zip(o[:-1], o[1:])])
    out.backward(t64(c["d_out"]))
    judge.same("out", out)
    judge.same("d tokens", tokens.grad)


JUDGES = {"attention": attention, "pool": pool}
