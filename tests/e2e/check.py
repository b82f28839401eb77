#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`volary-shard check DIR` and `volary-meta check DIR` on the data of a stopped process (P4, C6, F14)."""
import pathlib
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent / "lib"))
import volary
from wire import Smtp


def check(role, directory):
    return subprocess.run([str(volary.BIN / ("volary-" + role)), "check", str(directory)], capture_output=True, text=True,
                          timeout=120, check=False)


class Check(unittest.TestCase):
    def setUp(self):
        self.server = volary.Server().start()
        with Smtp(self.server.port("smtp")) as smtp:
            for size in (10, 10_000, 600_000):
                line = b"x" * 70 + b"\r\n"
                self.assertTrue(smtp.deliver(volary.ACCOUNT, b"Subject: s\r\n\r\n" + line * (size // 72 + 1)).startswith("250"))

    def test_whole_data_has_no_problem_and_a_running_process_is_not_disturbed(self):
        for role in ("shard", "meta"):
            result = check(role, self.server.data)
            self.assertEqual(result.returncode, 1, result)
            self.assertIn("is in use; stop the process first", result.stderr)
        self.assertEqual(self.server.stop(), 0)
        for role in ("shard", "meta"):
            for directory in (self.server.data, self.server.data / role):
                result = check(role, directory)
                self.assertEqual(result.returncode, 0, result)
                self.assertIn("no problem found", result.stdout)
        self.server.restart()
        self.assertEqual(self.server.stop(), 0)

    def test_damage_is_found_and_told(self):
        self.assertEqual(self.server.stop(), 0)
        for role in ("shard", "meta"):
            files = [f for f in (self.server.data / role).iterdir() if f.suffix in (".log", ".sst", ".blob") and f.stat().st_size > 100]
            self.assertTrue(files)
            for file in files:
                whole = bytearray(file.read_bytes())
                whole[len(whole) // 2] ^= 1
                file.write_bytes(whole)
                result = check(role, self.server.data)
                self.assertEqual(result.returncode, 9, (file.name, result))
                self.assertIn("problem: ", result.stdout)
                whole[len(whole) // 2] ^= 1
                file.write_bytes(whole)
            self.assertEqual(check(role, self.server.data).returncode, 0)

    def test_a_folder_without_data_is_told_from_damage(self):
        result = check("shard", volary.folder("empty"))
        self.assertEqual(result.returncode, 3, result)
        self.assertIn("holds no database", result.stderr)
        self.assertEqual(self.server.stop(), 0)


if __name__ == "__main__":
    volary.main()
