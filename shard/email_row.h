/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What the family email holds of one stored email: a plain head that the state machine needs when
 * it purges, then the sealed rest: size, checksum and chunk table of the body, and the summary
 * (mail/summary.h).
 *
 * Row: u8 version, u8 has Message-ID hash, hash 16, u16 chunk count, sealed.
 * Sealed text: u64 size, u32 crc32c of the message's bytes, u32 length of each chunk, summary.
 */
#include "base/arena.h"
#include "base/buf.h"
#include "shard/seal.h"

#define EMAIL_BODY_BYTES_MAX                                                                       \
    (50U * 1024U * 1024U) /* largest message; design section 8, promises section 4 */
/* Full chunks, a first one cut short by the copy's own header lines, and one more for luck with
 * rounding. */
#define EMAIL_CHUNKS_MAX (EMAIL_BODY_BYTES_MAX / SEAL_CHUNK_BYTES + 8U)
#define EMAIL_SUMMARY_BYTES_MAX (SEAL_CHUNK_BYTES - 12U - 4U * EMAIL_CHUNKS_MAX)

struct email_info {
    uint64_t size_bytes;
    uint32_t crc32c; /* of the whole message as FETCH BODY[] gives it (P4) */
    uint32_t chunk_count;
    const uint32_t *chunk_bytes; /* plain length of each chunk; an arena's or the caller's */
    struct vy_bytes summary;
};

/* @message_id_hash NULL: none. @errors LIMIT summary or chunk count too large */
VY_CHECKED struct vy_err email_row_seal(const struct seal_keys *keys, struct vy_rng *rng,
                                        uint64_t account_id, const uint8_t email_id[SHARD_ID_BYTES],
                                        const uint8_t *message_id_hash,
                                        const struct email_info *info, struct vy_buf *out);
/* *out borrows from text, which is filled with the unsealed row, and from arena. @errors CORRUPT */
VY_CHECKED struct vy_err email_row_open(const struct seal_keys *keys, uint64_t account_id,
                                        const uint8_t email_id[SHARD_ID_BYTES], struct vy_bytes row,
                                        struct vy_arena *arena, struct vy_buf *text,
                                        struct email_info *out);
/* The plain head. */
struct email_head {
    const uint8_t *message_id_hash; /* NULL: none; borrowed from the row */
    uint32_t chunk_count;
};
/* @errors CORRUPT */
VY_CHECKED struct vy_err email_row_head(struct vy_bytes row, struct email_head *out);
