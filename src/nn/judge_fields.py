"""Attention among fields, the gate, the cross network, experts, the chain of tasks."""
import torch
from tensors import leaf, t64


def compare(c, judge, x, y, p):
    y.backward(t64(c["d_y"]))
    judge.same("y", y)
    judge.same("d x", x.grad)
    for n, parameter in p.items():
        grad = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        judge.same("d " + n, grad)


def pair_attention(c, judge):
    F, d = (int(v) for v in c["shape"])
    x, p = leaf(c["x"]), {n: leaf(c[n]) for n in c if n.startswith("pair.")}
    e = x.view(-1, F, d)
    i, j = torch.triu_indices(F, F, 1)
    pairs = e[:, i] * e[:, j]
    s = torch.relu(pairs @ p["pair.project.weight"] + p["pair.project.bias"]) @ p["pair.score"]
    a = torch.softmax(s, 1)
    judge.same("weights", a[:, :, 0])
    compare(c, judge, x, (a * pairs).sum(1), p)


def field_attention(c, judge):
    F, d, H = (int(v) for v in c["shape"])
    x, p = leaf(c["x"]), {n: leaf(c[n]) for n in c if n.startswith("self.")}
    e = x.view(-1, F, d)
    B = len(e)
    split = lambda n: (e @ p["self." + n]).view(B, F, H, -1).transpose(1, 2)
    q, k, v = split("query"), split("key"), split("value")
    a = torch.softmax(q @ k.transpose(2, 3) / q.shape[-1] ** 0.5, 3)
    judge.same("weights", a)
    y = (a @ v).transpose(1, 2).reshape(B, F, -1) + e @ p["self.residual"]
    compare(c, judge, x, torch.relu(y).reshape(B, -1), p)


def feature_gate(c, judge):
    F, d = (int(v) for v in c["shape"])
    x, p = leaf(c["x"]), {n: leaf(c[n]) for n in c if n.startswith("gate.")}
    e = x.view(-1, F, d)
    h = torch.relu(e.mean(2) @ p["gate.squeeze.weight"] + p["gate.squeeze.bias"])
    g = 2 * torch.sigmoid(h @ p["gate.excite.weight"] + p["gate.excite.bias"])
    compare(c, judge, x, (g[:, :, None] * e).reshape(len(e), -1), p)


def cross(c, judge):
    layers, rank = (int(v) for v in c["shape"])
    x, p = leaf(c["x"]), {n: leaf(c[n]) for n in c if n.startswith("cross.")}
    y = x
    for i in range(layers):
        h = y @ p[f"cross.{i}.narrow"] if rank else y
        y = x * (h @ p[f"cross.{i}.weight"] + p[f"cross.{i}.bias"]) + y
    compare(c, judge, x, y, p)


def experts(c, judge):
    tasks, shared, own, shared_output = (int(v) for v in c["shape"])
    p = {n: leaf(c[n]) for n in c if n.startswith("experts.")}
    xs = [leaf(c[f"x{i}"]) for i in range(tasks + 1)]
    total = shared + tasks * own
    side = lambda e: tasks if e < shared else (e - shared) // own
    outs = [torch.relu(xs[side(e)] @ p[f"experts.expert.{e}.weight"]
                       + p[f"experts.expert.{e}.bias"]) for e in range(total)]
    loss = 0
    for g in range(tasks + shared_output):
        choice = [e for e in range(total) if g == tasks or side(e) in (tasks, g)]
        a = torch.softmax(xs[g] @ p[f"experts.gate.{g}"], 1)
        y = sum(a[:, m:m + 1] * outs[e] for m, e in enumerate(choice))
        judge.same(f"y{g}", y)
        loss = loss + (y * t64(c[f"d_y{g}"])).sum()
    loss.backward()
    for i, x in enumerate(xs):
        judge.same(f"d x{i}", torch.zeros_like(x) if x.grad is None else x.grad)
    for n, parameter in p.items():
        judge.same("d " + n, parameter.grad)


def chain(c, judge):
    before = leaf(c["before"])
    a, b, z = torch.sigmoid(before).unbind(1)  # p(0), p(1 | 2), p(2 | 0)
    after = torch.stack([a, b * z * a, z * a], 1)
    after = torch.log(after) - torch.log1p(-after)
    after.backward(t64(c["d_after"]))
    judge.same("after", after)
    judge.same("d before", before.grad)


JUDGES = {"pair_attention": pair_attention, "field_attention": field_attention,
          "feature_gate": feature_gate, "cross": cross, "experts": experts, "chain": chain}
