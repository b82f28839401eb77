/* SPDX-License-Identifier: Apache-2.0 */
/* Caller and server in one process and in virtual time: what the link promises, over the inproc
 * transport. */
#include "proto/rpc_fixture.h"

#include "base/assert.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
/* cmocka wants these first */
#include <cmocka.h>

struct world {
    struct fake_clock clock;
    struct fake_loop loop;
    struct fake_rng rng;
    struct fixture_log log;
    struct rpc_inproc *hub;
    struct rpc_config client;
    struct rpc_config server;
    struct fixture_server fixture;
    struct rpc_link *link;
    int ups;
    int downs;
};

static void on_state(void *arg, bool is_up)
{
    struct world *world = arg;
    world->ups += is_up;
    world->downs += !is_up;
}

static void start_server(struct world *world)
{
    fixture_server_init(&world->fixture, &world->server);
    assert_int_equal(rpc_server_listen(world->fixture.server, "inproc:shard").code, VY_CODE_OK);
}

static void start_link(struct world *world)
{
    const struct rpc_link_options options = {
        .address = "inproc:shard", .on_state = on_state, .arg = world};
    assert_int_equal(rpc_link_new(&world->client, &options, &world->link).code, VY_CODE_OK);
}

static void run_ms(struct world *world, uint64_t ms)
{
    fake_loop_run_ms(&world->loop, ms);
}

static void world_init(struct world *world)
{
    *world = (struct world){.ups = 0};
    fake_clock_init(&world->clock);
    fake_loop_init(&world->loop, &world->clock);
    fake_rng_init(&world->rng, 1);
    fixture_log_init(&world->log, &world->clock.base);
    assert_int_equal(rpc_inproc_new(&world->hub).code, VY_CODE_OK);
    world->client = (struct rpc_config){.loop = &world->loop.base,
                                        .rng = &world->rng.base,
                                        .log = &world->log.log,
                                        .cluster = "test",
                                        .node = "front-1",
                                        .role = RPC_ROLE_FRONTEND,
                                        .inproc = world->hub};
    world->server = world->client;
    world->server.node = "shard-1";
    world->server.role = RPC_ROLE_SHARD;
}

static void world_up(struct world *world)
{
    world_init(world);
    start_server(world);
    start_link(world);
    run_ms(world, 1);
    assert_true(rpc_link_is_up(world->link));
}

static void world_down(struct world *world)
{
    rpc_link_free(world->link);
    fixture_server_release(&world->fixture);
    rpc_server_free(world->fixture.server);
    run_ms(world, 10000);
    rpc_inproc_free(world->hub);
    fake_loop_deinit(&world->loop);
    assert_int_equal(world->log.errors, 0);
}

static void a_call_is_answered_with_its_key_trace_and_peer(void **state)
{
    (void)state;
    struct world world;
    world_up(&world);
    struct fixture_call call = {.call = NULL};
    struct rpc_call_options options = {.attempt = 3};
    memset(options.idempotency_key, 0x11, RPC_ID_BYTES);
    memset(options.trace_id, 0x22, RPC_ID_BYTES);
    assert_true(fixture_call_start(&call, world.link, FIXTURE_ECHO, VY_LIT("hello"), &options));
    assert_false(call.is_ended);
    run_ms(&world, 1);
    assert_true(call.is_ended);
    assert_int_equal(call.code, VY_CODE_OK);
    assert_int_equal(call.reply_len, 5);
    assert_memory_equal(call.reply, "hello", 5);
    assert_memory_equal(world.fixture.last_key, options.idempotency_key, RPC_ID_BYTES);
    assert_memory_equal(world.fixture.last_trace, options.trace_id, RPC_ID_BYTES);
    assert_int_equal(world.fixture.last_attempt, 3);
    assert_int_equal(world.fixture.last_role, RPC_ROLE_FRONTEND);
    assert_string_equal(world.fixture.last_node, "front-1");
    assert_true(fixture_log_has(&world.log, "event=rpc.link.up"));
    world_down(&world);
}

static void a_call_before_the_link_is_up_waits_for_it(void **state)
{
    (void)state;
    struct world world;
    world_init(&world);
    start_server(&world);
    start_link(&world);
    struct fixture_call call = {.call = NULL};
    assert_true(fixture_call_start(&call, world.link, FIXTURE_ECHO, VY_LIT("early"), NULL));
    run_ms(&world, 1);
    assert_int_equal(call.code, VY_CODE_OK);
    assert_int_equal(call.reply_len, 5);
    assert_int_equal(world.ups, 1);
    world_down(&world);
}

/* Sizes around what rides in one frame: n-1, n, n+1 and much more. */
static void requests_and_replies_of_any_size_arrive_whole(void **state)
{
    (void)state;
    static const size_t sizes[] = {0,      1,      32767,  32768,  32769,
                                   262143, 262144, 262145, 700000, 5000000};
    struct world world;
    world_up(&world);
    uint8_t *request = calloc(1, 5000000);
    for (size_t i = 0; i < VY_COUNT_OF(sizes); i++) {
        struct fixture_call call = {.call = NULL};
        uint8_t want[8];
        vy_put_be64(want, sizes[i]);
        assert_true(
            fixture_call_start(&call, world.link, FIXTURE_ECHO, vy_bytes(request, sizes[i]), NULL));
        run_ms(&world, 1);
        assert_true(call.is_ended);
        assert_int_equal(call.code, VY_CODE_OK);
        assert_int_equal(call.reply_len, sizes[i]);
        call = (struct fixture_call){.call = NULL};
        assert_true(fixture_call_start(&call, world.link, FIXTURE_BIG, vy_bytes(want, 8), NULL));
        run_ms(&world, 1);
        assert_int_equal(call.code, VY_CODE_OK);
        assert_int_equal(call.reply_len, sizes[i]);
        assert_true(sizes[i] < 2 || call.reply[1] == 7);
    }
    free(request);
    world_down(&world);
}

static void a_request_over_the_methods_limit_is_refused_before_it_is_read(void **state)
{
    (void)state;
    struct world world;
    world_up(&world);
    uint8_t *request = calloc(1, 65537);
    static const struct {
        size_t len;
        enum vy_code code;
    } cases[] = {
        {65535, VY_CODE_OK   },
        {65536, VY_CODE_OK   },
        {65537, VY_CODE_LIMIT}
    };
    for (size_t i = 0; i < VY_COUNT_OF(cases); i++) {
        struct fixture_call call = {.call = NULL};
        assert_true(fixture_call_start(&call, world.link, FIXTURE_HOLD,
                                       vy_bytes(request, cases[i].len), NULL));
        run_ms(&world, 1);
        fixture_server_release(&world.fixture);
        run_ms(&world, 1);
        assert_true(call.is_ended);
        assert_int_equal(call.code, cases[i].code);
    }
    free(request);
    world_down(&world);
}

static void a_reply_over_the_callers_limit_ends_the_call(void **state)
{
    (void)state;
    struct world world;
    world_up(&world);
    for (size_t len = 99999; len <= 100001; len++) {
        struct fixture_call call = {.call = NULL};
        const struct rpc_call_options options = {.reply_bytes_max = 100000};
        uint8_t want[8];
        vy_put_be64(want, len);
        assert_true(
            fixture_call_start(&call, world.link, FIXTURE_BIG, vy_bytes(want, 8), &options));
        run_ms(&world, 1);
        assert_int_equal(call.code, len <= 100000 ? VY_CODE_OK : VY_CODE_LIMIT);
    }
    assert_true(rpc_link_is_up(world.link));
    world_down(&world);
}

static void a_deadline_ends_the_call_and_tells_the_server(void **state)
{
    (void)state;
    struct world world;
    world_up(&world);
    struct fixture_call call = {.call = NULL};
    const struct rpc_call_options options = {.deadline_ms = 100};
    assert_true(fixture_call_start(&call, world.link, FIXTURE_HOLD, VY_LIT(""), &options));
    run_ms(&world, 50);
    assert_int_equal(world.fixture.held_count, 1);
    const uint64_t left = rpc_server_call_remaining_ms(world.fixture.held[0]);
    assert_true(left >= 45 && left <= 51);
    assert_false(call.is_ended);
    run_ms(&world, 60);
    assert_int_equal(call.code, VY_CODE_UNKNOWN); /* it was sent: it may have been executed */
    assert_false(call.is_not_executed);
    assert_int_equal(world.fixture.cancelled, 1);
    assert_true(rpc_server_call_is_cancelled(world.fixture.held[0]));
    assert_int_equal(rpc_server_stats(world.fixture.server)->calls_open,
                     1); /* until its handler answers */
    fixture_server_release(&world.fixture);
    assert_int_equal(rpc_server_stats(world.fixture.server)->calls_open, 0);
    world_down(&world);
}

static void a_cancelled_call_says_nothing_more_and_the_handler_hears(void **state)
{
    (void)state;
    struct world world;
    world_up(&world);
    struct fixture_call call = {.call = NULL};
    assert_true(fixture_call_start(&call, world.link, FIXTURE_HOLD, VY_LIT(""), NULL));
    run_ms(&world, 1);
    rpc_call_cancel(call.call);
    run_ms(&world, 1);
    assert_int_equal(world.fixture.cancelled, 1);
    fixture_server_release(&world.fixture);
    run_ms(&world, 1);
    assert_false(call.is_ended);
    assert_int_equal(rpc_link_open_calls(world.link), 0);
    world_down(&world);
}

static void request_streams_flow_as_the_handler_consumes(void **state)
{
    (void)state;
    struct world world;
    world_up(&world);
    world.fixture.is_consuming = false;
    struct fixture_call call = {.to_send = 2000000};
    const struct rpc_call_options options = {.has_body = true};
    assert_true(fixture_call_start(&call, world.link, FIXTURE_UP, VY_LIT(""), &options));
    fixture_call_pump(&call);
    run_ms(&world, 1);
    /* Exactly the window, and not a byte more, until something is consumed. */
    assert_int_equal(world.fixture.unconsumed, RPC_STREAM_WINDOW_BYTES);
    run_ms(&world, 100);
    assert_int_equal(world.fixture.unconsumed, RPC_STREAM_WINDOW_BYTES);
    world.fixture.is_consuming = true;
    rpc_server_call_consumed(world.fixture.up_call, world.fixture.unconsumed);
    run_ms(&world, 1);
    assert_true(call.is_ended);
    assert_int_equal(call.code, VY_CODE_OK);
    assert_int_equal(vy_get_be64(call.reply), 2000000);
    world_down(&world);
}

static void an_empty_request_stream_ends_too(void **state)
{
    (void)state;
    struct world world;
    world_up(&world);
    for (int has_body = 0; has_body < 2; has_body++) {
        struct fixture_call call = {.to_send = 0};
        const struct rpc_call_options options = {.has_body = has_body == 1};
        assert_true(fixture_call_start(&call, world.link, FIXTURE_UP, VY_LIT(""), &options));
        if (has_body == 1) {
            rpc_call_send_end(call.call);
        }
        run_ms(&world, 1);
        assert_int_equal(call.code, VY_CODE_OK);
        assert_int_equal(vy_get_be64(call.reply), 0);
    }
    world_down(&world);
}

static void a_body_begun_before_the_link_is_up_is_sent_once_it_is(void **state)
{
    (void)state;
    struct world world;
    world_init(&world);
    start_server(&world);
    start_link(&world);
    struct fixture_call call = {.to_send = 1000000};
    const struct rpc_call_options options = {.has_body = true};
    assert_true(fixture_call_start(&call, world.link, FIXTURE_UP, VY_LIT(""), &options));
    fixture_call_pump(&call);
    run_ms(&world, 1);
    assert_int_equal(call.code, VY_CODE_OK);
    assert_int_equal(vy_get_be64(call.reply), 1000000);
    world_down(&world);
}

/* R9: a consumer that does not consume holds up its own stream, at a bounded cost, and nobody
 * else's. */
static void a_slow_consumer_stalls_only_itself(void **state)
{
    (void)state;
    struct world world;
    world_up(&world);
    struct fixture_call lazy[16] = {{.is_lazy = true}};
    uint8_t want[8];
    vy_put_be64(want, 3000000);
    for (size_t i = 0; i < VY_COUNT_OF(lazy); i++) {
        lazy[i] = (struct fixture_call){.is_lazy = true};
        assert_true(
            fixture_call_start(&lazy[i], world.link, FIXTURE_DOWN, vy_bytes(want, 8), NULL));
    }
    run_ms(&world, 10);
    size_t total = 0;
    for (size_t i = 0; i < VY_COUNT_OF(lazy); i++) {
        assert_true(lazy[i].data_len > 0 && lazy[i].data_len <= RPC_STREAM_WINDOW_BYTES);
        total += lazy[i].data_len;
    }
    assert_true(total <=
                RPC_LINK_WINDOW_BYTES + VY_COUNT_OF(lazy) * (size_t)RPC_STREAM_FLOOR_BYTES);
    struct fixture_call quick = {.is_lazy = false};
    assert_true(fixture_call_start(&quick, world.link, FIXTURE_DOWN, vy_bytes(want, 8), NULL));
    struct fixture_call small = {.call = NULL};
    assert_true(fixture_call_start(&small, world.link, FIXTURE_ECHO, VY_LIT("x"), NULL));
    run_ms(&world, 10);
    assert_int_equal(small.code, VY_CODE_OK);
    assert_true(small.is_ended);
    for (size_t i = 0; i < VY_COUNT_OF(lazy); i++) {
        lazy[i].is_lazy = false;
        rpc_call_consumed(lazy[i].call, lazy[i].data_len);
    }
    run_ms(&world, 100);
    assert_int_equal(quick.data_len, 3000000);
    for (size_t i = 0; i < VY_COUNT_OF(lazy); i++) {
        assert_int_equal(lazy[i].code, VY_CODE_OK);
        assert_int_equal(lazy[i].data_len, 3000000);
    }
    world_down(&world);
}

/* The stream goes behind the request and must not use up the credit that the request needs. */
static void a_body_waits_for_a_request_that_is_larger_than_one_frame(void **state)
{
    (void)state;
    struct world world;
    world_up(&world);
    static uint8_t request[60000];
    struct fixture_call call = {.to_send = 2000000};
    const struct rpc_call_options options = {.has_body = true};
    assert_true(fixture_call_start(&call, world.link, FIXTURE_UP,
                                   vy_bytes(request, sizeof(request)), &options));
    fixture_call_pump(&call);
    run_ms(&world, 1);
    assert_true(call.is_ended);
    assert_int_equal(call.code, VY_CODE_OK);
    assert_int_equal(vy_get_be64(call.reply), 2000000);
    world_down(&world);
}

/* With windows of one frame a message needs every byte of credit back. */
static void the_largest_messages_pass_the_smallest_windows(void **state)
{
    (void)state;
    struct world world;
    world_init(&world);
    world.client.stream_window_bytes = RPC_MESSAGE_BYTES_MAX;
    world.client.link_window_bytes = RPC_MESSAGE_BYTES_MAX;
    start_server(&world);
    start_link(&world);
    struct fixture_call watch = {.call = NULL};
    const struct rpc_call_options options = {.endless = true};
    assert_true(fixture_call_start(&watch, world.link, FIXTURE_WATCH, VY_LIT(""), &options));
    run_ms(&world, 1);
    static uint8_t bytes[RPC_MESSAGE_BYTES_MAX];
    static const size_t sizes[] = {5, RPC_MESSAGE_BYTES_MAX, 1, RPC_MESSAGE_BYTES_MAX};
    for (size_t i = 0; i < VY_COUNT_OF(sizes); i++) {
        assert_true(rpc_server_call_send_message(world.fixture.held[0], vy_bytes(bytes, sizes[i])));
        run_ms(&world, 1);
        assert_int_equal(watch.data_count, i + 1);
    }
    rpc_call_cancel(watch.call);
    run_ms(&world, 1);
    world_down(&world);
}

/* What is behind the GOAWAY crosses it on the way: it is passed over, calls under way go on. */
static void a_call_that_crosses_the_goaway_is_not_executed_and_breaks_nothing(void **state)
{
    (void)state;
    struct world world;
    world_up(&world);
    struct fixture_call held = {.call = NULL};
    assert_true(fixture_call_start(&held, world.link, FIXTURE_HOLD, VY_LIT(""), NULL));
    run_ms(&world, 1);
    struct fixture_call late = {.to_send = 100000};
    const struct rpc_call_options options = {.has_body = true};
    assert_true(fixture_call_start(&late, world.link, FIXTURE_UP, VY_LIT(""), &options));
    fixture_call_pump(&late);
    rpc_server_drain(world.fixture.server, 5000, NULL, NULL);
    run_ms(&world, 10);
    assert_int_equal(late.code, VY_CODE_UNAVAILABLE);
    assert_true(late.is_not_executed);
    assert_false(held.is_ended);
    fixture_server_release(&world.fixture);
    run_ms(&world, 10);
    assert_int_equal(held.code, VY_CODE_OK);
    assert_int_equal(rpc_server_stats(world.fixture.server)->links_broken, 0);
    world_down(&world);
}

static void messages_of_a_watch_keep_their_bounds(void **state)
{
    (void)state;
    struct world world;
    world_up(&world);
    struct fixture_call watch = {.call = NULL};
    const struct rpc_call_options options = {.endless = true};
    assert_true(fixture_call_start(&watch, world.link, FIXTURE_WATCH, VY_LIT(""), &options));
    run_ms(&world, 1);
    assert_true(fixture_server_push(&world.fixture, 0, "one"));
    assert_true(fixture_server_push(&world.fixture, 0, "three"));
    run_ms(&world, 200000); /* no deadline, and the watchdog is content */
    assert_int_equal(watch.data_count, 2);
    assert_int_equal(watch.data_len, 8);
    assert_false(watch.is_ended);
    assert_true(rpc_link_is_up(world.link));
    fixture_server_release(&world.fixture);
    run_ms(&world, 1);
    assert_int_equal(watch.code, VY_CODE_OK);
    world_down(&world);
}

/* Limits at n-1, n and n+1. */
static void no_more_than_1024_calls_are_open_on_a_link(void **state)
{
    (void)state;
    struct world world;
    world_up(&world);
    struct fixture_call *calls = calloc(RPC_CALLS_PER_LINK_MAX + 1, sizeof(*calls));
    for (size_t i = 0; i < RPC_CALLS_PER_LINK_MAX; i++) {
        assert_true(fixture_call_start(&calls[i], world.link, FIXTURE_HOLD, VY_LIT(""), NULL));
    }
    assert_false(fixture_call_start(&calls[RPC_CALLS_PER_LINK_MAX], world.link, FIXTURE_HOLD,
                                    VY_LIT(""), NULL));
    run_ms(&world, 1);
    assert_int_equal(world.fixture.held_count, RPC_CALLS_PER_LINK_MAX);
    rpc_call_cancel(calls[0].call);
    assert_true(fixture_call_start(&calls[RPC_CALLS_PER_LINK_MAX], world.link, FIXTURE_HOLD,
                                   VY_LIT(""), NULL));
    run_ms(&world, 1);
    fixture_server_release(&world.fixture);
    run_ms(&world, 1);
    for (size_t i = 1; i <= RPC_CALLS_PER_LINK_MAX; i++) {
        assert_true(calls[i].is_ended);
        assert_int_equal(calls[i].code, VY_CODE_OK);
    }
    free(calls);
    world_down(&world);
}

/* R9: shed, with a time to come back. */
static void calls_over_the_methods_cap_are_busy(void **state)
{
    (void)state;
    struct world world;
    world_up(&world);
    struct fixture_call first = {.call = NULL};
    struct fixture_call second = {.call = NULL};
    assert_true(fixture_call_start(&first, world.link, FIXTURE_ONE, VY_LIT(""), NULL));
    assert_true(fixture_call_start(&second, world.link, FIXTURE_ONE, VY_LIT(""), NULL));
    run_ms(&world, 1);
    assert_false(first.is_ended);
    assert_int_equal(second.code, VY_CODE_BUSY);
    assert_true(second.is_not_executed);
    assert_true(second.retry_after_ms > 0);
    assert_int_equal(rpc_server_stats(world.fixture.server)->calls_busy, 1);
    world_down(&world);
    assert_int_equal(first.code, VY_CODE_CANCELLED); /* the link was freed under it */
}

/* R1 */
static void a_role_that_may_not_call_a_method_is_denied_and_counted(void **state)
{
    (void)state;
    struct world world;
    world_up(&world);
    struct fixture_call call = {.call = NULL};
    assert_true(fixture_call_start(&call, world.link, FIXTURE_META, VY_LIT(""), NULL));
    run_ms(&world, 1);
    assert_int_equal(call.code, VY_CODE_DENIED);
    assert_int_equal(world.fixture.executed, 0);
    assert_int_equal(rpc_server_stats(world.fixture.server)->calls_denied, 1);
    assert_true(fixture_log_has(&world.log, "event=rpc.call.denied"));
    world_down(&world);
}

/* R12 */
static void an_unknown_method_is_unsupported_and_the_link_stays(void **state)
{
    (void)state;
    struct world world;
    world_up(&world);
    struct fixture_call call = {.call = NULL};
    assert_true(fixture_call_start(&call, world.link, 0x7fffff, VY_LIT(""), NULL));
    run_ms(&world, 1);
    assert_int_equal(call.code, VY_CODE_UNSUPPORTED);
    assert_true(call.is_not_executed);
    assert_true(rpc_link_is_up(world.link));
    world_down(&world);
}

static void failures_carry_code_hint_and_what(void **state)
{
    (void)state;
    struct world world;
    world_up(&world);
    world.fixture.hint = "shard-2";
    struct fixture_call call = {.call = NULL};
    assert_true(fixture_call_start(&call, world.link, FIXTURE_FAIL, VY_LIT(""), NULL));
    run_ms(&world, 1);
    assert_int_equal(call.code, VY_CODE_NOT_LEADER);
    assert_string_equal(call.hint, "shard-2");
    assert_string_equal(call.message, "follower");
    assert_true(call.is_not_executed);
    world_down(&world);
}

static void a_call_that_was_sent_ends_unknown_when_the_link_dies(void **state)
{
    (void)state;
    struct world world;
    world_up(&world);
    struct fixture_call sent = {.call = NULL};
    assert_true(fixture_call_start(&sent, world.link, FIXTURE_HOLD, VY_LIT(""), NULL));
    run_ms(&world, 1);
    fixture_server_release(&world.fixture); /* the answer is on its way when the server dies */
    rpc_server_free(world.fixture.server);
    struct fixture_call unsent = {.call = NULL};
    run_ms(&world, 1);
    assert_true(sent.is_ended);
    assert_true(sent.code == VY_CODE_UNKNOWN || sent.code == VY_CODE_OK);
    assert_int_equal(world.downs, 1);
    assert_true(fixture_call_start(&unsent, world.link, FIXTURE_HOLD, VY_LIT(""), NULL));
    run_ms(&world, 1);
    assert_int_equal(unsent.code, VY_CODE_UNAVAILABLE); /* R4: certainly not executed */
    assert_true(unsent.is_not_executed);
    start_server(&world);
    run_ms(&world, 10000);
    assert_true(rpc_link_is_up(world.link));
    assert_int_equal(world.ups, 2);
    world_down(&world);
}

static void a_call_lost_in_flight_is_unknown(void **state)
{
    (void)state;
    struct world world;
    world_up(&world);
    struct fixture_call call = {.call = NULL};
    assert_true(fixture_call_start(&call, world.link, FIXTURE_HOLD, VY_LIT(""), NULL));
    run_ms(&world, 1);
    assert_int_equal(world.fixture.held_count, 1);
    rpc_server_free(world.fixture.server);
    assert_int_equal(world.fixture.cancelled, 1);
    run_ms(&world, 1);
    assert_int_equal(call.code, VY_CODE_UNKNOWN);
    assert_false(call.is_not_executed);
    fixture_server_release(&world.fixture); /* an answer after the server's end goes nowhere */
    start_server(&world);
    world_down(&world);
}

static void a_patient_call_waits_for_the_link_to_come_back(void **state)
{
    (void)state;
    struct world world;
    world_init(&world);
    start_link(&world);
    run_ms(&world, 3000);
    assert_false(rpc_link_is_up(world.link));
    struct fixture_call patient = {.call = NULL};
    struct fixture_call late = {.call = NULL};
    const struct rpc_call_options options = {.wait_ready = true, .deadline_ms = 20000};
    const struct rpc_call_options short_options = {.wait_ready = true, .deadline_ms = 500};
    assert_true(fixture_call_start(&patient, world.link, FIXTURE_ECHO, VY_LIT("hi"), &options));
    assert_true(fixture_call_start(&late, world.link, FIXTURE_ECHO, VY_LIT("hi"), &short_options));
    run_ms(&world, 600);
    assert_false(patient.is_ended);
    assert_int_equal(late.code, VY_CODE_UNAVAILABLE);
    assert_true(late.is_not_executed);
    start_server(&world);
    run_ms(&world, 6000);
    assert_int_equal(patient.code, VY_CODE_OK);
    world_down(&world);
}

static void mark_done(void *arg)
{
    *(bool *)arg = true;
}

static void a_drain_finishes_calls_ends_watches_and_refuses_new_ones(void **state)
{
    (void)state;
    struct world world;
    world_up(&world);
    struct fixture_call held = {.call = NULL};
    struct fixture_call watch = {.call = NULL};
    struct fixture_call late = {.call = NULL};
    const struct rpc_call_options endless = {.endless = true};
    bool is_drained = false;
    assert_true(fixture_call_start(&held, world.link, FIXTURE_HOLD, VY_LIT(""), NULL));
    run_ms(&world, 1);
    assert_true(fixture_call_start(&watch, world.link, FIXTURE_WATCH, VY_LIT(""), &endless));
    run_ms(&world, 1);
    rpc_server_drain(world.fixture.server, 5000, mark_done, &is_drained);
    run_ms(&world, 10);
    assert_int_equal(watch.code, VY_CODE_UNAVAILABLE);
    assert_false(held.is_ended);
    assert_true(fixture_call_start(&late, world.link, FIXTURE_ECHO, VY_LIT(""), NULL));
    run_ms(&world, 10);
    assert_int_equal(late.code, VY_CODE_UNAVAILABLE);
    assert_true(late.is_not_executed);
    assert_false(is_drained);
    fixture_server_release(&world.fixture);
    run_ms(&world, 10);
    assert_int_equal(held.code, VY_CODE_OK);
    assert_true(is_drained);
    world_down(&world);
}

static void a_drain_does_not_wait_for_ever(void **state)
{
    (void)state;
    struct world world;
    world_up(&world);
    struct fixture_call held = {.call = NULL};
    bool is_drained = false;
    assert_true(fixture_call_start(&held, world.link, FIXTURE_HOLD, VY_LIT(""), NULL));
    run_ms(&world, 1);
    rpc_server_drain(world.fixture.server, 5000, mark_done, &is_drained);
    run_ms(&world, 4990);
    assert_false(is_drained);
    run_ms(&world, 20);
    assert_true(is_drained);
    world_down(&world);
}

static void peers_of_another_cluster_are_refused_and_counted(void **state)
{
    (void)state;
    struct world world;
    world_init(&world);
    world.client.cluster = "other";
    start_server(&world);
    start_link(&world);
    run_ms(&world, 1);
    assert_false(rpc_link_is_up(world.link));
    run_ms(&world, 30);
    assert_true(rpc_server_stats(world.fixture.server)->links_refused >= 1);
    assert_true(fixture_log_has(&world.log, "event=rpc.link.refused"));
    world_down(&world);
}

static size_t count_lines(const struct world *world, const char *text)
{
    size_t count = 0;
    for (const char *at = world->log.text; (at = strstr(at, text)) != NULL; at++) {
        count++;
    }
    return count;
}

/* As with a certificate of another role: our side is content, and the peer is not. */
static void a_peer_that_sends_us_away_is_dialled_ever_more_rarely_and_told_of_once(void **state)
{
    (void)state;
    struct world world;
    world_init(&world);
    world.client.stream_window_bytes = 1;
    start_server(&world);
    start_link(&world);
    run_ms(&world, 60000);
    const uint64_t refused = rpc_server_stats(world.fixture.server)->links_refused;
    assert_in_range(refused, 10, 30); /* seven pauses up to 5 s, then one each 2.5 to 5 s */
    assert_int_equal(world.ups, world.downs);
    assert_int_equal(count_lines(&world, "event=rpc.link.refused"), 1);
    assert_in_range(count_lines(&world, "event=rpc.link."), 1, 3);

    world.client.stream_window_bytes = 0;
    run_ms(&world, 20000);
    assert_true(rpc_link_is_up(world.link));
    assert_in_range(count_lines(&world, "event=rpc.link.up"), 1, 2); /* it is believed again */
    world_down(&world);
}

static void a_diallers_expectations_are_checked(void **state)
{
    (void)state;
    struct world world;
    world_init(&world);
    start_server(&world);
    const struct rpc_link_options wrong_role = {.address = "inproc:shard",
                                                .peer_roles = RPC_ROLE_META};
    const struct rpc_link_options wrong_node = {.address = "inproc:shard", .peer_node = "shard-2"};
    const struct rpc_link_options right = {
        .address = "inproc:shard", .peer_roles = RPC_ROLE_SHARD, .peer_node = "shard-1"};
    struct rpc_link *links[2] = {NULL, NULL};
    assert_int_equal(rpc_link_new(&world.client, &wrong_role, &links[0]).code, VY_CODE_OK);
    assert_int_equal(rpc_link_new(&world.client, &wrong_node, &links[1]).code, VY_CODE_OK);
    assert_int_equal(rpc_link_new(&world.client, &right, &world.link).code, VY_CODE_OK);
    run_ms(&world, 10);
    assert_false(rpc_link_is_up(links[0]));
    assert_false(rpc_link_is_up(links[1]));
    assert_true(rpc_link_is_up(world.link));
    rpc_link_free(links[0]);
    rpc_link_free(links[1]);
    world_down(&world);
}

static void free_link_on_end(struct fixture_call *call)
{
    (void)call;
}

struct free_in_end {
    struct fixture_call call;
    struct world *world;
};

static void free_the_link(struct fixture_call *call)
{
    struct free_in_end *self = VY_CONTAINER_OF(call, struct free_in_end, call);
    rpc_link_free(self->world->link);
    self->world->link = NULL;
}

static void a_link_may_be_freed_by_its_own_callback(void **state)
{
    (void)state;
    struct world world;
    world_up(&world);
    struct free_in_end first = {.call = {.on_end = free_the_link}, .world = &world};
    struct fixture_call other = {.on_end = free_link_on_end};
    assert_true(fixture_call_start(&first.call, world.link, FIXTURE_ECHO, VY_LIT("x"), NULL));
    assert_true(fixture_call_start(&other, world.link, FIXTURE_HOLD, VY_LIT("x"), NULL));
    run_ms(&world, 10);
    assert_int_equal(first.call.code, VY_CODE_OK);
    assert_int_equal(other.code, VY_CODE_CANCELLED);
    world_down(&world);
}

static void addresses_that_mean_nothing_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",           "tcp://",        "tcp://h",
                                      "tcp://h:",   "tcp://h:65536", "tcp://:1",
                                      "tcp://[::1", "tcp://[]:1",    "ipc://rel",
                                      "inproc:",    "tcp://h:1x",    "http://h:1",
                                      "tcp://h:0",  "tls+tcp://h:1", "ipc:/x"};
    struct world world;
    world_init(&world);
    for (size_t i = 0; i < VY_COUNT_OF(bad); i++) {
        const struct rpc_link_options options = {.address = bad[i]};
        struct rpc_link *link = NULL;
        assert_int_equal(rpc_link_new(&world.client, &options, &link).code, VY_CODE_ARGUMENT);
    }
    start_server(&world);
    assert_int_equal(rpc_server_listen(world.fixture.server, "inproc:shard").code, VY_CODE_EXISTS);
    /* Without TLS tcp is for loopback, and only when the config says so. */
    assert_int_equal(rpc_server_listen(world.fixture.server, "tcp://127.0.0.1:0").code,
                     VY_CODE_DENIED);
    world.server.allow_plain_loopback = true;
    assert_int_equal(rpc_server_listen(world.fixture.server, "tcp://0.0.0.0:0").code,
                     VY_CODE_DENIED);
    assert_int_equal(rpc_server_listen(world.fixture.server, "tcp://localhost:0").code,
                     VY_CODE_DENIED);
    world_down(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_is_answered_with_its_key_trace_and_peer),
        cmocka_unit_test(a_call_before_the_link_is_up_waits_for_it),
        cmocka_unit_test(requests_and_replies_of_any_size_arrive_whole),
        cmocka_unit_test(a_request_over_the_methods_limit_is_refused_before_it_is_read),
        cmocka_unit_test(a_reply_over_the_callers_limit_ends_the_call),
        cmocka_unit_test(a_deadline_ends_the_call_and_tells_the_server),
        cmocka_unit_test(a_cancelled_call_says_nothing_more_and_the_handler_hears),
        cmocka_unit_test(request_streams_flow_as_the_handler_consumes),
        cmocka_unit_test(an_empty_request_stream_ends_too),
        cmocka_unit_test(a_body_begun_before_the_link_is_up_is_sent_once_it_is),
        cmocka_unit_test(a_slow_consumer_stalls_only_itself),
        cmocka_unit_test(a_body_waits_for_a_request_that_is_larger_than_one_frame),
        cmocka_unit_test(the_largest_messages_pass_the_smallest_windows),
        cmocka_unit_test(a_call_that_crosses_the_goaway_is_not_executed_and_breaks_nothing),
        cmocka_unit_test(messages_of_a_watch_keep_their_bounds),
        cmocka_unit_test(no_more_than_1024_calls_are_open_on_a_link),
        cmocka_unit_test(calls_over_the_methods_cap_are_busy),
        cmocka_unit_test(a_role_that_may_not_call_a_method_is_denied_and_counted),
        cmocka_unit_test(an_unknown_method_is_unsupported_and_the_link_stays),
        cmocka_unit_test(failures_carry_code_hint_and_what),
        cmocka_unit_test(a_call_that_was_sent_ends_unknown_when_the_link_dies),
        cmocka_unit_test(a_call_lost_in_flight_is_unknown),
        cmocka_unit_test(a_patient_call_waits_for_the_link_to_come_back),
        cmocka_unit_test(a_drain_finishes_calls_ends_watches_and_refuses_new_ones),
        cmocka_unit_test(a_drain_does_not_wait_for_ever),
        cmocka_unit_test(peers_of_another_cluster_are_refused_and_counted),
        cmocka_unit_test(a_peer_that_sends_us_away_is_dialled_ever_more_rarely_and_told_of_once),
        cmocka_unit_test(a_diallers_expectations_are_checked),
        cmocka_unit_test(a_link_may_be_freed_by_its_own_callback),
        cmocka_unit_test(addresses_that_mean_nothing_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
