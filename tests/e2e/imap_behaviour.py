#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""IMAP as clients see it, between connections and over a restart: RFC 3501 and the announced extensions."""
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent / "lib"))
import volary
from wire import Imap, Smtp

MIXED = (b"From: Ada <ada@elsewhere.test>\r\nTo: dev@dev.test\r\nSubject: =?utf-8?Q?caf=C3=A9?= report\r\n"
         b"Date: Mon, 2 Mar 2026 10:20:30 +0100\r\nMessage-ID: <m1@elsewhere.test>\r\nMIME-Version: 1.0\r\n"
         b"Content-Type: multipart/mixed; boundary=b1\r\n\r\npreamble\r\n--b1\r\nContent-Type: text/plain; charset=utf-8\r\n"
         b"Content-Transfer-Encoding: quoted-printable\r\n\r\ncr=C3=A8me br=C3=BBl=C3=A9e\r\n--b1\r\n"
         b"Content-Type: application/octet-stream; name=a.bin\r\nContent-Transfer-Encoding: base64\r\n"
         b"Content-Disposition: attachment; filename=a.bin\r\n\r\nAAECAwQ=\r\n--b1--\r\n")
PLAIN = b"From: Bob <bob@elsewhere.test>\r\nSubject: plain %d\r\nMessage-ID: <p%d@elsewhere.test>\r\n\r\nline one\r\nline two\r\n"


class ImapCase(volary.Case):
    def imap(self, mailbox=None):
        connection = Imap(self.server.port("imap"), self.server.account, self.server.password)
        self.addCleanup(connection.close)
        if mailbox:
            self.opened = self.ok(connection.command("SELECT %s" % mailbox))
        return connection

    def ok(self, answer):
        self.assertTrue(answer.ok, answer.tagged)
        return answer

    def fresh(self, name, count=0):
        """A new mailbox with plain messages 1..count."""
        imap = self.imap()
        self.ok(imap.command("CREATE %s" % name))
        for i in range(1, count + 1):
            self.ok(imap.append(name, PLAIN % (i, i)))
        return self.imap(name)

    def uids(self, imap, what="ALL"):
        line = self.ok(imap.command("UID SEARCH " + what)).lines("SEARCH")[0]
        return [int(word) for word in line.split()[2:]]


class Reading(ImapCase):
    def test_select_tells_what_a_client_needs(self):
        imap = self.fresh("Sel", 3)
        text = self.opened.text()
        for wanted in ("* 3 EXISTS", "FLAGS (", "[UIDVALIDITY ", "[UIDNEXT 4]", "[PERMANENTFLAGS (", "[HIGHESTMODSEQ "):
            self.assertIn(wanted, text)
        self.assertIn("[READ-WRITE]", self.opened.tagged)
        self.assertIn("[READ-ONLY]", imap.command("EXAMINE Sel").tagged)
        self.assertTrue(imap.command("STORE 1 +FLAGS (\\Seen)").tagged.startswith("NO"))

    def test_every_fetch_item_of_a_mime_message(self):
        imap = self.imap()
        self.ok(imap.command("CREATE Items"))
        self.ok(imap.append("Items", MIXED, '(\\Flagged $Mine) "02-Mar-2026 11:22:33 +0200" '))
        imap = self.imap("Items")
        text = self.ok(imap.command("FETCH 1 FULL")).text()
        for wanted in ("\\Flagged", "$Mine", '" 2-Mar-2026 11:22:33 +0200"', "RFC822.SIZE %d" % len(MIXED), "ENVELOPE (", "<m1@elsewhere.test>",
                       '"Ada"', "=?utf-8?Q?caf=C3=A9?= report", '"octet-stream"'.upper()):
            self.assertIn(wanted.lower(), text.lower())
        self.assertIn('"attachment"', self.ok(imap.command("FETCH 1 BODYSTRUCTURE")).text().lower())
        for section, wanted in (("BODY.PEEK[]", MIXED), ("BODY.PEEK[1]", b"cr=C3=A8me br=C3=BBl=C3=A9e"), ("BODY.PEEK[2]", b"AAECAwQ="),
                                ("BODY.PEEK[TEXT]", MIXED.split(b"\r\n\r\n", 1)[1]),
                                ("BODY.PEEK[HEADER]", MIXED.split(b"\r\n\r\n", 1)[0] + b"\r\n\r\n"),
                                ("BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)]", b"Message-ID: <m1@elsewhere.test>\r\n\r\n"),
                                ("BODY.PEEK[1.MIME]", b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"),
                                ("BODY.PEEK[]<5.10>", MIXED[5:15])):
            with self.subTest(section):
                line = self.ok(imap.command("FETCH 1 (%s)" % section)).lines("FETCH")[0]
                self.assertIn(b"{%d}\r\n" % len(wanted) + wanted, line)
        self.assertNotIn("\\Seen", imap.command("FETCH 1 FLAGS").text())
        self.ok(imap.command("FETCH 1 BODY[1]"))
        self.assertIn("\\Seen", imap.command("FETCH 1 FLAGS").text())
        ids = self.ok(imap.command("FETCH 1 (EMAILID THREADID PREVIEW)")).text()
        self.assertIn("EMAILID (", ids)
        self.assertIn("crème brûlée", ids)

    def test_search(self):
        imap = self.fresh("Find", 4)
        self.ok(imap.append("Find", MIXED))
        self.ok(imap.command("STORE 2 +FLAGS.SILENT (\\Answered $Work)"))
        for what, wanted in (("ALL", [1, 2, 3, 4, 5]), ("SUBJECT \"plain 3\"", [3]), ("ANSWERED", [2]), ("KEYWORD $Work", [2]), ("NOT ANSWERED 1:3", [1, 3]),
                             ("OR SUBJECT \"plain 1\" SUBJECT \"plain 4\"", [1, 4]), ("FROM ada", [5]), ("BODY \"line two\"", [1, 2, 3, 4]),
                             ("CHARSET UTF-8 BODY {7+}\r\ncr\u00e8me ", None), ("HEADER Message-ID p2@", [2]), ("LARGER 300", [5]), ("UID 4:*", [4, 5]),
                             ("SINCE 1-Jan-2020", [1, 2, 3, 4, 5]), ("SENTON 2-Mar-2026", [5]), ("TEXT caf\u00e9", None)):
            if wanted is None:
                continue
            with self.subTest(what):
                self.assertEqual(self.uids(imap, what), wanted)
        imap.send("x UID SEARCH CHARSET UTF-8 SUBJECT {5+}\r\n")
        imap.send("café".encode() + b"\r\n")
        self.assertIn("SEARCH 5", self.ok(imap.answer("x")).text())
        self.assertRegex(self.ok(imap.command("UID SEARCH RETURN (MIN MAX COUNT) ALL")).text(), r"ESEARCH .*UID MIN 1 MAX 5 COUNT 5")

    def test_append_tells_uid_and_takes_literal_plus_and_synchronising(self):
        imap = self.imap()
        self.ok(imap.command("CREATE App"))
        answer = self.ok(imap.append("App", PLAIN % (1, 1), "(\\Draft) "))
        self.assertRegex(answer.tagged, r"\[APPENDUID \d+ 1\]")
        content = PLAIN % (2, 2)
        imap.send("s APPEND App {%d}\r\n" % len(content))
        self.assertTrue(imap.line().startswith("+"))
        imap.send(content + b"\r\n")
        self.assertRegex(self.ok(imap.answer("s")).tagged, r"APPENDUID \d+ 2\]")
        self.assertTrue(imap.append("Missing", b"x").tagged.startswith("NO [TRYCREATE]"))


class Changing(ImapCase):
    def test_store_copy_move_expunge_with_uidplus(self):
        imap = self.fresh("Work", 5)
        self.ok(imap.command("CREATE Target"))
        self.assertIn("\\Deleted", self.ok(imap.command("STORE 1:2 +FLAGS (\\Deleted)")).text())
        self.assertEqual(self.ok(imap.command("STORE 3 +FLAGS.SILENT (\\Seen)")).lines("FETCH"), [])
        self.assertRegex(self.ok(imap.command("UID COPY 3:4 Target")).tagged, r"\[COPYUID \d+ 3:4 1:2\]")
        self.assertRegex(self.ok(imap.command("UID MOVE 5 Target")).text() , r"COPYUID \d+ 5 3")
        self.assertEqual(self.ok(imap.command("UID EXPUNGE 2")).lines("EXPUNGE"), [b"* 2 EXPUNGE"])
        self.assertEqual(self.ok(imap.command("EXPUNGE")).lines("EXPUNGE"), [b"* 1 EXPUNGE"])
        self.assertEqual(self.uids(imap), [3, 4])
        other = self.imap("Target")
        self.assertEqual(self.uids(other), [1, 2, 3])
        self.assertIn("\\Seen", other.command("FETCH 1 FLAGS").text())
        self.assertIn(PLAIN % (5, 5), other.command("FETCH 3 BODY[]").untagged[0])

    def test_expunged_uids_are_not_given_out_again_P5(self):
        imap = self.fresh("Uids", 2)
        self.ok(imap.command("STORE 1:2 +FLAGS (\\Deleted)"))
        self.ok(imap.command("CLOSE"))
        self.assertRegex(self.ok(imap.append("Uids", PLAIN % (3, 3))).tagged, r"APPENDUID \d+ 3\]")

    def test_condstore(self):
        imap = self.fresh("Cond", 3)
        self.ok(imap.command("ENABLE CONDSTORE"))
        first = int(re.search(r"HIGHESTMODSEQ (\d+)", self.ok(imap.command("STATUS Cond (HIGHESTMODSEQ)")).text())[1])
        self.assertRegex(self.ok(imap.command("STORE 2 +FLAGS (\\Flagged)")).text(), r"FETCH \(.*MODSEQ \(\d+\)")
        changed = self.ok(imap.command("FETCH 1:* (FLAGS) (CHANGEDSINCE %d)" % first))
        self.assertEqual(len(changed.lines("FETCH")), 1)
        self.assertIn(b"* 2 FETCH", changed.untagged[0])
        refused = imap.command("STORE 1:3 (UNCHANGEDSINCE %d) +FLAGS (\\Answered)" % first)
        self.assertIn("[MODIFIED 2]", refused.tagged)
        self.assertEqual(self.uids(imap, "ANSWERED"), [1, 3])

    def test_mailboxes(self):
        imap = self.imap()
        text = self.ok(imap.command('LIST "" "*" RETURN (SPECIAL-USE)')).text()
        self.assertIn("INBOX", text)
        for role in ("\\Sent", "\\Trash", "\\Drafts", "\\Junk"):
            self.assertIn(role, text)
        self.ok(imap.command("CREATE Box/Inner"))
        self.ok(imap.command("SUBSCRIBE Box/Inner"))
        self.assertIn("Box/Inner", self.ok(imap.command('LSUB "" "*"')).text())
        self.ok(imap.append("Box/Inner", PLAIN % (1, 1)))
        self.ok(imap.command("RENAME Box Cabinet"))
        self.assertIn("MESSAGES 1", self.ok(imap.command("STATUS Cabinet/Inner (MESSAGES UIDNEXT UIDVALIDITY UNSEEN)")).text())
        self.assertTrue(imap.command("DELETE INBOX").tagged.startswith("NO"))
        self.ok(imap.command("DELETE Cabinet/Inner"))
        self.assertTrue(imap.command("SELECT Cabinet/Inner").tagged.startswith("NO"))
        self.ok(imap.command("CREATE &AOQ-rger"))
        self.assertIn("&AOQ-rger", self.ok(imap.command('LIST "" "&AOQ-*"')).text())

    def test_quota_is_told(self):
        self.assertIn("QUOTAROOT", self.ok(self.imap().command("GETQUOTAROOT INBOX")).text())

    def test_identity_and_flags_survive_a_restart_P5_P7(self):
        imap = self.fresh("Keep", 3)
        self.ok(imap.command("STORE 2 +FLAGS (\\Flagged $Kept)"))
        self.ok(imap.command("STORE 1 +FLAGS (\\Deleted)"))
        self.ok(imap.command("EXPUNGE"))
        before = re.search(r"UIDVALIDITY \d+", self.opened.text())[0]
        self.assertEqual(self.server.stop(), 0)
        self.server.restart()
        imap = self.imap("Keep")
        self.assertIn(before, self.opened.text())
        self.assertEqual(self.uids(imap), [2, 3])
        self.assertIn("$Kept", imap.command("UID FETCH 2 FLAGS").text())
        self.assertRegex(self.ok(imap.append("Keep", PLAIN % (4, 4))).tagged, r"APPENDUID \d+ 4\]")


class Between(ImapCase):
    def wait_line(self, imap, word):
        while True:
            line = imap.line()
            self.assertIsNotNone(line, "closed while waiting for " + word)
            if word in line:
                return line

    def test_idle_tells_of_mail_flags_and_expunges_of_another_connection(self):
        watcher = self.fresh("Live", 1)
        watcher.send("i IDLE\r\n")
        self.wait_line(watcher, "+")
        other = self.imap("Live")
        self.ok(other.append("Live", PLAIN % (2, 2)))
        self.wait_line(watcher, "* 2 EXISTS")
        self.ok(other.command("STORE 1 +FLAGS (\\Flagged)"))
        self.assertIn("\\Flagged", self.wait_line(watcher, "* 1 FETCH"))
        self.ok(other.command("STORE 2 +FLAGS (\\Deleted)"))
        self.ok(other.command("EXPUNGE"))
        self.wait_line(watcher, "* 2 EXPUNGE")
        watcher.send("DONE\r\n")
        self.ok(watcher.answer("i"))

    def test_delivery_reaches_an_idling_inbox(self):
        watcher = self.imap("INBOX")
        watcher.send("i IDLE\r\n")
        self.wait_line(watcher, "+")
        with Smtp(self.server.port("smtp")) as smtp:
            self.assertTrue(smtp.deliver(self.server.account, b"Subject: now\r\n\r\nx").startswith("250"))
        self.wait_line(watcher, "EXISTS")

    def test_message_numbers_stay_until_a_command_may_tell_IMAP_F2(self):
        reader, other = self.fresh("Views", 3), self.imap("Views")
        self.ok(other.command("STORE 1 +FLAGS (\\Deleted)"))
        self.ok(other.command("EXPUNGE"))
        answer = reader.command("FETCH 3 (BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
        self.assertIn("plain 3", answer.text())
        self.assertEqual(answer.lines("EXPUNGE"), [])
        self.assertEqual(self.ok(reader.command("NOOP")).lines("EXPUNGE"), [b"* 1 EXPUNGE"])

    def test_read_your_writes_from_another_connection_P6(self):
        writer, reader = self.fresh("Mine"), self.imap("Mine")
        for i in range(1, 21):
            self.ok(writer.append("Mine", PLAIN % (i, i)))
            self.assertIn("MESSAGES %d" % i, self.ok(reader.command("STATUS Mine (MESSAGES)")).text())


if __name__ == "__main__":
    volary.main()
