/* SPDX-License-Identifier: Apache-2.0 */
/* The cache of Argon2id tags (A5, A13, APP-2). */
#include "frontend/hash_cache.h"

#include "base/assert.h"
#include "tests/lib/fake_rng.h"
#include "tests/lib/test.h"
#include <stdio.h>

static const struct hash_question question = {.meta_key =
                                                  VY_LIT("account 1, epoch 1, credential 1"),
                                              .password = VY_LIT("correct horse"),
                                              .salt = VY_LIT("0123456789abcdef"),
                                              .memory_kib = 19456,
                                              .passes = 2,
                                              .lanes = 1};
static const uint8_t tag[HASH_CACHE_TAG_BYTES] = {1, 2, 3};

static struct hash_cache *cache_new(size_t entries)
{
    struct fake_rng rng;
    struct hash_cache *cache = NULL;
    fake_rng_init(&rng, 1);
    assert_false(vy_failed(hash_cache_new(&rng.base, entries, &cache)));
    return cache;
}

static bool has(struct hash_cache *cache, const struct hash_question *asked, uint64_t now_ms)
{
    uint8_t found[HASH_CACHE_TAG_BYTES];
    const struct hash_cache_key key = hash_cache_key_of(cache, asked);
    if (!hash_cache_find(cache, &key, now_ms, found)) {
        return false;
    }
    assert_memory_equal(found, tag, sizeof(found));
    return true;
}

static void put(struct hash_cache *cache, const struct hash_question *asked, uint64_t now_ms)
{
    const struct hash_cache_key key = hash_cache_key_of(cache, asked);
    hash_cache_put(cache, &key, now_ms, tag);
}

static void what_was_right_is_found_for_ten_minutes(void **state)
{
    struct hash_cache *cache = cache_new(64);
    (void)state;
    assert_false(has(cache, &question, 0));
    put(cache, &question, 1000);
    assert_true(has(cache, &question, 1000));
    assert_true(has(cache, &question, 1000 + HASH_CACHE_KEEP_MS - 1));
    assert_false(has(cache, &question, 1000 + HASH_CACHE_KEEP_MS));
    hash_cache_free(cache);
}

/* A13: two users must never share an entry, and no entry outlives an epoch (APP-2). */
static void a13_any_other_question_is_another_entry(void **state)
{
    struct hash_cache *cache = cache_new(64);
    struct hash_question rows[8];
    (void)state;
    put(cache, &question, 0);
    for (size_t i = 0; i < VY_COUNT_OF(rows); i++) {
        rows[i] = question;
    }
    rows[0].meta_key = VY_LIT("account 1, epoch 2, credential 1");
    rows[1].meta_key = VY_LIT("account 2, epoch 1, credential 1");
    rows[2].password = VY_LIT("correct hors");
    rows[3].salt = VY_LIT("0123456789abcdeF");
    rows[4].memory_kib = 1;
    rows[5].passes = 3;
    rows[6].lanes = 2;
    rows[7].password = VY_LIT("correct hors"); /* the same bytes, cut elsewhere */
    rows[7].salt = VY_LIT("e0123456789abcdef");
    for (size_t i = 0; i < VY_COUNT_OF(rows); i++) {
        assert_false(has(cache, &rows[i], 1));
    }
    assert_true(has(cache, &question, 1));
    hash_cache_free(cache);
}

static void without_a_key_of_meta_nothing_is_remembered(void **state)
{
    struct hash_cache *cache = cache_new(64);
    struct hash_question asked = question;
    (void)state;
    asked.meta_key = vy_bytes(NULL, 0);
    put(cache, &asked, 0);
    assert_false(has(cache, &asked, 1));
    hash_cache_free(cache);
}

static void the_cache_is_bounded_and_the_oldest_goes(void **state)
{
    struct hash_cache *cache = cache_new(4);
    struct hash_question asked = question;
    char password[32];
    unsigned kept = 0;
    (void)state;
    for (unsigned i = 0; i < 100; i++) {
        asked.password = vy_bytes(password, (size_t)snprintf(password, sizeof(password), "p%u", i));
        put(cache, &asked, i + 1);
        assert_true(has(cache, &asked, i + 1));
    }
    for (unsigned i = 0; i < 100; i++) {
        asked.password = vy_bytes(password, (size_t)snprintf(password, sizeof(password), "p%u", i));
        const bool is_kept = has(cache, &asked, 101);
        kept += is_kept;
        assert_true(!is_kept || i >= 96);
    }
    assert_int_equal(kept, 4);
    hash_cache_free(cache);
}

static void another_process_has_other_keys(void **state)
{
    struct fake_rng rng;
    struct hash_cache *caches[2];
    (void)state;
    fake_rng_init(&rng, 2);
    assert_false(vy_failed(hash_cache_new(&rng.base, 4, &caches[0])));
    assert_false(vy_failed(hash_cache_new(&rng.base, 4, &caches[1])));
    const struct hash_cache_key a = hash_cache_key_of(caches[0], &question);
    const struct hash_cache_key b = hash_cache_key_of(caches[1], &question);
    assert_memory_not_equal(a.bytes, b.bytes, sizeof(a.bytes));
    hash_cache_free(caches[0]);
    hash_cache_free(caches[1]);
    hash_cache_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_right_is_found_for_ten_minutes),
        cmocka_unit_test(a13_any_other_question_is_another_entry),
        cmocka_unit_test(without_a_key_of_meta_nothing_is_remembered),
        cmocka_unit_test(the_cache_is_bounded_and_the_oldest_goes),
        cmocka_unit_test(another_process_has_other_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
