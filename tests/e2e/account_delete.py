#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Deleting an account from the outside (P8, DEL-1 to DEL-7, F22): nothing lets in, nothing is read back, the work ends after
a kill, and the next holder of the address finds nothing."""
import json
import pathlib
import re
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent / "lib"))
import volary
from wire import Imap, Smtp

MARK = "MARKER-7f3a91c2e5-of-the-deleted"
BYE_WITHIN_S = 1.0
MESSAGE = ("From: peer@elsewhere.test\r\nSubject: %s\r\n\r\n%s\r\n" % (MARK, MARK)).encode()


class Delete(volary.Case):
    server_env = {"VOLARY_DELETE__RETENTION_S": "3600", "VOLARY_DELETE__QUARANTINE_S": "3600"}

    def make(self, name, filled=True):
        self.server.create_account(name)
        if filled:
            with Smtp(self.server.port("lmtp"), hello="LHLO client.test") as smtp:
                self.assertTrue(smtp.deliver(name, MESSAGE).startswith("250"))
        return name

    def imap(self, name, password=volary.PASSWORD):
        connection = Imap(self.server.port("imap"), name, password)
        self.addCleanup(connection.close)
        return connection

    def login_is_refused(self, name):
        imap = Imap(self.server.port("imap"))
        self.addCleanup(imap.close)
        answer = imap.command('LOGIN %s "%s"' % (name, volary.PASSWORD))
        return not answer.ok and "AUTHENTICATIONFAILED" in answer.tagged

    def rcpt(self, name):
        with Smtp(self.server.port("smtp")) as smtp:
            smtp.command("MAIL FROM:<peer@elsewhere.test>")
            return smtp.command("RCPT TO:<%s>" % name)

    def account_id(self, name):
        return self.server.ctl_json("account", "show", name)["id"]

    def uidvalidity(self, imap):
        answer = imap.command("SELECT INBOX")
        self.assertTrue(answer.ok, answer.tagged)
        return int(re.search(rb"UIDVALIDITY (\d+)", b"".join(answer.untagged))[1])

    def messages(self, imap):
        answer = imap.command("STATUS INBOX (MESSAGES)")
        return int(re.search(rb"MESSAGES (\d+)", b"".join(answer.untagged))[1])

    def test_deleted_for_good(self):
        name = self.make("gone@dev.test")
        before, number = self.imap(name), self.account_id(name)
        validity = self.uidvalidity(before)
        self.assertEqual(self.messages(before), 1)
        before.command("NOOP")
        with Smtp(self.server.port("smtp")) as late, Smtp(self.server.port("smtp")) as midway:
            for smtp in (late, midway):
                smtp.command("MAIL FROM:<peer@elsewhere.test>")
                self.assertTrue(smtp.command("RCPT TO:<%s>" % name).startswith("250"))
            self.assertTrue(midway.command("DATA").startswith("354"))
            midway.send(MESSAGE[:len(MESSAGE) // 2])
            self.assertEqual(self.server.ctl("account", "delete", name, check=False)[0], 8)  # nobody to ask
            _, text, _ = self.server.ctl("account", "delete", name, "--yes", "--wait", "--reason", "test")
            told = time.monotonic()
            # DEL-6: the open session hears BYE, or is closed behind one.
            heard = list(iter(before.line, None))
            self.assertLess(time.monotonic() - told, BYE_WITHIN_S)
            self.assertTrue(any(line.startswith("* BYE") for line in heard), heard)
            # Trap j: accepted before, finished after.
            self.assertTrue(late.command("DATA").startswith(("354", "4", "5")))
            late.send(MESSAGE + b".\r\n")
            self.assertRegex(late.reply(), r"\A[45]\d\d")
            # The same in the middle of DATA: half of the message came before the delete.
            midway.send(MESSAGE[len(MESSAGE) // 2:] + b".\r\n")
            self.assertRegex(midway.reply(), r"\A[45]\d\d")
        certificate = json.loads(text)
        self.assertEqual((certificate["account_id"], certificate["format"]), (number, "volary-erasure-2"))
        self.assertEqual((certificate["pending"], certificate["left"]), ([], []))
        self.assertEqual(len([line for line in certificate["done"] if "raft log cut" in line]), 2)  # of meta and of the group
        self.assertTrue(self.login_is_refused(name))
        self.assertRegex(self.rcpt(name), r"\A550")
        self.check_certificate(text)
        self.check_job(certificate["intent"], number)
        self.check_new_holder(name, number, validity)

    def check_certificate(self, text):
        good, bad = self.server.home / "good.json", self.server.home / "bad.json"
        good.write_text(text)
        bad.write_text(text.replace('"intent":"', '"intent":"9', 1))
        self.assertEqual(self.server.ctl_json("certificate", "verify", str(good))["valid"], True)
        self.assertEqual(self.server.ctl("certificate", "verify", str(bad), check=False)[0], 9)
        self.check_offline(good, bad)

    def check_offline(self, good, bad):
        """With the public key alone: no server is named, none could be asked."""
        key = self.server.home / "cluster.key.txt"
        key.write_text(self.server.ctl("certificate", "key")[1])
        digits = self.server.ctl_json("certificate", "key")["public_key"]
        nowhere = [str(volary.BIN / "volaryctl"), "--server", "127.0.0.1:1", "certificate", "verify"]
        for given in (str(key), digits):
            self.assertEqual(volary.ctl(nowhere, [str(good), "--key", given])[0], 0)
            self.assertEqual(volary.ctl(nowhere, [str(bad), "--key", given], check=False)[0], 9)
        other = digits.translate(str.maketrans("0123456789abcdef", "123456789abcdef0"))
        self.assertEqual(volary.ctl(nowhere, [str(good), "--key", other], check=False)[0], 9)
        self.assertEqual(volary.ctl(nowhere, [str(good), "--key", str(good.parent)], check=False)[0], 1)

    def check_job(self, job, number):
        listed = [j for j in self.server.ctl_json("job", "list") if j["id"] == job]
        self.assertEqual([(j["kind"], j["state"], j["account_id"]) for j in listed], [("erase-account", "done", number)])
        self.assertEqual(self.server.ctl_json("job", "watch", job)["state"], "done")

    def check_new_holder(self, name, number, validity):
        """DEL-4"""
        self.assertEqual(self.server.ctl("account", "create", name, check=False)[0], 4)
        self.server.ctl("account", "create", name, "--release-address", "--password-stdin", stdin=volary.PASSWORD + "\n")
        self.assertNotEqual(self.account_id(name), number)
        after = self.imap(name)
        self.assertEqual(self.messages(after), 0)
        self.assertNotEqual(self.uidvalidity(after), validity)
        self.assertRegex(self.rcpt(name), r"\A250")

    def test_del2_soft_and_back(self):
        name = self.make("soft@dev.test")
        validity = self.uidvalidity(self.imap(name))
        deleted = self.server.ctl_json("account", "delete", name, "--soft", "--yes")
        self.assertEqual((deleted["state"], deleted["intent"]), ("soft-deleted", ""))
        imap = Imap(self.server.port("imap"))
        self.addCleanup(imap.close)
        self.assertFalse(imap.command('LOGIN %s "%s"' % (name, volary.PASSWORD)).ok)
        self.assertRegex(self.rcpt(name), r"\A[45]\d\d")
        self.assertEqual(self.server.ctl_json("account", "restore", name)["state"], "active")
        back = self.imap(name)
        self.assertEqual((self.uidvalidity(back), self.messages(back)), (validity, 1))

    def test_del7_aliases(self):
        name = self.make("member@dev.test", filled=False)
        self.server.ctl("alias", "create", "list@dev.test", name)
        code, _, problem = self.server.ctl("account", "delete", name, "--yes", check=False)
        self.assertEqual(code, 4)
        self.assertIn("list@dev.test", problem)
        _, _, note = self.server.ctl("account", "delete", name, "--yes", "--cascade")
        self.assertIn("list@dev.test has no target", note)
        self.assertRegex(self.rcpt("list@dev.test"), r"\A550")

    def test_del5_killed_behind_the_intent(self):
        name = self.make("killed@dev.test")
        intent = self.server.ctl_json("account", "delete", name, "--yes")["intent"]
        self.server.kill()
        self.server.restart()
        self.assertEqual(self.server.ctl_json("job", "watch", intent)["state"], "done")
        self.assertTrue(self.login_is_refused(name))
        self.assertRegex(self.rcpt(name), r"\A550")

    def test_del5_killed_anywhere_in_a_delete(self):
        """Either there is no intent and the account is whole, or there is one and it ends; never between."""
        outcomes = []  # intents found in each round
        for round_number in range(6):
            name = self.make("round%d@dev.test" % round_number)
            number = self.account_id(name)
            argv = [str(volary.BIN / "volaryctl"), "--server", "unix:%s" % (self.server.data / "admin.sock"),
                    "--timeout", "1", "account", "delete", name, "--yes"]
            with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as delete:
                time.sleep(0.004 * round_number)  # where the kill falls, from before the call to behind it
                self.server.kill()
                delete.wait()
            self.server.restart()
            intents = [j["id"] for j in self.server.ctl_json("job", "list") if j["account_id"] == number]
            outcomes.append(len(intents))
            if intents:
                self.assertEqual(self.server.ctl_json("job", "watch", intents[0])["state"], "done")
                self.assertTrue(self.login_is_refused(name))
                self.assertRegex(self.rcpt(name), r"\A550")
            else:
                self.assertEqual(self.messages(self.imap(name)), 1)
        self.assertLessEqual(max(outcomes), 1)
        print("intents by round: %s" % outcomes)

    def test_del9_a_domain_with_all_that_it_has(self):
        ctl = self.server.ctl
        ctl("domain", "create", "leaving.test")
        names = ["user%d@leaving.test" % i for i in range(12)]
        for name in names:
            self.make(name, filled=name == names[0])
        ctl("alias", "create", "all@leaving.test", *names)
        ctl("alias", "create", "friends@dev.test", names[0])
        self.assertEqual(ctl("domain", "delete", "leaving.test", check=False)[0], 4)  # it has accounts
        self.assertEqual(ctl("domain", "delete", "leaving.test", "--cascade", check=False)[0], 8)  # nobody to ask
        certificate = json.loads(ctl("domain", "delete", "leaving.test", "--cascade", "--yes", "--wait", "--reason", "moved")[1])
        self.assertEqual((certificate["accounts"], certificate["pending"]), (len(names), []))
        job = self.server.ctl_json("job", "show", certificate["intent"])
        self.assertEqual((job["kind"], job["domain"], job["accounts_done"]), ("erase-domain", "leaving.test", len(names)))
        self.assertEqual(job["empty_aliases"], ["friends@dev.test"])
        children = [j for j in self.server.ctl_json("job", "list") if j["parent"] == certificate["intent"]]
        self.assertEqual([j["state"] for j in children], ["done"] * len(names))
        for name in names + ["all@leaving.test"]:
            self.assertRegex(self.rcpt(name), r"\A550")
        self.assertTrue(self.login_is_refused(names[0]))
        self.assertNotIn("leaving.test", [d["name"] for d in self.server.ctl_json("domain", "list")])
        deletes = [r for r in self.server.ctl_json("audit", "list") if r["action"] == "account.delete" and r["detail"] == "with its domain"]
        self.assertEqual(len(deletes), len(names))

    def test_del9_killed_in_the_middle_of_a_domain(self):
        self.server.ctl("domain", "create", "killed.test")
        names = ["user%d@killed.test" % i for i in range(8)]
        for name in names:
            self.make(name, filled=False)
        intent = self.server.ctl_json("domain", "delete", "killed.test", "--cascade", "--yes")["intent"]
        self.server.kill()
        self.server.restart()
        job = self.server.ctl_json("job", "watch", intent)
        self.assertEqual((job["state"], job["accounts_done"]), ("done", len(names)))
        for name in names:
            self.assertRegex(self.rcpt(name), r"\A550")

    def test_f22_no_file_holds_the_marker(self):
        name = self.make("marked@dev.test")
        self.server.ctl("account", "delete", name, "--yes", "--wait")
        files = [p for p in self.server.data.rglob("*") if p.is_file()]
        self.assertTrue(files)
        for path in files:
            self.assertNotIn(MARK.encode(), path.read_bytes(), path)


if __name__ == "__main__":
    volary.main()
