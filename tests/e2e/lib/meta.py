# SPDX-License-Identifier: Apache-2.0
"""Runs one volary-meta, alone in its group, for tests of the admin API and of volaryctl: no shards, no frontends."""
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import threading
import unittest

import volary


def openssl(*args):
    subprocess.run(["openssl", *map(str, args)], check=True, capture_output=True)


class Certificates:
    """A cluster's CA, and certificates that it signed: for a role, with an identity."""

    def __init__(self, home, cluster):
        self.home, self.cluster = home, cluster
        self.ca = home / "ca.pem"
        self.key(home / "ca.key")
        openssl("req", "-x509", "-new", "-key", home / "ca.key", "-days", 2, "-subj", "/CN=test", "-out", self.ca)

    @staticmethod
    def key(path):
        openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", path)
        path.chmod(0o600)

    def make(self, role, name):
        """(certificate, key)"""
        base = self.home / ("%s-%s" % (role, name))
        key, request, cert, names = (base.with_suffix(end) for end in (".key", ".csr", ".pem", ".ext"))
        self.key(key)
        openssl("req", "-new", "-key", key, "-subj", "/CN=%s" % name, "-out", request)
        names.write_text("subjectAltName=URI:spiffe://%s/%s/%s,IP:127.0.0.1,DNS:localhost\n"
                         "extendedKeyUsage=serverAuth,clientAuth\n" % (self.cluster, role, name))
        openssl("x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", self.home / "ca.key", "-CAcreateserial", "-days", 2,
                "-extfile", names, "-out", cert)
        return cert, key


class Meta:
    def __init__(self, with_tls=False, settings=""):
        self.settings = settings  # more of the configuration file
        self.home = volary.folder("meta")
        self.data = self.home / "data"
        self.base = volary.port_base()
        self.log = self.home / "stderr.log"
        self.key = self.home / "cluster.key"
        self.key.write_text(secrets.token_hex(32) + "\n")
        self.key.chmod(0o600)
        self.socket = "unix:%s" % (self.data / "admin.sock")
        self.admin = "%s:%d" % (volary.HOST, self.base + 50)
        self.certificates = Certificates(self.home, "test") if with_tls else None
        self.process = self.ready = None
        self.write_config()
        volary._servers.append(self)

    def write_config(self):
        text = ("cluster:\n  name: test\nnode:\n  name: meta-1\nmeta:\n  members:\n"
                "    - {id: 77, node: meta-1, link: \"tcp://127.0.0.1:%d\"}\n"
                "data:\n  dir: %s\n  key_file: %s\nports:\n  admin: %d\n  ops: %d\n" % (
                    self.base + 70, self.data, self.key, self.base + 50, self.base + 90))
        if self.certificates is not None:
            cert, key = self.certificates.make("meta", "meta-1")
            text = text.replace("  name: meta-1\n", "  name: meta-1\n  certificate: %s\n  key: %s\n  ca: %s\n" % (
                cert, key, self.certificates.ca), 1)
        (self.home / "meta.yaml").write_text(text + self.settings)

    def argv(self):
        return [str(volary.BIN / "volary-meta"), "--config", str(self.home / "meta.yaml")]

    def start(self):
        self.process = subprocess.Popen(self.argv(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=open(self.log, "ab"), text=True)
        killer = threading.Timer(volary.START_TIMEOUT_S, self.process.kill)
        killer.start()
        line = self.process.stdout.readline()
        killer.cancel()
        if not line:
            raise AssertionError("volary-meta said nothing on stdout (exit %s):\n%s" % (self.process.wait(), self.tail()))
        self.ready = json.loads(line)
        return self

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(volary.STOP_TIMEOUT_S)

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def tail(self, lines=30):
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    def ctl(self, *args, server=None, stdin="", env=None):
        """(exit code, stdout, stderr)"""
        return volary.ctl([str(volary.BIN / "volaryctl"), "--server", server or self.socket], args, stdin, check=False, env=env)

    def ctl_json(self, *args):
        code, out, err = self.ctl("--output", "json", *args)
        if code != 0:
            raise AssertionError("volaryctl %s: exit %d: %s" % (" ".join(args), code, err))
        return json.loads(out)


def main():
    for name in ("volary-meta", "volaryctl"):
        if not os.access(volary.BIN / name, os.X_OK):
            print("%s is not built; set VOLARY_BIN" % (volary.BIN / name))
            sys.exit(1)
    program = unittest.main(module="__main__", exit=False, verbosity=2)
    volary.end_servers()
    if program.result.wasSuccessful():
        for path in volary._folders:
            shutil.rmtree(path, ignore_errors=True)
        all_skipped = program.result.skipped and program.result.testsRun == len(program.result.skipped)
        sys.exit(77 if all_skipped else 0)
    for server in volary._servers:
        print("\nlast log lines of %s:\n%s" % (server.home, server.tail()), file=sys.stderr)
    sys.exit(1)
