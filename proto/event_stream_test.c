/* SPDX-License-Identifier: Apache-2.0 */
#include "base/assert.h"
#include "proto/event_stream.h"
#include "proto/shard.pb.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

static size_t count_events(struct event_reader *reader, struct vy_bytes chunk, uint64_t *modseqs)
{
    size_t count = 0;
    bool found = true;
    while (found) {
        struct vy_bytes bytes = {.data = NULL};
        assert_false(vy_failed(event_reader_next(reader, &chunk, &bytes, &found)));
        if (found) {
            struct vy_arena arena;
            struct account_event event;
            vy_arena_init(&arena, 4096);
            assert_false(vy_failed(vy_pb_decode(&account_event_desc, &arena, bytes, &event)));
            *modseqs += event.highest_modseq;
            vy_arena_deinit(&arena);
            count++;
        }
    }
    return count;
}

static void any_split_gives_the_same_messages(void **state)
{
    (void)state;
    struct vy_buf stream;
    vy_buf_init(&stream, 4096);
    for (uint64_t i = 1; i <= 3; i++) {
        const struct account_event event = {.mailbox_id = i, .highest_modseq = 1000 * i};
        assert_false(vy_failed(event_stream_append(&stream, &account_event_desc, &event)));
    }
    const struct account_event empty = {.mailbox_id = 0};
    assert_false(vy_failed(event_stream_append(&stream, &account_event_desc, &empty)));
    const struct vy_bytes all = vy_buf_bytes(&stream);
    for (size_t step = 1; step <= all.len; step++) {
        struct event_reader reader;
        event_reader_init(&reader);
        size_t count = 0;
        uint64_t modseqs = 0;
        for (size_t at = 0; at < all.len; at += step) {
            count += count_events(&reader, vy_bytes_slice(all, at, step), &modseqs);
        }
        assert_int_equal(count, 4);
        assert_int_equal(modseqs, 6000);
        event_reader_deinit(&reader);
    }
    vy_buf_deinit(&stream);
}

static void a_length_over_the_limit_is_corrupt(void **state)
{
    (void)state;
    struct event_reader reader;
    struct vy_bytes bytes = VY_LIT("\x00\x01\x00\x01");
    struct vy_bytes out;
    bool found = true;
    event_reader_init(&reader);
    assert_int_equal(event_reader_next(&reader, &bytes, &out, &found).code, VY_CODE_CORRUPT);
    assert_false(found);
    event_reader_deinit(&reader);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_split_gives_the_same_messages),
        cmocka_unit_test(a_length_over_the_limit_is_corrupt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
