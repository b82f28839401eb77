#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The admin API by stock @grpc/grpc-js (pinned by node_admin/package-lock.json), over the unix socket and over TLS. Exit 77
without npm or a registry."""
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent / "lib"))
import meta
import volary

SOURCE = pathlib.Path(__file__).parent / "node_admin"
FILES = ("package.json", "package-lock.json", "admin.mjs")


def modules():
    """A folder in build/ with the pinned packages, installed once for a lock file."""
    digest = hashlib.sha256(b"".join((SOURCE / f).read_bytes() for f in FILES[:2])).hexdigest()[:12]
    target = volary.ROOT / "build/node" / digest
    target.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        shutil.copy(SOURCE / name, target / name)
    if not (target / "installed").exists():
        if not shutil.which("npm"):
            raise unittest.SkipTest("npm is not installed: deploy/dependencies test")
        done = subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=target, capture_output=True, text=True,
                              timeout=240, check=False)
        if done.returncode != 0:
            raise unittest.SkipTest("the packages could not be fetched: " + done.stderr.strip()[-300:])
        (target / "installed").touch()
    return target


class Admin(unittest.TestCase):
    def run_node(self, server, with_tls):
        target = modules()
        env = {"PROTO_DIR": str(volary.ROOT / "proto"), "ACCOUNT": "node@b.test", "SERVER": server.admin if with_tls else server.socket}
        if with_tls:
            cert, key = server.certificates.make("admin", "node")
            env.update(TLS_CA=str(server.certificates.ca), TLS_CERTIFICATE=str(cert), TLS_KEY=str(key))
        self.assertEqual(server.ctl("domain", "create", "b.test")[0], 0)
        done = subprocess.run(["node", str(target / "admin.mjs")], capture_output=True, text=True, timeout=120, check=False, cwd=target,
                              env={**os.environ, **env})
        self.assertEqual(done.returncode, 0, done.stdout[-2000:] + done.stderr[-3000:])
        self.assertIn("all done", done.stdout)
        self.assertEqual(server.stop(), 0)

    def test_over_the_unix_socket(self):
        self.run_node(meta.Meta().start(), with_tls=False)

    def test_over_tls_with_an_administrators_certificate(self):
        self.run_node(meta.Meta(with_tls=True).start(), with_tls=True)


if __name__ == "__main__":
    meta.main()
