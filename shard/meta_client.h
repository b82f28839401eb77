/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * How a shard speaks to meta: it registers its place, asks for wrapped account keys, and hears of
 * accounts that changed.
 *
 * @thread  the loop's
 */
#include "proto/rpc_group.h"
#include "shard/account_keys.h"

struct meta_client;
struct meta_client_config {
    const struct rpc_config *rpc; /* borrowed; outlives the client */
    const struct rpc_group_member *members;
    size_t member_count;
    /* What meta is told of this member; strings outlive the client. */
    uint64_t group_id;
    uint64_t member_id;
    uint64_t incarnation;
    const char *link_address;
    const char *raft_address; /* NULL: none */
    void (*on_account_change)(void *arg, uint64_t account_id, uint64_t epoch);
    /* The members of the own group as the map has them; read during the call. May be NULL. */
    void (*on_map_group)(void *arg, const struct map_group *group);
    void (*on_meta_leader)(void *arg); /* a leader answers again after stale answers were taken */
    void *arg;
};
VY_CHECKED struct vy_err meta_client_new(const struct meta_client_config *config,
                                         struct meta_client **out);
/* Questions that are open end with CANCELLED before this returns. NULL is allowed. */
void meta_client_free(struct meta_client *client);
bool meta_client_is_registered(const struct meta_client *client);
/*
 * For account_keys_config; its `meta` is the client. A question ends within 5 s: the leader is
 * asked for 2 s, then any member with allow_stale (meta.proto); UNAVAILABLE when none answers.
 * While no leader answers, later questions go to any member at once.
 */
extern const struct shard_meta_ops meta_client_ops;
