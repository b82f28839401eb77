/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Reading a shard's tables from a snapshot: rows, names, index blocks, expunged blocks. What comes
 * back lives in the caller's arena; nothing borrows from the store.
 *
 * @thread  any
 * @errors  of all: CORRUPT damaged rows, LIMIT the arena is full, and what the store says
 */
#include "proto/shardlog.pb.h"
#include "replica/store.h"
#include "shard/block.h"
#include "shard/names.h"

VY_CHECKED struct vy_err read_account(const struct store_reader *reader, struct vy_arena *arena,
                                      uint64_t account_id, struct account_row *out, bool *found);
VY_CHECKED struct vy_err read_mailbox(const struct store_reader *reader, struct vy_arena *arena,
                                      uint64_t account_id, uint64_t mailbox_id,
                                      struct mailbox_row *out, bool *found);
/* *out is 0: no mailbox of that name. */
VY_CHECKED struct vy_err read_mailbox_id(const struct store_reader *reader, uint64_t account_id,
                                         const uint8_t name_hash[SHARD_HASH_BYTES], uint64_t *out);
/* Keyword names by their bit. */
VY_CHECKED struct vy_err read_keywords(const struct store_reader *reader, struct vy_arena *arena,
                                       const struct seal_keys *keys, uint64_t account_id,
                                       uint64_t mailbox_id, struct vy_bytes **out,
                                       size_t *out_count);

/* Index blocks of a mailbox, ascending, from the one that holds `first_uid` or a greater one. */
struct read_blocks {
    struct store_iter *iter;
    uint32_t first_uid;
    struct block *block; /* arena */
};
VY_CHECKED struct vy_err read_blocks_open(const struct store_reader *reader, struct vy_arena *arena,
                                          uint64_t account_id, uint64_t mailbox_id,
                                          uint32_t first_uid, struct read_blocks *out);
/* *out: NULL at the end; else valid until the next call. */
VY_CHECKED struct vy_err read_blocks_next(struct read_blocks *blocks, struct block **out);
void read_blocks_close(struct read_blocks *blocks); /* also of one zeroed and never opened */

/* The same over expunged messages whose content is still kept, by modseq of the expunge, from those
 * behind `after_modseq`. */
VY_CHECKED struct vy_err read_gone_open(const struct store_reader *reader, struct vy_arena *arena,
                                        uint64_t account_id, uint64_t mailbox_id,
                                        uint64_t after_modseq, struct read_blocks *out);
