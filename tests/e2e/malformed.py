"""Copies of the bundled model with one thing wrong in each.

Each case says what a refusal must name: the file, tensor or key, what was found and what was wanted.
"""

import json
import shutil
from dataclasses import dataclass
from typing import Callable

from support import TINY_R1

SHARD_1 = "model-00001-of-000003.safetensors"
SHARD_3 = "model-00003-of-000003.safetensors"
INDEX = "model.safetensors.index.json"
HEADER_BYTES_MAX = 100_000_000
TENSOR = "model.layers.0.self_attn.q_a_proj.weight"
OTHER_SHARD = "model-00009-of-000003.safetensors"


@dataclass(frozen=True)
class Malformed:
    name: str
    damage: Callable  # takes the folder of the copy
    names: tuple  # words that the one line of the refusal must hold


def make(case, folder):
    """Writes the damaged copy into `folder`, which must not exist."""
    shutil.copytree(TINY_R1, folder)
    for path in folder.iterdir():
        path.chmod(0o644)
    case.damage(folder)


# ---- damage ----


def change_config(**changes):
    """A key is changed, or removed if its value is None. Dots lead into nested objects."""

    def damage(folder):
        path = folder / "config.json"
        config = json.loads(path.read_text())
        for key, value in changes.items():
            *parents, last = key.split("__")
            place = config
            for parent in parents:
                place = place[parent]
            if value is None:
                del place[last]
            else:
                place[last] = value
        path.write_text(json.dumps(config))

    return damage


def read_header(data):
    length = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def change_header(shard, change):
    """change(header) edits the shard's JSON header in place."""

    def damage(folder):
        path = folder / shard
        header, payload = read_header(path.read_bytes())
        change(header)
        text = json.dumps(header).encode()
        path.write_bytes(len(text).to_bytes(8, "little") + text + payload)

    return damage


def truncate(shard, size):
    """Cuts a shard to `size` bytes; a negative size counts from its end."""

    def damage(folder):
        path = folder / shard
        path.write_bytes(path.read_bytes()[:size])

    return damage


def header_length(shard, length):
    """Makes the shard claim a header of `length` bytes; the file grows sparsely to hold it."""

    def damage(folder):
        with open(folder / shard, "r+b") as file:
            file.write(length.to_bytes(8, "little"))
            file.truncate(8 + length)

    return damage


def set_dtype(header):
    entry = header[TENSOR]
    entry["dtype"] = "I8"  # as wide as e4m3, so that only the type is wrong


def set_shape(header):
    rows, columns = header[TENSOR]["shape"]
    header[TENSOR]["shape"] = [rows // 2, columns * 2]


def overlap(header):
    """Two tensors of one size share the bytes of the first."""
    by_size = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        twin = by_size.setdefault(end - begin, entry)
        if twin is not entry and end - begin > 0:
            entry["data_offsets"] = twin["data_offsets"]
            return
    raise AssertionError("no two tensors of one size")


def beyond_the_end(header):
    last = max(
        (e for n, e in header.items() if n != "__metadata__"), key=lambda e: e["data_offsets"]
    )
    last["data_offsets"][1] += 1 << 40


def shape_overflow(header):
    header[TENSOR]["shape"] = [1 << 62, 1 << 62]


def remove_tensor(header):
    """Leaves a hole, so the tensor is replaced by one of another name."""
    header["model.layers.0.unknown.weight"] = header.pop(TENSOR)


def point_index_elsewhere(folder):
    path = folder / INDEX
    index = json.loads(path.read_text())
    index["weight_map"][TENSOR] = OTHER_SHARD
    path.write_text(json.dumps(index))


def escape_from_the_folder(folder):
    path = folder / INDEX
    index = json.loads(path.read_text())
    index["weight_map"][TENSOR] = "../../etc/passwd"
    path.write_text(json.dumps(index))


def other_chat_template(folder):
    path = folder / "tokenizer_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config["chat_template"] = "{% for m in messages %}{{ m.content }}{% endfor %}"
    path.write_text(json.dumps(config), encoding="utf-8")


def write_text(name, text):
    return lambda folder: (folder / name).write_text(text)


def remove(name):
    return lambda folder: (folder / name).unlink()


CASES = (
    Malformed("truncated shard", truncate(SHARD_1, -1000), (SHARD_1,)),
    Malformed("shard cut inside its header", truncate(SHARD_1, 100), (SHARD_1,)),
    Malformed("shard of seven bytes", truncate(SHARD_1, 7), (SHARD_1,)),
    Malformed("empty shard", truncate(SHARD_1, 0), (SHARD_1,)),
    Malformed("missing shard", remove(SHARD_3), (SHARD_3,)),
    Malformed("header above the limit", header_length(SHARD_1, HEADER_BYTES_MAX + 1), (SHARD_1,)),
    Malformed("header length of all ones", header_length(SHARD_1, (1 << 31) - 1), (SHARD_1,)),
    Malformed("missing tensor", change_header(SHARD_1, remove_tensor), (TENSOR,)),
    Malformed("wrong dtype", change_header(SHARD_1, set_dtype), (TENSOR, "I8")),
    Malformed("wrong shape", change_header(SHARD_1, set_shape), (TENSOR, "[128", "[256")),
    Malformed("overlapping offsets", change_header(SHARD_1, overlap), (SHARD_1,)),
    Malformed("offsets beyond the end", change_header(SHARD_1, beyond_the_end), (SHARD_1,)),
    Malformed("shape whose size overflows", change_header(SHARD_1, shape_overflow), (TENSOR,)),
    Malformed("index names a missing shard", point_index_elsewhere, (OTHER_SHARD,)),
    Malformed("index leads out of the folder", escape_from_the_folder, ("../../etc/passwd",)),
    Malformed("index is no JSON", write_text(INDEX, "{"), (INDEX,)),
    Malformed("missing config", remove("config.json"), ("config.json",)),
    Malformed("config is no JSON", write_text("config.json", "]"), ("config.json",)),
    Malformed(
        "wrong architecture",
        change_config(architectures=["LlamaForCausalLM"], model_type="llama"),
        ("llama", "deepseek_v3"),
    ),
    Malformed(
        "a size that the tensors contradict",
        change_config(kv_lora_rank=256),
        ("layers.0.self_attn.kv_a_proj_with_mqa.weight", "[576, 256]", "[320, 256]"),
    ),
    Malformed("no number of layers", change_config(num_hidden_layers=None), ("num_hidden_layers",)),
    Malformed("a key of the wrong type", change_config(hidden_size="256"), ("hidden_size",)),
    Malformed(
        "unknown scoring function",
        change_config(scoring_func="softmax"),
        ("scoring_func", "softmax", "sigmoid"),
    ),
    Malformed(
        "rope scaling that is not YaRN",
        change_config(rope_scaling__type="linear"),
        ("rope_scaling", "linear", "yarn"),
    ),
    Malformed(
        "unknown quantisation",
        change_config(quantization_config__quant_method="gptq"),
        ("quant_method", "gptq"),
    ),
    Malformed("missing tokenizer", remove("tokenizer.json"), ("tokenizer.json",)),
    Malformed("tokenizer is no JSON", write_text("tokenizer.json", "{"), ("tokenizer.json",)),
    Malformed(
        "unknown chat template",
        other_chat_template,
        ("chat template", "r1-0528", "--chat-format"),
    ),
)
