/* SPDX-License-Identifier: Apache-2.0 */
#include "base/codec.h"

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

/* ---- base64, hex, base32 ---- */

static const char base64_alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void vy_base64_encode(struct vy_buf *out, struct vy_bytes in)
{
    const size_t groups = in.len / 3 + (in.len % 3 == 0 ? 0 : 1);
    size_t size = 0;
    if (!vy_mul_size(groups, 4, &size) || vy_buf_reserve(out, size) == NULL) {
        out->failed = true;
        return;
    }
    for (size_t at = 0; at < in.len; at += 3) {
        const size_t have = VY_MIN(in.len - at, (size_t)3);
        uint32_t group = (uint32_t)in.data[at] << 16;
        group |= have > 1 ? (uint32_t)in.data[at + 1] << 8 : 0;
        group |= have > 2 ? (uint32_t)in.data[at + 2] : 0;
        const uint8_t text[4] = {
            (uint8_t)base64_alphabet[group >> 18 & 63],
            (uint8_t)base64_alphabet[group >> 12 & 63],
            have > 1 ? (uint8_t)base64_alphabet[group >> 6 & 63] : (uint8_t)'=',
            have > 2 ? (uint8_t)base64_alphabet[group & 63] : (uint8_t)'=',
        };
        vy_buf_append(out, vy_bytes(text, sizeof(text)));
    }
}

static int base64_value(uint8_t c)
{
    if (vy_ascii_is_upper(c)) {
        return c - 'A';
    }
    if (vy_ascii_is_lower(c)) {
        return c - 'a' + 26;
    }
    if (vy_ascii_is_digit(c)) {
        return c - '0' + 52;
    }
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* One group of four; `padding` of its last characters are '='. Bits that padding leaves over must
 * be zero. */
static bool base64_group(const uint8_t *in, size_t padding, uint8_t *out)
{
    uint32_t group = 0;
    for (size_t i = 0; i < 4; i++) {
        const int value = i < 4 - padding ? base64_value(in[i]) : 0;
        if (value < 0) {
            return false;
        }
        group = group << 6 | (uint32_t)value;
    }
    out[0] = (uint8_t)(group >> 16);
    if (padding < 2) {
        out[1] = (uint8_t)(group >> 8);
    }
    if (padding < 1) {
        out[2] = (uint8_t)group;
    }
    return padding == 0 || (padding == 1 && (group & 0xFF) == 0) ||
           (padding == 2 && (group & 0xFFFF) == 0);
}

struct vy_err vy_base64_decode(struct vy_arena *arena, struct vy_bytes in, struct vy_bytes *out)
{
    if (in.len % 4 != 0) {
        return vy_error(VY_CODE_SYNTAX, "base64 length");
    }
    uint8_t *decoded = vy_arena_alloc(arena, in.len / 4 * 3);
    if (decoded == NULL) {
        return vy_error(VY_CODE_LIMIT, "base64");
    }
    size_t len = 0;
    for (size_t at = 0; at < in.len; at += 4) {
        size_t padding = 0;
        if (at + 4 == in.len) {
            padding += in.data[at + 3] == '=' ? 1 : 0;
            padding += padding == 1 && in.data[at + 2] == '=' ? 1 : 0;
        }
        if (!base64_group(in.data + at, padding, decoded + len)) {
            return vy_error(VY_CODE_SYNTAX, "base64");
        }
        len += 3 - padding;
    }
    *out = vy_bytes(decoded, len);
    return vy_ok();
}

void vy_hex_encode(struct vy_buf *out, struct vy_bytes in)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < in.len; i++) {
        const uint8_t text[2] = {(uint8_t)digits[in.data[i] >> 4],
                                 (uint8_t)digits[in.data[i] & 15]};
        vy_buf_append(out, vy_bytes(text, sizeof(text)));
    }
}

struct vy_err vy_hex_decode(struct vy_arena *arena, struct vy_bytes in, struct vy_bytes *out)
{
    uint8_t *decoded = vy_arena_alloc(arena, in.len / 2);
    if (decoded == NULL) {
        return vy_error(VY_CODE_LIMIT, "hex");
    }
    if (in.len % 2 != 0) {
        return vy_error(VY_CODE_SYNTAX, "hex length");
    }
    for (size_t i = 0; i < in.len; i += 2) {
        const int high = vy_ascii_hex_value(in.data[i]);
        const int low = vy_ascii_hex_value(in.data[i + 1]);
        if (high < 0 || low < 0) {
            return vy_error(VY_CODE_SYNTAX, "hex");
        }
        decoded[i / 2] = (uint8_t)(high << 4 | low);
    }
    *out = vy_bytes(decoded, in.len / 2);
    return vy_ok();
}

void vy_base32_encode(struct vy_buf *out, struct vy_bytes in)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    uint32_t bits = 0;
    unsigned count = 0;
    for (size_t i = 0; i < in.len; i++) {
        bits = bits << 8 | in.data[i];
        count += 8;
        while (count >= 5) {
            count -= 5;
            vy_buf_append_byte(out, (uint8_t)alphabet[bits >> count & 31]);
        }
        bits &= (1U << count) - 1;
    }
    if (count > 0) {
        vy_buf_append_byte(out, (uint8_t)alphabet[bits << (5 - count) & 31]);
    }
}

/* ---- UTF-8 ---- */

/* Length of the well-formed character at p, or 0. Table 3-7 of the Unicode standard. */
static size_t utf8_len(const uint8_t *p, size_t have, uint32_t *out)
{
    const uint8_t first = p[0];
    if (first < 0x80) {
        *out = first;
        return 1;
    }
    const size_t len = first >= 0xC2 && first <= 0xDF   ? 2
                       : first >= 0xE0 && first <= 0xEF ? 3
                       : first >= 0xF0 && first <= 0xF4 ? 4
                                                        : 0;
    if (len == 0 || have < len) {
        return 0;
    }
    uint8_t low = 0x80;
    uint8_t high = 0xBF;
    low = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : low;
    high = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : high;
    if (p[1] < low || p[1] > high) {
        return 0;
    }
    uint32_t codepoint = (uint32_t)(first & (0xFF >> (len + 1))) << 6 | (p[1] & 0x3FU);
    for (size_t i = 2; i < len; i++) {
        if ((p[i] & 0xC0) != 0x80) {
            return 0;
        }
        codepoint = codepoint << 6 | (p[i] & 0x3FU);
    }
    *out = codepoint;
    return len;
}

bool vy_utf8_is_valid(struct vy_bytes in)
{
    size_t at = 0;
    while (at < in.len) {
        uint32_t codepoint = 0;
        const size_t len = utf8_len(in.data + at, in.len - at, &codepoint);
        if (len == 0) {
            return false;
        }
        at += len;
    }
    return true;
}

bool vy_utf8_next(struct vy_bytes in, size_t *at, uint32_t *codepoint)
{
    if (*at >= in.len) {
        return false;
    }
    const size_t len = utf8_len(in.data + *at, in.len - *at, codepoint);
    if (len == 0) {
        *codepoint = 0xFFFD;
    }
    *at += len == 0 ? 1 : len;
    return true;
}

void vy_utf8_append(struct vy_buf *out, uint32_t codepoint)
{
    uint8_t text[4];
    size_t len = 0;
    if (codepoint > 0x10FFFF || (codepoint >= 0xD800 && codepoint <= 0xDFFF)) {
        codepoint = 0xFFFD;
    }
    if (codepoint < 0x80) {
        text[len++] = (uint8_t)codepoint;
    } else if (codepoint < 0x800) {
        text[len++] = (uint8_t)(0xC0 | codepoint >> 6);
        text[len++] = (uint8_t)(0x80 | (codepoint & 0x3F));
    } else if (codepoint < 0x10000) {
        text[len++] = (uint8_t)(0xE0 | codepoint >> 12);
        text[len++] = (uint8_t)(0x80 | (codepoint >> 6 & 0x3F));
        text[len++] = (uint8_t)(0x80 | (codepoint & 0x3F));
    } else {
        text[len++] = (uint8_t)(0xF0 | codepoint >> 18);
        text[len++] = (uint8_t)(0x80 | (codepoint >> 12 & 0x3F));
        text[len++] = (uint8_t)(0x80 | (codepoint >> 6 & 0x3F));
        text[len++] = (uint8_t)(0x80 | (codepoint & 0x3F));
    }
    vy_buf_append(out, vy_bytes(text, len));
}

/* ---- CRC-32C (Castagnoli, reflected 0x82F63B78) ---- */

/* Remainders of the sixteen half bytes; a test compares with the instruction. */
/* clang-format off */
static const uint32_t crc32c_table[16] = {
    0x00000000, 0x105EC76F, 0x20BD8EDE, 0x30E349B1,
    0x417B1DBC, 0x5125DAD3, 0x61C69362, 0x7198540D,
    0x82F63B78, 0x92A8FC17, 0xA24BB5A6, 0xB21572C9,
    0xC38D26C4, 0xD3D3E1AB, 0xE330A81A, 0xF36E6F75,
};
/* clang-format on */

static uint32_t crc32c_plain(uint32_t crc, struct vy_bytes in)
{
    for (size_t i = 0; i < in.len; i++) {
        crc ^= in.data[i];
        crc = crc >> 4 ^ crc32c_table[crc & 15];
        crc = crc >> 4 ^ crc32c_table[crc & 15];
    }
    return crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t crc32c_cpu(uint32_t crc, struct vy_bytes in)
{
    uint64_t state = crc;
    size_t at = 0;
    for (; in.len - at >= 8; at += 8) {
        uint64_t word = 0;
        memcpy(&word, in.data + at, sizeof(word));
        state = _mm_crc32_u64(state, word);
    }
    for (; at < in.len; at++) {
        state = _mm_crc32_u8((uint32_t)state, in.data[at]);
    }
    return (uint32_t)state;
}
#endif

uint32_t vy_crc32c_portable(uint32_t crc, struct vy_bytes in)
{
    return ~crc32c_plain(~crc, in);
}

uint32_t vy_crc32c(uint32_t crc, struct vy_bytes in)
{
    if (in.len == 0) {
        return crc;
    }
#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2")) {
        return ~crc32c_cpu(~crc, in);
    }
#endif
    return vy_crc32c_portable(crc, in);
}
