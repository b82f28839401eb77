/* SPDX-License-Identifier: Apache-2.0 */
#include "shard/row_cursor.h"
#include "base/assert.h"

#define SEARCHES_FIRST 2U    /* an iterator costs as much as two searches: not for one message */
#define SEARCHES_BETWEEN 64U /* after walking did not pay, before it is tried again */
#define STEPS_MAX 4U         /* rows that are passed over before a jump is cheaper */
#define LUCK_START 8U
#define LUCK_MAX 16U
#define LUCK_PER_JUMP 3U

void row_cursor_init(struct row_cursor *cursor, const struct store_reader *reader,
                     enum shard_family family, uint64_t account_id)
{
    *cursor = (struct row_cursor){.reader = reader,
                                  .family = family,
                                  .account_id = account_id,
                                  .searches_due = SEARCHES_FIRST};
}

static void stop_walking(struct row_cursor *cursor)
{
    store_iter_free(cursor->iter);
    cursor->iter = NULL;
}

void row_cursor_deinit(struct row_cursor *cursor)
{
    stop_walking(cursor);
    store_value_release(&cursor->pinned);
}

static struct vy_err search(struct row_cursor *cursor, struct vy_bytes key, struct vy_bytes *out,
                            bool *found)
{
    cursor->searches_due -= cursor->searches_due > 0 ? 1 : 0;
    VY_TRY(store_get(cursor->reader, shard_store_family(cursor->family), key, &cursor->pinned));
    *found = cursor->pinned.is_found;
    *out = cursor->pinned.bytes;
    return vy_ok();
}

static struct vy_err start_walking(struct row_cursor *cursor, struct vy_bytes key)
{
    const struct shard_key end = keys_account_end(cursor->account_id);
    const struct shard_key first = keys_account(cursor->account_id);
    const struct store_range range = {.from = shard_key_bytes(&first), .to = shard_key_bytes(&end)};

    VY_TRY(
        store_iter_new(cursor->reader, shard_store_family(cursor->family), &range, &cursor->iter));
    store_iter_seek(cursor->iter, key);
    cursor->luck = LUCK_START;
    return vy_ok();
}

/* Makes the iterator stand on the key, or behind where it would be. */
static void walk_to(struct row_cursor *cursor, struct vy_bytes key)
{
    struct store_iter *iter = cursor->iter;
    int order = iter->is_valid ? vy_bytes_compare(iter->key, key) : 1;

    for (unsigned i = 0; i < STEPS_MAX && order < 0; i++) {
        store_iter_next(iter);
        order = iter->is_valid ? vy_bytes_compare(iter->key, key) : 0;
    }
    if (order == 0) {
        cursor->luck = VY_MIN(cursor->luck + 1, LUCK_MAX);
        return;
    }
    store_iter_seek(iter, key);
    cursor->luck -= VY_MIN(cursor->luck, LUCK_PER_JUMP);
}

struct vy_err row_cursor_get(struct row_cursor *cursor, const struct shard_key *key,
                             struct vy_bytes *out, bool *found)
{
    const struct vy_bytes wanted = shard_key_bytes(key);

    store_value_release(&cursor->pinned);
    if (cursor->iter != NULL && cursor->luck == 0) {
        stop_walking(cursor);
        cursor->searches_due = SEARCHES_BETWEEN;
    }
    if (cursor->iter == NULL && cursor->searches_due > 0) {
        return search(cursor, wanted, out, found);
    }
    if (cursor->iter == NULL) {
        VY_TRY(start_walking(cursor, wanted));
    } else {
        walk_to(cursor, wanted);
    }
    const struct store_iter *iter = cursor->iter;
    *found = iter->is_valid && vy_bytes_equal(iter->key, wanted);
    *out = *found ? iter->value : vy_bytes(NULL, 0);
    return iter->is_valid ? vy_ok() : store_iter_error(iter);
}
