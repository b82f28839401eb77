/* SPDX-License-Identifier: Apache-2.0 */
/* What every engine owes: the same table of tests over disk and over memory. */
#include "replica/store.h"

#include "base/assert.h"

#include "replica/store_fixture.h"
#include "tests/lib/fake_rng.h"

static struct store_fixture *fixture_of(void **state)
{
    return *state;
}

static struct store_batch *new_batch(struct store_fixture *f)
{
    struct store_batch *batch = NULL;
    assert_false(vy_failed(store_batch_new(f->store, &batch)));
    return batch;
}

static void write_and_free(struct store_fixture *f, struct store_batch *batch, bool sync)
{
    assert_false(vy_failed(store_write(f->store, batch, sync)));
    store_batch_free(batch);
}

static void put_letters(struct store_fixture *f, unsigned family)
{
    struct store_batch *batch = new_batch(f);
    for (char c = 'a'; c <= 'f'; c++) {
        const struct vy_bytes key = vy_bytes(&c, 1);
        store_batch_put(batch, family, key, key);
    }
    write_and_free(f, batch, false);
}

static void later_operations_of_a_batch_win(void **state)
{
    struct store_fixture *f = fixture_of(state);
    put_letters(f, FAMILY_ROWS);
    struct store_batch *batch = new_batch(f);
    assert_true(store_batch_is_empty(batch));
    store_batch_put(batch, FAMILY_ROWS, VY_LIT("a"), VY_LIT("1"));
    store_batch_put(batch, FAMILY_ROWS, VY_LIT("a"), VY_LIT("2"));
    store_batch_delete(batch, FAMILY_ROWS, VY_LIT("b"));
    store_batch_delete_range(batch, FAMILY_ROWS, VY_LIT("c"), VY_LIT("e"));
    store_batch_put(batch, FAMILY_ROWS, VY_LIT("d"), VY_LIT("again"));
    store_batch_delete(batch, FAMILY_ROWS, VY_LIT("absent"));
    assert_false(store_batch_is_empty(batch));
    assert_true(store_batch_bytes(batch) >= 10);
    store_fixture_check(f, FAMILY_ROWS, "a", "a"); /* not before it is written */
    write_and_free(f, batch, true);
    assert_string_equal(store_fixture_rows(store_newest(f->store), FAMILY_ROWS, "", "", false),
                        "a=2 d=again e=e f=f ");
    store_fixture_check(f, FAMILY_BLOBS, "a", NULL);
}

static void a_cleared_batch_writes_nothing(void **state)
{
    struct store_fixture *f = fixture_of(state);
    static const uint8_t long_key[STORE_KEY_BYTES_MAX + 1];
    struct store_batch *batch = new_batch(f);
    store_batch_put(batch, FAMILY_ROWS, VY_LIT("x"), VY_LIT("1"));
    store_batch_put(batch, FAMILY_ROWS, vy_bytes(long_key, sizeof(long_key)), VY_LIT("1"));
    assert_int_equal(store_write(f->store, batch, false).code, VY_CODE_ARGUMENT);
    store_batch_clear(batch);
    assert_true(store_batch_is_empty(batch));
    assert_false(vy_failed(store_write(f->store, batch, false)));
    store_batch_put(batch, FAMILY_ROWS, vy_bytes(long_key, sizeof(long_key) - 1), VY_LIT("1"));
    write_and_free(f, batch, false);
    store_fixture_check(f, FAMILY_ROWS, "x", NULL);
}

static void an_empty_bound_is_no_bound(void **state)
{
    struct store_fixture *f = fixture_of(state);
    const uint8_t high[] = {0xff, 0xff, 0xff};
    uint8_t end[2];
    put_letters(f, FAMILY_ROWS);
    struct store_batch *batch = new_batch(f);
    store_batch_put(batch, FAMILY_ROWS, vy_bytes(high, sizeof(high)), VY_LIT("high"));
    store_batch_delete_range(batch, FAMILY_ROWS, VY_LIT("e"), VY_LIT("c")); /* empty */
    store_batch_delete_range(batch, FAMILY_ROWS, VY_LIT("c"), VY_LIT("c")); /* empty */
    write_and_free(f, batch, false);
    batch = new_batch(f);
    assert_int_equal(store_prefix_end(vy_bytes(high, 2), end).len, 0);
    store_batch_delete_range(batch, FAMILY_ROWS, VY_LIT("d"),
                             store_prefix_end(vy_bytes(high, 2), end));
    write_and_free(f, batch, false);
    assert_string_equal(store_fixture_rows(store_newest(f->store), FAMILY_ROWS, "", "", false),
                        "a=a b=b c=c ");
}

static void ranges_are_walked_both_ways(void **state)
{
    /* clang-format off */
    static const struct { const char *from, *to; bool is_reverse; const char *rows; } rows[] = {
        { "",   "",   false, "a=a b=b c=c d=d e=e f=f " },
        { "",   "",   true,  "f=f e=e d=d c=c b=b a=a " },
        { "b",  "e",  false, "b=b c=c d=d " },
        { "b",  "e",  true,  "d=d c=c b=b " },
        { "b1", "d1", false, "c=c d=d " },
        { "b1", "d1", true,  "d=d c=c " },
        { "b1", "b2", false, "" },
        { "b1", "b2", true,  "" },
        { "g",  "",   false, "" },
        { "g",  "",   true,  "" },
        { "",   "a",  false, "" },
        { "",   "a",  true,  "" },
        { "e",  "b",  false, "" },
        { "e",  "b",  true,  "" },
    };
    /* clang-format on */
    struct store_fixture *f = fixture_of(state);
    put_letters(f, FAMILY_ROWS);
    for (size_t i = 0; i < VY_COUNT_OF(rows); i++) {
        assert_string_equal(store_fixture_rows(store_newest(f->store), FAMILY_ROWS, rows[i].from,
                                               rows[i].to, rows[i].is_reverse),
                            rows[i].rows);
    }
}

static void seeking_stays_in_the_range(void **state)
{
    /* clang-format off */
    static const struct { bool is_reverse; const char *seek, *key; } rows[] = {
        { false, "c",  "c" },  { false, "c1", "d" },  { false, "a", "b" },
        { false, "",   "b" },  { false, "d1", NULL }, { false, "z", NULL },
        { true,  "c",  "c" },  { true,  "c1", "c" },  { true,  "z", "d" },
        { true,  "e",  "d" },  { true,  "a1", NULL }, { true,  "",  NULL },
    };
    /* clang-format on */
    struct store_fixture *f = fixture_of(state);
    put_letters(f, FAMILY_ROWS);
    for (size_t i = 0; i < VY_COUNT_OF(rows); i++) {
        const struct store_range range = {
            .from = VY_LIT("b"), .to = VY_LIT("e"), .is_reverse = rows[i].is_reverse};
        struct store_iter *iter = NULL;
        assert_false(vy_failed(store_iter_new(store_newest(f->store), FAMILY_ROWS, &range, &iter)));
        store_iter_seek(iter, VY_LIT("nowhere, then back"));
        store_iter_seek(iter, vy_cstr(rows[i].seek));
        assert_int_equal(iter->is_valid, rows[i].key != NULL);
        if (rows[i].key != NULL) {
            assert_true(vy_bytes_equal(iter->key, vy_cstr(rows[i].key)));
            assert_true(vy_bytes_equal(iter->value, vy_cstr(rows[i].key)));
        }
        store_iter_free(iter);
    }
}

static void a_snapshot_is_a_point_in_time(void **state)
{
    struct store_fixture *f = fixture_of(state);
    struct store_snapshot *snapshot = NULL;
    const struct store_range all = {.is_reverse = false};
    struct store_iter *iter = NULL;
    struct store_value value;
    put_letters(f, FAMILY_ROWS);
    assert_false(vy_failed(store_snapshot_new(f->store, &snapshot)));
    const struct store_reader *reader = store_snapshot_reader(snapshot);
    assert_false(vy_failed(store_iter_new(store_newest(f->store), FAMILY_ROWS, &all, &iter)));
    for (unsigned round = 0; round < 200; round++) { /* often enough to prune old versions */
        store_fixture_put(f, FAMILY_ROWS, "a", "new");
        store_fixture_put(f, FAMILY_ROWS, "new", "new");
        struct store_batch *batch = new_batch(f);
        store_batch_delete_range(batch, FAMILY_ROWS, VY_LIT("b"), VY_LIT("e"));
        store_batch_put(batch, FAMILY_ROWS, VY_LIT("b"), VY_LIT("again"));
        write_and_free(f, batch, round % 2 == 0);
    }
    assert_false(vy_failed(store_compact(f->store, FAMILY_ROWS, VY_LIT(""), VY_LIT(""))));
    const char *before = "a=a b=b c=c d=d e=e f=f ";
    assert_string_equal(store_fixture_rows(reader, FAMILY_ROWS, "", "", false), before);
    assert_string_equal(store_fixture_rows(reader, FAMILY_ROWS, "", "", true),
                        "f=f e=e d=d c=c b=b a=a ");
    assert_false(vy_failed(store_get(reader, FAMILY_ROWS, VY_LIT("c"), &value)));
    assert_true(value.is_found);
    store_fixture_check(f, FAMILY_ROWS, "c", NULL);
    for (char c = 'a'; c <= 'f'; c++, store_iter_next(iter)) {
        assert_true(iter->is_valid);
        assert_true(vy_bytes_equal(iter->value, vy_bytes(&c, 1)));
    }
    assert_false(iter->is_valid);
    store_iter_free(iter);
    store_snapshot_free(snapshot);
    assert_true(vy_bytes_equal(value.bytes, VY_LIT("c"))); /* lives until it is released */
    store_value_release(&value);
    store_value_release(&value);
    assert_string_equal(store_fixture_rows(store_newest(f->store), FAMILY_ROWS, "", "", false),
                        "a=new b=again e=e f=f new=new ");
}

/* Scans within one prefix may be answered by bloom filters; others may not. */
static void prefixes_do_not_hide_rows(void **state)
{
    struct store_fixture *f = fixture_of(state);
    char key[16];
    for (unsigned i = 0; i < 40; i++) {
        (void)snprintf(key, sizeof(key), "%04u%u", i / 10, i % 10);
        store_fixture_put(f, FAMILY_PREFIX, key, "v");
    }
    store_fixture_put(f, FAMILY_PREFIX, "00", "short");
    for (unsigned flushed = 0; flushed < 2; flushed++) {
        const struct store_reader *newest = store_newest(f->store);
        assert_string_equal(store_fixture_rows(newest, FAMILY_PREFIX, "00017", "00022", false),
                            "00017=v 00018=v 00019=v 00020=v 00021=v ");
        assert_string_equal(store_fixture_rows(newest, FAMILY_PREFIX, "00017", "0002", false),
                            "00017=v 00018=v 00019=v ");
        assert_string_equal(store_fixture_rows(newest, FAMILY_PREFIX, "00017", "0002", true),
                            "00019=v 00018=v 00017=v ");
        assert_string_equal(store_fixture_rows(newest, FAMILY_PREFIX, "", "00002", false),
                            "00=short 00000=v 00001=v ");
        assert_string_equal(store_fixture_rows(newest, FAMILY_PREFIX, "0009", "000A", false), "");
        assert_string_equal(store_fixture_rows(newest, FAMILY_PREFIX, "00038", "", true),
                            "00039=v 00038=v ");
        assert_false(vy_failed(store_flush(f->store)));
    }
}

static void large_values_come_back_whole(void **state)
{
    struct store_fixture *f = fixture_of(state);
    static const size_t sizes[] = {0, 1, 1023, 1024, 1025, 262144, 4U * 1024 * 1024};
    uint8_t *bytes = malloc(sizes[VY_COUNT_OF(sizes) - 1]);
    assert_non_null(bytes);
    for (size_t i = 0; i < sizes[VY_COUNT_OF(sizes) - 1]; i++) {
        bytes[i] = (uint8_t)(i * 131 + (i >> 8));
    }
    struct store_batch *batch = new_batch(f);
    for (size_t i = 0; i < VY_COUNT_OF(sizes); i++) {
        const uint8_t key = (uint8_t)i;
        store_batch_put(batch, FAMILY_BLOBS, vy_bytes(&key, 1), vy_bytes(bytes, sizes[i]));
    }
    write_and_free(f, batch, true);
    assert_false(vy_failed(store_flush(f->store)));
    assert_false(vy_failed(store_compact(f->store, FAMILY_BLOBS, VY_LIT(""), VY_LIT(""))));
    const struct store_range all = {.is_reverse = false};
    struct store_iter *iter = NULL;
    assert_false(vy_failed(store_iter_new(store_newest(f->store), FAMILY_BLOBS, &all, &iter)));
    for (size_t i = 0; i < VY_COUNT_OF(sizes); i++, store_iter_next(iter)) {
        struct store_value value;
        const uint8_t key = (uint8_t)i;
        assert_false(
            vy_failed(store_get(store_newest(f->store), FAMILY_BLOBS, vy_bytes(&key, 1), &value)));
        assert_true(value.is_found);
        assert_true(vy_bytes_equal(value.bytes, vy_bytes(bytes, sizes[i])));
        assert_true(iter->is_valid && vy_bytes_equal(iter->value, value.bytes));
        store_value_release(&value);
    }
    store_iter_free(iter);
    free(bytes);
}

static void what_was_written_is_there_after_reopening(void **state)
{
    struct store_fixture *f = fixture_of(state);
    put_letters(f, FAMILY_ROWS);
    store_fixture_put(f, FAMILY_PREFIX, "0000x", "y");
    store_fixture_close(f);
    assert_false(vy_failed(store_fixture_try_open(f, /* must_exist = */ true)));
    store_fixture_check(f, FAMILY_ROWS, "f", "f");
    store_fixture_check(f, FAMILY_PREFIX, "0000x", "y");
}

/* C5, within one process. */
static void a_store_is_open_once(void **state)
{
    struct store_fixture *f = fixture_of(state);
    struct store *store = f->store;
    assert_int_equal(store_fixture_try_open(f, false).code, VY_CODE_BUSY);
    assert_ptr_equal(f->store, store);
    store_fixture_close(f);
    store_fixture_open(f);
}

static void two_stores_live_in_one_process(void **state)
{
    struct store_fixture *f = fixture_of(state);
    struct store_fixture other;
    store_fixture_init(&other, f->engine);
    store_fixture_open(&other);
    store_fixture_put(f, FAMILY_ROWS, "k", "one");
    store_fixture_put(&other, FAMILY_ROWS, "k", "two");
    store_fixture_check(f, FAMILY_ROWS, "k", "one");
    store_fixture_check(&other, FAMILY_ROWS, "k", "two");
    store_fixture_deinit(&other);
    store_fixture_check(f, FAMILY_ROWS, "k", "one");
}

static void families_may_be_added_but_not_left_out(void **state)
{
    struct store_fixture *f = fixture_of(state);
    store_fixture_close(f);
    f->family_count = STORE_FIXTURE_FAMILIES - 1;
    assert_int_equal(store_fixture_try_open(f, false).code, VY_CODE_UNSUPPORTED);
    struct store_fixture fresh;
    store_fixture_init(&fresh, f->engine);
    assert_int_equal(store_fixture_try_open(&fresh, true).code, VY_CODE_NOT_FOUND);
    fresh.family_count = 1;
    store_fixture_open(&fresh);
    store_fixture_put(&fresh, FAMILY_ROWS, "k", "v");
    store_fixture_close(&fresh);
    fresh.family_count = STORE_FIXTURE_FAMILIES;
    store_fixture_open(&fresh);
    store_fixture_check(&fresh, FAMILY_ROWS, "k", "v");
    store_fixture_check(&fresh, FAMILY_PREFIX, "k", NULL);
    store_fixture_deinit(&fresh);
}

static void space_is_told(void **state)
{
    struct store_fixture *f = fixture_of(state);
    uint64_t free_bytes = 0;
    assert_false(vy_failed(store_free_bytes(f->store, &free_bytes)));
    assert_true(free_bytes > 0);
    assert_true(store_floor_bytes(f->store) >= 64ULL * 1024 * 1024);
    assert_false(vy_failed(store_check(f->store)));
}

/* ---- against a model ---- */

#define MODEL_KEYS 48U
struct model {
    bool is_there[MODEL_KEYS];
    unsigned value[MODEL_KEYS];
};

static void model_step(struct fake_rng *rng, struct model *model, struct store_batch *batch,
                       unsigned stamp)
{
    char key[16];
    char other[16];
    const unsigned i = (unsigned)vy_rng_below(&rng->base, MODEL_KEYS);
    const unsigned kind = (unsigned)vy_rng_below(&rng->base, 10);
    (void)snprintf(key, sizeof(key), "%04u", i);
    if (kind < 6) {
        (void)snprintf(other, sizeof(other), "%u", stamp);
        store_batch_put(batch, FAMILY_PREFIX, vy_cstr(key), vy_cstr(other));
        model->is_there[i] = true;
        model->value[i] = stamp;
    } else if (kind < 9) {
        store_batch_delete(batch, FAMILY_PREFIX, vy_cstr(key));
        model->is_there[i] = false;
    } else {
        const unsigned end = i + (unsigned)vy_rng_below(&rng->base, 12);
        (void)snprintf(other, sizeof(other), "%04u", end);
        store_batch_delete_range(batch, FAMILY_PREFIX, vy_cstr(key), vy_cstr(other));
        for (unsigned k = i; k < end && k < MODEL_KEYS; k++) {
            model->is_there[k] = false;
        }
    }
}

static void model_check(const struct model *model, const struct store_reader *reader,
                        bool is_reverse)
{
    char text[2048] = "";
    size_t len = 0;
    for (unsigned n = 0; n < MODEL_KEYS; n++) {
        const unsigned i = is_reverse ? MODEL_KEYS - 1 - n : n;
        if (model->is_there[i]) {
            len += (size_t)snprintf(text + len, sizeof(text) - len, "%04u=%u ", i, model->value[i]);
        }
    }
    assert_string_equal(store_fixture_rows(reader, FAMILY_PREFIX, "", "", is_reverse), text);
}

static void a_store_agrees_with_a_model(void **state)
{
    struct store_fixture *f = fixture_of(state);
    struct fake_rng rng;
    struct model model = {.is_there = {false}};
    struct model at_snapshot = model;
    struct store_snapshot *snapshot = NULL;
    fake_rng_init(&rng, 11);
    assert_false(vy_failed(store_snapshot_new(f->store, &snapshot)));
    for (unsigned round = 1; round <= 400; round++) {
        struct store_batch *batch = new_batch(f);
        for (uint64_t steps = vy_rng_below(&rng.base, 6); steps > 0; steps--) {
            model_step(&rng, &model, batch, round);
        }
        write_and_free(f, batch, vy_rng_below(&rng.base, 8) == 0);
        model_check(&model, store_newest(f->store), round % 2 == 0);
        model_check(&at_snapshot, store_snapshot_reader(snapshot), round % 2 == 1);
        if (vy_rng_below(&rng.base, 16) == 0) {
            store_snapshot_free(snapshot);
            assert_false(vy_failed(store_snapshot_new(f->store, &snapshot)));
            at_snapshot = model;
        }
        if (vy_rng_below(&rng.base, 64) == 0) {
            assert_false(vy_failed(store_flush(f->store)));
        }
    }
    store_snapshot_free(snapshot);
}

static int set_up(void **state, enum store_fixture_engine engine)
{
    struct store_fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    store_fixture_init(f, engine);
    store_fixture_open(f);
    *state = f;
    return 0;
}

static int set_up_mem(void **state)
{
    return set_up(state, STORE_FIXTURE_MEM);
}

static int set_up_rocks(void **state)
{
    return set_up(state, STORE_FIXTURE_ROCKS);
}

static int tear_down(void **state)
{
    store_fixture_deinit(*state);
    free(*state);
    return 0;
}

#define BOTH(test)                                                                                 \
    {.name = #test " (memory)",                                                                    \
     .test_func = test,                                                                            \
     .setup_func = set_up_mem,                                                                     \
     .teardown_func = tear_down},                                                                  \
    {                                                                                              \
        .name = #test " (disk)", .test_func = test, .setup_func = set_up_rocks,                    \
        .teardown_func = tear_down                                                                 \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(later_operations_of_a_batch_win),
        BOTH(a_cleared_batch_writes_nothing),
        BOTH(an_empty_bound_is_no_bound),
        BOTH(ranges_are_walked_both_ways),
        BOTH(seeking_stays_in_the_range),
        BOTH(a_snapshot_is_a_point_in_time),
        BOTH(prefixes_do_not_hide_rows),
        BOTH(large_values_come_back_whole),
        BOTH(what_was_written_is_there_after_reopening),
        BOTH(a_store_is_open_once),
        BOTH(two_stores_live_in_one_process),
        BOTH(families_may_be_added_but_not_left_out),
        BOTH(space_is_told),
        BOTH(a_store_agrees_with_a_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
