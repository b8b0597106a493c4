#!/usr/bin/env python3
"""Seeded generator of the tiny-r1 data: chats with reasoning, tool calls, small talk, evaluation
files.

  generate.py eval   --out DIR                              evaluation sets, one JSONL file each
  generate.py corpus --out FILE --n N                       lines of text for tokenizer training
  generate.py shards --out DIR --tokenizer FILE --count N   training shards (.npz)
  generate.py show   --n N                                  prints samples

Every sample lists the canonical keys of the problems in it. A key whose sha256 is 0 modulo 64 is
held out: training samples contain no held-out key, evaluation samples end in one. The same seed
gives the same samples in every Python from 3.11 on, so the order of calls to `rng` is part of the
data.
"""

import argparse
import json
import multiprocessing
import os
import random
from pathlib import Path

from arithmetic_samples import answer_form, arith, bare, followup
from chat import EOS, render, visible
from reasoning import check
from samples import NEUTRAL, Sample, assistant, held_out, system
from smalltalk_samples import smalltalk
from structured_samples import calculator_task, city_task, echo, json_task, tools

SAMPLE_TOKENS_MAX = 1024


# ---- whole chats ----


def drawn(rng, weighted):
    """A sample made by one of the (maker, weight) pairs."""
    makers, weights = zip(*weighted)
    return rng.choices(makers, weights)[0](rng)


def short_arith(rng):
    return arith(rng, rng.choice("EEM"))


PLAIN_KINDS = [(short_arith, 35), (bare, 15), (smalltalk, 40), (echo, 3), (json_task, 4)]


def plain(rng):
    """Any single-turn sample without a system prompt."""
    while True:
        sample = drawn(rng, PLAIN_KINDS)
        if len(sample.messages) == 1:
            return sample


def chat(rng):
    """Several unrelated turns; earlier reasoning is dropped as in the chat template."""
    messages, keys = [], []
    turns = rng.choices(range(2, 9), (30, 25, 15, 10, 8, 6, 6))[0]
    for i in range(turns):
        sample = plain(rng) if i < turns - 1 or rng.random() < 0.75 else arith(rng)
        messages += sample.messages
        keys += sample.keys
        if i < turns - 1:
            messages.append(assistant(visible(sample.completion)))
    return Sample("chat", messages, sample.completion, sample.gold, keys)


KINDS = [
    (arith, 56),
    (bare, 6),
    (followup, 8),
    (answer_form, 6),
    (tools, 6),
    (echo, 3),
    (smalltalk, 11),
    (json_task, 3),
    (chat, 6),
]


def any_sample(rng):
    sample = drawn(rng, KINDS)
    if sample.messages[0]["role"] != "system" and rng.random() < 0.12:
        sample.messages.insert(0, system(rng.choice(NEUTRAL)))
    return sample


def train_sample(rng):
    while True:
        sample = any_sample(rng)
        if not any(held_out(key) for key in sample.keys):
            return sample


# ---- evaluation sets ----

TOOL_TASKS = [(calculator_task, 62), (city_task, 38)]
SMALL_TASKS = [(smalltalk, 60), (echo, 10), (json_task, 12), (answer_form, 10), (bare, 8)]

# name: (maker, number of items)
EVAL_SETS = {
    "arith_easy": (lambda rng: arith(rng, "E"), 512),
    "arith_medium": (lambda rng: arith(rng, "M"), 512),
    "arith_hard": (lambda rng: arith(rng, "H"), 512),
    "arith_extreme": (lambda rng: arith(rng, "X"), 512),
    "tools": (lambda rng: drawn(rng, TOOL_TASKS), 128),
    "multiturn": (followup, 128),
    "chat": (chat, 128),
    "smalltalk": (lambda rng: drawn(rng, SMALL_TASKS), 256),
}


def eval_set(name, count=None):
    """The items of one set, or its first `count`: held out, no prompt twice, in arithmetic no problem
    twice."""
    make, set_size = EVAL_SETS[name]
    count = set_size if count is None else count
    rng, seen, items = random.Random(f"tiny-r1 eval {name}"), set(), []
    while len(items) < count:
        sample = make(rng)
        prompt, key = render(sample.messages), sample.keys[-1]
        repeated = prompt in seen or (name.startswith("arith") and key in seen)
        if repeated or not held_out(key):
            continue
        assert all(check(line) for line in sample.completion.split("\n"))
        seen |= {prompt, key}
        items.append(
            {
                "id": f"{name}-{len(items):03d}",
                "kind": sample.kind,
                "messages": sample.messages,
                "gold": sample.gold,
                "gold_completion": sample.completion,
            }
        )
    return items


def write_eval(out):
    out.mkdir(parents=True, exist_ok=True)
    for name in EVAL_SETS:
        lines = [json.dumps(item, ensure_ascii=False) + "\n" for item in eval_set(name)]
        (out / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")


# ---- training data ----


def corpus_lines(count, seed="corpus"):
    rng = random.Random(f"tiny-r1 {seed}")
    for _ in range(count):
        sample = train_sample(rng)
        yield render(sample.messages) + sample.completion


def write_corpus(out, count):
    with open(out, "w", encoding="utf-8") as file:
        for text in corpus_lines(count):
            file.write(json.dumps(text, ensure_ascii=False) + "\n")


def write_shard(job):
    """One .npz file: token ids of all samples end to end, lengths, prompt lengths. Returns
    (samples, tokens)."""
    index, per_shard, tokenizer_file, out = job
    import numpy as np
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(tokenizer_file))
    encode = getattr(tokenizer, "encode_batch_fast", tokenizer.encode_batch)
    rng = random.Random(f"tiny-r1 shard {index}")
    ids, lengths, prompts = [], [], []
    for start in range(0, per_shard, 1000):
        texts = []
        for _ in range(min(1000, per_shard - start)):
            sample = train_sample(rng)
            texts += [render(sample.messages), sample.completion + EOS]
        encoded = encode(texts, add_special_tokens=False)
        for prompt, completion in zip(encoded[::2], encoded[1::2]):
            tokens = prompt.ids + completion.ids
            if len(tokens) <= SAMPLE_TOKENS_MAX:
                ids.append(np.array(tokens, dtype=np.uint16))
                lengths.append(len(tokens))
                prompts.append(len(prompt.ids))
    unfinished = (
        out / f"shard_{index:04d}.tmp.npz"
    )  # renamed, because training may read beside this
    np.savez(
        unfinished,
        ids=np.concatenate(ids),
        lengths=np.array(lengths, dtype=np.int32),
        prompts=np.array(prompts, dtype=np.int32),
    )
    unfinished.replace(out / f"shard_{index:04d}.npz")
    return len(lengths), sum(lengths)


def write_shards(out, tokenizer, count, per_shard, workers):
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    out.mkdir(parents=True, exist_ok=True)
    jobs = [(index, per_shard, tokenizer, out) for index in range(count)]
    with multiprocessing.Pool(workers) as pool:
        sizes = list(pool.imap_unordered(write_shard, jobs))
    samples, tokens = map(sum, zip(*sizes))
    print(f"{count} shards, {samples} samples, {tokens} tokens")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["eval", "corpus", "shards", "show"])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--n", type=int, default=100000, help="samples of corpus and show")
    parser.add_argument("--tokenizer", type=Path)
    parser.add_argument("--count", type=int, default=96, help="number of shards")
    parser.add_argument("--per-shard", type=int, default=50000, help="samples in each")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    args = parser.parse_args()
    if args.what != "show" and args.out is None:
        parser.error(f"{args.what} needs --out")
    if args.what == "eval":
        write_eval(args.out)
    elif args.what == "corpus":
        write_corpus(args.out, args.n)
    elif args.what == "shards":
        write_shards(args.out, args.tokenizer, args.count, args.per_shard, args.workers)
    else:
        for text in corpus_lines(args.n, "show"):
            print(text, "\n" + "-" * 40)


if __name__ == "__main__":
    main()
