/* SPDX-License-Identifier: Apache-2.0 */
/* The faults that the memory disk can play. */
#include "replica/store_mem.h"

#include "base/assert.h"

#include "replica/store_fixture.h"
#include "tests/lib/fault.h"

static void write_row(struct store_fixture *f, const char *key, const char *value, bool sync)
{
    struct store_batch *batch = NULL;
    assert_false(vy_failed(store_batch_new(f->store, &batch)));
    store_batch_put(batch, FAMILY_ROWS, vy_cstr(key), vy_cstr(value));
    store_batch_put(batch, FAMILY_BLOBS, vy_cstr(key), vy_cstr(value));
    assert_false(vy_failed(store_write(f->store, batch, sync)));
    store_batch_free(batch);
}

static void open_mem(struct store_fixture *f)
{
    store_fixture_init(f, STORE_FIXTURE_MEM);
    store_fixture_open(f);
}

/* P1: a power cut keeps whole batches, from the oldest, and everything that was synced. */
static void a_crash_keeps_the_first_unsynced_batches(void **state)
{
    static const char *const rows[] = {"a=1 b=1 ", "a=2 b=1 ", "a=2 ", "a=2 c=1 ", "a=2 c=1 "};
    (void)state;
    for (size_t keep = 0; keep < VY_COUNT_OF(rows); keep++) {
        struct store_fixture f;
        open_mem(&f);
        write_row(&f, "a", "1", false);
        write_row(&f, "b", "1", true);
        assert_int_equal(store_mem_unsynced(f.disk), 0);
        write_row(&f, "a", "2", false);
        struct store_batch *batch = NULL;
        assert_false(vy_failed(store_batch_new(f.store, &batch)));
        store_batch_delete_range(batch, FAMILY_ROWS, VY_LIT("b"), VY_LIT(""));
        store_batch_delete(batch, FAMILY_BLOBS, VY_LIT("b"));
        assert_false(vy_failed(store_write(f.store, batch, false)));
        store_batch_free(batch);
        write_row(&f, "c", "1", false);
        assert_int_equal(store_mem_unsynced(f.disk), 3);
        store_fixture_close(&f);
        store_mem_crash(f.disk, keep);
        assert_int_equal(store_mem_unsynced(f.disk), 0);
        store_fixture_open(&f);
        const struct store_reader *newest = store_newest(f.store);
        assert_string_equal(store_fixture_rows(newest, FAMILY_ROWS, "", "", false), rows[keep]);
        assert_string_equal(store_fixture_rows(newest, FAMILY_BLOBS, "", "", false), rows[keep]);
        store_fixture_deinit(&f);
    }
}

/* Old versions are pruned, but none that a crash may bring back. */
static void a_crash_goes_back_over_many_batches(void **state)
{
    (void)state;
    struct store_fixture f;
    char value[8];
    open_mem(&f);
    write_row(&f, "k", "synced", true);
    for (unsigned i = 1; i <= 500; i++) {
        (void)snprintf(value, sizeof(value), "%u", i);
        write_row(&f, "k", value, false);
    }
    store_fixture_close(&f);
    store_mem_crash(f.disk, 123);
    store_fixture_open(&f);
    store_fixture_check(&f, FAMILY_ROWS, "k", "123");
    store_fixture_check(&f, FAMILY_BLOBS, "k", "123");
    store_fixture_deinit(&f);
}

static void a_sync_or_flush_covers_all_before(void **state)
{
    (void)state;
    struct store_fixture f;
    open_mem(&f);
    write_row(&f, "a", "1", false);
    assert_int_equal(store_mem_sync_count(f.disk), 0);
    write_row(&f, "b", "1", true);
    write_row(&f, "c", "1", false);
    assert_false(vy_failed(store_flush(f.store)));
    assert_int_equal(store_mem_sync_count(f.disk), 2);
    write_row(&f, "d", "1", false);
    store_fixture_close(&f);
    store_mem_crash(f.disk, 0);
    store_fixture_open(&f);
    assert_string_equal(store_fixture_rows(store_newest(f.store), FAMILY_ROWS, "", "", false),
                        "a=1 b=1 c=1 ");
    store_fixture_deinit(&f);
}

/* P14: after the first failed write none succeeds, until the store is opened on a sound disk. */
static void a_failed_write_ends_the_store(void **state)
{
    (void)state;
    struct store_fixture f;
    struct store_batch *batch = NULL;
    open_mem(&f);
    write_row(&f, "a", "1", false);
    assert_false(vy_failed(store_batch_new(f.store, &batch)));
    store_batch_put(batch, FAMILY_ROWS, VY_LIT("b"), VY_LIT("1"));
    store_mem_fail_write(f.disk, 2);
    assert_false(vy_failed(store_write(f.store, batch, false)));
    assert_int_equal(store_write(f.store, batch, false).code, VY_CODE_IO);
    store_mem_fail_write(f.disk, 0);
    assert_int_equal(store_write(f.store, batch, false).code, VY_CODE_IO);
    assert_int_equal(store_flush(f.store).code, VY_CODE_IO);
    assert_int_equal(store_check(f.store).code, VY_CODE_IO);
    store_batch_free(batch);
    store_fixture_close(&f);
    store_fixture_open(&f);
    write_row(&f, "c", "1", true);
    assert_string_equal(store_fixture_rows(store_newest(f.store), FAMILY_ROWS, "", "", false),
                        "a=1 b=1 c=1 ");
    store_fixture_deinit(&f);
}

static void a_bit_of_a_value_can_flip(void **state)
{
    (void)state;
    struct store_fixture f;
    open_mem(&f);
    write_row(&f, "k", "abc", true);
    assert_true(store_mem_flip_bit(f.disk, FAMILY_ROWS, VY_LIT("k"), 8));
    store_fixture_check(&f, FAMILY_ROWS, "k", "acc");
    assert_false(store_mem_flip_bit(f.disk, FAMILY_ROWS, VY_LIT("k"), 24));
    assert_false(store_mem_flip_bit(f.disk, FAMILY_ROWS, VY_LIT("absent"), 0));
    store_fixture_deinit(&f);
}

static void free_space_is_what_the_test_says(void **state)
{
    (void)state;
    struct store_fixture f;
    uint64_t free_bytes = 0;
    open_mem(&f);
    assert_false(vy_failed(store_free_bytes(f.store, &free_bytes)));
    assert_true(free_bytes == 1ULL << 40);
    store_mem_set_free_bytes(f.disk, 4096);
    assert_false(vy_failed(store_free_bytes(f.store, &free_bytes)));
    assert_int_equal(free_bytes, 4096);
    store_fixture_deinit(&f);
}

static struct vy_err write_many(struct store_fixture *f)
{
    struct store_batch *batch = NULL;
    char key[8];
    VY_TRY(store_batch_new(f->store, &batch));
    for (unsigned i = 0; i < 20; i++) {
        (void)snprintf(key, sizeof(key), "%02u", i);
        store_batch_put(batch, FAMILY_ROWS, vy_cstr(key), VY_LIT("new"));
    }
    store_batch_delete_range(batch, FAMILY_ROWS, VY_LIT("a"), VY_LIT("c"));
    const struct vy_err err = store_write(f->store, batch, true);
    store_batch_free(batch);
    return err;
}

/* A batch is written whole or not at all, wherever memory ends. */
static void missing_memory_leaves_no_half_batch(void **state)
{
    (void)state;
    uint64_t failures = 0;
    for (uint64_t n = 1;; n++) {
        struct store_fixture f;
        open_mem(&f);
        write_row(&f, "05", "old", true);
        write_row(&f, "b", "old", false);
        (void)fault_begin(n);
        const struct vy_err err = write_many(&f);
        const bool has_failed = fault_end();
        assert_int_equal(vy_failed(err), has_failed);
        store_fixture_check(&f, FAMILY_ROWS, "05", has_failed ? "old" : "new");
        store_fixture_check(&f, FAMILY_ROWS, "b", has_failed ? "old" : NULL);
        store_fixture_check(&f, FAMILY_ROWS, "00", has_failed ? NULL : "new");
        store_fixture_deinit(&f);
        if (!has_failed) {
            break;
        }
        failures++;
    }
    assert_true(failures > 40);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_crash_keeps_the_first_unsynced_batches),
        cmocka_unit_test(a_crash_goes_back_over_many_batches),
        cmocka_unit_test(a_sync_or_flush_covers_all_before),
        cmocka_unit_test(a_failed_write_ends_the_store),
        cmocka_unit_test(a_bit_of_a_value_can_flip),
        cmocka_unit_test(free_space_is_what_the_test_says),
        cmocka_unit_test(missing_memory_leaves_no_half_batch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
