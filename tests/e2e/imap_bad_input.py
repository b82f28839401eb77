#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Bad input by IMAP against the running server: rows I1-I7, I12-I15, I21 and some of I8-I11, I16, I17."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent / "lib"))
import volary
from wire import Imap, Smtp


class ImapCase(volary.Case):
    def imap(self, signed_in=True, **options):
        who = (self.server.account, self.server.password) if signed_in else ()
        connection = Imap(self.server.port("imap"), *who, **options)
        self.addCleanup(connection.close)
        return connection

    def assert_answers(self, text, *statuses, signed_in=True):
        """The tagged (or, with a bad tag, untagged) answer, and that a fresh connection still works."""
        imap = self.imap(signed_in)
        answer = imap.command(text)
        self.assertTrue(answer.tagged.startswith(statuses), "%r: %r" % (text[:60], answer.tagged))
        return imap, answer


class BeforeLogin(ImapCase):
    def raw(self, data):
        """Sends bytes as they are; everything that comes back until the end or a pause."""
        imap = self.imap(signed_in=False)
        imap.socket.settimeout(3)
        try:
            imap.send(data)
        except OSError:
            pass
        is_over = imap.is_over()
        return imap.unread, is_over

    def test_literal_sizes_I1(self):
        for size in ("4294967295", "99999999999999999999", "-1", "", "8193", "8193+", "18446744073709551616+"):
            with self.subTest(size):
                data, is_over = self.raw("a LOGIN {%s}\r\n" % size)
                self.assertTrue(data.startswith(b"a BAD"), data)
                self.assertNotIn(b"\r\n+ ", b"\r\n" + data, "it must not ask for the literal")
                self.assertTrue(is_over)

    def test_many_literals_in_one_command_I2(self):
        data, _ = self.raw(b"a LOGIN " + b" ".join(b"{100+}\r\n" + b"x" * 100 for _ in range(2000)) + b"\r\n")
        self.assertTrue(data.startswith(b"a BAD"), data)

    def test_nesting_I3(self):
        data, _ = self.raw(b"a ID " + b"(" * 10000 + b"\r\n")
        self.assertTrue(data.startswith(b"a BAD"), data)

    def test_quotes_I4(self):
        for text in (b'a LOGIN "x\0y" z\r\n', b'a LOGIN "x\\" z\r\n', b'a LOGIN "x z\r\n', b'a LOGIN "x\\q" z\r\n'):
            with self.subTest(text):
                self.assertIn(b"BAD", self.raw(text)[0])

    def test_line_without_end_I5(self):
        data, is_over = self.raw(b"a NOOP " + b"x" * (1024 * 1024))
        self.assertIn(b"BAD [TOOBIG]", data)
        self.assertTrue(is_over)

    def test_tags_I6(self):
        for tag in (b"*", b"+", b"", b"x" * 1024 + b"}", b"a}b{", b"a*"):
            with self.subTest(tag):
                data, _ = self.raw(tag + b" NOOP\r\n")
                self.assertIn(b"* BAD", data)

    def test_commands_behind_starttls_I7(self):
        imap = self.imap(signed_in=False)
        imap.send('a STARTTLS\r\nb LOGIN %s "%s"\r\nc SELECT INBOX\r\n' % (self.server.account, self.server.password))
        first = imap.line() or ""
        if first.startswith("a OK"):
            imap.unread = b""
            try:
                imap.start_tls()
            except OSError:
                return  # what was behind it reached the handshake and broke it: never a command either
            self.assertTrue(imap.command("SELECT INBOX").tagged.startswith(("BAD", "NO")), "never signed in by plaintext")
        else:
            self.assertIn("BAD", first)
            self.assertTrue(imap.is_over())

    def test_starttls_after_login_and_without_preauth_I7(self):
        imap = self.imap()
        self.assertFalse(imap.greeting.startswith("* PREAUTH"))
        self.assertTrue(imap.command("STARTTLS").tagged.startswith("BAD"))

    def test_names_at_login_I8(self):
        refusals = set()
        for name in ("nobody@dev.test", "%", "*", "../dev", "dev@dev.test*master", "x" * 1000, "dev@"):
            refusals.add(self.imap(False).command('LOGIN "%s" "pw"' % name).tagged)
        self.assertEqual(len(refusals), 1, refusals)
        self.assertIn("NO [AUTHENTICATIONFAILED]", refusals.pop())


class SignedIn(ImapCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        with Smtp(cls.server.port("smtp")) as smtp:
            for i in range(3):
                assert smtp.deliver(cls.server.account, b"Subject: m%d\r\n\r\nbody" % i).startswith("250")

    def test_mailbox_names_are_keys_I10(self):
        for name in ("../other", "~other", "user/bob", "nobody@dev.test/INBOX", "/etc/passwd", "&AC8-etc"):
            with self.subTest(name):
                self.assert_answers('SELECT "%s"' % name, "NO", "BAD")

    def test_deep_and_long_names_I11(self):
        self.assert_answers('CREATE "%s"' % "/".join("a" * 1000), "NO", "BAD")
        self.assert_answers('CREATE "%s"' % ("b" * 10000), "NO", "BAD")
        self.assert_answers('CREATE "c%*"', "NO", "BAD")

    def test_list_pattern_is_linear_I12(self):
        imap = self.imap()
        for i in range(30):
            imap.command('CREATE "%s%d"' % ("a" * 100, i))
        answer = imap.command('LIST "" "%sx"' % ("*a%" * 6))
        self.assertTrue(answer.ok, answer.tagged)
        self.assertEqual(answer.lines("LIST"), [])
        self.assert_answers('LIST "" "%s"' % ("*%" * 200), "OK", "NO", "BAD")

    def test_sets_I13(self):
        imap = self.imap()
        imap.command("SELECT INBOX")
        for text in ("1:4294967295", "*:*", "3:1", ",".join(["1"] * 5000)):
            with self.subTest(text[:20]):
                self.assertTrue(imap.command("UID FETCH %s (UID)" % text).tagged.startswith(("OK", "BAD")))
        for text in ("0", "0:*", "1:0", "4294967296", "1,,2", "a", "1:2:3", "-1"):
            with self.subTest(text):
                self.assertTrue(imap.command("FETCH %s (UID)" % text).tagged.startswith("BAD"))
        self.assertEqual(len(imap.command("FETCH 3:1 (UID)").lines("FETCH")), 3)

    def test_client_that_does_not_read_costs_a_bounded_window_I14(self):
        with Smtp(self.server.port("smtp")) as smtp:
            self.assertTrue(smtp.deliver(self.server.account, b"Subject: large\r\n\r\n" + (b"y" * 998 + b"\r\n") * 8192).startswith("250"))
        imap = self.imap()
        imap.command("SELECT INBOX")
        before = self.rss_kib()
        for i in range(20):
            imap.send("u%d FETCH 4 BODY.PEEK[]\r\n" % i)
        with Imap(self.server.port("imap"), self.server.account, self.server.password) as other:
            self.assertTrue(other.command("NOOP").ok)
        self.assertLess(self.rss_kib() - before, 48 * 1024, "160 MiB are asked for and not read")

    def rss_kib(self):
        import re
        return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path("/proc/%d/status" % self.server.process.pid).read_text())[1])

    def test_odd_sections_I15(self):
        imap = self.imap()
        imap.command("SELECT INBOX")
        for section in ("BODY[%s]" % ".".join(["1"] * 200), "BODY[0]", "BODY[1.0]", "BODY[]<4294967295.4294967295>",
                        "BODY[]<0.0>", "BODY[TEXT.1]", "BODY[HEADER.FIELDS ()]", "BODY[99999999999999999999]",
                        "BODY[HEADER.FIELDS (%s)]" % " ".join("x%d" % i for i in range(1000))):
            with self.subTest(section[:40]):
                answer = imap.command("FETCH 1 (%s)" % section)
                self.assertTrue(answer.tagged.startswith(("OK", "BAD")), answer.tagged)
        self.assertTrue(imap.command("NOOP").ok)

    def test_same_section_many_times_I16(self):
        imap = self.imap()
        imap.command("SELECT INBOX")
        self.assertTrue(imap.command("FETCH 1 (%s)" % " ".join(["BODY.PEEK[]"] * 1000)).tagged.startswith(("BAD", "NO")))

    def test_search_limits_I17(self):
        imap = self.imap()
        imap.command("SELECT INBOX")
        self.assertTrue(imap.command("SEARCH " + "NOT " * 5000 + "ALL").tagged.startswith(("BAD", "NO")))
        self.assertTrue(imap.command("SEARCH CHARSET X-BOGUS ALL").tagged.startswith("NO [BADCHARSET"))

    def test_drop_inside_an_append_literal_stores_nothing_I21(self):
        imap = self.imap()
        imap.command("CREATE Half")
        imap.send(b"a APPEND Half {1000+}\r\n" + b"Subject: half\r\n\r\n")
        imap.close()
        self.assertIn("MESSAGES 0", self.imap().command("STATUS Half (MESSAGES)").text())

    def test_idle_then_garbage_I24(self):
        imap = self.imap()
        imap.command("SELECT INBOX")
        imap.send("i IDLE\r\n")
        self.assertTrue(imap.line().startswith("+"))
        imap.send("NOT DONE\r\n")
        self.assertTrue(imap.answer("i").tagged.startswith("BAD"))

    def test_one_byte_segments_are_as_whole_I32(self):
        imap = self.imap()
        imap.send_slowly(b'a SELECT "INBOX"\r\nb FETCH 1 (FLAGS)\r\nc LOGOUT\r\n')
        self.assertTrue(imap.answer("a").ok)
        self.assertTrue(imap.answer("b").ok)
        self.assertTrue(imap.answer("c").ok)
        self.assertTrue(imap.is_over())


if __name__ == "__main__":
    volary.main()
