/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Argon2id tags that let somebody in, remembered in memory for a while, so that the programs of a
 * user who reconnect all at once cost one hash (A5). Only tags that were right get in: a wrong
 * password costs the same every time.
 *
 * An entry is found by a keyed hash, under a secret of this process, of the password, of all that
 * the hash was asked for with, and of meta's cache key, which is another one for another account,
 * epoch or credential (A13, APP-2). Meta decides each sign-in all the same.
 *
 * @thread any
 */
#include "base/bytes.h"
#include "base/err.h"
#include "base/rng.h"

#define HASH_CACHE_TAG_BYTES 32U
#define HASH_CACHE_KEEP_MS (10U * 60U * 1000U)

struct hash_question {
    struct vy_bytes meta_key; /* of meta's reply; empty: not to be remembered */
    struct vy_bytes password;
    struct vy_bytes salt;
    uint32_t memory_kib;
    uint32_t passes;
    uint32_t lanes;
};
struct hash_cache_key {
    uint8_t bytes[32];
    bool is_set; /* false: not to be remembered */
};

struct hash_cache;
/* entries: at most so many; the oldest of a few goes. @errors NOMEM */
VY_CHECKED struct vy_err hash_cache_new(struct vy_rng *rng, size_t entries,
                                        struct hash_cache **out);
void hash_cache_free(struct hash_cache *cache); /* NULL is allowed; wipes */

struct hash_cache_key hash_cache_key_of(const struct hash_cache *cache,
                                        const struct hash_question *question);
/* now_ms: monotonic. */
bool hash_cache_find(struct hash_cache *cache, const struct hash_cache_key *key, uint64_t now_ms,
                     uint8_t out[HASH_CACHE_TAG_BYTES]);
void hash_cache_put(struct hash_cache *cache, const struct hash_cache_key *key, uint64_t now_ms,
                    const uint8_t tag[HASH_CACHE_TAG_BYTES]);
