# SPDX-License-Identifier: Apache-2.0
"""A client of SCRAM-SHA-256 of our own (RFC 7677), for what no mail program would send."""
import base64
import hashlib
import hmac


def scram_sha_256(exchange, gs2_header, binding, name, password):
    """exchange(bytes) -> bytes; the server's last message is verified."""
    first = b"n=%s,r=a-nonce-of-the-client" % name.encode()
    server_first = exchange(gs2_header + first)
    nonce, salt, count = (field[2:] for field in server_first.split(b","))
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(salt), int(count))
    digest = lambda key, text: hmac.new(key, text, "sha256").digest()
    client_key = digest(salted, b"Client Key")
    final = b"c=%s,r=%s" % (base64.b64encode(gs2_header + binding), nonce)
    signed = b",".join((first, server_first, final))
    signature = digest(hashlib.sha256(client_key).digest(), signed)
    proof = bytes(a ^ b for a, b in zip(client_key, signature))
    last = exchange(final + b",p=" + base64.b64encode(proof))
    if last != b"v=" + base64.b64encode(digest(digest(salted, b"Server Key"), signed)):
        raise AssertionError("the server does not know the password: %r" % last)


def imap_sign_in(imap, mechanism, gs2_header, binding, name, password):
    """AUTHENTICATE over an open connection; the tagged answer."""
    refused = []

    def exchange(message):
        imap.send(base64.b64encode(message) + b"\r\n")
        line = imap.line()
        if not line.startswith("+ "):
            refused.append(line)
            raise ConnectionRefusedError(line)
        return base64.b64decode(line[2:])
    imap.send("s AUTHENTICATE %s\r\n" % mechanism)
    assert imap.line().strip() == "+"
    try:
        scram_sha_256(exchange, gs2_header, binding, name, password)
    except ConnectionRefusedError:
        return refused[0]
    imap.send("\r\n")
    return imap.line()
