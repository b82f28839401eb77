/* SPDX-License-Identifier: Apache-2.0 */
#include "base/map.h"

#include "base/assert.h"
#include "base/codec.h"
#include <stdlib.h>

#define MAP_CAPACITY_FIRST 16U

static uint64_t splitmix64(uint64_t x)
{
    return vy_mix64(x + VY_MIX64_STEP);
}

uint16_t vy_slot_of_account(uint64_t account_id)
{
    return (uint16_t)(splitmix64(account_id) % VY_SLOT_COUNT);
}

static uint64_t rotate(uint64_t x, unsigned bits)
{
    return x << bits | x >> (64 - bits);
}

static void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = rotate(v[1], 13) ^ v[0];
    v[0] = rotate(v[0], 32);
    v[2] += v[3];
    v[3] = rotate(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotate(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotate(v[1], 17) ^ v[2];
    v[2] = rotate(v[2], 32);
}

static uint64_t load_le64(const uint8_t *p, size_t len)
{
    uint64_t value = 0;
    for (size_t i = 0; i < len; i++) {
        value |= (uint64_t)p[i] << (8 * i);
    }
    return value;
}

uint64_t vy_siphash(uint64_t seed, struct vy_bytes bytes)
{
    const uint64_t k0 = seed;
    const uint64_t k1 = splitmix64(seed);
    uint64_t v[4] = {k0 ^ 0x736f6d6570736575ULL, k1 ^ 0x646f72616e646f6dULL,
                     k0 ^ 0x6c7967656e657261ULL, k1 ^ 0x7465646279746573ULL};
    const size_t whole = bytes.len - bytes.len % 8;
    for (size_t at = 0; at <= whole; at += 8) {
        const uint64_t m =
            at < whole ? load_le64(bytes.data + at, 8)
                       : load_le64(bytes.len == whole ? NULL : bytes.data + at, bytes.len - whole) |
                             (uint64_t)bytes.len << 56;
        v[3] ^= m;
        sip_round(v);
        sip_round(v);
        v[0] ^= m;
    }
    v[2] ^= 0xFF;
    for (unsigned i = 0; i < 4; i++) {
        sip_round(v);
    }
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* ---- u64 keys: open addressing, linear probing, backward-shift removal; value NULL marks a free
 * slot ---- */

struct vy_map_slot {
    uint64_t key;
    void *value;
};

void vy_map_init(struct vy_map *map, uint64_t seed)
{
    *map = (struct vy_map){.seed = seed};
}

void vy_map_deinit(struct vy_map *map)
{
    free(map->slots);
    vy_map_init(map, map->seed);
}

static size_t map_home(const struct vy_map *map, uint64_t key)
{
    return (size_t)splitmix64(key ^ map->seed) & (map->capacity - 1);
}

/* The slot of key, or the free one where it belongs. Capacity is never full. */
static struct vy_map_slot *map_slot(const struct vy_map *map, uint64_t key)
{
    size_t at = map_home(map, key);
    while (map->slots[at].value != NULL && map->slots[at].key != key) {
        at = (at + 1) & (map->capacity - 1);
    }
    return &map->slots[at];
}

void *vy_map_get(const struct vy_map *map, uint64_t key)
{
    return map->count == 0 ? NULL : map_slot(map, key)->value;
}

static struct vy_err map_grow(struct vy_map *map)
{
    struct vy_map bigger = {.seed = map->seed,
                            .count = map->count,
                            .capacity =
                                map->capacity == 0 ? MAP_CAPACITY_FIRST : map->capacity * 2};
    bigger.slots = calloc(bigger.capacity, sizeof(*bigger.slots));
    if (bigger.slots == NULL) {
        return vy_error(VY_CODE_NOMEM, "map");
    }
    for (size_t i = 0; i < map->capacity; i++) {
        if (map->slots[i].value != NULL) {
            *map_slot(&bigger, map->slots[i].key) = map->slots[i];
        }
    }
    free(map->slots);
    *map = bigger;
    return vy_ok();
}

struct vy_err vy_map_put(struct vy_map *map, uint64_t key, void *value)
{
    VY_ASSERT(value != NULL);
    if (map->count + 1 > map->capacity - map->capacity / 4) {
        VY_TRY(map_grow(map));
    }
    struct vy_map_slot *slot = map_slot(map, key);
    map->count += slot->value == NULL ? 1 : 0;
    *slot = (struct vy_map_slot){.key = key, .value = value};
    return vy_ok();
}

void *vy_map_remove(struct vy_map *map, uint64_t key)
{
    if (map->count == 0) {
        return NULL;
    }
    const size_t mask = map->capacity - 1;
    size_t hole = (size_t)(map_slot(map, key) - map->slots);
    void *value = map->slots[hole].value;
    if (value == NULL) {
        return NULL;
    }
    for (size_t at = (hole + 1) & mask; map->slots[at].value != NULL; at = (at + 1) & mask) {
        const size_t home = map_home(map, map->slots[at].key);
        if (((at - home) & mask) >= ((at - hole) & mask)) {
            map->slots[hole] = map->slots[at];
            hole = at;
        }
    }
    map->slots[hole].value = NULL;
    map->count--;
    return value;
}

bool vy_map_next(const struct vy_map *map, size_t *index, uint64_t *key, void **value)
{
    for (; *index < map->capacity; (*index)++) {
        const struct vy_map_slot *slot = &map->slots[*index];
        if (slot->value != NULL) {
            *key = slot->key;
            *value = slot->value;
            (*index)++;
            return true;
        }
    }
    return false;
}

/* ---- byte string keys: the same table, hashes compared first ---- */

struct vy_strmap_slot {
    uint64_t hash;
    uint8_t *key; /* owned */
    size_t key_len;
    void *value;
};

void vy_strmap_init(struct vy_strmap *map, uint64_t seed)
{
    *map = (struct vy_strmap){.seed = seed};
}

void vy_strmap_deinit(struct vy_strmap *map)
{
    for (size_t i = 0; i < map->capacity; i++) {
        free(map->slots[i].key);
    }
    free(map->slots);
    vy_strmap_init(map, map->seed);
}

static struct vy_strmap_slot *strmap_slot(const struct vy_strmap *map, uint64_t hash,
                                          struct vy_bytes key)
{
    size_t at = (size_t)hash & (map->capacity - 1);
    for (;; at = (at + 1) & (map->capacity - 1)) {
        struct vy_strmap_slot *slot = &map->slots[at];
        if (slot->value == NULL ||
            (slot->hash == hash && vy_bytes_equal(vy_bytes(slot->key, slot->key_len), key))) {
            return slot;
        }
    }
}

void *vy_strmap_get(const struct vy_strmap *map, struct vy_bytes key)
{
    return map->count == 0 ? NULL : strmap_slot(map, vy_siphash(map->seed, key), key)->value;
}

static struct vy_err strmap_grow(struct vy_strmap *map)
{
    struct vy_strmap bigger = {.seed = map->seed,
                               .count = map->count,
                               .capacity =
                                   map->capacity == 0 ? MAP_CAPACITY_FIRST : map->capacity * 2};
    bigger.slots = calloc(bigger.capacity, sizeof(*bigger.slots));
    if (bigger.slots == NULL) {
        return vy_error(VY_CODE_NOMEM, "map");
    }
    for (size_t i = 0; i < map->capacity; i++) {
        const struct vy_strmap_slot *slot = &map->slots[i];
        if (slot->value != NULL) {
            *strmap_slot(&bigger, slot->hash, vy_bytes(slot->key, slot->key_len)) = *slot;
        }
    }
    free(map->slots);
    *map = bigger;
    return vy_ok();
}

struct vy_err vy_strmap_put(struct vy_strmap *map, struct vy_bytes key, void *value)
{
    VY_ASSERT(value != NULL);
    if (map->count + 1 > map->capacity - map->capacity / 4) {
        VY_TRY(strmap_grow(map));
    }
    const uint64_t hash = vy_siphash(map->seed, key);
    struct vy_strmap_slot *slot = strmap_slot(map, hash, key);
    if (slot->value != NULL) {
        slot->value = value;
        return vy_ok();
    }
    uint8_t *copy = malloc(key.len == 0 ? 1 : key.len);
    if (copy == NULL) {
        return vy_error(VY_CODE_NOMEM, "map key");
    }
    if (key.len > 0) {
        memcpy(copy, key.data, key.len);
    }
    *slot = (struct vy_strmap_slot){.hash = hash, .key = copy, .key_len = key.len, .value = value};
    map->count++;
    return vy_ok();
}

void *vy_strmap_remove(struct vy_strmap *map, struct vy_bytes key)
{
    if (map->count == 0) {
        return NULL;
    }
    const size_t mask = map->capacity - 1;
    size_t hole = (size_t)(strmap_slot(map, vy_siphash(map->seed, key), key) - map->slots);
    void *value = map->slots[hole].value;
    if (value == NULL) {
        return NULL;
    }
    free(map->slots[hole].key);
    for (size_t at = (hole + 1) & mask; map->slots[at].value != NULL; at = (at + 1) & mask) {
        const size_t home = (size_t)map->slots[at].hash & mask;
        if (((at - home) & mask) >= ((at - hole) & mask)) {
            map->slots[hole] = map->slots[at];
            hole = at;
        }
    }
    map->slots[hole] = (struct vy_strmap_slot){.value = NULL};
    map->count--;
    return value;
}

bool vy_strmap_next(const struct vy_strmap *map, size_t *index, struct vy_bytes *key, void **value)
{
    for (; *index < map->capacity; (*index)++) {
        const struct vy_strmap_slot *slot = &map->slots[*index];
        if (slot->value != NULL) {
            *key = vy_bytes(slot->key, slot->key_len);
            *value = slot->value;
            (*index)++;
            return true;
        }
    }
    return false;
}
