/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What conn.c (bytes) and conn_calls.c (calls, hashes) share. */
#include "frontend/conn.h"

struct conn {
    struct vy_list link; /* in host->conns */
    struct conn_host *host;
    const struct conn_service *service;
    struct session *session; /* owned; NULL until the handshake of implicit TLS is over */
    int fd;                  /* owned */
    struct vy_watch *watch;
    struct vy_timer *timer;
    struct vy_tls *tls;     /* owned; NULL in plaintext */
    struct vy_buf out;      /* bytes for the socket */
    struct vy_list calls;   /* struct conn_call */
    struct conn_hash *hash; /* the Argon2id job under way, or NULL; owned by the worker pool */
    uint64_t progress_ms;   /* when the client last took bytes */
    uint64_t trace_id[2];
    const char *close_reason; /* literal */
    int events;               /* what the watch is set to */
    bool is_tls_ready;
    bool is_read_stopped;
    bool is_eof; /* the client sends no more */
    bool is_eof_told;
    bool is_closing; /* flush, then free */
    bool is_dead;    /* free without flushing */
    bool has_exporter;
    uint16_t remote_port;
    struct sockaddr_storage peer;
    char remote_ip[VY_NET_IP_TEXT_BYTES];
    char local_ip[VY_NET_IP_TEXT_BYTES];
    char tls_info[64];
    uint8_t exporter[32];
    uint8_t end_point[64];
    size_t end_point_len;
};

void conn_set_time(struct conn *conn);
/* Steps the connection from a callback of its own; it may be gone afterwards. */
void conn_go_on(struct conn *conn);

void conn_call_start(struct conn *conn, const struct session_action *action);
void conn_call_send(struct conn *conn, const struct session_action *action);
void conn_call_send_end(struct conn *conn, uint64_t call_id);
void conn_call_cancel(struct conn *conn, uint64_t call_id);
/* Offers what calls hold back (reply bytes, ends, room for body bytes). True when the session was
 * given something. */
bool conn_calls_offer(struct conn *conn);
void conn_calls_drop(struct conn *conn);
void conn_hash_start(struct conn *conn, const struct session_action *action);
void conn_log(struct conn *conn, const struct session_action *action);
