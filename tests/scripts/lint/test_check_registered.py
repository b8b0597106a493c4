"""Tests of scripts/lint/check_registered.py."""

import unittest

from support import LintTest

import check_registered

GOOD_PYTHON = "#!/usr/bin/env python3\nimport argparse\nargparse.ArgumentParser().parse_args()\n"


class CheckRegisteredTest(LintTest):
    def test_registered_tests_give_no_finding(self):
        self.write(
            "src/text/CMakeLists.txt",
            "hadal_module(text\n  DEPS base\n  TESTS bpe_test.cpp # why\n  GOLDEN vectors_test.cpp)\n",
        )
        self.write(
            "tests/CMakeLists.txt", "hadal_tests(sim sim LINK hadal_engine SOURCES a_test.cpp)\n"
        )
        for path in ("text/bpe_test.cpp", "text/vectors_test.cpp", "sim/a_test.cpp"):
            self.write("tests/" + path, "")
        self.assert_findings(check_registered.check)

    def test_unregistered_test(self):
        self.write("tests/text/bpe_test.cpp", "")
        self.write("tests/CMakeLists.txt", "# hadal_tests(text unit SOURCES bpe_test.cpp)\n")
        self.assert_findings(
            check_registered.check, ("tests/text/bpe_test.cpp", "no hadal_module()")
        )

    def test_registered_under_another_folder_does_not_count(self):
        self.write("src/text/CMakeLists.txt", "hadal_module(text TESTS bpe_test.cpp)\n")
        self.write("tests/other/bpe_test.cpp", "")
        self.assert_findings(
            check_registered.check,
            ("tests/other/bpe_test.cpp", "no hadal_module()"),
            ("src/text/CMakeLists.txt", "tests/text/bpe_test.cpp, which does not exist"),
        )

    def test_unregistered_python_test(self):
        self.write("tests/e2e/test_chat.py", "")
        self.assert_findings(check_registered.check, ("tests/e2e/test_chat.py", "names this test"))
        self.write("tests/e2e/CMakeLists.txt", "foreach(test chat test_chat)\n")
        self.assert_findings(check_registered.check)

    def test_help_of_scripts(self):
        self.write("scripts/good.py", GOOD_PYTHON, executable=True)
        self.write("scripts/good.sh", "#!/bin/bash\necho Usage: good\n", executable=True)
        self.assert_findings(check_registered.check)
        self.write("scripts/fails.sh", "#!/bin/bash\nexit 1\n", executable=True)
        self.write("scripts/silent.sh", "#!/bin/bash\nexit 0\n", executable=True)
        self.assert_findings(
            check_registered.check,
            ("scripts/fails.sh", "status 1"),
            ("scripts/silent.sh", "no usage text"),
        )

    def test_script_that_needs_packages_is_only_read(self):
        start = "#!/usr/bin/env python3\nimport torch\n"
        self.write("scripts/a.py", start + "argparse.ArgumentParser(description=__doc__)\n", True)
        self.assert_findings(check_registered.check)
        self.write("scripts/a.py", start, executable=True)
        self.assert_findings(check_registered.check, ("scripts/a.py", "no description"))

    def test_mode_must_agree_with_the_first_line(self):
        self.write("scripts/a.py", GOOD_PYTHON)
        self.write("scripts/b.py", "import os\n", executable=True)
        self.assert_findings(
            check_registered.check, ("scripts/a.py", "executable"), ("scripts/b.py", "executable")
        )


if __name__ == "__main__":
    unittest.main()
