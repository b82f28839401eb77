/* SPDX-License-Identifier: Apache-2.0 */
#include "frontend/imap/reader.h"
#include "base/assert.h"

#define TEXT_KEEP_BYTES 1024U  /* a larger buffer is given back after its command */
#define SKIP_TAIL_BYTES 32U    /* enough of a skipped line to see "{n+}" at its end */
#define TEXT_BYTES_MAX 262144U /* line and literals of one command, with room */

void imap_reader_init(struct imap_reader *reader, uint32_t line_bytes_max)
{
    *reader = (struct imap_reader){.line_bytes_max = line_bytes_max};
    vy_buf_init(&reader->text, TEXT_BYTES_MAX);
}

void imap_reader_deinit(struct imap_reader *reader)
{
    vy_buf_deinit(&reader->text);
}

void imap_reader_reset(struct imap_reader *reader)
{
    vy_buf_reset(&reader->text);
    if (reader->text.capacity > TEXT_KEEP_BYTES) {
        vy_buf_release(&reader->text);
    }
    struct imap_reader fresh = {.line_bytes_max = reader->line_bytes_max, .text = reader->text};
    *reader = fresh;
}

struct vy_bytes imap_reader_text(const struct imap_reader *reader)
{
    return vy_bytes_trim_crlf(vy_buf_bytes(&reader->text));
}

/* Parses "{n}" or "{n+}" at the end of a line; false when the line does not end with "}" at all. */
static bool ends_with_literal(struct imap_reader *reader, struct vy_bytes line, bool *is_fine)
{
    *is_fine = false;
    if (line.len == 0 || line.data[line.len - 1] != '}') {
        return false;
    }
    size_t open = line.len - 1;
    while (open > 0 && line.data[open] != '{') {
        open--;
    }
    if (line.data[open] != '{') {
        return false;
    }
    struct vy_bytes number = vy_bytes_slice(line, open + 1, line.len - open - 2);
    reader->literal_is_sync = !vy_bytes_ends_with(number, VY_LIT("+"));
    reader->literal_is_binary = open > 0 && line.data[open - 1] == '~';
    number.len -= reader->literal_is_sync ? 0 : 1;
    uint32_t size = 0;
    *is_fine = vy_parse_u32(number, &size); /* I1: empty, signed, over 32 bits */
    reader->literal_size = size;
    return true;
}

/* The line end has been taken into text: what is it the end of? */
static enum imap_read end_line(struct imap_reader *reader)
{
    const struct vy_bytes line = imap_reader_text(reader);
    bool is_fine = false;
    if (reader->in_quotes) {
        reader->what = "quoted string without its end";
        return IMAP_READ_BAD;
    }
    if (!ends_with_literal(reader, line, &is_fine)) {
        return IMAP_READ_COMMAND;
    }
    reader->what = "not the size of a literal";
    return is_fine ? IMAP_READ_LITERAL : IMAP_READ_BAD_SIZE;
}

/* Quotes and parentheses of one byte; a literal reason when the line is over a limit. */
static const char *note_byte(struct imap_reader *reader, uint8_t byte)
{
    if (byte == 0) {
        return "NUL in a line";
    }
    if (reader->in_quotes) {
        const bool was_escaped = reader->is_escaped;
        reader->is_escaped = !was_escaped && byte == '\\';
        reader->in_quotes = was_escaped || byte != '"';
        return NULL;
    }
    if (byte == '"') {
        reader->in_quotes = true;
    } else if (byte == '(') {
        reader->depth++;
    } else if (byte == ')' && reader->depth > 0) {
        reader->depth--;
    }
    return reader->depth > IMAP_PAREN_DEPTH_MAX ? "parentheses too deep" : NULL;
}

/* Bytes of the line up to and with its LF, or all of *in; *ended says which. */
static struct vy_bytes take_line_part(struct vy_bytes *in, bool *ended)
{
    const size_t at = vy_bytes_find_byte(*in, '\n', 0);
    *ended = at != SIZE_MAX;
    const struct vy_bytes part = vy_bytes_slice(*in, 0, *ended ? at + 1 : in->len);
    *in = vy_bytes_from(*in, part.len);
    return part;
}

static enum imap_read take_line(struct imap_reader *reader, struct vy_bytes *in)
{
    bool ended = false;
    const struct vy_bytes part = take_line_part(in, &ended);
    if (part.len > reader->line_bytes_max - reader->line_bytes) {
        return IMAP_READ_TOO_LONG;
    }
    reader->line_bytes += (uint32_t)part.len;
    for (size_t i = 0; i < part.len; i++) {
        reader->what = note_byte(reader, part.data[i]);
        if (reader->what != NULL) {
            reader->state = IMAP_READ_LINE_BAD;
            break;
        }
    }
    vy_buf_append(&reader->text, part);
    if (reader->text.failed) {
        return IMAP_READ_TOO_LONG;
    }
    if (reader->state == IMAP_READ_LINE_BAD) {
        return ended ? IMAP_READ_BAD : IMAP_READ_MORE;
    }
    return ended ? end_line(reader) : IMAP_READ_MORE;
}

/* The rest of a line that is refused already: only its length counts. */
static enum imap_read take_bad_line(struct imap_reader *reader, struct vy_bytes *in)
{
    bool ended = false;
    const struct vy_bytes part = take_line_part(in, &ended);
    if (part.len > reader->line_bytes_max - reader->line_bytes) {
        return IMAP_READ_TOO_LONG;
    }
    reader->line_bytes += (uint32_t)part.len;
    return ended ? IMAP_READ_BAD : IMAP_READ_MORE;
}

static enum imap_read take_literal(struct imap_reader *reader, struct vy_bytes *in)
{
    const size_t size = (size_t)VY_MIN((uint64_t)in->len, reader->literal_left);
    vy_buf_append(&reader->text, vy_bytes_slice(*in, 0, size));
    *in = vy_bytes_from(*in, size);
    reader->literal_left -= size;
    if (reader->text.failed) {
        return IMAP_READ_TOO_LONG;
    }
    if (reader->literal_left == 0) {
        reader->state = IMAP_READ_LINE;
    }
    return IMAP_READ_MORE;
}

/* A command that is refused, up to its end: its lines (only their ends are kept) and
 * non-synchronizing literals. */
static enum imap_read take_skipped_line(struct imap_reader *reader, struct vy_bytes *in)
{
    bool ended = false;
    const struct vy_bytes part = take_line_part(in, &ended);
    reader->skipped_bytes += part.len;
    vy_buf_append(&reader->text,
                  vy_bytes_from(part, part.len - VY_MIN(part.len, (size_t)SKIP_TAIL_BYTES)));
    if (vy_buf_len(&reader->text) > (size_t)SKIP_TAIL_BYTES) {
        vy_buf_consume(&reader->text, vy_buf_len(&reader->text) - SKIP_TAIL_BYTES);
    }
    if (!ended) {
        return IMAP_READ_MORE;
    }
    bool is_fine = false;
    if (!ends_with_literal(reader, imap_reader_text(reader), &is_fine) || !is_fine ||
        reader->literal_is_sync) {
        return IMAP_READ_SKIPPED;
    }
    imap_reader_skip_literal(reader);
    return IMAP_READ_MORE;
}

static enum imap_read take_skipped_literal(struct imap_reader *reader, struct vy_bytes *in)
{
    const size_t size = (size_t)VY_MIN((uint64_t)in->len, reader->literal_left);
    *in = vy_bytes_from(*in, size);
    reader->literal_left -= size;
    reader->skipped_bytes += size;
    if (reader->literal_left == 0) {
        reader->state = IMAP_READ_SKIP_LINE;
    }
    return IMAP_READ_MORE;
}

static enum imap_read take_part(struct imap_reader *reader, struct vy_bytes *in)
{
    switch (reader->state) {
    case IMAP_READ_LINE:
        return take_line(reader, in);
    case IMAP_READ_LINE_BAD:
        return take_bad_line(reader, in);
    case IMAP_READ_IN_LITERAL:
        return take_literal(reader, in);
    case IMAP_READ_SKIP_LINE:
        return take_skipped_line(reader, in);
    case IMAP_READ_SKIP_LITERAL:
        return take_skipped_literal(reader, in);
    }
    return IMAP_READ_MORE;
}

enum imap_read imap_reader_take(struct imap_reader *reader, struct vy_bytes *in)
{
    enum imap_read result = IMAP_READ_MORE;
    while (in->len > 0 && result == IMAP_READ_MORE) {
        result = take_part(reader, in);
    }
    return result;
}

void imap_reader_accept_literal(struct imap_reader *reader)
{
    reader->literal_bytes += reader->literal_size;
    reader->literal_left = reader->literal_size;
    if (reader->literal_left > 0) {
        reader->state = IMAP_READ_IN_LITERAL;
    }
}

void imap_reader_skip_literal(struct imap_reader *reader)
{
    vy_buf_reset(&reader->text);
    reader->literal_left = reader->literal_size;
    reader->state = reader->literal_left > 0 ? IMAP_READ_SKIP_LITERAL : IMAP_READ_SKIP_LINE;
}

enum imap_read imap_reader_take_plain(struct imap_reader *reader, struct vy_bytes *in)
{
    bool ended = false;
    const struct vy_bytes part = take_line_part(in, &ended);
    if (part.len > reader->line_bytes_max - reader->line_bytes) {
        return IMAP_READ_TOO_LONG;
    }
    reader->line_bytes += (uint32_t)part.len;
    vy_buf_append(&reader->text, part);
    if (reader->text.failed) {
        return IMAP_READ_TOO_LONG;
    }
    return ended ? IMAP_READ_COMMAND : IMAP_READ_MORE;
}
