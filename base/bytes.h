/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Byte slices: wire data with a length, borrowed from whoever owns the memory; not NUL-terminated.
 * ASCII-only comparisons, numbers from text, big-endian numbers, checked arithmetic. No locale.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct vy_bytes {
    const uint8_t *data; /* borrowed; may be NULL when len is 0 */
    size_t len;
};

/* For printf("%.*s", VY_PRI(bytes)). */
#define VY_PRI(bytes) (int)(bytes).len, (const char *)(bytes).data
/* Slice of a string literal, also in static initialisers. */
#define VY_LIT(literal) ((struct vy_bytes){(const uint8_t *)("" literal), sizeof(literal) - 1})

static inline struct vy_bytes vy_bytes(const void *data, size_t len)
{
    return (struct vy_bytes){.data = (const uint8_t *)data, .len = len};
}
static inline struct vy_bytes vy_cstr(const char *text)
{
    return vy_bytes(text, strlen(text));
}
static inline bool vy_bytes_is_empty(struct vy_bytes b)
{
    return b.len == 0;
}

bool vy_bytes_equal(struct vy_bytes a, struct vy_bytes b);
bool vy_bytes_equal_nocase(struct vy_bytes a, struct vy_bytes b); /* ASCII case only */
int vy_bytes_compare(struct vy_bytes a, struct vy_bytes b);       /* memcmp order, shorter first */
bool vy_bytes_starts_with(struct vy_bytes b, struct vy_bytes prefix);
bool vy_bytes_starts_with_nocase(struct vy_bytes b, struct vy_bytes prefix);
bool vy_bytes_ends_with(struct vy_bytes b, struct vy_bytes suffix);
/* Equal in time that depends on the lengths only: for secrets. */
bool vy_bytes_equal_secret(struct vy_bytes a, struct vy_bytes b);
/* Index of the first `byte` / `needle` at or after `from`, or SIZE_MAX. */
size_t vy_bytes_find_byte(struct vy_bytes b, uint8_t byte, size_t from);
size_t vy_bytes_find(struct vy_bytes haystack, struct vy_bytes needle, size_t from);
/* Clamped to the slice: never reads past the end. */
struct vy_bytes vy_bytes_slice(struct vy_bytes b, size_t from, size_t len);
struct vy_bytes vy_bytes_from(struct vy_bytes b, size_t from);
struct vy_bytes vy_bytes_trim(struct vy_bytes b);      /* SP and TAB at both ends */
struct vy_bytes vy_bytes_trim_crlf(struct vy_bytes b); /* one trailing CRLF or LF */
/* Cuts off and returns what stands before the first `byte`; `*rest` keeps what follows it. With no
 * such byte everything is returned and `*rest` is empty. */
struct vy_bytes vy_bytes_cut(struct vy_bytes *rest, uint8_t byte);

static inline bool vy_ascii_is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}
static inline bool vy_ascii_is_upper(uint8_t c)
{
    return c >= 'A' && c <= 'Z';
}
static inline bool vy_ascii_is_lower(uint8_t c)
{
    return c >= 'a' && c <= 'z';
}
static inline bool vy_ascii_is_alpha(uint8_t c)
{
    return vy_ascii_is_upper(c) || vy_ascii_is_lower(c);
}
static inline bool vy_ascii_is_alnum(uint8_t c)
{
    return vy_ascii_is_alpha(c) || vy_ascii_is_digit(c);
}
static inline uint8_t vy_ascii_lower(uint8_t c)
{
    return vy_ascii_is_upper(c) ? (uint8_t)(c + 32) : c;
}
static inline uint8_t vy_ascii_upper(uint8_t c)
{
    return vy_ascii_is_lower(c) ? (uint8_t)(c - 32) : c;
}
int vy_ascii_hex_value(uint8_t c); /* 0..15, or -1 */

/* Whole slice is decimal digits (no sign, no space, at least one), value fits. False leaves *out
 * untouched. */
bool vy_parse_u32(struct vy_bytes text, uint32_t *out);
bool vy_parse_u64(struct vy_bytes text, uint64_t *out);

static inline void vy_put_be16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}
static inline void vy_put_be32(uint8_t *p, uint32_t v)
{
    vy_put_be16(p, (uint16_t)(v >> 16));
    vy_put_be16(p + 2, (uint16_t)v);
}
static inline void vy_put_be64(uint8_t *p, uint64_t v)
{
    vy_put_be32(p, (uint32_t)(v >> 32));
    vy_put_be32(p + 4, (uint32_t)v);
}
static inline uint16_t vy_get_be16(const uint8_t *p)
{
    return (uint16_t)((uint16_t)p[0] << 8 | p[1]);
}
static inline uint32_t vy_get_be32(const uint8_t *p)
{
    return (uint32_t)vy_get_be16(p) << 16 | vy_get_be16(p + 2);
}
static inline uint64_t vy_get_be64(const uint8_t *p)
{
    return (uint64_t)vy_get_be32(p) << 32 | vy_get_be32(p + 4);
}

/* True when the result fits; *out is written only then. */
#define vy_add_size(a, b, out) (!__builtin_add_overflow((size_t)(a), (size_t)(b), (out)))
#define vy_mul_size(a, b, out) (!__builtin_mul_overflow((size_t)(a), (size_t)(b), (out)))
#define VY_MIN(a, b) ((a) < (b) ? (a) : (b))
#define VY_MAX(a, b) ((a) > (b) ? (a) : (b))
