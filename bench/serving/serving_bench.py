#!/usr/bin/env python3
"""Measures `hadal serve` on this machine: start, throughput over HTTP, memory over many requests.

  bench/serving/serving_bench.py --binary build/release/src/hadal          everything, some minutes
  bench/serving/serving_bench.py --only throughput --mode async-k3 --streams 1 8

Writes bench/results/<machine>/<date>-<commit>.json (or --out) and prints a table. The model is the bundled
tiny-r1 in FP8, the questions are the held-out problems of tier H, answered greedily to their end; each client
asks the next as soon as one is answered. Client and server share the machine.
"""

import argparse
import datetime
import itertools
import json
import os
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

import load

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "e2e"))

MODES = {
    "sync-k0": (),
    "sync-k3": (
        "--speculative-config.method=mtp",
        "--speculative-config.num-speculative-tokens=3",
    ),
    "async-k0": ("--async-scheduling",),
    "async-k3": (
        "--async-scheduling",
        "--speculative-config.method=mtp",
        "--speculative-config.num-speculative-tokens=3",
    ),
}
STARTS = 7
WARM_UP_REQUESTS = 8
REQUESTS_PER_STREAM = {1: 48, 8: 24, 32: 12}
REPETITIONS = 3
MEMORY_REQUESTS = 10_000
MEMORY_STREAMS = 8
MEMORY_SAMPLE_EVERY = 500
MEMORY_TOKENS = 4


# ---- what is asked ----


def questions():
    """Bodies of streaming requests, repeating after 512."""
    lines = (ROOT / "tests/eval/arith_hard.jsonl").read_text(encoding="utf-8").splitlines()
    for line in itertools.cycle(lines):
        yield json.loads(line)["messages"]


def bodies(count, max_tokens=512):
    for messages in itertools.islice(questions(), count):
        request = {
            "messages": messages,
            "temperature": 0,
            "max_tokens": max_tokens,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        yield json.dumps(request).encode()


# ---- measurements ----


def measure_start(server_class):
    """Seconds from process start until the port is bound and until /ready says 200, over several starts."""
    bound, ready = [], []
    for _ in range(STARTS):
        server = server_class()
        bound.append(server.wait_listening())
        ready.append(server.wait_ready())
        resident = resident_bytes(server.process.pid)
        server.terminate()
    return {
        "bound_s_median": round(statistics.median(bound), 4),
        "ready_s_median": round(statistics.median(ready), 4),
        "ready_s_max": round(max(ready), 4),
        "resident_mb_when_ready": megabytes(resident),
    }


def quantile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def measure_throughput(server_class, mode, streams):
    """Output tokens per second, best of some runs, with the latencies of that run."""
    with server_class(*MODES[mode]) as server:
        load.run(server.port, bodies(WARM_UP_REQUESTS), min(streams, WARM_UP_REQUESTS))
        runs = []
        for _ in range(REPETITIONS):
            count = REQUESTS_PER_STREAM.get(streams, 16) * streams
            begin = time.monotonic()
            samples = load.run(server.port, bodies(count), streams)
            seconds = time.monotonic() - begin
            runs.append((sum(s.completion_tokens for s in samples) / seconds, samples))
    rate, samples = max(runs, key=lambda run: run[0])
    gaps = [b - a for s in samples for a, b in zip(s.received, s.received[1:])]
    return {
        "mode": mode,
        "streams": streams,
        "requests": len(samples),
        "output_tokens_per_s": round(rate, 1),
        "output_tokens_per_s_of_all_runs": [round(r, 1) for r, _ in runs],
        "ttft_ms_p50": round(1000 * quantile([s.first for s in samples], 0.5), 2),
        "ttft_ms_p99": round(1000 * quantile([s.first for s in samples], 0.99), 2),
        "gap_ms_p50": round(1000 * quantile(gaps, 0.5), 2),
        "gap_ms_p99": round(1000 * quantile(gaps, 0.99), 2),
    }


def measure_memory(server_class):
    """Resident memory while many requests pass."""
    with server_class(*MODES["async-k3"]) as server:
        resident = [resident_bytes(server.process.pid)]
        for _ in range(MEMORY_REQUESTS // MEMORY_SAMPLE_EVERY):
            load.run(server.port, bodies(MEMORY_SAMPLE_EVERY, MEMORY_TOKENS), MEMORY_STREAMS)
            resident.append(resident_bytes(server.process.pid))
        peak = peak_bytes(server.process.pid)
    after_first_tenth = resident[1 + len(resident) // 10]
    return {
        "requests": MEMORY_REQUESTS,
        "streams": MEMORY_STREAMS,
        "resident_mb": [megabytes(value) for value in resident],
        "peak_mb": megabytes(peak),
        "growth_mb_after_first_tenth": megabytes(resident[-1] - after_first_tenth),
    }


def status_bytes(pid, field):
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(rf"^{field}:\s+(\d+) kB", status, re.MULTILINE)[1]) * 1024


def resident_bytes(pid):
    return status_bytes(pid, "VmRSS")


def peak_bytes(pid):
    return status_bytes(pid, "VmHWM")


def megabytes(value):
    return round(value / 1e6, 1)


# ---- where and what was measured ----


def cpu_name():
    info = Path("/proc/cpuinfo").read_text()
    match = re.search(r"^model name\s*: (.*)$", info, re.MULTILINE)
    return match[1].strip() if match else "unknown"


def machine():
    return {
        "cpu": cpu_name(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9),
    }


def machine_folder(found):
    """A folder name such as intel-xeon-platinum-8481c-2-cores."""
    name = re.sub(r"\(r\)|\(tm\)|cpu|processor|@.*", "", found["cpu"].lower())
    return re.sub(r"[^a-z0-9]+", "-", f"{name} {found['cores']} cores").strip("-")


def commit():
    """Short hash, with a mark if the tree differs from it."""
    git = ["git", "-C", str(ROOT)]
    short = subprocess.run(
        [*git, "rev-parse", "--short=10", "HEAD"], capture_output=True, text=True
    )
    changed = subprocess.run(
        [*git, "status", "--porcelain", "-uno"], capture_output=True, text=True
    )
    return short.stdout.strip() + ("-changed" if changed.stdout.strip() else "")


# ---- report ----


def print_table(result):
    if start := result.get("start"):
        print(
            f"port bound after {1000 * start['bound_s_median']:.0f} ms, ready after "
            f"{1000 * start['ready_s_median']:.0f} ms (median of {STARTS}; "
            f"most {1000 * start['ready_s_max']:.0f} ms), "
            f"{start['resident_mb_when_ready']:.0f} MB resident"
        )
    if rows := result.get("throughput"):
        print(
            f"{'mode':10}{'streams':>8}{'tokens/s':>10}{'TTFT p50':>10}{'p99 ms':>9}{'gap p50':>9}{'p99 ms':>9}"
        )
        for row in rows:
            print(
                f"{row['mode']:10}{row['streams']:8}{row['output_tokens_per_s']:10.0f}"
                f"{row['ttft_ms_p50']:10.1f}{row['ttft_ms_p99']:9.1f}"
                f"{row['gap_ms_p50']:9.1f}{row['gap_ms_p99']:9.1f}"
            )
    if memory := result.get("memory"):
        print(
            f"{memory['requests']} requests: resident {memory['resident_mb'][0]:.1f} MB before, "
            f"{memory['resident_mb'][-1]:.1f} MB after, peak {memory['peak_mb']:.1f} MB, "
            f"growth after the first tenth {memory['growth_mb_after_first_tenth']:+.1f} MB"
        )


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--binary", default=str(ROOT / "build/release/src/hadal"))
    parser.add_argument("--only", choices=["start", "throughput", "memory"], help="one measurement")
    parser.add_argument("--mode", nargs="+", choices=list(MODES), default=list(MODES))
    parser.add_argument("--streams", nargs="+", type=int, default=[1, 8, 32])
    parser.add_argument("--out", type=Path, help="result file")
    return parser.parse_args()


def main():
    args = parse_arguments()
    os.environ["HADAL_BINARY"] = args.binary
    from support import HadalServer  # reads HADAL_BINARY when imported

    result = {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "commit": commit(),
        "machine": machine(),
        "command": " ".join(["bench/serving/serving_bench.py", *sys.argv[1:]]),
        "model": "tiny-r1 FP8",
    }
    if args.only in (None, "start"):
        result["start"] = measure_start(HadalServer)
    if args.only in (None, "throughput"):
        result["throughput"] = [
            measure_throughput(HadalServer, mode, streams)
            for mode in args.mode
            for streams in args.streams
        ]
    if args.only in (None, "memory"):
        result["memory"] = measure_memory(HadalServer)
    print_table(result)
    out = args.out
    if out is None:
        folder = ROOT / "bench/results" / machine_folder(result["machine"])
        out = folder / f"{result['date'][:10]}-{result['commit']}.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(result, indent=1) + "\n")
    print(f"written to {out}")


if __name__ == "__main__":
    main()
