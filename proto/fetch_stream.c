/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/fetch_stream.h"
#include "base/assert.h"

#define RECORD_HEAD_BYTES 5U
#define PARTIAL_KEEP_BYTES 65536U /* a larger buffer is given back after its record */

/* ---- writing ---- */

static void record_append_head(struct vy_buf *out, enum fetch_record kind, size_t payload_bytes)
{
    VY_ASSERT(payload_bytes <= FETCH_RECORD_BYTES_MAX);
    vy_buf_append_byte(out, (uint8_t)kind);
    vy_buf_append_be32(out, (uint32_t)payload_bytes);
}

/* Bytes of keyword bits that hold every bit set in any row; 0: no keywords at all. */
static uint32_t columns_keyword_bytes(const struct fetch_columns *columns)
{
    if (columns->keyword_words == NULL) {
        return 0;
    }
    uint64_t seen[FETCH_KEYWORD_WORDS] = {0};
    for (uint32_t i = 0; i < columns->count; i++) {
        const size_t row = columns->rows == NULL ? i : columns->rows[i];
        for (size_t word = 0; word < FETCH_KEYWORD_WORDS; word++) {
            seen[word] |= columns->keyword_words[row * FETCH_KEYWORD_WORDS + word];
        }
    }
    for (uint32_t bytes = FETCH_KEYWORD_BYTES_MAX; bytes > 0; bytes--) {
        const uint32_t last = bytes - 1;
        if ((seen[last / 8] >> (8 * (last % 8)) & 0xff) != 0) {
            return bytes;
        }
    }
    return 0;
}

static size_t block_row_bytes(uint32_t columns, uint32_t keyword_bytes)
{
    size_t bytes = 4;
    bytes += (columns & FETCH_COLUMN_FLAGS) != 0 ? 1 + keyword_bytes : 0;
    bytes += (columns & FETCH_COLUMN_MODSEQ) != 0 ? 8 : 0;
    bytes += (columns & FETCH_COLUMN_SIZE) != 0 ? 8 : 0;
    bytes += (columns & FETCH_COLUMN_INTERNALDATE) != 0 ? 10 : 0;
    bytes += (columns & FETCH_COLUMN_EMAILID) != 0 ? FETCH_ID_BYTES : 0;
    bytes += (columns & FETCH_COLUMN_THREADID) != 0 ? FETCH_ID_BYTES : 0;
    bytes += (columns & FETCH_COLUMN_SAVEDATE) != 0 ? 8 : 0;
    return bytes;
}

static size_t block_payload_bytes(const struct fetch_columns *columns, uint32_t keyword_bytes)
{
    const size_t keyword_head = (columns->columns & FETCH_COLUMN_FLAGS) != 0 ? 1 : 0;
    return 4 + keyword_head + columns->count * block_row_bytes(columns->columns, keyword_bytes);
}

static size_t columns_row(const struct fetch_columns *columns, size_t i)
{
    return columns->rows == NULL ? i : columns->rows[i];
}

static uint8_t *put_u32_column(uint8_t *at, const struct fetch_columns *columns,
                               const uint32_t *from)
{
    for (size_t i = 0; i < columns->count; i++, at += 4) {
        vy_put_be32(at, from[columns_row(columns, i)]);
    }
    return at;
}

static uint8_t *put_u64_column(uint8_t *at, const struct fetch_columns *columns,
                               const uint64_t *from)
{
    for (size_t i = 0; i < columns->count; i++, at += 8) {
        vy_put_be64(at, from[columns_row(columns, i)]);
    }
    return at;
}

static uint8_t *put_id_column(uint8_t *at, const struct fetch_columns *columns,
                              const uint8_t (*from)[FETCH_ID_BYTES])
{
    for (size_t i = 0; i < columns->count; i++, at += FETCH_ID_BYTES) {
        memcpy(at, from[columns_row(columns, i)], FETCH_ID_BYTES);
    }
    return at;
}

static uint8_t *put_flags_column(uint8_t *at, const struct fetch_columns *columns,
                                 uint32_t keyword_bytes)
{
    for (size_t i = 0; i < columns->count; i++) {
        *at++ = (uint8_t)columns->flags[columns_row(columns, i)];
    }
    *at++ = (uint8_t)keyword_bytes;
    if (keyword_bytes == 0) {
        return at;
    }
    for (size_t i = 0; i < columns->count; i++) {
        const uint64_t *words =
            columns->keyword_words + columns_row(columns, i) * FETCH_KEYWORD_WORDS;
        for (size_t byte = 0; byte < keyword_bytes; byte++) {
            *at++ = (uint8_t)(words[byte / 8] >> (8 * (byte % 8)));
        }
    }
    return at;
}

static uint8_t *put_date_column(uint8_t *at, const struct fetch_columns *columns)
{
    at = put_u64_column(at, columns, columns->internal_ms);
    for (size_t i = 0; i < columns->count; i++, at += 2) {
        vy_put_be16(at, (uint16_t)columns->zone_biased[columns_row(columns, i)]);
    }
    return at;
}

static void block_append_payload(struct vy_buf *out, const struct fetch_columns *columns,
                                 uint32_t keyword_bytes, size_t payload_bytes)
{
    const uint32_t mask = columns->columns;
    uint8_t *const start = vy_buf_reserve(out, payload_bytes);
    if (start == NULL) {
        return;
    }
    uint8_t *at = start;
    vy_put_be16(at, (uint16_t)(mask & FETCH_INDEX_COLUMNS));
    vy_put_be16(at + 2, (uint16_t)columns->count);
    at = put_u32_column(at + 4, columns, columns->uid);
    at = (mask & FETCH_COLUMN_FLAGS) != 0 ? put_flags_column(at, columns, keyword_bytes) : at;
    at = (mask & FETCH_COLUMN_MODSEQ) != 0 ? put_u64_column(at, columns, columns->modseq) : at;
    if ((mask & FETCH_COLUMN_SIZE) != 0) {
        for (size_t i = 0; i < columns->count; i++, at += 8) {
            vy_put_be64(at, columns->size_bytes[columns_row(columns, i)]);
        }
    }
    at = (mask & FETCH_COLUMN_INTERNALDATE) != 0 ? put_date_column(at, columns) : at;
    at = (mask & FETCH_COLUMN_EMAILID) != 0 ? put_id_column(at, columns, columns->email_id) : at;
    at = (mask & FETCH_COLUMN_THREADID) != 0 ? put_id_column(at, columns, columns->thread_id) : at;
    at = (mask & FETCH_COLUMN_SAVEDATE) != 0 ? put_u64_column(at, columns, columns->save_ms) : at;
    VY_ASSERT((size_t)(at - start) == payload_bytes);
    vy_buf_added(out, payload_bytes);
}

void fetch_stream_append_block(struct vy_buf *out, const struct fetch_columns *columns)
{
    VY_ASSERT(columns->count >= 1 && columns->count <= FETCH_ROWS_MAX);
    const uint32_t keyword_bytes =
        (columns->columns & FETCH_COLUMN_FLAGS) != 0 ? columns_keyword_bytes(columns) : 0;
    const size_t payload_bytes = block_payload_bytes(columns, keyword_bytes);
    record_append_head(out, FETCH_RECORD_BLOCK, payload_bytes);
    block_append_payload(out, columns, keyword_bytes, payload_bytes);
}

void fetch_stream_append_message(struct vy_buf *out, const struct fetch_columns *columns,
                                 const struct vy_bytes texts[FETCH_TEXT_COUNT],
                                 uint32_t section_count)
{
    VY_ASSERT(columns->count == 1);
    VY_ASSERT(section_count <= FETCH_SECTIONS_MAX);
    const uint32_t keyword_bytes =
        (columns->columns & FETCH_COLUMN_FLAGS) != 0 ? columns_keyword_bytes(columns) : 0;
    const size_t block_bytes = block_payload_bytes(columns, keyword_bytes);
    size_t payload_bytes = 6 + block_bytes;
    for (size_t i = 0; i < FETCH_TEXT_COUNT; i++) {
        payload_bytes += texts[i].data == NULL ? 1 : 5 + texts[i].len;
    }
    record_append_head(out, FETCH_RECORD_MESSAGE, payload_bytes);
    vy_buf_append_be16(out, (uint16_t)section_count);
    vy_buf_append_be32(out, (uint32_t)block_bytes);
    block_append_payload(out, columns, keyword_bytes, block_bytes);
    for (size_t i = 0; i < FETCH_TEXT_COUNT; i++) {
        vy_buf_append_byte(out, texts[i].data == NULL ? 0 : 1);
        if (texts[i].data != NULL) {
            vy_buf_append_be32(out, (uint32_t)texts[i].len);
            vy_buf_append(out, texts[i]);
        }
    }
}

void fetch_stream_append_section(struct vy_buf *out, uint32_t index,
                                 enum fetch_section_status status, uint64_t total_bytes,
                                 struct vy_bytes data)
{
    const bool is_inline = status == FETCH_SECTION_INLINE;
    VY_ASSERT(index < FETCH_SECTIONS_MAX);
    VY_ASSERT(!is_inline || data.len <= FETCH_INLINE_BYTES_MAX);
    VY_ASSERT(status != FETCH_SECTION_LITERAL || (total_bytes >= 1 && total_bytes <= UINT32_MAX));
    record_append_head(out, FETCH_RECORD_SECTION, 11 + (is_inline ? data.len : 0));
    vy_buf_append_be16(out, (uint16_t)index);
    vy_buf_append_byte(out, (uint8_t)status);
    vy_buf_append_be64(out, is_inline ? data.len : total_bytes);
    if (is_inline) {
        vy_buf_append(out, data);
    }
}

void fetch_stream_append_literal(struct vy_buf *out, struct vy_bytes data)
{
    VY_ASSERT(data.len >= 1 && data.len <= FETCH_LITERAL_BYTES_MAX);
    record_append_head(out, FETCH_RECORD_LITERAL, data.len);
    vy_buf_append(out, data);
}

void fetch_stream_append_missing(struct vy_buf *out, enum fetch_missing why, const uint32_t *uids,
                                 size_t count)
{
    record_append_head(out, FETCH_RECORD_MISSING, 1 + 4 * count);
    vy_buf_append_byte(out, (uint8_t)why);
    for (size_t i = 0; i < count; i++) {
        vy_buf_append_be32(out, uids[i]);
    }
}

/* ---- reading ---- */

/* Takes `size` bytes from the front; NULL when there are fewer, and then nothing is taken. */
static const uint8_t *take(struct vy_bytes *in, size_t size)
{
    if (in->len < size) {
        return NULL;
    }
    const uint8_t *const data = in->data;
    in->data += size;
    in->len -= size;
    return data;
}

static bool take_column(struct vy_bytes *in, const struct fetch_block *block, uint32_t column,
                        size_t width, const uint8_t **out)
{
    if ((block->columns & column) == 0) {
        return true;
    }
    *out = take(in, width * block->count);
    return *out != NULL;
}

static bool take_flags(struct vy_bytes *in, struct fetch_block *block)
{
    if ((block->columns & FETCH_COLUMN_FLAGS) == 0) {
        return true;
    }
    block->flags = take(in, block->count);
    const uint8_t *const keyword_bytes = take(in, 1);
    if (block->flags == NULL || keyword_bytes == NULL || *keyword_bytes > FETCH_KEYWORD_BYTES_MAX) {
        return false;
    }
    block->keyword_bytes = *keyword_bytes;
    block->keyword_bits = take(in, (size_t)block->keyword_bytes * block->count);
    return block->keyword_bits != NULL;
}

static bool block_uids_rise(const struct fetch_block *block)
{
    uint32_t last = 0;
    for (size_t row = 0; row < block->count; row++) {
        const uint32_t uid = fetch_block_uid(block, row);
        if (uid <= last) {
            return false;
        }
        last = uid;
    }
    return true;
}

struct vy_err fetch_block_parse(struct vy_bytes payload, struct fetch_block *out)
{
    const struct vy_err corrupt = vy_error(VY_CODE_CORRUPT, "fetch stream: block");
    const uint8_t *const head = take(&payload, 4);
    if (head == NULL) {
        return corrupt;
    }
    struct fetch_block block = {.columns = vy_get_be16(head), .count = vy_get_be16(head + 2)};
    if ((block.columns & ~(uint32_t)FETCH_INDEX_COLUMNS) != 0 || block.count == 0 ||
        block.count > FETCH_ROWS_MAX) {
        return corrupt;
    }
    block.uid = take(&payload, (size_t)4 * block.count);
    const bool whole =
        block.uid != NULL && take_flags(&payload, &block) &&
        take_column(&payload, &block, FETCH_COLUMN_MODSEQ, 8, &block.modseq) &&
        take_column(&payload, &block, FETCH_COLUMN_SIZE, 8, &block.size_bytes) &&
        take_column(&payload, &block, FETCH_COLUMN_INTERNALDATE, 8, &block.internal_ms) &&
        take_column(&payload, &block, FETCH_COLUMN_INTERNALDATE, 2, &block.zone_biased) &&
        take_column(&payload, &block, FETCH_COLUMN_EMAILID, FETCH_ID_BYTES, &block.email_id) &&
        take_column(&payload, &block, FETCH_COLUMN_THREADID, FETCH_ID_BYTES, &block.thread_id) &&
        take_column(&payload, &block, FETCH_COLUMN_SAVEDATE, 8, &block.save_ms);
    if (!whole || payload.len != 0 || !block_uids_rise(&block)) {
        return corrupt;
    }
    *out = block;
    return vy_ok();
}

void fetch_reader_init(struct fetch_reader *reader)
{
    *reader = (struct fetch_reader){.failed = false};
    vy_buf_init(&reader->partial, FETCH_RECORD_BYTES_MAX + RECORD_HEAD_BYTES);
}

void fetch_reader_deinit(struct fetch_reader *reader)
{
    vy_buf_deinit(&reader->partial);
}

bool fetch_reader_is_at_end(const struct fetch_reader *reader)
{
    const bool has_partial = vy_buf_len(&reader->partial) > 0 && !reader->partial_done;
    return !reader->failed && !has_partial && reader->literal_left == 0 &&
           reader->sections_left == 0;
}

/* Rows of one stream rise across its records too: the view walks along with them. */
static bool reader_takes_uids(struct fetch_reader *reader, const struct fetch_block *block)
{
    if (fetch_block_uid(block, 0) <= reader->last_uid) {
        return false;
    }
    reader->last_uid = fetch_block_uid(block, block->count - 1);
    return true;
}

static bool read_block(struct fetch_reader *reader, struct vy_bytes payload,
                       struct fetch_event *out)
{
    out->kind = FETCH_EVENT_BLOCK;
    return reader->sections_left == 0 && !vy_failed(fetch_block_parse(payload, &out->block)) &&
           reader_takes_uids(reader, &out->block);
}

static bool take_text(struct vy_bytes *in, struct vy_bytes *out)
{
    const uint8_t *const is_there = take(in, 1);
    if (is_there == NULL || *is_there > 1) {
        return false;
    }
    if (*is_there == 0) {
        *out = vy_bytes(NULL, 0);
        return true;
    }
    const uint8_t *const length = take(in, 4);
    if (length == NULL) {
        return false;
    }
    const size_t len = vy_get_be32(length);
    *out = vy_bytes(take(in, len), len);
    return out->data != NULL;
}

static bool read_message(struct fetch_reader *reader, struct vy_bytes payload,
                         struct fetch_event *out)
{
    out->kind = FETCH_EVENT_MESSAGE;
    const uint8_t *const head = take(&payload, 6);
    if (head == NULL || reader->sections_left != 0) {
        return false;
    }
    out->section_count = vy_get_be16(head);
    const size_t block_bytes = vy_get_be32(head + 2);
    const uint8_t *const block = take(&payload, block_bytes);
    if (block == NULL || out->section_count > FETCH_SECTIONS_MAX ||
        vy_failed(fetch_block_parse(vy_bytes(block, block_bytes), &out->block)) ||
        out->block.count != 1) {
        return false;
    }
    for (size_t i = 0; i < FETCH_TEXT_COUNT; i++) {
        if (!take_text(&payload, &out->texts[i])) {
            return false;
        }
    }
    reader->sections_left = out->section_count;
    out->message_ends = out->section_count == 0;
    return payload.len == 0 && reader_takes_uids(reader, &out->block);
}

/* A section is over: the next one may come, or the next message. */
static void reader_end_section(struct fetch_reader *reader, struct fetch_event *out)
{
    reader->sections_left--;
    out->section_ends = true;
    out->message_ends = reader->sections_left == 0;
}

static bool read_section(struct fetch_reader *reader, struct vy_bytes payload,
                         struct fetch_event *out)
{
    out->kind = FETCH_EVENT_SECTION;
    const uint8_t *const head = take(&payload, 11);
    if (head == NULL || reader->sections_left == 0 || reader->section_left != 0) {
        return false;
    }
    out->section_index = vy_get_be16(head);
    out->status = (enum fetch_section_status)head[2];
    out->total_bytes = vy_get_be64(head + 3);
    out->bytes = payload;
    const bool is_inline = out->status == FETCH_SECTION_INLINE;
    if (out->section_index >= FETCH_SECTIONS_MAX || head[2] > FETCH_SECTION_SIZE ||
        out->total_bytes > UINT32_MAX || (!is_inline && payload.len != 0) ||
        (is_inline && (payload.len != out->total_bytes || payload.len > FETCH_INLINE_BYTES_MAX))) {
        return false;
    }
    if (out->status == FETCH_SECTION_LITERAL) {
        reader->section_left = out->total_bytes;
        return out->total_bytes != 0;
    }
    reader_end_section(reader, out);
    return true;
}

static bool read_missing(struct fetch_reader *reader, struct vy_bytes payload,
                         struct fetch_event *out)
{
    out->kind = FETCH_EVENT_MISSING;
    const uint8_t *const why = take(&payload, 1);
    if (why == NULL || *why > FETCH_MISSING_UNREADABLE || payload.len % 4 != 0 ||
        reader->sections_left != 0) {
        return false;
    }
    out->missing = (enum fetch_missing) * why;
    out->bytes = payload;
    return true;
}

/* The part of the current LITERAL record that is there: passed on as it comes, never gathered. */
static void read_literal_bytes(struct fetch_reader *reader, struct vy_bytes *in,
                               struct fetch_event *out)
{
    const size_t size = VY_MIN(in->len, (size_t)reader->literal_left);
    out->kind = FETCH_EVENT_SECTION_DATA;
    out->bytes = vy_bytes(take(in, size), size);
    reader->literal_left -= (uint32_t)size;
    reader->section_left -= size;
    if (reader->section_left == 0) {
        reader_end_section(reader, out);
    }
}

static bool read_record(struct fetch_reader *reader, uint8_t kind, struct vy_bytes payload,
                        struct fetch_event *out)
{
    switch (kind) {
    case FETCH_RECORD_BLOCK:
        return read_block(reader, payload, out);
    case FETCH_RECORD_MESSAGE:
        return read_message(reader, payload, out);
    case FETCH_RECORD_SECTION:
        return read_section(reader, payload, out);
    case FETCH_RECORD_MISSING:
        return read_missing(reader, payload, out);
    default:
        return false;
    }
}

/* Moves bytes into the partial record until it holds `want`; false when the input ended first. */
static bool partial_fill(struct fetch_reader *reader, struct vy_bytes *in, size_t want)
{
    const size_t have = vy_buf_len(&reader->partial);
    const size_t size = VY_MIN(in->len, want > have ? want - have : 0);
    if (size > 0) {
        vy_buf_append(&reader->partial, vy_bytes(take(in, size), size));
    }
    return vy_buf_len(&reader->partial) >= want && !reader->partial.failed;
}

static void partial_empty(struct fetch_reader *reader)
{
    vy_buf_reset(&reader->partial);
    if (reader->partial.capacity > PARTIAL_KEEP_BYTES) {
        vy_buf_release(&reader->partial);
    }
    reader->partial_done = false;
}

static bool head_is_fine(const struct fetch_reader *reader, const uint8_t *head)
{
    const uint32_t length = vy_get_be32(head + 1);
    if (head[0] == FETCH_RECORD_LITERAL) {
        return length >= 1 && length <= FETCH_LITERAL_BYTES_MAX && length <= reader->section_left;
    }
    return length <= FETCH_RECORD_BYTES_MAX && reader->section_left == 0;
}

/*
 * Finds the next record: whole in *in (borrowed), or gathered in partial. A LITERAL only has its
 * head taken. record->data == NULL: more input is needed, or a LITERAL begins.
 */
static struct vy_err reader_next_record(struct fetch_reader *reader, struct vy_bytes *in,
                                        struct vy_bytes *record)
{
    const bool is_direct = vy_buf_len(&reader->partial) == 0 && in->len >= RECORD_HEAD_BYTES;
    *record = vy_bytes(NULL, 0);
    if (!is_direct && !partial_fill(reader, in, RECORD_HEAD_BYTES)) {
        return reader->partial.failed ? vy_buf_error(&reader->partial) : vy_ok();
    }
    const uint8_t *const head = is_direct ? in->data : vy_buf_bytes(&reader->partial).data;
    if (!head_is_fine(reader, head)) {
        return vy_error(VY_CODE_CORRUPT, "fetch stream: record head");
    }
    const size_t size = RECORD_HEAD_BYTES + (size_t)vy_get_be32(head + 1);
    if (head[0] == FETCH_RECORD_LITERAL) {
        reader->literal_left = vy_get_be32(head + 1);
        if (is_direct) {
            (void)take(in, RECORD_HEAD_BYTES);
        } else {
            partial_empty(reader);
        }
        return vy_ok();
    }
    if (is_direct && in->len >= size) {
        *record = vy_bytes(take(in, size), size);
        return vy_ok();
    }
    if (partial_fill(reader, in, size)) {
        *record = vy_buf_bytes(&reader->partial);
        reader->partial_done = true;
    }
    return reader->partial.failed ? vy_buf_error(&reader->partial) : vy_ok();
}

static struct vy_err reader_step(struct fetch_reader *reader, struct vy_bytes *in,
                                 struct fetch_event *out)
{
    struct vy_bytes record = {.data = NULL};
    if (reader->literal_left == 0) {
        VY_TRY(reader_next_record(reader, in, &record));
    }
    if (reader->literal_left > 0) {
        if (in->len > 0) {
            read_literal_bytes(reader, in, out);
        }
        return vy_ok();
    }
    if (record.data == NULL) {
        return vy_ok();
    }
    if (!read_record(reader, record.data[0], vy_bytes_from(record, RECORD_HEAD_BYTES), out)) {
        return vy_error(VY_CODE_CORRUPT, "fetch stream: record");
    }
    return vy_ok();
}

struct vy_err fetch_reader_next(struct fetch_reader *reader, struct vy_bytes *in,
                                struct fetch_event *out)
{
    *out = (struct fetch_event){.kind = FETCH_EVENT_NONE};
    if (reader->failed) {
        return vy_error(VY_CODE_CORRUPT, "fetch stream: already failed");
    }
    if (reader->partial_done) {
        partial_empty(reader);
    }
    const struct vy_err err = reader_step(reader, in, out);
    reader->failed = vy_failed(err);
    if (reader->failed) {
        *out = (struct fetch_event){.kind = FETCH_EVENT_NONE};
    }
    return err;
}
