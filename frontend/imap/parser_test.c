/* SPDX-License-Identifier: Apache-2.0 */
#include "base/assert.h"
#include "frontend/imap/parser.h"
#include "frontend/imap/writer.h"
#include "tests/lib/test.h"

struct fixture {
    struct vy_arena arena;
    struct imap_parser p;
};

static void begin(struct fixture *f, struct vy_bytes text)
{
    vy_arena_init(&f->arena, 1 << 20);
    f->p = (struct imap_parser){.in = text, .arena = &f->arena};
}

static void astrings_are_atoms_quoted_strings_and_literals(void **state)
{
    (void)state;
    static const struct {
        struct vy_bytes text;
        const char *value; /* NULL: SYNTAX */
    } cases[] = {
        {VY_LIT("abc"),            "abc"   },
        {VY_LIT("a]b rest"),       "a]b"   },
        {VY_LIT("\"\""),           ""      },
        {VY_LIT("\"a b\""),        "a b"   },
        {VY_LIT("\"a\\\"b\\\\\""), "a\"b\\"},
        {VY_LIT("{3}\r\na b"),     "a b"   },
        {VY_LIT("{3+}\na\r\n"),    "a\r\n" },
        {VY_LIT("{0}\r\n"),        ""      },
        {VY_LIT("\"a\\b\""),       NULL    }, /* I4 */
        {VY_LIT("\"a"),            NULL    },
        {VY_LIT("\"a\\\""),        NULL    },
        {VY_LIT("\"a\0\""),        NULL    },
        {VY_LIT("{3}\r\nab"),      NULL    },
        {VY_LIT("{1}\r\n\0"),      NULL    },
        {VY_LIT("{3}abc"),         NULL    },
        {VY_LIT(""),               NULL    },
        {VY_LIT("(a"),             NULL    },
        {VY_LIT("\xc3\xa9"),       NULL    },
    };
    for (size_t i = 0; i < VY_COUNT_OF(cases); i++) {
        struct fixture f;
        struct vy_bytes out = {.data = NULL};
        begin(&f, cases[i].text);
        const struct vy_err err = imap_parse_astring(&f.p, &out);
        assert_int_equal(err.code, cases[i].value == NULL ? VY_CODE_SYNTAX : VY_CODE_OK);
        assert_true(cases[i].value == NULL || vy_bytes_equal(out, vy_cstr(cases[i].value)));
        vy_arena_deinit(&f.arena);
    }
}

static void tags_follow_the_rule(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t len; /* of the tag; 0: SYNTAX (I6) */
    } cases[] = {
        {"a1 x",    2},
        {"A.b-3 x", 5},
        {"* x",     0},
        {"+ x",     0},
        {" x",      0},
        {"",        0},
        {"a+b x",   1},
        {"a}b x",   1},
        {"a]",      2},
        {"\"a\"",   0}
    };
    for (size_t i = 0; i < VY_COUNT_OF(cases); i++) {
        struct fixture f;
        struct vy_bytes out = {.data = NULL};
        begin(&f, vy_cstr(cases[i].text));
        const bool failed = vy_failed(imap_parse_tag(&f.p, &out));
        assert_int_equal(failed, cases[i].len == 0);
        assert_int_equal(out.len, cases[i].len);
        vy_arena_deinit(&f.arena);
    }
}

static void words_end_where_an_atom_ends(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, VY_LIT("FLAGSX FLAGS"));
    assert_false(imap_parse_try_word(&f.p, "FLAGS"));
    f.p.at = 7;
    assert_true(imap_parse_try_word(&f.p, "flags"));
    assert_true(imap_parser_is_at_end(&f.p));
    vy_arena_deinit(&f.arena);
}

static void mailbox_names_become_utf8_and_inbox_upper_case(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *name; /* NULL: refused (I10) */
    } cases[] = {
        {"inbox",     "INBOX"   },
        {"\"INboX\"", "INBOX"   },
        {"inbox/x",   "INBOX/x" },
        {"Inboxes",   "Inboxes" },
        {"&APw-",     "\xc3\xbc"},
        {"a&-b",      "a&b"     },
        {"&AGE-",     NULL      },
        {"a&b",       NULL      }
    };
    for (size_t i = 0; i < VY_COUNT_OF(cases); i++) {
        struct fixture f;
        struct vy_bytes out = {.data = NULL};
        begin(&f, vy_cstr(cases[i].text));
        const struct vy_err err = imap_parse_mailbox(&f.p, &out);
        assert_int_equal(vy_failed(err), cases[i].name == NULL);
        assert_true(cases[i].name == NULL || vy_bytes_equal(out, vy_cstr(cases[i].name)));
        vy_arena_deinit(&f.arena);
    }
}

static void flags_and_dates(void **state)
{
    (void)state;
    struct fixture f;
    struct vy_bytes flag = {.data = NULL};
    uint64_t ms = 0;
    int32_t zone = 0;
    begin(&f, VY_LIT("\\Seen $Junk \\* \"17-Jul-1996 02:44:25 -0700\" 1-Feb-1994 31-Feb-1994"));
    assert_false(vy_failed(imap_parse_flag(&f.p, &flag)));
    assert_true(vy_bytes_equal(flag, VY_LIT("\\Seen")));
    assert_false(vy_failed(imap_parse_space(&f.p)));
    assert_false(vy_failed(imap_parse_flag(&f.p, &flag)));
    assert_false(vy_failed(imap_parse_space(&f.p)));
    assert_true(vy_failed(imap_parse_flag(&f.p, &flag)));
    f.p.at = vy_bytes_find(f.p.in, VY_LIT("\"17"), 0);
    assert_false(vy_failed(imap_parse_date_time(&f.p, &ms, &zone)));
    assert_int_equal(ms, 837596665000ULL);
    assert_int_equal(zone, -420);
    assert_false(vy_failed(imap_parse_space(&f.p)));
    assert_false(vy_failed(imap_parse_date(&f.p, &ms)));
    assert_int_equal(ms, 760060800000ULL);
    assert_false(vy_failed(imap_parse_space(&f.p)));
    assert_true(vy_failed(imap_parse_date(&f.p, &ms)));
    vy_arena_deinit(&f.arena);
}

static void numbers_are_written_without_printf(void **state)
{
    (void)state;
    static const uint64_t numbers[] = {0, 9, 10, 99, 100, 4294967295ULL, 18446744073709551615ULL};
    for (size_t i = 0; i < VY_COUNT_OF(numbers); i++) {
        char text[24];
        uint64_t back = 1;
        char *const end = imap_put_u64(text, numbers[i]);
        assert_true(vy_parse_u64(vy_bytes(text, (size_t)(end - text)), &back));
        assert_int_equal(back, numbers[i]);
    }
}

static void names_are_written_as_atoms_or_strings(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *wire;
    } cases[] = {
        {"INBOX",    "INBOX"     },
        {"a b",      "\"a b\""   },
        {"nil",      "\"nil\""   },
        {"",         "\"\""      },
        {"\xc3\xbc", "&APw-"     },
        {"a\"b",     "\"a\\\"b\""},
        {"a&b",      "a&-b"      }
    };
    for (size_t i = 0; i < VY_COUNT_OF(cases); i++) {
        struct vy_buf out;
        vy_buf_init(&out, 1024);
        imap_write_mailbox(&out, vy_cstr(cases[i].name));
        assert_true(vy_bytes_equal(vy_buf_bytes(&out), vy_cstr(cases[i].wire)));
        vy_buf_deinit(&out);
    }
}

static void text_for_people_cannot_break_a_line(void **state)
{
    (void)state;
    struct vy_buf out;
    vy_buf_init(&out, 1024);
    imap_write_text(&out, VY_LIT("a\r\n* BYE\x7f"));
    assert_true(vy_bytes_equal(vy_buf_bytes(&out), VY_LIT("a??* BYE?")));
    vy_buf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(astrings_are_atoms_quoted_strings_and_literals),
        cmocka_unit_test(tags_follow_the_rule),
        cmocka_unit_test(words_end_where_an_atom_ends),
        cmocka_unit_test(mailbox_names_become_utf8_and_inbox_upper_case),
        cmocka_unit_test(flags_and_dates),
        cmocka_unit_test(numbers_are_written_without_printf),
        cmocka_unit_test(names_are_written_as_atoms_or_strings),
        cmocka_unit_test(text_for_people_cannot_break_a_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
