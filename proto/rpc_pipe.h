/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What a transport offers the link: a pipe that carries bytes in order both ways, and listeners
 * that make pipes. Three implementations: nng byte streams (tcp, ipc; rpc_nng.h), TLS over one of
 * those (rpc_tls_pipe.h) and blocks handed between loops (rpc_inproc.c). Internal to the link.
 *
 * All calls and events are on the loop's thread. Events never come from within a call of these
 * functions.
 */
#include "proto/rpc.h"
#include "proto/rpc_address.h"
#include "proto/rpc_block.h"

/* What the transport itself knows of the peer. */
struct rpc_pipe_peer {
    bool is_authenticated; /* by certificate, by user id, or the same process */
    bool has_identity;     /* role and node below are from the certificate */
    enum rpc_role role;
    char node[RPC_NAME_BYTES_MAX + 1];
};

struct rpc_pipe_events {
    void (*on_open)(void *arg, const struct rpc_pipe_peer *peer); /* once, first */
    void (*on_data)(void *arg, struct vy_bytes bytes);            /* valid during the call */
    void (*on_sent)(void *arg); /* what was given to send is on its way */
    void (*on_closed)(void *arg,
                      struct vy_err why); /* last; rpc_pipe_close still has to be called */
};
struct rpc_pipe;
struct rpc_pipe_ops {
    void (*start)(struct rpc_pipe *pipe);
    void (*send)(struct rpc_pipe *pipe, struct rpc_block_list *blocks);
    void (*close)(struct rpc_pipe *pipe);
};
/* First member of each implementation. */
struct rpc_pipe {
    const struct rpc_pipe_ops *ops;
    const struct rpc_pipe_events *events; /* borrowed */
    void *arg;
};

/* Events may come from now on. */
static inline void rpc_pipe_start(struct rpc_pipe *pipe, const struct rpc_pipe_events *events,
                                  void *arg)
{
    pipe->events = events;
    pipe->arg = arg;
    pipe->ops->start(pipe);
}
/* Takes the blocks. Once open, and not again before on_sent. */
static inline void rpc_pipe_send(struct rpc_pipe *pipe, struct rpc_block_list *blocks)
{
    pipe->ops->send(pipe, blocks);
}
/* No event comes any more; the pipe is gone. May be called from an event. */
static inline void rpc_pipe_close(struct rpc_pipe *pipe)
{
    pipe->ops->close(pipe);
}

/* Whom a dialler accepts (rpc_link_options). */
struct rpc_pipe_expect {
    uint32_t peer_roles;
    const char *peer_node;
};
/* A pipe towards `address`, not started. @errors ARGUMENT, DENIED plain tcp beyond loopback, NOMEM
 */
VY_CHECKED struct vy_err rpc_pipe_dial(const struct rpc_config *config,
                                       const struct rpc_address *address, struct rpc_pipe **out);

struct rpc_listener;
struct rpc_listener_ops {
    void (*close)(struct rpc_listener *listener);
};
/* First member of each implementation. */
struct rpc_listener {
    const struct rpc_listener_ops *ops;
    void (*on_accept)(void *arg,
                      struct rpc_pipe *pipe); /* a pipe not started; the callee owns it */
    void *arg;
    uint16_t port; /* tcp */
};
VY_CHECKED struct vy_err rpc_listener_open(const struct rpc_config *config,
                                           const struct rpc_address *address,
                                           void (*on_accept)(void *arg, struct rpc_pipe *pipe),
                                           void *arg, struct rpc_listener **out);
static inline void rpc_listener_close(struct rpc_listener *listener)
{
    listener->ops->close(listener);
}

/* The implementations. */
VY_CHECKED struct vy_err rpc_nng_dial(const struct rpc_config *config,
                                      const struct rpc_address *address, struct rpc_pipe **out);
VY_CHECKED struct vy_err rpc_nng_listen(const struct rpc_config *config,
                                        const struct rpc_address *address,
                                        struct rpc_listener **out);
VY_CHECKED struct vy_err rpc_inproc_dial(const struct rpc_config *config,
                                         const struct rpc_address *address, struct rpc_pipe **out);
VY_CHECKED struct vy_err rpc_inproc_listen(const struct rpc_config *config,
                                           const struct rpc_address *address,
                                           struct rpc_listener **out);
/* Takes `inner`, also on failure. */
VY_CHECKED struct vy_err rpc_tls_pipe_new(const struct rpc_config *config, struct rpc_pipe *inner,
                                          bool is_dialer, struct rpc_pipe **out);
