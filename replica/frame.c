/* SPDX-License-Identifier: Apache-2.0 */
#include "replica/frame.h"

#include "base/codec.h"
#include <stdlib.h>

/*
 * magic u16, version u8, kind u8, cluster 16, group u64, from u64, to u64, incarnation u64, number
 * u64, wall u64, u32 spare, CRC-32C u32 over the frame with this field zero, state u16; body.
 */
#define FRAME_MAGIC 0x5652U
#define CRC_AT 72U
#define STATE_AT 76U
#define ENTRIES_MEMORY_FIRST 16U

enum { STATE_FULL = 1 }; /* bits that are not known mean nothing */
enum { FLAG_DISRUPT = 1, FLAG_PRE_VOTE = 2, FLAG_GRANTED = 4 };

static void put_head(const struct frame_head *head, const struct core_message *message,
                     uint8_t out[FRAME_HEAD_BYTES])
{
    vy_put_be16(out, FRAME_MAGIC);
    out[2] = FRAME_VERSION;
    out[3] = (uint8_t)message->kind;
    memcpy(out + 4, head->cluster_id, REPLICA_CLUSTER_ID_BYTES);
    vy_put_be64(out + 20, head->group_id);
    vy_put_be64(out + 28, head->from);
    vy_put_be64(out + 36, head->to);
    vy_put_be64(out + 44, head->incarnation);
    vy_put_be64(out + 52, head->number);
    vy_put_be64(out + 60, head->wall_ms);
    vy_put_be32(out + 68, 0);
    vy_put_be32(out + CRC_AT, 0);
    vy_put_be16(out + STATE_AT, head->is_full ? STATE_FULL : 0);
}

/* One fixed part for all kinds: 53 bytes are nothing beside a packet's own head. */
static void put_body(const struct core_message *message, struct vy_buf *out)
{
    vy_buf_append_byte(out, message->version);
    vy_buf_append_byte(out, (uint8_t)((message->disrupt_leader ? FLAG_DISRUPT : 0) |
                                      (message->pre_vote ? FLAG_PRE_VOTE : 0) |
                                      (message->is_granted ? FLAG_GRANTED : 0)));
    vy_buf_append_be16(out, message->features);
    vy_buf_append_be16(out, message->capacity);
    vy_buf_append_be64(out, message->term);
    vy_buf_append_be64(out,
                       message->kind == CORE_APPEND ? message->prev_index : message->last_index);
    vy_buf_append_be64(out, message->kind == CORE_APPEND ? message->prev_term : message->last_term);
    vy_buf_append_be64(out, message->kind == CORE_APPEND ? message->held : message->rejected);
    vy_buf_append_be64(out, message->kind == CORE_APPEND ? message->commit : message->round);
    vy_buf_append_be32(out, (uint32_t)message->count);
}
#define BODY_BYTES 50U

struct vy_err frame_encode(const struct frame_head *head, const struct core_message *message,
                           struct vy_buf *out)
{
    uint8_t bytes[FRAME_HEAD_BYTES];
    VY_ASSERT(message->count <= FRAME_ENTRIES_MAX);
    put_head(head, message, bytes);
    vy_buf_append(out, vy_bytes(bytes, sizeof(bytes)));
    put_body(message, out);
    for (size_t i = 0; i < message->count; i++) {
        entry_to_wire(message->entries[i], out);
    }
    VY_TRY(vy_buf_error(out));
    const struct vy_bytes frame = vy_buf_bytes(out);
    if (frame.len > REPLICA_FRAME_BYTES_MAX) {
        return vy_error(VY_CODE_LIMIT, "frame is too long");
    }
    vy_put_be32(out->data + out->start + CRC_AT, vy_crc32c(0, frame));
    return vy_ok();
}

/* ---- decoding ---- */

static uint32_t crc_of(struct vy_bytes frame)
{
    static const uint8_t zero[4] = {0};
    uint32_t crc = vy_crc32c(0, vy_bytes(frame.data, CRC_AT));
    crc = vy_crc32c(crc, vy_bytes(zero, sizeof(zero)));
    return vy_crc32c(crc, vy_bytes_from(frame, CRC_AT + sizeof(zero)));
}

static struct vy_err take_head(struct vy_bytes frame, struct frame_head *head,
                               struct core_message *message)
{
    if (frame.len > REPLICA_FRAME_BYTES_MAX) {
        return vy_error(VY_CODE_LIMIT, "frame is too long");
    }
    if (frame.len < FRAME_HEAD_BYTES + BODY_BYTES || vy_get_be16(frame.data) != FRAME_MAGIC) {
        return vy_error(VY_CODE_CORRUPT, "not a frame");
    }
    if (vy_get_be32(frame.data + CRC_AT) != crc_of(frame)) {
        return vy_error(VY_CODE_CORRUPT, "checksum of a frame");
    }
    if (frame.data[2] != FRAME_VERSION || frame.data[3] < CORE_VOTE || frame.data[3] > CORE_LIFE) {
        return vy_error(VY_CODE_UNSUPPORTED, "frame of a newer version");
    }
    message->kind = (enum core_kind)frame.data[3];
    memcpy(head->cluster_id, frame.data + 4, REPLICA_CLUSTER_ID_BYTES);
    head->group_id = vy_get_be64(frame.data + 20);
    head->from = vy_get_be64(frame.data + 28);
    head->to = vy_get_be64(frame.data + 36);
    head->incarnation = vy_get_be64(frame.data + 44);
    head->number = vy_get_be64(frame.data + 52);
    head->wall_ms = vy_get_be64(frame.data + 60);
    head->is_full = (vy_get_be16(frame.data + STATE_AT) & STATE_FULL) != 0;
    return vy_ok();
}

static struct vy_err take_body(const uint8_t *at, struct core_message *message)
{
    message->version = at[0];
    message->disrupt_leader = (at[1] & FLAG_DISRUPT) != 0;
    message->pre_vote = (at[1] & FLAG_PRE_VOTE) != 0;
    message->is_granted = (at[1] & FLAG_GRANTED) != 0;
    message->features = vy_get_be16(at + 2);
    message->capacity = vy_get_be16(at + 4);
    message->term = vy_get_be64(at + 6);
    const uint64_t index = vy_get_be64(at + 14);
    const uint64_t index_term = vy_get_be64(at + 22);
    const uint64_t middle = vy_get_be64(at + 30);
    const uint64_t last = vy_get_be64(at + 38);
    message->count = vy_get_be32(at + 46);
    const bool is_append = message->kind == CORE_APPEND;
    message->held = is_append ? middle : 0;
    message->rejected = is_append ? 0 : middle;
    message->prev_index = is_append ? index : 0;
    message->prev_term = is_append ? index_term : 0;
    message->last_index = is_append ? 0 : index;
    message->last_term = is_append ? 0 : index_term;
    message->commit = is_append ? last : 0;
    message->round = is_append ? 0 : last;
    if (message->term == 0 || message->term >= FRAME_INDEX_MAX || index >= FRAME_INDEX_MAX ||
        index_term > message->term || middle >= FRAME_INDEX_MAX ||
        message->commit >= FRAME_INDEX_MAX) {
        return vy_error(VY_CODE_CORRUPT, "terms and indexes of a frame");
    }
    if (message->count > FRAME_ENTRIES_MAX || (!is_append && message->count > 0)) {
        return vy_error(VY_CODE_LIMIT, "entries of a frame");
    }
    if (is_append && ((index == 0) != (index_term == 0))) {
        return vy_error(VY_CODE_CORRUPT, "place of entries");
    }
    return vy_ok();
}

static struct vy_err take_entries(struct vy_bytes rest, struct core_message *message)
{
    const size_t count = message->count;
    uint64_t term = message->prev_term;
    message->count = 0;
    if (count == 0) {
        return rest.len == 0 ? vy_ok() : vy_error(VY_CODE_CORRUPT, "length of a frame");
    }
    message->entries = calloc(count, sizeof(*message->entries));
    if (message->entries == NULL) {
        return vy_error(VY_CODE_NOMEM, "entries of a frame");
    }
    for (size_t i = 0; i < count; i++) {
        struct entry *entry = NULL;
        VY_TRY(entry_from_wire(&rest, &entry));
        message->entries[message->count++] = entry;
        if (entry->term < term || entry->term > message->term) {
            return vy_error(VY_CODE_CORRUPT, "terms of entries");
        }
        term = entry->term;
        entry->index = message->prev_index + message->count;
    }
    return rest.len == 0 ? vy_ok() : vy_error(VY_CODE_CORRUPT, "length of a frame");
}

struct vy_err frame_decode(struct vy_bytes frame, struct frame_head *head,
                           struct core_message *message)
{
    *message = (struct core_message){.entries = NULL};
    VY_TRY(take_head(frame, head, message));
    struct vy_err err = take_body(frame.data + FRAME_HEAD_BYTES, message);
    if (vy_failed(err)) {
        message->count = 0;
        return err;
    }
    err = take_entries(vy_bytes_from(frame, FRAME_HEAD_BYTES + BODY_BYTES), message);
    if (vy_failed(err)) {
        frame_message_deinit(message);
    }
    return err;
}

void frame_message_deinit(struct core_message *message)
{
    for (size_t i = 0; i < message->count; i++) {
        entry_unref(message->entries[i]);
    }
    free(message->entries);
    message->entries = NULL;
    message->count = 0;
}
