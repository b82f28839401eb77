/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Sequence sets: the "1:4,7,*" lists with which IMAP clients name messages (RFC 3501 section 9).
 * Pure parsing; what the numbers mean is the caller's. The resulting sets: uidset.h.
 */
#include "base/arena.h"
#include "mail/uidset.h"

#define SEQSET_ITEMS_MAX 10000U /* I13 */
#define SEQSET_STAR 0U          /* "*", until the mailbox says what it is */

/* As written: ends in any order, overlaps, repetitions. */
struct seqset_item {
    uint32_t first; /* SEQSET_STAR or >= 1 */
    uint32_t last;
};
struct seqset {
    const struct seqset_item *items; /* arena */
    size_t count;                    /* >= 1 */
};
/*
 * @text   the whole set, no spaces
 * @errors SYNTAX not a sequence set, or has 0 (I13); LIMIT over SEQSET_ITEMS_MAX items or arena
 */
VY_CHECKED struct vy_err seqset_parse(struct vy_arena *arena, struct vy_bytes text,
                                      struct seqset *out);
/*
 * Sorted, merged, "*" replaced: cost by items, not by numbers.
 *
 * @largest  what "*" stands for; 0 (empty mailbox): a set with "*" only in it gives nothing
 * @out      initialised; what was in it is replaced
 * @errors   NOMEM
 */
VY_CHECKED struct vy_err seqset_resolve(const struct seqset *set, uint32_t largest,
                                        struct uidset *out);
