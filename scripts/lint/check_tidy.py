#!/usr/bin/env python3
"""Finds banned words, commented-out code, stray blobs and untidy text; each rule says why.

Exemptions stand only in scripts/lint/exemptions.txt, one a line: date, rule, path, reason.
"""

import re
from dataclasses import dataclass
from fnmatch import fnmatch

from repository import Finding, run_lint

BLOB_BYTES_MAX = 1 << 20
LINES_MAX = 600
EXEMPTIONS_FILE = "scripts/lint/exemptions.txt"

CXX = ("*.h", "*.cpp", "*.cu", "*.cuh")
HEADERS = ("*.h", "*.cuh")
PRODUCT = tuple(f"{top}/*{glob}" for top in ("src", "include", "kernels") for glob in CXX)
CODE = (*CXX, "*.py", "*.sh", "*.cmake", "CMakeLists.txt", ".ci/run")
ALL = ("*",)


@dataclass(frozen=True)
class Rule:
    """A pattern that must not occur in a line of the files that match one of `globs`."""

    name: str
    globs: tuple
    pattern: re.Pattern
    reason: str
    in_code_only: bool = True  # look at C++ lines without their comments and string literals


def rule(name, globs, pattern, reason, in_code_only=True):
    return Rule(name, globs, re.compile(pattern), reason, in_code_only)


RULES = (
    rule("endl", CXX, r"\bstd::endl\b", r"flushes at every line; write '\n'"),
    rule(
        "naked_new",
        PRODUCT,
        r"(?<!operator )\bnew\b(?!\s*\()\s+[A-Za-z_:]",
        "use make_unique or a container",
    ),
    rule(
        "naked_delete",
        PRODUCT,
        r"(?<![=\w] )(?<!operator )\bdelete\b(?!\s*;)",
        "let an owner free it",
    ),
    rule("printf", PRODUCT, r"\b(?:std::)?f?printf\s*\(", "use fmt, or the log"),
    rule(
        "using_namespace",
        HEADERS,
        r"\busing\s+namespace\b",
        "it leaks into every user of the header",
    ),
    rule(
        "device_sync",
        PRODUCT,
        r"\bcudaDeviceSynchronize\b",
        "waits for all streams; wait for an event",
    ),
    rule(
        "environment", PRODUCT, r"\b(?:std::)?getenv\s*\(", "only src/config reads the environment"
    ),
    rule(
        "sleep",
        PRODUCT,
        r"\bsleep_(?:for|until)\s*\(|\busleep\s*\(",
        "wait for an event with a deadline",
    ),
    rule("fixme", CODE, r"\b(?:FIXME|XXX|TODO)\b", "finish it, or file an issue", False),
    rule("disabled_test", CXX, r"\bDISABLED_\w+|#if 0\b", "a test or block that never runs rots"),
    rule(
        "commented_out_code",
        CXX,
        r"^\s*//+\s*(?:(?:if|for|while|switch)\s*\(.*[{;]|(?:return|auto|const|int|std::\w+)\b[^.]*;|"
        r"[\w.:>-]+\(.*\);|[{}]|#include\b.*)\s*$",
        "git remembers removed code",
        False,
    ),
    rule("trailing_space", ALL, r"[ \t]+$", "noise in every diff", False),
    rule("tab", CODE, r"\t", "indent with spaces", False),
    rule(
        "private_path",
        ALL,
        r"(?<![\w.-])/work/|\.\./shared\b|\bshared/(?:spec|DESIGN|tiny-r1)\b",
        "a path of one workplace means nothing to a reader",
        False,
    ),
    rule("conflict_marker", ALL, r"^(?:<{7}|>{7}) ", "an unfinished merge", False),
)

# Files whose text is data or whose subject is the rules themselves.
DATA = ("*.json", "*.jsonl", "*.safetensors", "*.log", "*.png", "LICENSE")
RULE_SOURCES = ("scripts/lint/check_tidy.py", "tests/scripts/lint/*")

LITERAL_OR_COMMENT = re.compile(r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])+\'|//.*|/\*.*?\*/')


def matches(path, globs):
    name = path.rsplit("/", 1)[-1]
    return any(fnmatch(path, glob) or fnmatch(name, glob) for glob in globs)


def code_of(line):
    """The line with its comment and literals emptied, so that words in prose do not count."""
    return LITERAL_OR_COMMENT.sub("", line)


def check_lines(path, text):
    rules = [r for r in RULES if matches(path, r.globs)]
    for number, line in enumerate(text.split("\n"), 1):
        for r in rules:
            if r.pattern.search(code_of(line) if r.in_code_only else line):
                yield r.name, Finding(path, number, f"{r.name}: {r.reason}")


def check_shape(path, data, text):
    """Size and line endings of one file."""
    if len(data) > BLOB_BYTES_MAX:
        yield "blob", Finding(path, 0, f"blob: {len(data)} bytes, at most {BLOB_BYTES_MAX}")
    if text is None or matches(path, DATA):
        return
    if text and not text.endswith("\n"):
        yield "final_newline", Finding(path, 0, "final_newline: the last line has none")
    if "\r" in text:
        yield "carriage_return", Finding(path, 0, "carriage_return: line endings are LF")
    lines = text.count("\n")
    if matches(path, CODE) and lines > LINES_MAX:
        yield "lines", Finding(path, 0, f"lines: {lines}, at most {LINES_MAX}; split it by subject")


def read_exemptions(text):
    """({(rule, glob)}, findings) of lines `2026-01-31 rule path reason...`."""
    exemptions, findings = set(), []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        match = re.fullmatch(r"\d{4}-\d{2}-\d{2} (\w+) (\S+) \S.*", line)
        if match:
            exemptions.add((match[1], match[2]))
        else:
            findings.append(Finding(EXEMPTIONS_FILE, number, "wanted: date rule path reason"))
    return exemptions, findings


def check(repository):
    files = repository.files()
    exemptions, findings = set(), []
    if EXEMPTIONS_FILE in files:
        exemptions, findings = read_exemptions(repository.text(EXEMPTIONS_FILE))
    used = set()
    for path in files:
        text = repository.text(path)
        found = list(check_shape(path, (repository.root / path).read_bytes(), text))
        if text is not None and not matches(path, DATA) and not matches(path, RULE_SOURCES):
            found += check_lines(path, text)
        for name, finding in found:
            covers = {(r, glob) for r, glob in exemptions if r == name and fnmatch(path, glob)}
            used |= covers
            if not covers:
                findings.append(finding)
    for name, glob in sorted(exemptions - used):
        findings.append(
            Finding(EXEMPTIONS_FILE, 0, f"the exemption of {glob} from {name} is not needed")
        )
    return findings


if __name__ == "__main__":
    run_lint(__doc__, check)
