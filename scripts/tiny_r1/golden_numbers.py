"""Golden vectors of single operations: router, RoPE, RMSNorm, quantisation."""

import numpy as np
import torch

import quant
from golden_io import b64, floats
from model import Config, rms_norm, rope, route, yarn_inv_freq


def router_goldens(write):
    rng = np.random.default_rng(0)
    real = Config(n_routed_experts=256, n_group=8, topk_group=4, num_experts_per_tok=8)
    tiny = Config()
    cases = []
    for i in range(80):
        cfg, e = (real, 256) if i < 64 else (tiny, 16)
        kind = ["random", "skewed_bias", "negative_bias", "ties"][i % 4]
        logits = np.round(rng.normal(0, 1.5, e) * 256) / 256
        bias = (
            np.round(
                rng.normal(
                    0,
                    {"random": 0.05, "skewed_bias": 0.5, "negative_bias": 0.1, "ties": 0.0}[kind],
                    e,
                )
                * 1024
            )
            / 1024
        )
        if kind == "negative_bias":
            bias -= 1.5  # every choice value is negative: a mask of 0 instead of -inf shows
        if kind == "ties":
            logits = np.round(logits * 2) / 2  # many equal logits: the lowest index wins
        w, sel = route(
            torch.tensor(logits, dtype=torch.float32)[None],
            torch.tensor(bias, dtype=torch.float32),
            cfg,
        )
        idx = sel[0].nonzero().flatten().tolist()
        cases.append(
            {
                "kind": kind,
                "n_group": cfg.n_group,
                "topk_group": cfg.topk_group,
                "top_k": cfg.num_experts_per_tok,
                "logits": logits.tolist(),
                "bias": bias.tolist(),
                "indices": idx,
                "weights": floats(w[0, idx]),
            }
        )
    write(
        "router",
        {"note": "indices ascending; weights in the same order, scaled by 2.5", "cases": cases},
    )


def rope_goldens(write):
    cfg = Config()
    inv, pos = yarn_inv_freq(cfg), [0, 1, 2, 7, 100, 1000, 4095, 4096, 10000, 65536, 163839]
    x = torch.linspace(-1, 1, 64)
    rows = []
    for p in pos:
        a = p * inv
        rows.append(
            {
                "position": p,
                "cos": floats(a.cos()),
                "sin": floats(a.sin()),
                "rotated": floats(rope(x, a.cos().float(), a.sin().float())),
            }
        )
    write(
        "rope",
        {
            "inv_freq": inv.tolist(),
            "softmax_scale": cfg.softmax_scale,
            "cos_sin_multiplier": 1.0,
            "input": floats(x),
            "rows": rows,
        },
        note="interleaved pairs; angles in fp64, then rounded",
    )


def rmsnorm_goldens(write):
    g = torch.Generator().manual_seed(0)
    cases = []
    for n in (256, 512, 576, 1536, 7168):
        x = quant.from_bf16(quant.to_bf16(torch.randn(n, generator=g).numpy() * 3))
        w = quant.from_bf16(quant.to_bf16(1 + 0.2 * torch.randn(n, generator=g).numpy()))
        y = rms_norm(torch.from_numpy(x), torch.from_numpy(w))
        cases.append(
            {
                "n": n,
                "eps": 1e-6,
                "x": b64(quant.to_bf16(x)),
                "weight": b64(quant.to_bf16(w)),
                "y": b64(y),
                "y_bf16": b64(quant.to_bf16(y.numpy())),
            }
        )
    write("rmsnorm", {"note": "all arithmetic fp32, one rounding at the end", "cases": cases})


def encode_cases(rng):
    """Values and codes of e4m3 and e2m1, edges first; e4m3 is checked against PyTorch's."""
    edges = [0, -0.0, 0.1, 1.0625, 1.1875, 3.3, -17, 2**-10, 1.5 * 2**-9, 240, 448, 460, 1e6, -1e6]
    edges += [2**-6, 2**-9]
    x = np.concatenate([edges, rng.normal(0, 1, 200) * 10.0 ** rng.integers(-4, 3, 200)])
    x = x.astype(np.float32)
    e4m3 = quant.to_e4m3(x)
    check = torch.from_numpy(x).clamp(-448, 448).to(torch.float8_e4m3fn).view(torch.uint8).numpy()
    assert (check == e4m3).all()
    half_ways = [0, 0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5, 7, -0.25, -0.75, -5]
    y = np.concatenate([half_ways, rng.normal(0, 2.5, 100)]).astype(np.float32)
    return {
        "e4m3_encode": {"x": floats(x), "codes": e4m3.tolist()},
        "e2m1_encode": {"x": floats(y), "codes": quant.to_e2m1(y).tolist()},
    }


def activation_case(rng):
    x = (rng.normal(0, 1, (4, 512)) * np.array([[1], [100], [1e-3], [0]])).astype(np.float32)
    x[1, 130] = 3000
    codes, scales = quant.fp8_quantize_rows(x)
    return {"x": b64(x), "codes": b64(codes, "F8_E4M3"), "scales": b64(scales)}


def bf16_weights(rng, n, k):
    return quant.from_bf16(quant.to_bf16(rng.normal(0, 0.05, (n, k)).astype(np.float32)))


def fp8_weight_case(rng, n, k):
    w = bf16_weights(rng, n, k)
    codes, scale = quant.fp8_quantize(w)
    return {
        "weight": b64(quant.to_bf16(w)),
        "codes": b64(codes, "F8_E4M3"),
        "scale_inv": b64(scale),
    }


def nvfp4_case(rng):
    w = bf16_weights(rng, 32, 128)
    w[3, 16:32] = 0
    tensor_scale = quant.nvfp4_tensor_scale(np.abs(w).max())
    packed, scale = quant.nvfp4_quantize(w, tensor_scale)
    return {
        "weight": b64(quant.to_bf16(w)),
        "packed": b64(packed),
        "weight_scale": b64(scale, "F8_E4M3"),
        "weight_scale_2": float(tensor_scale),
        "dequantised": b64(quant.nvfp4_dequantize(packed, scale, tensor_scale)),
    }


def nvfp4_row_case():
    """A row short enough to be followed by hand."""
    row = np.array([[0.01 * k * (-1) ** k for k in range(16)]], np.float32)
    tensor_scale = quant.nvfp4_tensor_scale(0.30)
    packed, scale = quant.nvfp4_quantize(row, tensor_scale)
    return {
        "row": floats(row),
        "amax": 0.30,
        "packed": packed[0].tolist(),
        "weight_scale": int(scale[0, 0]),
        "weight_scale_2": float(tensor_scale),
    }


def quant_goldens(write):
    rng = np.random.default_rng(1)
    write(
        "quant",
        {
            "e4m3_table": [None if np.isnan(v) else float(v) for v in quant.E4M3],
            "e2m1_table": quant.E2M1.tolist(),
            **encode_cases(rng),
            "activation_1x128": activation_case(rng),
            "weight_128x128": [fp8_weight_case(rng, n, k) for n, k in ((128, 128), (192, 160))],
            "nvfp4": nvfp4_case(rng),
            "nvfp4_row": nvfp4_row_case(),
        },
    )
