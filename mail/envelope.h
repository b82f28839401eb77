/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * ENVELOPE of a header (RFC 3501 section 7.4.2): fields unfolded but not decoded, addresses parsed,
 * Sender and Reply-To default to From. Every well-known field's first usable occurrence counts.
 */
#include "base/arena.h"
#include "base/buf.h"

/* Appends "(date subject from ... message-id)".
 * @scratch  work memory; nothing outlives the call
 * @errors   LIMIT scratch is full; a full `out` is asked for by vy_buf_error() */
VY_CHECKED struct vy_err envelope_append(struct vy_buf *out, struct vy_arena *scratch,
                                         struct vy_bytes header);
