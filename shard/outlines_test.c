/* SPDX-License-Identifier: Apache-2.0 */
/* SELECT from what is remembered says what SELECT from the index says; rows found by walking are
 * those found by searching. */
#include "base/assert.h"
#include "mail/flags.h"
#include "shard/outlines.h"
#include "shard/reads_fixture.h"
#include "shard/row_cursor.h"
#include "shard/service_private.h"
#include "tests/lib/test.h"

static struct reads r;

static int set_up(void **state)
{
    (void)state;
    reads_init(&r);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    reads_deinit(&r);
    return 0;
}

static uint32_t below(uint32_t bound)
{
    return (uint32_t)vy_rng_below(&r.local->rng.base, bound);
}

/* ---- outlines ---- */

static struct mailbox_open_reply open_inbox(void)
{
    const struct mailbox_open_request request = {
        .actor = r.actor, .name = VY_LIT("INBOX"), .read_only = true};
    struct mailbox_open_reply reply;

    const struct vy_err err = shard_local_call(r.local, METHOD_SHARD_MAILBOX_OPEN, NULL, &request,
                                               vy_bytes(NULL, 0), &reply, NULL);
    assert_int_equal(err.code, VY_CODE_OK);
    return reply;
}

static void set_flags(uint32_t uid, enum store_mode mode, uint32_t flags)
{
    const struct message_store_request request = {.actor = r.actor,
                                                  .mailbox_id = r.mailbox_id,
                                                  .uids = reads_uids(&r, uid, uid + 2),
                                                  .mode = mode,
                                                  .flags = flags};

    const struct vy_err err = shard_local_call(r.local, METHOD_SHARD_MESSAGE_STORE, NULL, &request,
                                               vy_bytes(NULL, 0), NULL, NULL);
    assert_int_equal(err.code, VY_CODE_OK);
}

static void change_something(uint32_t *last_uid)
{
    const uint32_t uid = 1 + below(*last_uid);

    switch (below(8)) {
    case 0:
    case 1:
        *last_uid = reads_append_cstr(&r, "Subject: one more\r\n\r\n");
        break;
    case 2:
        assert_false(vy_failed(reads_expunge(&r, uid)));
        break;
    case 3:
        set_flags(uid, STORE_MODE_REMOVE, MAIL_FLAG_SEEN);
        break;
    case 4:
        set_flags(uid, STORE_MODE_ADD, MAIL_FLAG_FLAGGED);
        break;
    default:
        set_flags(uid, STORE_MODE_ADD, MAIL_FLAG_SEEN);
        break;
    }
}

static void what_is_remembered_equals_the_index(void **state)
{
    uint32_t last_uid = reads_append_cstr(&r, "Subject: first\r\n\r\n");
    unsigned with_unseen = 0;

    (void)state;
    for (unsigned round = 0; round < 600; round++) {
        for (uint32_t i = below(4); i > 0; i--) {
            change_something(&last_uid);
        }
        const struct mailbox_open_reply remembered = open_inbox();
        outlines_clear(r.local->service->outlines);
        const struct mailbox_open_reply read = open_inbox();
        assert_true(vy_bytes_equal(remembered.uids, read.uids));
        assert_int_equal(remembered.first_unseen_uid, read.first_unseen_uid);
        with_unseen += read.first_unseen_uid != 0 ? 1 : 0;
    }
    assert_in_range(with_unseen, 50, 599);
}

static void old_outlines_give_way(void **state)
{
    struct outlines *outlines = r.local->service->outlines;
    struct vy_arena arena;
    struct outline out;
    static uint8_t uids[OUTLINE_UIDS_BYTES_MAX + 1];
    struct outline outline = {.modseq = 7, .uids = vy_bytes(uids, OUTLINE_UIDS_BYTES_MAX)};

    (void)state;
    vy_arena_init(&arena, 64U << 20);
    for (uint64_t id = 1; id <= 20; id++) {
        outlines_keep(outlines, id, 1, &outline);
    }
    assert_false(outlines_find(outlines, 1, 1, &arena, &out));
    assert_true(outlines_find(outlines, 20, 1, &arena, &out));
    outline.modseq = 6;
    outlines_keep(outlines, 20, 1, &outline); /* older than what is known */
    assert_true(outlines_find(outlines, 20, 1, &arena, &out));
    assert_int_equal(out.modseq, 7);
    outline.uids = vy_bytes(uids, sizeof(uids));
    outlines_keep(outlines, 30, 1, &outline);
    assert_false(outlines_find(outlines, 30, 1, &arena, &out));
    outlines_drop_account(outlines, 20);
    assert_false(outlines_find(outlines, 20, 1, &arena, &out));
    assert_true(outlines_find(outlines, 19, 1, &arena, &out));
    vy_arena_deinit(&arena);
}

/* ---- row cursors ---- */

#define ROWS 500U

static struct shard_key row_key(uint32_t number)
{
    uint8_t id[SHARD_ID_BYTES] = {0};

    vy_put_be32(id, number);
    return keys_body(READS_ACCOUNT, id, 0);
}

static void expect_row(struct row_cursor *cursor, const struct store_reader *reader,
                       uint32_t number)
{
    const struct shard_key key = row_key(number);
    VY_CLEANUP(store_value_release) struct store_value value = {.is_found = false};
    struct vy_bytes row;
    bool found = false;

    assert_false(vy_failed(
        store_get(reader, shard_store_family(SHARD_BODY), shard_key_bytes(&key), &value)));
    assert_false(vy_failed(row_cursor_get(cursor, &key, &row, &found)));
    assert_int_equal(found, value.is_found);
    assert_int_equal(found, number % 3 == 0 && number < ROWS);
    assert_true(!found || vy_bytes_equal(row, value.bytes));
}

static void rows_are_found_in_any_order(void **state)
{
    const struct store_reader *reader = store_newest(r.local->machine.store);
    struct row_cursor cursor;

    (void)state;
    for (uint32_t i = 0; i < ROWS; i += 3) {
        const struct shard_key key = row_key(i);
        shard_machine_put_payload(&r.local->machine, shard_key_bytes(&key), shard_key_bytes(&key));
    }
    row_cursor_init(&cursor, reader, SHARD_BODY, READS_ACCOUNT);
    for (uint32_t i = 0; i < ROWS; i += 6) {
        expect_row(&cursor, reader, i);
    }
    assert_non_null(cursor.iter); /* it walks */
    for (uint32_t i = 0; i < ROWS + 9; i++) {
        expect_row(&cursor, reader, i);
    }
    for (uint32_t i = ROWS; i-- > 0;) {
        expect_row(&cursor, reader, i);
    }
    for (uint32_t i = 0; i < 4 * ROWS; i++) {
        expect_row(&cursor, reader, below(ROWS + 20));
    }
    for (uint32_t i = 0; i < ROWS; i += 6) {
        expect_row(&cursor, reader, i);
    }
    row_cursor_deinit(&cursor);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_remembered_equals_the_index),
        TEST(old_outlines_give_way),
        TEST(rows_are_found_in_any_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
