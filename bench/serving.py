#!/usr/bin/env python3
"""Rankings over HTTP under load: a real server with a really trained model, in a process of its own.

Simulates an evening with hundreds of live hosts and viewers with full histories (100 events), trains on
it, serves it, finds saturation with as many clients as keep the server busy, then lets requests arrive
as a Poisson process at half and at twice that rate. Server and load generator share the machine's
cores. With --json one JSON object a row. Status 1 when a gate fails.

  serving.py HEED HTTP_LOAD [--json] [--seconds S] [--candidates N] [--keep DIR]
"""
import argparse
import collections
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile

GATE_P99_MS = 10.0     # at half of saturation
BUSY_CONNECTIONS = 16  # enough to keep two cores busy, too few to be shed
TOUCHES = ("product.click", "cart.add", "order.create")


def note(text):
    print(text, file=sys.stderr, flush=True)


def evening(heed, folder):
    """Events of the last hours; returns the live hosts, and the viewers with the longest histories."""
    path = folder / "evening.ndjson"
    with open(path, "wb") as out:
        subprocess.run([heed, "simulate", "--now", "--tenant", "default", "--hosts", "900", "--users", "400",
                        "--opens", "60", "--hours", "8"], stdout=out, stderr=subprocess.DEVNULL, check=True)
    live, visits, touches = {}, collections.Counter(), collections.Counter()
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            event = json.loads(line)
            kind, actor = event["type"], (event.get("actor") or {}).get("id")
            if kind == "stream.start":
                live[event["data"]["host_id"]] = event["room"]
            elif kind == "stream.end":
                live = {host: room for host, room in live.items() if room != event["room"]}
            elif kind == "viewer.enter":
                visits[actor] += 1
            elif kind in TOUCHES:
                touches[actor] += 1
    # As many as state keeps of each kind (state::kMaxVisits, kMaxTouches).
    length = {user: min(visits[user], 50) + min(touches[user], 50) for user in visits}
    return path, sorted(live), [user for user, events in length.items() if events >= 100]


class Server:
    def __init__(self, heed, folder, environment):
        self.log = open(folder / "server.log", "wb")
        self.process = subprocess.Popen(
            [heed, "serve", "--data", folder / "data", "--port", "0"], cwd=folder, stdout=subprocess.PIPE,
            stderr=self.log, env={**os.environ, "HEED_ENGINE_ROOM_SILENT_MS": "86400000", **environment})
        self.port = re.search(rb":(\d+)\s*$", self.process.stdout.readline()).group(1).decode()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=30)
        self.log.close()


def load(program, port, folder, candidates, seconds, *arguments):
    done = subprocess.run([program, "--port", port, "--json", "--seconds", str(seconds), "--users",
                           folder / "users.txt", "--candidates", folder / "hosts.txt", "--count",
                           str(candidates), *arguments], stdout=subprocess.PIPE, check=False)
    return json.loads(done.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("heed")
    parser.add_argument("http_load")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--candidates", type=int, default=500)
    parser.add_argument("--set", action="append", default=[], metavar="HEED_SECTION_KEY=VALUE",
                        help="a setting of the server")
    parser.add_argument("--keep", help="make the evening here, and use it again")
    options = parser.parse_args()
    heed = pathlib.Path(options.heed).resolve()
    folder = pathlib.Path(options.keep or tempfile.mkdtemp(prefix="heed-serving-")).resolve()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return measure(heed, folder, options)
    finally:
        if not options.keep:
            shutil.rmtree(folder, ignore_errors=True)


def measure(heed, folder, options):
    if not (folder / "users.txt").exists():
        note("simulating an evening, importing it, training on it")
        events, hosts, users = evening(heed, folder)
        assert len(hosts) >= options.candidates and len(users) >= 50, (len(hosts), len(users))
        for command in (["import", "--data", folder / "data", events], ["train", "--data", folder / "data"]):
            subprocess.run([heed, *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
        (folder / "hosts.txt").write_text("\n".join(hosts) + "\n")
        (folder / "users.txt").write_text("\n".join(users) + "\n")
        events.unlink()
    rows = []
    with Server(heed, folder, dict(each.split("=", 1) for each in options.set)) as server:
        def run(name, seconds, *arguments):
            note(f"{name}: {seconds} s")
            row = load(options.http_load, server.port, folder, options.candidates, seconds, *arguments)
            rows.append({"row": name, **row})
            return row

        load(options.http_load, server.port, folder, options.candidates, 1, "--rate", "50")  # warm
        most = run("saturation", options.seconds / 2, "--closed", "--connections",
                   str(BUSY_CONNECTIONS))["goodput_per_s"]
        half = run("half", options.seconds, "--rate", str(most / 2))
        twice = run("twice", options.seconds, "--rate", str(most * 2), "--connections", "1000")
    failed = [text for wrong, text in (
        (half["p99_ms"] > GATE_P99_MS, f"p99 at half of saturation is over {GATE_P99_MS} ms"),
        (half["share_503"] > 0, "requests are shed at half of saturation"),
        (twice["share_503"] == 0, "nothing is shed at twice saturation"),
        (twice["goodput_per_s"] < 0.7 * most, "goodput collapses at twice saturation"),
        (any(row["other_errors"] + row["lost"] for row in rows), "there are errors other than 503"),
    ) if wrong]
    for row in rows:
        if options.json:
            print(json.dumps({"bench": "serving", "candidates": options.candidates, **row}))
        else:
            print(f"serving {row['row']:<11} asked {row['asked_per_s']:7.0f}/s  good {row['goodput_per_s']:7.0f}/s  "
                  f"p50 {row['p50_ms']:7.2f}  p99 {row['p99_ms']:7.2f}  p99.9 {row['p999_ms']:7.2f} ms  "
                  f"503 {row['share_503'] * 100:5.1f} %  other errors {row['other_errors'] + row['lost']}")
    for text in failed:
        note("FAILED: " + text)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
