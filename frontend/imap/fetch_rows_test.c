/* SPDX-License-Identifier: Apache-2.0 */
/* The fast path of FETCH against the plain one. */
#include "frontend/imap/fetch.h"

#include "mail/date.h"
#include "tests/lib/fake_rng.h"
#include "tests/lib/test.h"
#include <inttypes.h>
#include <stdio.h>

#define OUT_BYTES_MAX (16U * 1024U * 1024U)

static void check_number(uint64_t value)
{
    char got[32] = {0};
    char wanted[32] = {0};
    char *end = imap_put_u64(got, value);
    (void)snprintf(wanted, sizeof(wanted), "%" PRIu64, value);
    assert_string_equal(got, wanted);
    assert_int_equal((size_t)(end - got), strlen(wanted));
}

static void numbers_are_decimal(void **state)
{
    (void)state;
    check_number(0);
    check_number(UINT64_MAX);
    for (uint64_t power = 10; power < UINT64_MAX / 10; power *= 10) {
        check_number(power - 1);
        check_number(power);
        check_number(power + 1);
        check_number(power / 10 * 7);
    }
}

struct one_row {
    uint32_t uid;
    uint64_t internal_ms;
    uint32_t zone;
};

static void write_row_text(struct imap_session *s, struct imap_row_writer *rows,
                           const struct one_row *row)
{
    const struct fetch_columns columns = {.columns = FETCH_COLUMN_INTERNALDATE,
                                          .count = 1,
                                          .uid = &row->uid,
                                          .internal_ms = &row->internal_ms,
                                          .zone_biased = &row->zone};
    struct vy_buf block;
    vy_buf_init(&block, 4096);
    fetch_stream_append_block(&block, &columns);
    vy_buf_reset(&s->out);
    rows->range = 0;
    assert_false(vy_failed(imap_write_blocks(s, rows, vy_buf_bytes(&block))));
    vy_buf_deinit(&block);
}

static void check_date(struct imap_session *s, struct imap_row_writer *rows, uint64_t ms,
                       int32_t zone_minutes)
{
    const struct one_row row = {
        .uid = 7,
        .internal_ms = ms,
        .zone = (uint32_t)(zone_minutes + (int32_t)FETCH_ZONE_BIAS),
    };
    struct vy_buf wanted;
    vy_buf_init(&wanted, 4096);
    vy_buf_append_cstr(&wanted, "* 1 FETCH (INTERNALDATE \"");
    date_append_imap_date_time(
        &wanted, (struct date_time){.unix_ms = (int64_t)ms, .zone_minutes = zone_minutes});
    vy_buf_append_cstr(&wanted, "\")\r\n");
    write_row_text(s, rows, &row);
    assert_int_equal(vy_buf_len(&wanted), vy_buf_len(&s->out));
    assert_memory_equal(vy_buf_bytes(&wanted).data, vy_buf_bytes(&s->out).data,
                        vy_buf_len(&wanted));
    vy_buf_deinit(&wanted);
}

static void open_view(struct imap_session *s)
{
    *s = (struct imap_session){.state = IMAP_STATE_SELECTED};
    vy_buf_init(&s->out, OUT_BYTES_MAX);
    assert_false(vy_failed(imap_view_new(VY_LIT("INBOX"), &s->view)));
    uidset_add_range(&s->view->uids, 7, 7);
}

static void close_view(struct imap_session *s)
{
    imap_view_free(s->view);
    vy_buf_deinit(&s->out);
}

/* The day is kept from row to row; the time is not. */
static void dates_are_those_of_the_date_module(void **state)
{
    enum { COUNT = 20000 };
    const uint64_t day_ms = 86400000;
    static struct imap_session s;
    static struct imap_row_writer rows = {.items = IMAP_ITEM_INTERNALDATE};
    struct fake_rng rng;
    (void)state;
    fake_rng_init(&rng, 1);
    open_view(&s);
    check_date(&s, &rows, 0, 0);
    check_date(&s, &rows, 0, -1);
    check_date(&s, &rows, 0, -720);
    check_date(&s, &rows, 999, 0);
    check_date(&s, &rows, 951782400000 - 1, 0); /* 28 Feb 2000, 29 Feb */
    check_date(&s, &rows, 951782400000, 0);
    check_date(&s, &rows, 951782400000, -300);
    check_date(&s, &rows, 253402127999999, 840);
    uint64_t ms = 1700000000000;
    for (unsigned i = 0; i < COUNT; i++) {
        ms = i % 8 == 0 ? vy_rng_below(&rng.base, 253402128000000)
                        : ms + vy_rng_below(&rng.base, day_ms / 4);
        check_date(&s, &rows, VY_MIN(ms, UINT64_C(253402127999999)),
                   (int32_t)vy_rng_below(&rng.base, 1680) - 840);
    }
    close_view(&s);
}

/* A shard's word is not taken for what cannot be written. */
static void absurd_dates_of_a_shard_are_still_dates(void **state)
{
    static struct imap_session s;
    static struct imap_row_writer rows = {.items = IMAP_ITEM_INTERNALDATE};
    static const struct one_row absurd[] = {
        {7, UINT64_MAX, 0                     },
        {7, 0,          65535                 },
        {7, INT64_MAX,  FETCH_ZONE_BIAS + 1441}
    };
    (void)state;
    open_view(&s);
    for (size_t i = 0; i < VY_COUNT_OF(absurd); i++) {
        write_row_text(&s, &rows, &absurd[i]);
        assert_int_equal(vy_buf_len(&s.out), sizeof("* 1 FETCH (INTERNALDATE \"\")\r\n") - 1 + 26);
    }
    close_view(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_decimal),
        cmocka_unit_test(dates_are_those_of_the_date_module),
        cmocka_unit_test(absurd_dates_of_a_shard_are_still_dates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
