/* SPDX-License-Identifier: Apache-2.0 */
/* The transaction against a model: an array of rows that every write is done to at once. */
#include "replica/txn.h"

#include "base/assert.h"

#include "replica/store_mem.h"
#include "tests/lib/fake_rng.h"
#include "tests/lib/fault.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define KEYS 64U /* few, so that rows, ranges and iterators meet */
#define FAMILIES 2U
#define VALUE_MAX 24U

static const struct store_family families[FAMILIES] = {{.name = "a"}, {.name = "b"}};

struct fixture {
    struct store_mem_disk *disk;
    struct store *store;
    struct txn *txn;
};

static void open_all(struct fixture *f)
{
    const struct store_options options = {.families = families, .family_count = FAMILIES};
    assert_false(vy_failed(store_mem_disk_new(&f->disk)));
    assert_false(vy_failed(store_mem_open(f->disk, &options, &f->store)));
    assert_false(vy_failed(txn_new(f->store, &f->txn)));
}

static void close_all(struct fixture *f)
{
    txn_free(f->txn);
    store_close(f->store);
    store_mem_disk_free(f->disk);
}

/* ---- the model ---- */

struct model_row {
    bool is_there;
    size_t len;
    uint8_t value[VALUE_MAX];
};
struct model {
    struct fixture f;
    struct fake_rng rng;
    struct model_row rows[FAMILIES][KEYS];
    struct model_row committed[FAMILIES][KEYS];
    uint8_t end[1];
};

/* Even places only: odd ones are bounds and seek targets between rows. */
static struct vy_bytes key_at(unsigned place, uint8_t *out)
{
    (void)snprintf((char *)out, 8, "k%03u", place % 1000);
    return vy_bytes(out, 4);
}

static unsigned draw(struct model *m, unsigned below)
{
    return (unsigned)vy_rng_below(&m->rng.base, below);
}

static void model_put(struct model *m, unsigned family, unsigned i)
{
    uint8_t key[8];
    struct model_row *row = &m->rows[family][i];
    row->is_there = true;
    row->len = draw(m, VALUE_MAX + 1);
    for (size_t at = 0; at < row->len; at++) {
        row->value[at] = (uint8_t)draw(m, 256);
    }
    txn_put(m->f.txn, family, key_at(2 * i, key), vy_bytes(row->value, row->len));
}

static void model_delete(struct model *m, unsigned family, unsigned i)
{
    uint8_t key[8];
    m->rows[family][i].is_there = false;
    txn_delete(m->f.txn, family, key_at(2 * i, key));
}

static void model_delete_range(struct model *m, unsigned family)
{
    uint8_t from_key[8];
    uint8_t to_key[8];
    const unsigned from = draw(m, 2 * KEYS);
    const unsigned to = draw(m, 8) == 0 ? UINT32_MAX : from + draw(m, 24);
    for (unsigned i = 0; i < KEYS; i++) {
        if (2 * i >= from && 2 * i < to) {
            m->rows[family][i].is_there = false;
        }
    }
    txn_delete_range(m->f.txn, family,
                     draw(m, 2) == 0 && from == 0 ? VY_LIT("") : key_at(from, from_key),
                     to == UINT32_MAX ? VY_LIT("") : key_at(to, to_key));
}

static void model_write(struct model *m)
{
    const unsigned family = draw(m, FAMILIES);
    const unsigned kind = draw(m, 10);
    if (kind < 6) {
        model_put(m, family, draw(m, KEYS));
    } else if (kind < 9) {
        model_delete(m, family, draw(m, KEYS));
    } else {
        model_delete_range(m, family);
    }
}

static void check_row(const struct model_row *row, bool is_found, struct vy_bytes value)
{
    assert_int_equal(row->is_there, is_found);
    if (is_found) {
        assert_int_equal(row->len, value.len);
        assert_true(vy_bytes_equal(value, vy_bytes(row->value, row->len)));
    }
}

static void check_gets(struct model *m)
{
    uint8_t key[8];
    for (unsigned family = 0; family < FAMILIES; family++) {
        const unsigned i = draw(m, KEYS);
        struct vy_bytes value = VY_LIT("");
        const bool is_found = txn_get(m->f.txn, family, key_at(2 * i, key), &value);
        check_row(&m->rows[family][i], is_found, value);
        struct store_value read = {.is_found = false};
        assert_false(vy_failed(store_get(txn_reader(m->f.txn), family, vy_bytes(key, 4), &read)));
        check_row(&m->rows[family][i], read.is_found, read.bytes);
        store_value_release(&read);
    }
}

/* ---- iterating ---- */

struct walk {
    unsigned family;
    unsigned from; /* place; rows of [from, to) */
    unsigned to;
    bool is_reverse;
    int at; /* index of the current row, or the last one, -1 or KEYS before the first */
};

static bool is_row_of(const struct model *m, const struct walk *w, int i)
{
    return m->rows[w->family][i].is_there && 2 * (unsigned)i >= w->from && 2 * (unsigned)i < w->to;
}

/* The index of the first row at or ahead of `i`, or -1. */
static int row_ahead(const struct model *m, const struct walk *w, int i)
{
    const int step = w->is_reverse ? -1 : 1;
    for (; i >= 0 && i < (int)KEYS; i += step) {
        if (is_row_of(m, w, i)) {
            return i;
        }
    }
    return -1;
}

static void check_stand(const struct model *m, const struct store_iter *iter, struct walk *w,
                        int from)
{
    uint8_t key[8];
    const int i = row_ahead(m, w, from);
    assert_int_equal(iter->is_valid, i >= 0);
    if (i >= 0) {
        assert_true(vy_bytes_equal(iter->key, key_at(2 * (unsigned)i, key)));
        check_row(&m->rows[w->family][i], true, iter->value);
        w->at = i;
    }
}

static void seek_somewhere(struct model *m, struct store_iter *iter, struct walk *w)
{
    uint8_t key[8];
    const unsigned place = draw(m, 2 * KEYS);
    store_iter_seek(iter, key_at(place, key));
    /* An odd place lies between rows place/2 and place/2 + 1. */
    const int from = w->is_reverse ? (int)(place / 2) : (int)((place + 1) / 2);
    check_stand(m, iter, w, from);
}

static void walk_once(struct model *m, bool with_writes)
{
    uint8_t from_key[8];
    uint8_t to_key[8];
    struct walk w = {.family = draw(m, FAMILIES),
                     .from = draw(m, 3) == 0 ? 0 : draw(m, 2 * KEYS),
                     .is_reverse = draw(m, 2) == 0};
    w.to = draw(m, 3) == 0 ? UINT32_MAX : w.from + draw(m, 2 * KEYS);
    const struct store_range range = {.from = w.from == 0 ? VY_LIT("") : key_at(w.from, from_key),
                                      .to = w.to == UINT32_MAX ? VY_LIT("") : key_at(w.to, to_key),
                                      .is_reverse = w.is_reverse};
    struct store_iter *iter = txn_iter(m->f.txn, w.family, &range);
    check_stand(m, iter, &w, w.is_reverse ? (int)KEYS - 1 : 0);
    while (iter->is_valid) {
        for (unsigned writes = with_writes ? draw(m, 3) : 0; writes > 0; writes--) {
            model_write(m);
        }
        if (draw(m, 12) == 0) {
            seek_somewhere(m, iter, &w);
        } else {
            store_iter_next(iter);
            check_stand(m, iter, &w, w.is_reverse ? w.at - 1 : w.at + 1);
        }
        if (draw(m, 64) == 0) {
            break;
        }
    }
    store_iter_free(iter);
}

static void end_group(struct model *m)
{
    txn_entry_done(m->f.txn);
    if (draw(m, 3) > 0) {
        return; /* the next entry of the same group commit */
    }
    if (draw(m, 5) == 0) {
        txn_reset(m->f.txn);
        memcpy(m->rows, m->committed, sizeof(m->rows));
    } else {
        assert_false(vy_failed(txn_commit(m->f.txn, draw(m, 2) == 0)));
        memcpy(m->committed, m->rows, sizeof(m->rows));
    }
}

static void a_transaction_agrees_with_a_model(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct model *m = calloc(1, sizeof(*m));
        assert_non_null(m);
        fake_rng_init(&m->rng, seed);
        open_all(&m->f);
        for (unsigned entry = 0; entry < 150; entry++) {
            for (unsigned writes = draw(m, 12); writes > 0; writes--) {
                model_write(m);
                check_gets(m);
            }
            walk_once(m, /* with_writes = */ false);
            walk_once(m, /* with_writes = */ true);
            end_group(m);
        }
        close_all(&m->f);
        free(m);
    }
}

/* ---- single facts ---- */

static void values_live_until_the_entry_is_done(void **state)
{
    (void)state;
    struct fixture f;
    struct vy_bytes stored;
    struct vy_bytes written;
    open_all(&f);
    txn_put(f.txn, 0, VY_LIT("k"), VY_LIT("old"));
    assert_false(vy_failed(txn_commit(f.txn, false)));
    assert_true(txn_get(f.txn, 0, VY_LIT("k"), &stored));
    txn_put(f.txn, 0, VY_LIT("k"), VY_LIT("new"));
    assert_true(txn_get(f.txn, 0, VY_LIT("k"), &written));
    txn_delete(f.txn, 0, VY_LIT("k"));
    assert_false(txn_has(f.txn, 0, VY_LIT("k")));
    assert_true(vy_bytes_equal(stored, VY_LIT("old")));
    assert_true(vy_bytes_equal(written, VY_LIT("new")));
    close_all(&f);
}

static uint32_t effects_of(struct fixture *f, const char *key, const char *value)
{
    txn_put(f->txn, 0, vy_cstr(key), vy_cstr(value));
    return txn_take_effects(f->txn);
}

static void effects_tell_writes_apart(void **state)
{
    (void)state;
    struct fixture f;
    open_all(&f);
    assert_int_equal(txn_take_effects(f.txn), 0);
    const uint32_t first = effects_of(&f, "ab", "c");
    assert_int_equal(effects_of(&f, "ab", "c"), first);
    assert_int_not_equal(effects_of(&f, "a", "bc"), first);
    assert_int_not_equal(effects_of(&f, "ab", "d"), first);
    txn_put(f.txn, 1, VY_LIT("ab"), VY_LIT("c"));
    assert_int_not_equal(txn_take_effects(f.txn), first);
    txn_delete(f.txn, 0, VY_LIT("ab"));
    const uint32_t deleted = txn_take_effects(f.txn);
    txn_delete_range(f.txn, 0, VY_LIT("ab"), VY_LIT(""));
    assert_int_not_equal(txn_take_effects(f.txn), deleted);
    close_all(&f);
}

static void the_engine_adds_rows_to_the_same_batch(void **state)
{
    (void)state;
    struct fixture f;
    struct vy_bytes value;
    open_all(&f);
    txn_put(f.txn, 0, VY_LIT("k"), VY_LIT("v"));
    store_batch_put(txn_batch(f.txn), 1, VY_LIT("applied"), VY_LIT("7"));
    assert_false(vy_failed(txn_commit(f.txn, true)));
    assert_int_equal(store_mem_sync_count(f.disk), 1);
    assert_true(txn_get(f.txn, 1, VY_LIT("applied"), &value));
    assert_true(vy_bytes_equal(value, VY_LIT("7")));
    close_all(&f);
}

/* P14: after a failed write nothing more is read or written, and no caller is told otherwise. */
static void a_failed_write_marks_the_transaction(void **state)
{
    (void)state;
    struct fixture f;
    const struct store_range all = {.is_reverse = false};
    open_all(&f);
    txn_put(f.txn, 0, VY_LIT("k"), VY_LIT("v"));
    store_mem_fail_write(f.disk, 1);
    assert_int_equal(txn_commit(f.txn, true).code, VY_CODE_IO);
    assert_int_equal(txn_error(f.txn).code, VY_CODE_IO);
    assert_int_equal(txn_commit(f.txn, true).code, VY_CODE_IO);
    assert_false(txn_has(f.txn, 0, VY_LIT("k")));
    struct store_iter *iter = txn_iter(f.txn, 0, &all);
    assert_false(iter->is_valid);
    store_iter_free(iter);
    close_all(&f);
}

static void a_key_that_is_too_long_is_refused(void **state)
{
    (void)state;
    struct fixture f;
    static const uint8_t key[STORE_KEY_BYTES_MAX + 1];
    open_all(&f);
    txn_put(f.txn, 0, vy_bytes(key, STORE_KEY_BYTES_MAX), VY_LIT("v"));
    assert_false(vy_failed(txn_commit(f.txn, false)));
    txn_put(f.txn, 0, vy_bytes(key, STORE_KEY_BYTES_MAX + 1), VY_LIT("v"));
    assert_int_equal(txn_commit(f.txn, false).code, VY_CODE_ARGUMENT);
    close_all(&f);
}

static struct vy_err use_transaction(struct fixture *f)
{
    struct vy_bytes value;
    const struct store_range all = {.is_reverse = false};
    for (unsigned i = 0; i < 40; i++) {
        uint8_t key[8];
        (void)txn_get(f->txn, 0, key_at(i, key), &value);
        txn_put(f->txn, 0, key_at(i, key), VY_LIT("value"));
    }
    txn_delete_range(f->txn, 0, VY_LIT("k010"), VY_LIT("k020"));
    struct store_iter *iter = txn_iter(f->txn, 0, &all);
    store_iter_free(iter);
    txn_entry_done(f->txn);
    return txn_commit(f->txn, false);
}

/* NOMEM anywhere is an error of the commit, and the store is as before. */
static void missing_memory_is_told(void **state)
{
    (void)state;
    uint64_t failures = 0;
    for (uint64_t n = 1;; n++) {
        struct fixture f;
        open_all(&f);
        assert_false(vy_failed(use_transaction(&f)));
        (void)fault_begin(n);
        const struct vy_err err = use_transaction(&f);
        const bool has_failed = fault_end();
        assert_int_equal(vy_failed(err), has_failed);
        txn_reset(f.txn);
        assert_true(txn_has(f.txn, 0, VY_LIT("k001")));
        assert_false(txn_has(f.txn, 0, VY_LIT("k010")));
        close_all(&f);
        if (!has_failed) {
            break;
        }
        failures++;
    }
    assert_true(failures > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_transaction_agrees_with_a_model),
        cmocka_unit_test(values_live_until_the_entry_is_done),
        cmocka_unit_test(effects_tell_writes_apart),
        cmocka_unit_test(the_engine_adds_rows_to_the_same_batch),
        cmocka_unit_test(a_failed_write_marks_the_transaction),
        cmocka_unit_test(a_key_that_is_too_long_is_refused),
        cmocka_unit_test(missing_memory_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
