/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Pipes over nng byte streams (tcp, ipc). The callbacks of nng run on its own threads and do one
 * thing: post to the loop. Only dial, listen, accept, send, receive, close and free are used of
 * nng 1.5.2; see docs/decisions on why. Internal to the link.
 */
#include "proto/rpc_pipe.h"
#include <nng/nng.h>
#include <stdatomic.h>

#define RPC_NNG_READ_BYTES (64U * 1024U)
#define RPC_NNG_ADDRESSES_MAX 8U /* of one name */

struct rpc_resolve; /* rpc_resolve.h */

struct rpc_nng_pipe {
    struct rpc_pipe pipe;
    struct vy_loop *loop;
    enum rpc_address_kind kind;
    /* Posts that nng's callbacks (or we) have made and the loop has not run; with a closed pipe the
     * last one frees. */
    atomic_uint post_count;
    unsigned hold_count; /* events under way */
    bool is_closed;      /* by the owner */
    bool is_closed_told;
    /* dialling */
    struct rpc_address address;
    int connect_timeout_ms;
    struct rpc_resolve *resolve; /* owned; NULL when not resolving */
    struct rpc_address candidates[RPC_NNG_ADDRESSES_MAX];
    size_t candidate_count;
    size_t candidate_next;
    nng_stream_dialer *dialer;
    nng_aio *dial;
    /* open */
    nng_stream *stream;
    nng_aio *recv;
    nng_aio *send;
    uint8_t *in;               /* RPC_NNG_READ_BYTES */
    struct rpc_block_list out; /* given to send, not sent */
};

/* A pipe for an accepted stream, which it takes. */
VY_CHECKED struct vy_err rpc_nng_pipe_new(struct vy_loop *loop, enum rpc_address_kind kind,
                                          nng_stream *stream, struct rpc_nng_pipe **out);
/* rpc_nng_dial.c: starts and stops the way to a stream. */
void rpc_nng_dial_start(struct rpc_nng_pipe *io);
void rpc_nng_dial_stop(struct rpc_nng_pipe *io);
/* rpc_nng.c */
void rpc_nng_post(struct rpc_nng_pipe *io, vy_loop_fn fn);
/* First line of each posted function: false when the pipe is closed (and perhaps freed). */
VY_CHECKED bool rpc_nng_enter(struct rpc_nng_pipe *io);
void rpc_nng_leave(struct rpc_nng_pipe *io);
void rpc_nng_open(struct rpc_nng_pipe *io, nng_stream *stream); /* takes it */
void rpc_nng_tell_closed(struct rpc_nng_pipe *io, struct vy_err why);
struct vy_err rpc_nng_err(int result, const char *what);
void rpc_nng_url(const struct rpc_address *address, char *out, size_t size);
