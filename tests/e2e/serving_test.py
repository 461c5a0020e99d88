#!/usr/bin/env python3
"""Rankings go on while models are trained and swapped, and while events are recorded.

Simulates an evening, imports it, serves it with one ranking thread, and lets rankings arrive on a clock of
their own for as long as two training runs take.

usage: serving_test.py HEED
"""
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time

CLIENTS = 3
GAP_S = 0.02  # between one client's rankings: far below saturation


def ask(connection, path, body, kind="application/json"):
    connection.request("POST", path, body, {"Content-Type": kind})
    answer = connection.getresponse()
    return answer.status, answer.read()


def main():
    heed = os.path.abspath(sys.argv[1])
    with tempfile.TemporaryDirectory() as directory:
        evening = subprocess.run([heed, "simulate", "--now", "--tenant", "default", "--hours", "1", "--users",
                                  "3000", "--hosts", "150"], stdout=subprocess.PIPE, check=True).stdout
        subprocess.run([heed, "import", "--data", directory + "/data", "-"], input=evening, check=True,
                       stdout=subprocess.DEVNULL)
        server = subprocess.Popen([heed, "serve", "--data", directory + "/data", "--port", "0"], cwd=directory,
                                  stdout=subprocess.PIPE, env={**os.environ, "HEED_SERVER_RANK_THREADS": "1"})
        try:
            port = int(re.search(rb":(\d+)\s*$", server.stdout.readline()).group(1))
            check(port, evening.splitlines()[-200:])
        finally:
            server.send_signal(signal.SIGTERM)
            assert server.wait(timeout=30) == 0


def check(port, events):
    stop = threading.Event()
    statuses, versions, milliseconds = [], [], []  # list.append is atomic

    def client(number):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        while not stop.is_set():
            started = time.monotonic()
            status, body = ask(connection, "/v1/recommend/hosts", json.dumps({"user": f"u{number}"}))
            milliseconds.append((time.monotonic() - started) * 1000)
            statuses.append(status)
            if status == 200:
                versions.append(json.loads(body)["model_version"])
            time.sleep(GAP_S)

    def record():
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        while not stop.is_set():
            statuses.append(ask(connection, "/v1/events", b"\n".join(events), "application/x-ndjson")[0])
            time.sleep(GAP_S)

    threads = [threading.Thread(target=client, args=(n,)) for n in range(CLIENTS)]
    threads.append(threading.Thread(target=record))
    for thread in threads:
        thread.start()
    try:
        for run in (1, 2):
            before = len(versions)
            trained = ask(http.client.HTTPConnection("127.0.0.1", port, timeout=300), "/v1/train", b"")
            assert trained[0] == 200, trained
            # A run takes seconds: had it held the one ranking thread, none would have been answered.
            assert len(versions) > before + 10, f"run {run}: only {len(versions) - before} rankings meanwhile"
            time.sleep(0.3)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    # Of the model that serves now: rows that it has computed, and found again.
    for name in ("entries", "bytes", "hits", "misses"):
        found = re.search(rf'heed_row_cache_{name}{{model="hosts",rows="items"}} (\d+)', text)
        assert found and int(found.group(1)) > 0, (name, found)
    assert set(statuses) == {200}, {status: statuses.count(status) for status in set(statuses)}
    served = {version.split("+")[0] for version in versions}  # "hosts-000001+12": it learns on
    assert {"popularity-0", "hosts-000001", "hosts-000002"} <= served, served
    milliseconds.sort()
    print(json.dumps({"rankings": len(versions), "p50_ms": round(milliseconds[len(milliseconds) // 2], 2),
                      "p99_ms": round(milliseconds[len(milliseconds) * 99 // 100], 2),
                      "max_ms": round(milliseconds[-1], 2)}))


if __name__ == "__main__":
    main()
