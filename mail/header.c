/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/header.h"

void header_iter_init(struct header_iter *iter, struct vy_bytes block)
{
    *iter = (struct header_iter){.block = block};
}

/* Behind the LF of the line that begins at `at`; the end of the block when there is none. */
static size_t line_end(struct vy_bytes block, size_t at)
{
    const size_t lf = vy_bytes_find_byte(block, '\n', at);
    return lf == SIZE_MAX ? block.len : lf + 1;
}

static bool is_blank_line(struct vy_bytes line)
{
    return (line.len == 1 && line.data[0] == '\n') ||
           (line.len == 2 && line.data[0] == '\r' && line.data[1] == '\n');
}

static bool is_continuation(struct vy_bytes block, size_t at)
{
    return at < block.len && (block.data[at] == ' ' || block.data[at] == '\t');
}

/* RFC 5322 section 3.6.8: printable ASCII but the colon. */
static bool is_field_name(struct vy_bytes name)
{
    for (size_t i = 0; i < name.len; i++) {
        if (name.data[i] <= ' ' || name.data[i] >= 0x7F) {
            return false;
        }
    }
    return name.len > 0;
}

static void split_field(struct vy_bytes raw, struct header_field *out)
{
    const size_t first_line = line_end(raw, 0);
    const size_t colon = vy_bytes_find_byte(vy_bytes_slice(raw, 0, first_line), ':', 0);
    if (colon == SIZE_MAX) {
        out->name = vy_bytes(raw.data, 0);
        out->value = vy_bytes_trim_crlf(raw);
        out->is_usable = false;
        return;
    }
    out->name = vy_bytes_slice(raw, 0, colon);
    out->value = vy_bytes_trim_crlf(vy_bytes_from(raw, colon + 1));
    out->is_usable = is_field_name(out->name);
}

bool header_iter_next(struct header_iter *iter, struct header_field *out)
{
    const size_t from = iter->at;
    if (from >= iter->block.len) {
        return false;
    }
    size_t end = line_end(iter->block, from);
    if (is_blank_line(vy_bytes_slice(iter->block, from, end - from))) {
        return false;
    }
    while (is_continuation(iter->block, end)) {
        end = line_end(iter->block, end);
    }
    iter->at = end;
    out->offset = from;
    out->raw = vy_bytes_slice(iter->block, from, end - from);
    split_field(out->raw, out);
    return true;
}

bool header_find(struct vy_bytes block, struct vy_bytes name, struct header_field *out)
{
    struct header_iter iter;
    struct header_field field;

    header_iter_init(&iter, block);
    while (header_iter_next(&iter, &field)) {
        if (field.is_usable && vy_bytes_equal_nocase(field.name, name)) {
            *out = field;
            return true;
        }
    }
    return false;
}

size_t header_count(struct vy_bytes block, struct vy_bytes name)
{
    struct header_iter iter;
    struct header_field field;
    size_t count = 0;

    header_iter_init(&iter, block);
    while (header_iter_next(&iter, &field)) {
        count += field.is_usable && vy_bytes_equal_nocase(field.name, name) ? 1 : 0;
    }
    return count;
}

size_t header_block_bytes(struct vy_bytes message)
{
    for (size_t at = 0; at < message.len;) {
        const size_t end = line_end(message, at);
        if (is_blank_line(vy_bytes_slice(message, at, end - at))) {
            return end;
        }
        at = end;
    }
    return message.len;
}

/* Takes the text up to the next line end off *rest; the line end goes with it. */
static struct vy_bytes cut_line(struct vy_bytes *rest)
{
    const size_t end = line_end(*rest, 0);
    const struct vy_bytes line = vy_bytes_trim_crlf(vy_bytes_slice(*rest, 0, end));
    *rest = vy_bytes_from(*rest, end);
    return line;
}

void header_unfold(struct vy_buf *out, struct vy_bytes value)
{
    const size_t from = vy_buf_len(out);

    while (value.len > 0) {
        vy_buf_append(out, cut_line(&value));
    }
    if (out->failed || out->data == NULL) {
        return;
    }
    uint8_t *const text = out->data + out->start + from;
    const size_t len = vy_buf_len(out) - from;
    const struct vy_bytes trimmed = vy_bytes_trim(vy_bytes(text, len));
    if (trimmed.len < len) {
        memmove(text, trimmed.data, trimmed.len);
        vy_buf_truncate(out, from + trimmed.len);
    }
}

struct vy_err header_unfold_arena(struct vy_arena *arena, struct vy_bytes value,
                                  struct vy_bytes *out)
{
    if (vy_bytes_find_byte(value, '\n', 0) == SIZE_MAX) {
        *out = vy_bytes_trim(value);
        return vy_ok();
    }
    uint8_t *const text = vy_arena_alloc(arena, value.len);
    if (text == NULL) {
        return vy_error(VY_CODE_LIMIT, "header field");
    }
    size_t len = 0;
    while (value.len > 0) {
        const struct vy_bytes line = cut_line(&value);
        if (line.len > 0) {
            memcpy(text + len, line.data, line.len);
        }
        len += line.len;
    }
    *out = vy_bytes_trim(vy_bytes(text, len));
    return vy_ok();
}

struct vy_err header_check_limits(struct vy_bytes block)
{
    struct header_iter iter;
    struct header_field field;
    size_t count = 0;

    if (block.len > HEADER_BYTES_MAX) {
        return vy_error(VY_CODE_LIMIT, "headers are too large");
    }
    header_iter_init(&iter, block);
    while (header_iter_next(&iter, &field)) {
        count++;
        if (field.raw.len > HEADER_FIELD_BYTES_MAX) {
            return vy_error(VY_CODE_LIMIT, "header field is too large");
        }
        if (count > HEADER_FIELDS_MAX) {
            return vy_error(VY_CODE_LIMIT, "too many header fields");
        }
    }
    return vy_ok();
}
