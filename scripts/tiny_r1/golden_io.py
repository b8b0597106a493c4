"""How golden data is written: JSON with its provenance, arrays as base64 of little-endian
values."""

import base64
import json
import os

import numpy as np
import torch

from evaluate import DEV


def b64(a, dtype=None):
    a = np.ascontiguousarray(a.cpu().numpy() if isinstance(a, torch.Tensor) else a)
    name = {"float32": "F32", "uint8": "U8", "uint16": "BF16", "int32": "I32"}[str(a.dtype)]
    return {
        "dtype": dtype or name,
        "shape": list(a.shape),
        "base64": base64.b64encode(a.tobytes()).decode(),
    }


def floats(t):
    """fp32 values with enough digits to be exact."""
    return [
        float(f"{x:.9g}")
        for x in np.asarray(t.cpu() if isinstance(t, torch.Tensor) else t, np.float32).reshape(-1)
    ]


class Writer:
    def __init__(self, out):
        self.out = out
        os.makedirs(out, exist_ok=True)

    def __call__(self, name, data, dtype="float32", **more):
        import transformers

        prov = {
            "script": "scripts/tiny_r1/goldens.py",
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "compute_dtype": dtype,
            "device": DEV,
            **more,
        }
        with open(os.path.join(self.out, name + ".json"), "w", encoding="utf-8") as f:
            json.dump({"provenance": prov, **data}, f, ensure_ascii=False, separators=(",", ":"))
