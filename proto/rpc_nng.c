/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/rpc_nng.h"

#include "base/assert.h"
#include "proto/nng_threads.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define IOV_MAX_NNG 8 /* what an nng_aio has room for */

struct vy_err rpc_nng_err(int result, const char *what)
{
    switch (result) {
    case NNG_ENOMEM:
        return vy_error(VY_CODE_NOMEM, what);
    case NNG_EADDRINUSE:
        return vy_error(VY_CODE_EXISTS, what);
    case NNG_EPERM:
        return vy_error(VY_CODE_DENIED, what);
    case NNG_ECLOSED:
    case NNG_ECONNRESET:
    case NNG_ECONNSHUT:
        return vy_error(VY_CODE_CLOSED, what);
    case NNG_ECONNREFUSED:
    case NNG_ETIMEDOUT:
    case NNG_EUNREACHABLE:
    case NNG_ENOENT:
        return vy_error(VY_CODE_UNAVAILABLE, what);
    default:
        return vy_error_sys(VY_CODE_IO, (result & NNG_ESYSERR) != 0 ? result & ~NNG_ESYSERR : 0,
                            what);
    }
}

void rpc_nng_url(const struct rpc_address *address, char *out, size_t size)
{
    if (address->kind == RPC_ADDRESS_IPC) {
        snprintf(out, size, "ipc://%s", address->name);
        return;
    }
    const bool is_v6 = strchr(address->name, ':') != NULL;
    snprintf(out, size, is_v6 ? "tcp://[%s]:%u" : "tcp://%s:%u", address->name, address->port);
}

/* ---- life: freed when closed, no event under way and no post queued ---- */

static void free_aio(nng_aio *aio)
{
    if (aio != NULL) {
        nng_aio_free(aio);
    }
}

static void free_if_last(struct rpc_nng_pipe *io)
{
    if (!io->is_closed || io->hold_count > 0 || atomic_load(&io->post_count) > 0) {
        return;
    }
    /* All stopped in pipe_close; free only now, never in a callback of theirs. */
    free_aio(io->dial);
    free_aio(io->recv);
    free_aio(io->send);
    if (io->dialer != NULL) {
        nng_stream_dialer_free(io->dialer);
    }
    if (io->stream != NULL) {
        nng_stream_free(io->stream);
    }
    rpc_block_list_clear(&io->out);
    free(io->in);
    free(io);
}

void rpc_nng_post(struct rpc_nng_pipe *io, vy_loop_fn fn)
{
    atomic_fetch_add(&io->post_count, 1);
    vy_loop_post(io->loop, fn, io);
}

bool rpc_nng_enter(struct rpc_nng_pipe *io)
{
    atomic_fetch_sub(&io->post_count, 1);
    if (io->is_closed) {
        free_if_last(io);
        return false;
    }
    io->hold_count++;
    return true;
}

void rpc_nng_leave(struct rpc_nng_pipe *io)
{
    io->hold_count--;
    free_if_last(io);
}

void rpc_nng_tell_closed(struct rpc_nng_pipe *io, struct vy_err why)
{
    if (!io->is_closed && !io->is_closed_told) {
        io->is_closed_told = true;
        io->pipe.events->on_closed(io->pipe.arg, why);
    }
}

/* ---- receiving: one read at a time, the next after the loop has handled this one (so the kernel
 * pushes back) ---- */

static void arm_recv(struct rpc_nng_pipe *io)
{
    nng_iov iov = {.iov_buf = io->in, .iov_len = RPC_NNG_READ_BYTES};
    nng_aio_set_iov(io->recv, 1, &iov);
    nng_stream_recv(io->stream, io->recv);
}

static void pipe_on_recv(void *arg)
{
    struct rpc_nng_pipe *io = arg;
    if (!rpc_nng_enter(io)) {
        return;
    }
    const int result = nng_aio_result(io->recv);
    if (result != 0) {
        rpc_nng_tell_closed(io, rpc_nng_err(result, "receive"));
    } else if (!io->is_closed_told) {
        io->pipe.events->on_data(io->pipe.arg, vy_bytes(io->in, nng_aio_count(io->recv)));
        if (!io->is_closed) {
            arm_recv(io);
        }
    }
    rpc_nng_leave(io);
}

/* ---- sending ---- */

static void arm_send(struct rpc_nng_pipe *io)
{
    nng_iov iov[IOV_MAX_NNG];
    unsigned count = 0;
    for (struct rpc_block *block = io->out.first; block != NULL && count < IOV_MAX_NNG;
         block = block->next) {
        iov[count++] =
            (nng_iov){.iov_buf = block->data + block->start, .iov_len = block->end - block->start};
    }
    nng_aio_set_iov(io->send, count, iov);
    nng_stream_send(io->stream, io->send);
}

static void drop_sent(struct rpc_nng_pipe *io, size_t count)
{
    while (count > 0) {
        struct rpc_block *block = io->out.first;
        VY_ASSERT(block != NULL);
        const size_t len = block->end - block->start;
        if (count < len) {
            block->start += (uint32_t)count;
            io->out.bytes -= count;
            return;
        }
        rpc_block_free(rpc_block_list_pop(&io->out));
        count -= len;
    }
}

static void pipe_on_sent(void *arg)
{
    struct rpc_nng_pipe *io = arg;
    if (!rpc_nng_enter(io)) {
        return;
    }
    const int result = nng_aio_result(io->send);
    if (result != 0) {
        rpc_nng_tell_closed(io, rpc_nng_err(result, "send"));
    } else if (!io->is_closed_told) {
        drop_sent(io, nng_aio_count(io->send));
        if (rpc_block_list_is_empty(&io->out)) {
            io->pipe.events->on_sent(io->pipe.arg);
        } else {
            arm_send(io);
        }
    }
    rpc_nng_leave(io);
}

/* nng's threads: nothing but a post. */
static void recv_callback(void *arg)
{
    rpc_nng_post(arg, pipe_on_recv);
}

static void send_callback(void *arg)
{
    rpc_nng_post(arg, pipe_on_sent);
}

static void pipe_send(struct rpc_pipe *pipe, struct rpc_block_list *blocks)
{
    struct rpc_nng_pipe *io = VY_CONTAINER_OF(pipe, struct rpc_nng_pipe, pipe);
    VY_ASSERT(rpc_block_list_is_empty(&io->out));
    rpc_block_list_join(&io->out, blocks);
    if (!io->is_closed_told) {
        arm_send(io);
    }
}

/* ---- opening ---- */

/* A socket file may be reached by other users through a careless directory: only ourselves and root
 * are let in. */
static struct vy_err check_user(struct rpc_nng_pipe *io)
{
    uint64_t uid = 0;
    const int result = nng_stream_get_uint64(io->stream, NNG_OPT_IPC_PEER_UID, &uid);
    if (result != 0) {
        return rpc_nng_err(result, "peer's user");
    }
    if (uid != 0 && uid != geteuid()) {
        return vy_error(VY_CODE_DENIED, "peer is another user");
    }
    return vy_ok();
}

static struct vy_err open_stream(struct rpc_nng_pipe *io)
{
    io->in = malloc(RPC_NNG_READ_BYTES);
    if (io->in == NULL || nng_aio_alloc(&io->recv, recv_callback, io) != 0 ||
        nng_aio_alloc(&io->send, send_callback, io) != 0) {
        return vy_error(VY_CODE_NOMEM, "link stream");
    }
    if (io->kind == RPC_ADDRESS_IPC) {
        return check_user(io);
    }
    /* Both are the library's wish anyway; a stream that cannot is still good. */
    (void)nng_stream_set_bool(io->stream, NNG_OPT_TCP_NODELAY, true);
    (void)nng_stream_set_bool(io->stream, NNG_OPT_TCP_KEEPALIVE, true);
    return vy_ok();
}

void rpc_nng_open(struct rpc_nng_pipe *io, nng_stream *stream)
{
    io->stream = stream;
    const struct vy_err err = open_stream(io);
    if (vy_failed(err)) {
        rpc_nng_tell_closed(io, err);
        return;
    }
    const struct rpc_pipe_peer peer = {.is_authenticated = io->kind == RPC_ADDRESS_IPC};
    io->pipe.events->on_open(io->pipe.arg, &peer);
    if (!io->is_closed) {
        arm_recv(io);
    }
}

static void pipe_on_accepted(void *arg)
{
    struct rpc_nng_pipe *io = arg;
    if (rpc_nng_enter(io)) {
        rpc_nng_open(io, io->stream);
        rpc_nng_leave(io);
    }
}

static void pipe_start(struct rpc_pipe *pipe)
{
    struct rpc_nng_pipe *io = VY_CONTAINER_OF(pipe, struct rpc_nng_pipe, pipe);
    if (io->stream != NULL) {
        rpc_nng_post(io, pipe_on_accepted);
    } else {
        rpc_nng_dial_start(io);
    }
}

/* Closing a stream is what reliably completes its operations; stopping them then makes sure that no
 * callback comes. */
static void pipe_close(struct rpc_pipe *pipe)
{
    struct rpc_nng_pipe *io = VY_CONTAINER_OF(pipe, struct rpc_nng_pipe, pipe);
    VY_ASSERT(!io->is_closed);
    io->is_closed = true;
    rpc_nng_dial_stop(io);
    if (io->stream != NULL) {
        nng_stream_close(io->stream);
    }
    if (io->recv != NULL) {
        nng_aio_stop(io->recv);
    }
    if (io->send != NULL) {
        nng_aio_stop(io->send);
    }
    free_if_last(io);
}

static const struct rpc_pipe_ops nng_pipe_ops = {
    .start = pipe_start, .send = pipe_send, .close = pipe_close};

struct vy_err rpc_nng_pipe_new(struct vy_loop *loop, enum rpc_address_kind kind, nng_stream *stream,
                               struct rpc_nng_pipe **out)
{
    VY_TRY(nng_threads_start());
    struct rpc_nng_pipe *io = calloc(1, sizeof(*io));
    if (io == NULL) {
        return vy_error(VY_CODE_NOMEM, "link stream");
    }
    io->pipe.ops = &nng_pipe_ops;
    io->loop = loop;
    io->kind = kind;
    io->stream = stream;
    atomic_init(&io->post_count, 0);
    *out = io;
    return vy_ok();
}
