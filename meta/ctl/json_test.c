/* SPDX-License-Identifier: Apache-2.0 */
/* What volaryctl prints: JSON and tables. M17: nothing in them may command a terminal. */
#include "base/assert.h"
#include "meta/ctl/json.h"
#include "meta/ctl/table.h"
#include "proto/admin.pb.h"
#include "tests/lib/test.h"

struct fixture {
    struct vy_buf out;
    struct vy_arena arena;
};

static int set_up(void **state)
{
    static struct fixture fixture;
    vy_buf_init(&fixture.out, 1024U * 1024);
    vy_arena_init(&fixture.arena, 1024U * 1024);
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    vy_buf_deinit(&f->out);
    vy_arena_deinit(&f->arena);
    return 0;
}

static void assert_out(struct fixture *f, const char *expected)
{
    vy_buf_append_byte(&f->out, 0);
    assert_false(vy_failed(vy_buf_error(&f->out)));
    assert_string_equal((const char *)vy_buf_bytes(&f->out).data, expected);
    vy_buf_reset(&f->out);
}

static void strings_are_escaped(void **state)
{
    struct fixture *f = *state;
    static const struct {
        struct vy_bytes in;
        const char *out;
    } rows[] = {
        {VY_LIT(""),                     "\"\""                  },
        {VY_LIT("a\"b\\c/"),             "\"a\\\"b\\\\c/\""      },
        {VY_LIT("\b\t\n\f\r"),           "\"\\b\\t\\n\\f\\r\""   },
        {VY_LIT("\x1b[31m\x7f"),         "\"\\u001b[31m\\u007f\""},
        {{(const uint8_t *)"\0x", 2},    "\"\\u0000x\""          },
        {VY_LIT("gr\xc3\xbc\xc3\x9f"),   "\"gr\xc3\xbc\xc3\x9f\""},
        {VY_LIT("\xf0\x9f\x93\xa7"),     "\"\xf0\x9f\x93\xa7\""  },
        {VY_LIT("\xff"
                "a"),
         "\"\xef\xbf\xbd"
         "a\""                                                   },
        {VY_LIT("\xe2\x80\xae"
                "evil"),
         "\"\\u202eevil\""                                       },
        {VY_LIT("\xe2\x80\xa8\xc2\x9b"), "\"\\u2028\\u009b\""    },
    };
    for (size_t i = 0; i < VY_COUNT_OF(rows); i++) {
        struct ctl_json json;
        ctl_json_init(&json, &f->out, true);
        ctl_json_string(&json, rows[i].in);
        assert_out(f, rows[i].out);
    }
}

static void commas_and_lines_are_where_json_wants_them(void **state)
{
    struct fixture *f = *state;
    struct ctl_json json;
    ctl_json_init(&json, &f->out, false);
    ctl_json_begin_array(&json);
    ctl_json_begin_object(&json);
    ctl_json_end_object(&json);
    ctl_json_begin_object(&json);
    ctl_json_key(&json, "a");
    ctl_json_u64(&json, UINT64_MAX);
    ctl_json_key(&json, "b");
    ctl_json_begin_array(&json);
    ctl_json_bool(&json, true);
    ctl_json_bool(&json, false);
    ctl_json_end_array(&json);
    ctl_json_end_object(&json);
    ctl_json_end_array(&json);
    assert_out(f, "[\n  {},\n  {\n    \"a\": 18446744073709551615,\n    \"b\": [\n      true,\n"
                  "      false\n    ]\n  }\n]");
}

/* The contract of `account create --output json`. */
static void messages_show_all_fields_by_name(void **state)
{
    struct fixture *f = *state;
    const struct admin_create_account_reply created = {.account = VY_LIT("ada@example.org"),
                                                       .id = VY_LIT("7")};
    const struct vy_bytes targets[] = {VY_LIT("a@b.test"), VY_LIT("c@d.test")};
    const struct admin_alias alias = {
        .alias = VY_LIT("x@b.test"), .targets = targets, .targets_count = 2};
    const struct admin_verify_audit_reply verify = {.intact = true, .record_count = 3};
    struct ctl_json json;
    ctl_json_init(&json, &f->out, true);
    ctl_json_message(&json, &admin_create_account_reply_desc, &created);
    assert_out(f, "{\"account\":\"ada@example.org\",\"id\":\"7\",\"password\":\"\"}");
    ctl_json_init(&json, &f->out, true);
    ctl_json_message(&json, &admin_alias_desc, &alias);
    assert_out(f, "{\"alias\":\"x@b.test\",\"targets\":[\"a@b.test\",\"c@d.test\"]}");
    ctl_json_init(&json, &f->out, true);
    ctl_json_message(&json, &admin_verify_audit_reply_desc, &verify);
    assert_out(f, "{\"intact\":true,\"record_count\":3,\"first_bad_sequence\":0,\"reason\":\"\","
                  "\"first_sequence\":0,\"last_sequence\":0,\"signature\":\"\"}");
}

static void nested_messages_are_objects(void **state)
{
    struct fixture *f = *state;
    const struct admin_admin_slot_range slots[] = {
        {.first = 0,  .last = 9,     .group_id = 1},
        {.first = 10, .last = 16383, .group_id = 2}
    };
    const struct admin_list_slots_reply reply = {.slots = slots, .slots_count = 2, .epoch = 5};
    struct ctl_json json;
    ctl_json_init(&json, &f->out, true);
    ctl_json_message(&json, &admin_list_slots_reply_desc, &reply);
    assert_out(f, "{\"slots\":[{\"first\":0,\"last\":9,\"group_id\":1},{\"first\":10,"
                  "\"last\":16383,\"group_id\":2}],\"epoch\":5}");
}

static const struct ctl_column columns[] = {
    {"account",     "ACCOUNT", CTL_TEXT },
    {"quota_bytes", "QUOTA",   CTL_QUOTA},
    {"created_ms",  "CREATED", CTL_TIME },
    {NULL,          NULL,      CTL_TEXT }
};

static void tables_align_by_what_is_seen(void **state)
{
    struct fixture *f = *state;
    const struct admin_account rows[] = {
        {.account = VY_LIT("gr\xc3\xbc\xc3\x9f@b.test"), .quota_bytes = 0, .created_ms = 0},
        {.account = VY_LIT("\xe6\x97\xa5@b.test"),
         .quota_bytes = 1536,
         .created_ms = 1700000000123},
        {.account = VY_LIT("a\x1b[2J@b.test\xe2\x80\xae"),                    .quota_bytes = 10ULL << 30                                   },
    };
    struct ctl_table table;
    ctl_table_init(&table, columns, false, &f->arena);
    for (size_t i = 0; i < VY_COUNT_OF(rows); i++) {
        assert_false(vy_failed(ctl_table_add(&table, &admin_account_desc, &rows[i])));
    }
    ctl_table_write(&table, &f->out);
    assert_out(f, "ACCOUNT        QUOTA      CREATED\n"
                  "gr\xc3\xbc\xc3\x9f@b.test    unlimited  -\n"
                  "\xe6\x97\xa5@b.test      1.5 KiB    2023-11-14T22:13:20Z\n"
                  "a?[2J@b.test?  10 GiB     -\n");
    ctl_table_write_record(&table, &f->out);
    assert_out(f, "ACCOUNT  gr\xc3\xbc\xc3\x9f@b.test\nQUOTA    unlimited\nCREATED  -\n");
}

static void raw_bytes_are_plain_numbers(void **state)
{
    struct fixture *f = *state;
    const struct admin_account row = {.account = VY_LIT("a@b.test"), .quota_bytes = 1536};
    struct ctl_table table;
    ctl_table_init(&table, columns, true, &f->arena);
    assert_false(vy_failed(ctl_table_add(&table, &admin_account_desc, &row)));
    ctl_table_write_record(&table, &f->out);
    assert_out(f, "ACCOUNT  a@b.test\nQUOTA    1536\nCREATED  -\n");
}

/* What meta does not know, such as how far a shard has applied, is no zero. */
static void a_number_that_is_not_known_is_a_dash(void **state)
{
    static const struct ctl_column member[] = {
        {"node",          "NODE",    CTL_TEXT  },
        {"applied_index", "APPLIED", CTL_NUMBER},
        {NULL,            NULL,      CTL_TEXT  }
    };
    struct fixture *f = *state;
    const struct admin_member_status rows[] = {
        {.node = VY_LIT("meta-a"), .applied_index = 7},
        {.node = VY_LIT("shard-1-a")                       },
    };
    struct ctl_table table;
    ctl_table_init(&table, member, false, &f->arena);
    for (size_t i = 0; i < VY_COUNT_OF(rows); i++) {
        assert_false(vy_failed(ctl_table_add(&table, &admin_member_status_desc, &rows[i])));
    }
    ctl_table_write(&table, &f->out);
    assert_out(f, "NODE       APPLIED\nmeta-a     7\nshard-1-a  -\n");
}

static void a_table_without_memory_says_so(void **state)
{
    struct vy_arena small;
    const struct admin_account row = {.account = VY_LIT("a@b.test")};
    struct ctl_table table;
    (void)state;
    vy_arena_init(&small, 8192);
    ctl_table_init(&table, columns, false, &small);
    struct vy_err err = vy_ok();
    for (size_t i = 0; i < 10000 && !vy_failed(err); i++) {
        err = ctl_table_add(&table, &admin_account_desc, &row);
    }
    assert_int_equal(err.code, VY_CODE_LIMIT);
    vy_arena_deinit(&small);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(strings_are_escaped),
        TEST(commas_and_lines_are_where_json_wants_them),
        TEST(messages_show_all_fields_by_name),
        TEST(nested_messages_are_objects),
        TEST(tables_align_by_what_is_seen),
        TEST(raw_bytes_are_plain_numbers),
        TEST(a_number_that_is_not_known_is_a_dash),
        TEST(a_table_without_memory_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
