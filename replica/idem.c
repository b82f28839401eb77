/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows of the family:
 *   'k' key              -> expires_ms u64, result
 *   't' expires_ms key   -> nothing: what expires when
 *   'n'                  -> u64: nothing expires before; absent: nothing expires at all
 * 'n' makes the question of every entry, whether something is due, one point read, and lets the
 * iterator start behind the remains of rows deleted before.
 */
#include "replica/idem.h"

#include "base/assert.h"
#include "base/plant.h"

#include "replica/replica.h"

#define IDEM_TIME_BYTES 8U
#define IDEM_ROW_BYTES_MAX (1U + IDEM_TIME_BYTES + IDEM_KEY_BYTES_MAX)

struct idem_row {
    uint8_t data[IDEM_ROW_BYTES_MAX];
    size_t len;
};

static const uint8_t idem_next_key[] = {'n'};

static struct vy_bytes row_bytes(const struct idem_row *row)
{
    return vy_bytes(row->data, row->len);
}

static struct idem_row key_row(struct vy_bytes key)
{
    struct idem_row row = {.data = {IDEM_ROW_KEY}, .len = 1 + key.len};
    VY_ASSERT(key.len <= IDEM_KEY_BYTES_MAX);
    if (key.len > 0) {
        memcpy(row.data + 1, key.data, key.len);
    }
    return row;
}

static struct idem_row time_row(uint64_t expires_ms, struct vy_bytes key)
{
    struct idem_row row = {.data = {'t'}, .len = 1 + IDEM_TIME_BYTES + key.len};
    VY_ASSERT(key.len <= IDEM_KEY_BYTES_MAX);
    vy_put_be64(row.data + 1, expires_ms);
    if (key.len > 0) {
        memcpy(row.data + 1 + IDEM_TIME_BYTES, key.data, key.len);
    }
    return row;
}

/* False: no such row. One that is too short is damage that the store did not see; its checksums
 * make that our own bug. */
static bool find_row(struct txn *txn, struct vy_bytes key, uint64_t *expires_ms,
                     struct vy_bytes *result)
{
    const struct idem_row row = key_row(key);
    struct vy_bytes value;
    if (!txn_get(txn, REPLICA_FAMILY_IDEM, row_bytes(&row), &value)) {
        return false;
    }
    VY_ASSERT(value.len >= IDEM_TIME_BYTES);
    *expires_ms = vy_get_be64(value.data);
    *result = vy_bytes_from(value, IDEM_TIME_BYTES);
    return true;
}

bool idem_find(struct txn *txn, struct vy_bytes key, uint64_t now_ms, struct vy_bytes *out)
{
    uint64_t expires_ms = 0;
    struct vy_bytes result;
    if (VY_PLANT(FORGET_KEYS) || key.len == 0 || key.len > IDEM_KEY_BYTES_MAX ||
        !find_row(txn, key, &expires_ms, &result) || expires_ms <= now_ms) {
        return false;
    }
    *out = result;
    return true;
}

/* ---- when something is due ---- */

static bool find_next_due(struct txn *txn, uint64_t *out)
{
    struct vy_bytes value;
    if (!txn_get(txn, REPLICA_FAMILY_IDEM, vy_bytes(idem_next_key, sizeof(idem_next_key)),
                 &value)) {
        return false;
    }
    VY_ASSERT(value.len == IDEM_TIME_BYTES);
    *out = vy_get_be64(value.data);
    return true;
}

static void put_next_due(struct txn *txn, uint64_t due_ms)
{
    uint8_t value[IDEM_TIME_BYTES];
    vy_put_be64(value, due_ms);
    txn_put(txn, REPLICA_FAMILY_IDEM, vy_bytes(idem_next_key, sizeof(idem_next_key)),
            vy_bytes(value, sizeof(value)));
}

/* ---- writing ---- */

static void delete_time_row(struct txn *txn, uint64_t expires_ms, struct vy_bytes key)
{
    const struct idem_row row = time_row(expires_ms, key);
    txn_delete(txn, REPLICA_FAMILY_IDEM, row_bytes(&row));
}

static void put_result(struct txn *txn, struct vy_bytes key, struct vy_bytes result,
                       uint64_t expires_ms)
{
    uint8_t time[IDEM_TIME_BYTES];
    struct vy_buf value;
    const struct idem_row row = key_row(key);
    vy_put_be64(time, expires_ms);
    vy_buf_init(&value, IDEM_TIME_BYTES + result.len);
    vy_buf_append(&value, vy_bytes(time, sizeof(time)));
    vy_buf_append(&value, result);
    if (value.failed) {
        txn_fail(txn, vy_error(VY_CODE_NOMEM, "idempotency row"));
    } else {
        txn_put(txn, REPLICA_FAMILY_IDEM, row_bytes(&row), vy_buf_bytes(&value));
    }
    vy_buf_deinit(&value);
}

void idem_store(struct txn *txn, struct vy_bytes key, struct vy_bytes result, uint64_t expires_ms)
{
    uint64_t old_ms = 0;
    uint64_t due_ms = 0;
    struct vy_bytes old;
    VY_ASSERT(key.len > 0);
    if (find_row(txn, key, &old_ms, &old) && old_ms != expires_ms) {
        delete_time_row(txn, old_ms, key);
    }
    const struct idem_row time = time_row(expires_ms, key);
    put_result(txn, key, result, expires_ms);
    txn_put(txn, REPLICA_FAMILY_IDEM, row_bytes(&time), VY_LIT(""));
    if (!find_next_due(txn, &due_ms) || expires_ms < due_ms) {
        put_next_due(txn, expires_ms);
    }
}

void idem_remove(struct txn *txn, struct vy_bytes key)
{
    uint64_t expires_ms = 0;
    struct vy_bytes result;
    if (key.len == 0 || key.len > IDEM_KEY_BYTES_MAX || !find_row(txn, key, &expires_ms, &result)) {
        return;
    }
    const struct idem_row row = key_row(key);
    delete_time_row(txn, expires_ms, key);
    txn_delete(txn, REPLICA_FAMILY_IDEM, row_bytes(&row));
}

size_t idem_expire(struct txn *txn, uint64_t now_ms, size_t max)
{
    static const uint8_t end[] = {'t' + 1};
    uint64_t due_ms = 0;
    size_t count = 0;
    if (!find_next_due(txn, &due_ms) || due_ms > now_ms) {
        return 0;
    }
    const struct idem_row first = time_row(due_ms, VY_LIT(""));
    const struct store_range range = {.from = row_bytes(&first), .to = vy_bytes(end, sizeof(end))};
    struct store_iter *iter = txn_iter(txn, REPLICA_FAMILY_IDEM, &range);
    for (; iter->is_valid; store_iter_next(iter)) {
        VY_ASSERT(iter->key.len > 1 + IDEM_TIME_BYTES);
        const uint64_t expires_ms = vy_get_be64(iter->key.data + 1);
        if (expires_ms > now_ms || count == max) {
            if (expires_ms != due_ms) {
                put_next_due(txn, expires_ms);
            }
            break;
        }
        const struct idem_row row = key_row(vy_bytes_from(iter->key, 1 + IDEM_TIME_BYTES));
        txn_delete(txn, REPLICA_FAMILY_IDEM, row_bytes(&row));
        txn_delete(txn, REPLICA_FAMILY_IDEM, iter->key);
        count++;
    }
    if (!iter->is_valid) {
        txn_delete(txn, REPLICA_FAMILY_IDEM, vy_bytes(idem_next_key, sizeof(idem_next_key)));
    }
    store_iter_free(iter);
    return count;
}

/* matches NULL: every row. */
static bool forget(struct txn *txn, struct vy_bytes prefix, size_t max,
                   bool (*matches)(void *arg, struct vy_bytes result), void *arg)
{
    uint8_t end[1 + IDEM_KEY_BYTES_MAX];
    size_t count = 0;
    if (prefix.len > IDEM_KEY_BYTES_MAX) {
        return true; /* no key is that long */
    }
    const struct idem_row first = key_row(prefix);
    const struct store_range range = {.from = row_bytes(&first),
                                      .to = store_prefix_end(row_bytes(&first), end)};
    struct store_iter *iter = txn_iter(txn, REPLICA_FAMILY_IDEM, &range);
    for (; iter->is_valid && count < max; store_iter_next(iter), count++) {
        VY_ASSERT(iter->value.len >= IDEM_TIME_BYTES);
        if (matches == NULL || matches(arg, vy_bytes_from(iter->value, IDEM_TIME_BYTES))) {
            delete_time_row(txn, vy_get_be64(iter->value.data), vy_bytes_from(iter->key, 1));
            txn_delete(txn, REPLICA_FAMILY_IDEM, iter->key);
        }
    }
    const bool is_none_left = !iter->is_valid;
    store_iter_free(iter);
    return is_none_left;
}

bool idem_forget(struct txn *txn, struct vy_bytes prefix, size_t max)
{
    return forget(txn, prefix, max, NULL, NULL);
}

void idem_forget_matching(struct txn *txn, struct vy_bytes prefix, size_t max,
                          bool (*matches)(void *arg, struct vy_bytes result), void *arg)
{
    (void)forget(txn, prefix, max, matches, arg);
}
