#!/usr/bin/env bash
# From a fresh clone to a streamed answer: see usage below.
set -euo pipefail

usage() {
  cat <<'TEXT'
Usage: scripts/quickstart.sh [--port N] [--question TEXT] [--stop] [--help]

Installs what is missing, builds Hadal, starts it on the bundled model (tiny-r1, 24 MB), waits until it is
ready, asks one question, prints the streamed answer and leaves the server running. A second run replaces
the server that the first one left. Works on Debian 12, Ubuntu 24.04 and newer, as root or with sudo.

  --port N          port on 127.0.0.1 (default 8000)
  --question TEXT   what to ask
  --stop            stop the server that an earlier run left, and nothing else
TEXT
}

readonly root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly build=$root/build/release
readonly binary=$build/src/hadal
readonly log=$build/quickstart.log
readonly pid_file=$build/quickstart.pid
readonly ready_seconds_max=60
port=8000
question='Tom has 3 boxes with 4 apples each. He eats 2. How many are left?'

step() { printf '\n== %s\n' "$*"; }
die() { printf 'quickstart: %s\n' "$*" >&2; exit 1; }

# Ends the server of an earlier run, if the recorded process still is our binary.
stop_earlier_server() {
  local pid
  [[ -f $pid_file ]] || return 0
  pid=$(<"$pid_file")
  rm -f "$pid_file"
  [[ $(readlink "/proc/$pid/exe" 2>/dev/null) == "$binary"* ]] || return 0
  echo "stopping the server of an earlier run (process $pid)"
  kill -TERM "$pid"
  while kill -0 "$pid" 2>/dev/null; do sleep 0.1; done
}

build_hadal() {
  # A machine without a GPU needs none of the CUDA half, even where a compiler is installed.
  local cuda=OFF
  if command -v nvidia-smi >/dev/null && nvidia-smi --list-gpus >/dev/null 2>&1; then
    cuda=AUTO
  fi
  cmake --preset release -DHADAL_TESTS=OFF -DHADAL_CUDA="$cuda"
  cmake --build --preset release --target hadal || die "the build failed; the first error above names file and line"
}

port_is_taken() {
  (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null
}

start_server() {
  ! port_is_taken || die "port $port is taken by another program; choose one with --port"
  setsid nohup "$binary" serve "$root/tests/models/tiny-r1" --config "$root/configs/tiny-r1.yaml" \
    --port "$port" >"$log" 2>&1 </dev/null &
  echo $! >"$pid_file"
}

wait_until_ready() {
  local pid deadline=$((SECONDS + ready_seconds_max))
  pid=$(<"$pid_file")
  until curl --silent --fail --output /dev/null "http://127.0.0.1:$port/ready"; do
    kill -0 "$pid" 2>/dev/null || { cat "$log" >&2; die "the server ended; its log is above"; }
    [[ $SECONDS -lt $deadline ]] || { cat "$log" >&2; die "not ready after $ready_seconds_max s; its log is above"; }
    sleep 0.05
  done
}

show_what_to_try() {
  cat <<TEXT

The server runs at http://127.0.0.1:$port (log: $log). Try:

  curl -N http://127.0.0.1:$port/v1/chat/completions -H 'Content-Type: application/json' \\
    -d '{"messages": [{"role": "user", "content": "What is the capital of France?"}], "stream": true}'

  $binary chat --url http://127.0.0.1:$port
  scripts/quickstart.sh --stop
TEXT
}

main() {
  local only_stop=0
  while [[ $# -gt 0 ]]; do
    case "$1" in
      --help | -h) usage; exit 0 ;;
      --port) [[ $# -ge 2 ]] || die "--port needs a number"; port=$2; shift 2 ;;
      --question) [[ $# -ge 2 ]] || die "--question needs a text"; question=$2; shift 2 ;;
      --stop) only_stop=1; shift ;;
      *) usage >&2; exit 2 ;;
    esac
  done
  [[ $port =~ ^[0-9]+$ ]] || die "--port is '$port', wanted a number"
  cd "$root"
  stop_earlier_server
  [[ $only_stop == 0 ]] || exit 0
  step "Dependencies"
  scripts/install_deps.sh --build-only
  step "Build"
  build_hadal
  step "Start"
  start_server
  wait_until_ready
  step "You: $question"
  "$binary" chat --url "http://127.0.0.1:$port" --temperature 0 <<<"$question" ||
    die "the server did not answer; its log is $log"
  show_what_to_try
}

main "$@"
