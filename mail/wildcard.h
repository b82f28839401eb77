/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * LIST patterns (RFC 3501 section 6.3.8): '*' is any text, '%' any text without '/'. Linear in the
 * name: all places of the pattern are followed at once in a bit set (I12).
 */
#include "base/bytes.h"
#include "base/err.h"

#define WILDCARD_COUNT_MAX 20U
#define WILDCARD_PATTERN_BYTES_MAX 511U

/* @errors LIMIT too long or more than 20 wildcards (runs of '*' count once) */
VY_CHECKED struct vy_err wildcard_check(struct vy_bytes pattern);
/* `pattern` passed wildcard_check(). INBOX as the whole name, or as its first level, matches in any
 * ASCII case. */
bool wildcard_matches(struct vy_bytes pattern, struct vy_bytes name);
