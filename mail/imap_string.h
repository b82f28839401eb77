/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * IMAP strings as a server writes them (RFC 3501 section 4.3): quoted when short and plain, else a
 * literal. NUL, which neither can hold, becomes '?'.
 */
#include "base/buf.h"

#define IMAP_STRING_QUOTED_BYTES_MAX 1024U /* longer ones go as literals */

/* Quoted or literal: 8-bit, CR, LF and long text are literals. */
void imap_string_append(struct vy_buf *out, struct vy_bytes text);
/* NIL when data is NULL. */
void imap_string_append_or_nil(struct vy_buf *out, struct vy_bytes text);
