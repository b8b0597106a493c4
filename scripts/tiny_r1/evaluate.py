#!/usr/bin/env python3
"""Measures a checkpoint folder with PyTorch: exact match, teacher-forced NLL, MTP acceptance.

  evaluate.py score --model DIR --eval DIR --out FILE.json [--mode M] [--sampled]
  evaluate.py compare FILE.json FILE.json ...     table over score files, flips against the first
  evaluate.py divergence --base DIR --model DIR --eval DIR --out FILE.json [--mode M]
                                                  distance to the base model along gold completions
  evaluate.py calibrate --model DIR --data DIR --out FILE.json
  evaluate.py chat --model DIR "text"             one greedy answer

Modes: fp32, the default (weights of the checkpoint, fp32 arithmetic), bf16 (bf16 autocast), fp8act (fp32
arithmetic with activations of the quantised linears rounded to FP8 in groups of 128, as a W8A8
engine does), kv* (fp32 arithmetic with the cached latents rounded to that cache format).
"""

import argparse
import glob
import json
import math
import os
import re
from contextlib import nullcontext

import numpy as np
import torch
import torch.nn.functional as F

from chat import EOS, render, visible
from checkpoint import load_model
from model import dense_attention, rms_norm, rope_table

EOS_ID = 1
DEV = "cuda" if torch.cuda.is_available() else "cpu"
torch.backends.cuda.matmul.allow_tf32 = False


def load_tokenizer(folder):
    from tokenizers import Tokenizer

    return Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))


def encode(tok, texts):
    return [e.ids for e in tok.encode_batch(list(texts), add_special_tokens=False)]


def decode(tok, rows):
    """Texts without the end token."""
    return tok.decode_batch(
        [r[:-1] if r[-1] == EOS_ID else r for r in rows], skip_special_tokens=False
    )


def pad(rows, width=None):
    out = torch.full((len(rows), width or max(map(len, rows))), 2, dtype=torch.long)
    for i, r in enumerate(rows):
        out[i, : len(r)] = torch.tensor(r)
    return out.to(DEV)


class Runner:
    def __init__(self, folder, mode="fp32"):
        self.model, self.mode = load_model(folder, DEV), mode
        self.cos, self.sin = (t.to(DEV) for t in rope_table(self.model.cfg, 4096))
        self.dense = dense_attention(self.model.cfg.softmax_scale)
        for layer in [*self.model.layers, self.model.mtp]:
            layer.act_quant = mode == "fp8act"
            layer.cache_format = mode[2:] if mode.startswith("kv") else None

    def context(self):
        return torch.autocast(DEV, dtype=torch.bfloat16) if self.mode == "bf16" else nullcontext()

    @torch.no_grad()
    def hidden(self, ids):
        """Post-norm hidden states of padded rows."""
        with self.context():
            t = ids.shape[1]
            return self.model.trunk(ids, self.cos[:t], self.sin[:t], lambda i: self.dense)[0]

    @torch.no_grad()
    def logits(self, hidden):
        with self.context():
            return self.model.logits(hidden).float()

    @torch.no_grad()
    def generate(self, prompts, max_new=512, temperature=0.0, seed=0, batch=320):
        """Continuations (token lists, EOS included if reached) with a key/value cache."""
        out = [None] * len(prompts)
        order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
        for at in range(0, len(order), batch):
            part = order[at : at + batch]
            for i, r in zip(
                part, self._generate([prompts[i] for i in part], max_new, temperature, seed + at)
            ):
                out[i] = r
        return out

    def _generate(self, prompts, max_new, temperature, seed):
        model, scale = self.model, self.model.cfg.softmax_scale
        gen = torch.Generator(device=DEV).manual_seed(seed)
        b, p = len(prompts), max(map(len, prompts))
        length = torch.tensor([len(r) for r in prompts], device=DEV)
        rows = torch.arange(b, device=DEV)
        caches = {}

        def prefill(i):
            def attend(q, k, v):
                caches[i] = [F.pad(t.float(), (0, 0, 0, 0, 0, max_new)) for t in (k, v)]
                return self.dense(q, k, v)

            return attend

        def step(i):
            def attend(q, k, v):
                ck, cv = caches[i]
                ck[rows, pos], cv[rows, pos] = k[:, 0].float(), v[:, 0].float()
                s = torch.einsum("bhd,bkhd->bhk", q[:, 0].float(), ck[:, :top]) * scale
                s = s.masked_fill(torch.arange(top, device=DEV) > pos[:, None, None], -math.inf)
                return torch.einsum("bhk,bkhd->bhd", s.softmax(-1), cv[:, :top])[:, None].to(
                    v.dtype
                )

            return attend

        def choose(hidden):
            z = self.logits(hidden)
            if temperature < 1e-5:
                return z.argmax(-1)
            return torch.multinomial((z / temperature).softmax(-1), 1, generator=gen)[:, 0]

        with self.context():
            h, _ = model.trunk(pad(prompts), self.cos[:p], self.sin[:p], prefill)
            token = choose(h[rows, length - 1])
            tokens, done = [token], token == EOS_ID
            for n in range(max_new - 1):
                if n % 16 == 0 and bool(done.all()):
                    break
                pos, top = length + n, p + n + 1
                h, _ = model.trunk(
                    token[:, None], self.cos[pos][:, None], self.sin[pos][:, None], step
                )
                token = torch.where(done, torch.full_like(token, EOS_ID), choose(h[:, 0]))
                tokens.append(token)
                done = done | (token == EOS_ID)
        result = []
        for r in torch.stack(tokens, 1).tolist():
            result.append(r[: r.index(EOS_ID) + 1] if EOS_ID in r else r)
        return result

    @torch.no_grad()
    def drafts(self, rows, depth=3, batch=64):
        """For every row index r of every sequence: the `depth` greedy draft tokens for positions
        r+2, r+3, ... given the true tokens up to r+1 (post-norm chaining)."""
        out = [None] * len(rows)
        order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
        m = self.model
        for at in range(0, len(order), batch):
            part = order[at : at + batch]
            ids = pad([rows[i] for i in part])
            t = ids.shape[1]
            with self.context():
                h = self.hidden(ids)
                z, k, v, _ = m.mtp_first(ids.roll(-1, 1), h, self.cos[:t], self.sin[:t], self.dense)
                d, extra = [self.logits(z).argmax(-1)], []
                for j in range(1, depth):
                    z, extra = m.mtp_chain(
                        d[-1], z, self.cos[j : t + j], self.sin[j : t + j], k, v, extra
                    )
                    d.append(self.logits(z).argmax(-1))
            d = torch.stack(d, -1).cpu().numpy()
            for i, row in zip(part, d):
                out[i] = row[: len(rows[i]) - 1]
        return out

    @torch.no_grad()
    def nll(self, prompts, completions, batch=64):
        """(summed NLL, top-1 hits, tokens) over the completions."""
        total = hits = count = 0
        order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]) + len(completions[i]))
        for at in range(0, len(order), batch):
            part = order[at : at + batch]
            ids = pad([prompts[i] + completions[i] for i in part])
            lp = self.logits(self.hidden(ids)[:, :-1]).log_softmax(-1)
            first = torch.tensor([len(prompts[i]) - 1 for i in part], device=DEV)[:, None]
            last = torch.tensor(
                [len(prompts[i]) + len(completions[i]) - 1 for i in part], device=DEV
            )[:, None]
            j = torch.arange(ids.shape[1] - 1, device=DEV)
            mask = (j >= first) & (j < last)
            total -= (lp.gather(-1, ids[:, 1:, None])[..., 0] * mask).sum().item()
            hits += ((lp.argmax(-1) == ids[:, 1:]) & mask).sum().item()
            count += mask.sum().item()
        return total, hits, count


def accept(rows, prompt_lengths, drafts, depth=3):
    """Simulates the verification loop: [(accepted, proposed)] per draft position, steps, emitted
    tokens. Positions after the end token are not counted as proposed."""
    hit, tried, steps, emitted = [0] * depth, [0] * depth, 0, 0
    for row, p, d in zip(rows, prompt_lengths, drafts):
        n, last = p, len(row) - 1  # token n is known; drafts are for n+1, n+2, ...
        while n < last:
            steps, a = steps + 1, 0
            for j in range(min(depth, last - n)):
                tried[j] += 1
                if a == j and d[n - 1][j] == row[n + 1 + j]:
                    hit[j] += 1
                    a += 1
            n += a + 1
            emitted += a + 1
    return {
        "rate": [round(h / max(t, 1), 4) for h, t in zip(hit, tried)],
        "steps": steps,
        "mean_length": round(emitted / max(steps, 1), 3),
    }


def correct(item, text):
    if "</think>" not in text:
        return False
    answer = visible(text).strip()
    box = re.findall(r"\\boxed\{(-?\d+)\}", answer)
    return answer == item["gold"] or bool(box) and box[-1] == item["gold"]


def load_eval(folder):
    out = {}
    for path in sorted(glob.glob(os.path.join(folder, "*.jsonl"))):
        with open(path, encoding="utf-8") as f:
            out[os.path.basename(path)[:-6]] = [json.loads(line) for line in f]
    return out


class Scored:
    """A run of greedy answers to a flat list of (set name, item), with what was right."""

    def __init__(self, run, tok, flat):
        self.run, self.flat = run, flat
        self.prompts = encode(tok, [render(item["messages"]) for _, item in flat])
        self.gold = [
            ids + [EOS_ID] for ids in encode(tok, [item["gold_completion"] for _, item in flat])
        ]
        self.outs = run.generate(self.prompts)
        self.texts = decode(tok, self.outs)
        self.ok = [correct(item, text) for (_, item), text in zip(flat, self.texts)]

    def acceptance(self, at):
        rows = [self.prompts[j] + self.outs[j] for j in at]
        return accept(rows, [len(self.prompts[j]) for j in at], self.run.drafts(rows))

    def set_scores(self, at):
        """Scores of the items with indices `at`."""
        nll, hits, count = self.run.nll([self.prompts[j] for j in at], [self.gold[j] for j in at])
        share = sum(self.ok[j] for j in at) / len(at)
        scores = {
            "items": len(at),
            "exact_match": round(share, 4),
            "standard_error": round((share * (1 - share) / len(at)) ** 0.5, 4),
            "nll": round(nll / count, 5),
            "top1": round(hits / count, 5),
            "tokens": count,
            "acceptance": self.acceptance(at),
        }
        kinds = {}
        for j in at:
            kinds.setdefault(self.flat[j][1]["kind"], []).append(self.ok[j])
        if len(kinds) > 1:
            scores["by_kind"] = {k: f"{sum(v)}/{len(v)}" for k, v in sorted(kinds.items())}
        return scores

    def write_failures(self, path):
        with open(path, "w", encoding="utf-8") as f:
            for (_, item), text, good in zip(self.flat, self.texts, self.ok):
                if not good:
                    line = {"id": item["id"], "gold": item["gold_completion"], "output": text}
                    f.write(json.dumps(line, ensure_ascii=False) + "\n")


def sampled_scores(run, tok, scored):
    """Acceptance and exact match at temperature 0.6, on every fourth item."""
    part = list(range(0, len(scored.prompts), 4))
    prompts = [scored.prompts[i] for i in part]
    outs = run.generate(prompts, temperature=0.6, seed=1)
    rows = [prompt + out for prompt, out in zip(prompts, outs)]
    right = [correct(scored.flat[i][1], text) for i, text in zip(part, decode(tok, outs))]
    return {
        "acceptance_T0.6": accept(rows, [len(p) for p in prompts], run.drafts(rows)),
        "exact_match_T0.6": round(sum(right) / len(part), 4),
    }


def score(args):
    run, tok, sets = Runner(args.model, args.mode), load_tokenizer(args.model), load_eval(args.eval)
    flat = [(name, item) for name, items in sets.items() for item in items][: args.limit]
    scored = Scored(run, tok, flat)
    result = {
        "model": os.path.basename(os.path.normpath(args.model)),
        "mode": args.mode,
        "sets": {},
        "correct": {},
    }
    for name in sets:
        if at := [j for j, (owner, _) in enumerate(flat) if owner == name]:
            result["sets"][name] = scored.set_scores(at)
            result["correct"][name] = "".join("01"[scored.ok[j]] for j in at)
    result["acceptance_greedy"] = scored.acceptance(range(len(flat)))
    if args.sampled:
        result |= sampled_scores(run, tok, scored)
    if args.failures:
        scored.write_failures(args.failures)
    with open(args.out, "w") as f:
        json.dump(result, f, indent=1)
    matches = {name: scores["exact_match"] for name, scores in result["sets"].items()}
    print(result["model"], args.mode, matches, "accept", result["acceptance_greedy"], flush=True)


def compare(files):
    base = None
    for path in files:
        with open(path) as f:
            r = json.load(f)
        base = base or r
        print(f"{r['model']} ({r['mode']})")
        for name, s in r["sets"].items():
            pairs = list(zip(base["correct"][name], r["correct"][name]))
            lost, won = pairs.count(("1", "0")), pairs.count(("0", "1"))
            nll_change = s["nll"] - base["sets"][name]["nll"]
            print(
                f"  {name:13} {100 * s['exact_match']:6.2f} +- {100 * s['standard_error']:.2f}  "
                f"nll {s['nll']:.5f} ({nll_change:+.5f})  top1 {s['top1']:.5f}  "
                f"flips -{lost} +{won}  accept {s['acceptance']['rate']}"
            )


@torch.no_grad()
def divergence(args, batch=64):
    """KL(base || model), top-1 disagreement and logit differences, next to the fp32 base, on
    gold completion tokens."""
    base, run, tok, sets = (
        Runner(args.base),
        Runner(args.model, args.mode),
        load_tokenizer(args.model),
        load_eval(args.eval),
    )
    result = {"model": os.path.basename(os.path.normpath(args.model)), "mode": args.mode}
    for name, items in sets.items():
        prompts = encode(tok, [render(i["messages"]) for i in items])
        gold = [g + [EOS_ID] for g in encode(tok, [i["gold_completion"] for i in items])]
        order = sorted(range(len(items)), key=lambda i: len(prompts[i]) + len(gold[i]))
        kl, differ, delta = [], [], []
        for at in range(0, len(order), batch):
            part = order[at : at + batch]
            ids = pad([prompts[i] + gold[i] for i in part])
            first = torch.tensor([len(prompts[i]) - 1 for i in part], device=DEV)[:, None]
            last = torch.tensor([len(prompts[i]) + len(gold[i]) - 1 for i in part], device=DEV)[
                :, None
            ]
            j = torch.arange(ids.shape[1], device=DEV)
            mask = (j >= first) & (j < last)
            a, b = (r.logits(r.hidden(ids)[mask]) for r in (base, run))
            la, lb = a.log_softmax(-1), b.log_softmax(-1)
            kl.append((la.exp() * (la - lb)).sum(-1).double())
            differ.append(a.argmax(-1) != b.argmax(-1))
            likely = la > -7  # only tokens that matter
            delta.append(
                ((a - a.max(-1, keepdim=True).values) - (b - b.max(-1, keepdim=True).values)).abs()[
                    likely
                ]
            )
        kl, differ, delta = torch.cat(kl), torch.cat(differ), torch.cat(delta)
        result[name] = {
            "kl_mean": float(f"{kl.mean().item():.3g}"),
            "kl_max": float(f"{kl.max().item():.3g}"),
            "top1_differs": f"{differ.sum().item()}/{differ.numel()}",
            "logit_difference_mean": float(f"{delta.mean().item():.3g}"),
            "logit_difference_max": float(f"{delta.max().item():.3g}"),
        }
    with open(args.out, "w") as f:
        json.dump(result, f, indent=1)
    print(json.dumps(result))


@torch.no_grad()
def calibrate(args):
    """Largest input magnitude of every linear that NVFP4 quantises, over 512 training samples;
    the dense evaluation sends every token to all experts."""
    from checkpoint import layer_names
    from export import is_nvfp4

    run, amax = Runner(args.model), {}
    model = run.model
    with np.load(sorted(glob.glob(os.path.join(args.data, "shard_*.npz")))[0]) as z:
        ends = np.cumsum(z["lengths"][:512])
        rows = np.split(z["ids"][: ends[-1]].astype(np.int64), ends[:-1])
    for row in rows:
        x = F.embedding(torch.from_numpy(row)[None].to(DEV), model.embed)
        for i, layer in enumerate(model.layers):
            attn = run.dense(*layer.qkv(x, run.cos[: len(row)], run.sin[: len(row)]))
            y = rms_norm(x + F.linear(attn.flatten(-2), layer.o), layer.post_attention_layernorm)
            inner = iter(
                layer.activations(y).abs().amax((0, 1, 3)).tolist()
            )  # per expert, the shared one last
            for name, _ in layer_names(model.cfg, i, layer.experts):
                if is_nvfp4(name):
                    v = (
                        attn.abs().max().item()
                        if "o_proj" in name
                        else next(inner) if "down_proj" in name else y.abs().max().item()
                    )
                    amax[name] = max(amax.get(name, 0.0), v)
            x, _ = layer.finish(x, attn)
    with open(args.out, "w") as f:
        json.dump(amax, f, indent=1)
    print(f"calibrated {len(amax)} inputs, largest {max(amax.values()):.2f}")


def chat(args):
    run, tok = Runner(args.model), load_tokenizer(args.model)
    for text in args.text:
        out = run.generate(encode(tok, [render([{"role": "user", "content": text}])]))[0]
        print(f"> {text}\n{tok.decode(out, skip_special_tokens=False).replace(EOS, '')}\n")


def main():
    ap = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    ap.add_argument("what", choices=["score", "compare", "divergence", "calibrate", "chat"])
    ap.add_argument("text", nargs="*")
    ap.add_argument("--model")
    ap.add_argument("--base")
    ap.add_argument("--eval")
    ap.add_argument("--data")
    ap.add_argument("--out")
    ap.add_argument(
        "--mode", default="fp32", choices=["fp32", "bf16", "fp8act", "kvbf16", "kvfp8", "kvfp4"]
    )
    ap.add_argument("--sampled", action="store_true", help="also sample at temperature 0.6")
    ap.add_argument("--failures", help="write wrong answers to this file")
    ap.add_argument("--limit", type=int)
    args = ap.parse_intermixed_args()
    {
        "score": score,
        "divergence": divergence,
        "calibrate": calibrate,
        "chat": chat,
        "compare": lambda a: compare(a.text),
    }[args.what](args)


if __name__ == "__main__":
    main()
