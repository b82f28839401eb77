/* SPDX-License-Identifier: Apache-2.0 */
/* The all-in-one's shape: callers on loops of their own, servers on another, inproc between them.
 * Real loops and threads; the thread sanitizer is to look at this one. */
#include "proto/rpc_fixture.h"
#include "proto/rpc_group.h"

#include "base/assert.h"
#include "base/rng.h"
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
/* cmocka wants these first */
#include <cmocka.h>

#define CALLERS 3U
#define ROUNDS 8U /* each with a link of its own, closed while the server still talks */
#define ECHOES 300U
#define STREAM_BYTES 3000000U
#define BIG_BYTES 200000U

struct shared {
    struct vy_loop *loop; /* the servers' */
    struct rpc_inproc *hub;
    struct fixture_log log;
    struct rpc_config config;
    struct fixture_server fixture;
    size_t callers_left;
};

/* One caller: everything in it belongs to its thread. */
struct caller {
    struct shared *shared;
    pthread_t thread;
    struct vy_loop *loop;
    struct fixture_log log;
    struct rpc_config config;
    struct rpc_link *link;
    struct rpc_group *group;
    struct fixture_call up;
    struct fixture_call down;
    struct fixture_call big;
    struct fixture_call abandoned; /* never answered: ends with the link */
    size_t open;
    size_t round;
    bool has_group_reply;
    size_t wrong;
};

static void next_round(void *arg);

static void part_done(struct caller *caller, bool is_right)
{
    caller->wrong += !is_right;
    caller->open--;
    if (caller->open == 0) {
        vy_loop_post(caller->loop, next_round, caller);
    }
}

static struct caller *caller_of(struct fixture_call *call, size_t offset)
{
    return (struct caller *)(void *)((char *)call - offset);
}

static void on_up_end(struct fixture_call *call)
{
    part_done(caller_of(call, offsetof(struct caller, up)),
              call->code == VY_CODE_OK && vy_get_be64(call->reply) == STREAM_BYTES);
}

static void on_down_end(struct fixture_call *call)
{
    part_done(caller_of(call, offsetof(struct caller, down)),
              call->code == VY_CODE_OK && call->data_len == STREAM_BYTES);
}

static void on_big_end(struct fixture_call *call)
{
    part_done(caller_of(call, offsetof(struct caller, big)),
              call->code == VY_CODE_OK && call->reply_len == BIG_BYTES);
}

static void on_echo_end(void *arg, const struct rpc_status *status, struct vy_bytes reply)
{
    part_done(arg, status->code == VY_CODE_OK && vy_bytes_equal(reply, VY_LIT("echo")));
}

static void on_group_end(void *arg, const struct rpc_status *status, struct vy_bytes reply)
{
    struct caller *caller = arg;
    caller->has_group_reply = status->code == VY_CODE_OK && reply.len == 4;
    part_done(caller, caller->has_group_reply);
}

static void start_streams(struct caller *caller)
{
    const struct rpc_call_options has_body = {.has_body = true};
    uint8_t stream_bytes[8];
    uint8_t big_bytes[8];
    vy_put_be64(stream_bytes, STREAM_BYTES);
    vy_put_be64(big_bytes, BIG_BYTES);
    caller->up = (struct fixture_call){.on_end = on_up_end, .to_send = STREAM_BYTES};
    caller->down = (struct fixture_call){.on_end = on_down_end};
    caller->big = (struct fixture_call){.on_end = on_big_end};
    caller->abandoned = (struct fixture_call){.call = NULL};
    caller->open += 3;
    VY_ASSERT(fixture_call_start(&caller->up, caller->link, FIXTURE_UP, VY_LIT(""), &has_body));
    fixture_call_pump(&caller->up);
    VY_ASSERT(fixture_call_start(&caller->down, caller->link, FIXTURE_DOWN,
                                 vy_bytes(stream_bytes, 8), NULL));
    VY_ASSERT(
        fixture_call_start(&caller->big, caller->link, FIXTURE_BIG, vy_bytes(big_bytes, 8), NULL));
    VY_ASSERT(fixture_call_start(&caller->abandoned, caller->link, FIXTURE_DOWN,
                                 vy_bytes(stream_bytes, 8), NULL));
}

static void start_round(struct caller *caller)
{
    static const struct rpc_call_events echo_events = {.on_end = on_echo_end};
    static const struct rpc_call_events group_events = {.on_end = on_group_end};
    static const struct rpc_group_member members[] = {{.address = "inproc:nobody"},
                                                      {.address = "inproc:shard"}};
    const struct rpc_link_options link = {.address = "inproc:shard"};
    const struct rpc_group_options group = {.name = "shard"};
    VY_ASSERT(!vy_failed(rpc_link_new(&caller->config, &link, &caller->link)));
    VY_ASSERT(!vy_failed(rpc_group_new(&caller->config, &group, members, 2, &caller->group)));
    start_streams(caller);
    for (size_t i = 0; i < ECHOES; i++) {
        caller->open++;
        VY_ASSERT(rpc_call_start(caller->link, FIXTURE_ECHO, VY_LIT("echo"), NULL, &echo_events,
                                 caller) != NULL);
    }
    caller->open++;
    VY_ASSERT(rpc_group_call(caller->group, FIXTURE_ECHO, VY_LIT("echo"), NULL, &group_events,
                             caller) != NULL);
}

static void stop_loop(void *arg)
{
    vy_loop_uv_stop(arg);
}

static void on_caller_done(void *arg)
{
    struct shared *shared = arg;
    shared->callers_left--;
    if (shared->callers_left == 0) {
        rpc_server_free(VY_TAKE(shared->fixture.server));
        vy_loop_post(shared->loop, stop_loop, shared->loop); /* behind what is queued already */
    }
}

static void next_round(void *arg)
{
    struct caller *caller = arg;
    rpc_link_free(VY_TAKE(caller->link));
    rpc_group_free(VY_TAKE(caller->group));
    if (caller->round < ROUNDS) {
        caller->round++;
        start_round(caller);
        return;
    }
    vy_loop_post(caller->loop, stop_loop, caller->loop);
}

static void *run_caller(void *arg)
{
    struct caller *caller = arg;
    VY_ASSERT(!vy_failed(vy_loop_uv_new(&caller->loop)));
    caller->config = caller->shared->config;
    caller->config.loop = caller->loop;
    caller->config.log = &caller->log.log;
    caller->config.node = "front-1";
    caller->config.role = RPC_ROLE_FRONTEND;
    fixture_log_init(&caller->log, vy_clock_system());
    vy_loop_post(caller->loop, next_round, caller);
    vy_loop_uv_run(caller->loop);
    vy_loop_uv_free(caller->loop);
    vy_loop_post(caller->shared->loop, on_caller_done, caller->shared);
    return NULL;
}

static void roles_on_other_threads_are_called_as_if_here(void **state)
{
    (void)state;
    static struct shared shared;
    static struct caller callers[CALLERS];
    shared.callers_left = CALLERS;
    assert_int_equal(vy_loop_uv_new(&shared.loop).code, VY_CODE_OK);
    assert_int_equal(rpc_inproc_new(&shared.hub).code, VY_CODE_OK);
    fixture_log_init(&shared.log, vy_clock_system());
    shared.config = (struct rpc_config){.loop = shared.loop,
                                        .rng = vy_rng_system(),
                                        .log = &shared.log.log,
                                        .cluster = "test",
                                        .node = "shard-1",
                                        .role = RPC_ROLE_SHARD,
                                        .inproc = shared.hub};
    fixture_server_init(&shared.fixture, &shared.config);
    assert_int_equal(rpc_server_listen(shared.fixture.server, "inproc:shard").code, VY_CODE_OK);
    for (size_t i = 0; i < CALLERS; i++) {
        callers[i].shared = &shared;
        assert_int_equal(pthread_create(&callers[i].thread, NULL, run_caller, &callers[i]), 0);
    }
    vy_loop_uv_run(shared.loop);
    for (size_t i = 0; i < CALLERS; i++) {
        assert_int_equal(pthread_join(callers[i].thread, NULL), 0);
        assert_int_equal(callers[i].round, ROUNDS);
        assert_int_equal(callers[i].wrong, 0);
        assert_int_equal(callers[i].log.errors, 0);
    }
    assert_int_equal(shared.log.errors, 0);
    assert_in_range(shared.fixture.executed, CALLERS * ROUNDS * (ECHOES + 4),
                    CALLERS * ROUNDS * (ECHOES + 5));
    vy_loop_uv_free(shared.loop);
    rpc_inproc_free(shared.hub);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(roles_on_other_threads_are_called_as_if_here),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
