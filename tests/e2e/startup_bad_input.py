#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What `volary serve` refuses at its start, in one clear line, with nothing on stdout: rows C1, C2, C4, C5.

Each fault is asked for twice where `--check-config` can see it: the check and the start give the same verdict.
"""
import os
import pathlib
import re
import signal
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent / "lib"))
import volary

MIB = 1024 * 1024
CA_CONFIG = """[ca]
default_ca = one
[one]
database = {home}/index
new_certs_dir = {home}
serial = {home}/serial
default_md = sha256
policy = any
[any]
commonName = supplied
"""


class Startup(unittest.TestCase):
    def setUp(self):
        self.home = volary.folder("start")
        self.base = volary.port_base()
        self.key = self.home / "cluster.key"
        self.secret(self.key, "5a" * 32 + "\n")
        self.config = self.home / "volary.yaml"
        self.text = "\n".join((
            "cluster: {name: start.test}", "node: {name: one}",
            'meta: {members: [{id: 1, node: one, link: "inproc:meta"}]}',
            'group: {id: 1, members: [{id: 2, node: one, link: "inproc:shard"}]}',
            "data: {dir: %s, key_file: %s}" % (self.home / "data", self.key),
            "ports: {imap: %d}" % (self.base + 143), ""))

    def secret(self, path, text):
        path.write_text(text)
        path.chmod(0o600)

    def run_volary(self, *options, env=None):
        return subprocess.run([str(volary.BIN / "volary"), "serve", "--config", str(self.config), *options], capture_output=True,
                              text=True, timeout=60, check=False, env={**os.environ, **(env or {})})

    def start(self, env=None):
        """A process that serves."""
        self.log = self.home / "stderr.log"
        with open(self.log, "ab") as log:
            process = subprocess.Popen([str(volary.BIN / "volary"), "serve", "--config", str(self.config)], stdout=subprocess.PIPE,
                                       stderr=log, text=True, env={**os.environ, **(env or {})})
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.assertIn('"ready"', process.stdout.readline())
        return process

    def assert_refused(self, done, *words):
        self.assertNotEqual(done.returncode, 0)
        self.assertGreater(done.returncode, 0, "an exit code, no signal")
        self.assertEqual(done.stdout, "")
        for word in words:
            self.assertIn(word, done.stderr)

    def assert_both_refuse(self, *words):
        check, run = self.run_volary("--check-config"), self.run_volary()
        self.assert_refused(check, *words)
        self.assert_refused(run, *words)
        self.assertEqual(check.stderr, run.stderr, "one verdict")
        self.assertFalse((self.home / "data").exists(), "nothing was begun")


class Configuration(Startup):
    def test_the_file_itself_is_right(self):
        self.config.write_text(self.text)
        self.assertEqual(self.run_volary("--check-config").returncode, 0)

    def test_faults_are_named_by_file_line_and_key_C1(self):
        line = self.text.count("\n") + 1
        for fault, word in (("no_such_key: 1", "no_such_key"), ("node: {name: two}", "node"), ("limits: {connections: 5s}", "limits.connections"),
                            ("limits: {connections: -5}", "limits.connections"), ("limits: {connections: 18446744073709551616}", "limits.connections"),
                            ("cache: {size: 10MB}", "cache"), ("limits: {conections: 5}", "limits.connections")):
            with self.subTest(fault):
                self.config.write_text(self.text + fault + "\n")
                self.assert_both_refuse("volary.yaml:%d:" % line, word)

    def test_files_that_are_none_C1(self):
        utf16 = self.text.encode("utf-16")
        for name, data, word in (("empty", b"", "volary.yaml:1: the file is empty"), ("utf-16", utf16, "UTF-16"),
                                 ("binary", bytes(range(1, 256)) * 4, "volary.yaml:"), ("nul", b"node: {name: a\0b}\n", "volary.yaml:1:")):
            with self.subTest(name):
                self.config.write_bytes(data)
                self.assert_both_refuse(word)

    def test_a_mark_in_front_is_no_fault_C1(self):
        self.config.write_bytes(b"\xef\xbb\xbf" + self.text.encode())
        self.assertEqual(self.run_volary("--check-config").returncode, 0)

    def test_a_file_of_100_mib_is_refused_unread_C1(self):
        with open(self.config, "wb") as file:
            file.truncate(100 * MIB)
        self.assert_both_refuse("volary.yaml: the file is larger than 1 MiB")

    def test_no_file_a_folder_and_a_pipe_C1(self):
        self.assert_both_refuse("volary.yaml")
        self.config.mkdir()
        self.assert_both_refuse("volary.yaml")

    def test_the_environment_is_held_to_the_same_C1(self):
        self.config.write_text(self.text)
        for name in ("VOLARY_NO__SUCH", "VOLARY_LIMITS__CONNECTIONS"):
            with self.subTest(name):
                for options in (("--check-config",), ()):
                    self.assert_refused(self.run_volary(*options, env={name: "x"}), "environment: ")

    def test_a_file_that_went_bad_leaves_what_runs_alone_C3(self):
        """SIGHUP reads the file again: one with faults changes nothing and is told; a good one is taken."""
        self.config.write_text(self.text)
        process = self.start()
        self.config.write_text("no_such_key: 1\n")
        self.assert_refused(self.run_volary("--check-config"), "no_such_key")
        process.send_signal(signal.SIGHUP)
        self.wait_log("program.reload.refused")
        with volary.socket.create_connection(("127.0.0.1", self.base + 143), 10) as imap:
            self.assertTrue(imap.recv(100).startswith(b"* OK"))
        self.config.write_text(self.text)
        process.send_signal(signal.SIGHUP)
        self.wait_log("program.reload.ok")
        self.assertIsNone(process.poll())

    def wait_log(self, event):
        volary.wait_for(event, lambda: event in self.log.read_text())


class Secrets(Startup):
    def certificate(self, name, *options):
        key, file = self.home / (name + ".key"), self.home / (name + ".pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=localhost",
                        "-keyout", str(key), "-out", str(file), *options], check=True, capture_output=True)
        key.chmod(0o600)
        return file, key

    def expired(self):
        """A certificate of yesterday."""
        _, key = self.certificate("late")
        file, request, config = self.home / "late.pem", self.home / "late.csr", self.home / "ca.conf"
        config.write_text(CA_CONFIG.format(home=self.home))
        (self.home / "index").write_text("")
        (self.home / "serial").write_text("01\n")
        subprocess.run(["openssl", "req", "-new", "-key", str(key), "-subj", "/CN=localhost", "-out", str(request)], check=True, capture_output=True)
        subprocess.run(["openssl", "ca", "-batch", "-config", str(config), "-selfsign", "-keyfile", str(key), "-in", str(request), "-out", str(file),
                        "-startdate", "20200101000000Z", "-enddate", "20200201000000Z", "-notext"], check=True, capture_output=True)
        return file, key

    def with_tls(self, files):
        self.config.write_text(self.text + "tls: {certificate: %s, key: %s}\n" % files)

    def test_a_cluster_key_that_others_can_read_is_refused_C2(self):
        self.config.write_text(self.text)
        for mode in (0o640, 0o604, 0o644):
            self.key.chmod(mode)
            self.assert_refused(self.run_volary(), str(self.key), "chmod 0600")
        self.assertFalse(list((self.home / "data").rglob("*.log")), "nothing was begun")

    def test_a_cluster_key_that_is_none_is_refused_C2(self):
        self.config.write_text(self.text)
        for text in ("", "5a" * 31, "zz" * 32):
            with self.subTest(text):
                self.secret(self.key, text)
                self.assert_refused(self.run_volary(), str(self.key))

    def test_a_tls_key_that_others_can_read_is_refused_C2(self):
        file, key = self.certificate("good")
        key.chmod(0o644)
        self.with_tls((file, key))
        self.assert_refused(self.run_volary(), "readable by others")

    def test_the_key_of_another_certificate_is_refused_C2(self):
        self.with_tls((self.certificate("good")[0], self.certificate("other")[1]))
        self.assert_refused(self.run_volary(), "TLS key")

    def test_an_expired_certificate_is_refused_C2(self):
        self.with_tls(self.expired())
        self.assert_refused(self.run_volary(), "expired")

    def with_link_certificate(self, uri):
        file, key = self.certificate("link", "-addext", "subjectAltName=URI:" + uri)
        own = "node: {name: one, certificate: %s, key: %s, ca: %s}" % (file, key, file)
        self.config.write_text(self.text.replace("node: {name: one}", own))

    def test_the_link_certificate_of_another_node_or_cluster_is_refused_C2(self):
        for uri, why in (("spiffe://start.test/meta/two", "another node's"), ("spiffe://elsewhere/meta/one", "another cluster")):
            with self.subTest(uri):
                self.with_link_certificate(uri)
                self.assert_refused(self.run_volary(), why)
        self.with_link_certificate("spiffe://start.test/meta/one")
        self.start()


class DataDirectory(Startup):
    def test_two_processes_share_no_directory_C5(self):
        self.config.write_text(self.text)
        first = self.start()
        second = self.run_volary(env={"VOLARY_PORTS__IMAP": str(self.base + 144)})
        self.assert_refused(second, "BUSY")
        self.assertIsNone(first.poll())

    def test_the_directory_of_another_member_or_key_is_refused_C4(self):
        self.config.write_text(self.text)
        process = self.start()
        process.terminate()
        self.assertEqual(process.wait(60), 0)
        for mine, other in (("{id: 1, node", "{id: 7, node"), ("{id: 2, node", "{id: 7, node"), ("group: {id: 1,", "group: {id: 7,")):
            with self.subTest(other):
                self.config.write_text(self.text.replace(mine, other))
                self.assert_refused(self.run_volary(), "the directory belongs to another", str(self.home / "data"))
        self.config.write_text(self.text)
        self.secret(self.key, "a5" * 32 + "\n")
        self.assert_refused(self.run_volary(), "event=data.key.refused", str(self.key))
        self.secret(self.key, "5a" * 32 + "\n")
        self.start()

    def test_a_directory_that_cannot_be_written_is_refused_C4(self):
        self.config.write_text(self.text)
        data = self.home / "data"
        data.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "ro,size=1m", "tmpfs", str(data)], capture_output=True, check=False).returncode != 0:
            self.skipTest("no right to mount")
        self.addCleanup(subprocess.run, ["umount", "-l", str(data)], check=False)
        self.assert_refused(self.run_volary(), "event=replica.open.refused", str(data), "Read-only file system", "err.next=")

    def test_a_directory_on_a_memory_disk_is_warned_of_C4(self):
        self.config.write_text(self.text)
        data = self.home / "data"
        data.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1g", "tmpfs", str(data)], capture_output=True, check=False).returncode != 0:
            self.skipTest("no right to mount")
        self.addCleanup(subprocess.run, ["umount", "-l", str(data)], check=False)
        self.start()
        self.assertRegex(self.log.read_text(), r"level=warn event=program\.data\.volatile .*sys\.path=%s " % re.escape(str(data)))

    def test_a_file_in_the_place_of_the_directory_is_refused_C4(self):
        self.config.write_text(self.text)
        (self.home / "data").write_text("")
        self.assert_refused(self.run_volary(), "data.dir is not a directory")


if __name__ == "__main__":
    volary.main()
