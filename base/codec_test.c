/* SPDX-License-Identifier: Apache-2.0 */
#include "base/codec.h"

#include "base/assert.h"
#include "tests/lib/fake_rng.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void base64_of_rfc_4648_section_10_both_ways(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"",       ""        },
        {"f",      "Zg=="    },
        {"fo",     "Zm8="    },
        {"foo",    "Zm9v"    },
        {"foob",   "Zm9vYg=="},
        {"fooba",  "Zm9vYmE="},
        {"foobar", "Zm9vYmFy"}
    };
    for (size_t i = 0; i < VY_COUNT_OF(rows); i++) {
        struct vy_arena arena;
        struct vy_buf out;
        struct vy_bytes decoded;
        vy_arena_init(&arena, 4096);
        vy_buf_init(&out, strlen(rows[i][1])); /* exactly enough */
        vy_base64_encode(&out, vy_cstr(rows[i][0]));
        assert_false(vy_failed(vy_buf_error(&out)));
        assert_true(vy_bytes_equal(vy_buf_bytes(&out), vy_cstr(rows[i][1])));
        assert_false(vy_failed(vy_base64_decode(&arena, vy_buf_bytes(&out), &decoded)));
        assert_true(vy_bytes_equal(decoded, vy_cstr(rows[i][0])));
        vy_buf_deinit(&out);
        vy_arena_deinit(&arena);
    }
}

static void base64_takes_its_alphabet_only(void **state)
{
    (void)state;
    static const char *const rows[] = {"Zg",   "Zg=",  "=",        "====",    "Zg=a",
                                       "Z===", "Zh==", "Zm9=",     "Zm 9",    "Zm9\n",
                                       "Zm9-", "Zm9_", "Zg==Zg==", "Zm9v\r\n"};
    for (size_t i = 0; i < VY_COUNT_OF(rows); i++) {
        struct vy_arena arena;
        struct vy_bytes decoded;
        vy_arena_init(&arena, 4096);
        assert_int_equal(vy_base64_decode(&arena, vy_cstr(rows[i]), &decoded).code, VY_CODE_SYNTAX);
        vy_arena_deinit(&arena);
    }
}

static void hex_and_base32_are_written_as_the_rfc_says(void **state)
{
    (void)state;
    struct vy_arena arena;
    struct vy_buf out;
    struct vy_bytes decoded;
    vy_arena_init(&arena, 4096);
    vy_buf_init(&out, 100);
    vy_hex_encode(&out, VY_LIT("\x00\xff\x1a"));
    assert_true(vy_bytes_equal(vy_buf_bytes(&out), VY_LIT("00ff1a")));
    assert_false(vy_failed(vy_hex_decode(&arena, VY_LIT("00FF1a"), &decoded)));
    assert_true(vy_bytes_equal(decoded, VY_LIT("\x00\xff\x1a")));
    assert_int_equal(vy_hex_decode(&arena, VY_LIT("0"), &decoded).code, VY_CODE_SYNTAX);
    assert_int_equal(vy_hex_decode(&arena, VY_LIT("0g"), &decoded).code, VY_CODE_SYNTAX);
    vy_buf_reset(&out);
    vy_base32_encode(&out, VY_LIT("fooba"));
    vy_base32_encode(&out, VY_LIT("foobar"));
    assert_true(vy_bytes_equal(vy_buf_bytes(&out), VY_LIT("MZXW6YTBMZXW6YTBOI")));
    vy_buf_deinit(&out);
    vy_arena_deinit(&arena);
}

static void utf8_is_checked_as_rfc_3629_says(void **state)
{
    (void)state;
    static const char *const good[] = {"",
                                       "a",
                                       "\xC2\x80",
                                       "\xDF\xBF",
                                       "\xE0\xA0\x80",
                                       "\xED\x9F\xBF",
                                       "\xEE\x80\x80",
                                       "\xF0\x90\x80\x80",
                                       "\xF4\x8F\xBF\xBF"};
    static const char *const bad[] = {"\x80",
                                      "\xBF",
                                      "\xC0\x80",
                                      "\xC1\xBF",
                                      "\xC2",
                                      "\xC2\x41",
                                      "\xE0\x9F\xBF",
                                      "\xED\xA0\x80",
                                      "\xEF\xBF",
                                      "\xF0\x8F\xBF\xBF",
                                      "\xF4\x90\x80\x80",
                                      "\xF5\x80\x80\x80",
                                      "\xFF",
                                      "a\xF0\x90\x80"};
    for (size_t i = 0; i < VY_COUNT_OF(good); i++) {
        assert_true(vy_utf8_is_valid(vy_cstr(good[i])));
    }
    for (size_t i = 0; i < VY_COUNT_OF(bad); i++) {
        assert_false(vy_utf8_is_valid(vy_cstr(bad[i])));
    }
}

static void every_character_comes_back_from_utf8(void **state)
{
    (void)state;
    struct vy_buf out;
    vy_buf_init(&out, 8);
    for (uint32_t codepoint = 0; codepoint <= 0x110000; codepoint++) {
        size_t at = 0;
        uint32_t read = 0;
        const bool is_character =
            codepoint <= 0x10FFFF && (codepoint < 0xD800 || codepoint > 0xDFFF);
        vy_buf_reset(&out);
        vy_utf8_append(&out, codepoint);
        assert_true(vy_utf8_next(vy_buf_bytes(&out), &at, &read));
        assert_int_equal(read, is_character ? codepoint : 0xFFFD);
        assert_int_equal(at, vy_buf_len(&out));
    }
    vy_buf_deinit(&out);
}

static void crc32c_has_the_values_of_rfc_3720(void **state)
{
    (void)state;
    uint8_t bytes[32] = {0};
    assert_int_equal(vy_crc32c(0, VY_LIT("123456789")), 0xE3069283U);
    assert_int_equal(vy_crc32c(0, vy_bytes(bytes, 32)), 0x8A9136AAU);
    memset(bytes, 0xFF, sizeof(bytes));
    assert_int_equal(vy_crc32c(0, vy_bytes(bytes, 32)), 0x62A8AB43U);
    assert_int_equal(vy_crc32c(0, vy_bytes(NULL, 0)), 0);
}

static void crc32c_is_the_same_in_parts_and_without_the_instruction(void **state)
{
    (void)state;
    struct fake_rng rng;
    uint8_t bytes[257];
    fake_rng_init(&rng, 1);
    vy_rng_fill(&rng.base, bytes, sizeof(bytes));
    for (size_t len = 0; len <= sizeof(bytes); len++) {
        const struct vy_bytes all = vy_bytes(bytes, len);
        const uint32_t whole = vy_crc32c(0, all);
        assert_int_equal(whole, vy_crc32c_portable(0, all));
        const uint32_t half = vy_crc32c(0, vy_bytes_slice(all, 0, len / 2));
        assert_int_equal(whole, vy_crc32c(half, vy_bytes_from(all, len / 2)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(base64_of_rfc_4648_section_10_both_ways),
        cmocka_unit_test(base64_takes_its_alphabet_only),
        cmocka_unit_test(hex_and_base32_are_written_as_the_rfc_says),
        cmocka_unit_test(utf8_is_checked_as_rfc_3629_says),
        cmocka_unit_test(every_character_comes_back_from_utf8),
        cmocka_unit_test(crc32c_has_the_values_of_rfc_3720),
        cmocka_unit_test(crc32c_is_the_same_in_parts_and_without_the_instruction),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
