#!/usr/bin/env bash
# Collects what a machine with a GPU needs to run the GPU tests and benchmarks of a build made
# elsewhere: the stripped programs, the libraries that are not part of every Linux, the scripts.
#
#   scripts/gpu_bundle.sh BUILD_DIR BUNDLE_DIR
set -euo pipefail
if [[ ${1:-} == --help ]]; then
  echo "usage: $0 BUILD_DIR BUNDLE_DIR"
  exit 0
fi
if [[ $# -ne 2 ]]; then
  echo "usage: $0 BUILD_DIR BUNDLE_DIR" >&2
  exit 2
fi
build=$1
bundle=$2
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$bundle/tests" "$bundle/lib"
rm -f "$bundle"/tests/* "$bundle"/lib/*

mapfile -t programs < <(find "$build" -type f -name '*_gpu_tests' | sort)
for program in "${programs[@]}"; do
  strip -o "$bundle/tests/$(basename "$program")" "$program"
done
strip -o "$bundle/hadal_kernel_bench" "$build/bench/kernels/hadal_kernel_bench"
for program in "$bundle"/tests/* "$bundle/hadal_kernel_bench"; do
  ldd "$program" | awk '/libfmt|libspdlog|libgtest|libgmock/ {print $3}'
done | sort -u | xargs -r cp -L -t "$bundle/lib"
cp "$here/gpu_test.sh" "$here/gpu_bench.sh" "$bundle/"
git -C "$here" describe --always --dirty --abbrev=12 >"$bundle/commit"
du -sh "$bundle"
