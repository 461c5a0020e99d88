#!/usr/bin/env python3
"""Training R1 in PyTorch, whichever version runs this file; started by peers.py with the data folder.

A step looks up the rows of 1024 samples that have a history each, goes forward and back, and applies
Adagrad to the dense weights and, sparse, to the tables. Gradients are compared first, before any weight
has moved.
"""
import sys
import warnings

import torch
import torch.nn.functional as F

from r1_model import FAMILIES, HEADS, HISTORY, TRAIN_BATCH, TRAIN_BATCHES, WIDTH, Folder, R1, gradients_of, loss_of
from worker import serve_steps

torch.set_num_threads(1)
warnings.filterwarnings("ignore")


class Trainer(torch.nn.Module):
    def __init__(self, family, weights, tables, absorbed=False):
        super().__init__()
        self.model = R1(family, {name: value.requires_grad_() for name, value in weights.items()})
        self.absorbed = absorbed
        self.tables = tables
        self.dense = torch.optim.Adagrad(weights.values(), lr=1e-2)
        self.sparse = torch.optim.Adagrad(tables, lr=1e-2)

    def rows(self, ids):
        return torch.cat([F.embedding(ids[..., i], table, sparse=True)
                          for i, table in enumerate(self.tables)], -1)

    def forward(self, rows, viewers, contexts):
        events, candidates = rows[:, :HISTORY], rows[:, HISTORY]
        if not self.absorbed:
            return self.model.expanded(events, candidates, viewers, contexts)
        m, count = self.model, rows.shape[0]
        c = F.linear(candidates, m.candidate_w, m.candidate_b)
        q = F.linear(c, m.query_w).view(count, HEADS, -1)
        keys = (m.key_w @ m.event_w).view(HEADS, -1, 3 * WIDTH)
        values = (m.value_w @ m.event_w).view(HEADS, -1, 3 * WIDTH)
        u = torch.einsum("bhd,hde->bhe", q, keys)
        attention = torch.softmax(torch.bmm(u, events.transpose(1, 2)) * 0.25, -1)
        attended = torch.einsum("bhe,hde->bhd", torch.bmm(attention, events), values).reshape(count, WIDTH)
        attended = F.linear(attended + F.linear(m.event_b, m.value_w), m.output_w)
        return m.mlp(torch.cat([viewers, c, attended, contexts], -1))

    def step(self, ids, viewers, contexts, labels):
        loss = loss_of(self(self.rows(ids), viewers, contexts), labels)
        self.dense.zero_grad(set_to_none=True)
        self.sparse.zero_grad(set_to_none=True)
        loss.backward()
        self.dense.step()
        self.sparse.step()
        return loss.item()


def worst_gradient(folder, family):
    """The largest error of any gradient, each against the largest number of its tensor. A tensor that is
    nothing but rounding (a softmax takes no notice of the unit's last bias) counts against the largest of all."""
    model = R1(family, {name: value.requires_grad_() for name, value in folder.weights(family).items()})
    ids, *rest = folder.samples("agreement")
    rows = torch.cat([torch.from_numpy(folder.tensor(f"table{i}")[ids[..., i]]) for i in range(3)], -1)
    found = gradients_of(model, rows.requires_grad_(), *rest)
    truths = folder.gradients(family)
    largest = max(abs(truth).max() for truth in truths.values())

    def against(truth):
        top = abs(truth).max()
        return top if top > 1e-12 * largest else largest

    return max(float(abs(found[name].numpy() - truth).max() / against(truth)) for name, truth in truths.items())


def main():
    folder = Folder(sys.argv[1])
    ids, *rest = folder.samples("train")
    batches = [tuple(part[i * TRAIN_BATCH:(i + 1) * TRAIN_BATCH] for part in (ids, *rest))
               for i in range(TRAIN_BATCHES)]
    tables = [torch.nn.Parameter(torch.from_numpy(folder.tensor(f"table{i}").copy())) for i in range(3)]
    variants = {}
    for family in FAMILIES:
        error = worst_gradient(folder, family)
        for absorbed in (False, True) if family == "dot" else (False,):
            trainer = Trainer(family, folder.weights(family), tables, absorbed)
            variants[f"train_{family}" + ("_absorbed" if absorbed else "")] = (
                error, lambda index, trainer=trainer: trainer.step(*batches[index % TRAIN_BATCHES]))
    serve_steps(torch.__version__.split("+")[0], variants)


if __name__ == "__main__":
    main()
