#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Networks that fail between three hosts in namespaces: F7 a host isolated, cut in one direction, a bridge (a and b do not
see each other, both see c), flapping; F9 every connection reset, and half-open peers. The client reaches all hosts all
the time, so that a minority gets every chance to acknowledge or to serve what is old (P6, P10)."""
import pathlib
import re
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent / "lib"))
from hosts import NAMES, HostCase, cycles, volary

HOLD_S = cycles(3, 8)  # longer than two election timeouts
FLAP_S = 0.2
ANSWER_S = cycles(6, 45)  # for a command at a frontend that reaches nobody; no answer is none


class Network(HostCase):
    def setUp(self):
        super().setUp()
        self.addCleanup(self.cluster.net.heal)

    def leaders_host(self):
        return self.cluster.host_of(self.cluster.newest_leader())

    def others(self, host):
        return [n for n in NAMES if n != host]

    def hold(self, seconds=HOLD_S):
        time.sleep(seconds)  # the fault itself: nothing is waited for

    def heal_and_finish(self, what, begin):
        self.cluster.net.heal()
        gap = max(user.gap_s(begin) for user in self.users)
        text = self.finish()
        print("    %s: longest gap %.1f s; %s" % (what, gap, text))

    def test_an_isolated_leader_neither_acknowledges_nor_serves_old_data_F7_P6_P10(self):
        host = self.leaders_host()
        majority = self.others(host)[0]
        user = self.start_user(majority)
        with self.cluster.imap(self.cluster.frontend(host), user.account) as old:
            self.assertTrue(old.command("SELECT INBOX").ok)
            begin = time.monotonic()
            for other in self.others(host):
                self.cluster.net.block(host, other)
            self.progress(user, 30)  # the majority goes on
            newest = len(user.ledger.acked)
            self.check_minority(old, user, newest)
        self.heal_and_finish("leader isolated", begin)

    def check_minority(self, session, user, acked_before):
        """STALE-READ: an error or nothing, or everything that was acknowledged before the question."""
        session.socket.settimeout(ANSWER_S)
        gone = len(user.ledger.maybe_expunged)
        try:
            session.command("NOOP")
            answer = session.command("UID SEARCH ALL")
        except OSError:
            return
        if answer.ok:
            seen = len(re.findall(r"\d+", " ".join(re.findall(r"SEARCH([ \d]*)", answer.text()))))
            self.assertGreaterEqual(seen + gone, acked_before, "STALE-READ")

    def test_cut_in_one_direction_F7_P11(self):
        host = self.leaders_host()
        user = self.start_user(self.others(host)[0])
        for direction in ("to", "from"):
            host = self.leaders_host()
            begin = time.monotonic()
            for other in self.others(host):
                if direction == "to":
                    self.cluster.net.block(host, other, both_ways=False)  # it hears nobody, and all hear it
                else:
                    self.cluster.net.block(other, host, both_ways=False)  # nobody hears it
            self.hold()
            self.cluster.net.heal()
            self.progress(user)
            print("    cut %s the leader's host: longest gap %.1f s" % (direction, user.gap_s(begin)))
        self.heal_and_finish("one-way cuts", begin)

    def test_a_bridge_F7_P10(self):
        self.start_user("a")
        self.start_user("b")
        begin = time.monotonic()
        self.cluster.net.block("a", "b")
        self.hold()
        self.heal_and_finish("a and b do not see each other", begin)

    def test_flapping_F7_P10(self):
        user = self.start_user("a")
        self.start_user("b")
        begin = time.monotonic()
        for _ in range(cycles(10, 50)):
            host = self.leaders_host()
            self.cluster.net.block(host, self.others(host)[0])
            self.hold(FLAP_S)
            self.cluster.net.heal()
            self.hold(FLAP_S)
        self.progress(user)
        self.heal_and_finish("flapping every 200 ms", begin)

    def test_every_connection_is_reset_F9_P2_P3(self):
        self.start_user("a")
        self.start_user("c")
        begin = time.monotonic()
        for _ in range(cycles(3, 20)):
            for host in NAMES:
                self.cluster.net.reset(host)
            self.hold(1)
            self.cluster.net.heal()
            for user in self.users:
                self.progress(user)
        self.heal_and_finish("resets", begin)

    def test_half_open_peers_F9(self):
        """One host vanishes without a word while its processes end; nobody was told that the connections are over."""
        user = self.start_user("a")
        begin = time.monotonic()
        for other in ("a", "b"):
            self.cluster.net.block("c", other)
        self.cluster.kill_all("c")
        self.progress(user)
        self.cluster.net.heal()
        self.cluster.run("up")
        self.heal_and_finish("a host vanished", begin)


if __name__ == "__main__":
    volary.main()
