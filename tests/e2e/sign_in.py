#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Second factors, app passwords and revocation against the running server (APP-1 to APP-9, A9, A10, P18), with oathtool as the
authenticator app and zbarimg as its camera."""
import json
import pathlib
import re
import shutil
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent / "lib"))
import volary
from scram import imap_sign_in
from wire import Imap, Smtp

REFUSED_IMAP = "NO [AUTHENTICATIONFAILED] Authentication credentials invalid"
REFUSED_SMTP = "535 5.7.8 Authentication credentials invalid"
ENDS_WITHIN_S = 5.0  # P18


def oath(secret, ahead_s=0):
    """What the app shows."""
    return subprocess.run(["oathtool", "--totp", "-b", "-N", "@%d" % (time.time() + ahead_s), secret],
                          capture_output=True, text=True, check=True).stdout.strip()


class SignIn(volary.Case):
    """Each test has an account of its own."""
    def setUp(self):
        super().setUp()
        self.name = "%s@dev.test" % self._testMethodName.replace("_", "-")
        self.server.create_account(self.name)

    def ctl(self, *args, **options):
        return self.server.ctl(*args, check=False, **options)

    def json(self, *args):
        return self.server.ctl_json(*args)

    def app_password(self, *options, label="phone"):
        return self.json("apppassword", "create", self.name, "--label", label, *options)

    def imap(self, password=volary.PASSWORD, name=None):
        """The tagged answer, without the capabilities of a success."""
        with Imap(self.server.port("imap")) as imap:
            return re.sub(r" \[CAPABILITY .*?\]", "", imap.command('LOGIN "%s" "%s"' % (name or self.name, password)).tagged)

    def smtp(self, password=volary.PASSWORD, name=None):
        with Smtp(self.server.port("submission")) as smtp:
            return smtp.login(name or self.name, password)

    def opens(self, password, imap=True, smtp=True, name=None):
        self.assertEqual(self.imap(password, name), "OK Logged in" if imap else REFUSED_IMAP)
        self.assertEqual(self.smtp(password, name), "235 2.7.0 Signed in" if smtp else REFUSED_SMTP)

    def session(self, password=volary.PASSWORD):
        imap = Imap(self.server.port("imap"), self.name, password)
        self.addCleanup(imap.close)
        self.assertTrue(imap.command("SELECT INBOX").ok)
        return imap

    def ends(self, sessions, what):
        """All hear BYE and are closed; prints how long it took."""
        began = time.monotonic()
        for imap in sessions:
            heard = list(iter(imap.line, None))
            self.assertTrue(any(line.startswith("* BYE") for line in heard), (what, heard))
        took_s = time.monotonic() - began
        self.assertLess(took_s, ENDS_WITHIN_S, what)
        print("sessions ended %.3f s behind: %s" % (took_s, what))

    def enrolled(self):
        secret = self.json("factor", "enroll", self.name)["secret"]
        return secret, self.json("factor", "confirm", self.name, oath(secret))["recovery_codes"]

    def results(self):
        return [(row["protocol"], row["mechanism"], row["result"]) for row in self.json("login", "list", self.name)]


class Factor(SignIn):
    def test_a_factor_from_its_first_day_to_its_last(self):
        app = self.app_password()
        before, by_app = self.session(), self.session(app["secret"])
        idle = self.session()
        idle.send("i IDLE\r\n")
        self.assertTrue(idle.line().startswith("+"))
        secret, recovery = self.enrolled()
        self.ends([before, by_app, idle], "confirming a factor")
        # APP-3: the words of a wrong password, on every mail protocol.
        self.opens(volary.PASSWORD, imap=False, smtp=False)
        self.opens("not the password", imap=False, smtp=False)
        self.opens(app["secret"])
        self.assertIn(("imap", "LOGIN", "needapp"), self.results())
        self.assertIn(("smtp", "PLAIN", "needapp"), self.results())
        self.assertTrue(self.json("account", "show", self.name)["second_factor"])
        # P18, A9: a code counts once.
        code = oath(secret, 30)
        self.assertEqual(self.json("factor", "verify", self.name, code)["method"], "totp")
        self.assertEqual(self.ctl("factor", "verify", self.name, code)[0], 9)
        # APP-8
        self.assertEqual((len(recovery), len(set(recovery))), (10, 10))
        checked = self.json("factor", "verify", self.name, recovery[0].upper().replace("-", " "))
        self.assertEqual((checked["method"], checked["recovery_codes_left"]), ("recovery-code", 9))
        self.assertEqual(self.ctl("factor", "verify", self.name, recovery[0])[0], 9)
        self.assertEqual(self.ctl("factor", "disable", self.name, recovery[0])[0], 5)
        self.assertEqual(self.ctl("factor", "disable", self.name, recovery[1])[0], 0)
        self.opens(volary.PASSWORD)

    def test_six_wrong_codes(self):
        secret, _ = self.enrolled()
        for _ in range(5):
            self.assertEqual(self.ctl("factor", "verify", self.name, "000000")[0], 9)
        code, _, problem = self.ctl("factor", "verify", self.name, oath(secret, 30))
        self.assertEqual(code, 1)
        self.assertRegex(problem, r"too many wrong codes: try again in \d+ seconds")

    def test_app8_an_administrator_resets_with_a_reason(self):
        self.enrolled()
        self.assertTrue(self.json("apppassword", "require", self.name, "on")["app_passwords_only"])
        self.server.ctl("factor", "disable", self.name, "--override", "--reason", "phone lost, ticket 7")
        self.opens(volary.PASSWORD, imap=False, smtp=False)  # still: app passwords only
        self.json("apppassword", "require", self.name, "off")
        self.opens(volary.PASSWORD)
        record = [r for r in self.json("audit", "list") if r["action"] == "factor.disable" and r["subject"] == self.name]
        self.assertIn("by override reason: phone lost, ticket 7", record[0]["detail"])

    def test_the_secret_survives_a_restart_and_a_code_stays_used(self):
        secret, _ = self.enrolled()
        code = oath(secret, 30)
        self.assertEqual(self.ctl("factor", "verify", self.name, code)[0], 0)
        self.server.kill()
        self.server.restart()
        self.assertEqual(self.ctl("factor", "verify", self.name, code)[0], 9)
        self.opens(volary.PASSWORD, imap=False, smtp=False)

    @unittest.skipUnless(shutil.which("zbarimg"), "zbar-tools is not installed")
    def test_the_qr_code_is_read_by_a_camera(self):
        _, text, said = self.server.ctl("factor", "enroll", self.name)
        address = re.search(r"^Address +(otpauth://\S+)$", text, re.M)[1]
        self.assertIn("volaryctl factor confirm %s CODE" % self.name, said)
        rows = [line for line in text.splitlines() if len(line) > 30 and set(line) <= set(" \u2580\u2584\u2588")]
        pixels = [[0 if c == "\u2588" or c == half else 255 for c in row] for row in rows for half in ("\u2580", "\u2584")]
        picture = self.server.home / "qr.pgm"
        scaled = b"".join(bytes(value for value in row for _ in range(4)) * 4 for row in pixels)
        picture.write_bytes(b"P5\n%d %d\n255\n" % (4 * len(pixels[0]), 4 * len(pixels)) + scaled)
        read = subprocess.run(["zbarimg", "-q", "--raw", str(picture)], capture_output=True, text=True, check=True)
        self.assertEqual(read.stdout.strip(), address)
        self.assertNotIn("\u2588", self.server.ctl("factor", "enroll", self.name, "--no-qr")[1])

    def test_del4_the_next_holder_has_neither_factor_nor_app_password(self):
        app = self.app_password()
        self.enrolled()
        self.server.ctl("account", "delete", self.name, "--yes", "--wait")
        self.server.ctl("account", "create", self.name, "--release-address", "--password-stdin", stdin=volary.PASSWORD + "\n")
        self.assertEqual(self.json("factor", "list", self.name), [])
        self.opens(volary.PASSWORD)
        self.opens(app["secret"], imap=False, smtp=False)


class AppPassword(SignIn):
    def test_a10_it_opens_what_it_is_for_only(self):
        self.opens(self.app_password("--protocols", "smtp")["secret"], imap=False)
        self.opens(self.app_password("--protocols", "imap")["secret"], smtp=False)
        self.opens(self.app_password("--networks", "127.0.0.0/8,2001:db8::/32")["secret"])
        self.opens(self.app_password("--networks", "192.0.2.0/24")["secret"], imap=False, smtp=False)
        self.assertIn(("smtp", "PLAIN", "noproto"), self.results())
        self.assertIn(("imap", "LOGIN", "badnetwork"), self.results())
        code, _, problem = self.ctl("apppassword", "create", self.name, "--label", "x", "--networks", "192.0.2.1/24")
        self.assertEqual(code, 2)
        self.assertIn("192.0.2.0/24", problem)  # what one looks like

    def test_app1_the_list_tells_what_it_is_and_of_its_last_use(self):
        made = self.app_password("--protocols", "imap", "--networks", "127.0.0.1", "--expires-days", "1")
        self.opens(made["secret"], smtp=False)
        row = self.json("apppassword", "list", self.name)[0]
        self.assertEqual((row["label"], row["protocols"], row["networks"]), ("phone", ["imap"], ["127.0.0.1"]))
        self.assertEqual((row["last_used_ip"], row["last_used_protocol"]), ("127.0.0.1", "imap"))
        self.assertGreater(row["last_used_ms"], row["created_ms"])

    def test_app5_a_name_with_a_label(self):
        phone, tablet = self.app_password(), self.app_password(label="my tablet")
        named = self.name + "%My Tablet"
        self.opens(tablet["secret"], name=named)
        self.opens(phone["secret"], imap=False, smtp=False, name=named)
        self.opens(volary.PASSWORD, imap=False, smtp=False, name=named)
        for secret, is_right in ((tablet["secret"], True), (phone["secret"], False)):
            with Imap(self.server.port("imaps"), tls=True) as imap:
                answer = imap_sign_in(imap, "SCRAM-SHA-256", b"n,,", b"", named, secret)
                self.assertEqual(answer.startswith("s OK"), is_right, answer)

    def test_app7_revoked(self):
        phone, tablet = self.app_password(), self.app_password(label="tablet")
        with_phone = self.session(phone["secret"])
        self.server.ctl("apppassword", "delete", self.name, phone["id"])
        self.ends([with_phone], "revoking an app password")
        self.opens(phone["secret"], imap=False, smtp=False)
        self.opens(tablet["secret"])

    def test_app7_a_new_password_revokes_them_too(self):
        phone = self.app_password()
        kept = self.json("account", "password", self.name, "--keep-app-passwords")
        self.assertEqual(kept["revoked_app_passwords"], 0)
        session = self.session(phone["secret"])
        set_anew = self.json("account", "password", self.name)
        self.ends([session], "a new password")
        self.assertEqual(set_anew["revoked_app_passwords"], 1)
        self.opens(phone["secret"], imap=False, smtp=False)
        self.opens(kept["password"], imap=False, smtp=False)
        self.opens(set_anew["password"])


class Disabled(SignIn):
    def test_login5_disabled(self):
        phone, session = self.app_password(), self.session()
        self.server.ctl("account", "disable", self.name, "--text", "Please call the help desk")
        self.ends([session], "disabling the account")
        for secret in (volary.PASSWORD, phone["secret"]):
            self.assertEqual(self.imap(secret), "NO Please call the help desk")
            self.assertEqual(self.smtp(secret), "525 5.7.13 Please call the help desk")
        self.opens("not the password", imap=False, smtp=False)
        self.enrolled()
        self.opens(volary.PASSWORD, imap=False, smtp=False)  # a password that opens nothing is told nothing


if __name__ == "__main__":
    for tool in ("oathtool",):
        if shutil.which(tool) is None:
            print("%s is not installed: deploy/dependencies test" % tool)
            sys.exit(1)
    volary.main()
