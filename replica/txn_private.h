/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The transaction from inside: txn.c (rows, ranges, life) and txn_iter.c (rows in order). */
#include "base/arena.h"

#include "replica/skiplist.h"
#include "replica/txn.h"

struct txn_value {
    size_t len;
    uint8_t data[];
};
static inline struct vy_bytes txn_value_bytes(const struct txn_value *value)
{
    return vy_bytes(value->data, value->len);
}

struct txn_range {
    struct vy_bytes from;
    struct vy_bytes to; /* empty: no bound */
};
struct txn_ranges {
    struct txn_range *items; /* the arena's; in order, apart from each other */
    size_t count;
    size_t capacity;
};
struct txn_family {
    struct skiplist rows; /* written in this transaction; item: struct txn_value, NULL: deleted */
    struct txn_ranges ranges; /* of the store's rows, deleted */
    uint64_t generation;      /* counts new rows, for iterators that stand between two */
};
struct txn {
    struct store *store;
    struct store_batch *batch; /* owned */
    struct store_reader reader;
    struct store_iter none; /* what txn_iter returns when marked */
    struct vy_err err;
    struct vy_arena arena;
    struct txn_family families[STORE_FAMILIES_MAX];
    struct store_value *pins; /* owned: what reads of this entry borrowed from the store */
    size_t pin_count;
    size_t pin_capacity;
    size_t iter_count;
    uint32_t effects;
};

/* The deleted range that holds `key`, or NULL. */
const struct txn_range *txn_range_over(const struct txn_ranges *ranges, struct vy_bytes key);
VY_CHECKED struct vy_err txn_iter_new(struct txn *txn, unsigned family,
                                      const struct store_range *range, struct store_iter **out);
extern const struct store_iter_ops txn_none_ops; /* of an iterator that is always at its end */
