"""tiny-r1: the DeepSeek-V3 architecture (MLA, sigmoid-routed MoE, MTP) in plain PyTorch.

Storage differs from the checkpoint layout in two ways: gate/up projections of all experts (and the
shared expert, last) are stacked into `gu` [n*2*F, H], and the transposed down projections into `dn`
[n*F, H]. The MoE layer is evaluated densely: the activation of every expert is multiplied by its
routing weight (0 if not selected) before one wide down projection, which equals sparse routing
because the down projection is linear.
"""

import json
import math
from dataclasses import dataclass, field

import torch
import torch.nn as nn
import torch.nn.functional as F


@dataclass
class Config:
    hidden_size: int = 256
    num_hidden_layers: int = 4
    first_k_dense_replace: int = 1
    num_attention_heads: int = 4
    q_lora_rank: int = 256
    kv_lora_rank: int = 512
    qk_nope_head_dim: int = 128
    qk_rope_head_dim: int = 64
    v_head_dim: int = 128
    intermediate_size: int = 1024
    moe_intermediate_size: int = 256
    n_routed_experts: int = 16
    n_shared_experts: int = 1
    n_group: int = 4
    topk_group: int = 2
    num_experts_per_tok: int = 4
    routed_scaling_factor: float = 2.5
    vocab_size: int = 2048
    rms_norm_eps: float = 1e-6
    rope_theta: float = 10000.0
    rope_scaling: dict = field(
        default_factory=lambda: dict(
            type="yarn",
            factor=40,
            original_max_position_embeddings=4096,
            beta_fast=32,
            beta_slow=1,
            mscale=1.0,
            mscale_all_dim=1.0,
        )
    )

    @staticmethod
    def load(path):
        with open(path) as f:
            d = json.load(f)
        return Config(**{k: d[k] for k in Config.__dataclass_fields__ if k in d})

    @property
    def qk_dim(self):
        return self.qk_nope_head_dim + self.qk_rope_head_dim

    @property
    def softmax_scale(self):
        m = 0.1 * self.rope_scaling["mscale_all_dim"] * math.log(self.rope_scaling["factor"]) + 1.0
        return self.qk_dim**-0.5 * m * m


def yarn_inv_freq(cfg):
    """YaRN inverse frequencies in fp64."""
    d, base, s = cfg.qk_rope_head_dim, cfg.rope_theta, cfg.rope_scaling
    ext = base ** (-torch.arange(0, d, 2, dtype=torch.float64) / d)
    corr = (
        lambda r: d
        * math.log(s["original_max_position_embeddings"] / (2 * math.pi * r))
        / (2 * math.log(base))
    )
    low, high = max(math.floor(corr(s["beta_fast"])), 0), min(
        math.ceil(corr(s["beta_slow"])), d - 1
    )
    ramp = ((torch.arange(d // 2, dtype=torch.float64) - low) / max(high - low, 0.001)).clamp(0, 1)
    return ext * (1 - ramp) + ext / s["factor"] * ramp


def rope_table(cfg, n):
    """cos and sin [n, 32] in fp32. The YaRN multiplier
    get_mscale(mscale)/get_mscale(mscale_all_dim) is 1 here."""
    angle = torch.arange(n, dtype=torch.float64)[:, None] * yarn_inv_freq(cfg)[None, :]
    return angle.cos().float(), angle.sin().float()


def rope(x, cos, sin):
    """Rotates interleaved pairs of the last axis; cos and sin broadcast against [..., 32]."""
    a, b = x.float().unflatten(-1, (-1, 2)).unbind(-1)
    return torch.stack([a * cos - b * sin, a * sin + b * cos], -1).flatten(-2).to(x.dtype)


def rms_norm(x, w, eps=1e-6):
    f = x.float()
    return (f * torch.rsqrt(f.pow(2).mean(-1, keepdim=True) + eps) * w.float()).to(x.dtype)


def top_mask(c, k):
    """Boolean mask of the k largest entries of the last axis; the lowest index wins ties."""
    i = torch.arange(c.shape[-1], device=c.device)
    me, rival = c.unsqueeze(-1), c.unsqueeze(-2)
    return ((rival > me) | ((rival == me) & (i[None, :] < i[:, None]))).sum(-1) < k


def route(logits, bias, cfg):
    """noaux_tc: fp32 logits [..., E] -> weights [..., E] that are 0 where not selected and sum
    to the scaling factor."""
    s = torch.sigmoid(logits)
    choice = s.detach() + bias
    groups = choice.unflatten(-1, (cfg.n_group, -1))
    group_score = (groups * top_mask(groups, 2)).sum(-1)
    keep = top_mask(group_score, cfg.topk_group).unsqueeze(-1).expand_as(groups).flatten(-2)
    selected = top_mask(choice.masked_fill(~keep, -math.inf), cfg.num_experts_per_tok)
    w = s * selected
    return w / (w.sum(-1, keepdim=True) + 1e-20) * cfg.routed_scaling_factor, selected


def fake_quant_rows(x):
    """Dynamic FP8 quantisation of activations: groups of 128 channels per token, returned
    dequantised."""
    g = x.float().unflatten(-1, (-1, 128))
    s = g.abs().amax(-1, keepdim=True).clamp(min=1e-4) / 448.0
    return ((g / s).clamp(-448, 448).to(torch.float8_e4m3fn).float() * s).flatten(-2).to(x.dtype)


E2M1 = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)


def fake_quant_cache(latent, k_pe, fmt):
    """What a cache in the given format gives back: `bf16`; `fp8` (e4m3 latent, one fp32 scale a
    token, bf16 k_pe); `fp4` (e2m1 latent, one e4m3 scale per 16 values, bf16 k_pe)."""
    k_pe = k_pe.to(torch.bfloat16).to(k_pe.dtype)
    x = latent.float()
    if fmt == "bf16":
        y = x.to(torch.bfloat16)
    elif fmt == "fp8":
        s = x.abs().amax(-1, keepdim=True).clamp(min=1e-4) / 448.0
        y = (x / s).clamp(-448, 448).to(torch.float8_e4m3fn).float() * s
    else:
        g = x.unflatten(-1, (-1, 16))
        s = (g.abs().amax(-1, keepdim=True) / 6.0).to(torch.float8_e4m3fn).float()
        a = torch.where(s > 0, g.abs() / s, 0.0)
        code = sum(
            c.long() for c in (a > 0.25, a >= 0.75, a > 1.25, a >= 1.75, a > 2.5, a >= 3.5, a > 5.0)
        )
        y = (torch.tensor(E2M1, device=x.device)[code] * s * g.sign()).flatten(-2)
    return y.to(latent.dtype), k_pe


class Layer(nn.Module):
    """One decoder layer. `experts` = 0 makes the dense layer."""

    def __init__(self, cfg, experts):
        super().__init__()
        self.cfg, self.experts = cfg, experts
        h, heads = cfg.hidden_size, cfg.num_attention_heads
        weight = lambda *shape: nn.Parameter(torch.empty(*shape))
        ones = lambda n: nn.Parameter(torch.ones(n))
        self.input_layernorm, self.post_attention_layernorm = ones(h), ones(h)
        self.q_a, self.q_a_layernorm = weight(cfg.q_lora_rank, h), ones(cfg.q_lora_rank)
        self.q_b = weight(heads * cfg.qk_dim, cfg.q_lora_rank)
        self.kv_a, self.kv_a_layernorm = weight(cfg.kv_lora_rank + cfg.qk_rope_head_dim, h), ones(
            cfg.kv_lora_rank
        )
        self.kv_b = weight(heads * (cfg.qk_nope_head_dim + cfg.v_head_dim), cfg.kv_lora_rank)
        self.o = weight(h, heads * cfg.v_head_dim)
        n, f = (
            (experts + cfg.n_shared_experts, cfg.moe_intermediate_size)
            if experts
            else (1, cfg.intermediate_size)
        )
        self.width = f
        self.gu, self.dn = weight(n * 2 * f, h), weight(n * f, h)
        if experts:
            self.gate = weight(experts, h)
            self.register_buffer("bias", torch.zeros(experts))
        self.act_quant = False  # simulate FP8 activations (evaluation only)
        self.cache_format = None  # simulate a cache format (evaluation only)

    def linear(self, x, w):
        return F.linear(fake_quant_rows(x) if self.act_quant else x, w)

    def qkv(self, x, cos, sin):
        """x [..., H]; cos, sin [..., 32]. Returns q, k [..., heads, 192] and v [..., heads,
        128]."""
        cfg, heads = self.cfg, self.cfg.num_attention_heads
        cos, sin = cos.unsqueeze(-2), sin.unsqueeze(-2)
        x = rms_norm(x, self.input_layernorm)
        q = self.linear(rms_norm(self.linear(x, self.q_a), self.q_a_layernorm), self.q_b).unflatten(
            -1, (heads, -1)
        )
        q_nope, q_pe = q.split([cfg.qk_nope_head_dim, cfg.qk_rope_head_dim], -1)
        latent, k_pe = self.linear(x, self.kv_a).split([cfg.kv_lora_rank, cfg.qk_rope_head_dim], -1)
        latent, k_pe = rms_norm(latent, self.kv_a_layernorm), rope(k_pe.unsqueeze(-2), cos, sin)
        if self.cache_format:
            latent, k_pe = fake_quant_cache(latent, k_pe, self.cache_format)
        kv = F.linear(latent, self.kv_b).unflatten(-1, (heads, -1))
        k_nope, v = kv.split([cfg.qk_nope_head_dim, cfg.v_head_dim], -1)
        k_pe = k_pe.expand(*k_nope.shape[:-1], -1)
        return torch.cat([q_nope, rope(q_pe, cos, sin)], -1), torch.cat([k_nope, k_pe], -1), v

    def finish(self, x, attn):
        """Adds attention output [..., heads, 128] and the MLP to the residual. Also returns the
        expert load."""
        x = x + self.linear(attn.flatten(-2), self.o)
        y, load = self.mlp(rms_norm(x, self.post_attention_layernorm))
        return x + y, load

    def activations(self, x):
        g, u = self.linear(x, self.gu).unflatten(-1, (-1, 2, self.width)).unbind(-2)
        return F.silu(g) * u

    def route(self, x):
        with torch.autocast(x.device.type, enabled=False):
            return route(F.linear(x.float(), self.gate.float()), self.bias, self.cfg)

    def mlp(self, x):
        a = self.activations(x)
        load = None
        if self.experts:
            w, selected = self.route(x)
            w = torch.cat([w, torch.ones_like(w[..., :1])], -1)
            load = selected.flatten(0, -2).float().mean(0)
            if (
                self.act_quant
            ):  # the engine quantises the unweighted activation, then weights the expert's output
                a = fake_quant_rows(a)
            a = a * w.unsqueeze(-1).to(a.dtype)
        elif self.act_quant:
            a = fake_quant_rows(a)
        return a.flatten(-2) @ self.dn.to(a.dtype), load

    def forward(self, x, cos, sin, attend):
        q, k, v = self.qkv(x, cos, sin)
        x, load = self.finish(x, attend(q, k, v))
        return x, k, v, load  # train.py compiles qkv and finish; attend stays outside


class TinyR1(nn.Module):
    def __init__(self, cfg=None):
        super().__init__()
        self.cfg = cfg = cfg or Config()
        h = cfg.hidden_size
        self.embed = nn.Parameter(torch.empty(cfg.vocab_size, h))
        self.head = nn.Parameter(torch.empty(cfg.vocab_size, h))
        self.norm = nn.Parameter(torch.ones(h))
        self.layers = nn.ModuleList(
            Layer(cfg, cfg.n_routed_experts if i >= cfg.first_k_dense_replace else 0)
            for i in range(cfg.num_hidden_layers)
        )
        self.mtp = Layer(cfg, cfg.n_routed_experts)
        self.enorm, self.hnorm, self.mtp_norm = (nn.Parameter(torch.ones(h)) for _ in range(3))
        self.eh_proj = nn.Parameter(torch.empty(h, 2 * h))

    @torch.no_grad()
    def init_weights(self, seed=0):
        g = torch.Generator().manual_seed(seed)
        out_scale = (2 * (self.cfg.num_hidden_layers + 1)) ** -0.5
        for name, p in self.named_parameters():
            if p.dim() == 2:
                std = 0.02 * (out_scale if name.endswith((".o", ".dn")) else 1.0)
                p.copy_(torch.randn(p.shape, generator=g) * std)

    def trunk(self, ids, cos, sin, attend):
        """Post-norm hidden states (what the head and MTP receive), the keys/values and loads of
        each layer."""
        x, loads = F.embedding(ids, self.embed), []
        for i, layer in enumerate(self.layers):
            x, _, _, load = layer(x, cos, sin, attend(i))
            loads.append(load)
        return rms_norm(x, self.norm), loads[self.cfg.first_k_dense_replace :]

    def mtp_input(self, next_ids, hidden):
        """eh_proj over the concatenation (embedding of the next token, hidden state)."""
        e = rms_norm(F.embedding(next_ids, self.embed), self.enorm)
        return F.linear(
            torch.cat([e, rms_norm(hidden, self.hnorm).to(e.dtype)], -1), self.eh_proj
        ).to(hidden.dtype)

    def mtp_first(self, next_ids, hidden, cos, sin, attend):
        """Depth 1. Returns z (post shared_head.norm), and the keys and values of the MTP layer."""
        x, k, v, load = self.mtp(self.mtp_input(next_ids, hidden), cos, sin, attend)
        return rms_norm(x, self.mtp_norm), k, v, load

    def mtp_chain(self, next_ids, z, cos, sin, k1, v1, extra):
        """Depth j > 1 for every row at once, as the drafting loop sees it: [B, T] rows, row i at
        position i + j - 1. A row attends to the depth-1 entries k1, v1 of slots <= i, to what
        earlier depths of the same chain wrote (`extra`, one (k, v) each) and to itself. cos
        and sin belong to the shifted positions."""
        x = self.mtp_input(next_ids, z)
        q, k, v = self.mtp.qkv(x, cos, sin)
        extra = extra + [(k, v)]
        t, scale = q.shape[1], self.cfg.softmax_scale
        s = torch.einsum("bqhd,bkhd->bhqk", q, k1).float() * scale
        causal = torch.ones(t, t, dtype=torch.bool, device=q.device).tril()
        s = s.masked_fill(~causal, -math.inf)
        own = [(q * ke).sum(-1).float().transpose(1, 2).unsqueeze(-1) * scale for ke, _ in extra]
        p = torch.cat([s] + own, -1).softmax(-1).to(v1.dtype)
        out = torch.einsum("bhqk,bkhd->bqhd", p[..., :t], v1)
        for j, (_, ve) in enumerate(extra):
            out = out + p[..., t + j].transpose(1, 2).unsqueeze(-1) * ve
        x, _ = self.mtp.finish(x, out)
        return rms_norm(x, self.mtp_norm), extra

    def logits(self, hidden):
        return F.linear(hidden, self.head)


def dense_attention(scale):
    """Causal attention over [B, T, heads, d]; right padding needs no mask."""

    def attend(q, k, v):
        t = q.shape[1]
        s = torch.einsum("bqhd,bkhd->bhqk", q, k).float() * scale
        s = s.masked_fill(~torch.ones(t, t, dtype=torch.bool, device=q.device).tril(), -math.inf)
        return torch.einsum("bhqk,bkhd->bqhd", s.softmax(-1).to(v.dtype), v)

    return attend
