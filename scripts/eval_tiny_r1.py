#!/usr/bin/env python3
"""Measures a running server on the held-out problems of tiny-r1 and compares with the model card.

  build/host/src/hadal serve tests/models/tiny-r1 --port 8000 \\
      --speculative-config.method mtp --speculative-config.num-speculative-tokens 3 &
  scripts/eval_tiny_r1.py --url http://127.0.0.1:8000 --format fp8

Every item is asked greedily through the chat API. The table shows exact match beside the reference's, which
items changed, and the acceptance of each draft position over the run, from /metrics. The exit status is 1 if
a number is farther from the reference than its tolerance. Needs Python 3.11 and nothing else.
"""

import argparse
import concurrent.futures
import http.client
import json
import re
import sys
import time
import urllib.parse
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
EVAL = ROOT / "tests" / "eval"
sys.path.insert(0, str(ROOT / "scripts" / "tiny_r1"))

from chat import calls_text, visible  # noqa: E402  (found through the line above)

# Largest distance from the reference in percentage points: rounding in the serving path flips a few
# near-ties of wording, most of all on the tier that is too hard for the model.
TOLERANCE = {
    "arith_easy": 0.6,
    "arith_medium": 0.6,
    "arith_hard": 0.6,
    "arith_extreme": 4.0,
    "tools": 1.6,
    "multiturn": 1.6,
    "chat": 1.6,
    "smalltalk": 1.6,
}
ACCEPTANCE_TOLERANCE = 0.01
OUTPUT_TOKENS_MAX = 512
REQUEST_SECONDS_MAX = 600
ACCEPTED = 'vllm:spec_decode_num_accepted_tokens_per_pos_total{{position="{}"}}'
PROPOSED = 'hadal:spec_decode_num_draft_tokens_per_pos_total{{position="{}"}}'


@dataclass
class SetResult:
    name: str
    correct: list  # of bool, in the order of the items
    reference: list  # the same for the reference


# ---- the server ----


class Api:
    """Requests to one server; a connection each, so it may be used by many threads."""

    def __init__(self, url):
        parts = urllib.parse.urlsplit(url)
        self.host, self.port = parts.hostname, parts.port or 80

    def request(self, method, path, value=None):
        connection = http.client.HTTPConnection(self.host, self.port, timeout=REQUEST_SECONDS_MAX)
        try:
            body = None if value is None else json.dumps(value)
            connection.request(method, path, body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            text = response.read().decode()
        finally:
            connection.close()
        if response.status != 200:
            raise RuntimeError(f"{method} {path}: status {response.status}: {text[:300]}")
        return text

    def answer(self, messages):
        """The whole text of a greedy answer, as the model wrote it."""
        request = {"messages": messages, "temperature": 0, "max_tokens": OUTPUT_TOKENS_MAX}
        reply = json.loads(self.request("POST", "/v1/chat/completions", request))
        message = reply["choices"][0]["message"]
        text = message.get("content")
        if calls := message.get("tool_calls"):
            functions = [call["function"] for call in calls]
            text = (text or "") + calls_text([(f["name"], f["arguments"]) for f in functions])
        reasoning = message.get("reasoning_content")
        if text is None:  # the reasoning never ended
            return reasoning or ""
        return text if reasoning is None else f"<think>{reasoning}</think>{text}"

    def metrics(self):
        """{'name{labels}': value}, without the labels that name model and engine."""
        values = {}
        for line in self.request("GET", "/metrics").splitlines():
            if line and not line.startswith("#"):
                name, _, value = line.rpartition(" ")
                name = re.sub(r'(?:model_name|engine)="[^"]*",?', "", name).replace(",}", "}")
                values[name.removesuffix("{}")] = float(value)
        return values


# ---- scoring ----


def is_correct(item, text):
    """After the reasoning, the answer is the gold text or boxes it."""
    if "</think>" not in text:
        return False
    answer = visible(text).strip()
    boxed = re.findall(r"\\boxed\{(-?\d+)\}", answer)
    return answer == item["gold"] or (bool(boxed) and boxed[-1] == item["gold"])


def load_items(name, limit):
    lines = (EVAL / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines[:limit]]


def evaluate(api, reference, streams, limit):
    """A SetResult per evaluation set."""
    results = []
    with concurrent.futures.ThreadPoolExecutor(streams) as pool:
        for name in TOLERANCE:
            items = load_items(name, limit)
            texts = pool.map(lambda item: api.answer(item["messages"]), items)
            correct = [is_correct(item, text) for item, text in zip(items, texts)]
            known = [flag == "1" for flag in reference["correct"][name][: len(items)]]
            results.append(SetResult(name, correct, known))
    return results


def acceptance(before, after):
    """[accepted / proposed] per draft position between two pages of metrics; empty without drafts."""
    rates = []
    while PROPOSED.format(len(rates)) in after:
        key = PROPOSED.format(len(rates))
        proposed = after[key] - before.get(key, 0)
        key = ACCEPTED.format(len(rates))
        if proposed == 0:
            break
        rates.append((after[key] - before.get(key, 0)) / proposed)
    return rates


# ---- report ----


def percent(flags):
    return 100 * sum(flags) / len(flags)


def report(results, rates, reference, form):
    """Prints the table and returns what is out of tolerance."""
    bad = []
    print(
        f"{'set':15}{'items':>6}{'server %':>10}{form + ' %':>9}{'diff':>7}{'limit':>7}  lost gained"
    )
    for result in results:
        ours, theirs = percent(result.correct), percent(result.reference)
        pairs = list(zip(result.reference, result.correct))
        lost, gained = pairs.count((True, False)), pairs.count((False, True))
        limit = TOLERANCE[result.name]
        within = abs(ours - theirs) <= limit
        print(
            f"{result.name:15}{len(pairs):6}{ours:10.2f}{theirs:9.2f}{ours - theirs:+7.2f}{limit:7.1f}"
            f"{lost:6}{gained:7}{'' if within else '   OUT OF TOLERANCE'}"
        )
        if not within:
            bad.append(result.name)
    known = reference["acceptance_greedy"]["rate"]
    for position, rate in enumerate(rates[: len(known)]):
        within = abs(rate - known[position]) <= ACCEPTANCE_TOLERANCE
        print(
            f"acceptance at position {position + 1}: {rate:.4f}, {form} {known[position]:.4f}"
            f"{'' if within else '   OUT OF TOLERANCE'}"
        )
        if not within:
            bad.append(f"acceptance at position {position + 1}")
    if not rates:
        print("acceptance: the server does not draft")
    return bad


def run(url, form, streams, limit):
    """(results, acceptance rates, what is out of tolerance), with the table printed."""
    reference = json.loads((EVAL / "reference" / f"{form}.json").read_text())
    api = Api(url)
    before, begin = api.metrics(), time.monotonic()
    results = evaluate(api, reference, streams, limit)
    seconds, after = time.monotonic() - begin, api.metrics()
    rates = acceptance(before, after)
    bad = report(results, rates, reference, form)
    tokens = after["vllm:generation_tokens_total"] - before["vllm:generation_tokens_total"]
    print(f"{tokens:.0f} tokens in {seconds:.1f} s over {streams} streams")
    return results, rates, bad


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument(
        "--format", choices=["fp8", "bf16", "nvfp4"], default="fp8", help="of the served checkpoint"
    )
    parser.add_argument("--streams", type=int, default=32, help="requests at once")
    parser.add_argument("--limit", type=int, help="items of each set; all by default")
    args = parser.parse_args()
    _, _, bad = run(args.url, args.format, args.streams, args.limit)
    if bad:
        sys.exit(f"out of tolerance: {', '.join(bad)}")


if __name__ == "__main__":
    main()
