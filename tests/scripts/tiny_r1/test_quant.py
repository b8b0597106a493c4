"""Tests of scripts/tiny_r1/quant.py against the definitions of the formats and tests/golden/quant.json."""

import base64
import json
import sys
import unittest
from pathlib import Path

import numpy as np

SOURCE_DIR = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(SOURCE_DIR / "scripts" / "tiny_r1"))

import quant  # noqa: E402  (found through the line above)

GOLDEN = json.loads((SOURCE_DIR / "tests/golden/quant.json").read_text())
TYPES = {"BF16": np.uint16, "F32": np.float32, "F8_E4M3": np.uint8, "U8": np.uint8}


def array(entry):
    data = np.frombuffer(base64.b64decode(entry["base64"]), TYPES[entry["dtype"]])
    return data.reshape(entry["shape"])


def nearest_even(x, values):
    """The index of the value nearest to x; of two equally near ones the even index, as the code's lowest
    bit decides. `values` ascend from 0."""
    distance = np.abs(np.float64(values) - np.float64(x))
    nearest = np.flatnonzero(distance == distance.min())
    return next((i for i in nearest if i % 2 == 0), nearest[0])


class QuantTest(unittest.TestCase):
    def test_bf16_rounds_to_nearest_even(self):
        one = np.float32(1)
        ulp = np.float32(2.0**-7)
        x = np.array([1, one + ulp / 2, one + 3 * ulp / 2, one + ulp * 0.51, -1.5], np.float32)
        wanted = [1, 1, one + 2 * ulp, one + ulp, -1.5]
        np.testing.assert_array_equal(
            quant.from_bf16(quant.to_bf16(x)), np.array(wanted, np.float32)
        )

    def test_e4m3_is_the_nearest_value_for_every_half_way_point(self):
        positive = quant.E4M3[:0x7F]
        middles = (positive[1:] + positive[:-1]) / 2
        points = np.concatenate([middles, np.nextafter(middles, 0), np.nextafter(middles, 1e9)])
        points = points.astype(np.float32)
        wanted = [nearest_even(x, positive) for x in points]
        np.testing.assert_array_equal(quant.to_e4m3(points), wanted)
        np.testing.assert_array_equal(quant.to_e4m3(-points), np.array(wanted) | 0x80)

    def test_e4m3_saturates(self):
        np.testing.assert_array_equal(
            quant.to_e4m3([448, 449, 1e30, -1e30]), [0x7E, 0x7E, 0x7E, 0xFE]
        )

    def test_e4m3_codes_survive_a_round_trip(self):
        codes = np.array([c for c in range(256) if c & 0x7F != 0x7F], np.uint8)
        np.testing.assert_array_equal(quant.to_e4m3(quant.from_e4m3(codes)), codes)

    def test_e2m1_is_the_nearest_value_for_every_half_way_point(self):
        positive = quant.E2M1[:8]
        middles = (positive[1:] + positive[:-1]) / 2
        points = np.concatenate(
            [middles, np.nextafter(middles, 0), np.nextafter(middles, 9), [7, 99]]
        )
        points = points.astype(np.float32)
        wanted = [nearest_even(x, positive) for x in points]
        np.testing.assert_array_equal(quant.to_e2m1(points), wanted)

    def test_partial_blocks_have_scales_of_their_own(self):
        w = np.ones((129, 130), np.float32)
        w[128, :] = 448
        codes, scale = quant.fp8_quantize(w)
        self.assertEqual(scale.shape, (2, 2))
        np.testing.assert_array_equal(scale[1], [1, 1])
        np.testing.assert_array_equal(quant.fp8_dequantize(codes, scale), w)

    def test_a_block_of_zeros_has_scale_one(self):
        codes, scale = quant.fp8_quantize(np.zeros((128, 128), np.float32))
        self.assertEqual(scale[0, 0], 1)
        self.assertFalse(codes.any())

    def test_golden_codes(self):
        for case in GOLDEN["weight_128x128"]:
            codes, scale = quant.fp8_quantize(quant.from_bf16(array(case["weight"])))
            np.testing.assert_array_equal(codes, array(case["codes"]))
            np.testing.assert_array_equal(scale, array(case["scale_inv"]))
        act = GOLDEN["activation_1x128"]
        codes, scales = quant.fp8_quantize_rows(array(act["x"]))
        np.testing.assert_array_equal(codes, array(act["codes"]))
        np.testing.assert_array_equal(scales, array(act["scales"]))
        nvfp4 = GOLDEN["nvfp4"]
        tensor_scale = np.float32(nvfp4["weight_scale_2"])
        packed, scale = quant.nvfp4_quantize(quant.from_bf16(array(nvfp4["weight"])), tensor_scale)
        np.testing.assert_array_equal(packed, array(nvfp4["packed"]))
        np.testing.assert_array_equal(scale, array(nvfp4["weight_scale"]))
        values = quant.nvfp4_dequantize(packed, scale, tensor_scale)
        np.testing.assert_array_equal(values, array(nvfp4["dequantised"]))


if __name__ == "__main__":
    unittest.main()
