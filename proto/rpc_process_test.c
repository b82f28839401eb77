/* SPDX-License-Identifier: Apache-2.0 */
/* The link between two processes, over TCP with TLS and over a unix socket: the peer is killed, is
 * stopped, reads slowly, and takes bodies of 50 MiB beside small calls. */
#include "base/assert.h"
#include "base/rng.h"
#include "proto/rpc_certs.h"
#include "proto/rpc_fixture.h"
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
/* cmocka wants these first */
#include <cmocka.h>

#define BODY_BYTES 52428800U
#define SMALL_CALLS 400U
#define PING_MS 100U

extern char **environ;

static struct rpc_certs certs;
static char peer_program[512];

struct world {
    bool is_tcp;
    pid_t pid;
    int input;  /* keeps it alive */
    int output; /* tells its port */
    char listen[RPC_CERTS_PATH_BYTES + 32];
    char address[RPC_CERTS_PATH_BYTES + 32];
    struct vy_loop *loop;
    struct vy_timer *tick;
    struct fixture_log log;
    struct rpc_config config;
    struct rpc_link *link;
};

/* ---- the peer ---- */

static void open_pipe(int out[2])
{
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
}

static unsigned read_port(int fd)
{
    char text[16] = "";
    size_t len = 0;
    uint32_t port = 0;
    while (len < sizeof(text) - 1 && (len == 0 || text[len - 1] != '\n')) {
        const ssize_t got = read(fd, text + len, 1);
        assert_true(got == 1); /* else it died: see its assertion */
        len += (size_t)got;
    }
    assert_true(vy_parse_u32(vy_bytes_trim_crlf(vy_bytes(text, len)), &port));
    return port;
}

static void peer_start(struct world *world)
{
    int input[2];
    int output[2];
    posix_spawn_file_actions_t actions;
    char *const argv[] = {peer_program, world->listen, world->is_tcp ? certs.folder : NULL, NULL};
    open_pipe(input);
    open_pipe(output);
    assert_int_equal(posix_spawn_file_actions_init(&actions), 0);
    assert_int_equal(posix_spawn_file_actions_adddup2(&actions, input[0], STDIN_FILENO), 0);
    assert_int_equal(posix_spawn_file_actions_adddup2(&actions, output[1], STDOUT_FILENO), 0);
    assert_int_equal(posix_spawn(&world->pid, peer_program, &actions, NULL, argv, environ), 0);
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)close(input[0]);
    (void)close(output[1]);
    world->input = input[1];
    world->output = output[0];
    const unsigned port = read_port(world->output);
    if (world->is_tcp) { /* the next one takes the same */
        (void)snprintf(world->address, sizeof(world->address), "tcp://127.0.0.1:%u", port);
        memcpy(world->listen, world->address, sizeof(world->listen));
    }
}

static void peer_wait(struct world *world)
{
    int status = 0;
    (void)close(world->input);
    (void)close(world->output);
    assert_int_equal(waitpid(world->pid, &status, 0), world->pid);
}

/* ---- our side ---- */

static void on_tick(void *arg)
{
    struct world *world = arg;
    vy_timer_start(world->tick, 2);
    vy_loop_uv_stop(world->loop);
}

#define RUN_UNTIL(world, condition)                                                                \
    do {                                                                                           \
        vy_loop_uv_run((world)->loop);                                                             \
    } while (!(condition))

static void world_up(struct world *world, bool is_tcp)
{
    *world = (struct world){.is_tcp = is_tcp};
    if (is_tcp) {
        (void)snprintf(world->listen, sizeof(world->listen), "tcp://127.0.0.1:0");
    } else {
        (void)snprintf(world->listen, sizeof(world->listen), "ipc://%s/link", certs.folder);
        memcpy(world->address, world->listen, sizeof(world->address));
    }
    peer_start(world);
    assert_int_equal(vy_loop_uv_new(&world->loop).code, VY_CODE_OK);
    world->tick = vy_timer_new(world->loop, on_tick, world);
    vy_timer_start(world->tick, 2);
    fixture_log_init(&world->log, vy_clock_system());
    world->config =
        (struct rpc_config){.loop = world->loop,
                            .rng = vy_rng_system(),
                            .log = &world->log.log,
                            .cluster = "test",
                            .node = "front-1",
                            .role = RPC_ROLE_FRONTEND,
                            .tls = is_tcp ? rpc_certs_context(&certs, "front-1", "ca") : NULL,
                            .ping_interval_ms = PING_MS};
    const struct rpc_link_options options = {.address = world->address,
                                             .peer_roles = RPC_ROLE_SHARD};
    assert_int_equal(rpc_link_new(&world->config, &options, &world->link).code, VY_CODE_OK);
    RUN_UNTIL(world, rpc_link_is_up(world->link));
}

static void world_down(struct world *world)
{
    rpc_link_free(world->link);
    vy_timer_free(world->tick);
    vy_loop_uv_free(world->loop);
    rpc_tls_context_free(world->config.tls);
    peer_wait(world);
    assert_int_equal(world->log.errors, 0);
}

static void assert_echo(struct world *world)
{
    struct fixture_call echo = {.call = NULL};
    const struct rpc_call_options options = {.wait_ready = true};
    assert_true(fixture_call_start(&echo, world->link, FIXTURE_ECHO, VY_LIT("hello"), &options));
    RUN_UNTIL(world, echo.is_ended);
    assert_int_equal(echo.code, VY_CODE_OK);
    assert_int_equal(echo.reply_len, 5);
}

/* ---- tests, each for both transports ---- */

/* The handler has the call when it is behind an echo on the same link. */
static void start_held(struct world *world, struct fixture_call *call)
{
    *call = (struct fixture_call){.call = NULL};
    assert_true(fixture_call_start(call, world->link, FIXTURE_HOLD, VY_LIT("x"), NULL));
    assert_echo(world);
    assert_false(call->is_ended);
}

static void killed(bool is_tcp)
{
    struct world world;
    struct fixture_call held;
    world_up(&world, is_tcp);
    start_held(&world, &held);
    assert_int_equal(kill(world.pid, SIGKILL), 0);
    RUN_UNTIL(&world, held.is_ended);
    assert_int_equal(held.code, VY_CODE_UNKNOWN);
    assert_false(held.is_not_executed);
    RUN_UNTIL(&world, !rpc_link_is_up(world.link));
    peer_wait(&world);
    peer_start(&world);
    assert_echo(&world);
    world_down(&world);
}

/* Nothing closes: only the watchdog can tell. */
static void stopped(bool is_tcp)
{
    struct world world;
    struct fixture_call held;
    world_up(&world, is_tcp);
    start_held(&world, &held);
    assert_int_equal(kill(world.pid, SIGSTOP), 0);
    RUN_UNTIL(&world, held.is_ended);
    assert_int_equal(held.code, VY_CODE_UNKNOWN);
    assert_true(fixture_log_has(&world.log, "peer is silent"));
    assert_int_equal(kill(world.pid, SIGCONT), 0);
    assert_echo(&world);
    world_down(&world);
}

#define LAZY 12U

static void slow_reader(bool is_tcp)
{
    static struct fixture_call lazy[LAZY];
    struct world world;
    uint8_t want[8];
    vy_put_be64(want, 3000000);
    world_up(&world, is_tcp);
    for (size_t i = 0; i < LAZY; i++) {
        lazy[i] = (struct fixture_call){.is_lazy = true};
        assert_true(
            fixture_call_start(&lazy[i], world.link, FIXTURE_DOWN, vy_bytes(want, 8), NULL));
    }
    for (size_t i = 0; i < 50; i++) {
        assert_echo(&world);
    }
    size_t total = 0;
    for (size_t i = 0; i < LAZY; i++) {
        total += lazy[i].data_len;
    }
    assert_in_range(total, 1, RPC_LINK_WINDOW_BYTES + LAZY * RPC_STREAM_FLOOR_BYTES);
    for (size_t i = 0; i < LAZY; i++) {
        lazy[i].is_lazy = false;
        rpc_call_consumed(lazy[i].call, lazy[i].data_len);
    }
    for (size_t i = 0; i < LAZY; i++) {
        RUN_UNTIL(&world, lazy[i].is_ended);
        assert_int_equal(lazy[i].code, VY_CODE_OK);
        assert_int_equal(lazy[i].data_len, 3000000);
    }
    world_down(&world);
}

static int compare_u64(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a;
    const uint64_t y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

struct small {
    struct world *world;
    uint64_t started_ns;
    uint64_t took_ns[SMALL_CALLS];
    size_t count;
};

static void small_start(struct small *small);

static void small_on_end(void *arg, const struct rpc_status *status, struct vy_bytes reply)
{
    struct small *small = arg;
    assert_int_equal(status->code, VY_CODE_OK);
    assert_int_equal(reply.len, 200);
    small->took_ns[small->count++] = vy_clock_mono_ns(vy_clock_system()) - small->started_ns;
    if (small->count < SMALL_CALLS) {
        small_start(small);
    }
}

static void small_start(struct small *small)
{
    static const struct rpc_call_events events = {.on_end = small_on_end};
    static const uint8_t request[200];
    small->started_ns = vy_clock_mono_ns(vy_clock_system());
    assert_non_null(rpc_call_start(small->world->link, FIXTURE_ECHO,
                                   vy_bytes(request, sizeof(request)), NULL, &events, small));
}

static void print_latency(bool is_tcp, const char *when, struct small *small)
{
    qsort(small->took_ns, small->count, sizeof(small->took_ns[0]), compare_u64);
    print_message("%s, %s: small calls p50 %u us, p99 %u us\n", is_tcp ? "tcp+tls" : "ipc", when,
                  (unsigned)(small->took_ns[small->count / 2] / 1000),
                  (unsigned)(small->took_ns[small->count * 99 / 100] / 1000));
}

/* The times are printed, not judged; that all bytes and calls arrive is. */
static void large_beside_small(bool is_tcp)
{
    struct world world;
    uint8_t want[8];
    const struct rpc_call_options has_body = {.has_body = true};
    vy_put_be64(want, BODY_BYTES);
    world_up(&world, is_tcp);
    static struct small small;
    small = (struct small){.world = &world};
    small_start(&small);
    RUN_UNTIL(&world, small.count == SMALL_CALLS);
    print_latency(is_tcp, "idle", &small);
    struct fixture_call up = {.to_send = BODY_BYTES};
    struct fixture_call down = {.call = NULL};
    assert_true(fixture_call_start(&up, world.link, FIXTURE_UP, VY_LIT(""), &has_body));
    fixture_call_pump(&up);
    assert_true(fixture_call_start(&down, world.link, FIXTURE_DOWN, vy_bytes(want, 8), NULL));
    small = (struct small){.world = &world};
    small_start(&small);
    RUN_UNTIL(&world, small.count == SMALL_CALLS && up.is_ended && down.is_ended);
    print_latency(is_tcp, "beside 50 MiB each way", &small);
    assert_int_equal(up.code, VY_CODE_OK);
    assert_int_equal(vy_get_be64(up.reply), BODY_BYTES);
    assert_int_equal(down.code, VY_CODE_OK);
    assert_int_equal(down.data_len, BODY_BYTES);
    world_down(&world);
}

#define CHURN_ROUNDS 150U

/* nng's dialling and closing race in 1.5.2 (docs/decisions): links that are closed while they dial,
 * shake hands, talk, or rest. */
static void come_and_go(bool is_tcp)
{
    struct world world;
    const struct rpc_call_options options = {.wait_ready = true};
    world_up(&world, is_tcp);
    const struct rpc_link_options link = {.address = world.address, .peer_roles = RPC_ROLE_SHARD};
    for (size_t i = 0; i < CHURN_ROUNDS; i++) {
        struct fixture_call echo = {.call = NULL};
        struct rpc_link *links[3] = {NULL, NULL, NULL};
        for (size_t k = 0; k < VY_COUNT_OF(links); k++) {
            assert_int_equal(rpc_link_new(&world.config, &link, &links[k]).code, VY_CODE_OK);
        }
        assert_true(fixture_call_start(&echo, links[0], FIXTURE_ECHO, VY_LIT("hello"), &options));
        if (i % 3 == 0) {
            rpc_link_free(VY_TAKE(links[1])); /* before the loop has turned */
        }
        RUN_UNTIL(&world, echo.is_ended);
        assert_int_equal(echo.code, VY_CODE_OK);
        for (size_t k = 0; k < VY_COUNT_OF(links); k++) {
            rpc_link_free(links[k]);
        }
    }
    assert_echo(&world);
    world_down(&world);
}

/* clang-format off */
#define FOR_BOTH(name, test)                                            \
    static void name##_over_tcp_and_tls(void **state) { (void)state; test(true); } \
    static void name##_over_a_socket(void **state) { (void)state; test(false); }
FOR_BOTH(a_killed_peer_ends_calls_and_is_found_again, killed)
FOR_BOTH(a_peer_that_hangs_is_found_by_the_watchdog, stopped)
FOR_BOTH(a_slow_reader_holds_up_nobody_else, slow_reader)
FOR_BOTH(links_that_come_and_go_leave_nothing_behind, come_and_go)
FOR_BOTH(bodies_of_50_mib_pass_beside_small_calls, large_beside_small)
/* clang-format on */

static int make_certificates(void **state)
{
    (void)state;
    rpc_certs_init(&certs);
    rpc_certs_make_ca(&certs, "ca");
    rpc_certs_make(&certs, &(struct rpc_certs_leaf){.name = "shard-1",
                                                    .ca = "ca",
                                                    .san = "URI:spiffe://test/shard/shard-1"});
    rpc_certs_make(&certs, &(struct rpc_certs_leaf){.name = "front-1",
                                                    .ca = "ca",
                                                    .san = "URI:spiffe://test/frontend/front-1"});
    return 0;
}

static int remove_certificates(void **state)
{
    (void)state;
    rpc_certs_deinit(&certs);
    return 0;
}

#define FOR_BOTH_TESTS(name)                                                                       \
    cmocka_unit_test(name##_over_tcp_and_tls), cmocka_unit_test(name##_over_a_socket)

/* The peer's program lies beside this one. */
int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        FOR_BOTH_TESTS(a_killed_peer_ends_calls_and_is_found_again),
        FOR_BOTH_TESTS(a_peer_that_hangs_is_found_by_the_watchdog),
        FOR_BOTH_TESTS(a_slow_reader_holds_up_nobody_else),
        FOR_BOTH_TESTS(links_that_come_and_go_leave_nothing_behind),
        FOR_BOTH_TESTS(bodies_of_50_mib_pass_beside_small_calls),
    };
    VY_ASSERT(argc >= 1);
    const char *name = strrchr(argv[0], '/');
    (void)snprintf(peer_program, sizeof(peer_program), "%.*s/rpc_peer",
                   name == NULL ? 1 : (int)(name - argv[0]), name == NULL ? "." : argv[0]);
    return cmocka_run_group_tests(tests, make_certificates, remove_certificates);
}
