/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * LIST patterns: '*' stands for anything, '%' for anything without a '/'. All places of the pattern
 * are followed at once in a bit set, so a name costs its length, whatever the wildcards (I12).
 */
#include "base/arena.h"
#include "base/bytes.h"
#include "base/err.h"

#define IMAP_PATTERN_WILDCARDS_MAX 20U /* I12 */
#define IMAP_PATTERN_BYTES_MAX 511U

struct imap_pattern; /* in the arena it was made in */

/* @text UTF-8. @errors LIMIT too long or too many wildcards; NOMEM never: LIMIT of the arena */
VY_CHECKED struct vy_err imap_pattern_new(struct vy_arena *arena, struct vy_bytes text,
                                          const struct imap_pattern **out);
/* INBOX is found in any case, as the first level too. */
bool imap_pattern_matches(const struct imap_pattern *pattern, struct vy_bytes name);
