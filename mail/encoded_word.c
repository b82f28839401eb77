/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/encoded_word.h"

#include "mail/charset.h"
#include "mail/cte.h"
#include "mail/header.h"

#define CHARSET_NAME_BYTES_MAX 64U

/* "=?charset*language?Q?text?=" */
struct word {
    uint16_t charset;
    bool is_base64;
    struct vy_bytes text;
    size_t bytes; /* of all of it */
};

struct decoder {
    struct vy_buf *out;
    struct vy_buf pending; /* bytes of adjacent words of one charset: characters may be split */
    uint16_t pending_charset;
    struct vy_buf utf8;
    bool has_no_end; /* no "?=" stands in the rest: not looked for again, so that work is linear */
};

/* Reads the word at the front of `in`, which begins with "=?". */
static bool parse_word(struct decoder *d, struct vy_bytes in, struct word *out)
{
    const size_t charset_end =
        vy_bytes_find_byte(vy_bytes_slice(in, 0, CHARSET_NAME_BYTES_MAX), '?', 2);
    if (d->has_no_end || charset_end == SIZE_MAX || charset_end == 2 || in.len < charset_end + 3 ||
        in.data[charset_end + 2] != '?') {
        return false;
    }
    const uint8_t encoding = vy_ascii_lower(in.data[charset_end + 1]);
    if (encoding != 'q' && encoding != 'b') {
        return false;
    }
    const size_t text_at = charset_end + 3;
    const size_t end = vy_bytes_find(in, VY_LIT("?="), text_at);
    if (end == SIZE_MAX) {
        d->has_no_end = true;
        return false;
    }
    struct vy_bytes name = vy_bytes_slice(in, 2, charset_end - 2);
    *out = (struct word){
        .charset = charset_find(vy_bytes_cut(&name, '*')), /* RFC 2231 section 5: language */
        .is_base64 = encoding == 'b',
        .text = vy_bytes_slice(in, text_at, end - text_at),
        .bytes = end + 2,
    };
    return true;
}

static void append_q(struct vy_buf *out, struct vy_bytes text)
{
    uint8_t *const to = vy_buf_reserve(out, text.len);
    size_t len = 0;
    if (to == NULL) {
        return;
    }
    for (size_t i = 0; i < text.len; i++) {
        const bool has_hex = text.data[i] == '=' && i + 2 < text.len &&
                             vy_ascii_hex_value(text.data[i + 1]) >= 0 &&
                             vy_ascii_hex_value(text.data[i + 2]) >= 0;
        if (has_hex) {
            to[len++] = (uint8_t)(vy_ascii_hex_value(text.data[i + 1]) * 16 +
                                  vy_ascii_hex_value(text.data[i + 2]));
            i += 2;
        } else {
            to[len++] = text.data[i] == '_' ? ' ' : text.data[i];
        }
    }
    vy_buf_added(out, len);
}

static void flush(struct decoder *d)
{
    if (vy_buf_len(&d->pending) == 0) {
        return;
    }
    charset_append_utf8(&d->utf8, d->pending_charset, vy_buf_bytes(&d->pending));
    charset_append_clean(d->out, vy_buf_bytes(&d->utf8), /* no_controls = */ true);
    vy_buf_reset(&d->pending);
    vy_buf_reset(&d->utf8);
}

static void add_word(struct decoder *d, const struct word *word)
{
    if (word->charset != d->pending_charset) {
        flush(d);
        d->pending_charset = word->charset;
    }
    if (word->is_base64) {
        cte_decode(CTE_BASE64, word->text, &d->pending);
    } else {
        append_q(&d->pending, word->text);
    }
}

static void decode(struct decoder *d, struct vy_bytes in)
{
    bool is_after_word = false;
    size_t plain_from = 0;
    size_t at = 0;
    struct word word;

    while (at < in.len) {
        at = vy_bytes_find(in, VY_LIT("=?"), at);
        if (at == SIZE_MAX) {
            break;
        }
        if (!parse_word(d, vy_bytes_from(in, at), &word)) {
            at += 2;
            continue;
        }
        /* White space between two encoded words is not text (RFC 2047 section 6.2). */
        const struct vy_bytes between = vy_bytes_slice(in, plain_from, at - plain_from);
        if (!is_after_word || !vy_bytes_is_empty(vy_bytes_trim(between))) {
            flush(d);
            charset_append_clean(d->out, between, /* no_controls = */ true);
        }
        add_word(d, &word);
        is_after_word = true;
        at += word.bytes;
        plain_from = at;
    }
    flush(d);
    charset_append_clean(d->out, vy_bytes_from(in, plain_from), /* no_controls = */ true);
}

void encoded_word_decode(struct vy_buf *out, struct vy_bytes value)
{
    struct vy_buf unfolded;
    struct decoder d = {.out = out};

    vy_buf_init(&unfolded, value.len);
    vy_buf_init(&d.pending,
                value.len + 3); /* what a decoder asks for, a little more than it needs */
    vy_buf_init(&d.utf8, 4 * value.len + 16);
    header_unfold(&unfolded, value);
    decode(&d, vy_buf_bytes(&unfolded));
    out->failed = out->failed || unfolded.failed || d.pending.failed || d.utf8.failed;
    vy_buf_deinit(&unfolded);
    vy_buf_deinit(&d.pending);
    vy_buf_deinit(&d.utf8);
}
