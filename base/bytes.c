/* SPDX-License-Identifier: Apache-2.0 */
#include "base/bytes.h"

bool vy_bytes_equal(struct vy_bytes a, struct vy_bytes b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

bool vy_bytes_equal_nocase(struct vy_bytes a, struct vy_bytes b)
{
    return a.len == b.len && vy_bytes_starts_with_nocase(a, b);
}

int vy_bytes_compare(struct vy_bytes a, struct vy_bytes b)
{
    const size_t common = VY_MIN(a.len, b.len);
    const int order = common == 0 ? 0 : memcmp(a.data, b.data, common);
    if (order != 0) {
        return order;
    }
    return a.len < b.len ? -1 : a.len > b.len;
}

bool vy_bytes_starts_with(struct vy_bytes b, struct vy_bytes prefix)
{
    return b.len >= prefix.len && (prefix.len == 0 || memcmp(b.data, prefix.data, prefix.len) == 0);
}

bool vy_bytes_starts_with_nocase(struct vy_bytes b, struct vy_bytes prefix)
{
    if (b.len < prefix.len) {
        return false;
    }
    for (size_t i = 0; i < prefix.len; i++) {
        if (vy_ascii_lower(b.data[i]) != vy_ascii_lower(prefix.data[i])) {
            return false;
        }
    }
    return true;
}

bool vy_bytes_ends_with(struct vy_bytes b, struct vy_bytes suffix)
{
    return b.len >= suffix.len && vy_bytes_equal(vy_bytes_from(b, b.len - suffix.len), suffix);
}

bool vy_bytes_equal_secret(struct vy_bytes a, struct vy_bytes b)
{
    if (a.len != b.len) {
        return false;
    }
    volatile uint8_t difference = 0;
    for (size_t i = 0; i < a.len; i++) {
        difference = (uint8_t)(difference | (a.data[i] ^ b.data[i]));
    }
    return difference == 0;
}

size_t vy_bytes_find_byte(struct vy_bytes b, uint8_t byte, size_t from)
{
    if (from >= b.len) {
        return SIZE_MAX;
    }
    const uint8_t *found = memchr(b.data + from, byte, b.len - from);
    return found == NULL ? SIZE_MAX : (size_t)(found - b.data);
}

size_t vy_bytes_find(struct vy_bytes haystack, struct vy_bytes needle, size_t from)
{
    if (from > haystack.len || needle.len > haystack.len - from) {
        return SIZE_MAX;
    }
    if (needle.len == 0) {
        return from;
    }
    const uint8_t *found =
        memmem(haystack.data + from, haystack.len - from, needle.data, needle.len);
    return found == NULL ? SIZE_MAX : (size_t)(found - haystack.data);
}

struct vy_bytes vy_bytes_slice(struct vy_bytes b, size_t from, size_t len)
{
    const size_t start = VY_MIN(from, b.len);
    return vy_bytes(b.data == NULL ? NULL : b.data + start, VY_MIN(len, b.len - start));
}

struct vy_bytes vy_bytes_from(struct vy_bytes b, size_t from)
{
    return vy_bytes_slice(b, from, SIZE_MAX);
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}

struct vy_bytes vy_bytes_trim(struct vy_bytes b)
{
    while (b.len > 0 && is_blank(b.data[0])) {
        b = vy_bytes_from(b, 1);
    }
    while (b.len > 0 && is_blank(b.data[b.len - 1])) {
        b.len--;
    }
    return b;
}

struct vy_bytes vy_bytes_trim_crlf(struct vy_bytes b)
{
    if (b.len > 0 && b.data[b.len - 1] == '\n') {
        b.len--;
        b.len -= b.len > 0 && b.data[b.len - 1] == '\r' ? 1 : 0;
    }
    return b;
}

struct vy_bytes vy_bytes_cut(struct vy_bytes *rest, uint8_t byte)
{
    const struct vy_bytes whole = *rest;
    const size_t at = vy_bytes_find_byte(whole, byte, 0);
    if (at == SIZE_MAX) {
        *rest = vy_bytes_from(whole, whole.len);
        return whole;
    }
    *rest = vy_bytes_from(whole, at + 1);
    return vy_bytes_slice(whole, 0, at);
}

int vy_ascii_hex_value(uint8_t c)
{
    if (vy_ascii_is_digit(c)) {
        return c - '0';
    }
    const uint8_t lower = vy_ascii_lower(c);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

bool vy_parse_u64(struct vy_bytes text, uint64_t *out)
{
    uint64_t value = 0;
    if (text.len == 0) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        if (!vy_ascii_is_digit(text.data[i]) || __builtin_mul_overflow(value, 10U, &value) ||
            __builtin_add_overflow(value, (uint64_t)(text.data[i] - '0'), &value)) {
            return false;
        }
    }
    *out = value;
    return true;
}

bool vy_parse_u32(struct vy_bytes text, uint32_t *out)
{
    uint64_t value = 0;
    if (!vy_parse_u64(text, &value) || value > UINT32_MAX) {
        return false;
    }
    *out = (uint32_t)value;
    return true;
}
