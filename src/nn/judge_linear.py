"""Linear layer, rectifier, losses, optimisers."""
import functools

import torch
from tensors import leaf, t64


def linear(c, judge):
    x, w, b = leaf(c["x"]), leaf(c["linear.weight"]), leaf(c["linear.bias"])
    y = torch.nn.functional.linear(x, w.T, b[0])
    y.backward(t64(c["dy"]))
    judge.same("y", y)
    judge.same("d x", x.grad)
    judge.same("d linear.weight", w.grad)
    judge.same("d linear.bias", b.grad)
    z = leaf(c["y"])
    r = torch.relu(z)
    r.backward(t64(c["dy"]))
    judge.same("relu y", r)
    judge.same("relu d", z.grad)


def loss(c, judge):
    logits = leaf(c["logits"])
    labels = t64(c["labels"]).view_as(logits)
    known = ~torch.isnan(labels)
    each = torch.nn.functional.binary_cross_entropy_with_logits(
        logits, torch.where(known, labels, torch.zeros_like(labels)), reduction="none")
    total = (each * known * t64(c["task_weights"]) * t64(c["weights"])[:, None]).sum()
    total = total / t64(c["weights"]).sum()
    total.backward()
    judge.same("loss", total)
    judge.same("d logits", logits.grad)


def optimizer(rule_of, c, judge):
    w = leaf(c["before"])
    rule = rule_of([w])
    for step in range(1, 5):
        w.grad = t64(c[f"grad{step}"])
        rule.step()
    judge.same("after", w)


JUDGES = {
    "linear": linear,
    "loss": loss,
    "adam": functools.partial(optimizer, lambda w: torch.optim.Adam(w, lr=0.01, weight_decay=0.1)),
    "adagrad": functools.partial(
        optimizer, lambda w: torch.optim.Adagrad(w, lr=0.01, eps=1e-8, weight_decay=0.1)),
}
