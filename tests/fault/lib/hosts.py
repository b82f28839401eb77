# SPDX-License-Identifier: Apache-2.0
"""Three hosts a, b, c: each a network namespace on one bridge with a disk of its own (disk.py), a cluster of
deploy/cluster on them, and users whose acknowledged operations are checked after every fault (ledger.py)."""
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "e2e/lib"))
import cluster as clusters
import volary
from disk import Disk, run
from ledger import Box, User
from wire import Imap, Smtp

NAMES = "abc"
RECOVERY_S = 30  # P12: full service after the last fault
SETTLED = 12  # operations acknowledged before a fault and after it
SCRUB_PERIOD_S = 2  # members compare what they hold this often: P10
DOMAIN = "dev.test"


def cycles(short, nightly):
    """How often a row's fault is played: VOLARY_FAULT_NIGHTLY chooses."""
    return nightly if os.environ.get("VOLARY_FAULT_NIGHTLY") else short


class Net:
    """A bridge with our end at .254, and one namespace a host."""

    def __init__(self):
        pid = os.getpid()
        self.bridge, self.prefix = "vf%d" % pid, "10.%d.%d" % (64 + pid // 250 % 64, pid % 250)
        self.spaces = {name: "vf%d%s" % (pid, name) for name in NAMES}
        self.addresses = {name: "%s.%d" % (self.prefix, i + 1) for i, name in enumerate(NAMES)}

    def up(self):
        run("ip", "link", "add", self.bridge, "type", "bridge", "forward_delay", "0")
        run("ip", "addr", "add", self.prefix + ".254/24", "dev", self.bridge)
        run("ip", "link", "set", self.bridge, "up")
        for name, space in self.spaces.items():
            run("ip", "netns", "add", space)
            run("ip", "link", "add", space, "type", "veth", "peer", "name", "eth0", "netns", space)
            run("ip", "link", "set", space, "master", self.bridge, "up")
            run("ip", "-n", space, "addr", "add", self.addresses[name] + "/24", "dev", "eth0")
            run("ip", "-n", space, "link", "set", "lo", "up")
            run("ip", "-n", space, "link", "set", "eth0", "up")
            self.nft(name, "add table inet fault")
            for hook in ("input", "output"):
                self.nft(name, "add chain inet fault %s { type filter hook %s priority 0; }" % (hook, hook))

    def down(self):
        for space in self.spaces.values():  # the link first: the kernel takes its time with a namespace
            subprocess.run(["ip", "link", "del", space], capture_output=True, check=False)
            subprocess.run(["ip", "netns", "del", space], capture_output=True, check=False)
        subprocess.run(["ip", "link", "del", self.bridge], capture_output=True, check=False)

    def nft(self, host, command):
        run("nsenter", "--net=/run/netns/" + self.spaces[host], "nft", command)

    def block(self, host, peer, both_ways=True):
        """Packets from peer do not reach host any more; with both_ways none of host reach peer either."""
        self.nft(host, "add rule inet fault input ip saddr %s drop" % self.addresses[peer])
        if both_ways:
            self.nft(host, "add rule inet fault output ip daddr %s drop" % self.addresses[peer])

    def reset(self, host):
        """Every TCP packet of another host is answered with a reset."""
        self.nft(host, "add rule inet fault input ip saddr %s.0/24 tcp flags & rst == 0 reject with tcp reset" % self.prefix)

    def heal(self):
        for host in NAMES:
            for chain in ("input", "output"):
                self.nft(host, "flush chain inet fault " + chain)

    @classmethod
    def why_not(cls):
        if os.geteuid() != 0:
            return "network namespaces need root"
        net = cls()
        try:
            net.up()
        except OSError as error:
            return "no network namespaces with nft here: %s" % error
        finally:
            net.down()
        return None


class HostCluster(clusters.Cluster):
    def __init__(self, groups=1):
        self.out = volary.folder("hosts")
        self.net = Net()
        self.disks, self.fillings = {}, []
        self.net.up()
        self.disks = {name: Disk(self.out, name) for name in NAMES}
        hosts = ["--host=%s,%s,%s" % (n, self.net.addresses[n], self.disks[n].path / "data") for n in NAMES]
        self.run("config", *hosts, "--groups", str(groups), "--replicas", "3", "--frontends", "3", "--port-base", "11000")
        self.move_into_namespaces()
        self.plan = volary.json.loads((self.out / "cluster.json").read_text())

    def move_into_namespaces(self):
        path = self.out / "cluster.json"
        plan = volary.json.loads(path.read_text())
        for host in plan["hosts"]:
            for process in host["processes"]:
                process["argv"] = ["nsenter", "--net=/run/netns/" + self.net.spaces[host["name"]], *process["argv"]]
                process["argv"][0] = "/usr/bin/nsenter"
                process["env"] = {"VOLARY_SCRUB__PERIOD_S": str(SCRUB_PERIOD_S)} if process["role"] == "shard" else {}
        path.write_text(volary.json.dumps(plan))
        for config in self.out.glob("frontend-*.yaml"):
            config.write_text(config.read_text().replace('plaintext_networks: [', 'plaintext_networks: ["%s.0/24", ' % self.net.prefix))

    def close(self):
        try:
            self.net.heal()
            self.run("down")
        finally:
            self.kill_all()
            for disk in self.disks.values():
                disk.remove()
            self.net.down()

    # ---- processes ----

    def processes(self, host=None):
        return [p for h in self.plan["hosts"] if host in (None, h["name"]) for p in h["processes"]]

    def process(self, name):
        return next(p for p in self.processes() if p["name"] == name)

    def host_of(self, name):
        return next(h["name"] for h in self.plan["hosts"] if any(p["name"] == name for p in h["processes"]))

    def pid(self, name):
        """None when it does not run."""
        process = self.process(name)
        try:
            pid = int(pathlib.Path(process["pidfile"]).read_text())
            argv = pathlib.Path("/proc/%d/cmdline" % pid).read_bytes().split(b"\0")
            state = pathlib.Path("/proc/%d/stat" % pid).read_text().rsplit(")", 1)[1].split()[0]
        except (OSError, ValueError):
            return None
        return pid if process["argv"][-1].encode() in argv and state not in "ZX" else None

    def signal_host(self, host, number):
        for process in self.processes(host):
            pid = self.pid(process["name"])
            if pid:
                os.kill(pid, number)

    def kill_all(self, host=None):
        self.signal_host(host, signal.SIGKILL)
        volary.wait_for("killed processes to be gone", lambda: not any(self.pid(p["name"]) for p in self.processes(host)))

    def log_text(self, name):
        return pathlib.Path(self.process(name)["log"]).read_text(errors="replace")

    def cut_power(self, hosts):
        """All at the same moment, as far as one process can: nothing is synced after the first."""
        for host in hosts:
            self.disks[host].cut()
        for host in hosts:
            self.kill_all(host)
        for host in hosts:
            self.disks[host].power_on()

    # ---- as a client ----

    def frontend(self, host):
        return NAMES.index(host)

    def user(self, prefix, account, host):
        number = self.frontend(host)
        port, address = self.end("imap", number)
        return User(prefix, account, lambda: self.smtp(number), lambda: Imap(port, account, volary.PASSWORD, host=address))

    def box(self, account, host):
        with self.imap(self.frontend(host), account) as imap:
            imap.socket.settimeout(60)
            return Box(imap)

    def shard_metrics(self, name):
        host, port = next(a for p, a in zip(self.processes(), self.plan["endpoints"]["ops"]) if p["name"] == name).rsplit(":", 1)
        text = volary.http_get(int(port), "/metrics", host)[1]
        return {k: int(float(v)) for k, v in re.findall(r"^(volary_shard_\w+) (\d+)$", text, re.M)}

    def newest_leader(self, group=1):
        """Two may say that they lead, after a pause: the newer term counts."""
        def newest():
            rows = self.members(group)
            leaders = [n for n in rows if rows[n]["leader"] == 1]
            return max(leaders, key=lambda n: rows[n]["term"]) if leaders else None

        return volary.wait_for("a leader of group %d" % group, newest)

    def has_caught_up(self, group=1):
        rows = self.members(group)
        leaders = [r for r in rows.values() if r["leader"] == 1]
        return len(rows) == 3 and len(leaders) == 1 and all(r["applied_index"] >= leaders[0]["commit_index"] for r in rows.values())


class Supervisor(threading.Thread):
    """Starts again what ends, with a pause, as systemd would; says how often each ended."""

    def __init__(self, cluster, pause_s=0.5):
        super().__init__(daemon=True)
        self.cluster, self.pause_s, self.over = cluster, pause_s, threading.Event()
        self.starts = []
        self.children = {}  # what was started here; a process writes its pid file anew, which is empty for a moment

    def is_running(self, name):
        child = self.children.get(name)
        return child.poll() is None if child else self.cluster.pid(name) is not None

    def run(self):
        while not self.over.wait(0.1):
            for process in self.cluster.processes():
                if not self.is_running(process["name"]):
                    self.over.wait(self.pause_s)
                    if not self.over.is_set():
                        self.starts.append(process["name"])
                        self.launch(process)

    def launch(self, process):
        with open(process["log"], "ab") as log:
            child = subprocess.Popen(process["argv"], env={**os.environ, **process["env"]}, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        pathlib.Path(process["pidfile"]).write_text("%d\n" % child.pid)
        self.children[process["name"]] = child

    def finish(self):
        self.over.set()
        self.join(30)


class HostCase(unittest.TestCase):
    """One cluster on three hosts for the tests of a class."""
    groups = 1

    @classmethod
    def setUpClass(cls):
        reason = Disk.why_not(volary.folder("probe")) or Net.why_not()
        if reason:
            raise unittest.SkipTest("skipped: " + reason)
        cls.cluster = HostCluster(cls.groups)
        cls.addClassCleanup(cls.cluster.close)
        cls.cluster.run("up")
        cls.cluster.ctl("domain", "create", DOMAIN)
        cls.count = 0

    def setUp(self):
        """Each test has an account of its own, and two users on it at two frontends."""
        type(self).count += 1
        self.users = []
        volary.wait_for("all members to have caught up", self.cluster.has_caught_up, RECOVERY_S)

    def start_user(self, host="a", account=None):
        account = account or "u%d-%s@%s" % (self.count, host, DOMAIN)
        self.cluster.ctl("account", "create", account, "--password-stdin", stdin=volary.PASSWORD + "\n")
        user = self.cluster.user("%s%d" % (host, self.count), account, host)
        self.users.append(user)
        user.start()
        self.progress(user)
        return user

    def progress(self, user, count=SETTLED, timeout_s=RECOVERY_S):
        """That many operations more are acknowledged: service is there."""
        start = len(user.times)
        volary.wait_for("%d acknowledged operations; last refusals %s" % (count, user.refusals[-3:]),
                        lambda: len(user.times) >= start + count or user.error, timeout_s)

    def finish(self, supervised=()):
        """P12: service is back, everybody has everything; what was acknowledged is there, on every frontend."""
        for user in self.users:
            self.progress(user)
        for user in self.users:
            user.finish()
        volary.wait_for("all members to have caught up", self.cluster.has_caught_up, RECOVERY_S)
        for user in self.users:
            for host in NAMES:
                findings = user.ledger.check(self.cluster.box(user.account, host))
                self.assertEqual(findings, [], "seen at frontend %s" % host)
        code, _, text = self.cluster.ctl("audit", "verify", check=False)
        self.assertEqual(code, 0, "AUDIT: " + text)
        self.check_members_agree()
        acked = sum(len(u.ledger.acked) for u in self.users)
        flags = sum(len(u.ledger.flagged) for u in self.users)
        gone = sum(len(u.ledger.expunged) for u in self.users)
        return "%d messages, %d flags, %d expunges acknowledged and found" % (acked, flags, gone)

    def check_members_agree(self):
        """P10: the members have compared what they hold, and found no difference."""
        for process in self.cluster.processes():
            if process["role"] == "shard":
                metrics = self.cluster.shard_metrics(process["name"])
                problems = {k: v for k, v in metrics.items() if "scrub" in k and ("problem" in k or "differ" in k) and v}
                self.assertEqual(problems, {}, "DIVERGED or CORRUPT: %s" % process["name"])
