/* SPDX-License-Identifier: Apache-2.0 */
#include "base/assert.h"
#include <stdlib.h>

#include "replica/store_mem_private.h"

/* ---- batches ---- */

enum mem_op_kind { MEM_OP_PUT, MEM_OP_DELETE, MEM_OP_DELETE_RANGE };
struct mem_op {
    enum mem_op_kind kind;
    unsigned family;
    struct mem_value *key;   /* owned; or the start of the range */
    struct mem_value *value; /* owned; or its end */
};
struct mem_batch {
    struct store_batch batch;
    struct mem_op *ops;
    size_t op_count;
    size_t op_capacity;
    size_t family_count;
};

static void batch_clear(struct store_batch *base)
{
    struct mem_batch *batch = VY_CONTAINER_OF(base, struct mem_batch, batch);
    for (size_t i = 0; i < batch->op_count; i++) {
        mem_value_unref(batch->ops[i].key);
        mem_value_unref(batch->ops[i].value);
    }
    batch->op_count = 0;
}

static void batch_free(struct store_batch *base)
{
    struct mem_batch *batch = VY_CONTAINER_OF(base, struct mem_batch, batch);
    batch_clear(base);
    free(batch->ops);
    free(batch);
}

static bool batch_has_room(struct mem_batch *batch)
{
    if (batch->op_count < batch->op_capacity) {
        return true;
    }
    const size_t capacity = batch->op_capacity == 0 ? 16 : batch->op_capacity * 2;
    struct mem_op *grown = realloc(batch->ops, capacity * sizeof(*grown));
    if (grown == NULL) {
        return false;
    }
    batch->ops = grown;
    batch->op_capacity = capacity;
    return true;
}

static void batch_add(struct store_batch *base, enum mem_op_kind kind, unsigned family,
                      struct vy_bytes key, struct vy_bytes value)
{
    struct mem_batch *batch = VY_CONTAINER_OF(base, struct mem_batch, batch);
    VY_ASSERT(family < batch->family_count);
    const struct mem_op op = {
        .kind = kind, .family = family, .key = mem_value_new(key), .value = mem_value_new(value)};
    if (op.key == NULL || op.value == NULL || !batch_has_room(batch)) {
        mem_value_unref(op.key);
        mem_value_unref(op.value);
        base->err = vy_error(VY_CODE_NOMEM, "batch");
        return;
    }
    batch->ops[batch->op_count++] = op;
}

static void batch_put(struct store_batch *base, unsigned family, struct vy_bytes key,
                      struct vy_bytes value)
{
    batch_add(base, MEM_OP_PUT, family, key, value);
}

static void batch_delete(struct store_batch *base, unsigned family, struct vy_bytes key)
{
    batch_add(base, MEM_OP_DELETE, family, key, VY_LIT(""));
}

static void batch_delete_range(struct store_batch *base, unsigned family, struct vy_bytes from,
                               struct vy_bytes to)
{
    batch_add(base, MEM_OP_DELETE_RANGE, family, from, to);
}

static const struct store_batch_ops batch_ops = {
    .free = batch_free,
    .clear = batch_clear,
    .put = batch_put,
    .del = batch_delete,
    .delete_range = batch_delete_range,
};

struct vy_err mem_batch_new(struct store *store, struct store_batch **out)
{
    struct mem_batch *batch = calloc(1, sizeof(*batch));
    if (batch == NULL) {
        return vy_error(VY_CODE_NOMEM, "batch");
    }
    batch->batch.ops = &batch_ops;
    batch->family_count = store->family_count;
    *out = &batch->batch;
    return vy_ok();
}

/* ---- writing; with the lock held ---- */

static void *alloc_row(void *arg, size_t size)
{
    (void)arg;
    return malloc(size);
}

/* The new version of a row in the batch being written; a second one in it replaces the first. */
static bool add_version(struct store_mem_disk *disk, struct skiplist_node *row,
                        struct mem_value *value)
{
    struct mem_version *newest = row->item;
    if (newest != NULL && newest->seq == disk->seq) {
        mem_value_unref(newest->value);
        newest->value = mem_value_ref(value);
        return true;
    }
    struct mem_version *version = malloc(sizeof(*version));
    if (version == NULL) {
        return false;
    }
    *version =
        (struct mem_version){.older = newest, .value = mem_value_ref(value), .seq = disk->seq};
    row->item = version;
    disk->version_count++;
    return true;
}

bool mem_row_put(struct store_mem_disk *disk, unsigned family, struct vy_bytes key,
                 struct vy_bytes value)
{
    struct mem_value *held = mem_value_new(value);
    struct skiplist_node *row = skiplist_put(&disk->families[family].rows, key, alloc_row, NULL);
    const bool is_put = held != NULL && row != NULL && add_version(disk, row, held);
    mem_value_unref(held);
    return is_put;
}

static bool delete_rows(struct store_mem_disk *disk, struct skiplist *rows, struct vy_bytes from,
                        struct vy_bytes to)
{
    struct skiplist_node *row = skiplist_gap_before(rows, from).behind;
    for (; row != NULL && (to.len == 0 || vy_bytes_compare(row->key, to) < 0); row = row->next[0]) {
        if (mem_row_at(row, disk->seq) != NULL && !add_version(disk, row, NULL)) {
            return false;
        }
    }
    return true;
}

static bool apply_op(struct store_mem_disk *disk, const struct mem_op *op)
{
    struct skiplist *rows = &disk->families[op->family].rows;
    const struct vy_bytes key = mem_value_bytes(op->key);
    switch (op->kind) {
    case MEM_OP_PUT: {
        struct skiplist_node *row = skiplist_put(rows, key, alloc_row, NULL);
        return row != NULL && add_version(disk, row, op->value);
    }
    case MEM_OP_DELETE: {
        struct skiplist_node *row = skiplist_find(rows, key);
        return row == NULL || mem_row_at(row, disk->seq) == NULL || add_version(disk, row, NULL);
    }
    case MEM_OP_DELETE_RANGE:
        return delete_rows(disk, rows, key, mem_value_bytes(op->value));
    }
    return false;
}

static bool is_write_failing(struct store_mem_disk *disk)
{
    if (disk->fail_write_nth > 0) {
        disk->fail_write_nth--;
        disk->is_failing = disk->fail_write_nth == 0;
    }
    return disk->is_failing;
}

static struct vy_err write_locked(struct mem_store *store, const struct mem_batch *batch, bool sync)
{
    struct store_mem_disk *disk = store->disk;
    if (store->has_failed || is_write_failing(disk)) {
        return vy_error(VY_CODE_IO, "write to memory disk");
    }
    disk->seq++;
    for (size_t i = 0; i < batch->op_count; i++) {
        if (!apply_op(disk, &batch->ops[i])) {
            mem_disk_forget_behind(disk, disk->seq - 1);
            return vy_error(VY_CODE_NOMEM, "write to memory disk");
        }
    }
    if (sync) {
        disk->synced_seq = disk->seq;
        disk->sync_count++;
    }
    mem_disk_prune(disk);
    return vy_ok();
}

struct vy_err mem_write(struct store *base, const struct store_batch *batch, bool sync)
{
    struct mem_store *store = VY_CONTAINER_OF(base, struct mem_store, store);
    const struct mem_batch *ops =
        (const struct mem_batch *)((const char *)batch - offsetof(struct mem_batch, batch));
    (void)pthread_mutex_lock(&store->disk->lock);
    const struct vy_err err = write_locked(store, ops, sync);
    store->has_failed = store->has_failed || vy_failed(err);
    (void)pthread_mutex_unlock(&store->disk->lock);
    return err;
}

struct vy_err mem_flush(struct store *base)
{
    struct mem_store *store = VY_CONTAINER_OF(base, struct mem_store, store);
    struct store_mem_disk *disk = store->disk;
    (void)pthread_mutex_lock(&disk->lock);
    store->has_failed = store->has_failed || is_write_failing(disk);
    if (!store->has_failed) {
        disk->synced_seq = disk->seq;
        disk->sync_count++;
    }
    const bool has_failed = store->has_failed;
    (void)pthread_mutex_unlock(&disk->lock);
    return has_failed ? vy_error(VY_CODE_IO, "flush of memory disk") : vy_ok();
}
