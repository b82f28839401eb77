/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/mutf7.h"

#include "base/codec.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

/* Base64 bits between '&' and '-'. */
struct shift {
    uint32_t bits;
    unsigned count;
};

static void put_digit(struct vy_buf *out, uint32_t value)
{
    vy_buf_append_byte(out, (uint8_t)alphabet[value & 63]);
}

static void put_unit(struct vy_buf *out, struct shift *shift, uint32_t unit)
{
    shift->bits = shift->bits << 16 | unit;
    shift->count += 16;
    while (shift->count >= 6) {
        shift->count -= 6;
        put_digit(out, shift->bits >> shift->count);
    }
}

static void put_codepoint(struct vy_buf *out, struct shift *shift, uint32_t codepoint)
{
    if (codepoint < 0x10000) {
        put_unit(out, shift, codepoint);
        return;
    }
    put_unit(out, shift, 0xD800 | (codepoint - 0x10000) >> 10);
    put_unit(out, shift, 0xDC00 | ((codepoint - 0x10000) & 0x3FF));
}

static void end_shift(struct vy_buf *out, struct shift *shift)
{
    if (shift->count > 0) {
        put_digit(out, shift->bits << (6 - shift->count));
    }
    vy_buf_append_byte(out, '-');
    *shift = (struct shift){.bits = 0};
}

static bool is_direct(uint32_t codepoint)
{
    return codepoint >= 0x20 && codepoint <= 0x7E;
}

void mutf7_encode(struct vy_buf *out, struct vy_bytes utf8)
{
    struct shift shift = {.bits = 0};
    bool is_shifted = false;
    uint32_t codepoint = 0;

    for (size_t at = 0; vy_utf8_next(utf8, &at, &codepoint);) {
        if (is_direct(codepoint) && is_shifted) {
            end_shift(out, &shift);
            is_shifted = false;
        }
        if (is_direct(codepoint)) {
            vy_buf_append_byte(out, (uint8_t)codepoint);
            if (codepoint == '&') {
                vy_buf_append_byte(out, '-');
            }
            continue;
        }
        if (!is_shifted) {
            vy_buf_append_byte(out, '&');
            is_shifted = true;
        }
        put_codepoint(out, &shift, codepoint);
    }
    if (is_shifted) {
        end_shift(out, &shift);
    }
}

static int digit_value(uint8_t c)
{
    const char *const found = c == 0 ? NULL : strchr(alphabet, c);
    return found == NULL ? -1 : (int)(found - alphabet);
}

/* UTF-16 units between '&' and '-' to UTF-8; whether they were written as we would is checked by
 * encoding again. False: cannot be UTF-16. */
static bool decode_shifted(struct vy_bytes digits, struct vy_buf *out)
{
    uint32_t bits = 0;
    unsigned count = 0;
    uint32_t high = 0;

    for (size_t i = 0; i < digits.len; i++) {
        const int value = digit_value(digits.data[i]);
        if (value < 0) {
            return false;
        }
        bits = bits << 6 | (uint32_t)value;
        count += 6;
        if (count < 16) {
            continue;
        }
        count -= 16;
        const uint32_t unit = bits >> count & 0xFFFF;
        const bool is_low = unit >= 0xDC00 && unit <= 0xDFFF;
        if (is_low != (high != 0)) {
            return false;
        }
        if (unit >= 0xD800 && unit <= 0xDBFF) {
            high = unit;
            continue;
        }
        vy_utf8_append(out, is_low ? 0x10000 + ((high & 0x3FF) << 10 | (unit & 0x3FF)) : unit);
        high = 0;
    }
    return high == 0;
}

static bool decode_loosely(struct vy_bytes wire, struct vy_buf *out)
{
    while (wire.len > 0) {
        const size_t shift_at = vy_bytes_find_byte(wire, '&', 0);
        const struct vy_bytes plain = vy_bytes_slice(wire, 0, shift_at);
        for (size_t i = 0; i < plain.len; i++) {
            if (!is_direct(plain.data[i])) {
                return false;
            }
        }
        vy_buf_append(out, plain);
        if (shift_at == SIZE_MAX) {
            return true;
        }
        wire = vy_bytes_from(wire, shift_at + 1);
        const size_t end = vy_bytes_find_byte(wire, '-', 0);
        if (end == SIZE_MAX) {
            return false;
        }
        if (end == 0) {
            vy_buf_append_byte(out, '&');
        } else if (!decode_shifted(vy_bytes_slice(wire, 0, end), out)) {
            return false;
        }
        wire = vy_bytes_from(wire, end + 1);
    }
    return true;
}

/* Controls of both blocks, and what breaks lines: no name has them (I10, I11). */
static bool has_controls(struct vy_bytes utf8)
{
    uint32_t codepoint = 0;
    for (size_t at = 0; vy_utf8_next(utf8, &at, &codepoint);) {
        if (codepoint < 0x20 || (codepoint >= 0x7F && codepoint < 0xA0) || codepoint == 0x2028 ||
            codepoint == 0x2029) {
            return true;
        }
    }
    return false;
}

static bool is_canonical(struct vy_bytes utf8, struct vy_bytes wire)
{
    struct vy_buf again;
    vy_buf_init(&again, wire.len);
    mutf7_encode(&again, utf8);
    const bool same = !again.failed && vy_bytes_equal(vy_buf_bytes(&again), wire);
    vy_buf_deinit(&again);
    return same;
}

struct vy_err mutf7_decode(struct vy_arena *arena, struct vy_bytes wire, struct vy_bytes *out)
{
    struct vy_buf utf8;
    vy_buf_init(&utf8, wire.len * 2); /* 8 digits are 3 units, 9 bytes at most */
    struct vy_err err = vy_ok();
    if (!decode_loosely(wire, &utf8) || utf8.failed || has_controls(vy_buf_bytes(&utf8)) ||
        !is_canonical(vy_buf_bytes(&utf8), wire)) {
        err = vy_error(VY_CODE_ARGUMENT, "not modified UTF-7");
    }
    if (!vy_failed(err)) {
        err = vy_arena_dup(arena, vy_buf_bytes(&utf8), out);
    }
    vy_buf_deinit(&utf8);
    return err;
}
