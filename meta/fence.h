/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Tells the groups of shards which epoch an account has (struct meta_fence_ops): one call of
 * SHARD_ACCOUNT_FENCE to the group that owns the account's slot, whose members are those that have
 * registered with meta. Repeated until the deadline: a fence may come twice, its epoch only rises.
 *
 * @thread  the loop's
 */
#include "base/list.h"
#include "meta/meta.h"
#include "proto/rpc_group.h"

#define META_FENCE_DEADLINE_MS 10000U /* well above a failover of the group */

struct meta_fencer_group {
    uint64_t group_id;
    struct rpc_group *calls; /* owned */
};
struct meta_fencer {
    const struct rpc_config *rpc; /* borrowed */
    struct meta *meta;            /* borrowed; set before the first fence */
    struct meta_fencer_group groups[META_GROUPS_MAX];
    size_t group_count;
    struct vy_list open; /* struct fence_call */
    bool is_stopping;
};
extern const struct meta_fence_ops meta_fencer_ops; /* its arg is the fencer */

void meta_fencer_init(struct meta_fencer *fencer, const struct rpc_config *rpc);
/* Open fences end with UNAVAILABLE before this returns, and so do those that are asked later. */
void meta_fencer_stop(struct meta_fencer *fencer);
