/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Bodies shared by rpc_server.c (listeners, links, drain) and rpc_server_call.c (calls). */
#include "proto/rpc_conn.h"
#include "proto/rpc_server.h"

#define RPC_SERVER_LINKS_MAX                                                                       \
    4096U /* a cluster has hundreds of nodes; descriptors are for clients */
#define RPC_SERVER_STRANGERS_MAX 256U /* of those, without HELLO yet */
#define RPC_SERVER_LISTENERS_MAX 8U

struct rpc_server_entry {
    const struct rpc_server_method *method; /* borrowed */
    void *arg;
    uint32_t in_flight;
};

struct rpc_server_link {
    struct rpc_server *server;
    struct rpc_conn *conn; /* owned reference */
    struct vy_list node;   /* server->links */
    bool is_known;         /* greeted */
};

struct rpc_server {
    const struct rpc_config *config; /* borrowed */
    struct vy_map methods;           /* id -> struct rpc_server_entry, owned */
    struct rpc_listener *listeners[RPC_SERVER_LISTENERS_MAX];
    size_t listener_count;
    uint16_t port;
    struct vy_list links;
    size_t stranger_count;
    struct vy_list calls; /* not answered yet */
    struct rpc_server_stats stats;
    bool is_draining;
    bool is_freed;
    unsigned ref_count;
    struct vy_timer *drain_timer;
    uint64_t drain_until_ms;
    vy_loop_fn on_drained;
    void *on_drained_arg;
};

struct rpc_server_call {
    struct rpc_flow stream;
    struct rpc_server *server;      /* NULL when that is gone */
    struct rpc_server_entry *entry; /* NULL likewise */
    const struct rpc_server_method *method;
    struct rpc_conn *conn;                       /* owned reference: the peer's name */
    struct vy_list node;                         /* server->calls */
    const struct rpc_server_call_events *events; /* NULL: none */
    void *arg;
    bool is_answered; /* the handler is done with it */
    bool is_cancelled;
    bool has_started; /* the handler has it: it may hear events */
    bool has_key;
    bool has_trace;
    uint64_t span_id;
    uint32_t attempt;
    uint8_t idempotency_key[RPC_ID_BYTES];
    uint8_t trace_id[RPC_ID_BYTES];
    uint32_t principal_bytes;
    uint8_t principal[RPC_PRINCIPAL_BYTES_MAX];
};

/* rpc_server_call.c */
void rpc_server_take_call(struct rpc_server *server, struct rpc_conn *conn,
                          const struct rpc_frame *frame, const struct rpc_call_meta *meta,
                          struct vy_bytes request_start);
/* Ends watches for the drain. */
void rpc_server_end_endless(struct rpc_server *server);
/* rpc_server.c: a call was answered or a link closed; the drain may be over. */
void rpc_server_check_drained(struct rpc_server *server);
