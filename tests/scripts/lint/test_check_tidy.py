"""Tests of scripts/lint/check_tidy.py: each rule has a line that breaks it and one that does not."""

import unittest

from support import LintTest

import check_tidy

# rule: (path, a line that breaks it, a line that does not)
CASES = {
    "endl": ("src/a.cpp", "out << std::endl;", "out << '\\n';  // not std::endl"),
    "naked_new": ("src/a.cpp", "auto p = new Thing(1);", 'log("a new Thing");'),
    "naked_delete": ("src/a.cpp", "delete thing;", "Thing(const Thing&) = delete;"),
    "printf": ("src/a.cpp", 'std::printf("x");', 'fmt::format("printf(");'),
    "using_namespace": ("include/a.h", "using namespace std;", "using std::size;"),
    "device_sync": ("src/a.cpp", "cudaDeviceSynchronize();", "cudaEventSynchronize(e);"),
    "environment": ("src/a.cpp", 'std::getenv("HOME")', 'environment("HOME")'),
    "sleep": ("src/a.cpp", "std::this_thread::sleep_for(1s);", "condition.wait_for(lock, 1s);"),
    "fixme": ("scripts/a.py", "# TODO: more", "# what is to be done is in the issues"),
    "disabled_test": ("tests/a_test.cpp", "TEST(A, DISABLED_b) {", "TEST(A, disabled_flag) {"),
    "commented_out_code": ("src/a.cpp", "  // return x + 1;", "  // Returns x + 1; never 0."),
    "trailing_space": ("README.md", "text ", "text"),
    "tab": ("src/a.cpp", "\tint a;", "  int a;"),
    "private_path": ("README.md", "see /work/notes", "see the network/work/notes"),
    "conflict_marker": ("README.md", "<<<<<<< main", "a << b"),
}


class CheckTidyTest(LintTest):
    def test_every_rule_has_a_case(self):
        self.assertEqual({r.name for r in check_tidy.RULES}, set(CASES))

    def test_each_rule_finds_its_bad_line_only(self):
        for name, (path, bad, good) in CASES.items():
            with self.subTest(rule=name):
                self.write(path, f"{good}\n{bad}\n")
                self.assert_findings(check_tidy.check, (f"{path}:2", name))
                self.write(path, good + "\n")
                self.assert_findings(check_tidy.check)

    def test_commented_out_code(self):
        for line in (
            "// if (a) {",
            "// foo.bar(1);",
            "// }",
            '// #include "a.h"',
            "// std::vector<int> x;",
        ):
            with self.subTest(line=line):
                self.write("src/a.cpp", line + "\n")
                self.assert_findings(check_tidy.check, ("src/a.cpp:1", "commented_out_code"))
        for line in (
            "// The step (see runner.h) ends here.",
            "// std::string keeps a copy.",
            "// a; b",
        ):
            with self.subTest(line=line):
                self.write("src/a.cpp", line + "\n")
                self.assert_findings(check_tidy.check)

    def test_rules_look_at_their_own_files_only(self):
        self.write("tests/a.cpp", "int* p = new int;\n")
        self.write("tests/golden/a.json", '{"text": "TODO \\t"} \n')
        self.assert_findings(check_tidy.check)

    def test_blob_at_the_limit_and_above(self):
        self.write("a.bin", b"\0" * check_tidy.BLOB_BYTES_MAX)
        self.assert_findings(check_tidy.check)
        self.write("a.bin", b"\0" * (check_tidy.BLOB_BYTES_MAX + 1))
        self.assert_findings(check_tidy.check, ("a.bin", "blob"))

    def test_file_length_at_the_limit_and_above(self):
        self.write("src/a.cpp", "int a;\n" * check_tidy.LINES_MAX)
        self.assert_findings(check_tidy.check)
        self.write("src/a.cpp", "int a;\n" * (check_tidy.LINES_MAX + 1))
        self.assert_findings(check_tidy.check, ("src/a.cpp", "lines"))

    def test_line_ends(self):
        self.write("a.md", "text")
        self.write("b.md", "text\r\n")
        self.assert_findings(
            check_tidy.check, ("a.md", "final_newline"), ("b.md", "carriage_return")
        )

    def test_exemption_covers_its_rule_and_path_only(self):
        self.write("src/a.cpp", "delete p; delete q;\nusleep(1);\n")
        self.write(check_tidy.EXEMPTIONS_FILE, "2026-01-31 sleep src/*.cpp a reason\n")
        self.assert_findings(check_tidy.check, ("src/a.cpp:1", "naked_delete"))

    def test_exemption_without_a_reason_or_without_need(self):
        self.write(
            check_tidy.EXEMPTIONS_FILE, "# why\n2026-01-31 sleep a.cpp\n2026-01-31 tab b.cpp r\n"
        )
        self.assert_findings(
            check_tidy.check,
            (check_tidy.EXEMPTIONS_FILE + ":2", "wanted"),
            (check_tidy.EXEMPTIONS_FILE, "not needed"),
        )


if __name__ == "__main__":
    unittest.main()
