#!/usr/bin/env python3
"""Compares #include lines and hadal_module() DEPS with the allow-lists in src/ARCHITECTURE.md.

The block fenced as ```layers holds lines `module, module → module module`: which modules' public headers a
module may include and link. `everything` allows all; `kernels/x` stands for each kernel family. The block
fenced as ```third-party holds lines `header-prefix → module module`; a prefix that is not listed may be
included anywhere. Rules:

  1. a module includes only modules of its row, and lists each of them in its DEPS;
  2. DEPS hold only modules of the row;
  3. a module never includes another one's private headers (src/<module>/...);
  4. a listed third-party header is included only by its modules;
  5. every hadal_module() has a row.
"""

import re
from pathlib import PurePosixPath

from repository import CXX_SUFFIXES, MODULE_KEYWORDS, Finding, cmake_calls, includes, run_lint

TABLE_FILE = "src/ARCHITECTURE.md"
EVERYTHING = "everything"


def fenced_block(text, tag):
    match = re.search(rf"^```{tag}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return match[1] if match else None


def parse_table(block):
    """{left name: set of right names} of lines `a, b → c d`."""
    table = {}
    for line in block.splitlines():
        if not line.strip():
            continue
        left, arrow, right = line.partition("→")
        if not arrow:
            raise ValueError(f"a line without an arrow in {TABLE_FILE}: {line!r}")
        for name in left.split(","):
            table.setdefault(name.strip(), set()).update(right.split())
    return table


class Layers:
    """The two tables, and which module a path belongs to."""

    def __init__(self, architecture):
        blocks = {tag: fenced_block(architecture, tag) for tag in ("layers", "third-party")}
        for tag, block in blocks.items():
            if block is None:
                raise ValueError(f"{TABLE_FILE} has no block fenced as ```{tag}")
        self.allowed = parse_table(blocks["layers"])
        self.third_party = parse_table(blocks["third-party"])

    def module_of(self, path):
        """The module whose folder holds `path` (relative to src or include/hadal), the longest name first."""
        for folder in PurePosixPath(path).parents:
            if str(folder) in self.allowed:
                return str(folder)
        return None

    def owner(self, file):
        """The module that a repository file belongs to, or None."""
        if file in ("src/main.cpp", "src/CMakeLists.txt"):
            return "main"
        for prefix in ("include/hadal/", "src/"):
            if file.startswith(prefix):
                return self.module_of(file.removeprefix(prefix))
        return kernel_family(file)

    def may_use(self, module, other):
        if module.startswith("kernels/"):
            row = {name.replace("kernels/x", module) for name in self.allowed.get("kernels/x", ())}
        else:
            row = self.allowed.get(module, set())
        wanted = "kernels" if other.startswith("kernels/") and "kernels" in row else other
        return module == other or EVERYTHING in row or wanted in row

    def users_of(self, header):
        """The modules that may include this third-party header, or None if all may."""
        for prefix, modules in self.third_party.items():
            if header.startswith(prefix):
                return modules
        return None


def kernel_family(path):
    parts = path.split("/")
    return "/".join(parts[:2]) if parts[0] == "kernels" and len(parts) > 2 else None


def included_module(layers, header, sources):
    """(module, True if the header is private) of a quoted include, or (None, False) for a local file."""
    if header.startswith("hadal/"):
        return layers.module_of(header.removeprefix("hadal/")), False
    if header.startswith("kernels/"):
        return kernel_family(header), False
    if "src/" + header in sources:
        return layers.module_of(header), True
    return None, False


def check_file(layers, path, text, module, deps, sources):
    for line, header, quoted in includes(text):
        users = layers.users_of(header)
        if users is not None and module not in users and module.split("/")[0] not in users:
            yield Finding(
                path, line, f"<{header}> is for {' '.join(sorted(users))} only, not {module}"
            )
        if not quoted:
            continue
        other, private = included_module(layers, header, sources)
        if other is None or other == module:
            continue
        if not layers.may_use(module, other):
            yield Finding(path, line, f"{module} may not include {other} ({TABLE_FILE})")
        elif private and module != "main":
            yield Finding(path, line, f'"{header}" is private to {other}')
        elif deps is not None and other not in deps and module != "main":
            yield Finding(path, line, f"{module} includes {other}, which its DEPS do not list")


def module_deps(repository, layers):
    """({module: its DEPS}, findings) from every hadal_module() line."""
    deps, findings = {}, []
    for path in repository.files():
        if not (path.startswith("src/") and path.endswith("CMakeLists.txt")):
            continue
        for call in cmake_calls(repository.text(path)):
            if call.name != "hadal_module":
                continue
            module = call.arguments[0]
            deps[module] = set(call.keyword("DEPS", MODULE_KEYWORDS))
            if module not in layers.allowed:
                findings.append(Finding(path, call.line, f"{module} has no row in {TABLE_FILE}"))
                continue
            for other in sorted(deps[module]):
                if not layers.may_use(module, other):
                    findings.append(Finding(path, call.line, f"{module} may not link {other}"))
    return deps, findings


def check(repository):
    layers = Layers(repository.text(TABLE_FILE))
    deps, findings = module_deps(repository, layers)
    files = repository.files()
    sources = {f for f in files if f.startswith("src/")}
    for path in files:
        module = layers.owner(path)
        if module and PurePosixPath(path).suffix in CXX_SUFFIXES:
            findings += check_file(
                layers, path, repository.text(path), module, deps.get(module), sources
            )
    return findings


if __name__ == "__main__":
    run_lint(__doc__, check)
