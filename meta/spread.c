/* SPDX-License-Identifier: Apache-2.0 */
#include "meta/spread.h"

#include "meta/meta_private.h"
#include <stdlib.h>

#define LOOK_MS 5000U    /* between looks */
#define BEHIND_MAX 1000U /* entries that the next leader may lack: it gets them before it leads */
#define ARENA_BYTES_MAX (4U * 1024 * 1024)

struct lead_spread {
    struct meta *meta;
    struct vy_timer *timer; /* owned */
    struct vy_arena arena;  /* of the look that is under way */
    struct meta_probe *members;
    size_t member_count;
    struct spread_move move;
    uint64_t seen;     /* who leads and who answers, as of the last look */
    uint64_t since_ms; /* monotonic: so long it has been so */
    bool is_looking;
    bool is_stopping;
};

static uint64_t now_ms(const struct lead_spread *spread)
{
    return vy_clock_mono_ms(spread->meta->config.clock);
}

static void look_end(struct lead_spread *spread)
{
    struct meta *meta = spread->meta;
    vy_arena_reset(&spread->arena);
    spread->members = NULL;
    spread->is_looking = false;
    if (!spread->is_stopping) {
        vy_timer_start(spread->timer, LOOK_MS);
    }
    meta->stats.calls_open--;
    meta_on_call_closed(meta);
}

/* Not now: what is waited for begins anew. */
static void put_off(struct lead_spread *spread, struct vy_err err)
{
    vy_log(spread->meta->config.log, VY_LOG_INFO, "meta.spread.put_off",
           VY_U64("shard.group", spread->move.group_id),
           VY_HEX("raft.peer", spread->move.member_id), VY_LOG_ERR(err));
    spread->since_ms = now_ms(spread);
    look_end(spread);
}

/* ---- the group that is to hand over ---- */

static void ask(struct lead_spread *spread, enum group_operation operation, meta_group_fn done)
{
    const struct meta_config *config = &spread->meta->config;
    const struct group_members_request request = {.operation = operation,
                                                  .member_id = spread->move.member_id};
    config->groups->ask(config->groups_arg, spread->move.group_id, &request, done, spread);
}

static void on_moved(void *arg, struct vy_err err, struct vy_bytes text,
                     const struct group_members_reply *reply)
{
    struct lead_spread *spread = arg;
    (void)text;
    (void)reply;
    if (vy_failed(err)) {
        put_off(spread, err);
        return;
    }
    vy_log(spread->meta->config.log, VY_LOG_INFO, "meta.spread.moved",
           VY_U64("shard.group", spread->move.group_id),
           VY_HEX("raft.peer", spread->move.member_id));
    meta_metrics_count_move(&spread->meta->metrics);
    spread->since_ms = now_ms(spread);
    look_end(spread);
}

/* As its leader sees it: all vote and answer, and the next leader has nearly everything. */
static struct vy_err check_group(const struct group_members_reply *reply, uint64_t to)
{
    bool is_found = false;
    for (size_t i = 0; i < reply->members_count; i++) {
        const struct group_member *member = &reply->members[i];
        if (member->learner || (!member->answers && member->member_id != reply->leader_id)) {
            return vy_error(VY_CODE_PRECONDITION, "a member is being added, or is away");
        }
        if (member->member_id == to && reply->leader_id != to) {
            is_found = member->match_index + BEHIND_MAX >= reply->last_index;
        }
    }
    return is_found ? vy_ok() : vy_error(VY_CODE_PRECONDITION, "the member is behind, or leads");
}

static void on_listed(void *arg, struct vy_err err, struct vy_bytes text,
                      const struct group_members_reply *reply)
{
    struct lead_spread *spread = arg;
    (void)text;
    if (!vy_failed(err)) {
        err = check_group(reply, spread->move.member_id);
    }
    if (!vy_failed(err) && (spread->is_stopping || !meta_is_ready(spread->meta))) {
        err = vy_error(VY_CODE_CANCELLED, "this member of meta leads no more");
    }
    if (vy_failed(err)) {
        put_off(spread, err);
        return;
    }
    ask(spread, GROUP_OPERATION_TRANSFER, on_moved);
}

/* ---- looking ---- */

static uint64_t mix(uint64_t sum, uint64_t value)
{
    return (sum ^ value) * 0x100000001b3ULL; /* FNV's prime */
}

static uint64_t digest(const struct meta_probe *members, size_t count)
{
    uint64_t sum = 0xcbf29ce484222325ULL;
    for (size_t i = 0; i < count; i++) {
        sum = mix(mix(sum, members[i].group_id), members[i].member_id);
        sum = mix(mix(sum, members[i].term), members[i].leads + 2ULL * members[i].is_reached);
    }
    return sum;
}

static void on_probed(void *arg, struct vy_err err)
{
    struct lead_spread *spread = arg;
    const uint64_t seen = digest(spread->members, spread->member_count);
    const bool is_uneven =
        !vy_failed(err) && spread_choose(spread->members, spread->member_count, &spread->move);
    meta_metrics_set_uneven(&spread->meta->metrics, is_uneven ? spread->move.difference : 0);
    if (vy_failed(err) || seen != spread->seen) {
        spread->seen = seen;
        spread->since_ms = now_ms(spread);
    } else if (is_uneven && !spread->is_stopping && meta_is_ready(spread->meta) &&
               now_ms(spread) - spread->since_ms >= spread->meta->config.spread_after_ms) {
        ask(spread, GROUP_OPERATION_LIST, on_listed);
        return;
    }
    look_end(spread);
}

static struct vy_err has_plan(const struct meta_view *view, bool *out)
{
    const struct member_row *rows = NULL;
    size_t count = 0;
    VY_TRY(member_list(view, &rows, &count));
    *out = false;
    for (size_t i = 0; i < count; i++) {
        *out = *out || rows[i].plan == MEMBER_PLAN_ADD || rows[i].plan == MEMBER_PLAN_REMOVE;
    }
    return vy_ok();
}

static struct vy_err read_members(struct lead_spread *spread)
{
    struct meta_group *group = spread->meta->group;
    const struct meta_view view = {.reader = group->ops->newest(group), .arena = &spread->arena};
    const struct node_row *nodes = NULL;
    size_t count = 0;
    bool is_changing = false;
    VY_TRY(has_plan(&view, &is_changing));
    VY_TRY(node_list(&view, &nodes, &count));
    spread->member_count = 0;
    spread->members = VY_ARENA_ARRAY(&spread->arena, count + 1, struct meta_probe);
    if (spread->members == NULL) {
        return vy_error(VY_CODE_NOMEM, "members of groups");
    }
    for (size_t i = 0; i < count && !is_changing; i++) {
        if (nodes[i].group_id != 0) {
            spread->members[spread->member_count++] =
                (struct meta_probe){.group_id = nodes[i].group_id,
                                    .member_id = nodes[i].member_id,
                                    .node = nodes[i].node,
                                    .address = nodes[i].link_address};
        }
    }
    return vy_ok();
}

static void look_on_timer(void *arg)
{
    struct lead_spread *spread = arg;
    struct meta *meta = spread->meta;
    const struct meta_config *config = &meta->config;
    if (spread->is_stopping || spread->is_looking || meta->group == NULL || !meta_is_ready(meta)) {
        meta_metrics_set_uneven(&meta->metrics, 0);
        return; /* kicked when it leads again */
    }
    spread->is_looking = true;
    meta->stats.calls_open++;
    const struct vy_err err = read_members(spread);
    if (vy_failed(err)) {
        vy_log(config->log, VY_LOG_ERROR, "meta.spread.unreadable", VY_LOG_ERR(err));
    }
    if (vy_failed(err) || spread->member_count == 0) {
        spread->seen = 0;
        look_end(spread);
        return;
    }
    config->probe->probe(config->probe_arg, spread->members, spread->member_count, on_probed,
                         spread);
}

void lead_spread_kick(struct lead_spread *spread)
{
    const struct meta_config *config = &spread->meta->config;
    const bool is_on =
        config->spread_after_ms != 0 && config->probe != NULL && config->groups != NULL;
    if (is_on && !spread->is_stopping) {
        spread->seen = 0; /* what was seen when it led before is long ago */
        vy_timer_start(spread->timer, LOOK_MS);
    }
}

struct vy_err lead_spread_new(struct meta *meta, struct lead_spread **out)
{
    struct lead_spread *spread = calloc(1, sizeof(*spread));
    if (spread == NULL) {
        return vy_error(VY_CODE_NOMEM, "spreading of leaders");
    }
    spread->meta = meta;
    vy_arena_init(&spread->arena, ARENA_BYTES_MAX);
    spread->timer = vy_timer_new(meta->config.loop, look_on_timer, spread);
    if (spread->timer == NULL) {
        lead_spread_free(spread);
        return vy_error(VY_CODE_NOMEM, "timer of spreading");
    }
    *out = spread;
    return vy_ok();
}

void lead_spread_stop(struct lead_spread *spread)
{
    spread->is_stopping = true;
    vy_timer_stop(spread->timer);
}

void lead_spread_free(struct lead_spread *spread)
{
    if (spread != NULL) {
        vy_timer_free(spread->timer);
        vy_arena_deinit(&spread->arena);
        free(spread);
    }
}
