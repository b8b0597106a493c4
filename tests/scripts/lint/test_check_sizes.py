"""Tests of scripts/lint/check_sizes.py."""

import unittest

from support import LintTest

import check_sizes


def body(lines, indent="  "):
    return f"{indent}work();\n" * lines


class CheckSizesTest(LintTest):
    def lengths(self, text):
        return [length for _, length, _ in check_sizes.cxx_functions(text)]

    def test_function_at_the_limit_and_above(self):
        most = check_sizes.FUNCTION_LINES_MAX
        self.write("src/a.cpp", "void f() {\n" + body(most - 2) + "}\n")
        self.assert_findings(check_sizes.check)
        self.write("src/a.cpp", "int a;\n\nvoid f() {\n" + body(most - 1) + "}\n")
        self.assert_findings(check_sizes.check, ("src/a.cpp:3", f"{most + 1} lines"))

    def test_global_function_at_the_limit_and_above(self):
        most = check_sizes.GLOBAL_FUNCTION_LINES_MAX
        head = "template <int kTile>\n__global__ void f_kernel(const float* a,\n    int n) {\n"
        self.write("kernels/a/a.cu", head + body(most - 2) + "}\n")
        self.assert_findings(check_sizes.check)
        self.write("kernels/a/a.cu", head + body(most - 1) + "}\n")
        self.assert_findings(check_sizes.check, ("kernels/a/a.cu:3", f"{most + 1} lines"))

    def test_inner_blocks_classes_and_namespaces_are_not_functions(self):
        text = (
            "namespace hadal {\n\nclass A {\n public:\n  void f() const {\n    if (x) {\n      y();\n    }\n"
            "    for (int i : v) {\n      z(i);\n    }\n  }\n};\n\nstruct B {\n  int x = 0;\n};\n"
            "enum class C {\n  kA,\n};\n\n}  // namespace hadal\n"
        )
        self.assertEqual(self.lengths(text), [8])

    def test_long_signatures_and_constructors(self):
        text = (
            "Result<int> parse(std::string_view text,\n                  int limit) {\n  return 1;\n}\n\n"
            "A::A(int a)\n    : a_(a),\n      b_(f(a)) {\n  go();\n  go();\n}\n"
        )
        self.assertEqual(self.lengths(text), [3, 4])

    def test_tests_are_not_limited_but_python_is(self):
        self.write("tests/a_test.cpp", "void f() {\n" + body(200) + "}\n")
        self.assert_findings(check_sizes.check)
        most = check_sizes.FUNCTION_LINES_MAX
        self.write("scripts/a.py", "def f():\n" + "    pass\n" * (most - 1))
        self.assert_findings(check_sizes.check)
        self.write("scripts/a.py", "def f():\n" + "    pass\n" * most)
        self.assert_findings(check_sizes.check, ("scripts/a.py:1", f"{most + 1} lines"))


if __name__ == "__main__":
    unittest.main()
