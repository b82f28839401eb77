/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The forms of response data (RFC 3501 section 7 and 9), appended to the output. No peer text is
 * ever written that was not made a quoted string or a literal first.
 */
#include "base/buf.h"
#include "mail/uidset.h"

/* Decimal digits of value at `at` (room for 20); returns behind the last. The fast path of FETCH.
 */
char *imap_put_u64(char *at, uint64_t value);
/* An atom where that is allowed, else a string. */
void imap_write_astring(struct vy_buf *out, struct vy_bytes text);
/* A mailbox name: UTF-8 as modified UTF-7, as an astring. */
void imap_write_mailbox(struct vy_buf *out, struct vy_bytes name);
/* A 16-byte or 8-byte id as an objectid (RFC 8474): a letter and hex digits. */
void imap_write_object_id(struct vy_buf *out, char kind, const uint8_t *id, size_t id_bytes);
/* Text for a person in a response line: control bytes become '?', at most 200 bytes. */
void imap_write_text(struct vy_buf *out, struct vy_bytes text);
