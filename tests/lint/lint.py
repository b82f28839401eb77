#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""lint.py [ROOT]: what the compiler cannot see. Prints FILE:LINE: RULE: what; exits 1 if it printed anything.

Rules: layer (arrows between folders), pure (cores without I/O), owner (one folder per library), banned (calls), door (time and chance),
spdx, todo, plant, generated, log-event, log-key, log-page (docs/log-keys.d against the code, both ways), matrix
(docs/rfc-matrix.md: every RFC the server's code cites, and only files that exist).
lint_selftest.py plants one violation of each.
"""
import pathlib
import re
import subprocess
import sys

LAYERS = {
    "base": {"base"},
    "mail": {"base", "mail"},
    "proto": {"base", "mail", "proto"},
    "replica": {"base", "mail", "proto", "replica"},
    "shard": {"base", "mail", "proto", "replica", "shard"},
    "meta": {"base", "mail", "proto", "replica", "meta"},
    "frontend": {"base", "mail", "proto", "frontend"},
}
# Bytes in, bytes or actions out: no door to sockets, time, chance or threads.
PURE = ("mail/", "frontend/smtp/", "frontend/imap/", "frontend/auth/")
IMPURE = re.compile(r"base/(clock|rng|loop|net|tls|workers|config)\.h|sys/|netinet/|arpa/|(unistd|pthread|poll|fcntl|time)\.h")
# Prefix of a header's name -> folders that may include it; a file is named to keep it to that file.
OWNERS = {
    "raft.h": {"replica"},
    "raft/": {"replica"},
    "rocksdb/": {"replica"},
    "nng/": {"proto"},
    "nghttp2/": {"proto"},
    "uv.h": {"base"},
    "yaml.h": {"base"},
    "argon2.h": {"frontend", "meta"},
    "zstd.h": {"replica", "shard"},
    "qrencode.h": {"meta"},
    "openssl/ssl.h": {"base", "proto"},
    "openssl/": {"base", "proto", "replica", "shard", "meta", "frontend"},
    "cmocka.h": {"tests"},
}
BANNED = ("strcpy strcat sprintf vsprintf strtok strtok_r sscanf fscanf scanf atoi atol atoll strtol strtoul strtoll "
          "strtoull gets alloca system popen tmpnam mktemp setlocale").split()
DOORS = {"clock_gettime": "base/clock.c", "gettimeofday": "base/clock.c", "time": "base/clock.c",
         "getrandom": "base/rng.c", "getentropy": "base/rng.c", "random": "base/rng.c", "rand": "base/rng.c",
         "RAND_bytes": "base/rng.c", "sleep": "nothing", "usleep": "nothing"}
# Outside of the server's layers: load generators have their own clock.
DOOR_FREE = ("bench", "tests")
SPDX = "SPDX-License-Identifier: Apache-2.0"
SPDX_SUFFIXES = {".c", ".h", ".py", ".sh", ".cmake", ".proto", ".mjs", ".js"}
GENERATED = re.compile(r"(\.pb\.[ch]$|\.pb-c\.[ch]$|(^|/)generated/|^build/|(^|/)CMakeCache\.txt$)")

TEST = re.compile(r"_(test|fixture)\.[ch]$")
CALL = re.compile(r"(?<![\w.>])([A-Za-z_]\w*)\s*\(")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^">]+)[">]', re.M)
# vy_log itself, and a module's own function that adds keys: x_log(object, level, event, ...).
LOG_CALL = re.compile(r"\b(\w+_log(?:_write)?)\(")
KEY_MACRO = re.compile(r'\bVY_(?:STR|CSTR|U64|I64|HEX|ID|FLAG)\(\s*"([^"]*)"')
STRING = re.compile(r'"((?:[^"\\\n]|\\.)*)"')
TOKEN = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:[^"\\\n]|\\.)*"|\'(?:[^\'\\\n]|\\.)*\'', re.S)
EVENT_NAME = re.compile(r"[a-z0-9_]+\.[a-z0-9_]+\.[a-z0-9_]+")
KEY_NAME = re.compile(r"[a-z0-9_]+(\.[a-z0-9_]+){0,2}")
RFC = re.compile(r"\bRFCs? ?(\d{3,5})")
MATRIX_ROW = re.compile(r"\|\s*(\d{3,5}(?:, \d{3,5})*)\s*\|")
MATRIX = "docs/rfc-matrix.md"
PAGE_LINE = re.compile(r"(event|key)\s+(\S+)\s\s+(\S.*)")


def line_of(text, at):
    return text.count("\n", 0, at) + 1


def blank(match):
    return re.sub(r"[^\n]", " ", match[0])


def without_comments(text):
    """Comments become spaces; lines and strings stay."""
    return TOKEN.sub(lambda m: blank(m) if m[0].startswith("/") else m[0], text)


def without_strings(code):
    return TOKEN.sub(lambda m: '"' + blank(m)[2:] + '"' if len(m[0]) > 1 else m[0], code)


def files_of(root):
    """Tracked files and new ones; every file where there is no git."""
    # A checkout that belongs to somebody else is read all the same.
    git = ["git", "-c", "safe.directory=*", "-C", str(root)]
    run = subprocess.run([*git, "ls-files", "-co", "--exclude-standard", "-z"], capture_output=True)
    top = subprocess.run([*git, "rev-parse", "--show-toplevel"], capture_output=True, text=True)
    if run.returncode == 0 and pathlib.Path(top.stdout.strip()).resolve() == root.resolve():
        names = sorted(n for n in run.stdout.decode().split("\0") if n)
    else:
        names = sorted(str(p.relative_to(root)) for p in root.rglob("*") if p.is_file())
        names = [n for n in names if not n.startswith(("build/", ".git/")) and "__pycache__/" not in n]
    return [n for n in names if (root / n).is_file()]


class Lint:
    def __init__(self, root):
        self.root = pathlib.Path(root)
        self.faults = []
        self.events = {}  # name -> first place in the code
        self.keys = {}
        self.rfcs = {}

    def fault(self, name, line, rule, what):
        self.faults.append(f"{name}:{line}: {rule}: {what}")

    # ---- includes ----

    def check_include(self, name, line, header):
        top = name.split("/")[0]
        first = header.split("/")[0]
        is_test = TEST.search(name) or top in ("tests", "bench")
        allowed = LAYERS.get(top)
        if allowed and "/" in header:
            if first in LAYERS and first not in allowed:
                self.fault(name, line, "layer", f"{top}/ does not include {first}/")
            if first in ("bench", "deploy") or (first == "tests" and not is_test):
                self.fault(name, line, "layer", f"{top}/ does not include {first}/")
        if name.startswith(PURE) and not is_test and IMPURE.match(header):
            self.fault(name, line, "pure", f"a pure core does not include {header}")
        for prefix, owners in OWNERS.items():
            if header.startswith(prefix):
                is_free = is_test and (prefix == "cmocka.h" or top not in LAYERS)
                if top not in owners and not is_free:
                    self.fault(name, line, "owner", f"<{header}> belongs to {' '.join(sorted(owners))}")
                break

    # ---- calls ----

    def check_calls(self, name, code):
        for match in CALL.finditer(without_strings(code)):
            call, line = match[1], line_of(code, match.start())
            if call in BANNED:
                self.fault(name, line, "banned", f"{call}()")
            door = DOORS.get(call)
            if door and name != door and not name.startswith(DOOR_FREE) and not TEST.search(name):
                self.fault(name, line, "door", f"{call}() is called in {door} only")

    # ---- log vocabulary ----

    def collect_log(self, name, code):
        for match in LOG_CALL.finditer(code):
            if code.rfind("#define", 0, match.start()) > code.rfind("\n", 0, match.start()):
                continue  # the macro's own definition
            event = argument(code, match.end(), 2)
            names = [s[1] for s in STRING.finditer(event)] or table_strings(code, event)
            line = line_of(code, match.start())
            if not names and match[1] == "vy_log":
                self.fault(name, line, "log-event", "the event's name must be a literal or in a table of this file")
            for event_name in names:
                self.events.setdefault(event_name, (name, line))
        for match in KEY_MACRO.finditer(code):
            self.keys.setdefault(match[1], (name, line_of(code, match.start())))
        if re.search(r"\bVY_LOG_ERR\(", code):
            for key in ("err.code", "err.what", "err.sys"):
                self.keys.setdefault(key, (name, line_of(code, code.index("VY_LOG_ERR("))))

    def read_pages(self):
        """{"event": {name: (file, line)}, "key": ...}; one meaning each."""
        pages = {"event": {}, "key": {}}
        meanings = {}
        for page in sorted((self.root / "docs/log-keys.d").glob("*")):
            name = str(page.relative_to(self.root))
            if page.name == "README":
                continue
            for line, text in enumerate(page.read_text().split("\n"), 1):
                if not text.strip() or text.startswith("#"):
                    continue
                match = PAGE_LINE.fullmatch(text)
                if not match:
                    self.fault(name, line, "log-page", "not 'event NAME  meaning' or 'key NAME  meaning'")
                    continue
                kind, word, meaning = match.groups()
                if not (EVENT_NAME if kind == "event" else KEY_NAME).fullmatch(word):
                    self.fault(name, line, "log-page", f"{word} is not a name for {kind}s")
                if meanings.setdefault((kind, word), meaning) != meaning:
                    self.fault(name, line, "log-page", f"{kind} {word} has two meanings")
                pages[kind].setdefault(word, (name, line))
        return pages

    def compare_log(self):
        pages = self.read_pages()
        for kind, used in (("event", self.events), ("key", self.keys)):
            for word, (name, line) in sorted(used.items()):
                if word not in pages[kind]:
                    self.fault(name, line, f"log-{kind}", f"{word} is not in docs/log-keys.d")
            for word, (name, line) in sorted(pages[kind].items()):
                if word not in used:
                    self.fault(name, line, f"log-{kind}", f"{word} is used nowhere")

    # ---- files ----

    def check_words(self, name, text):
        head = text.split("\n", 2)[:2]
        suffix = pathlib.PurePath(name).suffix
        if suffix in SPDX_SUFFIXES or name.endswith("CMakeLists.txt") or text.startswith("#!"):
            if not any(SPDX in line for line in head):
                self.fault(name, 1, "spdx", f"the first line must say {SPDX}")
        if name.startswith("tests/lint/"):
            return  # speaks of the words
        for match in re.finditer(r"\b(TODO|FIXME|XXX)\b(\(#\d+\))?", text):
            if match[1] != "TODO" or not match[2]:
                self.fault(name, line_of(text, match.start()), "todo", "write TODO(#issue) or nothing")

    def check_plants(self, name, text):
        """Planted bugs are compiled into the simulator alone."""
        if name in ("base/plant.h", "tests/sim/CMakeLists.txt") or name.startswith("tests/lint/"):
            return
        match = re.search(r"VOLARY_PLANT\b", text)
        if match and not name.endswith(".md"):
            self.fault(name, line_of(text, match.start()), "plant", "VOLARY_PLANT belongs to the simulator")

    def check_file(self, name):
        if GENERATED.search(name):
            self.fault(name, 1, "generated", "is made by the build and not kept")
        suffix = pathlib.PurePath(name).suffix
        if suffix not in SPDX_SUFFIXES | {".txt", ""} or "/corpus/" in name:
            return
        try:
            text = (self.root / name).read_text()
        except UnicodeDecodeError:
            return
        self.check_words(name, text)
        self.check_plants(name, text)
        if suffix not in (".c", ".h"):
            return
        if name.split("/")[0] in LAYERS and not TEST.search(name):
            for match in RFC.finditer(text):
                self.rfcs.setdefault(match[1], (name, line_of(text, match.start())))
        code = without_comments(text)
        for match in INCLUDE.finditer(code):
            self.check_include(name, line_of(code, match.start(2)), match[2])
        self.check_calls(name, code)
        is_server = not TEST.search(name) and not name.startswith(DOOR_FREE)
        if is_server and suffix == ".c":
            self.collect_log(name, code)

    def compare_matrix(self):
        path = self.root / MATRIX
        text = path.read_text() if path.exists() else ""
        listed = set()
        for line, row in enumerate(text.split("\n"), 1):
            match = MATRIX_ROW.match(row)
            listed.update(match[1].split(", ") if match else [])
            for file in re.findall(r"`([^` ]+/[^` ]+)`", row):
                if not (self.root / file).exists():
                    self.fault(MATRIX, line, "matrix", f"there is no {file}")
        for number, (name, line) in sorted(self.rfcs.items()):
            if number not in listed:
                self.fault(name, line, "matrix", f"RFC {number} has no row in {MATRIX}")

    def run(self):
        for name in files_of(self.root):
            self.check_file(name)
        self.compare_log()
        self.compare_matrix()
        return self.faults


def argument(code, at, wanted):
    """Text of the wanted-th argument (from 0) of the call whose '(' ends at `at`."""
    depth, index, start = 1, 0, at
    for match in re.finditer(r'"(?:[^"\\\n]|\\.)*"|[(){}\[\],]', code[at:]):
        mark, end = match[0], at + match.start()
        if mark[0] in "({[":
            depth += 1
        elif mark[0] in ")}]":
            depth -= 1
        if depth == 0 or (depth == 1 and mark == ","):
            if index == wanted:
                return code[start:end]
            if depth == 0:
                return ""
            index, start = index + 1, at + match.end()
    return ""


def table_strings(code, expression):
    """The literals of the array that an expression like names[kind] reads from."""
    match = re.match(r"\s*(\w+)\s*\[", expression)
    if not match:
        return []
    body = re.search(r"\b" + match[1] + r"\s*\[[^\]]*\]\s*=\s*\{(.*?)\};", code, re.S)
    return [s[1] for s in STRING.finditer(body[1])] if body else []


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    faults = Lint(root).run()
    for fault in faults:
        print(fault)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
