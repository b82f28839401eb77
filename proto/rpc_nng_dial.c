/* SPDX-License-Identifier: Apache-2.0 */
/* The way to a stream: resolve the name, then try each address for a second. nng itself would only
 * try the first. */
#include "base/assert.h"
#include "proto/rpc_nng.h"
#include "proto/rpc_resolve.h"

#define CONNECT_TIMEOUT_MS 1000U

static void dial_next(struct rpc_nng_pipe *io);

static void close_dialer(struct rpc_nng_pipe *io)
{
    if (io->dialer != NULL) {
        nng_stream_dialer_close(io->dialer);
        nng_stream_dialer_free(io->dialer);
        io->dialer = NULL;
    }
}

static void dial_on_done(void *arg)
{
    struct rpc_nng_pipe *io = arg;
    if (!rpc_nng_enter(io)) {
        return;
    }
    const int result = nng_aio_result(io->dial);
    nng_stream *stream = result == 0 ? nng_aio_get_output(io->dial, 0) : NULL;
    close_dialer(io);
    if (stream != NULL) {
        rpc_nng_open(io, stream);
    } else if (io->candidate_next < io->candidate_count) {
        dial_next(io);
    } else {
        rpc_nng_tell_closed(io, rpc_nng_err(result, "connect"));
    }
    rpc_nng_leave(io);
}

static void dial_callback(void *arg)
{
    rpc_nng_post(arg, dial_on_done);
}

static struct vy_err dial_one(struct rpc_nng_pipe *io, const struct rpc_address *address)
{
    char url[RPC_ADDRESS_BYTES_MAX + 32];
    rpc_nng_url(address, url, sizeof(url));
    if (io->dial == NULL) {
        const int result = nng_aio_alloc(&io->dial, dial_callback, io);
        if (result != 0) {
            return rpc_nng_err(result, "dial");
        }
        nng_aio_set_timeout(io->dial, io->connect_timeout_ms);
    }
    const int result = nng_stream_dialer_alloc(&io->dialer, url);
    if (result != 0) {
        return rpc_nng_err(result, "dial");
    }
    nng_stream_dialer_dial(io->dialer, io->dial);
    return vy_ok();
}

static void dial_next(struct rpc_nng_pipe *io)
{
    VY_ASSERT(io->candidate_next < io->candidate_count);
    const struct vy_err err = dial_one(io, &io->candidates[io->candidate_next++]);
    if (vy_failed(err)) {
        rpc_nng_tell_closed(io, err);
    }
}

static void dial_on_start(void *arg)
{
    struct rpc_nng_pipe *io = arg;
    if (rpc_nng_enter(io)) {
        dial_next(io);
        rpc_nng_leave(io);
    }
}

/* Posted by the resolver, not by nng: it counts no post of ours, and does not come once the pipe is
 * closed. */
static void dial_on_resolved(void *arg)
{
    struct rpc_nng_pipe *io = arg;
    io->hold_count++;
    io->candidate_count =
        rpc_resolve_take(io->resolve, io->address.port, io->candidates, RPC_NNG_ADDRESSES_MAX);
    rpc_resolve_free(VY_TAKE(io->resolve));
    if (io->candidate_count == 0) {
        rpc_nng_tell_closed(io, vy_error(VY_CODE_UNAVAILABLE, "name has no address"));
    } else {
        dial_next(io);
    }
    rpc_nng_leave(io);
}

static void dial_on_no_resolver(void *arg)
{
    struct rpc_nng_pipe *io = arg;
    if (rpc_nng_enter(io)) {
        rpc_nng_tell_closed(io, vy_error(VY_CODE_UNAVAILABLE, "resolver thread"));
        rpc_nng_leave(io);
    }
}

void rpc_nng_dial_start(struct rpc_nng_pipe *io)
{
    if (io->kind == RPC_ADDRESS_IPC || rpc_address_is_literal(&io->address)) {
        io->candidates[0] = io->address;
        io->candidate_count = 1;
        rpc_nng_post(io, dial_on_start);
        return;
    }
    const struct vy_err err =
        rpc_resolve_start(io->loop, io->address.name, dial_on_resolved, io, &io->resolve);
    if (vy_failed(err)) {
        rpc_nng_post(io, dial_on_no_resolver);
    }
}

void rpc_nng_dial_stop(struct rpc_nng_pipe *io)
{
    rpc_resolve_free(VY_TAKE(io->resolve));
    if (io->dialer != NULL) {
        nng_stream_dialer_close(io->dialer);
    }
    if (io->dial == NULL) {
        return;
    }
    nng_aio_stop(io->dial);
    /* A dial that succeeded while its post was still queued: the stream is ours to free. */
    if (io->stream == NULL && io->dialer != NULL && nng_aio_result(io->dial) == 0) {
        io->stream = nng_aio_get_output(io->dial, 0);
    }
}

struct vy_err rpc_nng_dial(const struct rpc_config *config, const struct rpc_address *address,
                           struct rpc_pipe **out)
{
    struct rpc_nng_pipe *io = NULL;
    VY_TRY(rpc_nng_pipe_new(config->loop, address->kind, NULL, &io));
    io->address = *address;
    io->connect_timeout_ms =
        (int)(config->connect_timeout_ms == 0 ? CONNECT_TIMEOUT_MS : config->connect_timeout_ms);
    *out = &io->pipe;
    return vy_ok();
}
