/* SPDX-License-Identifier: Apache-2.0 */
#include "shard/block.h"
#include "base/assert.h"
#include "base/codec.h"

#define BLOCK_VERSION 1U
#define BLOCK_HEAD_BYTES 3U
#define BLOCK_CRC_BYTES 4U
#define COLUMN_HEAD_BYTES 9U

/* ---- columns of numbers ---- */

static uint32_t width_of(uint64_t span)
{
    if (span == 0) {
        return 0;
    }
    if (span <= UINT8_MAX) {
        return 1;
    }
    if (span <= UINT16_MAX) {
        return 2;
    }
    return span <= UINT32_MAX ? 4 : 8;
}

static void put_number(uint8_t *at, uint32_t width, uint64_t value)
{
    switch (width) {
    case 1:
        at[0] = (uint8_t)value;
        break;
    case 2:
        vy_put_be16(at, (uint16_t)value);
        break;
    case 4:
        vy_put_be32(at, (uint32_t)value);
        break;
    default:
        vy_put_be64(at, value);
        break;
    }
}

static uint8_t *put_column_head(struct vy_buf *out, uint64_t base, uint32_t width, uint32_t count)
{
    vy_buf_append_byte(out, (uint8_t)width);
    vy_buf_append_be64(out, base);
    return width == 0 ? NULL : vy_buf_reserve(out, (size_t)width * count);
}

static void encode_u64(struct vy_buf *out, const uint64_t *values, uint32_t count)
{
    uint64_t low = values[0];
    uint64_t high = values[0];

    for (uint32_t i = 1; i < count; i++) {
        low = VY_MIN(low, values[i]);
        high = VY_MAX(high, values[i]);
    }
    const uint32_t width = width_of(high - low);
    uint8_t *at = put_column_head(out, low, width, count);
    if (at == NULL) {
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        put_number(at + (size_t)i * width, width, values[i] - low);
    }
    vy_buf_added(out, (size_t)width * count);
}

static void encode_u32(struct vy_buf *out, const uint32_t *values, uint32_t count)
{
    uint64_t wide[BLOCK_MESSAGES_MAX];

    for (uint32_t i = 0; i < count; i++) {
        wide[i] = values[i];
    }
    encode_u64(out, wide, count);
}

/* Where the decoder is; `ok` falls once and stays. */
struct cursor {
    const uint8_t *at;
    const uint8_t *end;
    bool ok;
};

static const uint8_t *take(struct cursor *cursor, size_t len)
{
    const uint8_t *at = cursor->at;

    if (!cursor->ok || len > (size_t)(cursor->end - at)) {
        cursor->ok = false;
        return NULL;
    }
    cursor->at += len;
    return at;
}

static const uint8_t *take_column(struct cursor *cursor, uint32_t count, uint32_t *width,
                                  uint64_t *base)
{
    const uint8_t *head = take(cursor, COLUMN_HEAD_BYTES);

    if (head == NULL) {
        return NULL;
    }
    *width = head[0];
    *base = vy_get_be64(head + 1);
    if (*width > 8 || (*width & (*width - 1)) != 0) {
        cursor->ok = false;
        return NULL;
    }
    return take(cursor, (size_t)*width * count);
}

static void decode_u64(struct cursor *cursor, uint32_t count, uint64_t *out)
{
    uint32_t width = 0;
    uint64_t base = 0;
    const uint8_t *at = take_column(cursor, count, &width, &base);

    if (at == NULL) {
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        switch (width) {
        case 0:
            out[i] = base;
            break;
        case 1:
            out[i] = base + at[i];
            break;
        case 2:
            out[i] = base + vy_get_be16(at + 2 * (size_t)i);
            break;
        case 4:
            out[i] = base + vy_get_be32(at + 4 * (size_t)i);
            break;
        default:
            out[i] = base + vy_get_be64(at + 8 * (size_t)i);
            break;
        }
    }
}

static void decode_u32(struct cursor *cursor, uint32_t count, uint32_t *out)
{
    uint64_t wide[BLOCK_MESSAGES_MAX];

    decode_u64(cursor, count, wide);
    if (!cursor->ok) {
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (wide[i] > UINT32_MAX) {
            cursor->ok = false;
            return;
        }
        out[i] = (uint32_t)wide[i];
    }
}

/* ---- keywords: u8 bytes per message (as many as the highest bit needs), then the bits, low byte
 * first ---- */

static uint32_t keyword_bytes(const struct block *block)
{
    uint64_t any[BLOCK_KEYWORD_WORDS] = {0};

    if (!block->has_keywords) {
        return 0;
    }
    for (uint32_t i = 0; i < block->count; i++) {
        for (uint32_t w = 0; w < BLOCK_KEYWORD_WORDS; w++) {
            any[w] |= block->keywords[i].words[w];
        }
    }
    for (uint32_t w = BLOCK_KEYWORD_WORDS; w-- > 0;) {
        if (any[w] != 0) {
            return w * 8 + (64 - (uint32_t)__builtin_clzll(any[w]) + 7) / 8;
        }
    }
    return 0;
}

static void encode_keywords(const struct block *block, struct vy_buf *out)
{
    const uint32_t width = keyword_bytes(block);

    vy_buf_append_byte(out, (uint8_t)width);
    for (uint32_t i = 0; width > 0 && i < block->count; i++) {
        for (uint32_t b = 0; b < width; b++) {
            vy_buf_append_byte(out, (uint8_t)(block->keywords[i].words[b / 8] >> (b % 8 * 8)));
        }
    }
}

static void decode_keywords(struct cursor *cursor, struct block *block)
{
    const uint8_t *head = take(cursor, 1);
    const uint32_t width = head == NULL ? 0 : head[0];

    block->has_keywords = width > 0;
    if (width > BLOCK_KEYWORDS_MAX / 8) {
        cursor->ok = false;
        return;
    }
    const uint8_t *at = take(cursor, (size_t)width * block->count);
    if (width == 0 || at == NULL) {
        return;
    }
    memset(block->keywords, 0, sizeof(block->keywords[0]) * block->count);
    for (uint32_t i = 0; i < block->count; i++) {
        for (uint32_t b = 0; b < width; b++) {
            block->keywords[i].words[b / 8] |= (uint64_t)*at++ << (b % 8 * 8);
        }
    }
}

/* ---- ids: emails one by one; threads as a bit map of those that are not named like their only
 * email ---- */

static bool is_own_thread(const struct block *block, uint32_t index)
{
    return memcmp(block->thread_id[index], block->email_id[index], SHARD_ID_BYTES) == 0;
}

static void encode_ids(const struct block *block, struct vy_buf *out)
{
    uint8_t other[BLOCK_MESSAGES_MAX / 8] = {0};

    vy_buf_append(out, vy_bytes(block->email_id, (size_t)block->count * SHARD_ID_BYTES));
    for (uint32_t i = 0; i < block->count; i++) {
        if (!is_own_thread(block, i)) {
            other[i / 8] = (uint8_t)(other[i / 8] | 1U << (i % 8));
        }
    }
    vy_buf_append(out, vy_bytes(other, (block->count + 7) / 8));
    for (uint32_t i = 0; i < block->count; i++) {
        if (!is_own_thread(block, i)) {
            vy_buf_append(out, vy_bytes(block->thread_id[i], SHARD_ID_BYTES));
        }
    }
}

static void decode_ids(struct cursor *cursor, struct block *block)
{
    const size_t emails_bytes = (size_t)block->count * SHARD_ID_BYTES;
    const uint8_t *emails = take(cursor, emails_bytes);
    const uint8_t *other = take(cursor, (block->count + 7) / 8);

    if (emails == NULL || other == NULL) {
        return;
    }
    memcpy(block->email_id, emails, emails_bytes);
    memcpy(block->thread_id, emails, emails_bytes);
    for (uint32_t i = 0; i < block->count; i++) {
        if ((other[i / 8] >> (i % 8) & 1) == 0) {
            continue;
        }
        const uint8_t *thread = take(cursor, SHARD_ID_BYTES);
        if (thread == NULL) {
            return;
        }
        memcpy(block->thread_id[i], thread, SHARD_ID_BYTES);
    }
}

/* ---- whole blocks ---- */

void block_encode(const struct block *block, struct vy_buf *out)
{
    const size_t start = vy_buf_len(out);

    VY_ASSERT(block->count >= 1);
    VY_ASSERT(block->count <= BLOCK_MESSAGES_MAX);
    vy_buf_append_byte(out, BLOCK_VERSION);
    vy_buf_append_be16(out, (uint16_t)block->count);
    encode_u32(out, block->uid, block->count);
    encode_u32(out, block->flags, block->count);
    encode_u32(out, block->size, block->count);
    encode_u64(out, block->modseq, block->count);
    encode_u64(out, block->internal_ms, block->count);
    encode_u64(out, block->save_ms, block->count);
    encode_u32(out, block->zone, block->count);
    encode_keywords(block, out);
    encode_ids(block, out);
    vy_buf_append_be32(out, vy_crc32c(0, vy_bytes_from(vy_buf_bytes(out), start)));
}

static bool uids_ascend(const struct block *block)
{
    uint32_t last = 0;

    for (uint32_t i = 0; i < block->count; i++) {
        if (block->uid[i] <= last) {
            return false;
        }
        last = block->uid[i];
    }
    return true;
}

struct vy_err block_decode(struct vy_bytes bytes, struct block *out)
{
    if (bytes.len < BLOCK_HEAD_BYTES + BLOCK_CRC_BYTES || bytes.data[0] != BLOCK_VERSION) {
        return vy_error(VY_CODE_CORRUPT, "read index block head");
    }
    const size_t body_len = bytes.len - BLOCK_CRC_BYTES;
    if (vy_crc32c(0, vy_bytes_slice(bytes, 0, body_len)) != vy_get_be32(bytes.data + body_len)) {
        return vy_error(VY_CODE_CORRUPT, "check index block sum");
    }
    struct cursor cursor = {bytes.data + BLOCK_HEAD_BYTES, bytes.data + body_len, true};
    out->count = vy_get_be16(bytes.data + 1);
    if (out->count == 0 || out->count > BLOCK_MESSAGES_MAX) {
        return vy_error(VY_CODE_CORRUPT, "read index block count");
    }
    decode_u32(&cursor, out->count, out->uid);
    decode_u32(&cursor, out->count, out->flags);
    decode_u32(&cursor, out->count, out->size);
    decode_u64(&cursor, out->count, out->modseq);
    decode_u64(&cursor, out->count, out->internal_ms);
    decode_u64(&cursor, out->count, out->save_ms);
    decode_u32(&cursor, out->count, out->zone);
    decode_keywords(&cursor, out);
    decode_ids(&cursor, out);
    if (!cursor.ok || cursor.at != cursor.end || !uids_ascend(out)) {
        return vy_error(VY_CODE_CORRUPT, "read index block columns");
    }
    return vy_ok();
}

/* ---- rows ---- */

uint32_t block_lower_bound(const struct block *block, uint32_t uid)
{
    uint32_t low = 0;
    uint32_t high = block->count;

    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (block->uid[middle] < uid) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

void block_use_keywords(struct block *block)
{
    if (!block->has_keywords) {
        memset(block->keywords, 0, sizeof(block->keywords));
        block->has_keywords = true;
    }
}

void block_get_row(const struct block *block, uint32_t index, struct block_row *out)
{
    VY_ASSERT(index < block->count);
    *out = (struct block_row){
        .uid = block->uid[index],
        .flags = block->flags[index],
        .size = block->size[index],
        .zone = block->zone[index],
        .modseq = block->modseq[index],
        .internal_ms = block->internal_ms[index],
        .save_ms = block->save_ms[index],
    };
    memcpy(out->email_id, block->email_id[index], SHARD_ID_BYTES);
    memcpy(out->thread_id, block->thread_id[index], SHARD_ID_BYTES);
    if (block->has_keywords) {
        out->keywords = block->keywords[index];
    }
}

static bool keywords_are_empty(const struct block_keywords *keywords)
{
    uint64_t any = 0;

    for (uint32_t w = 0; w < BLOCK_KEYWORD_WORDS; w++) {
        any |= keywords->words[w];
    }
    return any == 0;
}

static void set_row(struct block *block, uint32_t index, const struct block_row *row)
{
    block->uid[index] = row->uid;
    block->flags[index] = row->flags;
    block->size[index] = row->size;
    block->zone[index] = row->zone;
    block->modseq[index] = row->modseq;
    block->internal_ms[index] = row->internal_ms;
    block->save_ms[index] = row->save_ms;
    memcpy(block->email_id[index], row->email_id, SHARD_ID_BYTES);
    memcpy(block->thread_id[index], row->thread_id, SHARD_ID_BYTES);
    if (!keywords_are_empty(&row->keywords)) {
        block_use_keywords(block);
    }
    if (block->has_keywords) {
        block->keywords[index] = row->keywords;
    }
}

void block_append_row(struct block *block, const struct block_row *row)
{
    VY_ASSERT(block->count < BLOCK_MESSAGES_MAX);
    VY_ASSERT(block->count == 0 || block_last_uid(block) < row->uid);
    if (block->count == 0) {
        block->has_keywords = false;
    }
    set_row(block, block->count, row);
    block->count++;
}

void block_drop_rows(struct block *block, const uint64_t drop[BLOCK_MESSAGES_MAX / 64])
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < block->count; i++) {
        struct block_row row;
        if ((drop[i / 64] >> (i % 64) & 1) != 0) {
            continue;
        }
        if (kept != i) {
            block_get_row(block, i, &row);
            set_row(block, kept, &row);
        }
        kept++;
    }
    block->count = kept;
}

void block_join(struct block *into, struct block *from)
{
    VY_ASSERT(into->count + from->count <= BLOCK_MESSAGES_MAX);
    for (uint32_t i = 0; i < from->count; i++) {
        struct block_row row;
        block_get_row(from, i, &row);
        block_append_row(into, &row);
    }
    from->count = 0;
}
