#!/usr/bin/env python3
"""Computes with PyTorch what nn_torch_cases computed with our layers, and compares.

torch_judge.py DRIVER [--seeds 1,2,3] [--write FOLDER]
A judge_<family>.py beside this file holds a dictionary JUDGES: the part of a case's name before the
first '.' → function(case, judge). --write keeps PyTorch's numbers of the first seed, a file for each
family, for parity_test.cc, which needs no PyTorch. Fails when PyTorch is missing: a judge who is absent has not agreed.
"""
import argparse
import importlib
import pathlib

import tensors
import torch

torch.set_num_threads(1)  # tiny tensors: threads only wait for each other


def judges():
    """Case name before the '.' -> (family, function)."""
    found = {}
    for path in sorted(pathlib.Path(__file__).resolve().parent.glob("judge_*.py")):
        for name, judge in importlib.import_module(path.stem).JUDGES.items():
            assert name not in found, name
            found[name] = (path.stem.removeprefix("judge_"), judge)
    return found


def write(folder, theirs, known):
    families = {}
    for name, array in theirs.items():
        family = known[name.partition("/")[0].partition(".")[0]][0]
        families.setdefault(family, {})[name] = array
    for family, tensors_of in families.items():
        pathlib.Path(folder, family + ".tensors").write_bytes(tensors.encode(tensors_of))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("driver")
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--write")
    options = parser.parse_args()
    known = judges()
    judge = tensors.Judge(1e-5)
    for seed in options.seeds.split(","):
        cases, asked = {}, set()
        for name, array in tensors.run(options.driver, seed).items():
            case, _, part = name.partition("/")
            cases.setdefault(case, {})[part] = array
        for name, case in cases.items():
            family = name.partition(".")[0]
            asked.add(family)
            judge.case(f"seed {seed}: ", name, case)
            known[family][1](case, judge)
        assert asked == set(known), f"no case for {set(known) - asked}"
        if options.write:
            write(options.write, judge.theirs, known)
            options.write = None
    judge.verdict()


main()
