#!/usr/bin/env python3
"""heed watch, lint and explain with nothing beside the program: in an empty folder, on files of every kind.

  comments_test.py HEED
"""
import json
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import unittest

HEED = str(pathlib.Path(sys.argv.pop(1)).resolve())


class Comments(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def write(self, name, text):
        path = pathlib.Path(self.folder.name) / name
        path.write_text(text, encoding="utf-8")
        return str(path)

    def heed(self, *arguments, text=None):
        return subprocess.run([HEED, *arguments], cwd=self.folder.name, input=text, capture_output=True,
                              encoding="utf-8", timeout=120, check=False)

    def watch(self, path, *arguments):
        done = self.heed("watch", "comments", path, "--speed", "0", "--json", *arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def evening(self):
        lines = [{"t_ms": 1000 * n, "viewer": f"v{n % 7}", "text": "主播好漂亮"} for n in range(90)]
        lines += [{"t_ms": 90000 + 10 * n, "viewer": f"w{n}", "text": "这个多少钱"} for n in range(60)]
        return self.write("evening.jsonl", "".join(json.dumps(line) + "\n" for line in lines))

    def test_lines_for_machines(self):
        shown = self.watch(self.evening())
        self.assertGreater(len(shown), 10)
        last = shown[-1]
        self.assertEqual(last["questions"][0]["text"], "这个多少钱")
        self.assertEqual(last["questions"][0]["viewers"], 60)
        self.assertEqual(len(last["bursts"]), 1)
        self.assertTrue(last["burst"])
        self.assertEqual([each["ts"] for each in shown], sorted(each["ts"] for each in shown))

    def test_events_subtitles_and_plain_lines(self):
        common = {"v": "1", "tenant": "t", "room": "r", "session": "s", "src": {"platform": "p", "adapter": "a"}}
        events = [
            {**common, "id": "1", "type": "comment.post", "ts": 1700000000000, "actor": {"id": "u", "kind": "viewer"},
             "data": {"text": "多少钱"}},
            {**common, "id": "2", "type": "like", "ts": 1700000001000, "data": {"count": 3}},
            {**common, "id": "3", "type": "cart.add", "ts": 1700000002000, "actor": {"id": "u", "kind": "viewer"},
             "data": {"product_id": "p", "qty": 1}},
            {**common, "id": "4", "type": "host.speech", "ts": 1700000003000, "data": {"text": "价格多少钱", "dur_ms": 900}}]
        question = self.watch(self.write("e.ndjson", "".join(json.dumps(each) + "\n" for each in events)))[-1]["questions"][0]
        self.assertEqual((question["buying"]["carted"], question["waiting"]), (1, 0))
        vtt = "WEBVTT\n\n00:01.000 --> 00:02.000\n多少钱\n\n00:02.000 --> 00:03.000\n价格多少\n"
        self.assertEqual(self.watch(self.write("c.vtt", vtt))[-1]["questions"][0]["viewers"], 2)
        self.assertEqual(self.watch(self.write("c.txt", "多少钱\r\n\n包邮吗\n"))[-1]["minute"]["comments"], 2)

    def test_mistakes_name_their_line(self):
        for text, line in (('{"t_ms":1,"text":"a"}\n{"t_ms":1}\n', ":2: "), ('{"t_ms":1,"txt":"a"}\n', ":1: "),
                           ('{"type":"nothing"}\n', ":1: "), ("[]\n", ":1: "), ("\n", "no comment")):
            done = self.heed("watch", "comments", self.write("bad.jsonl", text))
            self.assertEqual(done.returncode, 1)
            self.assertIn(line, done.stderr)

    def test_ctrl_c_ends_with_a_last_look(self):
        path = self.write("slow.txt", "多少钱\n" * 1000)
        with subprocess.Popen([HEED, "watch", "comments", path], stdout=subprocess.PIPE, encoding="utf-8") as process:
            time.sleep(1.5)
            process.send_signal(signal.SIGINT)
            out, _ = process.communicate(timeout=60)
            self.assertEqual(process.returncode, 130)
        self.assertIn("多少钱", out)

    def test_lint_and_explain_bring_what_they_need(self):
        done = self.heed("lint", "--json", text="这是全网最低价\n今天天气不错\n")
        self.assertEqual(done.returncode, 1, done.stderr)
        hits = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual({hit["where"] for hit in hits}, {"-:1"})
        done = self.heed("explain", "text", "--json", "165 120斤穿什么码")
        self.assertEqual(json.loads(done.stdout)["label"], "size", done.stderr)


if __name__ == "__main__":
    unittest.main()
