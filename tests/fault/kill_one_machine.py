#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""kill -9 while mail comes in: what was acknowledged is there once (P1), what was refused is not there (P3)."""
import collections
import pathlib
import re
import sys
import threading
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e/lib"))
import volary
from wire import Imap, Smtp

CLIENTS = 4
KILLS = 3
ACKED_BEFORE_KILL = 60


class Sender(threading.Thread):
    """Delivers numbered messages until the connection breaks; remembers what was acknowledged."""

    def __init__(self, server, name, by_append):
        super().__init__()
        self.server, self.name, self.by_append = server, name, by_append
        self.acked, self.unknown = [], []

    def run(self):
        try:
            self.append_all() if self.by_append else self.deliver_all()
        except (OSError, AssertionError):
            pass

    def content(self, i):
        # Some small, some above the size from which bodies are kept apart.
        return b"Subject: %s-%d\r\n\r\n" % (self.name.encode(), i) + b"z" * (100 if i % 3 else 20000) + b"\r\n"

    def note(self, i, is_acked):
        (self.acked if is_acked else self.unknown).append("%s-%d" % (self.name, i))

    def deliver_all(self):
        with Smtp(self.server.port("smtp")) as smtp:
            for i in range(100000):
                reply = smtp.deliver(self.server.account, self.content(i))
                self.note(i, reply.startswith("250"))
                if not reply:
                    return

    def append_all(self):
        with Imap(self.server.port("imap"), self.server.account, self.server.password) as imap:
            for i in range(100000):
                answer = imap.append("INBOX", self.content(i))
                self.note(i, answer.ok)
                if not answer.tagged:
                    return


def subjects(server):
    with Imap(server.port("imap"), server.account, server.password) as imap:
        select = imap.command("SELECT INBOX").text()
        text = imap.command("FETCH 1:* (UID BODY.PEEK[HEADER.FIELDS (SUBJECT)])").text()
        uids = [int(u) for u in re.findall(r"UID (\d+)", text)]
        return re.search(r"UIDVALIDITY (\d+)", select)[1], uids, collections.Counter(re.findall(r"Subject: (\S+)", text))


class KillNine(unittest.TestCase):
    def setUp(self):
        self.server = volary.Server().start()

    def check(self, senders, last_uid, validity):
        now_validity, uids, found = subjects(self.server)
        acked = [s for sender in senders for s in sender.acked]
        self.assertEqual([s for s in acked if found[s] == 0], [], "LOST")
        self.assertEqual([s for s, n in found.items() if n > 1], [], "DUPLICATE")
        if validity:
            self.assertEqual(now_validity, validity, "UIDVALIDITY-CHANGED")
        self.assertEqual(uids, sorted(set(uids)))
        return len(acked), max(uids, default=last_uid), now_validity

    def test_every_acknowledged_message_is_there_once_after_each_kill_P1_P5(self):
        senders, last_uid, validity, total = [], 0, None, 0
        for kill in range(KILLS):
            now = [Sender(self.server, "k%d-c%d" % (kill, n), by_append=n == 0) for n in range(CLIENTS)]
            for sender in now:
                sender.start()
            volary.wait_for("acknowledged mail", lambda: sum(len(s.acked) for s in now) >= ACKED_BEFORE_KILL, 60)
            self.server.kill()
            for sender in now:
                sender.join()
            senders += now
            self.server.restart()
            total, last_uid, validity = self.check(senders, last_uid, validity)
        print("    %d acknowledged messages in %d kills" % (total, KILLS))
        self.assertGreaterEqual(total, KILLS * ACKED_BEFORE_KILL)
        with Smtp(self.server.port("smtp")) as smtp:
            self.assertTrue(smtp.deliver(self.server.account, b"Subject: after\r\n\r\nx").startswith("250"))
        self.assertEqual(self.server.stop(), 0)

    def test_accounts_flags_and_sign_ins_survive_a_kill_P7_P9(self):
        server = self.server
        server.create_account("ada@dev.test")
        with Imap(server.port("imap"), "ada@dev.test", volary.PASSWORD) as imap:
            imap.append("INBOX", b"Subject: f\r\n\r\nx")
            imap.command("SELECT INBOX")
            self.assertTrue(imap.command("STORE 1 +FLAGS (\\Flagged)").ok)
        server.kill()
        server.restart()
        with Imap(server.port("imap"), "ada@dev.test", volary.PASSWORD) as imap:
            imap.command("SELECT INBOX")
            self.assertIn("\\Flagged", imap.command("FETCH 1 FLAGS").text())
        self.assertEqual(server.ctl("audit", "verify")[0], 0)
        self.assertEqual(server.stop(), 0)


if __name__ == "__main__":
    volary.main()
