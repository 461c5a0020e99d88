#!/usr/bin/env python3
"""What watching a broadcast costs and how soon its records come: `heed watch` as it runs, with decoder, voice, faces and text.

A drawn show (a portrait, a product with its price tag, a hand-held camera, a vowel) becomes H.264 and AAC by ffmpeg.
  cost     CPU time of all processes per second of media, of a recording: 720p30, 1080p30, sound only
  latency  one live room over HTTP at its own pace: from the end of a second to its record
  rooms    four live 720p30 rooms on one core: the same, with the steps of the overload ladder
CPU time may be taken on a busy machine, latency and rooms want an idle one. With --json one JSON object a row.
Status 1 when a gate fails. docs/broadcast.md has the figures.

  media.py HEED [--json] [--seconds S] [--rooms N] [--only cost|latency|rooms]
"""
import argparse
import collections
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time

from show import Flv, LiveServer, draw, encode
from serving import note

SHOWS = {"720p30": (1280, 720, 2500), "1080p30": (1920, 1080, 5000)}  # width, height, kbit/s
GATE_CORE = {"720p30": 0.25, "1080p30": 0.35, "sound only": 0.02}
GATE_LATENCY_S = 1.5


class Watch:
    """heed watch --json, its records and when they came, its CPU time and that of its decoder and fetcher."""

    def __init__(self, heed, source, *arguments, core=None):
        pin = None if core is None else (lambda: os.sched_setaffinity(0, {core}))
        self.process = subprocess.Popen([heed, "watch", source, "--json", *arguments], stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True, preexec_fn=pin)
        self.records, self.said = [], []  # (clock, record); lines
        self.readers = [threading.Thread(target=self.read_records), threading.Thread(target=self.read_said)]
        for reader in self.readers:
            reader.start()

    def read_records(self):
        for line in self.process.stdout:
            self.records.append((time.time(), json.loads(line)))

    def read_said(self):
        self.said.extend(self.process.stderr)

    def finish(self):
        """CPU seconds."""
        _, status, usage = os.wait4(self.process.pid, 0)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        for reader in self.readers:
            reader.join()
        if self.process.returncode != 0:
            sys.exit(f"heed watch ended with {self.process.returncode}:\n" + "".join(self.said))
        return usage.ru_utime + usage.ru_stime


def seen(records):
    """What the show's records hold: a bench that measures less than it should is no bench."""
    return {"seconds": len(records),
            "with_voice": sum(r["mod"]["voice"]["cover"] == 1 for r in records),
            "with_face": sum((r["f"]["face.present"] or 0) > 0 for r in records),
            "with_text": sum(r["mod"]["ocr"]["ok"] for r in records)}  # looked for and read: every other second


def cost(heed, path, name, seconds, *arguments):
    watch = Watch(heed, str(path), *arguments)
    cpu_s = watch.finish()
    return {"row": "cost", "what": name, "core": round(cpu_s / seconds, 4), **seen([r for _, r in watch.records])}


def share(values, q):
    return values[min(len(values) - 1, int(q * len(values)))]


def live(heed, flv, name, rooms, core):
    """`rooms` watchers of a stream each, on one core where `core` says which; a row a room."""
    rows, watches = [], []
    with LiveServer(flv) as server:
        for room in range(rooms):
            watches.append((f"/room{room}.flv", Watch(heed, server.url(f"/room{room}.flv"), "--allow", "127.0.0.1",
                                                      core=core)))
            time.sleep(0.7)  # rooms are not in step
        for path, watch in watches:
            cpu_s = watch.finish()
            zero = server.began[path] + flv.start_s
            late = sorted(clock - (zero + r["t"] + 1) for clock, r in watch.records if r["t"] + 1 <= flv.seconds - 1)
            records = [r for _, r in watch.records]
            rows.append({"row": "latency" if core is None else "rooms", "what": name, "room": path.strip("/"),
                         "core": round(cpu_s / flv.seconds, 4), "p50_s": round(share(late, 0.5), 3),
                         "p99_s": round(share(late, 0.99), 3), "max_s": round(late[-1], 3),
                         "lag_max_s": max(r["lag_ms"] for r in records) / 1000,
                         "modes": dict(collections.Counter(r["mod"]["picture"]["mode"] for r in records)),
                         "epochs": len({r["epoch"] for r in records}), **seen(records)})
    return rows


def failures(rows, has_face):
    for row in rows:
        name = f"{row['row']} {row['what']} {row.get('room', '')}".strip()
        gate = GATE_CORE[row["what"]]
        if row["row"] == "cost" and row["core"] > gate:
            yield f"{name}: {row['core']:.3f} of a core is over {gate}"
        if row["row"] != "cost" and row["max_s"] > GATE_LATENCY_S:
            yield f"{name}: a record came {row['max_s']:.2f} s after its second, over {GATE_LATENCY_S}"
        if row["with_voice"] < row["seconds"] - 2:
            yield f"{name}: {row['seconds'] - row['with_voice']} seconds without their sound"
        if row["row"] == "cost" and row["what"] != "sound only":
            if row["with_text"] < row["seconds"] / 3 or has_face and row["with_face"] == 0:
                yield f"{name}: faces or text were not looked for, so not all of the work was done"


def show(row):
    head = f"{row['row']:<8} {row['what']:<11}"
    seen_text = f"face in {row['with_face']}, text read in {row['with_text']} of {row['seconds']} s"
    if row["row"] == "cost":
        print(f"{head} {row['core']:.3f} of a core   {seen_text}", flush=True)
        return
    modes = ", ".join(f"{mode} {n}" for mode, n in row["modes"].items())
    print(f"{head} {row['core']:.3f} of a core   record after its second: p50 {row['p50_s']:.2f}, p99 {row['p99_s']:.2f}, "
          f"max {row['max_s']:.2f} s   pictures: {modes} s   {seen_text}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("heed")
    parser.add_argument("--json", action="store_true", help="one JSON object a row")
    parser.add_argument("--seconds", type=int, default=60, help="of media (default: 60)")
    parser.add_argument("--rooms", type=int, default=4, help="on one core (default: 4)")
    parser.add_argument("--only", choices=("cost", "latency", "rooms"))
    options = parser.parse_args()
    heed = pathlib.Path(options.heed).resolve()
    rows = []

    def took(row):
        rows.append(row)
        print(json.dumps({"bench": "media", **row}), flush=True) if options.json else show(row)

    with tempfile.TemporaryDirectory(prefix="heed_media_") as name:
        folder = pathlib.Path(name)
        pictures, has_face = draw(folder)
        if not has_face:
            note("no portrait (scripts/portrait fetches it): nobody's face is looked at, only looked for")
        shows = {}
        for what, (width, height, kbps) in SHOWS.items():
            if what == "720p30" or options.only in (None, "cost"):
                note(f"encoding {options.seconds} s of {what}")
                shows[what] = folder / f"{what}.flv"
                encode(pictures, shows[what], width, height, kbps, options.seconds)
        if options.only in (None, "cost"):
            for what, path in shows.items():
                took(cost(heed, path, what, options.seconds))
            took(cost(heed, shows["720p30"], "sound only", options.seconds, "--no-picture"))
        flv = Flv(shows["720p30"])
        if options.only in (None, "latency"):
            note(f"one live room, {options.seconds} s")
            for row in live(heed, flv, "720p30", 1, None):
                took(row)
        if options.only in (None, "rooms"):
            note(f"{options.rooms} live rooms on one core, {options.seconds} s")
            # The last one: this program, which sends, is mostly elsewhere.
            for row in live(heed, flv, "720p30", options.rooms, max(os.sched_getaffinity(0))):
                took(row)
    failed = list(failures(rows, has_face))
    for text in failed:
        note("FAILED: " + text)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
