#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""F6: processes and whole hosts that are stopped for a while and go on as if nothing had been. An ex-leader's first answer
is an error or right (P6, P10)."""
import os
import pathlib
import random
import signal
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent / "lib"))
from hosts import NAMES, HostCase, cycles, volary

SECONDS = (0.3, 3)
SECONDS_NIGHTLY = (0.3, 0.7, 1.0, 1.5, 2, 4, 8, 15, 30)


class Pause(HostCase):
    def setUp(self):
        super().setUp()
        for host in NAMES:
            self.addCleanup(self.cluster.signal_host, host, signal.SIGCONT)

    def test_a_leader_is_stopped_and_goes_on_F6_P6_P10(self):
        user = self.start_user("a")
        self.start_user("b")
        for seconds in cycles(SECONDS, SECONDS_NIGHTLY):
            pid = self.cluster.pid(self.cluster.newest_leader())
            begin = time.monotonic()
            os.kill(pid, signal.SIGSTOP)
            time.sleep(seconds)  # the fault itself: nothing is waited for
            os.kill(pid, signal.SIGCONT)
            self.progress(user)
            print("    leader stopped for %.1f s: longest gap %.1f s" % (seconds, user.gap_s(begin)))
        print("    " + self.finish())

    def test_a_host_is_stopped_and_goes_on_F6_P10(self):
        self.start_user("a")
        self.start_user("b")
        seed = random.randrange(1 << 32)
        chance = random.Random(seed)
        for seconds in cycles(SECONDS[1:], SECONDS_NIGHTLY):
            host = chance.choice(NAMES)
            self.cluster.signal_host(host, signal.SIGSTOP)
            time.sleep(seconds)  # the fault itself
            self.cluster.signal_host(host, signal.SIGCONT)
            for user in self.users:
                self.progress(user)
        print("    seed %d: %s" % (seed, self.finish()))


if __name__ == "__main__":
    volary.main()
