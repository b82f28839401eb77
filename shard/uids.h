/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Sets of UIDs as ascending ranges in an arena: how commands, change records and replies name
 * messages. On the wire and on disk they have the compact form of mail/seqset.h (uidset).
 */
#include "base/arena.h"
#include "base/buf.h"

struct uid_range {
    uint32_t first;
    uint32_t last;
};
struct uid_ranges {
    struct vy_arena *arena; /* borrowed */
    struct uid_range *items;
    size_t count;
    size_t capacity;
    bool failed; /* the arena was full: what was added last is missing */
};
#define UIDS_RANGES_MAX 262144U /* 2 MiB of memory: every other message of a mailbox of 500,000 */

void uids_init(struct uid_ranges *uids, struct vy_arena *arena);
/* `uid` is above all that are in the set. */
void uids_add(struct uid_ranges *uids, uint32_t uid);
/* first is above all that are in the set; first <= last. */
void uids_add_range(struct uid_ranges *uids, uint32_t first, uint32_t last);
bool uids_contains(const struct uid_ranges *uids, uint32_t uid);
uint64_t uids_count(const struct uid_ranges *uids); /* of UIDs */
/* Every UID of a or b; of a and b; of a and not b. */
void uids_union(const struct uid_ranges *a, const struct uid_ranges *b, struct uid_ranges *out);
void uids_intersect(const struct uid_ranges *a, const struct uid_ranges *b, struct uid_ranges *out);
void uids_subtract(const struct uid_ranges *a, const struct uid_ranges *b, struct uid_ranges *out);

/* @errors SYNTAX not a uid set; LIMIT over UIDS_RANGES_MAX ranges or the arena is full */
VY_CHECKED struct vy_err uids_decode(struct vy_arena *arena, struct vy_bytes encoded,
                                     struct uid_ranges *out);
/* Appends. An empty set is no bytes. */
void uids_encode(const struct uid_ranges *uids, struct vy_buf *out);
/* In arena memory. @errors LIMIT */
VY_CHECKED struct vy_err uids_encode_arena(const struct uid_ranges *uids, struct vy_arena *arena,
                                           struct vy_bytes *out);
