/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The bytes of one stored email, read by range: only the sealed chunks that a range touches are
 * unsealed, and what they give is checked before anybody sees it: each chunk by its seal and
 * length, the whole message by its checksum as soon as all of it has been read (promise P4).
 *
 * @thread  one at a time; borrowed slices die with the next call
 */
#include "shard/email_row.h"
#include "shard/row_cursor.h"

struct body {
    const struct seal_keys *keys; /* borrowed */
    uint64_t account_id;
    struct row_cursor rows;   /* of emails */
    struct row_cursor chunks; /* of their bodies */
    uint8_t email_id[SHARD_ID_BYTES];
    struct email_info info; /* slices of `text` and of the arena given to body_open */
    struct vy_buf text;     /* the unsealed email row */
    struct vy_buf loaded;   /* consecutive whole chunks */
    uint64_t loaded_offset; /* of their first byte in the message */
    uint32_t crc;           /* of the chunks read so far, in order */
    uint32_t crc_chunks;
};

void body_init(struct body *body, const struct store_reader *reader, const struct seal_keys *keys,
               uint64_t account_id);
void body_deinit(struct body *body); /* also of one zeroed and never used; before its reader */
/* Reads the row of another email. @errors CORRUPT also when it is not there; LIMIT the arena */
VY_CHECKED struct vy_err body_open(struct body *body, struct vy_arena *arena,
                                   const uint8_t email_id[SHARD_ID_BYTES]);
/* Makes a range contiguous in memory; it must lie inside the message. @errors CORRUPT, NOMEM */
VY_CHECKED struct vy_err body_load(struct body *body, uint64_t offset, uint64_t len,
                                   struct vy_bytes *out);
/* The bytes from offset on as far as they are in memory: at least the rest of their chunk; empty
 * at the end of the message. @errors CORRUPT, NOMEM */
VY_CHECKED struct vy_err body_piece(struct body *body, uint64_t offset, struct vy_bytes *out);
/* How many chunks the range touches. */
uint32_t body_chunk_count(const struct body *body, uint64_t offset, uint64_t len);
