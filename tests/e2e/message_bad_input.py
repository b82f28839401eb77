#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Hostile messages against the running server, by SMTP and by APPEND: rows M1-M12.

What is accepted comes back byte for byte (P4) beside a structure of bounded size; what is over a limit is refused by
both ways in and is not stored (P3).
"""
import base64
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent / "lib"))
import volary
from wire import Imap, Smtp

STRUCTURE_BYTES_MAX = 512 * 1024
ITEMS = "(UID FLAGS RFC822.SIZE INTERNALDATE ENVELOPE BODY BODYSTRUCTURE)"


def multiparts(depth):
    """`depth` multiparts, each inside the one before."""
    return b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (i, i) for i in range(depth)) + b"\r\nend\r\n"


def siblings(part, count):
    return b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + part * count + b"--b--\r\n"


def with_type(rest):
    return b"Content-Type: " + rest + b"\r\n\r\n--b\r\n\r\nx\r\n--b--\r\n"


ACCEPTED = {
    "M1-multiparts": multiparts(10000),
    "M1-messages": b"Content-Type: message/rfc822\r\n\r\n" * 10000,
    "M2-siblings": siblings(b"--b\r\n\r\nx\r\n", 100000),
    "M2-empty-siblings": siblings(b"--b\r\n", 100000),
    "M3-boundary-too-long": with_type(b"multipart/mixed; boundary=" + b"b" * 71),
    "M3-boundary-200-kib": with_type(b"multipart/mixed; boundary=" + b"b" * 200 * 1024),
    "M3-boundary-empty": with_type(b'multipart/mixed; boundary=""'),
    "M3-boundary-of-parent": siblings(b"--b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nx\r\n", 3),
    "M3-boundary-prefix": siblings(b"--b\r\nContent-Type: multipart/mixed; boundary=bb\r\n\r\n--bb\r\n\r\nx\r\n--bb--\r\n", 3),
    "M3-nearly-boundaries": siblings(b"--" + b"b" * 64 + b"\r\n", 20000),
    "M4-contains-itself": siblings(b"--b\r\nContent-Type: message/rfc822\r\n\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n", 40),
    "M5-continuations": with_type(b"text/plain" + b"".join(b"; name*%d*=%%61" % i for i in range(12000))),
    "M5-duplicates": with_type(b"text/plain" + b"; name=a; name*0=b; name*0=c; name*2=d" * 500),
    "M7-fields": b" leading\r\nno colon\r\nSubject : spaced\r\n: empty\r\nS\xfcbject: eight\r\n\r\nx\r\n",
    "M8-comment": b"From: a@b (x\\\r\nTo: " + b"(" * 10000 + b"\r\nDate: " + b"(" * 10000 + b"\r\n\r\nx\r\n",
    "M9-word": b"Subject: =?utf-8?Q?" + b"=61" * 60000 + b"?=\r\n\r\nx\r\n",
    "M9-charset": b"Subject: =?x-nobody?B?" + base64.b64encode(b"\xff" * 3000) + b"?=\r\n\r\nx\r\n",
    "M9-injection": b"Subject: =?utf-8?Q?=0D=0ABcc:_evil@dev.test?=\r\nFrom: =?utf-8?Q?=0D=0Aa1_OK?= <a@b>\r\n\r\nx\r\n",
    "M10-senders": b"From: g:;\r\nFrom:\r\nFrom: a@b\r\nSender: <>\r\nReply-To: ,,;:<\r\n\r\nx\r\n",
    "M11-utf8": b"Subject: cut \xe2\x82\r\nFrom: \xf0\x9f <\xc3@b>\r\nContent-Type: text/plain; charset=utf-8; name=\xe2\r\n\r\n\xf0\x9f\x98\r\n\xc3",
    "M12-base64": b"Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\n" + b"a\r\n" * 300000 + b"a",
    "M12-quoted": b"Content-Type: text/plain\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n" + b"= " * 500000,
}
REFUSED = {
    "M6-1001-fields": b"A: b\r\n" * 1001 + b"\r\nx\r\n",
    "M6-million-fields": b"A: b\r\n" * 1000000 + b"\r\nx\r\n",
    "M6-field-257-kib": b"Subject: " + b"x" * 257 * 1024 + b"\r\n\r\nx\r\n",
    "M6-field-49-mib": b"Subject: " + b"x" * 49 * 1024 * 1024 + b"\r\n\r\nx\r\n",
    "M6-addresses": b"To: " + b", ".join(b"u%d@b.test" % i for i in range(100000)) + b"\r\n\r\nx\r\n",
}


class Messages(volary.Case):
    def marked(self, name, content):
        return b"X-Row: " + name.encode() + b"\r\n" + content

    def imap(self):
        imap = Imap(self.server.port("imap"), self.server.account, self.server.password)
        self.addCleanup(imap.close)
        return imap

    def deliver(self, content):
        with Smtp(self.server.port("smtp")) as smtp:
            smtp.envelope(self.server.account)
            self.assertTrue(smtp.command("DATA").startswith("354"))
            try:
                smtp.send(content.replace(b"\r\n.", b"\r\n..") + b"\r\n.\r\n")
            except OSError:
                pass  # refused before its end
            return smtp.reply()

    def count(self, mailbox):
        answer = self.imap().command("STATUS %s (MESSAGES)" % mailbox)
        return int(answer.text().rsplit("MESSAGES ", 1)[1].rstrip(")"))

    def check_last(self, imap, mailbox, content):
        """The newest message is this one, and everything that can be asked of it is answered."""
        self.assertTrue(imap.command("SELECT %s" % mailbox).ok)
        answer = imap.command("FETCH * %s" % ITEMS)
        self.assertTrue(answer.ok, answer.tagged)
        structure = answer.lines("BODYSTRUCTURE")
        self.assertEqual(len(structure), 1)
        self.assertLess(len(structure[0]), STRUCTURE_BYTES_MAX)
        whole = imap.command("FETCH * (BODY.PEEK[])").lines("BODY[]")[0].split(b"\r\n", 1)[1]
        self.assertTrue(whole.rstrip(b")").rstrip(b"\r\n").endswith(content.rstrip(b"\r\n")), "P4: bytes out are bytes in")
        for item in ("BODY.PEEK[HEADER]", "BODY.PEEK[1]", "BODY.PEEK[1.1.1.MIME]", "BODY.PEEK[50.2.TEXT]", "BINARY.PEEK[1]", "PREVIEW"):
            tagged = imap.command("FETCH * (%s)" % item).tagged
            self.assertTrue(tagged.startswith(("OK", "NO [UNKNOWN-CTE]")), "%s: %s" % (item, tagged))
        for key in ("TEXT needle", "SUBJECT x", "FROM a", "HEADER X-Row M", "BODY end", "SENTSINCE 1-Jan-2020"):
            self.assertTrue(imap.command("SEARCH " + key).ok, key)

    def test_accepted_by_smtp_M1_to_M12(self):
        imap = self.imap()
        for name, content in ACCEPTED.items():
            with self.subTest(name):
                content = self.marked(name, content)
                reply = self.deliver(content)
                self.assertTrue(reply.startswith("250"), "%s: %s" % (name, reply))
                self.check_last(imap, "INBOX", content)

    def test_accepted_by_append_M1_to_M12(self):
        imap = self.imap()
        imap.command("CREATE Rows")
        for name, content in ACCEPTED.items():
            with self.subTest(name):
                answer = imap.append("Rows", content)
                self.assertTrue(answer.ok, "%s: %s" % (name, answer.tagged))
                self.check_last(imap, "Rows", content)
        self.assertEqual(self.count("Rows"), len(ACCEPTED))

    def test_refused_by_smtp_M6(self):
        before = self.count("INBOX")
        for name, content in REFUSED.items():
            with self.subTest(name):
                reply = self.deliver(content)
                self.assertTrue(reply.startswith(("552", "554")), "%s: %s" % (name, reply))
        self.assertEqual(self.count("INBOX"), before, "P3: refused is not stored")

    def test_refused_by_append_M6(self):
        imap = self.imap()
        imap.command("CREATE Refused")
        for name, content in REFUSED.items():
            with self.subTest(name):
                self.assertTrue(imap.append("Refused", content).tagged.startswith("NO [LIMIT]"))
        self.assertEqual(self.count("Refused"), 0, "P3: refused is not stored")

    def test_decoded_controls_do_not_come_out_raw_M9(self):
        imap = self.imap()
        imap.command("CREATE Injected")
        self.assertTrue(imap.append("Injected", ACCEPTED["M9-injection"]).ok)
        imap.command("SELECT Injected")
        lines = imap.command("FETCH 1 (ENVELOPE PREVIEW)").untagged
        self.assertEqual(len(lines), 1, "one response, whatever the fields say")
        self.assertIn(b"=?utf-8?Q?=0D=0ABcc:_evil@dev.test?=", lines[0], "the envelope is not decoded")
        self.assertIn(b"SEARCH 1", imap.command('SEARCH SUBJECT "Bcc: evil"').untagged[0])


if __name__ == "__main__":
    volary.main()
