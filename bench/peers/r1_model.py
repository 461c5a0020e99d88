#!/usr/bin/env python3
"""Reference model R1: its mathematics in PyTorch, and the data folder every worker reads.

    r1_model.py FOLDER [--seed N]      writes the folder unless it is there and complete

One request is a viewer with L = 100 events and N = 500 candidates. Events and candidates are rows of
three tables (item, author, category), 64 numbers each. A candidate attends to the events, either with
four heads of dot-product attention ("dot") or with DIN's activation unit ("din"); an MLP on (viewer,
candidate, attended, context) ends in four logits. Runs under PyTorch 1.13 and later.
"""
import argparse
import json
import os
import pathlib
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F

HISTORY, CANDIDATES, WIDTH, HEADS = 100, 500, 64, 4
ROWS = (1_000_000, 1_000_000, 100_000)
REQUESTS = 400  # 46 MB of distinct rows for each hundred: no core keeps what the next request wants
TRUTHS = 8
TRAIN_BATCH, TRAIN_BATCHES = 1024, 8  # 240 MB of rows a round of all batches
AGREEMENT = 64  # samples of the batch on which gradients are compared
FORMAT = 2
FAMILIES = ("dot", "din")

SHARED = {"event": (WIDTH, 3 * WIDTH), "candidate": (WIDTH, 3 * WIDTH), "mlp1": (256, 256),
          "mlp2": (128, 256), "mlp3": (64, 128), "head": (4, 64)}
ATTENTION = {"dot": {name: (WIDTH, WIDTH) for name in ("query", "key", "value", "output")},
             "din": {"unit1": (80, 4 * WIDTH), "unit2": (40, 80), "unit3": (1, 40)}}


def draw_weights(family, rng):
    """Named float32 arrays, scaled so that every layer keeps the size of its input."""
    weights = {}
    for name, shape in {**SHARED, **ATTENTION[family]}.items():
        weights[name + "_w"] = rng.standard_normal(shape, np.float32) * np.float32((2 / shape[1]) ** 0.5)
        if name in SHARED or family == "din":
            weights[name + "_b"] = rng.uniform(-0.3, 0.3, shape[0]).astype(np.float32)
    if family == "din":
        weights["slope1"] = rng.uniform(0.1, 0.4, 80).astype(np.float32)
        weights["slope2"] = rng.uniform(0.1, 0.4, 40).astype(np.float32)
    return weights


class R1(torch.nn.Module):
    """The model as its definition reads. `weights`: name → tensor; its precision is the model's."""

    def __init__(self, family, weights):
        super().__init__()
        self.family = family
        for name, value in weights.items():
            self.register_buffer(name, value)

    def mlp(self, x):
        for layer in ("mlp1", "mlp2", "mlp3"):
            x = F.relu(F.linear(x, getattr(self, layer + "_w"), getattr(self, layer + "_b")))
        return F.linear(x, self.head_w, self.head_b)

    def forward(self, events, candidates, viewer, context):
        """events [L, 192], candidates [N, 192], viewer and context [1, 64] → logits [N, 4]. What does
        not depend on the candidate is computed once, as any careful user of PyTorch would."""
        count, length = candidates.shape[0], events.shape[0]
        h = F.linear(events, self.event_w, self.event_b)
        c = F.linear(candidates, self.candidate_w, self.candidate_b)
        if self.family == "dot":
            q = F.linear(c, self.query_w).view(count, HEADS, -1).transpose(0, 1)
            k = F.linear(h, self.key_w).view(length, HEADS, -1).permute(1, 2, 0)
            v = F.linear(h, self.value_w).view(length, HEADS, -1).transpose(0, 1)
            attention = torch.softmax(torch.matmul(q, k) * 0.25, -1)
            attended = torch.matmul(attention, v).transpose(0, 1).reshape(count, WIDTH)
            attended = F.linear(attended, self.output_w)
        else:
            q = c.unsqueeze(1).expand(count, length, WIDTH)
            k = h.unsqueeze(0).expand(count, length, WIDTH)
            x = torch.cat([q, k, q - k, q * k], -1).view(count * length, 4 * WIDTH)
            attended = torch.matmul(self.unit(x).view(count, length), h)
        return self.mlp(torch.cat([viewer.expand(count, WIDTH), c, attended,
                                   context.expand(count, WIDTH)], -1))

    def unit(self, pairs):
        """DIN's activation unit: [N L, 256] → attention weights, softmax over the L events of each."""
        x = F.prelu(F.linear(pairs, self.unit1_w, self.unit1_b), self.slope1)
        x = F.prelu(F.linear(x, self.unit2_w, self.unit2_b), self.slope2)
        scores = F.linear(x, self.unit3_w, self.unit3_b).view(-1, HISTORY) * 0.125
        return torch.softmax(scores, -1)

    def expanded(self, events, candidates, viewer, context):
        """The same with the whole history repeated for every candidate: events [N, L, 192], viewer and
        context [N, 64]. How a training graph serves when nobody rewrites it."""
        count, length = events.shape[:2]
        h = F.linear(events, self.event_w, self.event_b)
        c = F.linear(candidates, self.candidate_w, self.candidate_b)
        if self.family == "dot":
            q = F.linear(c, self.query_w).view(count, HEADS, 1, -1)
            k = F.linear(h, self.key_w).view(count, length, HEADS, -1).permute(0, 2, 3, 1)
            v = F.linear(h, self.value_w).view(count, length, HEADS, -1).transpose(1, 2)
            attention = torch.softmax(torch.matmul(q, k) * 0.25, -1)
            attended = F.linear(torch.matmul(attention, v).reshape(count, WIDTH), self.output_w)
        else:
            q = c.unsqueeze(1).expand(count, length, WIDTH)
            x = torch.cat([q, h, q - h, q * h], -1).view(count * length, 4 * WIDTH)
            attended = torch.matmul(self.unit(x).view(count, 1, length), h).squeeze(1)
        return self.mlp(torch.cat([viewer, c, attended, context], -1))


class R1Split(torch.nn.Module):
    """R1 after the algebra: the same function with every product of weights formed beforehand.

    The viewer's and the context's part of mlp1 is computed once; query and the candidate's part of mlp1
    are one product; dot's output projection is folded into mlp1. DIN's unit1 on (q, k, q - k, q * k) is
    (Wq + Wd) q + b + (Wk - Wd + Wp diag q) k: one product of the events with a matrix formed for each
    candidate. `chunk`: candidates per product of DIN's unit, so that its intermediates stay in cache.
    """

    def __init__(self, family, weights, chunk=CANDIDATES):
        super().__init__()
        self.family, self.chunk = family, chunk
        keep = ["event_w", "event_b", "candidate_w", "candidate_b", "mlp2_w", "mlp2_b", "mlp3_w", "mlp3_b",
                "head_w", "head_b", "mlp1_b"]
        parts = {name: weights[name] for name in keep}
        viewer, candidate, attended, context = weights["mlp1_w"].split(WIDTH, 1)
        parts["sides_w"] = torch.cat([viewer, context], 1)
        if family == "dot":
            parts["from_candidate_w"] = torch.cat([weights["query_w"] * 0.25, candidate])
            parts["key_value_w"] = torch.cat([weights["key_w"], weights["value_w"]])
            parts["attended_wt"] = (attended @ weights["output_w"]).t()
        else:
            q, k, difference, product = weights["unit1_w"].split(WIDTH, 1)
            parts["from_candidate_w"] = torch.cat([q + difference, candidate])
            parts["from_candidate_b"] = torch.cat([weights["unit1_b"], torch.zeros_like(weights["mlp1_b"])])
            parts["key_w"], parts["product_w"] = k - difference, product
            for name in ("slope1", "unit2_w", "unit2_b", "slope2", "unit3_w", "unit3_b"):
                parts[name] = weights[name]
            parts["attended_wt"] = attended.t()
        for name, value in parts.items():
            self.register_buffer(name, value.contiguous())

    def forward(self, events, candidates, viewer, context):
        count, length = candidates.shape[0], events.shape[0]
        h = F.linear(events, self.event_w, self.event_b)
        c = F.linear(candidates, self.candidate_w, self.candidate_b)
        sides = F.linear(torch.cat([viewer, context], -1), self.sides_w, self.mlp1_b)
        if self.family == "dot":
            q, first = F.linear(c, self.from_candidate_w).split([WIDTH, 256], 1)
            k, v = F.linear(h, self.key_value_w).view(length, 2, HEADS, -1).unbind(1)
            scores = torch.matmul(q.view(count, HEADS, -1).transpose(0, 1), k.permute(1, 2, 0))
            attended = torch.matmul(torch.softmax(scores, -1), v.transpose(0, 1))
            attended = attended.transpose(0, 1).reshape(count, WIDTH)
        else:
            q, first = F.linear(c, self.from_candidate_w, self.from_candidate_b).split([80, 256], 1)
            attended = [self.attend(h, c[i:i + self.chunk], q[i:i + self.chunk])
                        for i in range(0, count, self.chunk)]
            attended = torch.cat(attended) if len(attended) > 1 else attended[0]
        x = torch.relu(torch.addmm(first, attended, self.attended_wt) + sides)
        x = torch.relu(F.linear(x, self.mlp2_w, self.mlp2_b))
        x = torch.relu(F.linear(x, self.mlp3_w, self.mlp3_b))
        return F.linear(x, self.head_w, self.head_b)

    def attend(self, h, c, q):
        """DIN for one chunk: events h [L, 64], candidates c [n, 64], their part of unit1 [n, 80] → [n, 64]."""
        length, count = h.shape[0], c.shape[0]
        folded = torch.addcmul(self.key_w, self.product_w, c.unsqueeze(1)).view(count * 80, WIDTH)
        x = torch.addmm(q.reshape(count * 80), h, folded.t()).view(length * count, 80)
        x = F.prelu(F.linear(F.prelu(x, self.slope1), self.unit2_w, self.unit2_b), self.slope2)
        scores = F.linear(x, self.unit3_w, self.unit3_b).view(length, count) * 0.125
        return torch.matmul(torch.softmax(scores, 0).t(), h)


class Folder:
    """The data folder, mapped: `tensor(name)` is a read-only array of the shape and type written."""

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.manifest = json.loads((self.path / "manifest.json").read_text(encoding="utf-8"))

    def tensor(self, name):
        entry = self.manifest["tensors"][name]
        return np.memmap(self.path / entry["file"], entry["dtype"], "r", shape=tuple(entry["shape"]))

    def gradients(self, family):
        """name → float64 array: the loss, and its gradient by weight and by looked up row."""
        prefix = f"gradient.{family}."
        return {name[len(prefix):]: np.array(self.tensor(name))
                for name in self.manifest["tensors"] if name.startswith(prefix)}

    def samples(self, name):
        """"train" or "agreement" → ids int64, viewers, contexts, labels."""
        return (torch.from_numpy(self.tensor(name + "_ids").astype("int64")),
                *(torch.from_numpy(self.tensor(f"{name}_{part}").copy())
                  for part in ("viewers", "contexts", "labels")))

    def weights(self, family, dtype=torch.float32):
        names = [name for name in self.manifest["tensors"] if name.startswith(family + ".")]
        return {name.split(".")[1]: torch.from_numpy(np.array(self.tensor(name))).to(dtype)
                for name in names}

    def truth(self, family):
        return np.array(self.tensor("truth_" + family))


def loss_of(logits, labels):
    """Of a sample the sum over its outputs; the mean of samples."""
    return F.binary_cross_entropy_with_logits(logits, labels, reduction="sum") / labels.shape[0]


def gradients_of(model, rows, viewers, contexts, labels):
    """The loss and its gradients: `rows` [n, L + 1, 192], events and then the candidate, requires grad; so do
    the model's buffers. → name → tensor."""
    loss = loss_of(model.expanded(rows[:, :HISTORY], rows[:, HISTORY], viewers, contexts), labels)
    loss.backward()
    found = {name: value.grad for name, value in model.named_buffers()}
    return {"loss": loss.detach().reshape(1), "rows": rows.grad, **found}


def draw_samples(rng, save, name, count, distinct):
    draw = (lambda rows, n: rng.choice(rows, n, replace=False)) if distinct else \
        (lambda rows, n: rng.integers(0, rows, n))
    ids = np.stack([draw(rows, count * (HISTORY + 1)).astype(np.uint32) for rows in ROWS], -1)
    sides = [rng.standard_normal((count, WIDTH), np.float32) * np.float32(0.5) for _ in range(2)]
    labels = (rng.random((count, 4)) < 0.2).astype(np.float32)
    return (save(name + "_ids", ids.reshape(count, HISTORY + 1, 3)), save(name + "_viewers", sides[0]),
            save(name + "_contexts", sides[1]), save(name + "_labels", labels))


def write(path, seed):
    """Everything but the manifest first: a folder without one is not complete and is written again."""
    path.mkdir(parents=True, exist_ok=True)
    (path / "manifest.json").unlink(missing_ok=True)
    tensors = {}

    def save(name, values):
        values.tofile(path / (name + ".bin"))
        tensors[name] = {"file": name + ".bin", "dtype": values.dtype.str, "shape": list(values.shape)}
        return values

    rng = np.random.default_rng(seed)
    author_of = save("author_of", rng.integers(0, ROWS[1], ROWS[0], dtype=np.uint32))
    category_of = save("category_of", rng.integers(0, ROWS[2], ROWS[0], dtype=np.uint32))
    items = rng.integers(0, ROWS[0], (REQUESTS, HISTORY + CANDIDATES), dtype=np.uint32)
    ids = save("ids", np.stack([items, author_of[items], category_of[items]], -1))
    sides = [save(name, rng.standard_normal((REQUESTS, WIDTH), np.float32) * np.float32(0.5))
             for name in ("viewers", "contexts")]
    weights = {family: draw_weights(family, rng) for family in FAMILIES}
    for family in FAMILIES:
        for name, values in weights[family].items():
            save(f"{family}.{name}", values)
    tables = []
    for table, rows in enumerate(ROWS):
        values = rng.standard_normal((rows, WIDTH), np.float32)
        values *= np.float32(0.5)
        tables.append(save(f"table{table}", values))

    for family in FAMILIES:
        model = R1(family, {name: torch.from_numpy(values).double()
                            for name, values in weights[family].items()})
        logits = []
        for request in range(TRUTHS):
            rows = [torch.from_numpy(table[ids[request, :, i]]).double() for i, table in enumerate(tables)]
            rows = torch.cat(rows, 1)
            viewer, context = (torch.from_numpy(side[request:request + 1]).double() for side in sides)
            logits.append(model(rows[:HISTORY], rows[HISTORY:], viewer, context).numpy())
        save("truth_" + family, np.stack(logits))

    draw_samples(rng, save, "train", TRAIN_BATCH * TRAIN_BATCHES, False)
    ids, *rest = draw_samples(rng, save, "agreement", AGREEMENT, True)
    for family in FAMILIES:
        with torch.enable_grad():
            model = R1(family, {name: torch.from_numpy(values).double().requires_grad_()
                                for name, values in weights[family].items()})
            rows = np.concatenate([table[ids[..., i]] for i, table in enumerate(tables)], -1)
            rows = torch.from_numpy(rows).double().requires_grad_()
            found = gradients_of(model, rows, *(torch.from_numpy(part).double() for part in rest))
        for name, value in found.items():
            save(f"gradient.{family}.{name}", value.numpy())
    manifest = {"format": FORMAT, "seed": seed, "history": HISTORY, "candidates": CANDIDATES,
                "width": WIDTH, "requests": REQUESTS, "truths": TRUTHS, "train_batch": TRAIN_BATCH,
                "tensors": tensors}
    partial = path / "manifest.json.part"
    partial.write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    partial.rename(path / "manifest.json")


def complete(path):
    try:
        manifest = json.loads((path / "manifest.json").read_text(encoding="utf-8"))
        return manifest["format"] == FORMAT and all(
            (path / entry["file"]).stat().st_size ==
            int(np.prod(entry["shape"])) * np.dtype(entry["dtype"]).itemsize
            for entry in manifest["tensors"].values())
    except (OSError, ValueError, KeyError):
        return False


def main():
    parser = argparse.ArgumentParser(description="Writes the data folder of reference model R1.")
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    if complete(arguments.folder):
        return
    print(f"writing R1's tables, weights and requests to {arguments.folder} (0.6 GB)", file=sys.stderr)
    started = time.monotonic()
    torch.set_num_threads(os.cpu_count() or 1)
    with torch.no_grad():
        write(arguments.folder, arguments.seed)
    print(f"written in {time.monotonic() - started:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
