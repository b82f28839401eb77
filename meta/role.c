/* SPDX-License-Identifier: Apache-2.0 */
#include "meta/role.h"

#include "meta/check.h"
#include "meta/group_asker.h"
#include "meta/role_private.h"
#include "meta/service.h"
#include "meta/tables.h"
#include "proto/data_dir.h"
#include "proto/key_mark.h"
#include "proto/rpc_server.h"
#include "replica/group_link.h"
#include "replica/metrics.h"
#include <stdio.h>
#include <stdlib.h>

#define WORKER_COUNT 2U /* password hashing of administrators, lists; sign-in hashes elsewhere */
#define WORKER_QUEUE_MAX 256U
#define METRICS_MS 1000U
#define DIR_BYTES_MAX 4096U

static const struct replica_metric_row metric_rows[] = {REPLICA_METRIC_ROWS("volary_meta")};

struct meta_role {
    struct role base;
    const struct role_env *env; /* borrowed */
    struct rpc_config rpc;
    struct settings_member members[SETTINGS_MEMBERS_MAX];
    size_t member_count;
    const struct settings_member *self;
    struct cluster_key *key;        /* owned */
    struct vy_workers *workers;     /* owned */
    struct group_link *raft;        /* owned */
    struct meta *meta;              /* owned */
    struct rpc_server *server;      /* owned */
    struct vy_timer *metrics_timer; /* owned */
    struct meta_shard_links links;
    struct meta_fencer fencer;      /* by links */
    struct meta_prober prober;      /* by links */
    struct meta_expel_caller expel; /* by links */
    struct meta_group_asker asker;  /* by links */
    struct meta_admin_face admin;
    struct replica_metrics metrics;
    bool has_map; /* the cluster's first map was seen here */
    bool is_stopping;
    bool is_stopped; /* nothing is handed to the replica any more */
    uint32_t stop_deadline_ms;
    vy_loop_fn on_stopped;
    void *on_stopped_arg;
};

static struct meta_role *role_of(struct role *base)
{
    return VY_CONTAINER_OF(base, struct meta_role, base);
}

/* ---- readiness ---- */

/* A member that leads answers for itself once it sees everything; a hint at itself is too early. */
static bool knows_leader(const struct meta_role *role)
{
    struct replica_member leader;
    if (meta_is_ready(role->meta)) {
        return true;
    }
    return replica_leader_hint(meta_get_replica(role->meta), &leader) &&
           leader.id != role->self->id;
}

/* The first map is the last step of forming a cluster; nothing works before it. */
static bool has_map(struct meta_role *role)
{
    struct vy_arena arena;
    struct cluster_row row;
    const struct meta_view view = {
        .reader = store_newest(replica_store(meta_get_replica(role->meta))), .arena = &arena};
    if (!role->has_map) {
        vy_arena_init(&arena, 1024U * 1024);
        const struct vy_err err = cluster_get(&view, &row, &role->has_map);
        vy_arena_deinit(&arena);
        vy_ignore(err, "not ready, then; a damaged row is logged by the leader");
    }
    return role->has_map;
}

static bool role_is_serving(void *arg)
{
    struct meta_role *role = arg;
    return !role->is_stopping && knows_leader(role) && has_map(role);
}

static bool role_write_readiness(struct role *base, struct vy_buf *out)
{
    struct meta_role *role = role_of(base);
    const bool leads_only =
        replica_is_leader(meta_get_replica(role->meta)) && !meta_is_ready(role->meta);
    vy_buf_append_cstr(out, role->is_stopping ? "meta.process: stopping\n" : "meta.process: ok\n");
    vy_buf_append_cstr(out, knows_leader(role) ? "meta.leader: ok\n"
                            : leads_only       ? "meta.leader: this member is taking over\n"
                                               : "meta.leader: none known, no majority of "
                                                 "meta.members can be reached\n");
    vy_buf_append_cstr(out, has_map(role) ? "meta.map: ok\n"
                                          : "meta.map: the cluster is not formed yet\n");
    return role_is_serving(role);
}

static void metrics_on_timer(void *arg)
{
    struct meta_role *role = arg;
    struct replica_status status;
    replica_get_status(meta_get_replica(role->meta), &status);
    replica_metrics_set(&role->metrics, &status);
    vy_timer_start(role->metrics_timer, METRICS_MS);
}

/* ---- starting ---- */

static const char *name_member(void *arg, uint64_t member_id)
{
    const struct meta_role *role = arg;
    return member_id == role->self->id ? role->self->node : group_link_node(role->raft, member_id);
}

static const char *member_link(void *arg, uint64_t member_id)
{
    const struct meta_role *role = arg;
    for (size_t i = 0; i < role->member_count; i++) {
        if (role->members[i].id == member_id) {
            return role->members[i].link;
        }
    }
    return NULL;
}

static bool reaches_member(void *arg, uint64_t member_id)
{
    const struct meta_role *role = arg;
    return group_link_reaches(role->raft, member_id);
}

static bool place_member(void *arg, uint64_t member_id, struct meta_place *out)
{
    const struct meta_role *role = arg;
    for (size_t i = 0; i < role->member_count; i++) {
        const struct settings_member *member = &role->members[i];
        if (member->id == member_id) {
            *out = (struct meta_place){.node = member->node,
                                       .link = member->link,
                                       .raft = member->raft == NULL ? "" : member->raft};
            return true;
        }
    }
    return false;
}

static struct vy_err find_members(struct meta_role *role)
{
    const struct vy_config *config = role->env->config;
    const char *name = vy_config_text(config, "node.name");
    struct vy_buf report;
    vy_buf_init(&report, 4096);
    const struct vy_err err =
        settings_members(config, "meta.members", role->members, &role->member_count, &report);
    if (vy_failed(err)) {
        vy_log(role->env->log, VY_LOG_ERROR, "meta.members.refused",
               VY_STR("sys.reason", vy_buf_bytes(&report)));
    }
    vy_buf_deinit(&report);
    VY_TRY(err);
    for (size_t i = 0; i < role->member_count; i++) {
        if (strcmp(role->members[i].node, name) == 0) {
            role->self = &role->members[i];
        }
    }
    if (role->self == NULL) {
        vy_log(role->env->log, VY_LOG_ERROR, "meta.members.refused",
               VY_CSTR("sys.reason", "node.name is none of meta.members"));
        return vy_error(VY_CODE_ARGUMENT, "node.name is none of meta.members");
    }
    return vy_ok();
}

static void log_link(const struct meta_role *role, struct vy_err err, const char *address)
{
    vy_log(role->env->log, VY_LOG_ERROR, "meta.link.failed", VY_CSTR("sys.address", address),
           VY_LOG_ERR(err));
}

static void raft_on_frame(void *arg, uint64_t member_id, struct vy_bytes frame)
{
    struct meta_role *role = arg;
    if (role->meta != NULL && !role->is_stopped) {
        replica_receive(meta_get_replica(role->meta), member_id, frame);
    }
}

static void raft_on_bulk(void *arg, uint64_t member_id, struct vy_bytes frame)
{
    struct meta_role *role = arg;
    if (role->meta != NULL && !role->is_stopped) {
        replica_receive_bulk(meta_get_replica(role->meta), member_id, frame);
    }
}

static struct vy_err open_raft(struct meta_role *role)
{
    const struct group_link_config config = {.rpc = &role->rpc,
                                             .members = role->members,
                                             .member_count = role->member_count,
                                             .self = role->self,
                                             .on_frame = raft_on_frame,
                                             .on_bulk = raft_on_bulk,
                                             .arg = role};
    const struct vy_err err = group_link_open(&config, &role->raft);
    if (vy_failed(err)) {
        log_link(role, err, role->self->raft);
    }
    return err;
}

static struct guess_limit guess_limit_of(const struct vy_config *config, const char *key,
                                         uint32_t per_ms)
{
    return (struct guess_limit){.count = (uint32_t)vy_config_u64(config, key), .per_ms = per_ms};
}

static struct guess_limits guess_limits_of(const struct vy_config *config)
{
    enum { MINUTE_MS = 60 * 1000, HOUR_MS = 60 * MINUTE_MS };
    struct guess_limits limits;
    limits.kinds[GUESS_NARROW] = guess_limit_of(config, "guess.address_per_min", MINUTE_MS);
    limits.kinds[GUESS_WIDE] = guess_limit_of(config, "guess.network_per_min", MINUTE_MS);
    limits.kinds[GUESS_NAME] = guess_limit_of(config, "guess.account_per_h", HOUR_MS);
    limits.kinds[GUESS_PAIR] = guess_limit_of(config, "guess.pair_per_h", HOUR_MS);
    return limits;
}

static struct vy_err open_meta(struct meta_role *role)
{
    const struct vy_config *config = role->env->config;
    uint64_t group_ids[META_GROUPS_MAX];
    const size_t group_count = (size_t)vy_config_u64(config, "bootstrap.groups");
    for (size_t i = 0; i < group_count && i < META_GROUPS_MAX; i++) {
        group_ids[i] = i + 1;
    }
    const struct guess_limits guesses = guess_limits_of(config);
    const struct meta_config meta_config = {
        .clock = role->env->clock,
        .rng = role->env->rng,
        .loop = role->env->loop,
        .log = role->env->log,
        .workers = role->workers,
        .key = role->key,
        .metrics = role->env->metrics,
        .fence = &meta_fencer_ops,
        .fence_arg = &role->fencer,
        .probe = &meta_prober_ops,
        .probe_arg = &role->prober,
        .guesses = &guesses,
        .groups = &meta_group_asker_ops,
        .groups_arg = &role->asker,
        .spread_after_ms = vy_config_ms(config, "raft.spread_after_s"),
        .retention_ms = vy_config_ms(config, "delete.retention_s"),
        .quarantine_ms = vy_config_ms(config, "delete.quarantine_s"),
        .tells_need_app = vy_config_bool(config, "auth.tell_need_app_password"),
        .alert_ms = vy_config_ms(config, "delete.alert_s"),
        .second_admin = vy_config_bool(config, "delete.second_admin"),
        .group_ids = group_ids,
        .group_count = group_count,
        .expel = &meta_expel_caller_ops,
        .expel_arg = &role->expel,
        .name_member = name_member,
        .member_link = member_link,
        .reaches_member = reaches_member,
        .place_member = place_member,
        .member_arg = role};
    const struct replica_member self = {.id = role->self->id,
                                        .address = group_link_address(role->raft)};
    char dir[DIR_BYTES_MAX];
    (void)snprintf(dir, sizeof(dir), "%s/meta", vy_config_text(config, "data.dir"));
    struct replica_config replica = {
        .dir = dir,
        .name = "meta",
        .member_id = role->self->id,
        .members = &self,
        .member_count = 1,
    };
    group_link_configure(role->raft, config, &replica);
    replica.bootstrap_alone = role->member_count == 1 && replica.ticket_path == NULL;
    VY_TRY(meta_open(&meta_config, &replica, &role->meta));
    role->links.meta = role->meta;
    group_link_set_replica(role->raft, meta_get_replica(role->meta));
    return vy_ok();
}

static struct vy_err open_server(struct meta_role *role)
{
    VY_TRY(rpc_server_new(&role->rpc, &role->server));
    VY_TRY(meta_rpc_add(role->meta, role->server));
    const struct vy_err err = rpc_server_listen(role->server, role->self->link);
    if (vy_failed(err)) {
        log_link(role, err, role->self->link);
    }
    return err;
}

static struct vy_err open_all(struct meta_role *role)
{
    VY_TRY(find_members(role));
    VY_TRY(data_dir_open(role->env->config, role->env->log, &role->key));
    VY_TRY(replica_metrics_init(role->env->metrics, metric_rows, VY_COUNT_OF(metric_rows),
                                &role->metrics));
    VY_TRY(vy_workers_new(WORKER_COUNT, WORKER_QUEUE_MAX, &role->workers));
    role->metrics_timer = vy_timer_new(role->env->loop, metrics_on_timer, role);
    if (role->metrics_timer == NULL) {
        return vy_error(VY_CODE_NOMEM, "timer");
    }
    VY_TRY(open_raft(role));
    VY_TRY(open_meta(role));
    VY_TRY(key_mark_write(role->key, vy_config_text(role->env->config, "data.dir")));
    VY_TRY(open_server(role));
    role->admin = (struct meta_admin_face){.env = role->env,
                                           .meta = role->meta,
                                           .is_serving = role_is_serving,
                                           .is_serving_arg = role};
    VY_TRY(meta_admin_face_open(&role->admin));
    return meta_start(role->meta);
}

static void role_free(struct role *base)
{
    if (base == NULL) {
        return;
    }
    struct meta_role *role = role_of(base);
    meta_admin_face_close(&role->admin);
    meta_shard_links_stop(&role->links);
    rpc_server_free(role->server);
    vy_timer_free(role->metrics_timer);
    meta_free(role->meta);
    group_link_free(role->raft);
    vy_workers_free(role->workers);
    cluster_key_free(role->key);
    free(role);
}

static struct vy_err role_start(const struct role_env *env, struct role **out)
{
    struct meta_role *role = calloc(1, sizeof(*role));
    if (role == NULL) {
        return vy_error(VY_CODE_NOMEM, "meta role");
    }
    role->base.ops = &meta_role;
    role->env = env;
    role_rpc_config(env, &meta_role, &role->rpc);
    meta_shard_links_init(&role->links, &role->rpc);
    role->fencer.links = &role->links;
    role->prober.links = &role->links;
    role->expel.links = &role->links;
    role->asker.links = &role->links;
    const struct vy_err err = open_all(role);
    if (vy_failed(err)) {
        role_free(&role->base);
        return err;
    }
    metrics_on_timer(role);
    *out = &role->base;
    return vy_ok();
}

/* ---- stopping: hand over, let others see it, end what is open, close ---- */

static void stop_on_meta(void *arg)
{
    struct meta_role *role = arg;
    role->is_stopped = true;
    role->on_stopped(role->on_stopped_arg);
}

static void stop_on_drained(void *arg)
{
    struct meta_role *role = arg;
    meta_shard_links_stop(&role->links);
    meta_stop(role->meta, stop_on_meta, role);
}

static void stop_drain(struct meta_role *role)
{
    rpc_server_drain(role->server, role->stop_deadline_ms, stop_on_drained, role);
}

static void stop_on_transferred(void *arg, struct vy_err err)
{
    struct meta_role *role = arg;
    vy_log(role->env->log, VY_LOG_INFO, "meta.leader.handed_over", VY_LOG_ERR(err));
    stop_drain(role);
}

static void role_stop(struct role *base, uint32_t deadline_ms, vy_loop_fn done, void *arg)
{
    struct meta_role *role = role_of(base);
    role->is_stopping = true;
    role->stop_deadline_ms = deadline_ms;
    role->on_stopped = done;
    role->on_stopped_arg = arg;
    vy_timer_stop(role->metrics_timer);
    const struct vy_err err =
        replica_transfer(meta_get_replica(role->meta), stop_on_transferred, role);
    if (vy_failed(err)) { /* follows, or is alone: there is nothing to hand over */
        stop_drain(role);
    }
}

const struct role_ops meta_role = {.name = "meta",
                                   .settings = SETTINGS_META,
                                   .rpc_role = RPC_ROLE_META,
                                   .start = role_start,
                                   .write_readiness = role_write_readiness,
                                   .stop = role_stop,
                                   .free = role_free,
                                   .check = meta_check_main};
