/* SPDX-License-Identifier: Apache-2.0 */
#include "frontend/imap/writer.h"
#include "base/assert.h"
#include "frontend/imap/parser.h"
#include "mail/imap_string.h"
#include "mail/mutf7.h"

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
    imap_string_append(out, text);
}

void imap_write_mailbox(struct vy_buf *out, struct vy_bytes name)
{
    struct vy_buf wire;
    vy_buf_init(&wire, MAILBOX_WIRE_BYTES_MAX);
    mutf7_encode(&wire, name);
    imap_write_astring(out, vy_buf_bytes(&wire));
    vy_buf_deinit(&wire);
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
