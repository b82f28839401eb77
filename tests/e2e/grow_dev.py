#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The data of `volary dev` grows into a cluster of three hosts without an export, as docs/members.md says; then the
first host is lost, and mail, flags and passwords are still there (P1, P12)."""
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent / "lib"))
import volary
from cluster import ClusterCase
from members import SmallCluster
from wire import Imap

ACCOUNT = volary.ACCOUNT
COUNT = 20
IDS = {"meta-a": 1, "shard-1-a": 2}  # docs/members.md: what the all-in-one gave them


class GrownCluster(SmallCluster):
    """Processes, certificates and addresses are deploy/cluster's; the first members' data is the all-in-one's."""

    def __init__(self, data):
        self.out = volary.folder("grown")
        hosts = ["--host=%s" % self.host(name) for name in "ab"]  # b begins with a frontend alone
        self.run("config", *hosts, "--groups", "1", "--replicas", "1", "--port-base", str(volary.port_base()))
        self.adopt(data)

    def host(self, name):
        return "%s,127.0.0.%d,%s" % (name, "abc".index(name) + 1, self.out / name)

    def adopt(self, data):
        """Steps 1 and 2 of docs/members.md: the same data.dir and key, the ids of the all-in-one, no ticket."""
        plan = json.loads((self.out / "cluster.json").read_text())
        made = {r.split("node: ")[1].split(",")[0]: r.split("id: ")[1].split(",")[0] for g in plan["members"].values() for r in g}
        for path in [*self.out.glob("*.yaml"), self.out / "cluster.json"]:
            text = path.read_text()
            for name, number in IDS.items():
                text = text.replace("{id: %s," % made[name], "{id: %d," % number)
            path.write_text(text)
        for name in IDS:
            path = self.out / (name + ".yaml")
            lines = path.read_text().replace("dir: %s\n" % (self.out / "a" / name), "dir: %s\n" % data)
            path.write_text("".join(line for line in lines.splitlines(True) if "ticket:" not in line))
        (self.out / "cluster.key").write_text((data / "cluster.key").read_text())  # one key in the whole cluster
        self.plan = json.loads((self.out / "cluster.json").read_text())


class GrowDev(ClusterCase):
    @classmethod
    def setUpClass(cls):
        server = volary.Server().start()
        with volary_imap(server) as imap:
            for i in range(COUNT):
                content = b"Subject: before-%d\r\n\r\n%s\r\n" % (i, b"x" * 100 * i)
                assert imap.append("INBOX", content, "(\\Flagged) " if i % 2 else "").ok
        cls.code = server.stop()
        cls.cluster = GrownCluster(server.data)
        cls.addClassCleanup(cls.cluster.run, "down")
        cls.cluster.run("up")

    def look(self, frontend, wanted):
        with self.cluster.imap(frontend, ACCOUNT) as imap:
            self.assertTrue(imap.command("SELECT INBOX").ok)
            flagged = imap.command("UID SEARCH FLAGGED").lines("SEARCH")[0].split()[2:]
        self.assertEqual(self.subjects(frontend, ACCOUNT), dict.fromkeys(wanted, 1))
        self.assertEqual(len(flagged), COUNT // 2)

    def deliver(self, frontend, name):
        with self.cluster.smtp(frontend) as smtp:
            self.assertRegex(smtp.deliver(ACCOUNT, b"Subject: %s\r\n\r\nnew\r\n" % name.encode()), "^250 ")

    def test_one_process_becomes_three_hosts_and_loses_the_first(self):
        cluster = self.cluster
        self.assertEqual(self.code, 0)
        wanted = ["before-%d" % i for i in range(COUNT)]
        self.look(0, wanted)
        for name in "bc":
            for group in ("meta", "1"):
                cluster.grow(cluster.host(name), group)
            self.deliver(0, "at-" + name)
            wanted.append("at-" + name)
            self.look(1, wanted)
        for name in ("meta-a", "shard-1-a", "frontend-a"):
            cluster.run("kill", name)
        volary.wait_for("sign-in without the first host", self.signs_in, 60)
        self.deliver(1, "without-a")
        self.look(1, wanted + ["without-a"])
        self.assertEqual(cluster.ctl("audit", "verify")[0], 0)

    def signs_in(self):
        try:
            with self.cluster.imap(1, ACCOUNT) as imap:
                return imap.command("SELECT INBOX").ok
        except AssertionError as answer:  # delayed, never called wrong
            self.assertIn("[UNAVAILABLE]", str(answer))
            return False


def volary_imap(server):
    return Imap(server.port("imap"), ACCOUNT, volary.PASSWORD)


if __name__ == "__main__":
    volary.main()
