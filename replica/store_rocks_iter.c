/* SPDX-License-Identifier: Apache-2.0 */
#include "base/assert.h"
#include <stdlib.h>

#include "replica/store_rocks_private.h"

#define ROCKS_BULK_READAHEAD_BYTES (512U * 1024)

struct rocks_iter {
    struct store_iter iter;
    rocksdb_readoptions_t *read; /* owned; RocksDB looks at its bounds as long as it iterates */
    rocksdb_iterator_t *rows;    /* owned */
    struct store_range range;    /* points behind the struct */
    uint8_t bounds[];
};

static struct rocks_iter *iter_of(struct store_iter *iter)
{
    return VY_CONTAINER_OF(iter, struct rocks_iter, iter);
}

/* After a move: what RocksDB stands on. */
static void take_row(struct rocks_iter *it)
{
    struct store_iter *iter = &it->iter;
    iter->is_valid = rocksdb_iter_valid(it->rows) != 0;
    if (!iter->is_valid) {
        char *message = NULL;
        rocksdb_iter_get_error(it->rows, &message);
        iter->err = rocks_error(message, "iterate");
        return;
    }
    size_t len = 0;
    const char *data = rocksdb_iter_key(it->rows, &len);
    iter->key = vy_bytes(data, len);
    data = rocksdb_iter_value(it->rows, &len);
    iter->value = vy_bytes(data, len);
}

static void iter_next(struct store_iter *base)
{
    struct rocks_iter *it = iter_of(base);
    if (it->range.is_reverse) {
        rocksdb_iter_prev(it->rows);
    } else {
        rocksdb_iter_next(it->rows);
    }
    take_row(it);
}

static void seek_first(struct rocks_iter *it)
{
    if (it->range.is_reverse) {
        rocksdb_iter_seek_to_last(it->rows);
    } else if (it->range.from.len > 0) {
        rocksdb_iter_seek(it->rows, (const char *)it->range.from.data, it->range.from.len);
    } else {
        rocksdb_iter_seek_to_first(it->rows);
    }
}

static void iter_seek(struct store_iter *base, struct vy_bytes key)
{
    struct rocks_iter *it = iter_of(base);
    const struct store_range *range = &it->range;
    const bool is_before_range = range->is_reverse
                                     ? range->to.len > 0 && vy_bytes_compare(key, range->to) >= 0
                                     : vy_bytes_compare(key, range->from) < 0;
    if (is_before_range) {
        seek_first(it);
    } else if (range->is_reverse) {
        rocksdb_iter_seek_for_prev(it->rows, (const char *)key.data, key.len);
    } else {
        rocksdb_iter_seek(it->rows, (const char *)key.data, key.len);
    }
    take_row(it);
}

static void iter_free(struct store_iter *base)
{
    struct rocks_iter *it = iter_of(base);
    rocksdb_iter_destroy(it->rows);
    rocksdb_readoptions_destroy(it->read);
    free(it);
}

static const struct store_iter_ops iter_ops = {
    .next = iter_next,
    .seek = iter_seek,
    .free = iter_free,
};

/* Whether all keys of the range share the family's prefix: then its bloom filters may be asked. */
static bool is_within_prefix(const struct store_range *range, uint32_t prefix_bytes)
{
    uint8_t end[STORE_KEY_BYTES_MAX];
    if (range->is_reverse || prefix_bytes == 0 || range->from.len < prefix_bytes ||
        range->to.len == 0) {
        return false;
    }
    const struct vy_bytes prefix = vy_bytes_slice(range->from, 0, prefix_bytes);
    return vy_bytes_starts_with(range->to, prefix) ||
           vy_bytes_equal(range->to, store_prefix_end(prefix, end));
}

static struct vy_bytes copy_bound(uint8_t *at, struct vy_bytes bound)
{
    if (bound.len > 0) {
        memcpy(at, bound.data, bound.len);
    }
    return vy_bytes(at, bound.len);
}

static rocksdb_readoptions_t *new_read_options(const struct rocks_iter *it, uint32_t prefix_bytes,
                                               const rocksdb_snapshot_t *snapshot)
{
    rocksdb_readoptions_t *read = rocksdb_readoptions_create();
    if (snapshot != NULL) {
        rocksdb_readoptions_set_snapshot(read, snapshot);
    }
    if (it->range.from.len > 0) {
        rocksdb_readoptions_set_iterate_lower_bound(read, (const char *)it->range.from.data,
                                                    it->range.from.len);
    }
    if (it->range.to.len > 0) {
        rocksdb_readoptions_set_iterate_upper_bound(read, (const char *)it->range.to.data,
                                                    it->range.to.len);
    }
    if (it->range.is_bulk) {
        rocksdb_readoptions_set_fill_cache(read, 0);
        rocksdb_readoptions_set_readahead_size(read, ROCKS_BULK_READAHEAD_BYTES);
    }
    rocksdb_readoptions_set_total_order_seek(read, !is_within_prefix(&it->range, prefix_bytes));
    return read;
}

struct vy_err rocks_iter_new(struct rocks_store *store, const rocksdb_snapshot_t *snapshot,
                             unsigned family, const struct store_range *range,
                             struct store_iter **out)
{
    VY_ASSERT(family < store->store.family_count);
    struct rocks_iter *it = calloc(1, sizeof(*it) + range->from.len + range->to.len);
    if (it == NULL) {
        return vy_error(VY_CODE_NOMEM, "iterator");
    }
    it->iter.ops = &iter_ops;
    it->range.is_reverse = range->is_reverse;
    it->range.is_bulk = range->is_bulk;
    it->range.from = copy_bound(it->bounds, range->from);
    it->range.to = copy_bound(it->bounds + range->from.len, range->to);
    it->read = new_read_options(it, store->families[family].prefix_bytes, snapshot);
    it->rows = rocksdb_create_iterator_cf(store->db, it->read, store->families[family].handle);
    seek_first(it);
    take_row(it);
    *out = &it->iter;
    return vy_ok();
}
