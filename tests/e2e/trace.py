#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""One trace id from a client's line to the shard's log: what a greeting or an answer shows leads to both logs' lines."""
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent / "lib"))
import volary
from wire import Imap, Smtp

ID = re.compile(r"\b[0-9a-f]{32}\b")


class Trace(volary.Case):
    server_env = {"VOLARY_LOG__LEVEL": "debug"}

    def lines(self, trace, event):
        found = [line for line in self.server.log.read_text(errors="replace").splitlines()
                 if re.search(r"\bevent=%s\b" % re.escape(event), line) and "trace=" + trace in line.split()]
        return found

    def check(self, trace, method):
        """A line of the frontend and one of the shard about the call, and no other connection's id leads there."""
        volary.wait_for("the frontend's line of " + trace, lambda: self.lines(trace, "conn.client.opened"))
        done = volary.wait_for("the shard's line of " + trace,
                               lambda: [line for line in self.lines(trace, "shard.call.done") if "rpc.method=" + method in line.split()])
        self.assertRegex(done[-1], r"\berr\.code=OK\b.*\bcall\.ms=\d+")

    def test_a_delivery(self):
        with Smtp(self.server.port("smtp")) as smtp:
            greeted = ID.search(smtp.greeting)[0]
            reply = smtp.deliver(self.server.account, b"Subject: traced\r\n\r\ntraced\r\n")
        self.assertRegex(reply, "^250 ")
        self.assertEqual(ID.search(reply)[0], greeted)
        self.check(greeted, "MESSAGE_DELIVER")

    def test_a_fetch(self):
        with Smtp(self.server.port("smtp")) as smtp:
            self.assertRegex(smtp.deliver(self.server.account, b"Subject: read\r\n\r\nread\r\n"), "^250 ")
            delivered = ID.search(smtp.greeting)[0]
        with Imap(self.server.port("imap"), self.server.account, self.server.password) as imap:
            greeted = ID.search(imap.greeting)[0]
            self.assertTrue(imap.command("SELECT INBOX").ok)
            answer = imap.command("FETCH 1:* (BODY.PEEK[])")
            self.assertTrue(answer.ok)
            self.assertIn(delivered, answer.text(), "Received: names the delivery's id")
        self.assertNotEqual(greeted, delivered)
        self.check(greeted, "MESSAGE_FETCH")


if __name__ == "__main__":
    volary.main()
