#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""no_plants.py BIN SIMULATOR: no program in BIN holds a planted bug (base/plant.h); the simulator holds all of them,
which shows that they would have been found."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]


def main():
    programs = [p for p in pathlib.Path(sys.argv[1]).iterdir() if p.name.startswith("volary")]
    names = re.findall(r'X\(\w+, "([\w-]+)"', (ROOT / "base/plant.h").read_text())
    marks = [name.encode() + b"\0" for name in names] + [b"vy_plant_is_on"]
    simulator = pathlib.Path(sys.argv[2]).read_bytes()
    faults = ["the simulator does not hold %s" % mark.decode() for mark in marks if mark not in simulator]
    for program in programs:
        data = program.read_bytes()
        faults += ["%s holds %s" % (program.name, mark.decode()) for mark in marks if mark in data]
    print("\n".join(faults) or "%d programs, %d marks" % (len(programs), len(marks)))
    return 1 if faults or not programs or len(marks) < 2 else 0


if __name__ == "__main__":
    sys.exit(main())
