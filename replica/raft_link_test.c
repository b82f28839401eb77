/* SPDX-License-Identifier: Apache-2.0 */
/* Frames between members: whole, in order, bounded, and from whom they say (R2). In virtual time
 * over inproc, and between two threads over TCP with TLS. */
#include "replica/raft_link.h"

#include "base/assert.h"
#include "base/map.h"
#include "base/rng.h"
#include "proto/rpc_certs.h"
#include "proto/rpc_fixture.h"
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
/* cmocka wants these first */
#include <cmocka.h>

#define FRAMES_MAX 64U

struct received {
    uint64_t from;
    size_t len;
    uint64_t hash;
};
struct side {
    struct rpc_config rpc;
    struct fixture_log log;
    struct raft_link *link;
    struct received frames[FRAMES_MAX];
    size_t frame_count;
    struct received bulk[FRAMES_MAX];
    size_t bulk_count;
};
struct world {
    struct fake_clock clock;
    struct fake_loop loop;
    struct fake_rng rng;
    struct rpc_inproc *hub;
    struct side sides[2];
};

static const struct raft_link_member members[] = {
    {.id = 11, .node = "shard-1", .address = "inproc:raft-1"},
    {.id = 22, .node = "shard-2", .address = "inproc:raft-2"},
};

static void on_frame(void *arg, uint64_t member_id, struct vy_bytes frame)
{
    struct side *side = arg;
    assert_true(side->frame_count < FRAMES_MAX);
    side->frames[side->frame_count++] =
        (struct received){.from = member_id, .len = frame.len, .hash = vy_siphash(1, frame)};
}

static void on_bulk(void *arg, uint64_t member_id, struct vy_bytes frame)
{
    struct side *side = arg;
    assert_true(side->bulk_count < FRAMES_MAX);
    side->bulk[side->bulk_count++] =
        (struct received){.from = member_id, .len = frame.len, .hash = vy_siphash(1, frame)};
}

static void side_init(struct world *world, struct side *side, const char *node)
{
    fixture_log_init(&side->log, &world->clock.base);
    side->rpc = (struct rpc_config){.loop = &world->loop.base,
                                    .rng = &world->rng.base,
                                    .log = &side->log.log,
                                    .cluster = "test",
                                    .node = node,
                                    .role = RPC_ROLE_SHARD,
                                    .inproc = world->hub};
}

static void side_start(struct side *side, size_t index, uint64_t queue_bytes_max)
{
    const struct raft_link_config config = {.rpc = &side->rpc,
                                            .member_id = members[index].id,
                                            .members = members,
                                            .member_count = VY_COUNT_OF(members),
                                            .listen = members[index].address,
                                            .queue_bytes_max = queue_bytes_max,
                                            .on_frame = on_frame,
                                            .on_bulk = on_bulk,
                                            .arg = side};
    assert_int_equal(raft_link_new(&config, &side->link).code, VY_CODE_OK);
}

static void run_ms(struct world *world, uint64_t ms)
{
    fake_loop_run_ms(&world->loop, ms);
}

static void world_init(struct world *world)
{
    *world = (struct world){.hub = NULL};
    fake_clock_init(&world->clock);
    fake_loop_init(&world->loop, &world->clock);
    fake_rng_init(&world->rng, 1);
    assert_int_equal(rpc_inproc_new(&world->hub).code, VY_CODE_OK);
    side_init(world, &world->sides[0], "shard-1");
    side_init(world, &world->sides[1], "shard-2");
}

static void world_up(struct world *world)
{
    world_init(world);
    side_start(&world->sides[0], 0, 0);
    side_start(&world->sides[1], 1, 0);
    run_ms(world, 200); /* the first dial of one of them found nobody */
    assert_true(raft_link_reaches(world->sides[0].link, 22));
    assert_true(raft_link_reaches(world->sides[1].link, 11));
}

static void world_down(struct world *world)
{
    raft_link_free(world->sides[0].link);
    raft_link_free(world->sides[1].link);
    run_ms(world, 10000);
    rpc_inproc_free(world->hub);
    fake_loop_deinit(&world->loop);
}

static void send(struct side *side, uint64_t to, struct vy_bytes frame)
{
    struct replica_transport *transport = raft_link_transport(side->link);
    transport->send(transport, to, "ignored", frame);
}

static uint8_t *make_bytes(size_t len)
{
    uint8_t *bytes = malloc(len);
    VY_ASSERT(bytes != NULL);
    for (size_t i = 0; i < len; i++) {
        bytes[i] = (uint8_t)(i * 31 + (i >> 8));
    }
    return bytes;
}

static void send_bulk(struct side *side, uint64_t to, struct vy_bytes frame)
{
    struct replica_transport *transport = raft_link_transport(side->link);
    transport->send_bulk(transport, to, frame);
}

/* Snapshots have a connection of their own, which goes when it is not used; beyond its queue frames
 * are lost. */
static void pieces_of_snapshots_take_another_way_than_messages(void **state)
{
    (void)state;
    struct world world;
    const size_t len = 131072;
    world_up(&world);
    uint8_t *bytes = make_bytes(len);
    for (size_t i = 0; i < 50; i++) { /* more than is kept */
        send_bulk(&world.sides[0], 22, vy_bytes(bytes, len));
    }
    send(&world.sides[0], 22, vy_bytes(bytes, 100));
    run_ms(&world, 1000);
    const struct raft_link_stats *stats = raft_link_stats(world.sides[0].link);
    assert_int_equal(world.sides[1].frame_count, 1);
    assert_in_range(world.sides[1].bulk_count, 30, 33); /* 4 MiB */
    assert_int_equal(world.sides[1].bulk[0].from, 11);
    assert_int_equal(world.sides[1].bulk[0].len, len);
    assert_int_equal(world.sides[1].bulk[0].hash, vy_siphash(1, vy_bytes(bytes, len)));
    assert_int_equal(stats->bulk_sent, world.sides[1].bulk_count);
    assert_int_equal(stats->bulk_dropped, 50 - stats->bulk_sent);
    run_ms(&world, 120000); /* it rests: the connection is given up */
    send_bulk(&world.sides[1], 11, vy_bytes(bytes, 10));
    send_bulk(&world.sides[0], 22, vy_bytes(bytes, 10)); /* and dialled again */
    run_ms(&world, 1000);
    assert_int_equal(world.sides[0].bulk_count, 1);
    assert_int_equal(stats->bulk_sent, world.sides[1].bulk_count);
    assert_true(raft_link_reaches(world.sides[0].link, 22));
    free(bytes);
    world_down(&world);
}

static void frames_of_any_size_arrive_whole_and_in_order(void **state)
{
    (void)state;
    static const size_t sizes[] = {1,      17,     131071, 131072,  131073,
                                   262144, 262145, 3,      1000000, REPLICA_FRAME_BYTES_MAX};
    struct world world;
    world_up(&world);
    uint8_t *bytes = make_bytes(REPLICA_FRAME_BYTES_MAX);
    for (size_t i = 0; i < VY_COUNT_OF(sizes); i++) {
        send(&world.sides[0], 22, vy_bytes(bytes, sizes[i]));
    }
    send(&world.sides[1], 11, VY_LIT("the other way"));
    run_ms(&world, 100);
    assert_int_equal(world.sides[1].frame_count, VY_COUNT_OF(sizes));
    for (size_t i = 0; i < VY_COUNT_OF(sizes); i++) {
        assert_int_equal(world.sides[1].frames[i].from, 11);
        assert_int_equal(world.sides[1].frames[i].len, sizes[i]);
        assert_true(world.sides[1].frames[i].hash == vy_siphash(1, vy_bytes(bytes, sizes[i])));
    }
    assert_int_equal(world.sides[0].frame_count, 1);
    assert_int_equal(world.sides[0].frames[0].from, 22);
    assert_int_equal(raft_link_stats(world.sides[0].link)->frames_sent, VY_COUNT_OF(sizes));
    assert_int_equal(raft_link_stats(world.sides[0].link)->frames_dropped, 0);
    free(bytes);
    world_down(&world);
}

static void a_full_queue_drops_what_is_new(void **state)
{
    (void)state;
    struct world world;
    world_init(&world);
    side_start(&world.sides[0], 0, 1000000);
    side_start(&world.sides[1], 1, 0);
    run_ms(&world, 200);
    uint8_t *bytes = make_bytes(900000);
    /* The window takes some of the first; the second finds room for none of it. */
    send(&world.sides[0], 22, vy_bytes(bytes, 900000));
    send(&world.sides[0], 22, vy_bytes(bytes, 900000));
    send(&world.sides[0], 22, vy_bytes(bytes, 100000));
    run_ms(&world, 100);
    assert_int_equal(raft_link_stats(world.sides[0].link)->frames_dropped, 1);
    assert_int_equal(world.sides[1].frame_count, 2);
    assert_int_equal(world.sides[1].frames[1].len, 100000);
    for (size_t i = 0; i < RAFT_LINK_QUEUE_FRAMES_MAX + 10; i++) {
        send(&world.sides[0], 33, VY_LIT("to nobody")); /* no such member */
    }
    assert_int_equal(raft_link_stats(world.sides[0].link)->frames_dropped,
                     1 + RAFT_LINK_QUEUE_FRAMES_MAX + 10);
    free(bytes);
    world_down(&world);
}

static void a_member_that_comes_back_gets_no_half_frames(void **state)
{
    (void)state;
    struct world world;
    world_up(&world);
    uint8_t *bytes = make_bytes(2000000);
    send(&world.sides[0], 22, vy_bytes(bytes, 2000000));
    raft_link_free(VY_TAKE(world.sides[1].link)); /* dies in the middle of it */
    run_ms(&world, 10);
    assert_false(raft_link_reaches(world.sides[0].link, 22));
    send(&world.sides[0], 22, VY_LIT("while away"));
    side_start(&world.sides[1], 1, 0);
    run_ms(&world, 6000); /* the longest backoff */
    assert_true(raft_link_reaches(world.sides[0].link, 22));
    assert_int_equal(world.sides[1].frame_count, 0);
    send(&world.sides[0], 22, VY_LIT("again"));
    run_ms(&world, 10);
    assert_int_equal(world.sides[1].frame_count, 1);
    assert_int_equal(world.sides[1].frames[0].len, 5);
    assert_int_equal(raft_link_stats(world.sides[0].link)->frames_dropped, 2);
    free(bytes);
    world_down(&world);
}

/* ---- who may say what ---- */

static void make_opening(uint8_t out[17], uint64_t from, uint64_t to)
{
    out[0] = 1;
    vy_put_be64(out + 1, from);
    vy_put_be64(out + 9, to);
}

/* A caller of the raft port that is no raft link. */
struct rogue {
    struct rpc_config rpc;
    struct rpc_link *link;
    struct fixture_call call;
};

static void rogue_start(struct world *world, struct rogue *rogue, const char *node,
                        enum rpc_role role, uint64_t from, uint64_t to)
{
    uint8_t opening[17];
    const struct rpc_link_options options = {.address = "inproc:raft-1"};
    const struct rpc_call_options call = {.endless = true, .has_body = true};
    *rogue = (struct rogue){.rpc = world->sides[1].rpc};
    rogue->rpc.node = node;
    rogue->rpc.role = role;
    assert_int_equal(rpc_link_new(&rogue->rpc, &options, &rogue->link).code, VY_CODE_OK);
    make_opening(opening, from, to);
    assert_true(fixture_call_start(&rogue->call, rogue->link, RAFT_METHOD_MESSAGES,
                                   vy_bytes(opening, 17), &call));
    run_ms(world, 5);
}

/* R2: the right certificate, and another node's member in the message. */
static void who_speaks_for_another_nodes_member_is_cut_off(void **state)
{
    (void)state;
    struct world world;
    struct rogue rogue;
    world_init(&world);
    side_start(&world.sides[0], 0, 0);
    rogue_start(&world, &rogue, "shard-3", RPC_ROLE_SHARD, 22, 11);
    assert_true(rogue.call.is_ended);
    assert_false(rpc_link_is_up(rogue.link));
    assert_int_equal(raft_link_stats(world.sides[0].link)->peers_denied, 1);
    assert_true(fixture_log_has(&world.sides[0].log, "level=error event=raft.link.denied"));
    rpc_link_free(rogue.link);
    /* No member at all, and a message that went to the wrong one. */
    rogue_start(&world, &rogue, "shard-3", RPC_ROLE_SHARD, 33, 11);
    rpc_link_free(rogue.link);
    rogue_start(&world, &rogue, "shard-2", RPC_ROLE_SHARD, 22, 12);
    rpc_link_free(rogue.link);
    assert_int_equal(raft_link_stats(world.sides[0].link)->peers_denied, 3);
    assert_int_equal(world.sides[0].frame_count, 0);
    world_down(&world);
}

/* R1: a frontend on the raft port. */
static void a_role_that_has_no_raft_is_denied(void **state)
{
    (void)state;
    struct world world;
    struct rogue rogue;
    world_init(&world);
    side_start(&world.sides[0], 0, 0);
    rogue_start(&world, &rogue, "shard-2", RPC_ROLE_FRONTEND, 22, 11);
    assert_int_equal(rogue.call.code, VY_CODE_DENIED);
    rpc_link_free(rogue.link);
    world_down(&world);
}

struct bad_pieces {
    struct vy_bytes first;
    struct vy_bytes second; /* may be empty */
};

/* R3: pieces that make no frame: nothing is handed on, the peer is cut off. */
static void pieces_that_make_no_frame_cut_the_peer_off(void **state)
{
    (void)state;
    /* clang-format off */
    static const struct bad_pieces bad[] = {
        { .first = VY_LIT("\0\0\0") },
        { .first = VY_LIT("\0\0\0\0") },
        { .first = VY_LIT("\xff\xff\xff\xffx") },
        { .first = VY_LIT("\x00\x80\x00\x00x") },
        { .first = VY_LIT("\0\0\0\2x"), .second = VY_LIT("\0\0\0\2x") },
        { .first = VY_LIT("\0\0\0\2x"), .second = VY_LIT("\0\0\0\0x") },
        { .first = VY_LIT("\0\0\0\2x"), .second = VY_LIT("\0\0\0\0xyzz") },
    };
    /* clang-format on */
    struct world world;
    struct rogue rogue;
    world_init(&world);
    side_start(&world.sides[0], 0, 0);
    for (size_t i = 0; i < VY_COUNT_OF(bad); i++) {
        rogue_start(&world, &rogue, "shard-2", RPC_ROLE_SHARD, 22, 11);
        assert_false(rogue.call.is_ended);
        assert_true(rpc_call_send_message(rogue.call.call, bad[i].first));
        if (bad[i].second.len > 0) {
            assert_true(rpc_call_send_message(rogue.call.call, bad[i].second));
        }
        run_ms(&world, 5);
        assert_true(rogue.call.is_ended);
        assert_int_equal(raft_link_stats(world.sides[0].link)->peers_broken, i + 1);
        rpc_link_free(rogue.link);
    }
    assert_int_equal(world.sides[0].frame_count, 0);
    world_down(&world);
}

static void the_newer_call_of_a_member_replaces_the_older(void **state)
{
    (void)state;
    struct world world;
    struct rogue first;
    struct rogue second;
    world_init(&world);
    side_start(&world.sides[0], 0, 0);
    rogue_start(&world, &first, "shard-2", RPC_ROLE_SHARD, 22, 11);
    assert_true(rpc_call_send_message(first.call.call, VY_LIT("\0\0\0\2x")));
    rogue_start(&world, &second, "shard-2", RPC_ROLE_SHARD, 22, 11);
    assert_true(first.call.is_ended);
    assert_true(rpc_call_send_message(second.call.call, VY_LIT("\0\0\0\0whole")));
    run_ms(&world, 5);
    assert_int_equal(world.sides[0].frame_count, 1);
    assert_int_equal(world.sides[0].frames[0].len, 5);
    rpc_link_free(first.link);
    rpc_link_free(second.link);
    world_down(&world);
}

/* ---- two threads, TCP and TLS ---- */

#define PING_FRAMES 40U
#define PING_BYTES 700000U

struct node {
    pthread_t thread;
    const struct rpc_certs *certs;
    const char *name;
    uint64_t id;
    uint64_t peer_id;
    const char *peer_name;
    uint16_t port;
    uint16_t peer_port;
    struct vy_loop *loop;
    struct fixture_log log;
    struct rpc_config rpc;
    struct rpc_tls_context *tls;
    struct raft_link *link;
    struct vy_timer *timer;
    uint8_t *bytes;
    size_t received;
    size_t damaged;
};

static void node_stop(void *arg)
{
    struct node *node = arg;
    raft_link_free(node->link);
    vy_timer_free(node->timer);
    vy_loop_uv_stop(node->loop);
}

/* A game of ball: node 1 serves, each frame is answered by the next, node 2 keeps the last. */
static void node_send(void *arg)
{
    struct node *node = arg;
    struct replica_transport *transport = raft_link_transport(node->link);
    if (!raft_link_reaches(node->link, node->peer_id)) {
        vy_timer_start(node->timer, 5); /* theirs to us may be up before ours to them */
        return;
    }
    transport->send(transport, node->peer_id, "", vy_bytes(node->bytes, PING_BYTES));
}

static void node_on_frame(void *arg, uint64_t member_id, struct vy_bytes frame)
{
    struct node *node = arg;
    node->received++;
    node->damaged +=
        member_id != node->peer_id || !vy_bytes_equal(frame, vy_bytes(node->bytes, PING_BYTES));
    if (node->id == 2 && node->received == PING_FRAMES) {
        vy_loop_post(node->loop, node_stop, node);
    } else {
        node_send(node);
    }
}

static void *node_run(void *arg)
{
    struct node *node = arg;
    char own[32];
    char peer[32];
    (void)snprintf(own, sizeof(own), "tcp://127.0.0.1:%u", (unsigned)node->port);
    (void)snprintf(peer, sizeof(peer), "tcp://127.0.0.1:%u", (unsigned)node->peer_port);
    const struct raft_link_member pair[] = {
        {.id = node->id,      .node = node->name,      .address = own },
        {.id = node->peer_id, .node = node->peer_name, .address = peer},
    };
    fixture_log_init(&node->log, vy_clock_system());
    node->bytes = make_bytes(PING_BYTES);
    node->tls = rpc_certs_context(node->certs, node->name, "ca");
    node->rpc = (struct rpc_config){.loop = node->loop,
                                    .rng = vy_rng_system(),
                                    .log = &node->log.log,
                                    .cluster = "test",
                                    .node = node->name,
                                    .role = RPC_ROLE_SHARD,
                                    .tls = node->tls};
    const struct raft_link_config config = {.rpc = &node->rpc,
                                            .member_id = node->id,
                                            .members = pair,
                                            .member_count = 2,
                                            .listen = own,
                                            .on_frame = node_on_frame,
                                            .arg = node};
    VY_ASSERT(!vy_failed(raft_link_new(&config, &node->link)));
    node->timer = vy_timer_new(node->loop, node_send, node);
    VY_ASSERT(node->timer != NULL);
    if (node->id == 1) {
        vy_timer_start(node->timer, 5);
    }
    vy_loop_uv_run(node->loop);
    vy_loop_uv_free(node->loop);
    rpc_tls_context_free(node->tls);
    free(node->bytes);
    return NULL;
}

/* Two ports that are free now. */
static void free_ports(uint16_t out[2])
{
    struct fake_clock clock;
    struct fake_loop loop;
    struct fixture_log log;
    struct rpc_server *servers[2];
    fake_clock_init(&clock);
    fake_loop_init(&loop, &clock);
    fixture_log_init(&log, &clock.base);
    const struct rpc_config config = {.loop = &loop.base,
                                      .rng = vy_rng_system(),
                                      .log = &log.log,
                                      .cluster = "test",
                                      .node = "probe",
                                      .role = RPC_ROLE_SHARD,
                                      .allow_plain_loopback = true};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(rpc_server_new(&config, &servers[i]).code, VY_CODE_OK);
        assert_int_equal(rpc_server_listen(servers[i], "tcp://127.0.0.1:0").code, VY_CODE_OK);
        out[i] = rpc_server_port(servers[i]);
    }
    rpc_server_free(servers[0]);
    rpc_server_free(servers[1]);
    fake_loop_run_ms(&loop, 1);
    fake_loop_deinit(&loop);
}

static void frames_pass_between_threads_over_tcp_and_tls(void **state)
{
    (void)state;
    static struct node nodes[2];
    struct rpc_certs certs;
    uint16_t ports[2];
    rpc_certs_init(&certs);
    rpc_certs_make_ca(&certs, "ca");
    rpc_certs_make(&certs, &(struct rpc_certs_leaf){.name = "shard-1",
                                                    .ca = "ca",
                                                    .san = "URI:spiffe://test/shard/shard-1"});
    rpc_certs_make(&certs, &(struct rpc_certs_leaf){.name = "shard-2",
                                                    .ca = "ca",
                                                    .san = "URI:spiffe://test/shard/shard-2"});
    free_ports(ports);
    nodes[0] = (struct node){.certs = &certs,
                             .name = "shard-1",
                             .id = 1,
                             .peer_id = 2,
                             .peer_name = "shard-2",
                             .port = ports[0],
                             .peer_port = ports[1]};
    nodes[1] = (struct node){.certs = &certs,
                             .name = "shard-2",
                             .id = 2,
                             .peer_id = 1,
                             .peer_name = "shard-1",
                             .port = ports[1],
                             .peer_port = ports[0]};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(vy_loop_uv_new(&nodes[i].loop).code, VY_CODE_OK);
        assert_int_equal(pthread_create(&nodes[i].thread, NULL, node_run, &nodes[i]), 0);
    }
    assert_int_equal(pthread_join(nodes[1].thread, NULL), 0);
    vy_loop_post(nodes[0].loop, node_stop, &nodes[0]);
    assert_int_equal(pthread_join(nodes[0].thread, NULL), 0);
    assert_int_equal(nodes[0].received, PING_FRAMES - 1);
    assert_int_equal(nodes[1].received, PING_FRAMES);
    assert_int_equal(nodes[0].damaged + nodes[1].damaged, 0);
    rpc_certs_deinit(&certs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_of_any_size_arrive_whole_and_in_order),
        cmocka_unit_test(pieces_of_snapshots_take_another_way_than_messages),
        cmocka_unit_test(a_full_queue_drops_what_is_new),
        cmocka_unit_test(a_member_that_comes_back_gets_no_half_frames),
        cmocka_unit_test(who_speaks_for_another_nodes_member_is_cut_off),
        cmocka_unit_test(a_role_that_has_no_raft_is_denied),
        cmocka_unit_test(pieces_that_make_no_frame_cut_the_peer_off),
        cmocka_unit_test(the_newer_call_of_a_member_replaces_the_older),
        cmocka_unit_test(frames_pass_between_threads_over_tcp_and_tls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
