/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames between members (R7): damaged ones are refused, accepted ones survive the way back. An odd
 * first byte repairs the checksum, so that what lies behind it is reached.
 */
#include "base/assert.h"
#include "base/codec.h"
#include "replica/frame.h"
#include <stdlib.h>

#define CRC_AT 72U

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_message(const struct core_message *message)
{
    VY_ASSERT(message->kind >= CORE_VOTE && message->kind <= CORE_READ_RESULT);
    VY_ASSERT(message->term > 0 && message->term < FRAME_INDEX_MAX);
    VY_ASSERT(message->count <= FRAME_ENTRIES_MAX);
    for (size_t i = 0; i < message->count; i++) {
        const struct entry *entry = message->entries[i];
        VY_ASSERT(entry->term >= message->prev_term && entry->term <= message->term);
        VY_ASSERT(entry->index == message->prev_index + i + 1);
        struct entry_cursor cursor;
        struct vy_bytes command;
        if (entry->type == ENTRY_COMMANDS) {
            entry_begin(entry, &cursor);
            while (entry_next(&cursor, &command)) {
                VY_ASSERT(command.len > 0);
            }
        }
    }
}

static void check_way_back(const struct frame_head *head, const struct core_message *message)
{
    struct vy_buf again;
    struct frame_head head_again;
    struct core_message message_again;
    vy_buf_init(&again, REPLICA_FRAME_BYTES_MAX);
    VY_ASSERT(!vy_failed(frame_encode(head, message, &again)));
    VY_ASSERT(!vy_failed(frame_decode(vy_buf_bytes(&again), &head_again, &message_again)));
    VY_ASSERT(message_again.kind == message->kind && message_again.term == message->term);
    VY_ASSERT(message_again.count == message->count && head_again.number == head->number);
    for (size_t i = 0; i < message->count; i++) {
        VY_ASSERT(vy_bytes_equal(message->entries[i]->body, message_again.entries[i]->body));
        VY_ASSERT(message->entries[i]->payload_count == message_again.entries[i]->payload_count);
    }
    frame_message_deinit(&message_again);
    vy_buf_deinit(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct frame_head head;
    struct core_message message;
    if (size < 1) {
        return 0;
    }
    uint8_t *frame = malloc(size);
    VY_ASSERT(frame != NULL);
    memcpy(frame, data + 1, size - 1);
    if ((data[0] & 1) != 0 && size - 1 >= FRAME_HEAD_BYTES) {
        vy_put_be32(frame + CRC_AT, 0);
        vy_put_be32(frame + CRC_AT, vy_crc32c(0, vy_bytes(frame, size - 1)));
    }
    if (!vy_failed(frame_decode(vy_bytes(frame, size - 1), &head, &message))) {
        check_message(&message);
        check_way_back(&head, &message);
        frame_message_deinit(&message);
    }
    free(frame);
    return 0;
}
