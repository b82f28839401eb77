/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * An ordered map from byte keys to pointers: the tables of store_mem and the overlay of a
 * transaction. Nodes never move, and key order is memcmp's. Heights come from a fixed sequence, so
 * a run repeats exactly. Knows nothing of what the items are.
 *
 * @thread  one at a time
 */
#include "base/bytes.h"

#define SKIPLIST_HEIGHT_MAX 12U /* one node in four rises a level: good for 4^12 nodes */

struct skiplist_node {
    struct vy_bytes key; /* lies behind the node */
    void *item;          /* the caller's; NULL when just inserted */
    unsigned height;
    struct skiplist_node *next[]; /* next[0]: the following key, or NULL */
};
struct skiplist {
    struct skiplist_node *heads[SKIPLIST_HEIGHT_MAX];
    unsigned height; /* levels in use */
    uint64_t random;
    size_t count;
};
typedef void *(*skiplist_alloc_fn)(void *arg, size_t size);

void skiplist_init(struct skiplist *list);

/* The nodes on both sides of a gap in the order; either may be NULL. */
struct skiplist_gap {
    struct skiplist_node *before;
    struct skiplist_node *behind;
};
/* The gap just before `key`: `behind` is the first node that is not smaller. */
struct skiplist_gap skiplist_gap_before(const struct skiplist *list, struct vy_bytes key);
/* The gap just behind `key`: `before` is the last node that is not larger. */
struct skiplist_gap skiplist_gap_behind(const struct skiplist *list, struct vy_bytes key);
struct skiplist_node *skiplist_last(const struct skiplist *list);
struct skiplist_node *skiplist_find(const struct skiplist *list, struct vy_bytes key);

/* The node of `key`, which is copied; made if there is none. NULL: no memory, nothing changed. */
struct skiplist_node *skiplist_put(struct skiplist *list, struct vy_bytes key,
                                   skiplist_alloc_fn alloc, void *arg);
/* Takes the node of `key` out and returns it for its owner to free. NULL: none. */
struct skiplist_node *skiplist_remove(struct skiplist *list, struct vy_bytes key);
