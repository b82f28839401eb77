#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""F11: the disk is full, on one machine and on one or all hosts of a cluster, with 4 MiB, 64 KiB and nothing left (P13)."""
import base64
import pathlib
import random
import re
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent / "lib"))
from disk import Disk
from hosts import NAMES, HostCase, cycles, volary
from wire import Imap, Smtp

LEFT_BYTES = (4 << 20, 64 << 10, 0)

# Large, and not to be compressed: a role that gives back its reserve leaves the other one some space above its floor.
BODY = base64.encodebytes(random.Random(11).randbytes(200_000)).replace(b"\n", b"\r\n")


class OneMachine(unittest.TestCase):
    def setUp(self):
        self.server = volary.Server()
        reason = Disk.why_not(self.server.home)
        if reason:
            self.skipTest("skipped: " + reason)
        self.disk = Disk(self.server.home, "disk", size_mib=1024)
        self.addCleanup(self.disk.remove)
        self.server.data = self.disk.path / "data"
        self.server.start()
        self.addCleanup(self.server.kill)

    def deliver(self, subject):
        with Smtp(self.server.port("smtp")) as smtp:
            return smtp.deliver(self.server.account, b"Subject: %s\r\n\r\n" % subject.encode() + BODY)

    def imap(self):
        return Imap(self.server.port("imap"), self.server.account, self.server.password)

    def subjects(self, imap):
        self.assertTrue(imap.command("SELECT INBOX").ok)
        answer = imap.command("FETCH 1:* (UID BODY.PEEK[])")
        self.assertTrue(answer.ok)
        return re.findall(r"Subject: (\S+)", answer.text())

    def check_refused_and_usable(self, left):
        def refusal():
            reply = self.deliver("bait")  # what is still taken in the first moments is bait, too
            return None if reply.startswith("250") else reply

        reply = volary.wait_for("a refusal on a full disk with %d bytes left" % left, refusal)
        self.assertRegex(reply, r"^452 4\.3\.1")
        self.assertTrue(self.server.is_running(), "PROCESS-DIED")
        with self.imap() as imap:  # sign-in writes its audit record
            before = self.subjects(imap)
            self.assertIn("before", before)
            self.assertTrue(imap.command("STORE 1 +FLAGS (\\Flagged)").ok)
            self.assertRegex(imap.append("INBOX", b"Subject: no\r\n\r\nx" + b"y" * 2000).tagged, r"^NO \[(OVERQUOTA|UNAVAILABLE)\]")
            self.assertEqual(before[-1], "bait")
            self.assertTrue(imap.command("STORE %d +FLAGS (\\Deleted)" % len(before)).ok)
            self.assertTrue(imap.command("EXPUNGE").ok)
            self.assertEqual(self.subjects(imap), before[:-1])

    def test_mail_is_refused_and_everything_else_goes_on_F11_P13(self):
        self.assertTrue(self.deliver("before").startswith("250"))
        kept = ["before"]
        for left in LEFT_BYTES:
            with self.subTest(left_bytes=left):
                self.assertTrue(self.deliver("bait").startswith("250"))
                self.disk.fill(left)
                self.check_refused_and_usable(left)
                self.disk.empty()
                volary.wait_for("mail again, without a restart", lambda: self.deliver("bait").startswith("250"))
                self.expunge_bait()
                self.assertTrue(self.deliver("kept-%d" % left).startswith("250"))
                kept.append("kept-%d" % left)
        self.assertTrue(self.server.is_running(), "PROCESS-DIED")
        self.server.kill()
        self.server.restart()
        with self.imap() as imap:
            self.assertEqual(self.subjects(imap), kept)

    def expunge_bait(self):
        """Every refused message is nowhere; what is left over of the round goes."""
        with self.imap() as imap:
            found = self.subjects(imap)
            self.assertEqual([s for s in found if s.startswith("full") or s == "no"], [], "REFUSED-STORED")
            for number in reversed([i + 1 for i, s in enumerate(found) if s == "bait"]):
                self.assertTrue(imap.command("STORE %d +FLAGS (\\Deleted)" % number).ok)
            self.assertTrue(imap.command("EXPUNGE").ok)

    def test_a_process_killed_on_a_full_disk_starts_on_it_F11(self):
        self.assertTrue(self.deliver("before").startswith("250"))
        self.disk.fill(0)
        volary.wait_for("a refusal on a full disk", lambda: not self.deliver("full").startswith("250"))
        self.server.kill()
        self.server.restart()
        self.check_refused_and_usable_after_start()
        self.disk.empty()
        volary.wait_for("mail again", lambda: self.deliver("after").startswith("250"))

    def check_refused_and_usable_after_start(self):
        self.assertFalse(self.deliver("full").startswith("250"))
        with self.imap() as imap:
            self.assertIn("before", self.subjects(imap))


class Cluster(HostCase):
    def setUp(self):
        super().setUp()
        for disk in self.cluster.disks.values():
            self.addCleanup(disk.empty)

    def pids(self):
        return {p["name"]: self.cluster.pid(p["name"]) for p in self.cluster.processes()}

    def test_one_full_host_is_not_an_outage_F11_P11(self):
        before = self.pids()
        other = next(h for h in NAMES if h != self.cluster.host_of(self.cluster.newest_leader()))
        self.start_user(other)
        for left in cycles(LEFT_BYTES[-1:], LEFT_BYTES):
            host = self.cluster.host_of(self.cluster.newest_leader())
            self.cluster.disks[host].fill(left)
            volary.wait_for("somebody else to lead", lambda h=host: self.cluster.host_of(self.cluster.newest_leader()) != h)
            for user in self.users:
                self.progress(user, 40)
            self.cluster.disks[host].empty()
            volary.wait_for("the host to have caught up", self.cluster.has_caught_up)
        print("    one host full: %s" % self.finish())
        self.assertEqual(self.pids(), before, "PROCESS-DIED")

    def test_all_hosts_full_refuse_and_heal_F11_P13(self):
        before = self.pids()
        user = self.start_user("a")
        bait = "bait@" + user.account.split("@")[1]
        self.cluster.ctl("account", "create", bait, "--password-stdin", stdin=volary.PASSWORD + "\n")
        for left in cycles(LEFT_BYTES[-1:], LEFT_BYTES):
            for disk in self.cluster.disks.values():
                disk.fill(left)
            with self.cluster.smtp(1) as smtp:
                volary.wait_for("452 with %d bytes left" % left, lambda s=smtp: s.deliver(bait, b"Subject: bait\r\n\r\nx").startswith("452 4.3.1"))
            with self.cluster.imap(1, user.account) as imap:  # sign-in and reading go on
                self.assertTrue(imap.command("SELECT INBOX").ok)
            for disk in self.cluster.disks.values():
                disk.empty()
            self.progress(user, 20)
        print("    all hosts full: %s" % self.finish())
        self.assertEqual(self.pids(), before, "PROCESS-DIED")


if __name__ == "__main__":
    volary.main()
