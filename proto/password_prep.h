/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * How a typed password becomes the bytes that are hashed: the one function that frontends (at
 * login) and meta (when a password is set) both use. Also the shape of generated passwords, since
 * spaces and dashes do not count in those.
 */
#include "base/arena.h"
#include "base/err.h"

#define PASSWORD_BYTES_MAX 1024U /* typed or prepared (A6) */

/*
 * Five groups of five from 31 letters and digits that are not mistaken for another (no i l o 0 1):
 * 123.8 bits (POL-1, APP-1). Shown as "abcde-fghjk-...".
 */
#define PASSWORD_ALPHABET "abcdefghjkmnpqrstuvwxyz23456789"
#define PASSWORD_ALPHABET_COUNT 31U
#define PASSWORD_GROUP_COUNT 5U
#define PASSWORD_GROUP_LETTERS 5U
#define PASSWORD_LETTERS (PASSWORD_GROUP_COUNT * PASSWORD_GROUP_LETTERS)
#define PASSWORD_SHOWN_BYTES (PASSWORD_LETTERS + PASSWORD_GROUP_COUNT - 1)

/*
 * The profile OpaqueString: text in UTF-8, other spaces become U+0020, NFC; and what has the shape
 * of a generated password, typed in any grouping or case, becomes its bare letters.
 *
 * Two things are left out of the profile's contextual rules: a zero-width non-joiner is only
 * allowed behind a virama, and the punctuation of CONTEXTO is allowed anywhere. Both sides of a
 * login agree on it, which is what counts.
 *
 * @arena   owns *out; twelve times the typed length is enough
 * @errors  ARGUMENT empty, not UTF-8, controls or characters without meaning of their own;
 *          LIMIT over PASSWORD_BYTES_MAX; NOMEM
 * @source  RFC 8265 section 4.2, RFC 8264 section 9
 */
VY_CHECKED struct vy_err password_prepare(struct vy_arena *arena, struct vy_bytes typed,
                                          struct vy_bytes *out);

/* True: `text` is a generated password, typed with any spaces and dashes; letters are its bare
 * form. */
bool password_is_generated_shape(struct vy_bytes text, uint8_t letters[PASSWORD_LETTERS]);

/* SHA-256 of a prepared password: what goes into LoginRequest.password_hash. */
void password_hash(struct vy_bytes prepared, uint8_t out[32]);
