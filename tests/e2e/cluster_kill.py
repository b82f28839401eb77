#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Three hosts on loopback addresses, two groups of three, two frontends; a group's leader is killed under load (F1).

P1: every acknowledged message is there, once. P6: mail sent at one frontend is read at the other. P11: accounts of the
other group see no error. P12: the killed process comes back by itself and counts again: another member is killed then.
"""
import os
import pathlib
import random
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent / "lib"))
import volary
from cluster import RETRY_S, ClusterCase

MESSAGES = 1000
# Which group loses its leader, and when: VOLARY_SEEDS="4 5 6" plays others.
SEEDS = [int(seed) for seed in os.environ.get("VOLARY_SEEDS", "1 2 3").split()]


class KillLeader(ClusterCase):
    def test_1_mail_sent_at_one_frontend_is_read_at_the_other_at_once_P6(self):
        for account in self.accounts.values():
            with self.cluster.smtp(0) as smtp:
                for i in range(10):
                    self.assertTrue(smtp.deliver(account, b"Subject: seen-%d\r\n\r\nx" % i).startswith("250"))
                    self.assertEqual(self.subjects(1, account)["seen-%d" % i], 1)

    def test_2_idle_at_one_frontend_hears_of_mail_at_the_other(self):
        account = self.accounts[1]
        with self.cluster.imap(0, account) as imap:
            imap.command("SELECT INBOX")
            imap.send("i IDLE\r\n")
            self.assertTrue(imap.line().startswith("+"))
            with self.cluster.smtp(1) as smtp:
                self.assertTrue(smtp.deliver(account, b"Subject: wake\r\n\r\nx").startswith("250"))
            while "EXISTS" not in (line := imap.line() or "CLOSED"):
                self.assertNotIn("CLOSED", line)

    def test_3_kill_of_a_leader_under_load_P1_P11_P12(self):
        for seed in SEEDS:
            with self.subTest(seed=seed):
                self.kill_a_leader(seed, random.Random(seed))

    def kill_a_leader(self, seed, chance):
        cluster = self.cluster
        victim_group, other_group = chance.sample(sorted(self.accounts), 2)
        kill_after = chance.randrange(50, MESSAGES - 200)
        hit = self.sender(0, victim_group, "hit-%d" % seed, MESSAGES)
        other = self.sender(1, other_group, "other-%d" % seed, MESSAGES)
        client = cluster.imap(1, self.accounts[victim_group])  # must outlive the failover: a pause, not a disconnect
        self.addCleanup(client.close)
        client.command("SELECT INBOX")
        hit.start()
        other.start()
        volary.wait_for("mail under way", lambda: len(hit.acked) >= kill_after, 120)
        victim = cluster.leader(victim_group)
        cluster.run("kill", victim)
        hit.join(600)
        other.join(600)
        print("    seed %d: killed %s; %d + %d acknowledged, %d attempts refused, longest gap %.1f s (other group %.2f s)" % (
            seed, victim, len(hit.acked), len(other.acked), len(hit.refused), hit.longest_gap_s, other.longest_gap_s))
        self.assertEqual(len(hit.acked), MESSAGES, "service did not come back within %d s" % RETRY_S)
        self.assertEqual(other.refused, [], "accounts of the other group must see no error")
        self.assertEqual(len(other.acked), MESSAGES)
        self.check(hit)
        self.check(other)
        self.assertTrue(client.command("NOOP").ok, "an open session is paused, not closed")
        self.rejoin(seed, victim_group, victim)

    def test_4_status_names_one_leader_a_group_and_who_is_dead(self):
        cluster = self.cluster
        for group in (0, *self.accounts):
            volary.wait_for("group %d whole in status" % group,
                            lambda g=group: sorted(cluster.roles(g).values()) == ["follower", "follower", "leader"])
        group = min(self.accounts)
        victim = cluster.leader(group)
        self.assertEqual(cluster.roles(group)[victim], "leader")
        cluster.run("kill", victim)
        self.assertEqual(cluster.roles(group)[victim], "unreachable")
        volary.wait_for("another leader in status", lambda: sorted(cluster.roles(group).values()) == ["follower", "leader", "unreachable"])
        self.assertEqual(cluster.roles(group)[cluster.leader(group)], "leader")
        text = cluster.ctl("cluster", "status")[1]
        self.assertRegex(text, r"(?m)^%d +%s +unreachable +\S+ +\S+ +- +- +- " % (group, victim))
        self.assertEqual(len(re.findall(r"(?m)^\S+ +\S+ +leader ", text)), 3, text)
        cluster.run("start", victim)
        volary.wait_for("%s follows in status" % victim, lambda: cluster.roles(group)[victim] == "follower")

    def rejoin(self, seed, group, victim):
        cluster = self.cluster
        cluster.run("start", victim)
        leader = cluster.leader(group)

        def has_caught_up():
            rows = cluster.members(group)
            return victim in rows and rows[victim]["applied_index"] >= rows[leader]["commit_index"]

        volary.wait_for("%s follows and has everything" % victim, has_caught_up)
        # Now a second member goes: only with the one that came back is there a majority.
        second = next(name for name in cluster.members(group) if name != victim)
        cluster.run("kill", second)
        again = self.sender(1, group, "again-%d" % seed, 50)
        again.start()
        again.join(120)
        self.assertEqual(len(again.acked), 50)
        self.check(again)
        cluster.run("start", second)
        volary.wait_for("%s is back" % second, lambda: second in cluster.members(group))


if __name__ == "__main__":
    volary.main()
