/* SPDX-License-Identifier: Apache-2.0 */
#include "replica/raft_link.h"

#include "base/assert.h"
#include "replica/raft_link_private.h"
#include <stdlib.h>

/* Before a call that a member refused or left is opened again; longer while that goes on. */
#define REOPEN_MS 200U
#define REOPEN_MS_MAX 5000U
#define STEADY_MS 5000U /* a call that lived this long was accepted */

/* One frame in the queue, its bytes behind it. */
struct queued {
    struct vy_list node;
    uint32_t len;
    uint32_t sent;
    uint8_t bytes[];
};

struct raft_peer *raft_link_find(struct raft_link *link, uint64_t member_id)
{
    for (size_t i = 0; i < link->peer_count; i++) {
        if (link->peers[i]->id == member_id) {
            return link->peers[i];
        }
    }
    return NULL;
}

void raft_link_note_loss(struct raft_peer *peer)
{
    const struct replica_transport *transport = &peer->owner->transport;
    if (transport->lost != NULL && peer->incoming == NULL && !rpc_link_is_up(peer->link)) {
        transport->lost(transport->lost_arg, peer->id);
    }
}

/* ---- the queue of a member ---- */

static void drop_first(struct raft_peer *peer)
{
    struct queued *frame = VY_CONTAINER_OF(vy_list_pop_front(&peer->frames), struct queued, node);
    peer->queue_bytes -= frame->len;
    peer->queue_frames--;
    free(frame);
}

/* What the next call would continue in the middle, or is too old to be of use. */
static void drop_all(struct raft_peer *peer)
{
    while (!vy_list_is_empty(&peer->frames)) {
        drop_first(peer);
        peer->owner->stats.frames_dropped++;
    }
}

/* The next piece of the frame. False: no credit. */
static bool send_piece(struct raft_peer *peer, struct queued *frame)
{
    uint8_t *piece = peer->owner->piece;
    const uint32_t len = VY_MIN(frame->len - frame->sent, PIECE_BYTES_MAX);
    vy_put_be32(piece, frame->len - frame->sent - len);
    memcpy(piece + PIECE_HEADER_BYTES, frame->bytes + frame->sent, len);
    if (!rpc_call_send_message(peer->call, vy_bytes(piece, PIECE_HEADER_BYTES + len))) {
        return false;
    }
    frame->sent += len;
    return true;
}

static void pump(struct raft_peer *peer)
{
    while (peer->call != NULL && !vy_list_is_empty(&peer->frames)) {
        struct queued *frame = VY_CONTAINER_OF(peer->frames.next, struct queued, node);
        if (!send_piece(peer, frame)) {
            return;
        }
        if (frame->sent == frame->len) {
            peer->owner->stats.frames_sent++;
            drop_first(peer);
        }
    }
}

static bool has_room(const struct raft_peer *peer, size_t len)
{
    return peer->queue_frames < RAFT_LINK_QUEUE_FRAMES_MAX &&
           peer->queue_bytes + len <= peer->owner->queue_bytes_max;
}

static void transport_send(struct replica_transport *transport, uint64_t member_id,
                           const char *address, struct vy_bytes frame)
{
    struct raft_link *link = VY_CONTAINER_OF(transport, struct raft_link, transport);
    struct raft_peer *peer = raft_link_find(link, member_id);
    (void)address; /* members are known by id; their addresses are ours */
    VY_ASSERT(frame.len > 0 && frame.len <= REPLICA_FRAME_BYTES_MAX);
    struct queued *queued = NULL;
    if (peer != NULL && peer->call != NULL && has_room(peer, frame.len)) {
        queued = malloc(sizeof(*queued) + frame.len);
    }
    if (queued == NULL) {
        link->stats.frames_dropped++;
        return;
    }
    *queued = (struct queued){.len = (uint32_t)frame.len};
    memcpy(queued->bytes, frame.data, frame.len);
    vy_list_push_back(&peer->frames, &queued->node);
    peer->queue_bytes += frame.len;
    peer->queue_frames++;
    pump(peer);
}

/* ---- the call to a member ---- */

static void arm_timer(struct raft_link *link)
{
    const uint64_t now_ms = vy_loop_now_ms(link->rpc.loop);
    uint64_t next_ms = UINT64_MAX;
    for (size_t i = 0; i < link->peer_count; i++) {
        next_ms = VY_MIN(next_ms, link->peers[i]->reopen_at_ms);
    }
    if (next_ms != UINT64_MAX) {
        vy_timer_start(link->timer, next_ms > now_ms ? next_ms - now_ms : 0);
    }
}

static void reopen_later(struct raft_peer *peer, uint32_t pause_ms)
{
    peer->reopen_at_ms = vy_loop_now_ms(peer->owner->rpc.loop) + pause_ms;
    peer->reopen_ms = VY_MIN(pause_ms * 2, REOPEN_MS_MAX);
    arm_timer(peer->owner);
}

static void call_on_writable(void *arg)
{
    pump(arg);
}

static void call_on_end(void *arg, const struct rpc_status *status, struct vy_bytes reply)
{
    struct raft_peer *peer = arg;
    const struct vy_err why = rpc_status_err(status);
    const uint64_t now_ms = vy_loop_now_ms(peer->owner->rpc.loop);
    const bool was_steady = now_ms - peer->opened_ms >= STEADY_MS;
    (void)reply;
    peer->call = NULL;
    drop_all(peer);
    if (was_steady || why.code != peer->ended) {
        vy_log(peer->owner->rpc.log, VY_LOG_INFO, "raft.link.ended",
               VY_CSTR("rpc.node", peer->node), VY_LOG_ERR(why));
    }
    peer->ended = was_steady ? VY_CODE_OK : why.code;
    reopen_later(peer, was_steady ? REOPEN_MS : peer->reopen_ms);
}

static const struct rpc_call_events call_events = {.on_writable = call_on_writable,
                                                   .on_end = call_on_end};

static void open_call(struct raft_peer *peer)
{
    static const struct rpc_call_options options = {.endless = true, .has_body = true};
    uint8_t opening[OPENING_BYTES] = {OPENING_VERSION};
    vy_put_be64(opening + 1, peer->owner->member_id);
    vy_put_be64(opening + 9, peer->id);
    peer->reopen_at_ms = UINT64_MAX;
    if (peer->call != NULL || !rpc_link_is_up(peer->link)) {
        return;
    }
    peer->opened_ms = vy_loop_now_ms(peer->owner->rpc.loop);
    peer->call = rpc_call_start(peer->link, RAFT_METHOD_MESSAGES, vy_bytes(opening, OPENING_BYTES),
                                &options, &call_events, peer);
    if (peer->call == NULL) {
        reopen_later(peer, peer->reopen_ms); /* no memory */
    }
}

static void link_on_state(void *arg, bool is_up)
{
    if (is_up) {
        open_call(arg);
    } else {
        raft_link_note_loss(arg);
    }
}

static void on_timer(void *arg)
{
    struct raft_link *link = arg;
    const uint64_t now_ms = vy_loop_now_ms(link->rpc.loop);
    for (size_t i = 0; i < link->peer_count; i++) {
        if (link->peers[i]->reopen_at_ms <= now_ms) {
            open_call(link->peers[i]);
        }
    }
    arm_timer(link);
}

/* ---- life ---- */

static void peer_free(struct raft_peer *peer)
{
    rpc_call_cancel(VY_TAKE(peer->call));
    raft_bulk_end(peer);
    raft_bulk_end_incoming(peer);
    raft_link_end_incoming(peer);
    rpc_link_free(peer->link);
    drop_all(peer);
    free(peer);
}

static bool is_valid(const struct raft_link_member *member)
{
    return member->id != 0 && member->node != NULL && member->node[0] != '\0' &&
           strlen(member->node) <= RPC_NAME_BYTES_MAX && member->address != NULL &&
           strlen(member->address) <= REPLICA_ADDRESS_BYTES_MAX;
}

static struct vy_err add_peer(struct raft_link *link, const struct raft_link_member *member)
{
    if (!is_valid(member) || raft_link_find(link, member->id) != NULL) {
        return vy_error(VY_CODE_ARGUMENT, "raft member's id, node or address");
    }
    if (link->peer_count == RAFT_LINK_PEERS_MAX) {
        return vy_error(VY_CODE_ARGUMENT, "too many raft members");
    }
    struct raft_peer *peer = malloc(sizeof(*peer));
    if (peer == NULL) {
        return vy_error(VY_CODE_NOMEM, "raft member");
    }
    *peer = (struct raft_peer){.owner = link,
                               .id = member->id,
                               .reopen_at_ms = UINT64_MAX,
                               .reopen_ms = REOPEN_MS,
                               .ended = VY_CODE_OK};
    memcpy(peer->node, member->node, strlen(member->node));
    memcpy(peer->address, member->address, strlen(member->address));
    vy_list_init(&peer->frames);
    const struct rpc_link_options options = {.address = peer->address,
                                             .peer_roles = (uint32_t)link->rpc.role,
                                             .peer_node = peer->node,
                                             .on_state = link_on_state,
                                             .arg = peer};
    const struct vy_err err = rpc_link_new(&link->rpc, &options, &peer->link);
    if (vy_failed(err)) {
        free(peer);
        return err;
    }
    link->peers[link->peer_count++] = peer;
    return vy_ok();
}

static bool is_listed(const struct raft_peer *peer, const struct raft_link_member *members,
                      size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (members[i].id == peer->id) {
            return is_valid(&members[i]) && strcmp(members[i].node, peer->node) == 0 &&
                   strcmp(members[i].address, peer->address) == 0;
        }
    }
    return false;
}

struct vy_err raft_link_set_members(struct raft_link *link, const struct raft_link_member *members,
                                    size_t count)
{
    size_t kept = 0;
    for (size_t i = 0; i < link->peer_count; i++) {
        if (is_listed(link->peers[i], members, count)) {
            link->peers[kept++] = link->peers[i];
        } else {
            peer_free(link->peers[i]);
        }
    }
    link->peer_count = kept;
    for (size_t i = 0; i < count; i++) {
        if (members[i].id != link->member_id && raft_link_find(link, members[i].id) == NULL) {
            VY_TRY(add_peer(link, &members[i]));
        }
    }
    arm_timer(link);
    return vy_ok();
}

struct vy_err raft_link_new(const struct raft_link_config *config, struct raft_link **out)
{
    struct raft_link *link = calloc(1, sizeof(*link));
    if (link == NULL) {
        return vy_error(VY_CODE_NOMEM, "raft link");
    }
    link->transport.send = transport_send;
    link->transport.send_bulk = raft_bulk_send;
    link->rpc = *config->rpc;
    link->member_id = config->member_id;
    link->queue_bytes_max =
        config->queue_bytes_max == 0 ? RAFT_LINK_QUEUE_BYTES : config->queue_bytes_max;
    link->on_frame = config->on_frame;
    link->on_bulk = config->on_bulk;
    link->arg = config->arg;
    link->timer = vy_timer_new(config->rpc->loop, on_timer, link);
    struct vy_err err = link->timer == NULL ? vy_error(VY_CODE_NOMEM, "raft link timer") : vy_ok();
    if (!vy_failed(err) && config->listen != NULL) {
        err = raft_link_listen(link, config->listen);
    }
    if (!vy_failed(err)) {
        err = raft_link_set_members(link, config->members, config->member_count);
    }
    if (vy_failed(err)) {
        raft_link_free(link);
        return err;
    }
    *out = link;
    return vy_ok();
}

void raft_link_free(struct raft_link *link)
{
    if (link == NULL) {
        return;
    }
    for (size_t i = 0; i < link->peer_count; i++) {
        peer_free(link->peers[i]);
    }
    rpc_server_free(link->server);
    vy_timer_free(link->timer);
    free(link);
}

struct replica_transport *raft_link_transport(struct raft_link *link)
{
    return &link->transport;
}

uint16_t raft_link_port(const struct raft_link *link)
{
    return link->server == NULL ? 0 : rpc_server_port(link->server);
}

bool raft_link_reaches(const struct raft_link *link, uint64_t member_id)
{
    for (size_t i = 0; i < link->peer_count; i++) {
        if (link->peers[i]->id == member_id) {
            return link->peers[i]->call != NULL;
        }
    }
    return false;
}

const struct raft_link_stats *raft_link_stats(const struct raft_link *link)
{
    return &link->stats;
}
