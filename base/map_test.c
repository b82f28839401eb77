/* SPDX-License-Identifier: Apache-2.0 */
/* Maps, lists, hashes, and the generators that seed them. */
#include "base/map.h"

#include "base/assert.h"

#include "base/clock.h"
#include "base/list.h"
#include "base/rng.h"
#include "tests/lib/fake_rng.h"
#include "tests/lib/fault.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* Frozen (design section 1): accounts live where this says. */
static void slots_of_accounts_never_change(void **state)
{
    (void)state;
    static const struct {
        uint64_t account_id;
        uint16_t slot;
    } rows[] = {
        {0,          3503 },
        {1,          7361 },
        {2,          5838 },
        {3,          4077 },
        {1000,       328  },
        {1ULL << 32, 312  },
        {UINT64_MAX, 11296}
    };
    for (size_t i = 0; i < VY_COUNT_OF(rows); i++) {
        assert_int_equal(vy_slot_of_account(rows[i].account_id), rows[i].slot);
    }
}

/* Values of an independent SipHash-2-4 that gives the reference vector of its paper. */
static void siphash_is_siphash(void **state)
{
    (void)state;
    static const uint8_t zeros[300];
    assert_true(vy_siphash(7, VY_LIT("")) == 0x136ddf1af53d93b6ULL);
    assert_true(vy_siphash(7, VY_LIT("a")) == 0xa94c0bc557afb9caULL);
    assert_true(vy_siphash(7, VY_LIT("1234567")) == 0xb1fa6ab3f17cc901ULL);
    assert_true(vy_siphash(7, VY_LIT("12345678")) == 0x77d6842868e954a3ULL);
    assert_true(vy_siphash(7, VY_LIT("123456789")) == 0xa883cca0ce86a212ULL);
    assert_true(vy_siphash(7, vy_bytes(zeros, sizeof(zeros))) == 0xa1da127de3b329a6ULL);
}

enum { MODEL_KEYS = 512 };

static void a_map_agrees_with_an_array(void **state)
{
    (void)state;
    struct fake_rng rng;
    struct vy_map map;
    void *model[MODEL_KEYS] = {NULL};
    size_t count = 0;
    fake_rng_init(&rng, 3);
    vy_map_init(&map, 99);
    for (size_t step = 0; step < 50000; step++) {
        const uint64_t key = vy_rng_below(&rng.base, MODEL_KEYS);
        assert_ptr_equal(vy_map_get(&map, key), model[key]);
        if (vy_rng_below(&rng.base, 2) == 0) {
            count += model[key] == NULL ? 1 : 0;
            model[key] = &model[vy_rng_below(&rng.base, MODEL_KEYS)];
            assert_false(vy_failed(vy_map_put(&map, key, model[key])));
        } else {
            count -= model[key] != NULL ? 1 : 0;
            assert_ptr_equal(vy_map_remove(&map, key), model[key]);
            model[key] = NULL;
        }
        assert_int_equal(map.count, count);
    }
    uint64_t key = 0;
    void *value = NULL;
    for (size_t i = 0; vy_map_next(&map, &i, &key, &value);) {
        assert_ptr_equal(model[key], value);
        count--;
    }
    assert_int_equal(count, 0);
    vy_map_deinit(&map);
}

static void a_string_map_agrees_with_an_array(void **state)
{
    (void)state;
    struct fake_rng rng;
    struct vy_strmap map;
    void *model[MODEL_KEYS] = {NULL};
    size_t count = 0;
    fake_rng_init(&rng, 4);
    vy_strmap_init(&map, 99);
    for (size_t step = 0; step < 50000; step++) {
        char text[24];
        const uint64_t key = vy_rng_below(&rng.base, MODEL_KEYS);
        const int len =
            key == 0 ? 0 : snprintf(text, sizeof(text), "k%llu", (unsigned long long)key);
        const struct vy_bytes name = vy_bytes(text, (size_t)len);
        assert_ptr_equal(vy_strmap_get(&map, name), model[key]);
        if (vy_rng_below(&rng.base, 2) == 0) {
            count += model[key] == NULL ? 1 : 0;
            model[key] = &model[key];
            assert_false(vy_failed(vy_strmap_put(&map, name, model[key])));
        } else {
            count -= model[key] != NULL ? 1 : 0;
            assert_ptr_equal(vy_strmap_remove(&map, name), model[key]);
            model[key] = NULL;
        }
    }
    struct vy_bytes key;
    void *value = NULL;
    for (size_t i = 0; vy_strmap_next(&map, &i, &key, &value);) {
        assert_ptr_equal(vy_strmap_get(&map, key), value);
        count--;
    }
    assert_int_equal(count, 0);
    vy_strmap_deinit(&map);
}

static void a_map_without_memory_is_as_before(void **state)
{
    (void)state;
    int value = 0;
    struct vy_strmap map;
    vy_strmap_init(&map, 1);
    for (uint64_t n = 1; fault_begin(n); n++) {
        const struct vy_err err = vy_strmap_put(&map, VY_LIT("key"), &value);
        if (!fault_end()) {
            assert_false(vy_failed(err));
            break;
        }
        assert_int_equal(err.code, VY_CODE_NOMEM);
        assert_null(vy_strmap_get(&map, VY_LIT("key")));
    }
    assert_ptr_equal(vy_strmap_get(&map, VY_LIT("key")), &value);
    vy_strmap_deinit(&map);
}

static void a_list_keeps_order(void **state)
{
    (void)state;
    struct vy_list list;
    struct vy_list items[3];
    vy_list_init(&list);
    assert_null(vy_list_pop_front(&list));
    for (size_t i = 0; i < 3; i++) {
        vy_list_push_back(&list, &items[i]);
    }
    vy_list_remove(&items[1]);
    vy_list_remove(&items[1]); /* in no list: nothing happens */
    size_t count = 0;
    VY_LIST_FOREACH(item, &list)
    {
        count += item == &items[0] || item == &items[2] ? 1 : 0;
    }
    assert_int_equal(count, 2);
    assert_ptr_equal(vy_list_pop_front(&list), &items[0]);
    assert_ptr_equal(vy_list_pop_front(&list), &items[2]);
    assert_true(vy_list_is_empty(&list));
}

static void chance_stays_below_its_bound_and_reaches_all_of_it(void **state)
{
    (void)state;
    struct fake_rng rng;
    struct fake_rng same;
    unsigned seen[7] = {0};
    fake_rng_init(&rng, 5);
    fake_rng_init(&same, 5);
    for (size_t i = 0; i < 7000; i++) {
        const uint64_t value = vy_rng_below(&rng.base, 7);
        assert_true(value < 7);
        assert_int_equal(value, vy_rng_below(&same.base, 7));
        seen[value]++;
    }
    for (size_t i = 0; i < 7; i++) {
        assert_in_range(seen[i], 800, 1200);
    }
    assert_int_equal(vy_rng_below(vy_rng_system(), 1), 0);
    assert_true(vy_rng_u64(vy_rng_system()) != vy_rng_u64(vy_rng_system()));
}

static void time_goes_forward(void **state)
{
    (void)state;
    const uint64_t before = vy_clock_mono_ns(vy_clock_system());
    assert_true(vy_clock_mono_ns(vy_clock_system()) >= before);
    assert_true(vy_clock_wall_ms(vy_clock_system()) > 1700000000000ULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slots_of_accounts_never_change),
        cmocka_unit_test(siphash_is_siphash),
        cmocka_unit_test(a_map_agrees_with_an_array),
        cmocka_unit_test(a_string_map_agrees_with_an_array),
        cmocka_unit_test(a_map_without_memory_is_as_before),
        cmocka_unit_test(a_list_keeps_order),
        cmocka_unit_test(chance_stays_below_its_bound_and_reaches_all_of_it),
        cmocka_unit_test(time_goes_forward),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
