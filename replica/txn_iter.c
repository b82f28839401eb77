/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two cursors in step: one over the store, one over the overlay. At each move the overlay's cursor
 * is looked up anew if rows were added meanwhile, so that a row written ahead of the iterator is
 * met, and one written behind it is not.
 */
#include "base/assert.h"
#include <stdlib.h>

#include "replica/txn_private.h"

struct txn_iter {
    struct store_iter iter;
    struct txn *txn;
    const struct txn_family *family;
    struct store_iter *rows;    /* owned: of the store */
    struct skiplist_node *over; /* of the overlay: the current row, or the first ahead of it */
    uint64_t generation;        /* of the family when `over` was looked up */
    bool is_on_rows;            /* the current row's key is where `rows` stands */
    bool is_on_over;            /* ... and where `over` stands */
    struct store_range range;   /* points behind the struct */
    uint8_t bounds[];
};

static struct txn_iter *iter_of(struct store_iter *iter)
{
    return VY_CONTAINER_OF(iter, struct txn_iter, iter);
}

/* NULL when the row is beyond the end of the range, in the direction of the iterator. */
static struct skiplist_node *within(const struct txn_iter *it, struct skiplist_node *row)
{
    const struct store_range *range = &it->range;
    if (row == NULL) {
        return NULL;
    }
    if (range->is_reverse) {
        return vy_bytes_compare(row->key, range->from) >= 0 ? row : NULL;
    }
    return range->to.len == 0 || vy_bytes_compare(row->key, range->to) < 0 ? row : NULL;
}

/* The overlay's first row ahead of `key`. */
static struct skiplist_node *over_ahead(const struct txn_iter *it, struct vy_bytes key)
{
    const struct skiplist *rows = &it->family->rows;
    return within(it, it->range.is_reverse ? skiplist_gap_before(rows, key).before
                                           : skiplist_gap_behind(rows, key).behind);
}

static struct skiplist_node *over_following(const struct txn_iter *it)
{
    return it->range.is_reverse ? over_ahead(it, it->over->key) : within(it, it->over->next[0]);
}

static struct skiplist_node *over_first(const struct txn_iter *it)
{
    const struct skiplist *rows = &it->family->rows;
    if (!it->range.is_reverse) {
        return within(it, skiplist_gap_before(rows, it->range.from).behind);
    }
    return within(it, it->range.to.len == 0 ? skiplist_last(rows)
                                            : skiplist_gap_before(rows, it->range.to).before);
}

/* The overlay's first row at `key` or ahead of it. */
static struct skiplist_node *over_from(const struct txn_iter *it, struct vy_bytes key)
{
    const struct store_range *range = &it->range;
    const struct skiplist *rows = &it->family->rows;
    if (range->is_reverse) {
        return range->to.len > 0 && vy_bytes_compare(key, range->to) >= 0
                   ? over_first(it)
                   : within(it, skiplist_gap_behind(rows, key).before);
    }
    return vy_bytes_compare(key, range->from) <= 0
               ? over_first(it)
               : within(it, skiplist_gap_before(rows, key).behind);
}

/* Moves the store's cursor out of the deleted ranges. */
static void skip_deleted(struct txn_iter *it)
{
    const struct txn_ranges *ranges = &it->family->ranges;
    while (ranges->count > 0 && it->rows->is_valid) {
        const struct txn_range *range = txn_range_over(ranges, it->rows->key);
        if (range == NULL) {
            return;
        }
        if (it->range.is_reverse) {
            store_iter_seek(it->rows, range->from);
            if (it->rows->is_valid && vy_bytes_equal(it->rows->key, range->from)) {
                store_iter_next(it->rows);
            }
        } else if (range->to.len > 0) {
            store_iter_seek(it->rows, range->to);
        } else {
            it->rows->is_valid = false; /* deleted to the end; nothing else asks this cursor */
        }
    }
}

/* Below 0: the overlay's row comes first; 0: both have the same key; above 0: the store's. */
static int compare_cursors(const struct txn_iter *it)
{
    if (it->over == NULL || !it->rows->is_valid) {
        return it->over == NULL ? 1 : -1;
    }
    const int order = vy_bytes_compare(it->over->key, it->rows->key);
    return it->range.is_reverse ? -order : order;
}

static void stand_on(struct txn_iter *it, struct vy_bytes key, struct vy_bytes value)
{
    it->iter.is_valid = true;
    it->iter.key = key;
    it->iter.value = value;
}

/* From cursors that are both at or ahead of the next row to that row. */
static void settle(struct txn_iter *it)
{
    it->iter.is_valid = false;
    it->is_on_over = false;
    it->is_on_rows = false;
    skip_deleted(it);
    while (it->over != NULL || it->rows->is_valid) {
        const int order = compare_cursors(it);
        if (order > 0) {
            it->is_on_rows = true;
            stand_on(it, it->rows->key, it->rows->value);
            break;
        }
        if (it->over->item != NULL) {
            it->is_on_over = true;
            it->is_on_rows = order == 0;
            stand_on(it, it->over->key, txn_value_bytes(it->over->item));
            break;
        }
        if (order == 0) {
            store_iter_next(it->rows);
            skip_deleted(it);
        }
        it->over = over_following(it);
    }
    if (vy_failed(it->rows->err)) {
        it->iter.is_valid = false;
        it->iter.err = it->rows->err;
        txn_fail(it->txn, it->rows->err);
    }
}

static void iter_next(struct store_iter *base)
{
    struct txn_iter *it = iter_of(base);
    /* The current key may belong to the store's cursor: look the overlay up before that moves. */
    if (it->generation != it->family->generation) {
        it->over = over_ahead(it, base->key);
        it->generation = it->family->generation;
    } else if (it->is_on_over) {
        it->over = over_following(it);
    }
    if (it->is_on_rows) {
        store_iter_next(it->rows);
    }
    settle(it);
}

static void iter_seek(struct store_iter *base, struct vy_bytes key)
{
    struct txn_iter *it = iter_of(base);
    it->over = over_from(it, key);
    it->generation = it->family->generation;
    store_iter_seek(it->rows, key);
    settle(it);
}

static void iter_free(struct store_iter *base)
{
    struct txn_iter *it = iter_of(base);
    it->txn->iter_count--;
    store_iter_free(it->rows);
    free(it);
}

static const struct store_iter_ops iter_ops = {
    .next = iter_next,
    .seek = iter_seek,
    .free = iter_free,
};

static struct vy_bytes copy_bound(uint8_t *at, struct vy_bytes bound)
{
    if (bound.len > 0) {
        memcpy(at, bound.data, bound.len);
    }
    return vy_bytes(at, bound.len);
}

struct vy_err txn_iter_new(struct txn *txn, unsigned family, const struct store_range *range,
                           struct store_iter **out)
{
    VY_ASSERT(family < txn->store->family_count);
    struct store_iter *rows = NULL;
    VY_TRY(store_iter_new(store_newest(txn->store), family, range, &rows));
    struct txn_iter *it = calloc(1, sizeof(*it) + range->from.len + range->to.len);
    if (it == NULL) {
        store_iter_free(rows);
        return vy_error(VY_CODE_NOMEM, "iterator");
    }
    it->iter.ops = &iter_ops;
    it->txn = txn;
    it->family = &txn->families[family];
    it->rows = rows;
    it->range.is_reverse = range->is_reverse;
    it->range.from = copy_bound(it->bounds, range->from);
    it->range.to = copy_bound(it->bounds + range->from.len, range->to);
    txn->iter_count++;
    it->over = over_first(it);
    it->generation = it->family->generation;
    settle(it);
    *out = &it->iter;
    return vy_ok();
}

static void none_next(struct store_iter *iter)
{
    (void)iter;
}

static void none_seek(struct store_iter *iter, struct vy_bytes key)
{
    (void)iter;
    (void)key;
}

static void none_free(struct store_iter *iter)
{
    (void)iter; /* lives in the transaction */
}

const struct store_iter_ops txn_none_ops = {
    .next = none_next,
    .seek = none_seek,
    .free = none_free,
};
