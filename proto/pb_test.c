/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/pb.h"

#include "proto/shard.pb.h"
#include "tests/lib/test.h"

struct fixture {
    struct vy_arena arena;
    struct vy_buf buf;
};

static int set_up(void **state)
{
    static struct fixture fixture;
    vy_arena_init(&fixture.arena, 64 * 1024);
    vy_buf_init(&fixture.buf, 1024 * 1024);
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    vy_arena_deinit(&f->arena);
    vy_buf_deinit(&f->buf);
    return 0;
}

static void a_message_comes_back_as_it_went(void **state)
{
    struct fixture *f = *state;
    const struct shard_actor actor = {
        .account_id = UINT64_MAX, .session_token = VY_LIT("token"), .account_epoch = 7};
    const struct vy_bytes keywords[] = {VY_LIT("$Forwarded"), VY_LIT("")};
    const struct append_message messages[] = {
        {.flags = 3,
         .keywords_count = 2,
         .keywords = keywords,
         .internal_zone_minutes = -330,
         .size_bytes = 1},
        {.internal_ms = 1},
    };
    const struct message_append_request request = {.actor = &actor,
                                                   .mailbox_name = VY_LIT("Entwürfe"),
                                                   .messages_count = 2,
                                                   .messages = messages};

    assert_false(vy_failed(vy_pb_encode(&message_append_request_desc, &request, &f->buf)));
    assert_int_equal(vy_buf_len(&f->buf),
                     vy_pb_encoded_size(&message_append_request_desc, &request));
    struct message_append_request back;
    assert_false(vy_failed(
        vy_pb_decode(&message_append_request_desc, &f->arena, vy_buf_bytes(&f->buf), &back)));

    assert_true(back.actor->account_id == UINT64_MAX);
    assert_true(vy_bytes_equal(back.actor->session_token, actor.session_token));
    assert_true(vy_bytes_equal(back.mailbox_name, request.mailbox_name));
    assert_int_equal(back.messages_count, 2);
    assert_int_equal(back.messages[0].keywords_count, 2);
    assert_true(vy_bytes_equal(back.messages[0].keywords[0], keywords[0]));
    assert_int_equal(back.messages[0].keywords[1].len, 0);
    assert_int_equal(back.messages[0].internal_zone_minutes, -330);
    assert_int_equal(back.messages[1].internal_ms, 1);
}

static void absent_fields_are_zero_and_unknown_ones_skipped(void **state)
{
    struct fixture *f = *state;
    struct flag_change change;
    /* field 1 = 150; field 60 as varint, bytes and fixed32 */
    const uint8_t wire[] = {0x08, 0x96, 0x01, 0xE0, 0x03, 0x05, 0xE2, 0x03,
                            0x01, 'x',  0xE5, 0x03, 1,    2,    3,    4};
    assert_false(vy_failed(
        vy_pb_decode(&flag_change_desc, &f->arena, vy_bytes(wire, sizeof(wire)), &change)));
    assert_int_equal(change.uid, 150);
    assert_int_equal(change.flags, 0);
    assert_int_equal(change.keyword_bits.len, 0);
}

/* Promise R3: whatever a peer sends is refused, never acted on. */
static void damaged_input_is_refused(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *why;
        uint8_t bytes[12];
        size_t len;
    } cases[] = {
        {"key cut",                    {0x80},                                                 1 },
        {"field number zero",          {0x00, 0x01},                                           2 },
        {"varint over 64 bits",        {0x08, 255, 255, 255, 255, 255, 255, 255, 255, 255, 2}, 11},
        {"length past the end",        {0x1A, 0x05, 'a'},                                      3 },
        {"group wire type",            {0x0B},                                                 1 },
        {"wrong wire type of a field", {0x0A, 0x00},                                           2 },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct flag_change change;
        const struct vy_err err = vy_pb_decode(&flag_change_desc, &f->arena,
                                               vy_bytes(cases[i].bytes, cases[i].len), &change);
        if (err.code != VY_CODE_SYNTAX) {
            fail_msg("%s: %s", cases[i].why, vy_code_name(err.code));
        }
    }
}

static void a_string_that_is_not_utf8_is_refused(void **state)
{
    struct fixture *f = *state;
    const uint8_t wire[] = {0x12, 0x02, 0xC3, 0x28}; /* MailboxInfo.name */
    struct mailbox_info info;
    const struct vy_err err =
        vy_pb_decode(&mailbox_info_desc, &f->arena, vy_bytes(wire, sizeof(wire)), &info);
    assert_int_equal(err.code, VY_CODE_SYNTAX);
}

/* A megabyte of empty sub-messages must not become a hundred: the arena's limit ends it. */
static void many_empty_messages_cost_no_more_than_the_arena(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < 10000; i++) {
        vy_buf_append(&f->buf, VY_LIT("\x0A\x00"));
    }
    struct mailbox_list_reply reply;
    const struct vy_err err =
        vy_pb_decode(&mailbox_list_reply_desc, &f->arena, vy_buf_bytes(&f->buf), &reply);
    assert_int_equal(err.code, VY_CODE_LIMIT);
}

static void output_over_the_buffers_limit_is_an_error(void **state)
{
    (void)state;
    struct vy_buf small;
    vy_buf_init(&small, 4);
    const struct flag_change change = {.uid = 1, .flags = 2, .modseq = UINT64_MAX};
    assert_int_equal(vy_pb_encode(&flag_change_desc, &change, &small).code, VY_CODE_LIMIT);
    vy_buf_deinit(&small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_message_comes_back_as_it_went, set_up, tear_down),
        cmocka_unit_test_setup_teardown(absent_fields_are_zero_and_unknown_ones_skipped, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(damaged_input_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_string_that_is_not_utf8_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(many_empty_messages_cost_no_more_than_the_arena, set_up,
                                        tear_down),
        cmocka_unit_test(output_over_the_buffers_limit_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
