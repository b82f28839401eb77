/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The store over RocksDB from inside: store_rocks_open.c (directory, options, families),
 * store_rocks.c (writes, reads, care), store_rocks_iter.c (ranges).
 */
#include <rocksdb/c.h>
#include <stdatomic.h>

#include "replica/store.h"
#include "replica/store_reason.h"

struct rocks_family {
    rocksdb_column_family_handle_t *handle;
    uint32_t prefix_bytes;
    bool has_blobs;
};
struct rocks_store {
    struct store store;
    int dir_fd; /* of the database's directory; holds its lock */
    rocksdb_t *db;
    rocksdb_column_family_handle_t *own; /* "default": what the store keeps for itself */
    struct rocks_family families[STORE_FAMILIES_MAX];
    rocksdb_readoptions_t *read;
    rocksdb_writeoptions_t *write_synced;
    rocksdb_writeoptions_t *write_unsynced;
    uint64_t floor_bytes;
    struct store_reason *reason; /* borrowed; NULL: nobody asks */
    atomic_bool has_failed;      /* takes no more writes (P14) */
};

static inline struct rocks_store *rocks_of(const struct store *store)
{
    return (struct rocks_store *)((uintptr_t)store - offsetof(struct rocks_store, store));
}

extern const struct store_ops rocks_store_ops;
extern const struct store_reader_ops rocks_newest_ops;
void rocks_close(struct store *store);
VY_CHECKED struct vy_err rocks_remove_dead_files(struct store *store, size_t *out);

/* Frees RocksDB's message and says what the caller can do about it. NULL: ok. */
VY_CHECKED struct vy_err rocks_error(char *message, const char *what);
/* The same, and keeps the message as the reason of the failure. */
VY_CHECKED struct vy_err rocks_error_noted(const struct rocks_store *store, char *message,
                                           const char *what);
/* snapshot NULL: the newest. */
VY_CHECKED struct vy_err rocks_iter_new(struct rocks_store *store,
                                        const rocksdb_snapshot_t *snapshot, unsigned family,
                                        const struct store_range *range, struct store_iter **out);
