#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Mail programs of Debian against the running server: swaks, curl, msmtp, smtplib, imaplib, mbsync, mutt, fetchmail, gsasl.

A program that is not installed fails its test: `deploy/dependencies test` installs all of them.
"""
import email.message
import email.policy
import hashlib
import imaplib
import mailbox
import os
import pathlib
import re
import shutil
import smtplib
import socket
import ssl
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent / "lib"))
import volary
from scram import imap_sign_in
from wire import Imap, Smtp, Wire, any_certificate


class ClientCase(volary.Case):
    def setUp(self):
        super().setUp()
        self.name = "%s@dev.test" % self._testMethodName.replace("test_", "").replace("_", "-")[:40]
        self.password = volary.PASSWORD
        self.server.create_account(self.name)
        self.home = volary.folder("client")

    def run_client(self, *argv, stdin=None, ok=(0,)):
        self.assertTrue(shutil.which(argv[0]), "%s is not installed: deploy/dependencies test" % argv[0])
        done = subprocess.run(argv, input=stdin, capture_output=True, text=True, timeout=120, check=False,
                              env={**os.environ, "HOME": str(self.home), "LC_ALL": "C.UTF-8"})
        self.assertIn(done.returncode, ok, "%s: exit %d\n%s\n%s" % (argv[0], done.returncode, done.stdout[-2000:], done.stderr[-2000:]))
        return done.stdout

    def private(self, name, text):
        path = self.home / name
        path.write_text(text)
        path.chmod(0o600)
        return str(path)

    def deliver(self, content):
        with Smtp(self.server.port("smtp")) as smtp:
            reply = smtp.deliver(self.name, content)
            self.assertTrue(reply.startswith("250"), reply)

    def sign_ins(self):
        """(kind, name, password) of each kind of password. All names but the first are new accounts."""
        app = self.server.ctl_json("apppassword", "create", self.name, "--label", "phone", "--protocols", "imap,smtp")["secret"]
        made = "made-%s" % self.name
        return (("chosen", self.name, self.password), ("app", self.name, app),
                ("generated", made, self.server.ctl_json("account", "create", made, "--generate")["password"]))

    def last_mechanism(self, name):
        """How the last sign-in of an account that succeeded was made."""
        return next(l for l in self.server.ctl_json("login", "list", name) if l["result"] == "ok")["mechanism"]

    def bodies(self, box="INBOX"):
        with Imap(self.server.port("imap"), self.name, self.password) as imap:
            imap.command("SELECT %s" % box)
            return [line.split(b"\r\n", 1)[1].rsplit(b")", 1)[0] for line in imap.command("FETCH 1:* (BODY.PEEK[])").lines("BODY[]")]


class Senders(ClientCase):
    def test_swaks(self):
        for port, options in (("smtp", ["-tls"]), ("submission", ["-tls", "-a", "PLAIN"]), ("submission", ["-a", "LOGIN"]),
                              ("submissions", ["--tls-on-connect", "-a", "PLAIN"]), ("smtp", ["-pipeline"])):
            with self.subTest(port, options=options):
                login = ["--auth-user", self.name, "--auth-password", self.password] if "-a" in options else []
                self.run_client("swaks", "--server", "127.0.0.1", "--port", str(self.server.port(port)), "--to", self.name,
                                "--from", self.name if login else "peer@elsewhere.test", "--header", "Subject: swaks", "--body", "by swaks",
                                *options, *login)
        self.assertEqual(len(self.bodies()), 5)

    def test_swaks_lmtp(self):
        self.run_client("swaks", "--protocol", "LMTP", "--server", "127.0.0.1", "--port", str(self.server.port("lmtp")), "--to", self.name,
                        "--from", "peer@elsewhere.test")
        self.assertEqual(len(self.bodies()), 1)

    def test_swaks_wrong_password_fails(self):
        self.run_client("swaks", "--server", "127.0.0.1", "--port", str(self.server.port("submission")), "--to", self.name, "--auth-user",
                        self.name, "--auth-password", "wrong", "-a", "PLAIN", ok=(28,))

    def msmtp(self, name, password, *settings, port="submission"):
        config = self.private("msmtprc", "account default\nhost 127.0.0.1\nport %d\nfrom %s\nuser %s\npassword %s\ntls_certcheck off\n%s\n" % (
            self.server.port(port), name, name, password, "\n".join(settings)))
        self.run_client("msmtp", "-C", config, self.name, stdin="Subject: msmtp\n\nby msmtp\n.leading dot\n")

    def test_msmtp(self):
        for kind, name, password in self.sign_ins():
            with self.subTest(kind):
                self.msmtp(name, password, "auth on", "tls on")  # chooses PLAIN
                self.msmtp(name, password, "auth on", "tls off")
                self.assertEqual(self.last_mechanism(name), "SCRAM-SHA-256", "what msmtp chooses by itself without TLS")
                self.msmtp(name, password, "auth scram-sha-256", "tls on", "tls_starttls off", port="submissions")
                self.assertEqual(self.last_mechanism(name), "SCRAM-SHA-256")
        self.assertEqual(len(self.bodies()), 9)
        self.assertIn(b"\r\n.leading dot\r\n", self.bodies()[0])

    def test_curl_smtp_and_imap(self):
        message = self.private("mail.txt", "Subject: curl\r\n\r\nby curl\r\n")
        self.run_client("curl", "-sS", "-k", "--ssl-reqd", "smtp://127.0.0.1:%d/client.test" % self.server.port("submission"), "-u",
                        "%s:%s" % (self.name, self.password), "--mail-from", self.name, "--mail-rcpt", self.name, "-T", message)
        text = self.run_client("curl", "-sS", "-k", "imaps://127.0.0.1:%d/INBOX;MAILINDEX=1" % self.server.port("imaps"), "-u",
                               "%s:%s" % (self.name, self.password))
        self.assertIn("by curl", text)
        self.run_client("curl", "-sS", "-k", "imap://127.0.0.1:%d/INBOX" % self.server.port("imap"), "-u", "%s:%s" % (self.name, self.password),
                        "-T", message)
        self.assertEqual(len(self.bodies()), 2)

    def test_python_smtplib(self):
        message = email.message.EmailMessage(policy=email.policy.SMTP)
        message["From"] = message["To"] = self.name
        message["Subject"] = "p\u00fcthon"
        message.set_content("body \u00e9\n")
        with smtplib.SMTP("127.0.0.1", self.server.port("submission")) as smtp:
            smtp.starttls(context=any_certificate())
            smtp.login(self.name, self.password)
            self.assertEqual(smtp.send_message(message, self.name, [self.name]), {})
            with self.assertRaises(smtplib.SMTPRecipientsRefused):
                smtp.sendmail(self.name, ["nobody@dev.test"], "Subject: x\n\nx")
        with smtplib.SMTP_SSL("127.0.0.1", self.server.port("submissions"), context=any_certificate()) as smtp:
            smtp.login(self.name, self.password)
            smtp.sendmail(self.name, [self.name], b"Subject: ssl\r\n\r\nx")
        self.assertEqual(len(self.bodies()), 2)


class Readers(ClientCase):
    def test_python_imaplib(self):
        with imaplib.IMAP4_SSL("127.0.0.1", self.server.port("imaps"), ssl_context=any_certificate()) as imap:
            imap.login(self.name, self.password)
            self.assertEqual(imap.append("INBOX", "(\\Seen)", None, b"Subject: one\r\n\r\nbody")[0], "OK")
            self.assertEqual(imap.select()[1], [b"1"])
            self.assertIn(b"\\Seen", imap.fetch("1", "(FLAGS)")[1][0])
            self.assertEqual(imap.search(None, "SUBJECT", "one")[1], [b"1"])
            self.assertEqual(imap.create("Filed")[0], "OK")
            self.assertEqual(imap.copy("1", "Filed")[0], "OK")
            self.assertEqual(imap.store("1", "+FLAGS", "\\Deleted")[0], "OK")
            self.assertEqual(imap.expunge()[1], [b"1"])
            self.assertEqual(imap.select("Filed")[1], [b"1"])
        with imaplib.IMAP4("127.0.0.1", self.server.port("imap")) as imap:
            imap.starttls(ssl_context=any_certificate())
            imap.authenticate("PLAIN", lambda _: ("\0%s\0%s" % (self.name, self.password)).encode())
            with self.assertRaises(imaplib.IMAP4.error):
                imap.select("Missing")
                imap.search(None, "ALL")

    def mbsync(self, maildir, name=None, password=None):
        config = self.private("mbsyncrc", "IMAPAccount v\nHost 127.0.0.1\nPort %d\nUser %s\nPass %s\nSSLType None\n\n"
                              "IMAPStore far\nAccount v\n\nMaildirStore near\nPath %s/\nInbox %s/INBOX\nSubFolders Verbatim\n\n"
                              "Channel c\nFar :far:\nNear :near:\nPatterns *\nCreate Both\nRemove Both\nExpunge Both\nSyncState *\n"
                              % (self.server.port("imap"), name or self.name, password or self.password, maildir, maildir))
        self.run_client("mbsync", "-c", config, "-a")

    def test_mbsync_signs_in(self):
        for kind, name, password in self.sign_ins():
            with self.subTest(kind):
                maildir = self.home / kind
                maildir.mkdir()
                self.mbsync(maildir, name, password)
                self.assertTrue((maildir / "INBOX").is_dir())
                self.assertEqual(self.last_mechanism(name), "SCRAM-SHA-256", "what mbsync chooses by itself")

    def local(self, maildir, box="INBOX"):
        """Contents in the maildir without mbsync's own header, by subject."""
        found = {}
        for message in mailbox.Maildir(maildir / box, create=False):
            text = b"\n".join(l for l in message.as_bytes().replace(b"\r\n", b"\n").split(b"\n") if not l.startswith(b"X-TUID:"))
            found[message["Subject"]] = (text.rstrip(), message.get_flags())
        return found

    def test_mbsync_both_ways(self):
        for i in range(5):
            self.deliver(b"Subject: far-%d\r\n\r\nfar body %d\r\n" % (i, i))
        maildir = self.home / "Maildir"
        maildir.mkdir()
        self.mbsync(maildir)
        local = self.local(maildir)
        far = {line.split(b"Subject: ")[1].split(b"\r\n")[0].decode(): line.replace(b"\r\n", b"\n").rstrip() for line in self.bodies()}
        self.assertEqual({s: text for s, (text, _) in local.items()}, far)
        box = mailbox.Maildir(maildir / "INBOX", create=False)
        box.add("Subject: near-1\n\nnear body\n")
        for key, message in list(box.items()):
            if message["Subject"] == "far-0":
                message.add_flag("S")
                box[key] = message
            if message["Subject"] == "far-1":
                message.add_flag("T")
                box[key] = message
        archive = mailbox.Maildir(maildir / "Archive-near", create=True)
        archive.add("Subject: filed\n\nx\n")
        self.mbsync(maildir)
        subjects = [b.split(b"Subject: ")[1].split(b"\r\n")[0] for b in self.bodies()]
        self.assertEqual(sorted(subjects), [b"far-0", b"far-2", b"far-3", b"far-4", b"near-1"])
        self.assertIn(b"filed", self.bodies("Archive-near")[0])
        with Imap(self.server.port("imap"), self.name, self.password) as imap:
            imap.command("SELECT INBOX")
            self.assertIn("1", imap.command("SEARCH SEEN SUBJECT far-0").text())
        again = self.home / "Again"
        again.mkdir()
        for state in self.home.glob(".mbsync/*"):
            state.unlink()
        self.mbsync(again)
        self.assertEqual(set(self.local(again)), {"far-0", "far-2", "far-3", "far-4", "near-1"})

    def mutt(self, name, password, commands):
        config = self.private("muttrc", "set folder=imap://127.0.0.1:%d/\nset spoolfile=+INBOX\nset imap_user=%s\nset imap_pass=\"%s\"\n"
                              "set ssl_starttls=no\nset ssl_force_tls=no\nset mail_check=5\nset copy=no\nset confirmappend=no\n"
                              "set header_cache=\nset sort=threads\nset delete=yes\nset quit=yes\nset wait_key=no\n"
                              % (self.server.port("imap"), name, password))
        self.run_client("script", "-qec", "TERM=xterm mutt -n -F %s -e \"set confirmcreate=no\" -e \"push '%s'\"" % (config, commands),
                        "/dev/null")
        self.assertEqual(self.last_mechanism(name), "SCRAM-SHA-256", "what mutt chooses by itself")

    def test_mutt(self):
        self.deliver(b"Subject: for-mutt\r\n\r\nread me\r\n")
        # Tag all, copy them into a new mailbox, leave.
        self.mutt(self.name, self.password, "<tag-pattern>~A<enter><tag-prefix><copy-message>=Copied<enter>y<quit>")
        self.assertEqual(len(self.bodies("Copied")), 1)
        self.assertIn(b"read me", self.bodies("Copied")[0])

    def test_mutt_signs_in(self):
        for kind, name, password in self.sign_ins():
            with self.subTest(kind):
                self.mutt(name, password, "<quit>")

    def fetchmail(self, name, password, out, ok=(0,)):
        config = self.private("fetchmailrc", "poll 127.0.0.1 protocol IMAP port %d username \"%s\" password \"%s\" no sslcertck sslproto \"\" "
                              "mda \"cat >> %s\" fetchall\n" % (self.server.port("imap"), name, password, out))
        self.run_client("fetchmail", "-f", config, "--pidfile", str(self.home / "pid"), "-v", ok=ok)

    def test_fetchmail(self):
        for i in range(3):
            self.deliver(b"Subject: fetch-%d\r\n\r\nx\r\n" % i)
        out = self.home / "fetched"
        self.fetchmail(self.name, self.password, out)
        text = out.read_text()
        self.assertEqual([("fetch-%d" % i) in text for i in range(3)], [True] * 3)
        self.assertEqual(self.bodies(), [], "fetchmail removes what it took")

    def test_fetchmail_signs_in(self):
        for kind, name, password in self.sign_ins():
            with self.subTest(kind):
                self.fetchmail(name, password, self.home / "none", ok=(1,))  # 1: no mail
                self.assertTrue(self.last_mechanism(name))


class OpenSsl(Wire):
    """IMAP inside `openssl s_client`, past the greeting. Python's ssl does not export keying material."""
    def __init__(self, port):
        ours, theirs = socket.socketpair()
        self.process = subprocess.Popen(["openssl", "s_client", "-connect", "127.0.0.1:%d" % port, "-ign_eof", "-keymatexport",
                                         "EXPORTER-Channel-Binding", "-keymatexportlen", "32"],
                                        stdin=theirs, stdout=theirs, stderr=subprocess.DEVNULL)
        theirs.close()
        ours.settimeout(20)
        self.socket, self.unread = ours, b""
        while b"Keying material: " not in self.unread or b"* OK" not in self.unread:
            assert self.fill(), self.unread
        self.exporter = bytes.fromhex(re.search(rb"Keying material: ([0-9A-F]{64})", self.unread)[1].decode())
        self.unread = self.unread[self.unread.index(b"* OK"):]
        self.line()

    def close(self):
        self.process.kill()
        self.process.wait()
        super().close()


class ChannelBinding(ClientCase):
    def gsasl(self, name, password, *options, ok=(0,)):
        return self.run_client("gsasl", "--imap", "--starttls", "--x509-ca-file=", "--quiet", "-d", "-a", name, "-z", name,
                               "-p", password, *options, "--connect=127.0.0.1:%d" % self.server.port("imap"), stdin="", ok=ok)

    def test_gsasl_tls_exporter(self):
        for kind, name, password in self.sign_ins():
            with self.subTest(kind):
                self.gsasl(name, password, "-m", "SCRAM-SHA-256-PLUS")
                self.assertEqual(self.last_mechanism(name), "SCRAM-SHA-256-PLUS")
                self.gsasl(name, password, "-m", "SCRAM-SHA-256", "--no-cb")
                self.assertEqual(self.last_mechanism(name), "SCRAM-SHA-256")
        self.gsasl(self.name, "wrong password", "-m", "SCRAM-SHA-256-PLUS", ok=(1,))

    def end_point(self, name, password, spoil=b""):
        """Signs in by SCRAM-SHA-256-PLUS, bound to the certificate (RFC 5929 section 4.1); the tagged answer."""
        with Imap(self.server.port("imaps"), tls=True) as imap:
            # The hash is that of the certificate's signature: ECDSA with SHA-256.
            binding = hashlib.sha256(imap.socket.getpeercert(binary_form=True)).digest() + spoil
            return imap_sign_in(imap, "SCRAM-SHA-256-PLUS", b"p=tls-server-end-point,,", binding, name, password)

    def test_tls_server_end_point(self):
        for kind, name, password in self.sign_ins():
            with self.subTest(kind):
                self.assertTrue(self.end_point(name, password).startswith("s OK"))
                self.assertEqual(self.last_mechanism(name), "SCRAM-SHA-256-PLUS")
        self.assertIn("NO [AUTHENTICATIONFAILED]", self.end_point(self.name, "wrong password"))
        self.assertIn("NO [AUTHENTICATIONFAILED]", self.end_point(self.name, self.password, spoil=b"x"))

    def exporter(self, name, password, spoil=b""):
        """The same, bound to the connection itself (RFC 9266): openssl carries it and tells the keying material."""
        with OpenSsl(self.server.port("imaps")) as imap:
            return imap_sign_in(imap, "SCRAM-SHA-256-PLUS", b"p=tls-exporter,,", imap.exporter + spoil, name, password)

    def test_tls_exporter(self):
        for kind, name, password in self.sign_ins():
            with self.subTest(kind):
                self.assertTrue(self.exporter(name, password).startswith("s OK"))
                self.assertEqual(self.last_mechanism(name), "SCRAM-SHA-256-PLUS")
        self.assertIn("NO [AUTHENTICATIONFAILED]", self.exporter(self.name, "wrong password"))
        self.assertIn("NO [AUTHENTICATIONFAILED]", self.exporter(self.name, self.password, spoil=b"x"))


if __name__ == "__main__":
    volary.main()
