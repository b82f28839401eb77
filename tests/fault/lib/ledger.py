# SPDX-License-Identifier: Apache-2.0
"""What the server has acknowledged, and the check of it against the end state (promises.md 2: the checker rules).

A User appends, flags and expunges over IMAP and delivers over SMTP, one command at a time, and writes down what was
acknowledged, what was refused and what got no answer. What got no answer may have been done or not; everything else is
binding. The ledger's findings are the words of the promises: LOST, DUPLICATE, REFUSED-STORED, RESURRECTED, FLAG-LOST,
UID-REUSED, UID-NOT-GROWING, UIDVALIDITY-CHANGED, UIDNEXT-WENT-BACK, MODSEQ-WENT-BACK, CORRUPT.
"""
import collections
import re
import threading
import time

PAUSE_S = 0.05  # before a refused operation is tried again
THINK_S = 0.01  # between operations: some 50 a second for each user


class Ledger:
    """Of one mailbox. Names are in subjects."""

    def __init__(self):
        self.acked = {}  # name -> uid, or None for SMTP
        self.unknown = collections.Counter()  # name -> attempts without an answer
        self.refused = set()  # names whose every attempt was refused
        self.flagged, self.expunged, self.maybe_expunged = set(), set(), set()  # uids
        self.validity, self.uidnext, self.modseq = None, 0, 0

    def check(self, box):
        """[finding]; box is a Box of the end state."""
        found = collections.Counter(m.name for m in box.messages)
        by_uid = {m.uid: m for m in box.messages}
        gone = self.expunged | self.maybe_expunged
        out = []
        for name, uid in self.acked.items():
            if found[name] == 0 and uid not in gone:
                out.append("LOST %s" % name)
            if found[name] > 1 and self.unknown[name] == 0:
                out.append("DUPLICATE %s" % name)
            if uid in by_uid and by_uid[uid].name != name:
                out.append("UID-REUSED %s: %s, then %s" % (uid, name, by_uid[uid].name))
        out += ["REFUSED-STORED %s" % n for n in self.refused if found[n] and n not in self.acked and not self.unknown[n]]
        out += ["RESURRECTED uid %d" % u for u in self.expunged if u in by_uid]
        out += ["FLAG-LOST uid %d" % u for u in self.flagged if u in by_uid and "\\Flagged" not in by_uid[u].flags]
        out += ["CORRUPT %s" % m.name for m in box.messages if not m.is_whole]
        return out + self.check_identity(box)

    def check_identity(self, box):
        out = []
        uids = [m.uid for m in box.messages]
        if uids != sorted(set(uids)):
            out.append("UID-NOT-GROWING")
        if self.validity not in (None, box.validity):
            out.append("UIDVALIDITY-CHANGED %s -> %s" % (self.validity, box.validity))
        if box.uidnext < self.uidnext:
            out.append("UIDNEXT-WENT-BACK %d -> %d" % (self.uidnext, box.uidnext))
        if box.modseq < self.modseq:
            out.append("MODSEQ-WENT-BACK %d -> %d" % (self.modseq, box.modseq))
        self.validity, self.uidnext, self.modseq = box.validity, box.uidnext, box.modseq
        return out


def content(name):
    """Every third is above the size from which bodies are kept apart."""
    size = 20000 if sum(name.encode()) % 3 == 0 else 200
    body = (b"%s " % name.encode() * (size // (len(name) + 1)))[:size - 2]
    lines = b"\r\n".join(body[i:i + 70] for i in range(0, len(body), 70))
    return b"Subject: %s\r\nMessage-ID: <%s@ledger.test>\r\n\r\n%s\r\n" % (name.encode(), name.encode(), lines)


Message = collections.namedtuple("Message", "uid name flags is_whole")


class Box:
    """A mailbox as one IMAP session sees it."""

    def __init__(self, imap, mailbox="INBOX"):
        select = imap.command("SELECT %s" % mailbox)
        if not select.ok:
            raise AssertionError("SELECT: %s" % select.tagged)
        text = select.text()
        self.validity = int(re.search(r"UIDVALIDITY (\d+)", text)[1])
        self.uidnext = int(re.search(r"UIDNEXT (\d+)", text)[1])
        self.modseq = int((re.search(r"HIGHESTMODSEQ (\d+)", text) or (0, 0))[1])
        answer = imap.command("UID FETCH 1:* (FLAGS BODY.PEEK[])")
        if not answer.ok:
            raise AssertionError("FETCH: %s" % answer.tagged)
        self.messages = [self.message(line) for line in answer.untagged if b" FETCH (" in line and b"BODY[] " in line]

    @staticmethod
    def message(line):
        head, _, literal = line.partition(b"}\r\n")
        name = re.search(rb"Subject: (\S+)", literal)
        name = name[1].decode() if name else ""
        size = int(head[head.rindex(b"{") + 1:])
        tail = line[len(head) + 3 + size:]
        flags = re.search(rb"FLAGS \(([^)]*)\)", head + tail)[1].decode()
        return Message(int(re.search(rb"UID (\d+)", head + tail)[1]), name, flags, literal[:size].rstrip().endswith(content(name).rstrip()))


class User(threading.Thread):
    """Works on one mailbox until stopped; `smtp` and `imap` make connections and raise OSError or AssertionError."""

    def __init__(self, prefix, account, smtp, imap, ledger=None):
        super().__init__(daemon=True)
        self.prefix, self.account, self.connect_smtp, self.connect_imap = prefix, account, smtp, imap
        self.ledger = ledger or Ledger()
        self.smtp = self.imap = None
        self.stop = False
        self.times = []  # when something was acknowledged
        self.refusals = []  # (when, what)
        self.error = None

    # ---- one attempt each: True done, False refused, None no answer ----

    def drop(self):
        for wire in (self.smtp, self.imap):
            if wire:
                wire.close()
        self.smtp = self.imap = None

    def attempt(self, what):
        try:
            answer = what()
        except (OSError, AssertionError, ValueError) as error:
            answer, text = None, str(error)
        else:
            text = "refused" if answer is False else ""
        if answer:
            self.times.append(time.monotonic())
        else:
            self.refusals.append((time.monotonic(), text))
        if answer is None:
            self.drop()
        return answer

    def connect(self):
        """Sign-in is an operation of its own: it may be refused for now."""
        def both():
            self.smtp = self.smtp or self.connect_smtp()
            if not self.imap:
                self.imap = self.connect_imap()
                if not self.imap.command("SELECT INBOX").ok:
                    raise OSError("SELECT is refused")
            return True

        while not self.stop and not (self.smtp and self.imap):
            if not self.attempt(both):
                self.drop()
                time.sleep(PAUSE_S)

    def deliver(self, name):
        reply = self.smtp.deliver(self.account, content(name))
        if reply.startswith("250"):
            self.ledger.acked.setdefault(name, None)
            return True
        if not reply or reply.startswith("421"):
            raise OSError(reply or "closed")
        self.smtp.command("RSET")
        return False

    def append(self, name):
        answer = self.imap.append("INBOX", content(name))
        if answer.ok:
            self.ledger.acked[name] = int(re.search(r"APPENDUID \d+ (\d+)", answer.tagged)[1])
            return True
        if not answer.tagged:
            raise OSError("closed")
        if answer.tagged.startswith("NO [UNAVAILABLE]"):
            self.ledger.unknown[name] += 1  # by design.md 8 it says so of an unknown outcome, too
        return False

    def change(self, command, uid):
        answer = self.imap.command(command % uid)
        if not answer.tagged:
            raise OSError("closed")
        return answer.ok

    # ---- the work ----

    def until_stored(self, name, how):
        outcomes = []
        while not self.stop:
            self.connect()
            if self.stop:
                break
            answer = self.attempt(lambda: how(name))
            outcomes.append(answer)
            if answer:
                return
            if answer is None:
                self.ledger.unknown[name] += 1
            time.sleep(PAUSE_S)
        if outcomes and all(a is False for a in outcomes):
            self.ledger.refused.add(name)

    def flag(self, uid):
        if self.attempt(lambda: self.change("UID STORE %d +FLAGS (\\Flagged)", uid)):
            self.ledger.flagged.add(uid)

    def expunge(self, uid):
        self.ledger.maybe_expunged.add(uid)
        if not self.attempt(lambda: self.change("UID STORE %d +FLAGS (\\Deleted)", uid)):
            return
        if self.imap and self.attempt(lambda: self.change("UID EXPUNGE %d", uid)):
            self.ledger.expunged.add(uid)

    def run(self):
        try:
            i = 0
            while not self.stop:
                name = "%s-%d" % (self.prefix, i)
                self.until_stored(name, self.append if i % 2 else self.deliver)
                uid = self.ledger.acked.get(name)
                if self.imap and uid and i % 4 == 1:
                    self.flag(uid)
                elif self.imap and uid and i % 8 == 3:
                    self.expunge(uid)
                i += 1
                time.sleep(THINK_S)
        except Exception as error:  # pylint: disable=broad-except
            self.error = error
        finally:
            self.drop()

    def finish(self):
        self.stop = True
        self.join(90)
        if self.error:
            raise AssertionError("the test's own user failed: %r" % self.error) from self.error
        if self.is_alive():
            raise AssertionError("the user of %s hangs" % self.prefix)

    def gap_s(self, since):
        """The longest time without an acknowledgement after `since` (monotonic), up to now."""
        times = [since] + [t for t in self.times if t > since]
        return max((b - a for a, b in zip(times, times[1:])), default=time.monotonic() - since)
