#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A member that was away while the log of its group was cut catches up by a snapshot (P10, P12, F20).

One group of three on three loopback addresses, a log of at most a few hundred entries. The member is killed once more in the middle
of the transfer, and so is the sender; in the end it carries the group alone with one other, and the scrub finds all tables equal.
"""
import pathlib
import random
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent / "lib"))
import volary
from cluster import Cluster, ClusterCase

LOG_MAX_ENTRIES = 100
RATE = 2 * 1024 * 1024  # bytes a second: a transfer lasts a few seconds
SETTINGS = "raft:\n  log_max_entries: %d\n  snapshot_bytes_per_second: %d\nscrub:\n  period_s: 2\n" % (LOG_MAX_ENTRIES, RATE)


class ShortLogs(Cluster):
    def __init__(self):
        super().__init__(groups=1)
        for host in self.plan["hosts"]:
            for process in host["processes"]:
                if process["role"] == "shard":
                    with open(process["argv"][-1], "a", encoding="ascii") as config:
                        config.write(SETTINGS)


class Snapshots(ClusterCase):
    make_cluster = ShortLogs

    @classmethod
    def one_account_per_group(cls):
        cls.cluster.ctl("account", "create", "ada@dev.test", "--password-stdin", stdin=volary.PASSWORD + "\n")
        return {1: "ada@dev.test"}

    def row(self, name):
        return self.cluster.members(1).get(name)

    def log_of(self, name):
        return (self.cluster.out / "log" / (name + ".log")).read_text(errors="replace")

    def sizes(self, event):
        logs = "".join(self.log_of(name) for name in sorted(self.cluster.members(1)))
        return [int(size) for size in re.findall(r"event=replica.snapshot.%s .*snapshot.bytes=(\d+)" % event, logs)]

    def deliver(self, prefix, count):
        """Four senders, two at each frontend."""
        senders = [self.sender(i % 2, 1, "%s%d" % (prefix, i), count // 4) for i in range(4)]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join(300)
            self.assertEqual(len(sender.acked), count // 4)
        return senders

    def deliver_large(self, count):
        noise = random.Random(5)
        with self.cluster.smtp(0) as smtp:
            for i in range(count):
                body = noise.randbytes(180_000).hex().encode()  # 90 kB when stored
                lines = b"\r\n".join(body[at:at + 70] for at in range(0, len(body), 70))
                content = b"Subject: large-%d\r\n\r\n%s\r\n" % (i, lines)
                volary.wait_for("a large message to be taken", lambda c=content: self.is_taken(smtp, c))

    def is_taken(self, smtp, content):
        if smtp.deliver(self.accounts[1], content).startswith("250"):
            return True
        smtp.command("RSET")
        return False

    def leave_behind(self, prefix, count):
        leader = self.cluster.leader(1)
        victim = next(name for name in sorted(self.cluster.members(1)) if name != leader)
        had = self.row(victim)["applied_index"]
        self.cluster.run("kill", victim)
        senders = self.deliver(prefix, count)
        volary.wait_for("the log to be cut from a member that is away",
                        lambda: self.row(self.cluster.leader(1))["log_first_index"] > had + 1)
        row = self.row(self.cluster.leader(1))
        self.assertLess(row["commit_index"] - row["log_first_index"], 3 * LOG_MAX_ENTRIES)
        return victim, senders

    def has_caught_up(self, name):
        rows = self.cluster.members(1)
        leader = next((row for row in rows.values() if row["leader"] == 1), None)
        return leader and name in rows and rows[name]["applied_index"] >= leader["commit_index"]

    def equal_tables(self, name):
        """The scrub compares all members at the same index."""
        def rounds():
            text = self.ops_text(self.cluster.leader(1))
            self.assertEqual(int(re.search(r"(?m)^volary_shard_scrub_problems_total (\d+)$", text)[1]), 0)
            return int(re.search(r"(?m)^volary_shard_scrub_rounds_total (\d+)$", text)[1])

        before = rounds()
        volary.wait_for("two rounds of comparing %s with the others" % name, lambda: rounds() >= before + 2, 120)

    def ops_text(self, name):
        processes = [p["name"] for host in self.cluster.plan["hosts"] for p in host["processes"]]
        host, port = self.cluster.plan["endpoints"]["ops"][processes.index(name)].rsplit(":", 1)
        return volary.http_get(int(port), "/metrics", host)[1]

    def carries_the_group(self, name, senders):
        """With one of the other two away, nothing is committed or read without it."""
        other = next(n for n in sorted(self.cluster.members(1)) if n not in (name, self.cluster.leader(1)))
        self.cluster.run("kill", other)
        for sender in senders:
            self.check(sender)
        more = self.deliver("more-" + name, 20)
        self.cluster.run("start", other)
        volary.wait_for("%s is back" % other, lambda: self.has_caught_up(other))
        for sender in more:
            self.check(sender)

    def test_1_a_member_that_was_away_gets_a_snapshot_and_counts_again(self):
        victim, senders = self.leave_behind("away", 1000)
        self.cluster.run("start", victim)
        volary.wait_for("%s has everything" % victim, lambda: self.has_caught_up(victim), 60)
        self.assertEqual(self.row(victim)["snapshots_received_total"], 1)
        self.assertIn("event=replica.snapshot.installed", self.log_of(victim))
        self.assertFalse(list((self.cluster.out / "a").rglob("*.replaced")), "the old state is gone")
        self.carries_the_group(victim, senders)

    def test_2_a_transfer_goes_on_after_a_kill_of_the_receiver(self):
        already = len(self.sizes("sent"))
        self.deliver_large(60)
        victim, senders = self.leave_behind("again", 400)
        self.cluster.run("start", victim)
        volary.wait_for("a transfer under way", lambda: (self.row(victim) or {}).get("snapshot_received_bytes_total", 0) > 2_000_000, 60)
        self.cluster.run("kill", victim)
        self.cluster.run("start", victim)
        volary.wait_for("%s has everything" % victim, lambda: self.has_caught_up(victim), 90)
        sent = volary.wait_for("the sender to say so", lambda: self.sizes("sent")[already:])
        made = self.sizes("made")
        print("    made %s, sent %s" % (made, sent))
        self.assertLess(sent[-1], made[-1] * 1.3, "what had come was not sent again")
        self.carries_the_group(victim, senders)

    def test_3_another_sender_takes_over_from_one_that_was_killed(self):
        victim, senders = self.leave_behind("third", 400)
        self.cluster.run("start", victim)
        volary.wait_for("a transfer under way", lambda: (self.row(victim) or {}).get("snapshot_received_bytes_total", 0) > 2_000_000, 60)
        sender = self.cluster.leader(1)
        self.cluster.run("kill", sender)
        self.cluster.run("start", sender)
        volary.wait_for("%s has everything" % victim, lambda: self.has_caught_up(victim), 120)
        self.equal_tables(victim)
        for one in senders:
            self.check(one)


if __name__ == "__main__":
    volary.main()
