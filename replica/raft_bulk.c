/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bulk lane of a raft link: pieces of snapshots, on a connection of their own, which is dialled
 * when there is something to send and given up when it has rested. So raft's messages never wait
 * behind them. Each frame is one message; what does not fit into the queue is lost, and asked for
 * again.
 */
#include "base/assert.h"
#include "replica/raft_link_private.h"
#include <stdlib.h>

#define QUEUE_BYTES_MAX (4U * 1024U * 1024U) /* per member; the windows of two transfers fit */
#define REST_MS 60000U
#define CALLS_MAX 32U /* nine members, and their calls of yesterday's links */

struct bulk_frame {
    struct vy_list node;
    size_t len;
    uint8_t bytes[];
};

struct raft_bulk {
    struct raft_peer *peer;
    struct rpc_link *link; /* owned */
    struct rpc_call *call; /* NULL: not reachable */
    struct vy_timer *timer;
    struct vy_list frames;
    size_t bytes; /* in the queue */
    uint64_t used_ms;
};

static uint64_t now_ms(const struct raft_peer *peer)
{
    return vy_loop_now_ms(peer->owner->rpc.loop);
}

/* ---- sending ---- */

static void drop_frames(struct raft_bulk *bulk)
{
    for (struct vy_list *item; (item = vy_list_pop_front(&bulk->frames)) != NULL;) {
        free(VY_CONTAINER_OF(item, struct bulk_frame, node));
        bulk->peer->owner->stats.bulk_dropped++;
    }
    bulk->bytes = 0;
}

static void pump(struct raft_bulk *bulk)
{
    while (bulk->call != NULL && !vy_list_is_empty(&bulk->frames)) {
        struct bulk_frame *frame = VY_CONTAINER_OF(bulk->frames.next, struct bulk_frame, node);
        if (!rpc_call_send_message(bulk->call, vy_bytes(frame->bytes, frame->len))) {
            return; /* call_on_writable */
        }
        vy_list_remove(&frame->node);
        bulk->bytes -= frame->len;
        bulk->peer->owner->stats.bulk_sent++;
        free(frame);
    }
}

static void call_on_writable(void *arg)
{
    pump(arg);
}

static void call_on_end(void *arg, const struct rpc_status *status, struct vy_bytes reply)
{
    struct raft_bulk *bulk = arg;
    (void)status; /* the other lane says what is wrong */
    (void)reply;
    bulk->call = NULL;
    drop_frames(bulk);
}

static const struct rpc_call_events call_events = {.on_writable = call_on_writable,
                                                   .on_end = call_on_end};

static void open_call(struct raft_bulk *bulk)
{
    static const struct rpc_call_options options = {.endless = true, .has_body = true};
    uint8_t opening[OPENING_BYTES] = {OPENING_VERSION};
    if (bulk->call != NULL || !rpc_link_is_up(bulk->link)) {
        return;
    }
    vy_put_be64(opening + 1, bulk->peer->owner->member_id);
    vy_put_be64(opening + 9, bulk->peer->id);
    bulk->call = rpc_call_start(bulk->link, RAFT_METHOD_BULK, vy_bytes(opening, OPENING_BYTES),
                                &options, &call_events, bulk);
    pump(bulk);
}

static void link_on_state(void *arg, bool is_up)
{
    if (is_up) {
        open_call(arg);
    }
}

static void on_timer(void *arg)
{
    struct raft_bulk *bulk = arg;
    const uint64_t rested_ms = now_ms(bulk->peer) - bulk->used_ms;
    if (rested_ms >= REST_MS) {
        raft_bulk_end(bulk->peer);
        return;
    }
    vy_timer_start(bulk->timer, REST_MS - rested_ms);
}

static struct raft_bulk *bulk_new(struct raft_peer *peer)
{
    struct raft_bulk *bulk = calloc(1, sizeof(*bulk));
    if (bulk == NULL) {
        return NULL;
    }
    bulk->peer = peer;
    vy_list_init(&bulk->frames);
    peer->bulk = bulk;
    bulk->timer = vy_timer_new(peer->owner->rpc.loop, on_timer, bulk);
    const struct rpc_link_options options = {.address = rpc_link_address(peer->link),
                                             .peer_roles = (uint32_t)peer->owner->rpc.role,
                                             .peer_node = peer->node,
                                             .on_state = link_on_state,
                                             .arg = bulk};
    if (bulk->timer == NULL || vy_failed(rpc_link_new(&peer->owner->rpc, &options, &bulk->link))) {
        raft_bulk_end(peer);
        return NULL;
    }
    vy_timer_start(bulk->timer, REST_MS);
    return bulk;
}

void raft_bulk_send(struct replica_transport *transport, uint64_t member_id, struct vy_bytes bytes)
{
    struct raft_link *link = VY_CONTAINER_OF(transport, struct raft_link, transport);
    struct raft_peer *peer = raft_link_find(link, member_id);
    struct bulk_frame *frame = NULL;
    VY_ASSERT(bytes.len > 0 && bytes.len <= RPC_MESSAGE_BYTES_MAX);
    struct raft_bulk *bulk = peer == NULL ? NULL : peer->bulk != NULL ? peer->bulk : bulk_new(peer);
    if (bulk != NULL && bytes.len <= QUEUE_BYTES_MAX - bulk->bytes) {
        frame = malloc(sizeof(*frame) + bytes.len);
    }
    if (frame == NULL) {
        link->stats.bulk_dropped++;
        return;
    }
    frame->len = bytes.len;
    memcpy(frame->bytes, bytes.data, bytes.len);
    vy_list_push_back(&bulk->frames, &frame->node);
    bulk->bytes += bytes.len;
    bulk->used_ms = now_ms(peer);
    open_call(bulk);
    pump(bulk);
}

/* ---- receiving ---- */

struct raft_bulk_incoming {
    struct raft_peer *peer;
    struct rpc_server_call *call;
};

static void incoming_end(struct raft_bulk_incoming *incoming, struct vy_err why)
{
    if (incoming->peer->bulk_incoming == incoming) {
        incoming->peer->bulk_incoming = NULL;
    }
    rpc_server_call_fail(incoming->call, why, NULL, 0);
    free(incoming);
}

static void incoming_on_data(void *arg, struct vy_bytes bytes)
{
    struct raft_bulk_incoming *incoming = arg;
    struct raft_link *link = incoming->peer->owner;
    rpc_server_call_consumed(incoming->call, bytes.len);
    if (link->on_bulk != NULL) {
        link->on_bulk(link->arg, incoming->peer->id, bytes);
    }
}

static void incoming_on_data_end(void *arg)
{
    incoming_end(arg, vy_error(VY_CODE_CANCELLED, "member ended its call"));
}

static void incoming_on_cancel(void *arg)
{
    incoming_end(arg, vy_error(VY_CODE_CANCELLED, "member is gone"));
}

static const struct rpc_server_call_events incoming_events = {.on_data = incoming_on_data,
                                                              .on_data_end = incoming_on_data_end,
                                                              .on_cancel = incoming_on_cancel};

static void on_bulk(void *arg, struct rpc_server_call *call, struct vy_bytes opening)
{
    struct raft_link *link = arg;
    struct raft_peer *peer = raft_link_admit(link, call, opening);
    struct raft_bulk_incoming *incoming = peer == NULL ? NULL : calloc(1, sizeof(*incoming));
    if (peer == NULL) {
        return;
    }
    if (incoming == NULL) {
        rpc_server_call_fail(call, vy_error(VY_CODE_BUSY, "memory"), NULL, 0);
        return;
    }
    if (peer->bulk_incoming != NULL) { /* of a link that is dead and does not know it yet */
        incoming_end(peer->bulk_incoming, vy_error(VY_CODE_CANCELLED, "member called again"));
    }
    *incoming = (struct raft_bulk_incoming){.peer = peer, .call = call};
    peer->bulk_incoming = incoming;
    rpc_server_call_set_events(call, &incoming_events, incoming);
}

struct rpc_server_method raft_bulk_method(const struct raft_link *link)
{
    return (struct rpc_server_method){.id = RAFT_METHOD_BULK,
                                      .name = "raft.bulk",
                                      .roles = (uint32_t)link->rpc.role,
                                      .request_bytes_max = OPENING_BYTES,
                                      .in_flight_max = CALLS_MAX,
                                      .endless = true,
                                      .handler = on_bulk};
}

/* ---- the end ---- */

void raft_bulk_end(struct raft_peer *peer)
{
    struct raft_bulk *bulk = VY_TAKE(peer->bulk);
    if (bulk == NULL) {
        return;
    }
    rpc_call_cancel(VY_TAKE(bulk->call));
    rpc_link_free(bulk->link);
    drop_frames(bulk);
    vy_timer_free(bulk->timer);
    free(bulk);
}

void raft_bulk_end_incoming(struct raft_peer *peer)
{
    if (peer->bulk_incoming != NULL) {
        incoming_end(peer->bulk_incoming, vy_error(VY_CODE_CANCELLED, "no member of this group"));
    }
}
