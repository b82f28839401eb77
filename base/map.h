/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A hash map from u64 keys to pointers, and one from byte strings to pointers (keys are copied).
 * Keyed hash (seeded per map), so peers cannot choose collisions. Iteration order is not defined:
 * never let it reach disk or the wire.
 */
#include "base/bytes.h"
#include "base/err.h"

struct vy_map {
    struct vy_map_slot *slots; /* owned */
    size_t count;
    size_t capacity;
    uint64_t seed;
};
void vy_map_init(struct vy_map *map, uint64_t seed);
void vy_map_deinit(struct vy_map *map);                   /* values are not touched */
void *vy_map_get(const struct vy_map *map, uint64_t key); /* NULL: absent */
VY_CHECKED struct vy_err vy_map_put(struct vy_map *map, uint64_t key,
                                    void *value);      /* value != NULL; replaces */
void *vy_map_remove(struct vy_map *map, uint64_t key); /* the value, or NULL */
/* for (size_t i = 0; vy_map_next(map, &i, &key, &value);) ; removing the current key while
 * iterating is not allowed. */
bool vy_map_next(const struct vy_map *map, size_t *index, uint64_t *key, void **value);

struct vy_strmap {
    struct vy_strmap_slot *slots; /* owned, keys too */
    size_t count;
    size_t capacity;
    uint64_t seed;
};
void vy_strmap_init(struct vy_strmap *map, uint64_t seed);
void vy_strmap_deinit(struct vy_strmap *map);
void *vy_strmap_get(const struct vy_strmap *map, struct vy_bytes key);
VY_CHECKED struct vy_err vy_strmap_put(struct vy_strmap *map, struct vy_bytes key, void *value);
void *vy_strmap_remove(struct vy_strmap *map, struct vy_bytes key);
bool vy_strmap_next(const struct vy_strmap *map, size_t *index, struct vy_bytes *key, void **value);
/* SipHash-2-4 of bytes: for tables keyed by input. */
uint64_t vy_siphash(uint64_t seed, struct vy_bytes bytes);
/* The slot of an account: splitmix64(id) mod 16384; frozen (design section 1). */
#define VY_SLOT_COUNT 16384U
uint16_t vy_slot_of_account(uint64_t account_id);
