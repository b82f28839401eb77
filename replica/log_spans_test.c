/* SPDX-License-Identifier: Apache-2.0 */
/* Where the log may be cut. */
#include "replica/log_spans.h"

#include "tests/lib/test.h"

static void add(struct log_spans *spans, uint64_t from, uint64_t to, uint64_t bytes)
{
    for (uint64_t i = from; i <= to; i++) {
        log_spans_append(spans, i, bytes);
    }
}

static void a_tail_of_entries_stays(void **state)
{
    (void)state;
    struct log_spans spans;
    log_spans_init(&spans, 16, 1000000, 1000000, 100000000);
    log_spans_begin(&spans, 100);
    add(&spans, 101, 116, 10);
    assert_int_equal(log_spans_limit(&spans, 1000), 100); /* not longer than the tail */
    add(&spans, 117, 120, 10);
    assert_int_equal(log_spans_limit(&spans, 1000), 104);
    assert_int_equal(log_spans_limit(&spans, 102), 102); /* not above what is safe */
    assert_int_equal(log_spans_limit(&spans, 100), 100);
    log_spans_cut(&spans, 104);
    assert_int_equal(spans.base, 104);
    assert_int_equal(spans.bytes, 160);
    assert_int_equal(log_spans_limit(&spans, 1000), 104);
}

static void a_tail_of_bytes_stays_and_the_newest_entry_always(void **state)
{
    (void)state;
    struct log_spans spans;
    log_spans_init(&spans, 1000, 100, 1000000, 100000000);
    log_spans_begin(&spans, 0);
    add(&spans, 1, 10, 20);
    assert_int_equal(log_spans_limit(&spans, 1000), 5);
    add(&spans, 11, 11, 5000);
    assert_int_equal(log_spans_limit(&spans, 1000), 10);
}

static void entries_that_lost_an_election_do_not_count(void **state)
{
    (void)state;
    struct log_spans spans;
    log_spans_init(&spans, 64, 1000000, 1000000, 100000000); /* four entries a span */
    log_spans_begin(&spans, 0);
    add(&spans, 1, 70, 1);
    log_spans_append(&spans, 63, 1);
    assert_int_equal(log_spans_limit(&spans, 1000), 0);
    add(&spans, 64, 68, 1);
    assert_int_equal(log_spans_limit(&spans, 1000), 4);
}

/* A member that is away: the table stays bounded, and the newer part fine. */
static void a_long_log_is_known_coarsely(void **state)
{
    (void)state;
    struct log_spans spans;
    log_spans_init(&spans, 16, 1000000, 1000000, 100000000);
    log_spans_begin(&spans, 0);
    add(&spans, 1, 100000, 3);
    assert_true(spans.count <= LOG_SPANS_MAX);
    assert_int_equal(spans.bytes, 300000);
    assert_int_equal(log_spans_limit(&spans, 100000), 100000 - 16);
    assert_int_equal(log_spans_limit(&spans, 0), 0);
    log_spans_cut(&spans, 100000 - 16);
    assert_int_equal(spans.bytes, 16 * 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tail_of_entries_stays),
        cmocka_unit_test(a_tail_of_bytes_stays_and_the_newest_entry_always),
        cmocka_unit_test(entries_that_lost_an_election_do_not_count),
        cmocka_unit_test(a_long_log_is_known_coarsely),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
