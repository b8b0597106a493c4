#!/usr/bin/env python3
"""Trains tiny-r1 on shards made by generate.py.

  train.py --data DIR --out FILE.pt --minutes 14

Samples are packed end to end without padding; attention stays inside a sample (variable-length
flash attention). The schedule follows wall-clock time: progress = elapsed / --minutes. New shards
are picked up between passes, so generation may still run. Loss: completion tokens weight 1, prompt
tokens 0.1; MTP depth 1 with weight 0.3, later 0.1; from half time on also depths 2 and 3, chained
as the drafting loop does it, on a part of the batch.
"""

import argparse
import glob
import os
import queue
import threading
import time

import numpy as np
import torch
import torch.nn.functional as F

from model import Layer, TinyR1, dense_attention, rope_table

PROMPT_WEIGHT = 0.1
WARM_UP_STEPS = 300
REPORT_STEPS = 200
SAVE_STEPS = 4000


# ---- data ----


class Batches:
    """Endless packed batches, prepared by a background thread."""

    def __init__(self, folder, tokens, max_docs, chain_docs, chain_len, min_shards, seed=0):
        self.folder, self.tokens, self.max_docs = folder, tokens, max_docs
        self.chain_docs, self.chain_len, self.min_shards = chain_docs, chain_len, min_shards
        self.rng = np.random.default_rng(seed)
        self.shards_seen, self.passes = 0, 0
        self.queue = queue.Queue(maxsize=8)
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        while True:
            files = sorted(glob.glob(os.path.join(self.folder, "shard_????.npz")))
            if len(files) < self.min_shards:
                time.sleep(0.5)
                continue
            self.passes, self.shards_seen = self.passes + 1, max(self.shards_seen, len(files))
            for i in self.rng.permutation(len(files)):
                with np.load(files[i]) as z:
                    self._shard(
                        z["ids"], z["lengths"].astype(np.int64), z["prompts"].astype(np.int64)
                    )

    def _shard(self, ids, lengths, prompts):
        starts = np.cumsum(lengths) - lengths
        order = self.rng.permutation(len(lengths))
        ends = np.cumsum(lengths[order])
        i = 0
        while i < len(order):
            base = ends[i] - lengths[order[i]]
            j = min(np.searchsorted(ends, base + self.tokens, side="right"), i + self.max_docs)
            if j == len(order):
                return  # the incomplete last batch is dropped
            self.queue.put(self._batch(ids, starts, lengths, prompts, order[i:j]))
            i = j

    def _batch(self, ids, starts, lengths, prompts, docs):
        n, length = self.tokens, lengths[docs]
        first = np.cumsum(length) - length  # position of each sample in the packed row
        total = int(length.sum())
        pos = np.arange(total) - np.repeat(first, length)
        out_ids, out_pos, weight = (
            np.full(n, 2, np.int64),
            np.zeros(n, np.int64),
            np.zeros(n, np.float32),
        )
        out_ids[:total] = ids[np.repeat(starts[docs], length) + pos]
        out_pos[:total] = pos
        weight[:total] = np.where(pos >= np.repeat(prompts[docs], length), 1.0, PROMPT_WEIGHT) * (
            pos > 0
        )
        out_pos[total:] = np.arange(n - total)
        cu = np.full(self.max_docs + 2, n, np.int32)
        cu[: len(docs)], cu[len(docs)] = first, total
        some = np.flatnonzero(length <= self.chain_len)[: self.chain_docs]
        some = np.resize(some, self.chain_docs)
        rows = np.minimum(first[some][:, None] + np.arange(self.chain_len + 4), n - 1)
        return [
            torch.from_numpy(a).pin_memory()
            for a in (out_ids, out_pos, weight, cu, rows, length[some])
        ]

    def next(self):
        return [t.cuda(non_blocking=True) for t in self.queue.get()]


# ---- optimizer ----


class Muon:
    """Momentum with orthogonalised updates for matrices; stacked blocks are treated separately.
    Updates are scaled by 0.2 * sqrt(longer side), so a usual AdamW learning rate fits."""

    def __init__(self, params, momentum=0.95, decay=0.1):
        self.params = [p for p, _ in params]
        self.blocks = [b for _, b in params]
        self.momentum, self.decay = momentum, decay
        self.buffers = [torch.zeros_like(p) for p in self.params]
        self.groups = {}  # (short side, padded long side) -> parameter indices
        for i, (_, r, c) in enumerate(self.blocks):
            short, long = min(r, c), max(r, c)
            self.groups.setdefault((short, long if long == short else 1024), []).append(i)

    @staticmethod
    def orthogonalise(x, steps=5):
        a, b, c = 3.4445, -4.7750, 2.0315
        x = x.bfloat16()
        x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
        for _ in range(steps):
            g = x @ x.mT
            x = torch.baddbmm(x, torch.baddbmm(g, g, g, beta=b, alpha=c), x, beta=a)
        return x

    @torch.no_grad()
    def step(self, lr):
        grads = [p.grad for p in self.params]
        torch._foreach_lerp_(self.buffers, grads, 1 - self.momentum)
        nesterov = torch._foreach_lerp(grads, self.buffers, self.momentum)
        torch._foreach_mul_(self.params, 1 - lr * self.decay)
        for (_, long), members in self.groups.items():
            stack = []
            for i in members:
                n, r, c = self.blocks[i]
                u = nesterov[i].view(n, r, c)
                u = u.mT if r > c else u
                stack.append(F.pad(u, (0, long - u.shape[-1])))
            update = self.orthogonalise(torch.cat(stack))
            at = 0
            for i in members:
                n, r, c = self.blocks[i]
                u = update[at : at + n, :, : max(r, c)]
                at += n
                u = u.mT if r > c else u
                self.params[i].add_(
                    u.reshape(self.params[i].shape), alpha=-lr * 0.2 * max(r, c) ** 0.5
                )


def split_parameters(model):
    """(matrices with their block shapes, other parameters)."""
    cfg = model.cfg
    matrices, others = [(model.eh_proj, (1, *model.eh_proj.shape))], []
    taken = {id(model.eh_proj)}
    for layer in [*model.layers, model.mtp]:
        for w in (layer.q_a, layer.q_b, layer.kv_a, layer.kv_b, layer.o):
            matrices.append((w, (1, *w.shape)))
        matrices += [
            (layer.gu, (layer.gu.shape[0] // layer.width, layer.width, cfg.hidden_size)),
            (layer.dn, (layer.dn.shape[0] // layer.width, layer.width, cfg.hidden_size)),
        ]
        taken |= {
            id(w)
            for w in (layer.q_a, layer.q_b, layer.kv_a, layer.kv_b, layer.o, layer.gu, layer.dn)
        }
    others = [p for p in model.parameters() if id(p) not in taken]
    return matrices, others


# ---- model on packed batches ----


def flash(cu, longest, scale):
    """Causal attention inside each sample of a packed row; the value width is padded to the key
    width."""

    def attend(q, k, v):
        width = v.shape[-1]
        v = F.pad(v, (0, q.shape[-1] - width))
        return torch.ops.aten._flash_attention_forward(
            q, k, v, cu, cu, longest, longest, 0.0, True, False, scale=scale
        )[0][..., :width]

    return attend


def token_loss(hidden, head, target, weight):
    loss = F.cross_entropy(F.linear(hidden, head).float(), target, reduction="none")
    return (loss * weight).sum()


class Step:
    """Losses of one packed batch."""

    def __init__(self, model, max_len, compiled):
        self.model, self.max_len = model, max_len
        self.cos, self.sin = (t.cuda() for t in rope_table(model.cfg, max_len + 8))
        self.token_loss = torch.compile(token_loss, dynamic=False) if compiled else token_loss

    def __call__(self, ids, pos, weight, cu, rows, lengths, chain):
        m, scale = self.model, self.model.cfg.softmax_scale
        cos, sin = self.cos[pos], self.sin[pos]
        attend = flash(cu, self.max_len, scale)

        def ahead(d):
            """Target and weight of the token d places ahead; 0 across sample borders."""
            w = weight.roll(-d) * (pos.roll(-d) >= d)
            w[-d:] = 0
            return ids.roll(-d), w

        h, loads = m.trunk(ids, cos, sin, lambda i: attend)
        t1, w1 = ahead(1)
        t2, w2 = ahead(2)
        main = self.token_loss(h, m.head, t1, w1) / w1.sum()
        z, k, v, load = m.mtp_first(t1, h, cos, sin, attend)
        mtp = self.token_loss(z, m.head, t2, w2) / w2.sum()
        losses = [main, mtp]
        if chain:
            width = rows.shape[1] - 4
            base = rows[:, :width]
            z, k, v, extra = z[base], k[base], v[base], []
            for d in (2, 3):
                p = torch.arange(width, device=ids.device) + d - 1
                z, extra = m.mtp_chain(
                    ids[rows[:, d : d + width]], z, self.cos[p], self.sin[p], k, v, extra
                )
                target = rows[:, d + 1 : d + 1 + width]
                inside = torch.arange(width, device=ids.device) + d + 1 < lengths[:, None]
                w = (weight[target] * inside).flatten()
                losses.append(
                    self.token_loss(z.flatten(0, 1), m.head, ids[target].flatten(), w) / w.sum()
                )
        return losses, loads + [load]


def check_flash(cfg):
    """The packed attention agrees with a dense reference."""
    torch.manual_seed(0)
    lens = [5, 130, 1, 77]
    q, k = (torch.randn(sum(lens), 4, 192, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    v = torch.randn(sum(lens), 4, 128, device="cuda", dtype=torch.bfloat16)
    cu = torch.tensor([0, *np.cumsum(lens), sum(lens), sum(lens)], dtype=torch.int32, device="cuda")
    out = flash(cu, 256, cfg.softmax_scale)(q, k, v)
    dense, at = dense_attention(cfg.softmax_scale), 0
    for n in lens:
        s = slice(at, at + n)
        ref = dense(q[s][None].float(), k[s][None].float(), v[s][None].float())[0]
        assert (out[s].float() - ref).abs().max() < 0.05, "flash attention differs"
        at += n


class Optimizers:
    """Muon for matrices and AdamW for the rest, or AdamW for everything."""

    def __init__(self, model, kind, lr, lr_other):
        matrices, others = split_parameters(model)
        self.muon = Muon(matrices) if kind == "muon" else None
        self.lr, self.lr_adam = lr, lr_other if self.muon else lr
        rest = others if self.muon else others + [p for p, _ in matrices]
        decayed = [p for p in rest if p.dim() > 1 and p is not model.embed]
        plain = [p for p in rest if p.dim() == 1 or p is model.embed]
        self.adam = torch.optim.AdamW(
            [{"params": decayed, "weight_decay": 0.1}, {"params": plain, "weight_decay": 0.0}],
            lr=lr,
            betas=(0.9, 0.95),
            fused=True,
        )

    def step(self, scale):
        """One update; `scale` is the schedule's factor on both learning rates."""
        for group in self.adam.param_groups:
            group["lr"] = scale * self.lr_adam
        self.adam.step()
        if self.muon:
            self.muon.step(scale * self.lr)


class ExpertBalance:
    """Moves the correction biases towards an even load, as in DeepSeek-V3, and keeps the mean load."""

    def __init__(self, model):
        self.names = [f"layer {i}" for i, layer in enumerate(model.layers) if layer.experts] + [
            "mtp"
        ]
        self.layers = [layer for layer in model.layers if layer.experts] + [model.mtp]
        self.target = model.cfg.num_experts_per_tok / model.cfg.n_routed_experts
        self.mean = [torch.full_like(layer.bias, self.target) for layer in self.layers]

    @torch.no_grad()
    def update(self, loads, move_biases):
        for layer, load, mean in zip(self.layers, loads, self.mean):
            mean.lerp_(load, 0.01)
            if move_biases:
                layer.bias.add_(torch.sign(self.target - load), alpha=1e-3)

    def report(self):
        for name, layer, mean in zip(self.names, self.layers, self.mean):
            loads = " ".join(f"{x / self.target:.2f}" for x in mean.tolist())
            biases = " ".join(f"{x:+.3f}" for x in layer.bias.tolist())
            print(f"{name} load / mean: {loads} bias: {biases}")


def compile_layers():
    torch._dynamo.config.recompile_limit = 64
    Layer.qkv = torch.compile(Layer.qkv, dynamic=False)
    Layer.finish = torch.compile(Layer.finish, dynamic=False)


class Trainer:
    """The model, its data and its optimizers; run() trains until the time is up."""

    def __init__(self, args):
        self.args = args
        torch.manual_seed(0)
        self.model = TinyR1()
        self.model.init_weights(0)
        self.model.cuda()
        check_flash(self.model.cfg)
        if not args.no_compile:
            compile_layers()
        self.optimizers = Optimizers(self.model, args.optimizer, args.lr, args.lr_other)
        self.balance = ExpertBalance(self.model)
        self.batches = Batches(
            args.data,
            args.tokens,
            max_docs=args.tokens // 48,
            chain_docs=40,
            chain_len=384,
            min_shards=args.min_shards,
        )
        self.step = Step(self.model, args.max_len, compiled=not args.no_compile)

    def losses(self, chain):
        """Losses and expert loads of the next batch."""
        with torch.autocast("cuda", dtype=torch.bfloat16):
            return self.step(*self.batches.next(), chain)

    def warm_up(self):
        """Compiles both variants of the step before the clock starts."""
        begin = time.time()
        for chain in (False, True):
            losses, _ = self.losses(chain)
            sum(losses).backward()
        self.model.zero_grad(set_to_none=True)
        torch.cuda.synchronize()
        values = [round(loss.item(), 3) for loss in losses]
        print(f"warm-up {time.time() - begin:.1f} s, losses {values}", flush=True)

    def train_step(self, step, progress):
        """One batch; returns its losses and the factor on the learning rates."""
        args = self.args
        decay = max(0.0, (progress - args.decay_from) / (1 - args.decay_from))
        scale = min(1.0, (step + 1) / WARM_UP_STEPS) * (1 - 0.98 * decay)
        mtp_weight = 0.1 if decay > 0 else 0.3
        losses, loads = self.losses(chain=progress >= args.chain_from)
        (losses[0] + mtp_weight * losses[1] + 0.1 * sum(losses[2:])).backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizers.step(scale)
        self.model.zero_grad(set_to_none=True)
        self.balance.update(loads, move_biases=progress < 0.9)
        return losses, scale

    def run(self):
        self.warm_up()
        args, step = self.args, 0
        start = last = time.time()
        while (progress := (time.time() - start) / (args.minutes * 60)) < 1:
            losses, scale = self.train_step(step, progress)
            step += 1
            if step % REPORT_STEPS == 0:
                now = time.time()
                self.report(step, losses, scale, now - start, now - last)
                last = now
            if step % SAVE_STEPS == 0:
                torch.save(self.model.state_dict(), args.out + ".tmp")
        torch.save(self.model.state_dict(), args.out)
        print(
            f"done: {step} steps, {step * args.tokens / 1e6:.0f} M tokens, "
            f"{time.time() - start:.0f} s, "
            f"peak memory {torch.cuda.max_memory_allocated() / 1e9:.1f} GB"
        )
        self.balance.report()

    def report(self, step, losses, scale, seconds, seconds_since_last):
        values = " ".join(f"{loss.item():.4f}" for loss in losses)
        rate = REPORT_STEPS * self.args.tokens / seconds_since_last / 1e6
        batches = self.batches
        print(
            f"step {step} t {seconds:.0f} s  loss {values}  lr {scale * self.args.lr:.2e}  "
            f"{rate:.2f} Mtok/s  pass {batches.passes} shards {batches.shards_seen} "
            f"queue {batches.queue.qsize()}",
            flush=True,
        )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--minutes", type=float, default=14)
    parser.add_argument("--tokens", type=int, default=65536, help="tokens per step")
    parser.add_argument("--max-len", type=int, default=1024)
    parser.add_argument("--optimizer", choices=["muon", "adamw"], default="muon")
    parser.add_argument("--lr", type=float, default=4e-3, help="matrices (muon) or all (adamw)")
    parser.add_argument(
        "--lr-other", type=float, default=2e-3, help="embeddings, head, norms, gates (muon)"
    )
    parser.add_argument("--min-shards", type=int, default=1)
    parser.add_argument("--no-compile", action="store_true")
    parser.add_argument("--decay-from", type=float, default=0.6, help="share of the time")
    parser.add_argument("--chain-from", type=float, default=0.5, help="share of the time")
    Trainer(parser.parse_args()).run()


if __name__ == "__main__":
    main()
