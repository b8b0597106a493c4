#!/usr/bin/env python3
"""Writes tests/golden: golden vectors for the unit tests of an engine.

  goldens.py --bf16 DIR --fp8 DIR --nvfp4 DIR --eval DIR --out DIR [--no-transformers]

Model goldens use fp32 arithmetic on the (dequantised) weights of each format and are cross-checked
against transformers' DeepseekV3ForCausalLM. Needs PyTorch, tokenizers and transformers.
"""

import argparse
import glob
import itertools
import json
import os
import tempfile

import numpy as np
import torch
import torch.nn.functional as F

import tensor_files
from chat import render
from evaluate import DEV, Runner, encode, load_eval, load_tokenizer
from golden_io import Writer, b64, floats
from golden_numbers import quant_goldens, rmsnorm_goldens, rope_goldens, router_goldens
from golden_text import template_goldens, tokenizer_goldens
from model import rms_norm, rope

GOLDEN_SETS = ["arith_easy", "arith_medium", "arith_hard", "tools", "multiturn", "smalltalk"]
MIN_GAP = 0.12


def output_gaps(run, prompts, outs):
    """Best minus second-best logit at every output token."""
    for p, o in zip(prompts, outs):
        z = run.logits(run.hidden(torch.tensor([p + o], device=DEV)))[0, len(p) - 1 : -1]
        assert z.argmax(-1).tolist() == o
        top = z.topk(2).values
        yield (top[:, 0] - top[:, 1]).tolist()


@torch.no_grad()
def choose_items(folder, tok, sets, count):
    """Prompts whose 64 greedy tokens contain no near-tie, taken from the sets in turn; small
    talk of every kind."""
    run, good = Runner(folder), {}
    for name in GOLDEN_SETS:
        items = sets[name][:256]
        prompts = encode(tok, [render(i["messages"]) for i in items])
        gaps = [min(g) for g in output_gaps(run, prompts, run.generate(prompts, max_new=64))]
        keep = [i for i, g in zip(items, gaps) if g >= MIN_GAP]
        if name == "smalltalk":
            kinds = sorted({i["kind"] for i in keep})
            turns = itertools.zip_longest(*[[i for i in keep if i["kind"] == k][:3] for k in kinds])
            keep = [i for group in turns for i in group if i]
        good[name] = keep
    turns = itertools.zip_longest(*[good[name] for name in GOLDEN_SETS])
    return [i for group in turns for i in group if i][:count]


@torch.no_grad()
def activations(run, ids):
    """Residual after every layer, router choices and cached latents of one prompt."""
    m, n = run.model, len(ids)
    cos, sin = run.cos[:n], run.sin[:n]
    x = F.embedding(torch.tensor([ids], device=DEV), m.embed)
    layers = [{"name": "embed", "checksum": checksums(x), "last": floats(x[0, -1])}]
    for i, layer in enumerate(m.layers):
        latent, k_pe = F.linear(rms_norm(x, layer.input_layernorm), layer.kv_a).split(
            [m.cfg.kv_lora_rank, m.cfg.qk_rope_head_dim], -1
        )
        cache = torch.cat([rms_norm(latent, layer.kv_a_layernorm), rope(k_pe, cos, sin)], -1)
        attn = run.dense(*layer.qkv(x, cos, sin))
        y = rms_norm(x + F.linear(attn.flatten(-2), layer.o), layer.post_attention_layernorm)
        x, _ = layer.finish(x, attn)
        entry = {
            "name": f"layer {i}",
            "checksum": checksums(x),
            "last": floats(x[0, -1]),
            "attention_last": floats(attn[0, -1]),
            "cache_checksum": checksums(cache),
            "cache_last": floats(cache[0, -1]),
        }
        if layer.experts:
            w, sel = layer.route(y[0])
            entry["experts"] = [s.nonzero().flatten().tolist() for s in sel]
            entry["weights_last"] = floats(w[-1][sel[-1]])
        layers.append(entry)
    h = rms_norm(x, m.norm)
    z = run.logits(h)[0, -1]
    out = {"ids": ids, "layers": layers, "final_norm_last": floats(h[0, -1]), "logits_last": b64(z)}
    out["mtp"] = mtp_activations(run, ids, h, z.argmax().view(1, 1))
    return out


def checksums(t):
    t = t.double()
    return {
        "sum": t.sum().item(),
        "abs_sum": t.abs().sum().item(),
        "square_sum": t.pow(2).sum().item(),
    }


def mtp_activations(run, ids, hidden, token):
    """The MTP layer over the prompt and two chained steps. Row i sees the hidden state of position i and
    the token of position i + 1; the last row gets `token`, the greedy next one."""
    m, n = run.model, len(ids)
    next_ids = torch.cat([torch.tensor([ids[1:]], device=DEV, dtype=torch.long), token], 1)
    z, k, v, _ = m.mtp_first(next_ids, hidden, run.cos[:n], run.sin[:n], run.dense)
    first_checksum = checksums(z)
    steps, extra, drafts = [], [], None
    for j in range(3):
        if j > 0:
            z, extra = m.mtp_chain(drafts, z, run.cos[j : n + j], run.sin[j : n + j], k, v, extra)
        logits = run.logits(z)[0]
        drafts = logits.argmax(-1)[None]
        steps.append(
            {
                "token_in": int(token),
                "z_last": floats(z[0, -1]),
                "logits_last": b64(logits[-1]),
                "draft": int(drafts[0, -1]),
            }
        )
        token = drafts[0, -1]
    return {
        "note": "token_in is embedded by the last row of each step; z is post shared_head.norm",
        "eh_proj_last": floats(m.mtp_input(next_ids, hidden)[0, -1]),
        "first_checksum": first_checksum,
        "steps": steps,
    }


@torch.no_grad()
def model_goldens(write, fmt, folder, tok, items, use_hf):
    run = Runner(folder)
    prompts = encode(tok, [render(i["messages"]) for i in items])
    names = [i["id"] for i in items]
    notes = {"model": fmt}
    last = [run.logits(run.hidden(torch.tensor([p], device=DEV)))[0] for p in prompts[:16]]
    outs = run.generate(prompts, max_new=64)
    rows = [p + o for p, o in zip(prompts, outs)]
    drafts = run.drafts(rows)
    full = [run.logits(run.hidden(torch.tensor([r], device=DEV)))[0] for r in rows]
    gaps = list(output_gaps(run, prompts, outs))
    if use_hf:
        notes.update(
            check_transformers(folder, prompts[:16], last, rows, [len(p) for p in prompts])
        )
    write(
        "logits_" + fmt,
        {
            "cases": [
                {"id": n, "prompt_ids": p, "logits": b64(z[-1])}
                for n, p, z in zip(names, prompts, last)
            ]
        },
        **notes,
    )
    cases = []
    for n, p, o, d, g in zip(names, prompts, outs, drafts, gaps):
        cases.append(
            {
                "id": n,
                "prompt_ids": p,
                "output_ids": o,
                "gap": [round(x, 4) for x in g],
                "drafts": d[len(p) - 1 :].tolist(),
            }
        )
    write(
        "greedy_" + fmt,
        {
            "note": "up to 64 greedy tokens. gap: best minus second-best logit at each output "
            "token. drafts[i]: three MTP draft tokens (post-norm chaining) proposed when "
            "output_ids[i] is the newest known token",
            "cases": cases,
        },
        **notes,
    )
    cases = []
    for n, p, o, z in list(zip(names, prompts, outs, full))[:8]:
        lp = z[len(p) - 1 : len(p) + min(len(o), 8) - 1].log_softmax(-1).topk(20)
        cases.append(
            {
                "id": n,
                "prompt_ids": p,
                "output_ids": o[:8],
                "top_ids": lp.indices.tolist(),
                "top_logprobs": [[round(v, 5) for v in r] for r in lp.values.tolist()],
            }
        )
    write(
        "logprobs_" + fmt,
        {"note": "top 20 at each of the first 8 greedy output positions", "cases": cases},
        **notes,
    )
    if fmt != "nvfp4":
        write(
            "activations_" + fmt, {"prompt_id": names[0], **activations(run, prompts[0])}, **notes
        )
    return notes


def check_transformers(folder, prompts, ours, rows, lengths):
    """Largest logit difference to transformers on the same fp32 weights, and agreement of its
    argmax along our greedy outputs."""
    from transformers import DeepseekV3ForCausalLM

    with tempfile.TemporaryDirectory() as tmp:
        with open(os.path.join(folder, "config.json")) as f:
            config = json.load(f)
        config.pop("quantization_config", None)
        config["torch_dtype"] = "float32"
        with open(os.path.join(tmp, "config.json"), "w") as f:
            json.dump(config, f)
        mtp = f"model.layers.{config['num_hidden_layers']}."
        tensor_files.write_safetensors(
            os.path.join(tmp, "model.safetensors"),
            [
                (n, "F32", np.ascontiguousarray(a, np.float32))
                for n, a in tensor_files.dequantize_folder(folder).items()
                if not n.startswith(mtp)
            ],
        )
        hf = (
            DeepseekV3ForCausalLM.from_pretrained(
                tmp, dtype=torch.float32, attn_implementation="eager"
            )
            .to(DEV)
            .eval()
        )
    diff, agree, count = 0.0, 0, 0
    for p, z in zip(prompts, ours):
        diff = max(
            diff, (hf(torch.tensor([p], device=DEV)).logits[0].float() - z).abs().max().item()
        )
    for r, n in zip(rows, lengths):
        best = hf(torch.tensor([r], device=DEV)).logits[0].argmax(-1).tolist()
        agree, count = (
            agree + sum(a == b for a, b in zip(best[n - 1 : -1], r[n:])),
            count + len(r) - n,
        )
    return {
        "transformers_max_abs_logit_difference": float(f"{diff:.3g}"),
        "transformers_greedy_agreement": f"{agree}/{count}",
    }


def main():
    ap = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for fmt in ("bf16", "fp8", "nvfp4"):
        ap.add_argument("--" + fmt, required=True)
    ap.add_argument("--eval", required=True)
    ap.add_argument("--out", required=True)
    ap.add_argument("--no-transformers", action="store_true")
    a = ap.parse_args()
    torch.set_float32_matmul_precision("highest")
    for old in glob.glob(os.path.join(a.out, "*.json")):
        os.remove(old)
    write, tok, sets = Writer(a.out), load_tokenizer(a.bf16), load_eval(a.eval)
    print("tokenizer strings", tokenizer_goldens(write, tok))
    print("templates, AutoTokenizer agrees", template_goldens(write, a.bf16, tok, sets))
    for write_numbers in (router_goldens, rope_goldens, rmsnorm_goldens, quant_goldens):
        write_numbers(write)
    items = choose_items(a.fp8, tok, sets, 32)
    for fmt in ("bf16", "fp8", "nvfp4"):
        print(
            fmt,
            model_goldens(write, fmt, getattr(a, fmt), tok, items, not a.no_transformers),
            flush=True,
        )
    print("bytes", sum(os.path.getsize(os.path.join(a.out, f)) for f in os.listdir(a.out)))


if __name__ == "__main__":
    main()
