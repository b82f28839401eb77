/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The readers of both streams. The first byte chooses the size of the chunks; whatever the reader
 * reports must lie in bounds (touched here) and must not depend on the chunks.
 */
#include "base/assert.h"
#include "proto/event_stream.h"
#include "proto/fetch_stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t touch(struct vy_bytes bytes)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < bytes.len; i++) {
        sum = sum * 31 + bytes.data[i];
    }
    return sum;
}

static uint64_t touch_block(const struct fetch_block *block)
{
    uint64_t sum = 0;
    for (size_t row = 0; row < block->count; row++) {
        sum += fetch_block_uid(block, row);
        sum += block->flags == NULL ? 0 : touch(fetch_block_keywords(block, row));
        sum += block->modseq == NULL ? 0 : fetch_block_modseq(block, row);
        sum += block->size_bytes == NULL ? 0 : fetch_block_size(block, row);
        sum += block->zone_biased == NULL ? 0 : (uint64_t)fetch_block_zone_minutes(block, row);
        sum += block->email_id == NULL ? 0 : fetch_block_email_id(block, row)[15];
        sum += block->thread_id == NULL ? 0 : fetch_block_thread_id(block, row)[15];
        sum += block->save_ms == NULL ? 0 : fetch_block_save_ms(block, row);
    }
    return sum;
}

static uint64_t touch_event(const struct fetch_event *event)
{
    uint64_t sum = touch_block(&event->block);
    for (size_t i = 0; i < FETCH_TEXT_COUNT; i++) {
        sum += touch(event->texts[i]);
    }
    /* Section data comes in pieces that depend on the chunks: only its bytes count. */
    for (size_t i = 0; i < event->bytes.len; i++) {
        sum += event->bytes.data[i];
    }
    return sum + event->total_bytes + event->section_index;
}

static uint64_t read_all(struct vy_bytes in, size_t chunk_bytes, bool *failed)
{
    struct fetch_reader reader;
    uint64_t sum = 0;
    *failed = false;
    fetch_reader_init(&reader);
    for (size_t at = 0; at < in.len && !*failed; at += chunk_bytes) {
        struct vy_bytes chunk = vy_bytes_slice(in, at, chunk_bytes);
        struct fetch_event event = {.kind = FETCH_EVENT_BLOCK};
        while (event.kind != FETCH_EVENT_NONE && !*failed) {
            *failed = vy_failed(fetch_reader_next(&reader, &chunk, &event));
            sum += touch_event(&event);
        }
    }
    fetch_reader_deinit(&reader);
    return sum;
}

static void read_events(struct vy_bytes in, size_t chunk_bytes)
{
    struct event_reader reader;
    bool failed = false;
    event_reader_init(&reader);
    for (size_t at = 0; at < in.len && !failed; at += chunk_bytes) {
        struct vy_bytes chunk = vy_bytes_slice(in, at, chunk_bytes);
        bool found = true;
        while (found && !failed) {
            struct vy_bytes event = {.data = NULL};
            failed = vy_failed(event_reader_next(&reader, &chunk, &event, &found));
            (void)touch(event);
        }
    }
    event_reader_deinit(&reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) {
        return 0;
    }
    const struct vy_bytes in = vy_bytes(data + 1, size - 1);
    bool whole_failed = false;
    bool split_failed = false;
    const uint64_t whole = read_all(in, in.len + 1, &whole_failed);
    const uint64_t split = read_all(in, (size_t)data[0] + 1, &split_failed);
    VY_ASSERT(whole_failed == split_failed);
    VY_ASSERT(whole_failed || whole == split);
    read_events(in, (size_t)data[0] + 1);
    return 0;
}
