/* SPDX-License-Identifier: Apache-2.0 */
#include "frontend/smtp/data.h"

/* clang-format off */
static const struct {
    const char *reply;
    const char *text;
} fault_rows[SMTP_DATA_FAULT_COUNT] = {
    [SMTP_DATA_FINE]             = { "250 2.0.0", "Ok" },
    [SMTP_DATA_BARE_EOL]         = { "550 5.5.2", "Bare CR or LF in the message: every line ends with CRLF" },
    [SMTP_DATA_NUL]              = { "550 5.6.0", "NUL in the message" },
    [SMTP_DATA_TOO_LARGE]        = { "552 5.3.4", "Message is larger than the announced limit" },
    [SMTP_DATA_HEADER_TOO_LARGE] = { "552 5.3.4", "Message header is too large" },
    [SMTP_DATA_LOOP]             = { "554 5.4.6", "Mail loop" },
    [SMTP_DATA_UNWANTED]         = { "451 4.3.0", "Message could not be stored" },
};
/* clang-format on */

const char *smtp_data_fault_reply(enum smtp_data_fault fault)
{
    return fault_rows[fault].reply;
}
const char *smtp_data_fault_text(enum smtp_data_fault fault)
{
    return fault_rows[fault].text;
}

void smtp_data_init(struct smtp_data *data, uint64_t size_bytes_max,
                    const struct smtp_header_config *header)
{
    *data = (struct smtp_data){.is_at_line_start = true, .size_bytes_max = size_bytes_max};
    smtp_header_init(&data->header, header);
}

static void fail(struct smtp_data *data, enum smtp_data_fault fault)
{
    if (data->fault == SMTP_DATA_FINE) {
        data->fault = fault;
    }
}

static void fail_header(struct smtp_data *data, enum smtp_header_fault fault)
{
    if (fault != SMTP_HEADER_FINE) {
        fail(data, fault == SMTP_HEADER_LOOP ? SMTP_DATA_LOOP : SMTP_DATA_HEADER_TOO_LARGE);
    }
}

/* Counts message bytes; false when they are not wanted any more. */
static bool count(struct smtp_data *data, size_t len)
{
    if (data->fault == SMTP_DATA_FINE && len > data->size_bytes_max - data->size_bytes) {
        fail(data, SMTP_DATA_TOO_LARGE);
    }
    if (data->fault != SMTP_DATA_FINE) {
        data->discarded_bytes += len;
        return false;
    }
    data->size_bytes += len;
    return true;
}

static void put_text(struct smtp_data *data, struct vy_bytes text, struct vy_buf *out)
{
    if (!count(data, text.len)) {
        return;
    }
    if (data->header.is_over) {
        vy_buf_append(out, text);
    } else {
        fail_header(data, smtp_header_text(&data->header, text, out));
    }
}

static void put_line_end(struct smtp_data *data, struct vy_buf *out)
{
    data->is_at_line_start = true;
    if (!count(data, 2)) {
        return;
    }
    if (data->header.is_over) {
        vy_buf_append(out, VY_LIT("\r\n"));
    } else {
        fail_header(data, smtp_header_line_end(&data->header, out));
    }
}

static void put_nul(struct smtp_data *data, bool is_chunk, struct vy_buf *out)
{
    if (!is_chunk || !data->header.is_over) {
        fail(data, SMTP_DATA_NUL);
    }
    put_text(data, vy_bytes("", 1), out);
}

/* Text of a stuffed line: the dot at its start is not part of it. */
static void put_stuffed(struct smtp_data *data, struct vy_bytes text, struct vy_buf *out)
{
    if (data->is_at_line_start && !data->has_dot && text.data[0] == '.') {
        data->has_dot = true;
        text = vy_bytes_from(text, 1);
        if (text.len == 0) {
            return; /* the next piece says whether this was the end */
        }
    }
    data->has_dot = false;
    data->is_at_line_start = false;
    put_text(data, text, out);
}

enum smtp_data_status smtp_data_take_dotted(struct smtp_data *data, struct vy_bytes *in,
                                            struct vy_buf *out, size_t out_max)
{
    struct vy_bytes text = {.data = NULL};
    while (vy_buf_len(out) < out_max) {
        switch (smtp_line_next(&data->line, in, &text)) {
        case SMTP_PIECE_NONE:
            return SMTP_DATA_MORE;
        case SMTP_PIECE_TEXT:
            put_stuffed(data, text, out);
            break;
        case SMTP_PIECE_END:
            if (data->has_dot) {
                return SMTP_DATA_OVER;
            }
            put_line_end(data, out);
            break;
        case SMTP_PIECE_BARE_CR:
        case SMTP_PIECE_BARE_LF:
            data->fault = SMTP_DATA_BARE_EOL; /* before any other: the session ends here */
            return SMTP_DATA_MORE;
        case SMTP_PIECE_NUL:
            data->has_dot = false;
            data->is_at_line_start = false;
            put_nul(data, false, out);
            break;
        }
    }
    return SMTP_DATA_MORE;
}

/* One piece of a chunk; false when there is none. */
static bool take_chunk_piece(struct smtp_data *data, struct vy_bytes *in, struct vy_buf *out)
{
    struct vy_bytes text = {.data = NULL};
    switch (smtp_line_next(&data->line, in, &text)) {
    case SMTP_PIECE_NONE:
        return false;
    case SMTP_PIECE_TEXT:
        put_text(data, text, out);
        return true;
    case SMTP_PIECE_END:
        put_line_end(data, out);
        return true;
    case SMTP_PIECE_BARE_CR:
    case SMTP_PIECE_BARE_LF:
        fail(data, SMTP_DATA_BARE_EOL);
        return true;
    case SMTP_PIECE_NUL:
        put_nul(data, true, out);
        return true;
    }
    return false;
}

enum smtp_data_status smtp_data_take_chunk(struct smtp_data *data, uint64_t *left,
                                           struct vy_bytes *in, struct vy_buf *out, size_t out_max)
{
    while (*left > 0 && in->len > 0 && vy_buf_len(out) < out_max) {
        struct vy_bytes chunk = vy_bytes_slice(*in, 0, (size_t)VY_MIN(*left, (uint64_t)in->len));
        const size_t len_before = chunk.len;
        if (data->fault != SMTP_DATA_FINE) {
            data->discarded_bytes += chunk.len;
            chunk = vy_bytes_from(chunk, chunk.len);
        }
        while (data->fault == SMTP_DATA_FINE && vy_buf_len(out) < out_max &&
               take_chunk_piece(data, &chunk, out)) {
        }
        *left -= len_before - chunk.len;
        *in = vy_bytes_from(*in, len_before - chunk.len);
    }
    return *left == 0 ? SMTP_DATA_OVER : SMTP_DATA_MORE;
}

void smtp_data_discard(struct smtp_data *data)
{
    fail(data, SMTP_DATA_UNWANTED);
}

void smtp_data_finish(struct smtp_data *data, struct vy_buf *out)
{
    if (data->line.has_cr) {
        fail(data, SMTP_DATA_BARE_EOL); /* a last chunk that ends with CR */
    }
    if (data->fault == SMTP_DATA_FINE) {
        smtp_header_finish(&data->header, out);
    }
}
