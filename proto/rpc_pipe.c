/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/rpc_pipe.h"

/* Bytes between machines are encrypted; without TLS tcp stays on this one, and only when asked for.
 */
static struct vy_err check_plain_tcp(const struct rpc_config *config,
                                     const struct rpc_address *address)
{
    if (config->tls != NULL) {
        return vy_ok();
    }
    if (!config->allow_plain_loopback || !rpc_address_is_loopback(address)) {
        return vy_error(VY_CODE_DENIED, "plain tcp link");
    }
    return vy_ok();
}

struct vy_err rpc_pipe_dial(const struct rpc_config *config, const struct rpc_address *address,
                            struct rpc_pipe **out)
{
    switch (address->kind) {
    case RPC_ADDRESS_INPROC:
        return rpc_inproc_dial(config, address, out);
    case RPC_ADDRESS_IPC:
        return rpc_nng_dial(config, address, out);
    case RPC_ADDRESS_TCP:
        break;
    }
    VY_TRY(check_plain_tcp(config, address));
    struct rpc_pipe *pipe = NULL;
    VY_TRY(rpc_nng_dial(config, address, &pipe));
    if (config->tls != NULL) {
        return rpc_tls_pipe_new(config, pipe, /* is_dialer = */ true, out);
    }
    *out = pipe;
    return vy_ok();
}

static struct vy_err open_listener(const struct rpc_config *config,
                                   const struct rpc_address *address, struct rpc_listener **out)
{
    switch (address->kind) {
    case RPC_ADDRESS_INPROC:
        return rpc_inproc_listen(config, address, out);
    case RPC_ADDRESS_IPC:
        return rpc_nng_listen(config, address, out);
    case RPC_ADDRESS_TCP:
        break;
    }
    VY_TRY(check_plain_tcp(config, address));
    return rpc_nng_listen(config, address, out);
}

struct vy_err rpc_listener_open(const struct rpc_config *config, const struct rpc_address *address,
                                void (*on_accept)(void *arg, struct rpc_pipe *pipe), void *arg,
                                struct rpc_listener **out)
{
    struct rpc_listener *listener = NULL;
    VY_TRY(open_listener(config, address, &listener));
    listener->on_accept = on_accept;
    listener->arg = arg;
    *out = listener;
    return vy_ok();
}
