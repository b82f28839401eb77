/* SPDX-License-Identifier: Apache-2.0 */
/* LIST patterns, row I12. */
#include "mail/wildcard.h"

#include "base/assert.h"
#include "tests/lib/test.h"

static void stars_pass_levels_and_percents_do_not(void **state)
{
    static const struct {
        const char *pattern;
        const char *name;
        bool matches;
    } rows[] = {
        {"*",     "a/b",   true },
        {"%",     "a",     true },
        {"%",     "a/b",   false},
        {"%/%",   "a/b",   true },
        {"a*",    "a",     true },
        {"a*",    "ba",    false},
        {"*b",    "a/b",   true },
        {"a%c",   "abc",   true },
        {"a%c",   "a/c",   false},
        {"inbox", "INBOX", true },
        {"A",     "a",     false},
        {"",      "a",     false},
    };
    (void)state;
    for (size_t i = 0; i < VY_COUNT_OF(rows); i++) {
        assert_false(vy_failed(wildcard_check(vy_cstr(rows[i].pattern))));
        assert_int_equal(wildcard_matches(vy_cstr(rows[i].pattern), vy_cstr(rows[i].name)),
                         rows[i].matches);
    }
}

static void twenty_wildcards_are_the_most_I12(void **state)
{
    char pattern[2 * (WILDCARD_COUNT_MAX + 1)];
    static char longest[WILDCARD_PATTERN_BYTES_MAX + 1];
    (void)state;
    for (size_t i = 0; i <= WILDCARD_COUNT_MAX; i++) {
        pattern[2 * i] = i % 2 == 0 ? '*' : '%';
        pattern[2 * i + 1] = 'a';
    }
    assert_false(vy_failed(wildcard_check(vy_bytes(pattern, sizeof(pattern) - 4))));
    assert_false(vy_failed(wildcard_check(vy_bytes(pattern, sizeof(pattern) - 2))));
    assert_int_equal(wildcard_check(vy_bytes(pattern, sizeof(pattern))).code, VY_CODE_LIMIT);
    memset(longest, 'x', sizeof(longest));
    assert_false(vy_failed(wildcard_check(vy_bytes(longest, sizeof(longest) - 1))));
    assert_int_equal(wildcard_check(vy_bytes(longest, sizeof(longest))).code, VY_CODE_LIMIT);
}

/* Trying every way to spread the name over the wildcards would not come to an end. */
static void the_worst_pattern_is_linear_in_the_name_I12(void **state)
{
    enum { NAMES = 200, NAME_BYTES = 8191 };
    static char name[NAME_BYTES];
    const struct vy_bytes pattern = VY_LIT("*a%a*a%a*a%a*a%a*a%a*a%a*a%a*a%a*a%a*a%x");
    (void)state;
    memset(name, 'a', sizeof(name));
    assert_false(vy_failed(wildcard_check(pattern)));
    for (size_t i = 0; i < NAMES; i++) {
        name[NAME_BYTES - 1] = i % 2 == 0 ? 'x' : 'a';
        assert_int_equal(wildcard_matches(pattern, vy_bytes(name, sizeof(name))), i % 2 == 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stars_pass_levels_and_percents_do_not),
        cmocka_unit_test(twenty_wildcards_are_the_most_I12),
        cmocka_unit_test(the_worst_pattern_is_linear_in_the_name_I12),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
