/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/ops_server.h"

#include "base/assert.h"
#include "base/list.h"
#include "base/net.h"
#include "proto/grpc_server.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define OPS_HEAD_BYTES_MAX 8192U
#define OPS_BODY_BYTES_MAX (4U * 1024U * 1024U)
#define OPS_CLIENTS_MAX 64U
#define OPS_DEADLINE_MS 10000U

static const struct vy_bytes http2_preface = VY_LIT("PRI * HTTP/2.0");

struct ops_client {
    struct vy_list link;
    struct ops_server *server;
    int fd;
    struct vy_watch *watch;
    struct vy_timer *deadline;
    struct vy_buf in;
    struct vy_buf out;
    bool is_answered;
};

struct ops_server {
    struct ops_server_config config;
    struct grpc_server *health; /* serves grpc.health.v1 alone */
    int fd;
    struct vy_watch *watch;
    struct vy_list clients;
    size_t clients_count;
};

static void client_free(struct ops_client *client, bool keep_fd)
{
    vy_watch_free(client->watch);
    vy_timer_free(client->deadline);
    vy_buf_deinit(&client->in);
    vy_buf_deinit(&client->out);
    if (!keep_fd) {
        (void)close(client->fd);
    }
    vy_list_remove(&client->link);
    client->server->clients_count--;
    free(client);
}

static void answer(struct ops_client *client, const char *status, const char *type,
                   struct vy_bytes body)
{
    client->is_answered = true;
    vy_buf_printf(
        &client->out,
        "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nCache-Control: no-store\r\n"
        "Connection: close\r\n\r\n",
        status, type, body.len);
    vy_buf_append(&client->out, body);
}

static void answer_text(struct ops_client *client, const char *status, const char *text)
{
    answer(client, status, "text/plain; charset=utf-8", vy_cstr(text));
}

static void answer_ready(struct ops_client *client, bool is_verbose)
{
    const struct ops_server_config *config = &client->server->config;
    struct vy_buf body;
    vy_buf_init(&body, OPS_BODY_BYTES_MAX);
    const bool is_ready = config->write_readiness(config->arg, &body);
    const char *status = is_ready ? "200 OK" : "503 Service Unavailable";
    if (is_verbose || !is_ready) {
        answer(client, status, "text/plain; charset=utf-8", vy_buf_bytes(&body));
    } else {
        answer_text(client, status, "ok\n");
    }
    vy_buf_deinit(&body);
}

static void answer_metrics(struct ops_client *client)
{
    const struct ops_server_config *config = &client->server->config;
    struct vy_buf body;
    vy_buf_init(&body, OPS_BODY_BYTES_MAX);
    config->write_metrics(config->arg, &body);
    answer(client, "200 OK", "text/plain; version=0.0.4; charset=utf-8", vy_buf_bytes(&body));
    vy_buf_deinit(&body);
}

static void route(struct ops_client *client, struct vy_bytes line)
{
    struct vy_bytes rest = line;
    const struct vy_bytes method = vy_bytes_cut(&rest, ' ');
    struct vy_bytes query = vy_bytes_cut(&rest, ' ');
    const struct vy_bytes path = vy_bytes_cut(&query, '?');
    const struct ops_server_config *config = &client->server->config;
    if (!vy_bytes_equal(method, VY_LIT("GET")) || !vy_bytes_starts_with(rest, VY_LIT("HTTP/1."))) {
        answer_text(client, "405 Method Not Allowed",
                    "this port answers GET /metrics, /livez and /readyz\n");
    } else if (vy_bytes_equal(path, VY_LIT("/metrics"))) {
        answer_metrics(client);
    } else if (vy_bytes_equal(path, VY_LIT("/readyz"))) {
        answer_ready(client, vy_bytes_starts_with(query, VY_LIT("verbose")));
    } else if (vy_bytes_equal(path, VY_LIT("/livez"))) {
        const bool is_alive = config->is_alive(config->arg);
        answer_text(client, is_alive ? "200 OK" : "503 Service Unavailable",
                    is_alive ? "ok\n" : "a loop is stuck\n");
    } else {
        answer_text(client, "404 Not Found",
                    "this port answers GET /metrics, /livez and /readyz\n");
    }
}

/* Sends what there is; frees the client when all has gone. */
static void flush(struct ops_client *client)
{
    while (vy_buf_len(&client->out) > 0) {
        const struct vy_bytes bytes = vy_buf_bytes(&client->out);
        const ssize_t sent = send(client->fd, bytes.data, bytes.len, MSG_NOSIGNAL);
        if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            vy_watch_set(client->watch, VY_WATCH_WRITE);
            return;
        }
        if (sent < 0 && errno != EINTR) {
            break;
        }
        vy_buf_consume(&client->out, sent > 0 ? (size_t)sent : 0);
    }
    (void)shutdown(client->fd, SHUT_WR);
    client_free(client, false);
}

/* True: the connection speaks HTTP/2 and has been handed on. */
static bool hand_to_health(struct ops_client *client)
{
    const struct vy_bytes in = vy_buf_bytes(&client->in);
    if (!vy_bytes_starts_with(in, http2_preface)) {
        return false;
    }
    struct ops_server *server = client->server;
    struct vy_buf first = client->in;
    const int fd = client->fd;
    vy_buf_init(&client->in, OPS_HEAD_BYTES_MAX);
    client_free(client, true);
    grpc_server_adopt(server->health, fd, vy_buf_bytes(&first));
    vy_buf_deinit(&first);
    return true;
}

static void look_at(struct ops_client *client)
{
    const struct vy_bytes in = vy_buf_bytes(&client->in);
    if (vy_failed(vy_buf_error(&client->in))) {
        answer_text(client, "431 Request Header Fields Too Large",
                    "the request head is over 8 KiB\n");
        flush(client);
        return;
    }
    if (hand_to_health(client)) {
        return;
    }
    if (vy_bytes_find(in, VY_LIT("\r\n\r\n"), 0) == SIZE_MAX) {
        return;
    }
    struct vy_bytes rest = in;
    route(client, vy_bytes_trim_crlf(vy_bytes_cut(&rest, '\r')));
    flush(client);
}

static void client_on_ready(void *arg, int events)
{
    struct ops_client *client = arg;
    uint8_t bytes[2048];
    if (client->is_answered || (events & VY_WATCH_READ) == 0) {
        flush(client);
        return;
    }
    const ssize_t got = recv(client->fd, bytes, sizeof(bytes), 0);
    if (got > 0) {
        vy_buf_append(&client->in, vy_bytes(bytes, (size_t)got));
        look_at(client);
        return;
    }
    if (got == 0 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)) {
        client_free(client, false);
    }
}

static void client_on_deadline(void *arg)
{
    client_free(arg, false);
}

static void server_on_ready(void *arg, int events)
{
    struct ops_server *server = arg;
    (void)events;
    struct sockaddr_storage peer;
    const int fd = vy_net_accept(server->fd, &peer);
    if (fd < 0) {
        return;
    }
    struct ops_client *client =
        server->clients_count < OPS_CLIENTS_MAX ? calloc(1, sizeof(*client)) : NULL;
    if (client == NULL) {
        (void)close(fd);
        return;
    }
    client->server = server;
    client->fd = fd;
    vy_buf_init(&client->in, OPS_HEAD_BYTES_MAX);
    vy_buf_init(&client->out, OPS_BODY_BYTES_MAX + OPS_HEAD_BYTES_MAX);
    vy_list_push_back(&server->clients, &client->link);
    server->clients_count++;
    client->watch = vy_watch_new(server->config.loop, fd, client_on_ready, client);
    client->deadline = vy_timer_new(server->config.loop, client_on_deadline, client);
    if (client->watch == NULL || client->deadline == NULL) {
        client_free(client, false);
        return;
    }
    vy_timer_start(client->deadline, OPS_DEADLINE_MS);
    vy_watch_set(client->watch, VY_WATCH_READ);
}

static bool is_serving(void *arg)
{
    struct ops_server *server = arg;
    struct vy_buf ignored;
    vy_buf_init(&ignored, OPS_BODY_BYTES_MAX);
    const bool is_ready = server->config.write_readiness(server->config.arg, &ignored);
    vy_buf_deinit(&ignored);
    return is_ready;
}

struct vy_err ops_server_new(const struct ops_server_config *config, struct ops_server **out)
{
    struct ops_server *server = calloc(1, sizeof(*server));
    if (server == NULL) {
        return vy_error(VY_CODE_NOMEM, "ops server");
    }
    server->config = *config;
    server->fd = -1;
    vy_list_init(&server->clients);
    const struct grpc_server_config health = {.loop = config->loop,
                                              .log = config->log,
                                              .is_serving = is_serving,
                                              .is_serving_arg = server};
    const struct vy_err err = grpc_server_new(&health, &server->health);
    if (vy_failed(err)) {
        free(server);
        return err;
    }
    *out = server;
    return vy_ok();
}

struct vy_err ops_server_listen(struct ops_server *server, const char *host, uint16_t port)
{
    VY_TRY(vy_net_listen(host, port, &server->fd));
    server->watch = vy_watch_new(server->config.loop, server->fd, server_on_ready, server);
    if (server->watch == NULL) {
        return vy_error(VY_CODE_NOMEM, "ops listener");
    }
    vy_watch_set(server->watch, VY_WATCH_READ);
    return vy_ok();
}

void ops_server_free(struct ops_server *server)
{
    if (server == NULL) {
        return;
    }
    while (!vy_list_is_empty(&server->clients)) {
        client_free(VY_CONTAINER_OF(server->clients.next, struct ops_client, link), false);
    }
    grpc_server_free(server->health);
    vy_watch_free(server->watch);
    vy_net_close(server->fd);
    free(server);
}
