/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/cte.h"

#include "base/assert.h"

static const char *const names[] = {
    [CTE_7BIT] = "7bit",     [CTE_8BIT] = "8bit",
    [CTE_BINARY] = "binary", [CTE_QUOTED_PRINTABLE] = "quoted-printable",
    [CTE_BASE64] = "base64", [CTE_UNKNOWN] = "x-unknown",
};

enum cte cte_find(struct vy_bytes name)
{
    name = vy_bytes_trim(name);
    for (size_t i = 0; i < CTE_UNKNOWN; i++) {
        if (vy_bytes_equal_nocase(name, vy_cstr(names[i]))) {
            return (enum cte)i;
        }
    }
    return CTE_UNKNOWN;
}

const char *cte_name(enum cte encoding)
{
    VY_ASSERT((size_t)encoding < VY_COUNT_OF(names));
    return names[encoding];
}

void cte_decoder_init(struct cte_decoder *decoder, enum cte encoding)
{
    decoder->encoding = encoding;
    decoder->bits = 0;
    decoder->digits = 0;
    decoder->held_len = 0;
}

/* ---- base64 ---- */

#define PAD 65

/* clang-format off */
/* Value + 1 of each digit, PAD for '=', 0 for what is skipped. */
static const uint8_t base64_values[256] = {
    ['A'] = 1, ['B'] = 2, ['C'] = 3, ['D'] = 4, ['E'] = 5, ['F'] = 6, ['G'] = 7, ['H'] = 8,
    ['I'] = 9, ['J'] = 10, ['K'] = 11, ['L'] = 12, ['M'] = 13, ['N'] = 14, ['O'] = 15, ['P'] = 16,
    ['Q'] = 17, ['R'] = 18, ['S'] = 19, ['T'] = 20, ['U'] = 21, ['V'] = 22, ['W'] = 23, ['X'] = 24,
    ['Y'] = 25, ['Z'] = 26, ['a'] = 27, ['b'] = 28, ['c'] = 29, ['d'] = 30, ['e'] = 31, ['f'] = 32,
    ['g'] = 33, ['h'] = 34, ['i'] = 35, ['j'] = 36, ['k'] = 37, ['l'] = 38, ['m'] = 39, ['n'] = 40,
    ['o'] = 41, ['p'] = 42, ['q'] = 43, ['r'] = 44, ['s'] = 45, ['t'] = 46, ['u'] = 47, ['v'] = 48,
    ['w'] = 49, ['x'] = 50, ['y'] = 51, ['z'] = 52, ['0'] = 53, ['1'] = 54, ['2'] = 55, ['3'] = 56,
    ['4'] = 57, ['5'] = 58, ['6'] = 59, ['7'] = 60, ['8'] = 61, ['9'] = 62, ['+'] = 63, ['/'] = 64,
    ['='] = PAD,
};
/* clang-format on */

/* What a group cut off by padding or by the end still says; at most 2 bytes. */
static size_t base64_flush(struct cte_decoder *d, uint8_t *to)
{
    size_t len = 0;
    if (d->digits >= 2) {
        const uint32_t bits = d->bits << (6 * (4 - d->digits));
        to[len++] = (uint8_t)(bits >> 16);
        if (d->digits == 3) {
            to[len++] = (uint8_t)(bits >> 8);
        }
    }
    d->digits = 0;
    d->bits = 0;
    return len;
}

/* Some mailers join encoded pieces: what follows padding begins a new group. */
static void base64_feed(struct cte_decoder *d, struct vy_bytes in, struct vy_buf *out)
{
    uint8_t *const to = vy_buf_reserve(out, in.len / 4 * 3 + 3);
    size_t len = 0;
    if (to == NULL) {
        return;
    }
    for (size_t i = 0; i < in.len; i++) {
        const uint8_t value = base64_values[in.data[i]];
        if (value == PAD) {
            len += base64_flush(d, to + len);
        }
        if (value == 0 || value == PAD) {
            continue;
        }
        d->bits = d->bits << 6 | (uint32_t)(value - 1);
        d->digits++;
        if (d->digits == 4) {
            to[len++] = (uint8_t)(d->bits >> 16);
            to[len++] = (uint8_t)(d->bits >> 8);
            to[len++] = (uint8_t)d->bits;
            d->digits = 0;
            d->bits = 0;
        }
    }
    vy_buf_added(out, len);
}

static void base64_finish(struct cte_decoder *d, struct vy_buf *out)
{
    uint8_t last[2];
    const size_t len = base64_flush(d, last);
    vy_buf_append(out, vy_bytes(last, len));
}

/* ---- quoted-printable ---- */

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\t';
}

static void qp_release(struct cte_decoder *d, struct vy_buf *out)
{
    vy_buf_append(out, vy_bytes(d->held, d->held_len));
    d->held_len = 0;
}

static void qp_hold(struct cte_decoder *d, uint8_t c, struct vy_buf *out)
{
    if (d->held_len == CTE_HELD_BYTES_MAX) {
        qp_release(d, out); /* so much white space is meant */
    }
    d->held[d->held_len++] = c;
}

/* A line ends behind white space, which senders did not mean (RFC 2045 section 6.7 rule 3), or
 * behind '=', which makes the line end itself one that is not meant. */
static void qp_end_line(struct cte_decoder *d, struct vy_buf *out)
{
    const bool has_cr = d->held[d->held_len - 1] == '\r';
    if (d->held[0] != '=') {
        vy_buf_append_cstr(out, has_cr ? "\r\n" : "\n");
    }
    d->held_len = 0;
}

/* A byte that meets something held back; false when it must be looked at again without that. */
static bool qp_feed_held(struct cte_decoder *d, uint8_t c, struct vy_buf *out)
{
    const bool is_escape = d->held[0] == '=';
    const uint8_t last = d->held[d->held_len - 1];
    const bool is_hex_next = is_escape && vy_ascii_hex_value(c) >= 0;

    if (is_hex_next && d->held_len == 1) {
        d->held[d->held_len++] = c;
        return true;
    }
    if (is_hex_next && d->held_len == 2 && vy_ascii_hex_value(last) >= 0) {
        const int value = vy_ascii_hex_value(last) * 16 + vy_ascii_hex_value(c);
        d->held_len = 0;
        vy_buf_append_byte(out, (uint8_t)value);
        return true;
    }
    const bool is_digit_held = is_escape && d->held_len == 2 && vy_ascii_hex_value(last) >= 0;
    if (!is_digit_held && c == '\n') {
        qp_end_line(d, out);
        return true;
    }
    if (!is_digit_held && last != '\r' && (is_space(c) || c == '\r')) {
        qp_hold(d, c, out);
        return true;
    }
    qp_release(d, out);
    return false;
}

static bool qp_is_plain(uint8_t c)
{
    return c != '=' && c != ' ' && c != '\t' && c != '\r';
}

/* Bytes at the front that stand for themselves. */
static size_t qp_plain_bytes(struct vy_bytes in)
{
    size_t at = 0;
    while (at < in.len) {
        const bool is_inner_space = is_space(in.data[at]) && at + 1 < in.len &&
                                    qp_is_plain(in.data[at + 1]) && in.data[at + 1] != '\n';
        if (!qp_is_plain(in.data[at]) && !is_inner_space) {
            break;
        }
        at++;
    }
    return at;
}

static void qp_feed(struct cte_decoder *d, struct vy_bytes in, struct vy_buf *out)
{
    while (in.len > 0) {
        if (d->held_len > 0) {
            if (qp_feed_held(d, in.data[0], out)) {
                in = vy_bytes_from(in, 1);
            }
            continue;
        }
        const size_t plain = qp_plain_bytes(in);
        vy_buf_append(out, vy_bytes_slice(in, 0, plain));
        in = vy_bytes_from(in, plain);
        if (in.len > 0) {
            qp_hold(d, in.data[0], out);
            in = vy_bytes_from(in, 1);
        }
    }
}

/* White space at the very end is white space at a line's end; a last "=" is a soft line break. */
static void qp_finish(struct cte_decoder *d, struct vy_buf *out)
{
    if (d->held_len == 2 && d->held[0] == '=' && !is_space(d->held[1]) && d->held[1] != '\r') {
        qp_release(d, out);
    }
    d->held_len = 0;
}

/* ---- all ---- */

void cte_decoder_feed(struct cte_decoder *decoder, struct vy_bytes in, struct vy_buf *out)
{
    switch (decoder->encoding) {
    case CTE_BASE64:
        base64_feed(decoder, in, out);
        return;
    case CTE_QUOTED_PRINTABLE:
        qp_feed(decoder, in, out);
        return;
    case CTE_7BIT:
    case CTE_8BIT:
    case CTE_BINARY:
    case CTE_UNKNOWN:
        vy_buf_append(out, in);
        return;
    }
}

void cte_decoder_finish(struct cte_decoder *decoder, struct vy_buf *out)
{
    if (decoder->encoding == CTE_BASE64) {
        base64_finish(decoder, out);
    } else if (decoder->encoding == CTE_QUOTED_PRINTABLE) {
        qp_finish(decoder, out);
    }
}

void cte_decode(enum cte encoding, struct vy_bytes in, struct vy_buf *out)
{
    struct cte_decoder decoder;
    cte_decoder_init(&decoder, encoding);
    cte_decoder_feed(&decoder, in, out);
    cte_decoder_finish(&decoder, out);
}
