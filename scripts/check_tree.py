#!/usr/bin/env python3
"""Looks at every tracked text file for what must not be in the tree: paths of somebody's machine,
secrets, unfinished-work marks, files too long to hold one job, carriage returns, trailing blanks."""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
MAX_LINES = 600  # above that a source file is taken to hold two jobs
LONG = {"src/event/event.h"}  # one struct for each of the 54 event types: a list, one job
SOURCE = {".h", ".cc", ".py", ".ts", ".tsx"}
KEPT_BYTES = ("fuzz/corpus/", "tests/golden/")  # byte-exact inputs, not prose

RULES = [
    (r"(?<![\w.$}~-])/(?:work|root|home/\w+|Users/\w+)/", "a path of one machine"),
    (r"-----BEGIN (?:RSA |EC |OPENSSH )?PRIVATE KEY-----", "a private key"),
    (r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b", "an AWS key"),
    (r"\bgh[pousr]_[A-Za-z0-9]{36}\b", "a GitHub token"),
    (r"(?i)\b(?:password|secret|api_key)\s*[:=]\s*[\"'][^\"'$<{ ]{12,}[\"']", "a secret in the open"),
    (r"\b(?:TODO|FIXME|XXX)\b", "an unfinished-work mark: finish it or open an issue"),
]
RULES = [(re.compile(pattern), what) for pattern, what in RULES]


def problems(name):
    path = ROOT / name
    if path.is_symlink() or not path.is_file():
        return
    raw = path.read_bytes()
    if b"\0" in raw[:8192] or name.startswith(KEPT_BYTES):
        return
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        yield f"{name}: not UTF-8 ({error})"
        return
    lines = text.split("\n")
    if path.suffix in SOURCE and len(lines) - 1 > MAX_LINES and name not in LONG:
        yield f"{name}: {len(lines) - 1} lines, over {MAX_LINES}"
    if "\r" in text:
        yield f"{name}: carriage returns"
    if text and not text.endswith("\n") and path.suffix != ".json":
        yield f"{name}: no newline at the end"
    for number, line in enumerate(lines, 1):
        if line != line.rstrip() and path.suffix != ".svg":
            yield f"{name}:{number}: blanks at the end of the line"
        for pattern, what in RULES:
            # This file spells the patterns out.
            if name != "scripts/check_tree.py" and pattern.search(line):
                yield f"{name}:{number}: {what}: {line.strip()[:100]}"


def main():
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, stdout=subprocess.PIPE, check=True)
    found = [line for name in names.stdout.decode().split("\0") if name for line in problems(name)]
    print("\n".join(found) or "tree ok")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
