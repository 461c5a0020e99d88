#!/usr/bin/env python3
"""R1 in PyTorch, whichever version runs this file; started by peers.py with the data folder.

Every variant is handed ids as int64 tensors made beforehand, and tables in memory of its own, where
the kernel may use huge pages: nothing is held back from the peer.
"""
import os
import shutil
import sys
import warnings

import torch
import torch.nn.functional as F

from r1_model import CANDIDATES, FAMILIES, HISTORY, WIDTH, Folder, R1, R1Split
from worker import serve

torch.set_num_threads(1)
torch.set_grad_enabled(False)
warnings.filterwarnings("ignore")


class Tables(torch.nn.Module):
    """Rows from three embeddings, as the model is usually written, then the model."""

    def __init__(self, model, expand=False):
        super().__init__()
        self.model, self.expand = model, expand

    def rows(self, tables, ids):
        return torch.cat([F.embedding(ids[..., i], table) for i, table in enumerate(tables)], -1)

    def forward(self, table0, table1, table2, ids, viewer, context):
        tables = (table0, table1, table2)
        history, candidates = ids[:HISTORY], self.rows(tables, ids[HISTORY:])
        if not self.expand:
            return self.model(self.rows(tables, history), candidates, viewer, context)
        events = self.rows(tables, history.unsqueeze(0).expand(CANDIDATES, HISTORY, 3))
        return self.model.expanded(events, candidates, viewer.expand(CANDIDATES, WIDTH),
                                   context.expand(CANDIDATES, WIDTH))


class OneTable(torch.nn.Module):
    """All rows of a request in one gather from the tables laid end to end: the fastest found, since
    what comes out is already side by side. ids [600, 3] count from the start of the joined table."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, table, ids, viewer, context):
        rows = torch.index_select(table, 0, ids.view(-1)).view(HISTORY + CANDIDATES, 3 * WIDTH)
        return self.model(rows[:HISTORY], rows[HISTORY:], viewer, context)


def frozen(module, example):
    """jit.trace, freeze and, where it works, optimize_for_inference."""
    traced = torch.jit.freeze(torch.jit.trace(module.eval(), example, check_trace=False))
    try:
        return torch.jit.optimize_for_inference(traced)
    except Exception:  # pylint: disable=broad-except
        return traced


def compiled(module, mode):
    """torch.compile with the weights as constants, which lets it pack them."""
    import torch._inductor.config as inductor  # pylint: disable=import-outside-toplevel
    inductor.freezing = True
    inductor.cpp.threads = 1
    return torch.compile(module, dynamic=False, mode=mode)


class Lazily:
    """Traces or compiles at the first request, outside every timed round."""

    def __init__(self, make):
        self.make, self.made = make, None

    def __call__(self, *example):
        if self.made is None:
            self.made = self.make(example)
        return self.made(*example)


def main():
    folder = Folder(sys.argv[1])
    tables = [torch.from_numpy(folder.tensor(f"table{i}")) for i in range(3)]
    joined = torch.cat(tables)
    starts = [0, tables[0].shape[0], tables[0].shape[0] + tables[1].shape[0]]
    split_tables = [joined[start:start + table.shape[0]] for start, table in zip(starts, tables)]
    ids = torch.from_numpy(folder.tensor("ids").astype("int64"))
    joined_ids = ids + torch.tensor(starts)
    viewers, contexts = (torch.from_numpy(folder.tensor(name).copy()) for name in ("viewers", "contexts"))

    def sides(index):
        return viewers[index:index + 1], contexts[index:index + 1]

    def of_tables(module):
        return lambda index: module(*split_tables, ids[index], *sides(index))

    def of_one(module):
        return lambda index: module(joined, joined_ids[index], *sides(index))

    variants = {}
    for family in FAMILIES:
        weights = folder.weights(family)
        plain, split = R1(family, weights).eval(), R1Split(family, weights).eval()
        found = {"eager": of_tables(Tables(plain)), "eager_one_gather": of_one(OneTable(plain)),
                 "split": of_one(OneTable(split))}
        forms = {"": plain, "_split": split}
        if family == "din":
            for chunk in (25, 100):
                forms[f"_split_{chunk}"] = R1Split(family, weights, chunk).eval()
                found[f"split_{chunk}"] = of_one(OneTable(forms[f"_split_{chunk}"]))
        for form, model in forms.items():
            found["jit" + form] = of_one(Lazily(
                lambda example, model=model: frozen(OneTable(model), example)))
        if hasattr(torch, "compile") and shutil.which(os.environ.get("CXX", "g++")):
            for form, model in forms.items():
                found["compile" + form] = of_one(Lazily(
                    lambda example, model=model: compiled(OneTable(model), None)))
        found["naive"] = of_tables(Tables(plain, expand=True))
        variants.update({f"{family}_{name}": (family, score) for name, score in found.items()})
    serve(folder, torch.__version__.split("+")[0], variants)


if __name__ == "__main__":
    main()
