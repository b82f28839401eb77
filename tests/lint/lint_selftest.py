#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Shows that the lint can fail: a clean small tree passes, and each planted violation is found, alone, by its rule."""
import pathlib
import tempfile
import unittest

import lint
import rows

HEAD = "/* SPDX-License-Identifier: Apache-2.0 */\n"
CLEAN = {
    "base/clock.c": HEAD + "void f(void)\n{\n    clock_gettime(0, 0);\n}\n",
    "mail/mime.c": HEAD + '#include "base/bytes.h"\n/* never strcpy() */\n',
    "frontend/conn.c": HEAD + '#include "proto/rpc.h"\n'
        'static const char *const ends[] = {[0] = "conn.client.closed", [1] = "conn.client.lost"};\n'
        "void g(int why)\n{\n"
        '    vy_log(log, VY_LOG_INFO, "conn.client.opened", VY_STR("conn.ip", f(a, b)));\n'
        '    vy_log(log, bad ? VY_LOG_WARN : VY_LOG_INFO, ends[why], VY_LOG_ERR(err));\n'
        '    vy_log(log, VY_LOG_INFO, why ? "conn.tls.ok" : "conn.tls.failed");\n}\n',
    "frontend/conn_test.c": HEAD + '#include "tests/lib/fake_loop.h"\n#include <cmocka.h>\n',
    "docs/log-keys.d/README": "Words.\n",
    "docs/rfc-matrix.md": "| RFC | what | file | test |\n| --- | --- | --- | --- |\n",
    "docs/log-keys.d/frontend":
        "event conn.client.opened  a client is there\nevent conn.client.closed  it left\nevent conn.client.lost  it broke\n"
        "event conn.tls.ok  keys agreed\nevent conn.tls.failed  not\n\n# keys\nkey conn.ip  its address\n"
        "key err.code  code\nkey err.what  step\nkey err.sys  errno\n",
}
# rule -> list of (file, text put at its end)
PLANTED = [
    ("layer", "mail/mime.c", '#include "proto/rpc.h"\n'),
    ("layer", "frontend/conn.c", '#include "shard/fsm.h"\n'),
    ("layer", "shard/fsm.c", HEAD + '#include "meta/fsm.h"\n'),
    ("layer", "shard/fsm.c", HEAD + '#include "tests/lib/fake_loop.h"\n'),
    ("owner", "shard/fsm.c", HEAD + "#include <rocksdb/c.h>\n"),
    ("owner", "meta/fsm.c", HEAD + "#include <raft.h>\n"),
    ("owner", "frontend/conn.c", "#include <nng/nng.h>\n"),
    ("owner", "frontend/conn.c", "#include <uv.h>\n"),
    ("owner", "frontend/conn.c", "#include <openssl/ssl.h>\n"),
    ("owner", "mail/mime.c", "#include <openssl/evp.h>\n"),
    ("owner", "mail/mime.c", "#include <cmocka.h>\n"),
    ("owner", "mail/mime_test.c", HEAD + "#include <uv.h>\n"),
    ("banned", "mail/mime.c", "void f(void)\n{\n    strcpy(a, b);\n}\n"),
    ("banned", "frontend/conn_test.c", "void f(void)\n{\n    atoi (a);\n}\n"),
    ("door", "mail/mime.c", "void f(void)\n{\n    time(NULL);\n}\n"),
    ("door", "frontend/conn.c", "void f(void)\n{\n    getentropy(a, 8);\n}\n"),
    ("spdx", "mail/new.c", "int x;\n"),
    ("spdx", "deploy/tool", "#!/bin/sh\ntrue\n"),
    ("spdx", "mail/CMakeLists.txt", "volary_library(mail)\n"),
    ("todo", "mail/mime.c", "/* TODO: later */\n"),
    ("plant", "mail/mime.c", "#define VOLARY_PLANT\n"),
    ("plant", "mail/CMakeLists.txt", "# " + "SPDX-License-Identifier: Apache-2.0\nadd_definitions(-DVOLARY_PLANT)\n"),
    ("todo", "mail/mime.c", "/* FIXME */\n"),
    ("generated", "proto/rpc.pb.h", HEAD),
    ("log-event", "frontend/conn.c", 'void h(void)\n{\n    vy_log(log, VY_LOG_INFO, "conn.new.event");\n}\n'),
    ("log-event", "frontend/conn.c", 'void h(void)\n{\n    imap_log(s, VY_LOG_INFO, "imap.new.event", f, 2);\n}\n'),
    ("log-event", "frontend/conn.c", "void h(const char *name)\n{\n    vy_log(log, VY_LOG_INFO, name);\n}\n"),
    ("log-event", "docs/log-keys.d/frontend", "event conn.old.event  gone\n"),
    ("log-key", "frontend/conn.c", 'void h(void)\n{\n    use(VY_U64("conn.port", 1));\n}\n'),
    ("log-key", "docs/log-keys.d/frontend", "key conn.old  gone\n"),
    ("log-page", "docs/log-keys.d/frontend", "conn.tls.ok good\n"),
    ("pure", "mail/mime.c", '#include "base/clock.h"\n'),
    ("pure", "mail/mime.c", "#include <unistd.h>\n"),
    ("matrix", "mail/mime.c", "/* RFC 2046 section 5 */\n"),
    ("matrix", "docs/rfc-matrix.md", "| 2046 | MIME | `mail/gone.c` | `mail/mime.c` |\n"),
    ("log-page", "docs/log-keys.d/other", "key conn.ip  another meaning\n"),
]


def run(files):
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        for name, text in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return lint.Lint(root).run()


class Selftest(unittest.TestCase):
    def test_a_clean_tree_has_no_faults(self):
        self.assertEqual(run(CLEAN), [])

    def test_each_planted_violation_is_found_by_its_rule_alone(self):
        for rule, name, text in PLANTED:
            with self.subTest(rule=rule, name=name, text=text):
                faults = run({**CLEAN, name: CLEAN.get(name, "") + text})
                self.assertEqual([f.split(": ")[1] for f in faults], [rule], faults)
                self.assertTrue(faults[0].startswith(name + ":"), faults)

    def test_todo_with_an_issue_is_fine(self):
        self.assertEqual(run({**CLEAN, "mail/a.c": HEAD + "/* TODO(#12) */\n"}), [])

    def test_no_rule_is_without_a_planted_violation(self):
        rules = set(lint.__doc__.split("Rules:")[1].split("lint_selftest")[0].replace(",", " ").split())
        named = {rule for rule, _, _ in PLANTED}
        self.assertTrue(named <= rules, named - rules)
        source = pathlib.Path(lint.__file__).read_text()
        for rule in ("layer", "owner", "banned", "door", "spdx", "todo", "plant", "generated", "log-event", "log-key", "log-page"):
            self.assertIn(rule, named)
            self.assertIn(rule, source)


class Rows(unittest.TestCase):
    """A page that is right has no faults, and each of these is found."""

    def faults(self, change=lambda lines: lines, test="names_M1_and_all_others " + " ".join(rows.WANTED)):
        lines = ["| %s | an answer | `mail/a_test.c` |" % row for row in rows.WANTED]
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            for name, text in ((rows.PAGE, "\n".join(change(lines))), ("mail/a_test.c", test), ("mail/a.c", test)):
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_text(text)
            return rows.faults_of(root)

    def test_a_page_with_all_rows_is_fine(self):
        self.assertEqual(self.faults(), [])

    def test_what_is_missing_doubled_or_elsewhere_is_found(self):
        first = rows.WANTED[0]
        for change, word in ((lambda l: l[1:], "missing"), (lambda l: [*l, l[0]], "twice"), (lambda l: [*l, "| Z9 | x | `mail/a_test.c` |"], "none of"),
                             (lambda l: ["| %s | x | `mail/b_test.c` |" % first, *l[1:]], "not there"),
                             (lambda l: ["| %s | x | `mail/a.c` |" % first, *l[1:]], "no test"),
                             (lambda l: ["| %s | x | none |" % first, *l[1:]], "no test"),
                             (lambda l: ["| %s |  | `mail/a_test.c` |" % first, *l[1:]], "no answer")):
            with self.subTest(word):
                faults = self.faults(change)
                self.assertTrue(faults and word in faults[-1], faults)

    def test_a_test_that_only_says_a_longer_number_does_not_count(self):
        faults = self.faults(test="S10 M11 " + " ".join(row for row in rows.WANTED if row not in ("S1", "M1")))
        self.assertEqual([fault.split(": ")[2] for fault in faults], ["S1", "M1"], faults)


if __name__ == "__main__":
    unittest.main()
