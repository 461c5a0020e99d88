#!/usr/bin/env python3
"""R1 in our engine and in its peers, interleaved in one run on one core (docs/benchmarks.md).

`./run bench peers` builds the workers and starts this. One process for each peer; round after round
each variant scores a few requests, in an order that rotates, so that what disturbs the machine
disturbs all of them. A variant's time is the median over rounds of the best of its round: the best
removes what interrupted a request, the median keeps a lucky round from deciding. Where a peer has
several variants the one with the smallest such time stands for it.
"""
import argparse
import ctypes
import ctypes.util
import functools
import json
import os
import pathlib
import statistics
import subprocess
import sys
import threading
import time

from r1_model import REQUESTS, TRAIN_BATCH, TRUTHS

HERE = pathlib.Path(__file__).resolve().parent

ROUND_MS = 250  # of one variant in one round, at most
# case → (our variants, what a peer's variants are called there, the peers in order; the ratio of the
# case is against the first).
CASES = {
    "r1_dot_fp32": (("dot_fp32", "dot_fp32_cached"), "dot", ("pytorch_best",)),
    "r1_dot_int8": (("dot_int8_cached", "dot_bf16_cached"), "dot", ("pytorch_best",)),
    "r1_din_fp32": (("din_fp32",), "din", ("pytorch_eager", "pytorch_best")),
    "r1_din_int8": (("din_int8",), "din", ("pytorch_eager", "pytorch_best")),
    "r1_dot_train": (("train_dot",), "train_dot", ("pytorch_train",)),
    "r1_din_train": (("train_din",), "train_din", ("pytorch_train",)),
}
EVERYWHERE = ("pytorch_new_best", "onnxruntime", "onnxruntime_int8", "onednn", "onednn_low", "pytorch_new_train")
# peer → worker, and which of its variants may stand for it.
PEERS = {
    "pytorch_eager": ("pytorch", lambda family, name: name == family + "_eager"),
    "pytorch_best": ("pytorch", lambda family, name: name.startswith(family) and "naive" not in name),
    "pytorch_new_best": ("pytorch_new", lambda family, name: name.startswith(family) and "naive" not in name),
    "onnxruntime": ("onnxruntime", lambda family, name: name.startswith(family + "_fp32")),
    "onnxruntime_int8": ("onnxruntime", lambda family, name: name.startswith(family + "_int8")),
    "pytorch_train": ("pytorch_train", lambda family, name: name.startswith(family)),
    "pytorch_new_train": ("pytorch_new_train", lambda family, name: name.startswith(family)),
    "onednn": ("onednn", lambda family, name: name.startswith(family + "_fp32")),
    "onednn_low": ("onednn", lambda family, name: name.startswith((family + "_int8", family + "_bf16"))),
}


def note(text):
    print(text, file=sys.stderr, flush=True)


def environment(data):
    """One thread each; large blocks on huge pages for everybody (in PyTorch 1.13 that alone is worth
    1.3 times); and no OPENBLAS_CORETYPE, which would bind OpenBLAS to an older machine's kernels, unless it
    takes this machine for one without AVX."""
    result = {key: value for key, value in os.environ.items() if key != "OPENBLAS_CORETYPE"}
    if nearest_blas_core():
        result["OPENBLAS_CORETYPE"] = nearest_blas_core()
    for name in ("OMP", "OPENBLAS", "MKL"):
        result[name + "_NUM_THREADS"] = "1"
    result["GLIBC_TUNABLES"] = "glibc.malloc.hugetlb=1"
    result["TORCHINDUCTOR_CACHE_DIR"] = str(data / "inductor")
    return result


def slow_blas():
    """Whether Debian's PyTorch would multiply with the reference BLAS, thirty times slower than
    OpenBLAS: what it is linked to is whichever libblas.so.3 the system has chosen."""
    try:
        return not hasattr(ctypes.CDLL("libblas.so.3"), "openblas_get_config")
    except OSError:
        return True


@functools.cache
def nearest_blas_core():
    """OpenBLAS runs its kernels of 2004 on processors that are newer than itself (0.3.21: Emerald Rapids), and
    PyTorch 1.13 with it, five to ten times slower. The newest kernels that both have then; else None."""
    try:
        library = ctypes.CDLL("libblas.so.3")
        library.openblas_get_corename.restype = ctypes.c_char_p
        chosen = library.openblas_get_corename()
        flags = set(pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").split())
    except (AttributeError, OSError):
        return None
    if chosen not in (b"Prescott", b"Generic"):
        return None
    nearest = next((core for core, flag in (("SkylakeX", "avx512vl"), ("Haswell", "avx2")) if flag in flags), None)
    if nearest:
        note(f"OpenBLAS takes this processor for a {chosen.decode()}; its peers get OPENBLAS_CORETYPE={nearest}")
    return nearest


class Worker:
    """A long-lived process that scores requests when asked."""

    def __init__(self, name, command, data, core):
        self.name, self.command = name, [str(part) for part in command]
        started = time.monotonic()
        self.process = subprocess.Popen(
            [*self.command, str(data)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=environment(data), preexec_fn=lambda: os.sched_setaffinity(0, {core}))
        ready = self.read(300)
        self.version, self.variants = ready["version"], ready["variants"]
        note(f"{name} {self.version}: {len(self.variants)} variants, ready in {time.monotonic() - started:.1f} s")

    def read(self, limit_s):
        timer = threading.Timer(limit_s, self.process.kill)
        timer.start()
        line = self.process.stdout.readline()
        timer.cancel()
        if not line:
            raise RuntimeError(f"{self.name}: the worker ended, or took over {limit_s} s")
        return json.loads(line)

    def ask(self, variant, begin, end, limit_s=300):
        self.process.stdin.write(json.dumps({"variant": variant, "requests": [begin, end]}) + "\n")
        self.process.stdin.flush()
        answer = self.read(limit_s)
        if "error" in answer:
            raise RuntimeError(f"{self.name} {variant}: {answer['error']}")
        return answer

    def close(self):
        if self.process.poll() is None:
            self.process.stdin.close()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()


class Entry:
    """One variant of one worker: its error against the truth, and the best of every round, in ms of a
    request or of a training step."""

    def __init__(self, worker, variant, requests):
        self.worker, self.variant, self.rounds, self.times = worker, variant, [], []
        self.error = worker.ask(variant, 0, TRUTHS)["max_abs_error"]
        # A variant of 60 ms would take most of the run if it scored as many as one of 1 ms.
        warm_ms = min(worker.ask(variant, 0, 2)["ms"])
        self.batch = max(2, min(requests, int(ROUND_MS / warm_ms)))

    def round(self, number):
        begin = TRUTHS + number * self.batch % (REQUESTS - TRUTHS - self.batch)
        times = self.worker.ask(self.variant, begin, begin + self.batch)["ms"]
        self.times += times
        self.rounds.append(min(times))

    ms = property(lambda self: statistics.median(self.rounds))


def start_workers(programs, data, core):
    workers = {}
    for name, command in programs.items():
        try:
            workers[name] = Worker(name, command, data, core)
        except (OSError, RuntimeError, ValueError) as error:
            note(f"left out: {name}: {error}")
    return workers


def measure(workers, wanted, rounds, requests):
    """`wanted`: (worker name, variant). → {(worker name, variant): Entry}, those that work."""
    entries = {}
    progress = Progress("warming up", len(wanted), "variants")
    for index, (name, variant) in enumerate(wanted):
        try:
            entries[name, variant] = Entry(workers[name], variant, requests)
        except (OSError, RuntimeError, ValueError) as error:
            note(f"left out: {error}")
        progress.at(index + 1)
    order = list(entries.values())
    progress = Progress("measuring", rounds, "rounds")
    for number in range(rounds):
        shift = number * len(order) // rounds
        for entry in order[shift:] + order[:shift]:
            entry.round(number)
        progress.at(number + 1)
    return entries


class Progress:
    """Rate and time left: one line that is rewritten on a terminal, now and then a line elsewhere."""

    def __init__(self, what, total, unit):
        self.what, self.total, self.unit, self.started = what, total, unit, time.monotonic()

    def at(self, done):
        elapsed = time.monotonic() - self.started
        text = (f"{self.what}: {done}/{self.total} {self.unit}, {done / elapsed:.2g} {self.unit}/s, "
                f"{elapsed / done * (self.total - done):.0f} s left")
        if sys.stderr.isatty():
            print(f"\r{text:<78}", end="\n" if done == self.total else "", file=sys.stderr, flush=True)
        elif done == self.total or done % max(1, self.total // 4) == 0:
            note(text)


def worker_of(case):
    return "ours_train" if case.endswith("_train") else "ours"


def best_of(entries, worker, names):
    found = [entries[worker, name] for name in names if (worker, name) in entries]
    return min(found, key=lambda entry: entry.ms, default=None)


def rows_of(case, entries, workers):
    """The lines of --json for one case."""
    own, family, first = CASES[case]
    mine = worker_of(case)
    ours = next((entries[mine, name] for name in own if (mine, name) in entries), None)
    for peer in (*first, *EVERYWHERE):
        name, stands = PEERS[peer]
        if name not in workers:
            continue
        entry = best_of(entries, name, [v for v in workers[name].variants if stands(family, v)])
        if entry:
            yield {"case": case, "ours_ms": ours and round(ours.ms, 4), "peer": peer,
                   "peer_ms": round(entry.ms, 4), "ratio": ours and round(entry.ms / ours.ms, 3),
                   "ours_error": ours and ours.error, "peer_error": entry.error,
                   "peer_variant": entry.variant, "peer_version": workers[name].version,
                   "ours_variant": ours and ours.variant}


def table(case, entries, workers, rows):
    own, family, _ = CASES[case]
    mine = worker_of(case)
    ours = next((entries[mine, name] for name in own if (mine, name) in entries), None)
    stands = {}
    for row in rows:
        stands.setdefault((PEERS[row["peer"]][0], row["peer_variant"]), []).append(row["peer"])
    note_of = "" if ours else " (our worker is not built: no ratios)"
    if case.endswith("_train"):
        note_of += f" (a step of {TRAIN_BATCH} samples" + (
            f"; ours: {TRAIN_BATCH / ours.ms:.1f}k samples/s)" if ours else ")")
    print(f"\n{case}{note_of}")
    print(f"{'worker':<13}{'variant':<28}{'round ms':>10}{'best ms':>10}{'median ms':>11}{'ratio':>8}"
          f"{'max error':>11}  stands for")
    for (name, variant), entry in sorted(entries.items(), key=lambda item: item[1].ms):
        if variant not in own if name == mine else not variant.startswith(family):
            continue
        ratio = f"{entry.ms / ours.ms:.2f}" if ours else "-"
        what = ", ".join(stands.get((name, variant), []))
        what = "ours" if entry is ours else what
        print(f"{name:<13}{variant:<28}{entry.ms:>10.3f}{min(entry.times):>10.3f}"
              f"{statistics.median(entry.times):>11.3f}{ratio:>8}{entry.error:>11.1e}  {what}".rstrip())


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as lines:
        return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "?")


def main():
    parser = argparse.ArgumentParser(prog="./run bench peers", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", choices=CASES, help="only this case; default: all")
    parser.add_argument("--json", action="store_true", help="one line for each case and peer")
    parser.add_argument("--rounds", type=int, default=12, help="default: %(default)s")
    parser.add_argument("--requests", type=int, default=20, help="a variant's in a round, at most; default: %(default)s")
    parser.add_argument("--core", type=int, default=max(os.sched_getaffinity(0)),
                        help="that all workers share; default: %(default)s")
    parser.add_argument("--data", type=pathlib.Path, default=pathlib.Path("build/peers-data/1"))
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build/release/bench/peers"),
                        help="folder of the C++ workers; default: %(default)s")
    arguments = parser.parse_args()

    if slow_blas():
        note("libblas.so.3 is not OpenBLAS: Debian's PyTorch would be thirty times slower than it is and\n"
             "the comparison worthless; install libopenblas0-pthread")
        return 1
    new = "build/peers/bin/python"
    programs = {"ours": [arguments.build / "r1_worker"],
                "ours_train": [arguments.build / "r1_train_worker"], "onednn": [arguments.build / "onednn_worker"],
                "pytorch": ["/usr/bin/python3", HERE / "torch_worker.py"],
                "pytorch_train": ["/usr/bin/python3", HERE / "torch_train_worker.py"],
                "pytorch_new_train": [new, HERE / "torch_train_worker.py"],
                "pytorch_new": [new, HERE / "torch_worker.py"],
                "onnxruntime": [new, HERE / "ort_worker.py"]}
    cases = [arguments.case] if arguments.case else list(CASES)
    kinds = {case.endswith("_train") for case in cases}
    programs = {name: command for name, command in programs.items() if name.endswith("_train") in kinds}
    workers = start_workers(programs, arguments.data.resolve(), arguments.core)
    try:
        wanted = []
        for name, worker in workers.items():
            for variant in worker.variants:
                if any(variant in CASES[case][0] if name == worker_of(case) else
                       variant.startswith(CASES[case][1]) for case in cases):
                    wanted.append((name, variant))
        entries = measure(workers, wanted, max(1, arguments.rounds), max(1, arguments.requests))
    finally:
        for worker in workers.values():
            worker.close()
    if not arguments.json:
        print(f"machine: {machine()}, core {arguments.core}; {arguments.rounds} rounds; "
              "round ms: median over rounds of the best of a round, of which the ratio is taken")
    for case in cases:
        rows = list(rows_of(case, entries, workers))
        if arguments.json:
            for row in rows:
                print(json.dumps(row, separators=(",", ":")), flush=True)
        else:
            table(case, entries, workers, rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
