#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Guessing does not pay (P18, A1 to A4, AUTH-2), and what is written down of it (P9, LOGIN-1 to LOGIN-4): from networks that are not
trusted, on a running server."""
import json
import pathlib
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent / "lib"))
import volary
from wire import Imap, Smtp

# 127.0.0.1 is no network that is trusted; connections wait for budgets, not for each other.
UNTRUSTED = {"VOLARY_AUTH__PLAINTEXT_NETWORKS": "192.0.2.0/24", "VOLARY_LIMITS__AUTH_DELAY_MS": "0"}
HOME, FOREIGN = "127.0.0.1", "127.1.0.1"  # two /24


class GuessingTest(unittest.TestCase):
    def start(self, **settings):
        self.server = volary.Server(env={**UNTRUSTED, **settings}).start()
        self.addCleanup(self.server.stop)
        return self.server

    def try_imap(self, name, password, source=HOME):
        with Imap(self.server.port("imaps"), tls=True, source=source) as imap:
            return imap.command('LOGIN "%s" "%s"' % (name, password)).tagged

    def test_an_address_is_limited_and_a_known_network_is_heard_A2_A3(self):
        server = self.start()
        self.assertIn("OK", self.try_imap(server.account, server.password))
        answers = [self.try_imap("probe%d@dev.test" % i, "wrong password") for i in range(11)]
        self.assertEqual(["[AUTHENTICATIONFAILED]" in answer for answer in answers], [True] * 10 + [False])
        self.assertIn("NO [LIMIT]", answers[10])
        self.assertIn("NO [LIMIT]", self.try_imap("other@dev.test", "wrong password"))
        self.assertIn("OK", self.try_imap(server.account, server.password))  # this network has signed in as this account
        with Smtp(server.port("submissions"), tls=True) as smtp:
            self.assertRegex(smtp.login("probe0@dev.test", "wrong password"), "^454 4.7.0 ")
        self.assertEqual({row["result"] for row in server.ctl_json("login", "list", "-")}, {"baduser", "limited"})

    def test_a_new_network_waits_while_the_old_one_signs_in_A2(self):
        server = self.start(VOLARY_GUESS__ADDRESS_PER_MIN="0", VOLARY_GUESS__NETWORK_PER_MIN="0", VOLARY_GUESS__ACCOUNT_PER_H="5")
        self.assertIn("OK", self.try_imap(server.account, server.password, FOREIGN))
        for i in range(5):
            self.assertIn("[AUTHENTICATIONFAILED]", self.try_imap(server.account, "wrong %d" % i))
        begun = time.monotonic()
        self.assertIn("NO [LIMIT]", self.try_imap(server.account, server.password))
        self.assertGreaterEqual(time.monotonic() - begun, 1.9)  # told 2 s late
        self.assertIn("OK", self.try_imap(server.account, server.password, FOREIGN))
        rows = {row["network"]: row for row in server.ctl_json("login", "networks", server.account)}
        self.assertEqual((rows["127.0.0.0/24"]["ok_count"], rows["127.1.0.0/24"]["ok_count"]), (0, 2))

    def test_budgets_outlive_a_kill_A4(self):
        server = self.start(VOLARY_GUESS__ADDRESS_PER_MIN="0", VOLARY_GUESS__NETWORK_PER_MIN="0", VOLARY_GUESS__ACCOUNT_PER_H="5")
        for i in range(5):
            self.assertIn("[AUTHENTICATIONFAILED]", self.try_imap("nobody@dev.test", "wrong %d" % i))
        # Identical refusals are folded; their count is on disk within a second (LOGIN-3).
        volary.wait_for("the count", lambda: sum(row["count"] for row in server.ctl_json("login", "list", "-")) == 5)
        server.kill()
        server.start()
        volary.wait_for("the refusals to be read back", lambda: "meta.guess.rebuilt" in server.tail(200).rsplit("meta.leader.ready", 1)[-1])
        self.assertIn("NO [LIMIT]", self.try_imap("nobody@dev.test", "wrong 6"))

    def test_lists_are_filtered_and_exports_are_checked_without_the_server_P9_LOGIN4(self):
        server = self.start()
        self.try_imap(server.account, server.password)
        self.try_imap(server.account, "wrong password", FOREIGN)

        def rows(*filters):
            return [(row["result"], row["remote_ip"]) for row in server.ctl_json("login", "list", server.account, *filters)]

        self.assertEqual(sorted(rows()), [("badpassword", FOREIGN), ("ok", HOME)])
        self.assertEqual(rows("--result", "ok"), [("ok", HOME)])
        self.assertEqual(rows("--ip", "127.1.0.0/16"), [("badpassword", FOREIGN)])
        self.assertEqual(len(rows("--since", "1h")), 2)
        self.assertEqual(rows("--since", "2100-01-01"), [])
        self.assertEqual(server.ctl("login", "list", server.account, "--since", "soon", check=False)[0], 2)
        self.assertEqual(server.ctl("login", "list", server.account, "--result", "odd", check=False)[0], 2)
        export, key = server.home / "audit.jsonl", server.home / "cluster.key"
        export.write_text(server.ctl("audit", "export")[1])
        key.write_text(server.ctl("certificate", "key")[1])
        server.stop()

        def verify(*args):
            code, out, err = server.ctl("--output", "json", "audit", "verify", str(export), *args, check=False)
            return code, json.loads(out), err

        code, found, _ = verify("--key", str(key))
        self.assertEqual((code, found["intact"], found["signature"], found["record_count"]),
                         (0, True, "good", len(export.read_text().splitlines()) - 1))
        lines = export.read_text().splitlines(keepends=True)
        for broken in (lines[:2] + lines[3:], lines[:-2] + lines[-1:], lines[:-1], [lines[0].replace('"actor":"', '"actor":"x')] + lines[1:]):
            export.write_text("".join(broken))
            code, found, err = verify("--key", str(key))
            self.assertEqual((code, found["intact"]), (9, False))
            self.assertRegex(err, "the audit chain is broken; .+")


if __name__ == "__main__":
    volary.main()
