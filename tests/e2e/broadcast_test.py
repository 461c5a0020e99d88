#!/usr/bin/env python3
"""A broadcast over a real RTMP server (nginx): its publisher is silenced, resumed, killed and replaced,
the decoder is killed; `heed watch` goes on through all of it.

    tests/e2e/broadcast_test.py build/release/heed
Skips with a message (exit code 77) where nginx with its RTMP module or ffmpeg is not installed.
"""
import json
import os
import pathlib
import queue
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

READ_MS = 1500
MODULE = pathlib.Path("/usr/lib/nginx/modules/ngx_rtmp_module.so")
CONFIG = """
load_module {module};
daemon off; master_process off; worker_processes 1;
pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 64; }}
rtmp {{ server {{ listen 127.0.0.1:{port}; application live {{ live on; }} }} }}
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Watch:
    """heed watch, with what it says and when."""

    def __init__(self, heed, url):
        self.lines = queue.Queue()
        self.process = subprocess.Popen(
            [heed, "watch", url, "--allow", "127.0.0.1", "--json", "--read-ms", str(READ_MS)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.moments, self.said = [], []
        for stream, name in ((self.process.stdout, "moment"), (self.process.stderr, "event")):
            threading.Thread(target=self.read, args=(stream, name), daemon=True).start()

    def read(self, stream, name):
        for line in stream:
            self.lines.put((name, line, time.monotonic()))

    def until(self, wanted, seconds, what):
        """The time of the first line that `wanted(name, line)` likes."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            try:
                name, line, when = self.lines.get(timeout=left)
            except queue.Empty:
                break
            if name == "moment":
                self.moments.append(json.loads(line))
                line = self.moments[-1]
            else:
                self.said.append(line.strip())
            if wanted(name, line):
                return when
        sys.exit(f"FAILED: {what} did not come within {seconds} s; events: {self.said}; "
                 f"moments: {[(m['epoch'], m['t']) for m in self.moments]}")

    def heard(self, seconds, what):
        """A second with sound and picture in a later epoch or second than the last one known."""
        last = max(((m["epoch"], m["t"]) for m in self.moments), default=(-1, -1))
        return self.until(lambda n, m: n == "moment" and (m["epoch"], m["t"]) > last
                          and m["mod"]["voice"]["cover"] == 1 and m["mod"]["picture"]["ok"], seconds, what)


def publish(folder, url):
    return subprocess.Popen(["ffmpeg", "-nostdin", "-loglevel", "error", "-re", "-stream_loop", "-1", "-i",
                             str(folder / "show.flv"), "-c", "copy", "-f", "flv", url])


def decoder_of(pid):
    children = pathlib.Path(f"/proc/{pid}/task")
    for task in children.iterdir():
        for child in (task / "children").read_text().split():
            if b"\0decode\0" in pathlib.Path(f"/proc/{child}/cmdline").read_bytes():
                return int(child)
    sys.exit("FAILED: heed watch has no decoder")


def check(condition, what):
    if not condition:
        sys.exit(f"FAILED: {what}")
    print(f"ok: {what}", flush=True)


def scenario(heed, folder, url, running):
    watch = Watch(heed, url)
    running.append(watch.process)
    time.sleep(0.5)
    publisher = publish(folder, url)
    running.append(publisher)
    watch.heard(20, "the first whole second")
    first = next(m for m in watch.moments if m["mod"]["voice"]["cover"] == 1)
    check(abs(first["f"]["voice.f0_median"] / 200 - 1) < 0.005, "the tone's pitch came through")
    check(first["f"]["vis.brightness"] > 0 and first["wall_ms"] > 0, "the picture came through")
    check(any("picture h264 320x180, sound aac" in line for line in watch.said), "codecs")

    watch.heard(5, "the next second")
    os.kill(publisher.pid, signal.SIGSTOP)
    stopped = time.monotonic()
    noticed = watch.until(lambda n, l: n == "event" and "nothing came for" in l, 10, "the stall") - stopped
    check(noticed < READ_MS / 1000 + 0.5, f"a silent publisher is noticed after {noticed:.2f} s")
    os.kill(publisher.pid, signal.SIGCONT)
    watch.heard(15, "sound after the publisher went on")

    publisher.kill()
    publisher.wait()
    killed = time.monotonic()
    noticed = watch.until(lambda n, l: n == "event" and "broken off" in l, 10, "the end") - killed
    check(noticed < READ_MS / 1000 + 0.5, f"a killed publisher is noticed after {noticed:.2f} s")
    watch.until(lambda n, m: n == "moment" and m["mod"]["voice"]["cover"] == 0, 6, "seconds of nothing")
    check(watch.moments[-1]["f"]["audio.rms_db"] is None, "what was not heard is null")
    publisher = publish(folder, url)
    running.append(publisher)
    watch.heard(15, "sound from the next publisher")

    os.kill(decoder_of(watch.process.pid), signal.SIGKILL)
    killed = time.monotonic()
    back = watch.until(lambda n, l: n == "event" and "opened" in l, 10, "a new decoder") - killed
    check(back < 2, f"a killed decoder is back after {back:.2f} s")
    watch.heard(10, "sound from the new decoder")

    watch.process.send_signal(signal.SIGINT)
    check(watch.process.wait(timeout=10) == 130, "stops by Ctrl-C")
    times = [(m["epoch"], m["t"]) for m in watch.moments]
    check(times == sorted(set(times)) and len({t for _, t in times}) == len(times),
          f"{len(times)} moments in order, no second in two epochs")
    check(len({e for e, _ in times}) >= 4, "every break is a new epoch")


def main():
    missing = [name for name in ("ffmpeg", "nginx") if not shutil.which(name)]
    if missing or not MODULE.exists():
        print(f"skipped: {', '.join(missing) or 'the RTMP module of nginx'} is not installed")
        sys.exit(77)
    running = []
    with tempfile.TemporaryDirectory(prefix="heed_broadcast_") as name:
        folder, port = pathlib.Path(name), free_port()
        (folder / "nginx.conf").write_text(CONFIG.format(folder=folder, port=port, module=MODULE))
        subprocess.run(["ffmpeg", "-nostdin", "-loglevel", "error", "-f", "lavfi", "-i", "testsrc2=s=320x180:r=10:d=60",
                        "-f", "lavfi", "-i", "sine=f=200:d=60", "-c:v", "libx264", "-preset", "ultrafast", "-threads",
                        "1", "-g", "10", "-c:a", "aac", str(folder / "show.flv")], check=True)
        try:
            running.append(subprocess.Popen(["nginx", "-c", str(folder / "nginx.conf"), "-p", str(folder)],
                                            stderr=subprocess.DEVNULL))
            scenario(sys.argv[1], folder, f"rtmp://127.0.0.1:{port}/live/show", running)
        finally:
            for process in running:
                process.kill()
                process.wait()


if __name__ == "__main__":
    main()
