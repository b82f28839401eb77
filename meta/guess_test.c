/* SPDX-License-Identifier: Apache-2.0 */
/* Budgets of guessing (P18, A2, A3): what fills, what is refused, how late, and who is never locked
 * out. */
#include "meta/guess.h"

#include "base/assert.h"
#include "tests/lib/test.h"
#include <stdio.h>

static const struct guess_limits limits = {
    .kinds = {[GUESS_NARROW] = {.count = 10, .per_ms = 60000},
              [GUESS_WIDE] = {.count = 40, .per_ms = 60000},
              [GUESS_NAME] = {.count = 100, .per_ms = 3600000},
              [GUESS_PAIR] = {.count = 20, .per_ms = 3600000}}
};

static struct guess_table *table_new(const struct guess_limits *with, size_t slots)
{
    struct guess_table *table = NULL;
    assert_false(vy_failed(guess_table_new(with, 7, slots, &table)));
    return table;
}

/* One wrong password, as meta does it. True: it was compared. */
static bool try_wrong(struct guess_table *table, const char *ip, const char *name, bool is_known,
                      uint32_t secret, int64_t now_ms, uint32_t *delay_ms)
{
    const struct guess_who who = guess_who_of(table, vy_cstr(ip), vy_cstr(name));
    *delay_ms = 0;
    if (guess_is_over(table, &who, now_ms) &&
        !guess_is_heard(table, &who, is_known, GUESS_STEP_COMPARE, now_ms, delay_ms)) {
        return false;
    }
    guess_charge(table, &who, is_known, secret, 1, now_ms);
    return true;
}

/* How many of `tries` wrong passwords were compared, all at one moment. */
static unsigned compared(struct guess_table *table, const char *ip, const char *name,
                         unsigned tries, int64_t now_ms)
{
    unsigned count = 0;
    uint32_t delay_ms = 0;
    for (unsigned i = 0; i < tries; i++) {
        count += try_wrong(table, ip, name, false, 0, now_ms, &delay_ms);
    }
    return count;
}

static void a3_an_address_has_its_budget_over_all_names(void **state)
{
    struct guess_table *table = table_new(&limits, 1024);
    char name[32];
    unsigned count = 0;
    uint32_t delay_ms = 0;
    (void)state;
    for (unsigned i = 0; i < 1000; i++) {
        (void)snprintf(name, sizeof(name), "u%u@d.test", i);
        count += try_wrong(table, "192.0.2.1", name, false, i + 1, 0, &delay_ms);
    }
    assert_int_equal(count, 10);
    assert_int_equal(compared(table, "192.0.2.2", "u@d.test", 100, 0), 10);
    guess_table_free(table);
}

static void a3_a_network_has_its_budget_over_all_addresses(void **state)
{
    struct guess_table *table = table_new(&limits, 1024);
    char ip[32];
    char name[32];
    unsigned count = 0;
    uint32_t delay_ms = 0;
    (void)state;
    for (unsigned i = 0; i < 250; i++) {
        (void)snprintf(ip, sizeof(ip), "192.0.2.%u", i);
        (void)snprintf(name, sizeof(name), "u%u@d.test", i);
        count += try_wrong(table, ip, name, false, i + 1, 0, &delay_ms);
    }
    assert_int_equal(count, 40);
    count = 0;
    for (unsigned i = 0; i < 250; i++) { /* a /48 with a /64 for each try */
        (void)snprintf(ip, sizeof(ip), "2001:db8:7:%x::1", i);
        (void)snprintf(name, sizeof(name), "v%u@d.test", i);
        count += try_wrong(table, ip, name, false, i + 1, 0, &delay_ms);
    }
    assert_int_equal(count, 40);
    guess_table_free(table);
}

static void a2_a_name_has_its_budget_over_all_networks(void **state)
{
    struct guess_table *table = table_new(&limits, 65536);
    char ip[32];
    unsigned count = 0;
    uint32_t delay_ms = 0;
    (void)state;
    for (unsigned i = 0; i < 10000; i++) {
        (void)snprintf(ip, sizeof(ip), "10.%u.%u.1", i / 250, i % 250);
        count += try_wrong(table, ip, "ada@d.test", false, i + 1, 0, &delay_ms);
    }
    assert_int_equal(count, 100);
    guess_table_free(table);
}

static void a_pair_of_name_and_network_has_its_own_budget(void **state)
{
    const struct guess_limits pair_only = {
        .kinds = {[GUESS_PAIR] = {.count = 20, .per_ms = 3600000}}};
    struct guess_table *table = table_new(&pair_only, 1024);
    (void)state;
    assert_int_equal(compared(table, "192.0.2.1", "ada@d.test", 100, 0), 20);
    assert_int_equal(compared(table, "192.0.2.99", "ada@d.test", 100, 0), 0); /* the same /24 */
    assert_int_equal(compared(table, "192.0.3.1", "ada@d.test", 100, 0), 20);
    assert_int_equal(compared(table, "192.0.2.1", "bob@d.test", 100, 0), 20);
    guess_table_free(table);
}

static void what_is_spent_comes_back_evenly(void **state)
{
    struct guess_table *table = table_new(&limits, 1024);
    unsigned count = 0;
    uint32_t delay_ms = 0;
    (void)state;
    assert_int_equal(compared(table, "192.0.2.1", "a@d.test", 10, 0), 10);
    for (int64_t now_ms = 0; now_ms < 60000; now_ms += 6000) { /* one at a time: none is refused */
        count += try_wrong(table, "192.0.2.1", "b@d.test", false, 0, now_ms + 6000, &delay_ms);
    }
    assert_int_equal(count, 10);
    /* Behind refusals it takes their strikes longer, and no more than those. */
    assert_int_equal(compared(table, "192.0.2.1", "a@d.test", 100, 60000), 0);
    assert_int_equal(
        compared(table, "192.0.2.1", "a@d.test", 1, 60000 + (GUESS_STRIKES_MAX + 1) * 6000), 1);
    guess_table_free(table);
}

static void p18_answers_come_later_with_every_refused_try(void **state)
{
    static const uint32_t expected[] = {2000, 4000, 8000, 15000, 15000, 15000};
    struct guess_table *table = table_new(&limits, 1024);
    uint32_t delay_ms = 0;
    (void)state;
    assert_int_equal(compared(table, "192.0.2.1", "a@d.test", 10, 0), 10);
    for (size_t i = 0; i < VY_COUNT_OF(expected); i++) {
        assert_false(try_wrong(table, "192.0.2.1", "a@d.test", false, 0, 0, &delay_ms));
        assert_int_equal(delay_ms, expected[i]);
    }
    guess_table_free(table);
}

static void a2_a_known_device_is_not_touched_by_what_others_spend(void **state)
{
    struct guess_table *table = table_new(&limits, 65536);
    char ip[32];
    uint32_t delay_ms = 0;
    (void)state;
    for (unsigned i = 0; i < 5000;
         i++) { /* the name is used up, and the device's own address too */
        (void)snprintf(ip, sizeof(ip), "10.%u.%u.1", i / 250, i % 250);
        (void)try_wrong(table, ip, "ada@d.test", false, i + 1, 0, &delay_ms);
        (void)try_wrong(table, "192.0.2.1", "other@d.test", false, i + 1, 0, &delay_ms);
    }
    assert_false(try_wrong(table, "192.0.2.1", "ada@d.test", false, 0, 0, &delay_ms));
    assert_true(try_wrong(table, "192.0.2.1", "ada@d.test", true, 0, 0, &delay_ms));
    guess_table_free(table);
}

static void a_known_device_behind_its_own_budget_is_heard_now_and_then(void **state)
{
    struct guess_table *table = table_new(&limits, 1024);
    unsigned count = 0;
    uint32_t delay_ms = 0;
    (void)state;
    for (unsigned i = 0; i < 1000; i++) {
        count += try_wrong(table, "192.0.2.1", "ada@d.test", true, i + 1, 0, &delay_ms);
    }
    assert_int_equal(count, 20 + 1);
    assert_int_equal(delay_ms, GUESS_DELAY_MS_MAX);
    assert_false(
        try_wrong(table, "192.0.2.1", "ada@d.test", true, 2000, GUESS_LANE_MS - 1, &delay_ms));
    assert_true(try_wrong(table, "192.0.2.1", "ada@d.test", true, 2001, GUESS_LANE_MS, &delay_ms));
    guess_table_free(table);
}

static void the_same_wrong_password_again_is_no_new_guess(void **state)
{
    struct guess_table *table = table_new(&limits, 1024);
    uint32_t delay_ms = 0;
    (void)state;
    for (unsigned i = 0; i < 1000; i++) { /* a phone and a laptop with old passwords */
        assert_true(try_wrong(table, "192.0.2.1", "ada@d.test", false, 77 + i % 2, 0, &delay_ms));
    }
    assert_int_equal(compared(table, "192.0.2.1", "ada@d.test", 100, 0), 8);
    guess_table_free(table);
}

static void the_right_password_clears_the_pair_and_nothing_else(void **state)
{
    struct guess_table *table = table_new(&limits, 1024);
    const struct guess_who who = guess_who_of(table, VY_LIT("192.0.2.1"), VY_LIT("ada@d.test"));
    (void)state;
    assert_int_equal(compared(table, "192.0.2.1", "ada@d.test", 100, 0), 10);
    guess_forgive(table, &who);
    assert_int_equal(compared(table, "192.0.2.1", "eve@d.test", 1, 0), 0);
    assert_int_equal(compared(table, "192.0.2.7", "ada@d.test", 100, 0), 10);
    guess_table_free(table);
}

static void a_full_table_forgets_the_least_suspicious(void **state)
{
    struct guess_table *table = table_new(&limits, 8); /* one set */
    char ip[32];
    uint32_t delay_ms = 0;
    (void)state;
    assert_int_equal(compared(table, "192.0.2.1", "ada@d.test", 10, 0), 10);
    for (unsigned i = 0; i < 1000; i++) { /* a flood of single tries does not wash it away */
        (void)snprintf(ip, sizeof(ip), "10.%u.%u.1", i / 250, i % 250);
        (void)snprintf(ip, sizeof(ip), "10.%u.%u.1", i / 250, i % 250);
        (void)try_wrong(table, ip, ip, false, i + 1, 0, &delay_ms);
    }
    assert_false(try_wrong(table, "192.0.2.1", "ada@d.test", false, 0, 0, &delay_ms));
    guess_table_free(table);
}

static void a_clock_that_goes_back_gives_nothing_back(void **state)
{
    struct guess_table *table = table_new(&limits, 1024);
    (void)state;
    assert_int_equal(compared(table, "192.0.2.1", "ada@d.test", 10, 1000000), 10);
    assert_int_equal(compared(table, "192.0.2.1", "ada@d.test", 10, -1000000), 0);
    assert_int_equal(compared(table, "192.0.2.1", "ada@d.test", 10, 1000000), 0);
    guess_table_free(table);
}

static void no_limit_is_no_limit(void **state)
{
    static const struct guess_limits none = {.kinds = {{.count = 0}}};
    struct guess_table *table = table_new(&none, 8);
    (void)state;
    assert_int_equal(compared(table, "192.0.2.1", "ada@d.test", 1000, 0), 1000);
    guess_table_free(table);
}

static void networks_are_a_24_and_a_64(void **state)
{
    static const struct {
        const char *ip;
        const char *net;
    } rows[] = {
        {"192.0.2.77",           "192.0.2.0/24"     },
        {"::ffff:192.0.2.77",    "192.0.2.0/24"     },
        {"2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"},
        {"",                     "unknown"          },
        {"192.0.2.0/24",         "unknown"          },
        {"localhost",            "unknown"          },
        {"%s%n",                 "unknown"          },
    };
    (void)state;
    for (size_t i = 0; i < VY_COUNT_OF(rows); i++) {
        char text[GUESS_NET_TEXT_BYTES];
        const struct guess_net net = guess_net_of(vy_cstr(rows[i].ip));
        guess_net_text(&net, text);
        assert_string_equal(text, rows[i].net);
    }
}

static void tries_without_an_address_have_the_budgets_of_their_name(void **state)
{
    struct guess_table *table = table_new(&limits, 1024);
    (void)state;
    assert_int_equal(compared(table, "", "ada@d.test", 1000, 0), 20);
    guess_table_free(table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a3_an_address_has_its_budget_over_all_names),
        cmocka_unit_test(a3_a_network_has_its_budget_over_all_addresses),
        cmocka_unit_test(a2_a_name_has_its_budget_over_all_networks),
        cmocka_unit_test(a_pair_of_name_and_network_has_its_own_budget),
        cmocka_unit_test(what_is_spent_comes_back_evenly),
        cmocka_unit_test(p18_answers_come_later_with_every_refused_try),
        cmocka_unit_test(a2_a_known_device_is_not_touched_by_what_others_spend),
        cmocka_unit_test(a_known_device_behind_its_own_budget_is_heard_now_and_then),
        cmocka_unit_test(the_same_wrong_password_again_is_no_new_guess),
        cmocka_unit_test(the_right_password_clears_the_pair_and_nothing_else),
        cmocka_unit_test(a_full_table_forgets_the_least_suspicious),
        cmocka_unit_test(a_clock_that_goes_back_gives_nothing_back),
        cmocka_unit_test(no_limit_is_no_limit),
        cmocka_unit_test(networks_are_a_24_and_a_64),
        cmocka_unit_test(tries_without_an_address_have_the_budgets_of_their_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
