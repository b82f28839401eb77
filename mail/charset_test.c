/* SPDX-License-Identifier: Apache-2.0 */
/* Text that is none: encoded words, charsets and transfer encodings, rows M9, M11 and M12. */
#include "mail/charset.h"

#include "base/assert.h"
#include "base/codec.h"
#include "mail/cte.h"
#include "mail/encoded_word.h"
#include "tests/lib/test.h"
#include <stdlib.h>

#define MIB (1024U * 1024U)
#define REPLACEMENT "\xef\xbf\xbd"

static bool is_clean_utf8(struct vy_bytes text)
{
    if (!vy_utf8_is_valid(text)) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        if ((text.data[i] < ' ' && text.data[i] != '\t') || text.data[i] == 0x7F) {
            return false;
        }
    }
    return true;
}

static void expect_decoded(const char *value, const char *expected)
{
    struct vy_buf out;
    vy_buf_init(&out, MIB);
    encoded_word_decode(&out, vy_cstr(value));
    assert_true(is_clean_utf8(vy_buf_bytes(&out)));
    vy_buf_append_byte(&out, '\0');
    assert_string_equal((const char *)vy_buf_bytes(&out).data, expected);
    vy_buf_deinit(&out);
}

static void decoded_control_characters_are_never_lines_M9(void **state)
{
    (void)state;
    expect_decoded("=?utf-8?Q?x=0D=0ABcc:_y?=", "x" REPLACEMENT REPLACEMENT "Bcc: y");
    expect_decoded("=?utf-8?B?eA0KQmNjOiB5?=", "x" REPLACEMENT REPLACEMENT "Bcc: y");
    expect_decoded("=?utf-8?Q?=00=1B[2J=7F=C2=85?=",
                   REPLACEMENT REPLACEMENT "[2J" REPLACEMENT REPLACEMENT);
    expect_decoded("=?utf-16be?B?AA0ACgBC?=", REPLACEMENT REPLACEMENT "B");
    expect_decoded("=?iso-2022-jp?B?GyRCJCIbKEI=?=",
                   "\xe3\x81\x82"); /* its own escapes are no text */
}

static void unknown_charsets_and_split_characters_M9(void **state)
{
    (void)state;
    expect_decoded("=?x-nobody?Q?a=FFb?=", "a" REPLACEMENT "b");
    expect_decoded("=?x-nobody?Q?a=C3=A9b?=", "a\xc3\xa9"
                                              "b"); /* valid UTF-8 is taken for it */
    expect_decoded("=?utf-8?Q?a=C3?= =?utf-8?Q?=A9b?=", "a\xc3\xa9"
                                                        "b");
    expect_decoded("=?utf-8?Q?a=C3?= =?iso-8859-1?Q?=E9b?=", "a" REPLACEMENT "\xc3\xa9"
                                                             "b");
    expect_decoded("=?utf-8?Q?a=C3?=", "a" REPLACEMENT);
    expect_decoded("=??Q?a?=", "=??Q?a?=");
    expect_decoded("=?utf-8?X?a?=", "=?utf-8?X?a?=");
    expect_decoded("=?utf-8?Q?a", "=?utf-8?Q?a");
}

/* Anything of any size: the result is clean, and not larger than the input can explain. */
static void decode_large(const char *begin, const char *middle, size_t count, const char *end)
{
    struct vy_buf in;
    struct vy_buf out;
    vy_buf_init(&in, 16 * MIB);
    vy_buf_init(&out, 64 * MIB);
    vy_buf_append_cstr(&in, begin);
    for (size_t i = 0; i < count; i++) {
        vy_buf_append_cstr(&in, middle);
    }
    vy_buf_append_cstr(&in, end);
    encoded_word_decode(&out, vy_buf_bytes(&in));
    assert_false(out.failed);
    assert_true(is_clean_utf8(vy_buf_bytes(&out)));
    assert_true(vy_buf_len(&out) <= 3 * vy_buf_len(&in));
    vy_buf_deinit(&in);
    vy_buf_deinit(&out);
}

static void words_of_a_mebibyte_and_a_mebibyte_of_words_M9(void **state)
{
    (void)state;
    decode_large("=?utf-8?Q?", "a", MIB, "?=");
    decode_large("=?utf-8?B?", "QUFB", MIB / 4, "?=");
    decode_large("=?utf-8?Q?", "=FF", MIB / 3, "?=");
    decode_large("", "=?", MIB / 2, "");
    decode_large("", "=?utf-8?Q?", MIB / 10, "");
    decode_large("", "=?utf-8?Q?=C3?= ", MIB / 16, "");
    decode_large("", "=?utf-8?Q?a?=\r\n ", MIB / 16, "");
}

static void text_cut_off_anywhere_ends_in_replacement_characters_M11(void **state)
{
    static const char *const texts[] = {"\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80",
                                        "a\xe2\x82\xac"
                                        "b\xf0\x9f\x98\x80"};
    static const char *const charsets[] = {"utf-8",   "us-ascii",    "utf-16", "shift_jis",
                                           "gb18030", "iso-2022-jp", "utf-7",  "big5",
                                           "euc-kr",  "x-no"};
    (void)state;
    for (size_t i = 0; i < VY_COUNT_OF(texts); i++) {
        for (size_t len = 1; len <= strlen(texts[i]); len++) {
            for (size_t c = 0; c < VY_COUNT_OF(charsets); c++) {
                struct vy_buf out;
                char *const exact = malloc(len); /* a read past the end is one past the block */
                assert_non_null(exact);
                memcpy(exact, texts[i], len);
                vy_buf_init(&out, 4096);
                charset_append_utf8(&out, charset_find(vy_cstr(charsets[c])), vy_bytes(exact, len));
                charset_append_clean(&out, vy_bytes(exact, len), true);
                assert_true(vy_utf8_is_valid(vy_buf_bytes(&out)));
                vy_buf_deinit(&out);
                free(exact);
            }
        }
    }
}

static void expect_clean(const char *text, const char *expected)
{
    struct vy_buf out;
    vy_buf_init(&out, 4096);
    charset_append_utf8(&out, CHARSET_UTF8, vy_cstr(text));
    assert_true(vy_bytes_equal(vy_buf_bytes(&out), vy_cstr(expected)));
    vy_buf_deinit(&out);
}

static void what_is_not_utf8_is_replaced_and_what_follows_it_is_kept_M11(void **state)
{
    (void)state;
    expect_clean("a\xc3", "a" REPLACEMENT);
    expect_clean("\xc3(", REPLACEMENT "(");
    expect_clean("a\x80z", "a" REPLACEMENT "z");
    expect_clean("\xe2\x82z", REPLACEMENT REPLACEMENT "z"); /* one for each byte */
    expect_clean("\xf0\x9f\x98", REPLACEMENT REPLACEMENT REPLACEMENT);
}

static const char *decode_in_steps(enum cte encoding, struct vy_bytes in, size_t step,
                                   struct vy_buf *out)
{
    struct cte_decoder decoder;
    vy_buf_init(out, 16 * MIB);
    cte_decoder_init(&decoder, encoding);
    for (size_t at = 0; at < in.len; at += step) {
        cte_decoder_feed(&decoder, vy_bytes_slice(in, at, step), out);
    }
    cte_decoder_finish(&decoder, out);
    assert_false(out->failed);
    vy_buf_append_byte(out, '\0');
    return (const char *)vy_buf_bytes(out).data;
}

static void encodings_without_an_end_give_what_is_there_M12(void **state)
{
    static const struct {
        enum cte encoding;
        const char *in;
        const char *out;
    } rows[] = {
        {CTE_BASE64,           "aGVsbG8",               "hello"  },
        {CTE_BASE64,           "aGVsbA",                "hell"   },
        {CTE_BASE64,           "a",                     ""       },
        {CTE_BASE64,           "=",                     ""       },
        {CTE_BASE64,           "a\nG\nV\ns\nb\nG\n8\n", "hello"  },
        {CTE_QUOTED_PRINTABLE, "hello=",                "hello"  },
        {CTE_QUOTED_PRINTABLE, "hello=4",               "hello=4"},
        {CTE_QUOTED_PRINTABLE, "h=\r\ne=\r\nl=\r\nlo",  "hello"  },
        {CTE_QUOTED_PRINTABLE, "a=ZZ",                  "a=ZZ"   },
    };
    (void)state;
    for (size_t i = 0; i < VY_COUNT_OF(rows); i++) {
        for (size_t step = 1; step <= 8; step++) {
            struct vy_buf out;
            assert_string_equal(decode_in_steps(rows[i].encoding, vy_cstr(rows[i].in), step, &out),
                                rows[i].out);
            vy_buf_deinit(&out);
        }
    }
}

/* Half a mebibyte that never comes to a point: time that grows with its square would not end. */
static void endless_encodings_are_linear_M12(void **state)
{
    static const char *const fills[] = {"=", "= ", " ", "=\r\n", "a\n", "A", "\t \r\n", "=4"};
    static const enum cte encodings[] = {CTE_BASE64, CTE_QUOTED_PRINTABLE};
    struct vy_buf in;
    (void)state;
    vy_buf_init(&in, 8 * MIB);
    for (size_t i = 0; i < VY_COUNT_OF(fills); i++) {
        vy_buf_reset(&in);
        while (vy_buf_len(&in) < MIB / 2) {
            vy_buf_append_cstr(&in, fills[i]);
        }
        for (size_t e = 0; e < VY_COUNT_OF(encodings); e++) {
            struct vy_buf whole;
            struct vy_buf bytes;
            (void)decode_in_steps(encodings[e], vy_buf_bytes(&in), vy_buf_len(&in), &whole);
            (void)decode_in_steps(encodings[e], vy_buf_bytes(&in), 1, &bytes);
            assert_true(vy_bytes_equal(vy_buf_bytes(&whole), vy_buf_bytes(&bytes)));
            assert_true(vy_buf_len(&whole) <= vy_buf_len(&in) + 1);
            vy_buf_deinit(&whole);
            vy_buf_deinit(&bytes);
        }
    }
    vy_buf_deinit(&in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decoded_control_characters_are_never_lines_M9),
        cmocka_unit_test(unknown_charsets_and_split_characters_M9),
        cmocka_unit_test(words_of_a_mebibyte_and_a_mebibyte_of_words_M9),
        cmocka_unit_test(text_cut_off_anywhere_ends_in_replacement_characters_M11),
        cmocka_unit_test(what_is_not_utf8_is_replaced_and_what_follows_it_is_kept_M11),
        cmocka_unit_test(encodings_without_an_end_give_what_is_there_M12),
        cmocka_unit_test(endless_encodings_are_linear_M12),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
