/* SPDX-License-Identifier: Apache-2.0 */
/* The role as a program runs it: settings, readiness, registration, draining. */
#include "frontend/role.h"

#include "frontend/shell_backend_fixture.h"
#include "proto/rpc_inproc.h"
#include "proto/settings.h"
#include "tests/lib/test.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define TEXT_BYTES_MAX 4096U
#define POLL_MS 1U

static const struct vy_log quiet = {.sink = NULL};

struct world {
    struct rpc_inproc *hub;
    struct shell_backend *backend;
    struct vy_loop *loop;
    struct vy_metrics *metrics;
    struct vy_config *config;
    struct role_env env;
    struct role *role;
    struct vy_timer *timer;
    struct vy_buf readiness;
    int client;
    uint16_t port;
};

/* A port that nobody uses now. */
static uint16_t free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    (void)close(fd);
    return ntohs(address.sin_port);
}

static struct vy_err parse(struct world *w, const char *more)
{
    const struct vy_config_spec spec = {
        .keys = settings_keys, .count = settings_key_count, .role = SETTINGS_FRONTEND};
    struct vy_buf text;
    struct vy_buf report;
    vy_buf_init(&text, TEXT_BYTES_MAX);
    vy_buf_init(&report, TEXT_BYTES_MAX);
    vy_buf_printf(&text,
                  "cluster: {name: test}\nnode: {name: frontend-1}\n"
                  "meta:\n  members:\n    - {id: 1, node: meta-1, link: \"inproc:meta-1\"}\n"
                  "ports: {imap: %u}\nfrontend: {loops: 2}\n%s",
                  w->port, more);
    const struct vy_err err =
        vy_config_parse(&spec, "test.yaml", vy_buf_bytes(&text), NULL, &report, &w->config);
    if (vy_failed(err)) {
        print_message("%.*s", VY_PRI(vy_buf_bytes(&report)));
    }
    vy_buf_deinit(&text);
    vy_buf_deinit(&report);
    return err;
}

static void world_init(struct world *w, const char *more)
{
    static const struct shell_options options = {.loops_count = 1};
    *w = (struct world){.client = -1, .port = free_port()};
    assert_false(vy_failed(rpc_inproc_new(&w->hub)));
    assert_false(vy_failed(vy_loop_uv_new(&w->loop)));
    assert_false(vy_failed(vy_metrics_new(&w->metrics)));
    assert_false(vy_failed(parse(w, more)));
    w->backend = shell_backend_new(w->hub, &options);
    w->env = (struct role_env){.loop = w->loop,
                               .clock = vy_clock_system(),
                               .rng = vy_rng_system(),
                               .log = &quiet,
                               .metrics = w->metrics,
                               .config = w->config,
                               .inproc = w->hub};
    vy_buf_init(&w->readiness, TEXT_BYTES_MAX);
}

static void world_deinit(struct world *w)
{
    vy_timer_free(w->timer);
    vy_loop_uv_free(w->loop);
    shell_backend_free(w->backend);
    rpc_inproc_free(w->hub);
    vy_metrics_free(w->metrics);
    vy_config_free(w->config);
    vy_buf_deinit(&w->readiness);
}

static bool has_line(const struct world *w, const char *line)
{
    return vy_bytes_find(vy_buf_bytes(&w->readiness), vy_cstr(line), 0) != SIZE_MAX;
}

static void connect_client(struct world *w)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(w->port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    char greeting[512] = {0};
    w->client = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(w->client, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_true(recv(w->client, greeting, sizeof(greeting) - 1, 0) > 0);
    assert_non_null(strstr(greeting, "frontend-1 Volary ready")); /* node.name greets */
}

static void on_stopped(void *arg)
{
    struct world *w = arg;
    vy_buf_reset(&w->readiness);
    assert_false(frontend_role.write_readiness(w->role, &w->readiness));
    assert_true(has_line(w, "frontend.process: draining\n"));
    frontend_role.free(w->role);
    vy_loop_uv_stop(w->loop);
}

/* Looks until the role is ready, as a program does; then a client comes and the role stops. */
static void on_timer(void *arg)
{
    struct world *w = arg;
    vy_buf_reset(&w->readiness);
    if (!frontend_role.write_readiness(w->role, &w->readiness)) {
        vy_timer_start(w->timer, POLL_MS);
        return;
    }
    assert_true(has_line(w, "frontend.map: ok\n"));
    assert_true(has_line(w, "frontend.registration: ok\n"));
    assert_true(has_line(w, "frontend.certificate: ok\n"));
    assert_true(frontend_role.is_alive(w->role));
    connect_client(w);
    frontend_role.stop(w->role, 10000, on_stopped, w);
}

/* The whole life, on the program's own loop. */
static void the_role_gets_ready_serves_and_drains(void **state)
{
    struct world w;
    char rest[512] = {0};
    (void)state;
    world_init(&w, "");
    assert_false(vy_failed(frontend_role.start(&w.env, &w.role)));
    w.timer = vy_timer_new(w.loop, on_timer, &w);
    vy_timer_start(w.timer, 0);
    vy_loop_uv_run(w.loop);
    assert_true(recv(w.client, rest, sizeof(rest) - 1, 0) > 0);
    assert_non_null(strstr(rest, "* BYE"));
    (void)close(w.client);
    world_deinit(&w);
}

/* C2 and its kin: what cannot work is refused at the start, and nothing is left behind. */
static void settings_that_cannot_work_are_refused(void **state)
{
    static const struct {
        const char *more;
        enum vy_code code;
    } rows[] = {
        {"tls: {certificate: /nowhere.crt}\n",                    VY_CODE_ARGUMENT },
        {"tls: {certificate: /nowhere.crt, key: /nowhere.key}\n", VY_CODE_NOT_FOUND},
        {"auth: {plaintext_networks: [\"10.0.0.1/8\"]}\n",        VY_CODE_ARGUMENT },
        {"lmtp: {networks: [\"everyone\"]}\n",                    VY_CODE_ARGUMENT },
        {"listen: {host: \"not an address\"}\n",                  VY_CODE_ARGUMENT },
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct world w;
        world_init(&w, rows[i].more);
        const struct vy_err err = frontend_role.start(&w.env, &w.role);
        assert_int_equal(err.code, rows[i].code);
        assert_non_null(err.what);
        world_deinit(&w);
    }
}

/* A port of implicit TLS is not opened in plaintext. */
static void implicit_tls_needs_a_certificate(void **state)
{
    struct world w;
    (void)state;
    world_init(&w, "");
    vy_config_free(w.config);
    const struct vy_config_spec spec = {
        .keys = settings_keys, .count = settings_key_count, .role = SETTINGS_FRONTEND};
    struct vy_buf report;
    vy_buf_init(&report, TEXT_BYTES_MAX);
    assert_false(vy_failed(vy_config_parse(
        &spec, "test.yaml",
        VY_LIT("node: {name: f}\nmeta: {members: [{id: 1, node: m, link: \"inproc:meta-1\"}]}\n"
               "ports: {imaps: 45993}\n"),
        NULL, &report, &w.config)));
    vy_buf_deinit(&report);
    w.env.config = w.config;
    const struct vy_err err = frontend_role.start(&w.env, &w.role);
    assert_int_equal(err.code, VY_CODE_ARGUMENT);
    world_deinit(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_role_gets_ready_serves_and_drains),
        cmocka_unit_test(settings_that_cannot_work_are_refused),
        cmocka_unit_test(implicit_tls_needs_a_certificate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
