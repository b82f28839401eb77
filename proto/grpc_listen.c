/* SPDX-License-Identifier: Apache-2.0 */
/* The addresses a gRPC server listens on. */
#include "base/assert.h"
#include "base/net.h"
#include "proto/grpc_private.h"
#include <sys/socket.h>

static void listener_on_ready(void *arg, int events)
{
    struct grpc_listener *listener = arg;
    struct grpc_server *server = listener->server;
    struct sockaddr_storage peer;
    (void)events;
    const int fd = vy_net_accept(listener->fd, &peer);
    if (fd < 0) {
        return;
    }
    struct grpc_conn *conn = grpc_conn_new(server, fd, &peer, listener->is_unix,
                                           !listener->is_unix && server->config.tls != NULL);
    if (conn != NULL) {
        grpc_conn_flush(conn);
    }
}

/* Takes the listening descriptor. */
static struct vy_err add_listener(struct grpc_server *server, int fd, bool is_unix)
{
    if (server->listeners_count == GRPC_LISTENERS_MAX) {
        vy_net_close(fd);
        return vy_error(VY_CODE_LIMIT, "admin listeners");
    }
    struct grpc_listener *listener = &server->listeners[server->listeners_count];
    *listener = (struct grpc_listener){.server = server, .fd = fd, .is_unix = is_unix};
    listener->watch = vy_watch_new(server->config.loop, fd, listener_on_ready, listener);
    if (listener->watch == NULL) {
        vy_net_close(fd);
        return vy_error(VY_CODE_NOMEM, "admin listener");
    }
    vy_watch_set(listener->watch, VY_WATCH_READ);
    server->listeners_count++;
    return vy_ok();
}

struct vy_err grpc_server_listen_tcp(struct grpc_server *server, const char *host, uint16_t port)
{
    struct sockaddr_storage address = {0};
    socklen_t len = sizeof(address);
    int fd = -1;
    VY_TRY(vy_net_listen(host, port, &fd));
    const bool is_known = getsockname(fd, (struct sockaddr *)&address, &len) == 0;
    if (server->config.tls == NULL && (!is_known || !vy_net_is_loopback(&address))) {
        vy_net_close(fd);
        return vy_error(VY_CODE_DENIED, "the admin API without TLS is for loopback addresses only");
    }
    return add_listener(server, fd, false);
}

struct vy_err grpc_server_listen_unix(struct grpc_server *server, const char *path)
{
    int fd = -1;
    VY_TRY(vy_net_listen_unix(path, &fd));
    return add_listener(server, fd, true);
}

void grpc_listeners_close(struct grpc_server *server)
{
    for (size_t i = 0; i < server->listeners_count; i++) {
        vy_watch_free(server->listeners[i].watch);
        vy_net_close(server->listeners[i].fd);
    }
    server->listeners_count = 0;
}
