/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What frontends and shards ask of meta (META_METHODS of proto/methods.h), independent of the link.
 * Writes and everything that must be certain are answered by the leader alone: NOT_LEADER
 * elsewhere, with meta_leader_hint().
 */
#include "meta/meta.h"
#include "proto/meta.pb.h"
#include "proto/methods.h"

#define META_ATTEMPT_BYTES 16U
struct meta_peer {
    uint32_t role;    /* RPC_ROLE_* of the caller */
    const char *node; /* its proven name; NULL: none was proven */
    const uint8_t
        *attempt; /* META_ATTEMPT_BYTES that are the same when it asks again; NULL: none */
};

/*
 * One call but META_WATCH.
 *
 * @request  copied
 * @reply    called exactly once, now or later, from the loop
 */
void meta_service_call(struct meta *meta, uint32_t method, struct vy_bytes request,
                       const struct meta_peer *peer, meta_reply_fn reply, void *arg);

/* Serves all of META_METHODS, META_WATCH too, on a link server (service_rpc.c). The meta must
 * outlive it. @errors as rpc_server_add_methods */
struct rpc_server;
VY_CHECKED struct vy_err meta_rpc_add(struct meta *meta, struct rpc_server *server);
