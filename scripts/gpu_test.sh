#!/usr/bin/env bash
# Runs the GPU tests of a bundle (scripts/gpu_bundle.sh), each program once.
#
#   gpu_test.sh [--sanitize] [BUNDLE_DIR]      BUNDLE_DIR: default, the script's own folder
#
# --sanitize also runs a small selection under compute-sanitizer memcheck and racecheck.
set -uo pipefail
if [[ ${1:-} == --help ]]; then
  echo "usage: $0 [--sanitize] [BUNDLE_DIR]"
  exit 0
fi
sanitize=0
if [[ ${1:-} == --sanitize ]]; then
  sanitize=1
  shift
fi
bundle=${1:-$(cd "$(dirname "$0")" && pwd)}
export LD_LIBRARY_PATH="$bundle/lib:${LD_LIBRARY_PATH:-}"
nvidia-smi --query-gpu=name,driver_version --format=csv,noheader
echo "commit $(cat "$bundle/commit")"
failed=0
for program in "$bundle"/tests/*; do
  echo "== $(basename "$program")"
  timeout 240 "$program" --gtest_brief=1 || failed=1
done
if [[ $sanitize -eq 1 ]]; then
  # One test or two a family: under the tools everything runs a hundred times slower.
  declare -A selection=(
    [fp8_gemm]='Fp8Gemm.FewBlocks*'
    [mla]='*.SanitizerSelection'
    [moe]='Moe.MatchesTheTwinWithSeveralChannelBlocks'
    [norm]='AddNormQuant.AnAll*:RopeQuery.*:NormRopeCache.*'
  )
  for tool in memcheck racecheck; do
    for family in "${!selection[@]}"; do
      echo "== compute-sanitizer $tool $family"
      timeout 100 compute-sanitizer --tool "$tool" --error-exitcode 9 --print-limit 5 \
        "$bundle/tests/hadal_kernels_${family}_gpu_tests" --gtest_brief=1 \
        --gtest_filter="${selection[$family]}" || failed=1
    done
  done
fi
[[ $failed -eq 0 ]] && echo "GPU tests: all passed" || echo "GPU tests: FAILED"
exit $failed
