/* SPDX-License-Identifier: Apache-2.0 */
#include "frontend/route.h"

#include "base/map.h"
#include "proto/meta.pb.h"
#include <stdlib.h>

#define ROUTE_GROUPS_MAX 1024U
#define ROUTE_MAP_BYTES_MAX (4U * 1024U * 1024U)
#define ROUTE_POLL_MS 2000U /* how long a new map may stay unknown */
#define ROUTE_RETRY_MS 200U /* before the first map */
#define ROUTE_CALL_DEADLINE_MS 5000U

struct route_group {
    uint64_t id;
    struct rpc_group *group; /* owned */
};

struct route {
    const struct rpc_config *rpc;
    struct rpc_group *meta;
    struct rpc_group *meta_any;
    struct rpc_group_call *map_call; /* NULL: none open */
    struct vy_timer *timer;
    uint64_t epoch; /* of the map; 0: none yet */
    struct route_group groups[ROUTE_GROUPS_MAX];
    size_t groups_count;
    uint16_t slots[VY_SLOT_COUNT]; /* index into groups */
};

static void route_ask(struct route *route);

static struct route_group *find_group(struct route *route, uint64_t id)
{
    for (size_t i = 0; i < route->groups_count; i++) {
        if (route->groups[i].id == id) {
            return &route->groups[i];
        }
    }
    return NULL;
}

/* Members as rpc_group wants them; addresses become NUL-terminated in the arena. */
static struct vy_err group_members(struct vy_arena *arena, const struct map_group *group,
                                   struct rpc_group_member *members, size_t *out_count)
{
    if (group->members_count == 0 || group->members_count > RPC_GROUP_MEMBERS_MAX) {
        return vy_error(VY_CODE_LIMIT, "members of a group");
    }
    for (size_t i = 0; i < group->members_count; i++) {
        members[i].node = vy_arena_cstr(arena, group->members[i].node);
        members[i].address = vy_arena_cstr(arena, group->members[i].link_address);
        if (members[i].node == NULL || members[i].address == NULL) {
            return vy_error(VY_CODE_LIMIT, "cluster map");
        }
    }
    *out_count = group->members_count;
    return vy_ok();
}

static struct vy_err set_group(struct route *route, struct vy_arena *arena,
                               const struct map_group *from)
{
    struct rpc_group_member members[RPC_GROUP_MEMBERS_MAX];
    size_t count = 0;
    VY_TRY(group_members(arena, from, members, &count));
    struct route_group *known = find_group(route, from->group_id);
    if (known != NULL) {
        return rpc_group_set_members(known->group, members, count);
    }
    if (route->groups_count == ROUTE_GROUPS_MAX) {
        return vy_error(VY_CODE_LIMIT, "groups in the cluster map");
    }
    char name[32];
    (void)snprintf(name, sizeof(name), "shard-%llu", (unsigned long long)from->group_id);
    const struct rpc_group_options options = {.name = name, .peer_roles = RPC_ROLE_SHARD};
    struct route_group *added = &route->groups[route->groups_count];
    VY_TRY(rpc_group_new(route->rpc, &options, members, count, &added->group));
    added->id = from->group_id;
    route->groups_count++;
    return vy_ok();
}

static struct vy_err set_slots(struct route *route, const struct cluster_map_reply *map)
{
    size_t covered = 0;
    for (size_t i = 0; i < map->slots_count; i++) {
        const struct slot_range *range = &map->slots[i];
        const struct route_group *group = find_group(route, range->group_id);
        if (group == NULL || range->last >= VY_SLOT_COUNT || range->first > range->last) {
            return vy_error(VY_CODE_CORRUPT, "slot range in the cluster map");
        }
        for (uint32_t slot = range->first; slot <= range->last; slot++) {
            route->slots[slot] = (uint16_t)(group - route->groups);
            covered++;
        }
    }
    return covered == VY_SLOT_COUNT ? vy_ok()
                                    : vy_error(VY_CODE_CORRUPT, "slots missing in the cluster map");
}

static struct vy_err take_map(struct route *route, struct vy_bytes reply)
{
    struct vy_arena arena;
    struct cluster_map_reply map;
    vy_arena_init(&arena, ROUTE_MAP_BYTES_MAX);
    struct vy_err err = vy_pb_decode(&cluster_map_reply_desc, &arena, reply, &map);
    if (!vy_failed(err) && map.epoch > route->epoch) {
        for (size_t i = 0; i < map.groups_count && !vy_failed(err); i++) {
            err = set_group(route, &arena, &map.groups[i]);
        }
        if (!vy_failed(err)) {
            err = set_slots(route, &map);
        }
        if (!vy_failed(err)) {
            route->epoch = map.epoch;
            vy_log(route->rpc->log, VY_LOG_INFO, "frontend.map.loaded",
                   VY_U64("map.epoch", map.epoch), VY_U64("map.groups", map.groups_count));
        }
    }
    vy_arena_deinit(&arena);
    return err;
}

static void route_on_map(void *arg, const struct rpc_status *status, struct vy_bytes reply)
{
    struct route *route = arg;
    route->map_call = NULL;
    struct vy_err err =
        status->code == VY_CODE_OK ? take_map(route, reply) : rpc_status_err(status);
    if (vy_failed(err)) {
        vy_log(route->rpc->log, VY_LOG_WARN, "frontend.map.failed", VY_LOG_ERR(err),
               VY_STR("err.text", status->message));
    }
    vy_timer_start(route->timer, route->epoch == 0 ? ROUTE_RETRY_MS : ROUTE_POLL_MS);
}

static const struct rpc_call_events map_events = {.on_end = route_on_map};

static void route_on_timer(void *arg)
{
    route_ask(arg);
}

static void route_ask(struct route *route)
{
    if (route->map_call != NULL) {
        return;
    }
    const struct cluster_map_request request = {.known_epoch = route->epoch};
    const struct rpc_call_options options = {.deadline_ms = ROUTE_CALL_DEADLINE_MS,
                                             .idempotent = true};
    struct vy_buf buf;
    vy_buf_init(&buf, 1024);
    vy_ignore(vy_pb_encode(&cluster_map_request_desc, &request, &buf), "a few bytes always fit");
    route->map_call = rpc_group_call(route->meta_any, METHOD_META_CLUSTER_MAP, vy_buf_bytes(&buf),
                                     &options, &map_events, route);
    vy_buf_deinit(&buf);
    if (route->map_call == NULL) {
        vy_timer_start(route->timer, ROUTE_RETRY_MS);
    }
}

static struct vy_err connect_meta(struct route *route, const struct route_config *config)
{
    const struct rpc_group_options leader = {.name = "meta", .peer_roles = RPC_ROLE_META};
    const struct rpc_group_options any = {
        .name = "meta-any", .peer_roles = RPC_ROLE_META, .any_member = true};
    VY_TRY(rpc_group_new(config->rpc, &leader, config->meta_members, config->meta_members_count,
                         &route->meta));
    VY_TRY(rpc_group_new(config->rpc, &any, config->meta_members, config->meta_members_count,
                         &route->meta_any));
    route->timer = vy_timer_new(config->rpc->loop, route_on_timer, route);
    return route->timer == NULL ? vy_error(VY_CODE_NOMEM, "route") : vy_ok();
}

struct vy_err route_new(const struct route_config *config, struct route **out)
{
    struct route *route = calloc(1, sizeof(*route));
    if (route == NULL) {
        return vy_error(VY_CODE_NOMEM, "route");
    }
    route->rpc = config->rpc;
    const struct vy_err err = connect_meta(route, config);
    if (vy_failed(err)) {
        route_free(route);
        return err;
    }
    route_ask(route);
    *out = route;
    return vy_ok();
}

void route_free(struct route *route)
{
    if (route == NULL) {
        return;
    }
    rpc_group_call_cancel(route->map_call);
    vy_timer_free(route->timer);
    for (size_t i = 0; i < route->groups_count; i++) {
        rpc_group_free(route->groups[i].group);
    }
    rpc_group_free(route->meta_any);
    rpc_group_free(route->meta);
    free(route);
}

struct rpc_group *route_meta(struct route *route)
{
    return route->meta;
}

struct rpc_group *route_meta_any(struct route *route)
{
    return route->meta_any;
}

static const struct route_group *group_of_account(const struct route *route, uint64_t account_id)
{
    return route->epoch == 0 ? NULL : &route->groups[route->slots[vy_slot_of_account(account_id)]];
}

struct rpc_group *route_shard(struct route *route, uint64_t account_id)
{
    const struct route_group *group = group_of_account(route, account_id);
    return group == NULL ? NULL : group->group;
}

uint64_t route_group_of(struct route *route, uint64_t account_id)
{
    const struct route_group *group = group_of_account(route, account_id);
    return group == NULL ? 0 : group->id;
}

void route_refresh(struct route *route)
{
    route_ask(route);
}

bool route_is_ready(const struct route *route)
{
    return route->epoch != 0;
}
