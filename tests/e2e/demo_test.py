#!/usr/bin/env python3
"""Runs `heed demo --once` as a newcomer would and reads its last line.

usage: demo_test.py HEED
"""
import json
import subprocess
import sys
import tempfile


def main():
    with tempfile.TemporaryDirectory() as directory:
        done = subprocess.run([sys.argv[1], "demo", "--once", "--data", directory + "/demo"],
                              stdout=subprocess.PIPE, text=True, timeout=540)
    assert done.returncode == 0, done.returncode
    last = json.loads(done.stdout.strip().splitlines()[-1])
    expected = {"events", "samples", "auc", "recommend_p50_ms", "recommend_p99_ms",
                "event_to_rank_p99_ms", "acked_lost"}
    assert expected <= last.keys(), expected - last.keys()
    assert last["acked_lost"] == 0, last
    assert last["events"] > 50_000, last
    # Far above chance: the simulated viewers have tastes, and the model must have found them.
    assert last["auc"] > 0.65, last
    print(json.dumps(last))


if __name__ == "__main__":
    main()
