"""A throw-away repository for the tests of the lint scripts."""

import sys
import tempfile
import unittest
from pathlib import Path

SOURCE_DIR = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(SOURCE_DIR / "scripts" / "lint"))

from repository import Repository  # noqa: E402  (found through the line above)


class LintTest(unittest.TestCase):
    """Each test writes the files it needs into an empty repository and looks at the findings."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.repository = Repository(folder.name)

    def write(self, path, text, executable=False):
        file = self.repository.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        file.chmod(0o755 if executable else 0o644)

    def assert_findings(self, check, *wanted):
        """The findings are exactly `wanted`: pairs of (place, part of the message), in any order."""
        found = [str(finding) for finding in check(self.repository)]
        self.assertEqual(len(found), len(wanted), found)
        for place, message in wanted:
            self.assertTrue(
                any(text.startswith(place + ":") and message in text for text in found),
                f"no finding at {place} with {message!r} in {found}",
            )
