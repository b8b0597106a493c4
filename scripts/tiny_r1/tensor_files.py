"""Reads and writes safetensors files and sharded checkpoint folders, in numpy.

A tensor is (dtype name of the file, array of raw codes or values); see quant.py for the codes.
"""

import json
from pathlib import Path

import numpy as np

import quant

NUMPY_TYPES = {"BF16": np.uint16, "F32": np.float32, "F8_E4M3": np.uint8, "U8": np.uint8}


def write_safetensors(path, tensors):
    """tensors: list of (name, dtype, array). Wide types come first, so that every tensor is
    aligned."""
    tensors = sorted(tensors, key=lambda t: (-t[2].itemsize, t[0]))
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name, dtype, array in tensors:
        offsets = [offset, offset + array.nbytes]
        header[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": offsets}
        offset += array.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for _, _, array in tensors:
            file.write(np.ascontiguousarray(array).tobytes())


def read_safetensors(path):
    """{name: (dtype, array)}."""
    data = Path(path).read_bytes()
    header_end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:header_end])
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
        begin, end = (header_end + offset for offset in entry["data_offsets"])
        array = np.frombuffer(data[begin:end], NUMPY_TYPES[entry["dtype"]])
        tensors[name] = (entry["dtype"], array.reshape(entry["shape"]))
    return tensors


def write_sharded(folder, tensors, shard_bytes_max, last=()):
    """Writes tensors, in order, into shards of at most `shard_bytes_max`, and the index; returns
    the number of shards. Names in `last` go to the end."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    shards = [[]]
    for tensor in sorted(tensors, key=lambda t: t[0] in last):
        used = sum(array.nbytes for _, _, array in shards[-1])
        if shards[-1] and used + tensor[2].nbytes > shard_bytes_max:
            shards.append([])
        shards[-1].append(tensor)
    weight_map = {}
    for number, shard in enumerate(shards, 1):
        file_name = f"model-{number:05d}-of-{len(shards):06d}.safetensors"
        write_safetensors(folder / file_name, shard)
        weight_map.update({name: file_name for name, _, _ in shard})
    total_size = sum(array.nbytes for _, _, array in tensors)
    index = {"metadata": {"total_size": total_size}, "weight_map": dict(sorted(weight_map.items()))}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=1))
    return len(shards)


def read_folder(folder):
    """All tensors of all shards, found through the shards' own headers."""
    tensors = {}
    for path in sorted(Path(folder).glob("*.safetensors")):
        tensors.update(read_safetensors(path))
    return tensors


def dequantize_folder(folder):
    """{name: fp32 array} of a bf16, FP8 or NVFP4 checkpoint. The stored type of each tensor
    decides."""
    raw, values = read_folder(folder), {}
    for name, (dtype, array) in raw.items():
        if dtype == "BF16":
            values[name] = quant.from_bf16(array)
        elif name.endswith(".weight") and dtype == "F8_E4M3":
            values[name] = quant.fp8_dequantize(array, raw[name + "_scale_inv"][1])
        elif name.endswith(".weight") and dtype == "U8":
            scale, tensor_scale = raw[name + "_scale"][1], raw[name + "_scale_2"][1]
            values[name] = quant.nvfp4_dequantize(array, scale, tensor_scale)
        elif name.endswith("e_score_correction_bias"):
            values[name] = array
    return values
