/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/password_prep.h"

#include "base/assert.h"
#include "tests/lib/test.h"

struct fixture {
    struct vy_arena arena;
};

static int set_up(void **state)
{
    static struct fixture f;
    vy_arena_init(&f.arena, 256 * 1024);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    vy_arena_deinit(&f->arena);
    return 0;
}

static enum vy_code prepare(struct fixture *f, const char *typed, struct vy_bytes *out)
{
    vy_arena_reset(&f->arena);
    return password_prepare(&f->arena, vy_cstr(typed), out).code;
}

struct sample {
    const char *typed;
    const char *prepared;
};

/* RFC 8265 section 4.3, table 5. */
static void pol1_accepts_what_the_profile_accepts(void **state)
{
    struct fixture *f = *state;
    static const struct sample samples[] = {
        {"correct horse battery staple",         "correct horse battery staple"        },
        {"Correct Horse Battery Staple",         "Correct Horse Battery Staple"        },
        {"\xcf\x80\xc3\x9f\xc3\xa5",             "\xcf\x80\xc3\x9f\xc3\xa5"            },
        {"Jack of \xe2\x99\xa6s",                "Jack of \xe2\x99\xa6s"               },
        {"foo\xe1\x9a\x80"
         "bar",                         "foo bar"                             },
        {"\xe3\x80\x80\xc2\xa0",                 "  "                                  },
        {"e\xcc\x81",                            "\xc3\xa9"                            }, /* NFC */
        {"\xef\xbc\xa1",                         "\xef\xbc\xa1"                        }, /* full width stays */
        {"\xe0\xa4\x95\xe0\xa5\x8d\xe2\x80\x8d", "\xe0\xa4\x95\xe0\xa5\x8d\xe2\x80\x8d"},
    };
    for (size_t i = 0; i < VY_COUNT_OF(samples); i++) {
        struct vy_bytes out;
        assert_int_equal(prepare(f, samples[i].typed, &out), VY_CODE_OK);
        assert_true(vy_bytes_equal(out, vy_cstr(samples[i].prepared)));
    }
}

static void pol1_refuses_what_the_profile_refuses(void **state)
{
    struct fixture *f = *state;
    static const char *const samples[] = {
        "",
        "my cat is a \x09"
        "by",
        "line\r\nfeed",
        "\x7f",
        "\xc2\x80",      /* C1 control */
        "a\xe2\x80\x8d", /* joiner that joins nothing */
        "a\xc2\xad",     /* soft hyphen */
        "\xe2\x80\xae",  /* right-to-left override */
        "\xee\x80\x80",  /* private use */
        "\xef\xb7\x90",  /* noncharacter */
        "\xd9\x80",      /* tatweel */
        "\xe1\x84\x80",  /* old hangul */
        "\xe2\x80\xa8",  /* line separator */
        "\xff",          /* not UTF-8 */
        "\xc0\xaf",      /* overlong */
        "\xed\xa0\x80",  /* surrogate */
        "\xf0\x9f\x98",  /* cut */
    };
    for (size_t i = 0; i < VY_COUNT_OF(samples); i++) {
        struct vy_bytes out;
        assert_int_equal(prepare(f, samples[i], &out), VY_CODE_ARGUMENT);
    }
    struct vy_bytes out;
    assert_int_equal(password_prepare(&f->arena, VY_LIT("a\0b"), &out).code, VY_CODE_ARGUMENT);
}

/* A6. */
static void a6_length_is_limited_before_anything_is_done(void **state)
{
    struct fixture *f = *state;
    static char typed[PASSWORD_BYTES_MAX + 1];
    memset(typed, 'x', sizeof(typed));
    for (size_t len = PASSWORD_BYTES_MAX - 1; len <= PASSWORD_BYTES_MAX + 1; len++) {
        struct vy_bytes out;
        vy_arena_reset(&f->arena);
        const struct vy_err err = password_prepare(&f->arena, vy_bytes(typed, len), &out);
        assert_int_equal(err.code, len <= PASSWORD_BYTES_MAX ? VY_CODE_OK : VY_CODE_LIMIT);
    }
}

static void text_that_grows_beyond_the_limit_by_composition_is_refused(void **state)
{
    struct fixture *f = *state;
    /* U+1D160 is four bytes and a composition exclusion: NFC makes twelve of them. */
    static char typed[PASSWORD_BYTES_MAX];
    for (size_t i = 0; i + 4 <= sizeof(typed); i += 4) {
        memcpy(typed + i, "\xf0\x9d\x85\xa0", 4);
    }
    struct vy_bytes out;
    assert_int_equal(password_prepare(&f->arena, vy_bytes(typed, sizeof(typed)), &out).code,
                     VY_CODE_LIMIT);
    assert_int_equal(password_prepare(&f->arena, vy_bytes(typed, 340), &out).code, VY_CODE_OK);
    assert_int_equal(out.len, 3 * 340);
}

static void app1_spaces_dashes_and_case_do_not_count_in_generated_passwords(void **state)
{
    struct fixture *f = *state;
    static const char *const same[] = {
        "abcde-fghjk-mnpqr-stuvw-xyz23",
        "abcdefghjkmnpqrstuvwxyz23",
        " abcde fghjk mnpqr stuvw xyz23 ",
        "ABCDE-FGHJK-MNPQR-STUVW-XYZ23",
        "abcde\xc2\xa0"
        "fghjk-mnpqr-stuvw-xyz23",
    };
    for (size_t i = 0; i < VY_COUNT_OF(same); i++) {
        struct vy_bytes out;
        assert_int_equal(prepare(f, same[i], &out), VY_CODE_OK);
        assert_true(vy_bytes_equal(out, VY_LIT("abcdefghjkmnpqrstuvwxyz23")));
    }
    static const char *const other[] = {
        "abcdefghjkmnpqrstuvwxyz2",   /* one short */
        "abcdefghjkmnpqrstuvwxyz234", /* one more */
        "abcdefghjkmnpqrstuvwxyz2i",  /* a letter that is never used */
        "Abcde-fghjk-mnpqr-stuvw-xyz2!",
    };
    for (size_t i = 0; i < VY_COUNT_OF(other); i++) {
        struct vy_bytes out;
        assert_int_equal(prepare(f, other[i], &out), VY_CODE_OK);
        assert_true(vy_bytes_equal(out, vy_cstr(other[i])));
    }
}

static void hash_is_sha256_of_the_prepared_password(void **state)
{
    (void)state;
    static const uint8_t abc[4] = {0xba, 0x78, 0x16, 0xbf};
    uint8_t out[32];
    password_hash(VY_LIT("abc"), out);
    assert_memory_equal(out, abc, sizeof(abc));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pol1_accepts_what_the_profile_accepts),
        cmocka_unit_test(pol1_refuses_what_the_profile_refuses),
        cmocka_unit_test(a6_length_is_limited_before_anything_is_done),
        cmocka_unit_test(text_that_grows_beyond_the_limit_by_composition_is_refused),
        cmocka_unit_test(app1_spaces_dashes_and_case_do_not_count_in_generated_passwords),
        cmocka_unit_test(hash_is_sha256_of_the_prepared_password),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
