/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Ordered tables of bytes with atomic, durable batches: the one interface over RocksDB
 * (store_rocks.c) and over memory (store_mem.h, for tests and the simulator). Knows neither raft
 * nor mail. A family is a table of its own, named by its place in the list given at open; keys are
 * compared as memcmp does.
 *
 * @thread  Batches are built by one thread each and written by one thread at a time; reads,
 *          snapshots and iterators work from any thread, each iterator on one.
 * @blocks  Every call may wait for the disk.
 * @errors  IO the disk failed, CORRUPT damaged data, NOMEM. After a failed write or flush the store
 *          takes no more writes: it must be closed, and the process should end (promise P14).
 */
#include "base/bytes.h"
#include "base/err.h"
#include <stdatomic.h>

#define STORE_FAMILIES_MAX 32U
#define STORE_KEY_BYTES_MAX 1024U                 /* longer keys: ARGUMENT */
#define STORE_VALUE_BYTES_MAX (64U * 1024 * 1024) /* far above what one raft entry carries */

struct store;
struct store_batch;
struct store_snapshot;
struct store_reason; /* store_reason.h */

struct store_family {
    const char *name;        /* [a-z_], stable: it names the family on disk */
    uint32_t blob_min_bytes; /* values from here on live in blob files; 0: never */
    uint32_t prefix_bytes; /* scans usually stay within keys that share this many bytes; 0: none */
    uint32_t memtable_bytes; /* 0: chosen from memory_bytes */
};

struct store_options {
    const char *dir; /* created when missing, mode 0700 */
    const struct store_family *families;
    size_t family_count;
    uint64_t memory_bytes;       /* caches and write buffers together; 0: 64 MiB */
    bool must_exist;             /* NOT_FOUND instead of creating */
    bool is_read_only;           /* must_exist is implied; writing fails, no file but LOG changes */
    struct store_reason *reason; /* of failures, in words; borrowed for the store's life; or NULL */
};
/* @errors BUSY another process has the directory open (C5); CORRUPT; UNSUPPORTED written by a newer
 * version, or with families that are not in the list */
VY_CHECKED struct vy_err store_rocks_open(const struct store_options *options, struct store **out);
/* All batches, snapshots, values and iterators must have been freed. NULL is allowed. */
void store_close(struct store *store);

/* ---- writing ---- */

VY_CHECKED struct vy_err store_batch_new(struct store *store, struct store_batch **out);
void store_batch_free(struct store_batch *batch); /* NULL is allowed */
void store_batch_clear(struct store_batch *batch);
size_t store_batch_bytes(const struct store_batch *batch); /* roughly what it will write */
bool store_batch_is_empty(const struct store_batch *batch);
/* Later operations win. Bytes are copied. */
void store_batch_put(struct store_batch *batch, unsigned family, struct vy_bytes key,
                     struct vy_bytes value);
void store_batch_delete(struct store_batch *batch, unsigned family, struct vy_bytes key);
/* Keys in [from, to); an empty `to` is no bound, as in a range. */
void store_batch_delete_range(struct store_batch *batch, unsigned family, struct vy_bytes from,
                              struct vy_bytes to);
/* All or nothing, seen by readers when it returns. With `sync` it survives a power cut, and with it
 * every earlier batch. */
VY_CHECKED struct vy_err store_write(struct store *store, const struct store_batch *batch,
                                     bool sync);

/* ---- reading: from a snapshot, from the newest state, or from a transaction (txn.h) ---- */

struct store_reader {
    const struct store_reader_ops *ops;
};

struct store_value {
    bool is_found;
    struct vy_bytes bytes; /* valid until store_value_release */
    void *pin;             /* private to the store */
    void (*release)(void *pin);
};
VY_CHECKED struct vy_err store_get(const struct store_reader *reader, unsigned family,
                                   struct vy_bytes key, struct store_value *out);
void store_value_release(struct store_value *value); /* also of one never found, or released */

/* A point in time; later writes are not seen. Hold it briefly: it keeps old versions on disk. */
VY_CHECKED struct vy_err store_snapshot_new(struct store *store, struct store_snapshot **out);
void store_snapshot_free(struct store_snapshot *snapshot); /* NULL is allowed */
const struct store_reader *store_snapshot_reader(const struct store_snapshot *snapshot);
const struct store_reader *
store_newest(struct store *store); /* each read sees what is there then */

/* Rows of [from, to) in key order. An iterator stands on a row or is at the end. */
struct store_iter {
    const struct store_iter_ops *ops;
    bool is_valid;         /* stands on a row; false at the end and after an error */
    struct vy_bytes key;   /* while is_valid, until the next move */
    struct vy_bytes value; /* likewise */
    struct vy_err err;     /* why it ended early; ask store_iter_error */
};
struct store_range {
    struct vy_bytes from; /* first key; empty: the first of the family. Copied */
    struct vy_bytes to;   /* first key beyond; empty: no bound. Copied */
    bool is_reverse;      /* from the last row of the range down */
    bool is_bulk;         /* reads once and a lot: leaves what others read in the caches */
};
/* Stands on the first row in its direction, if there is one. */
VY_CHECKED struct vy_err store_iter_new(const struct store_reader *reader, unsigned family,
                                        const struct store_range *range, struct store_iter **out);
void store_iter_next(struct store_iter *iter); /* only while is_valid; backwards when is_reverse */
/* To the first row at or behind `key` (reverse: at or before it) within the range. */
void store_iter_seek(struct store_iter *iter, struct vy_bytes key);
VY_CHECKED struct vy_err store_iter_error(const struct store_iter *iter);
void store_iter_free(struct store_iter *iter); /* NULL is allowed */

/* What keeps a store from being closed: its snapshots, and pins of those who use it beside the
 * owner's thread. @thread any */
void store_pin(struct store *store);
void store_unpin(struct store *store);
size_t store_pins(const struct store *store);
/* Stands in for a store that is being replaced: whatever is asked of it is UNAVAILABLE. */
struct store *store_closed(void);

/* The smallest key that is greater than every key starting with `prefix`, for store_range.to; empty
 * (no bound) when there is none. `out` holds prefix.len bytes. */
struct vy_bytes store_prefix_end(struct vy_bytes prefix, uint8_t *out);

/* ---- care ---- */

VY_CHECKED struct vy_err store_flush(struct store *store); /* memory tables to disk, all families */
/* A copy of everything written so far in a new directory of the same file system (hard links). */
VY_CHECKED struct vy_err store_checkpoint(struct store *store, const char *dir);
/* Rewrites a key range so that deleted rows leave the files; both empty: the whole family. */
VY_CHECKED struct vy_err store_compact(struct store *store, unsigned family, struct vy_bytes from,
                                       struct vy_bytes to);
/* Has files removed that hold nothing live any more: of the write-ahead log, and tables that were
 * rewritten. *out_left: how many are still there, as they are in use or go in the background. */
VY_CHECKED struct vy_err store_remove_dead_files(struct store *store, size_t *out_left);
VY_CHECKED struct vy_err store_free_bytes(struct store *store, uint64_t *out); /* of the disk */
/* What must stay free for the store to survive (E4): write-ahead log, write buffers, 10 %. */
uint64_t store_floor_bytes(const struct store *store);
/* Background errors that no call has returned; asked now and then. */
VY_CHECKED struct vy_err store_check(struct store *store);

/* ---- what the engines provide ---- */

struct store_reader_ops {
    struct vy_err (*get)(const struct store_reader *reader, unsigned family, struct vy_bytes key,
                         struct store_value *out);
    struct vy_err (*iter_new)(const struct store_reader *reader, unsigned family,
                              const struct store_range *range, struct store_iter **out);
};
struct store_iter_ops {
    void (*next)(struct store_iter *iter);
    void (*seek)(struct store_iter *iter, struct vy_bytes key);
    void (*free)(struct store_iter *iter);
};
struct store_ops {
    void (*close)(struct store *store);
    struct vy_err (*batch_new)(struct store *store, struct store_batch **out);
    struct vy_err (*write)(struct store *store, const struct store_batch *batch, bool sync);
    struct vy_err (*snapshot_new)(struct store *store, struct store_snapshot **out);
    struct vy_err (*flush)(struct store *store);
    struct vy_err (*checkpoint)(struct store *store, const char *dir);
    struct vy_err (*compact)(struct store *store, unsigned family, struct vy_bytes from,
                             struct vy_bytes to);
    struct vy_err (*remove_dead_files)(struct store *store, size_t *out);
    struct vy_err (*free_bytes)(struct store *store, uint64_t *out);
    uint64_t (*floor_bytes)(const struct store *store);
    struct vy_err (*check)(struct store *store);
};
struct store_batch_ops {
    void (*free)(struct store_batch *batch);
    void (*clear)(struct store_batch *batch);
    void (*put)(struct store_batch *batch, unsigned family, struct vy_bytes key,
                struct vy_bytes value);
    void (*del)(struct store_batch *batch, unsigned family, struct vy_bytes key);
    void (*delete_range)(struct store_batch *batch, unsigned family, struct vy_bytes from,
                         struct vy_bytes to);
};
struct store {
    const struct store_ops *ops;
    struct store_reader newest;
    size_t family_count;
    atomic_size_t pins;
};
struct store_batch {
    const struct store_batch_ops *ops;
    size_t bytes;
    size_t count;
    struct vy_err err; /* what store_write will return: an operation could not be taken */
};
struct store_snapshot {
    struct store_reader reader;
    struct store *store; /* borrowed; set by store_snapshot_new */
    void (*free)(struct store_snapshot *snapshot);
};
