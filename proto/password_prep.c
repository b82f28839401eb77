/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/password_prep.h"

#include "base/assert.h"
#include "base/buf.h"
#include "base/codec.h"
#include "base/secret.h"
#include <openssl/sha.h>
#include <utf8proc.h>

/* NFC makes no character longer than three times its UTF-8 length (Unicode annex 15, table 10). */
#define NFC_GROWTH_MAX 3U
#define CANONICAL_CLASS_VIRAMA 9

bool password_is_generated_shape(struct vy_bytes text, uint8_t letters[PASSWORD_LETTERS])
{
    size_t count = 0;
    for (size_t i = 0; i < text.len; i++) {
        const uint8_t c = vy_ascii_lower(text.data[i]);
        if (c == ' ' || c == '-') {
            continue;
        }
        if (c == 0 || strchr(PASSWORD_ALPHABET, c) == NULL || count == PASSWORD_LETTERS) {
            return false;
        }
        letters[count++] = c;
    }
    return count == PASSWORD_LETTERS;
}

static bool is_printable_ascii(struct vy_bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < 0x20 || text.data[i] > 0x7e) {
            return false;
        }
    }
    return true;
}

/* RFC 5892 section 2.6 with the exceptions that are disallowed. */
static bool is_excepted(uint32_t c)
{
    return c == 0x640 || c == 0x7fa || c == 0x302e || c == 0x302f || (c >= 0x3031 && c <= 0x3035) ||
           c == 0x303b;
}

/* RFC 8264 section 9.9. */
static bool is_old_hangul_jamo(uint32_t c)
{
    return (c >= 0x1100 && c <= 0x11ff) || (c >= 0xa960 && c <= 0xa97c) ||
           (c >= 0xd7b0 && c <= 0xd7c6) || (c >= 0xd7cb && c <= 0xd7fb);
}

/* General categories of the FreeformClass: letters, marks, numbers, symbols, punctuation, spaces.
 */
static bool is_free_category(utf8proc_category_t category)
{
    switch (category) {
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
        return false;
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
    case UTF8PROC_CATEGORY_PC:
    case UTF8PROC_CATEGORY_PD:
    case UTF8PROC_CATEGORY_PS:
    case UTF8PROC_CATEGORY_PE:
    case UTF8PROC_CATEGORY_PI:
    case UTF8PROC_CATEGORY_PF:
    case UTF8PROC_CATEGORY_PO:
    case UTF8PROC_CATEGORY_SM:
    case UTF8PROC_CATEGORY_SC:
    case UTF8PROC_CATEGORY_SK:
    case UTF8PROC_CATEGORY_SO:
    case UTF8PROC_CATEGORY_ZS:
        return true;
    }
    return false;
}

static bool is_allowed(uint32_t c, uint32_t previous)
{
    if (c == 0x200c || c == 0x200d) { /* joiners: RFC 5892 appendix A.1, A.2 */
        return utf8proc_get_property((utf8proc_int32_t)previous)->combining_class ==
               CANONICAL_CLASS_VIRAMA;
    }
    const utf8proc_property_t *property = utf8proc_get_property((utf8proc_int32_t)c);
    return is_free_category((utf8proc_category_t)property->category) && !property->ignorable &&
           !is_excepted(c) && !is_old_hangul_jamo(c);
}

/* Checks every character and maps spaces. */
static struct vy_err map_characters(struct vy_bytes typed, struct vy_buf *out)
{
    size_t at = 0;
    uint32_t previous = 0;
    uint32_t c = 0;
    while (vy_utf8_next(typed, &at, &c)) {
        if (!is_allowed(c, previous)) {
            return vy_error(VY_CODE_ARGUMENT, "password has a character that is not allowed");
        }
        const bool is_space = utf8proc_get_property((utf8proc_int32_t)c)->category ==
                              (utf8proc_propval_t)UTF8PROC_CATEGORY_ZS;
        vy_utf8_append(out, is_space ? ' ' : c);
        previous = c;
    }
    return vy_buf_error(out);
}

static struct vy_err normalize(struct vy_arena *arena, struct vy_bytes text, struct vy_bytes *out)
{
    const size_t points_max = NFC_GROWTH_MAX * text.len + 1;
    utf8proc_int32_t *points = VY_ARENA_ARRAY(arena, points_max, utf8proc_int32_t);
    if (points == NULL) {
        return vy_error(VY_CODE_NOMEM, "password");
    }
    const utf8proc_ssize_t count =
        utf8proc_decompose(text.data, (utf8proc_ssize_t)text.len, points,
                           (utf8proc_ssize_t)points_max, UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    if (count < 0 || (size_t)count >= points_max) {
        return vy_error(VY_CODE_ARGUMENT, "password cannot be normalised");
    }
    /* Composes in place and writes UTF-8 over its own input, never longer than that. */
    const utf8proc_ssize_t len =
        utf8proc_reencode(points, count, UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    if (len < 0) {
        return vy_error(VY_CODE_ARGUMENT, "password cannot be normalised");
    }
    *out = vy_bytes(points, (size_t)len);
    return vy_ok();
}

static struct vy_err prepare_unicode(struct vy_arena *arena, struct vy_bytes typed,
                                     struct vy_bytes *out)
{
    if (!vy_utf8_is_valid(typed)) {
        return vy_error(VY_CODE_ARGUMENT, "password is not UTF-8");
    }
    struct vy_buf mapped;
    vy_buf_init(&mapped, PASSWORD_BYTES_MAX);
    (void)vy_buf_reserve(&mapped, typed.len); /* never moves, so that one wipe reaches it all */
    struct vy_err err = map_characters(typed, &mapped);
    if (!vy_failed(err)) {
        err = normalize(arena, vy_buf_bytes(&mapped), out);
    }
    if (!vy_failed(err) && out->len > PASSWORD_BYTES_MAX) {
        err = vy_error(VY_CODE_LIMIT, "password is too long");
    }
    vy_wipe(mapped.data, mapped.capacity);
    vy_buf_deinit(&mapped);
    return err;
}

struct vy_err password_prepare(struct vy_arena *arena, struct vy_bytes typed, struct vy_bytes *out)
{
    if (typed.len == 0) {
        return vy_error(VY_CODE_ARGUMENT, "password is empty");
    }
    if (typed.len > PASSWORD_BYTES_MAX) {
        return vy_error(VY_CODE_LIMIT, "password is too long");
    }
    struct vy_bytes text = typed;
    if (!is_printable_ascii(typed)) {
        VY_TRY(prepare_unicode(arena, typed, &text));
    }
    uint8_t letters[PASSWORD_LETTERS];
    const bool is_generated = password_is_generated_shape(text, letters);
    return vy_arena_dup(arena, is_generated ? vy_bytes(letters, sizeof(letters)) : text, out);
}

void password_hash(struct vy_bytes prepared, uint8_t out[32])
{
    SHA256(prepared.data, prepared.len, out);
}
