/* SPDX-License-Identifier: Apache-2.0 */
/* A server of the link against frames written by hand: what breaks the protocol is cut off and
 * counted, what is replayed is not done twice, and versions are agreed upon (R3, R4, R12). */
#include "proto/rpc.pb.h"
#include "proto/rpc_fixture.h"
#include "proto/rpc_pipe.h"

#include "base/assert.h"
#include "base/codec.h"
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
    struct rpc_config config;
    struct fixture_server fixture;
    /* the peer */
    struct rpc_pipe *pipe; /* NULL: the server has closed */
    struct rpc_frame_parser parser;
    size_t frames[RPC_FRAME_TYPE_END]; /* of each type that came */
    uint32_t last_aux;
};

static void on_open(void *arg, const struct rpc_pipe_peer *peer)
{
    (void)arg;
    (void)peer;
}

static void on_data(void *arg, struct vy_bytes bytes)
{
    struct world *world = arg;
    bool is_ready = true;
    while (is_ready) {
        struct rpc_frame frame;
        assert_false(vy_failed(rpc_frame_parser_next(&world->parser, &bytes, &frame, &is_ready)));
        if (is_ready) {
            world->frames[frame.type]++;
            world->last_aux = frame.aux;
        }
    }
}

static void on_sent(void *arg)
{
    (void)arg;
}

static void on_closed(void *arg, struct vy_err why)
{
    struct world *world = arg;
    (void)why;
    rpc_pipe_close(VY_TAKE(world->pipe));
}

static const struct rpc_pipe_events pipe_events = {
    .on_open = on_open, .on_data = on_data, .on_sent = on_sent, .on_closed = on_closed};

static void connect_peer(struct world *world)
{
    const struct rpc_address address = {.kind = RPC_ADDRESS_INPROC, .name = "server"};
    assert_int_equal(rpc_inproc_dial(&world->config, &address, &world->pipe).code, VY_CODE_OK);
    rpc_pipe_start(world->pipe, &pipe_events, world);
    rpc_frame_parser_deinit(&world->parser);
    rpc_frame_parser_init(&world->parser);
    memset(world->frames, 0, sizeof(world->frames));
    fake_loop_run_ms(&world->loop, 1);
}

static void world_up(struct world *world)
{
    *world = (struct world){.pipe = NULL};
    fake_clock_init(&world->clock);
    fake_loop_init(&world->loop, &world->clock);
    fake_rng_init(&world->rng, 1);
    fixture_log_init(&world->log, &world->clock.base);
    rpc_frame_parser_init(&world->parser);
    assert_int_equal(rpc_inproc_new(&world->hub).code, VY_CODE_OK);
    world->config = (struct rpc_config){.loop = &world->loop.base,
                                        .rng = &world->rng.base,
                                        .log = &world->log.log,
                                        .cluster = "test",
                                        .node = "shard-1",
                                        .role = RPC_ROLE_SHARD,
                                        .inproc = world->hub};
    fixture_server_init(&world->fixture, &world->config);
    assert_int_equal(rpc_server_listen(world->fixture.server, "inproc:server").code, VY_CODE_OK);
    connect_peer(world);
}

static void world_down(struct world *world)
{
    if (world->pipe != NULL) {
        rpc_pipe_close(world->pipe);
    }
    fake_loop_run_ms(&world->loop, 1);
    fixture_server_release(&world->fixture);
    rpc_server_free(world->fixture.server);
    fake_loop_run_ms(&world->loop, 10000);
    rpc_frame_parser_deinit(&world->parser);
    rpc_inproc_free(world->hub);
    fake_loop_deinit(&world->loop);
    assert_int_equal(world->log.errors, 0);
}

static void say_bytes(struct world *world, struct vy_bytes bytes)
{
    struct rpc_block_list list = {.first = NULL};
    struct rpc_block *block = rpc_block_new(0, bytes.len);
    assert_non_null(block);
    assert_non_null(world->pipe);
    rpc_block_append(block, bytes);
    rpc_block_list_push(&list, block);
    rpc_pipe_send(world->pipe, &list);
    fake_loop_run_ms(&world->loop, 1);
}

static void say(struct world *world, struct rpc_frame frame)
{
    if (frame.type == RPC_FRAME_DATA) {
        frame.aux ^= vy_crc32c(0, frame.payload); /* what a test gives spoils it */
    }
    struct rpc_block *block = rpc_block_new_frame(&frame);
    assert_non_null(block);
    say_bytes(world, rpc_block_bytes(block));
    rpc_block_free(block);
}

static const struct rpc_hello good_hello = {.version = 1,
                                            .version_min = 1,
                                            .cluster = VY_LIT("test"),
                                            .node = VY_LIT("peer"),
                                            .role = RPC_ROLE_FRONTEND,
                                            .stream_window_bytes = RPC_STREAM_WINDOW_BYTES,
                                            .link_window_bytes = RPC_LINK_WINDOW_BYTES};

static void say_hello(struct world *world, const struct rpc_hello *hello)
{
    struct vy_buf buf;
    vy_buf_init(&buf, 4096);
    assert_int_equal(vy_pb_encode(&rpc_hello_desc, hello, &buf).code, VY_CODE_OK);
    say(world, (struct rpc_frame){.type = RPC_FRAME_HELLO, .payload = vy_buf_bytes(&buf)});
    vy_buf_deinit(&buf);
}

static void say_call(struct world *world, uint32_t stream, const struct rpc_call_meta *meta,
                     struct vy_bytes request, uint8_t flags)
{
    struct vy_buf buf;
    vy_buf_init(&buf, 70000);
    assert_int_equal(vy_pb_encode(&rpc_call_meta_desc, meta, &buf).code, VY_CODE_OK);
    const uint32_t meta_len = (uint32_t)vy_buf_len(&buf);
    vy_buf_append(&buf, request);
    say(world, (struct rpc_frame){.type = RPC_FRAME_CALL,
                                  .flags = flags,
                                  .stream_id = stream,
                                  .aux = meta_len,
                                  .payload = vy_buf_bytes(&buf)});
    vy_buf_deinit(&buf);
}

static void say_echo(struct world *world, uint32_t stream)
{
    const struct rpc_call_meta meta = {.method = FIXTURE_ECHO, .request_bytes = 5};
    say_call(world, stream, &meta, VY_LIT("hello"), RPC_FRAME_LAST);
}

static const struct rpc_server_stats *stats(const struct world *world)
{
    return rpc_server_stats(world->fixture.server);
}

/* ---- greetings ---- */

/* R12 */
static void a_newer_peer_that_speaks_our_version_is_welcome(void **state)
{
    (void)state;
    struct world world;
    struct rpc_hello hello = good_hello;
    world_up(&world);
    hello.version = 7;
    say_hello(&world, &hello);
    say_echo(&world, 1);
    assert_int_equal(world.fixture.executed, 1);
    assert_int_equal(world.frames[RPC_FRAME_END], 1);
    world_down(&world);
}

/* R12, R3: refused before it is up, told why, and counted. */
static void greetings_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    struct world world;
    struct rpc_hello hellos[6];
    char long_name[RPC_NAME_BYTES_MAX + 2];
    for (size_t i = 0; i < VY_COUNT_OF(hellos); i++) {
        hellos[i] = good_hello;
    }
    memset(long_name, 'n', sizeof(long_name));
    hellos[0].version = 9;
    hellos[0].version_min = 2;
    hellos[1].version = 0;
    hellos[2].cluster = VY_LIT("other");
    hellos[3].stream_window_bytes = 1000;
    hellos[4].link_window_bytes = UINT32_MAX;
    hellos[5].link_window_bytes = hellos[5].stream_window_bytes - 1;
    world_up(&world);
    for (size_t i = 0; i < VY_COUNT_OF(hellos); i++) {
        if (world.pipe == NULL) {
            connect_peer(&world);
        }
        say_hello(&world, &hellos[i]);
        assert_int_equal(world.frames[RPC_FRAME_GOAWAY], 1);
        fake_loop_run_ms(&world.loop, 2000);
        assert_null(world.pipe);
        assert_int_equal(stats(&world)->links_refused, i + 1);
    }
    hellos[0] = good_hello;
    hellos[0].node = vy_bytes(long_name, RPC_NAME_BYTES_MAX + 1);
    connect_peer(&world);
    say_hello(&world, &hellos[0]);
    assert_null(world.pipe);
    assert_int_equal(stats(&world)->links_broken, 1);
    world_down(&world);
}

static void silence_is_refused_in_time(void **state)
{
    (void)state;
    struct world world;
    world_up(&world);
    fake_loop_run_ms(&world.loop, 2900);
    assert_non_null(world.pipe);
    fake_loop_run_ms(&world.loop, 200);
    assert_null(world.pipe);
    assert_int_equal(stats(&world)->links_open, 0);
    world_down(&world);
}

/* ---- frames ---- */

/* R3: each is cut off and counted, and nothing of it reaches a handler. */
static void frames_that_break_the_rules_cut_the_peer_off(void **state)
{
    (void)state;
    static const struct vy_bytes bad[] = {
        VY_LIT("\xff\xff\xff\xff\3\0\0\0\0\0\0\1\0\0\0\0"), /* 4 GiB */
        VY_LIT("\0\4\0\1\3\0\0\0\0\0\0\1\0\0\0\0"),         /* one over the limit */
        VY_LIT("\0\0\0\0\x0f\0\0\0\0\0\0\1\0\0\0\0"),       /* unknown type */
        VY_LIT("\0\0\0\0\7\0\0\1\0\0\0\0\0\0\0\0"),         /* reserved bits */
        VY_LIT("\0\0\0\0\7\x80\0\0\0\0\0\0\0\0\0\0"),       /* unknown flag */
        VY_LIT("\0\0\0\1\2\0\0\0\0\0\0\1\0\0\0\1\xff"),     /* a CALL whose meta is cut */
        VY_LIT("\0\0\0\0\2\0\0\0\0\0\0\2\0\0\0\0"),         /* a CALL on an even stream */
        VY_LIT("\0\0\0\1\3\0\0\0\0\0\0\5\0\0\0\0x"),        /* DATA of no stream */
        VY_LIT("\0\0\0\0\5\0\0\0\0\0\0\5\0\0\0\1"),         /* CREDIT of no stream */
        VY_LIT("\0\0\0\0\4\0\0\0\0\0\0\1\0\0\0\0"),         /* END from a caller */
        VY_LIT("\0\0\0\0\1\0\0\0\0\0\0\0\0\0\0\0"),         /* a second HELLO */
        VY_LIT("\0\0\0\0\x09\0\0\0\0\0\0\0\0\0\0\0"),       /* GOAWAY from a caller */
    };
    struct world world;
    world_up(&world);
    for (size_t i = 0; i < VY_COUNT_OF(bad); i++) {
        if (world.pipe == NULL) {
            connect_peer(&world);
        }
        say_hello(&world, &good_hello);
        say_bytes(&world, bad[i]);
        assert_null(world.pipe);
        assert_int_equal(stats(&world)->links_broken, i + 1);
    }
    assert_int_equal(world.fixture.executed, 0);
    assert_true(fixture_log_has(&world.log, "event=rpc.peer.broken"));
    world_down(&world);
}

static void calls_before_the_greeting_cut_the_peer_off(void **state)
{
    (void)state;
    struct world world;
    world_up(&world);
    say_echo(&world, 1);
    assert_null(world.pipe);
    assert_int_equal(world.fixture.executed, 0);
    world_down(&world);
}

/* R4: the same frame again is no second call. */
static void a_replayed_call_is_not_done_twice(void **state)
{
    (void)state;
    struct world world;
    world_up(&world);
    say_hello(&world, &good_hello);
    say_echo(&world, 1);
    say_echo(&world, 3);
    assert_int_equal(world.fixture.executed, 2);
    say_echo(&world, 1);
    assert_null(world.pipe);
    assert_int_equal(world.fixture.executed, 2);
    assert_int_equal(stats(&world)->links_broken, 1);
    world_down(&world);
}

static void damaged_keys_and_sizes_cut_the_peer_off(void **state)
{
    (void)state;
    const struct rpc_call_meta bad[] = {
        {.method = FIXTURE_ECHO,                   .request_bytes = 5, .idempotency_key = VY_LIT("short")},
        {.method = FIXTURE_ECHO,                                        .request_bytes = 5,                                     .trace_id = VY_LIT("seventeen bytes!!")},
        {.method = FIXTURE_ECHO, .request_bytes = 4},
    };
    struct world world;
    world_up(&world);
    for (size_t i = 0; i < VY_COUNT_OF(bad); i++) {
        if (world.pipe == NULL) {
            connect_peer(&world);
        }
        say_hello(&world, &good_hello);
        say_call(&world, 1, &bad[i], VY_LIT("hello"), RPC_FRAME_LAST);
        assert_null(world.pipe);
    }
    assert_int_equal(world.fixture.executed, 0);
    world_down(&world);
}

/* R9: the window that we granted, to the byte. */
static void data_beyond_the_credit_given_cuts_the_peer_off(void **state)
{
    (void)state;
    static uint8_t chunk[RPC_FRAME_PAYLOAD_BYTES_MAX];
    const struct rpc_call_meta up = {.method = FIXTURE_UP};
    struct world world;
    world_up(&world);
    world.fixture.is_consuming = false;
    say_hello(&world, &good_hello);
    say_call(&world, 1, &up, VY_LIT(""), 0);
    for (size_t sent = 0; sent < RPC_STREAM_WINDOW_BYTES; sent += sizeof(chunk)) {
        say(&world, (struct rpc_frame){.type = RPC_FRAME_DATA,
                                       .stream_id = 1,
                                       .payload = vy_bytes(chunk, sizeof(chunk))});
        assert_non_null(world.pipe);
    }
    assert_int_equal(world.fixture.unconsumed, RPC_STREAM_WINDOW_BYTES);
    say(&world,
        (struct rpc_frame){.type = RPC_FRAME_DATA, .stream_id = 1, .payload = vy_bytes(chunk, 1)});
    assert_null(world.pipe);
    assert_int_equal(world.fixture.cancelled, 1);
    world_down(&world);
}

/* P4: a bit that flipped on its way, in memory or where no TLS is. */
static void data_that_does_not_match_its_checksum_cuts_the_peer_off(void **state)
{
    (void)state;
    const struct rpc_call_meta up = {.method = FIXTURE_UP};
    struct world world;
    world_up(&world);
    say_hello(&world, &good_hello);
    say_call(&world, 1, &up, VY_LIT(""), 0);
    say(&world, (struct rpc_frame){
                    .type = RPC_FRAME_DATA, .stream_id = 1, .payload = VY_LIT("as it was sent")});
    assert_non_null(world.pipe);
    say(&world,
        (struct rpc_frame){
            .type = RPC_FRAME_DATA, .stream_id = 1, .aux = 1, .payload = VY_LIT("as it came")});
    assert_null(world.pipe);
    assert_int_equal(world.fixture.cancelled, 1);
    world_down(&world);
}

/* A flood of PINGs costs its sender alone: one answer for all that came at once. */
static void pings_are_answered_once_a_turn(void **state)
{
    (void)state;
    struct world world;
    struct vy_buf flood;
    uint8_t header[RPC_FRAME_HEADER_BYTES];
    world_up(&world);
    say_hello(&world, &good_hello);
    vy_buf_init(&flood, 100000);
    for (uint32_t i = 1; i <= 1000; i++) {
        rpc_frame_write_header(&(struct rpc_frame){.type = RPC_FRAME_PING, .aux = i}, header);
        vy_buf_append(&flood, vy_bytes(header, sizeof(header)));
    }
    say_bytes(&world, vy_buf_bytes(&flood));
    assert_int_equal(world.frames[RPC_FRAME_PONG], 1);
    assert_int_equal(world.last_aux, 1000);
    vy_buf_deinit(&flood);
    world_down(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_newer_peer_that_speaks_our_version_is_welcome),
        cmocka_unit_test(greetings_that_do_not_fit_are_refused),
        cmocka_unit_test(silence_is_refused_in_time),
        cmocka_unit_test(frames_that_break_the_rules_cut_the_peer_off),
        cmocka_unit_test(calls_before_the_greeting_cut_the_peer_off),
        cmocka_unit_test(a_replayed_call_is_not_done_twice),
        cmocka_unit_test(damaged_keys_and_sizes_cut_the_peer_off),
        cmocka_unit_test(data_beyond_the_credit_given_cuts_the_peer_off),
        cmocka_unit_test(data_that_does_not_match_its_checksum_cuts_the_peer_off),
        cmocka_unit_test(pings_are_answered_once_a_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
