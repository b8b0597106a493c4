#!/usr/bin/env bash
# Installs what building and testing needs: see usage below.
set -euo pipefail

usage() {
  cat <<'TEXT'
Usage: scripts/install_deps.sh [--build-only] [--help]

Installs, on Debian 12 or Ubuntu 24.04 and newer, the packages that Hadal's build and tests need, and
fetches cpp-httplib's header (scripts/deps/fetch_httplib.sh). Only what is missing is installed, so a
second run changes nothing. Needs root, or sudo, and only if something is missing.

  --build-only   leave out what only tests, benchmarks and checks need
TEXT
}

readonly root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly build_packages=(
  g++ cmake ninja-build ccache pkg-config ca-certificates curl xz-utils
  nlohmann-json3-dev libspdlog-dev libfmt-dev libcli11-dev libyaml-cpp-dev libssl-dev)
readonly test_packages=(
  libgtest-dev libgmock-dev libbenchmark-dev libonig-dev clang-format git python3 python3-venv)
readonly cmake_version_min=3.25
readonly gcc_version_min=12

say() { printf 'install_deps: %s\n' "$*"; }
die() { printf 'install_deps: %s\n' "$*" >&2; exit 1; }

is_installed() {  # package
  [[ $(dpkg-query --show --showformat='${db:Status-Status}' "$1" 2>/dev/null) == installed ]]
}

as_root() {
  if [[ $(id -u) == 0 ]]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    die "needs root for: $*; run this as root or install sudo"
  fi
}

install_packages() {  # packages...
  local missing=() package
  for package in "$@"; do
    is_installed "$package" || missing+=("$package")
  done
  if [[ ${#missing[@]} == 0 ]]; then
    say "all $# packages are installed"
    return
  fi
  say "installing ${missing[*]}"
  as_root apt-get update --quiet=2 || die "apt-get update failed; check the network and /etc/apt"
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet=2 --no-install-recommends \
    "${missing[@]}" || die "apt-get install failed; its message above names the package"
}

# Without package lists apt does not even name the archive that the header comes from.
ensure_package_lists() {
  [[ -n $(apt-get indextargets 'Created-By: Packages') ]] || as_root apt-get update --quiet=2
}

# apt gives whatever the release holds, and an older release holds tools too old for C++20.
check_version() {  # tool, found, wanted
  dpkg --compare-versions "$2" ge "$3" ||
    die "$1 is $2, wanted >= $3; use Debian 12, Ubuntu 24.04 or newer"
}

main() {
  local packages=("${build_packages[@]}" "${test_packages[@]}")
  case "${1:-}" in
    --help | -h) usage; exit 0 ;;
    --build-only) packages=("${build_packages[@]}") ;;
    "") ;;
    *) usage >&2; exit 2 ;;
  esac
  command -v apt-get >/dev/null ||
    die "only Debian and Ubuntu are known here; install by hand: ${packages[*]}"
  install_packages "${packages[@]}"
  check_version cmake "$(cmake --version | awk 'NR == 1 { print $3 }')" "$cmake_version_min"
  check_version g++ "$(g++ -dumpfullversion)" "$gcc_version_min"
  ensure_package_lists
  # CMake has a second way to the header, so a failure here is not the end.
  "$root/scripts/deps/fetch_httplib.sh" || say "going on without; CMake will try to download the header"
}

main "$@"
