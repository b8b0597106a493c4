"""Tests of scripts/lint/check_layers.py."""

import unittest

from support import LintTest, SOURCE_DIR

import check_layers

ARCHITECTURE = """# Architecture
```layers
main → everything
server → engine core base
engine → core base
ops → core base
ops/cpu → ops core base
ops/cuda → ops kernels core base
core → base
base →
kernels/x → kernels/common
```
```third-party
httplib.h → server
cuda → kernels ops/cuda
```
"""


class CheckLayersTest(LintTest):
    def setUp(self):
        super().setUp()
        self.write("src/ARCHITECTURE.md", ARCHITECTURE)
        self.module("server", "DEPS engine core base")
        self.module("ops/cpu", "SOURCES x.cpp DEPS ops core base")

    def module(self, name, rest):
        self.write(f"src/{name}/CMakeLists.txt", f"hadal_module({name}\n  {rest})\n")

    def test_allowed_includes_give_no_finding(self):
        self.write(
            "src/server/a.cpp",
            '#include "hadal/engine/engine.h"\n#include "server/a.h"\n#include <httplib.h>\n'
            "#include <vector>\n",
        )
        self.write("src/server/a.h", "#pragma once\n")
        self.assert_findings(check_layers.check)

    def test_include_of_a_higher_layer(self):
        self.write("src/core/a.cpp", '\n#include "hadal/engine/engine.h"\n')
        self.assert_findings(
            check_layers.check, ("src/core/a.cpp:2", "core may not include engine")
        )

    def test_public_header_is_checked_too(self):
        self.write("include/hadal/base/a.h", '#include "hadal/core/limits.h"\n')
        self.assert_findings(
            check_layers.check, ("include/hadal/base/a.h:1", "base may not include core")
        )

    def test_longest_module_name_wins(self):
        self.write("src/server/a.cpp", '#include "hadal/ops/cpu/cpu_ops.h"\n')
        self.assert_findings(
            check_layers.check, ("src/server/a.cpp:1", "server may not include ops/cpu")
        )

    def test_private_header_of_an_allowed_module(self):
        self.write("src/engine/private.h", "#pragma once\n")
        self.write("src/server/a.cpp", '#include "engine/private.h"\n')
        self.assert_findings(check_layers.check, ("src/server/a.cpp:1", "is private to engine"))

    def test_include_that_deps_do_not_list(self):
        self.module("server", "DEPS core base")
        self.write("src/server/a.cpp", '#include "hadal/engine/engine.h"\n')
        self.assert_findings(check_layers.check, ("src/server/a.cpp:1", "DEPS do not list"))

    def test_deps_outside_the_row(self):
        self.module("ops/cpu", "DEPS ops engine # a comment with engine")
        self.assert_findings(
            check_layers.check, ("src/ops/cpu/CMakeLists.txt:1", "ops/cpu may not link engine")
        )

    def test_module_without_a_row(self):
        self.module("extra", "DEPS base")
        self.assert_findings(check_layers.check, ("src/extra/CMakeLists.txt:1", "no row"))

    def test_third_party_header_outside_its_module(self):
        self.write("src/engine/a.cpp", "#include <httplib.h>\n")
        self.assert_findings(check_layers.check, ("src/engine/a.cpp:1", "is for server only"))

    def test_kernels_may_use_common_and_nothing_of_src(self):
        self.write("kernels/mla/a.cu", '#include "kernels/common/ptx.cuh"\n#include <cuda_fp8.h>\n')
        self.assert_findings(check_layers.check)
        self.write(
            "kernels/mla/b.cu", '#include "hadal/base/check.h"\n#include "kernels/moe/moe.h"\n'
        )
        self.assert_findings(
            check_layers.check,
            ("kernels/mla/b.cu:1", "may not include base"),
            ("kernels/mla/b.cu:2", "may not include kernels/moe"),
        )

    def test_cuda_half_may_use_any_kernel_family(self):
        self.write(
            "src/ops/cuda/a.cpp", '#include "kernels/mla/mla.h"\n#include <cuda_runtime.h>\n'
        )
        self.assert_findings(check_layers.check)
        self.write("src/ops/cpu/a.cpp", '#include "kernels/mla/mla.h"\n')
        self.assert_findings(
            check_layers.check, ("src/ops/cpu/a.cpp:1", "may not include kernels/mla")
        )

    def test_main_may_include_everything(self):
        self.write(
            "src/main.cpp", '#include "hadal/ops/cpu/cpu_ops.h"\n#include "hadal/server/x.h"\n'
        )
        self.assert_findings(check_layers.check)

    def test_missing_table_is_an_error(self):
        self.write("src/ARCHITECTURE.md", "# nothing\n")
        with self.assertRaisesRegex(ValueError, "no block fenced"):
            check_layers.check(self.repository)

    def test_line_without_arrow_is_an_error(self):
        self.write("src/ARCHITECTURE.md", ARCHITECTURE.replace("base →", "base"))
        with self.assertRaisesRegex(ValueError, "without an arrow"):
            check_layers.check(self.repository)

    def test_table_of_this_repository_has_no_cycle(self):
        layers = check_layers.Layers((SOURCE_DIR / "src/ARCHITECTURE.md").read_text())
        self.assertIn("scheduler", layers.allowed)
        for module in layers.allowed:
            seen, todo = set(), list(layers.allowed[module])
            while todo:
                other = todo.pop()
                self.assertNotEqual(other, module, f"{module} reaches itself")
                if other not in seen:
                    seen.add(other)
                    todo += layers.allowed.get(other, ())


if __name__ == "__main__":
    unittest.main()
