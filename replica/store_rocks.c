/* SPDX-License-Identifier: Apache-2.0 */
#include "base/assert.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "replica/store_rocks_private.h"

#define ROCKS_COMPACT_FORCE 2 /* BottommostLevelCompaction::kForce; c.h has no name for it */

/* RocksDB's status as text starts with its class. */
struct vy_err rocks_error(char *message, const char *what)
{
    /* clang-format off */
    static const struct { const char *start; enum vy_code code; } rows[] = {
        { "Corruption",      VY_CODE_CORRUPT },
        { "Not implemented", VY_CODE_UNSUPPORTED },
        { "Invalid argument", VY_CODE_ARGUMENT },
        { "IO error: While lock file", VY_CODE_BUSY },
        { "IO error: lock hold", VY_CODE_BUSY },
    };
    /* clang-format on */
    if (message == NULL) {
        return vy_ok();
    }
    enum vy_code code = VY_CODE_IO;
    for (size_t i = 0; i < VY_COUNT_OF(rows) && code == VY_CODE_IO; i++) {
        if (vy_bytes_starts_with(vy_cstr(message), vy_cstr(rows[i].start))) {
            code = rows[i].code;
        }
    }
    const int sys = store_reason_errno(message);
    rocksdb_free(message);
    return vy_error_sys(code, sys, what);
}

struct vy_err rocks_error_noted(const struct rocks_store *store, char *message, const char *what)
{
    if (message != NULL) {
        store_reason_note(store->reason, message);
    }
    return rocks_error(message, what);
}

/* ---- batches ---- */

struct rocks_batch {
    struct store_batch batch;
    struct rocks_store *store;
    rocksdb_writebatch_t *rows;
};

static struct rocks_batch *batch_of(const struct store_batch *batch)
{
    return (struct rocks_batch *)((uintptr_t)batch - offsetof(struct rocks_batch, batch));
}

static const struct rocks_family *family_of(const struct rocks_store *store, unsigned family)
{
    VY_ASSERT(family < store->store.family_count);
    return &store->families[family];
}

static void batch_free(struct store_batch *base)
{
    struct rocks_batch *batch = batch_of(base);
    rocksdb_writebatch_destroy(batch->rows);
    free(batch);
}

static void batch_clear(struct store_batch *base)
{
    rocksdb_writebatch_clear(batch_of(base)->rows);
}

static void batch_put(struct store_batch *base, unsigned family, struct vy_bytes key,
                      struct vy_bytes value)
{
    const struct rocks_batch *batch = batch_of(base);
    rocksdb_writebatch_put_cf(batch->rows, family_of(batch->store, family)->handle,
                              (const char *)key.data, key.len, (const char *)value.data, value.len);
}

static void batch_delete(struct store_batch *base, unsigned family, struct vy_bytes key)
{
    const struct rocks_batch *batch = batch_of(base);
    rocksdb_writebatch_delete_cf(batch->rows, family_of(batch->store, family)->handle,
                                 (const char *)key.data, key.len);
}

static void batch_delete_range(struct store_batch *base, unsigned family, struct vy_bytes from,
                               struct vy_bytes to)
{
    const struct rocks_batch *batch = batch_of(base);
    uint8_t behind_all[STORE_KEY_BYTES_MAX + 1]; /* greater than any key there can be */
    struct vy_bytes end = to;
    if (to.len == 0) {
        memset(behind_all, UINT8_MAX, sizeof(behind_all));
        end = vy_bytes(behind_all, sizeof(behind_all));
    }
    rocksdb_writebatch_delete_range_cf(batch->rows, family_of(batch->store, family)->handle,
                                       (const char *)from.data, from.len, (const char *)end.data,
                                       end.len);
}

static const struct store_batch_ops batch_ops = {
    .free = batch_free,
    .clear = batch_clear,
    .put = batch_put,
    .del = batch_delete,
    .delete_range = batch_delete_range,
};

static struct vy_err rocks_batch_new(struct store *base, struct store_batch **out)
{
    struct rocks_batch *batch = calloc(1, sizeof(*batch));
    if (batch == NULL) {
        return vy_error(VY_CODE_NOMEM, "batch");
    }
    batch->batch.ops = &batch_ops;
    batch->store = rocks_of(base);
    batch->rows = rocksdb_writebatch_create();
    *out = &batch->batch;
    return vy_ok();
}

static struct vy_err rocks_write(struct store *base, const struct store_batch *batch, bool sync)
{
    struct rocks_store *store = rocks_of(base);
    if (atomic_load(&store->has_failed)) {
        return vy_error(VY_CODE_IO, "an earlier write failed");
    }
    char *message = NULL;
    rocksdb_write(store->db, sync ? store->write_synced : store->write_unsynced,
                  batch_of(batch)->rows, &message);
    if (message != NULL) {
        atomic_store(&store->has_failed, true);
    }
    return rocks_error_noted(store, message, "write batch");
}

/* ---- reading ---- */

static void release_pinned(void *pin)
{
    rocksdb_pinnableslice_destroy(pin);
}

static struct vy_err get_with(const struct rocks_store *store, const rocksdb_readoptions_t *read,
                              unsigned family, struct vy_bytes key, struct store_value *out)
{
    char *message = NULL;
    rocksdb_pinnableslice_t *pin =
        rocksdb_get_pinned_cf(store->db, read, family_of(store, family)->handle,
                              (const char *)key.data, key.len, &message);
    VY_TRY(rocks_error_noted(store, message, "read row"));
    *out = (struct store_value){.is_found = pin != NULL};
    if (pin != NULL) {
        size_t len = 0;
        const char *data = rocksdb_pinnableslice_value(pin, &len);
        out->bytes = vy_bytes(data, len);
        out->pin = pin;
        out->release = release_pinned;
    }
    return vy_ok();
}

static struct rocks_store *newest_of(const struct store_reader *reader)
{
    return (struct rocks_store *)((uintptr_t)reader - offsetof(struct rocks_store, store.newest));
}

static struct vy_err newest_get(const struct store_reader *reader, unsigned family,
                                struct vy_bytes key, struct store_value *out)
{
    const struct rocks_store *store = newest_of(reader);
    return get_with(store, store->read, family, key, out);
}

static struct vy_err newest_iter_new(const struct store_reader *reader, unsigned family,
                                     const struct store_range *range, struct store_iter **out)
{
    return rocks_iter_new(newest_of(reader), NULL, family, range, out);
}

const struct store_reader_ops rocks_newest_ops = {
    .get = newest_get,
    .iter_new = newest_iter_new,
};

struct rocks_snapshot {
    struct store_snapshot snapshot;
    struct rocks_store *store;
    const rocksdb_snapshot_t *moment;
    rocksdb_readoptions_t *read;
};

static const struct rocks_snapshot *snapshot_of(const struct store_reader *reader)
{
    return (const struct rocks_snapshot *)((uintptr_t)reader -
                                           offsetof(struct rocks_snapshot, snapshot.reader));
}

static struct vy_err snapshot_get(const struct store_reader *reader, unsigned family,
                                  struct vy_bytes key, struct store_value *out)
{
    const struct rocks_snapshot *snapshot = snapshot_of(reader);
    return get_with(snapshot->store, snapshot->read, family, key, out);
}

static struct vy_err snapshot_iter_new(const struct store_reader *reader, unsigned family,
                                       const struct store_range *range, struct store_iter **out)
{
    const struct rocks_snapshot *snapshot = snapshot_of(reader);
    return rocks_iter_new(snapshot->store, snapshot->moment, family, range, out);
}

static const struct store_reader_ops snapshot_ops = {
    .get = snapshot_get,
    .iter_new = snapshot_iter_new,
};

static void snapshot_free(struct store_snapshot *base)
{
    struct rocks_snapshot *snapshot = VY_CONTAINER_OF(base, struct rocks_snapshot, snapshot);
    rocksdb_readoptions_destroy(snapshot->read);
    rocksdb_release_snapshot(snapshot->store->db, snapshot->moment);
    free(snapshot);
}

static struct vy_err rocks_snapshot_new(struct store *base, struct store_snapshot **out)
{
    struct rocks_snapshot *snapshot = calloc(1, sizeof(*snapshot));
    if (snapshot == NULL) {
        return vy_error(VY_CODE_NOMEM, "snapshot");
    }
    snapshot->snapshot.reader.ops = &snapshot_ops;
    snapshot->snapshot.free = snapshot_free;
    snapshot->store = rocks_of(base);
    snapshot->moment = rocksdb_create_snapshot(snapshot->store->db);
    snapshot->read = rocksdb_readoptions_create();
    rocksdb_readoptions_set_snapshot(snapshot->read, snapshot->moment);
    *out = &snapshot->snapshot;
    return vy_ok();
}

/* ---- care ---- */

static struct vy_err rocks_flush(struct store *base)
{
    struct rocks_store *store = rocks_of(base);
    if (atomic_load(&store->has_failed)) {
        return vy_error(VY_CODE_IO, "an earlier write failed");
    }
    rocksdb_flushoptions_t *options = rocksdb_flushoptions_create();
    rocksdb_flushoptions_set_wait(options, 1);
    char *message = NULL;
    for (size_t i = 0; i < base->family_count && message == NULL; i++) {
        rocksdb_flush_cf(store->db, options, store->families[i].handle, &message);
    }
    rocksdb_flushoptions_destroy(options);
    if (message != NULL) {
        atomic_store(&store->has_failed, true);
    }
    return rocks_error_noted(store, message, "flush");
}

static struct vy_err rocks_checkpoint(struct store *base, const char *dir)
{
    struct rocks_store *store = rocks_of(base);
    struct stat info;
    if (lstat(dir, &info) == 0) {
        return vy_error(VY_CODE_EXISTS, "directory of the checkpoint");
    }
    char *message = NULL;
    rocksdb_checkpoint_t *checkpoint = rocksdb_checkpoint_object_create(store->db, &message);
    VY_TRY(rocks_error(message, "checkpoint"));
    rocksdb_checkpoint_create(checkpoint, dir, /* log_size_for_flush = */ 0, &message);
    rocksdb_checkpoint_object_destroy(checkpoint);
    VY_TRY(rocks_error(message, "checkpoint"));
    return chmod(dir, 0700) == 0 ? vy_ok() : vy_error_sys(VY_CODE_IO, errno, "checkpoint");
}

static struct vy_err rocks_check(struct store *base)
{
    struct rocks_store *store = rocks_of(base);
    uint64_t errors = 0;
    if (atomic_load(&store->has_failed)) {
        return vy_error(VY_CODE_IO, "an earlier write failed");
    }
    if (rocksdb_property_int(store->db, "rocksdb.background-errors", &errors) != 0) {
        return vy_error(VY_CODE_INTERNAL, "count of background errors");
    }
    if (errors > 0) {
        atomic_store(&store->has_failed, true);
        return vy_error(VY_CODE_IO, "flush or compaction in the background");
    }
    return vy_ok();
}

/* The share of blob files, oldest first, that a compaction rewrites. */
static struct vy_err set_blob_cutoff(struct rocks_store *store, const struct rocks_family *family,
                                     const char *cutoff)
{
    const char *const keys[] = {"blob_garbage_collection_age_cutoff"};
    const char *const values[] = {cutoff};
    char *message = NULL;
    if (!family->has_blobs) {
        return vy_ok();
    }
    rocksdb_set_options_cf(store->db, family->handle, 1, keys, values, &message);
    return rocks_error(message, "blob collection");
}

static const char *bound(struct vy_bytes key)
{
    return key.len == 0 ? NULL : (const char *)key.data;
}

static struct vy_err rocks_compact(struct store *base, unsigned index, struct vy_bytes from,
                                   struct vy_bytes to)
{
    struct rocks_store *store = rocks_of(base);
    const struct rocks_family *family = family_of(store, index);
    VY_TRY(set_blob_cutoff(store, family, "1.0"));
    rocksdb_compactoptions_t *options = rocksdb_compactoptions_create();
    rocksdb_compactoptions_set_bottommost_level_compaction(options, ROCKS_COMPACT_FORCE);
    rocksdb_compactoptions_set_exclusive_manual_compaction(options, 0);
    rocksdb_compact_range_cf_opt(store->db, family->handle, options, bound(from), from.len,
                                 bound(to), to.len);
    rocksdb_compactoptions_destroy(options);
    VY_TRY(set_blob_cutoff(store, family, "0.0"));
    return rocks_check(base); /* c.h keeps the result of the compaction to itself */
}

static struct vy_err rocks_free_bytes(struct store *base, uint64_t *out)
{
    struct statvfs info;
    if (fstatvfs(rocks_of(base)->dir_fd, &info) != 0) {
        return vy_error_sys(VY_CODE_IO, errno, "free space");
    }
    *out = (uint64_t)info.f_bavail * info.f_frsize;
    return vy_ok();
}

static uint64_t rocks_floor_bytes(const struct store *base)
{
    return rocks_of(base)->floor_bytes;
}

const struct store_ops rocks_store_ops = {
    .close = rocks_close,
    .batch_new = rocks_batch_new,
    .write = rocks_write,
    .snapshot_new = rocks_snapshot_new,
    .flush = rocks_flush,
    .checkpoint = rocks_checkpoint,
    .compact = rocks_compact,
    .remove_dead_files = rocks_remove_dead_files,
    .free_bytes = rocks_free_bytes,
    .floor_bytes = rocks_floor_bytes,
    .check = rocks_check,
};
