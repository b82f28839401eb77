/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/roles.h"

#include "frontend/edge.h"
#include "frontend/hash_cache.h"
#include "frontend/register.h"
#include "meta/expel_call.h"
#include "meta/fence.h"
#include "meta/probe.h"
#include "meta/service.h"
#include "proto/rpc_server.h"
#include "replica/ticket.h"
#include "shard/log_replica.h"
#include "shard/meta_client.h"
#include "shard/peers.h"
#include "shard/service_rpc.h"
#include "tests/sim/network.h"
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

#define WORKER_QUEUE_MAX 1024U
#define LOG_KEEP_ENTRIES 12U /* short logs: they are cut while a run lasts */
#define SCRAM_ITERATIONS 4096U
#define MESSAGE_BYTES_MAX (1024U * 1024)
#define HASH_CACHE_ENTRIES 64U
#define TARPIT_MAX 100U
#define HELLO_MS 600U

/* ---- what all have in common ---- */

static struct rpc_config rpc_config_of(struct sim_process *process, enum rpc_role role)
{
    return (struct rpc_config){.loop = &process->loop.base,
                               .rng = &process->rng.base,
                               .log = &process->log,
                               .cluster = "sim",
                               .node = process->name,
                               .role = role,
                               .inproc = sim_network_hub(process->world->network),
                               .ping_interval_ms = process->ping_ms,
                               .hello_timeout_ms = HELLO_MS};
}

static struct cluster_key *key_new(void)
{
    static const uint8_t bytes[CLUSTER_KEY_BYTES] = {7};
    struct cluster_key *key = NULL;
    VY_ASSERT(!vy_failed(cluster_key_new(bytes, &key)));
    return key;
}

static struct vy_workers *workers_new(void)
{
    struct vy_workers *workers = NULL;
    VY_ASSERT(!vy_failed(vy_workers_new(0, WORKER_QUEUE_MAX, &workers)));
    return workers;
}

/* The members of the process's group. */
static size_t list_members(const struct sim_process *process, struct replica_member *out)
{
    struct sim_world *world = process->world;
    const size_t count = process->group == 0 ? SIM_META_COUNT : SIM_SHARD_COUNT;
    for (unsigned i = 0; i < count; i++) {
        const struct sim_process *member =
            process->group == 0 ? sim_meta(world, i) : sim_shard(world, process->group, i);
        out[i] = (struct replica_member){.id = member->member_id, .address = member->address};
    }
    return count;
}

static size_t list_meta(struct sim_world *world, struct rpc_group_member *out)
{
    for (unsigned i = 0; i < SIM_META_COUNT; i++) {
        const struct sim_process *member = sim_meta(world, i);
        out[i] = (struct rpc_group_member){.node = member->name, .address = member->address};
    }
    return SIM_META_COUNT;
}

void sim_write_ticket(struct sim_process *process)
{
    struct ticket ticket = {
        .group_id = process->group + 1, .member_id = process->member_id, .cluster_id = {1, 2, 3}
    };
    ticket.peer_count = list_members(process, ticket.peers);
    (void)snprintf(process->ticket, sizeof(process->ticket), "%s/%s", process->world->dir,
                   process->name);
    VY_ASSERT(!vy_failed(ticket_write(process->ticket, &ticket)));
    (void)snprintf(process->dir, sizeof(process->dir), "%s/db-%u", process->world->dir,
                   process->number);
}

static struct replica_config replica_config_of(struct sim_process *process)
{
    return (struct replica_config){
        .dir = process->dir,
        .name = process->name,
        .open_store = store_mem_open_as,
        .open_store_arg = process->disk,
        .ticket_path = process->ticket,
        .clock = &process->clock,
        .rng = &process->rng.base,
        .loop = &process->loop.base,
        .log = &process->log,
        .transport = sim_network_transport(process->world->network, process),
        .writer_mode = REPLICA_WRITER_MANUAL,
        .writer_wake = sim_process_wake_disk,
        .writer_wake_arg = process,
        .election_timeout_ms = SIM_ELECTION_MS,
        .log_keep_entries = LOG_KEEP_ENTRIES,
        .log_max_entries = process->world->log_max_entries,
        .on_fail_stop = sim_process_on_disk_failed,
        .on_fail_stop_arg = process,
    };
}

static const char *name_member(void *arg, uint64_t member_id)
{
    const struct sim_process *process = arg;
    const struct sim_process *member = sim_find_member(process->world, member_id);
    return member == NULL ? NULL : member->name;
}

/* ---- meta ---- */

struct sim_meta_role {
    struct sim_process *process;
    struct rpc_config rpc;
    struct cluster_key *key;
    struct vy_workers *workers;
    struct meta *meta;
    struct rpc_server *server;
    struct meta_shard_links links;
    struct meta_fencer fencer;
    struct meta_prober prober;
    struct meta_expel_caller expel;
    bool is_stopped;
};

struct meta *sim_meta_of(const struct sim_process *process)
{
    const struct sim_meta_role *role = process->role;
    return role->meta;
}

static struct replica *meta_role_replica(void *arg)
{
    const struct sim_meta_role *role = arg;
    return meta_get_replica(role->meta);
}

static const char *member_link(void *arg, uint64_t member_id)
{
    const struct sim_process *process = arg;
    const struct sim_process *member = sim_find_member(process->world, member_id);
    return member == NULL ? NULL : member->address;
}

static bool reaches_member(void *arg, uint64_t member_id)
{
    (void)arg;
    (void)member_id;
    return true;
}

static struct vy_err open_meta(struct sim_meta_role *role)
{
    static const uint64_t group_ids[SIM_GROUPS] = {1, 2};
    struct sim_process *process = role->process;
    struct replica_config replica = replica_config_of(process);
    const struct meta_config config = {
        .clock = &process->clock,
        .rng = &process->rng.base,
        .loop = &process->loop.base,
        .log = &process->log,
        .workers = role->workers,
        .key = role->key,
        .fence = &meta_fencer_ops,
        .fence_arg = &role->fencer,
        .probe = &meta_prober_ops,
        .probe_arg = &role->prober,
        .group_ids = group_ids,
        .group_count = SIM_GROUPS,
        .scram_iterations = SCRAM_ITERATIONS,
        .expel = &meta_expel_caller_ops,
        .expel_arg = &role->expel,
        .expel_workers = role->workers,
        .name_member = name_member,
        .member_link = member_link,
        .reaches_member = reaches_member,
        .member_arg = process,
    };
    VY_TRY(meta_open(&config, &replica, &role->meta));
    role->links.meta = role->meta;
    VY_TRY(rpc_server_new(&role->rpc, &role->server));
    VY_TRY(meta_rpc_add(role->meta, role->server));
    VY_TRY(rpc_server_listen(role->server, process->address));
    return meta_start(role->meta);
}

static struct vy_err meta_role_start(struct sim_process *process, void **out)
{
    struct sim_meta_role *role = sim_alloc(sizeof(*role));
    role->process = process;
    role->rpc = rpc_config_of(process, RPC_ROLE_META);
    role->key = key_new();
    role->workers = workers_new();
    meta_shard_links_init(&role->links, &role->rpc);
    role->fencer.links = &role->links;
    role->prober.links = &role->links;
    role->expel.links = &role->links;
    *out = role;
    return open_meta(role);
}

static void meta_role_stop(void *arg, vy_loop_fn done, void *done_arg)
{
    struct sim_meta_role *role = arg;
    meta_shard_links_stop(&role->links);
    meta_stop(role->meta, done, done_arg);
}

static void meta_role_free(void *arg)
{
    struct sim_meta_role *role = arg;
    meta_shard_links_stop(&role->links);
    rpc_server_free(role->server);
    meta_free(role->meta);
    vy_workers_free(role->workers);
    cluster_key_free(role->key);
    free(role);
}

const struct sim_role_ops sim_role_meta = {.name = "meta",
                                           .start = meta_role_start,
                                           .replica = meta_role_replica,
                                           .stop = meta_role_stop,
                                           .free = meta_role_free};

/* ---- shard ---- */

struct sim_shard_role {
    struct sim_process *process;
    struct rpc_config rpc;
    struct cluster_key *key;
    struct vy_workers *workers;
    struct log_replica *log;
    struct replica *replica;
    struct meta_client *meta;
    struct peers *peers;
    struct service *service;
    struct rpc_server *server;
    struct service_rpc *methods;
};

static struct replica *shard_role_replica(void *arg)
{
    const struct sim_shard_role *role = arg;
    return role->replica;
}

bool sim_shard_is_ready(const struct sim_process *process)
{
    const struct sim_shard_role *role = process->role;
    return role != NULL && meta_client_is_registered(role->meta);
}

static void shard_on_event(void *arg, const struct fsm_event *event)
{
    const struct sim_shard_role *role = arg;
    service_on_event(role->service, event);
}

static void shard_on_events_lost(void *arg)
{
    const struct sim_shard_role *role = arg;
    service_on_events_lost(role->service);
}

static void shard_on_leader(void *arg, bool is_leader)
{
    const struct sim_shard_role *role = arg;
    service_on_leader(role->service, is_leader);
}

static void shard_on_installed(void *arg)
{
    const struct sim_shard_role *role = arg;
    service_on_installed(role->service);
}

static const struct log_listener shard_listener = {.on_event = shard_on_event,
                                                   .on_events_lost = shard_on_events_lost,
                                                   .on_installed = shard_on_installed,
                                                   .on_leader = shard_on_leader};

static void shard_on_account_change(void *arg, uint64_t account_id, uint64_t epoch)
{
    const struct sim_shard_role *role = arg;
    if (role->service != NULL) {
        service_on_account_change(role->service, account_id, epoch);
    }
}

static void shard_on_meta_leader(void *arg)
{
    const struct sim_shard_role *role = arg;
    if (role->service != NULL) {
        service_on_meta_leader(role->service);
    }
}

static struct vy_err open_shard_log(struct sim_shard_role *role, uint64_t hash_seed)
{
    struct sim_process *process = role->process;
    const struct log_replica_config log = {.hash_seed = hash_seed,
                                           .log = &process->log,
                                           .name_member = name_member,
                                           .name_member_arg = process,
                                           .expel_workers = role->workers};
    struct replica_config replica = replica_config_of(process);
    VY_TRY(log_replica_new(&log, &role->log));
    replica.fsm = log_replica_fsm(role->log);
    VY_TRY(replica_open(&replica, &role->replica));
    return log_replica_attach(role->log, role->replica, &process->loop.base);
}

static struct vy_err open_shard_meta(struct sim_shard_role *role)
{
    struct rpc_group_member members[SIM_META_COUNT];
    struct replica_identity identity;
    const size_t count = list_meta(role->process->world, members);
    replica_get_identity(role->replica, &identity);
    const struct meta_client_config config = {.rpc = &role->rpc,
                                              .members = members,
                                              .member_count = count,
                                              .group_id = role->process->group,
                                              .member_id = identity.member_id,
                                              .incarnation = identity.incarnation,
                                              .link_address = role->process->address,
                                              .raft_address = role->process->address,
                                              .on_account_change = shard_on_account_change,
                                              .on_meta_leader = shard_on_meta_leader,
                                              .arg = role};
    VY_TRY(meta_client_new(&config, &role->meta));
    const struct peers_config peers = {
        .rpc = &role->rpc, .meta_members = members, .meta_member_count = count};
    return peers_new(&peers, &role->peers);
}

static struct vy_err open_shard(struct sim_shard_role *role)
{
    struct sim_process *process = role->process;
    const uint64_t hash_seed = vy_rng_u64(&process->rng.base);
    VY_TRY(open_shard_log(role, hash_seed));
    VY_TRY(open_shard_meta(role));
    const struct service_config config = {
        .loop = &process->loop.base,
        .workers = role->workers,
        .rng = &process->rng.base,
        .clock = &process->clock,
        .log = &process->log,
        .replica = log_replica_log(role->log),
        .cluster_key = role->key,
        .meta_ops = &meta_client_ops,
        .meta = role->meta,
        .peer_ops = &peers_ops,
        .peers = role->peers,
        .group_id = process->group,
        .member_id = process->member_id,
        .hash_seed = hash_seed,
    };
    VY_TRY(service_new(&config, &role->service));
    log_replica_set_listener(role->log, &shard_listener, role);
    VY_TRY(rpc_server_new(&role->rpc, &role->server));
    VY_TRY(service_rpc_add(role->service, role->server, &process->clock, NULL, &role->methods));
    VY_TRY(rpc_server_listen(role->server, process->address));
    return replica_start(role->replica);
}

static struct vy_err shard_role_start(struct sim_process *process, void **out)
{
    struct sim_shard_role *role = sim_alloc(sizeof(*role));
    role->process = process;
    role->rpc = rpc_config_of(process, RPC_ROLE_SHARD);
    role->key = key_new();
    role->workers = workers_new();
    *out = role;
    return open_shard(role);
}

static void shard_role_stop(void *arg, vy_loop_fn done, void *done_arg)
{
    struct sim_shard_role *role = arg;
    replica_stop(role->replica, done, done_arg);
}

static void shard_role_free(void *arg)
{
    struct sim_shard_role *role = arg;
    meta_client_free(role->meta);
    peers_free(role->peers);
    service_free(role->service);
    rpc_server_free(role->server);
    service_rpc_free(role->methods);
    log_replica_detach(role->log);
    replica_free(role->replica);
    log_replica_free(role->log);
    vy_workers_free(role->workers);
    cluster_key_free(role->key);
    free(role);
}

const struct sim_role_ops sim_role_shard = {.name = "shard",
                                            .start = shard_role_start,
                                            .replica = shard_role_replica,
                                            .stop = shard_role_stop,
                                            .free = shard_role_free};

/* ---- frontend: an edge (frontend/edge.c) without its thread ---- */

struct sim_frontend_role {
    struct sim_process *process;
    struct rpc_config rpc;
    struct vy_workers *hash_workers;
    struct hash_cache *hash_cache;
    struct conn_tarpit tarpit;
    struct route *route;
    struct node_register *registration;
    struct frontend_metrics metrics;
    struct port_limits limits;
    struct port_service services[SIM_PORT_COUNT];
    struct conn_host host;
    struct vy_net trusted;
    uint8_t read_buffer[CONN_READ_BYTES];
};

static uint64_t frontend_group_of(void *arg, uint64_t account_id)
{
    const struct sim_frontend_role *role = arg;
    return route_group_of(role->route, account_id);
}

static void frontend_on_account(void *arg, uint64_t account_id, uint64_t epoch)
{
    struct sim_frontend_role *role = arg;
    conn_host_account_over(&role->host, account_id, epoch);
}

static void frontend_on_closed(void *arg, const struct sockaddr_storage *peer)
{
    (void)arg;
    (void)peer;
}

static struct vy_err open_ports(struct sim_frontend_role *role)
{
    static const struct frontend_port ports[SIM_PORT_COUNT] = {
        [SIM_PORT_SMTP] = {.name = "smtp", .protocol = FRONTEND_SMTP},
        [SIM_PORT_LMTP] = {.name = "lmtp", .protocol = FRONTEND_LMTP},
        [SIM_PORT_IMAP] = {.name = "imap", .protocol = FRONTEND_IMAP}
    };
    const struct frontend_config config = {.message_bytes_max = MESSAGE_BYTES_MAX};
    VY_TRY(frontend_metrics_init(NULL, &role->metrics));
    VY_TRY(port_limits_init(&config, vy_cstr(role->process->name), &role->limits));
    for (size_t i = 0; i < SIM_PORT_COUNT; i++) {
        port_service_init(&ports[i], &role->limits, frontend_group_of, role, &role->services[i]);
    }
    return vy_net_parse(VY_LIT("127.0.0.0/8"), &role->trusted);
}

static struct vy_err open_frontend(struct sim_frontend_role *role)
{
    struct sim_process *process = role->process;
    struct rpc_group_member members[SIM_META_COUNT];
    const size_t count = list_meta(process->world, members);
    VY_TRY(open_ports(role));
    VY_TRY(hash_cache_new(&process->rng.base, HASH_CACHE_ENTRIES, &role->hash_cache));
    role->tarpit.max = TARPIT_MAX;
    role->host = (struct conn_host){
        .loop = &process->loop.base,
        .clock = &process->clock,
        .rng = &process->rng.base,
        .log = &process->log,
        .hash_workers = role->hash_workers,
        .hash_cache = role->hash_cache,
        .tarpit = &role->tarpit,
        .trusted = &role->trusted,
        .trusted_count = 1,
        .write_stall_ms = CONN_WRITE_STALL_MS,
        .call_stall_ms = CONN_CALL_STALL_MS,
        .handshake_ms = CONN_HANDSHAKE_MS,
        .read_buffer = role->read_buffer,
        .metrics = &role->metrics,
        .on_closed = frontend_on_closed,
    };
    vy_list_init(&role->host.conns);
    const struct route_config route = {.rpc = &role->rpc,
                                       .meta_members = members,
                                       .meta_members_count = count,
                                       .on_account = frontend_on_account,
                                       .arg = role};
    VY_TRY(route_new(&route, &role->route));
    role->host.route = role->route;
    const struct node_register_config registration = {.rpc = &role->rpc,
                                                      .meta_members = members,
                                                      .meta_members_count = count,
                                                      .incarnation = process->boot,
                                                      .version = "sim"};
    return node_register_new(&registration, &role->registration);
}

static struct vy_err frontend_role_start(struct sim_process *process, void **out)
{
    struct sim_frontend_role *role = sim_alloc(sizeof(*role));
    role->process = process;
    role->rpc = rpc_config_of(process, RPC_ROLE_FRONTEND);
    role->hash_workers = workers_new();
    *out = role;
    return open_frontend(role);
}

bool sim_frontend_is_ready(const struct sim_process *process)
{
    const struct sim_frontend_role *role = process->role;
    return role != NULL && route_is_ready(role->route);
}

void sim_frontend_accept(const struct sim_process *process, enum sim_port port, int fd)
{
    struct sim_frontend_role *role = process->role;
    struct sockaddr_storage peer = {.ss_family = AF_INET};
    ((struct sockaddr_in *)&peer)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const struct vy_err err = conn_new(&role->host, &role->services[port].conn, fd, &peer);
    VY_ASSERT(!vy_failed(err));
    sim_touch(role->process);
}

static void frontend_role_stop(void *arg, vy_loop_fn done, void *done_arg)
{
    struct sim_frontend_role *role = arg;
    conn_host_close_all(&role->host);
    vy_loop_post(role->host.loop, done, done_arg);
}

static void frontend_role_free(void *arg)
{
    struct sim_frontend_role *role = arg;
    vy_workers_free(role->hash_workers);
    hash_cache_free(role->hash_cache);
    node_register_free(role->registration);
    route_free(role->route);
    free(role);
}

const struct sim_role_ops sim_role_frontend = {.name = "frontend",
                                               .start = frontend_role_start,
                                               .stop = frontend_role_stop,
                                               .free = frontend_role_free};
