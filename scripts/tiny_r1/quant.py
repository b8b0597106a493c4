"""The number formats of the checkpoints, bit for bit, in numpy: bf16, e4m3, e2m1, block FP8, NVFP4.

Codes are kept as unsigned integers (bf16: uint16, e4m3 and packed e2m1: uint8), values as fp32.
Every conversion rounds to nearest, ties to even.
"""

import numpy as np

F32 = np.float32

E4M3_MAX = 448.0
E2M1_MAX = 6.0
FP8_BLOCK = 128  # weights: one scale per 128x128 block; activations: one per 128 channels
NVFP4_GROUP = 16  # one e4m3 scale per 16 columns


# ---- bf16 ----


def to_bf16(x):
    """fp32 -> bf16 codes."""
    bits = np.ascontiguousarray(x, F32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def from_bf16(codes):
    return (codes.astype(np.uint32) << 16).view(F32)


# ---- e4m3, the variant without infinity: 448 is the largest value, 0x7F and 0xFF are NaN ----


def to_e4m3(x):
    """fp32 -> e4m3 codes, saturating at +-448."""
    x = np.asarray(x, F32)
    magnitude = np.minimum(np.abs(x), F32(E4M3_MAX))
    _, exponent = np.frexp(magnitude)  # magnitude = m * 2^exponent with m in [0.5, 1)
    step = np.ldexp(F32(1), np.maximum(exponent - 1, -6) - 3)  # -6: subnormals share one exponent
    units = np.rint(magnitude / step).astype(np.int32)  # 0..16; 16 carries into the next exponent
    rounded = (units * step).astype(F32)
    _, exponent = np.frexp(rounded)
    exponent = np.maximum(exponent - 1, -6)
    mantissa = np.rint(rounded / np.ldexp(F32(1), exponent - 3)).astype(np.int32)
    code = np.where(mantissa >= 8, ((exponent + 7) << 3) | (mantissa - 8), mantissa)
    return (code | np.where(np.signbit(x), 0x80, 0)).astype(np.uint8)


def _e4m3_table():
    code = np.arange(256)
    exponent, mantissa = (code >> 3) & 15, code & 7
    value = np.where(exponent > 0, (8 + mantissa) * 2.0 ** (exponent - 10.0), mantissa * 2.0**-9)
    value = np.where((code & 0x7F) == 0x7F, np.nan, value)
    return np.where(code & 0x80, -value, value).astype(F32)


E4M3 = _e4m3_table()  # value of each code
E2M1 = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6], F32)


def from_e4m3(codes):
    return E4M3[codes]


def to_e2m1(x):
    """fp32 -> e2m1 codes 0..15, saturating at +-6."""
    a = np.abs(x)
    # Each bound lies half-way between two values; >= where the upper one is even.
    bounds = (a > 0.25, a >= 0.75, a > 1.25, a >= 1.75, a > 2.5, a >= 3.5, a > 5)
    code = sum(bound.astype(np.uint8) for bound in bounds)
    return (code | np.where(np.signbit(x), 8, 0)).astype(np.uint8)


# ---- block FP8 weights: e4m3 codes, one fp32 scale per 128x128 block ----


def fp8_quantize(w, block=FP8_BLOCK):
    """[N, K] fp32 -> (codes [N, K], scale_inv [ceil(N/128), ceil(K/128)]). Dequantise by
    multiplying."""
    n, k = w.shape
    row_blocks, column_blocks = -(-n // block), -(-k // block)
    padded = np.zeros((row_blocks * block, column_blocks * block), F32)
    padded[:n, :k] = w
    blocks = padded.reshape(row_blocks, block, column_blocks, block)
    amax = np.abs(blocks).max(axis=(1, 3))
    scale = np.where(amax > 0, amax / F32(E4M3_MAX), F32(1)).astype(F32)
    codes = to_e4m3(blocks / scale[:, None, :, None]).reshape(padded.shape)
    return np.ascontiguousarray(codes[:n, :k]), scale


def fp8_dequantize(codes, scale, block=FP8_BLOCK):
    n, k = codes.shape
    return E4M3[codes] * np.repeat(np.repeat(scale, block, 0), block, 1)[:n, :k]


def fp8_quantize_rows(x, group=FP8_BLOCK):
    """Activations, quantised on the fly: [T, K] -> (codes [T, K], scales [T, K/128])."""
    groups = np.asarray(x, F32).reshape(x.shape[0], -1, group)
    scale = (np.maximum(np.abs(groups).max(-1), F32(1e-4)) / F32(E4M3_MAX)).astype(F32)
    return to_e4m3(groups / scale[..., None]).reshape(x.shape), scale


# ---- NVFP4 weights: e2m1 codes, one e4m3 scale per 16 columns, one fp32 scale per tensor ----


def nvfp4_tensor_scale(amax):
    """The tensor scale that brings the largest group scale to the top of e4m3."""
    return F32(F32(amax) / F32(E2M1_MAX * E4M3_MAX))


def nvfp4_quantize(w, tensor_scale):
    """[N, K] fp32 -> (packed [N, K/2], e4m3 scale codes [N, K/16]). The low nibble is the even
    column."""
    n, k = w.shape
    groups = np.asarray(w, F32).reshape(n, k // NVFP4_GROUP, NVFP4_GROUP)
    amax = np.abs(groups).max(-1)
    wanted = np.where(amax > 0, amax / (F32(E2M1_MAX) * tensor_scale), F32(1)).astype(F32)
    scale_codes = to_e4m3(wanted)
    scale = (E4M3[scale_codes] * tensor_scale)[..., None]
    # A group scale that rounds to zero stands for a group of zeros.
    scaled = np.divide(groups, scale, out=np.zeros_like(groups), where=scale > 0)
    codes = to_e2m1(scaled).reshape(n, k)
    return (codes[:, 0::2] | (codes[:, 1::2] << 4)).astype(np.uint8), scale_codes


def nvfp4_dequantize(packed, scale_codes, tensor_scale):
    n, half = packed.shape
    codes = np.empty((n, 2 * half), np.uint8)
    codes[:, 0::2], codes[:, 1::2] = packed & 15, packed >> 4
    return E2M1[codes] * np.repeat(E4M3[scale_codes], NVFP4_GROUP, 1) * F32(tensor_scale)
