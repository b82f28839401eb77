/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What a state machine sees while it applies an entry: the store with the effects of everything
 * applied before, its own writes of this entry included, none of it on disk yet. All effects of the
 * entries of one group commit, and the applied index, reach the disk in one batch.
 *
 * Reading cannot fail for the caller: a disk error or lack of memory marks the transaction, whose
 * writes are then never made, and ends the process. Until then reads find nothing.
 *
 * @thread  the writer's, inside apply
 */
#include "replica/store.h"

struct txn;

/* The value, valid until apply returns; false: no such row. */
bool txn_get(struct txn *txn, unsigned family, struct vy_bytes key, struct vy_bytes *out);
bool txn_has(struct txn *txn, unsigned family, struct vy_bytes key);
/* Bytes are copied. Families below REPLICA_FAMILY_FIRST (replica.h) are not the caller's. */
void txn_put(struct txn *txn, unsigned family, struct vy_bytes key, struct vy_bytes value);
void txn_delete(struct txn *txn, unsigned family, struct vy_bytes key);
void txn_delete_range(struct txn *txn, unsigned family, struct vy_bytes from, struct vy_bytes to);

/* Rows of a range, forward or reverse, with the writes of this transaction. Free it before apply
 * returns. Writing while iterating is allowed: rows ahead of the iterator are seen as they are when
 * it gets there. Never NULL. Use store_iter_next and so on; errors need not be asked for. */
struct store_iter *txn_iter(struct txn *txn, unsigned family, const struct store_range *range);

/* The same as a reader, for code that works on transactions and snapshots alike. Values need no
 * release, but may be released. */
const struct store_reader *txn_reader(struct txn *txn);
VY_CHECKED struct vy_err txn_error(const struct txn *txn); /* why it is marked, if it is */
/* Marks it: the code above found that it cannot go on (memory). The first reason stays. */
void txn_fail(struct txn *txn, struct vy_err err);

/* ---- for the engine and for tests of state machines ---- */

VY_CHECKED struct vy_err txn_new(struct store *store, struct txn **out);
void txn_free(struct txn *txn); /* drops what was not committed; NULL is allowed */
/* The batch that the writes go to as well; the engine adds its own rows. Owned by the txn. */
struct store_batch *txn_batch(struct txn *txn);
/* Between two entries: gives back what reads pinned. */
void txn_entry_done(struct txn *txn);
/* CRC-32C chain over the writes since the last call: the same on every replica. */
uint32_t txn_take_effects(struct txn *txn);
/* Writes everything and starts afresh; for tests of state machines and the engine's writer. */
VY_CHECKED struct vy_err txn_commit(struct txn *txn, bool sync);
void txn_reset(struct txn *txn); /* forgets everything not committed */
