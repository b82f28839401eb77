/* SPDX-License-Identifier: Apache-2.0 */
#include "frontend/frontend.h"

#include "base/assert.h"
#include "base/workers.h"
#include "frontend/conn.h"
#include "frontend/imap/imap_session.h"
#include "frontend/listener.h"
#include "frontend/smtp/smtp_session.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

/* Argon2id costs 19 MiB and a tenth of a second of a core each: two at once, the rest wait in a
 * short queue (E8). */
#define HASH_THREADS 2U
#define HASH_QUEUE_MAX 64U
#define SWEEP_MS 10000U
#define DRAIN_POLL_MS 20U

/* One event loop with its thread, its links and its connections. */
struct edge {
    struct frontend *frontend;
    struct vy_loop *loop; /* owned */
    pthread_t thread;
    bool is_started;
    struct rpc_config rpc;
    struct route *route; /* owned; made and freed on the loop */
    struct conn_host host;
    struct vy_timer *sweep;
    struct smtp_profile smtp_profiles[FRONTEND_PORTS_MAX];
    struct conn_service services[FRONTEND_PORTS_MAX];
    struct vy_err start_error;
    atomic_bool is_ready;
    atomic_size_t conns_count;
    uint8_t read_buffer[CONN_READ_BYTES];
};

struct frontend {
    struct frontend_config
        config; /* pointers into the fields below where they were borrowed for the call only */
    struct frontend_port ports[FRONTEND_PORTS_MAX];
    struct vy_net trusted[FRONTEND_NETWORKS_MAX];
    struct vy_net lmtp_networks[FRONTEND_NETWORKS_MAX];
    char *hostname; /* owned */
    struct vy_tls_context *tls;
    struct vy_workers *hash_workers;
    struct listener_set *listeners; /* on the first edge's loop */
    struct edge *edges[FRONTEND_LOOPS_MAX];
    unsigned edges_count;
    unsigned next_edge; /* for the next client; listener's thread */
    atomic_bool is_draining;
    struct imap_limits imap_limits;
    struct smtp_limits smtp_limits;
};

/* ---- sessions ---- */

static struct vy_err new_imap(void *arg, const struct session_peer *peer, struct session **out)
{
    const struct frontend *frontend = arg;
    return imap_session_new(peer, &frontend->imap_limits, vy_cstr(frontend->hostname), out);
}

static struct vy_err new_smtp(void *arg, const struct session_peer *peer, struct session **out)
{
    const struct smtp_profile *profile = arg;
    return smtp_session_new(peer, profile, out);
}

static uint64_t edge_group_of(void *arg, uint64_t account_id)
{
    struct edge *edge = arg;
    return route_group_of(edge->route, account_id);
}

static void add_service(struct edge *edge, size_t index)
{
    struct frontend *frontend = edge->frontend;
    const struct frontend_port *port = &frontend->ports[index];
    struct conn_service *service = &edge->services[index];
    *service = (struct conn_service){
        .name = port->name, .is_implicit_tls = port->is_implicit_tls, .session_new = new_smtp};
    if (port->protocol == FRONTEND_IMAP) {
        service->session_new = new_imap;
        service->arg = frontend;
        return;
    }
    struct smtp_profile *profile = &edge->smtp_profiles[index];
    service->arg = profile;
    const enum smtp_service kind = port->protocol == FRONTEND_LMTP   ? SMTP_SERVICE_LMTP
                                   : port->protocol == FRONTEND_SMTP ? SMTP_SERVICE_MX
                                                                     : SMTP_SERVICE_SUBMISSION;
    *profile = smtp_profile_default(kind);
    profile->hostname = vy_cstr(frontend->hostname);
    profile->limits = &frontend->smtp_limits;
    profile->group_of = edge_group_of;
    profile->group_of_arg = edge;
}

/* ---- edges ---- */

static void edge_on_closed(void *arg, const struct sockaddr_storage *peer);

static void edge_on_sweep(void *arg)
{
    struct edge *edge = arg;
    conn_host_sweep(&edge->host);
    vy_timer_start(edge->sweep, SWEEP_MS);
}

/* Publishes what other threads may ask about this loop. */
static void edge_publish(struct edge *edge)
{
    atomic_store(&edge->is_ready, edge->route != NULL && route_is_ready(edge->route));
    atomic_store(&edge->conns_count, edge->host.conns_count);
}

/* On the loop: links and timers belong to its thread. */
static void edge_on_start(void *arg)
{
    struct edge *edge = arg;
    const struct frontend_config *config = &edge->frontend->config;
    const struct route_config route = {.rpc = &edge->rpc,
                                       .meta_members = config->meta_members,
                                       .meta_members_count = config->meta_members_count};
    edge->sweep = vy_timer_new(edge->loop, edge_on_sweep, edge);
    edge->start_error =
        edge->sweep == NULL ? vy_error(VY_CODE_NOMEM, "timer") : route_new(&route, &edge->route);
    if (!vy_failed(edge->start_error)) {
        edge->host.route = edge->route;
        vy_timer_start(edge->sweep, SWEEP_MS);
    }
}

static void *edge_thread(void *arg)
{
    struct edge *edge = arg;
    vy_loop_uv_run(edge->loop);
    return NULL;
}

static void edge_on_stop(void *arg)
{
    struct edge *edge = arg;
    conn_host_close_all(&edge->host);
    route_free(edge->route);
    edge->route = NULL;
    vy_timer_free(edge->sweep);
    vy_loop_uv_stop(edge->loop);
}

static struct vy_err edge_new(struct frontend *frontend, struct edge **out)
{
    struct edge *edge = calloc(1, sizeof(*edge));
    if (edge == NULL) {
        return vy_error(VY_CODE_NOMEM, "frontend loop");
    }
    const struct vy_err err = vy_loop_uv_new(&edge->loop);
    if (vy_failed(err)) {
        free(edge);
        return err;
    }
    edge->frontend = frontend;
    edge->rpc = frontend->config.rpc;
    edge->rpc.loop = edge->loop;
    edge->host = (struct conn_host){
        .loop = edge->loop,
        .clock = frontend->config.clock,
        .rng = frontend->config.rng,
        .log = frontend->config.log,
        .hash_workers = frontend->hash_workers,
        .tls = frontend->tls,
        .trusted = frontend->trusted,
        .trusted_count = frontend->config.trusted_count,
        .read_buffer = edge->read_buffer,
        .on_closed = edge_on_closed,
        .on_closed_arg = edge,
    };
    vy_list_init(&edge->host.conns);
    for (size_t i = 0; i < frontend->config.ports_count; i++) {
        add_service(edge, i);
    }
    *out = edge;
    return vy_ok();
}

static struct vy_err edge_start(struct edge *edge)
{
    vy_loop_post(edge->loop, edge_on_start, edge);
    const int sys = pthread_create(&edge->thread, NULL, edge_thread, edge);
    if (sys != 0) {
        return vy_error_sys(VY_CODE_NOMEM, sys, "frontend thread");
    }
    edge->is_started = true;
    return vy_ok();
}

static void edge_free(struct edge *edge)
{
    if (edge == NULL) {
        return;
    }
    if (edge->is_started) {
        vy_loop_post(edge->loop, edge_on_stop, edge);
        (void)pthread_join(edge->thread, NULL);
    }
    vy_loop_uv_free(edge->loop);
    free(edge);
}

/* ---- clients: accepted on the first loop, served on any ---- */

struct handover {
    struct edge *edge;
    size_t port_index;
    int fd;
    struct sockaddr_storage peer;
};

static void edge_take_client(void *arg)
{
    struct handover *handover = arg;
    struct edge *edge = handover->edge;
    const struct vy_err err =
        conn_new(&edge->host, &edge->services[handover->port_index], handover->fd, &handover->peer);
    if (vy_failed(err)) {
        vy_log(edge->host.log, VY_LOG_WARN, "frontend.client.failed", VY_LOG_ERR(err));
    }
    edge_publish(edge);
    free(handover);
}

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

static void edge_on_closed(void *arg, const struct sockaddr_storage *peer)
{
    struct edge *edge = arg;
    struct departure *departure = malloc(sizeof(*departure));
    edge_publish(edge);
    if (departure == NULL) {
        return; /* the count stays too high by one: refuses early, never late */
    }
    departure->frontend = edge->frontend;
    departure->peer = *peer;
    vy_loop_post(edge->frontend->edges[0]->loop, frontend_on_departure, departure);
}

static bool is_lmtp_allowed(const struct frontend *frontend, const struct sockaddr_storage *peer)
{
    return vy_net_is_loopback(peer) ||
           vy_net_list_contains(frontend->lmtp_networks, frontend->config.lmtp_networks_count,
                                peer);
}

static void frontend_on_accept(void *arg, size_t port_index, int fd,
                               const struct sockaddr_storage *peer)
{
    struct frontend *frontend = arg;
    struct handover *handover = malloc(sizeof(*handover));
    if (handover == NULL || (frontend->ports[port_index].protocol == FRONTEND_LMTP &&
                             !is_lmtp_allowed(frontend, peer))) {
        free(handover);
        (void)close(fd);
        listener_client_gone(frontend->listeners, peer);
        return;
    }
    struct edge *edge = frontend->edges[frontend->next_edge % frontend->edges_count];
    frontend->next_edge++;
    *handover = (struct handover){.edge = edge, .port_index = port_index, .fd = fd, .peer = *peer};
    vy_loop_post(edge->loop, edge_take_client, handover);
}

/* ---- the whole ---- */

static struct vy_err copy_config(struct frontend *frontend, const struct frontend_config *config)
{
    if (config->ports_count > FRONTEND_PORTS_MAX || config->trusted_count > FRONTEND_NETWORKS_MAX ||
        config->lmtp_networks_count > FRONTEND_NETWORKS_MAX || config->loops_count == 0 ||
        config->loops_count > FRONTEND_LOOPS_MAX) {
        return vy_error(VY_CODE_LIMIT, "frontend configuration");
    }
    frontend->config = *config;
    for (size_t i = 0; i < config->ports_count; i++) {
        frontend->ports[i] = config->ports[i];
    }
    for (size_t i = 0; i < config->trusted_count; i++) {
        frontend->trusted[i] = config->trusted[i];
    }
    for (size_t i = 0; i < config->lmtp_networks_count; i++) {
        frontend->lmtp_networks[i] = config->lmtp_networks[i];
    }
    frontend->hostname = strdup(config->hostname);
    frontend->imap_limits = imap_limits_default();
    frontend->smtp_limits = smtp_limits_default();
    return frontend->hostname == NULL ? vy_error(VY_CODE_NOMEM, "frontend") : vy_ok();
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
        .arg = frontend,
    };
    VY_TRY(listener_set_new(&listeners, &frontend->listeners));
    for (size_t i = 0; i < config->ports_count; i++) {
        const struct vy_err err =
            listener_add(frontend->listeners, config->listen_host, frontend->ports[i].port, i);
        if (vy_failed(err)) {
            vy_log(config->log, VY_LOG_ERROR, "frontend.port.failed",
                   VY_CSTR("conn.service", frontend->ports[i].name),
                   VY_CSTR("sys.host", config->listen_host),
                   VY_U64("sys.port", frontend->ports[i].port), VY_LOG_ERR(err));
            return err;
        }
    }
    return vy_ok();
}

static struct vy_err build(struct frontend *frontend, const struct frontend_config *config)
{
    VY_TRY(copy_config(frontend, config));
    VY_TRY(load_tls(frontend));
    VY_TRY(vy_workers_new(HASH_THREADS, HASH_QUEUE_MAX, &frontend->hash_workers));
    for (unsigned i = 0; i < config->loops_count; i++) {
        VY_TRY(edge_new(frontend, &frontend->edges[i]));
        frontend->edges_count++;
    }
    /* Not running yet, so this thread may use the first loop. */
    VY_TRY(open_ports(frontend));
    for (unsigned i = 0; i < frontend->edges_count; i++) {
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

static void edge_on_publish(void *arg)
{
    edge_publish(arg);
}

bool frontend_is_ready(const struct frontend *frontend)
{
    bool is_ready = !atomic_load(&frontend->is_draining);
    for (unsigned i = 0; i < frontend->edges_count; i++) {
        vy_loop_post(frontend->edges[i]->loop, edge_on_publish, frontend->edges[i]);
        is_ready = is_ready && atomic_load(&frontend->edges[i]->is_ready);
    }
    return is_ready;
}

uint64_t frontend_connection_count(const struct frontend *frontend)
{
    uint64_t count = 0;
    for (unsigned i = 0; i < frontend->edges_count; i++) {
        count += atomic_load(&frontend->edges[i]->conns_count);
    }
    return count;
}

uint64_t frontend_turn_count(const struct frontend *frontend)
{
    uint64_t least = UINT64_MAX;
    for (unsigned i = 0; i < frontend->edges_count; i++) {
        least = VY_MIN(least, vy_loop_uv_turn_count(frontend->edges[i]->loop));
    }
    return least;
}

static void edge_on_drain(void *arg)
{
    struct edge *edge = arg;
    if (edge == edge->frontend->edges[0]) {
        listener_set_stop(edge->frontend->listeners);
    }
    conn_host_drain(&edge->host);
    edge_publish(edge);
}

void frontend_drain(struct frontend *frontend, uint32_t deadline_ms)
{
    const uint64_t end_ms = vy_clock_mono_ms(frontend->config.clock) + deadline_ms;
    atomic_store(&frontend->is_draining, true);
    for (unsigned i = 0; i < frontend->edges_count; i++) {
        vy_loop_post(frontend->edges[i]->loop, edge_on_drain, frontend->edges[i]);
    }
    do {
        (void)usleep(DRAIN_POLL_MS * 1000U);
    } while (frontend_connection_count(frontend) > 0 &&
             vy_clock_mono_ms(frontend->config.clock) < end_ms);
}

void frontend_free(struct frontend *frontend)
{
    if (frontend == NULL) {
        return;
    }
    /* The first loop goes last: departures of the others' clients are counted there. */
    for (unsigned i = frontend->edges_count; i-- > 1;) {
        edge_free(frontend->edges[i]);
    }
    vy_workers_free(frontend->hash_workers);
    if (frontend->edges_count > 0) {
        struct edge *first = frontend->edges[0];
        if (first->is_started) {
            vy_loop_post(first->loop, edge_on_stop, first);
            (void)pthread_join(first->thread, NULL);
            first->is_started = false;
        }
        listener_set_free(
            frontend->listeners); /* its watches belong to the loop that has just ended */
        frontend->listeners = NULL;
        edge_free(first);
    }
    vy_tls_context_free(frontend->tls);
    free(frontend->hostname);
    free(frontend);
}
