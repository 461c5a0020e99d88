#!/usr/bin/env python3
"""Computes with PyTorch what nn_torch_cases computed with our layers, and compares.

torch_judge.py DRIVER. Fails when PyTorch is missing: a judge who is absent has not agreed.
"""
import sys

import numpy as np
import tensors
import torch

torch.set_num_threads(1)  # tiny tensors: threads only wait for each other
t64 = lambda a: torch.tensor(np.asarray(a), dtype=torch.float64)


def leaf(a):
    return t64(a).requires_grad_()


def linear(c, judge):
    x, w, b = leaf(c["x"]), leaf(c["linear.weight"]), leaf(c["linear.bias"])
    y = torch.nn.functional.linear(x, w.T, b[0])
    y.backward(t64(c["dy"]))
    judge.same("linear y", c["y"], y)
    judge.same("linear dx", c["d x"], x.grad)
    judge.same("linear dw", c["d linear.weight"], w.grad)
    judge.same("linear db", c["d linear.bias"], b.grad)
    z = leaf(c["y"])
    r = torch.relu(z)
    r.backward(t64(c["dy"]))
    judge.same("relu y", c["relu y"], r)
    judge.same("relu d", c["relu d"], z.grad)


def attention(name, c, judge):
    queries, tokens = leaf(c["queries"]), leaf(c["tokens"])
    p = {k: leaf(c["attention." + k]) for k in ("query", "key", "value", "null_score", "decay")}
    heads = p["decay"].numel()
    width = p["query"].shape[1] // heads
    outs, evidences, weights = [], [], []
    for n, r in enumerate(c["request_of"]):
        first, last = int(c["offsets"][r]), int(c["offsets"][r + 1])
        x = tokens[first:last]
        q = (queries[n] @ p["query"]).view(heads, width)
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
    judge.same(name + " out", c["out"], out)
    judge.same(name + " evidence", c["evidence"], evidence)
    judge.same(name + " weights", c["weights"], torch.cat(weights))
    judge.same(name + " d queries", c["d queries"], queries.grad)
    judge.same(name + " d tokens", c["d tokens"], tokens.grad)
    for k, parameter in p.items():
        grad = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        judge.same(f"{name} d {k}", c["d attention." + k], grad)


def pool(c, judge):
    tokens, o = leaf(c["tokens"]), c["offsets"].astype(int)
    out = torch.stack([tokens[a:b].sum(0) / (b - a + 1) for a, b in zip(o[:-1], o[1:])])
    out.backward(t64(c["d_out"]))
    judge.same("pool", c["out"], out)
    judge.same("pool d", c["d tokens"], tokens.grad)


def loss(c, judge):
    logits = leaf(c["logits"])
    labels = t64(c["labels"]).view_as(logits)
    known = ~torch.isnan(labels)
    each = torch.nn.functional.binary_cross_entropy_with_logits(
        logits, torch.where(known, labels, torch.zeros_like(labels)), reduction="none")
    total = (each * known * t64(c["task_weights"]) * t64(c["weights"])[:, None]).sum()
    total = total / t64(c["weights"]).sum()
    total.backward()
    judge.same("loss", c["loss"], total)
    judge.same("loss d", c["d logits"], logits.grad)


def optimizer(name, c, judge):
    w = leaf(c["before"])
    rule = (torch.optim.Adam([w], lr=0.01, weight_decay=0.1) if name == "adam" else
            torch.optim.Adagrad([w], lr=0.01, eps=1e-8, weight_decay=0.1))
    for step in range(1, 5):
        w.grad = t64(c[f"grad{step}"])
        rule.step()
    judge.same(name, c["after"], w)


def main():
    everything = tensors.run(sys.argv[1])
    cases = {}
    for name, array in everything.items():
        case, _, part = name.partition("/")
        cases.setdefault(case, {})[part] = array
    judge = tensors.Judge(1e-5)
    linear(cases.pop("linear"), judge)
    pool(cases.pop("pool"), judge)
    loss(cases.pop("loss"), judge)
    for name in ("adam", "adagrad"):
        optimizer(name, cases.pop(name), judge)
    assert len(cases) == 8, sorted(cases)
    for name, case in cases.items():
        attention(name, case, judge)
    judge.verdict()


main()
