/* SPDX-License-Identifier: Apache-2.0 */
#include "frontend/imap/writer.h"
#include "base/assert.h"
#include "frontend/imap/parser.h"
#include "mail/imap_string.h"
#include "mail/mutf7.h"

#define TEXT_BYTES_MAX 200U
#define MAILBOX_WIRE_BYTES_MAX 32768U

/* "00" to "99". */
static const char digit_pairs[] = "0001020304050607080910111213141516171819"
                                  "2021222324252627282930313233343536373839"
                                  "4041424344454647484950515253545556575859"
                                  "6061626364656667686970717273747576777879"
                                  "8081828384858687888990919293949596979899";

static char *put_pair(char *before, uint64_t pair)
{
    before[-2] = digit_pairs[2 * pair];
    before[-1] = digit_pairs[2 * pair + 1];
    return before - 2;
}

char *imap_put_u64(char *at, uint64_t value)
{
    size_t len = 1;
    for (uint64_t left = value; left >= 10; left /= 10) {
        len++;
    }
    char *before = at + len;
    while (value >= 100) {
        before = put_pair(before, value % 100);
        value /= 100;
    }
    if (value >= 10) {
        (void)put_pair(before, value);
    } else {
        before[-1] = (char)('0' + value);
    }
    return at + len;
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
