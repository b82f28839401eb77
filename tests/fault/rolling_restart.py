#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A rolling restart under load (F21, P20): all processes of meta and of two groups are stopped and started, one after
another. Nobody notices but by a delay: no mail is refused, no session ends or hears NO, sign-ins work, IDLE tells all."""
import collections
import pathlib
import re
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e/lib"))
import volary
from cluster import ClusterCase
from wire import Imap

WARM = 20  # operations of each user before the first stop
THINK_S = 0.02


class User(threading.Thread):
    """Works until it is told to stop, or until something went wrong: then `error` says what."""

    def __init__(self, case, frontend, account):
        super().__init__(daemon=True)
        self.cluster, self.frontend, self.account = case.cluster, frontend, account
        self.done, self.longest_s, self.error, self.stop = 0, 0.0, None, False

    def run(self):
        try:
            self.work()
        except Exception as error:  # pylint: disable=broad-except
            self.error = "%s of %s: %r" % (type(self).__name__, self.account, error)

    def timed(self, what):
        begin = time.monotonic()
        answer = what()
        self.longest_s = max(self.longest_s, time.monotonic() - begin)
        if not answer.ok:
            raise AssertionError("answer %r" % (answer.tagged or "closed"))
        self.done += 1
        return answer

    def connect(self):
        port, host = self.cluster.end("imap", self.frontend)
        imap = Imap(port, host=host)
        imap.socket.settimeout(60)
        return imap

    def login(self, imap):
        return self.timed(lambda: imap.command('LOGIN "%s" "%s"' % (self.account, volary.PASSWORD)))


class Worker(User):
    """One session with its mailbox selected all the time."""

    def __init__(self, *args):
        super().__init__(*args)
        self.appended = {}  # subject: UID, as acknowledged
        self.flagged = set()

    def work(self):
        with self.connect() as imap:
            self.login(imap)
            self.timed(lambda: imap.command("SELECT INBOX"))
            while not self.stop:
                self.round(imap, "work-%d" % len(self.appended))
                time.sleep(THINK_S)

    def round(self, imap, name):
        content = b"Subject: %s\r\n\r\nappended\r\n" % name.encode()
        uid = int(re.search(r"APPENDUID \d+ (\d+)", self.timed(lambda: imap.append("INBOX", content)).tagged)[1])
        self.appended[name] = uid
        self.timed(lambda: imap.command("NOOP"))
        self.timed(lambda: imap.command("UID STORE %d +FLAGS (\\Flagged)" % uid))
        self.flagged.add(uid)
        text = self.timed(lambda: imap.command("UID FETCH %d (FLAGS BODY.PEEK[])" % uid)).text()
        if "Subject: %s\r\n" % name not in text or "\\Flagged" not in text:
            raise AssertionError("read back: %s" % text)


class Idler(User):
    """One session in IDLE all the time: it is told of every message by its count."""
    exists = 0

    def work(self):
        with self.connect() as imap:
            self.login(imap)
            self.note(self.timed(lambda: imap.command("SELECT INBOX")).untagged)
            imap.send("idle IDLE\r\n")
            imap.socket.settimeout(0.2)
            while not self.stop:
                try:
                    line = imap.response()
                except TimeoutError:
                    continue
                if line is None:
                    raise AssertionError("closed")
                self.note([line])
            imap.socket.settimeout(60)
            imap.send("DONE\r\n")
            answer = self.timed(lambda: imap.answer("idle"))
            self.note(answer.untagged)

    def note(self, lines):
        for line in lines:
            found = re.fullmatch(rb"\* (\d+) EXISTS", line)
            if found:
                self.exists = int(found[1])
                self.done += 1


class Visitor(User):
    """Signs in, again and again."""

    def work(self):
        while not self.stop:
            with self.connect() as imap:
                self.login(imap)
            time.sleep(5 * THINK_S)


class RollingRestart(ClusterCase):
    def users(self):
        """At each account one of each kind, over both frontends."""
        found = []
        for frontend, account in enumerate(self.accounts.values()):
            found += [Worker(self, 1 - frontend, account), Idler(self, frontend, account), Visitor(self, 1 - frontend, account)]
        for user in found:
            user.start()
            self.addCleanup(setattr, user, "stop", True)
        return found

    def senders(self):
        found = [self.sender(i, group, "roll", 100000) for i, group in enumerate(self.accounts)]
        for sender in found:
            sender.start()
            self.addCleanup(setattr, sender, "stop", True)
        return found

    def restart_all(self, users, senders):
        for process in [p for host in self.cluster.plan["hosts"] for p in host["processes"] if p["role"] != "frontend"]:
            self.cluster.run("stop", process["name"])
            self.cluster.run("start", process["name"])
            self.assertEqual([u.error for u in users if u.error], [], "after the restart of " + process["name"])
            self.assertEqual([n for s in senders for n in s.refused], [], "after the restart of " + process["name"])

    def check_mailbox(self, worker, idler, sender):
        with self.cluster.imap(idler.frontend, worker.account) as imap:
            exists = int(imap.command("SELECT INBOX").lines("EXISTS")[0].split()[1])
            text = imap.command("UID FETCH 1:* (FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])").untagged
        rows = {int(re.search(rb"UID (\d+)", r)[1]): r.decode() for r in text if b"UID" in r}
        found = collections.Counter(re.search(r"Subject: (\S+)", r)[1] for r in rows.values())
        wanted = dict.fromkeys(list(worker.appended) + sender.acked, 1)
        self.assertEqual({n: found[n] for n in wanted}, wanted, "LOST or DUPLICATE")
        self.assertEqual([n for n in found if n not in wanted], [], "never sent")
        self.assertEqual([u for n, u in worker.appended.items() if n not in rows[u]], [], "another message at its UID")
        self.assertEqual([u for u in worker.flagged if "\\Flagged" not in rows[u]], [], "flags LOST")
        self.assertEqual(idler.exists, exists, "IDLE did not tell all")

    def test_nobody_notices_a_rolling_restart_P20(self):
        users, senders = self.users(), self.senders()
        volary.wait_for("all at work", lambda: all(u.done >= WARM or u.error for u in users if not isinstance(u, Visitor)) and
                        all(len(s.acked) >= WARM for s in senders), 60)
        self.restart_all(users, senders)
        for thread in senders + [u for u in users if not isinstance(u, Idler)]:
            thread.stop = True
        for thread in senders + [u for u in users if not isinstance(u, Idler)]:
            thread.join(90)
            self.assertFalse(thread.is_alive())
        workers, idlers = ([u for u in users if isinstance(u, kind)] for kind in (Worker, Idler))
        for sender, worker, idler in zip(senders, workers, idlers):
            total = len(sender.acked) + len(worker.appended)
            volary.wait_for("IDLE to tell of %d" % total, lambda i=idler, t=total: i.exists >= t or i.error)
            idler.stop = True
            idler.join(90)
        for thread in senders:
            print("    %d messages, longest gap %.2f s" % (len(thread.acked), thread.longest_gap_s))
        for user in users:
            print("    %s: %d answers, the slowest after %.2f s" % (type(user).__name__, user.done, user.longest_s))
        self.assertEqual([u.error for u in users if u.error], [])
        self.assertEqual([n for s in senders for n in s.refused], [])
        for sender, worker, idler in zip(senders, workers, idlers):
            self.check_mailbox(worker, idler, sender)
        self.assertEqual(self.cluster.ctl("audit", "verify")[0], 0)


if __name__ == "__main__":
    volary.main()
