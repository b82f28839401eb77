/* SPDX-License-Identifier: Apache-2.0 */
#include "frontend/imap/writer.h"
#include "base/assert.h"
#include "frontend/imap/parser.h"
#include "mail/mutf7.h"

#define QUOTED_BYTES_MAX 1000U /* longer ones go as a literal: some clients bound their lines */
#define TEXT_BYTES_MAX 200U
#define MAILBOX_WIRE_BYTES_MAX 32768U

char *imap_put_u64(char *at, uint64_t value)
{
    char digits[20];
    size_t count = 0;
    do {
        digits[count++] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    while (count > 0) {
        *at++ = digits[--count];
    }
    return at;
}

/* TEXT-CHAR but for the two that need a backslash: what a quoted string may hold as it is. */
static bool can_be_quoted(struct vy_bytes text, bool *has_specials)
{
    *has_specials = false;
    if (text.len > QUOTED_BYTES_MAX) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        const uint8_t c = text.data[i];
        if (c < ' ' || c >= 0x7f) {
            return false;
        }
        *has_specials = *has_specials || c == '"' || c == '\\';
    }
    return true;
}

static void write_escaped(struct vy_buf *out, struct vy_bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        const uint8_t c = text.data[i];
        if (c == '"' || c == '\\') {
            vy_buf_append_byte(out, '\\');
        }
        vy_buf_append_byte(out, c);
    }
}

void imap_write_string(struct vy_buf *out, struct vy_bytes text)
{
    bool has_specials = false;
    if (!can_be_quoted(text, &has_specials)) {
        vy_buf_append_byte(out, '{');
        vy_buf_append_u64(out, text.len);
        vy_buf_append_cstr(out, "}\r\n");
        vy_buf_append(out, text);
        return;
    }
    vy_buf_append_byte(out, '"');
    if (has_specials) {
        write_escaped(out, text);
    } else {
        vy_buf_append(out, text);
    }
    vy_buf_append_byte(out, '"');
}

void imap_write_nstring(struct vy_buf *out, struct vy_bytes text)
{
    if (text.data == NULL) {
        vy_buf_append_cstr(out, "NIL");
        return;
    }
    imap_write_string(out, text);
}

static bool is_plain_atom(struct vy_bytes text)
{
    if (text.len == 0 || vy_bytes_equal_nocase(text, VY_LIT("NIL"))) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        if (!imap_is_atom_char(text.data[i])) {
            return false;
        }
    }
    return true;
}

void imap_write_astring(struct vy_buf *out, struct vy_bytes text)
{
    if (is_plain_atom(text)) {
        vy_buf_append(out, text);
        return;
    }
    imap_write_string(out, text);
}

void imap_write_mailbox(struct vy_buf *out, struct vy_bytes name)
{
    struct vy_buf wire;
    vy_buf_init(&wire, MAILBOX_WIRE_BYTES_MAX);
    mutf7_encode(&wire, name);
    imap_write_astring(out, vy_buf_bytes(&wire));
    vy_buf_deinit(&wire);
}

void imap_write_ranges(struct vy_buf *out, const struct imap_ranges *ranges)
{
    for (size_t i = 0; i < ranges->count; i++) {
        char text[48];
        char *at = text;
        if (i > 0) {
            *at++ = ',';
        }
        at = imap_put_u64(at, ranges->items[i].first);
        if (ranges->items[i].last > ranges->items[i].first) {
            *at++ = ':';
            at = imap_put_u64(at, ranges->items[i].last);
        }
        vy_buf_append(out, vy_bytes(text, (size_t)(at - text)));
    }
}

void imap_write_object_id(struct vy_buf *out, char kind, const uint8_t *id, size_t id_bytes)
{
    static const char hex[] = "0123456789abcdef";
    char text[33];
    char *at = text;
    VY_ASSERT(id_bytes <= 16);
    *at++ = kind;
    for (size_t i = 0; i < id_bytes; i++) {
        *at++ = hex[id[i] >> 4];
        *at++ = hex[id[i] & 15];
    }
    vy_buf_append(out, vy_bytes(text, (size_t)(at - text)));
}

void imap_write_text(struct vy_buf *out, struct vy_bytes text)
{
    const size_t len = VY_MIN(text.len, (size_t)TEXT_BYTES_MAX);
    for (size_t i = 0; i < len; i++) {
        const uint8_t c = text.data[i];
        vy_buf_append_byte(out, c < ' ' || c == 0x7f ? '?' : c);
    }
}
