/* SPDX-License-Identifier: Apache-2.0 */
/* RFC 6238 and RFC 4226 by their own vectors; what is a code and what is not (A9). */
#include "meta/totp.h"

#include "base/assert.h"
#include "tests/lib/test.h"

static const uint8_t rfc_secret[TOTP_SECRET_BYTES] = "12345678901234567890";

static void rfc6238_appendix_b_cut_to_six_digits(void **state)
{
    static const struct {
        uint64_t unix_s;
        uint32_t code; /* the RFC's eight digits, the last six of them */
    } cases[] = {
        {59,          287082},
        {1111111109,  81804 },
        {1111111111,  50471 },
        {1234567890,  5924  },
        {2000000000,  279037},
        {20000000000, 353130},
    };
    (void)state;
    for (size_t i = 0; i < VY_COUNT_OF(cases); i++) {
        assert_int_equal(totp_code(rfc_secret, cases[i].unix_s / 30), cases[i].code);
    }
}

static void rfc4226_appendix_d(void **state)
{
    static const uint32_t codes[] = {755224, 287082, 359152, 969429, 338314,
                                     254676, 287922, 162583, 399871, 520489};
    (void)state;
    for (size_t i = 0; i < VY_COUNT_OF(codes); i++) {
        assert_int_equal(totp_code(rfc_secret, i), codes[i]);
    }
}

static void a9_six_digits_are_a_code_with_spaces_too(void **state)
{
    uint32_t code = 0;
    (void)state;
    assert_true(totp_parse_code(VY_LIT("005924"), &code));
    assert_int_equal(code, 5924);
    assert_true(totp_parse_code(VY_LIT(" 005 924 "), &code));
    static const char *const bad[] = {"",       "00592",  "0059245", "00592a", "-05924",
                                      "+05924", "0x5924", "00592\t", "٠٠٥٩٢٤", "005 92"};
    for (size_t i = 0; i < VY_COUNT_OF(bad); i++) {
        assert_false(totp_parse_code(vy_cstr(bad[i]), &code));
    }
}

static void the_window_is_one_step_to_each_side(void **state)
{
    const uint64_t now_ms = 2000000000000ULL + 7;
    const uint64_t now = now_ms / TOTP_STEP_MS;
    (void)state;
    for (uint64_t step = now - 3; step <= now + 3; step++) {
        uint64_t found = 0;
        const bool is_inside = step >= now - 1 && step <= now + 1;
        assert_int_equal(totp_find_step(rfc_secret, totp_code(rfc_secret, step), now_ms, 0, &found),
                         is_inside);
        if (is_inside) {
            assert_int_equal(found, step);
        }
    }
}

static void a_step_that_was_used_is_none(void **state)
{
    const uint64_t now_ms = 2000000000000ULL;
    const uint64_t now = now_ms / TOTP_STEP_MS;
    uint64_t found = 0;
    (void)state;
    const uint32_t code = totp_code(rfc_secret, now);
    assert_true(totp_find_step(rfc_secret, code, now_ms, now - 1, &found));
    assert_false(totp_find_step(rfc_secret, code, now_ms, now, &found));
    assert_false(totp_find_step(rfc_secret, code, now_ms, now + 1, &found));
}

static void the_first_minute_of_time_has_steps_too(void **state)
{
    uint64_t found = 0;
    (void)state;
    assert_true(totp_find_step(rfc_secret, totp_code(rfc_secret, 1), 0, 0, &found));
    assert_int_equal(found, 1);
    assert_false(totp_find_step(rfc_secret, totp_code(rfc_secret, 2), 0, 0, &found));
}

static void the_uri_is_what_apps_read(void **state)
{
    struct vy_buf buf;
    (void)state;
    vy_buf_init(&buf, 1024);
    totp_append_uri(&buf, VY_LIT("d.test"), VY_LIT("a b&c@d.test"), rfc_secret);
    const struct vy_bytes expected =
        VY_LIT("otpauth://totp/d.test:a%20b%26c@d.test?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
               "&issuer=d.test&algorithm=SHA1&digits=6&period=30");
    assert_true(vy_bytes_equal(vy_buf_bytes(&buf), expected));
    vy_buf_deinit(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rfc6238_appendix_b_cut_to_six_digits),
        cmocka_unit_test(rfc4226_appendix_d),
        cmocka_unit_test(a9_six_digits_are_a_code_with_spaces_too),
        cmocka_unit_test(the_window_is_one_step_to_each_side),
        cmocka_unit_test(a_step_that_was_used_is_none),
        cmocka_unit_test(the_first_minute_of_time_has_steps_too),
        cmocka_unit_test(the_uri_is_what_apps_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
