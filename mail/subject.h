/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Base subjects (RFC 5256 section 2.1), for threads and SORT SUBJECT: "Re: [x] Fwd: text (fwd)"
 * gives "text".
 */
#include "base/buf.h"

/* @utf8  decoded subject (encoded_word_decode). Appends the base subject, white space collapsed,
 * not folded in case. *is_reply (may be NULL): a "re", "fw" or "fwd" was taken off. */
void subject_append_base(struct vy_buf *out, struct vy_bytes utf8, bool *is_reply);
