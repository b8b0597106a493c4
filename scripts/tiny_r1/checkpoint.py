"""Mapping between TinyR1 parameters and the DeepSeek-V3 checkpoint names."""

import os

import numpy as np
import torch

from model import Config, TinyR1
from tensor_files import dequantize_folder


def layer_names(cfg, i, experts):
    """(checkpoint name, getter of a view into the Layer) for every tensor of layer i. Down
    projections are stored transposed in TinyR1, so their views are transposed here."""
    p, at = f"model.layers.{i}.", f"model.layers.{i}.self_attn."
    out = [
        (p + "input_layernorm.weight", lambda l: l.input_layernorm),
        (at + "q_a_proj.weight", lambda l: l.q_a),
        (at + "q_a_layernorm.weight", lambda l: l.q_a_layernorm),
        (at + "q_b_proj.weight", lambda l: l.q_b),
        (at + "kv_a_proj_with_mqa.weight", lambda l: l.kv_a),
        (at + "kv_a_layernorm.weight", lambda l: l.kv_a_layernorm),
        (at + "kv_b_proj.weight", lambda l: l.kv_b),
        (at + "o_proj.weight", lambda l: l.o),
        (p + "post_attention_layernorm.weight", lambda l: l.post_attention_layernorm),
    ]
    h = cfg.hidden_size

    def mlp(prefix, e):
        gu = lambda l, j: l.gu.view(-1, 2, l.width, h)[e, j]
        return [
            (prefix + "gate_proj.weight", lambda l: gu(l, 0)),
            (prefix + "up_proj.weight", lambda l: gu(l, 1)),
            (prefix + "down_proj.weight", lambda l: l.dn.view(-1, l.width, h)[e].t()),
        ]

    if not experts:
        return out + mlp(p + "mlp.", 0)
    out += [
        (p + "mlp.gate.weight", lambda l: l.gate),
        (p + "mlp.gate.e_score_correction_bias", lambda l: l.bias),
    ]
    for e in range(experts):
        out += mlp(f"{p}mlp.experts.{e}.", e)
    return out + mlp(p + "mlp.shared_experts.", experts)


def model_names(model):
    """(checkpoint name, view into the model) for every tensor of the checkpoint, in file order."""
    cfg, n = model.cfg, model.cfg.num_hidden_layers
    out = [("model.embed_tokens.weight", model.embed)]
    for i, layer in enumerate(model.layers):
        out += [(name, get(layer)) for name, get in layer_names(cfg, i, layer.experts)]
    out += [("model.norm.weight", model.norm), ("lm_head.weight", model.head)]
    p = f"model.layers.{n}."
    out += [
        (p + "embed_tokens.weight", model.embed),
        (p + "enorm.weight", model.enorm),
        (p + "hnorm.weight", model.hnorm),
        (p + "eh_proj.weight", model.eh_proj),
    ]
    out += [(name, get(model.mtp)) for name, get in layer_names(cfg, n, model.mtp.experts)]
    return out + [
        (p + "shared_head.norm.weight", model.mtp_norm),
        (p + "shared_head.head.weight", model.head),
    ]


@torch.no_grad()
def load_model(folder, device="cuda"):
    """TinyR1 in fp32 from a checkpoint folder of any of the three formats."""
    model = TinyR1(Config.load(os.path.join(folder, "config.json")))
    tensors = dequantize_folder(folder)
    for name, view in model_names(model):
        view.copy_(torch.from_numpy(np.array(tensors.pop(name))))
    assert not tensors, sorted(tensors)[:5]
    return model.to(device).eval()
