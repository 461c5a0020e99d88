#!/usr/bin/env python3
"""clang-tidy over the non-test sources of the clang preset, several at a time.

A plug-in (own_code.cc) keeps clang-tidy from matching what the standard library and other system headers
declare, which took three quarters of its time and could not report anything.

A file is looked at again only when its preprocessed text (comments kept: NOLINT counts), its
command line or .clang-tidy changed: a clean result is kept as an empty file in build/tidy.
"""
import argparse
import concurrent.futures
import hashlib
import json
import pathlib
import shlex
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / "build/clang"
CLEAN = ROOT / "build/tidy"
PLUGIN_SOURCE = ROOT / "scripts/own_code.cc"
PLUGIN = CLEAN / "own_code.so"
FOLDERS = ("src", "include", "tests", "bench", "fuzz", "examples")


def sources():
    for entry in json.loads((BUILD / "compile_commands.json").read_text(encoding="utf-8")):
        path = pathlib.Path(entry["file"])
        if (path.is_relative_to(ROOT) and path.relative_to(ROOT).parts[0] in FOLDERS
                and not path.name.endswith(("_test.cc", "_bench.cc"))):
            command = shlex.split(entry["command"])
            yield path, command[next(i for i, word in enumerate(command) if "clang++" in word):]


def key(path, command):
    keep = [word for i, word in enumerate(command)
            if word not in ("-c", "-o") and command[i - 1] not in ("-o", "-MF", "-MT")]
    text = subprocess.run(keep + ["-E", "-C", "-w"], cwd=BUILD, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, check=True).stdout
    config = (ROOT / ".clang-tidy").read_bytes()
    return hashlib.sha256(b"\0".join([text, " ".join(keep).encode(), config])).hexdigest()


def build_plugin():
    if PLUGIN.exists() and PLUGIN.stat().st_mtime >= PLUGIN_SOURCE.stat().st_mtime:
        return
    subprocess.run(["clang++-14", "-std=c++17", "-fno-rtti", "-O1", "-shared", "-fPIC",
                    "-isystem", "/usr/lib/llvm-14/include", "-o", str(PLUGIN), str(PLUGIN_SOURCE)],
                   check=True)


def look(path, command):
    stamp = CLEAN / key(path, command)
    if stamp.exists():
        return path, True, "", 0.0
    began = time.monotonic()
    done = subprocess.run(["clang-tidy-14", "-quiet", "-load", str(PLUGIN), "--checks=heed-own-code",
                           "-p", str(BUILD), str(path)], cwd=ROOT,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode == 0:
        stamp.touch()
    output = done.stdout.decode()
    if done.returncode and not output.strip():
        output = done.stderr.decode()[-2000:]
    return path, done.returncode == 0, output, time.monotonic() - began


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--jobs", type=int, default=2)
    CLEAN.mkdir(parents=True, exist_ok=True)
    build_plugin()
    bad = []
    with concurrent.futures.ThreadPoolExecutor(parser.parse_args().jobs) as pool:
        for path, clean, output, seconds in pool.map(lambda item: look(*item), sources()):
            if seconds:
                print(f"{seconds:6.1f} s {path.relative_to(ROOT)}", flush=True)
            if not clean:
                bad.append(output)
    # Last, where the end of a long log is what is shown.
    print("\n".join(bad + [f"{len(bad)} files with findings"]) if bad else "tidy ok")
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
