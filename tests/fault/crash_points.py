#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""F5: killed inside a step. strace ends the process at the N-th call of one kind while mail, flags, expunges and account
deletions are under way: before or behind a sync, in the middle of a flush, before an acknowledgement (P1-P3, P7-P9)."""
import os
import pathlib
import random
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent / "lib"))
from failing_disk import Tracer, strace_or_skip
from hosts import cycles, volary
from ledger import Box, Ledger, User
from wire import Imap, Smtp

# What a kill at its N-th call hits: the log's write and its sync, tables and blobs being made, files put in place.
CALLS = ("fdatasync,fsync", "write,pwrite64,writev", "rename,renameat2", "unlink", "sendto,sendmsg")
DEEPEST = {"fdatasync,fsync": 200, "write,pwrite64,writev": 200, "rename,renameat2": 20, "unlink": 20, "sendto,sendmsg": 200}
END_S = cycles(3, 8)  # a call that does not come is no failure: the process is killed then
SEED = int(os.environ.get("VOLARY_SEED", random.randrange(1 << 32)))


def points():
    """(calls, N): a sample in CI, all of them in the nightly set."""
    everything = [(calls, n) for calls in CALLS for n in range(1, DEEPEST[calls] + 1)]
    chance = random.Random(SEED)
    few = [(calls, chance.randint(1, min(40, DEEPEST[calls]))) for calls in CALLS]
    return cycles(few, everything)


class CrashPoints(unittest.TestCase):
    def user(self, round_number):
        server = self.server
        return User("r%d" % round_number, server.account, lambda: Smtp(server.port("smtp")),
                    lambda: Imap(server.port("imap"), server.account, server.password), self.ledger)

    def check(self, deleted):
        server = self.server
        with Imap(server.port("imap"), server.account, server.password) as imap:
            self.assertEqual(self.ledger.check(Box(imap)), [])
        self.assertEqual(server.ctl("audit", "verify")[0], 0)
        for name in deleted:
            self.assertNotEqual(server.ctl("account", "show", name, check=False)[0], 0, "GHOST-ACCOUNT %s" % name)

    def one_point(self, number, calls, nth, deleted):
        user, name = self.user(number), "gone%d@dev.test" % number
        tracer = Tracer(self, self.server.process.pid, calls, "signal=SIGKILL:when=%d" % nth)
        user.start()
        created = self.server.ctl("account", "create", name, "--password-stdin", stdin=volary.PASSWORD + "\n", check=False)[0] == 0
        if created and self.server.ctl("account", "delete", name, "--yes", check=False)[0] == 0:
            deleted.append(name)
        try:
            volary.wait_for("the kill", lambda: not self.server.is_running(), END_S)
        except AssertionError:
            self.server.kill()
        user.finish()
        tracer.detach()
        self.server.restart()

    def test_killed_at_every_call_F5(self):
        strace_or_skip(self)
        self.server, self.ledger, deleted = volary.Server().start(), Ledger(), []
        print("    seed %d (VOLARY_SEED)" % SEED)
        for number, (calls, nth) in enumerate(points()):
            with self.subTest(calls=calls, nth=nth):
                self.one_point(number, calls, nth, deleted)
                self.check(deleted)
        print("    %d points; %d messages and %d deletions acknowledged" % (len(points()), len(self.ledger.acked), len(deleted)))
        self.assertEqual(self.server.stop(), 0)


if __name__ == "__main__":
    volary.main()
