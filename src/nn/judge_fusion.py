"""Fusion of modalities by attention, with missing ones."""
import numpy as np
import torch
from tensors import leaf, t64


def fusion(c, judge):
    names = [n for n in c if n.startswith("fusion.")]
    p = {n: leaf(c[n]) for n in names}
    xs = [leaf(c[f"x{m}"]) for m in range(3)]
    context = leaf(c["context"])
    moments, heads = len(c["context"]), c["evidence"].shape[1]
    width = c["y"].shape[1]
    present = torch.tensor(c["present"].reshape(moments, 3).astype(bool))
    tokens = torch.stack([x @ p[f"fusion.modality{m}.weight"] + p[f"fusion.modality{m}.bias"]
                          for m, x in enumerate(xs)], 1)  # [B, M, W]
    split = lambda a: a.view(moments, -1, heads, width // heads).transpose(1, 2)  # [B, H, *, dh]
    q = split((context @ p["fusion.query"] + p["fusion.query_bias"])[:, None])
    k, v = split(tokens @ p["fusion.key"]), split(tokens @ p["fusion.value"])
    s = (q @ k.transpose(2, 3))[:, :, 0] / (width // heads) ** 0.5
    s = s.masked_fill(~present[:, None], -np.inf)
    null = p["fusion.null_score"].view(1, heads, 1).expand(moments, heads, 1)
    a = torch.softmax(torch.cat([s, null], 2), 2)
    y = (a[:, :, None, :-1] @ v)[:, :, 0].reshape(moments, width)
    evidence = 1 - a[:, :, -1]
    ((y * t64(c["d_y"])).sum() + (evidence * t64(c["d_evidence"])).sum()).backward()
    judge.same("y", y)
    judge.same("evidence", evidence)
    judge.same("weights", a)
    judge.same("parts", (a[..., :-1, None] * v).transpose(1, 2).reshape(moments * 3, width))
    judge.same("d context", context.grad)
    for m, x in enumerate(xs):
        judge.same(f"d x{m}", x.grad)
    for n in names:
        judge.same("d " + n, p[n].grad)


JUDGES = {"fusion": fusion}
