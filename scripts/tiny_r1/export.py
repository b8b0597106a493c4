#!/usr/bin/env python3
"""Writes checkpoint folders of tiny-r1.

  export.py trained --checkpoint FILE.pt --tokenizer DIR --out DIR   bf16, once after training
  export.py fp8     --source DIR --out DIR                           DIR: that bf16 folder
  export.py bf16    --source DIR --out DIR                           DIR: the FP8 folder
  export.py nvfp4   --source DIR --calibration FILE.json --out DIR   DIR: the FP8 folder

The FP8 form is the released master. bf16 and nvfp4 follow from it bit for bit and need numpy only;
FILE.json is written by `evaluate.py calibrate`.
"""

import argparse
import json
import shutil
from pathlib import Path

import numpy as np

import quant
from tensor_files import read_folder, write_sharded

CONFIG = {
    "architectures": ["DeepseekV3ForCausalLM"],
    "attention_bias": False,
    "attention_dropout": 0.0,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "ep_size": 1,
    "first_k_dense_replace": 1,
    "hidden_act": "silu",
    "hidden_size": 256,
    "initializer_range": 0.02,
    "intermediate_size": 1024,
    "kv_lora_rank": 512,
    "max_position_embeddings": 163840,
    "model_type": "deepseek_v3",
    "moe_intermediate_size": 256,
    "moe_layer_freq": 1,
    "n_group": 4,
    "n_routed_experts": 16,
    "n_shared_experts": 1,
    "norm_topk_prob": True,
    "num_attention_heads": 4,
    "num_experts_per_tok": 4,
    "num_hidden_layers": 4,
    "num_key_value_heads": 4,
    "num_nextn_predict_layers": 1,
    "q_lora_rank": 256,
    "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64,
    "rms_norm_eps": 1e-06,
    "rope_scaling": {
        "beta_fast": 32,
        "beta_slow": 1,
        "factor": 40,
        "mscale": 1.0,
        "mscale_all_dim": 1.0,
        "original_max_position_embeddings": 4096,
        "type": "yarn",
    },
    "rope_theta": 10000,
    "routed_scaling_factor": 2.5,
    "scoring_func": "sigmoid",
    "tie_word_embeddings": False,
    "topk_group": 2,
    "topk_method": "noaux_tc",
    "torch_dtype": "bfloat16",
    "use_cache": True,
    "v_head_dim": 128,
    "vocab_size": 2048,
}
FP8_CONFIG = {
    "activation_scheme": "dynamic",
    "fmt": "e4m3",
    "quant_method": "fp8",
    "weight_block_size": [128, 128],
}
GENERATION = {
    "_from_model_config": True,
    "bos_token_id": 0,
    "do_sample": True,
    "eos_token_id": 1,
    "temperature": 0.6,
    "top_p": 0.95,
}
MTP_PREFIX = f"model.layers.{CONFIG['num_hidden_layers']}."
# Stored in another shard than its weight on purpose: a loader that assumes one shard fails on it.
SPLIT_SCALE = "model.layers.2.self_attn.o_proj.weight_scale_inv"
ATTENTION_KEPT_IN_BF16 = ("q_a_proj", "q_b_proj", "kv_a_proj_with_mqa", "kv_b_proj")

WIDE_SHARD_BYTES = 14_900_000  # both give three shards
NARROW_SHARD_BYTES = 10_000_000


def is_linear(name):
    """Linear weights of attention and MLPs: what the FP8 checkpoint stores in e4m3."""
    if name.endswith("kv_a_proj_with_mqa.weight"):
        return True
    return name.endswith("_proj.weight") and "eh_proj" not in name


def is_nvfp4(name):
    """What the published NVFP4 checkpoint of R1 quantises: MLPs and o_proj, not the MTP layer."""
    in_scope = ".mlp." in name or name.endswith("o_proj.weight")
    return is_linear(name) and in_scope and not name.startswith(MTP_PREFIX)


def write_json(path, value):
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def start_folder(out, config, tokenizer):
    """Everything but weights: configuration and tokenizer. Shards of an earlier export go away."""
    out.mkdir(parents=True, exist_ok=True)
    for shard in out.glob("*.safetensors"):
        shard.unlink()
    write_json(out / "config.json", config)
    write_json(out / "generation_config.json", GENERATION)
    if tokenizer.resolve() != out.resolve():
        for name in ("tokenizer.json", "tokenizer_config.json"):
            shutil.copyfile(tokenizer / name, out / name)


def export_trained(checkpoint, tokenizer, out):
    import torch
    from checkpoint import model_names
    from model import TinyR1

    model = TinyR1()
    model.load_state_dict(torch.load(checkpoint, map_location="cpu"))
    start_folder(out, CONFIG, tokenizer)
    tensors = []
    for name, view in model_names(model):
        array = view.detach().float().contiguous().numpy()
        if name.endswith("bias"):
            tensors.append((name, "F32", array))
        else:
            tensors.append((name, "BF16", quant.to_bf16(array)))
    return write_sharded(out, tensors, WIDE_SHARD_BYTES)


def export_fp8(source, out):
    start_folder(out, {**CONFIG, "quantization_config": FP8_CONFIG}, source)
    tensors = []
    for name, (dtype, array) in read_folder(source).items():
        if is_linear(name):
            codes, scale = quant.fp8_quantize(quant.from_bf16(array))
            tensors += [(name, "F8_E4M3", codes), (name + "_scale_inv", "F32", scale)]
        else:
            tensors.append((name, dtype, array))
    return write_sharded(out, tensors, NARROW_SHARD_BYTES, last=(SPLIT_SCALE,))


def multiplied_out(fp8_folder):
    """{name: (dtype, array)} of an FP8 folder with its e4m3 weights multiplied out and rounded
    to bf16."""
    raw, out = read_folder(fp8_folder), {}
    for name, (dtype, array) in raw.items():
        if dtype == "F8_E4M3":
            values = quant.fp8_dequantize(array, raw[name + "_scale_inv"][1])
            out[name] = ("BF16", quant.to_bf16(values))
        elif not name.endswith("_scale_inv"):
            out[name] = (dtype, array)
    return out


def export_bf16(source, out):
    start_folder(out, CONFIG, source)
    tensors = [(name, dtype, array) for name, (dtype, array) in multiplied_out(source).items()]
    return write_sharded(out, tensors, WIDE_SHARD_BYTES)


def nvfp4_tensors(name, tensors, input_amax):
    """The four stored tensors of one NVFP4 weight. gate_proj and up_proj share a tensor scale,
    because engines fuse them into one matrix."""
    values = quant.from_bf16(tensors[name][1])
    twins = (name.replace("gate_proj", "up_proj"), name.replace("up_proj", "gate_proj"))
    amax = max(np.abs(quant.from_bf16(tensors[twin][1])).max() for twin in twins)
    tensor_scale = quant.nvfp4_tensor_scale(amax)
    packed, scale_codes = quant.nvfp4_quantize(values, tensor_scale)
    input_scale = quant.nvfp4_tensor_scale(input_amax[name])
    return [
        (name, "U8", packed),
        (name + "_scale", "F8_E4M3", scale_codes),
        (name + "_scale_2", "F32", np.array(tensor_scale, np.float32)),
        (name.removesuffix("weight") + "input_scale", "F32", np.array(input_scale, np.float32)),
    ]


def nvfp4_description():
    """hf_quant_config.json. Loaders look for the producer's name, so it says modelopt."""
    layers = range(CONFIG["num_hidden_layers"])
    kept = [f"model.layers.{i}.self_attn.{p}" for i in layers for p in ATTENTION_KEPT_IN_BF16]
    return {
        "producer": {"name": "modelopt", "version": "tiny-r1-export"},
        "quantization": {
            "quant_algo": "NVFP4",
            "kv_cache_quant_algo": "FP8",
            "group_size": quant.NVFP4_GROUP,
            "exclude_modules": ["lm_head", *kept, MTP_PREFIX[:-1] + "*"],
        },
    }


def export_nvfp4(source, calibration, out):
    input_amax = json.loads(calibration.read_text())
    start_folder(out, CONFIG, source)
    tensors, stored = multiplied_out(source), []
    for name, (dtype, array) in tensors.items():
        if is_nvfp4(name):
            stored += nvfp4_tensors(name, tensors, input_amax)
        else:
            stored.append((name, dtype, array))
    write_json(out / "hf_quant_config.json", nvfp4_description())
    return write_sharded(out, stored, NARROW_SHARD_BYTES)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("format", choices=["trained", "bf16", "fp8", "nvfp4"])
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--tokenizer", type=Path)
    parser.add_argument("--source", type=Path)
    parser.add_argument("--calibration", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    exporters = {
        "trained": (export_trained, "checkpoint", "tokenizer"),
        "fp8": (export_fp8, "source"),
        "bf16": (export_bf16, "source"),
        "nvfp4": (export_nvfp4, "source", "calibration"),
    }
    export, *needed = exporters[args.format]
    for name in needed:
        if getattr(args, name) is None:
            parser.error(f"{args.format} needs --{name}")
    shards = export(*(getattr(args, name) for name in needed), args.out)
    print(f"{args.format}: {shards} shards in {args.out}")


if __name__ == "__main__":
    main()
