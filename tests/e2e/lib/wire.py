# SPDX-License-Identifier: Apache-2.0
"""Protocols by hand, for what no client library would send: raw SMTP and IMAP over a socket."""
import base64
import re
import socket
import ssl

TIMEOUT_S = 20


def any_certificate():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class Wire:
    def __init__(self, port, host="127.0.0.1", tls=False, source=None):
        self.socket = socket.create_connection((host, port), TIMEOUT_S, source_address=source and (source, 0))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            self.start_tls()
        self.unread = b""

    def start_tls(self):
        self.socket = any_certificate().wrap_socket(self.socket, server_hostname="localhost")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data.encode() if isinstance(data, str) else data)

    def send_slowly(self, data):
        """One byte a segment."""
        for i in range(len(data)):
            self.socket.sendall(data[i:i + 1])

    def fill(self):
        """False at the end of the connection."""
        try:
            data = self.socket.recv(65536)
        except (ConnectionResetError, BrokenPipeError, ssl.SSLEOFError):
            data = b""
        self.unread += data
        return bool(data)

    def line(self):
        """One line without its CRLF; None when the connection is over."""
        while b"\r\n" not in self.unread:
            if not self.fill():
                return None
        line, self.unread = self.unread.split(b"\r\n", 1)
        return line.decode("utf-8", "surrogateescape")

    def exactly(self, count):
        while len(self.unread) < count:
            if not self.fill():
                raise AssertionError("closed inside a literal")
        data, self.unread = self.unread[:count], self.unread[count:]
        return data

    def is_over(self):
        """Reads to the end: True when the server closes within the time limit."""
        try:
            while self.fill():
                pass
        except TimeoutError:
            return False
        return True


class Smtp(Wire):
    def __init__(self, port, hello="EHLO client.test", **options):
        super().__init__(port, **options)
        self.greeting = self.reply()
        self.hello = self.command(hello) if hello else None

    def reply(self):
        """"250 2.0.0 text", the lines of a long one joined by LF; "" when the connection is over."""
        lines = []
        while True:
            line = self.line()
            if line is None:
                return "\n".join(lines)
            lines.append(line)
            if line[3:4] != "-":
                return "\n".join(lines)

    def command(self, text):
        self.send(text + "\r\n")
        return self.reply()

    def replies(self, count):
        return [self.reply() for _ in range(count)]

    def envelope(self, recipient, sender="peer@elsewhere.test"):
        return [self.command("MAIL FROM:<%s>" % sender), self.command("RCPT TO:<%s>" % recipient)]

    def deliver(self, recipient, content, sender="peer@elsewhere.test"):
        """The reply to the end of DATA."""
        self.envelope(recipient, sender)
        self.command("DATA")
        self.send(content + b"\r\n.\r\n")
        return self.reply()

    def login(self, name, password):
        secret = base64.b64encode(("\0%s\0%s" % (name, password)).encode()).decode()
        return self.command("AUTH PLAIN " + secret)


LITERAL = re.compile(r"\{(\d+)\}$")


class Imap(Wire):
    def __init__(self, port, account=None, password=None, **options):
        super().__init__(port, **options)
        self.greeting = self.line()
        self.count = 0
        if account:
            answer = self.command('LOGIN "%s" "%s"' % (account, password))
            assert answer.ok, answer.tagged

    def response(self):
        """One response with its literals in place: bytes; None when the connection is over."""
        whole = b""
        while True:
            line = self.line()
            if line is None:
                return None
            whole += line.encode("utf-8", "surrogateescape")
            match = LITERAL.search(line)
            if not match:
                return whole
            whole += b"\r\n" + self.exactly(int(match[1]))

    def command(self, text):
        self.count += 1
        tag = "t%d" % self.count
        self.send("%s %s\r\n" % (tag, text))
        return self.answer(tag)

    def answer(self, tag):
        answer = Answer()
        while True:
            line = self.response()
            if line is None:
                answer.tagged = ""
                return answer
            if line.startswith(tag.encode() + b" "):
                answer.tagged = line.decode("utf-8", "surrogateescape")[len(tag) + 1:]
                return answer
            answer.untagged.append(line)

    def append(self, mailbox, content, options=""):
        self.count += 1
        tag = "t%d" % self.count
        self.send("%s APPEND %s %s{%d+}\r\n" % (tag, mailbox, options, len(content)))
        self.send(content + b"\r\n")
        return self.answer(tag)


class Answer:
    def __init__(self):
        self.untagged, self.tagged = [], None

    @property
    def ok(self):
        return self.tagged.startswith("OK")

    def text(self):
        return b"\n".join(self.untagged).decode("utf-8", "surrogateescape")

    def lines(self, word):
        return [line for line in self.untagged if word.encode() in line]
