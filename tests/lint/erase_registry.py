#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""P8: a table without a handler for erasing fails the build. Adds such tables to copies of the registries and compiles what
uses them: each must fail, for the reason that is named here, and the registries as they are must not.

erase_registry.py BUILD_DIR"""
import json
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
META, SHARD, ENGINE = "meta/tables.h", "shard/keys.h", "replica/replica.h"


def add_row(text, row):
    """Behind the last row of the X(...) list."""
    rows = list(re.finditer(r"^    X\(\w+,.*\)(?= *\\?$)", text, re.M))
    last = rows[-1]
    return text[:last.end()] + " \\\n    " + row + text[last.end():]


# what is changed, how, who must notice, and by which words of the compiler
CASES = [
    (META, lambda t: t, "meta/erase.c", None),
    (SHARD, lambda t: t, "shard/fence.c", None),
    (META, lambda t: add_row(t, 'X(EXTRA, "extra", 0)'), "meta/erase.c", r"requires 4 arguments|too few arguments"),
    (META, lambda t: add_row(t, 'X(EXTRA, "extra", 0, )'), "meta/erase.c", r"expected expression"),
    (META, lambda t: add_row(t, 'X(EXTRA, "extra", 0, erase_extra)'), "meta/erase.c", r"erase_extra"),
    (META, lambda t: add_row(t, 'X(EXTRA, "extra", 0, erase_extra)'), "meta/group.c", r"LEAVES_erase_extra"),
    (SHARD, lambda t: add_row(t, 'X(EXTRA, "extra")'), "shard/fence.c", r"requires 3 arguments|too few arguments"),
    (SHARD, lambda t: add_row(t, 'X(EXTRA, "extra", erase_extra)'), "shard/fence.c", r"erase_extra"),
    (ENGINE, lambda t: t.replace("REPLICA_FAMILY_IDEM, REPLICA_FAMILY_FIRST", "REPLICA_FAMILY_IDEM, REPLICA_FAMILY_EXTRA, REPLICA_FAMILY_FIRST"),
     "shard/fence.c", r"P8: say what an account leaves"),
    (ENGINE, lambda t: t.replace("REPLICA_FAMILY_IDEM, REPLICA_FAMILY_FIRST", "REPLICA_FAMILY_IDEM, REPLICA_FAMILY_EXTRA, REPLICA_FAMILY_FIRST"),
     "meta/erase.c", r"P8: say what an account leaves"),
]


def command_of(commands, source):
    words = shlex.split(next(c["command"] for c in commands if c["file"] == str(ROOT / source)))
    words = words[1:] if pathlib.Path(words[0]).name == "ccache" else words
    for option in ("-o", "-MF", "-MT"):
        at = words.index(option) if option in words else -1
        if at >= 0:
            del words[at:at + 2]
    return [w for w in words if w not in ("-c", "-MD")] + ["-fsyntax-only"]


def check(commands, header, change, source, expected):
    text = (ROOT / header).read_text()
    changed = change(text)
    if expected and changed == text:
        return "%s: the change does not apply any more" % header
    with tempfile.TemporaryDirectory() as overlay:
        copy = pathlib.Path(overlay) / header
        copy.parent.mkdir(parents=True)
        copy.write_text(changed)
        words = command_of(commands, source)
        done = subprocess.run(words[:1] + ["-I", overlay] + words[1:], capture_output=True, text=True, check=False)
    if expected is None:
        return done.stderr if done.returncode != 0 else None
    if done.returncode == 0:
        return "%s compiles with a table that nobody erases (%s)" % (source, header)
    return None if re.search(expected, done.stderr) else "%s: another error than expected: %s" % (source, done.stderr[:600])


def main():
    commands = json.loads((pathlib.Path(sys.argv[1]) / "compile_commands.json").read_text())
    problems = [p for p in (check(commands, *case) for case in CASES) if p]
    for problem in problems:
        print(problem)
    print("%d registries and changes checked, %d problems" % (len(CASES), len(problems)))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
