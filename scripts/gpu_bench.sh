#!/usr/bin/env bash
# Checks and benchmarks the kernels of a bundle (scripts/gpu_bundle.sh) in one call of less than
# eight minutes: the GPU tests, then the table, then kernels.json in OUT_DIR.
#
#   gpu_bench.sh OUT_DIR [FAMILY...]
set -uo pipefail
if [[ ${1:-} == --help ]]; then
  echo "usage: $0 OUT_DIR [FAMILY...]"
  exit 0
fi
if [[ $# -lt 1 ]]; then
  echo "usage: $0 OUT_DIR [FAMILY...]" >&2
  exit 2
fi
bundle=$(cd "$(dirname "$0")" && pwd)
out=$1
shift
export LD_LIBRARY_PATH="$bundle/lib:${LD_LIBRARY_PATH:-}"
"$bundle/gpu_test.sh" "$bundle" >"$out/tests.log" 2>&1
tests=$?
tail -n 40 "$out/tests.log"
set -o pipefail
timeout 240 "$bundle/hadal_kernel_bench" --json "$out/kernels.json" --commit "$(cat "$bundle/commit")" "$@" \
  2>&1 | tee "$out/bench.log"
exit $((tests + $?))
