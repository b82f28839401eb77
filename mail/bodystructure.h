/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * BODY and BODYSTRUCTURE of a parsed message (RFC 3501 section 7.4.2), iterative.
 */
#include "mail/mime.h"

enum bodystructure_form { BODYSTRUCTURE_BASIC /* BODY */, BODYSTRUCTURE_EXTENDED };
/* Appends the text of part `root` (0: the message).
 * @scratch  work memory (envelopes of messages inside)
 * @errors   LIMIT scratch is full; a full `out` is asked for by vy_buf_error() */
VY_CHECKED struct vy_err bodystructure_append(struct vy_buf *out, struct vy_arena *scratch,
                                              const struct mime_structure *structure, uint16_t root,
                                              enum bodystructure_form form);
