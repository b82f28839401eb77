/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Tells the groups of shards which epoch an account has (struct meta_fence_ops): one call of
 * SHARD_ACCOUNT_FENCE to the group that owns the account's slot, whose members are those that have
 * registered with meta. Repeated until the deadline: a fence may come twice, its epoch only rises.
 *
 * @thread  the loop's
 */
#include "meta/shard_links.h"

#define META_FENCE_DEADLINE_MS 10000U /* well above a failover of the group */

struct meta_fencer {
    struct meta_shard_links *links; /* borrowed; its stop ends open fences with UNAVAILABLE */
};
extern const struct meta_fence_ops meta_fencer_ops; /* its arg is the fencer */
