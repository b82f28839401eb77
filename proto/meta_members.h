/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Meta's members as the cluster map names them, for callers of meta: a configuration file knows the
 * first ones only. Taken from a map when it comes, put into a group of links when no call of that
 * group is on the stack.
 */
#include "base/arena.h"
#include "proto/meta.pb.h"
#include "proto/rpc_group.h"

#define META_MEMBERS_NODE_BYTES 129U
#define META_MEMBERS_ADDRESS_BYTES 256U

struct meta_members {
    size_t count;
    bool is_new; /* not put anywhere yet */
    struct {
        char node[META_MEMBERS_NODE_BYTES];
        char address[META_MEMBERS_ADDRESS_BYTES];
    } items[RPC_GROUP_MEMBERS_MAX];
};
/* A map without groups and members says that nothing changed. What does not fit is left out. */
void meta_members_note(struct meta_members *members, const struct cluster_map_reply *map);
/* @errors what rpc_group_set_members says */
VY_CHECKED struct vy_err meta_members_put(const struct meta_members *members,
                                          struct rpc_group *group);

/* The members of a group of shards in the same map, as rpc_group wants them; their strings lie in
 * the arena. @errors LIMIT too many, or the arena is full */
VY_CHECKED struct vy_err meta_members_of_group(struct vy_arena *arena,
                                               const struct map_group *group,
                                               struct rpc_group_member out[RPC_GROUP_MEMBERS_MAX]);
