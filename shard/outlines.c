/* SPDX-License-Identifier: Apache-2.0 */
#include "shard/outlines.h"
#include "base/assert.h"
#include "base/list.h"
#include "base/map.h"
#include <pthread.h>
#include <stdlib.h>

#define OUTLINE_KEY_BYTES 16U

struct kept {
    struct vy_list lru;
    uint64_t account_id;
    uint64_t mailbox_id;
    uint64_t modseq;
    uint32_t first_unseen_uid;
    size_t uids_len;
    uint8_t uids[];
};

struct outlines {
    pthread_mutex_t lock; /* guards all below */
    struct vy_strmap map; /* account and mailbox id -> struct kept, owned */
    struct vy_list lru;   /* opened longest ago first */
    size_t used_bytes;
};

struct vy_err outlines_new(uint64_t hash_seed, struct outlines **out)
{
    struct outlines *outlines = calloc(1, sizeof(*outlines));

    if (outlines == NULL || pthread_mutex_init(&outlines->lock, NULL) != 0) {
        free(outlines);
        return vy_error(VY_CODE_NOMEM, "allocate outlines");
    }
    vy_strmap_init(&outlines->map, hash_seed);
    vy_list_init(&outlines->lru);
    *out = outlines;
    return vy_ok();
}

static void make_key(uint8_t key[OUTLINE_KEY_BYTES], uint64_t account_id, uint64_t mailbox_id)
{
    vy_put_be64(key, account_id);
    vy_put_be64(key + 8, mailbox_id);
}

static size_t kept_bytes(const struct kept *kept)
{
    return sizeof(*kept) + kept->uids_len;
}

static struct kept *find_locked(struct outlines *outlines, uint64_t account_id, uint64_t mailbox_id)
{
    uint8_t key[OUTLINE_KEY_BYTES];

    make_key(key, account_id, mailbox_id);
    return vy_strmap_get(&outlines->map, vy_bytes(key, sizeof(key)));
}

static void drop_locked(struct outlines *outlines, struct kept *kept)
{
    uint8_t key[OUTLINE_KEY_BYTES];

    if (kept == NULL) {
        return;
    }
    make_key(key, kept->account_id, kept->mailbox_id);
    (void)vy_strmap_remove(&outlines->map, vy_bytes(key, sizeof(key)));
    outlines->used_bytes -= kept_bytes(kept);
    vy_list_remove(&kept->lru);
    free(kept);
}

static struct kept *oldest(const struct outlines *outlines)
{
    return VY_CONTAINER_OF(outlines->lru.next, struct kept, lru);
}

void outlines_clear(struct outlines *outlines)
{
    (void)pthread_mutex_lock(&outlines->lock);
    while (!vy_list_is_empty(&outlines->lru)) {
        drop_locked(outlines, oldest(outlines));
    }
    (void)pthread_mutex_unlock(&outlines->lock);
}

void outlines_free(struct outlines *outlines)
{
    if (outlines == NULL) {
        return;
    }
    outlines_clear(outlines);
    vy_strmap_deinit(&outlines->map);
    (void)pthread_mutex_destroy(&outlines->lock);
    free(outlines);
}

bool outlines_find(struct outlines *outlines, uint64_t account_id, uint64_t mailbox_id,
                   struct vy_arena *arena, struct outline *out)
{
    struct outline found = {.modseq = 0};

    (void)pthread_mutex_lock(&outlines->lock);
    struct kept *kept = find_locked(outlines, account_id, mailbox_id);
    bool is_found = kept != NULL;
    if (is_found) {
        vy_list_remove(&kept->lru);
        vy_list_push_back(&outlines->lru, &kept->lru);
        found.modseq = kept->modseq;
        found.first_unseen_uid = kept->first_unseen_uid;
        is_found =
            kept->uids_len == 0 ||
            !vy_failed(vy_arena_dup(arena, vy_bytes(kept->uids, kept->uids_len), &found.uids));
    }
    (void)pthread_mutex_unlock(&outlines->lock);
    if (is_found) {
        *out = found;
    }
    return is_found;
}

static struct kept *kept_new(uint64_t account_id, uint64_t mailbox_id,
                             const struct outline *outline)
{
    struct kept *kept = malloc(sizeof(*kept) + outline->uids.len);

    if (kept == NULL) {
        return NULL;
    }
    *kept = (struct kept){.account_id = account_id,
                          .mailbox_id = mailbox_id,
                          .modseq = outline->modseq,
                          .first_unseen_uid = outline->first_unseen_uid,
                          .uids_len = outline->uids.len};
    if (outline->uids.len > 0) {
        memcpy(kept->uids, outline->uids.data, outline->uids.len);
    }
    vy_list_init(&kept->lru);
    return kept;
}

static bool put_locked(struct outlines *outlines, struct kept *kept)
{
    uint8_t key[OUTLINE_KEY_BYTES];

    make_key(key, kept->account_id, kept->mailbox_id);
    if (vy_failed(vy_strmap_put(&outlines->map, vy_bytes(key, sizeof(key)), kept))) {
        return false;
    }
    vy_list_push_back(&outlines->lru, &kept->lru);
    outlines->used_bytes += kept_bytes(kept);
    while (outlines->used_bytes > OUTLINES_BYTES_MAX) {
        drop_locked(outlines, oldest(outlines));
    }
    return true;
}

void outlines_keep(struct outlines *outlines, uint64_t account_id, uint64_t mailbox_id,
                   const struct outline *outline)
{
    if (outline->uids.len > OUTLINE_UIDS_BYTES_MAX) {
        return;
    }
    struct kept *fresh = kept_new(account_id, mailbox_id, outline);
    if (fresh == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&outlines->lock);
    struct kept *old = find_locked(outlines, account_id, mailbox_id);
    bool is_kept = false;
    if (old == NULL || old->modseq < outline->modseq) {
        drop_locked(outlines, old);
        is_kept = put_locked(outlines, fresh);
    }
    (void)pthread_mutex_unlock(&outlines->lock);
    if (!is_kept) {
        free(fresh);
    }
}

void outlines_drop_account(struct outlines *outlines, uint64_t account_id)
{
    struct vy_list *next = NULL;

    (void)pthread_mutex_lock(&outlines->lock);
    for (struct vy_list *item = outlines->lru.next; item != &outlines->lru; item = next) {
        struct kept *kept = VY_CONTAINER_OF(item, struct kept, lru);
        next = item->next;
        if (kept->account_id == account_id) {
            drop_locked(outlines, kept);
        }
    }
    (void)pthread_mutex_unlock(&outlines->lock);
}
