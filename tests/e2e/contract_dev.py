#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The contract of `volary dev` and volaryctl: what people and their scripts rely on."""
import json
import pathlib
import re
import socket
import stat
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent / "lib"))
import volary
from wire import Imap, Smtp


def printed_password(server):
    """What the first start says on stderr."""
    match = re.search(r"password\W+(\S+)", server.log.read_text(), re.I)
    return match and match[1].strip("\"',")


class FirstStart(unittest.TestCase):
    def setUp(self):
        self.server = volary.Server(known_account=False)

    def test_ready_line_is_the_only_one_on_stdout_and_names_every_port(self):
        self.server.start()
        ready = self.server.ready
        self.assertEqual(ready["event"], "ready")
        self.assertEqual(ready["pid"], self.server.process.pid)
        self.assertEqual(pathlib.Path(ready["data"]).resolve(), self.server.data.resolve())
        for name, offset in volary.OFFSETS.items():
            self.assertEqual(ready["ports"].get(name), self.server.base + offset, name)
            socket.create_connection(("127.0.0.1", ready["ports"][name]), 10).close()
        self.assertEqual(self.server.stop(), 0)
        self.assertEqual(len(self.server.stdout), 1, self.server.stdout)

    def test_password_is_generated_told_once_and_works_after_a_restart_and_mail_is_there(self):
        self.server.start()
        password = printed_password(self.server)
        self.assertTrue(password, self.server.tail())
        self.assertGreaterEqual(len(password), 20)
        with Smtp(self.server.port("smtp")) as smtp:
            self.assertTrue(smtp.deliver(volary.ACCOUNT, b"Subject: kept\r\n\r\nfirst").startswith("250"))
        self.assertEqual(self.server.stop(), 0)
        self.server.restart()
        self.assertEqual(self.server.log.read_text().count(password), 1)
        with Imap(self.server.port("imap"), volary.ACCOUNT, password) as imap:
            self.assertIn("* 1 EXISTS", imap.command("SELECT INBOX").text())
            self.assertIn("Subject: kept", imap.command("FETCH 1 BODY[]").text())
        self.assertEqual(self.server.stop(), 0)

    def test_everything_is_on_loopback_only(self):
        self.server.start()
        out = subprocess.run(["ss", "-Hltnp"], capture_output=True, text=True, check=False)
        if out.returncode != 0:
            self.skipTest("no ss")
        mine = [l.split()[3] for l in out.stdout.splitlines() if "pid=%d," % self.server.process.pid in l]
        self.assertTrue(mine)
        self.assertEqual([a for a in mine if not a.startswith(("127.", "[::1]"))], [])
        self.server.stop()


class Rules(volary.Case):
    def test_second_process_on_the_same_data_is_refused_C5(self):
        other = volary.Server()
        other.data = self.server.data
        process = subprocess.run(other.argv(), capture_output=True, text=True, timeout=60, check=False)
        self.assertNotEqual(process.returncode, 0)
        self.assertEqual(process.stdout, "")
        self.assertTrue(process.stderr.strip(), "it must say why")
        with Imap(self.server.port("imap"), self.server.account, self.server.password) as imap:
            self.assertTrue(imap.command("NOOP").ok)

    def test_ports_in_use_are_refused_with_a_reason(self):
        other = volary.Server()
        other.base = self.server.base
        process = subprocess.run(other.argv(), capture_output=True, text=True, timeout=60, check=False)
        self.assertNotEqual(process.returncode, 0)
        self.assertTrue(process.stderr.strip())

    def test_admin_socket_is_for_its_owner_only(self):
        mode = (self.server.data / "admin.sock").stat().st_mode
        self.assertTrue(stat.S_ISSOCK(mode))
        self.assertEqual(mode & 0o007, 0)

    def test_version_and_usage(self):
        for program in ("volary", "volary-meta", "volary-shard", "volary-frontend", "volaryctl"):
            done = subprocess.run([str(volary.BIN / program), "--version"], capture_output=True, text=True, timeout=20, check=False)
            self.assertEqual(done.returncode, 0, program)
            self.assertRegex(done.stdout, r"\d+\.\d+", program)
        done = subprocess.run([str(volary.BIN / "volary"), "dev", "--no-such-option"], capture_output=True, text=True,
                              timeout=20, check=False)
        self.assertEqual((done.returncode, done.stdout), (2, ""))

    def test_unknown_key_is_named_with_file_and_line_C1(self):
        config = volary.folder("conf") / "bad.yaml"
        config.write_text("node:\n  name: x\nno_such_key: 1\n")
        done = subprocess.run([str(volary.BIN / "volary-frontend"), "--config", str(config), "--check-config"],
                              capture_output=True, text=True, timeout=20, check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("no_such_key", done.stderr)
        self.assertRegex(done.stderr, r"bad\.yaml:3|line 3")


class Ctl(volary.Case):
    def test_account_lifecycle(self):
        server = self.server
        made = server.ctl_json("account", "create", "ada@dev.test", "--generate")
        self.assertEqual(made["account"], "ada@dev.test")
        self.assertGreaterEqual(len(made["password"]), 20)
        with Imap(server.port("imap"), "ada@dev.test", made["password"]) as imap:
            self.assertTrue(imap.command("SELECT INBOX").ok)
        names = [row["account"] for row in server.ctl_json("account", "list")]
        self.assertEqual(sorted(names), ["ada@dev.test", volary.ACCOUNT])
        server.ctl("account", "disable", "ada@dev.test")
        with Imap(server.port("imap")) as imap:
            self.assertTrue(imap.command('LOGIN ada@dev.test "%s"' % made["password"]).tagged.startswith("NO"))
        server.ctl("account", "enable", "ada@dev.test")
        with Imap(server.port("imap"), "ada@dev.test", made["password"]):
            pass

    def test_exit_codes(self):
        self.assertEqual(self.server.ctl("account", "show", "nobody@dev.test", check=False)[0], 3)
        self.assertEqual(self.server.ctl("account", "create", volary.ACCOUNT, "--generate", check=False)[0], 4)
        self.assertEqual(self.server.ctl("no-such-noun", check=False)[0], 2)
        code, _, text = volary.ctl([str(volary.BIN / "volaryctl"), "--server", "unix:/nonexistent/admin.sock"],
                                   ["account", "list"], check=False)
        self.assertEqual(code, 6)
        self.assertTrue(text.startswith("error:"), text)

    def test_aliases_deliver_and_do_not_sign_in(self):
        server = self.server
        server.ctl("alias", "create", "sales@dev.test", volary.ACCOUNT)
        with Smtp(server.port("smtp")) as smtp:
            self.assertTrue(smtp.deliver("sales@dev.test", b"Subject: by alias\r\n\r\nx").startswith("250"))
        with Imap(server.port("imap"), server.account, server.password) as imap:
            imap.command("SELECT INBOX")
            self.assertNotEqual(imap.command('SEARCH SUBJECT "by alias"').text().strip(), "* SEARCH")
            # AUTH-1: as an unknown user, to the byte
        refusals = set()
        for name in ("sales@dev.test", "nobody@dev.test", volary.ACCOUNT):
            with Imap(server.port("imap")) as imap:
                refusals.add(imap.command('LOGIN %s "wrong password"' % name).tagged)
        self.assertEqual(len(refusals), 1, refusals)
        self.assertIn("[AUTHENTICATIONFAILED]", refusals.pop())

    def test_deleted_account_is_gone_at_once_and_stays_empty_when_made_again_P8_DEL4_DEL6(self):
        server = self.server
        server.create_account("bob@dev.test")
        with Smtp(server.port("smtp")) as smtp:
            smtp.deliver("bob@dev.test", b"Subject: old\r\n\r\nold mail")
        open_session = Imap(server.port("imap"), "bob@dev.test", volary.PASSWORD)
        validity = re.search(r"UIDVALIDITY (\d+)", open_session.command("SELECT INBOX").text())[1]
        server.ctl("account", "delete", "bob@dev.test", "--yes")
        self.assertTrue(open_session.is_over(), "DEL-6: the open session must end")
        with Imap(server.port("imap")) as imap:
            self.assertIn("NO", imap.command('LOGIN bob@dev.test "%s"' % volary.PASSWORD).tagged)
        with Smtp(server.port("smtp")) as smtp:
            smtp.command("MAIL FROM:<a@b.test>")
            self.assertEqual(smtp.command("RCPT TO:<bob@dev.test>")[:1], "5")
        server.ctl("account", "create", "bob@dev.test", "--password-stdin", "--release-address", stdin=volary.PASSWORD + "\n")
        with Imap(server.port("imap"), "bob@dev.test", volary.PASSWORD) as imap:
            text = imap.command("SELECT INBOX").text()
            self.assertIn("* 0 EXISTS", text)
            self.assertNotIn("UIDVALIDITY %s]" % validity, text)

    def test_app_passwords_sign_in_and_end_when_deleted_APP1_APP7(self):
        server = self.server
        server.create_account("eve@dev.test")
        made = server.ctl_json("apppassword", "create", "eve@dev.test", "--label", "phone", "--protocols", "imap")
        session = Imap(server.port("imap"), "eve@dev.test", made["secret"])
        with Smtp(server.port("submission")) as smtp:
            self.assertTrue(smtp.login("eve@dev.test", made["secret"]).startswith("535 5.7.8"))
        server.ctl("apppassword", "delete", "eve@dev.test", str(made["id"]))
        self.assertTrue(session.is_over())
        with Imap(server.port("imap")) as imap:
            self.assertIn("[AUTHENTICATIONFAILED]", imap.command('LOGIN eve@dev.test "%s"' % made["secret"]).tagged)

    def test_audit_verifies_and_sign_ins_are_listed_P9(self):
        with Imap(self.server.port("imap"), self.server.account, self.server.password):
            pass
        self.assertEqual(self.server.ctl("audit", "verify")[0], 0)
        rows = self.server.ctl_json("login", "list", volary.ACCOUNT)
        self.assertTrue(rows)

    def test_cluster_status_is_json_and_tells_what_each_role_does(self):
        def roles():
            members = json.loads(self.server.ctl("--output", "json", "cluster", "status")[1])["members"]
            return [(m["group_id"], m["role"], m["term"] > 0) for m in members]

        volary.wait_for("all three roles in status", lambda: roles() == [(0, "leader", True), (1, "leader", True), (0, "frontend", False)])


if __name__ == "__main__":
    volary.main()
