/* SPDX-License-Identifier: Apache-2.0 */
#include "shard/email_row.h"
#include "base/assert.h"

#define EMAIL_ROW_VERSION 1U
#define EMAIL_HEAD_BYTES (2U + SHARD_HASH_BYTES + 2U)
#define EMAIL_INFO_BYTES 12U /* size, crc */

static struct vy_err info_encode(const struct email_info *info, struct vy_buf *text)
{
    if (info->chunk_count > EMAIL_CHUNKS_MAX || info->summary.len > EMAIL_SUMMARY_BYTES_MAX) {
        return vy_error(VY_CODE_LIMIT, "seal email row");
    }
    vy_buf_append_be64(text, info->size_bytes);
    vy_buf_append_be32(text, info->crc32c);
    for (uint32_t i = 0; i < info->chunk_count; i++) {
        vy_buf_append_be32(text, info->chunk_bytes[i]);
    }
    vy_buf_append(text, info->summary);
    return vy_buf_error(text);
}

struct vy_err email_row_seal(const struct seal_keys *keys, struct vy_rng *rng, uint64_t account_id,
                             const uint8_t email_id[SHARD_ID_BYTES], const uint8_t *message_id_hash,
                             const struct email_info *info, struct vy_buf *out)
{
    static const uint8_t no_hash[SHARD_HASH_BYTES];
    const struct shard_key key = keys_id(account_id, email_id);
    VY_CLEANUP(vy_buf_deinit) struct vy_buf text;

    vy_buf_init(&text, SEAL_CHUNK_BYTES);
    VY_TRY(info_encode(info, &text));
    vy_buf_append_byte(out, EMAIL_ROW_VERSION);
    vy_buf_append_byte(out, message_id_hash != NULL ? 1 : 0);
    vy_buf_append(out,
                  vy_bytes(message_id_hash != NULL ? message_id_hash : no_hash, SHARD_HASH_BYTES));
    vy_buf_append_be16(out, (uint16_t)info->chunk_count);
    return seal_text(keys, rng, shard_key_bytes(&key), SEAL_SQUEEZE, vy_buf_bytes(&text), out);
}

static struct vy_err info_decode(struct vy_bytes text, uint32_t chunk_count, struct vy_arena *arena,
                                 struct email_info *out)
{
    if (text.len < EMAIL_INFO_BYTES || text.len - EMAIL_INFO_BYTES < 4U * (size_t)chunk_count) {
        return vy_error(VY_CODE_CORRUPT, "read email row");
    }
    uint32_t *chunks = VY_ARENA_ARRAY(arena, VY_MAX(chunk_count, 1U), uint32_t);
    if (chunks == NULL) {
        return vy_error(VY_CODE_LIMIT, "read email chunk table");
    }
    for (uint32_t i = 0; i < chunk_count; i++) {
        chunks[i] = vy_get_be32(text.data + EMAIL_INFO_BYTES + 4U * (size_t)i);
    }
    *out = (struct email_info){
        .size_bytes = vy_get_be64(text.data),
        .crc32c = vy_get_be32(text.data + 8),
        .chunk_count = chunk_count,
        .chunk_bytes = chunks,
        .summary = vy_bytes_from(text, EMAIL_INFO_BYTES + 4U * (size_t)chunk_count),
    };
    return vy_ok();
}

struct vy_err email_row_head(struct vy_bytes row, struct email_head *out)
{
    if (row.len < EMAIL_HEAD_BYTES || row.data[0] != EMAIL_ROW_VERSION || row.data[1] > 1) {
        return vy_error(VY_CODE_CORRUPT, "read email row head");
    }
    const uint32_t chunk_count = vy_get_be16(row.data + 2 + SHARD_HASH_BYTES);
    if (chunk_count > EMAIL_CHUNKS_MAX) {
        return vy_error(VY_CODE_CORRUPT, "read email chunk count");
    }
    out->message_id_hash = row.data[1] == 1 ? row.data + 2 : NULL;
    out->chunk_count = chunk_count;
    return vy_ok();
}

struct vy_err email_row_open(const struct seal_keys *keys, uint64_t account_id,
                             const uint8_t email_id[SHARD_ID_BYTES], struct vy_bytes row,
                             struct vy_arena *arena, struct vy_buf *text, struct email_info *out)
{
    const struct shard_key key = keys_id(account_id, email_id);
    struct email_head head;

    VY_TRY(email_row_head(row, &head));
    vy_buf_reset(text);
    VY_TRY(seal_open(keys, shard_key_bytes(&key), vy_bytes_from(row, EMAIL_HEAD_BYTES), text));
    return info_decode(vy_buf_bytes(text), head.chunk_count, arena, out);
}
