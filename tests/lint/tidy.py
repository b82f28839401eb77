#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tidy.py format|tidy BUILD_DIR [FILE...]: clang-format and clang-tidy (both version 14) over our C; exit 77 without them.

format  every tracked .c and .h is as clang-format writes it.
tidy    every .c of the server's folders that BUILD_DIR compiles (its compile_commands.json), with .clang-tidy. The slow
        path analyses (clang-analyzer-*) take most of the time, so that they run only with VOLARY_TIDY=full; the rest runs
        always. gcc judges casts (-Wcast-qual): clang does so inside OpenSSL's macros too. A file whose text and headers did not change since it was found clean is not looked at again.
"""
import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import lint

ROOT = pathlib.Path(__file__).resolve().parents[2]
JOBS = 2
FAST = "-clang-analyzer-*"
GENERATED = "build/"


def tool(name):
    path = shutil.which(name)
    if path is None:
        print("%s is not installed (Debian 12: deploy/dependencies test)" % name)
        sys.exit(77)
    return path


def run(argv):
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def in_parallel(work, items):
    """Prints what fails; how many did."""
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        for code, text in pool.map(work, items):
            if code != 0:
                failed += 1
                print("\n".join(line for line in text.splitlines() if not re.match(r"\d+ warnings? (generated|treated)|Suppressed", line)))
    return failed


def check_format(names):
    clang_format = tool("clang-format-14")
    step = 20

    def check(some):
        """clang-format 14 crashes now and then where it aligns initializers; a crash is no verdict: ask again."""
        for _ in range(5):
            code, text = run([clang_format, "--dry-run", "-Werror", *some])
            if "Stack dump" not in text and code >= 0:
                break
        return code, text

    return in_parallel(check, [names[i:i + step] for i in range(0, len(names), step)])


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()


class Tidy:
    def __init__(self, build):
        self.build = build
        self.program = tool("clang-tidy-14")
        self.checks = [] if os.environ.get("VOLARY_TIDY") == "full" else ["--checks=" + FAST]
        self.cache = build / "tidy-clean"
        self.cache.mkdir(exist_ok=True)
        headers = sorted(n for n in lint.files_of(ROOT) if n.endswith((".h", ".proto"))) + [".clang-tidy", "tests/lint/tidy.py"]
        self.common = digest("".join((ROOT / n).read_text() for n in headers) + str(self.checks))

    def check(self, name):
        mark = self.cache / digest(name + self.common + (ROOT / name).read_text())
        if mark.exists():
            return 0, ""
        code, text = run([self.program, "-p", str(self.build), "--quiet", "--extra-arg=-Wno-cast-qual", *self.checks, name])
        if code == 0:
            mark.touch()
        return code, text


def compiled(build):
    names = set()
    for entry in json.loads((build / "compile_commands.json").read_text()):
        path = pathlib.Path(entry["directory"], entry["file"]).resolve()
        name = str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else ""
        if name.split("/")[0] in (*lint.LAYERS, "deploy") and not name.startswith(GENERATED) and not lint.TEST.search(name):
            names.add(name)
    return sorted(names)


def main():
    what, build = sys.argv[1], pathlib.Path(sys.argv[2]).resolve()
    only = set(sys.argv[3:])
    if what == "format":
        names = [n for n in lint.files_of(ROOT) if n.endswith((".c", ".h"))]
        failed = check_format([n for n in names if not only or n in only])
    else:
        failed = in_parallel(Tidy(build).check, [n for n in compiled(build) if not only or n in only])
    print("%s: %s" % (what, "clean" if failed == 0 else "%d failed" % failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
