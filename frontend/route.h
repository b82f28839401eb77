/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Where an account lives: slot -> group -> members, from meta's cluster map, and the links to them.
 * One route per loop. The groups' own logs decide who owns a slot; the map only tells where to ask
 * first. Also hears from meta which accounts changed.
 *
 * @thread  that of config->rpc->loop
 */
#include "proto/rpc_group.h"

struct route;

struct route_config {
    const struct rpc_config *rpc;                /* borrowed */
    const struct rpc_group_member *meta_members; /* read during route_new */
    size_t meta_members_count;
    /* An account has this epoch now. account_id 0: events were missed, any account may have
     * changed. */
    void (*on_account)(void *arg, uint64_t account_id, uint64_t epoch);
    void *arg;
};
/* Starts asking for the map at once and keeps it fresh. */
VY_CHECKED struct vy_err route_new(const struct route_config *config, struct route **out);
void route_free(struct route *route); /* NULL is allowed; open calls end first, with CANCELLED */

struct rpc_group *route_meta(struct route *route);     /* writes and fresh reads */
struct rpc_group *route_meta_any(struct route *route); /* any member answers */
/* NULL while no map has come yet. */
struct rpc_group *route_shard(struct route *route, uint64_t account_id);
/*
 * For a call that stays open (a watch): links carry RPC_CALLS_PER_LINK_MAX calls, so these get
 * links of their own, as many as are needed.
 *
 * @out_ticket  to be given back with route_watch_done when the call is over
 * @returns     NULL: no map yet, or ROUTE_WATCH_LINKS_MAX links are full
 */
struct rpc_group *route_watch_link(struct route *route, uint64_t account_id, uint32_t *out_ticket);
void route_watch_done(struct route *route, uint32_t ticket);
uint64_t route_group_of(struct route *route, uint64_t account_id); /* 0: no map yet */
/* Ask for a newer map now: a shard said MOVED. */
void route_refresh(struct route *route);
bool route_is_ready(const struct route *route);
