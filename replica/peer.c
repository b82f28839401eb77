/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames to and from the other members. What is sent waits until term and vote are on disk; what is
 * received is checked for cluster, group, sender, life and number before anything looks at it.
 */
#include "replica/replica_private.h"
#include <stdlib.h>

#define OUTBOX_BYTES_MAX (16U * 1024 * 1024)    /* behind a write of term or vote; more is lost */
#define UNWRITTEN_BYTES_MAX (32U * 1024 * 1024) /* of entries received; more is not taken */
#define REFUSED_LOG_EVERY 1024U

struct replica_outgoing {
    struct vy_list link;
    uint64_t ticket;
    uint64_t to;
    struct vy_buf frame;
};

static struct replica_peer *find_peer(struct replica *replica, uint64_t id)
{
    for (size_t i = 0; i < replica->peer_count; i++) {
        if (replica->peers[i].id == id) {
            return &replica->peers[i];
        }
    }
    return NULL;
}

static void add_peer(struct replica *replica, const struct replica_member *member,
                     struct replica_peer *peers, size_t *count)
{
    if (member->id == replica->identity.member_id || *count == REPLICA_PEERS_MAX) {
        return;
    }
    for (size_t i = 0; i < *count; i++) {
        if (peers[i].id == member->id) {
            return;
        }
    }
    for (size_t i = 0; i < replica->peer_count; i++) {
        if (replica->peers[i].id == member->id) {
            peers[*count] = replica->peers[i]; /* what was heard of it stays */
        }
    }
    if (peers[*count].id == 0) {
        peers[*count].life = life_load_peer(replica, member->id);
    }
    peers[*count].id = member->id;
    peers[*count].votes = false;
    (*count)++;
}

void peer_sync(struct replica *replica)
{
    struct replica_member members[REPLICA_MEMBERS_MAX];
    struct replica_peer peers[REPLICA_PEERS_MAX] = {0};
    const size_t member_count = core_members(replica->core, members, REPLICA_MEMBERS_MAX);
    size_t count = 0;
    for (size_t i = 0; i < VY_MIN(member_count, REPLICA_MEMBERS_MAX); i++) {
        const size_t before = count;
        add_peer(replica, &members[i], peers, &count);
        if (count > before) {
            peers[before].votes = !members[i].is_learner;
        }
    }
    for (size_t i = 0; i < replica->known_count; i++) {
        add_peer(replica, &replica->known[i], peers, &count);
    }
    for (size_t i = 0; i < replica->guest_count; i++) {
        add_peer(replica, &replica->guests[i], peers, &count);
    }
    memcpy(replica->peers, peers, count * sizeof(peers[0]));
    replica->peer_count = count;
}

/* ---- sending ---- */

/* NULL: nobody that we know. */
static const char *address_of(const struct replica *replica, uint64_t id)
{
    struct replica_member members[REPLICA_MEMBERS_MAX];
    const size_t count = core_members(replica->core, members, REPLICA_MEMBERS_MAX);
    const char *address = core_member_address(members, VY_MIN(count, REPLICA_MEMBERS_MAX), id);
    if (address == NULL) {
        address = core_member_address(replica->guests, replica->guest_count, id);
    }
    return address != NULL ? address
                           : core_member_address(replica->known, replica->known_count, id);
}

static void transmit(struct replica *replica, uint64_t to, struct vy_bytes frame)
{
    const char *address = address_of(replica, to);
    if (address == NULL) {
        return; /* removed meanwhile */
    }
    replica->counts.frames_sent++;
    replica->config.transport->send(replica->config.transport, to, address, frame);
}

static void outgoing_free(struct replica_outgoing *outgoing)
{
    vy_buf_deinit(&outgoing->frame);
    free(outgoing);
}

/* Takes the frame's memory. */
static void hold(struct replica *replica, uint64_t to, struct vy_buf *frame)
{
    struct replica_outgoing *outgoing = malloc(sizeof(*outgoing));
    if (outgoing == NULL || replica->outbox_bytes > OUTBOX_BYTES_MAX) {
        free(outgoing); /* as if the link had lost it */
        vy_buf_deinit(frame);
        return;
    }
    outgoing->ticket = replica->ticket_hard;
    outgoing->to = to;
    outgoing->frame = *frame;
    replica->outbox_bytes += vy_buf_len(frame);
    vy_list_push_back(&replica->outbox, &outgoing->link);
}

void peer_release(struct replica *replica)
{
    while (!vy_list_is_empty(&replica->outbox)) {
        struct replica_outgoing *first =
            VY_CONTAINER_OF(replica->outbox.next, struct replica_outgoing, link);
        if (first->ticket > replica->ticket_done) {
            return;
        }
        vy_list_remove(&first->link);
        replica->outbox_bytes -= vy_buf_len(&first->frame);
        transmit(replica, first->to, vy_buf_bytes(&first->frame));
        outgoing_free(first);
    }
}

void peer_drop_outbox(struct replica *replica)
{
    replica->outbox_bytes = 0;
    for (struct vy_list *item; (item = vy_list_pop_front(&replica->outbox)) != NULL;) {
        outgoing_free(VY_CONTAINER_OF(item, struct replica_outgoing, link));
    }
}

void peer_deinit(struct replica *replica)
{
    peer_drop_outbox(replica);
}

static void send_frame(struct replica *replica, uint64_t to, const struct core_message *message)
{
    struct vy_buf frame;
    struct frame_head head = {.group_id = replica->identity.group_id,
                              .from = replica->identity.member_id,
                              .to = to,
                              .incarnation = replica->identity.incarnation,
                              .number = ++replica->frame_number,
                              .wall_ms = vy_clock_wall_ms(replica->config.clock),
                              .is_full = replica->is_full};
    memcpy(head.cluster_id, replica->identity.cluster_id, sizeof(head.cluster_id));
    vy_buf_init(&frame, REPLICA_FRAME_BYTES_MAX);
    if (vy_failed(frame_encode(&head, message, &frame))) {
        vy_buf_deinit(&frame); /* no memory: as if the link had lost it */
    } else if (replica->ticket_hard > replica->ticket_done) {
        hold(replica, to, &frame);
    } else {
        transmit(replica, to, vy_buf_bytes(&frame));
        vy_buf_deinit(&frame);
    }
}

/* An entry of the log with its payloads; a reference. NULL: could not be read. */
static struct entry *entry_for_sending(struct replica *replica, uint64_t index)
{
    struct entry *entry = log_tail_get(&replica->tail, index);
    bool has_values = entry != NULL;
    for (size_t i = 0; has_values && i < entry->payload_count; i++) {
        has_values = entry->payloads[i].is_gone || entry->payloads[i].value.data != NULL;
    }
    if (has_values) {
        return entry_ref(entry);
    }
    replica->counts.store_reads++;
    const struct vy_err err = log_read_entry(store_newest(replica->store), index, true, &entry);
    if (vy_failed(err)) {
        if (err.code != VY_CODE_NOMEM) {
            replica_fail(replica, err, index);
        }
        return NULL;
    }
    return entry;
}

static size_t wire_bytes(const struct entry *entry)
{
    size_t bytes = entry->body.len + 16;
    for (size_t i = 0; i < entry->payload_count; i++) {
        bytes += 1 + (entry->payloads[i].is_gone ? 0 : entry->payloads[i].value_bytes);
    }
    return bytes;
}

/* Takes entries from `index` on, at most `count` and as many bytes as a frame is meant to have. */
static size_t collect(struct replica *replica, uint64_t index, size_t count, struct entry **out)
{
    size_t taken = 0;
    size_t bytes = 0;
    while (taken < count) {
        struct entry *entry = entry_for_sending(replica, index + taken);
        if (entry == NULL) {
            break;
        }
        bytes += wire_bytes(entry);
        if (taken > 0 && bytes > FRAME_ENTRIES_BYTES) {
            entry_unref(entry);
            break;
        }
        out[taken++] = entry;
    }
    return taken;
}

/* One append becomes as many frames as its bytes need. */
static void send_append(struct replica *replica, uint64_t to, const struct core_message *message)
{
    struct entry *entries[256];
    struct core_message part = *message;
    part.held = replica->held_index;
    uint64_t left = message->count;
    while (left > 0) {
        part.entries = entries;
        part.count =
            collect(replica, part.prev_index + 1, VY_MIN(left, VY_COUNT_OF(entries)), entries);
        if (part.count == 0) {
            return; /* the rest is lost; raft will probe */
        }
        send_frame(replica, to, &part);
        part.prev_index += part.count;
        part.prev_term = entries[part.count - 1]->term;
        left -= part.count;
        for (size_t i = 0; i < part.count; i++) {
            entry_unref(entries[i]);
        }
    }
}

void peer_send(struct replica *replica, uint64_t to, const struct core_message *message)
{
    if (replica->config.transport == NULL || atomic_load(&replica->is_dead)) {
        return;
    }
    if (message->kind == CORE_APPEND && message->count > 0) {
        send_append(replica, to, message);
    } else if (message->kind == CORE_APPEND) {
        struct core_message heartbeat = *message;
        heartbeat.held = replica->held_index;
        send_frame(replica, to, &heartbeat);
    } else {
        send_frame(replica, to, message);
    }
}

/* ---- receiving ---- */

static void refuse_frame(struct replica *replica, uint64_t member_id, struct vy_err err)
{
    if (replica->counts.frames_refused++ % REFUSED_LOG_EVERY == 0) {
        vy_log(&replica->log, VY_LOG_WARN, "replica.frame.refused", VY_HEX("raft.peer", member_id),
               VY_LOG_ERR(err));
    }
}

static struct vy_err check_head(struct replica *replica, uint64_t member_id,
                                const struct frame_head *head)
{
    if (memcmp(head->cluster_id, replica->identity.cluster_id, REPLICA_CLUSTER_ID_BYTES) != 0 ||
        head->group_id != replica->identity.group_id) {
        return vy_error(VY_CODE_DENIED, "frame of another cluster or group");
    }
    if (head->from != member_id || head->to != replica->identity.member_id) {
        return vy_error(VY_CODE_DENIED, "frame of another member");
    }
    const struct replica_peer *peer = find_peer(replica, member_id);
    if (peer == NULL) {
        return vy_error(VY_CODE_DENIED, "frame of a stranger");
    }
    if (life_count(head->incarnation) < life_count(peer->life)) {
        return vy_error(VY_CODE_STALE, "frame of an earlier life");
    }
    return vy_ok();
}

/* False: an old one, or there twice. */
static bool note_head(struct replica *replica, const struct frame_head *head)
{
    struct replica_peer *peer = find_peer(replica, head->from);
    if (head->incarnation == peer->incarnation && head->number <= peer->number) {
        return false;
    }
    peer->incarnation = head->incarnation;
    peer->number = head->number;
    peer->wall_ms = head->wall_ms;
    peer->heard_mono_ms = replica_now_ms(replica);
    peer->is_full = head->is_full;
    return true;
}

/* A disk that has nothing left still takes the few bytes of a new leader's first entry: without it
 * nobody leads when all disks are full, and nothing can be read. */
static bool has_room_for(struct replica *replica, const struct core_message *message)
{
    bool is_small = true;
    for (size_t i = 0; i < message->count; i++) {
        is_small = is_small && message->entries[i]->type == ENTRY_BARRIER;
    }
    return (is_small || !replica->care.is_short) &&
           writer_queued_bytes(replica->writer) <= UNWRITTEN_BYTES_MAX;
}

static void deliver(struct replica *replica, uint64_t from, const struct core_message *message)
{
    if (message->kind == CORE_READ || message->kind == CORE_READ_RESULT) {
        read_on_message(replica, from, message);
        return;
    }
    if (message->kind == CORE_SCRUB || message->kind == CORE_SCRUB_RESULT) {
        if (replica->scrub != NULL) {
            scrub_on_message(replica->scrub, from, message);
        }
        return;
    }
    if (message->kind == CORE_REBUILD) {
        rebuild_on_message(replica, from, message);
        return;
    }
    struct core_message taken = *message;
    if (!has_room_for(replica, message) || rebuild_is_frozen(replica, from)) {
        taken.count = 0; /* only that the leader lives; it sends them again */
    }
    replica_stepped(replica, core_receive(replica->core, replica_now_ms(replica), from, &taken));
    cut_note_held(replica, message);
}

void replica_receive(struct replica *replica, uint64_t member_id, struct vy_bytes frame)
{
    struct frame_head head;
    struct core_message message;
    if (!replica_is_running(replica)) {
        return;
    }
    replica->counts.frames_received++;
    struct vy_err err = frame_decode(frame, &head, &message);
    if (!vy_failed(err)) {
        err = check_head(replica, member_id, &head);
    }
    if (vy_failed(err)) {
        refuse_frame(replica, member_id, err);
    } else if (life_admit(replica, find_peer(replica, member_id), head.incarnation, &message) &&
               note_head(replica, &head)) {
        deliver(replica, member_id, &message);
    }
    frame_message_deinit(&message);
}
