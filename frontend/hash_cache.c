/* SPDX-License-Identifier: Apache-2.0 */
#include "frontend/hash_cache.h"

#include "base/buf.h"
#include "base/secret.h"
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <pthread.h>
#include <stdlib.h>

#define WAYS 4U /* places that one key may be in */
#define QUESTION_BYTES_MAX 8192U
#define SECRET_BYTES 32U

struct hash_entry {
    uint8_t key[32];
    uint8_t tag[HASH_CACHE_TAG_BYTES];
    uint64_t until_ms; /* 0: free */
};

struct hash_cache {
    pthread_mutex_t lock; /* guards entries */
    uint8_t secret[SECRET_BYTES];
    size_t set_count; /* a power of two */
    struct hash_entry entries[];
};

static size_t bytes_of(const struct hash_cache *cache)
{
    return sizeof(*cache) + cache->set_count * WAYS * sizeof(struct hash_entry);
}

struct vy_err hash_cache_new(struct vy_rng *rng, size_t entries, struct hash_cache **out)
{
    size_t set_count = 1;
    while (set_count * WAYS < entries) {
        set_count *= 2;
    }
    struct hash_cache *cache =
        calloc(1, sizeof(*cache) + set_count * WAYS * sizeof(struct hash_entry));
    if (cache == NULL) {
        return vy_error(VY_CODE_NOMEM, "cache of password hashes");
    }
    cache->set_count = set_count;
    (void)pthread_mutex_init(&cache->lock, NULL);
    vy_rng_fill(rng, cache->secret, sizeof(cache->secret));
    *out = cache;
    return vy_ok();
}

void hash_cache_free(struct hash_cache *cache)
{
    if (cache != NULL) {
        (void)pthread_mutex_destroy(&cache->lock);
        vy_wipe(cache, bytes_of(cache));
        free(cache);
    }
}

static void add_field(struct vy_buf *buf, struct vy_bytes field)
{
    vy_buf_append_be32(buf, (uint32_t)field.len); /* keeps fields apart */
    vy_buf_append(buf, field);
}

struct hash_cache_key hash_cache_key_of(const struct hash_cache *cache,
                                        const struct hash_question *question)
{
    struct hash_cache_key key = {.is_set = false};
    struct vy_buf text;
    unsigned len = 0;
    if (question->meta_key.len == 0) {
        return key;
    }
    vy_buf_init(&text, QUESTION_BYTES_MAX);
    add_field(&text, question->meta_key);
    add_field(&text, question->password);
    add_field(&text, question->salt);
    vy_buf_append_be32(&text, question->memory_kib);
    vy_buf_append_be32(&text, question->passes);
    vy_buf_append_be32(&text, question->lanes);
    const struct vy_bytes bytes = vy_buf_bytes(&text);
    key.is_set =
        !vy_failed(vy_buf_error(&text)) && HMAC(EVP_sha256(), cache->secret, SECRET_BYTES,
                                                bytes.data, bytes.len, key.bytes, &len) != NULL;
    if (text.data != NULL) {
        vy_wipe(text.data, text.capacity);
    }
    vy_buf_deinit(&text);
    return key;
}

static struct hash_entry *set_of(struct hash_cache *cache, const struct hash_cache_key *key)
{
    return &cache->entries[(vy_get_be64(key->bytes) & (cache->set_count - 1)) * WAYS];
}

static bool is_entry(const struct hash_entry *entry, const struct hash_cache_key *key)
{
    return entry->until_ms != 0 && vy_bytes_equal_secret(vy_bytes(entry->key, sizeof(entry->key)),
                                                         vy_bytes(key->bytes, sizeof(key->bytes)));
}

bool hash_cache_find(struct hash_cache *cache, const struct hash_cache_key *key, uint64_t now_ms,
                     uint8_t out[HASH_CACHE_TAG_BYTES])
{
    bool is_found = false;
    if (!key->is_set) {
        return false;
    }
    struct hash_entry *set = set_of(cache, key);
    (void)pthread_mutex_lock(&cache->lock);
    for (unsigned i = 0; i < WAYS; i++) {
        if (is_entry(&set[i], key) && now_ms < set[i].until_ms) {
            memcpy(out, set[i].tag, HASH_CACHE_TAG_BYTES);
            is_found = true;
        }
    }
    (void)pthread_mutex_unlock(&cache->lock);
    return is_found;
}

void hash_cache_put(struct hash_cache *cache, const struct hash_cache_key *key, uint64_t now_ms,
                    const uint8_t tag[HASH_CACHE_TAG_BYTES])
{
    if (!key->is_set) {
        return;
    }
    struct hash_entry *set = set_of(cache, key);
    (void)pthread_mutex_lock(&cache->lock);
    struct hash_entry *place = &set[0];
    for (unsigned i = 0; i < WAYS; i++) {
        if (is_entry(&set[i], key)) {
            place = &set[i];
            break;
        }
        place = set[i].until_ms < place->until_ms ? &set[i] : place;
    }
    memcpy(place->key, key->bytes, sizeof(place->key));
    memcpy(place->tag, tag, sizeof(place->tag));
    place->until_ms = now_ms + HASH_CACHE_KEEP_MS;
    (void)pthread_mutex_unlock(&cache->lock);
}
