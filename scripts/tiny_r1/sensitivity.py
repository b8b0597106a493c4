#!/usr/bin/env python3
"""Shows which implementation mistakes tiny-r1 can detect: breaks the reference on purpose and
measures again.

  sensitivity.py --model DIR --eval DIR --golden DIR [--items 16]

Main model: teacher-forced NLL and top-1 on gold completions. MTP: share of rows whose j-th draft
matches the greedy continuation (given that the earlier drafts matched), on golden/greedy_fp8.json.
"""

import argparse
import json
import os
from contextlib import contextmanager

import torch
import torch.nn.functional as F

import evaluate
import model as M
from chat import render
from evaluate import DEV, EOS_ID, Runner, encode, load_eval, load_tokenizer


@contextmanager
def patched(owner, name, value):
    old = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, old)


def route_variant(**change):
    def route(logits, bias, cfg):
        s = torch.sigmoid(logits)
        choice = s + (0 if change.get("no_bias") else bias)
        if not change.get("no_groups"):
            groups = choice.unflatten(-1, (cfg.n_group, -1))
            keep = M.top_mask((groups * M.top_mask(groups, 2)).sum(-1), cfg.topk_group)
            choice = choice.masked_fill(
                ~keep.unsqueeze(-1).expand_as(groups).flatten(-2), float("-inf")
            )
        selected = M.top_mask(choice, change.get("k", cfg.num_experts_per_tok))
        w = (s + bias if change.get("biased_weights") else s) * selected
        if not change.get("no_norm"):
            w = w / (w.sum(-1, keepdim=True) + 1e-20)
        return w * change.get("scale", cfg.routed_scaling_factor), selected

    return route


def half_split(x, cos, sin):
    a, b = x.float().chunk(2, -1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], -1).to(x.dtype)


def plain_table(cfg, n):
    inv = cfg.rope_theta ** (
        -torch.arange(0, cfg.qk_rope_head_dim, 2, dtype=torch.float64) / cfg.qk_rope_head_dim
    )
    angle = torch.arange(n, dtype=torch.float64)[:, None] * inv
    return angle.cos().float(), angle.sin().float()


def shared_scaled(layer_mlp):
    def mlp(self, x):
        y, load = layer_mlp(self, x)
        if self.experts:
            g, u = F.linear(x, self.gu[-2 * self.width :]).chunk(2, -1)
            y = y + 1.5 * (F.silu(g) * u) @ self.dn[-self.width :]
        return y, load

    return mlp


MAIN = {
    "reference": [],
    "softmax scale without the YaRN factor": [
        (M.Config, "softmax_scale", property(lambda c: c.qk_dim**-0.5))
    ],
    "plain RoPE frequencies (no YaRN)": [(evaluate, "rope_table", plain_table)],
    "half-split instead of interleaved RoPE": [(M, "rope", half_split)],
    "routing weights from the biased scores": [(M, "route", route_variant(biased_weights=True))],
    "no group limit": [(M, "route", route_variant(no_groups=True))],
    "correction bias ignored": [(M, "route", route_variant(no_bias=True))],
    "weights not normalised": [(M, "route", route_variant(no_norm=True))],
    "scaling factor 1 instead of 2.5": [(M, "route", route_variant(scale=1.0))],
    "one expert fewer": [(M, "route", route_variant(k=3))],
    "shared expert scaled by 2.5": [(M.Layer, "mlp", shared_scaled(M.Layer.mlp))],
}


@torch.no_grad()
def main_model(folder, tok, sets, count):
    names = ["arith_medium", "arith_hard", "arith_extreme", "tools"]
    items = [i for n in names for i in sets[n][:count]]
    prompts = encode(tok, [render(i["messages"]) for i in items])
    gold = [g + [EOS_ID] for g in encode(tok, [i["gold_completion"] for i in items])]
    for name, patches in MAIN.items():
        stack = [patched(*p) for p in patches]
        for s in stack:
            s.__enter__()
        run = Runner(folder)
        total, hits, n = run.nll(prompts, gold, batch=32)
        for s in stack:
            s.__exit__(None, None, None)
        print(f"{name:45} nll {total / n:8.4f}  top1 {hits / n:.4f}", flush=True)


@torch.no_grad()
def mtp(folder, golden):
    run = Runner(folder)
    m, cos, sin = run.model, run.cos, run.sin
    with open(os.path.join(golden, "greedy_fp8.json")) as f:
        cases = json.load(f)["cases"]

    def measure(name, before_norm=False, swap=False, chain="z", advance=1, keep_extra=True):
        hit, tried = [0, 0, 0], [0, 0, 0]
        for c in cases:
            row, p = c["prompt_ids"] + c["output_ids"], len(c["prompt_ids"])
            ids, t = torch.tensor([row], device=DEV), len(row)
            h = run.hidden(ids)
            if before_norm:  # up to the scale, which hnorm removes
                h = h / m.norm
            z, k, v, _ = m.mtp_first(ids.roll(-1, 1), h, cos[:t], sin[:t], run.dense)
            d, extra = [m.logits(z).argmax(-1)], []
            for j in (1, 2):
                given = h if chain == "target" else z / m.mtp_norm if chain == "v" else z
                at = slice(j * advance, t + j * advance)
                z, extra = m.mtp_chain(
                    d[-1], given, cos[at], sin[at], k, v, extra if keep_extra else []
                )
                d.append(m.logits(z).argmax(-1))
            for i in range(p - 1, t - 2):
                for j in range(min(3, t - 2 - i)):
                    tried[j] += 1
                    if int(d[j][0, i]) != row[i + 2 + j]:
                        break
                    hit[j] += 1
        print(
            f"{name:45} " + " ".join(f"{a / max(b, 1):.4f}" for a, b in zip(hit, tried)), flush=True
        )

    measure("reference")
    measure("chain with the pre-norm state v", chain="v")
    measure("chain with the target's hidden state", chain="target")
    measure("chain without advancing the position", advance=0)
    measure("chain forgets its earlier steps' cache", keep_extra=False)
    measure("target's hidden state before the final norm", before_norm=True)
    a, b = m.eh_proj.chunk(2, -1)
    m.eh_proj = torch.nn.Parameter(torch.cat([b, a], -1))
    measure("hidden state first in eh_proj")


if __name__ == "__main__":
    ap = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    ap.add_argument("--model", required=True)
    ap.add_argument("--eval", required=True)
    ap.add_argument("--golden", required=True)
    ap.add_argument("--items", type=int, default=16)
    args = ap.parse_args()
    mtp(args.model, args.golden)
    main_model(args.model, load_tokenizer(args.model), load_eval(args.eval), args.items)
