/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/imap_string.h"

/* Of each byte: may stand in a quoted string as it is; needs a backslash; needs a literal. */
enum quality { PLAIN, ESCAPED, LITERAL };

static enum quality byte_quality(uint8_t c)
{
    if (c == '"' || c == '\\') {
        return ESCAPED;
    }
    return c == '\r' || c == '\n' || c == 0 || c >= 0x80 ? LITERAL : PLAIN;
}

static enum quality text_quality(struct vy_bytes text)
{
    enum quality worst = PLAIN;
    if (text.len > IMAP_STRING_QUOTED_BYTES_MAX) {
        return LITERAL;
    }
    for (size_t i = 0; i < text.len && worst != LITERAL; i++) {
        worst = VY_MAX(worst, byte_quality(text.data[i]));
    }
    return worst;
}

static void append_escaped(struct vy_buf *out, struct vy_bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (byte_quality(text.data[i]) == ESCAPED) {
            vy_buf_append_byte(out, '\\');
        }
        vy_buf_append_byte(out, text.data[i]);
    }
}

static void append_literal(struct vy_buf *out, struct vy_bytes text)
{
    vy_buf_append_byte(out, '{');
    vy_buf_append_u64(out, text.len);
    vy_buf_append_cstr(out, "}\r\n");
    uint8_t *const room = vy_buf_reserve(out, text.len);
    if (room == NULL) {
        return;
    }
    for (size_t i = 0; i < text.len; i++) {
        room[i] = text.data[i] == 0 ? '?' : text.data[i];
    }
    vy_buf_added(out, text.len);
}

void imap_string_append(struct vy_buf *out, struct vy_bytes text)
{
    const enum quality quality = text_quality(text);
    if (quality == LITERAL) {
        append_literal(out, text);
        return;
    }
    vy_buf_append_byte(out, '"');
    if (quality == PLAIN) {
        vy_buf_append(out, text);
    } else {
        append_escaped(out, text);
    }
    vy_buf_append_byte(out, '"');
}

void imap_string_append_or_nil(struct vy_buf *out, struct vy_bytes text)
{
    if (text.data == NULL) {
        vy_buf_append_cstr(out, "NIL");
        return;
    }
    imap_string_append(out, text);
}
