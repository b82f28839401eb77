/* SPDX-License-Identifier: Apache-2.0 */
#include "meta/member_saga.h"

#include "meta/meta_private.h"
#include <stdlib.h>

#define RUNS_MAX 8U    /* plans at once, of as many groups */
#define ROUND_MS 1000U /* between looks, and between tries */
#define ARENA_BYTES_MAX (4U * 1024 * 1024)
#define ERROR_BYTES_MAX 200U

/* One plan being carried out: members are listed, then at most one change is asked for. */
struct plan_run {
    struct member_saga *saga; /* NULL: free */
    struct vy_arena arena;
    struct member_row plan;
};
struct member_saga {
    struct meta *meta;
    struct vy_timer *timer; /* owned */
    struct plan_run runs[RUNS_MAX];
    bool is_stopping;
};

static struct meta_view newest(struct meta *meta, struct vy_arena *arena)
{
    return (struct meta_view){.reader = meta->group->ops->newest(meta->group), .arena = arena};
}

static void run_end(struct plan_run *run)
{
    struct meta *meta = run->saga->meta;
    vy_arena_deinit(&run->arena);
    run->saga = NULL;
    meta->stats.calls_open--;
    meta_on_call_closed(meta);
}

/* ---- what is committed ---- */

static void step_on_committed(struct meta *meta, void *arg, struct vy_err err,
                              const struct meta_result *result)
{
    struct plan_run *run = arg;
    (void)meta;
    (void)result;
    vy_ignore(err, "the next round looks again");
    struct member_saga *saga = run->saga;
    run_end(run);
    member_saga_kick(saga);
}

static void commit(struct plan_run *run, bool is_done, struct vy_bytes error)
{
    struct meta *meta = run->saga->meta;
    const struct cmd_member_step body = {.group_id = run->plan.group_id,
                                         .member_id = run->plan.member_id,
                                         .done = is_done,
                                         .error = error};
    const struct meta_command command = {.version = META_COMMAND_VERSION, .member_step = &body};
    meta_propose_background(meta, &command, step_on_committed, run);
}

static void run_finish(struct plan_run *run)
{
    vy_log(run->saga->meta->config.log, VY_LOG_INFO, "meta.member.done",
           VY_U64("shard.group", run->plan.group_id), VY_HEX("raft.peer", run->plan.member_id),
           VY_STR("rpc.node", run->plan.node));
    commit(run, true, vy_bytes(NULL, 0));
}

/* Nobody leads just now, or it leads elsewhere: that passes, and is not worth a line. */
static bool is_passing(enum vy_code code)
{
    return code == VY_CODE_NOT_LEADER || code == VY_CODE_UNKNOWN || code == VY_CODE_BUSY ||
           code == VY_CODE_CANCELLED;
}

/* The same failure is written down once: a group that is down must not fill the log. */
static void run_fail(struct plan_run *run, struct vy_err err, struct vy_bytes text)
{
    const struct vy_bytes told = vy_bytes_slice(text, 0, VY_MIN(text.len, ERROR_BYTES_MAX));
    if (run->saga->is_stopping || is_passing(err.code) || vy_bytes_equal(told, run->plan.error)) {
        run_end(run);
        return;
    }
    vy_log(run->saga->meta->config.log, VY_LOG_WARN, "meta.member.stuck",
           VY_U64("shard.group", run->plan.group_id), VY_HEX("raft.peer", run->plan.member_id),
           VY_LOG_ERR(err));
    commit(run, false, told);
}

/* ---- asking the group ---- */

static void ask(struct plan_run *run, enum group_operation operation, uint64_t member_id,
                struct vy_bytes address, meta_group_fn done)
{
    const struct meta_config *config = &run->saga->meta->config;
    const struct group_members_request request = {
        .operation = operation, .member_id = member_id, .address = address};
    config->groups->ask(config->groups_arg, run->plan.group_id, &request, done, run);
}

static void on_changed(void *arg, struct vy_err err, struct vy_bytes text,
                       const struct group_members_reply *reply)
{
    struct plan_run *run = arg;
    (void)reply; /* the next round looks what came of it */
    if (vy_failed(err)) {
        run_fail(run, err, text);
        return;
    }
    struct member_saga *saga = run->saga;
    run_end(run);
    member_saga_kick(saga);
}

static const struct group_member *find(const struct group_members_reply *reply, uint64_t id)
{
    for (size_t i = 0; i < reply->members_count; i++) {
        if (reply->members[i].member_id == id) {
            return &reply->members[i];
        }
    }
    return NULL;
}

static void drive_add(struct plan_run *run, const struct group_members_reply *reply)
{
    const struct group_member *member = find(reply, run->plan.member_id);
    const bool has_old = run->plan.replaces != 0 && find(reply, run->plan.replaces) != NULL;
    if (member == NULL) {
        const char *address = vy_arena_printf(&run->arena, "%.*s@%.*s", VY_PRI(run->plan.node),
                                              VY_PRI(run->plan.raft_address));
        ask(run, GROUP_OPERATION_ADD, run->plan.member_id, vy_cstr(address == NULL ? "" : address),
            on_changed);
    } else if (member->learner) {
        run_end(run); /* it catches up; its leader promotes it */
    } else if (has_old) {
        ask(run, GROUP_OPERATION_REMOVE, run->plan.replaces, vy_bytes(NULL, 0), on_changed);
    } else {
        run_finish(run);
    }
}

static void on_listed(void *arg, struct vy_err err, struct vy_bytes text,
                      const struct group_members_reply *reply)
{
    struct plan_run *run = arg;
    if (vy_failed(err)) {
        run_fail(run, err, text);
    } else if (run->saga->is_stopping || !meta_is_ready(run->saga->meta)) {
        run_end(run);
    } else if (run->plan.plan == MEMBER_PLAN_ADD) {
        drive_add(run, reply);
    } else if (find(reply, run->plan.member_id) != NULL) {
        ask(run, GROUP_OPERATION_REMOVE, run->plan.member_id, vy_bytes(NULL, 0), on_changed);
    } else {
        run_finish(run);
    }
}

/* ---- rounds ---- */

static void run_begin(struct member_saga *saga, const struct member_row *plan)
{
    struct plan_run *run = NULL;
    for (size_t i = 0; i < RUNS_MAX; i++) {
        if (saga->runs[i].saga != NULL && saga->runs[i].plan.group_id == plan->group_id) {
            return; /* under way */
        }
        run = saga->runs[i].saga == NULL ? &saga->runs[i] : run;
    }
    if (run == NULL) {
        return; /* its turn comes */
    }
    *run = (struct plan_run){.saga = saga, .plan = *plan};
    vy_arena_init(&run->arena, 64U * 1024);
    saga->meta->stats.calls_open++;
    struct vy_err err = vy_arena_dup(&run->arena, plan->node, &run->plan.node);
    if (!vy_failed(err)) {
        err = vy_arena_dup(&run->arena, plan->raft_address, &run->plan.raft_address);
    }
    if (!vy_failed(err)) {
        err = vy_arena_dup(&run->arena, plan->error, &run->plan.error);
    }
    if (vy_failed(err)) {
        run_end(run);
        return;
    }
    ask(run, GROUP_OPERATION_LIST, 0, vy_bytes(NULL, 0), on_listed);
}

static struct vy_err begin_runs(struct member_saga *saga, struct vy_arena *arena)
{
    const struct meta_view view = newest(saga->meta, arena);
    const struct member_row *rows = NULL;
    size_t count = 0;
    VY_TRY(member_list(&view, &rows, &count));
    for (size_t i = 0; i < count && saga->meta->config.groups != NULL; i++) {
        if (rows[i].plan == MEMBER_PLAN_ADD || rows[i].plan == MEMBER_PLAN_REMOVE) {
            run_begin(saga, &rows[i]);
        }
    }
    return vy_ok();
}

/* ---- meta's own members, on the map ---- */

static void place_on_committed(struct meta *meta, void *arg, struct vy_err err,
                               const struct meta_result *result)
{
    (void)meta;
    (void)arg;
    (void)result;
    vy_ignore(err, "the next round looks again");
}

static bool is_placed(const struct node_row *nodes, size_t count, uint64_t id,
                      const struct meta_place *place)
{
    for (size_t i = 0; i < count; i++) {
        if (nodes[i].group_id == 0 && nodes[i].member_id == id) {
            return place == NULL || (vy_bytes_equal(nodes[i].node, vy_cstr(place->node)) &&
                                     vy_bytes_equal(nodes[i].link_address, vy_cstr(place->link)));
        }
    }
    return false;
}

/* The file of this process names the first members, and this one as it is now. */
static struct vy_err place_members(struct member_saga *saga, struct vy_arena *arena)
{
    struct meta *meta = saga->meta;
    const struct meta_view view = newest(meta, arena);
    struct replica_member members[REPLICA_MEMBERS_MAX];
    struct replica_identity identity;
    const struct node_row *nodes = NULL;
    size_t count = 0;
    const size_t member_count =
        meta->group->ops->get_members(meta->group, members, REPLICA_MEMBERS_MAX);
    meta->group->ops->get_identity(meta->group, &identity);
    VY_TRY(node_list(&view, &nodes, &count));
    for (size_t i = 0; i < member_count && meta->config.place_member != NULL; i++) {
        struct meta_place place;
        const bool is_self = members[i].id == identity.member_id;
        if (!meta->config.place_member(meta->config.member_arg, members[i].id, &place) ||
            is_placed(nodes, count, members[i].id, is_self ? &place : NULL)) {
            continue;
        }
        const struct node_row row = {.member_id = members[i].id,
                                     .role = VY_LIT("meta"),
                                     .node = vy_cstr(place.node),
                                     .link_address = vy_cstr(place.link),
                                     .raft_address = vy_cstr(place.raft)};
        const struct cmd_node_register body = {.node = &row};
        const struct meta_command command = {.version = META_COMMAND_VERSION,
                                             .node_register = &body};
        meta_propose_background(meta, &command, place_on_committed, NULL);
    }
    return vy_ok();
}

static void round_on_timer(void *arg)
{
    struct member_saga *saga = arg;
    struct meta *meta = saga->meta;
    struct vy_arena arena;
    if (saga->is_stopping || meta->group == NULL || !meta_is_ready(meta)) {
        return; /* kicked when it leads again */
    }
    vy_arena_init(&arena, ARENA_BYTES_MAX);
    struct vy_err err = place_members(saga, &arena);
    if (!vy_failed(err)) {
        err = begin_runs(saga, &arena);
    }
    if (vy_failed(err)) {
        vy_log(meta->config.log, VY_LOG_ERROR, "meta.member.unreadable", VY_LOG_ERR(err));
    }
    vy_arena_deinit(&arena);
    vy_timer_start(saga->timer, ROUND_MS);
}

void member_saga_kick(struct member_saga *saga)
{
    if (!saga->is_stopping) {
        vy_timer_start(saga->timer, 10);
    }
}

struct vy_err member_saga_new(struct meta *meta, struct member_saga **out)
{
    struct member_saga *saga = calloc(1, sizeof(*saga));
    if (saga == NULL) {
        return vy_error(VY_CODE_NOMEM, "plans for members");
    }
    saga->meta = meta;
    saga->timer = vy_timer_new(meta->config.loop, round_on_timer, saga);
    if (saga->timer == NULL) {
        free(saga);
        return vy_error(VY_CODE_NOMEM, "timer of plans for members");
    }
    *out = saga;
    return vy_ok();
}

void member_saga_stop(struct member_saga *saga)
{
    saga->is_stopping = true;
    vy_timer_stop(saga->timer);
}

void member_saga_free(struct member_saga *saga)
{
    if (saga != NULL) {
        vy_timer_free(saga->timer);
        free(saga);
    }
}
