/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the files of a connection share: conn.c (life, session, actions), conn_io.c (bytes, TLS),
 * conn_calls.c (calls), conn_hash.c (Argon2id), conn_host.c (all of a loop). */
#include "frontend/conn.h"

enum conn_state {
    CONN_HANDSHAKE, /* implicit TLS before its session; waits for the client's handshake bytes */
    CONN_OPEN,      /* the session is served */
    CONN_SECURING,  /* STARTTLS: the session waits for the handshake */
    CONN_FLUSHING,  /* over: the last bytes go out; waits for room in the socket */
    CONN_LINGERING, /* over and flushed: waits for the client's end, so that what it was told is
                       not lost to a reset because of bytes it had sent meanwhile */
    CONN_DEAD,      /* to be freed by the step that runs */
    CONN_STATE_COUNT
};

struct conn {
    struct vy_list link; /* in host->conns */
    struct conn_host *host;
    const struct conn_service *service;
    struct session *session; /* owned; NULL until the handshake of implicit TLS is over */
    enum conn_state state;
    int fd; /* owned */
    struct vy_watch *watch;
    struct vy_timer *timer;
    struct vy_tls *tls;      /* owned; NULL in plaintext */
    struct vy_buf out;       /* bytes for the socket */
    struct vy_list calls;    /* struct conn_call */
    struct conn_hash *hash;  /* the Argon2id job under way, or NULL; owned by the worker pool */
    struct conn_tag *tag;    /* its result, until it is known whether it is right; owned */
    uint64_t session_due_ms; /* the session's timer; 0: none */
    uint64_t deadline_ms;    /* of the state (handshake, flush, linger); 0: none */
    uint64_t drain_due_ms;   /* when the session is told to say goodbye; 0: not, or it was */
    uint64_t progress_ms;    /* when the client last took bytes, or there were none for it */
    uint64_t account_id;     /* of the session, as far as it was checked */
    uint8_t trace_id[RPC_ID_BYTES]; /* as digits in the greeting, as bytes on the links */
    const char *close_reason;       /* literal */
    int events;                     /* what the watch is set to */
    size_t turn_bytes;              /* sent in this step: others want their turn too */
    bool is_read_stopped;           /* by the session */
    bool is_eof;                    /* the client sends no more */
    bool is_eof_told;
    bool has_tls_input; /* TLS may hold plaintext */
    bool wants_turn;    /* goes on in the loop's next turn */
    bool has_exporter;
    bool is_in_tarpit; /* counted there */
    uint16_t remote_port;
    struct sockaddr_storage peer;
    char remote_ip[VY_NET_IP_TEXT_BYTES];
    char local_ip[VY_NET_IP_TEXT_BYTES];
    char tls_info[64];
    uint8_t exporter[32];
    uint8_t end_point[64];
    size_t end_point_len;
};

/* ---- conn.c ---- */
static inline bool conn_is_over(const struct conn *conn)
{
    return conn->state >= CONN_FLUSHING;
}
static inline bool conn_is_in_handshake(const struct conn *conn)
{
    return conn->state == CONN_HANDSHAKE || conn->state == CONN_SECURING;
}
void conn_move(struct conn *conn, enum conn_state next, uint64_t within_ms); /* 0: no deadline */
/* No more input or actions; what is queued is flushed, then the connection goes. reason: literal */
void conn_close(struct conn *conn, const char *reason);
/* The same without flushing. */
void conn_abort(struct conn *conn, const char *reason);
void conn_free(struct conn *conn);
void conn_arm_timer(struct conn *conn); /* after a due time changed */
void conn_set_time(struct conn *conn);
void conn_drain_session(struct conn *conn);
void conn_tell_account_over(struct conn *conn, bool is_certain);
/* Steps the connection from a callback of its own; it may be gone afterwards. */
void conn_go_on(struct conn *conn);
void conn_perform_all(struct conn *conn);
/* The handshake is over: implicit TLS begins its session, STARTTLS goes on with the one there is.
 */
void conn_tls_ready(struct conn *conn);

/* ---- conn_io.c ---- */
void conn_send(struct conn *conn, struct vy_bytes bytes);
void conn_flush(struct conn *conn);
/* Reads what the socket has, up to CONN_READ_BYTES, and hands it on. */
void conn_read(struct conn *conn);
/* Plaintext that TLS holds, while the session wants it. */
void conn_pump_tls(struct conn *conn);
void conn_rewatch(struct conn *conn);

/* ---- conn_calls.c ---- */
void conn_call_start(struct conn *conn, const struct session_action *action);
void conn_call_send(struct conn *conn, const struct session_action *action);
void conn_call_send_end(struct conn *conn, uint64_t call_id);
void conn_call_cancel(struct conn *conn, uint64_t call_id);
/* Offers what calls hold back (reply bytes, ends, room for body bytes). True when the session was
 * given something. */
bool conn_calls_offer(struct conn *conn);
void conn_calls_drop(struct conn *conn);

/* ---- conn_host.c ---- */
/* AUTH-2: false: enough of them are in the log, it is counted. */
bool conn_host_may_log_refusal(struct conn_host *host);

/* ---- conn_hash.c ---- */
void conn_hash_start(struct conn *conn, const struct session_action *action);
void conn_hash_drop(struct conn *conn);
/* The password was right: its tag is remembered. */
void conn_hash_keep(struct conn *conn);
