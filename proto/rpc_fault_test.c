/* SPDX-License-Identifier: Apache-2.0 */
/* Every allocation of a link, a group and a server fails once, in turn: no call is lost, and
 * afterwards all is as before. */
#include "proto/rpc_fixture.h"
#include "proto/rpc_group.h"
#include "tests/lib/fault.h"

#include "base/assert.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
/* cmocka wants these first */
#include <cmocka.h>

#define STREAM_BYTES 300000U

struct world {
    struct fake_clock clock;
    struct fake_loop loop;
    struct fake_rng rng;
    struct fixture_log log;
    struct rpc_inproc *hub;
    struct rpc_config config;
    struct fixture_server fixture;
    struct rpc_link *link;
    struct rpc_group *group;
};

static void world_init(struct world *world)
{
    *world = (struct world){.hub = NULL};
    fake_clock_init(&world->clock);
    fake_loop_init(&world->loop, &world->clock);
    fake_rng_init(&world->rng, 1);
    fixture_log_init(&world->log, &world->clock.base);
    assert_int_equal(rpc_inproc_new(&world->hub).code, VY_CODE_OK);
    world->config = (struct rpc_config){.loop = &world->loop.base,
                                        .rng = &world->rng.base,
                                        .log = &world->log.log,
                                        .cluster = "test",
                                        .node = "node",
                                        .role = RPC_ROLE_ALL,
                                        .inproc = world->hub};
    fixture_server_init(&world->fixture, &world->config);
    assert_int_equal(rpc_server_listen(world->fixture.server, "inproc:server").code, VY_CODE_OK);
}

static void world_down(struct world *world)
{
    rpc_group_free(world->group);
    rpc_link_free(world->link);
    fixture_server_release(&world->fixture);
    rpc_server_free(world->fixture.server);
    fake_loop_run_ms(&world->loop, 10000);
    rpc_inproc_free(world->hub);
    fake_loop_deinit(&world->loop);
}

/* Calls of every kind, on a link that has yet to come up. Those that could not be started are
 * NULL. */
struct work {
    struct fixture_call echo;
    struct fixture_call up;
    struct fixture_call down;
    struct fixture_call big;
    struct rpc_group_call *grouped;
    bool is_group_ended;
};

static void group_on_end(void *arg, const struct rpc_status *status, struct vy_bytes reply)
{
    struct work *work = arg;
    (void)status;
    (void)reply;
    work->is_group_ended = true;
}

static void start_work(struct world *world, struct work *work)
{
    static const struct rpc_call_events group_events = {.on_end = group_on_end};
    static uint8_t request[50000]; /* two frames */
    const struct rpc_call_options body = {.has_body = true, .deadline_ms = 3000};
    const struct rpc_call_options plain = {.deadline_ms = 3000};
    uint8_t count[8];
    vy_put_be64(count, STREAM_BYTES);
    if (world->link != NULL) {
        (void)fixture_call_start(&work->echo, world->link, FIXTURE_ECHO,
                                 vy_bytes(request, sizeof(request)), &plain);
        (void)fixture_call_start(&work->down, world->link, FIXTURE_DOWN, vy_bytes(count, 8),
                                 &plain);
        (void)fixture_call_start(&work->big, world->link, FIXTURE_BIG, vy_bytes(count, 8), &plain);
        work->up.to_send = STREAM_BYTES;
        if (fixture_call_start(&work->up, world->link, FIXTURE_UP, VY_LIT(""), &body)) {
            fixture_call_pump(&work->up);
        }
    }
    if (world->group != NULL) {
        work->grouped =
            rpc_group_call(world->group, FIXTURE_ECHO, VY_LIT("x"), &plain, &group_events, work);
    }
}

static void open_both(struct world *world)
{
    static const struct rpc_group_member members[] = {{.address = "inproc:nobody"},
                                                      {.address = "inproc:server"}};
    const struct rpc_link_options link = {.address = "inproc:server"};
    const struct rpc_group_options group = {.name = "group"};
    vy_ignore(rpc_link_new(&world->config, &link, &world->link), "NULL tells");
    vy_ignore(rpc_group_new(&world->config, &group, members, 2, &world->group), "NULL tells");
}

static void assert_ended(const struct fixture_call *call)
{
    assert_null(call->call);
}

static void assert_all_well(struct world *world)
{
    struct work work = {.grouped = NULL};
    start_work(world, &work);
    fake_loop_run_ms(&world->loop, 3000);
    assert_int_equal(work.echo.code, VY_CODE_OK);
    assert_int_equal(work.echo.reply_len, 50000);
    assert_int_equal(work.up.code, VY_CODE_OK);
    assert_int_equal(vy_get_be64(work.up.reply), STREAM_BYTES);
    assert_int_equal(work.down.data_len, STREAM_BYTES);
    assert_int_equal(work.big.reply_len, STREAM_BYTES);
    assert_true(work.is_group_ended);
}

static void one_failed_allocation_costs_one_attempt(void **state)
{
    (void)state;
    uint64_t n = 1;
    for (; fault_begin(n); n++) {
        static struct world world;
        static struct work work;
        work = (struct work){.grouped = NULL};
        (void)fault_end();
        world_init(&world);
        (void)fault_begin(n);
        open_both(&world);
        start_work(&world, &work);
        fake_loop_run_ms(&world.loop, 100);
        const bool has_failed = fault_end();
        fake_loop_run_ms(&world.loop, 4000); /* beyond every deadline */
        assert_ended(&work.echo);
        assert_ended(&work.up);
        assert_ended(&work.down);
        assert_ended(&work.big);
        assert_true(work.grouped == NULL || work.is_group_ended);
        rpc_link_free(world.link);
        rpc_group_free(world.group);
        world.link = NULL;
        world.group = NULL;
        open_both(&world);
        assert_all_well(&world);
        world_down(&world);
        if (!has_failed) {
            break;
        }
    }
    assert_in_range(n, 30, 100000); /* the walk did go through the link */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_failed_allocation_costs_one_attempt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
