/* SPDX-License-Identifier: Apache-2.0 */
/* The ops port over real sockets: its three pages, what it refuses, and gRPC health beside them. */
#include "base/assert.h"
#include "base/clock.h"
#include "base/net.h"
#include "proto/grpc_client.h"
#include "proto/ops_server.h"
#include <arpa/inet.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
/* cmocka wants these first */
#include <cmocka.h>

struct world {
    struct vy_loop *loop;
    struct vy_log log;
    struct vy_log_sink sink;
    struct ops_server *server;
    uint16_t port;
    pthread_t thread;
    atomic_bool is_ready;
    atomic_bool is_alive;
};

static void ignore_line(void *arg, enum vy_log_level level, const char *line, size_t len)
{
    (void)arg;
    (void)level;
    (void)line;
    (void)len;
}

static void write_metrics(void *arg, struct vy_buf *out)
{
    (void)arg;
    vy_buf_append_cstr(out, "volary_up 1\n");
}

static bool write_readiness(void *arg, struct vy_buf *out)
{
    struct world *world = arg;
    const bool is_ready = atomic_load(&world->is_ready);
    vy_buf_append_cstr(out, is_ready ? "meta.leader: ok\n" : "meta.leader: none known\n");
    return is_ready;
}

static bool is_alive(void *arg)
{
    struct world *world = arg;
    return atomic_load(&world->is_alive);
}

static void stop(void *arg)
{
    struct world *world = arg;
    ops_server_free(world->server);
    vy_loop_uv_stop(world->loop);
}

static void *run(void *arg)
{
    struct world *world = arg;
    vy_loop_uv_run(world->loop);
    return NULL;
}

static uint16_t find_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof(address);
    int fd = -1;
    assert_int_equal(vy_net_listen("127.0.0.1", 0, &fd).code, VY_CODE_OK);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    vy_net_close(fd);
    return ntohs(address.sin_port);
}

static void world_up(struct world *world)
{
    *world = (struct world){.port = find_port()};
    atomic_store(&world->is_ready, true);
    atomic_store(&world->is_alive, true);
    world->sink = (struct vy_log_sink){.write = ignore_line};
    world->log =
        (struct vy_log){.sink = &world->sink, .clock = vy_clock_system(), .level = VY_LOG_INFO};
    assert_int_equal(vy_loop_uv_new(&world->loop).code, VY_CODE_OK);
    const struct ops_server_config config = {.loop = world->loop,
                                             .log = &world->log,
                                             .write_metrics = write_metrics,
                                             .write_readiness = write_readiness,
                                             .is_alive = is_alive,
                                             .arg = world};
    assert_int_equal(ops_server_new(&config, &world->server).code, VY_CODE_OK);
    assert_int_equal(ops_server_listen(world->server, "127.0.0.1", world->port).code, VY_CODE_OK);
    assert_int_equal(pthread_create(&world->thread, NULL, run, world), 0);
}

static void world_down(struct world *world)
{
    vy_loop_post(world->loop, stop, world);
    assert_int_equal(pthread_join(world->thread, NULL), 0);
    vy_loop_uv_free(world->loop);
}

static int connect_to(const struct world *world)
{
    const struct sockaddr_in address = {.sin_family = AF_INET,
                                        .sin_port = htons(world->port),
                                        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

/* Sends in pieces of `step` bytes; the whole answer comes back as text. */
static void ask(const struct world *world, struct vy_bytes request, size_t step, char *out,
                size_t size)
{
    size_t len = 0;
    ssize_t got = 1;
    const int fd = connect_to(world);
    while (request.len > 0) {
        const struct vy_bytes piece = vy_bytes_slice(request, 0, step);
        (void)send(fd, piece.data, piece.len, MSG_NOSIGNAL);
        request = vy_bytes_from(request, piece.len);
    }
    while (got > 0 && len < size - 1) {
        got = recv(fd, out + len, size - 1 - len, 0);
        len += got > 0 ? (size_t)got : 0;
    }
    out[len] = '\0';
    (void)close(fd);
}

static void get(const struct world *world, const char *path, char *out, size_t size)
{
    char request[256];
    (void)snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: ops\r\n\r\n", path);
    ask(world, vy_cstr(request), sizeof(request), out, size);
}

static void assert_starts(const char *text, const char *start)
{
    assert_true(vy_bytes_starts_with(vy_cstr(text), vy_cstr(start)));
}

static void the_pages_say_how_it_is(void **state)
{
    (void)state;
    static struct world world;
    char text[2048];
    world_up(&world);
    get(&world, "/livez", text, sizeof(text));
    assert_starts(text, "HTTP/1.1 200 OK\r\n");
    get(&world, "/metrics", text, sizeof(text));
    assert_starts(text, "HTTP/1.1 200 OK\r\n");
    assert_non_null(strstr(text, "Content-Type: text/plain; version=0.0.4"));
    assert_non_null(strstr(text, "\r\n\r\nvolary_up 1\n"));
    get(&world, "/readyz", text, sizeof(text));
    assert_non_null(strstr(text, "\r\n\r\nok\n"));
    get(&world, "/readyz?verbose", text, sizeof(text));
    assert_non_null(strstr(text, "\r\n\r\nmeta.leader: ok\n"));
    atomic_store(&world.is_ready, false);
    get(&world, "/readyz", text, sizeof(text));
    assert_starts(text, "HTTP/1.1 503 ");
    assert_non_null(strstr(text, "\r\n\r\nmeta.leader: none known\n")); /* also unasked */
    atomic_store(&world.is_alive, false);
    get(&world, "/livez", text, sizeof(text));
    assert_starts(text, "HTTP/1.1 503 ");
    world_down(&world);
}

static void requests_in_any_pieces_are_read(void **state)
{
    (void)state;
    static struct world world;
    char text[2048];
    world_up(&world);
    for (size_t step = 1; step < 5; step++) {
        ask(&world, VY_LIT("GET /livez HTTP/1.0\r\nA: b\r\n\r\n"), step, text, sizeof(text));
        assert_starts(text, "HTTP/1.1 200 OK\r\n");
    }
    world_down(&world);
}

static void what_it_does_not_know_it_refuses(void **state)
{
    (void)state;
    static struct world world;
    static const struct {
        struct vy_bytes request;
        const char *status;
    } rows[] = {
        {VY_LIT("POST /metrics HTTP/1.1\r\n\r\n"), "HTTP/1.1 405 "},
        {VY_LIT("GET /metrics\r\n\r\n"),           "HTTP/1.1 405 "},
        {VY_LIT("GET /metrics SMTP/1\r\n\r\n"),    "HTTP/1.1 405 "},
        {VY_LIT("\r\n\r\n"),                       "HTTP/1.1 405 "},
        {VY_LIT("GET / HTTP/1.1\r\n\r\n"),         "HTTP/1.1 404 "},
        {VY_LIT("GET /livez/x HTTP/1.1\r\n\r\n"),  "HTTP/1.1 404 "},
        {VY_LIT("GET /../livez HTTP/1.1\r\n\r\n"), "HTTP/1.1 404 "},
    };
    char text[2048];
    world_up(&world);
    for (size_t i = 0; i < VY_COUNT_OF(rows); i++) {
        ask(&world, rows[i].request, 1000, text, sizeof(text));
        assert_starts(text, rows[i].status);
    }
    world_down(&world);
}

/* Limits at n and beyond. */
static void a_head_over_8_kib_is_refused(void **state)
{
    (void)state;
    static struct world world;
    static char head[8192 + 64];
    char text[2048];
    world_up(&world);
    memset(head, 'a', sizeof(head));
    memcpy(head, "GET /livez HTTP/1.1\r\nX: ", 24);
    memcpy(head + 8192 - 4, "\r\n\r\n", 4);
    ask(&world, vy_bytes(head, 8192), 8192, text, sizeof(text));
    assert_starts(text, "HTTP/1.1 200 OK\r\n");
    memset(head + 8192 - 4, 'a', 4);
    ask(&world, vy_bytes(head, 8193), 8193, text, sizeof(text));
    assert_starts(text, "HTTP/1.1 431 ");
    world_down(&world);
}

/* 64 that say nothing: the next is closed at once, and there is room again when they go. */
static void silent_clients_do_not_take_all_room(void **state)
{
    (void)state;
    static struct world world;
    int silent[64];
    char text[2048];
    world_up(&world);
    for (size_t i = 0; i < VY_COUNT_OF(silent); i++) {
        silent[i] = connect_to(&world);
    }
    get(&world, "/livez", text, sizeof(text));
    assert_string_equal(text, "");
    for (size_t i = 0; i < VY_COUNT_OF(silent); i++) {
        (void)close(silent[i]);
    }
    do {
        get(&world, "/livez", text, sizeof(text));
    } while (text[0] == '\0');
    assert_starts(text, "HTTP/1.1 200 OK\r\n");
    world_down(&world);
}

static void health_by_grpc_is_on_the_same_port_and_nothing_else_is(void **state)
{
    (void)state;
    static struct world world;
    char address[32];
    struct grpc_client *client = NULL;
    struct vy_buf reply;
    int status = -1;
    world_up(&world);
    (void)snprintf(address, sizeof(address), "127.0.0.1:%u", (unsigned)world.port);
    const struct grpc_client_config config = {.address = address};
    vy_buf_init(&reply, 100);
    assert_int_equal(grpc_client_open(&config, &client, NULL).code, VY_CODE_OK);
    assert_int_equal(grpc_client_call(client, "/grpc.health.v1.Health/Check", VY_LIT(""), 0, &reply,
                                      &status, NULL)
                         .code,
                     VY_CODE_OK);
    assert_int_equal(status, 0);
    assert_true(vy_bytes_equal(vy_buf_bytes(&reply), VY_LIT("\x08\x01")));
    assert_int_equal(grpc_client_call(client, "/volary.admin.v1.AccountService/GetAccount",
                                      VY_LIT(""), 0, &reply, &status, NULL)
                         .code,
                     VY_CODE_OK);
    assert_int_equal(status, 12);
    grpc_client_free(client);
    vy_buf_deinit(&reply);
    world_down(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_pages_say_how_it_is),
        cmocka_unit_test(requests_in_any_pieces_are_read),
        cmocka_unit_test(what_it_does_not_know_it_refuses),
        cmocka_unit_test(a_head_over_8_kib_is_refused),
        cmocka_unit_test(silent_clients_do_not_take_all_room),
        cmocka_unit_test(health_by_grpc_is_on_the_same_port_and_nothing_else_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
