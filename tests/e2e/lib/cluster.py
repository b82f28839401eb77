# SPDX-License-Identifier: Apache-2.0
"""A cluster made by deploy/cluster on three loopback addresses, and a sender that behaves like a mail server."""
import collections
import json
import os
import re
import subprocess
import sys
import threading
import time
import unittest

import volary
from wire import Imap, Smtp

RETRY_S = 30  # P12: service is back within this


class Cluster:
    def __init__(self, groups=2):
        self.out = volary.folder("cluster")
        base = volary.port_base()
        hosts = ["--host=%s,127.0.0.%d,%s" % (name, i + 1, self.out / name) for i, name in enumerate("abc")]
        self.run("config", *hosts, "--groups", str(groups), "--replicas", "3", "--frontends", "2", "--port-base", str(base))
        self.plan = json.loads((self.out / "cluster.json").read_text())

    def run(self, command, *args):
        done = subprocess.run([sys.executable, "-B", str(volary.ROOT / "deploy/cluster"), command, "--out", str(self.out), *args],
                              capture_output=True, text=True, timeout=180, check=False, env={**os.environ, "VOLARY_BIN": str(volary.BIN)})
        if done.returncode != 0:
            raise AssertionError("deploy/cluster %s: %s\n%s" % (command, done.stderr.strip(), self.tails()))
        return done.stdout

    def tails(self):
        return "\n".join("%s:\n%s" % (log.name, "\n".join(log.read_text(errors="replace").splitlines()[-8:]))
                         for log in sorted((self.out / "log").glob("*.log")))

    def ctl(self, *args, stdin=None, check=True):
        command = self.plan["volaryctl"]
        return volary.ctl(command["argv"], args, stdin, check, command["env"])

    def ctl_json(self, *args, stdin=None):
        return json.loads(self.ctl("--output", "json", *args, stdin=stdin)[1])

    def end(self, name, frontend):
        host, port = self.plan["endpoints"][name][frontend].rsplit(":", 1)
        return int(port), host

    def smtp(self, frontend):
        port, host = self.end("smtp", frontend)
        return Smtp(port, host=host)

    def imap(self, frontend, account):
        port, host = self.end("imap", frontend)
        return Imap(port, account, volary.PASSWORD, host=host)

    def members(self, group):
        """{process: its raft metrics}; what does not run is left out. The ops ports know it first-hand."""
        rows = {}
        processes = [p for host in self.plan["hosts"] for p in host["processes"]]
        for process, address in zip(processes, self.plan["endpoints"]["ops"]):
            if process["name"].startswith("shard-%d-" % group):
                host, port = address.rsplit(":", 1)
                try:
                    text = volary.http_get(int(port), "/metrics", host)[1]
                except OSError:
                    continue
                rows[process["name"]] = {k: int(v) for k, v in re.findall(r"^volary_shard_raft_(\w+) (\d+)$", text, re.M)}
        return rows

    def roles(self, group):
        """{process: its role} as `volaryctl cluster status` tells it: meta's leader asks every shard."""
        return {m["node"]: m["role"] for m in self.ctl_json("cluster", "status")["members"]
                if m["group_id"] == group and (group or m["node"].startswith("meta"))}

    def leader(self, group):
        """The name of the group's leading process."""
        return volary.wait_for("a leader of group %d" % group,
                               lambda: next((name for name, row in self.members(group).items() if row["leader"] == 1), None))


class Sender(threading.Thread):
    """Delivers like a mail server: what is refused for now, or breaks, is tried again with the same message."""

    def __init__(self, cluster, frontend, account, prefix, count):
        super().__init__(daemon=True)
        self.cluster, self.frontend, self.account, self.prefix, self.count = cluster, frontend, account, prefix, count
        self.acked, self.unknown, self.refused, self.longest_gap_s = [], collections.Counter(), [], 0.0
        self.smtp, self.stop = None, False

    def attempt(self, name):
        content = b"Subject: %s\r\nMessage-ID: <%s@sender.test>\r\n\r\nbody of %s\r\n" % ((name.encode(),) * 3)
        try:
            self.smtp = self.smtp or self.cluster.smtp(self.frontend)
            reply = self.smtp.deliver(self.account, content)
        except OSError as error:
            reply = "" if self.smtp else "421 " + str(error)
        if not reply:
            self.unknown[name] += 1
            if self.smtp:
                self.smtp.close()
            self.smtp = None
        return reply

    def run(self):
        self.send_all()
        if self.smtp:
            self.smtp.close()

    def send_all(self):
        last = time.monotonic()
        for i in range(self.count):
            if self.stop:
                return
            name = "%s-%d" % (self.prefix, i)
            deadline = time.monotonic() + RETRY_S
            while not self.attempt(name).startswith("250"):
                self.refused.append(name)
                if time.monotonic() > deadline:
                    return
                time.sleep(0.05)
                if self.smtp:
                    self.smtp.command("RSET")
            self.acked.append(name)
            self.longest_gap_s = max(self.longest_gap_s, time.monotonic() - last)
            last = time.monotonic()


class ClusterCase(unittest.TestCase):
    """One cluster for the tests of a class: two groups of three, two frontends, an account in each group."""
    make_cluster = Cluster

    @classmethod
    def setUpClass(cls):
        cls.cluster = cls.make_cluster()
        cls.addClassCleanup(cls.cluster.run, "down")
        cls.cluster.run("up")
        cls.cluster.ctl("domain", "create", "dev.test")
        cls.accounts = cls.one_account_per_group()

    @classmethod
    def one_account_per_group(cls):
        accounts = {}
        for i in range(64):
            name = "user%d@dev.test" % i
            cls.cluster.ctl("account", "create", name, "--password-stdin", stdin=volary.PASSWORD + "\n")
            accounts.setdefault(int(cls.cluster.ctl_json("account", "show", name)["group_id"]), name)
            if len(accounts) == 2:
                return accounts
        raise AssertionError("64 accounts and all in one group: %s" % accounts)

    def subjects(self, frontend, account):
        with self.cluster.imap(frontend, account) as imap:
            imap.command("SELECT INBOX")
            text = imap.command("FETCH 1:* (BODY.PEEK[HEADER.FIELDS (SUBJECT)])").text()
            return collections.Counter(re.findall(r"Subject: (\S+)", text))

    def check(self, sender):
        """What was acknowledged is there, once, also where the sender heard no answer first and sent again (P3)."""
        found = self.subjects(1 - sender.frontend, sender.account)
        self.assertEqual([n for n in sender.acked if found[n] == 0], [], "LOST")
        self.assertEqual([n for n in sender.acked if found[n] > 1], [], "DUPLICATE")

    def sender(self, frontend, group, prefix, count):
        return Sender(self.cluster, frontend, self.accounts[group], prefix, count)
