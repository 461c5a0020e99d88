#!/usr/bin/env python3
"""bench/faces.py HEED FOLDER [--height H] [--json]: in how many seconds of recordings of one speaker `heed watch` finds the
face (docs/picture.md). GRID's clips are MPEG-1, which heed-decoder does not take from anybody, so ffmpeg packs them anew."""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile


def moments(heed, clip, height, folder):
    packed = folder / "clip.mp4"
    subprocess.run(["ffmpeg", "-nostdin", "-y", "-loglevel", "error", "-i", str(clip), "-vf", f"scale=-2:{height}",
                    "-c:v", "libx264", "-crf", "18", "-threads", "1", "-c:a", "aac", str(packed)], check=True)
    watch = subprocess.run([heed, "watch", str(packed), "--json"], stdout=subprocess.PIPE,
                           stderr=subprocess.DEVNULL, check=True, text=True)
    return [json.loads(line) for line in watch.stdout.splitlines()]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("heed")
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--height", type=int, default=576, help="pictures are scaled to (default: 576)")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    clips = sorted(path for path in options.folder.iterdir() if path.suffix in (".mpg", ".mp4", ".avi"))
    if not clips:
        sys.exit(f"{options.folder}: no .mpg, .mp4 or .avi in it")
    found = seconds = 0
    with tempfile.TemporaryDirectory(prefix="heed_faces_") as name:
        for clip in clips:
            # A clip's last second may hold a frame or two; what was not looked at says nothing of faces.
            seen = [m for m in moments(options.heed, clip, options.height, pathlib.Path(name))
                    if m["mod"]["picture"]["cover"] >= 0.5]
            with_face = sum((m["f"]["face.present"] or 0) > 0 for m in seen)
            found, seconds = found + with_face, seconds + len(seen)
            if not options.json:
                print(f"{clip.name}: {with_face} of {len(seen)} seconds", flush=True)
    if options.json:
        print(json.dumps({"clips": len(clips), "seconds": seconds, "with_face": found, "height": options.height}))
    else:
        print(f"a face in {found} of {seconds} seconds of {len(clips)} clips")


if __name__ == "__main__":
    main()
