/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The link between roles, seen by a caller: one duplex connection to one peer that redials by
 * itself, many calls on it at once, each with a deadline, credit-based flow control and a trace.
 * Knows methods by number only (methods.h).
 *
 * Addresses: "tcp://127.0.0.1:7070" (TLS, or plain on loopback if the config allows),
 * "ipc:///run/volary/x.sock" (same user or root), "inproc:NAME" (another role of this process).
 * Servers are in rpc_server.h, replicated groups in rpc_group.h. The process must not fork once the
 * first link or server with a tcp or ipc address exists.
 *
 * @thread  everything here belongs to the thread of config->loop, and calls back there
 */
#include "base/bytes.h"
#include "base/err.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/rng.h"
#include "proto/methods.h"

struct rpc_tls_context; /* rpc_tls.h */
struct rpc_inproc;      /* rpc_inproc.h */

#define RPC_ID_BYTES 16U             /* idempotency keys and trace ids; all zero means none */
#define RPC_PRINCIPAL_BYTES_MAX 256U /* larger than any account or node name with its realm */
#define RPC_NAME_BYTES_MAX 128U      /* cluster and node names, leader hints */
#define RPC_CALLS_PER_LINK_MAX 1024U /* open at once */
#define RPC_STREAM_WINDOW_BYTES (512U * 1024U) /* unconsumed per stream and direction */
/* Unconsumed per link and direction. The first RPC_STREAM_FLOOR_BYTES of each stream do not count:
 * however many consumers stall, every other stream still moves. */
#define RPC_LINK_WINDOW_BYTES (4U * 1024U * 1024U)
#define RPC_STREAM_FLOOR_BYTES 4096U
#define RPC_MESSAGE_BYTES_MAX (256U * 1024U)      /* one piece of a stream of messages */
#define RPC_REPLY_BYTES_MAX (64U * 1024U * 1024U) /* default limit of a reply message */

/* What links and servers of one role have in common. Borrowed whole; must outlive them. */
struct rpc_config {
    struct vy_loop *loop;
    struct vy_rng *rng; /* jitter only */
    const struct vy_log *log;
    const char *cluster;          /* peers of other clusters are refused */
    const char *node;             /* this node's name */
    enum rpc_role role;           /* this node's role; RPC_ROLE_ALL in the all-in-one */
    struct rpc_tls_context *tls;  /* NULL: no TLS, then tcp is for loopback alone */
    struct rpc_inproc *inproc;    /* NULL: no inproc addresses */
    bool allow_plain_loopback;    /* tcp without TLS on 127.0.0.0/8 and ::1 */
    uint32_t stream_window_bytes; /* 0: RPC_STREAM_WINDOW_BYTES */
    uint32_t link_window_bytes;   /* 0: RPC_LINK_WINDOW_BYTES */
    uint32_t ping_interval_ms;    /* 0: 1,000; a peer silent for three of them is dead */
    uint32_t hello_timeout_ms;    /* 0: 3,000; from the dial or accept to the peer's HELLO */
    uint32_t connect_timeout_ms;  /* 0: 1,000; per resolved address */
};

/* How a call ended. Slices are valid during the callback. */
struct rpc_status {
    enum vy_code code;       /* OK, or what the server said, or what the link found */
    struct vy_bytes message; /* for people and logs */
    bool not_executed;       /* certainly nothing was done: asking again is safe without a key */
    struct vy_bytes leader_hint; /* NOT_LEADER: node name or address, or empty */
    uint32_t retry_after_ms;     /* BUSY: not sooner; 0 when not said */
};
/* The status as an error value; `what` stays valid, the message is left behind. */
struct vy_err rpc_status_err(const struct rpc_status *status);

struct rpc_link;
struct rpc_call;

struct rpc_link_options {
    const char *address; /* copied */
    uint32_t peer_roles; /* TLS: RPC_ROLE_* bits, one of which the peer's certificate must name; 0:
                            any */
    const char *peer_node; /* node name the peer must have; copied; NULL: any */
    void (*on_state)(void *arg,
                     bool up); /* may be NULL; not called from within a function of this header */
    void *arg;
};
/* Starts dialling at once and redials with backoff (50 ms to 5 s, with jitter) for ever. @errors
 * ARGUMENT address */
VY_CHECKED struct vy_err rpc_link_new(const struct rpc_config *config,
                                      const struct rpc_link_options *options,
                                      struct rpc_link **out);
/* Open calls get their on_end (CANCELLED) before this returns. NULL is allowed. May be called from
 * a callback. */
void rpc_link_free(struct rpc_link *link);
bool rpc_link_is_up(const struct rpc_link *link);
/* There is a reason to believe that the peer is back: dials soon instead of waiting its back-off
 * out. May be called as often as one likes. */
void rpc_link_hurry(struct rpc_link *link);
const char *rpc_link_address(const struct rpc_link *link);
size_t rpc_link_open_calls(const struct rpc_link *link);

struct rpc_call_options {
    uint32_t deadline_ms; /* from now; 0: 30,000 */
    bool endless;         /* no deadline at all: watches */
    bool wait_ready;  /* while the link is down wait for it (to the deadline) instead of failing at
                         once */
    bool has_body;    /* a request stream follows: rpc_call_send ... rpc_call_send_end */
    bool idempotent;  /* a read: rpc_group may repeat it without a key */
    uint32_t attempt; /* 0 first */
    uint32_t reply_bytes_max; /* 0: RPC_REPLY_BYTES_MAX */
    uint8_t idempotency_key[RPC_ID_BYTES];
    uint8_t trace_id[RPC_ID_BYTES];
    uint64_t span_id;
    struct vy_bytes principal; /* copied */
};
/* Called from the loop, never from within a function of this header (but see rpc_link_free). NULL
 * members are fine. */
struct rpc_call_events {
    /* Part of the reply stream, in order; its bytes count against the window until
     * rpc_call_consumed. With a NULL on_data a reply stream is thrown away. */
    void (*on_data)(void *arg, struct vy_bytes bytes);
    void (*on_writable)(void *arg); /* after rpc_call_send took less than it was given */
    /* Exactly once, unless cancelled; the call is gone when it returns. `reply` is empty unless
     * status->code is OK. Before the deadline with a lost link: UNKNOWN when the request was
     * written (it may have been executed), UNAVAILABLE and not_executed when it certainly was not.
     * After the deadline: likewise. */
    void (*on_end)(void *arg, const struct rpc_status *status, struct vy_bytes reply);
};
/*
 * Starts a call. Never blocks, never calls back.
 *
 * @request  copied
 * @options  copied; NULL: all zero
 * @events   borrowed until the call ends (a static table)
 * @returns  NULL when RPC_CALLS_PER_LINK_MAX calls are open, the link has no memory or the request
 * is over 64 MiB: nothing was sent and on_end is not called; answer BUSY
 */
struct rpc_call *rpc_call_start(struct rpc_link *link, uint32_t method, struct vy_bytes request,
                                const struct rpc_call_options *options,
                                const struct rpc_call_events *events, void *arg);
/* Takes as much of `bytes` (copied) as credit allows; returns how many. Short: wait for
 * on_writable. */
size_t rpc_call_send(struct rpc_call *call, struct vy_bytes bytes);
/* One message of a stream of messages: arrives as one on_data, or (false) nothing was taken: wait
 * for on_writable. At most RPC_MESSAGE_BYTES_MAX. Do not mix with rpc_call_send, which keeps no
 * bounds. */
bool rpc_call_send_message(struct rpc_call *call, struct vy_bytes message);
void rpc_call_send_end(struct rpc_call *call); /* the request stream is whole */
/* Gives back credit for `count` bytes that on_data handed over. */
void rpc_call_consumed(struct rpc_call *call, size_t count);
/* No event comes any more; the call is gone. The server is told. NULL is allowed. Fine inside
 * on_data, on_writable. */
void rpc_call_cancel(struct rpc_call *call);
