/* SPDX-License-Identifier: Apache-2.0 */
#include "meta/meta_private.h"

#include "meta/password.h"
#include <stdlib.h>

uint64_t meta_now_ms(const struct meta *meta)
{
    return vy_clock_wall_ms(meta->config.clock);
}

uint32_t meta_scram_iterations(const struct meta *meta)
{
    return meta->config.scram_iterations == 0 ? PASSWORD_SCRAM_ITERATIONS
                                              : meta->config.scram_iterations;
}

uint64_t meta_retention_ms(const struct meta *meta)
{
    return meta->config.retention_ms == 0 ? META_RETENTION_MS : meta->config.retention_ms;
}

uint64_t meta_alert_ms(const struct meta *meta)
{
    return meta->config.alert_ms == 0 ? META_ALERT_MS : meta->config.alert_ms;
}

uint64_t meta_quarantine_ms(const struct meta *meta)
{
    return meta->config.quarantine_ms == 0 ? META_QUARANTINE_MS : meta->config.quarantine_ms;
}

uint64_t meta_group_of_slot(const struct cluster_row *cluster, uint16_t slot)
{
    for (size_t i = 0; i < cluster->slots_count; i++) {
        if (slot >= cluster->slots[i].first && slot <= cluster->slots[i].last) {
            return cluster->slots[i].group_id;
        }
    }
    return 0;
}

/* ---- leading ---- */

static void bootstrap_done(struct meta *meta, void *arg, struct vy_err err,
                           const struct meta_result *result)
{
    (void)arg;
    if (vy_failed(err)) {
        vy_log(meta->config.log, VY_LOG_WARN, "meta.bootstrap.failed", VY_LOG_ERR(err));
        return;
    }
    vy_log(meta->config.log, VY_LOG_INFO, "meta.bootstrap.done",
           VY_U64("meta.outcome", result->outcome),
           VY_U64("meta.groups", meta->config.group_count));
}

/* Slots split evenly over the groups, in their order. */
static void propose_bootstrap(struct meta *meta)
{
    struct slot_span spans[META_GROUPS_MAX];
    const size_t count = meta->config.group_count;
    for (size_t i = 0; i < count; i++) {
        spans[i] = (struct slot_span){.first = (uint32_t)(i * VY_SLOT_COUNT / count),
                                      .last = (uint32_t)((i + 1) * VY_SLOT_COUNT / count - 1),
                                      .group_id = meta->group_ids[i]};
    }
    struct replica_identity identity;
    meta->group->ops->get_identity(meta->group, &identity);
    const struct cmd_bootstrap bootstrap = {
        .cluster_id = vy_bytes(identity.cluster_id, sizeof(identity.cluster_id)),
        .group_ids_count = count,
        .group_ids = meta->group_ids,
        .slots_count = count,
        .slots = spans,
        .feature_level = VY_MAX(meta->config.feature_level, 1)};
    const struct meta_command command = {.version = META_COMMAND_VERSION, .bootstrap = &bootstrap};
    meta_propose_background(meta, &command, bootstrap_done, NULL);
}

static void bootstrap_if_new(struct meta *meta)
{
    struct vy_arena arena;
    struct cluster_row row;
    bool is_found = false;
    vy_arena_init(&arena, 1024U * 1024);
    const struct meta_view view = {.reader = meta->group->ops->newest(meta->group),
                                   .arena = &arena};
    const struct vy_err err = cluster_get(&view, &row, &is_found);
    if (vy_failed(err)) {
        vy_log(meta->config.log, VY_LOG_ERROR, "meta.bootstrap.unreadable", VY_LOG_ERR(err));
    } else if (!is_found && meta->config.group_count > 0) {
        propose_bootstrap(meta);
    }
    vy_arena_deinit(&arena);
}

/* Everything that was acknowledged by earlier leaders is visible here from now on. */
static void lead_on_barrier(void *arg, struct vy_err err)
{
    struct meta *meta = arg;
    if (vy_failed(err) || meta->is_stopping || !meta->group->ops->is_leader(meta->group)) {
        return; /* told again when it leads again */
    }
    meta->is_ready = true;
    meta_metrics_set_ready(&meta->metrics, true);
    meta->next_account_id = 0;
    vy_log(meta->config.log, VY_LOG_INFO, "meta.leader.ready", VY_U64("raft.term", meta->term));
    login_rebuild_budgets(meta);
    bootstrap_if_new(meta);
    erase_saga_kick(meta->saga); /* DEL-5: what earlier leaders have begun */
    member_saga_kick(meta->members);
    lead_spread_kick(meta->spread);
}

static void meta_on_leader_change(void *arg, bool is_leader, uint64_t term)
{
    struct meta *meta = arg;
    meta->is_ready = false;
    meta_metrics_set_ready(&meta->metrics, false);
    meta->term = term;
    if (!is_leader || meta->is_stopping || meta->group == NULL) {
        return;
    }
    const struct vy_err err = meta->group->ops->barrier(meta->group, lead_on_barrier, meta);
    if (vy_failed(err)) {
        vy_log(meta->config.log, VY_LOG_WARN, "meta.leader.failed", VY_LOG_ERR(err));
    }
}

static void meta_on_applied(void *arg, uint64_t index)
{
    struct meta *meta = arg;
    meta_watch_applied(meta->watch, index);
}

/* A snapshot took the place of the database: of what it holds there were no events. */
static void meta_on_installed(void *arg, uint64_t index)
{
    struct meta *meta = arg;
    meta_watch_skip(meta->watch, index);
}

static void meta_on_event(void *arg, const struct fsm_event *event)
{
    struct meta *meta = arg;
    meta_watch_push(meta->watch, event);
}

bool meta_is_ready(const struct meta *meta)
{
    return meta->is_ready && meta->group->ops->is_leader(meta->group);
}

const char *meta_member_node(const struct meta *meta, uint64_t member_id)
{
    return meta->config.name_member == NULL
               ? NULL
               : meta->config.name_member(meta->config.member_arg, member_id);
}

const char *meta_member_link(const struct meta *meta, uint64_t member_id)
{
    return meta->config.member_link == NULL
               ? NULL
               : meta->config.member_link(meta->config.member_arg, member_id);
}

bool meta_reaches_member(const struct meta *meta, uint64_t member_id)
{
    return meta->config.reaches_member == NULL ||
           meta->config.reaches_member(meta->config.member_arg, member_id);
}

const char *meta_leader_hint(const struct meta *meta)
{
    struct replica_member member;
    if (!meta->group->ops->leader_hint(meta->group, &member)) {
        return NULL;
    }
    const char *node = meta_member_node(meta, member.id);
    return node != NULL ? node : member.address;
}

/* ---- folded refusals ---- */

static void fold_done(struct meta *meta, void *arg, struct vy_err err,
                      const struct meta_result *result)
{
    (void)arg;
    (void)result;
    if (vy_failed(err)) { /* LOGIN-3: only a count is lost, and that is said */
        vy_log(meta->config.log, VY_LOG_WARN, "meta.login.count_lost", VY_LOG_ERR(err));
    }
}

static void fold_on_timer(void *arg)
{
    struct meta *meta = arg;
    const uint64_t now_ms = vy_clock_mono_ms(meta->config.clock);
    struct login_fold *fold = login_folds_take(&meta->folds, now_ms);
    while (fold != NULL) {
        if (fold->folded_count > 0) {
            const struct meta_command command = {.version = META_COMMAND_VERSION,
                                                 .login = &fold->command};
            meta_propose_background(meta, &command, fold_done, NULL);
        }
        free(fold);
        fold = login_folds_take(&meta->folds, now_ms);
    }
    vy_timer_start(meta->fold_timer, LOGIN_FOLD_MS / 4);
}

/* ---- life ---- */

#define GUESS_SLOTS (64U * 1024) /* 4 MiB: enough for a wide attack of an hour */

static struct vy_err build(struct meta *meta)
{
    VY_TRY(meta_metrics_init(meta->config.metrics, &meta->metrics));
    VY_TRY(meta_watch_new(&meta->watch));
    VY_TRY(erase_saga_new(meta, &meta->saga));
    VY_TRY(login_sweep_new(meta, &meta->sweep));
    VY_TRY(member_saga_new(meta, &meta->members));
    VY_TRY(lead_spread_new(meta, &meta->spread));
    meta->fold_timer = vy_timer_new(meta->config.loop, fold_on_timer, meta);
    if (meta->fold_timer == NULL) {
        return vy_error(VY_CODE_NOMEM, "timer of meta");
    }
    meta->guess_seed = vy_rng_u64(meta->config.rng);
    if (meta->config.guesses != NULL) {
        VY_TRY(
            guess_table_new(meta->config.guesses, meta->guess_seed, GUESS_SLOTS, &meta->guesses));
    }
    meta->fsm.on_event = meta_on_event;
    meta->fsm.on_event_arg = meta;
    meta->fsm.on_applied = meta_on_applied;
    meta->fsm.on_leader_change = meta_on_leader_change;
    meta->fsm.on_installed = meta_on_installed;
    meta->fsm.listener_arg = meta;
    seal_key_of_cluster(meta->config.key, "challenge", &meta->challenge_key);
    seal_key_of_cluster(meta->config.key, "scram", &meta->scram_key);
    return vy_ok();
}

struct vy_err meta_new(const struct meta_config *config, struct meta **out)
{
    if (config->group_count > META_GROUPS_MAX) {
        return vy_error(VY_CODE_LIMIT, "groups of shards");
    }
    struct meta *meta = calloc(1, sizeof(*meta));
    if (meta == NULL) {
        return vy_error(VY_CODE_NOMEM, "meta");
    }
    meta->config = *config;
    for (size_t i = 0; i < config->group_count; i++) {
        meta->group_ids[i] = config->group_ids[i];
    }
    meta->config.group_ids = meta->group_ids;
    meta_fsm_init(&meta->fsm);
    login_folds_init(&meta->folds, vy_rng_u64(config->rng));
    const struct vy_err err = build(meta);
    if (vy_failed(err)) {
        meta_free(meta);
        return err;
    }
    *out = meta;
    return vy_ok();
}

void meta_set_group(struct meta *meta, struct meta_group *group)
{
    struct replica_status status = {.applied_index = 0};
    meta->group = group;
    group->ops->get_status(group, &status);
    meta_watch_set_start(meta->watch, status.applied_index);
}

struct meta_fsm *meta_get_fsm(struct meta *meta)
{
    return &meta->fsm;
}

struct replica *meta_get_replica(struct meta *meta)
{
    return meta->replica;
}

static struct vy_err open_replica(struct meta *meta, const struct replica_config *template)
{
    struct replica_config config = *template;
    config.clock = meta->config.clock;
    config.rng = meta->config.rng;
    config.loop = meta->config.loop;
    config.log = meta->config.log;
    config.fsm = &meta->fsm.base;
    VY_TRY(replica_open(&config, &meta->replica));
    struct meta_group *group = NULL;
    VY_TRY(meta_group_of_replica(meta->replica, config.loop, config.log, meta->config.expel_workers,
                                 &group));
    meta_set_group(meta, group);
    return vy_ok();
}

struct vy_err meta_open(const struct meta_config *config, const struct replica_config *replica,
                        struct meta **out)
{
    struct meta *meta = NULL;
    VY_TRY(meta_new(config, &meta));
    const struct vy_err err = open_replica(meta, replica);
    if (vy_failed(err)) {
        meta_free(meta);
        return err;
    }
    *out = meta;
    return vy_ok();
}

struct vy_err meta_start(struct meta *meta)
{
    vy_timer_start(meta->fold_timer, LOGIN_FOLD_MS / 4);
    login_sweep_start(meta->sweep);
    return meta->replica == NULL ? vy_ok() : replica_start(meta->replica);
}

static void finish_stop(void *arg)
{
    struct meta *meta = arg;
    if (meta->on_stopped != NULL) {
        const vy_loop_fn done = meta->on_stopped;
        meta->on_stopped = NULL;
        done(meta->on_stopped_arg);
    }
}

/* Commits are answered by the replica's stop; work on workers ends by itself. */
void meta_on_call_closed(struct meta *meta)
{
    if (meta->is_stopping && meta->is_replica_stopped && meta->stats.calls_open == 0) {
        vy_loop_post(meta->config.loop, finish_stop, meta);
    }
}

static void stop_on_replica(void *arg)
{
    struct meta *meta = arg;
    meta->is_replica_stopped = true;
    meta_on_call_closed(meta);
}

void meta_stop(struct meta *meta, vy_loop_fn done, void *arg)
{
    meta->is_stopping = true;
    meta->is_ready = false;
    meta->on_stopped = done;
    meta->on_stopped_arg = arg;
    vy_timer_stop(meta->fold_timer);
    login_sweep_stop(meta->sweep);
    erase_saga_stop(meta->saga);
    member_saga_stop(meta->members);
    lead_spread_stop(meta->spread);
    if (meta->replica != NULL) {
        replica_stop(meta->replica, stop_on_replica, meta);
    } else {
        vy_loop_post(meta->config.loop, stop_on_replica, meta);
    }
}

void meta_free(struct meta *meta)
{
    if (meta == NULL) {
        return;
    }
    vy_timer_free(meta->fold_timer);
    login_sweep_free(meta->sweep);
    erase_saga_free(meta->saga);
    member_saga_free(meta->members);
    lead_spread_free(meta->spread);
    if (meta->group != NULL) {
        meta->group->ops->free(meta->group);
    }
    replica_free(meta->replica);
    meta_watch_free(meta->watch);
    login_folds_deinit(&meta->folds);
    guess_table_free(meta->guesses);
    meta_fsm_deinit(&meta->fsm);
    vy_wipe(&meta->challenge_key, sizeof(meta->challenge_key));
    vy_wipe(&meta->scram_key, sizeof(meta->scram_key));
    free(meta);
}

void meta_get_stats(const struct meta *meta, struct meta_stats *out)
{
    *out = meta->stats;
}
