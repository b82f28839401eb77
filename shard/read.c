/* SPDX-License-Identifier: Apache-2.0 */
#include "shard/read.h"
#include "base/assert.h"

/* The value in the arena. */
static struct vy_err get_copy(const struct store_reader *reader, enum shard_family family,
                              const struct shard_key *key, struct vy_arena *arena,
                              struct vy_bytes *out, bool *found)
{
    VY_CLEANUP(store_value_release) struct store_value value = {.is_found = false};

    VY_TRY(store_get(reader, shard_store_family(family), shard_key_bytes(key), &value));
    *found = value.is_found;
    return value.is_found ? vy_arena_dup(arena, value.bytes, out) : vy_ok();
}

static struct vy_err get_row(const struct store_reader *reader, enum shard_family family,
                             const struct shard_key *key, const struct vy_pb_desc *desc,
                             struct vy_arena *arena, void *out, bool *found)
{
    struct vy_bytes bytes;

    VY_TRY(get_copy(reader, family, key, arena, &bytes, found));
    if (!*found) {
        return vy_ok();
    }
    const struct vy_err err = vy_pb_decode(desc, arena, bytes, out);
    return err.code == VY_CODE_SYNTAX ? vy_error(VY_CODE_CORRUPT, "decode row") : err;
}

struct vy_err read_account(const struct store_reader *reader, struct vy_arena *arena,
                           uint64_t account_id, struct account_row *out, bool *found)
{
    const struct shard_key key = keys_account(account_id);

    VY_TRY(get_row(reader, SHARD_ACCT, &key, &account_row_desc, arena, out, found));
    return *found && out->version != 1 ? vy_error(VY_CODE_CORRUPT, "read account row") : vy_ok();
}

struct vy_err read_mailbox(const struct store_reader *reader, struct vy_arena *arena,
                           uint64_t account_id, uint64_t mailbox_id, struct mailbox_row *out,
                           bool *found)
{
    const struct shard_key key = keys_mailbox(account_id, mailbox_id);

    VY_TRY(get_row(reader, SHARD_MBOX, &key, &mailbox_row_desc, arena, out, found));
    return *found && out->version != 1 ? vy_error(VY_CODE_CORRUPT, "read mailbox row") : vy_ok();
}

struct vy_err read_mailbox_id(const struct store_reader *reader, uint64_t account_id,
                              const uint8_t name_hash[SHARD_HASH_BYTES], uint64_t *out)
{
    const struct shard_key key = keys_name(account_id, vy_bytes(name_hash, SHARD_HASH_BYTES));
    VY_CLEANUP(store_value_release) struct store_value value = {.is_found = false};

    VY_TRY(store_get(reader, shard_store_family(SHARD_MBOX), shard_key_bytes(&key), &value));
    if (value.is_found && value.bytes.len != 8) {
        return vy_error(VY_CODE_CORRUPT, "read mailbox name row");
    }
    *out = value.is_found ? vy_get_be64(value.bytes.data) : 0;
    return vy_ok();
}

struct vy_err read_keywords(const struct store_reader *reader, struct vy_arena *arena,
                            const struct seal_keys *keys, uint64_t account_id, uint64_t mailbox_id,
                            struct vy_bytes **out, size_t *out_count)
{
    const struct shard_key key = keys_keywords(account_id, mailbox_id);
    struct keyword_row row;
    bool found = false;

    VY_TRY(get_row(reader, SHARD_MBOX, &key, &keyword_row_desc, arena, &row, &found));
    *out = NULL;
    *out_count = 0;
    if (!found || row.keywords_count == 0) {
        return vy_ok();
    }
    if (row.keywords_count > BLOCK_KEYWORDS_MAX) {
        return vy_error(VY_CODE_CORRUPT, "read keyword row");
    }
    *out = VY_ARENA_ARRAY(arena, row.keywords_count, struct vy_bytes);
    if (*out == NULL) {
        return vy_error(VY_CODE_LIMIT, "read keywords");
    }
    for (size_t i = 0; i < row.keywords_count; i++) {
        VY_TRY(names_open(keys, account_id, row.keywords[i].hash, row.keywords[i].sealed, arena,
                          &(*out)[i]));
    }
    *out_count = row.keywords_count;
    return vy_ok();
}

/* ---- blocks ---- */

static struct vy_err open_range(const struct store_reader *reader, enum shard_family family,
                                const struct shard_key *from, const struct shard_key *end,
                                struct vy_arena *arena, struct read_blocks *out)
{
    const struct store_range range = {.from = shard_key_bytes(from), .to = shard_key_bytes(end)};

    out->block = VY_ARENA_NEW(arena, struct block);
    if (out->block == NULL) {
        return vy_error(VY_CODE_LIMIT, "read index blocks");
    }
    return store_iter_new(reader, shard_store_family(family), &range, &out->iter);
}

/* The key of the last block that starts at or before the UID; `first` unchanged when there is none.
 */
static struct vy_err find_start(const struct store_reader *reader, const struct shard_key *lowest,
                                struct shard_key *first)
{
    struct shard_key behind = *first;
    struct store_iter *iter = NULL;

    behind.data[behind.len++] = 0; /* the range is half open */
    const struct store_range range = {
        .from = shard_key_bytes(lowest), .to = shard_key_bytes(&behind), .is_reverse = true};
    VY_TRY(store_iter_new(reader, shard_store_family(SHARD_MSG), &range, &iter));
    if (iter->is_valid && iter->key.len <= sizeof(first->data)) {
        memcpy(first->data, iter->key.data, iter->key.len);
        first->len = iter->key.len;
    }
    const struct vy_err err = store_iter_error(iter);
    store_iter_free(iter);
    return err;
}

struct vy_err read_blocks_open(const struct store_reader *reader, struct vy_arena *arena,
                               uint64_t account_id, uint64_t mailbox_id, uint32_t first_uid,
                               struct read_blocks *out)
{
    const struct shard_key lowest = keys_block(account_id, mailbox_id, 0);
    const struct shard_key end = keys_box_end(account_id, mailbox_id);
    struct shard_key first = keys_block(account_id, mailbox_id, first_uid);

    *out = (struct read_blocks){.first_uid = first_uid};
    if (first_uid > 1) {
        VY_TRY(find_start(reader, &lowest, &first));
    }
    return open_range(reader, SHARD_MSG, &first, &end, arena, out);
}

struct vy_err read_gone_open(const struct store_reader *reader, struct vy_arena *arena,
                             uint64_t account_id, uint64_t mailbox_id, uint64_t after_modseq,
                             struct read_blocks *out)
{
    const struct shard_key first = keys_gone(account_id, mailbox_id, after_modseq + 1, 0);
    const struct shard_key end = keys_box_end(account_id, mailbox_id);

    *out = (struct read_blocks){.first_uid = 0};
    return open_range(reader, SHARD_GONE, &first, &end, arena, out);
}

struct vy_err read_blocks_next(struct read_blocks *blocks, struct block **out)
{
    *out = NULL;
    while (blocks->iter->is_valid) {
        VY_TRY(block_decode(blocks->iter->value, blocks->block));
        store_iter_next(blocks->iter);
        if (block_last_uid(blocks->block) >= blocks->first_uid) {
            *out = blocks->block;
            return vy_ok();
        }
    }
    return store_iter_error(blocks->iter);
}

void read_blocks_close(struct read_blocks *blocks)
{
    store_iter_free(blocks->iter);
    blocks->iter = NULL;
}
