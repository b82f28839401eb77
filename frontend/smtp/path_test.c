/* SPDX-License-Identifier: Apache-2.0 */
#include "frontend/smtp/path.h"

#include "frontend/smtp/address.h"
#include "tests/lib/test.h"
#include <stdio.h>
#include <stdlib.h>

static void paths_are_taken_apart(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        const char *text;
        const char *local;
        const char *domain;
        const char *rest;
        bool has_route;
    } rows[] = {
        {"<a@b.example>",          "a@b.example",          "a",            "b.example",          "",        false},
        {" <a@b.example> SIZE=1",  "a@b.example",          "a",            "b.example",          " SIZE=1", false},
        {"<>",                     "",                     "",             "",                   "",        false},
        {"<Postmaster>",           "Postmaster",           "Postmaster",   "",                   "",        false},
        {"<@x,@y.z:a@b>",          "a@b",                  "a",            "b",                  "",        true },
        {"<\"a b\\\"c\"@b>",       "\"a b\\\"c\"@b",       "\"a b\\\"c\"", "b",                  "",        false},
        {"<a@[192.0.2.1]>",        "a@[192.0.2.1]",        "a",            "[192.0.2.1]",        "",        false},
        {"<a@[IPv6:2001:db8::1]>", "a@[IPv6:2001:db8::1]", "a",            "[IPv6:2001:db8::1]", "",        false},
        {"<../x@b>",               "../x@b",               "../x",         "b",                  "",        false},
        {"<a+b{}|@b_c>",           "a+b{}|@b_c",           "a+b{}|",       "b_c",                "",        false},
        {"<\"<>\"@b>",             "\"<>\"@b",             "\"<>\"",       "b",                  "",        false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct smtp_path path;
        struct vy_bytes rest = vy_cstr(rows[i].in);
        assert_int_equal(smtp_path_parse(&rest, &path).code, VY_CODE_OK);
        assert_true(vy_bytes_equal(path.text, vy_cstr(rows[i].text)));
        assert_true(vy_bytes_equal(path.local, vy_cstr(rows[i].local)));
        assert_true(vy_bytes_equal(path.domain, vy_cstr(rows[i].domain)));
        assert_true(vy_bytes_equal(rest, vy_cstr(rows[i].rest)));
        assert_int_equal(path.has_route, rows[i].has_route);
    }
}

/* S7, S8 */
static void what_is_no_path_is_refused(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "",         "a@b",       "<",       "<a@b",    "<a@b>x",   "<<a@b>>",     "<\"\">",
        "<\"\"@d>", "<@>",       "<@d>",    "<a@>",    "<a@b.>",   "<a@.b>",      "<a@b..c>",
        "<\"a@b>",  "<a\"b@c>",  "<a b@c>", "<a@b c>", "<a@b\\>",  "<\"a\\\"@b>", "<\"a\\>",
        "<a>",      "<.@b>",     "<..@b>",  "<@x:>",   "<@x,a@b>", "<@x a@b>",    "<a@[]>",
        "<a@[1.2>", "<a@[x y]>", "<a@b@c>", "<a,b@c>", "<a@b;c>",  "<\"a\"b@c>",  "<(c)a@b>",
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct smtp_path path;
        struct vy_bytes rest = vy_cstr(rows[i]);
        if (smtp_path_parse(&rest, &path).code != VY_CODE_SYNTAX) {
            print_error("%s\n", rows[i]);
            fail();
        }
    }
    struct smtp_path path;
    struct vy_bytes overlong = VY_LIT("<\xc0\xaf@b>"); /* S28 */
    assert_int_equal(smtp_path_parse(&overlong, &path).code, VY_CODE_ARGUMENT);
}

static bool is_path(size_t local_len, size_t label_len)
{
    char text[1024];
    struct smtp_path path;
    const int len = snprintf(text, sizeof(text), "<%.*s@%.*s>", (int)local_len,
                             "llllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllll"
                             "llllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllll"
                             "llllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllll",
                             (int)label_len,
                             "dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd"
                             "dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd");
    struct vy_bytes rest = vy_bytes(text, (size_t)len);
    return !vy_failed(smtp_path_parse(&rest, &path));
}

static void parts_have_limits(void **state)
{
    (void)state;
    assert_true(is_path(SMTP_LOCAL_BYTES_MAX - 1, 1));
    assert_true(is_path(SMTP_LOCAL_BYTES_MAX, 1));
    assert_false(is_path(SMTP_LOCAL_BYTES_MAX + 1, 1));
    assert_true(is_path(1, 62));
    assert_true(is_path(1, 63));
    assert_false(is_path(1, 64));
}

static void parameters_are_keyword_and_value(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        const char *key; /* NULL: not well formed */
        const char *value;
        const char *rest;
    } rows[] = {
        {"",                   "",         NULL, ""         },
        {"   ",                "",         NULL, ""         },
        {" SIZE=10 BODY=7BIT", "SIZE",     "10", "BODY=7BIT"},
        {"SMTPUTF8",           "SMTPUTF8", NULL, ""         },
        {"X-A=",               "X-A",      "",   ""         },
        {"A=<>",               "A",        "<>", ""         },
        {"=x",                 NULL,       NULL, NULL       },
        {"-A=x",               NULL,       NULL, NULL       },
        {"A=b=c",              NULL,       NULL, NULL       },
        {"A\x01=b",            NULL,       NULL, NULL       },
        {"A=\x7f",             NULL,       NULL, NULL       },
        {"A=\xff",             NULL,       NULL, NULL       },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct smtp_param param;
        struct vy_bytes rest = vy_cstr(rows[i].in);
        const struct vy_err err = smtp_param_next(&rest, &param);
        assert_int_equal(vy_failed(err), rows[i].key == NULL);
        if (rows[i].key == NULL) {
            continue;
        }
        assert_true(vy_bytes_equal(param.key, vy_cstr(rows[i].key)));
        assert_int_equal(param.value.data == NULL, rows[i].value == NULL);
        assert_true(rows[i].value == NULL || vy_bytes_equal(param.value, vy_cstr(rows[i].value)));
        assert_true(vy_bytes_equal(vy_bytes_trim(rest), vy_cstr(rows[i].rest)));
    }
}

/* S19 */
static void names_in_ehlo_are_bounded_and_plain(void **state)
{
    (void)state;
    static char longest[SMTP_DOMAIN_BYTES_MAX + 1];
    memset(longest, 'h', sizeof(longest));
    assert_true(smtp_helo_is_fine(VY_LIT("host.example")));
    assert_true(smtp_helo_is_fine(VY_LIT("my_pc")));
    assert_true(smtp_helo_is_fine(VY_LIT("[IPv6:2001:db8::1]")));
    assert_true(smtp_helo_is_fine(vy_bytes(longest, SMTP_DOMAIN_BYTES_MAX)));
    assert_false(smtp_helo_is_fine(vy_bytes(longest, SMTP_DOMAIN_BYTES_MAX + 1)));
    assert_false(smtp_helo_is_fine(VY_LIT("")));
    assert_false(smtp_helo_is_fine(VY_LIT("a b")));
    assert_false(smtp_helo_is_fine(VY_LIT("a\0b")));
    assert_false(smtp_helo_is_fine(VY_LIT("a\x1b[0m")));
    assert_false(smtp_helo_is_fine(VY_LIT("a(b)")));
    assert_false(smtp_helo_is_fine(VY_LIT("a\xc3\xa9")));
}

/* S28: one form at creation, login and delivery. */
static void addresses_have_one_form(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        const char *out; /* NULL: nobody can be called so */
    } rows[] = {
        {"<dev@DEV.Test>",            "dev@dev.test"                       },
        {"<\"dev\"@dev.test>",        "dev@dev.test"                       },
        {"<Dev@dev.test>",            "dev@dev.test"                       },
        {"<postmaster>",              "postmaster@mx.dev.test"             },
        {"<j\xc3\xbcrgen@b\xc3\xbc"
         "cher.example>",    "j\xc3\xbcrgen@xn--bcher-kva.example"},
        {"<ju\xcc\x88rgen@dev.test>", "j\xc3\xbcrgen@dev.test"             }, /* NFD */
        {"<a@[192.0.2.1]>",           NULL                                 },
        {"<../x@dev.test>",           NULL                                 },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct vy_arena arena;
        struct smtp_path path;
        struct vy_bytes out = {.data = NULL};
        struct vy_bytes rest = vy_cstr(rows[i].in);
        vy_arena_init(&arena, 65536);
        assert_int_equal(smtp_path_parse(&rest, &path).code, VY_CODE_OK);
        const struct vy_err err =
            smtp_address_canonical(&arena, &path, VY_LIT("mx.dev.test"), &out);
        assert_int_equal(vy_failed(err), rows[i].out == NULL);
        if (rows[i].out != NULL && !vy_bytes_equal(out, vy_cstr(rows[i].out))) {
            print_error("%s: %.*s\n", rows[i].in, VY_PRI(out));
            fail();
        }
        vy_arena_deinit(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_are_taken_apart),
        cmocka_unit_test(what_is_no_path_is_refused),
        cmocka_unit_test(parts_have_limits),
        cmocka_unit_test(parameters_are_keyword_and_value),
        cmocka_unit_test(names_in_ehlo_are_bounded_and_plain),
        cmocka_unit_test(addresses_have_one_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
