/* SPDX-License-Identifier: Apache-2.0 */
#include "base/assert.h"
#include "proto/fetch_stream.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#define ROWS 256U

struct rows {
    uint32_t uid[ROWS];
    uint32_t flags[ROWS];
    uint64_t words[ROWS][FETCH_KEYWORD_WORDS];
    uint64_t modseq[ROWS];
    uint32_t size[ROWS];
    uint64_t internal_ms[ROWS];
    uint32_t zone[ROWS];
    uint8_t email_id[ROWS][FETCH_ID_BYTES];
    uint8_t thread_id[ROWS][FETCH_ID_BYTES];
    uint64_t save_ms[ROWS];
};

static void fill_rows(struct rows *rows, uint32_t first_uid)
{
    *rows = (struct rows){.uid = {0}};
    for (uint32_t i = 0; i < ROWS; i++) {
        rows->uid[i] = first_uid + 2 * i;
        rows->flags[i] = i & 31;
        rows->words[i][i % 2] = 1ULL << (i % 64);
        rows->modseq[i] = 0x100000000ULL + i;
        rows->size[i] = 1000 + i;
        rows->internal_ms[i] = 1700000000000ULL + i;
        rows->zone[i] = FETCH_ZONE_BIAS + 120 - i;
        rows->email_id[i][0] = (uint8_t)i;
        rows->thread_id[i][15] = (uint8_t)i;
        rows->save_ms[i] = 1800000000000ULL + i;
    }
}

static struct fetch_columns columns_of(const struct rows *rows, uint32_t mask, uint32_t count)
{
    return (struct fetch_columns){.columns = mask,
                                  .count = count,
                                  .uid = rows->uid,
                                  .flags = rows->flags,
                                  .keyword_words = rows->words[0],
                                  .modseq = rows->modseq,
                                  .size_bytes = rows->size,
                                  .internal_ms = rows->internal_ms,
                                  .zone_biased = rows->zone,
                                  .email_id = rows->email_id,
                                  .thread_id = rows->thread_id,
                                  .save_ms = rows->save_ms};
}

/* A stream with every kind of record. */
static void write_everything(struct vy_buf *out)
{
    static struct rows rows;
    fill_rows(&rows, 1);
    struct fetch_columns columns = columns_of(&rows, FETCH_INDEX_COLUMNS, ROWS);
    fetch_stream_append_block(out, &columns);
    fill_rows(&rows, 1000);
    columns.count = 1;
    const struct vy_bytes texts[FETCH_TEXT_COUNT] = {
        VY_LIT("(envelope)"), {.data = NULL}, VY_LIT("(structure)"), VY_LIT("")};
    fetch_stream_append_message(out, &columns, texts, 4);
    fetch_stream_append_section(out, 0, FETCH_SECTION_INLINE, 0, VY_LIT("inline"));
    fetch_stream_append_section(out, 1, FETCH_SECTION_LITERAL, 9, vy_bytes(NULL, 0));
    fetch_stream_append_literal(out, VY_LIT("12345"));
    fetch_stream_append_literal(out, VY_LIT("6789"));
    fetch_stream_append_section(out, 2, FETCH_SECTION_NIL, 0, vy_bytes(NULL, 0));
    fetch_stream_append_section(out, 63, FETCH_SECTION_SIZE, 77, vy_bytes(NULL, 0));
    const uint32_t gone[] = {5, 6};
    fetch_stream_append_missing(out, FETCH_MISSING_EXPUNGED, gone, 2);
    assert_false(vy_failed(vy_buf_error(out)));
}

/* Writes what events say as text, so that splits can be compared. */
static void describe(const struct fetch_event *event, struct vy_buf *text)
{
    switch (event->kind) {
    case FETCH_EVENT_NONE:
        break;
    case FETCH_EVENT_BLOCK:
    case FETCH_EVENT_MESSAGE:
        vy_buf_printf(text, "rows %u first %u modseq %llu sections %u;", event->block.count,
                      fetch_block_uid(&event->block, 0),
                      (unsigned long long)(event->block.modseq == NULL
                                               ? 0
                                               : fetch_block_modseq(&event->block, 0)),
                      event->section_count);
        for (size_t i = 0; i < FETCH_TEXT_COUNT; i++) {
            vy_buf_append(text, event->texts[i]);
            vy_buf_append_cstr(text, event->texts[i].data == NULL ? "-" : "+");
        }
        break;
    case FETCH_EVENT_SECTION:
        vy_buf_printf(text, "section %u status %u total %llu;", event->section_index,
                      (unsigned)event->status, (unsigned long long)event->total_bytes);
        vy_buf_append(text, event->bytes);
        break;
    case FETCH_EVENT_SECTION_DATA:
        vy_buf_append(text, event->bytes);
        break;
    case FETCH_EVENT_MISSING:
        vy_buf_printf(text, "missing %zu;", event->bytes.len / 4);
        break;
    }
    vy_buf_append_cstr(text, event->section_ends ? "|" : "");
    vy_buf_append_cstr(text, event->message_ends ? "!" : "");
}

static struct vy_err read_chunk(struct fetch_reader *reader, struct vy_bytes chunk,
                                struct vy_buf *text)
{
    for (;;) {
        struct fetch_event event;
        VY_TRY(fetch_reader_next(reader, &chunk, &event));
        if (event.kind == FETCH_EVENT_NONE) {
            assert_int_equal(chunk.len, 0);
            return vy_ok();
        }
        describe(&event, text);
    }
}

static const char everything_text[] =
    "rows 256 first 1 modseq 4294967296 sections 0;----"
    "rows 1 first 1000 modseq 4294967296 sections 4;(envelope)+-(structure)++"
    "section 0 status 1 total 6;inline|section 1 status 2 total 9;123456789|"
    "section 2 status 0 total 0;|section 63 status 4 total 77;|!missing 2;";

static void any_split_reads_the_same(void **state)
{
    (void)state;
    struct vy_buf stream;
    vy_buf_init(&stream, 1 << 20);
    write_everything(&stream);
    const struct vy_bytes all = vy_buf_bytes(&stream);
    for (size_t step = 1; step <= all.len; step = step < 40 ? step + 1 : step * 2) {
        struct vy_buf text;
        struct fetch_reader reader;
        vy_buf_init(&text, 1 << 16);
        fetch_reader_init(&reader);
        for (size_t at = 0; at < all.len; at += step) {
            assert_false(vy_failed(read_chunk(&reader, vy_bytes_slice(all, at, step), &text)));
        }
        assert_true(fetch_reader_is_at_end(&reader));
        vy_buf_append_byte(&text, 0);
        assert_string_equal((const char *)vy_buf_bytes(&text).data, everything_text);
        fetch_reader_deinit(&reader);
        vy_buf_deinit(&text);
    }
    vy_buf_deinit(&stream);
}

static void a_block_gives_back_every_column(void **state)
{
    (void)state;
    static struct rows rows;
    fill_rows(&rows, 7);
    const uint16_t picked[] = {3, 9, 255};
    struct fetch_columns columns = columns_of(&rows, FETCH_INDEX_COLUMNS | FETCH_COLUMN_BODY, 3);
    columns.rows = picked;
    struct vy_buf stream;
    vy_buf_init(&stream, 1 << 20);
    fetch_stream_append_block(&stream, &columns);
    struct fetch_block block;
    assert_false(vy_failed(fetch_block_parse(vy_bytes_from(vy_buf_bytes(&stream), 5), &block)));
    assert_int_equal(block.count, 3);
    for (size_t row = 0; row < 3; row++) {
        const size_t i = picked[row];
        assert_int_equal(fetch_block_uid(&block, row), rows.uid[i]);
        assert_int_equal(fetch_block_flags(&block, row), rows.flags[i]);
        assert_int_equal(fetch_block_modseq(&block, row), rows.modseq[i]);
        assert_int_equal(fetch_block_size(&block, row), rows.size[i]);
        assert_int_equal(fetch_block_internal_ms(&block, row), rows.internal_ms[i]);
        assert_int_equal(fetch_block_zone_minutes(&block, row), 120 - (int)i);
        assert_int_equal(fetch_block_save_ms(&block, row), rows.save_ms[i]);
        assert_memory_equal(fetch_block_email_id(&block, row), rows.email_id[i], FETCH_ID_BYTES);
        assert_memory_equal(fetch_block_thread_id(&block, row), rows.thread_id[i], FETCH_ID_BYTES);
        const struct vy_bytes bits = fetch_block_keywords(&block, row);
        const size_t bit = (i % 2) * 64 + i % 64;
        assert_true(bits.data[bit / 8] == 1U << (bit % 8));
    }
    vy_buf_deinit(&stream);
}

static void assert_corrupt(struct vy_bytes bytes)
{
    struct fetch_reader reader;
    struct vy_buf text;
    vy_buf_init(&text, 1 << 20);
    fetch_reader_init(&reader);
    const struct vy_err err = read_chunk(&reader, bytes, &text);
    assert_int_equal(err.code, VY_CODE_CORRUPT);
    assert_false(fetch_reader_is_at_end(&reader));
    assert_int_equal(read_chunk(&reader, VY_LIT("x"), &text).code, VY_CODE_CORRUPT);
    fetch_reader_deinit(&reader);
    vy_buf_deinit(&text);
}

static void damaged_records_are_corrupt(void **state)
{
    (void)state;
    static const struct vy_bytes cases[] = {
        VY_LIT("\x00\x00\x00\x00\x00"),                                  /* no such kind */
        VY_LIT("\x09\x00\x00\x00\x00"),                                  /* nor this */
        VY_LIT("\x01\x00\x40\x00\x01"),                                  /* over the limit */
        VY_LIT("\x01\x00\x00\x00\x03\x00\x00\x00"),                      /* block without a head */
        VY_LIT("\x01\x00\x00\x00\x04\x00\x00\x00\x00"),                  /* no rows */
        VY_LIT("\x01\x00\x00\x00\x08\x00\x40\x00\x01\x00\x00\x00\x01"),  /* ENVELOPE is no column */
        VY_LIT("\x01\x00\x00\x00\x08\x00\x00\x00\x01\x00\x00\x00\x00"),  /* uid 0 */
        VY_LIT("\x01\x00\x00\x00\x09\x00\x00\x00\x01\x00\x00\x00\x01x"), /* trailing byte */
        VY_LIT("\x01\x00\x00\x00\x0c\x00\x00\x00\x02\x00\x00\x00\x02\x00\x00\x00\x02"),
        VY_LIT("\x04\x00\x00\x00\x01x"), /* literal without a section */
        VY_LIT("\x03\x00\x00\x00\x0b\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"),
        VY_LIT("\x05\x00\x00\x00\x03\x00\x00\x00"), /* half a uid */
    };
    for (size_t i = 0; i < VY_COUNT_OF(cases); i++) {
        assert_corrupt(cases[i]);
    }
}

static void uids_that_do_not_rise_are_corrupt(void **state)
{
    (void)state;
    static struct rows rows;
    fill_rows(&rows, 7);
    const struct fetch_columns columns = columns_of(&rows, FETCH_COLUMN_FLAGS, 2);
    struct vy_buf stream;
    vy_buf_init(&stream, 1 << 20);
    fetch_stream_append_block(&stream, &columns);
    fetch_stream_append_block(&stream, &columns);
    assert_corrupt(vy_buf_bytes(&stream));
    vy_buf_deinit(&stream);
}

static void a_literal_longer_than_its_total_is_corrupt(void **state)
{
    (void)state;
    static struct rows rows;
    fill_rows(&rows, 7);
    const struct fetch_columns columns = columns_of(&rows, 0, 1);
    const struct vy_bytes texts[FETCH_TEXT_COUNT] = {{.data = NULL}};
    struct vy_buf stream;
    vy_buf_init(&stream, 1 << 20);
    fetch_stream_append_message(&stream, &columns, texts, 1);
    fetch_stream_append_section(&stream, 0, FETCH_SECTION_LITERAL, 3, vy_bytes(NULL, 0));
    fetch_stream_append_literal(&stream, VY_LIT("abcd"));
    assert_corrupt(vy_buf_bytes(&stream));
    vy_buf_deinit(&stream);
}

static void a_cut_stream_is_not_at_its_end(void **state)
{
    (void)state;
    struct vy_buf stream;
    vy_buf_init(&stream, 1 << 20);
    write_everything(&stream);
    const struct vy_bytes all = vy_buf_bytes(&stream);
    /* Every cut inside the message and its sections. */
    size_t ends = 0;
    for (size_t len = 0; len <= all.len; len++) {
        struct vy_buf text;
        struct fetch_reader reader;
        vy_buf_init(&text, 1 << 16);
        fetch_reader_init(&reader);
        assert_false(vy_failed(read_chunk(&reader, vy_bytes_slice(all, 0, len), &text)));
        ends += fetch_reader_is_at_end(&reader) ? 1 : 0;
        fetch_reader_deinit(&reader);
        vy_buf_deinit(&text);
    }
    assert_int_equal(ends, 4); /* nothing, block, message, missing */
    vy_buf_deinit(&stream);
}

static void a_full_buffer_says_so(void **state)
{
    (void)state;
    static struct rows rows;
    fill_rows(&rows, 7);
    const struct fetch_columns columns = columns_of(&rows, FETCH_INDEX_COLUMNS, ROWS);
    struct vy_buf stream;
    vy_buf_init(&stream, 100);
    fetch_stream_append_block(&stream, &columns);
    assert_int_equal(vy_buf_error(&stream).code, VY_CODE_LIMIT);
    vy_buf_deinit(&stream);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_split_reads_the_same),
        cmocka_unit_test(a_block_gives_back_every_column),
        cmocka_unit_test(damaged_records_are_corrupt),
        cmocka_unit_test(uids_that_do_not_rise_are_corrupt),
        cmocka_unit_test(a_literal_longer_than_its_total_is_corrupt),
        cmocka_unit_test(a_cut_stream_is_not_at_its_end),
        cmocka_unit_test(a_full_buffer_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
