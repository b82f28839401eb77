#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What an operator does wrong on a cluster: a second process on one data directory (C5), another cluster's key (C2)."""
import json
import os
import pathlib
import secrets
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent / "lib"))
import volary

TOOL = str(volary.ROOT / "deploy/cluster")
PROCESSES = ("meta-a", "shard-1-a")


class Mistakes(unittest.TestCase):
    def setUp(self):
        self.out = volary.folder("mistakes") / "cluster"
        self.tool("config", "--host", "a,127.0.0.1,%s" % (self.out / "a"), "--replicas", "1", "--groups", "1",
                  "--port-base", str(volary.port_base()))
        self.addCleanup(self.tool, "down")
        self.tool("up")
        cluster = json.loads((self.out / "cluster.json").read_text())
        self.specs = {p["name"]: p for host in cluster["hosts"] for p in host["processes"]}

    def tool(self, *args, check=True):
        done = subprocess.run([sys.executable, "-B", TOOL, *args, "--out", str(self.out)], capture_output=True, text=True,
                              timeout=180, check=False, env={**os.environ, "VOLARY_BIN": str(volary.BIN)})
        if check and done.returncode != 0:
            raise AssertionError("deploy/cluster %s: %s" % (args[0], done.stderr))
        return done

    def run_again(self, name):
        return subprocess.run(self.specs[name]["argv"], capture_output=True, text=True, timeout=60, check=False)

    def test_a_second_process_ends_and_the_first_can_still_be_found_C5(self):
        for name in PROCESSES + ("frontend-a",):
            with self.subTest(name):
                pid = pathlib.Path(self.specs[name]["pidfile"]).read_text()
                second = self.run_again(name)
                self.assertEqual(second.returncode, 1, second.stderr)
                self.assertEqual(second.stdout, "", "it is not ready")
                self.assertEqual(pathlib.Path(self.specs[name]["pidfile"]).read_text(), pid)
        self.assertEqual(self.tool("status").returncode, 0)

    def test_a_member_with_another_cluster_key_refuses_to_start_C2(self):
        key = self.out / "cluster.key"
        right = key.read_text()
        for name in PROCESSES:
            with self.subTest(name):
                self.tool("stop", name)
                key.write_text(secrets.token_hex(32) + "\n")
                refused = self.tool("start", name, check=False)
                self.assertEqual(refused.returncode, 1)
                self.assertIn("filled under another cluster key", refused.stderr)
                self.assertNotIn("started", refused.stdout)
                key.write_text(right)
                self.tool("start", name)


if __name__ == "__main__":
    unittest.main(verbosity=2)
