/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Structured MIME field values: "token; name=value; ..." (RFC 2045 section 5.1) with RFC 2231
 * continuations and charsets. At most 200 parameters (M5); of two with one name the first counts;
 * continuations go on only without a gap.
 */
#include "base/arena.h"
#include "base/buf.h"

#define PARAM_COUNT_MAX 200U

/* `name` in lower case. An extended value keeps its "charset'language'%41.." form, joined, and
 * its name a '*' behind it, as IMAP shows it. */
struct param {
    struct vy_bytes name;
    struct vy_bytes value; /* unquoted */
};
struct param_list {
    const struct param *items; /* arena */
    size_t count;
};
struct param_field {
    struct vy_bytes value; /* in front of the first ';', comments removed, lower case */
    struct param_list params;
};
/* @value raw field value. @errors LIMIT the arena is full; anything else gives something */
VY_CHECKED struct vy_err param_parse(struct vy_arena *arena, struct vy_bytes value,
                                     struct param_field *out);
/* The value as it stands: exactly `name` (lower case), else NULL data. */
struct vy_bytes param_find(const struct param_list *list, struct vy_bytes name);
/* Appends the decoded value of `name` or `name*` (preferred) as clean UTF-8: RFC 2231, and encoded
 * words as senders wrongly use them. False: there is none. */
bool param_append_decoded(struct vy_buf *out, const struct param_list *list, struct vy_bytes name);
