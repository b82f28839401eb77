/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What route.c (groups and calls) and route_map.c (the cluster map and meta's events) share. */
#include "base/map.h"
#include "frontend/route.h"
#include "proto/event_stream.h"
#include "proto/meta.pb.h"
#include "proto/meta_members.h"

#define ROUTE_GROUPS_MAX 1024U
#define ROUTE_WATCH_LINKS_MAX 64U /* of a group */
#define ROUTE_WATCHES_PER_LINK (RPC_CALLS_PER_LINK_MAX - 24U)

struct route_watch_link {
    struct rpc_group *group; /* owned; NULL: none yet */
    uint32_t count;          /* calls on it */
};

struct route_group {
    uint64_t id;
    struct rpc_group *group; /* owned */
    struct rpc_group_member members[RPC_GROUP_MEMBERS_MAX];
    char *names[RPC_GROUP_MEMBERS_MAX * 2]; /* owned; what members points to */
    size_t members_count;
    struct route_watch_link watches[ROUTE_WATCH_LINKS_MAX];
};

struct route {
    struct route_config config; /* meta_members is not kept */
    const struct rpc_config *rpc;
    struct rpc_group *meta;
    struct rpc_group *meta_any;
    struct meta_members meta_members; /* of the newest map */
    struct rpc_group_call *map_call;  /* NULL: none open */
    struct vy_timer *map_timer;
    bool is_map_wanted;     /* a newer one was asked for while a call is open */
    uint64_t epoch;         /* of the map; 0: none yet */
    enum vy_code map_fault; /* of the last try */
    struct route_group *groups[ROUTE_GROUPS_MAX]; /* owned */
    size_t groups_count;
    uint16_t slots[VY_SLOT_COUNT];      /* index into groups */
    struct rpc_group_call *events_call; /* NULL: none open */
    struct vy_timer *events_timer;
    uint32_t events_retry_ms;
    uint64_t events_cursor; /* 0: from now on */
    struct event_reader events;
};

/* Makes a group known, or gives it other members. */
VY_CHECKED struct vy_err route_set_group(struct route *route, uint64_t id,
                                         const struct rpc_group_member *members, size_t count);
/* ROUTE_GROUPS_MAX: not known. */
size_t route_find_group(const struct route *route, uint64_t id);

/* ---- route_map.c ---- */
VY_CHECKED struct vy_err route_map_start(struct route *route);
void route_map_stop(struct route *route);
