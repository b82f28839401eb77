/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A peer of the link that sends any bytes, on either side of a connection, in virtual time.
 * Whatever it says, no memory is lost or misused, every call ends once, and what we send back are
 * legal frames.
 *
 *   byte 0  bit 0: the peer accepts (else it dials); bit 1: it greets properly first; the other
 *           bits seed the splits
 */
#include "base/assert.h"
#include "base/codec.h"
#include "proto/rpc.pb.h"
#include "proto/rpc_fixture.h"
#include "proto/rpc_pipe.h"
#include "tests/lib/fault.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CALLS 4U

/* No allocation is made to fail here: what fake_loop.c asks of fault.c. */
void *fault_safe_realloc(void *memory, size_t size)
{
    return realloc(memory, size);
}

struct peer {
    struct fake_loop *loop;
    struct rpc_pipe *pipe; /* NULL: closed */
    struct rpc_frame_parser parser;
    bool is_open;
    bool is_sending;
};
struct world {
    struct fake_clock clock;
    struct fake_loop loop;
    struct fake_rng rng;
    struct fixture_log log;
    struct rpc_inproc *hub;
    struct rpc_config config;
    struct peer peer;
};

/* ---- the peer: raw bytes over a pipe ---- */

static void peer_on_open(void *arg, const struct rpc_pipe_peer *who)
{
    struct peer *peer = arg;
    (void)who;
    peer->is_open = true;
}

static void peer_on_data(void *arg, struct vy_bytes bytes)
{
    struct peer *peer = arg;
    bool is_ready = true;
    while (is_ready) {
        struct rpc_frame frame;
        VY_ASSERT(!vy_failed(rpc_frame_parser_next(&peer->parser, &bytes, &frame, &is_ready)));
    }
}

static void peer_on_sent(void *arg)
{
    struct peer *peer = arg;
    peer->is_sending = false;
}

static void peer_on_closed(void *arg, struct vy_err why)
{
    struct peer *peer = arg;
    (void)why;
    rpc_pipe_close(VY_TAKE(peer->pipe));
}

static const struct rpc_pipe_events peer_events = {.on_open = peer_on_open,
                                                   .on_data = peer_on_data,
                                                   .on_sent = peer_on_sent,
                                                   .on_closed = peer_on_closed};

static void peer_take(void *arg, struct rpc_pipe *pipe)
{
    struct peer *peer = arg;
    if (peer->pipe != NULL) { /* the link dials again: one connection is enough */
        rpc_pipe_close(pipe);
        return;
    }
    peer->pipe = pipe;
    rpc_pipe_start(pipe, &peer_events, peer);
}

static void peer_send(struct world *world, struct vy_bytes bytes)
{
    struct peer *peer = &world->peer;
    fake_loop_run_posts(&world->loop);
    if (peer->pipe == NULL || !peer->is_open || bytes.len == 0) {
        return;
    }
    VY_ASSERT(!peer->is_sending);
    struct rpc_block_list list = {.first = NULL};
    struct rpc_block *block = rpc_block_new(0, bytes.len);
    VY_ASSERT(block != NULL);
    rpc_block_append(block, bytes);
    rpc_block_list_push(&list, block);
    peer->is_sending = true;
    rpc_pipe_send(peer->pipe, &list);
    fake_loop_run_posts(&world->loop);
}

static void peer_greet(struct world *world)
{
    const struct rpc_hello hello = {.version = 1,
                                    .version_min = 1,
                                    .cluster = VY_LIT("test"),
                                    .node = VY_LIT("peer"),
                                    .role = RPC_ROLE_SHARD,
                                    .stream_window_bytes = RPC_STREAM_WINDOW_BYTES,
                                    .link_window_bytes = RPC_LINK_WINDOW_BYTES};
    uint8_t header[RPC_FRAME_HEADER_BYTES];
    struct vy_buf buf;
    vy_buf_init(&buf, 1000);
    VY_ASSERT(!vy_failed(vy_pb_encode(&rpc_hello_desc, &hello, &buf)));
    const struct rpc_frame frame = {.type = RPC_FRAME_HELLO, .payload = vy_buf_bytes(&buf)};
    rpc_frame_write_header(&frame, header);
    peer_send(world, vy_bytes(header, sizeof(header)));
    peer_send(world, vy_buf_bytes(&buf));
    vy_buf_deinit(&buf);
}

/* Makes the checksums of whole DATA frames right, or nothing behind them would ever be reached. */
static void fix_checksums(uint8_t *data, size_t size)
{
    size_t at = 0;
    while (size - at >= RPC_FRAME_HEADER_BYTES) {
        const size_t len = vy_get_be32(data + at);
        if (len > size - at - RPC_FRAME_HEADER_BYTES) {
            return;
        }
        if (data[at + 4] == RPC_FRAME_DATA) {
            const struct vy_bytes payload = vy_bytes(data + at + RPC_FRAME_HEADER_BYTES, len);
            vy_put_be32(data + at + 12, vy_crc32c(0, payload));
        }
        at += RPC_FRAME_HEADER_BYTES + len;
    }
}

static void peer_say(struct world *world, struct vy_bytes bytes, uint32_t seed)
{
    while (bytes.len > 0) {
        seed = seed * 1664525U + 1013904223U;
        const size_t step = 1 + (seed >> 16) % 200;
        peer_send(world, vy_bytes_slice(bytes, 0, step));
        bytes = vy_bytes_from(bytes, step);
    }
}

/* ---- the two sides under test ---- */

static void meet_server(struct world *world, struct vy_bytes input, uint8_t flags)
{
    const struct rpc_address address = {.kind = RPC_ADDRESS_INPROC, .name = "server"};
    struct fixture_server *fixture = calloc(1, sizeof(*fixture));
    struct rpc_pipe *pipe = NULL;
    VY_ASSERT(fixture != NULL);
    fixture_server_init(fixture, &world->config);
    VY_ASSERT(!vy_failed(rpc_server_listen(fixture->server, "inproc:server")));
    VY_ASSERT(!vy_failed(rpc_inproc_dial(&world->config, &address, &pipe)));
    peer_take(&world->peer, pipe);
    if ((flags & 2) != 0) {
        peer_greet(world);
    }
    peer_say(world, input, flags);
    fake_loop_run_ms(&world->loop, 10);
    fixture_server_release(fixture);
    fake_loop_run_ms(&world->loop, 60000);
    fixture_server_release(fixture);
    rpc_server_free(fixture->server);
    free(fixture);
}

static void meet_link(struct world *world, struct vy_bytes input, uint8_t flags)
{
    static const uint32_t methods[CALLS] = {FIXTURE_ECHO, FIXTURE_UP, FIXTURE_DOWN, FIXTURE_WATCH};
    const struct rpc_address address = {.kind = RPC_ADDRESS_INPROC, .name = "peer"};
    const struct rpc_link_options options = {.address = "inproc:peer"};
    struct fixture_call calls[CALLS] = {{.call = NULL}, {.to_send = 300000}};
    struct rpc_listener *listener = NULL;
    struct rpc_link *link = NULL;
    VY_ASSERT(!vy_failed(rpc_inproc_listen(&world->config, &address, &listener)));
    listener->on_accept = peer_take;
    listener->arg = &world->peer;
    VY_ASSERT(!vy_failed(rpc_link_new(&world->config, &options, &link)));
    for (size_t i = 0; i < CALLS; i++) {
        const struct rpc_call_options call = {.has_body = i == 1, .endless = i == 3};
        VY_ASSERT(fixture_call_start(&calls[i], link, methods[i], VY_LIT("request"), &call));
    }
    fixture_call_pump(&calls[1]);
    fake_loop_run_ms(&world->loop, 1);
    if ((flags & 2) != 0) {
        peer_greet(world);
    }
    peer_say(world, input, flags);
    fake_loop_run_ms(&world->loop, 60000);
    rpc_link_free(link);
    for (size_t i = 0; i < CALLS; i++) {
        VY_ASSERT(calls[i].is_ended);
    }
    rpc_listener_close(listener);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    static struct world world;
    world = (struct world){.peer.loop = &world.loop};
    fake_clock_init(&world.clock);
    fake_loop_init(&world.loop, &world.clock);
    fake_rng_init(&world.rng, 1);
    fixture_log_init(&world.log, &world.clock.base);
    rpc_frame_parser_init(&world.peer.parser);
    VY_ASSERT(!vy_failed(rpc_inproc_new(&world.hub)));
    world.config = (struct rpc_config){.loop = &world.loop.base,
                                       .rng = &world.rng.base,
                                       .log = &world.log.log,
                                       .cluster = "test",
                                       .node = "node",
                                       .role = RPC_ROLE_ALL,
                                       .inproc = world.hub};
    uint8_t *copy = malloc(size);
    VY_ASSERT(copy != NULL);
    memcpy(copy, data + 1, size - 1);
    if ((data[0] & 4) == 0) {
        fix_checksums(copy, size - 1);
    }
    const struct vy_bytes input = vy_bytes(copy, size - 1);
    if ((data[0] & 1) == 0) {
        meet_server(&world, input, data[0]);
    } else {
        meet_link(&world, input, data[0]);
    }
    free(copy);
    if (world.peer.pipe != NULL) {
        rpc_pipe_close(world.peer.pipe);
    }
    fake_loop_run_ms(&world.loop, 60000);
    rpc_frame_parser_deinit(&world.peer.parser);
    rpc_inproc_free(world.hub);
    fake_loop_deinit(&world.loop);
    return 0;
}
