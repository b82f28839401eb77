/* SPDX-License-Identifier: Apache-2.0 */
#include "shard/names.h"
#include "base/assert.h"

#define NAMES_SEALED_BYTES_MAX (NAMES_MAILBOX_BYTES_MAX + SEAL_OVERHEAD_BYTES)

void names_hash_mailbox(const struct seal_keys *keys, struct vy_bytes name,
                        uint8_t out[SHARD_HASH_BYTES])
{
    seal_hash(keys, SEAL_HASH_MAILBOX, name, out);
}

void names_hash_keyword(const struct seal_keys *keys, struct vy_bytes keyword,
                        uint8_t out[SHARD_HASH_BYTES])
{
    uint8_t folded[NAMES_KEYWORD_BYTES_MAX];
    const size_t len = VY_MIN(keyword.len, sizeof(folded));

    for (size_t i = 0; i < len; i++) {
        folded[i] = vy_ascii_lower(keyword.data[i]);
    }
    seal_hash(keys, SEAL_HASH_KEYWORD, vy_bytes(folded, len), out);
}

static struct vy_err seal_name(const struct seal_keys *keys, struct vy_rng *rng,
                               uint64_t account_id, struct vy_bytes text,
                               const uint8_t hash[SHARD_HASH_BYTES], struct vy_arena *arena,
                               struct sealed_name *out)
{
    VY_CLEANUP(vy_buf_deinit) struct vy_buf sealed;

    vy_buf_init(&sealed, NAMES_SEALED_BYTES_MAX);
    VY_TRY(vy_arena_dup(arena, vy_bytes(hash, SHARD_HASH_BYTES), &out->hash));
    const struct shard_key row_key = keys_name(account_id, out->hash);
    VY_TRY(seal_text(keys, rng, shard_key_bytes(&row_key), SEAL_PLAIN, text, &sealed));
    return vy_arena_dup(arena, vy_buf_bytes(&sealed), &out->sealed);
}

static struct vy_err check_length(struct vy_bytes text, size_t bytes_max)
{
    if (text.len == 0) {
        return vy_error(VY_CODE_ARGUMENT, "empty name");
    }
    return text.len > bytes_max ? vy_error(VY_CODE_LIMIT, "name too long") : vy_ok();
}

struct vy_err names_seal_mailbox(const struct seal_keys *keys, struct vy_rng *rng,
                                 uint64_t account_id, struct vy_bytes name, struct vy_arena *arena,
                                 struct sealed_name *out)
{
    uint8_t hash[SHARD_HASH_BYTES];

    VY_TRY(check_length(name, NAMES_MAILBOX_BYTES_MAX));
    names_hash_mailbox(keys, name, hash);
    return seal_name(keys, rng, account_id, name, hash, arena, out);
}

struct vy_err names_seal_keyword(const struct seal_keys *keys, struct vy_rng *rng,
                                 uint64_t account_id, struct vy_bytes keyword,
                                 struct vy_arena *arena, struct sealed_name *out)
{
    uint8_t hash[SHARD_HASH_BYTES];

    VY_TRY(check_length(keyword, NAMES_KEYWORD_BYTES_MAX));
    names_hash_keyword(keys, keyword, hash);
    return seal_name(keys, rng, account_id, keyword, hash, arena, out);
}

struct vy_err names_open(const struct seal_keys *keys, uint64_t account_id, struct vy_bytes hash,
                         struct vy_bytes sealed, struct vy_arena *arena, struct vy_bytes *out)
{
    VY_CLEANUP(vy_buf_deinit) struct vy_buf text;

    vy_buf_init(&text, NAMES_MAILBOX_BYTES_MAX);
    if (hash.len != SHARD_HASH_BYTES) {
        return vy_error(VY_CODE_CORRUPT, "read name hash");
    }
    const struct shard_key row_key = keys_name(account_id, hash);
    VY_TRY(seal_open(keys, shard_key_bytes(&row_key), sealed, &text));
    return vy_arena_dup(arena, vy_buf_bytes(&text), out);
}
