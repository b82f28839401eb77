/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The overlay: per family an ordered map of the rows written (a row without a value is deleted) and
 * a list of the ranges deleted, over the newest state of the store. A row in the map hides both the
 * ranges and the store; a range hides the store. Deleting a range therefore empties the rows of the
 * map inside it. All memory is the arena's, until commit or reset.
 */
#include "base/assert.h"
#include "base/codec.h"
#include <stdlib.h>

#include "replica/txn_private.h"

/* Far above what one group commit carries (replica.h); only a runaway command gets here. */
#define TXN_OVERLAY_BYTES_MAX (512U * 1024 * 1024)

enum txn_effect { TXN_EFFECT_PUT = 1, TXN_EFFECT_DELETE = 2, TXN_EFFECT_DELETE_RANGE = 3 };

void txn_fail(struct txn *txn, struct vy_err err)
{
    if (!vy_failed(txn->err)) {
        txn->err = err;
    }
}

static void mark_no_memory(struct txn *txn)
{
    txn_fail(txn, vy_error(VY_CODE_NOMEM, "transaction"));
}

static struct txn_family *family_of(struct txn *txn, unsigned family)
{
    VY_ASSERT(family < txn->store->family_count);
    return &txn->families[family];
}

/* ---- ranges deleted: in order, apart from each other ---- */

/* Index of the first range that ends behind `key`. */
static size_t range_index(const struct txn_ranges *ranges, struct vy_bytes key)
{
    size_t low = 0;
    size_t high = ranges->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const struct vy_bytes to = ranges->items[middle].to;
        if (to.len == 0 || vy_bytes_compare(key, to) < 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low;
}

const struct txn_range *txn_range_over(const struct txn_ranges *ranges, struct vy_bytes key)
{
    const size_t i = ranges->count == 0 ? 0 : range_index(ranges, key);
    return i < ranges->count && vy_bytes_compare(ranges->items[i].from, key) <= 0
               ? &ranges->items[i]
               : NULL;
}

static bool ranges_have_room(struct txn *txn, struct txn_ranges *ranges)
{
    if (ranges->count < ranges->capacity) {
        return true;
    }
    const size_t capacity = ranges->capacity == 0 ? 8 : ranges->capacity * 2;
    struct txn_range *grown = VY_ARENA_ARRAY(&txn->arena, capacity, struct txn_range);
    if (grown == NULL) {
        return false;
    }
    if (ranges->count > 0) {
        memcpy(grown, ranges->items, ranges->count * sizeof(*grown));
    }
    ranges->items = grown;
    ranges->capacity = capacity;
    return true;
}

/* Whether `range` starts within or right behind what `to` bounds. */
static bool is_touched(const struct txn_range *range, struct vy_bytes to)
{
    return to.len == 0 || vy_bytes_compare(range->from, to) <= 0;
}

static struct vy_bytes later_end(struct vy_bytes a, struct vy_bytes b)
{
    if (a.len == 0 || b.len == 0) {
        return vy_bytes(NULL, 0);
    }
    return vy_bytes_compare(a, b) >= 0 ? a : b;
}

/* Adds a range, melting those it meets into one. Its bounds are the arena's already. */
static void ranges_add(struct txn_ranges *ranges, struct txn_range added)
{
    const size_t first = range_index(ranges, added.from);
    size_t end = first;
    while (end < ranges->count && is_touched(&ranges->items[end], added.to)) {
        const struct txn_range *met = &ranges->items[end];
        added.from = vy_bytes_compare(met->from, added.from) < 0 ? met->from : added.from;
        added.to = later_end(met->to, added.to);
        end++;
    }
    memmove(&ranges->items[first + 1], &ranges->items[end],
            (ranges->count - end) * sizeof(ranges->items[0]));
    ranges->items[first] = added;
    ranges->count = ranges->count - (end - first) + 1;
}

/* ---- writing ---- */

/* Numbers with their lengths, so that different writes never look alike. */
static void add_effect(struct txn *txn, enum txn_effect effect, unsigned family, struct vy_bytes a,
                       struct vy_bytes b)
{
    uint8_t head[10];
    head[0] = (uint8_t)effect;
    head[1] = (uint8_t)family;
    vy_put_be32(head + 2, (uint32_t)a.len);
    vy_put_be32(head + 6, (uint32_t)b.len);
    txn->effects = vy_crc32c(txn->effects, vy_bytes(head, sizeof(head)));
    txn->effects = vy_crc32c(txn->effects, a);
    txn->effects = vy_crc32c(txn->effects, b);
}

static void *alloc_in_arena(void *arg, size_t size)
{
    return vy_arena_alloc(arg, size);
}

/* The overlay's row of a key, made if there is none. NULL: the transaction is marked. */
static struct skiplist_node *overlay_row(struct txn *txn, struct txn_family *family,
                                         struct vy_bytes key)
{
    const size_t count = family->rows.count;
    struct skiplist_node *row = skiplist_put(&family->rows, key, alloc_in_arena, &txn->arena);
    if (row == NULL) {
        mark_no_memory(txn);
    } else if (family->rows.count != count) {
        family->generation++;
    }
    return row;
}

void txn_put(struct txn *txn, unsigned family_index, struct vy_bytes key, struct vy_bytes value)
{
    struct txn_family *family = family_of(txn, family_index);
    if (vy_failed(txn->err)) {
        return;
    }
    struct txn_value *copy = vy_arena_alloc(&txn->arena, sizeof(*copy) + value.len);
    struct skiplist_node *row = copy == NULL ? NULL : overlay_row(txn, family, key);
    if (row == NULL) {
        mark_no_memory(txn);
        return;
    }
    copy->len = value.len;
    if (value.len > 0) {
        memcpy(copy->data, value.data, value.len);
    }
    row->item = copy;
    store_batch_put(txn->batch, family_index, key, value);
    add_effect(txn, TXN_EFFECT_PUT, family_index, key, value);
}

void txn_delete(struct txn *txn, unsigned family_index, struct vy_bytes key)
{
    struct txn_family *family = family_of(txn, family_index);
    if (vy_failed(txn->err)) {
        return;
    }
    struct skiplist_node *row = overlay_row(txn, family, key);
    if (row == NULL) {
        return;
    }
    row->item = NULL;
    store_batch_delete(txn->batch, family_index, key);
    add_effect(txn, TXN_EFFECT_DELETE, family_index, key, VY_LIT(""));
}

static void empty_rows(struct skiplist *rows, struct vy_bytes from, struct vy_bytes to)
{
    struct skiplist_node *row = skiplist_gap_before(rows, from).behind;
    while (row != NULL && (to.len == 0 || vy_bytes_compare(row->key, to) < 0)) {
        row->item = NULL;
        row = row->next[0];
    }
}

void txn_delete_range(struct txn *txn, unsigned family_index, struct vy_bytes from,
                      struct vy_bytes to)
{
    struct txn_family *family = family_of(txn, family_index);
    if (vy_failed(txn->err) || (to.len > 0 && vy_bytes_compare(from, to) >= 0)) {
        return;
    }
    struct txn_range range;
    if (!ranges_have_room(txn, &family->ranges) ||
        vy_failed(vy_arena_dup(&txn->arena, from, &range.from)) ||
        vy_failed(vy_arena_dup(&txn->arena, to, &range.to))) {
        mark_no_memory(txn);
        return;
    }
    ranges_add(&family->ranges, range);
    empty_rows(&family->rows, from, to);
    store_batch_delete_range(txn->batch, family_index, from, to);
    add_effect(txn, TXN_EFFECT_DELETE_RANGE, family_index, from, to);
}

/* ---- reading ---- */

/* Keeps what the store lent until the entry is done. */
static bool keep_pin(struct txn *txn, const struct store_value *value)
{
    if (value->release == NULL) {
        return true;
    }
    if (txn->pin_count == txn->pin_capacity) {
        const size_t capacity = txn->pin_capacity == 0 ? 32 : txn->pin_capacity * 2;
        struct store_value *grown = realloc(txn->pins, capacity * sizeof(*grown));
        if (grown == NULL) {
            return false;
        }
        txn->pins = grown;
        txn->pin_capacity = capacity;
    }
    txn->pins[txn->pin_count++] = *value;
    return true;
}

static bool get_from_store(struct txn *txn, unsigned family, struct vy_bytes key,
                           struct vy_bytes *out)
{
    struct store_value value = {.is_found = false};
    const struct vy_err err = store_get(store_newest(txn->store), family, key, &value);
    if (vy_failed(err)) {
        txn_fail(txn, err);
        return false;
    }
    if (value.is_found && !keep_pin(txn, &value)) {
        store_value_release(&value);
        mark_no_memory(txn);
        return false;
    }
    *out = value.bytes;
    return value.is_found;
}

bool txn_get(struct txn *txn, unsigned family_index, struct vy_bytes key, struct vy_bytes *out)
{
    struct txn_family *family = family_of(txn, family_index);
    if (vy_failed(txn->err)) {
        return false;
    }
    const struct skiplist_node *row =
        family->rows.count == 0 ? NULL : skiplist_find(&family->rows, key);
    if (row != NULL && row->item != NULL) {
        *out = txn_value_bytes(row->item);
        return true;
    }
    if (row != NULL || txn_range_over(&family->ranges, key) != NULL) {
        return false;
    }
    return get_from_store(txn, family_index, key, out);
}

bool txn_has(struct txn *txn, unsigned family, struct vy_bytes key)
{
    struct vy_bytes value;
    return txn_get(txn, family, key, &value);
}

struct store_iter *txn_iter(struct txn *txn, unsigned family, const struct store_range *range)
{
    struct store_iter *iter = NULL;
    const struct vy_err err =
        vy_failed(txn->err) ? txn->err : txn_iter_new(txn, family, range, &iter);
    if (vy_failed(err)) {
        txn_fail(txn, err);
        return &txn->none;
    }
    return iter;
}

static struct txn *txn_of(const struct store_reader *reader)
{
    /* Reading changes what is pinned; the reader is const for its users only. */
    return (struct txn *)((uintptr_t)reader - offsetof(struct txn, reader));
}

static struct vy_err reader_get(const struct store_reader *reader, unsigned family,
                                struct vy_bytes key, struct store_value *out)
{
    struct txn *txn = txn_of(reader);
    struct store_value value = {.is_found = false};
    value.is_found = txn_get(txn, family, key, &value.bytes);
    VY_TRY(txn->err);
    *out = value;
    return vy_ok();
}

static struct vy_err reader_iter_new(const struct store_reader *reader, unsigned family,
                                     const struct store_range *range, struct store_iter **out)
{
    struct txn *txn = txn_of(reader);
    struct store_iter *iter = txn_iter(txn, family, range);
    if (vy_failed(txn->err)) {
        store_iter_free(iter);
        return txn->err;
    }
    *out = iter;
    return vy_ok();
}

static const struct store_reader_ops reader_ops = {
    .get = reader_get,
    .iter_new = reader_iter_new,
};

const struct store_reader *txn_reader(struct txn *txn)
{
    return &txn->reader;
}

struct vy_err txn_error(const struct txn *txn)
{
    return txn->err;
}

/* ---- life ---- */

static void clear_overlay(struct txn *txn)
{
    txn_entry_done(txn);
    for (size_t i = 0; i < txn->store->family_count; i++) {
        skiplist_init(&txn->families[i].rows);
        txn->families[i].ranges = (struct txn_ranges){.count = 0};
    }
    vy_arena_reset(&txn->arena);
    store_batch_clear(txn->batch);
}

struct vy_err txn_new(struct store *store, struct txn **out)
{
    struct txn *txn = calloc(1, sizeof(*txn));
    if (txn == NULL) {
        return vy_error(VY_CODE_NOMEM, "transaction");
    }
    const struct vy_err err = store_batch_new(store, &txn->batch);
    if (vy_failed(err)) {
        free(txn);
        return err;
    }
    txn->store = store;
    txn->reader.ops = &reader_ops;
    txn->none.ops = &txn_none_ops;
    vy_arena_init(&txn->arena, TXN_OVERLAY_BYTES_MAX);
    clear_overlay(txn);
    *out = txn;
    return vy_ok();
}

void txn_free(struct txn *txn)
{
    if (txn == NULL) {
        return;
    }
    txn_entry_done(txn);
    store_batch_free(txn->batch);
    vy_arena_deinit(&txn->arena);
    free(txn->pins);
    free(txn);
}

struct store_batch *txn_batch(struct txn *txn)
{
    return txn->batch;
}

void txn_entry_done(struct txn *txn)
{
    VY_ASSERT(txn->iter_count == 0); /* iterators end with the entry */
    for (size_t i = 0; i < txn->pin_count; i++) {
        store_value_release(&txn->pins[i]);
    }
    txn->pin_count = 0;
}

uint32_t txn_take_effects(struct txn *txn)
{
    const uint32_t effects = txn->effects;
    txn->effects = 0;
    return effects;
}

struct vy_err txn_commit(struct txn *txn, bool sync)
{
    VY_TRY(txn->err);
    /* An empty batch too: with `sync` it makes earlier ones durable. */
    const struct vy_err err = store_write(txn->store, txn->batch, sync);
    if (vy_failed(err)) {
        txn_fail(txn, err);
        return err;
    }
    clear_overlay(txn);
    return vy_ok();
}

void txn_reset(struct txn *txn)
{
    clear_overlay(txn);
    txn->effects = 0;
    txn->err = vy_ok();
}
