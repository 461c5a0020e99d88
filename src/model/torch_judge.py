#!/usr/bin/env python3
"""The whole ranker once more, in PyTorch: five training steps of SmallConfig (batch_for_test.h), plain
and with a projection under each pool.

torch_judge.py DRIVER. Compares the first step's gradients of every weight and row, all losses and
every weight afterwards. Fails when PyTorch is missing: a judge who is absent has not agreed.
"""
import math
import pathlib
import sys

import numpy as np
import torch

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "nn"))
import tensors  # noqa: E402

torch.set_num_threads(1)  # tiny tensors: threads only wait for each other
F64 = torch.float64
D, HEADS, WIDTH, TASKS, HIDDEN = 4, 2, 6, 2, 2
TASK_WEIGHTS, VALUE_WEIGHT, VALUE_DELTA = [1.0, 0.5], 0.7, 2.5
TABLES = ["user", "item", "hour", "host", "feedback"]
REQUEST_FIELDS, CANDIDATE_FIELDS = ["user", "hour"], ["item", "host"]
# numerics in schema order: price (candidate), activity (request), stock (candidate)
REQUEST_NUMERICS, CANDIDATE_NUMERICS = [1], [0, 2]
SEQUENCES = [(["item", "host", "feedback"], ["item", "host"]), (["item"], ["item"])]


class Ranker:
    def __init__(self, file):
        self.file = file
        self.rows = []
        self.parameters = {}
        for i in range(len(TABLES)):
            keys = file[f"table.{i}.keys"]
            self.rows.append({int(k): row for row, k in enumerate(keys) if row >= 2})
            self.parameters[f"table.{i}"] = file[f"table.{i}.values"]
        for name, array in file.items():
            if name + ".moment1" in file and not name.startswith("table"):
                self.parameters[name] = array
        self.parameters = {name: torch.tensor(array, dtype=F64, requires_grad=True)
                           for name, array in self.parameters.items()}

    def __getitem__(self, name):
        return self.parameters[name]

    def row_of(self, table, keys):
        own = self.rows[TABLES.index(table)]
        return torch.tensor([0 if k == 0 else own.get(int(k), 1) for k in keys], dtype=torch.long)

    def embed(self, table, keys):
        return self[f"table.{TABLES.index(table)}"][self.row_of(table, keys)]

    def numerics(self, raw, which):
        raw = raw.reshape(-1, len(which))
        mean, deviation = self.file["numeric.mean"][which], self.file["numeric.deviation"][which]
        z = np.clip((raw - mean) / deviation, -5, 5)
        missing = np.isnan(raw)
        both = np.stack([np.where(missing, 0, z), missing], 2)
        return torch.tensor(both.reshape(len(raw), -1), dtype=F64)

    def attend(self, s, queries, tokens, log_age):
        """One candidate: (out, evidence)."""
        p = lambda part: self[f"attention.{s}.{part}"]
        dh = WIDTH // HEADS
        q = (queries @ p("query") + p("query_bias")[0]).view(HEADS, dh)
        k = (tokens @ p("key")).view(-1, HEADS, dh)
        v = (tokens @ p("value")).view(-1, HEADS, dh)
        scores = torch.einsum("hd,thd->ht", q, k) / math.sqrt(dh)
        scores = scores - p("decay").view(HEADS, 1) * log_age
        a = torch.softmax(torch.cat([scores, p("null_score").view(HEADS, 1)], 1), 1)
        return torch.einsum("ht,thd->hd", a[:, :-1], v).reshape(-1), 1 - a[:, -1]

    def unit(self, s, query, tokens, log_age):
        """The same by DIN's unit with PReLU, on [k, q, q - k, q * k] as the paper writes it."""
        p = lambda part: self[f"attention.{s}.{part}"]
        q = query.expand_as(tokens)
        h = torch.cat([tokens, q, q - tokens, q * tokens], 1)
        for i in range(2):
            h = h @ p(f"unit.{i}.weight") + p(f"unit.{i}.bias")
            h = torch.where(h > 0, h, p(f"bend.{i}.slope") * h)
        scores = (h @ p("unit.2.weight") + p("unit.2.bias"))[:, 0]
        if f"attention.{s}.null_score" not in self.parameters:  # the sum of the paper
            return scores @ tokens, scores.sum()[None]
        scores = scores - p("decay")[0] * log_age
        a = torch.softmax(torch.cat([scores, p("null_score")[0]]), 0)
        return a[:-1] @ tokens, 1 - a[-1:]

    def project(self, name, x):
        return x @ self[name + ".weight"] + self[name + ".bias"]

    def logits(self, b):
        request_of = torch.tensor(b["request_of"].astype(np.int64))
        request_keys = b["request_keys"].reshape(-1, len(REQUEST_FIELDS))
        candidate_keys = b["candidate_keys"].reshape(-1, len(CANDIDATE_FIELDS))
        R = len(request_keys)
        of_request = [self.embed(t, request_keys[:, i]) for i, t in enumerate(REQUEST_FIELDS)]
        of_candidate = [self.embed(t, candidate_keys[:, i]) for i, t in enumerate(CANDIDATE_FIELDS)]
        numerics_r = self.numerics(b["request_numerics"], REQUEST_NUMERICS)
        numerics_c = self.numerics(b["candidate_numerics"], CANDIDATE_NUMERICS)
        shared = [e[:, :D] for e in of_request] + [numerics_r]
        projects = "item.weight" in self.parameters
        items = [e[:, :D] for e in of_candidate]
        if projects:
            items = [self.project("item", torch.cat(items, 1))]
        own = items + [numerics_c]
        for s, (parts, query_fields) in enumerate(SEQUENCES):
            offsets = b[f"sequence{s}.offsets"].astype(int)
            keys = b[f"sequence{s}.keys"].reshape(-1, len(parts))
            tokens = torch.cat([self.embed(t, keys[:, i])[:, :D] for i, t in enumerate(parts)], 1)
            log_age = torch.log1p(torch.tensor(b[f"sequence{s}.age_s"]) / 3600.0)
            if projects:
                tokens, queries = self.project(f"event.{s}", tokens), items[0]
            else:
                queries = torch.cat([items[CANDIDATE_FIELDS.index(f)] for f in query_fields], 1)
            attend = self.unit if f"attention.{s}.unit.0.weight" in self.parameters else self.attend
            length = torch.tensor(np.diff(offsets), dtype=F64)
            shared.append(torch.log1p(length)[:, None])
            shared.append(torch.stack([tokens[offsets[r]:offsets[r + 1]].sum(0) / (length[r] + 1)
                                       for r in range(R)]))
            pairs = [attend(s, queries[n], tokens[offsets[r]:offsets[r + 1]],
                            log_age[offsets[r]:offsets[r + 1]])
                     for n, r in enumerate(b["request_of"].astype(int))]
            own += [torch.stack([out for out, _ in pairs]), torch.stack([e for _, e in pairs])]
        h = torch.cat([torch.cat(shared, 1)[request_of], torch.cat(own, 1)], 1)
        for i in range(HIDDEN):
            h = torch.relu(h @ self[f"hidden.{i}.weight"] + self[f"hidden.{i}.bias"])
        z = h @ self["head.weight"] + self["head.bias"]
        if "wide.request" in self.parameters:
            wide_r = sum(e[:, D:] for e in of_request) + numerics_r @ self["wide.request"]
            wide_c = sum(e[:, D:] for e in of_candidate) + numerics_c @ self["wide.candidate"]
            z = z + wide_r[request_of] + wide_c
        return z

    def loss(self, b):
        z = self.logits(b)
        y = torch.tensor(b["labels"]).view_as(z)
        known = ~torch.isnan(y)
        each = torch.nn.functional.binary_cross_entropy_with_logits(
            z, torch.where(known, y, torch.zeros_like(y)), reduction="none")
        weights = torch.tensor(b["weights"])
        task_weights = TASK_WEIGHTS
        if z.shape[1] > 2:  # a value: Huber's loss of the amounts themselves, in units of delta squared
            amount = torch.where(known[:, 2], y[:, 2], torch.zeros_like(y[:, 2]))
            huber = torch.nn.functional.huber_loss(z[:, 2] * VALUE_DELTA, amount.to(z.dtype), reduction="none",
                                                   delta=VALUE_DELTA) / VALUE_DELTA ** 2
            each = torch.cat([each[:, :2], huber[:, None]], 1)
            task_weights = TASK_WEIGHTS + [VALUE_WEIGHT]
        return (each * known * torch.tensor(task_weights) * weights[:, None]).sum() / weights.sum()


class Optimizer:
    """Adam for dense weights; touched rows only for tables (lazy Adam or row-wise Adagrad)."""

    def __init__(self, ranker, adagrad_rows):
        self.ranker, self.adagrad_rows, self.step_count = ranker, adagrad_rows, 0
        self.m = {k: torch.zeros_like(p) for k, p in ranker.parameters.items()}
        self.v = {k: torch.zeros_like(p) for k, p in ranker.parameters.items()}

    @torch.no_grad()
    def step(self, touched):
        self.step_count += 1
        bias1, bias2 = 1 - 0.9 ** self.step_count, 1 - 0.999 ** self.step_count
        for name, p in self.ranker.parameters.items():
            table = name.startswith("table.")
            rows = touched[int(name[6:])] if table else slice(None)
            g, m, v = p.grad[rows], self.m[name], self.v[name]
            decays = not table and not name.endswith((".bias", ".null_score", ".decay", ".query_bias",
                                                          ".slope"))
            g = g + 1e-3 * p[rows] if decays else g
            rate = 2e-2 if table else 1e-2
            if table and self.adagrad_rows:
                v[rows] += (g * g).mean(1, keepdim=True)
                p[rows] -= rate * g / (v[rows].sqrt() + 1e-4)
            else:
                m[rows] = 0.9 * m[rows] + 0.1 * g
                v[rows] = 0.999 * v[rows] + 0.001 * g * g
                p[rows] -= rate / bias1 * m[rows] / ((v[rows] / bias2).sqrt() + 1e-4)
            if name.endswith(".decay"):
                p.clamp_(min=0.0)
            p.grad = None


def touched_rows(ranker, b):
    """By table, every row the batch reads."""
    rows = [[] for _ in TABLES]
    def add(names, keys):
        for i, table in enumerate(names):
            rows[TABLES.index(table)].append(ranker.row_of(table, keys.reshape(-1, len(names))[:, i]))
    add(REQUEST_FIELDS, b["request_keys"])
    add(CANDIDATE_FIELDS, b["candidate_keys"])
    for s, (parts, _) in enumerate(SEQUENCES):
        add(parts, b[f"sequence{s}.keys"])
    return [torch.unique(torch.cat(r)) for r in rows]


def judge_case(name, case, judge):
    ranker = Ranker(tensors.read(case["before"].tobytes()))
    optimizer = Optimizer(ranker, "adagrad" in name)
    losses = []
    for i in range(5):
        prefix = f"batch{i}."
        b = {k[len(prefix):]: v for k, v in case.items() if k.startswith(prefix)}
        loss = ranker.loss(b)
        loss.backward()
        if i == 0:
            ours = tensors.read(case["gradients"].tobytes())
            assert len(ours) == len(ranker.parameters)
            judge.case("", f"{name}, gradients", ours)
            for p, value in ranker.parameters.items():
                judge.same("grad/" + p, value.grad)
        losses.append(loss.item())
        optimizer.step(touched_rows(ranker, b))
    judge.case("", name, case)
    judge.same("losses", np.array(losses))
    judge.case("", f"{name}, after training", tensors.read(case["after"].tobytes()))
    for p, value in ranker.parameters.items():
        judge.same(p + ".values" if p.startswith("table.") else p, value)


def main():
    cases = {}
    for name, array in tensors.run(sys.argv[1]).items():
        case, _, part = name.partition("/")
        cases.setdefault(case, {})[part] = array
    assert len(cases) == 7, sorted(cases)
    judge = tensors.Judge(1e-5)
    for name, case in cases.items():
        judge_case(name, case, judge)
    judge.verdict()


main()
