/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The server's side of a SASL exchange (RFC 4422), the same for SMTP, IMAP and ManageSieve: PLAIN
 * (RFC 4616), LOGIN, SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, 7677). Pure: lines in, steps
 * out. Holds no verifier: meta decides (META_LOGIN), the caller carries the calls.
 *
 * An unknown name, a wrong password, an unfit password and an authzid that differs all go the same
 * way through meta (A1, AUTH-1), so they are audited, paid for and answered alike.
 */
#include "frontend/session.h"
#include "proto/meta.pb.h"

/* A response line without its CRLF, base64 (S33). Callers end longer lines themselves, or feed them
 * cut: they are answered SYNTAX. */
#define SASL_LINE_BYTES_MAX (12U * 1024U)
#define SASL_NAME_BYTES_MAX 1024U
#define SASL_PASSWORD_BYTES_MAX 1024U /* A6: before anything is hashed */
/* Room for sasl_mechanisms(). */
#define SASL_MECHANISMS_BYTES_MAX 64U

enum sasl_step_kind {
    SASL_STEP_CHALLENGE, /* send `challenge` after "334 " or "+ ", then feed the client's line */
    SASL_STEP_CALL,      /* METHOD_META_LOGIN with `request` as a write; then sasl_answered() */
    SASL_STEP_HASH,      /* SESSION_HASH with the fields below; then sasl_hashed() */
    SASL_STEP_DONE       /* `done` says how it ended; sasl_free() */
};

/* The rows of acceptance 1.2. sasl_result_*() give what each protocol answers. */
enum sasl_result {
    SASL_RESULT_OK,
    SASL_RESULT_REFUSED,      /* whatever the reason */
    SASL_RESULT_DISABLED,     /* right password; `text` says why */
    SASL_RESULT_NEED_APP,     /* right main password; told by policy only */
    SASL_RESULT_LIMITED,      /* told no earlier than `retry_after_ms` from now */
    SASL_RESULT_UNAVAILABLE,  /* meta could not be asked: not the client's fault */
    SASL_RESULT_SYNTAX,       /* bad base64, bad message, line too long */
    SASL_RESULT_CANCELLED,    /* the client sent "*" */
    SASL_RESULT_PRIVACY,      /* needs TLS first */
    SASL_RESULT_NO_MECHANISM, /* not offered */
    SASL_RESULT_COUNT
};

/* Slices live until sasl_free(). */
struct sasl_done {
    enum sasl_result result;
    struct vy_bytes typed_name; /* what the client called itself; may be empty, never trusted */
    const char *mechanism;      /* "SCRAM-SHA-256"; empty when none of ours was asked for */
    /* OK */
    uint64_t account_id;
    uint64_t account_epoch;
    struct vy_bytes session_token;
    struct vy_bytes account_name; /* main address */
    uint64_t expires_ms;
    /* DISABLED */
    struct vy_bytes text;
    /* LIMITED; 0: not said */
    uint32_t retry_after_ms;
};

/* Slices and pointers live until the next call on the exchange. */
struct sasl_step {
    enum sasl_step_kind kind;
    struct vy_bytes challenge; /* base64 already; may be empty */
    const struct login_request *request;
    struct vy_bytes password;
    struct vy_bytes salt;
    uint32_t argon2_memory_kib;
    uint32_t argon2_passes;
    uint32_t argon2_lanes;
    struct vy_bytes argon2_cache_key; /* what the result may be remembered by */
    struct sasl_done done;
};

/* Who signs in and over what. Slices are borrowed until sasl_free(). */
struct sasl_peer {
    enum login_protocol protocol;
    struct vy_bytes remote_ip;
    struct vy_bytes local_ip;
    struct vy_bytes user_agent; /* IMAP ID, EHLO name; may be empty */
    uint64_t trace_id[2];
    bool is_secured;        /* TLS is up: `tls` holds */
    bool is_trusted;        /* plaintext is allowed (auth.plaintext_networks) */
    struct session_tls tls; /* empty bindings: no -PLUS */
};

struct sasl_exchange; /* opaque, owned by one session, for one try */

/* The names to advertise, with one space between, into `out`: empty when the peer must secure the
 * connection first. */
struct vy_bytes sasl_mechanisms(const struct sasl_peer *peer, char out[SASL_MECHANISMS_BYTES_MAX]);

/* @errors NOMEM */
VY_CHECKED struct vy_err sasl_new(const struct sasl_peer *peer, struct sasl_exchange **out);
/* NULL is allowed. Wipes the password. */
void sasl_free(struct sasl_exchange *exchange);

/* AUTH and AUTHENTICATE. initial: as sent (base64, or "=" for an empty one); NULL: none. */
struct sasl_step sasl_start(struct sasl_exchange *exchange, struct vy_bytes mechanism,
                            const struct vy_bytes *initial);
/* IMAP LOGIN: name and password as they are, without base64. */
struct sasl_step sasl_start_login(struct sasl_exchange *exchange, struct vy_bytes name,
                                  struct vy_bytes password);
/* The client's answer to a CHALLENGE, without CRLF. */
struct sasl_step sasl_feed(struct sasl_exchange *exchange, struct vy_bytes line);
/* The call of a CALL ended: as session_ops.call_ended. */
struct sasl_step sasl_answered(struct sasl_exchange *exchange, struct vy_err err,
                               struct vy_bytes reply, uint32_t retry_after_ms);
/* The hash of a HASH is done: as session_ops.hash_done. */
struct sasl_step sasl_hashed(struct sasl_exchange *exchange, struct vy_err err,
                             struct vy_bytes tag);

/* The one table of answers (acceptance 1.2). */
const char *sasl_result_smtp_reply(enum sasl_result result); /* "535 5.7.8" */
const char *sasl_result_imap_code(enum sasl_result result);  /* "AUTHENTICATIONFAILED", or "" */
bool sasl_result_is_bad(enum sasl_result result);            /* IMAP answers BAD, not NO */
const char *sasl_result_text(enum sasl_result result);
const char *sasl_result_name(enum sasl_result result); /* "refused": for logs and counters */
