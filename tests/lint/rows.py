#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""rows.py [ROOT]: docs/rows.md against the tree. Prints FILE:LINE: row: what; exits 1 if it printed.

Every row of bad input that must have its answer is in the table once, and each file named beside it is a test that says
the row's ID.
"""
import pathlib
import re
import sys

PAGE = "docs/rows.md"
# The rows whose subjects are built. A row that is added here needs its line in the page, and its test.
WANTED = [kind + str(number) for kind, numbers in (
    ("S", (*range(1, 9), *range(13, 16), *range(20, 25))), ("M", (*range(1, 10), 11, 12)),
    ("I", (*range(1, 8), *range(12, 16), 21)), ("A", range(1, 16)), ("R", (1, 3, 4, 6)), ("H", (9, 10)), ("C", range(1, 6))) for number in numbers]
ROW = re.compile(r"\| ([A-Z]\d+) \| ([^|]*) \| ([^|]*) \|$")
FILE = re.compile(r"`([^`]+)`")
TESTS = re.compile(r"_test\.c$|^tests/(transcript|e2e)/.*\.(t|py)$")


def says(path, row):
    """The ID as a word of its own; names of tests join words by underscores."""
    return re.search(r"(?<![A-Za-z0-9])%s(?![A-Za-z0-9])" % row, path.read_text()) is not None


def faults_of_row(root, row, answer, files):
    if not answer.strip():
        yield f"{row} has no answer"
    if not files:
        yield f"{row} has no test"
    for name in files:
        if not TESTS.search(name):
            yield f"{row}: {name} is no test"
        elif not (root / name).is_file():
            yield f"{row}: {name} is not there"
        elif not says(root / name, row):
            yield f"{row}: {name} does not say it"


def faults_of(root):
    faults, seen = [], set()
    for number, line in enumerate((root / PAGE).read_text().splitlines(), 1):
        match = ROW.match(line)
        if not match:
            continue
        row = match[1]
        whats = list(faults_of_row(root, row, match[2], FILE.findall(match[3])))
        if row in seen or row not in WANTED:
            whats.append(f"{row} stands there twice" if row in seen else f"{row} is none of the rows wanted")
        seen.add(row)
        faults += [f"{PAGE}:{number}: row: {what}" for what in whats]
    return faults + [f"{PAGE}:1: row: {row} is missing" for row in WANTED if row not in seen]


def main():
    faults = faults_of(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "."))
    for fault in faults:
        print(fault)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
