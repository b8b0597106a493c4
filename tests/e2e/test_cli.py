"""The command line of the binary: version, help, mistakes."""

import unittest

from support import SOURCE_DIR, TINY_R1, HadalServer, run_hadal


class CommandLineTest(unittest.TestCase):
    def test_version(self):
        for word in ("version", "--version"):
            run = run_hadal(word)
            self.assertEqual(run.returncode, 0)
            self.assertRegex(run.stdout, r"\d+\.\d+\.\d+")

    def test_help_names_commands_and_flags(self):
        overview = run_hadal("--help")
        self.assertEqual(overview.returncode, 0)
        for command in ("serve", "chat", "version"):
            self.assertIn(command, overview.stdout)
        serve = run_hadal("serve", "--help")
        self.assertEqual(serve.returncode, 0)
        for flag in (
            "async-scheduling",
            "--speculative-config.method",
            "--speculative-config.num-speculative-tokens",
            "--max-num-seqs",
            "--max-num-batched-tokens",
            "--max-model-len",
            "--host",
            "--port",
            "--config",
        ):
            self.assertIn(flag, serve.stdout)

    def assert_refused(self, arguments, *words):
        """Exit status 2 and one line on stderr that holds all words."""
        run = run_hadal(*arguments)
        self.assertEqual(run.returncode, 2, (arguments, run.stdout, run.stderr))
        lines = run.stderr.strip().splitlines()
        self.assertEqual(len(lines), 1, run.stderr)
        for word in words:
            self.assertIn(word, lines[0])

    def test_an_unknown_flag_names_the_nearest_one(self):
        model = str(TINY_R1)
        self.assert_refused(
            ["serve", model, "--max-num-seq", "4"], "--max-num-seq", "--max-num-seqs"
        )
        self.assert_refused(["serve", model, "--asinc-scheduling"], "async-scheduling")

    def test_bad_values_name_flag_found_and_wanted(self):
        model = str(TINY_R1)
        self.assert_refused(["serve", model, "--port", "70000"], "--port", "70000", "65535")
        self.assert_refused(["serve", model, "--max-num-seqs", "many"], "--max-num-seqs", "many")
        self.assert_refused(["serve", model, "--config", "/nonexistent.yaml"], "/nonexistent.yaml")

    def test_every_example_configuration_starts_a_server(self):
        examples = sorted((SOURCE_DIR / "configs").glob("*.yaml"))
        self.assertTrue(examples)
        for path in examples:
            with self.subTest(config=path.name), HadalServer("--config", str(path)) as server:
                self.assertEqual(server.get("/v1/models").status, 200)

    def test_missing_or_unknown_command(self):
        self.assert_refused(["sevre", "x"], "sevre")
        self.assert_refused(["serve"], "MODEL")

    def test_a_folder_without_a_model(self):
        self.assert_refused(["serve", "/nonexistent-model", "--port", "0"], "/nonexistent-model")


if __name__ == "__main__":
    unittest.main()
