/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Between the scanner (mime.c) and the reader of part headers (mime_fields.c). */
#include "mail/mime.h"

/* What a header makes of its part. */
struct mime_verdict {
    enum mime_kind kind;      /* as far as the header says */
    struct vy_bytes boundary; /* of a MULTIPART: 1..70 bytes */
};
/*
 * Fills fields and the attributes of the node from a header block in arena memory.
 *
 * @in_digest  parts are message/rfc822 unless they say otherwise (RFC 2046 section 5.1.5)
 * @errors     LIMIT
 */
VY_CHECKED struct vy_err mime_fields_read(struct vy_arena *arena, struct vy_bytes header,
                                          bool in_digest, struct mime_node *node,
                                          struct mime_fields *fields, struct mime_verdict *verdict);
/* Turns a part into one that is not looked into. */
void mime_fields_make_opaque(struct mime_node *node, struct mime_fields *fields);
