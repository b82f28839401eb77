#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Groups grow, shrink and replace members under load (F20, P1, P12): one host becomes three, and loses its first one.

Nothing acknowledged is lost, frontends find the new members without a restart, a removed member is told so, an empty
directory under an old name stays refused, and what would lose the majority is refused before anything happens.
"""
import json
import pathlib
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent / "lib"))
import volary
from cluster import Cluster, ClusterCase, Sender

CHANGE_S = 60  # a change of members takes seconds; none is waited for longer


class SmallCluster(Cluster):
    def __init__(self):
        self.out = volary.folder("members")
        self.run("config", "--host=a,127.0.0.1,%s" % (self.out / "a"), "--groups", "1", "--replicas", "1", "--port-base",
                 str(volary.port_base()))
        self.plan = json.loads((self.out / "cluster.json").read_text())

    def member(self, host, group, *more):
        """One more member; its process is made and not started. Returns its name."""
        name = self.run("member", "--host", host, "--group", group, *more).split()[0]
        self.plan = json.loads((self.out / "cluster.json").read_text())
        return name

    def status(self):
        return {m["node"]: m for m in self.ctl_json("member", "list") if m["role"] != "frontend"}

    def wait_done(self, *names):
        """Nothing is planned for any member, and these vote."""
        def look():
            rows = self.status()
            return all(not row["plan"] for row in rows.values()) and all(
                rows.get(name, {}).get("role") in ("leader", "follower") for name in names)
        volary.wait_for("%s to be members" % " ".join(names), look, CHANGE_S)

    def grow(self, host, group):
        name = self.member(host, group)
        self.run("start", name)
        self.wait_done(name)
        return name


class Members(ClusterCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = SmallCluster()
        cls.addClassCleanup(cls.cluster.run, "down")
        cls.cluster.run("up")
        cls.cluster.ctl("domain", "create", "dev.test")
        cls.cluster.ctl("account", "create", "ada@dev.test", "--password-stdin", stdin=volary.PASSWORD + "\n")
        cls.acked = []
        cls.number = 0

    def host(self, name):
        return "%s,127.0.0.%d,%s" % (name, "abcdef".index(name) + 1, self.cluster.out / name)

    def begin(self):
        """Mail comes all the time."""
        Members.number += 1
        sender = Sender(self.cluster, 0, "ada@dev.test", "m%d" % Members.number, 100000)
        sender.start()
        self.addCleanup(setattr, sender, "stop", True)
        return sender

    def finish(self, sender):
        sender.stop = True
        sender.join(60)
        self.assertFalse(sender.is_alive())
        self.assertGreater(len(sender.acked), 0)
        Members.acked += sender.acked
        found = self.subjects(0, "ada@dev.test")
        self.assertEqual([n for n in Members.acked if found[n] == 0], [], "LOST")
        self.assertEqual([n for n in Members.acked if found[n] > 1 and n not in sender.unknown], [], "DUPLICATE")
        print("%d messages, longest pause %.2f s" % (len(sender.acked), sender.longest_gap_s))

    def test_1_one_host_becomes_three_under_load(self):
        sender = self.begin()
        with self.cluster.imap(0, "ada@dev.test") as imap:  # stays connected
            imap.command("SELECT INBOX")
            for host in "bc":
                for group in ("1", "meta"):
                    self.cluster.grow(self.host(host), group)
                    self.assertTrue(imap.command("NOOP").ok)
        self.finish(sender)
        self.assertEqual(sorted(self.cluster.status()), ["meta-a", "meta-b", "meta-c", "shard-1-a", "shard-1-b", "shard-1-c"])

    def test_2_what_cannot_work_is_refused_with_the_next_step(self):
        cluster = self.cluster
        place = ["--link", "tcp://127.0.0.9:1", "--raft", "tcp://127.0.0.9:2"]
        for code, text, words in (
                (2, "needs --group", ["member", "add", "x", *place]),
                (2, "needs --link and --raft", ["member", "add", "x", "--group", "1"]),
                (2, "needs --with", ["member", "replace", "shard-1-a", *place, "--yes"]),
                (3, "no such group", ["member", "add", "x", "--group", "7", *place]),
                (3, "no member on this node", ["member", "remove", "shard-1-z", "--yes"]),
                (4, "is a member already", ["member", "add", "shard-1-b", "--group", "1", *place]),
                (8, "--yes", ["member", "remove", "shard-1-b"])):
            done = cluster.ctl(*words, check=False)
            self.assertEqual(done[0], code, done)
            self.assertIn(text, done[2])
        cluster.ctl("member", "add", "never", "--group", "1", "--ticket", str(cluster.out / "never.ticket"), *place)
        self.assertEqual((cluster.out / "never.ticket").stat().st_mode & 0o777, 0o600)
        self.assertEqual(cluster.status()["never"]["plan"], "adding")
        done = cluster.ctl("member", "add", "other", "--group", "1", *place, check=False)
        self.assertEqual(done[0], 4, done)
        self.assertIn("one change of a group's members at a time", done[2])
        cluster.ctl("member", "remove", "never", "--yes", "--wait")  # given up
        self.assertNotIn("never", cluster.status())

    def test_3_a_dead_member_is_replaced_under_load_P12(self):
        cluster = self.cluster
        sender = self.begin()
        cluster.run("kill", "shard-1-a")
        shutil.rmtree(cluster.out / "a" / "shard-1-a")
        (cluster.out / "a" / "shard-1-a").mkdir()
        with self.assertRaisesRegex(AssertionError, "empty and there is no ticket"):
            cluster.run("start", "shard-1-a")
        name = cluster.member("a", "1", "--replace", "shard-1-a")
        self.assertEqual(cluster.status()[name]["plan"], "adding for shard-1-a")
        cluster.run("start", name)
        cluster.wait_done(name)
        self.assertNotIn("shard-1-a", cluster.status())
        self.finish(sender)

    def test_4_a_majority_is_never_removed(self):
        cluster = self.cluster
        cluster.run("kill", "shard-1-b")
        volary.wait_for("shard-1-b to be missed", lambda: cluster.status()["shard-1-b"]["role"] == "unreachable", CHANGE_S)

        def refused():
            done = cluster.ctl("member", "remove", "shard-1-c", "--yes", "--dry-run", check=False)
            return done[0] == 4 and "no majority that answers" in done[2]
        volary.wait_for("the leader to miss it too", refused, CHANGE_S)
        cluster.run("start", "shard-1-b")

    def is_told(self, name):
        """A removed member that is started again hears that it has no place any more."""
        process = next(p for h in self.cluster.plan["hosts"] for p in h["processes"] if p["name"] == name)
        with open(process["log"], "ab") as log:
            child = subprocess.Popen(process["argv"], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            volary.wait_for("%s to be told" % name,
                            lambda: "event=shard.register.refused" in pathlib.Path(process["log"]).read_text(), CHANGE_S)
        finally:
            child.kill()
            child.wait()

    def remove(self, name):
        """A leader that has just begun has not heard the others yet, and refuses: it asks to be tried again."""
        def is_removed():
            code, _, error = self.cluster.ctl("member", "remove", name, "--yes", "--wait", check=False)
            self.assertTrue(code == 0 or "no majority that answers" in error, error)
            return code == 0
        volary.wait_for("%s to be removed" % name, is_removed, CHANGE_S)

    def test_5_three_hosts_become_one_again_the_first_ones_gone(self):
        cluster = self.cluster
        sender = self.begin()
        for name in ("shard-1-a-2", "shard-1-b", "meta-a", "meta-b"):
            self.remove(name)
            cluster.run("kill", name)
            if name == "shard-1-b":
                self.is_told(name)
        self.finish(sender)
        self.assertEqual(sorted(cluster.status()), ["meta-c", "shard-1-c"])
        done = cluster.ctl("member", "remove", "shard-1-c", "--yes", check=False)
        self.assertEqual(done[0], 4, done)
        self.assertIn("last member", done[2])


if __name__ == "__main__":
    volary.main()
