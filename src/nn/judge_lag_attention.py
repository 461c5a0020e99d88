"""Attention to the seconds before, with a learned lag."""
import numpy as np
import torch
from tensors import leaf, t64


def lag(c, judge):
    content, shape = leaf(c["lag.content"]), leaf(c["lag, decay, rise, null"])
    lag_s, decay, rise, null = shape[0]
    x = leaf(c["tokens"])
    seconds, width = c["tokens"].shape
    back = torch.arange(seconds)[:, None] - torch.arange(seconds)[None, :]
    after = back - lag_s
    bias = -decay * after.clamp(min=0) - rise * (-after).clamp(min=0)
    s = (x @ content.T).T / width ** 0.5 + bias  # [T, T]
    seen = (back >= 0) & (back < int(c["look_back"][0])) & torch.tensor(c["present"].astype(bool))
    s = torch.cat([s.masked_fill(~seen, -np.inf), null.expand(seconds, 1)], 1)
    a = torch.softmax(s, 1)
    y = a[:, :-1] @ x
    (y * t64(c["d_y"])).sum().backward()
    judge.same("y", y)
    judge.same("evidence", 1 - a[:, -1:])
    judge.same("d tokens", x.grad)
    judge.same("d lag.content", content.grad)
    judge.same("d lag, decay, rise, null", shape.grad)


JUDGES = {"lag": lag}
