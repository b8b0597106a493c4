"""What the lint scripts share: the files of the repository, C++ includes, CMake calls, and how to report."""

import argparse
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

CXX_SUFFIXES = {".h", ".cpp", ".cu", ".cuh"}
SKIPPED_FOLDERS = {".git", "build", ".cache", "__pycache__"}


@dataclass(frozen=True)
class Finding:
    """One broken rule; `line` is 1-based, 0 when the whole file is meant."""

    path: str
    line: int
    message: str

    def __str__(self):
        place = f"{self.path}:{self.line}" if self.line else self.path
        return f"{place}: {self.message}"


class Repository:
    """The files under `root` that belong to the repository, as paths relative to it with forward slashes."""

    def __init__(self, root):
        self.root = Path(root).resolve()

    def files(self):
        """Tracked files and new ones that git does not ignore; without git, everything but build output."""
        command = ["git", "-C", str(self.root), "ls-files", "-z", "--cached", "--others"]
        listing = subprocess.run([*command, "--exclude-standard"], capture_output=True, check=False)
        if (self.root / ".git").exists() and listing.returncode == 0:
            names = {name for name in listing.stdout.decode().split("\0") if name}
        else:
            names = self._walk()
        return sorted(name for name in names if (self.root / name).is_file())

    def _walk(self):
        for folder, subfolders, names in os.walk(self.root):
            subfolders[:] = [name for name in subfolders if name not in SKIPPED_FOLDERS]
            for name in names:
                yield (Path(folder) / name).relative_to(self.root).as_posix()

    def text(self, path):
        """The file's text, or None for a binary one."""
        data = (self.root / path).read_bytes()
        if b"\0" in data[:8192]:
            return None
        return data.decode("utf-8", errors="replace")

    def is_executable(self, path):
        return os.access(self.root / path, os.X_OK)


INCLUDE = re.compile(r'^\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)')


def includes(text):
    """(line number, header, True if quoted) for every #include line."""
    for number, line in enumerate(text.splitlines(), 1):
        if match := INCLUDE.match(line):
            yield number, match[1] or match[2], match[1] is not None


@dataclass(frozen=True)
class CMakeCall:
    """A command with its arguments split at white space; `name` is lower case."""

    name: str
    arguments: tuple
    line: int

    def keyword(self, word, all_keywords):
        """The arguments after `word`, up to the next of `all_keywords`."""
        values, inside = [], False
        for argument in self.arguments:
            if argument in all_keywords:
                inside = argument == word
            elif inside:
                values.append(argument)
        return values


CMAKE_CALL = re.compile(r"^[ \t]*(\w+)[ \t]*\(", re.MULTILINE)


def cmake_calls(text):
    """The commands of a CMake file. Quotes group nothing here: our module lines hold plain words only."""
    text = re.sub(r"#.*", "", text)
    for match in CMAKE_CALL.finditer(text):
        depth, end = 1, match.end()
        while depth and end < len(text):
            depth += {"(": 1, ")": -1}.get(text[end], 0)
            end += 1
        arguments = tuple(text[match.end() : end - 1].split())
        yield CMakeCall(match[1].lower(), arguments, text.count("\n", 0, match.start()) + 1)


MODULE_KEYWORDS = ("HEADERS", "SOURCES", "DEPS", "LIBS", "TESTS", "GOLDEN")
TESTS_KEYWORDS = ("LINK", "SOURCES", "TIMEOUT")


def run_lint(description, check):
    """Parses --root, runs check(Repository) and prints its findings. Exit status 1 if there are any."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default_root = Path(__file__).resolve().parents[2]
    parser.add_argument(
        "--root", default=default_root, help="repository to check (default: this one)"
    )
    arguments = parser.parse_args()
    findings = sorted(check(Repository(arguments.root)), key=lambda f: (f.path, f.line, f.message))
    for finding in findings:
        print(finding)
    print(f"{len(findings)} findings")
    sys.exit(1 if findings else 0)
