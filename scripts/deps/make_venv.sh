#!/usr/bin/env bash
# Makes the Python environment of the tests: see usage below.
set -euo pipefail

usage() {
  cat <<'TEXT'
Usage: scripts/deps/make_venv.sh [--help]

Makes build/venv with the packages that tests/requirements.txt pins. Does nothing if it is there and the
pins have not changed. Python is used by tests and scripts only; the server needs none.
TEXT
}

readonly root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
readonly venv=$root/build/venv
readonly requirements=$root/tests/requirements.txt
readonly installed=$venv/installed_requirements.txt

die() { printf 'make_venv: %s\n' "$*" >&2; exit 1; }

main() {
  case "${1:-}" in
    --help | -h) usage; exit 0 ;;
    "") ;;
    *) usage >&2; exit 2 ;;
  esac
  if cmp --quiet "$requirements" "$installed" && "$venv/bin/python" -c 'import numpy, openai'; then
    echo "make_venv: $venv is as pinned"
    exit 0
  fi
  echo "make_venv: making $venv"
  rm -rf "$venv"
  python3 -m venv "$venv" || die "python3 -m venv failed; scripts/install_deps.sh installs python3-venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$requirements" ||
    die "pip install failed; check that PyPI, or the index that pip is set up for, can be reached"
  cp "$requirements" "$installed"
}

main "$@"
