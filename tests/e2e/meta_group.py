#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Three volary-meta, made by deploy/cluster, and volaryctl with its certificate: a leader dies, a member comes back, an
emptied one does not (P12)."""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent / "lib"))
import meta
import volary

TOOL = str(volary.ROOT / "deploy/cluster")
HOSTS = ("127.0.0.1", "127.0.0.2", "127.0.0.3")


class Group(unittest.TestCase):
    def setUp(self):
        self.home = volary.folder("group")
        self.out = self.home / "cluster"
        base = volary.port_base()
        args = [word for i, host in enumerate(HOSTS) for word in ("--host", "h%d,%s,%s" % (i, host, self.home / ("h%d" % i)))]
        subprocess.run([TOOL, "config", "--out", str(self.out), "--port-base", str(base), *args], check=True, capture_output=True,
                       env={**os.environ, "VOLARY_BIN": str(volary.BIN)})
        self.cluster = json.loads((self.out / "cluster.json").read_text())
        self.processes = {}
        self.specs = {p["name"]: p for host in self.cluster["hosts"] for p in host["processes"] if p["role"] == "meta"}
        self.assertEqual(len(self.specs), 3)

    def tearDown(self):
        for process in self.processes.values():
            if process.poll() is None:
                process.kill()
            process.wait()
            process.stdout.close()

    def start(self, name):
        spec = self.specs[name]
        with open(spec["log"], "ab") as log:
            self.processes[name] = subprocess.Popen(spec["argv"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True,
                                                    env={**os.environ, **spec["env"]})

    def wait_ready(self, name):
        self.assertIn('"event":"ready"', self.processes[name].stdout.readline(), pathlib.Path(self.specs[name]["log"]).read_text()[-2000:])

    def ctl(self, *args, check=True):
        spec = self.cluster["volaryctl"]
        return volary.ctl(spec["argv"], args, "", check, spec["env"])

    def ctl_json(self, *args):
        return json.loads(self.ctl("--output", "json", *args)[1])

    def roles(self):
        return {m["node"]: m["role"] for m in self.ctl_json("member", "list") if m["group_id"] == 0}

    def leader(self):
        return [node for node, role in self.roles().items() if role == "leader"][0]

    def test_a_leader_dies_and_nothing_is_lost(self):
        for name in self.specs:
            self.start(name)
        for name in self.specs:
            self.wait_ready(name)
        self.ctl("domain", "create", "b.test")
        first = self.ctl_json("account", "create", "one@b.test")
        dead = self.leader()
        self.processes[dead].kill()
        second = self.ctl_json("account", "create", "two@b.test")
        self.assertGreater(int(second["id"]), int(first["id"]))
        self.assertEqual(self.roles()[dead], "unreachable")
        self.start(dead)
        self.wait_ready(dead)
        volary.wait_for("the member is back", lambda: self.roles()[dead] == "follower")
        led = self.leader()
        self.processes[led].terminate()  # hands over
        self.assertEqual(self.processes[led].wait(volary.STOP_TIMEOUT_S), 0)
        self.assertEqual([a["account"] for a in self.ctl_json("account", "list")], ["one@b.test", "two@b.test"])
        self.assertTrue(self.ctl_json("audit", "verify")["intact"])
        self.refuses_an_emptied_directory(led)
        self.without_a_majority_nothing_is_answered()

    def refuses_an_emptied_directory(self, name):
        spec = self.specs[name]
        data = [line.split(": ")[1] for line in pathlib.Path(spec["argv"][-1]).read_text().splitlines() if line.startswith("  dir: ")][0]
        shutil.rmtree(data)
        done = subprocess.run(spec["argv"], capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual((done.returncode, done.stdout), (1, ""), done.stderr)
        self.assertIn("the directory is empty and there is no ticket", done.stderr)

    def without_a_majority_nothing_is_answered(self):
        alive = [name for name, process in self.processes.items() if process.poll() is None]
        self.assertEqual(len(alive), 2)
        self.processes[alive[0]].kill()
        code, out, err = self.ctl("account", "list", "--timeout", "4", check=False)
        self.assertEqual((code, out), (6, ""), err)
        self.assertEqual(self.processes[alive[1]].poll(), None)


if __name__ == "__main__":
    meta.main()
