/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Rows of one account in one family, asked for by key, mostly in the order they are stored in: a
 * mailbox read from its first message to its last. The next row in a file costs a tenth of a search
 * for it, so the cursor walks while that finds what is asked for, and searches otherwise.
 *
 * @thread  one at a time
 */
#include "replica/store.h"
#include "shard/keys.h"

struct row_cursor {
    const struct store_reader *reader; /* borrowed */
    enum shard_family family;
    uint64_t account_id;
    struct store_iter *iter;   /* NULL: not walking */
    unsigned searches_due;     /* before the next try to walk */
    unsigned luck;             /* rows found by walking, against those that were far away */
    struct store_value pinned; /* what the last search gave */
};

void row_cursor_init(struct row_cursor *cursor, const struct store_reader *reader,
                     enum shard_family family, uint64_t account_id);
void row_cursor_deinit(struct row_cursor *cursor); /* also of one zeroed and never used */
/* The row, valid until the next call; *found false: there is none. The key must be the account's.
 * @errors what the store says */
VY_CHECKED struct vy_err row_cursor_get(struct row_cursor *cursor, const struct shard_key *key,
                                        struct vy_bytes *out, bool *found);
