#!/usr/bin/env bash
# Builds Hadal and runs its tests: see usage below.
set -euo pipefail

usage() {
  cat <<'TEXT'
Usage: scripts/test.sh [--preset NAME] [--no-install] [ctest arguments...]

Installs what is missing, builds, makes the bf16 and NVFP4 forms of the test model and runs every test that
needs no GPU and is not slow. Further arguments go to ctest, for example: scripts/test.sh -L unit

  --preset NAME   host (the default), dev, release, asan, ubsan or tsan; see CMakePresets.json
  --no-install    do not install or fetch anything
TEXT
}

readonly root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

step() { printf '\n== %s\n' "$*"; }
die() { printf 'test: %s\n' "$*" >&2; exit 1; }

main() {
  local preset=host install=1
  while [[ $# -gt 0 ]]; do
    case "$1" in
      --help | -h) usage; exit 0 ;;
      --preset) [[ $# -ge 2 ]] || die "--preset needs a name"; preset=$2; shift 2 ;;
      --no-install) install=0; shift ;;
      *) break ;;
    esac
  done
  cd "$root"
  if [[ $install == 1 ]]; then
    step "Dependencies"
    scripts/install_deps.sh
    scripts/deps/make_venv.sh
  fi
  step "Test models"
  build/venv/bin/python scripts/tiny_r1/make_formats.py --out "build/$preset/models" ||
    die "the test models could not be made; see above"
  step "Build, preset $preset"
  cmake --preset "$preset"
  cmake --build --preset "$preset" || die "the build failed; the first error above names file and line"
  step "Tests, preset $preset"
  ctest --preset "$preset" --parallel "$(nproc)" "$@"
}

main "$@"
