#!/usr/bin/env python3
"""Fails when an #include under src/ points at a module its own module may not use.

The table below is the architecture: left may include right. ARCHITECTURE.md explains it.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
DIRECT = {
    "base": [],
    "kernels": ["base"],
    "nn": ["kernels", "base"],
    "event": ["base"],
    "store": ["event", "base"],
    "state": ["event", "store", "kernels"],
    "text": ["nn", "base"],
    "media": ["text", "kernels", "base"],
    "model": ["nn", "state"],
    "train": ["model", "text", "media"],
    "infer": ["model", "kernels"],
    "decide": ["infer", "model", "state", "store"],
    "engine": ["decide", "train", "media"],
    "server": ["engine"],
    "sim": ["event"],
    "report": ["train"],
    "cli": ["server", "sim", "report"],
}


def reachable(module):
    """Every module at or below `module`: using what lies further down is allowed, up is not."""
    seen, todo = set(), [module]
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo.extend(DIRECT[name])
    return seen


def main():
    allowed = {module: reachable(module) for module in DIRECT}
    bad = []
    for path in sorted((ROOT / "src").rglob("*")):
        if path.suffix not in {".h", ".cc"}:
            continue
        module = path.relative_to(ROOT / "src").parts[0]
        if module not in DIRECT:
            bad.append(f"{path.relative_to(ROOT)}: module '{module}' is not in the layer table")
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            match = re.match(r'\s*#\s*include\s+"([a-z_0-9]+)/', line)
            if match and match[1] != "heed" and match[1] not in allowed[module]:
                bad.append(f"{path.relative_to(ROOT)}:{number}: {module} may not include {match[1]}")
    print("\n".join(bad) or "layers ok")
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
