"""Tests of scripts/lint/check_docs.py."""

import unittest

from support import LintTest

import check_docs


class CheckDocsTest(LintTest):
    def setUp(self):
        super().setUp()
        self.write("src/engine/engine.cpp", "")
        self.write("docs.txt", "`src/none.cpp`\n")

    def test_paths_that_exist(self):
        self.write(
            "README.md", "See `src/engine/engine.cpp:12`, `src/engine/` and [it](src/engine).\n"
        )
        self.assert_findings(check_docs.check)

    def test_code_span_and_link_that_lead_nowhere(self):
        self.write("README.md", "`src/gone.cpp`\n\n[x](src/other.md#part)\n")
        self.assert_findings(
            check_docs.check,
            ("README.md:1", "src/gone.cpp does not exist"),
            ("README.md:3", "src/other.md does not exist"),
        )

    def test_links_are_relative_to_their_document_and_code_spans_to_the_root(self):
        self.write("src/README.md", "[engine](engine/engine.cpp) `src/engine`\n")
        self.assert_findings(check_docs.check)
        self.write("src/README.md", "`engine/engine.cpp` is no path of the top level\n")
        self.assert_findings(check_docs.check)

    def test_patterns_urls_and_fenced_blocks_are_not_looked_at(self):
        self.write(
            "README.md",
            "`src/<module>/` `src/*.cpp` [a](https://example.org/src)\n```sh\n`src/x`\n```\n",
        )
        self.assert_findings(check_docs.check)


if __name__ == "__main__":
    unittest.main()
