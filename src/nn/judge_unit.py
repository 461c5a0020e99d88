"""Activations, batch norm, the DIN unit, dot attention under a temperature."""
import numpy as np
import torch
from tensors import leaf, t64


def standardise(x, c, name, epsilon):
    if c["train"][0]:
        return (x - x.mean(0)) / torch.sqrt(x.var(0, unbiased=False) + epsilon)
    return (x - t64(c[name + ".mean"])[0]) / torch.sqrt(t64(c[name + ".variance"])[0] + epsilon)


def batch_norm(c, judge):
    x, scale, shift = leaf(c["x"]), leaf(c["norm.scale"]), leaf(c["norm.shift"])
    train = bool(c["train"][0])
    mean, variance = t64(c["norm.mean"])[0].clone(), t64(c["norm.variance"])[0].clone()
    if len(c["x"]) == 1 and train:  # PyTorch refuses one row; its formula gives z = 0
        y = 0 * x + shift
        mean, variance = 0.9 * mean + 0.1 * x.detach()[0], 0.9 * variance
        y = y + 0 * scale
    else:
        y = torch.nn.functional.batch_norm(x, mean, variance, scale[0], shift[0], train)
    y.backward(t64(c["d_y"]))
    judge.same("y", y)
    judge.same("d x", x.grad)
    judge.same("d norm.scale", scale.grad)
    judge.same("d norm.shift", shift.grad)
    judge.same("after norm.mean", mean)
    judge.same("after norm.variance", variance)


def prelu(c, judge):
    x, slope = leaf(c["x"]), leaf(c["bend.slope"])
    y = torch.nn.functional.prelu(x, slope[0])
    y.backward(t64(c["d_y"]))
    judge.same("y", y)
    judge.same("d x", x.grad)
    judge.same("d bend.slope", slope.grad)


def bend(x, kind, slope, c):
    if kind == 0:
        return torch.relu(x)
    if kind == 1:
        return torch.where(x > 0, x, slope * x)
    p = torch.sigmoid(standardise(x, c, "bend", 1e-8))
    return p * x + (1 - p) * slope * x


def dice(c, judge):
    x, slope = leaf(c["x"]), leaf(c["bend.slope"])
    y = bend(x, 2, slope, c)
    y.backward(t64(c["d_y"]))
    judge.same("y", y)
    judge.same("d x", x.grad)
    judge.same("d bend.slope", slope.grad)


def unit(c, judge):
    """The network on [k, q, q - k, q * k] as the paper writes it, without our factoring."""
    queries, tokens = leaf(c["queries"]), leaf(c["tokens"])
    p = {n: leaf(c[n]) for n in c if n.startswith("unit.")}
    kind, softmax, null_slot, hidden = (int(v) for v in c["kind"])
    q = queries @ p["unit.query"] if "unit.query" in p else queries
    spans, rows = [], []
    for n, r in enumerate(c["request_of"]):
        kept = [t for t in range(int(c["offsets"][r]), int(c["offsets"][r + 1]))
                if not (c["excluded"].size and c["excluded"][t])]
        spans.append((len(rows), kept))
        rows += [(n, t) for t in kept]
    qs, k = q[[n for n, _ in rows]], tokens[[t for _, t in rows]]
    h = torch.cat([k, qs, qs - k, qs * k], 1)
    for i in range(hidden):
        h = h @ p[f"unit.unit.{i}.weight"] + p[f"unit.unit.{i}.bias"]
        h = bend(h, kind, p.get(f"unit.bend.{i}.slope"), {"train": [1]})
    s = (h @ p[f"unit.unit.{hidden}.weight"] + p[f"unit.unit.{hidden}.bias"])[:, 0]
    outs, evidences, weights = [], [], []
    for n, (first, kept) in enumerate(spans):
        r = c["request_of"][n]
        begin, length = int(c["offsets"][r]), int(c["offsets"][r + 1] - c["offsets"][r])
        a, null = s[first:first + len(kept)], torch.zeros(1, dtype=torch.float64)
        if softmax:
            a = a - p["unit.decay"][0, 0] * t64(c["log_age"])[kept]
            if null_slot:
                a = torch.softmax(torch.cat([a, p["unit.null_score"][0]]), 0)
                a, null = a[:-1], a[-1:]
            elif kept:
                a = torch.softmax(a, 0)
            evidences.append(1 - null[0] if null_slot or kept else null[0])
        else:
            evidences.append(a.sum())
        outs.append(a @ tokens[kept])
        w = torch.zeros(length, dtype=torch.float64)
        w[[t - begin for t in kept]] = a.detach()
        weights += [w, null]
    out, evidence = torch.stack(outs), torch.stack(evidences)
    ((out * t64(c["d_out"])).sum() + (evidence * t64(c["d_evidence"])[:, 0]).sum()).backward()
    judge.same("out", out)
    judge.same("evidence", evidence)
    judge.same("weights", torch.cat(weights))
    judge.same("d queries", queries.grad)
    judge.same("d tokens", tokens.grad)
    grad = lambda n: torch.zeros_like(p[n]) if p[n].grad is None else p[n].grad
    last = [f"unit.unit.{hidden}.weight", f"unit.unit.{hidden}.bias",
            "unit.null_score", "unit.decay"]
    for n in p:
        if n not in last:
            judge.same("d " + n, grad(n))
    judge.same("d score", torch.cat([grad(n).reshape(-1) for n in last if n in p]))


def temperature(c, judge):
    queries, tokens, context = leaf(c["queries"]), leaf(c["tokens"]), leaf(c["context"])
    names = [n for n in c if n.startswith(("attention.", "temperature."))]
    p = {n: leaf(c[n]) for n in names}
    heads = p["attention.decay"].numel()
    width = p["attention.query"].shape[1] // heads
    z = context @ p["temperature.weight"] + p["temperature.bias"]
    inverse = 1 / (torch.nn.functional.softplus(z) + 0.05)
    outs, evidences = [], []
    for n, r in enumerate(c["request_of"]):
        first, last = int(c["offsets"][r]), int(c["offsets"][r + 1])
        x = tokens[first:last]
        q = (queries[n] @ p["attention.query"] + p["attention.query_bias"][0]).view(heads, width)
        k = (x @ p["attention.key"]).view(-1, heads, width)
        v = (x @ p["attention.value"]).view(-1, heads, width)
        s = torch.einsum("hd,thd->ht", q, k) / width ** 0.5
        s = s - p["attention.decay"].view(heads, 1) * t64(c["log_age"][first:last])
        s = torch.cat([s, p["attention.null_score"].view(heads, 1)], 1)
        s = s * inverse[int(r)].view(heads, 1)
        gone = torch.tensor(np.append(c["excluded"][first:last], 0).astype(bool))
        a = torch.softmax(s.masked_fill(gone, -np.inf), 1)
        outs.append(torch.einsum("ht,thd->hd", a[:, :-1], v).reshape(-1))
        evidences.append(1 - a[:, -1])
    out, evidence = torch.stack(outs), torch.stack(evidences)
    ((out * t64(c["d_out"])).sum() + (evidence * t64(c["d_evidence"])).sum()).backward()
    judge.same("inverse", inverse)
    judge.same("out", out)
    judge.same("evidence", evidence)
    judge.same("d context", context.grad)
    judge.same("d queries", queries.grad)
    judge.same("d tokens", tokens.grad)
    for n in names:
        judge.same("d " + n, p[n].grad)


JUDGES = {"batch_norm": batch_norm, "prelu": prelu, "dice": dice, "unit": unit,
          "temperature": temperature}
