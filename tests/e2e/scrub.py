#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Stored data is read back in the background; what is damaged is counted and told, never served (P4, F14)."""
import base64
import pathlib
import random
import re
import subprocess
import sys
import unittest
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).parent / "lib"))
import cluster as clusters
import volary
from wire import Imap, Smtp


class Scrub(unittest.TestCase):
    def metric(self, name):
        with urllib.request.urlopen("http://%s:%d/metrics" % (volary.HOST, self.server.port("ops")), timeout=10) as page:
            return int(re.search(r"(?m)^%s (\d+)$" % name, page.read().decode())[1])

    def rounds(self):
        return self.metric("volary_shard_scrub_rounds_total")

    def test_a_flipped_bit_of_a_body_is_found_and_not_served(self):
        self.server = volary.Server(env={"VOLARY_SCRUB__PERIOD_S": "1"}).start()
        noise = random.Random(4).randbytes(300_000)  # does not compress: a file of its own
        body = b"Subject: damaged\r\n\r\n" + base64.encodebytes(noise).replace(b"\n", b"\r\n")
        with Smtp(self.server.port("smtp")) as smtp:
            self.assertTrue(smtp.deliver(volary.ACCOUNT, body).startswith("250"))
        volary.wait_for("a round of reading", lambda: self.rounds() >= 1)
        self.assertEqual(self.metric("volary_shard_scrub_problems_total"), 0)
        self.assertGreater(self.metric("volary_shard_scrub_bytes_total"), 1000)
        self.assertEqual(self.server.stop(), 0)
        self.server.restart()  # what is in the write-ahead log becomes files
        self.assertEqual(self.server.stop(), 0)
        blobs = sorted((self.server.data / "shard").glob("*.blob"), key=lambda f: f.stat().st_size)
        whole = bytearray(blobs[-1].read_bytes())
        whole[len(whole) // 2] ^= 1
        blobs[-1].write_bytes(whole)
        self.server.expect_errors()
        self.server.restart()
        volary.wait_for("the damage to be counted", lambda: self.metric("volary_shard_scrub_problems_total") >= 1)
        self.assertIn("event=replica.scrub.damaged", self.server.log.read_text())
        with Imap(self.server.port("imap"), self.server.account, self.server.password) as imap:
            imap.command("SELECT INBOX")
            self.assertNotIn("Subject: damaged", imap.command("FETCH 1 BODY.PEEK[]").text())
        self.server.stop()


class Repair(unittest.TestCase):
    """One of three members has a damaged file: found, told, and filled anew from the leader."""

    def setUp(self):
        self.cluster = clusters.Cluster(groups=1)
        for path in self.cluster.out.glob("shard-*.yaml"):
            path.write_text(path.read_text() + "scrub: {period_s: 1}\n")
        self.addCleanup(self.cluster.run, "down")
        self.cluster.run("up")
        self.cluster.ctl("domain", "create", "dev.test")
        self.cluster.ctl("account", "create", volary.ACCOUNT, "--password-stdin", stdin=volary.PASSWORD + "\n")

    def metric(self, name, metric):
        return self.cluster.members(1)[name].get(metric, 0) if name in self.cluster.members(1) else 0

    def data(self, name):
        config = (self.cluster.out / (name + ".yaml")).read_text()
        return pathlib.Path(re.search(r"dir:\s*['\"]?([^\s'\"},]+)", config)[1])

    def deliver(self, content):
        with self.cluster.smtp(0) as smtp:
            return smtp.deliver(volary.ACCOUNT, content).startswith("250")

    def restart(self, name, meanwhile=lambda: None):
        self.cluster.run("stop", name)
        meanwhile()
        self.cluster.run("start", name)

    def damage(self, name):
        blobs = sorted((self.data(name) / "shard").glob("*.blob"), key=lambda f: f.stat().st_size)
        whole = bytearray(blobs[-1].read_bytes())
        whole[len(whole) // 2] ^= 1
        blobs[-1].write_bytes(whole)

    def test_a_member_with_a_damaged_file_is_filled_anew_P4_F14(self):
        noise = base64.encodebytes(random.Random(4).randbytes(300_000)).replace(b"\n", b"\r\n")
        volary.wait_for("a message", lambda: self.deliver(b"Subject: kept\r\n\r\n" + noise))
        leader = self.cluster.leader(1)
        follower = next(name for name in self.cluster.members(1) if name != leader)
        self.restart(follower)  # what is in the write-ahead log becomes files
        self.restart(follower, lambda: self.damage(follower))
        volary.wait_for("a snapshot in place of the damaged files",
                        lambda: self.metric(follower, "snapshots_received_total") >= 1, 90)
        self.cluster.run("stop", follower)
        done = subprocess.run([str(volary.BIN / "volary-shard"), "check", str(self.data(follower))], capture_output=True,
                              text=True, timeout=60, check=False)
        self.assertEqual(done.returncode, 0, done)
        with self.cluster.imap(1, volary.ACCOUNT) as imap:
            imap.command("SELECT INBOX")
            self.assertIn("Subject: kept", imap.command("FETCH 1 BODY.PEEK[]").text())


if __name__ == "__main__":
    volary.main()
