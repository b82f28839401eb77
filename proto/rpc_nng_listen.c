/* SPDX-License-Identifier: Apache-2.0 */
/* Accepting nng streams; with TLS each is wrapped before anybody sees it. */
#include "base/assert.h"
#include "proto/nng_threads.h"
#include "proto/rpc_nng.h"
#include <stdlib.h>

#define ACCEPT_PAUSE_MS                                                                            \
    100U /* out of descriptors, most likely: accepting at once would only spin */

struct nng_acceptor {
    struct rpc_listener listener;
    const struct rpc_config *config; /* borrowed */
    enum rpc_address_kind kind;
    nng_stream_listener *nng;
    nng_aio *accept;
    struct vy_timer *timer;
    atomic_uint post_count;
    bool is_closed;
    bool is_busy; /* in acceptor_on_accept */
};

static void free_if_last(struct nng_acceptor *acceptor)
{
    if (!acceptor->is_closed || acceptor->is_busy || atomic_load(&acceptor->post_count) > 0) {
        return;
    }
    nng_aio_free(acceptor->accept);
    nng_stream_listener_free(acceptor->nng);
    vy_timer_free(acceptor->timer);
    free(acceptor);
}

static void arm_accept(void *arg)
{
    struct nng_acceptor *acceptor = arg;
    nng_stream_listener_accept(acceptor->nng, acceptor->accept);
}

static void hand_over(struct nng_acceptor *acceptor, nng_stream *stream)
{
    const struct rpc_config *config = acceptor->config;
    struct rpc_nng_pipe *io = NULL;
    struct vy_err err = rpc_nng_pipe_new(config->loop, acceptor->kind, stream, &io);
    if (vy_failed(err)) {
        nng_stream_free(stream);
        return;
    }
    struct rpc_pipe *pipe = &io->pipe;
    if (acceptor->kind == RPC_ADDRESS_TCP && config->tls != NULL) {
        err = rpc_tls_pipe_new(config, pipe, /* is_dialer = */ false, &pipe);
    }
    if (!vy_failed(err)) {
        acceptor->listener.on_accept(acceptor->listener.arg, pipe);
    }
}

static void acceptor_on_accept(void *arg)
{
    struct nng_acceptor *acceptor = arg;
    atomic_fetch_sub(&acceptor->post_count, 1);
    const int result = nng_aio_result(acceptor->accept);
    nng_stream *stream = result == 0 ? nng_aio_get_output(acceptor->accept, 0) : NULL;
    if (acceptor->is_closed) {
        if (stream != NULL) {
            nng_stream_free(stream);
        }
        free_if_last(acceptor);
        return;
    }
    if (stream == NULL) {
        vy_timer_start(acceptor->timer, ACCEPT_PAUSE_MS);
        return;
    }
    acceptor->is_busy = true;
    hand_over(acceptor, stream);
    acceptor->is_busy = false;
    if (acceptor->is_closed) {
        free_if_last(acceptor);
    } else {
        arm_accept(acceptor);
    }
}

static void accept_callback(void *arg)
{
    struct nng_acceptor *acceptor = arg;
    atomic_fetch_add(&acceptor->post_count, 1);
    vy_loop_post(acceptor->config->loop, acceptor_on_accept, acceptor);
}

static void acceptor_close(struct rpc_listener *listener)
{
    struct nng_acceptor *acceptor = VY_CONTAINER_OF(listener, struct nng_acceptor, listener);
    acceptor->is_closed = true;
    vy_timer_stop(acceptor->timer);
    nng_stream_listener_close(acceptor->nng);
    nng_aio_stop(acceptor->accept);
    free_if_last(acceptor);
}

static const struct rpc_listener_ops acceptor_ops = {.close = acceptor_close};

static int open_nng(struct nng_acceptor *acceptor, const struct rpc_address *address)
{
    char url[RPC_ADDRESS_BYTES_MAX + 32];
    rpc_nng_url(address, url, sizeof(url));
    int result = nng_stream_listener_alloc(&acceptor->nng, url);
    if (result == 0 && address->kind == RPC_ADDRESS_IPC) {
        result = nng_stream_listener_set_int(acceptor->nng, NNG_OPT_IPC_PERMISSIONS, 0600);
    }
    if (result == 0) {
        result = nng_stream_listener_listen(acceptor->nng);
    }
    if (result == 0) {
        result = nng_aio_alloc(&acceptor->accept, accept_callback, acceptor);
    }
    return result;
}

static uint16_t bound_port(const struct nng_acceptor *acceptor)
{
    int port = 0;
    if (nng_stream_listener_get_int(acceptor->nng, NNG_OPT_TCP_BOUND_PORT, &port) != 0 ||
        port < 0 || port > UINT16_MAX) {
        return 0;
    }
    return (uint16_t)port;
}

static void discard(struct nng_acceptor *acceptor)
{
    if (acceptor->accept != NULL) {
        nng_aio_free(acceptor->accept);
    }
    if (acceptor->nng != NULL) {
        nng_stream_listener_free(acceptor->nng);
    }
    vy_timer_free(acceptor->timer);
    free(acceptor);
}

struct vy_err rpc_nng_listen(const struct rpc_config *config, const struct rpc_address *address,
                             struct rpc_listener **out)
{
    VY_TRY(nng_threads_start());
    if (address->kind == RPC_ADDRESS_TCP && !rpc_address_is_literal(address)) {
        return vy_error(VY_CODE_ARGUMENT, "listening needs a literal address");
    }
    struct nng_acceptor *acceptor = calloc(1, sizeof(*acceptor));
    if (acceptor == NULL) {
        return vy_error(VY_CODE_NOMEM, "link listener");
    }
    acceptor->listener.ops = &acceptor_ops;
    acceptor->config = config;
    acceptor->kind = address->kind;
    atomic_init(&acceptor->post_count, 0);
    acceptor->timer = vy_timer_new(config->loop, arm_accept, acceptor);
    const int result = acceptor->timer == NULL ? NNG_ENOMEM : open_nng(acceptor, address);
    if (result != 0) {
        discard(acceptor);
        return rpc_nng_err(result, result == NNG_EADDRINUSE ? "another process listens there"
                                                            : "link listen");
    }
    acceptor->listener.port = address->kind == RPC_ADDRESS_TCP ? bound_port(acceptor) : 0;
    arm_accept(acceptor);
    *out = &acceptor->listener;
    return vy_ok();
}
