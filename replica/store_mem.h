/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The store in memory, with the faults of a disk: batches not yet synced can be lost in a crash,
 * and any write can be made to fail. A disk outlives the stores opened on it, as a directory does.
 * For tests and the simulator; every operation takes one lock.
 */
#include "replica/store.h"

struct store_mem_disk;
VY_CHECKED struct vy_err store_mem_disk_new(struct store_mem_disk **out); /* an empty one */
void store_mem_disk_free(struct store_mem_disk *disk); /* no store open; NULL is allowed */

/* options->dir is ignored, unless a checkpoint lies there, in real files: the disk becomes that.
 * @errors BUSY open already; NOT_FOUND; UNSUPPORTED other families */
VY_CHECKED struct vy_err store_mem_open(struct store_mem_disk *disk,
                                        const struct store_options *options, struct store **out);
/* As the open_store member of struct replica_config; arg is the disk. */
VY_CHECKED struct vy_err store_mem_open_as(void *arg, const struct store_options *options,
                                           struct store **out);

/* Batches since the last sync, oldest first. */
size_t store_mem_unsynced(const struct store_mem_disk *disk);
/* Power cut: keeps `keep` of the unsynced batches (from the oldest) and forgets the others. Any
 * open store must be closed before; what it wrote stays as decided here. */
void store_mem_crash(struct store_mem_disk *disk, size_t keep);
/* The n-th write from now (1: the next) and all later ones fail with IO; 0: no fault. */
void store_mem_fail_write(struct store_mem_disk *disk, uint64_t nth);
void store_mem_set_free_bytes(struct store_mem_disk *disk, uint64_t bytes); /* at first 1 TiB */
/* Flips one bit of a stored value; false: no such row. */
bool store_mem_flip_bit(struct store_mem_disk *disk, unsigned family, struct vy_bytes key,
                        size_t bit);
uint64_t store_mem_sync_count(const struct store_mem_disk *disk);
