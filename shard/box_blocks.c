/* SPDX-License-Identifier: Apache-2.0 */
/* The blocks of a cached mailbox: finding, loading, appending, joining. */
#include "base/assert.h"
#include "shard/box.h"
#include <stdlib.h>

/* Blocks join their left neighbour when both together are at most half full, so that they do not
 * split hairs. */
#define BOX_JOIN_MESSAGES_MAX (BLOCK_MESSAGES_MAX / 2U)

/* Where a block with this key would stand: behind all with a smaller or equal key. */
static size_t place_of(const struct box *box, uint32_t key_uid)
{
    size_t low = 0;
    size_t high = box->block_count;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (box->blocks[middle]->key_uid <= key_uid) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static bool make_room(struct box *box)
{
    if (box->block_count < box->block_capacity) {
        return true;
    }
    const size_t capacity = box->block_capacity == 0 ? 4 : box->block_capacity * 2;
    struct box_block **blocks = realloc(box->blocks, capacity * sizeof(struct box_block *));
    if (blocks == NULL) {
        return false;
    }
    box->blocks = blocks;
    box->block_capacity = capacity;
    return true;
}

/* An empty block in its place in the array. */
static struct box_block *insert_block(struct box *box, struct tx *tx, uint32_t key_uid)
{
    struct box_block *block = malloc(sizeof(*block));

    if (block == NULL || !make_room(box)) {
        free(block);
        tx_fail(tx, vy_error(VY_CODE_NOMEM, "cache index block"));
        return NULL;
    }
    block->key_uid = key_uid;
    block->cover_uid = key_uid;
    block->is_dirty = false;
    block->has_drop = false;
    block->block.count = 0;
    block->block.has_keywords = false;
    const size_t place = place_of(box, key_uid);
    memmove(box->blocks + place + 1, box->blocks + place,
            (box->block_count - place) * sizeof(struct box_block *));
    box->blocks[place] = block;
    box->block_count++;
    box->cache->used_bytes += sizeof(*block);
    return block;
}

static void remove_block(struct box *box, size_t place)
{
    struct box_block *block = box->blocks[place];

    if (block->is_dirty) {
        box->dirty_count--;
    }
    memmove(box->blocks + place, box->blocks + place + 1,
            (box->block_count - place - 1) * sizeof(struct box_block *));
    box->block_count--;
    box->cache->used_bytes -= sizeof(*block);
    free(block);
}

void box_touch_block(struct box *box, struct box_block *block)
{
    if (!block->is_dirty) {
        block->is_dirty = true;
        box->dirty_count++;
    }
}

/* The cached block of a row that was found, read now if it is not cached. */
static struct box_block *adopt_row(struct box *box, struct tx *tx, const struct tx_row *row)
{
    uint64_t mailbox_id = 0;
    uint32_t key_uid = 0;

    if (!keys_parse_block(row->key, &mailbox_id, &key_uid)) {
        tx_fail(tx, vy_error(VY_CODE_CORRUPT, "read index block key"));
        return NULL;
    }
    const size_t place = place_of(box, key_uid);
    if (place > 0 && box->blocks[place - 1]->key_uid == key_uid) {
        return box->blocks[place - 1];
    }
    struct box_block *block = insert_block(box, tx, key_uid);
    if (block == NULL) {
        return NULL;
    }
    struct vy_err err = block_decode(row->value, &block->block);
    if (!vy_failed(err) && block_first_uid(&block->block) < key_uid) {
        err = vy_error(VY_CODE_CORRUPT, "compare index block with its key");
    }
    if (vy_failed(err)) {
        remove_block(box, place);
        tx_fail(tx, err);
        return NULL;
    }
    block->cover_uid = block_last_uid(&block->block);
    return block;
}

/* The block that covers `uid`: the last that starts at or before it. NULL: none starts that early.
 */
static struct box_block *find_floor(struct box *box, struct tx *tx, uint32_t uid)
{
    const size_t place = place_of(box, uid);
    struct box_block *floor = place == 0 ? NULL : box->blocks[place - 1];
    struct tx_row row;

    if (floor != NULL && floor->cover_uid >= uid) {
        return floor;
    }
    const struct shard_key first = keys_block(box->account_id, box->mailbox_id, 0);
    const struct shard_key at = keys_block(box->account_id, box->mailbox_id, uid);
    if (!tx_seek_last(tx, SHARD_MSG, &first, &at, &row)) {
        return NULL;
    }
    floor = adopt_row(box, tx, &row);
    if (floor != NULL) {
        floor->cover_uid = VY_MAX(floor->cover_uid, uid);
    }
    return floor;
}

/* The block behind `floor` (NULL: the first from `uid` on). */
static struct box_block *find_next(struct box *box, struct tx *tx, struct box_block *floor,
                                   uint32_t uid)
{
    struct tx_row row;

    if (floor != NULL && floor->cover_uid == UINT32_MAX) {
        return NULL;
    }
    const uint32_t from_uid = floor == NULL ? uid : floor->cover_uid + 1;
    const size_t place = place_of(box, from_uid);
    if (floor != NULL && place > 0 && box->blocks[place - 1]->key_uid == from_uid) {
        return box->blocks[place - 1];
    }
    const struct shard_key from = keys_block(box->account_id, box->mailbox_id, from_uid);
    const struct shard_key end = keys_box_end(box->account_id, box->mailbox_id);
    if (!tx_seek_first(tx, SHARD_MSG, &from, &end, &row)) {
        if (floor != NULL) {
            floor->cover_uid = UINT32_MAX;
        }
        return NULL;
    }
    struct box_block *next = adopt_row(box, tx, &row);
    if (next != NULL && floor != NULL) {
        floor->cover_uid = next->key_uid - 1;
    }
    return next;
}

struct box_block *box_find(struct box *box, struct tx *tx, uint32_t uid)
{
    if (box->row.message_count == 0) {
        return NULL;
    }
    struct box_block *floor = find_floor(box, tx, uid);
    if (floor != NULL && block_last_uid(&floor->block) >= uid) {
        return floor;
    }
    return find_next(box, tx, floor, uid);
}

/* ---- appending ---- */

static void delete_row(struct box *box, struct tx *tx, const struct box_block *block)
{
    const struct shard_key key = keys_block(box->account_id, box->mailbox_id, block->key_uid);

    tx_delete(tx, SHARD_MSG, &key);
}

static size_t index_of(const struct box *box, const struct box_block *block)
{
    const size_t place = place_of(box, block->key_uid);

    VY_ASSERT(place > 0);
    VY_ASSERT(box->blocks[place - 1] == block);
    return place - 1;
}

/* Joins a block into its left neighbour and removes its row. */
static void join_left(struct box *box, struct tx *tx, struct box_block *left,
                      struct box_block *block)
{
    block_join(&left->block, &block->block);
    left->cover_uid = block->cover_uid;
    box_touch_block(box, left);
    delete_row(box, tx, block);
    remove_block(box, index_of(box, block));
}

static void settle_tail(struct box *box, struct tx *tx, struct box_block *tail)
{
    if (tail->block.count != BOX_TAIL_MESSAGES_MAX || tail->key_uid <= 1) {
        return;
    }
    struct box_block *left = find_floor(box, tx, tail->key_uid - 1);
    if (left != NULL && left->block.count + tail->block.count <= BLOCK_MESSAGES_MAX) {
        join_left(box, tx, left, tail);
    }
}

static struct box_block *start_tail(struct box *box, struct tx *tx, struct box_block *last,
                                    uint32_t uid)
{
    if (last != NULL) {
        last->cover_uid = uid - 1;
    }
    struct box_block *tail = insert_block(box, tx, uid);
    if (tail != NULL) {
        tail->cover_uid = UINT32_MAX;
    }
    return tail;
}

void box_append(struct box *box, struct tx *tx, const struct block_row *row, bool is_bulk)
{
    const uint32_t room = is_bulk ? BLOCK_MESSAGES_MAX : BOX_TAIL_MESSAGES_MAX;
    struct box_block *tail = find_floor(box, tx, UINT32_MAX);

    if (tail == NULL || tail->block.count >= room) {
        tail = start_tail(box, tx, tail, row->uid);
    }
    if (tail == NULL) {
        return;
    }
    block_append_row(&tail->block, row);
    box_touch_block(box, tail);
    if (!is_bulk) {
        settle_tail(box, tx, tail);
    }
}

/* ---- taking messages out ---- */

void box_mark_drop(struct box *box, struct box_block *block, uint32_t index)
{
    if (!block->has_drop) {
        block->has_drop = true;
        memset(block->drop, 0, sizeof(block->drop));
    }
    block->drop[index / 64] |= UINT64_C(1) << (index % 64);
    box_touch_block(box, block);
}

static void drop_empty(struct box *box, struct tx *tx, size_t place)
{
    const struct box_block *block = box->blocks[place];

    if (place > 0 && box->blocks[place - 1]->cover_uid == block->key_uid - 1) {
        box->blocks[place - 1]->cover_uid = block->cover_uid;
    }
    delete_row(box, tx, block);
    remove_block(box, place);
}

/* The left neighbour is looked up in the database when it is not cached: which blocks exist must
 * not depend on what a replica happens to have in memory (P10). */
static void settle_shrunk(struct box *box, struct tx *tx, struct box_block *block)
{
    if (block->block.count > BOX_JOIN_MESSAGES_MAX || block->key_uid <= 1) {
        return;
    }
    struct box_block *left = find_floor(box, tx, block->key_uid - 1);
    if (left != NULL && left->block.count + block->block.count <= BOX_JOIN_MESSAGES_MAX) {
        join_left(box, tx, left, block);
    }
}

void box_drop_marked(struct box *box, struct tx *tx)
{
    for (size_t i = box->block_count; i-- > 0;) {
        struct box_block *block = box->blocks[i];
        if (!block->has_drop) {
            continue;
        }
        block_drop_rows(&block->block, block->drop);
        if (block->block.count == 0) {
            drop_empty(box, tx, i);
        }
    }
    /* From the end: what is read in or joined stands before the blocks already done. */
    for (size_t i = box->block_count; i-- > 0;) {
        struct box_block *block = box->blocks[i];
        if (block->has_drop) {
            block->has_drop = false;
            settle_shrunk(box, tx, block);
        }
    }
}
