#!/usr/bin/env bash
# Puts cpp-httplib's header into the dependency cache: see usage below.
set -euo pipefail

usage() {
  cat <<'TEXT'
Usage: scripts/deps/fetch_httplib.sh [--force] [--help]

Makes cpp-httplib >= 0.41 available to the build:
  1. nothing to do if pkg-config finds cpp-httplib >= 0.41 on the system;
  2. nothing to do if the cache holds a header already (--force fetches it again);
  3. else the newest version listed in scripts/deps/cpp-httplib.versions is taken from the Debian (or
     Ubuntu) source archive through apt, with lists and sources of its own: the machine's apt
     configuration is not changed, and root is not needed. The archive's signature and the listed
     SHA-256 are checked. If the archive has moved on, its newest version is taken with a warning.

The cache is $HADAL_DEPS_DIR, by default ~/.cache/hadal; delete it at any time.
If this script fails, CMake tries the pinned header from GitHub (scripts/cmake/httplib.cmake).
TEXT
}

readonly version_min=0.41
readonly here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly versions_file=$here/cpp-httplib.versions
readonly cache=${HADAL_DEPS_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/hadal}
readonly header=$cache/cpp-httplib/httplib.h

say() { printf 'cpp-httplib: %s\n' "$*"; }
die() { printf 'cpp-httplib: %s\n' "$*" >&2; exit 1; }

# The suites that carry a newer source package than a stable release does, per distribution.
suites_of_this_machine() {
  # shellcheck disable=SC1091
  case "$(. /etc/os-release && printf '%s %s' "$ID" "${ID_LIKE:-}")" in
    debian*) echo "sid testing" ;;
    ubuntu* | *ubuntu*) echo "devel" ;;
    *) die "only Debian and Ubuntu are known here; put httplib.h >= $version_min into $(dirname "$header")" ;;
  esac
}

# The first archive this machine installs from, so that a local mirror is honoured.
archive_uri() {
  apt-get indextargets --format '$(REPO_URI)|$(CREATED_BY)|$(LABEL)' |
    awk -F'|' '$2 == "Packages" && ($3 == "Debian" || $3 == "Ubuntu") { print $1; exit }'
}

# The keys that sign the distribution's archive; without the option apt falls back to its trusted set.
signed_by_option() {
  local keyring
  for keyring in /usr/share/keyrings/{debian,ubuntu}-archive-keyring.{gpg,pgp}; do
    if [[ -r $keyring ]]; then
      echo "[signed-by=$keyring]"
      return
    fi
  done
}

private_apt() {  # tool, arguments...
  local tool=$1
  shift
  "$tool" -o Dir::Etc::sourcelist="$work/sources.list" -o Dir::Etc::sourceparts=- \
    -o Dir::State::lists="$work/lists" -o Dir::Cache="$work/cache" -o APT::Sandbox::User= "$@"
}

# Prints "debian-version orig-sha256" of every source package in the private lists, newest first.
offered_versions() {
  private_apt apt-cache showsrc cpp-httplib 2>/dev/null | awk '
    /^Version:/ { version = $2 }
    /^Checksums-Sha256:/ { in_sums = 1; next }
    /^[^ ]/ { in_sums = 0 }
    in_sums && $3 ~ /\.orig\.tar\./ { print version, $1 }' | sort -u -V -r
}

# Prints "debian-version orig-sha256" of the version to take: the newest listed one, else the newest.
chosen_version() {  # offered
  local offered=$1 known_version known_sum version sum
  while read -r known_version known_sum; do
    [[ -z $known_version || $known_version == \#* ]] && continue
    while read -r version sum; do
      if [[ ${version%%[-+~]*} == "$known_version" && $sum == "$known_sum" ]]; then
        echo "$version $sum"
        return
      fi
    done <<<"$offered"
  done <"$versions_file"
  read -r version sum <<<"$offered"
  dpkg --compare-versions "$version" ge "$version_min" || return 0
  say "WARNING: the archive offers $version, which is not listed in $versions_file." >&2
  say "WARNING: taking it; if the build and the server tests pass, add it to that list." >&2
  echo "$version $sum"
}

install_header() {  # debian version, sha256 of the orig tarball
  local version=$1 sum=$2
  (cd "$work" && private_apt apt-get source --download-only --quiet=2 "cpp-httplib=$version") ||
    die "apt-get source cpp-httplib=$version failed; see its message above"
  local tarball
  tarball=$(ls "$work"/cpp-httplib_*.orig.tar.*)
  echo "$sum  $tarball" | sha256sum --check --quiet || die "SHA-256 of $tarball is not $sum"
  mkdir -p "$work/unpacked" "$(dirname "$header")"
  tar -xf "$tarball" -C "$work/unpacked" --strip-components=1
  [[ -f $work/unpacked/httplib.h ]] || die "$tarball holds no httplib.h"
  # A rename, so that a build running beside this never sees half a header.
  cp "$work/unpacked/httplib.h" "$header.$$"
  mv "$header.$$" "$header"
  say "version $version is in $header"
}

main() {
  local force=0
  case "${1:-}" in
    --help | -h) usage; exit 0 ;;
    --force) force=1 ;;
    "") ;;
    *) usage >&2; exit 2 ;;
  esac
  if pkg-config --exists "cpp-httplib >= $version_min" 2>/dev/null; then
    say "the system's $(pkg-config --modversion cpp-httplib) is new enough"
    exit 0
  fi
  if [[ -f $header && $force == 0 ]]; then
    say "$(grep -m1 -o 'CPPHTTPLIB_VERSION "[^"]*"' "$header") is in $header already"
    exit 0
  fi

  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  local uri suites suite offered choice
  uri=$(archive_uri)
  [[ -n $uri ]] || die "apt knows no archive; run apt-get update first"
  suites=$(suites_of_this_machine)
  mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
  for suite in $suites; do
    local component=main
    [[ $suite == devel ]] && component=universe
    say "reading the source list of $suite from $uri"
    echo "deb-src $(signed_by_option) $uri $suite $component" >"$work/sources.list"
    private_apt apt-get update --quiet=2 || { say "$suite cannot be read" >&2; continue; }
    offered=$(offered_versions)
    [[ -n $offered ]] || { say "$suite has no cpp-httplib" >&2; continue; }
    choice=$(chosen_version "$offered")
    [[ -n $choice ]] || { say "$suite has only $(echo "$offered" | head -1)" >&2; continue; }
    # shellcheck disable=SC2086
    install_header $choice
    exit 0
  done
  die "no suite of '$suites' offers cpp-httplib >= $version_min; put httplib.h into $(dirname "$header") by hand"
}

main "$@"
