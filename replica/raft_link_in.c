/* SPDX-License-Identifier: Apache-2.0 */
/* What other members send to us: who they are, and frames out of pieces. */
#include "base/assert.h"
#include "replica/raft_link_private.h"
#include <stdlib.h>

#define CALLS_MAX 32U /* nine members, and their calls of yesterday's links */

struct raft_incoming {
    struct raft_peer *peer;
    struct rpc_server_call *call;
    struct vy_buf frame; /* what came of it */
    uint32_t to_come;    /* bytes behind what came; 0: between frames */
};

static void incoming_end(struct raft_incoming *incoming, struct vy_err why)
{
    if (incoming->peer->incoming == incoming) {
        incoming->peer->incoming = NULL;
    }
    rpc_server_call_fail(incoming->call, why, NULL, 0);
    vy_buf_deinit(&incoming->frame);
    free(incoming);
}

void raft_link_end_incoming(struct raft_peer *peer)
{
    if (peer->incoming != NULL) {
        incoming_end(peer->incoming, vy_error(VY_CODE_CANCELLED, "no member of this group"));
    }
}

/* Adds one piece. *is_whole: frame holds all of it. */
static struct vy_err add_piece(struct raft_incoming *incoming, struct vy_bytes piece,
                               bool *is_whole)
{
    if (piece.len <= PIECE_HEADER_BYTES) {
        return vy_error(VY_CODE_SYNTAX, "raft piece is empty");
    }
    const uint32_t behind = vy_get_be32(piece.data);
    const struct vy_bytes bytes = vy_bytes_from(piece, PIECE_HEADER_BYTES);
    const uint64_t left = (uint64_t)behind + bytes.len;
    if (left > REPLICA_FRAME_BYTES_MAX) {
        return vy_error(VY_CODE_LIMIT, "raft frame is over 8 MiB");
    }
    if (incoming->to_come != 0 && left != incoming->to_come) {
        return vy_error(VY_CODE_SYNTAX, "raft piece does not follow the last");
    }
    vy_buf_append(&incoming->frame, bytes);
    VY_TRY(vy_buf_error(&incoming->frame));
    incoming->to_come = behind;
    *is_whole = behind == 0;
    return vy_ok();
}

static void take_piece(struct raft_incoming *incoming, struct vy_bytes piece)
{
    struct raft_link *link = incoming->peer->owner;
    bool is_whole = false;
    const struct vy_err err = add_piece(incoming, piece, &is_whole);
    if (vy_failed(err)) {
        link->stats.peers_broken++;
        vy_log(link->rpc.log, VY_LOG_ERROR, "raft.link.broken",
               VY_CSTR("rpc.node", incoming->peer->node), VY_LOG_ERR(err));
        rpc_server_call_close_link(incoming->call, err);
        incoming_end(incoming, err);
        return;
    }
    if (!is_whole) {
        return;
    }
    link->stats.frames_received++;
    link->on_frame(link->arg, incoming->peer->id, vy_buf_bytes(&incoming->frame));
    vy_buf_reset(&incoming->frame);
    if (incoming->frame.capacity > PIECE_BYTES_MAX) {
        vy_buf_release(&incoming->frame);
    }
}

static void incoming_on_data(void *arg, struct vy_bytes piece)
{
    struct raft_incoming *incoming = arg;
    rpc_server_call_consumed(incoming->call, piece.len);
    take_piece(incoming, piece);
}

static void incoming_on_data_end(void *arg)
{
    incoming_end(arg, vy_error(VY_CODE_CANCELLED, "member ended its call"));
}

static void incoming_on_cancel(void *arg)
{
    const struct raft_incoming *incoming = arg;
    struct raft_peer *peer = incoming->peer;
    incoming_end(arg, vy_error(VY_CODE_CANCELLED, "member is gone"));
    raft_link_note_loss(peer);
}

static const struct rpc_server_call_events incoming_events = {.on_data = incoming_on_data,
                                                              .on_data_end = incoming_on_data_end,
                                                              .on_cancel = incoming_on_cancel};

/* R2: the member that the opening names, if it lives on the node that the peer has proven to be. */
static struct vy_err check_opening(struct raft_link *link, const struct rpc_peer *from,
                                   struct vy_bytes opening, struct raft_peer **out)
{
    if (opening.len != OPENING_BYTES || opening.data[0] != OPENING_VERSION) {
        return vy_error(VY_CODE_UNSUPPORTED, "raft link version");
    }
    struct raft_peer *peer = raft_link_find(link, vy_get_be64(opening.data + 1));
    if (peer == NULL) {
        return vy_error(VY_CODE_DENIED, "no such member in this group");
    }
    if (strcmp(peer->node, from->node) != 0) {
        return vy_error(VY_CODE_DENIED, "member lives on another node");
    }
    if (vy_get_be64(opening.data + 9) != link->member_id) {
        return vy_error(VY_CODE_DENIED, "meant for another member");
    }
    *out = peer;
    return vy_ok();
}

static void deny(struct raft_link *link, struct rpc_server_call *call, struct vy_err why)
{
    if (why.code == VY_CODE_DENIED) {
        link->stats.peers_denied++;
        vy_log(link->rpc.log, VY_LOG_ERROR, "raft.link.denied",
               VY_CSTR("rpc.node", rpc_server_call_peer(call)->node), VY_LOG_ERR(why));
        rpc_server_call_close_link(call, why);
    }
    rpc_server_call_fail(call, why, NULL, 0);
}

struct raft_peer *raft_link_admit(struct raft_link *link, struct rpc_server_call *call,
                                  struct vy_bytes opening)
{
    struct raft_peer *peer = NULL;
    const struct vy_err err = check_opening(link, rpc_server_call_peer(call), opening, &peer);
    if (vy_failed(err)) {
        deny(link, call, err);
        return NULL;
    }
    return peer;
}

static void on_messages(void *arg, struct rpc_server_call *call, struct vy_bytes opening)
{
    struct raft_link *link = arg;
    struct raft_peer *peer = raft_link_admit(link, call, opening);
    if (peer == NULL) {
        return;
    }
    struct raft_incoming *incoming = calloc(1, sizeof(*incoming));
    if (incoming == NULL) {
        rpc_server_call_fail(call, vy_error(VY_CODE_BUSY, "memory"), NULL, 0);
        return;
    }
    if (peer->incoming != NULL) { /* of a link that is dead and does not know it yet */
        incoming_end(peer->incoming, vy_error(VY_CODE_CANCELLED, "member called again"));
    }
    *incoming = (struct raft_incoming){.peer = peer, .call = call};
    vy_buf_init(&incoming->frame, REPLICA_FRAME_BYTES_MAX);
    peer->incoming = incoming;
    rpc_link_hurry(peer->link); /* it is back: our answers must reach it */
    rpc_server_call_set_events(call, &incoming_events, incoming);
}

struct vy_err raft_link_listen(struct raft_link *link, const char *address)
{
    link->methods[0] = (struct rpc_server_method){.id = RAFT_METHOD_MESSAGES,
                                                  .name = "raft.messages",
                                                  .roles = (uint32_t)link->rpc.role,
                                                  .request_bytes_max = OPENING_BYTES,
                                                  .in_flight_max = CALLS_MAX,
                                                  .endless = true,
                                                  .handler = on_messages};
    link->methods[1] = raft_bulk_method(link);
    VY_TRY(rpc_server_new(&link->rpc, &link->server));
    VY_TRY(rpc_server_add_methods(link->server, link->methods, VY_COUNT_OF(link->methods), link));
    return rpc_server_listen(link->server, address);
}
