#!/usr/bin/env python3
"""From an acknowledged event to rankings made with the weights it taught, through HTTP.

Simulates an evening, trains on it, serves it with learning on. Then, one after the other: a viewer is shown a
room and enters it (POST /v1/events), and as soon as that is acknowledged the same connection asks for rankings
until one was made by other weights than before (its model_version counts the steps learned). Nothing else
happens meanwhile, and the run is over before any label of an earlier round can close, so the step was taught
by that entry. With --load, rankings and events of other viewers go on beside it at that many a second each;
steps then have other teachers too, so the figure is the server's own (heed_learning_event_to_weights_p99_seconds).
Status 1 when the gate fails.

  freshness.py HEED [--json] [--rounds N] [--load N]
"""
import argparse
import http.client
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time

from serving import Server, evening, note

GATE_P99_MS = 1000.0
LONGEST_S = 55.0  # a room's impression closes after a minute


class Client:
    def __init__(self, port):
        self.connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=30)

    def ask(self, path, body):
        self.connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        answer = self.connection.getresponse()
        text = answer.read()
        assert answer.status == 200, (answer.status, text[:300])
        return json.loads(text)

    def get(self, path):
        self.connection.request("GET", path)
        return self.connection.getresponse().read().decode()

    def version(self, user, host):
        return self.ask("/v1/recommend/hosts", {"user": user, "candidates": [host]})["model_version"]


def shown_and_entered(number, user, room):
    now = int(time.time() * 1000)
    common = {"v": "1", "tenant": "default", "room": room, "session": room, "ts": now,
              "src": {"platform": "bench", "adapter": "bench"}, "actor": {"id": user, "kind": "viewer"}}
    return [{**common, "id": f"fresh-{number}-shown", "type": "room.impression", "data": {"channel": "feed"}},
            {**common, "id": f"fresh-{number}-enter", "type": "viewer.enter", "data": {"channel": "feed"}}]


def rounds(client, users, rooms, count):
    """Milliseconds from the acknowledgement to the answer made by other weights."""
    taken, began = [], time.monotonic()
    for number in range(count):
        if time.monotonic() - began > LONGEST_S:
            break
        # Another viewer each time: no influence cap, no impression shown twice.
        user, (host, room) = users[number % len(users)], rooms[number % len(rooms)]
        before = client.version(user, host)
        client.ask("/v1/events", shown_and_entered(f"{began}-{number}", user, room))
        acknowledged = time.monotonic()
        while client.version(user, host) == before:
            assert time.monotonic() - acknowledged < 30, "nothing was learned in 30 s"
        taken.append((time.monotonic() - acknowledged) * 1000)
    return taken


def background(port, users, rooms, rate, stop):
    client, number = Client(port), 0
    while not stop.is_set():
        user, (host, room) = users[(7 * number) % len(users)], rooms[(3 * number) % len(rooms)]
        client.ask("/v1/events", shown_and_entered(f"load-{time.monotonic()}-{number}", user, room))
        client.version(user, host)
        number += 1
        time.sleep(1 / rate)


def gauge(text, name):
    found = re.search(name + r'\{model="hosts"\} ([0-9.e+-]+)', text)
    return float(found.group(1)) if found else float("nan")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("heed")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rounds", type=int, default=500)
    parser.add_argument("--load", type=int, default=0)
    options = parser.parse_args()
    heed = pathlib.Path(options.heed).resolve()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="heed-freshness-"))
    try:
        note("simulating an evening, importing it, training on it")
        events, hosts, _ = evening(heed, folder)
        live = {}
        with open(events, encoding="utf-8") as lines:
            for line in lines:
                event = json.loads(line)
                if event["type"] == "stream.start":
                    live[event["data"]["host_id"]] = event["room"]
        for command in (["import", "--data", folder / "data", events], ["train", "--data", folder / "data"]):
            subprocess.run([heed, *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
        return measure(heed, folder, [(host, live[host]) for host in hosts], options)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def measure(heed, folder, rooms, options):
    users = [f"fresh-viewer-{n}" for n in range(options.rounds)]
    with Server(heed, folder, {}) as server:
        client, stop = Client(server.port), threading.Event()
        beside = []
        if options.load:
            beside = [threading.Thread(target=background, args=(
                server.port, [f"other-viewer-{n}" for n in range(5000)], rooms, options.load, stop))]
        for thread in beside:
            thread.start()
        try:
            note(f"{options.rounds} rounds" + (f" beside {options.load} rankings and entries a second" if beside else ""))
            taken = sorted(rounds(client, users, rooms, options.rounds))
        finally:
            stop.set()
            for thread in beside:
                thread.join()
        text = client.get("/metrics")
    row = {"bench": "freshness", "rounds": len(taken), "load_per_s": options.load,
           "p50_ms": round(taken[len(taken) // 2], 2), "p99_ms": round(taken[len(taken) * 99 // 100], 2),
           "max_ms": round(taken[-1], 2),
           "server_p99_ms": round(gauge(text, "heed_learning_event_to_weights_p99_seconds") * 1000, 2),
           "steps": int(gauge(text, "heed_learning_steps"))}
    if options.json:
        print(json.dumps(row))
    else:
        print(f"freshness   event acknowledged -> ranked by what it taught: p50 {row['p50_ms']:.1f}  "
              f"p99 {row['p99_ms']:.1f}  max {row['max_ms']:.1f} ms  ({len(taken)} rounds; the server's own p99 "
              f"{row['server_p99_ms']:.1f} ms, {row['steps']} steps)")
    judged = row["server_p99_ms"] if options.load else row["p99_ms"]
    if not judged <= GATE_P99_MS:
        note(f"FAILED: p99 is over {GATE_P99_MS} ms")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
