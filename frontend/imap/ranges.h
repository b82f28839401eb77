/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Ascending numbers as ranges, each knowing how many stand before it: the UIDs of a selected
 * mailbox (so that a sequence number is found by halving) and every smaller set of them. Heap
 * memory; 12 bytes a range.
 */
#include "base/bytes.h"
#include "base/err.h"

struct imap_range {
    uint32_t first;
    uint32_t last;
    uint32_t before; /* numbers in the ranges in front of this one */
};
struct imap_ranges {
    struct imap_range *items; /* owned */
    size_t count;
    size_t capacity;
    bool failed; /* no memory: what was added last is missing. Ask once at the end */
};

void imap_ranges_deinit(struct imap_ranges *ranges); /* empty and usable afterwards */
/* Adds first..last, all above what is there; first <= last. */
void imap_ranges_add(struct imap_ranges *ranges, uint32_t first, uint32_t last);
uint32_t imap_ranges_total(const struct imap_ranges *ranges); /* numbers in all ranges */
/* 1-based place of a number: its sequence number. 0: not in the set. */
uint32_t imap_ranges_place(const struct imap_ranges *ranges, uint32_t number);
/* The number at a place, 1..total. */
uint32_t imap_ranges_at(const struct imap_ranges *ranges, uint32_t place);
static inline bool imap_ranges_contains(const struct imap_ranges *ranges, uint32_t number)
{
    return ranges->count > 0 && imap_ranges_place(ranges, number) != 0;
}
static inline uint32_t imap_ranges_last(const struct imap_ranges *ranges)
{
    return ranges->count == 0 ? 0 : ranges->items[ranges->count - 1].last;
}
/* Index of the first range that ends at or behind `number`; count: none. */
size_t imap_ranges_lower_bound(const struct imap_ranges *ranges, uint32_t number);
/* Adds what `ranges` has between first and last. `out` is another set, and below `first` so far. */
void imap_ranges_add_common(const struct imap_ranges *ranges, uint32_t first, uint32_t last,
                            struct imap_ranges *out);
/* Appends to `out` (empty) what is in a and in b; what is in a and not in b. */
void imap_ranges_intersect(const struct imap_ranges *a, const struct imap_ranges *b,
                           struct imap_ranges *out);
void imap_ranges_subtract(const struct imap_ranges *a, const struct imap_ranges *b,
                          struct imap_ranges *out);
/* Places *from takes over the memory of *to's new content. */
void imap_ranges_move(struct imap_ranges *to, struct imap_ranges *from);
/* @errors NOMEM when `failed` */
VY_CHECKED struct vy_err imap_ranges_error(const struct imap_ranges *ranges);
