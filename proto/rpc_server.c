/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/rpc_server.h"

#include "proto/rpc_server_private.h"
#include <stdlib.h>

/* ---- life ---- */

static void server_unref(struct rpc_server *server)
{
    server->ref_count--;
    if (server->ref_count > 0) {
        return;
    }
    size_t index = 0;
    uint64_t id = 0;
    void *entry = NULL;
    while (vy_map_next(&server->methods, &index, &id, &entry)) {
        free(entry);
    }
    vy_map_deinit(&server->methods);
    vy_timer_free(server->drain_timer);
    free(server);
}

static void server_on_drain_timer(void *arg);

struct vy_err rpc_server_new(const struct rpc_config *config, struct rpc_server **out)
{
    struct rpc_server *server = calloc(1, sizeof(*server));
    if (server == NULL) {
        return vy_error(VY_CODE_NOMEM, "link server");
    }
    server->drain_timer = vy_timer_new(config->loop, server_on_drain_timer, server);
    if (server->drain_timer == NULL) {
        free(server);
        return vy_error(VY_CODE_NOMEM, "link server timer");
    }
    server->config = config;
    server->ref_count = 1;
    vy_map_init(&server->methods, vy_rng_u64(config->rng));
    vy_list_init(&server->links);
    vy_list_init(&server->calls);
    *out = server;
    return vy_ok();
}

struct vy_err rpc_server_add_methods(struct rpc_server *server,
                                     const struct rpc_server_method *methods, size_t count,
                                     void *arg)
{
    for (size_t i = 0; i < count; i++) {
        VY_ASSERT(methods[i].handler != NULL && methods[i].roles != 0);
        VY_ASSERT(vy_map_get(&server->methods, methods[i].id) == NULL);
        struct rpc_server_entry *entry = calloc(1, sizeof(*entry));
        if (entry == NULL) {
            return vy_error(VY_CODE_NOMEM, "method table");
        }
        entry->method = &methods[i];
        entry->arg = arg;
        const struct vy_err err = vy_map_put(&server->methods, methods[i].id, entry);
        if (vy_failed(err)) {
            free(entry);
            return err;
        }
    }
    return vy_ok();
}

/* ---- links ---- */

static void link_close(struct rpc_server_link *link)
{
    struct rpc_server *server = link->server;
    vy_list_remove(&link->node);
    server->stats.links_open--;
    if (!link->is_known) {
        server->stranger_count--;
    }
    rpc_conn_unref(link->conn);
    free(link);
}

static void server_on_up(void *arg, struct rpc_conn *conn)
{
    struct rpc_server_link *link = arg;
    link->is_known = true;
    link->server->stranger_count--;
    vy_log(link->server->config->log, VY_LOG_INFO, "rpc.peer.up",
           VY_CSTR("rpc.node", conn->peer.node), VY_U64("rpc.role", conn->peer.role),
           VY_FLAG("rpc.authenticated", conn->peer.authenticated));
    if (link->server->is_draining) {
        rpc_conn_send_goaway(conn, VY_CODE_UNAVAILABLE, "server is leaving");
    }
}

static void server_on_leaving(void *arg, struct rpc_conn *conn)
{
    (void)arg;
    (void)conn;
}

static void server_on_call(void *arg, struct rpc_conn *conn, const struct rpc_frame *frame,
                           const struct rpc_call_meta *meta, struct vy_bytes request_start)
{
    struct rpc_server_link *link = arg;
    rpc_server_take_call(link->server, conn, frame, meta, request_start);
}

static void log_peer_down(const struct rpc_server *server, const struct rpc_conn *conn,
                          struct vy_err why, enum rpc_conn_fault fault)
{
    static const char *const events[] = {[RPC_CONN_LOST] = "rpc.peer.down",
                                         [RPC_CONN_REFUSED] = "rpc.peer.refused",
                                         [RPC_CONN_BROKEN] = "rpc.peer.broken",
                                         [RPC_CONN_FINISHED] = "rpc.peer.down"};
    const bool is_bad = fault == RPC_CONN_REFUSED || fault == RPC_CONN_BROKEN;
    vy_log(server->config->log, is_bad ? VY_LOG_WARN : VY_LOG_INFO, events[fault],
           VY_CSTR("rpc.node", conn->peer.node), VY_LOG_ERR(why));
}

static void server_on_down(void *arg, struct rpc_conn *conn, struct vy_err why,
                           enum rpc_conn_fault fault)
{
    struct rpc_server_link *link = arg;
    struct rpc_server *server = link->server;
    server->stats.links_refused += fault == RPC_CONN_REFUSED;
    server->stats.links_broken += fault == RPC_CONN_BROKEN;
    log_peer_down(server, conn, why, fault);
    link_close(link);
    rpc_server_check_drained(server);
}

static const struct rpc_conn_owner server_conn_owner = {.on_up = server_on_up,
                                                        .on_leaving = server_on_leaving,
                                                        .on_call = server_on_call,
                                                        .on_down = server_on_down};

static bool has_room(const struct rpc_server *server)
{
    return !server->is_draining && server->stats.links_open < RPC_SERVER_LINKS_MAX &&
           server->stranger_count < RPC_SERVER_STRANGERS_MAX;
}

static void server_on_accept(void *arg, struct rpc_pipe *pipe)
{
    struct rpc_server *server = arg;
    struct rpc_server_link *link = has_room(server) ? calloc(1, sizeof(*link)) : NULL;
    if (link == NULL) {
        server->stats.links_refused++;
        rpc_pipe_close(pipe);
        return;
    }
    link->server = server;
    vy_list_init(&link->node);
    const struct rpc_conn_setup setup = {
        .config = server->config, .pipe = pipe, .owner = &server_conn_owner, .arg = link};
    const struct vy_err err = rpc_conn_new(&setup, &link->conn);
    if (vy_failed(err)) {
        vy_log(server->config->log, VY_LOG_ERROR, "rpc.accept.failed", VY_LOG_ERR(err));
        free(link);
        return;
    }
    vy_list_push_back(&server->links, &link->node);
    server->stats.links_accepted++;
    server->stats.links_open++;
    server->stranger_count++;
}

struct vy_err rpc_server_listen(struct rpc_server *server, const char *address)
{
    struct rpc_address parsed;
    VY_TRY(rpc_address_parse(address, &parsed));
    if (server->listener_count == RPC_SERVER_LISTENERS_MAX) {
        return vy_error(VY_CODE_LIMIT, "link listeners");
    }
    struct rpc_listener *listener = NULL;
    VY_TRY(rpc_listener_open(server->config, &parsed, server_on_accept, server, &listener));
    server->listeners[server->listener_count++] = listener;
    if (server->port == 0) {
        server->port = listener->port;
    }
    vy_log(server->config->log, VY_LOG_INFO, "rpc.listen.ok", VY_CSTR("rpc.peer", address),
           VY_U64("rpc.port", listener->port));
    return vy_ok();
}

uint16_t rpc_server_port(const struct rpc_server *server)
{
    return server->port;
}

const struct rpc_server_stats *rpc_server_stats(const struct rpc_server *server)
{
    return &server->stats;
}

/* ---- leaving ---- */

static void close_listeners(struct rpc_server *server)
{
    while (server->listener_count > 0) {
        rpc_listener_close(server->listeners[--server->listener_count]);
    }
}

static void say_goodbye(struct rpc_server *server)
{
    VY_LIST_FOREACH(item, &server->links)
    {
        struct rpc_server_link *link = VY_CONTAINER_OF(item, struct rpc_server_link, node);
        if (rpc_conn_is_up(link->conn)) {
            rpc_conn_send_goaway(link->conn, VY_CODE_UNAVAILABLE, "server is leaving");
        }
    }
}

void rpc_server_check_drained(struct rpc_server *server)
{
    if (server->is_draining && !server->is_freed) {
        vy_timer_start(server->drain_timer, 0);
    }
}

/* Calls are answered and the last answers are out: links close by themselves then, the peer's side
 * first. */
static void server_on_drain_timer(void *arg)
{
    struct rpc_server *server = arg;
    const uint64_t now = vy_loop_now_ms(server->config->loop);
    const bool is_done = vy_list_is_empty(&server->calls) && vy_list_is_empty(&server->links);
    if (!is_done && now < server->drain_until_ms) {
        vy_timer_start(server->drain_timer, server->drain_until_ms - now);
        return;
    }
    vy_loop_fn on_drained = VY_TAKE(server->on_drained);
    if (on_drained != NULL) {
        on_drained(server->on_drained_arg);
    }
}

void rpc_server_drain(struct rpc_server *server, uint32_t deadline_ms, vy_loop_fn on_drained,
                      void *arg)
{
    VY_ASSERT(!server->is_draining);
    server->is_draining = true;
    server->on_drained = on_drained;
    server->on_drained_arg = arg;
    server->drain_until_ms = vy_loop_now_ms(server->config->loop) + deadline_ms;
    close_listeners(server);
    say_goodbye(server);
    rpc_server_end_endless(server);
    vy_timer_start(server->drain_timer, 0);
}

/* Off the link without a word; the handler hears on_cancel. */
static void drop_streams(struct rpc_conn *conn)
{
    static const struct rpc_status status = {.code = VY_CODE_CANCELLED};
    while (!vy_list_is_empty(&conn->streams)) {
        struct rpc_flow *stream = VY_CONTAINER_OF(conn->streams.next, struct rpc_flow, node);
        rpc_conn_remove_stream(conn, stream);
        stream->ops->on_end(stream, &status, vy_bytes(NULL, 0));
    }
}

static void forget_calls(struct rpc_server *server)
{
    struct vy_list *item = vy_list_pop_front(&server->calls);
    while (item != NULL) {
        struct rpc_server_call *call = VY_CONTAINER_OF(item, struct rpc_server_call, node);
        call->server = NULL;
        call->entry = NULL;
        item = vy_list_pop_front(&server->calls);
    }
}

void rpc_server_free(struct rpc_server *server)
{
    if (server == NULL) {
        return;
    }
    server->is_freed = true;
    server->is_draining = true;
    vy_timer_stop(server->drain_timer);
    close_listeners(server);
    while (!vy_list_is_empty(&server->links)) {
        struct rpc_server_link *link =
            VY_CONTAINER_OF(server->links.next, struct rpc_server_link, node);
        drop_streams(link->conn);
        rpc_conn_close(link->conn);
        link_close(link);
    }
    forget_calls(server);
    server_unref(server);
}
