/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The border between a protocol core and the shell: bytes and answers in, actions out. A core
 * (smtp/, imap/) never reads a socket, clock, random source or environment; the shell (conn.c)
 * never knows a protocol word. After every call into a core the shell takes actions with
 * next_action() until it returns false, and carries them out in order.
 */
#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "proto/methods.h"
#include "proto/pb.h"

struct session;

enum session_action_kind {
    SESSION_SEND,        /* bytes to the client */
    SESSION_CALL,        /* start a call to meta or a shard */
    SESSION_CALL_SEND,   /* body bytes of a call that has an UP stream */
    SESSION_CALL_END,    /* no more body */
    SESSION_CALL_CANCEL, /* forget the call: no further answer is given for it */
    SESSION_HASH,        /* Argon2id in the bounded pool; answered by hash_done */
    SESSION_START_TLS,   /* throw away unread plaintext, then handshake; answered by tls_started */
    SESSION_TIMER,       /* tick no later than delay_ms from now; replaces the last one */
    SESSION_READ_STOP,   /* no more receive() until READ_START */
    SESSION_READ_START,
    SESSION_LOG,     /* a registered event with fields */
    SESSION_COMMAND, /* a command has been answered: for the metrics */
    SESSION_CLOSE    /* flush, then close; nothing follows */
};

enum session_outcome {
    SESSION_OUTCOME_OK,
    SESSION_OUTCOME_NO,
    SESSION_OUTCOME_BAD,
    SESSION_OUTCOME_COUNT
};

enum session_target { SESSION_TO_META, SESSION_TO_SHARD };

struct session_action {
    enum session_action_kind kind;
    struct vy_bytes bytes; /* SEND, CALL_SEND: borrowed until the next call into the core */
    /* CALL */
    uint64_t call_id; /* chosen by the core; also for CALL_SEND, CALL_END, CALL_CANCEL, HASH */
    enum session_target target;
    uint64_t account_id; /* TO_SHARD: routes by its slot */
    uint32_t method;     /* enum rpc_method */
    const struct vy_pb_desc *request_desc;
    const void *request; /* borrowed until the next call into the core */
    uint32_t deadline_ms;
    bool is_write; /* carries an idempotency key and may be retried under it */
    bool has_key;  /* idempotency_key is set by the core (deliveries); else the shell makes one */
    uint8_t idempotency_key[16];
    /* HASH: borrowed until the next call into the core */
    struct vy_bytes password;
    struct vy_bytes salt;
    uint32_t argon2_memory_kib;
    uint32_t argon2_passes;
    uint32_t argon2_lanes;
    struct vy_bytes argon2_cache_key; /* what the result may be remembered by; empty: not */
    /* TIMER */
    uint64_t delay_ms;
    /* LOG */
    enum vy_log_level level;
    const char *event;
    const struct vy_log_field *fields;
    size_t fields_count;
    /* COMMAND */
    const char *command; /* literal: its name in the core's table */
    enum session_outcome outcome;
    uint64_t started_ms;
    /* CLOSE */
    const char *reason; /* literal, for the log */
};

/* tls-server-end-point and tls-exporter data (RFC 5929, 9266) for SCRAM-PLUS; empty when not
 * secured. */
struct session_tls {
    struct vy_bytes info;
    struct vy_bytes exporter;
    struct vy_bytes end_point;
};

/* What is known about the connection when a session begins. Slices live as long as the session. */
struct session_peer {
    struct vy_bytes remote_ip; /* text; lives as long as the session */
    uint16_t remote_port;
    struct vy_bytes local_ip;
    bool is_tls;              /* implicit TLS: already secured */
    struct vy_bytes tls_info; /* "TLSv1.3 TLS_AES_256_GCM_SHA384", empty in plaintext */
    bool is_trusted;      /* auth.plaintext_networks: plaintext AUTH allowed, no penalty delay */
    uint64_t trace_id[2]; /* one id from client line to shard log; shown in greeting and errors */
    uint64_t seed[4]; /* randomness for this session (view ids, nonces, multipart delivery ids) */
    struct session_tls tls; /* implicit TLS: its channel bindings */
    uint64_t now_ms;        /* monotonic time of the start */
    uint64_t wall_ms;
    bool can_start_tls; /* a certificate is there: STARTTLS may be offered */
};

struct session_ops {
    const char *protocol; /* "imap", "smtp", "lmtp", "submission": metrics and log label */
    void (*free)(struct session *session);
    /* Client bytes, any split; takes all of them (bounded inside: the shell hands in at most 64 KiB
     * a call). */
    void (*receive)(struct session *session, struct vy_bytes in, uint64_t now_ms);
    /* The client closed its side. */
    void (*closed)(struct session *session);
    void (*tls_started)(struct session *session, const struct session_tls *tls);
    void (*tick)(struct session *session, uint64_t now_ms);
    /* Reply stream bytes; returns how many it took: the rest is offered again once the output has
     * drained. */
    size_t (*call_data)(struct session *session, uint64_t call_id, struct vy_bytes data);
    /* The call ended. reply is the encoded reply message; empty on failure. */
    void (*call_ended)(struct session *session, uint64_t call_id, struct vy_err err,
                       struct vy_bytes reply, uint32_t retry_after_ms);
    /* The body stream of a call takes more. bytes: how many. */
    void (*call_writable)(struct session *session, uint64_t call_id, size_t bytes);
    void (*hash_done)(struct session *session, uint64_t call_id, struct vy_err err,
                      struct vy_bytes tag);
    /* The output queue fell under its low mark: go on with a paused FETCH. */
    void (*output_drained)(struct session *session);
    /* Server shutdown: say goodbye at the next safe point (421, BYE). */
    void (*drain)(struct session *session);
    /* The account that the session acts for has a newer epoch: it was disabled, deleted or its
     * credentials changed (DEL-6, APP-2): say goodbye at the next safe point. is_certain is false
     * when events were missed and it may have: sessions whose shard checks the epoch with every
     * call then go on. Called only while account_id is set. */
    void (*account_over)(struct session *session, bool is_certain);
    /* False: nothing to do. Cores stop producing SEND while `output_full` of the last call to
     * set_output_full holds. */
    bool (*next_action)(struct session *session, struct session_action *out);
};
/* Cores embed this first. */
struct session {
    const struct session_ops *ops;
    bool output_full; /* set by the shell: unsent bytes passed the high mark (256 KiB); no more SEND
                         than needed */
    uint64_t now_ms;  /* set by the shell before each call: monotonic */
    uint64_t wall_ms; /* set by the shell before each call: Unix time */
    bool is_held;     /* set by the core: an answer waits as a penalty (a place in the tarpit) */
    bool is_tarpit_full;    /* set by the shell before each call: none is left; close instead */
    uint64_t account_id;    /* set by the core at sign-in; 0: nobody has signed in */
    uint64_t account_epoch; /* of that sign-in */
};
