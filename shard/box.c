/* SPDX-License-Identifier: Apache-2.0 */
#include "shard/box.h"
#include "base/assert.h"
#include <stdlib.h>

#define BOX_NAME_BYTES_MAX 8448U /* hash and sealed name */
#define BOX_KEYWORD_ROW_BYTES_MAX (64U * 1024U)
#define BOX_ENCODED_BYTES_MAX (256U * 1024U)

/* ---- the cache ---- */

void box_cache_init(struct box_cache *cache, size_t limit_bytes, uint64_t hash_seed)
{
    *cache = (struct box_cache){.limit_bytes = limit_bytes};
    vy_strmap_init(&cache->boxes, hash_seed);
    vy_list_init(&cache->lru);
    vy_buf_init(&cache->encoded, BOX_ENCODED_BYTES_MAX);
}

static void make_cache_key(uint8_t key[16], uint64_t account_id, uint64_t mailbox_id)
{
    vy_put_be64(key, account_id);
    vy_put_be64(key + 8, mailbox_id);
}

static void box_free(struct box *box)
{
    for (size_t i = 0; i < box->block_count; i++) {
        free(box->blocks[i]);
    }
    box->cache->used_bytes -= sizeof(*box) + box->block_count * sizeof(struct box_block);
    free(box->blocks);
    free(box->keyword_hashes);
    vy_buf_deinit(&box->keyword_row);
    vy_buf_deinit(&box->name);
    vy_list_remove(&box->lru);
    free(box);
}

void box_forget(struct box *box)
{
    uint8_t key[16];

    make_cache_key(key, box->account_id, box->mailbox_id);
    vy_strmap_remove(&box->cache->boxes, vy_bytes(key, sizeof(key)));
    box_free(box);
}

void box_cache_clear(struct box_cache *cache)
{
    while (!vy_list_is_empty(&cache->lru)) {
        box_forget(VY_CONTAINER_OF(cache->lru.next, struct box, lru));
    }
}

void box_cache_deinit(struct box_cache *cache)
{
    box_cache_clear(cache);
    vy_strmap_deinit(&cache->boxes);
    vy_buf_deinit(&cache->encoded);
}

void box_cache_trim(struct box_cache *cache)
{
    while (cache->used_bytes > cache->limit_bytes && !vy_list_is_empty(&cache->lru)) {
        struct box *box = VY_CONTAINER_OF(cache->lru.next, struct box, lru);
        VY_ASSERT(box->dirty_count == 0);
        VY_ASSERT(!box->row_is_dirty);
        box_forget(box);
    }
}

void box_forget_account(struct box_cache *cache, uint64_t account_id)
{
    struct vy_list *next = NULL;

    for (struct vy_list *item = cache->lru.next; item != &cache->lru; item = next) {
        struct box *box = VY_CONTAINER_OF(item, struct box, lru);
        next = item->next;
        if (box->account_id == account_id) {
            box_forget(box);
        }
    }
}

/* ---- opening ---- */

static struct box *box_new(struct box_cache *cache, struct tx *tx, uint64_t account_id,
                           uint64_t mailbox_id, const struct mailbox_row *row)
{
    struct box *box = calloc(1, sizeof(*box));
    uint8_t key[16];

    make_cache_key(key, account_id, mailbox_id);
    if (box == NULL || vy_failed(vy_strmap_put(&cache->boxes, vy_bytes(key, sizeof(key)), box))) {
        free(box);
        tx_fail(tx, vy_error(VY_CODE_NOMEM, "cache mailbox"));
        return NULL;
    }
    box->cache = cache;
    box->account_id = account_id;
    box->mailbox_id = mailbox_id;
    box->row = *row;
    vy_buf_init(&box->name, BOX_NAME_BYTES_MAX);
    vy_buf_init(&box->keyword_row, BOX_KEYWORD_ROW_BYTES_MAX);
    vy_list_init(&box->lru);
    vy_list_push_back(&cache->lru, &box->lru);
    cache->used_bytes += sizeof(*box);
    box_set_name(box, row->name_hash, row->name_sealed);
    if (vy_failed(vy_buf_error(&box->name))) {
        tx_fail(tx, vy_error(VY_CODE_CORRUPT, "cache mailbox name"));
    }
    return box;
}

void box_set_name(struct box *box, struct vy_bytes hash, struct vy_bytes sealed)
{
    vy_buf_reset(&box->name);
    vy_buf_append(&box->name, hash);
    vy_buf_append(&box->name, sealed);
    const struct vy_bytes all = vy_buf_bytes(&box->name);
    box->row.name_hash = vy_bytes_slice(all, 0, hash.len);
    box->row.name_sealed = vy_bytes_from(all, hash.len);
}

static struct box *box_load(struct box_cache *cache, struct tx *tx, uint64_t account_id,
                            uint64_t mailbox_id)
{
    const struct shard_key key = keys_mailbox(account_id, mailbox_id);
    struct vy_bytes value;
    struct mailbox_row row;
    struct vy_arena arena;

    if (!tx_get(tx, SHARD_MBOX, &key, &value)) {
        return NULL;
    }
    vy_arena_init(&arena, 4096);
    const struct vy_err err = vy_pb_decode(&mailbox_row_desc, &arena, value, &row);
    vy_arena_deinit(&arena); /* the row has no repeated fields: nothing of it lives there */
    if (vy_failed(err) || row.version != 1) {
        tx_fail(tx, vy_error(VY_CODE_CORRUPT, "read mailbox row"));
        return NULL;
    }
    return box_new(cache, tx, account_id, mailbox_id, &row);
}

struct box *box_open(struct box_cache *cache, struct tx *tx, uint64_t account_id,
                     uint64_t mailbox_id)
{
    uint8_t key[16];

    make_cache_key(key, account_id, mailbox_id);
    struct box *box = vy_strmap_get(&cache->boxes, vy_bytes(key, sizeof(key)));
    if (box == NULL) {
        return box_load(cache, tx, account_id, mailbox_id);
    }
    vy_list_remove(&box->lru);
    vy_list_push_back(&cache->lru, &box->lru);
    return box;
}

struct box *box_create(struct box_cache *cache, struct tx *tx, uint64_t account_id,
                       uint64_t mailbox_id, const struct mailbox_row *row)
{
    struct box *box = box_new(cache, tx, account_id, mailbox_id, row);

    if (box != NULL) {
        box_touch_row(box);
    }
    return box;
}

void box_delete(struct box *box, struct tx *tx)
{
    const struct shard_key first = keys_box_first(box->account_id, box->mailbox_id);
    const struct shard_key end = keys_box_end(box->account_id, box->mailbox_id);
    const struct shard_key row = keys_mailbox(box->account_id, box->mailbox_id);
    const struct shard_key keywords = keys_keywords(box->account_id, box->mailbox_id);

    tx_delete_range(tx, SHARD_MSG, &first, &end);
    tx_delete_range(tx, SHARD_CHG, &first, &end);
    tx_delete(tx, SHARD_MBOX, &row);
    tx_delete(tx, SHARD_MBOX, &keywords);
    box_forget(box);
}

/* ---- writing ---- */

static void flush_block(struct box *box, struct tx *tx, struct box_block *block)
{
    const struct shard_key key = keys_block(box->account_id, box->mailbox_id, block->key_uid);
    struct vy_buf *encoded = &box->cache->encoded;

    vy_buf_reset(encoded);
    block_encode(&block->block, encoded);
    if (vy_failed(vy_buf_error(encoded))) {
        tx_fail(tx, vy_error(VY_CODE_NOMEM, "encode index block"));
        return;
    }
    tx_put(tx, SHARD_MSG, &key, vy_buf_bytes(encoded));
}

void box_flush(struct box *box, struct tx *tx)
{
    /* From the end: a delivery changed the last block only. */
    for (size_t i = box->block_count; i > 0 && box->dirty_count > 0; i--) {
        if (box->blocks[i - 1]->is_dirty) {
            flush_block(box, tx, box->blocks[i - 1]);
            box->blocks[i - 1]->is_dirty = false;
            box->dirty_count--;
        }
    }
    VY_ASSERT(box->dirty_count == 0);
    if (!box->row_is_dirty) {
        return;
    }
    const struct shard_key key = keys_mailbox(box->account_id, box->mailbox_id);
    struct vy_buf *encoded = &box->cache->encoded;
    vy_buf_reset(encoded);
    if (vy_failed(vy_pb_encode(&mailbox_row_desc, &box->row, encoded))) {
        tx_fail(tx, vy_error(VY_CODE_NOMEM, "encode mailbox row"));
        return;
    }
    tx_put(tx, SHARD_MBOX, &key, vy_buf_bytes(encoded));
    box->row_is_dirty = false;
}

/* ---- keywords ---- */

static void load_keywords(struct box *box, struct tx *tx)
{
    const struct shard_key key = keys_keywords(box->account_id, box->mailbox_id);
    struct keyword_row row;
    struct vy_arena arena;
    struct vy_bytes value;

    if (box->keyword_hashes != NULL) {
        return;
    }
    box->keyword_hashes = calloc(BLOCK_KEYWORDS_MAX, sizeof(box->keyword_hashes[0]));
    if (box->keyword_hashes == NULL) {
        tx_fail(tx, vy_error(VY_CODE_NOMEM, "cache keywords"));
        return;
    }
    if (!tx_get(tx, SHARD_MBOX, &key, &value)) {
        return;
    }
    vy_arena_init(&arena, 64U * 1024U);
    vy_buf_append(&box->keyword_row, value);
    struct vy_err err =
        vy_pb_decode(&keyword_row_desc, &arena, vy_buf_bytes(&box->keyword_row), &row);
    if (!vy_failed(err) && (row.keywords_count > BLOCK_KEYWORDS_MAX || row.version != 1)) {
        err = vy_error(VY_CODE_CORRUPT, "read keyword row");
    }
    for (size_t i = 0; !vy_failed(err) && i < row.keywords_count; i++) {
        if (row.keywords[i].hash.len != SHARD_HASH_BYTES) {
            err = vy_error(VY_CODE_CORRUPT, "read keyword hash");
            break;
        }
        memcpy(box->keyword_hashes[i], row.keywords[i].hash.data, SHARD_HASH_BYTES);
    }
    vy_arena_deinit(&arena);
    if (vy_failed(err)) {
        tx_fail(tx, err);
    }
}

uint32_t box_find_keyword(struct box *box, struct tx *tx, struct vy_bytes hash)
{
    VY_ASSERT(hash.len == SHARD_HASH_BYTES);
    if (box->row.keyword_count == 0) {
        return BLOCK_KEYWORDS_MAX;
    }
    load_keywords(box, tx);
    for (uint32_t i = 0; i < box->row.keyword_count && box->keyword_hashes != NULL; i++) {
        if (memcmp(box->keyword_hashes[i], hash.data, SHARD_HASH_BYTES) == 0) {
            return i;
        }
    }
    return BLOCK_KEYWORDS_MAX;
}

/* A repeated field grows by appending its encoding: the row of one keyword is put behind the row
 * that is there. */
uint32_t box_add_keyword(struct box *box, struct tx *tx, const struct sealed_name *keyword)
{
    const struct shard_key key = keys_keywords(box->account_id, box->mailbox_id);
    const struct keyword_row one = {
        .version = box->row.keyword_count == 0 ? 1 : 0, .keywords_count = 1, .keywords = keyword};
    const uint32_t bit = box->row.keyword_count;

    VY_ASSERT(bit < BLOCK_KEYWORDS_MAX);
    load_keywords(box, tx);
    if (box->keyword_hashes == NULL) {
        return 0;
    }
    if (vy_failed(vy_pb_encode(&keyword_row_desc, &one, &box->keyword_row))) {
        tx_fail(tx, vy_error(VY_CODE_NOMEM, "encode keyword row"));
        return 0;
    }
    memcpy(box->keyword_hashes[bit], keyword->hash.data, SHARD_HASH_BYTES);
    box->row.keyword_count++;
    box_touch_row(box);
    tx_put(tx, SHARD_MBOX, &key, vy_buf_bytes(&box->keyword_row));
    return bit;
}
