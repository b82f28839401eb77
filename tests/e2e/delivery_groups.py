#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Messages to recipients in two groups while frontends and leaders are killed with -9 (P2, P3, F1).

One sender repeats what was not answered 250, with the same Message-ID, as a mail server does: in the end every message is in
both mailboxes, once. Another never tries again: what it sent is in both mailboxes or in neither.
"""
import os
import pathlib
import random
import re
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent / "lib"))
import volary
from cluster import RETRY_S, ClusterCase

KILLS = int(os.environ.get("VOLARY_KILLS", "6"))
SENDERS = 4  # of each kind
SETTLE_S = 45  # a held copy is asked about after 15 s; a leader that has just been elected looks anew
PAUSE_S = 0.5


class PairSender(threading.Thread):
    """Sends to both accounts, now the one first, now the other: both groups decide in turn."""

    def __init__(self, cluster, accounts, prefix, repeats):
        super().__init__(daemon=True)
        self.cluster, self.accounts, self.prefix, self.repeats = cluster, accounts, prefix, repeats
        self.sent, self.acked, self.broken, self.refused, self.lost = [], [], 0, 0, []
        self.smtp, self.frontend, self.stop = None, 0, False

    def transaction(self, number, content):
        self.smtp = self.smtp or self.cluster.smtp(self.frontend)
        smtp = self.smtp
        first, second = self.accounts if number % 2 else reversed(self.accounts)
        answers = [smtp.command("MAIL FROM:<peer@elsewhere.test>"), smtp.command("RCPT TO:<%s>" % first),
                   smtp.command("RCPT TO:<%s>" % second), smtp.command("DATA")]
        bad = next((a for a in answers if not a or a[0] not in "23"), None)
        if bad is not None:
            return bad
        smtp.send(content + b"\r\n.\r\n")
        return smtp.reply()

    def attempt(self, number, content):
        try:
            reply = self.transaction(number, content)
        except OSError:
            reply = ""
        if reply.startswith("250"):
            return True
        self.refused += bool(reply)
        self.broken += not reply
        if self.smtp:
            self.smtp.close()
        self.smtp, self.frontend = None, 1 - self.frontend  # the other one may live
        return False

    def run(self):
        number = 0
        while not self.stop:
            number += 1
            name = "%s-%d" % (self.prefix, number)
            size = 400000 if number % 20 == 0 else 100  # too long to be sent again by the frontend itself
            content = b"Subject: %s\r\nMessage-ID: <%s@sender.test>\r\n\r\n" % ((name.encode(),) * 2) + b"x" * 60 + b"\r\n" * (size // 2)
            self.sent.append(name)
            deadline = time.monotonic() + 2 * RETRY_S
            done = self.attempt(number, content)
            while self.repeats and not done and time.monotonic() < deadline:
                time.sleep(0.1)
                done = self.attempt(number, content)
            if done:
                self.acked.append(name)
            elif self.repeats:
                self.lost.append(name)
            time.sleep(0.005)
        if self.smtp:
            self.smtp.close()


class TwoGroups(ClusterCase):
    def held(self):
        """Bytes that wait for a decision, by shard process."""
        rows = {}
        processes = [p for host in self.cluster.plan["hosts"] for p in host["processes"]]
        for process, address in zip(processes, self.cluster.plan["endpoints"]["ops"]):
            if process["name"].startswith("shard-"):
                host, port = address.rsplit(":", 1)
                text = volary.http_get(int(port), "/metrics", host)[1]
                rows[process["name"]] = {k: int(v) for k, v in re.findall(
                    r"^volary_shard_((?:held|copies|deliveries)_\w+) (\d+)$", text, re.M)}
        return rows

    def kill_someone(self, chance):
        frontends = [p["name"] for host in self.cluster.plan["hosts"] for p in host["processes"] if "frontend" in p["name"]]
        victims = [chance.choice(frontends)]
        if chance.random() < 0.5:
            victims.append(self.cluster.leader(chance.choice(sorted(self.accounts))))
        for victim in victims:
            self.cluster.run("kill", victim)
        time.sleep(PAUSE_S * chance.random())
        for victim in victims:
            self.cluster.run("start", victim)
        return victims

    def test_all_have_it_or_none_and_nobody_twice_P2_P3(self):
        chance = random.Random(int(os.environ.get("VOLARY_SEED", "7")))
        accounts = [self.accounts[group] for group in sorted(self.accounts)]
        servers = [PairSender(self.cluster, accounts, "server%d" % i, True) for i in range(SENDERS)]
        others = [PairSender(self.cluster, accounts, "once%d" % i, False) for i in range(SENDERS)]
        for sender in servers + others:
            sender.start()
        volary.wait_for("mail under way", lambda: all(len(s.acked) > 10 for s in servers + others), 60)
        for i in range(KILLS):
            before = {s: len(s.acked) for s in servers + others}
            victims = self.kill_someone(chance)
            volary.wait_for("mail flows again", lambda b=before: all(len(s.acked) > b[s] + 5 for s in b), 60)
            print("    kill %d of %d: %s; %d acknowledged" % (i + 1, KILLS, ", ".join(victims), sum(len(s.acked) for s in servers + others)))
        for sender in servers + others:
            sender.stop = True
        for sender in servers + others:
            sender.join(120)
        self.check_all(servers, others, accounts)

    def check_all(self, servers, others, accounts):
        everyone = servers + others
        volary.wait_for("nothing is held any more", lambda: all(row["held_bytes"] == 0 for row in self.held().values()), SETTLE_S)
        print("    %d acknowledged, %d connections broken, %d refused for now; the groups: %s" % (
            sum(len(s.acked) for s in everyone), sum(s.broken for s in everyone), sum(s.refused for s in everyone),
            {k: sum(row[k] for row in self.held().values()) for k in ("copies_repeated_total", "copies_released_total",
                                                                    "copies_dropped_total", "deliveries_denied_total")}))
        self.assertEqual([n for s in servers for n in s.lost], [], "service did not come back")
        found = [self.subjects(i, account) for i, account in enumerate(accounts)]
        for box in found:
            self.assertEqual([n for n, count in box.items() if count > 1], [], "DUPLICATE")
            self.assertEqual([n for s in everyone for n in s.acked if box[n] == 0], [], "LOST")
        self.assertEqual([n for s in others for n in s.sent if found[0][n] != found[1][n]], [], "HALF")


if __name__ == "__main__":
    volary.main()
