#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Disks that fill up (P13, F11) and that fail (P14, F12) under a running server. Needs root for a small file system."""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent / "lib"))
import volary
from wire import Imap, Smtp

DISK_MIB = 1024


class FullDisk(unittest.TestCase):
    """A tmpfs of its own, filled to the last few MiB and emptied again."""

    def setUp(self):
        self.server = volary.Server()
        self.disk = self.server.home / "disk"
        self.disk.mkdir()
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=%dm" % DISK_MIB, "tmpfs", str(self.disk)], capture_output=True,
                              text=True, check=False)
        if done.returncode != 0:
            self.skipTest("cannot mount a small file system: " + done.stderr.strip())
        self.addCleanup(subprocess.run, ["umount", "-l", str(self.disk)], check=False)
        self.server.data = self.disk / "data"
        self.server.start()
        self.addCleanup(self.server.kill)

    def deliver(self, subject):
        with Smtp(self.server.port("smtp")) as smtp:
            return smtp.deliver(self.server.account, b"Subject: %s\r\n\r\n" % subject.encode() + b"x" * 2000)

    def fill(self, left_bytes):
        free = os.statvfs(self.disk).f_bavail * os.statvfs(self.disk).f_frsize
        with open(self.disk / "filler", "wb") as filler:
            os.posix_fallocate(filler.fileno(), 0, max(free - left_bytes, 1))

    def test_mail_is_refused_for_now_and_everything_else_works_P13(self):
        self.assertTrue(self.deliver("before").startswith("250"))
        for left in (4 << 20, 64 << 10):
            with self.subTest(left_bytes=left):
                self.fill(left)
                reply = volary.wait_for("452 on a full disk", lambda: next(
                    (r for r in [self.deliver("full-%d" % left)] if not r.startswith("250")), None))
                self.assertRegex(reply, r"^452 4\.3\.1")
                with Imap(self.server.port("imap"), self.server.account, self.server.password) as imap:  # sign-in works
                    self.assertIn("Subject: before", self.reads(imap))
                    self.assertTrue(imap.command("STORE 1 +FLAGS (\\Flagged)").ok)
                    self.assertTrue(imap.append("INBOX", b"Subject: no\r\n\r\nx" + b"y" * 2000).tagged.startswith("NO"))
                (self.disk / "filler").unlink()
                volary.wait_for("mail again, without a restart", lambda: self.deliver("after-%d" % left).startswith("250"))
        self.assertTrue(self.server.is_running())
        self.server.kill()
        self.server.restart()
        with Imap(self.server.port("imap"), self.server.account, self.server.password) as imap:
            text = self.reads(imap)
            for subject in ("before", "after-%d" % (4 << 20), "after-%d" % (64 << 10)):
                self.assertIn("Subject: %s\r\n" % subject, text)

    def reads(self, imap):
        self.assertTrue(imap.command("SELECT INBOX").ok)
        return imap.command("FETCH 1:* (BODY.PEEK[])").text()


class FailingDisk(unittest.TestCase):
    def test_the_first_failed_sync_ends_the_process_and_nothing_acknowledged_is_lost_P14(self):
        if not shutil.which("strace"):
            self.skipTest("strace is not installed: deploy/dependencies test")
        server = volary.Server().start()
        acked = []
        with Smtp(server.port("smtp")) as smtp:
            for i in range(20):
                if smtp.deliver(server.account, b"Subject: ok-%d\r\n\r\nx" % i).startswith("250"):
                    acked.append("ok-%d" % i)
        tracer = subprocess.Popen(["strace", "-f", "-qq", "-p", str(server.process.pid), "-e", "trace=fdatasync,fsync", "-e",
                                   "inject=fdatasync,fsync:error=EIO", "-o", str(server.home / "strace.out")], stderr=subprocess.PIPE, text=True)
        self.addCleanup(tracer.kill)
        with Smtp(server.port("smtp")) as smtp:
            def is_over():
                if tracer.poll() is not None and server.is_running():
                    raise unittest.SkipTest("strace cannot attach: " + (tracer.stderr.read() or "").strip())
                try:
                    reply = smtp.deliver(server.account, b"Subject: late-%d\r\n\r\nx" % len(acked))
                except OSError:
                    reply = ""
                if reply.startswith("250"):
                    acked.append("late-%d" % len(acked))
                return not server.is_running()

            volary.wait_for("the end of the process", is_over)
        self.assertNotEqual(server.process.returncode, 0)
        tracer.wait(30)
        self.assertEqual((server.home / "strace.out").read_text().count("EIO") > 0, True)
        server.restart()
        with Imap(server.port("imap"), server.account, server.password) as imap:
            imap.command("SELECT INBOX")
            found = re.findall(r"Subject: (\S+)", imap.command("FETCH 1:* (BODY.PEEK[HEADER.FIELDS (SUBJECT)])").text())
        self.assertEqual([s for s in acked if s not in found], [], "LOST")
        self.assertEqual(server.stop(), 0)


if __name__ == "__main__":
    volary.main()
