"""The show of the media benchmark as a real stream, and a server that sends it at its own pace."""
import http.server
import os
import pathlib
import socket
import subprocess
import sys
import threading
import time

SHOW_FPS = 5                # of draw_scenes.py's pictures
SHOW_SIZE = "960x540"
# A vowel at 200 Hz with four syllables a second.
VOICE = ("aevalsrc='(0.1*sin(2*PI*200*t)+0.05*sin(2*PI*400*t)+0.033*sin(2*PI*600*t)+0.025*sin(2*PI*800*t))"
         "*(0.6+0.4*sin(2*PI*4*t))':s=48000:c=stereo")
SOUND, PICTURE = 8, 9       # kinds of FLV tags


def draw(folder):
    """The pictures of a show: a host's portrait, a product with its price tag. Where there is no portrait, price tags
    alone; says which."""
    source = pathlib.Path(__file__).resolve().parent.parent
    portrait = pathlib.Path(os.environ.get("HEED_PORTRAIT", source / "build" / "portrait"))
    has_face = (portrait / "astronaut.png").exists()
    # Debian's, which has Pillow and numpy.
    subprocess.run(["/usr/bin/python3", source / "src" / "media" / "draw_scenes.py", folder,
                    *([portrait] if has_face else [])], check=True)
    return folder / ("show.i420" if has_face else "tags.i420"), has_face


def encode(pictures, path, width, height, kbps, seconds):
    """H.264 of 30 pictures a second and AAC. A hand's tremor and a sensor's noise, so that no picture is like the one before
    and the whole rate is used."""
    camera = (f"fps=30,scale={width + 8}:{height + 8},crop={width}:{height}:4+4*sin(2*t):4+4*cos(3*t),"
              "noise=alls=5:allf=t")
    subprocess.run(["ffmpeg", "-nostdin", "-y", "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", "yuv420p", "-s",
                    SHOW_SIZE, "-r", str(SHOW_FPS), "-stream_loop", "-1", "-i", pictures, "-f", "lavfi", "-i", VOICE,
                    "-t", str(seconds), "-vf", camera, "-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p",
                    "-b:v", f"{kbps}k", "-maxrate", f"{kbps}k", "-bufsize", f"{2 * kbps}k", "-g", "60", "-c:a", "aac",
                    "-b:a", "128k", path], check=True)


class Flv:
    """A recording as what a live server sends: (due_s, bytes), due when the media in it are over. `start_s`: what Heed
    calls 0, the earliest time stamp."""

    def __init__(self, path):
        data = pathlib.Path(path).read_bytes()
        at = int.from_bytes(data[5:9], "big") + 4
        self.parts, self.start_s, due_s = [(0.0, data[:at])], None, 0.0
        while at + 11 <= len(data):
            kind, size = data[at] & 0x1f, int.from_bytes(data[at + 1:at + 4], "big")
            stamp_ms = int.from_bytes(data[at + 4:at + 7], "big") | data[at + 7] << 24
            body = data[at + 11:at + 11 + size]
            # Both codecs put what is no media (their settings) into tags of type 0.
            if kind in (SOUND, PICTURE) and size > 1 and body[1] == 1:
                if kind == PICTURE:
                    stamp_ms += int.from_bytes(body[2:5], "big", signed=True)
                self.start_s = min(self.start_s if self.start_s is not None else 1e9, stamp_ms / 1000)
                due_s = max(due_s, stamp_ms / 1000)
            self.parts.append((due_s, data[at:at + 11 + size + 4]))
            at += 11 + size + 4
        self.seconds = due_s


class LiveServer:
    """Sends `flv` to everyone who connects, from its beginning, at the pace of its time stamps: no key picture is older, no
    packet earlier than a camera could have given it. began[path]: the clock when that path's stream was at 0."""

    def __init__(self, flv):
        self.began = {}
        live = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):  # noqa: N802, the name that http.server looks for
                self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.send_response(200)
                self.send_header("Content-Type", "video/x-flv")
                # A size says that the end is the end, so that nobody connects again.
                self.send_header("Content-Length", str(sum(len(part) for _, part in flv.parts)))
                self.end_headers()
                began = live.began[self.path] = time.time()
                for due_s, part in flv.parts:
                    if (wait_s := began + due_s - time.time()) > 0:
                        time.sleep(wait_s)
                    self.wfile.write(part)

            def log_message(self, *_):
                pass

            def handle(self):
                try:
                    super().handle()
                except ConnectionError as gone:
                    print(f"the watcher went away: {gone}", file=sys.stderr)

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def url(self, path):
        return f"http://127.0.0.1:{self.server.server_port}{path}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
