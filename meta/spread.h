/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Keeps the leaders of the groups of shards spread over the hosts (design 5): whoever was elected
 * leads, and after restarts most may be led by one host. The leader of meta asks all members who
 * leads; while that has not changed for raft.spread_after_s and one host leads at least two groups
 * more than another that has a member of one of them, it asks that group to hand over. One at a
 * time, none of a group with a member that is away or behind, none while members are changed.
 *
 * @thread  the loop's
 */
#include "meta/meta.h"

#define SPREAD_DIFFERENCE_MIN 2U /* of one: moving it would only turn it round */

struct lead_spread;

VY_CHECKED struct vy_err lead_spread_new(struct meta *meta, struct lead_spread **out);
void lead_spread_free(struct lead_spread *spread); /* nothing runs; NULL is allowed */
/* This member leads: looks every few seconds from now on, while it does. */
void lead_spread_kick(struct lead_spread *spread);
void lead_spread_stop(struct lead_spread *spread); /* begins nothing more */

/* ---- the decision ---- */

struct spread_move {
    uint64_t group_id;
    uint64_t member_id;  /* who is to lead it */
    uint64_t difference; /* groups that the leader's host leads more than this one's */
};
/* Where a member is, for counting: "tcp://192.0.2.1:7210" is at 192.0.2.1. */
struct vy_bytes spread_host(struct vy_bytes address);
/* The move that evens most; false: all is even, or cannot be evened. Pure. */
bool spread_choose(const struct meta_probe *members, size_t count, struct spread_move *out);
