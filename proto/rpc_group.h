/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A caller of a replicated group (meta, or the shards of one group): holds a link per member, knows
 * who led last, and repeats calls until the deadline when that is safe:
 *
 *   not executed for sure (NOT_LEADER, UNAVAILABLE, BUSY ...)   always, towards the hint or the
 * next member outcome unknown (link lost, UNKNOWN)                        with an idempotency key
 * (the same one), or `idempotent` reply stream begun, or part of a request stream taken never: the
 * end is handed on and the caller starts over
 *
 * Backoff 20 to 500 ms with jitter between rounds; the first answer of NOT_LEADER with a hint is
 * followed at once.
 *
 * @thread  that of config->loop
 */
#include "proto/rpc.h"

#define RPC_GROUP_MEMBERS_MAX 9U

struct rpc_group;
struct rpc_group_call;

struct rpc_group_member {
    const char *node;    /* what leader hints say; may be NULL */
    const char *address; /* rpc.h */
};
struct rpc_group_options {
    const char *name;    /* for logs: "meta", "shard-2"; copied */
    uint32_t peer_roles; /* as in rpc_link_options */
    bool any_member;     /* followers answer too: spread calls, do not look for the leader */
};
VY_CHECKED struct vy_err rpc_group_new(const struct rpc_config *config,
                                       const struct rpc_group_options *options,
                                       const struct rpc_group_member *members, size_t count,
                                       struct rpc_group **out);
/* Another set of members; links to those that stay are kept, calls on the others are repeated or
 * ended as above. */
VY_CHECKED struct vy_err rpc_group_set_members(struct rpc_group *group,
                                               const struct rpc_group_member *members,
                                               size_t count);
/* Open calls end with CANCELLED before this returns. */
void rpc_group_free(struct rpc_group *group);
bool rpc_group_is_up(const struct rpc_group *group); /* a link to some member is up */

/* As rpc_call_start (rpc.h), with the same events; options->wait_ready is implied. NULL: too many
 * calls, answer BUSY. */
struct rpc_group_call *rpc_group_call(struct rpc_group *group, uint32_t method,
                                      struct vy_bytes request,
                                      const struct rpc_call_options *options,
                                      const struct rpc_call_events *events, void *arg);
size_t rpc_group_call_send(struct rpc_group_call *call, struct vy_bytes bytes);
void rpc_group_call_send_end(struct rpc_group_call *call);
void rpc_group_call_consumed(struct rpc_group_call *call, size_t count);
void rpc_group_call_cancel(struct rpc_group_call *call); /* NULL is allowed */
