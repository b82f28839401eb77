/* SPDX-License-Identifier: Apache-2.0 */
#include "frontend/edge.h"

#include "base/assert.h"
#include <stdlib.h>
#include <unistd.h>

/* A loop with nothing to do turns at least so often: that it does is what /livez looks at. */
#define SWEEP_MS 1000U

/* ---- on the loop ---- */

static uint64_t edge_group_of(void *arg, uint64_t account_id)
{
    const struct edge *edge = arg;
    return route_group_of(edge->route, account_id);
}

static void edge_on_account(void *arg, uint64_t account_id, uint64_t epoch)
{
    struct edge *edge = arg;
    conn_host_account_over(&edge->host, account_id, epoch);
}

static void edge_on_sweep(void *arg)
{
    struct edge *edge = arg;
    conn_host_sweep(&edge->host);
    vy_timer_start(edge->sweep, SWEEP_MS);
}

void edge_publish(struct edge *edge)
{
    atomic_store(&edge->is_ready, edge->route != NULL && route_is_ready(edge->route));
    atomic_store(&edge->conns_count, edge->host.conns_count);
}

static struct vy_err connect_edge(struct edge *edge)
{
    const struct route_config route = {
        .rpc = &edge->rpc,
        .meta_members = edge->config.frontend->meta_members,
        .meta_members_count = edge->config.frontend->meta_members_count,
        .on_account = edge_on_account,
        .arg = edge,
    };
    edge->sweep = vy_timer_new(edge->loop, edge_on_sweep, edge);
    if (edge->sweep == NULL) {
        return vy_error(VY_CODE_NOMEM, "timer");
    }
    vy_timer_start(edge->sweep, SWEEP_MS);
    VY_TRY(route_new(&route, &edge->route));
    edge->host.route = edge->route;
    return vy_ok();
}

/* Links and timers belong to the loop's thread. */
static void edge_on_start(void *arg)
{
    struct edge *edge = arg;
    const struct vy_err err = connect_edge(edge);
    if (vy_failed(err)) {
        vy_log(edge->host.log, VY_LOG_ERROR, "frontend.loop.failed", VY_LOG_ERR(err));
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
    VY_ASSERT(edge->host.conns_count == 0);
    route_free(edge->route);
    edge->route = NULL;
    vy_timer_free(edge->sweep);
    edge->sweep = NULL;
    vy_loop_uv_stop(edge->loop);
}

/* ---- life ---- */

static void edge_on_closed(void *arg, const struct sockaddr_storage *peer)
{
    struct edge *edge = arg;
    edge_publish(edge);
    edge->config.on_closed(edge->config.arg, peer);
}

struct vy_err edge_new(const struct edge_config *config, struct edge **out)
{
    const struct frontend_config *frontend = config->frontend;
    struct edge *edge = calloc(1, sizeof(*edge));
    if (edge == NULL) {
        return vy_error(VY_CODE_NOMEM, "frontend loop");
    }
    const struct vy_err err = vy_loop_uv_new(&edge->loop);
    if (vy_failed(err)) {
        free(edge);
        return err;
    }
    edge->config = *config;
    edge->rpc = frontend->rpc;
    edge->rpc.loop = edge->loop;
    edge->host = (struct conn_host){
        .loop = edge->loop,
        .clock = frontend->clock,
        .rng = frontend->rng,
        .log = frontend->log,
        .hash_workers = config->hash_workers,
        .hash_cache = config->hash_cache,
        .tarpit = config->tarpit,
        .tls = config->tls,
        .trusted = frontend->trusted,
        .trusted_count = frontend->trusted_count,
        .write_stall_ms =
            frontend->write_stall_ms == 0 ? CONN_WRITE_STALL_MS : frontend->write_stall_ms,
        .call_stall_ms =
            frontend->call_stall_ms == 0 ? CONN_CALL_STALL_MS : frontend->call_stall_ms,
        .handshake_ms = frontend->handshake_ms == 0 ? CONN_HANDSHAKE_MS : frontend->handshake_ms,
        .read_buffer = edge->read_buffer,
        .metrics = config->metrics,
        .on_closed = edge_on_closed,
        .on_closed_arg = edge,
    };
    vy_list_init(&edge->host.conns);
    for (size_t i = 0; i < frontend->ports_count; i++) {
        port_service_init(&frontend->ports[i], config->limits, edge_group_of, edge,
                          &edge->services[i]);
    }
    *out = edge;
    return vy_ok();
}

struct vy_err edge_start(struct edge *edge)
{
    vy_loop_post(edge->loop, edge_on_start, edge);
    const int sys = pthread_create(&edge->thread, NULL, edge_thread, edge);
    if (sys != 0) {
        return vy_error_sys(VY_CODE_NOMEM, sys, "frontend thread");
    }
    edge->is_started = true;
    return vy_ok();
}

struct errand {
    vy_loop_fn fn;
    void *arg;
    pthread_mutex_t lock; /* guards is_done */
    pthread_cond_t done;
    bool is_done;
};

static void run_errand(void *arg)
{
    struct errand *errand = arg;
    errand->fn(errand->arg);
    (void)pthread_mutex_lock(&errand->lock);
    errand->is_done = true;
    (void)pthread_cond_signal(&errand->done);
    (void)pthread_mutex_unlock(&errand->lock);
}

void edge_run(struct edge *edge, vy_loop_fn fn, void *arg)
{
    struct errand errand = {
        .fn = fn, .arg = arg, .lock = PTHREAD_MUTEX_INITIALIZER, .done = PTHREAD_COND_INITIALIZER};
    if (!edge->is_started) {
        fn(arg); /* the loop never ran: nobody else uses it */
        return;
    }
    vy_loop_post(edge->loop, run_errand, &errand);
    (void)pthread_mutex_lock(&errand.lock);
    while (!errand.is_done) {
        (void)pthread_cond_wait(&errand.done, &errand.lock);
    }
    (void)pthread_mutex_unlock(&errand.lock);
    (void)pthread_cond_destroy(&errand.done);
    (void)pthread_mutex_destroy(&errand.lock);
}

void edge_drain(void *arg)
{
    struct edge *edge = arg;
    conn_host_drain(&edge->host, edge->drain_ms);
    edge_publish(edge);
}

void edge_close_clients(void *arg)
{
    struct edge *edge = arg;
    edge->host.is_closed = true;
    conn_host_close_all(&edge->host);
    edge_publish(edge);
}

void edge_free(struct edge *edge)
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

/* ---- clients ---- */

struct handover {
    struct edge *edge;
    size_t port_index;
    int fd;
    struct sockaddr_storage peer;
};

static void edge_on_handover(void *arg)
{
    struct handover *handover = arg;
    struct edge *edge = handover->edge;
    struct conn_service *service = &edge->services[handover->port_index].conn;
    if (edge->host.is_closed || edge->route == NULL) {
        (void)close(handover->fd);
        edge_on_closed(edge, &handover->peer);
    } else {
        const struct vy_err err = conn_new(&edge->host, service, handover->fd, &handover->peer);
        if (vy_failed(err)) {
            vy_log(edge->host.log, VY_LOG_WARN, "frontend.client.failed", VY_LOG_ERR(err));
        }
    }
    edge_publish(edge);
    free(handover);
}

void edge_hand_over(struct edge *edge, size_t port_index, int fd,
                    const struct sockaddr_storage *peer)
{
    struct handover *handover = malloc(sizeof(*handover));
    if (handover == NULL) {
        (void)close(fd);
        edge->config.on_closed(edge->config.arg, peer);
        return;
    }
    *handover = (struct handover){.edge = edge, .port_index = port_index, .fd = fd, .peer = *peer};
    vy_loop_post(edge->loop, edge_on_handover, handover);
}
