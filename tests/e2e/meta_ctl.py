#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""volaryctl against a lone volary-meta: every command, its JSON, its exit code, odd use (C11), who may administer."""
import json
import os
import pathlib
import pty
import re
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent / "lib"))
import meta
import volary

CTL = str(volary.BIN / "volaryctl")


class Base(unittest.TestCase):
    with_tls = False

    @classmethod
    def setUpClass(cls):
        cls.meta = meta.Meta(cls.with_tls).start()
        cls.meta.ctl("domain", "create", "b.test")

    @classmethod
    def tearDownClass(cls):
        code = cls.meta.stop()
        if code != 0:
            raise AssertionError("exit %d after SIGTERM:\n%s" % (code, cls.meta.tail()))

    def fails(self, code, pattern, *args, **kwargs):
        got, out, err = self.meta.ctl(*args, **kwargs)
        self.assertEqual((got, out), (code, ""), err)
        self.assertRegex(err, r"\Aerror: .* \([A-Z_]+\)\n\Z")
        self.assertRegex(err, pattern)


class Commands(Base):
    def test_domains(self):
        made = self.meta.ctl_json("domain", "create", "d.test")
        self.assertEqual((made["name"], made["account_count"], made["catch_all"]), ("d.test", 0, ""))
        self.assertIn("d.test", [d["name"] for d in self.meta.ctl_json("domain", "list")])
        self.fails(4, "exists", "domain", "create", "d.test")
        self.assertEqual(self.meta.ctl("domain", "delete", "d.test", "--yes"), (0, "", ""))
        self.assertNotIn("d.test", [d["name"] for d in self.meta.ctl_json("domain", "list")])
        self.fails(3, "d.test", "domain", "delete", "d.test")

    def test_a_domain_with_accounts_stays(self):
        self.meta.ctl_json("domain", "create", "full.test")
        self.meta.ctl_json("account", "create", "a@full.test")
        self.fails(4, "account", "domain", "delete", "full.test", "--yes")

    def test_a_generated_password_is_printed_once(self):
        made = self.meta.ctl_json("account", "create", "gen@b.test")
        self.assertEqual(list(made), ["account", "id", "password"])
        self.assertEqual(made["account"], "gen@b.test")
        self.assertRegex(made["id"], r"\A[1-9][0-9]*\Z")
        self.assertGreaterEqual(len(made["password"]), 24)
        self.assertNotIn(made["password"], json.dumps(self.meta.ctl_json("account", "show", "gen@b.test")))
        self.fails(4, "exists", "account", "create", "gen@b.test")
        other = self.meta.ctl_json("account", "create", "gen2@b.test")
        self.assertNotEqual(other["password"], made["password"])

    def test_a_chosen_password_comes_from_standard_input(self):
        code, out, err = self.meta.ctl("--output", "json", "account", "create", "own@b.test", "--password-stdin", stdin="correct horse battery\n")
        self.assertEqual((code, json.loads(out)["password"]), (0, ""), err)
        self.fails(2, "8 bytes", "account", "create", "short@b.test", "--password-stdin", stdin="short\n")
        self.fails(2, "no password", "account", "create", "short@b.test", "--password-stdin", stdin="")
        self.fails(3, "short@b.test", "account", "show", "short@b.test")

    def test_lists_go_on_over_pages(self):
        self.meta.ctl_json("domain", "create", "p.test")
        names = ["user%d@p.test" % i for i in range(5)]
        for name in names:
            self.meta.ctl_json("account", "create", name)
        self.assertEqual([a["account"] for a in self.meta.ctl_json("account", "list", "--domain", "p.test")], names)
        self.assertEqual([a["account"] for a in self.meta.ctl_json("account", "list", "--domain", "p.test", "--limit", "2")], names[:2])
        code, out, _ = self.meta.ctl("account", "list", "--domain", "p.test")
        self.assertEqual((code, len(out.splitlines())), (0, 6))
        self.assertRegex(out.splitlines()[0], r"\AACCOUNT +ID +STATE +QUOTA")

    def test_an_empty_list_is_an_empty_array(self):
        self.meta.ctl_json("domain", "create", "none.test")
        self.assertEqual(self.meta.ctl_json("account", "list", "--domain", "none.test"), [])
        self.meta.ctl_json("account", "create", "quiet@none.test")
        self.assertEqual(self.meta.ctl_json("login", "list", "quiet@none.test"), [])
        self.assertEqual(self.meta.ctl_json("apppassword", "list", "quiet@none.test"), [])

    def test_aliases(self):
        self.meta.ctl_json("account", "create", "one@b.test")
        self.meta.ctl_json("account", "create", "two@b.test")
        made = self.meta.ctl_json("alias", "create", "both@b.test", "one@b.test", "two@b.test")
        self.assertEqual(made, {"alias": "both@b.test", "targets": ["one@b.test", "two@b.test"]})
        self.assertIn(made, self.meta.ctl_json("alias", "list", "--domain", "b.test"))
        self.assertEqual(self.meta.ctl("alias", "delete", "both@b.test")[0], 0)
        self.fails(3, "both@b.test", "alias", "delete", "both@b.test")

    def test_app_passwords(self):
        self.meta.ctl_json("account", "create", "app@b.test")
        made = self.meta.ctl_json("apppassword", "create", "app@b.test", "--label", "phone", "--protocols", "imap,smtp")
        self.assertEqual(list(made), ["id", "secret"])
        row = self.meta.ctl_json("apppassword", "list", "app@b.test")[0]
        self.assertEqual((row["id"], row["label"], row["protocols"]), (made["id"], "phone", ["imap", "smtp"]))
        self.assertNotIn(made["secret"], json.dumps(row))
        self.fails(2, "label", "apppassword", "create", "app@b.test")
        self.fails(3, "try: volaryctl apppassword list app@b.test ", "apppassword", "delete", "app@b.test", "99", "--yes")
        self.fails(3, "try: volaryctl domain list ", "account", "create", "app@nowhere.test")

    def test_second_factors(self):
        name = "factor@b.test"
        self.meta.ctl_json("account", "create", name)
        self.assertEqual(self.meta.ctl_json("factor", "list", name), [])
        self.fails(4, "begin with `factor enroll`.*factor list %s" % name, "factor", "confirm", name, "123456")
        made = self.meta.ctl_json("factor", "enroll", name)
        self.assertEqual(list(made), ["account", "secret", "uri"])
        self.assertRegex(made["secret"], r"\A[A-Z2-7]{32}\Z")  # 160 bits
        self.assertIn("secret=%s&issuer=b.test" % made["secret"], made["uri"])
        self.assertEqual([f["state"] for f in self.meta.ctl_json("factor", "list", name)], ["pending"])
        self.fails(5, "not right.*with the next code", "factor", "confirm", name, stdin="123456 7\n")
        self.fails(2, "reason", "factor", "disable", name, "--override")
        self.fails(2, "neither on nor off", "apppassword", "require", name, "perhaps")
        self.assertEqual(self.meta.ctl("factor", "disable", name), (0, "", ""))  # never confirmed: no code
        self.fails(4, "no second factor", "factor", "disable", name)
        self.fails(2, "dry run", "factor", "verify", name, "123456", "--dry-run")

    def test_what_shards_must_hear_fails_without_them_and_says_so(self):
        """P17: a disable that the account's group has not heard of is not done."""
        self.meta.ctl_json("account", "create", "off@b.test")
        self.fails(6, "group could not be told.*again", "account", "disable", "off@b.test", "--timeout", "1")
        self.assertEqual(self.meta.ctl_json("account", "show", "off@b.test")["state"], "login-disabled")

    def test_the_cluster_shows_itself(self):
        status = self.meta.ctl_json("cluster", "status")
        self.assertRegex(status["cluster_id"], r"\A[0-9a-f]{32}\Z")
        self.assertEqual([(m["node"], m["role"], m["group_id"]) for m in status["members"]], [("meta-1", "leader", 0)])
        members = self.meta.ctl_json("member", "list")
        self.assertEqual([sorted(m) for m in members], [sorted(m) for m in status["members"]])
        self.assertEqual(members[0]["member_id"], status["members"][0]["member_id"])
        self.assertEqual(self.meta.ctl_json("slot", "list"), [{"first": 0, "last": 16383, "group_id": 1}])
        code, out, _ = self.meta.ctl("cluster", "status")
        self.assertEqual(code, 0)
        self.assertRegex(out, r"(?s)Cluster +[0-9a-f]{32}\n.*\nGROUP +NODE.*\n- +meta-1 +leader")

    def test_the_audit_knows_who_did_what(self):
        self.meta.ctl_json("account", "create", "audited@b.test", "--reason", "ticket 12")
        records = self.meta.ctl_json("audit", "list")
        self.assertEqual([r["sequence"] for r in records], list(range(records[0]["sequence"], records[0]["sequence"] + len(records))))
        mine = [r for r in records if "audited@b.test" in r["subject"]]
        self.assertEqual(len(mine), 1)
        self.assertIn("operator", mine[0]["actor"])
        self.assertIn("ticket 12", mine[0]["detail"])
        self.assertTrue(self.meta.ctl_json("audit", "verify")["intact"])
        code, out, _ = self.meta.ctl("audit", "export", "--from", str(mine[0]["sequence"]), "--limit", "1")
        record, end = [json.loads(line) for line in out.splitlines()]
        self.assertEqual((code, {**record, "row": ""}), (0, mine[0]))
        self.assertEqual((end["format"], end["sequence"], end["hash"]), ("volary-audit-1", mine[0]["sequence"], mine[0]["hash"]))

    def test_dry_run_changes_nothing(self):
        code, _, err = self.meta.ctl("account", "create", "dry@b.test", "--dry-run")
        self.assertEqual(code, 0, err)
        self.assertIn("nothing was changed", err)
        self.fails(3, "dry@b.test", "account", "show", "dry@b.test")
        self.fails(4, "exists", "domain", "create", "b.test", "--dry-run")

    def test_unicode_names(self):
        name = "gr\u00fcn@b.test"
        self.assertEqual(self.meta.ctl_json("account", "create", name)["account"], name)
        self.assertEqual(self.meta.ctl_json("account", "show", name)["account"], name)
        self.assertIn(name, self.meta.ctl("account", "list", "--domain", "b.test")[1])


class OddUse(Base):
    """C11: exit code and message; no partial effect."""

    def run_ctl(self, *args, **kwargs):
        return subprocess.run([CTL, "--server", self.meta.socket, *args], capture_output=True, timeout=60, check=False, **kwargs)

    def test_wrong_usage_is_2(self):
        for words in (["-rf"], ["--"], [""], ["account"], ["account", "show"], ["account", "show", ""], ["account", "show", "--", "-rf", "x"],
                      ["account", "list", "--limit", "x"], ["account", "list", "--output", "yaml"], ["quota", "set", "a@b.test", "many"]):
            done = self.run_ctl(*words)
            self.assertEqual((done.returncode, done.stdout), (2, b""), words)
            self.assertRegex(done.stderr.decode(), r"\Aerror: .*; try: .*\(USAGE\)\n\Z")

    def test_a_hundred_thousand_arguments(self):
        done = self.run_ctl("alias", "create", "many@b.test", *["a"] * 100000)
        self.assertEqual(done.returncode, 2)
        self.assertLess(len(done.stderr), 500)
        self.assertEqual([a for a in self.meta.ctl_json("alias", "list") if a["alias"] == "many@b.test"], [])

    def test_bytes_that_are_no_text(self):
        self.assertEqual(self.run_ctl(b"account", b"show", b"\xff\xfe").returncode, 2)

    def test_closed_standard_output_makes_no_account(self):
        done = subprocess.run(
            ["/bin/sh", "-c", "exec \"$@\" >&-", "sh", CTL, "--server", self.meta.socket, "account", "create", "unseen@b.test"],
            stderr=subprocess.PIPE, check=False)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn(b"standard output is closed", done.stderr)
        self.assertEqual(self.meta.ctl("account", "show", "unseen@b.test")[0], 3)

    def test_closed_standard_input_gives_no_password(self):
        done = subprocess.run(["/bin/sh", "-c", "exec \"$@\" <&-", "sh", CTL, "--server", self.meta.socket, "account", "create", "nopw@b.test",
                               "--password-stdin"], capture_output=True, check=False)
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertEqual(self.meta.ctl("account", "show", "nopw@b.test")[0], 3)

    def test_closed_standard_error_is_survived(self):
        done = subprocess.run(["/bin/sh", "-c", "exec \"$@\" 2>&-", "sh", CTL, "--server", self.meta.socket, "account", "show", "x@b.test"],
                              stdout=subprocess.PIPE, check=False)
        self.assertEqual((done.returncode, done.stdout), (3, b""))

    def test_a_reader_that_goes_away_kills_nobody(self):
        reader, writer = os.pipe()
        os.close(reader)
        done = subprocess.run([CTL, "--server", self.meta.socket, "domain", "list"], stdout=writer, stderr=subprocess.PIPE, check=False)
        os.close(writer)
        self.assertEqual(done.returncode, 1)

    def test_a_full_disk_is_a_failure(self):
        with open("/dev/full", "wb") as full:
            done = subprocess.run([CTL, "--server", self.meta.socket, "domain", "list"], stdout=full, stderr=subprocess.PIPE, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"standard output cannot be written", done.stderr)

    def on_terminal(self, typed, *args):
        main, side = pty.openpty()
        process = subprocess.Popen([CTL, "--server", self.meta.socket, *args], stdin=side, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        os.close(side)
        asked = b""
        while not asked.endswith((b"to go on: ", b"Password: ")):  # what is typed before the question is thrown away
            byte = process.stderr.read(1)
            self.assertTrue(byte, asked)
            asked += byte
        os.write(main, typed)
        out, err = process.communicate(timeout=60)
        os.close(main)
        return process.returncode, out.decode(), (asked + err).decode()

    def test_what_destroys_asks_for_the_name_on_a_terminal(self):
        self.meta.ctl_json("domain", "create", "ask.test")
        code, _, err = self.on_terminal(b"no\n", "domain", "delete", "ask.test")
        self.assertEqual(code, 8, err)
        self.assertIn("Type ask.test to go on", err)
        self.assertEqual(self.on_terminal(b"ask.test\n", "domain", "delete", "ask.test")[0], 0)
        self.assertNotIn("ask.test", [d["name"] for d in self.meta.ctl_json("domain", "list")])

    def test_a_password_typed_on_a_terminal(self):
        code, out, err = self.on_terminal(b"correct horse battery\n", "account", "create", "typed@b.test", "--password-stdin")
        self.assertEqual(code, 0, err)
        self.assertNotIn("correct horse", out + err)
        code, _, err = self.on_terminal(b"correct\x03", "account", "create", "typed2@b.test", "--password-stdin")
        self.assertEqual(code, 2, err)
        self.assertEqual(self.meta.ctl("account", "show", "typed2@b.test")[0], 3)

    def test_nobody_listens(self):
        self.fails(6, "unix:/nowhere", "account", "list", server="unix:/nowhere")
        code, _, err = self.meta.ctl("domain", "list", server="unix:/nowhere,%s" % self.meta.socket)
        self.assertEqual(code, 0, err)

    def test_a_socket_may_be_named_from_here(self):
        for words in (["--server", "unix:admin.sock"], ["--server", "unix:./admin.sock"]):
            done = subprocess.run([CTL, *words, "domain", "list"], capture_output=True, text=True, check=False, cwd=self.meta.data)
            self.assertEqual(done.returncode, 0, done.stderr)

    def test_without_a_server_the_socket_of_dev_mode_is_used(self):
        (self.meta.home / "volary-data").symlink_to(self.meta.data)
        env = {k: v for k, v in os.environ.items() if k != "VOLARY_SERVER"}
        done = subprocess.run([CTL, "domain", "list"], capture_output=True, text=True, check=False, cwd=self.meta.home, env=env)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_terminal_commands_in_names_are_not_printed(self):
        done = self.run_ctl("account", "show", "\x1b[2J@b.test")
        self.assertNotIn(b"\x1b", done.stderr + done.stdout)

    def test_help_is_on_stdout(self):
        for words in (["--help"], ["account", "--help"], ["account", "create", "--help"]):
            done = self.run_ctl(*words)
            self.assertEqual((done.returncode, done.stderr), (0, b""))
            self.assertIn(b"Usage: volaryctl", done.stdout)
            self.assertIn(b"xample", done.stdout)


class WhoMayAdminister(Base):
    def test_loopback_alone_is_nobody(self):
        self.fails(5, "unix socket", "account", "list", server=self.meta.admin)
        self.assertIn("meta.admin.denied", self.meta.tail(50))

    def test_the_socket_is_its_owners(self):
        """A12: there is no secret to guess."""
        self.assertEqual((self.meta.data / "admin.sock").stat().st_mode & 0o777, 0o600)


class Certificates(Base):
    with_tls = True

    def env(self, role, name):
        cert, key = self.meta.certificates.make(role, name)
        return {"VOLARY_TLS_CA": str(self.meta.certificates.ca), "VOLARY_TLS_CERTIFICATE": str(cert), "VOLARY_TLS_KEY": str(key)}

    def test_an_administrator_is_named_in_the_audit(self):
        code, _, err = self.meta.ctl("account", "create", "tls@b.test", server=self.meta.admin, env=self.env("admin", "ada"))
        self.assertEqual(code, 0, err)
        record = [r for r in self.meta.ctl_json("audit", "list") if "tls@b.test" in r["subject"]][0]
        self.assertIn("ada", record["actor"])

    def test_a_nodes_certificate_is_no_administrators(self):
        """H9: the role is the certificate's, not the request's."""
        self.fails(5, "not an administrator", "account", "list", server=self.meta.admin, env=self.env("frontend", "front-1"))

    def test_no_certificate_no_answer(self):
        env = self.env("admin", "bob")
        del env["VOLARY_TLS_CERTIFICATE"], env["VOLARY_TLS_KEY"]
        code, out, err = self.meta.ctl("account", "list", "--timeout", "2", server=self.meta.admin, env=env)
        self.assertIn(code, (5, 6), err)
        self.assertEqual(out, "")


class SecondAdministrator(unittest.TestCase):
    """DEL-3: with delete.second_admin two different certificates have to ask; one is not two, however often."""

    def delete(self, who, *args):
        cert, key = self.certificates[who]
        env = {"VOLARY_TLS_CA": str(self.meta.certificates.ca), "VOLARY_TLS_CERTIFICATE": str(cert), "VOLARY_TLS_KEY": str(key)}
        return self.meta.ctl(*args, "--yes", "--timeout", "3", server=self.meta.admin, env=env)

    def waits(self, who, *args):
        code, out, err = self.delete(who, *args)
        self.assertEqual(code, 0, err)
        self.assertRegex(out + err, r"(?i)another administrator|second administrator")
        self.assertEqual(self.meta.ctl_json("job", "list"), [])

    def test_two_certificates(self):
        self.meta = meta.Meta(with_tls=True, settings="delete:\n  second_admin: true\n").start()
        self.certificates = {who: self.meta.certificates.make("admin", who) for who in ("ada", "eve")}
        self.meta.ctl_json("domain", "create", "two.test")
        number = self.meta.ctl_json("account", "create", "a@two.test")["id"]
        words = ("account", "delete", "a@two.test")
        self.waits("ada", *words)
        self.waits("ada", *words)
        self.assertEqual(self.meta.ctl_json("account", "show", "a@two.test")["state"], "active")
        # There are no shards here, which the second one is told; the intent stands all the same.
        code, _, err = self.delete("eve", *words)
        self.assertEqual(code, 6, err)
        self.assertEqual([(j["kind"], j["account_id"]) for j in self.meta.ctl_json("job", "list")], [("erase-account", number)])
        self.assertEqual(self.meta.ctl("account", "show", "a@two.test")[0], 3)
        actors = [(r["action"], r["actor"]) for r in self.meta.ctl_json("audit", "list") if r["subject"] == "account %s" % number]
        self.assertEqual([action for action, _ in actors][:3], ["delete.ask", "delete.ask", "account.delete"])
        for (_, actor), who in zip(actors, ("ada", "ada", "eve")):
            self.assertIn(who, actor)
        self.assertEqual(self.meta.stop(), 0, self.meta.tail())


class Life(unittest.TestCase):
    def test_all_is_there_after_a_restart(self):
        server = meta.Meta().start()
        self.assertEqual(server.ready["ports"], {"ops": server.base + 90, "admin": server.base + 50})
        server.ctl_json("domain", "create", "stay.test")
        made = server.ctl_json("account", "create", "a@stay.test")
        self.assertEqual(server.stop(), 0, server.tail())
        server.start()
        self.assertEqual(server.ctl_json("account", "show", "a@stay.test")["id"], made["id"])
        self.assertGreater(int(server.ctl_json("account", "create", "b@stay.test")["id"]), int(made["id"]))
        server.process.kill()
        server.process.wait()
        server.start()
        self.assertEqual(server.ctl_json("account", "show", "b@stay.test")["account"], "b@stay.test")
        self.assertTrue(server.ctl_json("audit", "verify")["intact"])
        self.assertEqual(server.stop(), 0, server.tail())

    def refused(self, server, pattern):
        done = subprocess.run(server.argv(), capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual((done.returncode, done.stdout), (1, ""), done.stderr)
        self.assertRegex(done.stderr, pattern)

    def test_a_key_that_others_can_read_is_refused(self):
        """C2"""
        server = meta.Meta()
        server.key.chmod(0o644)
        self.refused(server, r"data.key.refused.*chmod 0600")

    def test_two_processes_share_no_directory(self):
        """C5"""
        server = meta.Meta().start()
        self.refused(server, r"BUSY")
        self.assertEqual(server.stop(), 0)

    def test_readiness_and_metrics(self):
        server = meta.Meta().start()
        port = server.ready["ports"]["ops"]
        self.assertEqual(volary.http_get(port, "/readyz")[0], 200)
        text = volary.http_get(port, "/metrics")[1]
        self.assertRegex(text, r"(?m)^volary_meta_ready 1$")
        self.assertTrue(re.search(r"(?m)^volary_meta_raft_commit_index [0-9]+$", text))
        self.assertEqual(server.stop(), 0)


if __name__ == "__main__":
    meta.main()
