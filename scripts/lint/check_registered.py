#!/usr/bin/env python3
"""Finds what no test would ever notice: test sources that no CMake file names, scripts without --help.

1. every tests/**/*_test.cpp (and .cu) is named by a hadal_module(), hadal_tests() or
   hadal_gpu_tests() line;
2. every file such a line names exists;
3. every Python test below tests/ is named in a CMake file;
4. a file is executable exactly if it starts with #!;
5. every executable script answers --help with exit status 0 and a text that says how it is used. Scripts
   that import torch, which the test environment does not install, must describe themselves to argparse.
"""

import re
import subprocess
import sys
from pathlib import PurePosixPath

from repository import MODULE_KEYWORDS, TESTS_KEYWORDS, Finding, cmake_calls, run_lint

HELP_SECONDS_MAX = 20
NEEDS_PACKAGES = re.compile(r"^(?:import|from) (?:numpy|openai|tokenizers|torch)\b", re.MULTILINE)
ARGPARSE_HELP = re.compile(r"ArgumentParser\(\s*description=")


def registered_sources(repository):
    """{test source: the CMake file that names it}."""
    sources = {}
    for path in repository.files():
        if PurePosixPath(path).name != "CMakeLists.txt":
            continue
        for call in cmake_calls(repository.text(path)):
            if call.name == "hadal_module":
                names = call.keyword("TESTS", MODULE_KEYWORDS) + call.keyword(
                    "GOLDEN", MODULE_KEYWORDS
                )
            elif call.name in ("hadal_tests", "hadal_gpu_tests"):
                names = call.keyword("SOURCES", TESTS_KEYWORDS)
            else:
                continue
            for name in names:
                sources[f"tests/{call.arguments[0]}/{name}"] = path
    return sources


def check_tests(repository):
    files, registered = set(repository.files()), registered_sources(repository)
    cmake_text = "\n".join(
        repository.text(path) for path in files if PurePosixPath(path).name == "CMakeLists.txt"
    )
    for path in sorted(files):
        name = PurePosixPath(path).name
        if not path.startswith("tests/"):
            continue
        if re.search(r"_test\.(cpp|cu)$", name) and path not in registered:
            yield Finding(path, 0, "no hadal_module() or hadal_tests() line names this test")
        if re.fullmatch(r"(test_.*|.*_test)\.py", name) and not names_python_test(cmake_text, name):
            yield Finding(path, 0, "no CMakeLists.txt names this test")
    for path, cmake_file in registered.items():
        if path not in files and "$" not in path:
            yield Finding(cmake_file, 0, f"names {path}, which does not exist")


def names_python_test(cmake_text, name):
    """True if a CMake file holds the file's name or its stem as a word."""
    return re.search(rf"\b{re.escape(PurePosixPath(name).stem)}\b", cmake_text) is not None


def check_help(repository, path, text):
    """Findings about the --help of one executable script."""
    if NEEDS_PACKAGES.search(text):
        if not ARGPARSE_HELP.search(text):
            yield Finding(path, 0, "gives argparse no description")
        return
    command = [sys.executable] if path.endswith(".py") else ["bash"]
    try:
        run = subprocess.run(
            [*command, str(repository.root / path), "--help"],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=HELP_SECONDS_MAX,
            check=False,
        )
    except subprocess.TimeoutExpired:
        yield Finding(path, 0, f"--help does not return within {HELP_SECONDS_MAX} s")
        return
    if run.returncode != 0 or "usage" not in run.stdout.lower():
        last_line = (run.stderr.strip().splitlines() or [""])[-1]
        yield Finding(
            path, 0, f"--help gives status {run.returncode} and no usage text: {last_line}"
        )


def check_scripts(repository):
    for path in repository.files():
        text = repository.text(path)
        has_shebang = text is not None and text.startswith("#!")
        if has_shebang != repository.is_executable(path):
            yield Finding(path, 0, "is executable without #!, or has #! without being executable")
        elif has_shebang:
            yield from check_help(repository, path, text)


def check(repository):
    return [*check_tests(repository), *check_scripts(repository)]


if __name__ == "__main__":
    run_lint(__doc__, check)
