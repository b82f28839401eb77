#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Erasing an account on three hosts (P8, DEL-4, DEL-5, DEL-8, F22): once with all of them there, once with one down.

The proof is a search for the marker, the raw key and its wrapped form in every file of every host. That the search would
find them is shown first: the wrapped key is found before the delete, by trying all places of meta's files.
"""
import json
import os
import pathlib
import re
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent / "lib"))
import volary
from cluster import ClusterCase
from wire import Imap

MARK = "MARKER-58c0e2-of-the-deleted"
MESSAGE = ("From: peer@elsewhere.test\r\nSubject: %s\r\n\r\n%s\r\n" % (MARK, " ".join([MARK] * 400))).encode()
OLD_PASSWORD = volary.PASSWORD
AWAY = "c"  # the host that is down in the second test
# A program of the tests: ctest says where it is.
KEY_SCAN = os.environ.get("KEY_SCAN", volary.ROOT / "build/dev/bin/key_scan")


class Erase(ClusterCase):
    def files(self):
        for host in self.cluster.plan["hosts"]:
            for path in sorted(pathlib.Path(host["data"]).rglob("*")):
                if path.is_file():
                    yield path

    def read(self, path):
        try:
            return path.read_bytes()
        except FileNotFoundError:  # removed meanwhile
            return b""

    def holders(self, needle):
        return [str(path) for path in self.files() if needle in self.read(path)]

    def key_of(self, number):
        """The account's key, wrapped and raw, from meta's files as they are now."""
        metas = [str(path) for path in self.files() if "/meta/" in str(path) and path.suffix in (".log", ".sst")]
        done = subprocess.run([KEY_SCAN, self.cluster.out / "cluster.key", number, *metas], capture_output=True,
                              text=True, timeout=120, check=False)
        self.assertEqual(done.returncode, 0, "no key in %d files: %s" % (len(metas), done.stderr))
        return [bytes.fromhex(text) for text in done.stdout.split()]

    def show(self, name):
        return self.cluster.ctl_json("account", "show", name)

    def make(self, name):
        """An account with everything that could come back; what to look for afterwards."""
        ctl = self.cluster.ctl
        ctl("account", "create", name, "--password-stdin", stdin=OLD_PASSWORD + "\n")
        ctl("alias", "create", "list-" + name, name)
        app = self.cluster.ctl_json("apppassword", "create", name, "--label", "phone")["secret"]
        for frontend in (0, 1):
            with self.cluster.smtp(frontend) as smtp:
                self.assertTrue(smtp.deliver(name, MESSAGE).startswith("250"))
        with self.cluster.imap(1, name) as imap:
            validity = self.uidvalidity(imap)
            self.assertEqual(imap.command('SEARCH TEXT "%s"' % MARK).text().split("\n")[0].strip(), "* SEARCH 1 2")
        wrapped, raw = self.key_of(self.show(name)["id"])
        self.assertTrue(self.holders(wrapped))
        return {"name": name, "id": self.show(name)["id"], "app": app, "validity": validity, "wrapped": wrapped, "raw": raw}

    def uidvalidity(self, imap):
        answer = imap.command("SELECT INBOX")
        self.assertTrue(answer.ok, answer.tagged)
        return int(re.search(rb"UIDVALIDITY (\d+)", b"".join(answer.untagged))[1])

    def delete(self, name):
        text = self.cluster.ctl("account", "delete", name, "--yes", "--cascade", "--wait", "--reason", "e2e")[1]
        return json.loads(text)

    def job(self, number):
        return self.cluster.ctl_json("job", "show", number)

    def is_refused_everywhere(self, old):
        for frontend in (0, 1):
            with self.cluster.smtp(frontend) as smtp:
                smtp.command("MAIL FROM:<peer@elsewhere.test>")
                self.assertRegex(smtp.command("RCPT TO:<%s>" % old["name"]), r"\A550")
            self.assertFalse(self.signs_in(frontend, old["name"], OLD_PASSWORD))
            self.assertFalse(self.signs_in(frontend, old["name"], old["app"]))

    def signs_in(self, frontend, name, password):
        port, host = self.cluster.end("imap", frontend)
        imap = Imap(port, host=host)
        self.addCleanup(imap.close)
        return imap.command('LOGIN %s "%s"' % (name, password)).ok

    def is_in_no_file(self, old):
        for what, needle in (("marker", MARK.encode()), ("raw key", old["raw"]), ("wrapped key", old["wrapped"]),
                             ("wrapped key's ciphertext", old["wrapped"][12:44])):
            self.assertEqual(self.holders(needle), [], what)

    def check_new_holder(self, old):
        """DEL-4: the same address, and nothing else that is the same."""
        name = old["name"]
        self.cluster.ctl("account", "create", name, "--release-address", "--password-stdin", stdin="Another-Password-9\n")
        self.assertNotEqual(self.show(name)["id"], old["id"])
        self.assertFalse(self.signs_in(0, name, OLD_PASSWORD))
        self.assertFalse(self.signs_in(1, name, old["app"]))
        logins = self.cluster.ctl_json("login", "list", name)
        self.assertEqual({login["result"] for login in logins}, {"badpassword"}, logins)  # the two just now
        self.assertEqual(self.cluster.ctl_json("apppassword", "list", name), [])
        port, host = self.cluster.end("imap", 1)
        imap = Imap(port, host=host)
        self.addCleanup(imap.close)
        self.assertTrue(imap.command('LOGIN %s "Another-Password-9"' % name).ok)
        self.assertNotEqual(self.uidvalidity(imap), old["validity"])
        self.assertRegex(imap.command("STATUS INBOX (MESSAGES)").text(), r"MESSAGES 0\)")
        self.assertEqual(imap.command('SEARCH TEXT "%s"' % MARK).text().split("\n")[0].strip(), "* SEARCH")
        with self.cluster.smtp(0) as smtp:
            smtp.command("MAIL FROM:<peer@elsewhere.test>")
            self.assertRegex(smtp.command("RCPT TO:<list-%s>" % name), r"\A550")  # the alias did not come back

    def test_1_with_all_hosts_there(self):
        old = self.make("whole@dev.test")
        certificate = self.delete(old["name"])
        self.assertEqual((certificate["account_id"], certificate["pending"], certificate["left"]), (old["id"], [], []))
        members = [line for line in certificate["done"] if "raft log cut" in line]
        self.assertEqual(len(members), 6, certificate["done"])  # three of meta, three of its group
        self.is_in_no_file(old)
        self.is_refused_everywhere(old)
        self.check_new_holder(old)

    def processes(self, host):
        return [p["name"] for h in self.cluster.plan["hosts"] if h["name"] == host for p in h["processes"]]

    def test_2_with_one_host_down(self):
        old = self.make("holed@dev.test")
        for name in self.processes(AWAY):
            self.cluster.run("kill", name)
        first = self.delete(old["name"])
        away = [line for line in first["pending"] if "-%s (" % AWAY in line]
        self.assertEqual(len(away), 2, first["pending"])
        self.assertTrue(all("cannot be reached" in line for line in away), away)
        job = self.job(first["intent"])
        self.assertEqual(job["state"], "done")
        self.assertGreaterEqual(job["pending_members"], 2)
        self.is_refused_everywhere(old)
        self.assertTrue(self.holders(old["wrapped"]))  # on the host that is down, at least: said in the certificate
        for name in self.processes(AWAY):
            self.cluster.run("start", name)
        done = volary.wait_for("members that were down are clean", lambda: self.completed(first["intent"]), 90)
        last = json.loads(done["certificate"])
        self.assertEqual((last["pending"], last["left"], last["pending_members"]), ([], [], 0))
        self.assertGreater(last["serial"], first["serial"])
        self.is_in_no_file(old)
        self.is_refused_everywhere(old)
        self.check_new_holder(old)

    def completed(self, number):
        job = self.job(number)
        return job if job["completed_ms"] else None


if __name__ == "__main__":
    volary.main()
