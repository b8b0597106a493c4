"""Malformed checkpoints are refused at start: one line that names the fault, exit status 2, no port."""

import tempfile
import unittest
from pathlib import Path

import malformed
from support import run_hadal


class MalformedTest(unittest.TestCase):
    def test_each_is_refused_with_one_line_and_status_2(self):
        for case in malformed.CASES:
            with self.subTest(case=case.name), tempfile.TemporaryDirectory() as scratch:
                folder = Path(scratch) / "model"
                malformed.make(case, folder)
                run = run_hadal("serve", str(folder), "--host", "127.0.0.1", "--port", "0")
                self.assertEqual(run.returncode, 2, (run.stdout[-500:], run.stderr[-500:]))
                errors = [line for line in run.stderr.splitlines() if "error" in line.lower()]
                self.assertEqual(len(errors), 1, run.stderr)
                for word in case.names:
                    self.assertIn(word, errors[0])

    def test_the_generator_changes_what_it_says(self):
        """Each damaged copy differs from the model, in at most one file."""
        for case in malformed.CASES:
            with self.subTest(case=case.name), tempfile.TemporaryDirectory() as scratch:
                folder = Path(scratch) / "model"
                malformed.make(case, folder)
                changed = [
                    path.name
                    for path in malformed.TINY_R1.iterdir()
                    if not (folder / path.name).exists()
                    or (folder / path.name).stat().st_size != path.stat().st_size
                    or (folder / path.name).read_bytes() != path.read_bytes()
                ]
                self.assertEqual(len(changed), 1, changed)


if __name__ == "__main__":
    unittest.main()
