/* SPDX-License-Identifier: Apache-2.0 */
/* R4, P3: a repeated command finds the result of the first, for as long as it is kept. */
#include "replica/idem.h"

#include "base/assert.h"

#include "replica/replica.h"
#include "replica/store_mem.h"
#include "tests/lib/fake_rng.h"
#include "tests/lib/fault.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

struct fixture {
    struct store_mem_disk *disk;
    struct store *store;
    struct txn *txn;
};

static int set_up(void **state)
{
    static const struct store_family families[] = {
        [REPLICA_FAMILY_RAFT] = {.name = "raft"},
        [REPLICA_FAMILY_SYS] = {.name = "sys"},
        [REPLICA_FAMILY_IDEM] = {.name = "idem"},
    };
    const struct store_options options = {.families = families, .family_count = 3};
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    assert_false(vy_failed(store_mem_disk_new(&f->disk)));
    assert_false(vy_failed(store_mem_open(f->disk, &options, &f->store)));
    assert_false(vy_failed(txn_new(f->store, &f->txn)));
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    txn_free(f->txn);
    store_close(f->store);
    store_mem_disk_free(f->disk);
    free(f);
    return 0;
}

static void check(struct fixture *f, const char *key, uint64_t now_ms, const char *result)
{
    struct vy_bytes found = VY_LIT("");
    assert_int_equal(idem_find(f->txn, vy_cstr(key), now_ms, &found), result != NULL);
    if (result != NULL) {
        assert_true(vy_bytes_equal(found, vy_cstr(result)));
    }
}

static void store_result(struct fixture *f, const char *key, const char *result,
                         uint64_t expires_ms)
{
    idem_store(f->txn, vy_cstr(key), vy_cstr(result), expires_ms);
}

static void commit(struct fixture *f)
{
    txn_entry_done(f->txn);
    assert_false(vy_failed(txn_commit(f->txn, true)));
}

static size_t count_rows(struct fixture *f)
{
    const struct store_range all = {.is_reverse = false};
    size_t count = 0;
    struct store_iter *iter = txn_iter(f->txn, REPLICA_FAMILY_IDEM, &all);
    for (; iter->is_valid; store_iter_next(iter)) {
        count++;
    }
    store_iter_free(iter);
    return count;
}

static void a_result_is_found_until_it_expires(void **state)
{
    struct fixture *f = *state;
    check(f, "key", 0, NULL);
    store_result(f, "key", "result", 100);
    store_result(f, "empty", "", 100);
    check(f, "key", 99, "result");
    commit(f);
    check(f, "key", 99, "result");
    check(f, "empty", 99, "");
    check(f, "key", 100, NULL);
    check(f, "ke", 0, NULL);
    check(f, "keys", 0, NULL);
    check(f, "", 0, NULL);
}

static void keys_have_a_largest_length(void **state)
{
    struct fixture *f = *state;
    uint8_t key[IDEM_KEY_BYTES_MAX + 1];
    struct vy_bytes found;
    memset(key, UINT8_MAX, sizeof(key));
    idem_store(f->txn, vy_bytes(key, IDEM_KEY_BYTES_MAX), VY_LIT("r"), 10);
    assert_true(idem_find(f->txn, vy_bytes(key, IDEM_KEY_BYTES_MAX), 9, &found));
    assert_false(idem_find(f->txn, vy_bytes(key, IDEM_KEY_BYTES_MAX + 1), 9, &found));
    assert_true(idem_forget(f->txn, vy_bytes(key, IDEM_KEY_BYTES_MAX + 1), 1));
    assert_false(idem_forget(f->txn, vy_bytes(key, 3), 0));
    assert_true(idem_forget(f->txn, vy_bytes(key, 3), 1));
    assert_int_equal(idem_expire(f->txn, 10, 5), 0);
    assert_int_equal(count_rows(f), 0);
}

static void a_newer_result_replaces(void **state)
{
    struct fixture *f = *state;
    store_result(f, "key", "old", 100);
    commit(f);
    store_result(f, "key", "new", 200);
    assert_int_equal(idem_expire(f->txn, 150, 10), 0); /* the old date is gone */
    check(f, "key", 150, "new");
    store_result(f, "key", "newest", 170); /* earlier again */
    commit(f);
    assert_int_equal(idem_expire(f->txn, 170, 10), 1);
    check(f, "key", 0, NULL);
    assert_int_equal(count_rows(f), 0);
}

static void expiry_takes_a_few_at_a_time_oldest_first(void **state)
{
    struct fixture *f = *state;
    store_result(f, "c", "3", 30);
    store_result(f, "a", "1", 10);
    store_result(f, "b", "2", 20);
    store_result(f, "d", "4", 20);
    commit(f);
    assert_int_equal(idem_expire(f->txn, 9, 10), 0);
    assert_int_equal(idem_expire(f->txn, 25, 2), 2);
    check(f, "a", 0, NULL);
    check(f, "b", 0, NULL);
    check(f, "d", 0, "4");
    commit(f);
    assert_int_equal(idem_expire(f->txn, 25, 2), 1);
    assert_int_equal(idem_expire(f->txn, 25, 2), 0);
    check(f, "c", 0, "3");
    assert_int_equal(idem_expire(f->txn, UINT64_MAX, 2), 1);
    assert_int_equal(count_rows(f), 0);
}

static void an_account_is_forgotten(void **state)
{
    struct fixture *f = *state;
    store_result(f, "ada/1", "1", 10);
    store_result(f, "ada/2", "2", 20);
    store_result(f, "ada/3", "3", 30);
    store_result(f, "adb/1", "4", 40);
    commit(f);
    assert_false(idem_forget(f->txn, VY_LIT("ada/"), 2));
    commit(f);
    assert_true(idem_forget(f->txn, VY_LIT("ada/"), 2));
    assert_true(idem_forget(f->txn, VY_LIT("ada/"), 2));
    check(f, "ada/3", 0, NULL);
    check(f, "adb/1", 0, "4");
    assert_int_equal(idem_expire(f->txn, 30, 10), 0); /* no dates left behind */
    assert_int_equal(idem_expire(f->txn, 40, 10), 1);
    assert_int_equal(count_rows(f), 0);
}

static void one_key_is_removed_with_its_date(void **state)
{
    struct fixture *f = *state;
    store_result(f, "key", "1", 10);
    store_result(f, "key2", "2", 20);
    commit(f);
    idem_remove(f->txn, VY_LIT("key"));
    idem_remove(f->txn, VY_LIT("key"));
    idem_remove(f->txn, VY_LIT(""));
    check(f, "key", 0, NULL);
    check(f, "key2", 0, "2");
    assert_int_equal(idem_expire(f->txn, 10, 5), 0);
    assert_int_equal(idem_expire(f->txn, 20, 5), 1);
    assert_int_equal(count_rows(f), 0);
}

/* ---- against a model ---- */

#define MODEL_KEYS 24U

static size_t model_expire(uint64_t *expires_ms, uint64_t now_ms, size_t max)
{
    size_t due = 0;
    for (unsigned i = 0; i < MODEL_KEYS; i++) {
        due += expires_ms[i] != 0 && expires_ms[i] <= now_ms ? 1 : 0;
    }
    const size_t count = VY_MIN(due, max);
    for (size_t n = 0; n < count; n++) {
        unsigned first = MODEL_KEYS;
        for (unsigned i = 0; i < MODEL_KEYS; i++) { /* by date, then by key */
            if (expires_ms[i] != 0 && (first == MODEL_KEYS || expires_ms[i] < expires_ms[first])) {
                first = i;
            }
        }
        expires_ms[first] = 0;
    }
    return count;
}

static void results_agree_with_a_model(void **state)
{
    struct fixture *f = *state;
    struct fake_rng rng;
    uint64_t expires_ms[MODEL_KEYS] = {0};
    char key[8];
    fake_rng_init(&rng, 5);
    for (uint64_t now_ms = 1; now_ms < 4000; now_ms++) {
        const unsigned i = (unsigned)vy_rng_below(&rng.base, MODEL_KEYS);
        (void)snprintf(key, sizeof(key), "%02u", i);
        const uint64_t kind = vy_rng_below(&rng.base, 10);
        if (kind < 5) {
            expires_ms[i] = now_ms + 1 + vy_rng_below(&rng.base, 40);
            store_result(f, key, key, expires_ms[i]);
        } else if (kind == 5) {
            if (i % 2 == 0) {
                idem_remove(f->txn, vy_cstr(key));
            } else {
                assert_true(idem_forget(f->txn, vy_cstr(key), 10));
            }
            expires_ms[i] = 0;
        } else if (kind == 6) {
            commit(f);
        }
        assert_int_equal(idem_expire(f->txn, now_ms, 1), model_expire(expires_ms, now_ms, 1));
        const bool is_live = expires_ms[i] > now_ms;
        check(f, key, now_ms, is_live ? key : NULL);
    }
}

static void missing_memory_is_told(void **state)
{
    struct fixture *f = *state;
    uint64_t failures = 0;
    for (uint64_t n = 1;; n++) {
        (void)fault_begin(n);
        store_result(f, "key", "result", 10);
        (void)idem_expire(f->txn, 10, 1);
        (void)idem_forget(f->txn, VY_LIT("key"), 1);
        txn_entry_done(f->txn);
        const struct vy_err err = txn_commit(f->txn, false);
        const bool has_failed = fault_end();
        assert_int_equal(vy_failed(err), has_failed);
        if (!has_failed) {
            break;
        }
        failures++;
        void *again = f;
        (void)tear_down(&again);
        (void)set_up(&again);
        f = again;
        *state = again;
    }
    assert_true(failures > 5);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_result_is_found_until_it_expires),
        TEST(keys_have_a_largest_length),
        TEST(a_newer_result_replaces),
        TEST(expiry_takes_a_few_at_a_time_oldest_first),
        TEST(an_account_is_forgotten),
        TEST(one_key_is_removed_with_its_date),
        TEST(results_agree_with_a_model),
        TEST(missing_memory_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
