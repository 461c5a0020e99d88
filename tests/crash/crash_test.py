#!/usr/bin/env python3
"""Kills a loaded server with SIGKILL, over and over, and holds the log to its promise.

Each round starts `heed serve` on the same directory, posts events from several connections (some
of them again, as a client does that never saw the answer), kills the process at a random moment,
and at the end compares:
  - every acknowledged event is in the log, with the content that was sent,
  - no event is there twice, and sequences have no gap,
  - state recovered from snapshot and tail equals a full replay, byte for byte (every few rounds).

usage: crash_test.py HEED [--rounds N] [--seed S]
"""
import argparse
import http.client
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time

TYPES = ("viewer.enter", "viewer.leave", "like", "comment.post", "product.click", "order.pay",
         "room.impression", "product.impression")


def make_event(rng, number, now_ms):
    user, room = f"u{rng.randrange(200)}", f"r{rng.randrange(12)}"
    kind = rng.choice(TYPES)
    product = f"p{rng.randrange(60)}"
    data = {
        "viewer.enter": {"channel": "feed"},
        "viewer.leave": {"watch_ms": rng.randrange(200_000)},
        "like": {"count": 1 + rng.randrange(5)},
        "comment.post": {"text": f"多大尺码合适 {number}"},
        "product.click": {"product_id": product, "surface": "card"},
        "order.pay": {"order_id": f"o{number}", "amount_cents": 9900,
                      "lines": [{"product_id": product, "qty": 1, "amount_cents": 9900}]},
        "room.impression": {"channel": "feed"},
        "product.impression": {"product_id": product, "surface": "card"},
    }[kind]
    return {"v": "1", "id": f"e{number}", "type": kind, "ts": now_ms, "tenant": "t", "room": room,
            "session": room + "-s", "src": {"platform": "crash", "adapter": "test"},
            "actor": {"id": user, "kind": "viewer"}, "data": data}


class Sender(threading.Thread):
    """Posts batches until the connection dies; remembers what was sent and what was acknowledged."""

    def __init__(self, port, name, seed, resend):
        super().__init__()
        self.port, self.prefix, self.rng = port, name, random.Random(seed)
        self.sent, self.acked, self.unanswered = {}, set(), []
        self.resend = resend  # events an earlier round sent without hearing back

    def run(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        number = 0
        batch = self.resend[:200]
        try:
            while True:
                while len(batch) < self.rng.choice((1, 20, 100)):
                    number += 1
                    batch.append(make_event(self.rng, f"{self.prefix}-{number}",
                                            int(time.time() * 1000)))
                for event in batch:
                    self.sent[event["id"]] = event
                self.unanswered = batch
                connection.request("POST", "/v1/events", json.dumps(batch).encode(),
                                   {"Content-Type": "application/json"})
                response = connection.getresponse()
                answer = json.loads(response.read())
                if response.status not in (200, 201, 202):
                    raise RuntimeError(f"status {response.status}: {answer}")
                for result, event in zip(answer["results"], batch):
                    if result["status"] not in ("stored", "duplicate"):
                        raise RuntimeError(f"{event['id']}: {result}")
                    self.acked.add(event["id"])
                self.unanswered, batch = [], []
        except (OSError, http.client.HTTPException, json.JSONDecodeError):
            return  # the server was killed


def start(heed, directory, snapshot_every):
    environment = dict(os.environ, HEED_ENGINE_SNAPSHOT_EVERY_EVENTS=str(snapshot_every),
                       HEED_LOG_LEVEL="info")
    server = subprocess.Popen([heed, "serve", "--data", directory, "--port", "0"],
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                              env=environment)
    line = server.stdout.readline()
    match = re.search(r"http://127\.0\.0\.1:(\d+)", line)
    if not match:
        server.kill()
        server.wait()
        sys.exit(f"the server did not start: {line!r}")
    return server, int(match[1])


def check_log(heed, directory, sent, acked):
    events = subprocess.run([heed, "inspect", "events", "--data", directory], check=True,
                            stdout=subprocess.PIPE).stdout
    seen = {}
    for expected, line in enumerate(events.splitlines(), 1):
        record = json.loads(line)
        event = record["event"]
        assert record["sequence"] == expected, f"gap before {record['sequence']}"
        assert event["id"] not in seen, f"twice: {event['id']}"
        assert event == sent[event["id"]], f"changed: {event} was {sent[event['id']]}"
        seen[event["id"]] = expected
    lost = acked - seen.keys()
    assert not lost, f"{len(lost)} acknowledged events lost, such as {sorted(lost)[:3]}"
    return len(seen)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("heed")
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    sent, acked, resend = {}, set(), []
    with tempfile.TemporaryDirectory() as directory:
        for round_number in range(arguments.rounds):
            server, port = start(arguments.heed, directory, rng.choice((1000, 5000, 1_000_000)))
            senders = [Sender(port, f"{round_number}.{i}", rng.random(), resend[i::4])
                       for i in range(4)]
            for sender in senders:
                sender.start()
            time.sleep(rng.uniform(0.01, 0.6))
            server.send_signal(signal.SIGKILL)
            server.wait()
            resend = []
            for sender in senders:
                sender.join()
                sent.update(sender.sent)
                acked |= sender.acked
                resend += sender.unanswered
            if round_number % 5 == 4 or round_number == arguments.rounds - 1:
                stored = check_log(arguments.heed, directory, sent, acked)
                replay = subprocess.run([arguments.heed, "replay", "--data", directory, "--verify"],
                                        check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
                assert json.loads(replay.stdout)["equal"] is True
                print(f"round {round_number + 1}: {len(sent)} sent, {len(acked)} acknowledged, "
                      f"{stored} stored, none lost, none twice, state equals its replay", flush=True)
    assert len(acked) > 20 * arguments.rounds, "too little load to mean anything"
    print(json.dumps({"rounds": arguments.rounds, "sent": len(sent), "acked": len(acked),
                      "acked_lost": 0}))


if __name__ == "__main__":
    main()
