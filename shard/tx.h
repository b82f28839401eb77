/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The state machine's hand on the database while one command is applied: reads see the command's
 * own writes, writes become durable together with the entry. The first failed call is kept and
 * later ones do nothing; the state machine asks tx_error() once at the end, and a failure there
 * ends the process (P14), so the code between may assume success.
 *
 * @thread  the replica's writer
 */
#include "base/buf.h"
#include "base/err.h"
#include "replica/txn.h"
#include "shard/keys.h"

struct tx {
    struct txn *txn; /* borrowed */
    struct vy_err err;
    struct vy_buf value; /* of the last tx_seek */
    struct vy_buf key;   /* of the last tx_seek */
};

void tx_init(struct tx *tx);
void tx_deinit(struct tx *tx);
void tx_begin(struct tx *tx, struct txn *txn);
VY_CHECKED struct vy_err tx_error(const struct tx *tx);
/* Notes a failure that was found elsewhere (damaged rows). */
void tx_fail(struct tx *tx, struct vy_err err);

/* *out is valid until the command is done. False: no such row, or failed. */
bool tx_get(struct tx *tx, enum shard_family family, const struct shard_key *key,
            struct vy_bytes *out);
void tx_put(struct tx *tx, enum shard_family family, const struct shard_key *key,
            struct vy_bytes value);
void tx_delete(struct tx *tx, enum shard_family family, const struct shard_key *key);
/* [from, to) */
void tx_delete_range(struct tx *tx, enum shard_family family, const struct shard_key *from,
                     const struct shard_key *to);

/* One row by place: the first at or behind `from` and before `to`; the last at or before `at` and
 * not before `first`. */
struct tx_row {
    struct vy_bytes key;   /* valid until the next read */
    struct vy_bytes value; /* likewise */
};
bool tx_seek_first(struct tx *tx, enum shard_family family, const struct shard_key *from,
                   const struct shard_key *to, struct tx_row *out);
bool tx_seek_last(struct tx *tx, enum shard_family family, const struct shard_key *first,
                  const struct shard_key *at, struct tx_row *out);
