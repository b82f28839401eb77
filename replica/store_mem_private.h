/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The store in memory from inside. Every row is a chain of versions, newest first, each stamped
 * with the number of the batch that wrote it. A snapshot is a batch number; a crash cuts off the
 * versions behind a batch number. Versions that neither a snapshot nor a possible crash can ask for
 * are pruned.
 *
 * @thread  everything under the lock of the disk, except the counts of values
 */
#include <pthread.h>
#include <stdatomic.h>

#include "replica/skiplist.h"
#include "replica/store_mem.h"

#define MEM_NAME_BYTES_MAX 64U

struct mem_value {
    atomic_uint refs;
    size_t len;
    uint8_t data[];
};
struct mem_version {
    struct mem_version *older;
    struct mem_value *value; /* referenced; NULL: deleted */
    uint64_t seq;            /* of the batch */
};
struct mem_family {
    char name[MEM_NAME_BYTES_MAX];
    struct skiplist rows; /* item: struct mem_version */
};
/* A moment that must stay readable: of a snapshot or an iterator. */
struct mem_moment {
    struct mem_moment *next;
    uint64_t seq;
};
struct store_mem_disk {
    pthread_mutex_t lock; /* over everything below */
    bool is_open;
    size_t family_count;
    struct mem_family families[STORE_FAMILIES_MAX];
    uint64_t seq;        /* of the newest batch */
    uint64_t synced_seq; /* everything up to here survives a crash */
    struct mem_moment *moments;
    size_t version_count;
    size_t prune_count; /* prune when there are so many versions */
    uint64_t fail_write_nth;
    bool is_failing;
    uint64_t free_bytes;
    uint64_t sync_count;
};
/* An open disk. */
struct mem_store {
    struct store store;
    struct store_mem_disk *disk;
    uint64_t memory_bytes;
    bool has_failed; /* takes no more writes (P14) */
};

/* ---- store_mem_rows.c: values and versions ---- */

struct mem_value *mem_value_new(struct vy_bytes bytes); /* one reference; NULL: no memory */
struct mem_value *mem_value_ref(struct mem_value *value);
void mem_value_unref(void *value); /* NULL is allowed. @thread any */
static inline struct vy_bytes mem_value_bytes(const struct mem_value *value)
{
    return vy_bytes(value->data, value->len);
}
/* What a reader at `seq` sees: NULL when there is no such row. */
struct mem_value *mem_row_at(const struct skiplist_node *row, uint64_t seq);
void mem_disk_prune(struct store_mem_disk *disk); /* when it is worth it */
/* Back to the state after batch `seq`. */
void mem_disk_forget_behind(struct store_mem_disk *disk, uint64_t seq);
void mem_disk_clear(struct store_mem_disk *disk); /* frees every row */
/* Adds a version to a row, at the disk's seq. False: no memory. */
bool mem_row_put(struct store_mem_disk *disk, unsigned family, struct vy_bytes key,
                 struct vy_bytes value);

/* ---- store_mem_image.c ---- */

VY_CHECKED struct vy_err mem_checkpoint(struct store *store, const char *dir);
/* When a checkpoint lies in `dir`, the disk becomes it, and its files go. With the lock held. */
VY_CHECKED struct vy_err mem_image_load(struct store_mem_disk *disk, const char *dir);

/* ---- store_mem_write.c ---- */

VY_CHECKED struct vy_err mem_batch_new(struct store *store, struct store_batch **out);
VY_CHECKED struct vy_err mem_write(struct store *store, const struct store_batch *batch, bool sync);
VY_CHECKED struct vy_err mem_flush(struct store *store);

/* ---- store_mem_read.c ---- */

extern const struct store_reader_ops mem_newest_ops;
VY_CHECKED struct vy_err mem_snapshot_new(struct store *store, struct store_snapshot **out);
