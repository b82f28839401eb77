#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""links.py [ROOT]: the arrows between folders as CMake links them. Prints FILE:LINE: link: what; exits 1 if it printed.

Reads the volary_library, volary_program, volary_test and volary_fuzzer calls of the layers' folders. What a target links
must live in a folder that its own folder may include (lint.py's table); the protocol cores and mail have shorter lists
of their own. (lint.py holds their includes; a library behind a library is not looked at here.)
"""
import pathlib
import re
import sys

from lint import LAYERS, line_of

CALL = re.compile(r"volary_(library|program|test|fuzzer)\(\s*(\S+)(.*?)\)", re.S)
COMMENT = re.compile(r"#[^\n]*")
# Pure targets: all that they may link.
CORE = {"base", "mail", "proto", "keys", "sasl", "fetch_stream", "dep::crypto"}
PURE = {"base": {"Threads::Threads"}, "mail": {"base", "dep::utf8proc", "dep::idn2"}, "sasl": CORE, "smtp": CORE, "imap": CORE}
TESTS_ONLY = {"testlib", "meta_testlib", "shard_testlib", "replica_testlib"}


def blank_comment(match):
    return " " * len(match[0])


class Target:
    def __init__(self, kind, name, file, line, sources, links):
        self.kind, self.name, self.file, self.line, self.links = kind, name, file, line, links
        self.is_for_tests = any("tests/" in source or "_fixture.c" in source for source in sources) or name.endswith("_double")
        self.folder = file.split("/")[0]


def read_targets(root):
    targets = []
    for folder in LAYERS:
        for path in sorted((root / folder).rglob("*")):
            if path.name != "CMakeLists.txt" and path.suffix != ".cmake":
                continue
            text = COMMENT.sub(blank_comment, path.read_text())
            for match in CALL.finditer(text):
                words = match[3].split()
                links = words[words.index("LINK") + 1:] if "LINK" in words else []
                stop = [i for i, word in enumerate(links) if word in ("SOURCES", "LABELS")]
                links = links[:stop[0]] if stop else links
                targets.append(Target(match[1], match[2], str(path.relative_to(root)), line_of(text, match.start()), words, links))
    return targets


def faults_of(root):
    targets = read_targets(root)
    libraries = {t.name: t for t in targets if t.kind == "library"}
    faults = []
    for target in targets:
        for link in target.links:
            other = libraries.get(link)
            if link in TESTS_ONLY and target.kind == "library" and not target.is_for_tests:
                faults.append((target, f"{target.name} is no test and links {link}"))
            elif other and other.folder not in LAYERS[target.folder] and link not in TESTS_ONLY:
                faults.append((target, f"{target.name} in {target.folder}/ links {link} of {other.folder}/"))
    for name, allowed in PURE.items():
        for link in sorted(set(libraries[name].links) - allowed) if name in libraries else []:
            faults.append((libraries[name], f"{name} is a pure core and links {link}"))
    return [f"{t.file}:{t.line}: link: {what}" for t, what in faults]


def main():
    faults = faults_of(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "."))
    for fault in faults:
        print(fault)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
