#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Disks that fail: F12 EIO of a sync on one machine, a leader, a follower; F13 a page that is lost on its way to the disk,
then EIO; F15 calls that block. The first failed write ends the process with one clear line (P14); the others go on."""
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent / "lib"))
from disk import Disk, run
from hosts import HostCase, Supervisor, volary
from wire import Imap, Smtp

STALL_US = 5_000_000


def strace_or_skip(test):
    if not shutil.which("strace"):
        test.skipTest("skipped: strace is not installed (deploy/dependencies test)")


class Tracer:
    """strace on a process and all its threads, with an injection, until it ends or is detached."""

    def __init__(self, test, pid, calls, injection):
        self.test, self.out = test, volary.folder("strace") / "out"
        self.process = subprocess.Popen(["strace", "-f", "-qq", "-p", str(pid), "-e", "trace=" + calls, "-e", "inject=%s:%s" % (calls, injection),
                                         "-o", str(self.out)], stderr=subprocess.PIPE, text=True)
        test.addCleanup(self.detach)
        volary.wait_for("strace to attach", lambda: self.is_attached(pid) or self.process.poll() is not None)
        if self.process.poll() not in (None, 0) and not self.out.exists():
            test.skipTest("skipped: strace cannot attach: " + self.process.stderr.read().strip())

    @staticmethod
    def is_attached(pid):
        try:
            return "TracerPid:\t0\n" not in pathlib.Path("/proc/%d/status" % pid).read_text()
        except OSError:
            return True  # it has ended already

    def detach(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stderr.close()

    def count(self, text):
        return self.out.read_text().count(text)


def assert_one_clear_line(test, log, path):
    """P14: where, what, and what to do; the supervisor's log needs no second look."""
    lines = [line for line in log.splitlines() if "event=replica.member.failed" in line]
    test.assertEqual(len(lines), 1, "one line says why it ended:\n" + "\n".join(log.splitlines()[-10:]))
    for part in ("level=error", "sys.path=%s" % path, "err.sys=5", "Input/output error", "err.next="):
        test.assertIn(part, lines[0])


class OneMachine(unittest.TestCase):
    def subjects(self, server):
        with Imap(server.port("imap"), server.account, server.password) as imap:
            imap.command("SELECT INBOX")
            return re.findall(r"Subject: (\S+)", imap.command("FETCH 1:* (BODY.PEEK[HEADER.FIELDS (SUBJECT)])").text())

    def deliver_until_it_ends(self, server, acked):
        with Smtp(server.port("smtp")) as smtp:
            def is_over():
                name = "m-%d" % len(acked)
                try:
                    if smtp.deliver(server.account, b"Subject: %s\r\n\r\n" % name.encode() + b"x" * 3000).startswith("250"):
                        acked.append(name)
                except OSError:
                    pass
                return not server.is_running()

            volary.wait_for("the end of the process", is_over, 60)

    def test_the_first_failed_sync_ends_the_process_F12_P14(self):
        strace_or_skip(self)
        server, acked = volary.Server().start(), []
        with Smtp(server.port("smtp")) as smtp:
            for i in range(10):
                self.assertTrue(smtp.deliver(server.account, b"Subject: m-%d\r\n\r\nx" % i).startswith("250"))
                acked.append("m-%d" % i)
        tracer = Tracer(self, server.process.pid, "fdatasync,fsync", "error=EIO")
        self.deliver_until_it_ends(server, acked)
        tracer.detach()
        self.assertEqual(server.process.returncode, 1)
        self.assertGreater(tracer.count("EIO"), 0)
        assert_one_clear_line(self, server.log.read_text(), server.data)
        server.restart()
        found = self.subjects(server)
        self.assertEqual([s for s in acked if s not in found], [], "LOST")
        self.assertEqual(server.stop(), 0)

    def test_a_page_lost_on_its_way_is_never_believed_F13_P14(self):
        """The image lies in a tmpfs that is too small: write(2) works, the write-back does not, and the sync says so once."""
        server = volary.Server()
        reason = Disk.why_not(server.home)
        if reason:
            self.skipTest("skipped: " + reason)
        disk = Disk(server.home, "disk", size_mib=1024, backing_mib=96)
        self.addCleanup(disk.remove)
        self.addCleanup(server.kill)
        server.data = disk.path / "data"
        server.expect_errors()
        server.start()
        acked = []
        free = int(run("df", "--output=avail", "-B1", disk.backing).split()[-1])
        with open(disk.backing / "filler", "wb") as filler:  # what is left is enough for a few seconds of mail
            filler.write(b"\0" * max(free - (6 << 20), 0))
        self.deliver_until_it_ends(server, acked)
        self.assertEqual(server.process.returncode, 1, server.tail())
        failed = [line for line in server.log.read_text().splitlines() if "event=replica.member.failed" in line]
        self.assertEqual(len(failed), 1)
        (disk.backing / "filler").unlink()  # the disk is repaired: nothing of it was acknowledged wrongly
        disk.power_on()
        server.restart()
        found = self.subjects(server)
        self.assertGreater(len(acked), 0)
        self.assertEqual([s for s in acked if s not in found], [], "LOST")
        self.assertEqual(server.stop(), 0)
        print("    %d messages acknowledged before the disk failed, all found" % len(acked))


class Cluster(HostCase):
    def hit_with_eio(self, name):
        """The process ends by itself; a supervisor starts it again, and it comes back."""
        pid = volary.wait_for("%s to run" % name, lambda: self.cluster.pid(name))  # it writes its file itself
        log_bytes = len(self.cluster.log_text(name))
        Tracer(self, pid, "fdatasync,fsync", "error=EIO")
        begin = time.monotonic()
        volary.wait_for("the end of %s" % name, lambda: self.cluster.pid(name) not in (pid, None) or not pathlib.Path("/proc/%d" % pid).exists())
        assert_one_clear_line(self, self.cluster.log_text(name)[log_bytes:], self.cluster.disks[self.cluster.host_of(name)].path)
        for user in self.users:
            self.progress(user)
        volary.wait_for("%s to be back and to have caught up" % name, lambda: self.cluster.pid(name) and self.cluster.has_caught_up())
        return max(user.gap_s(begin) for user in self.users)

    def test_eio_of_a_leader_and_of_a_follower_F12_P10_P14(self):
        strace_or_skip(self)
        self.start_user("a")
        self.start_user("b")
        supervisor = Supervisor(self.cluster)
        supervisor.start()
        self.addCleanup(supervisor.finish)
        leader = self.cluster.newest_leader()
        gap_leader = self.hit_with_eio(leader)
        follower = next(n for n in self.cluster.members(1) if n != self.cluster.newest_leader())
        gap_follower = self.hit_with_eio(follower)
        print("    longest gap: %.1f s (leader), %.1f s (follower); %s" % (gap_leader, gap_follower, self.finish()))
        self.assertEqual(sorted(supervisor.starts), sorted([leader, follower]), "only these two ended, once each")

    def test_a_leader_whose_disk_blocks_hands_over_F15_P11(self):
        strace_or_skip(self)
        self.start_user("a")
        self.start_user("b")
        leader = self.cluster.newest_leader()
        begin = time.monotonic()
        tracer = Tracer(self, self.cluster.pid(leader), "fdatasync", "delay_enter=%d" % STALL_US)
        volary.wait_for("another leader", lambda: self.cluster.newest_leader() != leader)
        for user in self.users:
            self.progress(user)
        gap = max(user.gap_s(begin) for user in self.users)
        tracer.detach()
        print("    every sync took 5 s; longest gap %.1f s; %s" % (gap, self.finish()))


if __name__ == "__main__":
    volary.main()
