/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * One event loop of the frontend with its thread, its links to meta and the shards, and its
 * connections. Clients are accepted on the first edge and served on any.
 *
 * @thread  its own, unless said otherwise
 */
#include "frontend/ports.h"
#include <pthread.h>
#include <stdatomic.h>

struct edge_config {
    const struct frontend_config *frontend; /* borrowed */
    const struct port_limits *limits;       /* borrowed */
    const struct frontend_metrics *metrics; /* borrowed */
    struct vy_workers *hash_workers;        /* borrowed */
    struct hash_cache *hash_cache;          /* borrowed */
    struct conn_tarpit *tarpit;             /* borrowed */
    struct vy_tls_context *tls;             /* borrowed; NULL: none */
    /* A client has gone. @thread the edge's */
    void (*on_closed)(void *arg, const struct sockaddr_storage *peer);
    void *arg;
};

struct edge {
    struct edge_config config;
    struct vy_loop *loop; /* owned */
    pthread_t thread;
    bool is_started;
    struct rpc_config rpc;
    struct route *route; /* owned; made and freed on the loop */
    struct conn_host host;
    struct vy_timer *sweep;
    struct port_service services[FRONTEND_PORTS_MAX];
    uint32_t drain_ms; /* the last of many clients is told so late */
    atomic_bool is_ready;
    atomic_size_t conns_count;
    uint8_t read_buffer[CONN_READ_BYTES];
};

/* @thread any */
VY_CHECKED struct vy_err edge_new(const struct edge_config *config, struct edge **out);
/* Starts the thread; connects from there. What fails there is logged, and the edge never gets
 * ready. */
VY_CHECKED struct vy_err edge_start(struct edge *edge);
/* Runs fn(arg) on the edge's thread, behind all that was posted before, and waits for it.
 * @thread any but its own. @blocks */
void edge_run(struct edge *edge, vy_loop_fn fn, void *arg);
/* Takes over an accepted client. @thread any */
void edge_hand_over(struct edge *edge, size_t port_index, int fd,
                    const struct sockaddr_storage *peer);
void edge_publish(struct edge *edge); /* what other threads may read */
/* Says goodbye to clients; new ones too. drain_ms has been set. */
void edge_drain(void *edge);
/* Closes connections; new ones at once. The hash pool is not used any more. */
void edge_close_clients(void *edge);
/* The thread ends, then everything goes. Clients were closed. NULL is allowed. @blocks
 * @thread any but its own */
void edge_free(struct edge *edge);
