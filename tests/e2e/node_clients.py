#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""imapflow and nodemailer (npm, pinned by node/package-lock.json) against the running server. Exit 77 without a registry."""
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent / "lib"))
import volary

SOURCE = pathlib.Path(__file__).parent / "node"
FILES = ("package.json", "package-lock.json", "clients.mjs")


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


class Node(volary.Case):
    def test_nodemailer_sends_and_imapflow_reads_moves_flags_and_idles(self):
        target = modules()
        name, password = self.server.create_account("node@dev.test")
        done = subprocess.run(["node", str(target / "clients.mjs")], capture_output=True, text=True, timeout=120, check=False, cwd=target,
                              env={**os.environ, "USER_NAME": name, "USER_PASSWORD": password, "SUBMISSION": str(self.server.port("submission")),
                                   "SUBMISSIONS": str(self.server.port("submissions")), "IMAP": str(self.server.port("imap")),
                                   "IMAPS": str(self.server.port("imaps"))})
        self.assertEqual(done.returncode, 0, done.stdout[-3000:] + done.stderr[-3000:])
        self.assertIn("all done", done.stdout)


if __name__ == "__main__":
    volary.main()
