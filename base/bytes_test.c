/* SPDX-License-Identifier: Apache-2.0 */
#include "base/bytes.h"

#include "base/assert.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void numbers_are_digits_that_fit(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool is_u32;
        bool is_u64;
        uint64_t value;
    } rows[] = {
        {"0",                       true,  true,  0          },
        {"007",                     true,  true,  7          },
        {"4294967294",              true,  true,  4294967294U},
        {"4294967295",              true,  true,  4294967295U},
        {"4294967296",              false, true,  4294967296U},
        {"18446744073709551615",    false, true,  UINT64_MAX },
        {"18446744073709551616",    false, false, 0          },
        {"99999999999999999999999", false, false, 0          },
        {"",                        false, false, 0          },
        {"+1",                      false, false, 0          },
        {"-1",                      false, false, 0          },
        {" 1",                      false, false, 0          },
        {"1 ",                      false, false, 0          },
        {"0x1",                     false, false, 0          },
    };
    for (size_t i = 0; i < VY_COUNT_OF(rows); i++) {
        uint32_t u32 = 77;
        uint64_t u64 = 77;
        assert_int_equal(vy_parse_u32(vy_cstr(rows[i].text), &u32), rows[i].is_u32);
        assert_int_equal(vy_parse_u64(vy_cstr(rows[i].text), &u64), rows[i].is_u64);
        assert_int_equal(u32, rows[i].is_u32 ? rows[i].value : 77);
        assert_int_equal(u64, rows[i].is_u64 ? rows[i].value : 77);
    }
}

static void comparisons_know_ascii_only(void **state)
{
    (void)state;
    assert_true(vy_bytes_equal_nocase(VY_LIT("InBoX"), VY_LIT("INBOX")));
    assert_false(vy_bytes_equal_nocase(VY_LIT("\xC4"), VY_LIT("\xE4")));
    assert_false(vy_bytes_equal_nocase(VY_LIT("["), VY_LIT("{")));
    assert_false(vy_bytes_equal(VY_LIT("a"), VY_LIT("A")));
    assert_true(vy_bytes_equal(vy_bytes(NULL, 0), VY_LIT("")));
    assert_true(vy_bytes_compare(VY_LIT("a"), VY_LIT("ab")) < 0);
    assert_true(vy_bytes_compare(VY_LIT("b"), VY_LIT("ab")) > 0);
    assert_true(vy_bytes_compare(VY_LIT("\x80"), VY_LIT("a")) > 0);
    assert_int_equal(vy_bytes_compare(VY_LIT(""), vy_bytes(NULL, 0)), 0);
    /* A12 */
    assert_true(vy_bytes_equal_secret(VY_LIT("abc"), VY_LIT("abc")));
    assert_false(vy_bytes_equal_secret(VY_LIT("abc"), VY_LIT("abd")));
    assert_false(vy_bytes_equal_secret(VY_LIT("abc"), VY_LIT("ab")));
}

static void ends_are_found_at_both_ends(void **state)
{
    (void)state;
    assert_true(vy_bytes_starts_with(VY_LIT("abc"), VY_LIT("")));
    assert_true(vy_bytes_starts_with(VY_LIT("abc"), VY_LIT("abc")));
    assert_false(vy_bytes_starts_with(VY_LIT("abc"), VY_LIT("abcd")));
    assert_true(vy_bytes_starts_with_nocase(VY_LIT("Re: x"), VY_LIT("re:")));
    assert_true(vy_bytes_ends_with(VY_LIT("abc"), VY_LIT("bc")));
    assert_false(vy_bytes_ends_with(VY_LIT("bc"), VY_LIT("abc")));
    assert_int_equal(vy_bytes_find(VY_LIT("aXbX"), VY_LIT("X"), 2), 3);
    assert_int_equal(vy_bytes_find(VY_LIT("abc"), VY_LIT(""), 3), 3);
    assert_int_equal(vy_bytes_find(VY_LIT("abc"), VY_LIT(""), 4), SIZE_MAX);
    assert_int_equal(vy_bytes_find(VY_LIT("abc"), VY_LIT("abcd"), 0), SIZE_MAX);
    assert_int_equal(vy_bytes_find_byte(VY_LIT("abc"), 'a', 1), SIZE_MAX);
    assert_int_equal(vy_bytes_find_byte(vy_bytes(NULL, 0), 'a', 0), SIZE_MAX);
}

static void slices_are_clamped(void **state)
{
    (void)state;
    const struct vy_bytes b = VY_LIT("hello");
    assert_true(vy_bytes_equal(vy_bytes_slice(b, 1, 3), VY_LIT("ell")));
    assert_true(vy_bytes_equal(vy_bytes_slice(b, 4, SIZE_MAX), VY_LIT("o")));
    assert_int_equal(vy_bytes_slice(b, SIZE_MAX, SIZE_MAX).len, 0);
    assert_int_equal(vy_bytes_from(vy_bytes(NULL, 0), 3).len, 0);
    assert_true(vy_bytes_equal(vy_bytes_trim(VY_LIT(" \ta b\t ")), VY_LIT("a b")));
    assert_int_equal(vy_bytes_trim(VY_LIT(" \t")).len, 0);
    assert_true(vy_bytes_equal(vy_bytes_trim_crlf(VY_LIT("a\r\n")), VY_LIT("a")));
    assert_true(vy_bytes_equal(vy_bytes_trim_crlf(VY_LIT("a\n\n")), VY_LIT("a\n")));
    assert_true(vy_bytes_equal(vy_bytes_trim_crlf(VY_LIT("a\r")), VY_LIT("a\r")));
    assert_int_equal(vy_bytes_trim_crlf(VY_LIT("\n")).len, 0);
}

static void cut_takes_what_stands_before_the_byte(void **state)
{
    (void)state;
    struct vy_bytes rest = VY_LIT("a,,b");
    assert_true(vy_bytes_equal(vy_bytes_cut(&rest, ','), VY_LIT("a")));
    assert_int_equal(vy_bytes_cut(&rest, ',').len, 0);
    assert_true(vy_bytes_equal(vy_bytes_cut(&rest, ','), VY_LIT("b")));
    assert_int_equal(rest.len, 0);
}

static void big_endian_numbers_come_back(void **state)
{
    (void)state;
    uint8_t bytes[8];
    vy_put_be64(bytes, 0x8182838485868788ULL);
    assert_int_equal(bytes[0], 0x81);
    assert_true(vy_get_be64(bytes) == 0x8182838485868788ULL);
    assert_int_equal(vy_get_be32(bytes + 4), 0x85868788U);
    assert_int_equal(vy_get_be16(bytes + 6), 0x8788);
}

static void checked_arithmetic_writes_only_what_fits(void **state)
{
    (void)state;
    size_t out = 0;
    assert_true(vy_add_size(SIZE_MAX - 1, 1, &out));
    assert_false(vy_add_size(SIZE_MAX, 1, &out));
    assert_true(vy_mul_size(SIZE_MAX, 1, &out));
    assert_false(vy_mul_size(SIZE_MAX / 2 + 1, 2, &out));
    assert_int_equal(vy_ascii_hex_value('F'), 15);
    assert_int_equal(vy_ascii_hex_value('g'), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_digits_that_fit),
        cmocka_unit_test(comparisons_know_ascii_only),
        cmocka_unit_test(ends_are_found_at_both_ends),
        cmocka_unit_test(slices_are_clamped),
        cmocka_unit_test(cut_takes_what_stands_before_the_byte),
        cmocka_unit_test(big_endian_numbers_come_back),
        cmocka_unit_test(checked_arithmetic_writes_only_what_fits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
