# SPDX-License-Identifier: Apache-2.0
"""Runs `volary dev` for end-to-end tests: start, stop, kill -9, volaryctl, and a TestCase with one server per class.

VOLARY_BIN names the folder of the programs (default build/release/bin). Everything is on 127.0.0.1 and in a temporary
folder that is removed when all tests of the program passed. A server whose log has a line of level error that the test
did not announce (Server.expect_errors) fails it.
"""
import contextlib
import fcntl
import json
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[3]
BIN = pathlib.Path(os.environ.get("VOLARY_BIN", ROOT / "build/release/bin")).resolve()
HOST = "127.0.0.1"
START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 60
WAIT_TIMEOUT_S = 30
# docs: ports with base N
OFFSETS = {"smtp": 25, "lmtp": 24, "submission": 587, "submissions": 465, "imap": 143, "imaps": 993, "ops": 90, "admin": 50}
ACCOUNT = "dev@dev.test"
PASSWORD = "correct-horse-battery-staple-42"
_locks = []  # port bases of this process, held until it ends
_folders = []
_servers = []


def folder(name="t"):
    """A temporary folder, removed at the end of a program without failures."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="volary-%s-" % name))
    _folders.append(path)
    return path


def are_free(ports):
    for port in ports:
        with contextlib.closing(socket.socket()) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                return False
    return True


def port_base(span=1000):
    """A base whose ports are free and which no other test program has taken."""
    for base in random.sample(range(11000, 31000, span), 20000 // span):
        lock = open(os.path.join(tempfile.gettempdir(), "volary-ports-%d.lock" % base), "w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            continue
        if are_free(base + offset for offset in range(20, min(span, 1000))):
            _locks.append(lock)
            return base
        lock.close()
    raise RuntimeError("no free port base between 11000 and 31000")


def wait_for(what, question, timeout_s=WAIT_TIMEOUT_S):
    """The first true answer; polls, since there is nothing to subscribe to from outside."""
    deadline = time.monotonic() + timeout_s
    while True:
        answer = question()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError("not within %d s: %s" % (timeout_s, what))
        time.sleep(0.02)


class Server:
    """One `volary dev`; data, ports and password survive stop() and kill()."""

    def __init__(self, *args, env=None, known_account=True):
        self.home = folder("dev")
        self.data = self.home / "data"
        self.base = port_base()
        self.log = self.home / "stderr.log"
        self.args, self.env = list(args), env or {}
        self.account, self.password = ACCOUNT, PASSWORD
        if known_account:
            (self.home / "password").write_text(PASSWORD + "\n")
            (self.home / "password").chmod(0o600)
            self.args += ["--account", ACCOUNT, "--password-file", str(self.home / "password")]
        self.process = self.ready = None
        self.stdout = []
        self.may_log_errors = False
        _servers.append(self)

    def argv(self):
        return [str(BIN / "volary"), "dev", "--data", str(self.data), "--port-base", str(self.base), *self.args]

    def spawn(self):
        with open(self.log, "ab") as log:
            return subprocess.Popen(self.argv(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log,
                                    env={**os.environ, **self.env}, cwd=self.home, text=True)

    def read_stdout(self, process, lines, seen):
        with process.stdout as stream:
            for line in stream:
                lines.append(line)
                seen.set()
        seen.set()

    def start(self):
        self.process, self.stdout, seen = self.spawn(), [], threading.Event()
        threading.Thread(target=self.read_stdout, args=(self.process, self.stdout, seen), daemon=True).start()
        if not seen.wait(START_TIMEOUT_S) or not self.stdout:
            raise AssertionError("volary dev said nothing on stdout (exit %s):\n%s" % (self.process.poll(), self.tail()))
        self.ready = json.loads(self.stdout[0])
        return self

    def port(self, name):
        return self.ready["ports"][name]

    def stop(self):
        """SIGTERM; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_TIMEOUT_S)

    def kill(self):
        """SIGKILL: nothing of the process has a say."""
        self.process.kill()
        self.process.wait(STOP_TIMEOUT_S)

    def restart(self):
        self.start()

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def tail(self, lines=30):
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    def expect_errors(self):
        """This test breaks something on purpose, so that the server may log an error."""
        self.may_log_errors = True

    def error_lines(self):
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return [line for line in text.splitlines() if re.search(r'level=error|"level":"error"', line)]

    # ---- volaryctl, ops ----

    def ctl(self, *args, stdin=None, check=True):
        """volaryctl by the unix socket: (exit code, stdout, stderr)."""
        return ctl([str(BIN / "volaryctl"), "--server", "unix:%s" % (self.data / "admin.sock")], args, stdin, check)

    def ctl_json(self, *args, stdin=None):
        return json.loads(self.ctl("--output", "json", *args, stdin=stdin)[1])

    def create_account(self, name, password=PASSWORD):
        self.ctl("account", "create", name, "--password-stdin", stdin=password + "\n")
        return name, password

    def ops(self, path):
        return http_get(self.port("ops"), path)


def ctl(argv, args, stdin=None, check=True, env=None):
    done = subprocess.run([*argv, *args], input=stdin, capture_output=True, text=True, timeout=60, check=False,
                          env={**os.environ, **(env or {})})
    if check and done.returncode != 0:
        raise AssertionError("volaryctl %s: exit %d: %s" % (" ".join(args), done.returncode, done.stderr.strip()))
    return done.returncode, done.stdout, done.stderr


def http_get(port, path, host=HOST):
    """(status, body text)"""
    try:
        with urllib.request.urlopen("http://%s:%d%s" % (host, port, path), timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


class Case(unittest.TestCase):
    """One server for the tests of a class; options in server_args and server_env."""
    server_args = ()
    server_env = {}

    @classmethod
    def setUpClass(cls):
        cls.server = Server(*cls.server_args, env=cls.server_env).start()

    @classmethod
    def tearDownClass(cls):
        server = cls.server
        if not server.is_running():
            raise AssertionError("the server is not running any more (exit %s):\n%s" % (server.process.poll(), server.tail()))
        code = server.stop()
        if code != 0:
            raise AssertionError("the server ended with %d after SIGTERM:\n%s" % (code, server.tail()))
        if server.error_lines() and not server.may_log_errors:
            raise AssertionError("the server logged errors:\n" + "\n".join(server.error_lines()[:10]))

    def setUp(self):
        self.assertTrue(self.server.is_running(), "the server died before this test (P19)")


def end_servers():
    for server in _servers:
        if server.is_running():
            server.process.kill()
            server.process.wait()


def main():
    """For `if __name__ == "__main__"`: plain results, the servers' last log lines after a failure."""
    if not os.access(BIN / "volary", os.X_OK):
        print("%s is not built: deploy/quickstart --prepare, or set VOLARY_BIN" % (BIN / "volary"))
        sys.exit(1)
    program = unittest.main(module="__main__", exit=False, verbosity=2, warnings="ignore")
    end_servers()
    for lock in _locks:
        lock.close()
    if program.result.wasSuccessful():
        for path in _folders:
            shutil.rmtree(path, ignore_errors=True)
        all_skipped = program.result.skipped and program.result.testsRun == len(program.result.skipped)
        sys.exit(77 if all_skipped else 0)
    for server in _servers:
        print("\nlast log lines of %s:\n%s" % (server.home, server.tail()), file=sys.stderr)
    print("kept: %s" % " ".join(str(p) for p in _folders), file=sys.stderr)
    sys.exit(1)
