/* SPDX-License-Identifier: Apache-2.0 */
#include "base/assert.h"
#include <stdio.h>
#include <stdlib.h>

#include "replica/store_mem_private.h"

#define MEM_FREE_BYTES_FIRST (1ULL << 40)
#define MEM_MEMORY_BYTES_DEFAULT (64ULL * 1024 * 1024)

/* ---- care ---- */

static struct vy_err mem_compact(struct store *base, unsigned family, struct vy_bytes from,
                                 struct vy_bytes to)
{
    struct store_mem_disk *disk = VY_CONTAINER_OF(base, struct mem_store, store)->disk;
    (void)from;
    (void)to;
    VY_ASSERT(family < disk->family_count);
    (void)pthread_mutex_lock(&disk->lock);
    disk->prune_count = 0;
    mem_disk_prune(disk);
    (void)pthread_mutex_unlock(&disk->lock);
    return vy_ok();
}

static struct vy_err mem_remove_dead_files(struct store *base, size_t *out)
{
    (void)base;
    *out = 0; /* there are no files */
    return vy_ok();
}

static struct vy_err mem_free_bytes(struct store *base, uint64_t *out)
{
    struct store_mem_disk *disk = VY_CONTAINER_OF(base, struct mem_store, store)->disk;
    (void)pthread_mutex_lock(&disk->lock);
    *out = disk->free_bytes;
    (void)pthread_mutex_unlock(&disk->lock);
    return vy_ok();
}

static uint64_t mem_floor_bytes(const struct store *base)
{
    const struct mem_store *store =
        (const struct mem_store *)((const char *)base - offsetof(struct mem_store, store));
    return store->memory_bytes + store->memory_bytes / 10;
}

static struct vy_err mem_check(struct store *base)
{
    struct mem_store *store = VY_CONTAINER_OF(base, struct mem_store, store);
    (void)pthread_mutex_lock(&store->disk->lock);
    const bool has_failed = store->has_failed;
    (void)pthread_mutex_unlock(&store->disk->lock);
    return has_failed ? vy_error(VY_CODE_IO, "memory disk") : vy_ok();
}

static void mem_close(struct store *base)
{
    struct mem_store *store = VY_CONTAINER_OF(base, struct mem_store, store);
    struct store_mem_disk *disk = store->disk;
    (void)pthread_mutex_lock(&disk->lock);
    VY_ASSERT(disk->moments == NULL);
    disk->is_open = false;
    (void)pthread_mutex_unlock(&disk->lock);
    free(store);
}

static const struct store_ops mem_ops = {
    .close = mem_close,
    .batch_new = mem_batch_new,
    .write = mem_write,
    .snapshot_new = mem_snapshot_new,
    .flush = mem_flush,
    .checkpoint = mem_checkpoint,
    .compact = mem_compact,
    .remove_dead_files = mem_remove_dead_files,
    .free_bytes = mem_free_bytes,
    .floor_bytes = mem_floor_bytes,
    .check = mem_check,
};

/* ---- opening ---- */

/* A new disk takes the families; later they must be there, and may have become more. */
static struct vy_err take_families(struct store_mem_disk *disk, const struct store_options *options)
{
    if (options->family_count < disk->family_count) {
        return vy_error(VY_CODE_UNSUPPORTED, "families that are not in the list");
    }
    for (size_t i = 0; i < disk->family_count; i++) {
        if (strcmp(disk->families[i].name, options->families[i].name) != 0) {
            return vy_error(VY_CODE_UNSUPPORTED, "families that are not in the list");
        }
    }
    for (size_t i = disk->family_count; i < options->family_count; i++) {
        struct mem_family *family = &disk->families[i];
        (void)snprintf(family->name, sizeof(family->name), "%s", options->families[i].name);
        skiplist_init(&family->rows);
    }
    disk->family_count = options->family_count;
    return vy_ok();
}

static struct vy_err open_locked(struct store_mem_disk *disk, const struct store_options *options)
{
    if (disk->is_open) {
        return vy_error(VY_CODE_BUSY, "memory disk is open");
    }
    if (options->must_exist && disk->family_count == 0) {
        return vy_error(VY_CODE_NOT_FOUND, "memory disk is empty");
    }
    VY_TRY(take_families(disk, options));
    VY_TRY(mem_image_load(disk, options->dir));
    disk->is_open = true;
    return vy_ok();
}

struct vy_err store_mem_open(struct store_mem_disk *disk, const struct store_options *options,
                             struct store **out)
{
    if (options->family_count == 0 || options->family_count > STORE_FAMILIES_MAX) {
        return vy_error(VY_CODE_ARGUMENT, "number of families");
    }
    struct mem_store *store = calloc(1, sizeof(*store));
    if (store == NULL) {
        return vy_error(VY_CODE_NOMEM, "store");
    }
    (void)pthread_mutex_lock(&disk->lock);
    const struct vy_err err = open_locked(disk, options);
    (void)pthread_mutex_unlock(&disk->lock);
    if (vy_failed(err)) {
        free(store);
        return err;
    }
    store->store.ops = &mem_ops;
    store->store.newest.ops = &mem_newest_ops;
    store->store.family_count = options->family_count;
    store->disk = disk;
    store->memory_bytes =
        options->memory_bytes == 0 ? MEM_MEMORY_BYTES_DEFAULT : options->memory_bytes;
    *out = &store->store;
    return vy_ok();
}

struct vy_err store_mem_open_as(void *arg, const struct store_options *options, struct store **out)
{
    return store_mem_open(arg, options, out);
}

/* ---- the disk ---- */

struct vy_err store_mem_disk_new(struct store_mem_disk **out)
{
    struct store_mem_disk *disk = calloc(1, sizeof(*disk));
    if (disk == NULL) {
        return vy_error(VY_CODE_NOMEM, "memory disk");
    }
    (void)pthread_mutex_init(&disk->lock, NULL);
    disk->free_bytes = MEM_FREE_BYTES_FIRST;
    *out = disk;
    return vy_ok();
}

void store_mem_disk_free(struct store_mem_disk *disk)
{
    if (disk == NULL) {
        return;
    }
    VY_ASSERT(!disk->is_open);
    mem_disk_clear(disk);
    (void)pthread_mutex_destroy(&disk->lock);
    free(disk);
}

size_t store_mem_unsynced(const struct store_mem_disk *disk)
{
    return (size_t)(disk->seq - disk->synced_seq);
}

void store_mem_crash(struct store_mem_disk *disk, size_t keep)
{
    VY_ASSERT(!disk->is_open);
    const size_t kept = VY_MIN(keep, store_mem_unsynced(disk));
    mem_disk_forget_behind(disk, disk->synced_seq + kept);
    disk->synced_seq = disk->seq;
}

void store_mem_fail_write(struct store_mem_disk *disk, uint64_t nth)
{
    (void)pthread_mutex_lock(&disk->lock);
    disk->fail_write_nth = nth;
    disk->is_failing = false;
    (void)pthread_mutex_unlock(&disk->lock);
}

void store_mem_set_free_bytes(struct store_mem_disk *disk, uint64_t bytes)
{
    (void)pthread_mutex_lock(&disk->lock);
    disk->free_bytes = bytes;
    (void)pthread_mutex_unlock(&disk->lock);
}

bool store_mem_flip_bit(struct store_mem_disk *disk, unsigned family, struct vy_bytes key,
                        size_t bit)
{
    VY_ASSERT(family < disk->family_count);
    bool is_flipped = false;
    (void)pthread_mutex_lock(&disk->lock);
    const struct skiplist_node *row = skiplist_find(&disk->families[family].rows, key);
    struct mem_value *value = row == NULL ? NULL : mem_row_at(row, disk->seq);
    if (value != NULL && bit / 8 < value->len) {
        value->data[bit / 8] ^= (uint8_t)(1U << (bit % 8));
        is_flipped = true;
    }
    (void)pthread_mutex_unlock(&disk->lock);
    return is_flipped;
}

uint64_t store_mem_sync_count(const struct store_mem_disk *disk)
{
    return disk->sync_count;
}
