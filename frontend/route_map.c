/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cluster map, asked for from time to time and at once when meta or a shard says that it is
 * old; and META_WATCH, which says so, and which accounts have a newer epoch.
 */
#include "frontend/route_private.h"

#define MAP_BYTES_MAX (4U * 1024U * 1024U)
#define MAP_POLL_MS 5000U  /* how long a new map may stay unknown when the events are lost */
#define MAP_RETRY_MS 100U  /* before the first map */
#define MAP_FAILED_MS 500U /* behind a failure */
#define MAP_DEADLINE_MS 5000U
#define EVENTS_RETRY_MS 100U
#define EVENTS_RETRY_MS_MAX 3200U
#define EVENT_ARENA_BYTES_MAX 65536U

/* ---- the map ---- */

static void ask_map(struct route *route);

static struct vy_err group_members(struct vy_arena *arena, const struct map_group *group,
                                   struct rpc_group_member *members)
{
    if (group->members_count == 0) {
        return vy_error(VY_CODE_UNAVAILABLE, "a group has no members yet");
    }
    return meta_members_of_group(arena, group, members);
}

static struct vy_err take_groups(struct route *route, struct vy_arena *arena,
                                 const struct cluster_map_reply *map)
{
    for (size_t i = 0; i < map->groups_count; i++) {
        const struct map_group *group = &map->groups[i];
        struct rpc_group_member members[RPC_GROUP_MEMBERS_MAX];
        VY_TRY(group_members(arena, group, members));
        VY_TRY(route_set_group(route, group->group_id, members, group->members_count));
    }
    return vy_ok();
}

/* Every slot once, or the map is not taken. */
static struct vy_err take_slots(struct route *route, struct vy_arena *arena,
                                const struct cluster_map_reply *map)
{
    uint16_t *slots = VY_ARENA_ARRAY(arena, VY_SLOT_COUNT, uint16_t);
    size_t covered = 0;
    if (slots == NULL) {
        return vy_error(VY_CODE_LIMIT, "cluster map");
    }
    for (size_t i = 0; i < map->slots_count; i++) {
        const struct slot_range *range = &map->slots[i];
        const size_t index = route_find_group(route, range->group_id);
        if (index == ROUTE_GROUPS_MAX || range->last >= VY_SLOT_COUNT ||
            range->first > range->last) {
            return vy_error(VY_CODE_CORRUPT, "slot range in the cluster map");
        }
        for (uint32_t slot = range->first; slot <= range->last; slot++) {
            slots[slot] = (uint16_t)index;
            covered++;
        }
    }
    if (covered != VY_SLOT_COUNT) {
        return vy_error(VY_CODE_CORRUPT, "slots missing or double in the cluster map");
    }
    memcpy(route->slots, slots, sizeof(route->slots));
    return vy_ok();
}

static struct vy_err take_map(struct route *route, struct vy_bytes reply)
{
    struct vy_arena arena;
    struct cluster_map_reply map;
    vy_arena_init(&arena, MAP_BYTES_MAX);
    struct vy_err err = vy_pb_decode(&cluster_map_reply_desc, &arena, reply, &map);
    if (!vy_failed(err) && map.epoch > route->epoch) {
        err = take_groups(route, &arena, &map);
        if (!vy_failed(err)) {
            err = take_slots(route, &arena, &map);
        }
        if (!vy_failed(err)) {
            meta_members_note(&route->meta_members, &map);
            route->epoch = map.epoch;
            vy_log(route->rpc->log, VY_LOG_INFO, "frontend.map.loaded",
                   VY_U64("map.epoch", map.epoch), VY_U64("map.groups", map.groups_count));
        }
    }
    vy_arena_deinit(&arena);
    return err;
}

/* Once, while it stays the same: a cluster that forms is asked many times. */
static void log_map_fault(struct route *route, struct vy_err err, struct vy_bytes text)
{
    if (vy_failed(err) && err.code != route->map_fault) {
        vy_log(route->rpc->log, VY_LOG_WARN, "frontend.map.failed", VY_LOG_ERR(err),
               VY_STR("err.text", text));
    }
    route->map_fault = err.code;
}

static void route_on_map(void *arg, const struct rpc_status *status, struct vy_bytes reply)
{
    struct route *route = arg;
    route->map_call = NULL;
    const struct vy_err err =
        status->code == VY_CODE_OK ? take_map(route, reply) : rpc_status_err(status);
    log_map_fault(route, err, status->message);
    const bool is_urgent = route->is_map_wanted || route->epoch == 0;
    route->is_map_wanted = false;
    vy_timer_start(route->map_timer, is_urgent        ? MAP_RETRY_MS
                                     : vy_failed(err) ? MAP_FAILED_MS
                                                      : MAP_POLL_MS);
}

static const struct rpc_call_events map_events = {.on_end = route_on_map};

/* Here no call of meta's groups is on the stack. */
static void take_meta(struct route *route)
{
    if (!route->meta_members.is_new) {
        return;
    }
    route->meta_members.is_new = false;
    struct vy_err err = meta_members_put(&route->meta_members, route->meta);
    if (!vy_failed(err)) {
        err = meta_members_put(&route->meta_members, route->meta_any);
    }
    log_map_fault(route, err, vy_cstr("members of meta"));
}

static void route_on_map_timer(void *arg)
{
    take_meta(arg);
    ask_map(arg);
}

static void ask_map(struct route *route)
{
    if (route->map_call != NULL) {
        return;
    }
    const struct cluster_map_request request = {.known_epoch = route->epoch};
    const struct rpc_call_options options = {.deadline_ms = MAP_DEADLINE_MS, .idempotent = true};
    struct vy_buf buf;
    vy_buf_init(&buf, 1024);
    struct vy_err err = vy_pb_encode(&cluster_map_request_desc, &request, &buf);
    if (!vy_failed(err)) {
        route->map_call = rpc_group_call(route->meta_any, METHOD_META_CLUSTER_MAP,
                                         vy_buf_bytes(&buf), &options, &map_events, route);
    }
    vy_buf_deinit(&buf);
    if (route->map_call == NULL) {
        vy_timer_start(route->map_timer, MAP_RETRY_MS);
    }
}

void route_refresh(struct route *route)
{
    if (route->map_call != NULL) {
        route->is_map_wanted = true; /* what is on its way may have been made before */
    } else {
        ask_map(route);
    }
}

/* ---- events ---- */

static void ask_events(struct route *route);

static void take_event(struct route *route, const struct meta_event *event)
{
    if (event->cursor != 0) {
        route->events_cursor = event->cursor;
    }
    if (event->reset) {
        vy_log(route->rpc->log, VY_LOG_WARN, "frontend.events.missed");
        route->config.on_account(route->config.arg, 0, 0);
    }
    if (event->account_id != 0) {
        route->config.on_account(route->config.arg, event->account_id, event->account_epoch);
    }
    if (event->map_changed || event->reset) {
        route_refresh(route);
    }
}

static struct vy_err take_events(struct route *route, struct vy_bytes bytes)
{
    bool found = true;
    while (found) {
        struct vy_arena arena;
        struct vy_bytes message = {.data = NULL};
        struct meta_event event = {.cursor = 0};
        VY_TRY(event_reader_next(&route->events, &bytes, &message, &found));
        if (!found) {
            break;
        }
        vy_arena_init(&arena, EVENT_ARENA_BYTES_MAX);
        const struct vy_err err = vy_pb_decode(&meta_event_desc, &arena, message, &event);
        if (!vy_failed(err)) {
            take_event(route, &event);
        }
        vy_arena_deinit(&arena);
        VY_TRY(err);
    }
    return vy_ok();
}

static void events_lost(struct route *route, struct vy_err err, struct vy_bytes text)
{
    vy_log(route->rpc->log, VY_LOG_INFO, "frontend.events.lost", VY_LOG_ERR(err),
           VY_STR("err.text", text));
    event_reader_deinit(&route->events);
    event_reader_init(&route->events);
    vy_timer_start(route->events_timer, route->events_retry_ms);
    route->events_retry_ms = VY_MIN(route->events_retry_ms * 2, EVENTS_RETRY_MS_MAX);
}

static void route_on_events(void *arg, struct vy_bytes bytes)
{
    struct route *route = arg;
    route->events_retry_ms = EVENTS_RETRY_MS;
    const struct vy_err err = take_events(route, bytes);
    if (vy_failed(err)) {
        rpc_group_call_cancel(route->events_call);
        route->events_call = NULL;
        events_lost(route, err, vy_bytes(NULL, 0));
        return;
    }
    rpc_group_call_consumed(route->events_call, bytes.len);
}

static void route_on_events_end(void *arg, const struct rpc_status *status, struct vy_bytes reply)
{
    struct route *route = arg;
    (void)reply;
    route->events_call = NULL;
    events_lost(route, rpc_status_err(status), status->message);
}

static const struct rpc_call_events watch_events = {.on_data = route_on_events,
                                                    .on_end = route_on_events_end};

static void route_on_events_timer(void *arg)
{
    ask_events(arg);
}

static void ask_events(struct route *route)
{
    const struct meta_watch_request request = {.cursor = route->events_cursor};
    const struct rpc_call_options options = {.endless = true, .idempotent = true};
    struct vy_buf buf;
    vy_buf_init(&buf, 1024);
    const struct vy_err err = vy_pb_encode(&meta_watch_request_desc, &request, &buf);
    if (!vy_failed(err)) {
        route->events_call = rpc_group_call(route->meta_any, METHOD_META_WATCH, vy_buf_bytes(&buf),
                                            &options, &watch_events, route);
    }
    vy_buf_deinit(&buf);
    if (route->events_call == NULL) {
        vy_timer_start(route->events_timer, EVENTS_RETRY_MS_MAX);
    }
}

/* ---- start and stop ---- */

struct vy_err route_map_start(struct route *route)
{
    event_reader_init(&route->events);
    route->events_retry_ms = EVENTS_RETRY_MS;
    route->map_timer = vy_timer_new(route->rpc->loop, route_on_map_timer, route);
    route->events_timer = vy_timer_new(route->rpc->loop, route_on_events_timer, route);
    if (route->map_timer == NULL || route->events_timer == NULL) {
        return vy_error(VY_CODE_NOMEM, "route");
    }
    ask_map(route);
    ask_events(route);
    return vy_ok();
}

void route_map_stop(struct route *route)
{
    rpc_group_call_cancel(route->map_call);
    rpc_group_call_cancel(route->events_call);
    route->map_call = NULL;
    route->events_call = NULL;
    vy_timer_free(route->map_timer);
    vy_timer_free(route->events_timer);
    event_reader_deinit(&route->events);
}
