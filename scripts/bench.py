#!/usr/bin/env python3
"""Runs Google Benchmark programs, named one a line on standard input, and prints one table.

Every figure is the median of HEED_BENCH_REPETITIONS (default 5) repetitions. With --json: one JSON
object {"machine": ..., "results": [...]} instead of the table.
"""
import json
import os
import pathlib
import subprocess
import sys

REPETITIONS = os.environ.get("HEED_BENCH_REPETITIONS", "5")
STANDARD = {"name", "run_name", "run_type", "repetitions", "repetition_index", "threads", "iterations",
            "real_time", "cpu_time", "time_unit", "aggregate_name", "aggregate_unit", "family_index",
            "per_family_instance_index", "label"}


def machine():
    model = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo", encoding="utf-8")
                  if line.startswith("model name")), "unknown")
    return f"{model}, {len(os.sched_getaffinity(0))} cores"


def run(program):
    print(f"running {program}", file=sys.stderr)
    done = subprocess.run([program, "--benchmark_format=json", "--benchmark_report_aggregates_only=true",
                           f"--benchmark_repetitions={REPETITIONS}"],
                          stdout=subprocess.PIPE, check=True)
    module = pathlib.Path(program).name.removesuffix("_bench")
    for row in json.loads(done.stdout)["benchmarks"]:
        if row.get("aggregate_name") == "median":
            yield {"bench": module, "name": row["run_name"], "time": row["real_time"],
                   "unit": row["time_unit"], "label": row.get("label", ""),
                   "counters": {key: value for key, value in row.items() if key not in STANDARD}}


def human(value):
    for limit, suffix in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(value) >= limit:
            return f"{value / limit:.3g}{suffix}"
    return f"{value:.4g}"


def main():
    results = [row for program in sys.stdin.read().split() for row in run(program)]
    if "--json" in sys.argv[1:]:
        json.dump({"machine": machine(), "results": results}, sys.stdout, indent=1)
        print()
        return
    print(f"machine: {machine()}; medians of {REPETITIONS}")
    width = max((len(row["bench"] + row["name"]) for row in results), default=0) + 3
    for row in results:
        counters = "  ".join(f"{key} {human(value)}" for key, value in row["counters"].items())
        print(f"{row['bench'] + ' ' + row['name']:<{width}}{row['time']:>12.4g} {row['unit']}  "
              f"{counters}  {row['label']}".rstrip())


if __name__ == "__main__":
    main()
