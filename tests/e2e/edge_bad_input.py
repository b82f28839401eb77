#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The edge of the running server: slow clients, too many of them, no TLS where TLS begins (S17, S23, S24, I1, I7, I14).

Loopback is no trusted network here, so that clients are strangers, as on the Internet.
"""
import pathlib
import re
import resource
import socket
import ssl
import struct
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent / "lib"))
import volary
from wire import Imap, Smtp, Wire, any_certificate

NOBODY_IS_TRUSTED = {"VOLARY_AUTH__PLAINTEXT_NETWORKS": "192.0.2.1/32"}
IDLE_CLIENTS = 2000
IDLE_BYTES_MAX = 32 * 1024  # of the server's memory for one that has said half a command


def rss_kib(server):
    return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path("/proc/%d/status" % server.process.pid).read_text())[1])


class EdgeCase(volary.Case):
    server_env = NOBODY_IS_TRUSTED

    def assert_code(self, reply, *codes):
        self.assertTrue(reply.startswith(codes), "%r, expected %s" % (reply, " or ".join(codes)))

    def connect(self, port):
        raw = socket.create_connection(("127.0.0.1", self.server.port(port)), 30)
        self.addCleanup(raw.close)
        return raw


class Limits(EdgeCase):
    server_env = {**NOBODY_IS_TRUSTED, "VOLARY_LIMITS__CONNECTIONS_PER_IP": "5"}

    def test_the_sixth_connection_of_an_address_is_refused_in_words_and_the_five_go_on_S23(self):
        five = [Smtp(self.server.port("smtp"), hello=None) for _ in range(5)]
        refused = Smtp(self.server.port("smtp"), hello=None)
        self.assert_code(refused.greeting, "421 4.7.0")
        self.assertTrue(refused.is_over())
        imap = Imap(self.server.port("imap"))
        self.assertTrue(imap.greeting.startswith("* BYE [LIMIT]"), imap.greeting)
        self.assertTrue(imap.is_over())
        self.assert_code(five[4].command("EHLO c.test"), "250")
        five[0].command("QUIT")
        self.assertTrue(five[0].is_over())
        volary.wait_for("room for another one", lambda: Smtp(self.server.port("smtp"), hello=None).greeting.startswith("220"))
        for smtp in five:
            smtp.close()

    def test_the_eleventh_junk_command_of_a_stranger_waits_and_the_twenty_first_is_the_last_S24(self):
        smtp = volary.wait_for("a place", lambda: self.one_of_five())
        for _ in range(10):
            self.assert_code(smtp.command("NOOP"), "250")
        began = time.monotonic()
        for _ in range(10):
            self.assert_code(smtp.command("NOOP"), "250")
        self.assertGreater(time.monotonic() - began, 8, "ten answers, each held back for a second (a lower bound: slow machines pass)")
        smtp.command("NOOP")
        self.assert_code(smtp.reply(), "421 4.7.0")
        self.assertTrue(smtp.is_over())

    def one_of_five(self):
        smtp = Smtp(self.server.port("smtp"))
        return smtp if smtp.greeting.startswith("220") else None


class SlowClients(EdgeCase):
    server_env = {**NOBODY_IS_TRUSTED, "VOLARY_LIMITS__CONNECTIONS_PER_IP": "100000"}

    def test_thousands_that_wait_cost_little_and_hold_up_nobody_S23(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        count = min(IDLE_CLIENTS, hard - 200)
        self.connect("smtp").recv(100)  # what is made once is there
        before = rss_kib(self.server)
        halves = {"smtp": b"EHLO slow", "imap": b'a LOGIN "slow', "submission": b"EHLO s", "imaps": b"\x16\x03\x01\x02\x00\x01"}
        for i in range(count):
            port = list(halves)[i % len(halves)]
            raw = self.connect(port)
            if port != "imaps":
                raw.recv(100)
            raw.sendall(halves[port])
        self.assertLess((rss_kib(self.server) - before) * 1024, count * IDLE_BYTES_MAX)
        with Smtp(self.server.port("smtp")) as smtp:
            self.assert_code(smtp.deliver(self.server.account, b"Subject: unhindered\r\n\r\nx"), "250")
        with Imap(self.server.port("imaps"), self.server.account, self.server.password, tls=True) as imap:
            self.assertTrue(imap.command("SELECT INBOX").ok)

    def test_a_client_that_reads_nothing_stops_its_own_answers_only_I14(self):
        with Smtp(self.server.port("smtp")) as smtp:
            self.assert_code(smtp.deliver(self.server.account, b"Subject: large\r\n\r\n" + (b"y" * 998 + b"\r\n") * 16384), "250")
        deaf = Imap(self.server.port("imaps"), self.server.account, self.server.password, tls=True)
        self.addCleanup(deaf.close)
        deaf.command("SELECT INBOX")
        before = rss_kib(self.server)
        for i in range(30):
            deaf.send("d%d FETCH 1:* BODY.PEEK[]\r\n" % i)
        for _ in range(20):
            with Imap(self.server.port("imaps"), self.server.account, self.server.password, tls=True) as other:
                self.assertTrue(other.command("SELECT INBOX").ok)
        self.assertLess(rss_kib(self.server) - before, 48 * 1024, "480 MiB were asked for")

    def test_strangers_sign_in_by_tls_only_I7(self):
        with Imap(self.server.port("imap")) as imap:
            self.assertIn("LOGINDISABLED", imap.greeting)
            answer = imap.command('LOGIN "%s" "%s"' % (self.server.account, self.server.password))
            self.assertTrue(answer.tagged.startswith("NO [PRIVACYREQUIRED]"), answer.tagged)
            self.assertTrue(imap.command("STARTTLS").ok)
            imap.start_tls()
            self.assertTrue(imap.command('LOGIN "%s" "%s"' % (self.server.account, self.server.password)).ok)

    def test_literal_sizes_that_cannot_be_end_a_strangers_session_I1(self):
        for size in ("4294967295", "99999999999999999999", "-1", "", "8193+"):
            with self.subTest(size), Imap(self.server.port("imaps"), tls=True) as imap:
                imap.send("a LOGIN {%s}\r\n" % size)
                self.assertTrue(imap.line().startswith("a BAD"))
                self.assertTrue(imap.line().startswith("* BYE"))
                self.assertTrue(imap.is_over())


def client_hello(names):
    """A TLS 1.2 ClientHello with these server names, whatever they are."""
    entries = b"".join(b"\0" + struct.pack(">H", len(n)) + n for n in names)
    server_name = struct.pack(">H", len(entries)) + entries
    extensions = struct.pack(">HH", 0, len(server_name)) + server_name + b"\0\x0a\0\x04\0\x02\0\x17" + b"\0\x0d\0\x04\0\x02\x04\x03"
    body = b"\3\3" + b"r" * 32 + b"\0" + b"\0\x02\xc0\x2b" + b"\1\0" + struct.pack(">H", len(extensions)) + extensions
    handshake = b"\1" + struct.pack(">I", len(body))[1:] + body
    records = [handshake[i:i + 16384] for i in range(0, len(handshake), 16384)]
    return b"".join(b"\x16\3\1" + struct.pack(">H", len(record)) + record for record in records)


class Garbage(EdgeCase):
    HELLOS = {
        "http": b"GET / HTTP/1.1\r\n\r\n", "record-length": b"\x16\3\1\xff\xff" + b"\0" * 100, "zeros": b"\0" * 20000,
        "alert-first": b"\x15\3\1\0\2\2\x28", "application-data-first": b"\x17\3\3\0\x20" + b"x" * 32,
        "hello-cut": client_hello([b"localhost"])[:60], "hello-of-16-mib": b"\x16\3\1\x40\0\1\xff\xff\xff" + b"\0" * 16380,
        "name-60-kib": client_hello([b"n" * 60000]), "name-nul": client_hello([b"local\0host"]), "name-slashes": client_hello([b"../../etc/x"]),
        "name-backslash": client_hello([b"localhost\\"]), "name-empty": client_hello([b""]), "names-many": client_hello([b"a"] * 10000),
    }

    def end_of(self, raw, data):
        """What comes back until the end."""
        answer = b""
        try:
            raw.sendall(data)
            raw.shutdown(socket.SHUT_WR)
            while chunk := raw.recv(65536):
                answer += chunk
        except ConnectionError:
            pass
        return answer

    def test_no_tls_where_tls_begins_ends_in_an_alert_S17(self):
        for name, data in self.HELLOS.items():
            for port in ("imaps", "submissions"):
                with self.subTest(name, port=port):
                    answer = self.end_of(self.connect(port), data)
                    self.assertNotIn(b"* OK", answer)
                    self.assertNotIn(b"220 ", answer)
                    self.assertTrue(answer[:1] in (b"", b"\x15", b"\x16"), answer[:20])
        with Imap(self.server.port("imaps"), self.server.account, self.server.password, tls=True) as imap:
            self.assertTrue(imap.command("NOOP").ok)

    def test_no_tls_behind_starttls_ends_it_too_S17(self):
        for name, data in self.HELLOS.items():
            with self.subTest(name):
                smtp = Smtp(self.server.port("smtp"))
                self.assert_code(smtp.command("STARTTLS"), "220")
                answer = self.end_of(smtp.socket, data)
                self.assertNotRegex(answer, rb"^\d\d\d ")
                smtp.close()

    def test_old_tls_versions_are_refused_S18(self):
        context = any_certificate()
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
        context.set_ciphers("ALL:@SECLEVEL=0")
        with self.assertRaises((ssl.SSLError, ConnectionError)):
            context.wrap_socket(self.connect("imaps"))

    def test_bytes_that_are_none_inside_tls_end_the_session(self):
        wire = Wire(self.server.port("imaps"), tls=True)
        self.addCleanup(wire.close)
        self.assertTrue(wire.line().startswith("* OK"))
        plain = socket.socket(fileno=wire.socket.detach())
        plain.settimeout(30)  # the descriptor does not wait by itself: the wire's socket had a limit
        plain.sendall(b"a NOOP\r\n" * 10)
        rest = b""
        try:
            while chunk := plain.recv(4096):
                rest += chunk
        except ConnectionError:
            pass
        plain.close()
        self.assertNotIn(b"a OK", rest)


if __name__ == "__main__":
    volary.main()
