#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Builds presets, runs suites (ctest labels) and counts; started by tests/run, which explains the options.

A target that does not build counts as one failed test and hides nothing: the rest is built (ninja -k 0) and run, and
a test whose program is missing counts as failed too.
"""
import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree

ROOT = pathlib.Path(__file__).resolve().parents[2]
LOGS = ROOT / "build/test-logs"
CORE = ("unit", "transcript", "fuzz", "differential")
SUITES = {
    "lint": "the rules of the tree: layers, banned calls, log words, format, clang-tidy",
    "unit": "cmocka programs beside the code",
    "fuzz": "every fuzz target over its kept inputs",
    "transcript": "SMTP and IMAP dialogues against the pure cores, whole and cut into pieces",
    "differential": "our answers against another implementation's",
    "sim": "whole clusters in one thread: virtual time, lossy network, crashing disks",
    "fault": "the release programs on full and failing disks, killed, paused and restarted one by one",
    "e2e": "the release programs with real clients on loopback",
    "asan": "unit, transcript, fuzz and differential under the address and undefined sanitizers",
}
JOBS = 2
OUTPUT_LINES_MAX = 60  # of each failed test at the end; the whole output is in the logs


class Count:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0
        self.reports = []  # (title, output), printed at the end

    def fail(self, title, output):
        self.failed += 1
        self.reports.append((title, output))


def say(text):
    print(text, flush=True)


def run_logged(argv, log, **options):
    with open(log, "ab") as out:
        return subprocess.run(argv, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=out, stderr=out, check=False, **options).returncode


# ---- builds ----

def build_tail(log):
    """What failed, and the end of the log."""
    lines = log.read_text(errors="replace").splitlines()
    failed = [line for line in lines if line.startswith("FAILED:") or re.search(r"\b(fatal )?error:", line)]
    return "\n".join(failed[:40] + ["..."] + lines[-15:])


def build(preset, count):
    """Configures and builds build/PRESET; True if there is something to run."""
    LOGS.mkdir(parents=True, exist_ok=True)
    log = LOGS / ("build-%s.log" % preset)
    log.write_bytes(b"")
    options = ["-DCMAKE_C_COMPILER_LAUNCHER=ccache"] if shutil.which("ccache") else []
    if preset == "release":
        options.append("-DVOLARY_TESTS=OFF")
    say("==> build %s (log: %s)" % (preset, log.relative_to(ROOT)))
    start = time.monotonic()
    if run_logged(["cmake", "--preset", preset, *options], log) != 0:
        count.fail("configuring the preset " + preset, build_tail(log))
        return False
    if run_logged(["cmake", "--build", "--preset", preset, "--parallel", str(JOBS), "--", "-k", "0"], log) != 0:
        count.fail("building the preset " + preset, build_tail(log))
        say("    some targets did not build")
    say("    %.0f s" % (time.monotonic() - start))
    return True


# ---- suites ----

def is_skip(case):
    """CTest also says <skipped> of a test whose program is missing: that one failed."""
    reason = case.find("skipped")
    return reason is not None and "SKIP_RETURN_CODE" in reason.get("message", "")


def reason_of(case):
    messages = [child.get("message") for child in case if child.get("message")]
    return messages[0] if messages else "%s after %.0f s" % (case.get("status"), float(case.get("time", 0)))


def read_cases(junit, suite, count):
    cases = ElementTree.parse(junit).getroot().findall("testcase")
    for case in cases:
        output = case.findtext("system-out") or ""
        if case.get("status") == "run":
            count.passed += 1
        elif is_skip(case):
            count.skipped += 1
            say("    skipped: %s: %s" % (case.get("name"), (output.strip().splitlines() or ["no reason given"])[-1]))
        else:
            count.fail("%s: %s (%s)" % (suite, case.get("name"), reason_of(case)), output)
    return len(cases)


def run_label(build_dir, label, count, title):
    """Runs the tests with one label; how many there were."""
    junit = LOGS / ("%s.xml" % title.replace("/", "-"))
    junit.unlink(missing_ok=True)
    log = junit.with_suffix(".log")
    log.write_bytes(b"")
    environment = {**os.environ, "VOLARY_BIN": os.environ.get("VOLARY_BIN", str(ROOT / "build/release/bin"))}
    start = time.monotonic()
    before = (count.passed, count.failed, count.skipped)
    run_logged(["ctest", "--test-dir", str(build_dir), "-L", "^%s$" % label, "-j", str(JOBS), "--timeout", "900",
                "--output-on-failure", "--output-junit", str(junit)], log, env=environment)
    if not junit.exists():
        count.fail(title, "ctest wrote no result:\n" + log.read_text(errors="replace")[-2000:])
        return 0
    ran = read_cases(junit, title, count)
    passed, failed, skipped = (now - then for now, then in zip((count.passed, count.failed, count.skipped), before))
    say("%-18s %d passed, %d failed, %d skipped  (%.0f s)" % (title, passed, failed, skipped, time.monotonic() - start))
    return ran


def run_suite(suite, preset, count, asked):
    if suite == "asan":
        return sum(run_label(ROOT / "build/asan", label, count, "asan/" + label) for label in CORE)
    ran = run_label(ROOT / "build" / preset, suite, count, suite)
    if ran == 0 and asked:
        count.fail(suite, "no test has this label")
    return ran


def presets_for(suites, preset):
    needed = [preset] if any(s != "asan" for s in suites) else []
    if "e2e" in suites or "fault" in suites:
        needed.append("release")
    if "asan" in suites:
        needed.append("asan")
    return list(dict.fromkeys(needed))


def report(count):
    for title, output in count.reports:
        lines = output.rstrip().splitlines()
        say("\n---- failed: %s" % title)
        if len(lines) > OUTPUT_LINES_MAX:
            say("(the last %d of %d lines; all are in build/test-logs)" % (OUTPUT_LINES_MAX, len(lines)))
        for line in lines[-OUTPUT_LINES_MAX:]:
            say("  " + line)
    if count.reports:
        say("\nfailed:")
        for title, _ in count.reports:
            say("  " + title)


def parse_arguments():
    parser = argparse.ArgumentParser(prog="tests/run", description="Builds Volary and runs its tests.")
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=" ".join(SUITES))
    parser.add_argument("--list", action="store_true", help="print the suites and stop")
    parser.add_argument("--preset", default="dev", choices=["dev", "asan", "tsan", "coverage"])
    parser.add_argument("--no-install", action="store_true", help="do not touch packages")
    parser.add_argument("--no-build", action="store_true", help="run what is built")
    args = parser.parse_args()
    unknown = [s for s in args.suites if s not in SUITES]
    if unknown:
        parser.error("no suite '%s'; there are: %s" % (unknown[0], " ".join(SUITES)))
    return args


def main():
    args = parse_arguments()
    if args.list:
        for name, meaning in SUITES.items():
            print("%-13s %s" % (name, meaning))
        return 0
    suites = args.suites or [s for s in SUITES if s != "asan" or args.preset != "asan"]
    count = Count()
    start = time.monotonic()
    usable = {}
    LOGS.mkdir(parents=True, exist_ok=True)
    for preset in presets_for(suites, args.preset):
        usable[preset] = args.no_build or build(preset, count)
    for suite in suites:
        if usable["asan" if suite == "asan" else args.preset]:
            run_suite(suite, args.preset, count, asked=bool(args.suites))
    report(count)
    say("\nall suites: %.0f s" % (time.monotonic() - start))
    say("%d passed, %d failed, %d skipped" % (count.passed, count.failed, count.skipped))
    return 0 if count.failed == 0 and count.passed > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
