"""Layer norm, the transformer encoder, softmax cross-entropy over candidates, and binary loss."""
import torch
from tensors import leaf, t64

functional = torch.nn.functional
EPSILON = 1e-8


def norm(c, judge):
    x, gain, bias = leaf(c["x"]), leaf(c["norm.gain"]), leaf(c["norm.bias"])
    y = functional.layer_norm(x, x.shape[1:], gain[0], bias[0], EPSILON)
    y.backward(t64(c["d_y"]))
    judge.same("y", y)
    judge.same("d x", x.grad)
    judge.same("d norm.gain", gain.grad)
    judge.same("d norm.bias", bias.grad)
    again = leaf(c["x"])
    unit = functional.normalize(again, dim=1, eps=1e-12)
    unit.backward(t64(c["d_y"]))
    judge.same("unit", unit)
    judge.same("d unit", again.grad)


def attend(p, x, heads=2):
    n, width = x.shape
    split = lambda v: v.view(n, heads, width // heads).transpose(0, 1)
    q = split(x @ p["query.weight"] + p["query.bias"])
    k = split(x @ p["key.weight"])
    v = split(x @ p["value.weight"] + p["value.bias"])
    back = torch.arange(n)[:, None] - torch.arange(n)[None, :]
    place = p["position"][back.clamp(0, p["position"].shape[0] - 1)].permute(2, 0, 1)
    s = q @ k.transpose(1, 2) / (width // heads) ** 0.5 + place
    a = torch.softmax(s.masked_fill(back < 0, -torch.inf), 2)
    return (a @ v).transpose(0, 1).reshape(n, width) @ p["out.weight"] + p["out.bias"]


def encoder(c, judge):
    p = {k: leaf(v) for k, v in c.items() if k.startswith("encoder.")}
    part = lambda prefix: {k[len(prefix):]: v for k, v in p.items() if k.startswith(prefix)}
    layer_norm = lambda q, x: functional.layer_norm(
        x, x.shape[1:], q["gain"][0], q["bias"][0], EPSILON)
    rows, pre, ys = leaf(c["rows"]), bool(c["pre_norm"][0]), []
    offsets = c["offsets"].astype(int)
    for first, last in zip(offsets, offsets[1:]):
        x = rows[first:last]
        for layer in range(2):
            at = f"encoder.{layer}."
            q, norm1, norm2 = part(at), part(at + "norm1."), part(at + "norm2.")

            def feed(z):
                hidden = torch.relu(z @ q["feed1.weight"] + q["feed1.bias"])
                return hidden @ q["feed2.weight"] + q["feed2.bias"]
            attention = part(at + "attention.")
            if pre:
                x = x + attend(attention, layer_norm(norm1, x))
                x = x + feed(layer_norm(norm2, x))
            else:
                x = layer_norm(norm1, x + attend(attention, x))
                x = layer_norm(norm2, x + feed(x))
        ys.append(layer_norm(part("encoder.norm."), x) if pre else x)
    y = torch.cat(ys)
    y.backward(t64(c["d_y"]))
    judge.same("y", y)
    judge.same("d rows", rows.grad)
    for name, parameter in p.items():
        judge.same("d " + name, parameter.grad)


def softmax(c, judge):
    queries, positives, candidates = (leaf(c[k]) for k in ("queries", "positives", "candidates"))
    scale = t64(c["scale"])
    z = scale * queries @ candidates.T
    if c["offsets"].size:
        z = z + t64(c["offsets"])
    right = torch.tensor(c["right"].astype(int))
    z = z.masked_fill(right[:, None] == torch.arange(z.shape[1]), -torch.inf)
    answer = scale * (queries * positives).sum(1, keepdim=True)
    loss = functional.cross_entropy(torch.cat([answer, z], 1),
                                    torch.zeros(len(right), dtype=torch.long))
    loss.backward()
    judge.same("loss", loss)
    judge.same("d queries", queries.grad)
    judge.same("d positives", positives.grad)
    judge.same("d candidates", candidates.grad)


def binary(c, judge):
    queries, positives, negatives = (leaf(c[k]) for k in ("queries", "positives", "negatives"))
    scale = t64(c["scale"])
    each = negatives.shape[0] // queries.shape[0]
    right = scale * (queries * positives).sum(1)
    wrong = scale * (queries.repeat_interleave(each, 0) * negatives).sum(1)
    loss = functional.softplus(-right).mean() + functional.softplus(wrong).mean()
    loss.backward()
    judge.same("loss", loss)
    judge.same("d queries", queries.grad)
    judge.same("d positives", positives.grad)
    judge.same("d negatives", negatives.grad)


JUDGES = {"norm": norm, "encoder": encoder, "softmax": softmax, "binary": binary}
