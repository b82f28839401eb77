/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * One client connection: socket, TLS, buffers, timer and the calls of its session. Moves bytes and
 * carries out the session's actions in order (session.h); knows no protocol word. An idle
 * connection holds no buffers.
 */
#include "base/list.h"
#include "base/loop.h"
#include "base/net.h"
#include "base/rng.h"
#include "base/tls.h"
#include "base/workers.h"
#include "frontend/hash_cache.h"
#include "frontend/log_gate.h"
#include "frontend/metrics.h"
#include "frontend/route.h"
#include "frontend/session.h"
#include <stdatomic.h>

#define CONN_READ_BYTES (64U * 1024U)         /* read and handed to the session at a time */
#define CONN_OUTPUT_HIGH_BYTES (256U * 1024U) /* above: the session pauses */
#define CONN_OUTPUT_LOW_BYTES (64U * 1024U)   /* below: it goes on */
#define CONN_TURN_BYTES (1024U * 1024U)       /* sent in a turn of the loop, before others go on */
#define CONN_OUTPUT_BYTES_MAX                                                                      \
    (8U * 1024U * 1024U) /* a session that goes past this is broken: close */
#define CONN_WRITE_STALL_MS                                                                        \
    (5U * 60U * 1000U) /* I14: a client that reads nothing for so long is gone */
#define CONN_HANDSHAKE_MS 30000U
#define CONN_CALL_STALL_MS 30000U
#define CONN_DRAINS_PER_MS 2U /* clients that are sent away at a time by a drain */
#define CONN_FLUSH_MS 5000U   /* for the last bytes before a close */
#define CONN_LINGER_MS 2000U  /* for the client's own end behind them */

/* A way to serve: one per listening port and loop. */
struct conn_service {
    const char *name; /* "imap", "imaps", "smtp", ...: log label */
    enum frontend_proto proto;
    bool is_implicit_tls;
    VY_CHECKED struct vy_err (*session_new)(void *arg, const struct session_peer *peer,
                                            struct session **out);
    void *arg;
};

/* Connections whose answer is held back as a penalty, over all loops: each costs a timer and little
 * memory, and there are at most `max` (promises 5.6). */
struct conn_tarpit {
    atomic_uint_fast32_t count;
    uint32_t max;
};

#define CONN_EPOCHS_KEPT 256U

/* What all connections of one loop share. Everything borrowed; outlives them. */
struct conn_host {
    struct vy_loop *loop;
    struct vy_clock *clock;
    struct vy_rng *rng;
    const struct vy_log *log;
    struct route *route;
    struct vy_workers *hash_workers; /* Argon2id: bounded threads and queue */
    struct hash_cache *hash_cache;   /* of what it said of right passwords */
    struct conn_tarpit *tarpit;
    struct log_gate refusals;     /* in the log */
    struct vy_tls_context *tls;   /* NULL: no TLS is offered */
    const struct vy_net *trusted; /* auth.plaintext_networks */
    size_t trusted_count;
    uint32_t handshake_ms;   /* for a TLS handshake */
    uint32_t write_stall_ms; /* I14: a client that takes nothing for so long is gone */
    uint32_t call_stall_ms;  /* a shard that does not begin to answer a stream is given up */
    uint8_t *read_buffer;    /* CONN_READ_BYTES, used by one connection at a time */
    const struct frontend_metrics *metrics;
    struct vy_list conns;
    size_t conns_count;
    bool is_draining; /* new connections are told to go at once */
    bool is_closed;   /* there are to be none any more */
    /* Accounts whose epoch was raised last: a sign-in of before may still be on its way. */
    struct {
        uint64_t account_id;
        uint64_t epoch;
    } epochs[CONN_EPOCHS_KEPT];
    size_t epochs_next;
    void (*on_closed)(void *arg,
                      const struct sockaddr_storage *peer); /* after a connection has gone */
    void *on_closed_arg;
};

/* Takes over a connected, non-blocking socket; closes it on failure. */
VY_CHECKED struct vy_err conn_new(struct conn_host *host, const struct conn_service *service,
                                  int fd, const struct sockaddr_storage *peer);
/* An account has a newer epoch: its sessions end at their next safe point (DEL-6, APP-2).
 * account_id 0: events were missed, every session may be concerned. */
void conn_host_account_over(struct conn_host *host, uint64_t account_id, uint64_t epoch);
/* Tells every session to say goodbye at its next safe point: the first at once, thousands one
 * behind the other, so that they do not all come back in one moment; the last within_ms later. */
void conn_host_drain(struct conn_host *host, uint32_t within_ms);
/* Closes what is left, without a word. */
void conn_host_close_all(struct conn_host *host);
/* Closes connections whose clients take nothing; call every few seconds. */
void conn_host_sweep(struct conn_host *host);
