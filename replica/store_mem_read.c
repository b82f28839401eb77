/* SPDX-License-Identifier: Apache-2.0 */
#include "base/assert.h"
#include <stdlib.h>

#include "replica/store_mem_private.h"

struct mem_snapshot {
    struct store_snapshot snapshot;
    struct store_mem_disk *disk;
    struct mem_moment moment;
};

static void moment_begin(struct store_mem_disk *disk, struct mem_moment *moment, uint64_t seq)
{
    moment->seq = seq;
    moment->next = disk->moments;
    disk->moments = moment;
}

static void moment_end(struct store_mem_disk *disk, const struct mem_moment *moment)
{
    struct mem_moment **link = &disk->moments;
    while (*link != moment) {
        link = &(*link)->next;
    }
    *link = moment->next;
}

/* seq UINT64_MAX: the newest. */
static struct vy_err get_at(struct store_mem_disk *disk, uint64_t seq, unsigned family,
                            struct vy_bytes key, struct store_value *out)
{
    VY_ASSERT(family < disk->family_count);
    (void)pthread_mutex_lock(&disk->lock);
    const struct skiplist_node *row = skiplist_find(&disk->families[family].rows, key);
    struct mem_value *value = row == NULL ? NULL : mem_value_ref(mem_row_at(row, seq));
    (void)pthread_mutex_unlock(&disk->lock);
    *out = (struct store_value){.is_found = value != NULL};
    if (value != NULL) {
        out->bytes = mem_value_bytes(value);
        out->pin = value;
        out->release = mem_value_unref;
    }
    return vy_ok();
}

struct mem_iter {
    struct store_iter iter;
    struct store_mem_disk *disk;
    const struct skiplist *rows;
    struct mem_moment moment; /* keeps every row and value seen from here */
    struct store_range range; /* points behind the struct */
    uint8_t bounds[];
};

static bool is_in_range(const struct store_range *range, struct vy_bytes key)
{
    return vy_bytes_compare(key, range->from) >= 0 &&
           (range->to.len == 0 || vy_bytes_compare(key, range->to) < 0);
}

/* To the first row from `row` on that lives at this moment. With the lock held. */
static void iter_stand(struct mem_iter *it, struct skiplist_node *row)
{
    it->iter.is_valid = false;
    while (row != NULL && is_in_range(&it->range, row->key)) {
        const struct mem_value *value = mem_row_at(row, it->moment.seq);
        if (value != NULL) {
            it->iter.is_valid = true;
            it->iter.key = row->key;
            it->iter.value = mem_value_bytes(value);
            return;
        }
        row = it->range.is_reverse ? skiplist_gap_before(it->rows, row->key).before : row->next[0];
    }
}

static void iter_next(struct store_iter *base)
{
    struct mem_iter *it = VY_CONTAINER_OF(base, struct mem_iter, iter);
    (void)pthread_mutex_lock(&it->disk->lock);
    iter_stand(it, it->range.is_reverse ? skiplist_gap_before(it->rows, base->key).before
                                        : skiplist_gap_behind(it->rows, base->key).behind);
    (void)pthread_mutex_unlock(&it->disk->lock);
}

static struct skiplist_node *row_for_seek(const struct mem_iter *it, struct vy_bytes key)
{
    const struct store_range *range = &it->range;
    if (!range->is_reverse) {
        const bool is_early = vy_bytes_compare(key, range->from) < 0;
        return skiplist_gap_before(it->rows, is_early ? range->from : key).behind;
    }
    const bool is_late = range->to.len > 0 && vy_bytes_compare(key, range->to) >= 0;
    return is_late ? skiplist_gap_before(it->rows, range->to).before
                   : skiplist_gap_behind(it->rows, key).before;
}

static void iter_seek(struct store_iter *base, struct vy_bytes key)
{
    struct mem_iter *it = VY_CONTAINER_OF(base, struct mem_iter, iter);
    (void)pthread_mutex_lock(&it->disk->lock);
    iter_stand(it, row_for_seek(it, key));
    (void)pthread_mutex_unlock(&it->disk->lock);
}

static void iter_free(struct store_iter *base)
{
    struct mem_iter *it = VY_CONTAINER_OF(base, struct mem_iter, iter);
    (void)pthread_mutex_lock(&it->disk->lock);
    moment_end(it->disk, &it->moment);
    (void)pthread_mutex_unlock(&it->disk->lock);
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

static void iter_stand_first(struct mem_iter *it)
{
    const struct store_range *range = &it->range;
    if (!range->is_reverse) {
        iter_stand(it, skiplist_gap_before(it->rows, range->from).behind);
    } else if (range->to.len > 0) {
        iter_stand(it, skiplist_gap_before(it->rows, range->to).before);
    } else {
        iter_stand(it, skiplist_last(it->rows));
    }
}

static struct vy_err iter_new_at(struct store_mem_disk *disk, uint64_t seq, unsigned family,
                                 const struct store_range *range, struct store_iter **out)
{
    VY_ASSERT(family < disk->family_count);
    struct mem_iter *it = calloc(1, sizeof(*it) + range->from.len + range->to.len);
    if (it == NULL) {
        return vy_error(VY_CODE_NOMEM, "iterator");
    }
    it->iter.ops = &iter_ops;
    it->disk = disk;
    it->rows = &disk->families[family].rows;
    it->range.is_reverse = range->is_reverse;
    it->range.from = copy_bound(it->bounds, range->from);
    it->range.to = copy_bound(it->bounds + range->from.len, range->to);
    (void)pthread_mutex_lock(&disk->lock);
    moment_begin(disk, &it->moment, VY_MIN(seq, disk->seq));
    iter_stand_first(it);
    (void)pthread_mutex_unlock(&disk->lock);
    *out = &it->iter;
    return vy_ok();
}

static const struct mem_store *store_of(const struct store_reader *newest)
{
    return (const struct mem_store *)((const char *)newest -
                                      offsetof(struct mem_store, store.newest));
}

static struct vy_err newest_get(const struct store_reader *reader, unsigned family,
                                struct vy_bytes key, struct store_value *out)
{
    return get_at(store_of(reader)->disk, UINT64_MAX, family, key, out);
}

static struct vy_err newest_iter_new(const struct store_reader *reader, unsigned family,
                                     const struct store_range *range, struct store_iter **out)
{
    return iter_new_at(store_of(reader)->disk, UINT64_MAX, family, range, out);
}

const struct store_reader_ops mem_newest_ops = {
    .get = newest_get,
    .iter_new = newest_iter_new,
};

static const struct mem_snapshot *snapshot_of(const struct store_reader *reader)
{
    return (const struct mem_snapshot *)((const char *)reader -
                                         offsetof(struct mem_snapshot, snapshot.reader));
}

static struct vy_err snapshot_get(const struct store_reader *reader, unsigned family,
                                  struct vy_bytes key, struct store_value *out)
{
    const struct mem_snapshot *snapshot = snapshot_of(reader);
    return get_at(snapshot->disk, snapshot->moment.seq, family, key, out);
}

static struct vy_err snapshot_iter_new(const struct store_reader *reader, unsigned family,
                                       const struct store_range *range, struct store_iter **out)
{
    const struct mem_snapshot *snapshot = snapshot_of(reader);
    return iter_new_at(snapshot->disk, snapshot->moment.seq, family, range, out);
}

static const struct store_reader_ops snapshot_ops = {
    .get = snapshot_get,
    .iter_new = snapshot_iter_new,
};

static void mem_snapshot_free(struct store_snapshot *base)
{
    struct mem_snapshot *snapshot = VY_CONTAINER_OF(base, struct mem_snapshot, snapshot);
    (void)pthread_mutex_lock(&snapshot->disk->lock);
    moment_end(snapshot->disk, &snapshot->moment);
    (void)pthread_mutex_unlock(&snapshot->disk->lock);
    free(snapshot);
}

struct vy_err mem_snapshot_new(struct store *base, struct store_snapshot **out)
{
    const struct mem_store *store = VY_CONTAINER_OF(base, struct mem_store, store);
    struct mem_snapshot *snapshot = calloc(1, sizeof(*snapshot));
    if (snapshot == NULL) {
        return vy_error(VY_CODE_NOMEM, "snapshot");
    }
    snapshot->snapshot.reader.ops = &snapshot_ops;
    snapshot->snapshot.free = mem_snapshot_free;
    snapshot->disk = store->disk;
    (void)pthread_mutex_lock(&store->disk->lock);
    moment_begin(store->disk, &snapshot->moment, store->disk->seq);
    (void)pthread_mutex_unlock(&store->disk->lock);
    *out = &snapshot->snapshot;
    return vy_ok();
}
