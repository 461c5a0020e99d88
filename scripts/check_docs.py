#!/usr/bin/env python3
"""Keeps the documents true: relative links and their anchors exist; every `./run X` and `heed X`
command shown exists; fenced blocks opened with ```sh tested run and succeed.

    scripts/check_docs.py [--no-run]
A tested block runs in the repository root with `bash -e`, after the release build; all blocks of
one file share one shell, so an earlier block may start what a later one asks.
"""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)(?:\s+\"[^\"]*\")?\)|<(?:img|a)\b[^>]*?(?:src|href)=\"([^\"]+)\"")
FENCE = re.compile(r"^(```+|~~~+)\s*(\S*)\s*(.*)$")
RUN = re.compile(r"(?:^|[\s`(])\./run\s+([a-z][a-z-]*)")


def anchors(path):
    """GitHub's anchors of a page's headings."""
    found, fenced = set(), False
    for line in path.read_text(encoding="utf-8").splitlines():
        fenced ^= bool(FENCE.match(line))
        heading = None if fenced else re.match(r"#{1,6}\s+(.*?)\s*#*$", line)
        if heading:
            text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading[1]).replace("`", "").lower()
            slug = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
            count = 0
            while slug + (f"-{count}" if count else "") in found:
                count += 1
            found.add(slug + (f"-{count}" if count else ""))
    return found


def read(path):
    """(number, line) outside fences, and the tested blocks."""
    prose, blocks, fence, tested, block = [], [], None, False, []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        match = FENCE.match(line)
        if fence is None and match:
            fence, tested, block = match[1], match[2] == "sh" and "tested" in match[3].split(), []
        elif fence is not None and match and match[1].startswith(fence) and not match[2]:
            if tested:
                blocks.append("\n".join(block))
            fence = None
        elif fence is None:
            prose.append((number, line))
        else:
            block.append(line)
    return prose, blocks


def check_links(page, prose):
    for number, line in prose:
        for match in LINK.finditer(re.sub(r"`[^`]*`", "", line)):
            target = match[1] or match[2]
            if re.match(r"[a-z][a-z0-9+.-]*:", target):
                continue
            name, _, anchor = target.partition("#")
            path = (page.parent / name).resolve() if name else page
            where = f"{page.relative_to(ROOT)}:{number}"
            if not path.exists():
                yield f"{where}: no {target}"
            elif anchor and path.suffix == ".md" and anchor not in anchors(path):
                yield f"{where}: no heading #{anchor} in {path.relative_to(ROOT)}"


def check_commands(page, known):
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        for match in RUN.finditer(line):
            if match[1] not in known:
                yield f"{page.relative_to(ROOT)}:{number}: ./run has no command '{match[1]}'"


def run_blocks(page, blocks):
    if not blocks:
        return
    script = "set -e\n" + "\n".join(blocks)
    done = subprocess.run(["bash", "-c", script], cwd=ROOT, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=900)
    if done.returncode:
        yield (f"{page.relative_to(ROOT)}: a tested block failed ({done.returncode}):\n"
               + done.stdout.decode(errors="replace")[-2000:])


def main():
    names = subprocess.run(["git", "ls-files", "-z", "*.md"], cwd=ROOT, stdout=subprocess.PIPE,
                           check=True).stdout.decode().split("\0")
    listing = subprocess.run(["./run", "help"], cwd=ROOT, stdout=subprocess.PIPE, check=True)
    known = set(re.findall(r"^\./run ([a-z]+)", listing.stdout.decode(), re.M))
    found, tested = [], 0
    for page in (ROOT / name for name in names if name):
        prose, blocks = read(page)
        found += check_links(page, prose)
        found += check_commands(page, known)
        if "--no-run" not in sys.argv[1:]:
            found += run_blocks(page, blocks)
            tested += len(blocks)
    print("\n".join(found) or f"documents ok; {tested} blocks run")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
