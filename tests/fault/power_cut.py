#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""F3: power cut of one host; F4: of all hosts at once. Real ext4, cut by its shutdown ioctl under load."""
import pathlib
import random
import shutil
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent / "lib"))
from disk import Disk
from hosts import NAMES, HostCase, cycles, volary
from wire import Imap, Smtp

SEED = random.randrange(1 << 32)


class OneMachine(unittest.TestCase):
    def test_a_first_start_and_its_first_mail_F4_P1(self):
        """Keys, certificates and identity are new: each must be whole, or made again."""
        server = volary.Server()
        reason = Disk.why_not(server.home)
        if reason:
            self.skipTest("skipped: " + reason)
        disk = Disk(server.home, "disk", size_mib=1024)
        self.addCleanup(disk.remove)
        self.addCleanup(server.kill)
        count = cycles(3, 20)
        for i in range(count):
            server.data = disk.path / ("data-%d" % i)
            server.start()
            with Smtp(server.port("smtp")) as smtp:
                self.assertTrue(smtp.deliver(server.account, b"Subject: first\r\n\r\nx").startswith("250"))
            disk.cut()
            server.kill()
            disk.power_on()
            server.restart()
            with Imap(server.port("imap"), server.account, server.password) as imap:
                imap.command("SELECT INBOX")
                self.assertIn("Subject: first", imap.command("FETCH 1:* (BODY.PEEK[])").text(), "LOST")
            self.assertEqual(server.stop(), 0)
            shutil.rmtree(server.data)  # each has its reserve: the disk would fill
        print("    %d cuts after the first mail" % count)


class PowerCut(HostCase):
    def setUp(self):
        super().setUp()
        self.chance = random.Random(SEED)
        print("    seed %d" % SEED)

    def cut_and_check(self, hosts):
        for user in self.users:
            self.progress(user, self.chance.randrange(3, 25))
        self.cluster.cut_power(hosts)
        self.cluster.run("up")

    def test_one_host_F3_P1_P4_P14(self):
        self.start_user("a")
        self.start_user("b")
        count = cycles(5, 20)
        for _ in range(count):
            self.cut_and_check([self.chance.choice(NAMES)])
            volary.wait_for("the host to have caught up", self.cluster.has_caught_up)
        print("    %d cuts of one host: %s" % (count, self.finish()))

    def test_all_hosts_F4_P1_to_P9(self):
        self.start_user("a")
        self.start_user("c")
        count = cycles(5, 20)
        for _ in range(count):
            hosts = list(NAMES)
            self.chance.shuffle(hosts)
            self.cut_and_check(hosts)
        print("    %d cuts of all hosts: %s" % (count, self.finish()))


if __name__ == "__main__":
    volary.main()
