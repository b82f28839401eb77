/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Asks the leader of a group, meta's own or of shards, for its members (struct meta_groups_ops).
 *
 * @thread  the loop's
 */
#include "meta/shard_links.h"

#define META_GROUP_DEADLINE_MS 3000U

struct meta_group_asker {
    struct meta_shard_links *links; /* borrowed; its stop ends open questions */
};
extern const struct meta_groups_ops meta_group_asker_ops; /* its arg is the asker */
