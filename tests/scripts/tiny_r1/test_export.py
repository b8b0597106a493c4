"""Tests of scripts/tiny_r1/export.py, make_formats.py and tensor_files.py on the bundled model."""

import contextlib
import io
import json
import sys
import tempfile
import unittest
from pathlib import Path

import numpy as np

SOURCE_DIR = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(SOURCE_DIR / "scripts" / "tiny_r1"))

import export  # noqa: E402  (found through the line above)
import make_formats  # noqa: E402
import tensor_files  # noqa: E402


def run_make_formats(out):
    """make_formats.py's output for `--out out`."""
    text = io.StringIO()
    old_argv, sys.argv = sys.argv, ["make_formats.py", "--out", str(out)]
    try:
        with contextlib.redirect_stdout(text):
            make_formats.main()
    finally:
        sys.argv = old_argv
    return text.getvalue()


class ExportTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.out = Path(folder.name)
        cls.first_output = run_make_formats(cls.out)

    def test_both_forms_have_the_expected_sums(self):
        self.assertEqual(self.first_output.count("SHA-256 as expected"), 2)
        for form, sums in make_formats.wanted_sums().items():
            self.assertEqual(make_formats.shard_sums(self.out / form), sums)

    def test_a_second_run_changes_nothing_and_a_damaged_shard_is_made_again(self):
        self.assertEqual(run_make_formats(self.out).count("already"), 2)
        shard = self.out / "tiny-r1-bf16" / "model-00002-of-000003.safetensors"
        data = bytearray(shard.read_bytes())
        data[-1] ^= 1
        shard.write_bytes(data)
        self.assertEqual(run_make_formats(self.out).count("already"), 1)
        self.assertEqual(run_make_formats(self.out).count("already"), 2)

    def test_index_names_each_tensor_in_the_shard_that_holds_it(self):
        for folder in (make_formats.MASTER, self.out / "tiny-r1-bf16", self.out / "tiny-r1-nvfp4"):
            index = json.loads((folder / "model.safetensors.index.json").read_text())
            held = {
                name: path.name
                for path in folder.glob("*.safetensors")
                for name in tensor_files.read_safetensors(path)
            }
            self.assertEqual(index["weight_map"], held)

    def test_bf16_is_the_rounded_product_of_the_master(self):
        master = tensor_files.dequantize_folder(make_formats.MASTER)
        bf16 = tensor_files.dequantize_folder(self.out / "tiny-r1-bf16")
        self.assertEqual(master.keys(), bf16.keys())
        for name, values in master.items():
            error = np.abs(bf16[name] - values)
            self.assertTrue((error <= np.abs(values) * 2.0**-8).all(), name)

    def test_nvfp4_quantises_mlps_and_o_proj_but_not_the_mtp_layer(self):
        tensors = tensor_files.read_folder(self.out / "tiny-r1-nvfp4")
        packed = {name for name, (dtype, _) in tensors.items() if dtype == "U8"}
        self.assertIn("model.layers.1.mlp.experts.15.down_proj.weight", packed)
        self.assertIn("model.layers.0.self_attn.o_proj.weight", packed)
        self.assertNotIn("model.layers.0.self_attn.q_a_proj.weight", packed)
        self.assertFalse([name for name in packed if name.startswith(export.MTP_PREFIX)])
        for name in packed:
            gate, up = name.replace("up_proj", "gate_proj"), name.replace("gate_proj", "up_proj")
            self.assertEqual(tensors[gate + "_scale_2"][1], tensors[up + "_scale_2"][1], name)

    def test_one_scale_lies_in_another_shard_than_its_weight(self):
        index = json.loads((make_formats.MASTER / "model.safetensors.index.json").read_text())
        shards = index["weight_map"]
        weight = export.SPLIT_SCALE.removesuffix("_scale_inv")
        self.assertNotEqual(shards[export.SPLIT_SCALE], shards[weight])


class TensorFilesTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def tensors(self, count):
        return [(f"t{i}", "F32", np.full((10,), i, np.float32)) for i in range(count)]

    def test_a_shard_holds_the_limit_exactly(self):
        self.assertEqual(tensor_files.write_sharded(self.folder, self.tensors(2), 80), 1)
        self.assertEqual(tensor_files.write_sharded(self.folder, self.tensors(2), 79), 2)

    def test_round_trip_keeps_names_types_and_values(self):
        tensors = [*self.tensors(3), ("codes", "U8", np.arange(6, dtype=np.uint8).reshape(2, 3))]
        tensor_files.write_sharded(self.folder, tensors, 1000)
        read = tensor_files.read_folder(self.folder)
        self.assertEqual(set(read), {name for name, _, _ in tensors})
        for name, dtype, array in tensors:
            self.assertEqual(read[name][0], dtype)
            np.testing.assert_array_equal(read[name][1], array)

    def test_header_length_is_a_multiple_of_eight_and_wide_types_come_first(self):
        path = self.folder / "a.safetensors"
        odd = ("a", "U8", np.zeros(3, np.uint8))
        tensor_files.write_safetensors(path, [odd, ("b", "F32", np.zeros(2, np.float32))])
        data = path.read_bytes()
        length = int.from_bytes(data[:8], "little")
        self.assertEqual(length % 8, 0)
        header = json.loads(data[8 : 8 + length])
        self.assertEqual(header["b"]["data_offsets"], [0, 8])
        self.assertEqual(header["a"]["data_offsets"], [8, 11])


if __name__ == "__main__":
    unittest.main()
