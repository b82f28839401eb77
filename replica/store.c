/* SPDX-License-Identifier: Apache-2.0 */
/* What is the same over every engine: limits of keys and values, and the way into its table. */
#include "replica/store.h"

#include "base/assert.h"

/* A put or delete costs about this much beside its bytes, in the log and in the memory table. */
#define STORE_OPERATION_BYTES 16U

void store_close(struct store *store)
{
    if (store != NULL) {
        store->ops->close(store);
    }
}

/* ---- writing ---- */

struct vy_err store_batch_new(struct store *store, struct store_batch **out)
{
    return store->ops->batch_new(store, out);
}

void store_batch_free(struct store_batch *batch)
{
    if (batch != NULL) {
        batch->ops->free(batch);
    }
}

void store_batch_clear(struct store_batch *batch)
{
    batch->ops->clear(batch);
    batch->bytes = 0;
    batch->count = 0;
    batch->err = vy_ok();
}

size_t store_batch_bytes(const struct store_batch *batch)
{
    return batch->bytes;
}

bool store_batch_is_empty(const struct store_batch *batch)
{
    return batch->count == 0;
}

/* False: the operation is not taken, and store_write will say why. */
static bool take_operation(struct store_batch *batch, struct vy_bytes key, struct vy_bytes value)
{
    if (key.len > STORE_KEY_BYTES_MAX || value.len > STORE_VALUE_BYTES_MAX) {
        batch->err = vy_error(VY_CODE_ARGUMENT, "key or value too long");
    }
    if (vy_failed(batch->err)) {
        return false;
    }
    batch->bytes += key.len + value.len + STORE_OPERATION_BYTES;
    batch->count++;
    return true;
}

void store_batch_put(struct store_batch *batch, unsigned family, struct vy_bytes key,
                     struct vy_bytes value)
{
    if (take_operation(batch, key, value)) {
        batch->ops->put(batch, family, key, value);
    }
}

void store_batch_delete(struct store_batch *batch, unsigned family, struct vy_bytes key)
{
    if (take_operation(batch, key, VY_LIT(""))) {
        batch->ops->del(batch, family, key);
    }
}

void store_batch_delete_range(struct store_batch *batch, unsigned family, struct vy_bytes from,
                              struct vy_bytes to)
{
    if (to.len > STORE_KEY_BYTES_MAX) {
        batch->err = vy_error(VY_CODE_ARGUMENT, "key too long");
    }
    if (to.len > 0 && vy_bytes_compare(from, to) >= 0) {
        return; /* an empty range */
    }
    if (take_operation(batch, from, to)) {
        batch->ops->delete_range(batch, family, from, to);
    }
}

struct vy_err store_write(struct store *store, const struct store_batch *batch, bool sync)
{
    VY_TRY(batch->err);
    return store->ops->write(store, batch, sync);
}

/* ---- reading ---- */

struct vy_err store_get(const struct store_reader *reader, unsigned family, struct vy_bytes key,
                        struct store_value *out)
{
    if (key.len > STORE_KEY_BYTES_MAX) {
        return vy_error(VY_CODE_ARGUMENT, "key too long");
    }
    return reader->ops->get(reader, family, key, out);
}

void store_value_release(struct store_value *value)
{
    if (value->release != NULL) {
        value->release(value->pin);
    }
    *value = (struct store_value){.is_found = false};
}

struct vy_err store_snapshot_new(struct store *store, struct store_snapshot **out)
{
    VY_TRY(store->ops->snapshot_new(store, out));
    (*out)->store = store;
    store_pin(store);
    return vy_ok();
}

void store_snapshot_free(struct store_snapshot *snapshot)
{
    if (snapshot != NULL) {
        struct store *store = snapshot->store;
        snapshot->free(snapshot);
        store_unpin(store);
    }
}

void store_pin(struct store *store)
{
    atomic_fetch_add(&store->pins, 1);
}

void store_unpin(struct store *store)
{
    const size_t before = atomic_fetch_sub(&store->pins, 1);
    VY_ASSERT(before > 0);
}

size_t store_pins(const struct store *store)
{
    return atomic_load(&store->pins);
}

const struct store_reader *store_snapshot_reader(const struct store_snapshot *snapshot)
{
    return &snapshot->reader;
}

const struct store_reader *store_newest(struct store *store)
{
    return &store->newest;
}

struct vy_err store_iter_new(const struct store_reader *reader, unsigned family,
                             const struct store_range *range, struct store_iter **out)
{
    if (range->from.len > STORE_KEY_BYTES_MAX || range->to.len > STORE_KEY_BYTES_MAX) {
        return vy_error(VY_CODE_ARGUMENT, "key too long");
    }
    return reader->ops->iter_new(reader, family, range, out);
}

void store_iter_next(struct store_iter *iter)
{
    VY_ASSERT(iter->is_valid);
    iter->ops->next(iter);
}

void store_iter_seek(struct store_iter *iter, struct vy_bytes key)
{
    if (!vy_failed(iter->err)) {
        iter->ops->seek(iter, key);
    }
}

struct vy_err store_iter_error(const struct store_iter *iter)
{
    return iter->err;
}

void store_iter_free(struct store_iter *iter)
{
    if (iter != NULL) {
        iter->ops->free(iter);
    }
}

struct vy_bytes store_prefix_end(struct vy_bytes prefix, uint8_t *out)
{
    size_t len = prefix.len;
    while (len > 0 && prefix.data[len - 1] == UINT8_MAX) {
        len--;
    }
    if (len == 0) {
        return vy_bytes(NULL, 0);
    }
    memmove(out, prefix.data, len);
    out[len - 1]++;
    return vy_bytes(out, len);
}

/* ---- care ---- */

struct vy_err store_flush(struct store *store)
{
    return store->ops->flush(store);
}

struct vy_err store_checkpoint(struct store *store, const char *dir)
{
    return store->ops->checkpoint(store, dir);
}

struct vy_err store_compact(struct store *store, unsigned family, struct vy_bytes from,
                            struct vy_bytes to)
{
    return store->ops->compact(store, family, from, to);
}

struct vy_err store_remove_dead_files(struct store *store, size_t *out)
{
    return store->ops->remove_dead_files(store, out);
}

struct vy_err store_free_bytes(struct store *store, uint64_t *out)
{
    return store->ops->free_bytes(store, out);
}

uint64_t store_floor_bytes(const struct store *store)
{
    return store->ops->floor_bytes(store);
}

struct vy_err store_check(struct store *store)
{
    return store->ops->check(store);
}
