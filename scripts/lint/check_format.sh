#!/usr/bin/env bash
# Checks C++ formatting: see usage below.
set -euo pipefail

usage() {
  cat <<'TEXT'
Usage: scripts/lint/check_format.sh [--fix] [--help]

Compares every C++ and CUDA file with .clang-format. Formatting differs between clang-format releases, so
the major version is pinned. Without that version the check is skipped, with exit status 77 and a line
that says so.

  --fix   rewrite the files instead of reporting them
TEXT
}

readonly major_wanted=14
readonly skip_status=77
readonly root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

clang_format() {
  local name
  for name in "clang-format-$major_wanted" clang-format; do
    if command -v "$name" >/dev/null && [[ $("$name" --version) =~ version\ $major_wanted\. ]]; then
      echo "$name"
      return
    fi
  done
}

main() {
  local mode=(--dry-run --Werror)
  case "${1:-}" in
    --help | -h) usage; exit 0 ;;
    --fix) mode=(-i) ;;
    "") ;;
    *) usage >&2; exit 2 ;;
  esac
  local tool
  tool=$(clang_format)
  if [[ -z $tool ]]; then
    echo "SKIP: clang-format $major_wanted is not installed; formatting was not checked"
    exit "$skip_status"
  fi
  cd "$root"
  git ls-files -z --cached --others --exclude-standard -- '*.h' '*.cpp' '*.cu' '*.cuh' |
    xargs -0 -r -n 32 "$tool" --style=file "${mode[@]}"
}

main "$@"
