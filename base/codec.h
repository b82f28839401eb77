/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Text codecs without allocation policy of their own: base64 (RFC 4648 section 4, strict), hex,
 * base32, UTF-8 checks, CRC-32C. Decoders take exactly their alphabet: no white space, padding
 * required where the RFC requires it.
 */
#include "base/arena.h"
#include "base/buf.h"

void vy_base64_encode(struct vy_buf *out, struct vy_bytes in);
VY_CHECKED struct vy_err vy_base64_decode(struct vy_arena *arena, struct vy_bytes in,
                                          struct vy_bytes *out);
void vy_hex_encode(struct vy_buf *out, struct vy_bytes in); /* lower case */
VY_CHECKED struct vy_err vy_hex_decode(struct vy_arena *arena, struct vy_bytes in,
                                       struct vy_bytes *out);
void vy_base32_encode(struct vy_buf *out,
                      struct vy_bytes in); /* RFC 4648 section 6, without padding */

bool vy_utf8_is_valid(
    struct vy_bytes in); /* RFC 3629: no overlong forms, no surrogates, <= U+10FFFF */
/* Decodes one character at *at and advances; U+FFFD and one byte on bad input. False at the end. */
bool vy_utf8_next(struct vy_bytes in, size_t *at, uint32_t *codepoint);
/* Surrogates and numbers above U+10FFFF become U+FFFD. */
void vy_utf8_append(struct vy_buf *out, uint32_t codepoint);

uint32_t vy_crc32c(uint32_t crc,
                   struct vy_bytes in); /* start with 0; uses the CPU's instruction when there */
uint32_t vy_crc32c_portable(uint32_t crc, struct vy_bytes in); /* the same without it */

/* The finalizer of splitmix64: spreads what little differs over all bits. Numbers in a row become
 * splitmix64's sequence when VY_MIX64_STEP is added first. Frozen: digests on disk rest on it. */
#define VY_MIX64_STEP 0x9E3779B97F4A7C15ULL
static inline uint64_t vy_mix64(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ULL;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBULL;
    return x ^ (x >> 31);
}
