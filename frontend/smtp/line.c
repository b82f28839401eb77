/* SPDX-License-Identifier: Apache-2.0 */
#include "frontend/smtp/line.h"

/* Bytes looked at in one step: bounds the work on input that is full of CRs. */
#define SMTP_LINE_STEP_BYTES 4096U

/* Bytes before the first CR, LF or NUL. */
static size_t text_length(struct vy_bytes in)
{
    static const char ends[] = {'\n', '\r', '\0'};
    size_t len = VY_MIN(in.len, SMTP_LINE_STEP_BYTES);
    for (size_t i = 0; i < sizeof(ends); i++) {
        const uint8_t *found = memchr(in.data, ends[i], len);
        len = found == NULL ? len : (size_t)(found - in.data);
    }
    return len;
}

static enum smtp_piece after_cr(struct smtp_line *line, struct vy_bytes *in)
{
    line->has_cr = false;
    if (in->data[0] != '\n') {
        return SMTP_PIECE_BARE_CR; /* the byte stays: it is looked at on its own */
    }
    *in = vy_bytes_from(*in, 1);
    return SMTP_PIECE_END;
}

enum smtp_piece smtp_line_next(struct smtp_line *line, struct vy_bytes *in, struct vy_bytes *text)
{
    if (in->len == 0) {
        return SMTP_PIECE_NONE;
    }
    if (line->has_cr) {
        return after_cr(line, in);
    }
    const size_t len = text_length(*in);
    if (len > 0) {
        *text = vy_bytes_slice(*in, 0, len);
        *in = vy_bytes_from(*in, len);
        return SMTP_PIECE_TEXT;
    }
    const uint8_t byte = in->data[0];
    *in = vy_bytes_from(*in, 1);
    if (byte != '\r') {
        return byte == '\n' ? SMTP_PIECE_BARE_LF : SMTP_PIECE_NUL;
    }
    line->has_cr = true;
    return in->len == 0 ? SMTP_PIECE_NONE : after_cr(line, in);
}
