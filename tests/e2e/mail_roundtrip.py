#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""P4 from the outside: generated messages go in by APPEND and by LMTP and come back as they were, whole, in halves, in
pieces and decoded, and are found by what Python finds in them; before and after a kill -9."""
import base64
import email
import pathlib
import random
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent / "lib"))
sys.path.insert(0, str(pathlib.Path(__file__).parent))
import mime_differential
import volary
from wire import Imap, Smtp

SEED = 20260301
LONG = [16384, 16385, 262143, 262144, 262145, 786433, 3_000_001]
LITERAL = re.compile(rb"\{(\d+)\}\r\n")


def literals(response):
    """The literals of one FETCH response, in order."""
    found, at = [], 0
    while True:
        match = LITERAL.search(response, at)
        if not match:
            return found
        at = match.end() + int(match[1])
        found.append(response[match.end():at])


class Roundtrip(volary.Case):
    def setUp(self):
        self.rng = random.Random(SEED)

    def imap(self, mailbox):
        connection = Imap(self.server.port("imap"), self.server.account, self.server.password)
        self.addCleanup(connection.close)
        connection.command("CREATE %s" % mailbox)
        self.assertTrue(connection.command("SELECT %s" % mailbox).ok)
        return connection

    def fetch(self, imap, uid, items):
        answer = imap.command("UID FETCH %d (%s)" % (uid, items))
        self.assertTrue(answer.ok, answer.tagged)
        rows = [r for r in answer.untagged if b" FETCH (" in r]
        self.assertEqual(len(rows), 1)
        return rows[0]

    def check_whole(self, imap, uid, message):
        whole, head, text = literals(self.fetch(imap, uid, "BODY.PEEK[] BODY.PEEK[HEADER] BODY.PEEK[TEXT]"))
        self.assertEqual(whole, message)
        self.assertEqual(head + text, message)
        for _ in range(3):
            start, size = self.rng.randrange(len(message) + 5), self.rng.randrange(1, 70000)
            piece = literals(self.fetch(imap, uid, "BODY.PEEK[]<%d.%d>" % (start, size)))
            self.assertEqual(piece, [message[start:start + size]])

    def fill(self, mailbox, messages):
        imap = self.imap(mailbox)
        for message in messages:
            answer = imap.append(mailbox, message)
            self.assertTrue(answer.ok, answer.tagged)
        return self.imap(mailbox)

    def test_generated_messages_come_back_also_after_a_kill(self):
        generator = mime_differential.Generator(self.rng)
        messages = [m for m in (generator.make() for _ in range(150)) if m]
        imap = self.fill("Generated", messages)
        for uid, message in enumerate(messages, 1):
            self.check_whole(imap, uid, message)
        self.server.kill()
        self.server.start()
        imap = self.imap("Generated")
        for uid, message in enumerate(messages, 1):
            self.assertEqual(literals(self.fetch(imap, uid, "BODY.PEEK[]")), [message])

    def test_long_messages_come_back(self):
        messages = [b"Subject: long\r\n\r\n" + self.rng.randbytes(size) for size in LONG]
        imap = self.fill("Long", messages)
        for uid, message in enumerate(messages, 1):
            self.check_whole(imap, uid, message)

    def test_attachments_are_decoded(self):
        data = [self.rng.randbytes(size) for size in (1, 1000, 100000, 1_500_000)]
        imap = self.fill("Binary", [
            b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nsee below\r\n--b\r\n"
            b"Content-Transfer-Encoding: base64\r\n\r\n" + base64.encodebytes(d).replace(b"\n", b"\r\n") + b"--b--\r\n"
            for d in data])
        for uid, d in enumerate(data, 1):
            self.assertIn(b"BINARY.SIZE[2] %d" % len(d), self.fetch(imap, uid, "BINARY.SIZE[2]"))
            self.assertEqual(literals(self.fetch(imap, uid, "BINARY.PEEK[2]")), [d])
            start, size = len(d) // 2, len(d) // 3 + 1
            self.assertEqual(literals(self.fetch(imap, uid, "BINARY.PEEK[2]<%d.%d>" % (start, size))), [d[start:start + size]])

    def test_search_finds_what_python_finds(self):
        words = ["alpha", "Bravo", "charlie Delta", "écho", "foxtrot"]
        messages = []
        for i in range(30):
            text = " ".join(self.rng.choice(words) for _ in range(8))
            message = email.message.EmailMessage(policy=email.policy.SMTP)
            message["From"], message["Subject"] = "Ada <ada%d@far.test>" % i, "%s %d" % (self.rng.choice(words), i)
            message.set_content(text, cte=self.rng.choice(["base64", "quoted-printable", "8bit"]))
            if i % 3 == 0:
                message.add_alternative("<p>%s</p>" % text.replace(" ", "</p><p>"), subtype="html")
            messages.append(message)
        imap = self.fill("Search", [m.as_bytes() for m in messages])
        for word in ("ALPHA", "bravo", "delta", "Écho", "echo", "golf"):
            plain = word.lower().replace("é", "e")
            for key, texts in (("BODY", lambda m: m.get_body(("plain",)).get_content()), ("SUBJECT", lambda m: m["Subject"])):
                want = [i for i, m in enumerate(messages, 1) if plain in texts(m).lower().replace("é", "e")]
                imap.send(b"s UID SEARCH CHARSET UTF-8 %s {%d+}\r\n%s\r\n" % (key.encode(), len(word.encode()), word.encode()))
                line = imap.line()
                self.assertTrue(imap.line().startswith("s OK"), line)
                self.assertEqual([int(n) for n in line.split()[2:]], want, (key, word))

    def test_delivered_copies_have_their_trace_and_the_rest_untouched(self):
        body = b"Subject: traced\r\nX-Mark: %d\r\n\r\nline\r\n.dotted\r\n"
        with Smtp(self.server.port("lmtp"), hello="LHLO client.test") as lmtp:
            for i in range(5):
                lmtp.envelope(self.server.account, sender="peer%d@far.test" % i)
                lmtp.command("DATA")
                self.assertTrue(lmtp.command((body % i).replace(b"\r\n.", b"\r\n..").decode() + ".").startswith("250"))
        imap = self.imap("INBOX")
        uids = [int(n) for n in imap.command("UID SEARCH SUBJECT traced").lines("SEARCH")[0].split()[2:]]
        self.assertEqual(len(uids), 5)
        for i, uid in enumerate(uids):
            whole = literals(self.fetch(imap, uid, "BODY.PEEK[]"))[0]
            self.assertTrue(whole.endswith(body % i), whole)
            head = whole[:-len(body % i)]
            self.assertTrue(head.startswith(b"Return-Path: <peer%d@far.test>\r\nDelivered-To: " % i), head)
            self.assertEqual(head.count(b"Received: "), 1)


if __name__ == "__main__":
    volary.main()
