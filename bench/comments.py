#!/usr/bin/env python3
"""Real bullet comments replayed through a real server over HTTP: bursts, latency, memory.

Each recording of HEED_DATA/danmaku is a room. Its comments, or as many as the time allows around its fullest
stretches, are posted as events in the order and, times the speed, at the pace they came; their event times are those of the recording, so that at any speed the server
sees the same rooms. Beside it a probe posts a comment to a new room and asks for that room's statistics
until they count it. Reported: the server's own time from an acknowledged comment to the statistics
that count it (the bucket's upper bound), the probe's, how many of each recording's ten fullest stretches of
five seconds lie in a burst that was found, and what memory the server takes. Status 1 when a gate fails.

  comments.py HEED [--json] [--speeds 10,100] [--seconds S] [--data DIR]
"""
import argparse
import collections
import csv
import http.client
import json
import os
import pathlib
import re
import shutil
import statistics
import sys
import tempfile
import threading
import time

from serving import Server, note

GATE_P99_MS = 200.0
GATE_COVERED = 0.6   # of the fullest stretches
TICK_S = 0.02
BIN_S = 5


def recordings(data):
    rooms = collections.defaultdict(list)
    with open(pathlib.Path(data) / "danmaku" / "edg_lpl2021.csv", encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            rooms[row["video"]].append((float(row["t_sec"]), row["user"], row["text"]))
    return {name: sorted(comments, key=lambda each: each[0]) for name, comments in rooms.items()}


class Client:
    def __init__(self, port):
        self.connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=30)

    def ask(self, method, path, body=None):
        text = None if body is None else json.dumps(body)
        self.connection.request(method, path, text, {"Content-Type": "application/json"} if text else {})
        answer = self.connection.getresponse()
        out = answer.read()
        assert answer.status == 200, (path, answer.status, out[:300])
        return out.decode()


def event(number, room, user, ts, text):
    return {"v": "1", "id": f"{room}-{number}", "type": "comment.post", "ts": ts, "tenant": "default", "room": room,
            "session": room, "src": {"platform": "bench", "adapter": "bench"},
            "actor": {"id": user, "kind": "viewer"}, "data": {"text": text}}


def play(port, room, comments, base_ms, speed, seconds):
    """Posts what is due, tick by tick; returns how many comments went out."""
    client, began, sent = Client(port), time.monotonic(), 0
    while sent < len(comments) and time.monotonic() - began < seconds:
        now_s = (time.monotonic() - began) * speed
        due = sent
        while due < len(comments) and comments[due][0] <= now_s and due - sent < 5000:
            due += 1
        if due > sent:
            client.ask("POST", "/v1/events", [event(n, room, comments[n][1], base_ms + int(comments[n][0] * 1000),
                                                    comments[n][2]) for n in range(sent, due)])
            sent = due
        time.sleep(TICK_S)
    return sent


def probe(port, prefix, stop, taken):
    client, number = Client(port), 0
    while not stop.is_set():
        number += 1
        room = f"{prefix}-{number}"   # of its own, or its comments would fall out of the minute that is counted
        client.ask("POST", "/v1/events", event(number, room, "u", int(time.time() * 1000), "这个多少钱"))
        acknowledged = time.monotonic()
        while json.loads(client.ask("GET", f"/v1/rooms/{room}/comments?words=0"))["minute"]["comments"] < 1:
            assert time.monotonic() - acknowledged < 10, "a comment was not counted in 10 s"
        taken.append((time.monotonic() - acknowledged) * 1000)
        time.sleep(0.3)


def percentile_ms(text, before, share):
    """The upper bound of the bucket of heed_comment_seconds that holds this share."""
    def buckets(metrics):
        return [(float(bound), float(count)) for bound, count in
                re.findall(r'heed_comment_seconds_bucket\{le="([^"]+)"\} (\S+)', metrics)]
    counts = [(bound, count - old) for (bound, count), (_, old) in zip(buckets(text), buckets(before))]
    return next(bound for bound, count in counts if count >= share * counts[-1][1]) * 1000


def rss_mb(process):
    with open(f"/proc/{process.pid}/status", encoding="ascii") as lines:
        return int(re.search(r"VmRSS:\s+(\d+)", lines.read()).group(1)) / 1024


def covered(client, room, comments, base_ms, sent):
    """How many of the room's ten fullest bins, of those sent, lie in a burst; how many bursts there are."""
    bursts = json.loads(client.ask("GET", f"/v1/rooms/{room}/comments"))["bursts"]
    bins = collections.Counter((base_ms + int(t * 1000)) // (BIN_S * 1000) for t, _, _ in comments[:sent])
    # After a minute, before which a room has no past; and no stretch that is hardly fuller than the usual one.
    first = base_ms // (BIN_S * 1000)
    usual = statistics.median(bins.values())
    fullest = [each for each, count in bins.most_common() if each > first + 12 and count >= 2 * usual][:10]
    inside = [each for each in fullest if any(
        burst["begin_ts"] <= each * BIN_S * 1000 and
        (burst["end_ts"] is None or each * BIN_S * 1000 <= burst["end_ts"]) for burst in bursts)]
    return len(inside), len(fullest), len(bursts)


def stretch(comments, length_s):
    """So much of a recording, from where most of its ten fullest bins follow; a minute of past before them."""
    bins = collections.Counter(int(t) // BIN_S for t, _, _ in comments)
    fullest = [each * BIN_S for each, _ in bins.most_common() if each > 12][:10]
    starts = [max(0, each - 120) for each in fullest]
    best = max(starts, key=lambda start: sum(start <= each < start + length_s for each in fullest))
    best = max(0, min(best, comments[-1][0] + 1 - length_s))
    return [(t - best, user, text) for t, user, text in comments if best <= t < best + length_s]


def measure(server, rooms, speed, seconds):
    rooms = {name: stretch(comments, speed * seconds) for name, comments in rooms.items()}
    client, stop, taken, sent = Client(server.port), threading.Event(), [], {}
    names = {name: f"{name}-{speed}x" for name in rooms}
    longest = max(comments[-1][0] for comments in rooms.values())
    base_ms = int(time.time() * 1000) - int(longest * 1000) - 60_000   # all of it has been
    before, memory = client.ask("GET", "/metrics"), [rss_mb(server.process)]

    def one(name):
        sent[name] = play(server.port, names[name], rooms[name], base_ms, speed, seconds)

    began = time.monotonic()
    prober = threading.Thread(target=probe, args=(server.port, f"probe-{speed}x", stop, taken))
    players = [threading.Thread(target=one, args=(name,)) for name in rooms]
    for thread in [prober, *players]:
        thread.start()
    for thread in players:
        while thread.is_alive():
            thread.join(1)
            memory.append(rss_mb(server.process))
    took_s = time.monotonic() - began
    stop.set()
    prober.join()
    client = Client(server.port)   # the first has rested longer than the server lets one
    text = client.ask("GET", "/metrics")
    found = [covered(client, names[name], rooms[name], base_ms, sent[name]) for name in rooms]
    taken.sort()
    skipped = float(re.search(r'heed_comments_total\{result="skipped"\} (\S+)', text).group(1))
    return {"bench": "comments", "speed": speed, "rooms": len(rooms), "comments": sum(sent.values()),
            "seconds": round(took_s, 1), "comments_per_s": round(sum(sent.values()) / took_s, 1),
            "server_p50_ms": percentile_ms(text, before, 0.5), "server_p99_ms": percentile_ms(text, before, 0.99),
            "probe_p50_ms": round(taken[len(taken) // 2], 2), "probe_p99_ms": round(taken[len(taken) * 99 // 100], 2),
            "probes": len(taken), "bursts": sum(each[2] for each in found),
            "fullest_in_bursts": sum(each[0] for each in found), "fullest": sum(each[1] for each in found),
            "skipped": int(skipped), "rss_mb": round(max(memory), 1), "rss_mb_before": round(memory[0], 1)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("heed")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--speeds", default="10,100")
    parser.add_argument("--seconds", type=float, default=150, help="the longest a speed may take")
    parser.add_argument("--data", default=os.environ.get("HEED_DATA"))
    options = parser.parse_args()
    if not options.data:
        sys.exit("comments.py: name the folder with danmaku/ by --data or HEED_DATA")
    rooms = recordings(options.data)
    heed = pathlib.Path(options.heed).resolve()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="heed-comments-"))
    failed = False
    try:
        with Server(heed, folder, {}) as server:
            for speed in (float(each) for each in options.speeds.split(",")):
                note(f"{sum(len(each) for each in rooms.values())} comments of {len(rooms)} rooms at {speed:g}x, "
                     f"at most {options.seconds:g} s")
                row = measure(server, rooms, speed, options.seconds)
                if options.json:
                    print(json.dumps(row), flush=True)
                else:
                    print(f"comments {speed:6g}x   {row['comments']:6} in {row['seconds']:6.1f} s   comment -> statistic p50 "
                          f"{row['server_p50_ms']:g} p99 {row['server_p99_ms']:g} ms, over HTTP p99 "
                          f"{row['probe_p99_ms']:.1f} ms   {row['fullest_in_bursts']} of the {row['fullest']} fullest "
                          f"stretches in {row['bursts']} bursts   {row['rss_mb_before']:.0f} -> {row['rss_mb']:.0f} MB",
                          flush=True)
                good = (row["server_p99_ms"] <= GATE_P99_MS and row["probe_p99_ms"] <= GATE_P99_MS and
                        row["skipped"] == 0 and row["fullest_in_bursts"] >= GATE_COVERED * row["fullest"])
                if not good:
                    note("FAILED: a gate")
                    failed = True
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
