/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A mailbox in the state machine's hands: its row, its keywords and those of its index blocks that
 * were touched, kept decoded from command to command in bounded memory. What is cached always
 * equals what the database will hold once the running entry is durable: every command ends with
 * box_flush(), and a failure in between ends the process.
 *
 * @thread  the replica's writer
 */
#include "base/list.h"
#include "base/map.h"
#include "proto/shardlog.pb.h"
#include "shard/block.h"
#include "shard/tx.h"

/* Messages arrive in a small last block, so that a delivery rewrites a kilobyte; full, it joins the
 * one before. */
#define BOX_TAIL_MESSAGES_MAX 32U

struct box_block {
    uint32_t key_uid;   /* its row's key: not above its first UID */
    uint32_t cover_uid; /* no other block starts at or before this UID (and behind key_uid) */
    bool is_dirty;
    bool has_drop;
    uint64_t drop[BLOCK_MESSAGES_MAX / 64]; /* messages on their way out: box_mark_drop() */
    struct block block;
};

struct box {
    uint64_t account_id;
    uint64_t mailbox_id;
    struct mailbox_row row; /* name_hash and name_sealed point to `name` */
    struct vy_buf name;     /* owned */
    bool row_is_dirty;
    struct box_block **blocks; /* owned, ascending by key_uid; not necessarily all */
    size_t block_count;
    size_t block_capacity;
    size_t dirty_count;
    uint8_t (*keyword_hashes)[SHARD_HASH_BYTES]; /* owned; NULL: not loaded */
    struct vy_buf keyword_row;                   /* encoded KeywordRow, when loaded */
    struct box_cache *cache;
    struct vy_list lru;
};

struct box_cache {
    struct vy_strmap boxes; /* account and mailbox id, 16 bytes -> struct box, owned */
    struct vy_list lru;     /* oldest use first */
    size_t used_bytes;
    size_t limit_bytes;
    struct vy_buf encoded; /* scratch for rows */
};

void box_cache_init(struct box_cache *cache, size_t limit_bytes, uint64_t hash_seed);
void box_cache_deinit(struct box_cache *cache);
void box_cache_clear(struct box_cache *cache); /* the database was replaced by a snapshot */
/* Between commands: forgets the mailboxes unused longest until the limit holds. */
void box_cache_trim(struct box_cache *cache);

/* NULL: no such mailbox, or tx failed. Borrowed until the next box_cache_trim(). */
struct box *box_open(struct box_cache *cache, struct tx *tx, uint64_t account_id,
                     uint64_t mailbox_id);
/* A mailbox that is not there yet; row's bytes are copied. */
struct box *box_create(struct box_cache *cache, struct tx *tx, uint64_t account_id,
                       uint64_t mailbox_id, const struct mailbox_row *row);
void box_set_name(struct box *box, struct vy_bytes hash, struct vy_bytes sealed);
/* Deletes all rows of the mailbox but those in gone; the box is no more. */
void box_delete(struct box *box, struct tx *tx);
/* The account is erased or the mailbox gone: forget without writing. */
void box_forget(struct box *box);
void box_forget_account(struct box_cache *cache, uint64_t account_id);
/* Writes what changed. */
void box_flush(struct box *box, struct tx *tx);
static inline void box_touch_row(struct box *box)
{
    box->row_is_dirty = true;
}

/* The block with the first message whose UID is at least `uid`; NULL: none, or tx failed. */
struct box_block *box_find(struct box *box, struct tx *tx, uint32_t uid);
void box_touch_block(struct box *box, struct box_block *block);
/* row->uid is above every UID of the mailbox. is_bulk: more follow, fill whole blocks. */
void box_append(struct box *box, struct tx *tx, const struct block_row *row, bool is_bulk);
void box_mark_drop(struct box *box, struct box_block *block, uint32_t index);
/* Takes the marked messages out, removes and joins blocks. */
void box_drop_marked(struct box *box, struct tx *tx);

/* The bit of a keyword by its hash; BLOCK_KEYWORDS_MAX: the mailbox does not have it. */
uint32_t box_find_keyword(struct box *box, struct tx *tx, struct vy_bytes hash);
/* Adds one; the mailbox has fewer than BLOCK_KEYWORDS_MAX and not this one. Returns its bit. */
uint32_t box_add_keyword(struct box *box, struct tx *tx, const struct sealed_name *keyword);
