#!/usr/bin/env python3
"""How the cost of ranking grows, in instructions, which no busy machine disturbs.

    growth_test.py R1_ONCE

valgrind counts what CompiledRanker::Logits executes for R1 at two sizes, at the level avx2 (valgrind
knows no AVX-512). The times are ./run bench scaling's. Status 77, "skipped", without valgrind.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

# family, (events, candidates) of both sizes, least and largest ratio of the counts.
# Dot: 40960 L + N (188928 + 256 L) multiplications and additions, DIN: 34816 L + 182784 N + 16848 L N
# (docs/benchmarks.md), so the algebra says 1.96, 1.15, 1.98, 1.79.
CASES = (("dot", (100, 500), (100, 1000), 1.85, 2.0),
         ("dot", (100, 500), (200, 500), 1.1, 1.3),
         ("din", (40, 96), (40, 192), 1.85, 2.0),
         ("din", (40, 96), (80, 96), 1.5, 2.0))


def instructions(program, family, size):
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            ["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/out", "--collect-atstart=no",
             "--toggle-collect=heed::infer::CompiledRanker::Logits*", program, family, *map(str, size)],
            env={**os.environ, "HEED_SIMD": "avx2"}, stderr=subprocess.PIPE, text=True, check=False)
    found = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode != 0 or not found or int(found.group(1)) < 1000 * size[1]:
        sys.exit(f"valgrind counted nothing:\n{done.stderr}")
    return int(found.group(1))


def main():
    if not shutil.which("valgrind"):
        print("no valgrind: skipped")
        return 77
    missed = 0
    counted = {}
    for family, *sizes, least, largest in CASES:
        for size in sizes:
            if (family, size) not in counted:
                counted[family, size] = instructions(sys.argv[1], family, size)
        small, large = (counted[family, size] for size in sizes)
        ratio = large / small
        met = least <= ratio <= largest
        missed += not met
        print(f"{family}: L, N {sizes[0]} -> {sizes[1]}: {small} -> {large} instructions, {ratio:.3f}, "
              f"wanted {least} to {largest}: {'met' if met else 'MISSED'}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
