#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The ops port, the log, and draining on SIGTERM."""
import pathlib
import re
import signal
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent / "lib"))
import volary
from wire import Imap, Smtp

SAMPLE = re.compile(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(\{(?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\.)*",?)*\})? '
                    r"(-?(?:\d+(?:\.\d+)?(?:e[+-]?\d+)?|Inf|NaN))")


def parse_metrics(text):
    """Prometheus' text form: {name: [values]}, or an AssertionError that names the line."""
    values, types = {}, {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            assert name not in types, "two TYPE lines: " + line
            assert kind in ("counter", "gauge", "histogram", "summary", "untyped"), line
            types[name] = kind
        elif line and not line.startswith("#"):
            match = SAMPLE.fullmatch(line)
            assert match, "no sample: " + line
            values.setdefault(match[1], []).append(float(match[3]))
    for name in values:
        base = re.sub(r"_(bucket|sum|count)$", "", name)
        assert name in types or base in types, "no TYPE for " + name
    return values


class Endpoints(volary.Case):
    def test_livez_and_readyz(self):
        self.assertEqual(self.server.ops("/livez")[0], 200)
        self.assertEqual(self.server.ops("/readyz")[0], 200)
        self.assertEqual(self.server.ops("/nothing")[0], 404)

    def test_metrics_parse_and_count(self):
        before = parse_metrics(self.server.ops("/metrics")[1])
        self.assertTrue(before)
        for name in before:
            self.assertTrue(name.startswith(("volary_", "process_")), name)
        with Smtp(self.server.port("smtp")) as smtp:
            self.assertTrue(smtp.deliver(self.server.account, b"Subject: counted\r\n\r\nx").startswith("250"))
        after = parse_metrics(self.server.ops("/metrics")[1])
        self.assertGreater(sum(map(sum, after.values())), 0)
        grown = [n for n in after if sum(after[n]) > sum(before.get(n, [0])) and n.startswith("volary_")]
        self.assertTrue(grown, "a delivery must be visible in the metrics")

    def test_log_lines_have_their_form_and_no_secret(self):
        with Imap(self.server.port("imap"), self.server.account, self.server.password) as imap:
            imap.append("INBOX", b"Subject: secret-subject\r\n\r\nsecret-body")
        for line in self.server.log.read_text().splitlines():
            self.assertNotIn(volary.PASSWORD, line)
            self.assertNotIn("secret-body", line)
            self.assertNotIn("secret-subject", line)
            if line.startswith(("ts=", "{")):
                self.assertRegex(line, r"event(=|\":\")[a-z0-9_]+\.[a-z0-9_]+\.[a-z0-9_]+")

    def test_control_bytes_are_escaped_in_logs_C9(self):
        with Smtp(self.server.port("smtp"), hello=None) as smtp:
            smtp.command("EHLO a\x1b[31mred\x07")
        self.assertNotIn("\x1b", self.server.log.read_text())


class Drain(unittest.TestCase):
    def test_sigterm_says_goodbye_finishes_the_message_and_ends_with_0_S31_P3(self):
        server = volary.Server().start()
        idler = Imap(server.port("imap"), server.account, server.password)
        idler.command("SELECT INBOX")
        idler.send("i IDLE\r\n")
        self.assertTrue(idler.line().startswith("+"))
        sender = Smtp(server.port("smtp"))
        sender.envelope(server.account)
        sender.command("DATA")
        sender.send(b"Subject: in-flight\r\n\r\n")
        server.process.send_signal(signal.SIGTERM)
        self.assertTrue((idler.line() or "").startswith("* BYE"))
        try:
            sender.send(b"x\r\n.\r\n")
            reply = sender.reply()
        except OSError:
            reply = ""
        self.assertEqual(server.process.wait(volary.STOP_TIMEOUT_S), 0)
        self.assertEqual(server.error_lines(), [])
        server.restart()
        with Imap(server.port("imap"), server.account, server.password) as imap:
            text = imap.command("STATUS INBOX (MESSAGES)").text()
        if reply.startswith("250"):
            self.assertIn("MESSAGES 1", text)
        elif reply:
            self.assertTrue(reply.startswith("421"), reply)
            self.assertIn("MESSAGES 0", text)
        self.assertEqual(server.stop(), 0)


if __name__ == "__main__":
    volary.main()
