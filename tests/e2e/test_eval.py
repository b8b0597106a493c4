"""Accuracy through the HTTP API on the held-out problems, beside the model card.

By default a subset of the FP8 form is asked; with HADAL_EVAL=full every item of all three forms (minutes).
"""

import os
import sys
import unittest

from support import MODELS, SANITIZER, SOURCE_DIR, TINY_R1, HadalServer

sys.path.insert(0, str(SOURCE_DIR / "scripts"))

import eval_tiny_r1  # noqa: E402  (found through the line above)

FULL = os.environ.get("HADAL_EVAL") == "full"
DRAFTING = (
    "--speculative-config.method=mtp",
    "--speculative-config.num-speculative-tokens=3",
)
FORMS = {"fp8": TINY_R1, "bf16": MODELS / "tiny-r1-bf16", "nvfp4": MODELS / "tiny-r1-nvfp4"}
SUBSET = 2 if SANITIZER else 16


class EvalTest(unittest.TestCase):
    def evaluate(self, form, limit):
        with HadalServer(*DRAFTING, model=FORMS[form]) as server:
            return eval_tiny_r1.run(server.url, form, 32, limit)

    def test_a_subset_of_fp8_is_answered_as_the_reference_does(self):
        results, rates, _ = self.evaluate("fp8", SUBSET)
        for result in results:
            changed = sum(ours != known for ours, known in zip(result.correct, result.reference))
            allowed = SUBSET // 4 if result.name == "arith_extreme" else 1
            self.assertLessEqual(changed, allowed, result.name)
        self.assertEqual(len(rates), 3)
        for rate in rates:
            self.assertGreater(rate, 0.95)

    @unittest.skipUnless(FULL, "HADAL_EVAL is not full")
    def test_every_item_of_every_form(self):
        for form in FORMS:
            with self.subTest(form=form):
                print(f"\n{form}")
                _, rates, bad = self.evaluate(form, None)
                self.assertEqual(bad, [])
                self.assertEqual(len(rates), 3)


class ScoringTest(unittest.TestCase):
    def test_what_counts_as_correct(self):
        boxed = {"gold": "12"}
        self.assertTrue(
            eval_tiny_r1.is_correct(boxed, "<think>x</think>So \\boxed{3} \\boxed{12}.")
        )
        self.assertFalse(
            eval_tiny_r1.is_correct(boxed, "<think>x</think>So \\boxed{12} \\boxed{3}.")
        )
        self.assertFalse(eval_tiny_r1.is_correct(boxed, "\\boxed{12} without an end of reasoning"))
        self.assertTrue(eval_tiny_r1.is_correct({"gold": "Hi."}, "<think></think>\n\nHi."))
        self.assertFalse(eval_tiny_r1.is_correct({"gold": "Hi."}, "<think></think>\n\nHi!"))

    def test_acceptance_is_the_change_between_two_pages(self):
        key, of = eval_tiny_r1.ACCEPTED.format(0), eval_tiny_r1.PROPOSED.format(0)
        self.assertEqual(eval_tiny_r1.acceptance({key: 5, of: 10}, {key: 8, of: 14}), [0.75])
        self.assertEqual(eval_tiny_r1.acceptance({}, {}), [])


if __name__ == "__main__":
    unittest.main()
