/* SPDX-License-Identifier: Apache-2.0 */
#include "shard/tx.h"
#include "replica/replica.h"

#define TX_KEY_BYTES_MAX 256U

void tx_init(struct tx *tx)
{
    *tx = (struct tx){.txn = NULL};
    vy_buf_init(&tx->value, STORE_VALUE_BYTES_MAX);
    vy_buf_init(&tx->key, TX_KEY_BYTES_MAX);
}

void tx_deinit(struct tx *tx)
{
    vy_buf_deinit(&tx->value);
    vy_buf_deinit(&tx->key);
}

void tx_begin(struct tx *tx, struct txn *txn)
{
    tx->txn = txn;
    tx->err = vy_ok();
}

struct vy_err tx_error(const struct tx *tx)
{
    return vy_failed(tx->err) ? tx->err : txn_error(tx->txn);
}

void tx_fail(struct tx *tx, struct vy_err err)
{
    if (!vy_failed(tx->err)) {
        tx->err = err;
    }
}

bool tx_get(struct tx *tx, enum shard_family family, const struct shard_key *key,
            struct vy_bytes *out)
{
    return txn_get(tx->txn, shard_store_family(family), shard_key_bytes(key), out);
}

void tx_put(struct tx *tx, enum shard_family family, const struct shard_key *key,
            struct vy_bytes value)
{
    txn_put(tx->txn, shard_store_family(family), shard_key_bytes(key), value);
}

void tx_delete(struct tx *tx, enum shard_family family, const struct shard_key *key)
{
    txn_delete(tx->txn, shard_store_family(family), shard_key_bytes(key));
}

void tx_delete_range(struct tx *tx, enum shard_family family, const struct shard_key *from,
                     const struct shard_key *to)
{
    txn_delete_range(tx->txn, shard_store_family(family), shard_key_bytes(from),
                     shard_key_bytes(to));
}

static bool take_row(struct tx *tx, struct store_iter *iter, struct tx_row *out)
{
    const bool found = iter->is_valid;

    if (found) {
        vy_buf_reset(&tx->key);
        vy_buf_reset(&tx->value);
        vy_buf_append(&tx->key, iter->key);
        vy_buf_append(&tx->value, iter->value);
        out->key = vy_buf_bytes(&tx->key);
        out->value = vy_buf_bytes(&tx->value);
    }
    store_iter_free(iter);
    if (found && (tx->key.failed || tx->value.failed)) {
        tx_fail(tx, vy_error(VY_CODE_NOMEM, "read row"));
        return false;
    }
    return found;
}

bool tx_seek_first(struct tx *tx, enum shard_family family, const struct shard_key *from,
                   const struct shard_key *to, struct tx_row *out)
{
    const struct store_range range = {.from = shard_key_bytes(from), .to = shard_key_bytes(to)};

    return take_row(tx, txn_iter(tx->txn, shard_store_family(family), &range), out);
}

bool tx_seek_last(struct tx *tx, enum shard_family family, const struct shard_key *first,
                  const struct shard_key *at, struct tx_row *out)
{
    struct shard_key behind = *at;

    behind.data[behind.len++] = 0; /* the range is half open: the smallest key greater than `at` */
    const struct store_range range = {
        .from = shard_key_bytes(first), .to = shard_key_bytes(&behind), .is_reverse = true};
    return take_row(tx, txn_iter(tx->txn, shard_store_family(family), &range), out);
}
