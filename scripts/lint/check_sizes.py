#!/usr/bin/env python3
"""Finds functions that are too long to be read at one glance.

C++ functions of src, include and kernels and Python functions have at most 70 lines, CUDA __global__ functions
150, counted from the line that opens the body to the one that closes it. The layout that clang-format gives
is relied on: a body ends at the first line that is only `}` at the indentation of its first line.

With --report, prints the distribution of file and function lengths instead.
"""

import ast
import re
import statistics
import sys
from pathlib import PurePosixPath

from repository import CXX_SUFFIXES, Finding, Repository, run_lint

FUNCTION_LINES_MAX = 70
GLOBAL_FUNCTION_LINES_MAX = 150
CXX_FOLDERS = ("src/", "include/", "kernels/")

NOT_A_FUNCTION = re.compile(
    r"^\s*(?:\}?\s*(?:if|for|while|switch|else|do|try|catch)\b|namespace\b|class\b|struct\b|union\b|enum\b|"
    r"extern\b|static_assert\b|return\b)|=\s*(?:\[.*\].*)?\{$|\]\s*(?:\(.*\))?.*\{$"
)


def cxx_functions(text):
    """(line number of the body's start, lines, True if __global__) of every function body."""
    lines = text.splitlines()
    index = 0
    while index < len(lines):
        line = lines[index]
        index += 1
        if not line.endswith("{") or ")" not in signature(lines, index - 1):
            continue
        first = signature(lines, index - 1)
        if NOT_A_FUNCTION.search(line) or NOT_A_FUNCTION.match(first):
            continue
        indent = re.match(r"\s*", first)[0]
        end = next((i for i in range(index, len(lines)) if lines[i] == indent + "}"), None)
        if end is None:
            continue
        yield index, end - index + 2, "__global__" in first
        index = end + 1


def signature(lines, index):
    """The text of a declaration that ends in line `index`, from the line where it began."""
    begin = index
    while (
        begin > 0
        and lines[begin - 1].strip()
        and not re.search(r"[;{}:]$|^\s*//|^#", lines[begin - 1])
    ):
        begin -= 1
    return "\n".join(lines[begin : index + 1])


def python_functions(text):
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.lineno, node.end_lineno - node.lineno + 1, False


def functions(path, text):
    suffix = PurePosixPath(path).suffix
    if suffix in CXX_SUFFIXES and path.startswith(CXX_FOLDERS):
        return list(cxx_functions(text))
    return list(python_functions(text)) if suffix == ".py" else []


def check(repository):
    for path in repository.files():
        for line, length, is_global in functions(path, repository.text(path) or ""):
            most = GLOBAL_FUNCTION_LINES_MAX if is_global else FUNCTION_LINES_MAX
            if length > most:
                yield Finding(path, line, f"a function of {length} lines, at most {most}")


def report(repository):
    """Prints median, 90th percentile and maximum of file and function lengths of the C++ product code."""
    file_lines, function_lines = [], []
    for path in repository.files():
        if PurePosixPath(path).suffix in CXX_SUFFIXES and path.startswith(CXX_FOLDERS):
            text = repository.text(path)
            file_lines.append(text.count("\n"))
            function_lines += [length for _, length, _ in functions(path, text)]
    for name, values in (("files", file_lines), ("functions", function_lines)):
        values.sort()
        print(
            f"{name}: {len(values)}, lines median {statistics.median(values):.0f}, "
            f"p90 {values[len(values) * 9 // 10]}, max {values[-1]}"
        )


if __name__ == "__main__":
    if "--report" in sys.argv:
        report(Repository(PurePosixPath(__file__).parents[2]))
    else:
        run_lint(__doc__, check)
