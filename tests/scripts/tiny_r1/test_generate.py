"""Tests of the data generator: it still makes the bundled evaluation sets, and keeps training apart."""

import json
import random
import sys
import unittest
from pathlib import Path

SOURCE_DIR = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(SOURCE_DIR / "scripts" / "tiny_r1"))

import chat  # noqa: E402  (found through the line above)
import generate  # noqa: E402
import reasoning  # noqa: E402
from samples import held_out  # noqa: E402

ITEMS_COMPARED = 12  # of each set; all of them take half a minute


def bundled(name):
    lines = (SOURCE_DIR / "tests/eval" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


class GenerateTest(unittest.TestCase):
    def test_the_bundled_sets_come_out_again(self):
        for name, (_, count) in generate.EVAL_SETS.items():
            with self.subTest(set=name):
                items = bundled(name)
                self.assertEqual(len(items), count)
                self.assertEqual(generate.eval_set(name, ITEMS_COMPARED), items[:ITEMS_COMPARED])

    def test_training_samples_hold_no_held_out_problem(self):
        rng = random.Random(1)
        for _ in range(500):
            sample = generate.train_sample(rng)
            self.assertFalse([key for key in sample.keys if held_out(key)])

    def test_one_key_in_64_is_held_out(self):
        count = sum(held_out(f"{a}+{b}") for a in range(128) for b in range(128))
        self.assertLess(abs(count - 256), 5 * 16)  # five standard deviations

    def test_every_equation_of_the_reasoning_holds(self):
        self.assertTrue(reasoning.check("So 2 * 3 = 6 and 47 * 36 = 47 * 30 + 47 * 6 = 1692."))
        self.assertFalse(reasoning.check("Then 2 * 3 = 7."))
        rng = random.Random(2)
        for _ in range(200):
            sample = generate.arith(rng)
            for line in sample.completion.split("\n"):
                self.assertTrue(reasoning.check(line), line)

    def test_gold_answer_is_in_the_completion(self):
        rng = random.Random(3)
        for _ in range(200):
            sample = generate.any_sample(rng)
            self.assertIn(sample.gold, sample.completion)
            self.assertIn(sample.messages[-1]["role"], ("user", "tool"))


class ChatFormatTest(unittest.TestCase):
    def test_golden_chats(self):
        cases = json.loads((SOURCE_DIR / "tests/golden/chat_template.json").read_text())["cases"]
        for case in cases:
            with self.subTest(case=case["name"], generate=case["add_generation_prompt"]):
                rendered = chat.render(case["messages"], case["add_generation_prompt"])
                self.assertEqual(rendered, case["text"])

    def test_template_is_the_one_of_the_bundled_tokenizer(self):
        config = SOURCE_DIR / "tests/models/tiny-r1/tokenizer_config.json"
        self.assertEqual(json.loads(config.read_text())["chat_template"], chat.CHAT_TEMPLATE)


if __name__ == "__main__":
    unittest.main()
