#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""F3: power cut of one host; F4: of all hosts at once. Real ext4, cut by its shutdown ioctl under load."""
import pathlib
import random
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent / "lib"))
from hosts import NAMES, HostCase, cycles, volary

SEED = random.randrange(1 << 32)


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
