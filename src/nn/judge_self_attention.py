"""Multi-head self- and cross-attention with masks, biases by place and time, and the null slot."""
import numpy as np
import torch
from tensors import leaf, t64


def multi_head(c, judge):
    p = {k[len("layer."):]: leaf(v) for k, v in c.items() if k.startswith("layer.")}
    heads, causal = int(c["heads"][0]), bool(c["causal"][0])
    positions, intervals = int(c["positions"][0]), int(c["intervals"][0])
    queries, own = leaf(c["queries"]), bool(c["self"][0])
    memory = queries if own else leaf(c["memory"])
    hours_q, hours_m = t64(c["query_hours"]), t64(c["memory_hours"])
    q_offsets, m_offsets = c["query_offsets"].astype(int), c["memory_offsets"].astype(int)
    split = lambda x: x.view(x.shape[0], heads, x.shape[1] // heads).transpose(0, 1)
    contexts, weights = [], []
    for q0, q1, m0, m1 in zip(q_offsets, q_offsets[1:], m_offsets, m_offsets[1:]):
        L, M = q1 - q0, m1 - m0
        q = split(queries[q0:q1] @ p["query.weight"] + p["query.bias"])
        k = split(memory[m0:m1] @ p["key.weight"])
        v = split(memory[m0:m1] @ p["value.weight"] + p["value.bias"])
        s = q @ k.transpose(1, 2) / q.shape[2] ** 0.5
        back = torch.arange(L)[:, None] + M - L - torch.arange(M)[None, :]
        if positions:
            low = 0 if causal else 1 - positions
            place = back.clamp(low, positions - 1) - low
            s = s + p["position"][place].permute(2, 0, 1)
        gap = torch.log1p((hours_q[q0:q1, None] - hours_m[None, m0:m1]).abs())
        if intervals:
            bucket = (gap / np.log(2)).long().clamp(max=intervals - 1)
            s = s + p["interval"][bucket].permute(2, 0, 1)
        if "decay" in p:
            s = s - p["decay"].view(heads, 1, 1) * gap
        seen = back >= 0 if causal else torch.ones(L, M, dtype=torch.bool)
        if c["excluded"].size:
            seen = seen & ~torch.tensor(c["excluded"][m0:m1].astype(bool))
        null = (p["null_score"].view(heads, 1, 1).expand(heads, L, 1) if "null_score" in p
                else torch.full((heads, L, 1), -np.inf, dtype=torch.float64))
        s = torch.cat([s.masked_fill(~seen, -np.inf), null], 2)
        blind = torch.isinf(s).all(2, keepdim=True)
        a = torch.softmax(s.masked_fill(blind, 0.0), 2).masked_fill(blind, 0.0)
        weights.append(a.reshape(-1))
        contexts.append((a[..., :-1] @ v).transpose(0, 1).reshape(L, v.shape[0] * v.shape[2]))
    y = torch.cat(contexts)
    if "out.weight" in p:
        y = y @ p["out.weight"] + p["out.bias"]
    y.backward(t64(c["d_y"]))
    judge.same("y", y)
    judge.same("weights", torch.cat(weights))
    judge.same("d queries", queries.grad)
    if not own:
        judge.same("d memory", memory.grad)
    for name, parameter in p.items():
        judge.same("d layer." + name, parameter.grad)


JUDGES = {"multi_head": multi_head}
