#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""deploy/quickstart as the README says it: builds, starts, tells how to go on, ends by Ctrl-C, finds the mail again."""
import json
import pathlib
import re
import signal
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent / "lib"))
import volary
from wire import Imap, Smtp


class Quickstart(unittest.TestCase):
    def setUp(self):
        self.home = volary.folder("quickstart")
        self.base = volary.port_base()

    def start(self):
        """(process, ready line); what it says goes to a file."""
        with open(self.home / "said", "ab") as said:
            process = subprocess.Popen([str(volary.ROOT / "deploy/quickstart"), "--no-install", "--data", str(self.home / "data"),
                                        "--port-base", str(self.base)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said,
                                       cwd=self.home, text=True)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.kill)
        line = process.stdout.readline()
        self.assertTrue(line, (self.home / "said").read_text()[-2000:])
        return process, json.loads(line)

    def stop(self, process):
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(60), 0)

    def test_two_runs(self):
        process, ready = self.start()
        self.assertEqual(ready["pid"], process.pid, "it becomes the server, so that Ctrl-C reaches it")
        said = (self.home / "said").read_text()
        password = re.search(r"Password:\s*(\S+)", said)[1]
        command = re.search(r"  (printf .*?\n.*?upload-file -)\n", said, re.S)[1]
        self.assertEqual(subprocess.run(["sh", "-c", command], timeout=60, check=False).returncode, 0, command)
        self.stop(process)
        process, ready = self.start()
        self.assertEqual((self.home / "said").read_text().count(password), 1)
        with Imap(ready["ports"]["imap"], volary.ACCOUNT, password) as imap:
            self.assertIn("* 1 EXISTS", imap.command("SELECT INBOX").text())
        with Smtp(ready["ports"]["smtp"]) as smtp:
            self.assertTrue(smtp.deliver(volary.ACCOUNT, b"Subject: more\r\n\r\nx").startswith("250"))
        self.stop(process)


if __name__ == "__main__":
    volary.main()
