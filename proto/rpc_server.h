/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The link seen by a server: listens on addresses (rpc.h), checks who calls what, and hands calls
 * to handlers.
 *
 * A call belongs to its handler until the handler answers it: each call is answered exactly once,
 * by rpc_server_call_reply or _fail, at once or later, even after on_cancel. So a handler may keep
 * the pointer across disk reads and commits without fear; when the caller has gone meanwhile the
 * answer goes nowhere.
 *
 * @thread  everything belongs to the thread of config->loop
 */
#include "proto/rpc.h"

struct rpc_server;
struct rpc_server_call;

struct rpc_server_method {
    uint32_t id; /* methods.h */
    const char *name;
    uint32_t roles;             /* RPC_ROLE_* bits that may call it */
    uint32_t request_bytes_max; /* of the request message; 0: 64 KiB */
    uint32_t deadline_ms;       /* when the caller names none; 0: 30,000 */
    uint32_t in_flight_max; /* calls not answered yet, from all links; more get BUSY; 0: 1,024 */
    bool endless; /* a watch: no deadline, and ended with UNAVAILABLE when the server drains */
    /* `request` is valid during the handler only. */
    void (*handler)(void *arg, struct rpc_server_call *call, struct vy_bytes request);
};

/* Counted since the start; for metrics and tests. */
struct rpc_server_stats {
    uint64_t links_accepted;
    uint64_t links_open;
    uint64_t
        links_refused; /* handshake, certificate, wrong cluster, version or user (R1, R2, R12) */
    uint64_t links_broken; /* closed by us: a frame or message that breaks the protocol (R3) */
    uint64_t calls;
    uint64_t calls_open;
    uint64_t calls_denied;  /* role may not call the method (R1) */
    uint64_t calls_busy;    /* over in_flight_max (R9) */
    uint64_t calls_expired; /* deadline passed before the answer */
    uint64_t calls_cancelled;
};

VY_CHECKED struct vy_err rpc_server_new(const struct rpc_config *config, struct rpc_server **out);
/* The table is borrowed. Ids must be new. Several tables (services) may share a server. */
VY_CHECKED struct vy_err rpc_server_add_methods(struct rpc_server *server,
                                                const struct rpc_server_method *methods,
                                                size_t count, void *arg);
/* Any number of addresses. tcp port 0: chosen by the system. @errors ARGUMENT, DENIED plain tcp
 * beyond loopback, EXISTS in use, IO */
VY_CHECKED struct vy_err rpc_server_listen(struct rpc_server *server, const char *address);
uint16_t rpc_server_port(const struct rpc_server *server); /* of the first tcp address; 0: none */
const struct rpc_server_stats *rpc_server_stats(const struct rpc_server *server);
/*
 * Stops accepting links and calls (GOAWAY), ends endless calls, waits for the rest, at most
 * deadline_ms, then calls on_drained once from the loop. The server still has to be freed.
 */
void rpc_server_drain(struct rpc_server *server, uint32_t deadline_ms, vy_loop_fn on_drained,
                      void *arg);
/* Closes all links without a word. Calls not answered yet get on_cancel first, and still have to be
 * answered. */
void rpc_server_free(struct rpc_server *server);

/* Who calls: from the certificate with TLS, else what the peer's HELLO said (same machine, same
 * user). */
struct rpc_peer {
    enum rpc_role role;
    const char *node;
    bool authenticated; /* by certificate, by operating system user, or the same process */
};
const struct rpc_peer *rpc_server_call_peer(const struct rpc_server_call *call);
const struct rpc_server_method *rpc_server_call_method(const struct rpc_server_call *call);
uint64_t rpc_server_call_remaining_ms(
    const struct rpc_server_call *call); /* UINT64_MAX: endless; 0: too late */
const uint8_t *rpc_server_call_idempotency_key(
    const struct rpc_server_call *call); /* RPC_ID_BYTES, or NULL: none */
const uint8_t *rpc_server_call_trace_id(const struct rpc_server_call *call); /* likewise */
uint64_t rpc_server_call_span_id(const struct rpc_server_call *call);
uint32_t rpc_server_call_attempt(const struct rpc_server_call *call);
struct vy_bytes rpc_server_call_principal(const struct rpc_server_call *call);
bool rpc_server_call_is_cancelled(
    const struct rpc_server_call *call); /* nobody waits for the answer */

/* Called from the loop. NULL members are fine. */
struct rpc_server_call_events {
    /* Part of the request stream; counts against the window until rpc_server_call_consumed. NULL:
     * thrown away. */
    void (*on_data)(void *arg, struct vy_bytes bytes);
    void (*on_data_end)(void *arg); /* the request stream is whole */
    void (*on_writable)(void *arg); /* after rpc_server_call_send took less than it was given */
    void (*on_cancel)(
        void *arg); /* caller, link or deadline is gone; a hint: still answer the call */
};
/* Inside the handler. `events` is borrowed until the answer. Without events a request stream is
 * thrown away. */
void rpc_server_call_set_events(struct rpc_server_call *call,
                                const struct rpc_server_call_events *events, void *arg);
/* Part of the reply stream: takes what credit allows, returns how many bytes; on a cancelled call
 * it takes them all. */
size_t rpc_server_call_send(struct rpc_server_call *call, struct vy_bytes bytes);
bool rpc_server_call_send_message(struct rpc_server_call *call,
                                  struct vy_bytes message); /* as rpc_call_send_message */
void rpc_server_call_consumed(struct rpc_server_call *call, size_t count);
/* The caller breaks a rule above the link (R2): its whole link is closed, from the loop, and
 * counted as broken. The call is still to be answered. */
void rpc_server_call_close_link(struct rpc_server_call *call, struct vy_err why);
/* Both end the call; the pointer is dead. `reply` is copied. */
void rpc_server_call_reply(struct rpc_server_call *call, struct vy_bytes reply);
/*
 * @err             err.code and err.what go to the caller (a literal of ours, no secrets)
 * @leader_hint     node name or address, with NOT_LEADER and MOVED; may be NULL
 * @retry_after_ms  with BUSY; 0: none
 * NOT_LEADER, UNAVAILABLE, BUSY and STALE say that nothing was done (not_executed): use UNKNOWN
 * when that is not sure.
 */
void rpc_server_call_fail(struct rpc_server_call *call, struct vy_err err, const char *leader_hint,
                          uint32_t retry_after_ms);
