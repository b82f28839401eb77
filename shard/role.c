/* SPDX-License-Identifier: Apache-2.0 */
#include "shard/role.h"

#include "proto/data_dir.h"
#include "proto/key_mark.h"
#include "proto/rpc_server.h"
#include "proto/settings.h"
#include "replica/group_service.h"
#include "shard/check.h"
#include "shard/log_replica.h"
#include "shard/meta_client.h"
#include "shard/metrics.h"
#include "shard/peers.h"
#include "shard/service_rpc.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define WORKERS_MAX 256U
#define WORKER_QUEUE_MAX 65536U
#define METRICS_MS 1000U
#define STOP_LOOK_MS 10U
#define DIR_BYTES_MAX 4096U

struct shard_role_state {
    struct role base;
    const struct role_env *env; /* borrowed */
    struct rpc_config rpc;
    struct settings_member members[SETTINGS_MEMBERS_MAX];
    size_t member_count;
    const struct settings_member *self;
    uint64_t group_id;
    char name[32];           /* of the group in logs */
    struct cluster_key *key; /* owned, like all that follows */
    struct vy_workers *workers;
    struct group_link *raft;
    struct log_replica *log;
    struct replica *replica;
    struct meta_client *meta;
    struct peers *peers;
    struct service *service;
    struct rpc_server *server;
    struct service_rpc *methods;
    struct group_service group; /* members, for meta */
    struct vy_timer *metrics_timer;
    struct vy_timer *stop_timer;
    uint64_t quiet_by_ms;
    struct shard_metrics metrics;
    bool is_stopping;
    bool is_stopped; /* nothing is handed to the replica any more */
    uint32_t stop_deadline_ms;
    vy_loop_fn on_stopped;
    void *on_stopped_arg;
};

static void stop_when_quiet(void *arg);

static struct shard_role_state *role_of(struct role *base)
{
    return VY_CONTAINER_OF(base, struct shard_role_state, base);
}

/* ---- readiness and metrics ---- */

static bool knows_leader(const struct shard_role_state *role)
{
    struct replica_member leader;

    return replica_is_leader(role->replica) || replica_leader_hint(role->replica, &leader);
}

static bool role_write_readiness(struct role *base, struct vy_buf *out)
{
    const struct shard_role_state *role = role_of(base);
    const bool has_leader = knows_leader(role);
    const bool is_registered = meta_client_is_registered(role->meta);

    vy_buf_append_cstr(out,
                       role->is_stopping ? "shard.process: stopping\n" : "shard.process: ok\n");
    vy_buf_append_cstr(out, has_leader ? "shard.leader: ok\n"
                                       : "shard.leader: none known, no majority of group.members "
                                         "can be reached\n");
    vy_buf_append_cstr(out, is_registered
                                ? "shard.meta: ok\n"
                                : "shard.meta: not registered yet, meta.members do not answer\n");
    return !role->is_stopping && has_leader && is_registered;
}

static void on_metrics_timer(void *arg)
{
    struct shard_role_state *role = arg;
    struct replica_status status;

    replica_get_status(role->replica, &status);
    shard_metrics_set(&role->metrics, service_stats(role->service), &status);
    vy_timer_start(role->metrics_timer, METRICS_MS);
}

/* ---- what the log tells the service ---- */

static void on_event(void *arg, const struct fsm_event *event)
{
    const struct shard_role_state *role = arg;

    service_on_event(role->service, event);
}

static void on_events_lost(void *arg)
{
    const struct shard_role_state *role = arg;

    service_on_events_lost(role->service);
}

static void on_installed(void *arg)
{
    const struct shard_role_state *role = arg;

    service_on_installed(role->service);
}

static void on_leader(void *arg, bool is_leader)
{
    const struct shard_role_state *role = arg;

    service_on_leader(role->service, is_leader);
}

static const struct log_listener log_listener = {.on_event = on_event,
                                                 .on_events_lost = on_events_lost,
                                                 .on_installed = on_installed,
                                                 .on_leader = on_leader};

static void on_account_change(void *arg, uint64_t account_id, uint64_t epoch)
{
    const struct shard_role_state *role = arg;

    if (role->service != NULL) {
        service_on_account_change(role->service, account_id, epoch);
    }
}

static void on_map_group(void *arg, const struct map_group *group)
{
    const struct shard_role_state *role = arg;
    struct group_link_member members[REPLICA_MEMBERS_MAX];
    size_t count = 0;

    for (size_t i = 0; i < group->members_count && count < REPLICA_MEMBERS_MAX; i++) {
        members[count++] = (struct group_link_member){.id = group->members[i].member_id,
                                                      .node = group->members[i].node,
                                                      .raft = group->members[i].raft_address};
    }
    if (!role->is_stopped) {
        group_link_set_map(role->raft, members, count);
    }
}

static void on_meta_leader(void *arg)
{
    const struct shard_role_state *role = arg;

    if (role->service != NULL) {
        service_on_meta_leader(role->service);
    }
}

static const char *name_member(void *arg, uint64_t member_id)
{
    const struct shard_role_state *role = arg;

    return member_id == role->self->id ? role->self->node : group_link_node(role->raft, member_id);
}

static void on_frame(void *arg, uint64_t member_id, struct vy_bytes frame)
{
    const struct shard_role_state *role = arg;

    if (role->replica != NULL && !role->is_stopped) {
        replica_receive(role->replica, member_id, frame);
    }
}

static void on_bulk(void *arg, uint64_t member_id, struct vy_bytes frame)
{
    const struct shard_role_state *role = arg;

    if (role->replica != NULL && !role->is_stopped) {
        replica_receive_bulk(role->replica, member_id, frame);
    }
}

/* ---- starting ---- */

static struct vy_err read_members(const struct shard_role_state *role, const char *key,
                                  struct settings_member *out, size_t *out_count)
{
    struct vy_buf report;

    vy_buf_init(&report, 4096);
    const struct vy_err err = settings_members(role->env->config, key, out, out_count, &report);
    if (vy_failed(err)) {
        vy_log(role->env->log, VY_LOG_ERROR, "shard.members.refused",
               VY_STR("sys.reason", vy_buf_bytes(&report)));
    }
    vy_buf_deinit(&report);
    return err;
}

static struct vy_err find_members(struct shard_role_state *role)
{
    const char *name = vy_config_text(role->env->config, "node.name");

    role->group_id = vy_config_u64(role->env->config, "group.id");
    (void)snprintf(role->name, sizeof(role->name), "shard-%llu",
                   (unsigned long long)role->group_id);
    VY_TRY(read_members(role, "group.members", role->members, &role->member_count));
    for (size_t i = 0; i < role->member_count; i++) {
        if (strcmp(role->members[i].node, name) == 0) {
            role->self = &role->members[i];
        }
    }
    return role->self == NULL ? vy_error(VY_CODE_ARGUMENT, "node.name is none of group.members")
                              : vy_ok();
}

static struct vy_err make_workers(struct shard_role_state *role)
{
    uint64_t count = vy_config_u64(role->env->config, "shard.workers");

    if (count == 0) {
        const long cores = sysconf(_SC_NPROCESSORS_ONLN);
        count = (uint64_t)VY_MAX(cores, 1) + 1;
    }
    return vy_workers_new((unsigned)VY_MIN(count, WORKERS_MAX), WORKER_QUEUE_MAX, &role->workers);
}

static struct vy_err log_link(const struct shard_role_state *role, struct vy_err err,
                              const char *address)
{
    if (vy_failed(err)) {
        vy_log(role->env->log, VY_LOG_ERROR, "shard.link.failed", VY_CSTR("sys.address", address),
               VY_LOG_ERR(err));
    }
    return err;
}

static struct vy_err open_raft(struct shard_role_state *role)
{
    const struct group_link_config config = {.rpc = &role->rpc,
                                             .members = role->members,
                                             .member_count = role->member_count,
                                             .self = role->self,
                                             .on_frame = on_frame,
                                             .on_bulk = on_bulk,
                                             .arg = role};
    return log_link(role, group_link_open(&config, &role->raft), role->self->raft);
}

static struct vy_err open_replica(struct shard_role_state *role)
{
    const struct vy_config *config = role->env->config;
    const struct replica_member self = {.id = role->self->id,
                                        .address = group_link_address(role->raft)};
    char dir[DIR_BYTES_MAX];

    (void)snprintf(dir, sizeof(dir), "%s/shard", vy_config_text(config, "data.dir"));
    struct replica_config replica = {
        .dir = dir,
        .name = role->name,
        .group_id = role->group_id,
        .member_id = role->self->id,
        .members = &self,
        .member_count = 1,
        .clock = role->env->clock,
        .rng = role->env->rng,
        .loop = role->env->loop,
        .log = role->env->log,
        .fsm = log_replica_fsm(role->log),
    };
    group_link_configure(role->raft, config, &replica);
    replica.bootstrap_alone = role->member_count == 1 && replica.ticket_path == NULL;
    VY_TRY(replica_open(&replica, &role->replica));
    group_link_set_replica(role->raft, role->replica);
    return log_replica_attach(role->log, role->replica, role->env->loop);
}

static struct vy_err open_log(struct shard_role_state *role, uint64_t hash_seed)
{
    const struct log_replica_config config = {.hash_seed = hash_seed,
                                              .log = role->env->log,
                                              .name_member = name_member,
                                              .name_member_arg = role};

    VY_TRY(log_replica_new(&config, &role->log));
    VY_TRY(open_raft(role));
    return open_replica(role);
}

static struct vy_err open_meta_client(struct shard_role_state *role)
{
    struct settings_member members[SETTINGS_MEMBERS_MAX];
    struct rpc_group_member addresses[SETTINGS_MEMBERS_MAX];
    struct replica_identity identity;
    size_t count = 0;

    VY_TRY(read_members(role, "meta.members", members, &count));
    for (size_t i = 0; i < count; i++) {
        addresses[i] = (struct rpc_group_member){members[i].node, members[i].link};
    }
    replica_get_identity(role->replica, &identity);
    const struct meta_client_config config = {.rpc = &role->rpc,
                                              .members = addresses,
                                              .member_count = count,
                                              .group_id = role->group_id,
                                              .member_id = identity.member_id,
                                              .incarnation = identity.incarnation,
                                              .link_address = role->self->link,
                                              .raft_address = role->self->raft,
                                              .on_account_change = on_account_change,
                                              .on_map_group = on_map_group,
                                              .on_meta_leader = on_meta_leader,
                                              .arg = role};
    VY_TRY(meta_client_new(&config, &role->meta));
    const struct peers_config peers = {
        .rpc = &role->rpc, .meta_members = addresses, .meta_member_count = count};
    return peers_new(&peers, &role->peers);
}

static struct vy_err open_service(struct shard_role_state *role, uint64_t hash_seed)
{
    const struct service_config config = {
        .loop = role->env->loop,
        .workers = role->workers,
        .rng = role->env->rng,
        .clock = role->env->clock,
        .log = role->env->log,
        .replica = log_replica_log(role->log),
        .cluster_key = role->key,
        .meta_ops = &meta_client_ops,
        .meta = role->meta,
        .peer_ops = &peers_ops,
        .peers = role->peers,
        .group_id = role->group_id,
        .member_id = role->self->id,
        .hash_seed = hash_seed,
    };

    VY_TRY(service_new(&config, &role->service));
    log_replica_set_listener(role->log, &log_listener, role);
    return vy_ok();
}

static struct vy_err open_server(struct shard_role_state *role)
{
    VY_TRY(rpc_server_new(&role->rpc, &role->server));
    VY_TRY(service_rpc_add(role->service, role->server, role->env->clock, role->metrics.seconds,
                           &role->methods));
    role->group = (struct group_service){.replica = role->replica, .link = role->raft};
    VY_TRY(group_service_add(&role->group, role->server));
    return log_link(role, rpc_server_listen(role->server, role->self->link), role->self->link);
}

static struct vy_err open_all(struct shard_role_state *role)
{
    const uint64_t hash_seed = vy_rng_u64(role->env->rng);

    VY_TRY(find_members(role));
    VY_TRY(data_dir_open(role->env->config, role->env->log, &role->key));
    VY_TRY(shard_metrics_init(role->env->metrics, &role->metrics));
    VY_TRY(make_workers(role));
    role->metrics_timer = vy_timer_new(role->env->loop, on_metrics_timer, role);
    role->stop_timer = vy_timer_new(role->env->loop, stop_when_quiet, role);
    if (role->metrics_timer == NULL || role->stop_timer == NULL) {
        return vy_error(VY_CODE_NOMEM, "timer");
    }
    VY_TRY(open_log(role, hash_seed));
    VY_TRY(key_mark_write(role->key, vy_config_text(role->env->config, "data.dir")));
    VY_TRY(open_meta_client(role));
    VY_TRY(open_service(role, hash_seed));
    VY_TRY(open_server(role));
    return replica_start(role->replica);
}

/* Workers first: they read snapshots and account keys. The service ends open calls on the server;
 * questions to meta and other groups end before it does. */
static void role_free(struct role *base)
{
    if (base == NULL) {
        return;
    }
    struct shard_role_state *role = role_of(base);
    vy_timer_free(role->metrics_timer);
    vy_timer_free(role->stop_timer);
    vy_workers_free(role->workers);
    meta_client_free(role->meta);
    peers_free(role->peers);
    service_free(role->service);
    rpc_server_free(role->server);
    service_rpc_free(role->methods);
    if (role->log != NULL) {
        log_replica_detach(role->log);
    }
    replica_free(role->replica);
    group_link_free(role->raft);
    log_replica_free(role->log);
    cluster_key_free(role->key);
    free(role);
}

static struct vy_err role_start(const struct role_env *env, struct role **out)
{
    struct shard_role_state *role = calloc(1, sizeof(*role));

    if (role == NULL) {
        return vy_error(VY_CODE_NOMEM, "shard role");
    }
    role->base.ops = &shard_role;
    role->env = env;
    role_rpc_config(env, &shard_role, &role->rpc);
    const struct vy_err err = open_all(role);
    if (vy_failed(err)) {
        vy_log(env->log, VY_LOG_ERROR, "shard.start.failed", VY_LOG_ERR(err));
        role_free(&role->base);
        return err;
    }
    on_metrics_timer(role);
    *out = &role->base;
    return vy_ok();
}

/* ---- stopping: hand over, let others see it, end what is open, close ---- */

static void stop_on_replica(void *arg)
{
    struct shard_role_state *role = arg;

    role->is_stopped = true;
    role->on_stopped(role->on_stopped_arg);
}

/* Steps that run on workers or in the log come back to the loop: they are waited for. */
static void stop_when_quiet(void *arg)
{
    struct shard_role_state *role = arg;

    if (!service_is_quiet(role->service) && vy_loop_now_ms(role->env->loop) < role->quiet_by_ms) {
        vy_timer_start(role->stop_timer, STOP_LOOK_MS);
        return;
    }
    replica_stop(role->replica, stop_on_replica, role);
}

static void stop_on_drained(void *arg)
{
    struct shard_role_state *role = arg;

    role->quiet_by_ms = vy_loop_now_ms(role->env->loop) + role->stop_deadline_ms;
    stop_when_quiet(role);
}

static void stop_drain(struct shard_role_state *role)
{
    rpc_server_drain(role->server, role->stop_deadline_ms, stop_on_drained, role);
}

static void stop_on_transferred(void *arg, struct vy_err err)
{
    struct shard_role_state *role = arg;

    vy_log(role->env->log, VY_LOG_INFO, "shard.leader.handed_over", VY_LOG_ERR(err));
    stop_drain(role);
}

static void role_stop(struct role *base, uint32_t deadline_ms, vy_loop_fn done, void *arg)
{
    struct shard_role_state *role = role_of(base);

    role->is_stopping = true;
    role->stop_deadline_ms = deadline_ms;
    role->on_stopped = done;
    role->on_stopped_arg = arg;
    vy_timer_stop(role->metrics_timer);
    if (vy_failed(replica_transfer(role->replica, stop_on_transferred, role))) {
        stop_drain(role); /* follows, or is alone: there is nothing to hand over */
    }
}

const struct role_ops shard_role = {.name = "shard",
                                    .settings = SETTINGS_SHARD,
                                    .rpc_role = RPC_ROLE_SHARD,
                                    .start = role_start,
                                    .write_readiness = role_write_readiness,
                                    .stop = role_stop,
                                    .free = role_free,
                                    .check = shard_check_main};
