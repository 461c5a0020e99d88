#!/usr/bin/env python3
"""A recording watched into a running engine: what is printed, recorded and served is the same, over a restart too.

    feed_test.py HEED
Skips with a message (exit code 77) where ffmpeg is not installed.
"""
import base64
import json
import os
import pathlib
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.error
import urllib.request

HEED = str(pathlib.Path(sys.argv.pop(1)).resolve())


def part(field, value):
    """A member of a protocol buffer: a number, or bytes, shorter than 128."""
    return bytes([field << 3, value]) if isinstance(value, int) else bytes([field << 3 | 2, len(value)]) + value


def mean_model():
    """An ONNX model of the mean of each channel of a picture of 8 by 8 (field numbers of onnx.proto)."""
    def node(kind, source, target):
        return part(1, part(1, source) + part(2, target) + part(4, kind))

    def value(name, *dims):
        shape = b"".join(part(1, part(1, dim)) for dim in dims)
        return part(1, name) + part(2, part(1, part(1, 1) + part(2, shape)))
    graph = (node(b"GlobalAveragePool", b"x", b"p") + node(b"Flatten", b"p", b"y") + part(2, b"g")
             + part(11, value(b"x", 1, 3, 8, 8)) + part(12, value(b"y", 1, 3)))
    size = bytes([len(graph) & 127 | 128, len(graph) >> 7]) if len(graph) > 127 else bytes([len(graph)])
    return part(1, 7) + bytes([7 << 3 | 2]) + size + graph + part(8, part(1, b"") + part(2, 11))


class Feed(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.media = tempfile.TemporaryDirectory()
        cls.show = str(pathlib.Path(cls.media.name) / "show.mp4")
        subprocess.run(["ffmpeg", "-nostdin", "-loglevel", "error", "-f", "lavfi", "-i", "testsrc2=s=320x180:r=10:d=6",
                        "-f", "lavfi", "-i", "sine=f=200:d=6", "-c:v", "libx264", "-preset", "ultrafast", "-threads",
                        "1", "-c:a", "aac", cls.show], check=True)

    @classmethod
    def tearDownClass(cls):
        cls.media.cleanup()

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.url = self.serve()

    def serve(self, port=0):
        self.server = subprocess.Popen([HEED, "serve", "--data", "data", "--port", str(port)], cwd=self.folder,
                                       stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                                       env={**os.environ, "HEED_LOG_LEVEL": "off"})
        self.addCleanup(self.stop, self.server)
        return re.search(r"http://\S+", self.server.stdout.readline())[0]

    @staticmethod
    def stop(server):
        if server.poll() is None:
            server.kill()
        server.wait()
        server.stdout.close()

    def call(self, method, path, body=None):
        request = urllib.request.Request(self.url + path, method=method,
                                         data=None if body is None else json.dumps(body).encode(),
                                         headers={"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def watch(self, *arguments, to=None):
        return subprocess.Popen([HEED, "watch", self.show, "--no-picture", "--json", "--room", "r1", "--to",
                                 to or self.url, *arguments],
                                cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def finish(self, watch):
        printed, said = watch.communicate(timeout=60)
        return [json.loads(line) for line in printed.splitlines()], said

    def served(self):
        try:
            return [moment["record"] for moment in self.call("GET", "/v1/rooms/r1/moments?limit=1000")["moments"]]
        except urllib.error.HTTPError as error:
            self.assertEqual(error.code, 404, "nothing came yet")
            return []

    def test_printed_recorded_and_served_are_the_same(self):
        started_ms = time.time() * 1000
        watch = self.watch("--speed", "20", "--record", "show.mom")
        printed, said = self.finish(watch)
        self.assertEqual(watch.returncode, 0, said)
        self.assertGreaterEqual(len(printed), 6)
        self.assertIn(f"{len(printed)} moments sent", said)
        self.assertEqual(self.served(), printed)
        tone = printed[2]
        self.assertAlmostEqual(tone["f"]["voice.f0_median"], 200, delta=1)
        times = [each["wall_ms"] for each in printed]
        self.assertEqual(times, sorted(set(times)))
        self.assertLess(started_ms, times[0])
        # The file holds as many, and a second run appends to it. (Its records are media_picture_test's.)
        recorded = self.folder / "show.mom"
        size = recorded.stat().st_size
        self.assertEqual(self.records(recorded.read_bytes()), len(printed))
        watch = self.watch("--record", "show.mom", to="none")
        self.assertEqual(self.finish(watch)[1], "heed: epoch 0: opened: picture none 0x0, sound aac\n")
        self.assertEqual(self.records(recorded.read_bytes()), 2 * len(printed))
        self.assertEqual(recorded.read_bytes()[:size][:8], b"HEEDMOM1")
        recorded.write_bytes(recorded.read_bytes()[:-1])
        watch = self.watch("--record", "show.mom", to="none")
        self.assertIn("show.mom: moments: the record at byte", self.finish(watch)[1])
        self.assertEqual(watch.returncode, 1)

    @staticmethod
    def records(data):
        """Steps over header and records as docs/formats/moment_file.md has them."""
        def varint(at):
            value = shift = 0
            while True:
                byte = data[at]
                value |= (byte & 127) << shift
                at, shift = at + 1, shift + 7
                if byte < 128:
                    return value, at
        at = 8
        for _ in range(2):
            names, at = varint(at)
            for _ in range(names):
                length, at = varint(at)
                at += length
        at += 4
        count = 0
        while at < len(data):
            at += 8 + struct.unpack_from("<I", data, at)[0]
            count += 1
        return count if at == len(data) else None

    def test_a_users_model_gives_a_vector_a_second(self):
        subprocess.run(["ffmpeg", "-nostdin", "-loglevel", "error", "-f", "lavfi", "-i", "color=red:s=64x48:r=5:d=3",
                        "-c:v", "libx264", "-preset", "ultrafast", "-threads", "1", str(self.folder / "red.mp4")],
                       check=True)
        (self.folder / "mean.onnx").write_bytes(mean_model())
        command = [HEED, "watch", "red.mp4", "--json", "--room", "r1", "--to", self.url, "--speed", "2", "--encoder"]
        done = subprocess.run([*command, "mean.onnx:colour", "--encoder-side", "8", "--encoder-mean", "0", "0", "0",
                               "--encoder-std", "1", "1", "1"], cwd=self.folder, capture_output=True, text=True,
                              timeout=60, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        answer = self.call("GET", "/v1/rooms/r1/embeddings?encoder=colour")
        self.assertEqual([each["encoder_id"] for each in answer["encoders"]], ["colour"])
        self.assertEqual(len(answer["items"]), len(done.stdout.splitlines()))
        for item in answer["items"]:
            red, green, blue = struct.unpack("<3f", base64.b64decode(item["vec"]))
            self.assertGreater(red, 0.9)
            self.assertLess(max(green, blue), 0.1)
        newest = self.call("GET", "/v1/rooms/r1/moments?limit=1")["moments"][0]
        self.assertEqual(newest["encoders"], ["colour"])
        done = subprocess.run([*command, "red.mp4"], cwd=self.folder, capture_output=True, text=True, timeout=60,
                              check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("red.mp4: ", done.stderr)

    def test_a_killed_engine_costs_nothing_of_what_it_had_not_taken(self):
        watch = self.watch("--speed", "2", "--record", "show.mom")
        for _ in range(200):
            before = self.served()
            if len(before) >= 2:
                break
            time.sleep(0.05)
        self.server.send_signal(signal.SIGKILL)
        self.server.wait()
        time.sleep(0.6)
        self.serve(self.url.rsplit(":", 1)[1])
        printed, said = self.finish(watch)
        self.assertEqual(watch.returncode, 0, said)
        self.assertIn("what is measured waits", said)
        self.assertIn("takes moments again", said)
        self.assertIn(f"{len(printed)} moments sent", said)
        after = self.served()
        self.assertEqual(after, printed[len(printed) - len(after):], "the rest, in order")
        self.assertGreaterEqual(len(before) + len(after), len(printed))
        self.assertEqual(self.records((self.folder / "show.mom").read_bytes()), len(printed))

    def test_without_an_engine_or_without_leave_the_records_are_there_and_it_says_so(self):
        self.call("PUT", "/v1/catalog/rooms/r1", {"broadcast": "off"})
        watch = self.watch("--speed", "0")
        printed, said = self.finish(watch)
        self.assertEqual((watch.returncode, self.served()), (1, []))
        self.assertGreaterEqual(len(printed), 6)
        self.assertIn("may not be taken", said)
        self.assertIn(f"{len(printed)} refused by it", said)
        watch = self.watch(to="https://127.0.0.1:1")
        self.assertIn("is not http://", self.finish(watch)[1])
        self.assertEqual(watch.returncode, 1)


if __name__ == "__main__":
    if not shutil.which("ffmpeg"):
        print("skipped: ffmpeg is not installed")
        sys.exit(77)
    unittest.main()
