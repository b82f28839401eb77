# SPDX-License-Identifier: Apache-2.0
"""Compares the structure and decoded text that mail/ finds with what Python's email package finds.

usage: mime_differential.py MAIL_DUMP [--count N] [--seed N] [--keep DIR]

The corpus is generated from a fixed seed: nested multiparts and messages, 8-bit text, odd charsets, broken, equal and
prefixed boundaries, bare LF, long lines, missing ends. Known deviations, each for a reason:

  opaque    A multipart without a boundary, or in which no part is found, is application/octet-stream here, as IMAP cannot show a multipart
            without parts; Python leaves it a multipart with a string in it.
  message   Python looks into every message/*; only message/rfc822 and message/global contain a message, so the others
            (delivery-status, external-body, ...) are leaves here. A transfer encoding on message/rfc822 is forbidden
            (RFC 2046 section 5.2.1): such a part is opaque here.
  latin1    iso-8859-1 is read as windows-1252 here, as browsers and other mail programs do.
  qpspace   White space at the end of a quoted-printable line is removed here (RFC 2045 section 6.7); Python keeps it.
  qpequals  "==" in quoted-printable is no encoding of anything: both '=' stand here, Python takes one away.
  type      "text/" and "/plain" are no types: text/plain (RFC 2045 section 5.2). Python keeps them.
  colon     A header line without a colon is part of the header here (it is shown as it is and means nothing); for
            Python the body begins there. Content of such parts is not compared.
  end       Where an end boundary is missing, the last line end belongs to the last part here; Python takes it away.
  base64    A cut-off group at the end of base64 is dropped here and what follows padding begins anew; Python gives the
            text undecoded or drops the rest.
  empty     A message/rfc822 whose header does not end has no message in it and is opaque here; Python adds an empty one.
  fffd      How many U+FFFD stand for a broken run of bytes differs between decoders: runs are compared as one, and broken
            text in a multi-byte charset is not compared.
"""
import argparse
import base64
import email
import email.header
import email.policy
import json
import os
import random
import re
import subprocess
import sys
import tempfile

CHARSETS = ["utf-8", "iso-8859-1", "iso-8859-15", "windows-1252", "windows-1251", "koi8-r", "gb2312", "big5", "euc-jp",
            "shift_jis", "iso-2022-jp", "euc-kr", "us-ascii", "iso-8859-2", "utf-16", "utf-7", "x-unknown-charset", "latin1"]
SAMPLES = {
    "windows-1251": "Привет, мир! ", "koi8-r": "Проверка связи ", "gb2312": "你好世界 ", "big5": "您好世界 ",
    "euc-jp": "こんにちは世界 ", "shift_jis": "テスト文書 ", "iso-2022-jp": "日本語の文 ", "euc-kr": "안녕하세요 ",
    "iso-8859-2": "Příliš žluťoučký ", "utf-8": "naïve ✓ 日本 😀 ", "iso-8859-1": "déjà vu ß ", "latin1": "crème ",
    "iso-8859-15": "prix 5 € ", "windows-1252": "“quoted” – dash ", "utf-16": "zwei Bytes ü ", "utf-7": "Grüße ",
    "us-ascii": "plain words ", "x-unknown-charset": "who knows ",
}
# Decoders disagree about which bytes of a broken character are broken: those stay whole.
MULTIBYTE = {"gb2312", "big5", "euc-jp", "shift_jis", "iso-2022-jp", "euc-kr", "utf-16", "utf-7"}
CODECS = {"gb2312": "gb18030", "big5": "big5hkscs", "euc-kr": "euc_kr", "shift_jis": "cp932"}
LINES = ["Hello there,", "", "-- ", "--", "---", "--not-a-boundary", "From the start", ">From quoted", ".", "..",
         "a line = with equals", "trailing space ", "tab\there", "word " * 40, "x" * 1500, "- dash", "--=_x", "Subject: no header"]


class Generator:
    def __init__(self, rng):
        self.rng = rng
        self.eol = b"\r\n"
        self.boundaries = []

    def chance(self, p):
        return self.rng.random() < p

    def text_lines(self, charset):
        lines = [self.rng.choice(LINES) for _ in range(self.rng.randrange(0, 7))]
        if charset in SAMPLES:
            lines.insert(self.rng.randrange(len(lines) + 1), SAMPLES[charset] * self.rng.randrange(1, 5))
        return lines

    def encode_text(self, charset, lines):
        codec = {"x-unknown-charset": "ascii"}.get(charset, charset)
        return self.eol.join(line.encode(codec, "replace") for line in lines)

    def quoted_printable(self, data):
        out = []
        for line in data.split(self.eol):
            coded = b"".join(bytes([c]) if 33 <= c <= 126 and c != 61 or c in (32, 9) and self.chance(0.9) and i + 1 < len(line)
                             else b"=%02X" % c for i, c in enumerate(line))
            pieces = []
            while len(coded) > 70:
                cut = 70
                while cut > 0 and b"=" in coded[cut - 2:cut]:
                    cut -= 1
                pieces.append(coded[:cut] + b"=")
                coded = coded[cut:]
            pieces.append(coded)
            out.append(self.eol.join(pieces))
        return self.eol.join(out)

    def base64(self, data):
        text = base64.b64encode(data)
        step = self.rng.choice([76, 72, 60, 4, 1000])
        return self.eol.join(text[i:i + step] for i in range(0, len(text), step)) + (self.eol if self.chance(0.5) else b"")

    def name_field(self, name, value):
        if self.chance(0.3):
            name = name.upper() if self.chance(0.5) else name.lower()
        fold = self.eol + self.rng.choice([b" ", b"\t", b"   "])
        if self.chance(0.3):
            value = value.replace(b"; ", b";" + fold)
        return name.encode() + b":" + self.rng.choice([b" ", b"", b"  "]) + value + self.eol

    def leaf(self):
        kind = self.rng.randrange(10)
        if kind < 6:
            charset = self.rng.choice(CHARSETS)
            subtype = self.rng.choice([b"plain", b"plain", b"html", b"x-odd", b"calendar"])
            body = self.encode_text(charset, self.text_lines(charset))
            if self.chance(0.15) and charset not in MULTIBYTE:
                body += bytes(self.rng.randrange(0xA0, 256) for _ in range(self.rng.randrange(1, 9)))
            value = b"text/" + subtype + b"; charset=" + (b'"%s"' % charset.encode() if self.chance(0.5) else charset.encode())
            if self.chance(0.2):
                value += b'; format=flowed; name="a b;c.txt"'
        else:
            body = bytes(self.rng.randrange(256) for _ in range(self.rng.randrange(0, 400)))
            value = self.rng.choice([b"application/octet-stream", b"image/png; name=x.png", b"application/pdf", b"video/x-y"])
            charset = None
        must_code = charset is None or charset.startswith("utf-16")
        coding = self.rng.choice([b"base64", b"quoted-printable"]) if must_code or self.chance(0.5) else self.rng.choice(
            [b"7bit", b"8bit", b"binary", b"", b"8BIT"])
        if coding == b"base64":
            body = self.base64(body)
        elif coding == b"quoted-printable":
            body = self.quoted_printable(body)
        fields = []
        if not (charset == "us-ascii" and self.chance(0.5) and subtype == b"plain"):
            fields.append(self.name_field("Content-Type", value))
        if coding:
            fields.append(self.name_field("Content-Transfer-Encoding", coding))
        if self.chance(0.3):
            fields.append(self.name_field("Content-Disposition", b'attachment; filename="f\\"x.bin"'))
        if self.chance(0.2):
            fields.append(self.name_field("Content-ID", b"<%d@x>" % self.rng.randrange(1000)))
        self.rng.shuffle(fields)
        return fields, body

    def boundary(self):
        choice = self.rng.random()
        if self.boundaries and choice < 0.12:
            return self.rng.choice(self.boundaries)
        if self.boundaries and choice < 0.24:
            return (self.rng.choice(self.boundaries) + b"x")[:70]
        if choice < 0.3:
            return b"b" * self.rng.choice([1, 69, 70])
        if choice < 0.4:
            return b"=_Part '()+_,-./:=?%d" % self.rng.randrange(1000)
        return b"----=_%d.%d" % (self.rng.randrange(10**6), self.rng.randrange(10**6))

    def multipart(self, depth):
        boundary = self.boundary()
        self.boundaries.append(boundary)
        subtype = self.rng.choice([b"mixed", b"alternative", b"related", b"digest", b"signed", b"x-y"])
        fields = [self.name_field("Content-Type", b"multipart/" + subtype + b'; boundary="' + boundary + b'"')]
        out = []
        if self.chance(0.4):
            out.append(b"This is a preamble." + self.eol)
        for _ in range(self.rng.choice([0, 1, 1, 2, 2, 3, 5])):
            out.append(b"--" + boundary + self.rng.choice([b"", b"", b"", b" ", b" \t"]) + self.eol)
            inner_fields, inner = self.entity(depth + 1, digest=subtype == b"digest")
            out.append(b"".join(inner_fields) + self.eol + inner + self.eol)
        end = self.rng.random()
        if end < 0.75:
            out.append(b"--" + boundary + b"--" + self.rng.choice([b"", b" "]) + (self.eol if self.chance(0.9) else b""))
            if self.chance(0.3):
                out.append(b"Epilogue here" + self.eol)
            if self.chance(0.05):
                out.append(b"--" + boundary + self.eol + b"after the end" + self.eol)
        self.boundaries.pop()
        return fields, b"".join(out)

    def message(self, depth):
        fields = [self.name_field("From", b"Ada <ada@example.org>"), self.name_field("Subject", self.subject())]
        if self.chance(0.5):
            fields.append(self.name_field("To", b"bob@example.net, \"C, D\" <c@d>"))
        if self.chance(0.5):
            fields.append(self.name_field("MIME-Version", b"1.0"))
        inner_fields, body = self.entity(depth)
        fields += inner_fields
        self.rng.shuffle(fields)
        return b"".join(fields) + (self.eol if body or self.chance(0.8) else b"") + body

    def entity(self, depth, digest=False):
        choice = self.rng.random()
        if depth < 6 and choice < 0.42:
            return self.multipart(depth)
        if depth < 6 and choice < 0.55:
            fields = [] if digest and self.chance(0.5) else [self.name_field("Content-Type", b"message/rfc822")]
            return fields, self.message(depth + 1)
        if choice < 0.58:
            return [self.name_field("Content-Type", self.rng.choice(
                [b"text", b"text/", b"/plain", b"", b"multipart/mixed", b'multipart/mixed; boundary=""',
                 b"multipart/mixed; boundary=%s" % (b"z" * 30)]))], b"odd type" + self.eol
        fields, body = self.leaf()
        if digest and not any(f.lower().startswith(b"content-type") for f in fields):
            fields.append(self.name_field("Content-Type", b"text/plain"))
        return fields, body

    def subject(self):
        words = []
        for _ in range(self.rng.randrange(1, 5)):
            charset = self.rng.choice([c for c in CHARSETS if c not in ("utf-16", "x-unknown-charset", "us-ascii", "utf-7")])
            text = SAMPLES[charset].strip()
            if self.chance(0.4):
                words.append(self.rng.choice([b"plain", b"words here", b"100%", b"=? not a word", b"a=b"]))
            elif self.chance(0.5):
                words.append(b"=?%s?B?%s?=" % (charset.encode(), base64.b64encode(text.encode(charset))))
            else:
                coded = b"".join(b"_" if c == 32 else bytes([c]) if chr(c).isalnum() and c < 128 else b"=%02X" % c
                                 for c in text.encode(charset))
                words.append(b"=?%s?%s?%s?=" % (charset.encode(), self.rng.choice([b"Q", b"q"]), coded))
        return (self.eol + b" " if self.chance(0.2) else b" ").join(words)

    def make(self):
        self.eol = b"\n" if self.chance(0.25) else b"\r\n"
        self.boundaries = []
        message = self.message(0)
        if self.chance(0.1) and len(message) > 10:
            message = message[:self.rng.randrange(len(message))].rstrip(b"\r")
        if self.chance(0.05):
            message = message.replace(b"\r\n", b"\n") if self.chance(0.5) else message.replace(b"\r\n\r\n", b"\r\n\n")
        return message


def collapse(text):
    return re.sub("\ufffd+", "\ufffd", text)


def decode_python(data, charset):
    """The rules of mail/charset.c with Python's decoders."""
    charset = charset.lower()
    if charset in ("iso-8859-1", "latin1", "windows-1252"):
        return "".join(bytes([c]).decode("cp1252", "replace") for c in data)
    try:
        if charset in ("us-ascii", "x-unknown-charset"):
            try:
                return data.decode("utf-8")
            except UnicodeDecodeError:
                return data.decode("ascii", "replace")
        return data.decode(CODECS.get(charset, charset), "replace")
    except LookupError:
        return data.decode("ascii", "replace")


def is_broken(data, charset):
    try:
        return any("\ue000" <= c <= "\uf8ff" for c in data.decode(CODECS.get(charset, charset)))
    except UnicodeDecodeError:
        return True


def is_encoded(part):
    return part.get("content-transfer-encoding", "").strip().lower() in ("base64", "quoted-printable")


def decode_base64(part):
    text = part._payload.encode("utf-8", "surrogateescape")
    out = b""
    for group in re.sub(rb"[^A-Za-z0-9+/=]", b"", text).split(b"="):
        group = group[:-1] if len(group) % 4 == 1 else group
        out += base64.b64decode(group + b"=" * (-len(group) % 4))
    return out


def has_defect(part, name):
    return any(type(defect).__name__ == name for defect in part.defects)


def tree_of_python(part, is_open=False):
    """[type, children or content] with the deviations of this file's head applied."""
    kind = part.get_content_type()
    if kind.startswith("/") or kind.endswith("/"):
        kind = "text/plain"
    is_open = is_open or has_defect(part, "CloseBoundaryNotFoundDefect")
    if kind in ("message/rfc822", "message/global"):
        if is_encoded(part) or not part.is_multipart():
            return ["application/octet-stream", None]
        inner = part.get_payload(0)
        if has_defect(part, "MissingHeaderBodySeparatorDefect") or not inner.keys() and not inner.get_payload():
            return [None, None]
        return [kind, [tree_of_python(inner, is_open)]]
    if kind.startswith("multipart/"):
        if not part.is_multipart() or not part.get_boundary():
            return ["application/octet-stream", None]
        return [kind, [tree_of_python(p, is_open) for p in part.get_payload()]]
    if kind.startswith("message/"):
        return [kind, None]
    if has_defect(part, "MissingHeaderBodySeparatorDefect"):
        return [kind, None]
    data = part.get_payload(decode=True)
    if part.get("content-transfer-encoding", "").strip().lower() == "quoted-printable" and "==" in part._payload:
        return [kind, None]
    if part.get("content-transfer-encoding", "").strip().lower() == "base64":
        data = decode_base64(part)
    if kind.startswith("text/"):
        charset = part.get_param("charset", "us-ascii")
        charset = charset if isinstance(charset, str) else charset[2]
        if charset.lower() in MULTIBYTE and is_broken(data, charset.lower()):
            return [kind, None]
        text = decode_python(data, charset)
        return [kind, ("text", text, is_open)]
    return [kind, ("bytes", data, is_open)]


def tree_of_dump(parts, index=0):
    part = parts[index]
    if part["kind"] == 0:
        if "text" in part:
            return [part["type"], ("text", part["text"])]
        return [part["type"], ("bytes", base64.b64decode(part["bytes"]))]
    children = [i for i, p in enumerate(parts) if p["parent"] == index]
    return [part["type"], [tree_of_dump(parts, i) for i in children]]


def strip_ends(text):
    if isinstance(text, str):
        return re.sub(r"[ \t]+(?=\r?\n|\Z)", "", text)
    return re.sub(rb"[ \t]+(?=\r?\n|\Z)", b"", text)


def open_last_leaf(tree):
    """The last leaf of a message may have lost its line end in Python (see "end")."""
    while isinstance(tree[1], list):
        tree = tree[1][-1]
    if tree[1] is not None:
        tree[1] = tree[1][:2] + (True,)


def same(ours, theirs, path="root"):
    if theirs[0] is None:
        return None
    if ours[0] != theirs[0]:
        return "%s: type %s, Python %s" % (path, ours[0], theirs[0])
    if isinstance(ours[1], list) != isinstance(theirs[1], list):
        return "%s: one has parts, the other not" % path
    if isinstance(ours[1], list):
        if len(ours[1]) != len(theirs[1]):
            return "%s: %d parts, Python %d" % (path, len(ours[1]), len(theirs[1]))
        for i, (a, b) in enumerate(zip(ours[1], theirs[1])):
            problem = same(a, b, "%s.%d" % (path, i + 1))
            if problem:
                return problem
        return None
    if theirs[1] is None:
        return None
    mine, other = ours[1][1], theirs[1][1]
    if isinstance(mine, str):
        mine, other = collapse(mine), collapse(other)
    mine, other = strip_ends(mine), strip_ends(other)
    if mine != other and not (theirs[1][2] and mine[:len(other)] == other and len(mine) - len(other) <= 3):
        at = next((i for i, (a, b) in enumerate(zip(mine, other)) if a != b), min(len(mine), len(other)))
        return "%s: byte %d, ...%r, Python ...%r" % (path, at, mine[max(0, at - 20):at + 60], other[max(0, at - 20):at + 60])
    return None


def subject_of_python(message):
    raw = message.get("subject")
    if raw is None:
        return None
    raw = str(raw)
    raw = re.sub(r"\r?\n(?=[ \t])", "", raw)
    out = ""
    for data, charset in email.header.decode_header(raw):
        out += data if isinstance(data, str) else decode_python(data, charset or "us-ascii")
    return collapse(out.strip())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("dump")
    parser.add_argument("--count", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=20310501)
    parser.add_argument("--keep")
    args = parser.parse_args()
    rng = random.Random(args.seed)
    generator = Generator(rng)
    messages = [generator.make() for _ in range(args.count)]
    with tempfile.TemporaryDirectory() as directory:
        directory = args.keep or directory
        os.makedirs(directory, exist_ok=True)
        paths = []
        for i, message in enumerate(messages):
            path = os.path.join(directory, "%05d.eml" % i)
            with open(path, "wb") as out:
                out.write(message)
            paths.append(path)
        done = subprocess.run([args.dump], input="\n".join(paths) + "\n", stdout=subprocess.PIPE, encoding="utf-8", check=True)
    lines = done.stdout.split("\n")
    failed = 0
    for i, message in enumerate(messages):
        dump = json.loads(lines[i])
        python = email.message_from_bytes(message, policy=email.policy.compat32)
        theirs = tree_of_python(python)
        open_last_leaf(theirs)
        problem = same(tree_of_dump(dump["parts"]), theirs)
        subject = subject_of_python(python)
        ours = dump.get("subject")
        if not problem and subject is not None and (ours is None or " ".join(collapse(ours).split()) != " ".join(subject.split())):
            problem = "subject %r, Python %r" % (ours, subject)
        if problem:
            failed += 1
            if failed <= 20:
                print("message %d: %s" % (i, problem))
    print("%d messages compared, %d differ" % (len(messages), failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
