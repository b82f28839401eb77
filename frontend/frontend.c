/* SPDX-License-Identifier: Apache-2.0 */
#include "frontend/frontend.h"

#include "base/assert.h"
#include "base/workers.h"
#include "frontend/edge.h"
#include "frontend/listener.h"
#include <stdlib.h>
#include <sys/socket.h>

/* Argon2id costs 19 MiB and a tenth of a second of a core each: two at once, the rest wait in a
 * short queue (E8). */
#define HASH_THREADS 2U
#define HASH_QUEUE_MAX 64U
#define HASH_CACHE_ENTRIES 4096U /* 72 bytes each */

struct frontend {
    struct frontend_config config; /* what was borrowed for the call only points to below */
    struct frontend_port ports[FRONTEND_PORTS_MAX];
    uint16_t port_numbers[FRONTEND_PORTS_MAX];
    struct vy_net trusted[FRONTEND_NETWORKS_MAX];
    struct vy_net lmtp_networks[FRONTEND_NETWORKS_MAX];
    struct rpc_group_member meta_members[RPC_GROUP_MEMBERS_MAX];
    char *hostname; /* owned */
    struct port_limits limits;
    struct frontend_metrics metrics;
    struct vy_tls_context *tls;
    struct vy_workers *hash_workers;
    struct hash_cache *hash_cache; /* owned */
    struct conn_tarpit tarpit;
    struct listener_set *listeners; /* on the first edge's loop */
    struct edge *edges[FRONTEND_LOOPS_MAX];
    unsigned edges_count;
    unsigned next_edge; /* for the next client; first edge's thread */
    atomic_bool is_draining;
};

/* ---- clients ---- */

struct departure {
    struct frontend *frontend;
    struct sockaddr_storage peer;
};

static void frontend_on_departure(void *arg)
{
    struct departure *departure = arg;
    if (departure->frontend->listeners != NULL) {
        listener_client_gone(departure->frontend->listeners, &departure->peer);
    }
    free(departure);
}

static void frontend_on_closed(void *arg, const struct sockaddr_storage *peer)
{
    struct frontend *frontend = arg;
    struct departure *departure = malloc(sizeof(*departure));
    if (departure == NULL) {
        return; /* the count stays too high by one: refuses early, never late */
    }
    *departure = (struct departure){.frontend = frontend, .peer = *peer};
    vy_loop_post(frontend->edges[0]->loop, frontend_on_departure, departure);
}

/* Tells a client why it is not let in. A new socket has room for a line. */
static void refuse(const struct frontend *frontend, size_t port_index, int fd,
                   enum frontend_refusal why)
{
    const struct frontend_port *port = &frontend->ports[port_index];
    const struct vy_bytes line = port_refusal(port, why);
    frontend_count_refused(&frontend->metrics, port_proto(port), why);
    if (line.len > 0 && send(fd, line.data, line.len, MSG_NOSIGNAL | MSG_DONTWAIT) > 0) {
        (void)shutdown(fd, SHUT_WR);
    }
}

static void frontend_on_refuse(void *arg, size_t port_index, int fd, bool is_per_ip)
{
    refuse(arg, port_index, fd, is_per_ip ? FRONTEND_REFUSED_LIMIT_PER_IP : FRONTEND_REFUSED_LIMIT);
}

static bool is_stranger(const struct frontend *frontend, size_t port_index,
                        const struct sockaddr_storage *peer)
{
    return frontend->ports[port_index].protocol == FRONTEND_LMTP && !vy_net_is_loopback(peer) &&
           !vy_net_list_contains(frontend->lmtp_networks, frontend->config.lmtp_networks_count,
                                 peer);
}

static void frontend_on_accept(void *arg, size_t port_index, int fd,
                               const struct sockaddr_storage *peer)
{
    struct frontend *frontend = arg;
    if (is_stranger(frontend, port_index, peer)) {
        refuse(frontend, port_index, fd, FRONTEND_REFUSED_NETWORK);
        vy_net_close(fd);
        listener_client_gone(frontend->listeners, peer);
        return;
    }
    struct edge *edge = frontend->edges[frontend->next_edge % frontend->edges_count];
    frontend->next_edge++;
    edge_hand_over(edge, port_index, fd, peer);
}

/* ---- building ---- */

static struct vy_err copy_config(struct frontend *frontend, const struct frontend_config *config)
{
    if (config->ports_count > FRONTEND_PORTS_MAX || config->trusted_count > FRONTEND_NETWORKS_MAX ||
        config->lmtp_networks_count > FRONTEND_NETWORKS_MAX || config->loops_count == 0 ||
        config->loops_count > FRONTEND_LOOPS_MAX || config->meta_members_count == 0 ||
        config->meta_members_count > RPC_GROUP_MEMBERS_MAX) {
        return vy_error(VY_CODE_LIMIT, "frontend configuration");
    }
    for (size_t i = 0; i < config->ports_count; i++) {
        frontend->ports[i] = config->ports[i];
        if (config->ports[i].is_implicit_tls && config->tls_certificate == NULL) {
            return vy_error(VY_CODE_ARGUMENT, "a port of implicit TLS needs tls.certificate");
        }
    }
    for (size_t i = 0; i < config->trusted_count; i++) {
        frontend->trusted[i] = config->trusted[i];
    }
    for (size_t i = 0; i < config->lmtp_networks_count; i++) {
        frontend->lmtp_networks[i] = config->lmtp_networks[i];
    }
    for (size_t i = 0; i < config->meta_members_count; i++) {
        frontend->meta_members[i] = config->meta_members[i];
    }
    frontend->config = *config;
    frontend->config.ports = frontend->ports;
    frontend->config.trusted = frontend->trusted;
    frontend->config.lmtp_networks = frontend->lmtp_networks;
    frontend->config.meta_members = frontend->meta_members;
    frontend->hostname = strdup(config->hostname);
    if (frontend->hostname == NULL) {
        return vy_error(VY_CODE_NOMEM, "frontend");
    }
    return port_limits_init(config, vy_cstr(frontend->hostname), &frontend->limits);
}

static struct vy_err load_tls(struct frontend *frontend)
{
    const struct frontend_config *config = &frontend->config;
    if (config->tls_certificate == NULL) {
        return vy_ok();
    }
    const struct vy_tls_config tls = {.certificate_file = config->tls_certificate,
                                      .key_file = config->tls_key};
    return vy_tls_context_new_server(&tls, &frontend->tls);
}

static struct vy_err open_port(struct frontend *frontend, size_t index)
{
    const struct frontend_config *config = &frontend->config;
    const struct frontend_port *port = &frontend->ports[index];
    const struct vy_err err = listener_add(frontend->listeners, config->listen_host, port->port,
                                           index, &frontend->port_numbers[index]);
    if (vy_failed(err)) {
        vy_log(config->log, VY_LOG_ERROR, "frontend.port.failed",
               VY_CSTR("conn.service", port->name), VY_CSTR("sys.host", config->listen_host),
               VY_U64("sys.port", port->port), VY_LOG_ERR(err));
    }
    return err;
}

/* Before the first edge's thread runs, so this thread may use its loop. */
static struct vy_err open_ports(struct frontend *frontend)
{
    const struct frontend_config *config = &frontend->config;
    const struct listener_config listeners = {
        .loop = frontend->edges[0]->loop,
        .log = config->log,
        .limits = {.connections_max = config->connections_max,
                   .connections_per_ip_max = config->connections_per_ip_max},
        .trusted = frontend->trusted,
        .trusted_count = config->trusted_count,
        .seed = vy_rng_u64(config->rng),
        .on_accept = frontend_on_accept,
        .on_refuse = frontend_on_refuse,
        .arg = frontend,
    };
    VY_TRY(listener_set_new(&listeners, &frontend->listeners));
    for (size_t i = 0; i < config->ports_count; i++) {
        VY_TRY(open_port(frontend, i));
    }
    return vy_ok();
}

static struct vy_err add_edge(struct frontend *frontend)
{
    const struct edge_config edge = {
        .frontend = &frontend->config,
        .limits = &frontend->limits,
        .metrics = &frontend->metrics,
        .hash_workers = frontend->hash_workers,
        .hash_cache = frontend->hash_cache,
        .tarpit = &frontend->tarpit,
        .tls = frontend->tls,
        .on_closed = frontend_on_closed,
        .arg = frontend,
    };
    VY_TRY(edge_new(&edge, &frontend->edges[frontend->edges_count]));
    frontend->edges_count++;
    return vy_ok();
}

static struct vy_err build(struct frontend *frontend, const struct frontend_config *config)
{
    VY_TRY(copy_config(frontend, config));
    VY_TRY(frontend_metrics_init(config->metrics, &frontend->metrics));
    VY_TRY(load_tls(frontend));
    VY_TRY(vy_workers_new(HASH_THREADS, HASH_QUEUE_MAX, &frontend->hash_workers));
    VY_TRY(hash_cache_new(config->rng, HASH_CACHE_ENTRIES, &frontend->hash_cache));
    frontend->tarpit.max = config->tarpit_max;
    for (unsigned i = 0; i < config->loops_count; i++) {
        VY_TRY(add_edge(frontend));
    }
    VY_TRY(open_ports(frontend));
    /* The first one last: it hands clients to the others. */
    for (unsigned i = frontend->edges_count; i-- > 0;) {
        VY_TRY(edge_start(frontend->edges[i]));
    }
    return vy_ok();
}

struct vy_err frontend_new(const struct frontend_config *config, struct frontend **out)
{
    struct frontend *frontend = calloc(1, sizeof(*frontend));
    if (frontend == NULL) {
        return vy_error(VY_CODE_NOMEM, "frontend");
    }
    const struct vy_err err = build(frontend, config);
    if (vy_failed(err)) {
        frontend_free(frontend);
        return err;
    }
    *out = frontend;
    return vy_ok();
}

/* ---- asking ---- */

static void frontend_on_publish(void *arg)
{
    edge_publish(arg);
}

bool frontend_knows_map(const struct frontend *frontend)
{
    bool is_ready = true;
    for (unsigned i = 0; i < frontend->edges_count; i++) {
        vy_loop_post(frontend->edges[i]->loop, frontend_on_publish, frontend->edges[i]);
        is_ready = is_ready && atomic_load(&frontend->edges[i]->is_ready);
    }
    return is_ready;
}

bool frontend_is_draining(const struct frontend *frontend)
{
    return atomic_load(&frontend->is_draining);
}

uint64_t frontend_connection_count(const struct frontend *frontend)
{
    uint64_t count = 0;
    for (unsigned i = 0; i < frontend->edges_count; i++) {
        count += atomic_load(&frontend->edges[i]->conns_count);
    }
    return count;
}

uint16_t frontend_port_number(const struct frontend *frontend, size_t index)
{
    VY_ASSERT(index < frontend->config.ports_count);
    return frontend->port_numbers[index];
}

uint64_t frontend_certificate_expiry_ms(const struct frontend *frontend)
{
    return frontend->tls == NULL ? 0 : vy_tls_context_expiry_ms(frontend->tls);
}

unsigned frontend_loop_count(const struct frontend *frontend)
{
    return frontend->edges_count;
}

uint64_t frontend_turn_count(const struct frontend *frontend, unsigned loop)
{
    return vy_loop_uv_turn_count(frontend->edges[loop]->loop);
}

/* ---- the end ---- */

static void stop_listening(void *arg)
{
    struct frontend *frontend = arg;
    if (frontend->listeners != NULL) {
        listener_set_stop(frontend->listeners);
    }
}

void frontend_drain(struct frontend *frontend, uint32_t deadline_ms)
{
    atomic_store(&frontend->is_draining, true);
    vy_loop_post(frontend->edges[0]->loop, stop_listening, frontend);
    for (unsigned i = 0; i < frontend->edges_count; i++) {
        frontend->edges[i]->drain_ms = deadline_ms / 2;
        vy_loop_post(frontend->edges[i]->loop, edge_drain, frontend->edges[i]);
    }
}

static void free_listeners(void *arg)
{
    struct frontend *frontend = arg;
    listener_set_free(frontend->listeners);
    frontend->listeners = NULL;
}

/* Each line needs what the lines above it made sure of: no client comes, those handed over have
 * arrived, none is left, the hash pool has posted its last result, every result was taken. */
static void take_down(struct frontend *frontend)
{
    edge_run(frontend->edges[0], stop_listening, frontend);
    for (unsigned i = 0; i < frontend->edges_count; i++) {
        edge_run(frontend->edges[i], edge_close_clients, frontend->edges[i]);
    }
    vy_workers_free(frontend->hash_workers);
    frontend->hash_workers = NULL;
    edge_run(frontend->edges[0], free_listeners, frontend); /* behind the last departure */
    for (unsigned i = frontend->edges_count; i-- > 0;) {
        edge_free(frontend->edges[i]);
    }
}

void frontend_free(struct frontend *frontend)
{
    if (frontend == NULL) {
        return;
    }
    if (frontend->edges_count > 0) {
        take_down(frontend);
    }
    vy_workers_free(frontend->hash_workers);
    hash_cache_free(frontend->hash_cache);
    vy_tls_context_free(frontend->tls);
    free(frontend->hostname);
    free(frontend);
}
