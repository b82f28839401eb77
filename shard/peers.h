/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * How a shard speaks to other groups: it asks the group that decides on a delivery for its word
 * (settler.h). Where that group is stands in meta's cluster map, which is asked for when a question
 * comes and the last map is old. Links are made when they are first needed, then kept.
 *
 * @thread  the loop's
 */
#include "proto/rpc_group.h"
#include "shard/service.h"

#define PEERS_GROUPS_MAX 1024U    /* of a cluster map */
#define PEERS_QUESTIONS_MAX 1024U /* open at once; more are BUSY */

struct peers;
struct peers_config {
    const struct rpc_config *rpc;                /* borrowed */
    const struct rpc_group_member *meta_members; /* read during peers_new */
    size_t meta_member_count;
};
VY_CHECKED struct vy_err peers_new(const struct peers_config *config, struct peers **out);
/* Questions that are open end with CANCELLED before this returns. NULL is allowed. */
void peers_free(struct peers *peers);
/* For service_config; its `peers` is this. A question ends within 10 s. */
extern const struct shard_peer_ops peers_ops;
