/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Meta's links to the shards that have registered with it: to whoever leads a group (fence.h), and
 * to one member itself (probe.h, expel_call.h: there also to meta's other members). Made when they
 * are first asked for, then kept.
 *
 * @thread  the loop's
 */
#include "base/list.h"
#include "meta/meta.h"
#include "proto/rpc_group.h"

struct meta_shard_group {
    uint64_t group_id;
    struct rpc_group *calls; /* owned */
};
struct meta_shard_links {
    const struct rpc_config *rpc; /* borrowed */
    struct meta *meta;            /* borrowed; set before the first link is asked for */
    struct meta_shard_group groups[META_GROUPS_MAX];
    size_t group_count;
    struct vy_list members; /* owned; one a node: at most META_NODES_MAX */
    bool is_stopping;
};
void meta_shard_links_init(struct meta_shard_links *links, const struct rpc_config *rpc);
/* Open calls end before this returns; nobody gets a link later. */
void meta_shard_links_stop(struct meta_shard_links *links);

/* Of a group, with the members that have registered by now. @errors UNAVAILABLE none has, or meta
 * is stopping; LIMIT too many groups; NOMEM */
VY_CHECKED struct vy_err meta_shard_links_group(struct meta_shard_links *links, uint64_t group_id,
                                                struct rpc_group **out);
/* Of one member. It is up, or dials at once: a pause after earlier failures is not waited for.
 * *out is borrowed until the loop turns. @errors UNAVAILABLE meta is stopping; ARGUMENT name or
 * address; NOMEM */
VY_CHECKED struct vy_err meta_shard_links_member(struct meta_shard_links *links, enum rpc_role role,
                                                 struct vy_bytes node, struct vy_bytes address,
                                                 struct rpc_link **out);
