#!/usr/bin/env python3
"""Checks that every path a Markdown file names exists.

Looked at are inline code spans such as `src/engine/engine.cpp` that begin with a folder of the top level, and
relative links. A path may end in `*` or hold `<placeholders>`, braces or `x` families; those are not checked.
"""

import re
from pathlib import PurePosixPath

from repository import Finding, run_lint

TOP_FOLDERS = ("src", "include", "kernels", "tests", "bench", "configs", "scripts", ".ci")
CODE_SPAN = re.compile(r"`([^`\s]+)`")
LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")
NOT_A_PATH = re.compile(r"[<>{}*$…]|^[a-z]+://")
FENCE = re.compile(r"^\s*```")


def named_paths(text):
    """(line number, path, True if relative to the document) of what a document names outside fences."""
    fenced = False
    for number, line in enumerate(text.splitlines(), 1):
        if FENCE.match(line):
            fenced = not fenced
        if fenced:
            continue
        for span in CODE_SPAN.findall(line):
            path = re.sub(r":\d+$", "", span).rstrip("/")
            if path.split("/")[0] in TOP_FOLDERS and not NOT_A_PATH.search(path):
                yield number, path, False
        for target in LINK.findall(line):
            if not NOT_A_PATH.search(target):
                yield number, target.rstrip("/"), True


def check(repository):
    for path in repository.files():
        if not path.endswith(".md"):
            continue
        folder = repository.root / PurePosixPath(path).parent
        for line, name, is_relative in named_paths(repository.text(path)):
            base = folder if is_relative else repository.root
            if not (base / name).exists():
                yield Finding(path, line, f"{name} does not exist")


if __name__ == "__main__":
    run_lint(__doc__, check)
