/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Modified UTF-7 of mailbox names (RFC 3501 section 5.1.3), strict: exactly the text that encoding
 * would give is accepted (I10), so a name has one form.
 */
#include "base/arena.h"
#include "base/buf.h"

/* Appends. Input that is not UTF-8 gives U+FFFD. */
void mutf7_encode(struct vy_buf *out, struct vy_bytes utf8);
/* @errors ARGUMENT not modified UTF-7, not canonical, has NUL or control characters; LIMIT arena */
VY_CHECKED struct vy_err mutf7_decode(struct vy_arena *arena, struct vy_bytes wire,
                                      struct vy_bytes *out);
