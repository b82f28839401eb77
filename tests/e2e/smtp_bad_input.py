#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Bad input by SMTP against the running server: rows S1-S10, S13-S16, S20-S24, S27 and PIPE-1..3, PIPE-6."""
import pathlib
import re
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).parent / "lib"))
import volary
from wire import Imap, Smtp

MIB = 1024 * 1024


class SmtpCase(volary.Case):
    def smtp(self, port="smtp", **options):
        connection = Smtp(self.server.port(port), **options)
        self.addCleanup(connection.close)
        return connection

    def inbox(self):
        """Every message of the account: {subject: bytes}"""
        with Imap(self.server.port("imap"), self.server.account, self.server.password) as imap:
            imap.command("SELECT INBOX")
            found = {}
            for line in imap.command("FETCH 1:* (BODY.PEEK[])").lines("BODY[]"):
                body = line.split(b"\r\n", 1)[1].rsplit(b")", 1)[0]
                match = re.search(rb"^Subject: (\S+)", body, re.M)
                found[match[1].decode() if match else ""] = body
            return found

    def assert_code(self, reply, *codes):
        self.assertTrue(reply.startswith(codes), "%r, expected %s" % (reply, " or ".join(codes)))


class Smuggling(SmtpCase):
    """PIPE-6, S1-S3: only CR LF . CR LF ends a message; nothing behind a broken line end is a command."""
    PAIRS = {"S1-lf-dot-lf": b"\n.\n", "S2-crlf-dot-lf": b"\r\n.\n", "S2-lf-dot-crlf": b"\n.\r\n", "S2-cr-dot-cr": b"\r.\r",
             "S2-cr-crlf-dot-crlf": b"\r\r\n.\r\n", "S2-crlf-dot-cr": b"\r\n.\r", "S3-bare-cr": b" a\rb ", "S3-bare-lf": b" a\nb "}

    def smuggle(self, name, ending, by_bytes):
        smtp = self.smtp()
        smtp.envelope(self.server.account)
        self.assert_code(smtp.command("DATA"), "354")
        behind = ("MAIL FROM:<evil@dev.test>\r\nRCPT TO:<%s>\r\nDATA\r\nSubject: smuggled\r\n\r\nx\r\n.\r\n" % self.server.account).encode()
        data = b"Subject: outer-" + name.encode() + b"\r\n\r\nbody" + ending + behind + b"\r\n.\r\n"
        try:
            smtp.send_slowly(data) if by_bytes else smtp.send(data)
        except OSError:
            pass  # it may close before everything is written
        self.assert_code(smtp.reply(), "550 5.5.2")
        self.assertTrue(smtp.is_over(), "the connection must be closed")
        self.assertEqual(smtp.unread, b"", "nothing behind it is answered")

    def test_each_pair_in_one_segment_and_byte_by_byte(self):
        for name, ending in self.PAIRS.items():
            for by_bytes in (False, True):
                with self.subTest(name, by_bytes=by_bytes):
                    self.smuggle(name, ending, by_bytes)
        self.assertEqual(self.inbox(), {}, "P3: refused is not stored")

    def test_bare_cr_in_a_header_is_refused_S3(self):
        smtp = self.smtp()
        self.assert_code(smtp.deliver(self.server.account, b"Subject: a\rBcc: x\r\n\r\nb"), "550")


class Content(SmtpCase):
    def test_dot_stuffing_byte_by_byte_is_as_in_one_segment_S4_P4(self):
        body = b"..\r\n.a\r\n...\r\n\r\n. \r\n"
        stored = {}
        for name, slowly in (("whole", False), ("bytes", True)):
            content = b"Subject: stuffed-" + name.encode() + b"\r\n\r\n" + body
            smtp = self.smtp()
            smtp.envelope(self.server.account)
            smtp.command("DATA")
            stuffed = re.sub(rb"(?m)^\.", b"..", content) + b".\r\n"
            smtp.send_slowly(stuffed) if slowly else smtp.send(stuffed)
            self.assert_code(smtp.reply(), "250")
            stored[name] = content
        inbox = self.inbox()
        for name, content in stored.items():
            self.assertTrue(inbox["stuffed-" + name].endswith(content), inbox["stuffed-" + name])

    def test_nul_bytes_S5(self):
        self.assert_code(self.smtp().command("NO\0OP"), "500 5.5.2")
        self.assert_code(self.smtp().deliver(self.server.account, b"Subject: nul-\0header\r\n\r\nx"), "550")
        self.assert_code(self.smtp().deliver(self.server.account, b"Subject: nul-body\r\n\r\nx\0y"), "550")
        self.assertFalse([s for s in self.inbox() if s.startswith("nul-")])

    def rss_kib(self):
        text = pathlib.Path("/proc/%d/status" % self.server.process.pid).read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", text)[1])

    def test_ten_mib_line_is_taken_in_constant_memory_S6(self):
        before = self.rss_kib()
        content = b"Subject: long-line\r\n\r\n" + b"x" * (10 * MIB)
        self.assert_code(self.smtp().deliver(self.server.account, content), "250")
        self.assertLess(self.rss_kib() - before, 96 * 1024)
        self.assertTrue(self.inbox()["long-line"].rstrip(b"\r\n").endswith(b"x" * 1000))

    def test_a_lie_about_the_size_ends_at_the_limit_S22_P3(self):
        smtp = self.smtp()
        self.assertEqual(int(re.search(r"SIZE (\d+)", smtp.hello)[1]), 50 * MIB)
        smtp.command("MAIL FROM:<a@b.test> SIZE=10")
        smtp.command("RCPT TO:<%s>" % self.server.account)
        smtp.command("DATA")
        before = self.rss_kib()
        try:
            smtp.send(b"Subject: too-big\r\n\r\n")
            for _ in range(100):
                smtp.send((b"x" * 1022 + b"\r\n") * 1024)
            smtp.send(b".\r\n")
        except OSError:
            pass
        self.assert_code(smtp.reply(), "552 5.3.4")
        self.assertLess(self.rss_kib() - before, 32 * 1024)
        self.assertNotIn("too-big", self.inbox())

    def test_drop_before_the_dot_stores_nothing_S32(self):
        smtp = self.smtp()
        smtp.envelope(self.server.account)
        smtp.command("DATA")
        smtp.send(b"Subject: dropped\r\n\r\nhalf")
        smtp.close()
        self.assert_code(self.smtp().deliver(self.server.account, b"Subject: behind\r\n\r\nx"), "250")
        self.assertEqual(set(self.inbox()) & {"dropped", "behind"}, {"behind"})


class Commands(SmtpCase):
    def test_line_without_end_is_refused_and_closed_S6(self):
        smtp = self.smtp()
        try:
            smtp.send(b"NOOP " + b"x" * MIB)
        except OSError:
            pass
        self.assert_code(smtp.reply(), "500 5.5.2")
        smtp2 = self.smtp()
        self.assert_code(smtp2.command("NOOP " + "x" * 600), "500 5.5.2")
        self.assert_code(smtp2.command("NOOP"), "250")

    def test_mail_from_syntax_S7(self):
        for path in ("<a@b.test", "a@b.test>", "<a<b@c.test>", "<\"a@b.test>", "<a@b.test> <c@d.test>", "<a b@c.test>",
                     "<a@b..test>", "<@>", "<a@>", "<a\rb@c.test>", "<a@b.test> NOSUCH=1", "<a@b.test> SIZE=x"):
            with self.subTest(path):
                self.assert_code(self.smtp().command("MAIL FROM:" + path), "501", "555" if "NOSUCH" in path else "501")

    def test_rcpt_syntax_S8_S9_S27(self):
        smtp = self.smtp()
        smtp.command("MAIL FROM:<a@b.test>")
        for path in ('<"">', '<""@dev.test>', "<@>", "<%s@dev.test>" % ("x" * 256), "<dev\\>", "<dev\\@dev.test", "<>", "<dev@>"):
            with self.subTest(path):
                self.assert_code(smtp.command("RCPT TO:" + path), "501", "553")
        for name in ("${run{/bin/id}}", "|cmd", "../dev", "%s%n", "dev%other.test", "*", "@dev"):
            with self.subTest(name):
                self.assert_code(smtp.command('RCPT TO:<"%s"@dev.test>' % name), "550 5.1.1")
        for path in ("<user%other.test@dev.test>", "<@dev.test:x@other.test>", '<"x@other.test"@dev.test>', "<x@other.test>"):
            with self.subTest(path):
                self.assert_code(smtp.command("RCPT TO:" + path), "550", "501", "553", "554")
        self.assert_code(smtp.command("RCPT TO:<%s>" % self.server.account), "250")

    def test_recipient_limit_keeps_the_earlier_ones_S10(self):
        smtp = self.smtp()
        smtp.command("MAIL FROM:<a@b.test>")
        replies = [smtp.command("RCPT TO:<%s>" % self.server.account) for _ in range(101)]
        self.assert_code(replies[99], "250")
        self.assert_code(replies[100], "452 4.5.3")
        smtp.command("DATA")
        smtp.send(b"Subject: kept\r\n\r\nx\r\n.\r\n")
        self.assert_code(smtp.reply(), "250")
        self.assertIn("kept", self.inbox())

    def test_order_of_commands_S13(self):
        smtp = self.smtp()
        self.assert_code(smtp.command("RCPT TO:<%s>" % self.server.account), "503")
        self.assert_code(smtp.command("DATA"), "503")
        self.assert_code(smtp.command("MAIL FROM:<a@b.test>"), "250")
        self.assert_code(smtp.command("DATA"), "503")
        self.assert_code(smtp.command("MAIL FROM:<a@b.test>"), "503")
        self.assert_code(smtp.command("EHLO again.test"), "503")
        self.assert_code(self.smtp(hello=None).command("MAIL FROM:<a@b.test>"), "503")

    def test_bdat_counts_S20(self):
        for count in ("18446744073709551615", "18446744073709551616", "-1", "1x", "", "0x10"):
            with self.subTest(count):
                smtp = self.smtp()
                smtp.envelope(self.server.account)
                self.assert_code(smtp.command("BDAT " + count), "501")
        smtp = self.smtp()
        smtp.envelope(self.server.account)
        smtp.send(b"BDAT 5\r\nhello")
        self.assert_code(smtp.reply(), "250")
        self.assert_code(smtp.command("DATA"), "503")

    def test_size_is_refused_early_S21(self):
        self.assert_code(self.smtp().command("MAIL FROM:<a@b.test> SIZE=999999999999"), "552")

    def test_idle_clients_do_not_hold_up_others_S23(self):
        idle = [self.smtp(hello=None) for _ in range(15)]
        for smtp in idle:
            smtp.send(b"EHLO slow")
        self.assert_code(self.smtp().deliver(self.server.account, b"Subject: unhindered\r\n\r\nx"), "250")

    def test_junk_ends_with_421_S24(self):
        """The tarpit from the eleventh on is for strangers: edge_bad_input.py."""
        for junk in ("BOGUS", "NOOP", "RSET", "VRFY x"):
            with self.subTest(junk):
                smtp = self.smtp()
                answers = [smtp.command(junk) for _ in range(20)]
                self.assertFalse([a for a in answers if a.startswith("421") or not a], answers)
                smtp.command(junk)
                self.assert_code(smtp.reply(), "421 4.7.0")
                self.assertTrue(smtp.is_over())

    def test_authentication_before_tls_from_a_network_that_is_not_trusted_is_no_concern_of_dev_S16(self):
        submission = self.smtp("submission")
        self.assert_code(submission.command("MAIL FROM:<%s>" % self.server.account), "530")
        self.assert_code(submission.login(self.server.account, "wrong"), "535 5.7.8")
        self.assert_code(submission.login(self.server.account, self.server.password), "235")
        self.assert_code(submission.command("STARTTLS"), "503")

    def test_bad_base64_in_auth_S33(self):
        submission = self.smtp("submission")
        for text in ("AUTH PLAIN =", "AUTH PLAIN !!!!", "AUTH PLAIN " + "QUFB" * 2000, "AUTH NOSUCH"):
            with self.subTest(text[:20]):
                self.assert_code(submission.command(text), "50", "535")
        self.assert_code(submission.command("AUTH PLAIN"), "334")
        self.assert_code(submission.command("*"), "501")
        self.assert_code(submission.login(self.server.account, self.server.password), "235")


class StartTls(SmtpCase):
    def inject(self, slowly):
        smtp = self.smtp()
        data = b"STARTTLS\r\nMAIL FROM:<injected@evil.test>\r\n"
        smtp.send_slowly(data) if slowly else smtp.send(data)
        return smtp, smtp.reply()

    def test_plaintext_behind_starttls_is_never_a_command_S15(self):
        """Dropped, or refused and closed: never an answer inside TLS."""
        for slowly in (False, True):
            with self.subTest(slowly=slowly):
                self.check_injection(slowly)

    def check_injection(self, slowly):
        smtp, reply = self.inject(slowly)
        if not reply.startswith("220"):
            self.assert_code(reply, "501", "503", "554")
            self.assertTrue(smtp.is_over())
            return
        smtp.unread = b""
        try:
            smtp.start_tls()
        except OSError:
            return  # what was behind it reached the handshake and broke it: never a command either
        self.assert_code(smtp.command("RCPT TO:<%s>" % self.server.account), "503")
        self.assert_code(smtp.command("EHLO inside.test"), "250")
        self.assert_code(smtp.command("RCPT TO:<%s>" % self.server.account), "503")

    def test_state_is_reset_and_starttls_is_offered_once_S16(self):
        smtp = self.smtp()
        self.assertIn("STARTTLS", smtp.hello)
        self.assert_code(smtp.command("STARTTLS"), "220")
        smtp.start_tls()
        self.assert_code(smtp.command("MAIL FROM:<a@b.test>"), "503")
        self.assertNotIn("STARTTLS", smtp.command("EHLO inside.test"))
        self.assert_code(smtp.command("STARTTLS"), "503")

    def test_garbage_instead_of_a_client_hello_S17(self):
        smtp = self.smtp()
        smtp.command("STARTTLS")
        smtp.send(b"\x16\x03\x01\xff\xff" + b"\0" * 100 + b"GET / HTTP/1.1\r\n\r\n")
        smtp.socket.shutdown(1)
        self.assertTrue(smtp.is_over())


class Pipelining(SmtpCase):
    """PIPE-1..3 with the policy that a public MX has by default; loopback is trusted otherwise."""
    server_env = {"VOLARY_SMTP__PIPELINING_POLICY": "disconnect"}

    def test_a_legal_batch_is_answered_in_order(self):
        smtp = self.smtp()
        self.assertIn("PIPELINING", smtp.hello)
        smtp.send("MAIL FROM:<a@b.test>\r\nRCPT TO:<%s>\r\nRCPT TO:<nobody@dev.test>\r\nDATA\r\n" % self.server.account)
        replies = smtp.replies(4)
        self.assertEqual([r[:3] for r in replies], ["250", "250", "550", "354"])
        smtp.send(b"Subject: batch\r\n\r\nx\r\n.\r\nMAIL FROM:<a@b.test>\r\nQUIT\r\n")
        self.assertEqual([r[:3] for r in smtp.replies(3)], ["250", "250", "221"])
        self.assertIn("batch", self.inbox())

    def early(self, smtp, text, before=1):
        smtp.send(text)
        replies = []
        while True:
            reply = smtp.reply()
            if not reply:
                return replies
            replies.append(reply[:3])

    def test_body_sent_before_354_ends_the_session_and_is_not_run_PIPE3_S14(self):
        smtp = self.smtp()
        smtp.envelope(self.server.account)
        replies = self.early(smtp, b"DATA\r\nMAIL FROM:<x@y.test>\r\nSubject: early\r\n\r\nx\r\n.\r\n")
        self.assertEqual(replies[-1:], ["554"], replies)
        self.assertTrue(smtp.is_over())
        self.assertNotIn("early", self.inbox())

    def test_what_follows_ehlo_or_helo_in_one_segment_ends_at_data(self):
        for hello in ("EHLO c.test", "HELO c.test"):
            with self.subTest(hello):
                smtp = self.smtp(hello=None)
                replies = self.early(smtp, ("%s\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<%s>\r\nDATA\r\n" % (hello, self.server.account)).encode())
                self.assertEqual(replies[-1], "554", replies)
                self.assertNotIn("354", replies)

    def test_talking_before_the_banner_S14(self):
        import socket
        with socket.create_connection(("127.0.0.1", self.server.port("smtp")), 20) as raw:
            raw.sendall(b"EHLO early.test\r\nMAIL FROM:<a@b.test>\r\n")
            data = b""
            try:
                while chunk := raw.recv(4096):
                    data += chunk
                    if data.count(b"\r\n") > 12:
                        break
                    raw.sendall(("RCPT TO:<%s>\r\nDATA\r\n" % self.server.account).encode() if b"250 2" in data else b"")
            except OSError:
                pass
        self.assertNotIn(b"354", data)
        self.assertIn(b"554", data)


class Concurrent(SmtpCase):
    def test_twenty_clients_store_each_message_once(self):
        replies = []

        def work(number):
            with Smtp(self.server.port("smtp")) as smtp:
                for i in range(5):
                    replies.append(smtp.deliver(self.server.account, b"Subject: c-%d-%d\r\n\r\nx" % (number, i)))

        threads = [threading.Thread(target=work, args=(n,)) for n in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len([r for r in replies if r.startswith("250")]), 50, replies)
        self.assertEqual(len([s for s in self.inbox() if s.startswith("c-")]), 50)


if __name__ == "__main__":
    volary.main()
