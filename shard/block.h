/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Index blocks: up to 256 messages of one mailbox as columns, ascending by UID; what the family msg
 * holds under the UID that the block starts from, and what gone holds of expunged messages.
 * Everything IMAP shows without opening a message stands here. Pure: bytes to columns and back.
 *
 * On disk (big-endian): u8 version, u16 count, columns, u32 crc32c of all before it. A column of
 * numbers is u8 width (0, 1, 2, 4 or 8 bytes each), u64 base, then count differences to the base; a
 * block of one delivery burst is small that way, and reading it is one loop a column.
 */
#include "base/arena.h"
#include "base/buf.h"
#include "shard/keys.h"

#define BLOCK_MESSAGES_MAX 256U
#define BLOCK_KEYWORDS_MAX 256U /* I19: keywords of a mailbox, one bit each */
#define BLOCK_KEYWORD_WORDS (BLOCK_KEYWORDS_MAX / 64U)
/* version and count, seven columns at their widest, keywords, two id columns, checksum */
#define BLOCK_BYTES_MAX                                                                            \
    (3U + 7U * (9U + 8U * BLOCK_MESSAGES_MAX) + 1U + 32U * BLOCK_MESSAGES_MAX +                    \
     SHARD_ID_BYTES * 2U * BLOCK_MESSAGES_MAX + BLOCK_MESSAGES_MAX / 8U + 4U)

struct block_keywords {
    uint64_t words[BLOCK_KEYWORD_WORDS]; /* bit n: keyword n of the mailbox */
};

struct block {
    uint32_t count;
    bool has_keywords; /* false: keywords is not filled */
    uint32_t uid[BLOCK_MESSAGES_MAX];
    uint32_t flags[BLOCK_MESSAGES_MAX]; /* mail/flags.h */
    uint32_t size[BLOCK_MESSAGES_MAX];  /* RFC822.SIZE */
    uint64_t modseq[BLOCK_MESSAGES_MAX];
    uint64_t internal_ms[BLOCK_MESSAGES_MAX];
    uint64_t save_ms[BLOCK_MESSAGES_MAX];
    uint32_t zone[BLOCK_MESSAGES_MAX]; /* minutes east of UTC + BLOCK_ZONE_BIAS */
    uint8_t email_id[BLOCK_MESSAGES_MAX][SHARD_ID_BYTES];
    uint8_t thread_id[BLOCK_MESSAGES_MAX][SHARD_ID_BYTES];
    struct block_keywords keywords[BLOCK_MESSAGES_MAX];
};
#define BLOCK_ZONE_BIAS 2048U

/* One message of a block, for code that handles them singly. */
struct block_row {
    uint32_t uid;
    uint32_t flags;
    uint32_t size;
    uint32_t zone;
    uint64_t modseq;
    uint64_t internal_ms;
    uint64_t save_ms;
    uint8_t email_id[SHARD_ID_BYTES];
    uint8_t thread_id[SHARD_ID_BYTES];
    struct block_keywords keywords;
};

/* count must be 1..256. */
void block_encode(const struct block *block, struct vy_buf *out);
/* @errors CORRUPT damaged, or of a version this program does not know */
VY_CHECKED struct vy_err block_decode(struct vy_bytes bytes, struct block *out);

static inline uint32_t block_first_uid(const struct block *block)
{
    return block->uid[0];
}
static inline uint32_t block_last_uid(const struct block *block)
{
    return block->uid[block->count - 1];
}
/* Index of the first message with this UID or a greater one; count: none. */
uint32_t block_lower_bound(const struct block *block, uint32_t uid);
void block_get_row(const struct block *block, uint32_t index, struct block_row *out);
/* The block must have room and row->uid be greater than every UID in it. */
void block_append_row(struct block *block, const struct block_row *row);
/* Keeps messages whose bit is not set in drop (bit n: message n). */
void block_drop_rows(struct block *block, const uint64_t drop[BLOCK_MESSAGES_MAX / 64]);
/* Moves all of `from` behind the messages of `into`, which has room; `from` is empty then. */
void block_join(struct block *into, struct block *from);

static inline bool block_has_keyword(const struct block *block, uint32_t index, uint32_t bit)
{
    return block->has_keywords && (block->keywords[index].words[bit / 64] >> (bit % 64) & 1) != 0;
}
/* Makes the keyword column real before it is written. */
void block_use_keywords(struct block *block);
