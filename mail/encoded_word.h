/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Encoded words (RFC 2047) of unstructured text, phrases and comments to UTF-8. Output is valid
 * UTF-8 without control characters but TAB: decoded ones become U+FFFD (M9), folding is white
 * space. Multibyte characters split over adjacent words of one charset are joined.
 */
#include "base/buf.h"

/* @value  raw header value, folding inside
 * Appends the decoded text, outer white space trimmed. Linear; the output limit is the buffer's. */
void encoded_word_decode(struct vy_buf *out, struct vy_bytes value);
