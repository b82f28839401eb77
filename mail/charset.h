/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Text of a closed list of charsets to UTF-8 (iconv behind it). Never fails: what cannot be decoded
 * becomes U+FFFD (M9, M11). The ids stand on disk (summary parts table): append only.
 */
#include "base/buf.h"

#define CHARSET_UNKNOWN 0U
#define CHARSET_UTF8 1U
#define CHARSET_ASCII 2U

/* 0: not in the list. ASCII case does not matter; "" gives ASCII. */
uint16_t charset_find(struct vy_bytes name);
bool charset_is_known(uint16_t charset);
/* Appends `text` as valid UTF-8. Unknown charsets and ASCII: as UTF-8 when it is valid, else each
 * byte above 0x7F is U+FFFD. */
void charset_append_utf8(struct vy_buf *out, uint16_t charset, struct vy_bytes text);
/* Appends valid UTF-8: what is not becomes U+FFFD. With `no_controls` C0 (but TAB), DEL and C1 too:
 * for text that was unfolded before. */
void charset_append_clean(struct vy_buf *out, struct vy_bytes text, bool no_controls);
