#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""More faults on three hosts: everything killed at once (F2), meta's leader killed, an
emptied data directory (P12), meta without a majority (design 6). After each: what was acknowledged is there once, and the audit verifies."""
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e/lib"))
import volary
from cluster import ClusterCase
from wire import Imap, Smtp

SIGN_IN_S = 45  # longer than a call of a frontend may take
NEW = "never-had-mail@dev.test"


class Faults(ClusterCase):
    def processes(self):
        return [p["name"] for host in self.cluster.plan["hosts"] for p in host["processes"]]

    def pid(self, name):
        process = next(p for host in self.cluster.plan["hosts"] for p in host["processes"] if p["name"] == name)
        return int(pathlib.Path(process["pidfile"]).read_text())

    def under_way(self, sender, count):
        sender.start()
        volary.wait_for("mail under way", lambda: len(sender.acked) >= count, 60)

    def finish(self, sender):
        sender.join(300)
        self.assertEqual(len(sender.acked), sender.count, "service did not come back")
        self.check(sender)
        self.assertEqual(self.cluster.ctl("audit", "verify")[0], 0)

    def test_1_everything_is_killed_at_once_F2(self):
        sender = self.sender(0, 1, "all", 300)
        self.under_way(sender, 100)
        names = self.processes()
        for name in names:
            os.kill(self.pid(name), signal.SIGKILL)
        seed = random.randrange(1 << 32)
        print("    order of restart by seed %d" % seed)
        random.Random(seed).shuffle(names)
        self.cluster.run("up")
        self.finish(sender)

    def test_3_meta_leader_is_killed_and_sign_in_comes_back(self):
        status = self.cluster.ctl_json("cluster", "status")
        victim = next(m["node"] for m in status["members"] if m["role"] == "leader")
        open_session = self.cluster.imap(0, self.accounts[1])
        self.addCleanup(open_session.close)
        self.cluster.run("kill", victim)
        self.assertTrue(open_session.command("SELECT INBOX").ok, "meta is not in the way of reading")

        def signs_in():
            try:
                with self.cluster.imap(1, self.accounts[2]) as imap:
                    return imap.command("NOOP").ok
            except AssertionError as answer:  # the tagged NO; anything but unavailable would be wrong
                self.assertIn("[UNAVAILABLE]", str(answer))
                return False

        volary.wait_for("sign-in without the killed leader", signs_in)
        self.cluster.run("start", victim)

    def test_5_an_emptied_data_directory_is_refused_P12(self):
        name = "shard-1-c"
        process = next(p for host in self.cluster.plan["hosts"] for p in host["processes"] if p["name"] == name)
        data = next(pathlib.Path(host["data"]) for host in self.cluster.plan["hosts"] if process in host["processes"]) / name
        self.cluster.run("stop", name)
        kept = data.with_name(name + ".kept")
        data.rename(kept)
        data.mkdir(mode=0o700)
        done = subprocess.run(process["argv"], env={**os.environ, **process["env"]}, capture_output=True, text=True, timeout=60, check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertEqual(done.stdout, "")
        self.assertTrue(done.stderr.strip())
        shutil.rmtree(data)
        kept.rename(data)
        self.cluster.run("start", name)

    def test_6_meta_without_a_majority_mail_flows_and_sign_in_waits(self):
        self.cluster.ctl("account", "create", NEW, "--password-stdin", stdin=volary.PASSWORD + "\n")
        with self.cluster.smtp(0) as smtp:
            self.assertRegex(smtp.deliver(self.accounts[1], b"Subject: before\r\n\r\nbefore\r\n"), "^250 ")
        reader = self.cluster.imap(1, self.accounts[1])
        self.addCleanup(reader.close)
        self.cluster.run("kill", "meta-a")
        self.cluster.run("kill", "meta-b")
        try:
            self.deliver_and_read(reader)
            self.check_sign_in_is_put_off()
        finally:
            self.cluster.run("start", "meta-a")
            self.cluster.run("start", "meta-b")
        volary.wait_for("sign-in", lambda: self.login_answer(NEW).startswith("OK"), 60)
        self.assertEqual(dict(self.subjects(1, NEW)), {"while-0": 1, "while-1": 1})

    def deliver_and_read(self, reader):
        for account in (self.accounts[1], NEW):
            for frontend in (0, 1):
                with self.cluster.smtp(frontend) as smtp:
                    reply = smtp.deliver(account, b"Subject: while-%d\r\n\r\nno meta\r\n" % frontend)
                    self.assertRegex(reply, "^250 ", account)
        self.assertTrue(reader.command("SELECT INBOX").ok)
        text = reader.command("FETCH 1:* (BODY.PEEK[HEADER.FIELDS (SUBJECT)])").text()
        for subject in ("before", "while-0", "while-1"):
            self.assertIn("Subject: %s\r\n" % subject, text)

    def check_sign_in_is_put_off(self):
        """Nobody can tell whether the password is right: never the answer of a wrong one."""
        self.assertRegex(self.login_answer(self.accounts[2]), r"^NO \[UNAVAILABLE\]")
        port, host = self.cluster.end("submission", 0)
        with Smtp(port, host=host) as smtp:
            smtp.socket.settimeout(SIGN_IN_S)
            self.assertRegex(smtp.login(self.accounts[2], volary.PASSWORD), "^454 ")

    def login_answer(self, account):
        port, host = self.cluster.end("imap", 1)
        with Imap(port, host=host) as imap:
            imap.socket.settimeout(SIGN_IN_S)
            return imap.command('LOGIN "%s" "%s"' % (account, volary.PASSWORD)).tagged


if __name__ == "__main__":
    volary.main()
