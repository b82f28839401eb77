/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Sets of UIDs (u32, 1..2^32-1) as sorted, disjoint, non-touching ranges: views of mailboxes with
 * millions of messages. Heap memory, 12 bytes a range. rank and nth are a binary search over counts
 * kept beside the ranges. Not thread safe.
 *
 * Compact form (wire and disk, "uid_set"): for each range, ascending, varint(first - last of the
 * range before, or first) then varint(last - first); varints are LEB128, shortest form. With
 * canonical ranges one set has exactly one encoding; the empty set is no bytes.
 */
#include "base/buf.h"

struct uidset_range {
    uint32_t first;
    uint32_t last;
    uint32_t before; /* numbers in the ranges in front of this one */
};
struct uidset {
    struct uidset_range *ranges; /* owned */
    size_t count;
    size_t capacity;
    bool failed; /* no memory: what was added last is missing; ask uidset_error() at the end */
};
#define UIDSET_RANGES_MAX (16U * 1024U * 1024U)

void uidset_init(struct uidset *set);
void uidset_deinit(struct uidset *set);                          /* empty and usable afterwards */
void uidset_clear(struct uidset *set);                           /* keeps the memory */
void uidset_move(struct uidset *to, struct uidset *from);        /* `from` is empty afterwards */
VY_CHECKED struct vy_err uidset_error(const struct uidset *set); /* NOMEM when failed */

/* Adding behind the end is O(1), elsewhere O(ranges). 0 is not a number: ignored. */
void uidset_add(struct uidset *set, uint32_t number);
void uidset_add_range(struct uidset *set, uint32_t first, uint32_t last); /* first <= last */
void uidset_remove(struct uidset *set, uint32_t number);
void uidset_remove_range(struct uidset *set, uint32_t first, uint32_t last);

bool uidset_is_empty(const struct uidset *set);
uint32_t uidset_count(const struct uidset *set); /* of numbers */
uint32_t uidset_first(const struct uidset *set); /* 0: empty */
uint32_t uidset_last(const struct uidset *set);
bool uidset_contains(const struct uidset *set, uint32_t number);
bool uidset_equal(const struct uidset *a, const struct uidset *b);
/* Index of the first range that ends at or behind `number`; set->count: none. */
size_t uidset_lower_bound(const struct uidset *set, uint32_t number);
/* 1-based place: a UID's sequence number; 0: not in the set. */
uint32_t uidset_rank(const struct uidset *set, uint32_t number);
/* How many numbers of the set are <= number. */
uint32_t uidset_count_upto(const struct uidset *set, uint32_t number);
/* The number at place 1..count; 0: no such place. */
uint32_t uidset_nth(const struct uidset *set, uint32_t place);
/* The set of the numbers at `places` of `set` (sequence numbers to UIDs), and back. */
void uidset_select(const struct uidset *set, const struct uidset *places, struct uidset *out);
void uidset_ranks(const struct uidset *set, const struct uidset *numbers, struct uidset *out);

/* out is a third set and is replaced. O(ranges of both). */
void uidset_union(const struct uidset *a, const struct uidset *b, struct uidset *out);
void uidset_intersect(const struct uidset *a, const struct uidset *b, struct uidset *out);
void uidset_subtract(const struct uidset *a, const struct uidset *b, struct uidset *out);

/* for (struct uidset_iter it = uidset_iter(set); uidset_next(&it, &uid);) */
struct uidset_iter {
    const struct uidset *set;
    size_t index;
    uint64_t next;
};
struct uidset_iter uidset_iter(const struct uidset *set);
bool uidset_next(struct uidset_iter *iter, uint32_t *out);

void uidset_append_text(struct vy_buf *out, const struct uidset *set); /* "1:3,5"; "" when empty */
void uidset_encode(struct vy_buf *out, const struct uidset *set);
/* Replaces what is in *out. @errors CORRUPT not exactly what uidset_encode writes; NOMEM */
VY_CHECKED struct vy_err uidset_decode(struct vy_bytes encoded, struct uidset *out);

/* The compact form for those who keep ranges otherwise. Ranges go in ascending, disjoint, not
 * touching. */
struct uidset_writer {
    uint32_t last; /* 0 at the start */
};
void uidset_write_range(struct uidset_writer *writer, struct vy_buf *out, uint32_t first,
                        uint32_t last);
#define UIDSET_RANGE_BYTES_MAX 10U
struct uidset_reader {
    struct vy_bytes rest;
    uint32_t last;
    bool is_corrupt; /* set when reading ended because of it */
};
struct uidset_reader uidset_reader(struct vy_bytes encoded);
/* False at the end and on damage. */
bool uidset_read_range(struct uidset_reader *reader, uint32_t *first, uint32_t *last);
