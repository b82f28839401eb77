/* SPDX-License-Identifier: Apache-2.0 */
#include "shard/body.h"
#include "base/assert.h"
#include "base/codec.h"

void body_init(struct body *body, const struct store_reader *reader, const struct seal_keys *keys,
               uint64_t account_id)
{
    *body = (struct body){.keys = keys, .account_id = account_id};
    row_cursor_init(&body->rows, reader, SHARD_EMAIL, account_id);
    row_cursor_init(&body->chunks, reader, SHARD_BODY, account_id);
    vy_buf_init(&body->text, SEAL_CHUNK_BYTES);
    vy_buf_init(&body->loaded, (size_t)EMAIL_CHUNKS_MAX * SEAL_CHUNK_BYTES);
}

void body_deinit(struct body *body)
{
    row_cursor_deinit(&body->rows);
    row_cursor_deinit(&body->chunks);
    vy_buf_deinit(&body->text);
    vy_buf_deinit(&body->loaded);
}

static struct vy_err check_chunk_table(const struct email_info *info)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < info->chunk_count; i++) {
        if (info->chunk_bytes[i] == 0 || info->chunk_bytes[i] > SEAL_CHUNK_BYTES) {
            return vy_error(VY_CODE_CORRUPT, "read chunk table");
        }
        sum += info->chunk_bytes[i];
    }
    return sum == info->size_bytes ? vy_ok() : vy_error(VY_CODE_CORRUPT, "read chunk table");
}

struct vy_err body_open(struct body *body, struct vy_arena *arena,
                        const uint8_t email_id[SHARD_ID_BYTES])
{
    const struct shard_key key = keys_id(body->account_id, email_id);
    struct vy_bytes row;
    bool found = false;

    vy_buf_reset(&body->loaded);
    body->loaded_offset = 0;
    body->crc = 0;
    body->crc_chunks = 0;
    memcpy(body->email_id, email_id, SHARD_ID_BYTES);
    VY_TRY(row_cursor_get(&body->rows, &key, &row, &found));
    if (!found) {
        return vy_error(VY_CODE_CORRUPT, "email row is missing");
    }
    VY_TRY(email_row_open(body->keys, body->account_id, email_id, row, arena, &body->text,
                          &body->info));
    return check_chunk_table(&body->info);
}

/* ---- chunks ---- */

/* The chunk that holds the byte at `offset`, and where it begins; chunk_count: behind the end. */
static uint32_t find_chunk(const struct body *body, uint64_t offset, uint64_t *out_start)
{
    uint64_t start = 0;
    uint32_t chunk = 0;

    while (chunk < body->info.chunk_count && offset - start >= body->info.chunk_bytes[chunk]) {
        start += body->info.chunk_bytes[chunk++];
    }
    *out_start = start;
    return chunk;
}

/* All chunks were read in their order: the message is what was received, or it is not shown. */
static struct vy_err check_sum(struct body *body, uint32_t chunk, struct vy_bytes text)
{
    if (chunk != body->crc_chunks) {
        return vy_ok();
    }
    body->crc = vy_crc32c(body->crc, text);
    body->crc_chunks++;
    return body->crc_chunks < body->info.chunk_count || body->crc == body->info.crc32c
               ? vy_ok()
               : vy_error(VY_CODE_CORRUPT, "check message sum");
}

static struct vy_err append_chunk(struct body *body, uint32_t chunk)
{
    const struct shard_key key = keys_body(body->account_id, body->email_id, chunk);
    const size_t before = vy_buf_len(&body->loaded);
    struct vy_bytes sealed;
    bool found = false;

    VY_TRY(row_cursor_get(&body->chunks, &key, &sealed, &found));
    if (!found) {
        return vy_error(VY_CODE_CORRUPT, "body chunk is missing");
    }
    VY_TRY(seal_open(body->keys, shard_key_bytes(&key), sealed, &body->loaded));
    const struct vy_bytes text = vy_bytes_from(vy_buf_bytes(&body->loaded), before);
    if (text.len != body->info.chunk_bytes[chunk]) {
        return vy_error(VY_CODE_CORRUPT, "check length of body chunk");
    }
    return check_sum(body, chunk, text);
}

static bool is_loaded(const struct body *body, uint64_t offset, uint64_t len)
{
    const uint64_t end = body->loaded_offset + vy_buf_len(&body->loaded);

    return offset >= body->loaded_offset && offset <= end && len <= end - offset;
}

static struct vy_err load_chunks(struct body *body, uint64_t offset, uint64_t len)
{
    uint64_t start = 0;
    uint32_t chunk = find_chunk(body, offset, &start);

    vy_buf_reset(&body->loaded);
    body->loaded_offset = start;
    while (!is_loaded(body, offset, len)) {
        const struct vy_err err = append_chunk(body, chunk++);
        if (vy_failed(err)) {
            vy_buf_reset(&body->loaded);
            return err.code == VY_CODE_LIMIT ? vy_error(VY_CODE_NOMEM, "load body chunks") : err;
        }
    }
    return vy_ok();
}

struct vy_err body_load(struct body *body, uint64_t offset, uint64_t len, struct vy_bytes *out)
{
    if (offset > body->info.size_bytes || len > body->info.size_bytes - offset) {
        return vy_error(VY_CODE_CORRUPT, "part lies outside of its message");
    }
    *out = vy_bytes(NULL, 0);
    if (len == 0) {
        return vy_ok();
    }
    if (!is_loaded(body, offset, len)) {
        VY_TRY(load_chunks(body, offset, len));
    }
    *out = vy_bytes_slice(vy_buf_bytes(&body->loaded), (size_t)(offset - body->loaded_offset),
                          (size_t)len);
    return vy_ok();
}

struct vy_err body_piece(struct body *body, uint64_t offset, struct vy_bytes *out)
{
    *out = vy_bytes(NULL, 0);
    if (offset >= body->info.size_bytes) {
        return vy_ok();
    }
    if (!is_loaded(body, offset, 1)) {
        VY_TRY(load_chunks(body, offset, 1));
    }
    *out = vy_bytes_from(vy_buf_bytes(&body->loaded), (size_t)(offset - body->loaded_offset));
    return vy_ok();
}

uint32_t body_chunk_count(const struct body *body, uint64_t offset, uint64_t len)
{
    uint64_t start = 0;

    if (len == 0) {
        return 0;
    }
    const uint32_t first = find_chunk(body, offset, &start);
    return find_chunk(body, offset + len - 1, &start) - first + 1;
}
