/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Readable dialogues against a protocol core and a backend in memory. runner.c plays each file of
 * tests/transcript/PROTOCOL/ whole, byte by byte and at seeded random cuts; a protocol says how a
 * session is made and who answers its calls.
 *
 * A file is lines:
 *   # ...                comment; the first one says what is shown, with its RFC section or promise
 * row C: text              the client sends text and a line end Cx text              the client
 * sends text alone; \r \n \t \\ \0 and \xHH are escapes (in C: they are not) C* count text the
 * client sends text (escapes as in Cx) that many times S: text              the next line of the
 * server. <any> stands for anything, <n> for digits, <hex> for hex digits S* text              any
 * number of lines up to and with this one S! closed            the server has closed S! tls the
 * server has begun the TLS handshake; it succeeds S- text              none of the lines so far
 * that wait to be looked at has this text in it (plain, no <any>) peer WORD...         before the
 * greeting: tls, plain, trusted, untrusted, no-starttls (default: plain trusted) tick MS time
 * passes eof                  the client closes its side drain                the server is told to
 * shut down fail METHOD CODE     the next call of METHOD (SHARD_MESSAGE_FETCH) ends with CODE
 * (QUOTA, UNAVAILABLE) anything else        goes to the protocol's directive() The greeting is met
 * by the first S: lines, unless directive() takes it (see transcript_skip_output).
 */
#include "base/arena.h"
#include "base/buf.h"
#include "frontend/session.h"

struct transcript;

/* One call of the session, with its whole body. */
struct transcript_call {
    uint32_t method;
    struct vy_bytes request; /* encoded */
    struct vy_bytes body;    /* UP streams: all of it */
};

struct transcript_protocol {
    const char *folder; /* "imap": of tests/transcript; starts every session that its files need */
    void *(*backend_new)(void);
    void (*backend_free)(void *backend);
    struct vy_err (*session_new)(void *backend, const struct session_peer *peer,
                                 struct session **out);
    /*
     * Answers a call: encoded reply, and the bytes of a DOWN stream. *stays_open: the stream goes
     * on (a watch); stream_more() is then asked after every step.
     */
    struct vy_err (*call)(void *backend, const struct transcript_call *call, struct vy_buf *reply,
                          struct vy_buf *stream, bool *stays_open);
    void (*stream_more)(void *backend, struct vy_buf *stream); /* NULL: no endless streams */
    /* A line that is none of the above; false: not known. */
    bool (*directive)(void *backend, struct transcript *transcript, struct vy_bytes line);
};

/* For directives: plays client text at once, and forgets what the server answered. */
void transcript_send(struct transcript *transcript, struct vy_bytes bytes);
void transcript_skip_output(struct transcript *transcript);

extern const struct transcript_protocol transcript_imap; /* imap_backend.c */
extern const struct transcript_protocol
    transcript_smtp; /* transcript_smtp.c, with TRANSCRIPT_SMTP */
