/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The record stream that answers MESSAGE_FETCH, and MessageStoreReply.blocks: index rows as
 * columns, messages with their stored texts, sections of bodies. Writers append to a vy_buf; the
 * reader takes any split of the bytes and borrows from the chunk wherever a record is whole in it.
 * Knows neither IMAP syntax nor storage.
 *
 * Record: u8 kind, u32 payload length, payload. All numbers big-endian.
 *
 *   BLOCK    u16 columns (FETCH_COLUMN_* of shard.proto, index columns only), u16 count (1..256),
 * then column after column: u32 uid, ascending;  FLAGS: u8 flags of mail/flags.h each, u8 n, n
 * bytes of keyword bits each (bit k of the mailbox is bit k % 8 of byte k / 8);  MODSEQ: u64; SIZE:
 * u64;  INTERNALDATE: u64 Unix ms each, then u16 minutes east of UTC + 2048 each;  EMAILID: 16
 * bytes;  THREADID: 16 bytes;  SAVEDATE: u64 Unix ms MESSAGE  u16 sections that follow, u32 length,
 * a BLOCK payload of one row, then four texts (ENVELOPE, BODY, BODYSTRUCTURE, PREVIEW): u8 1 and
 * u32 length and bytes, or u8 0 when not asked for or not there SECTION  u16 index in
 * MessageFetchRequest.sections, u8 status, u64 total bytes, and the bytes when status is INLINE
 *   LITERAL  the next bytes of the last SECTION, whose status was LITERAL; in all as many as its
 * total said MISSING  u8 why, then u32 uids: asked for, but not there (any more) or not readable
 *
 * A message is MESSAGE, then exactly its sections, in the order of the request. UIDs rise over the
 * whole stream.
 */
#include "base/buf.h"
#include "base/err.h"
#include "proto/shard.pb.h"

enum fetch_record {
    FETCH_RECORD_BLOCK = 1,
    FETCH_RECORD_MESSAGE = 2,
    FETCH_RECORD_SECTION = 3,
    FETCH_RECORD_LITERAL = 4,
    FETCH_RECORD_MISSING = 5
};

#define FETCH_ROWS_MAX 256U         /* the shard's index blocks */
#define FETCH_KEYWORD_BYTES_MAX 32U /* I19: 256 keywords a mailbox */
#define FETCH_KEYWORD_WORDS 4U
#define FETCH_ID_BYTES 16U
#define FETCH_ZONE_BIAS 2048U
#define FETCH_SECTIONS_MAX 64U          /* I16 */
#define FETCH_INLINE_BYTES_MAX 16384U   /* longer sections travel as LITERAL */
#define FETCH_LITERAL_BYTES_MAX 262144U /* of one LITERAL record: as large as a stored chunk */
/* Texts of one message: what the envelope and body structure of mail/ can grow to (1,000 parts, 1
 * MiB of headers). */
#define FETCH_RECORD_BYTES_MAX 4194304U
#define FETCH_INDEX_COLUMNS                                                                        \
    (FETCH_COLUMN_FLAGS | FETCH_COLUMN_MODSEQ | FETCH_COLUMN_SIZE | FETCH_COLUMN_INTERNALDATE |    \
     FETCH_COLUMN_EMAILID | FETCH_COLUMN_THREADID | FETCH_COLUMN_SAVEDATE)

enum fetch_text {
    FETCH_TEXT_ENVELOPE,
    FETCH_TEXT_BODY,
    FETCH_TEXT_BODYSTRUCTURE,
    FETCH_TEXT_PREVIEW,
    FETCH_TEXT_COUNT
};

enum fetch_section_status {
    FETCH_SECTION_NIL = 0,     /* no such part */
    FETCH_SECTION_INLINE = 1,  /* the bytes stand in the record, at most FETCH_INLINE_BYTES_MAX */
    FETCH_SECTION_LITERAL = 2, /* `total` bytes follow in LITERAL records */
    FETCH_SECTION_UNKNOWN_CTE = 3, /* BINARY: the transfer encoding is not known (RFC 3516) */
    FETCH_SECTION_SIZE = 4         /* BINARY.SIZE: `total` is the answer */
};
enum fetch_missing { FETCH_MISSING_EXPUNGED = 0, FETCH_MISSING_UNREADABLE = 1 };

/* ---- writing (the shard). A buf that is full says so in vy_buf_error(); a record is then cut and
 * must not be sent. ---- */

/* Rows as arrays of the caller; an array may be NULL when its column is not in `columns`. */
struct fetch_columns {
    uint32_t columns;     /* of FETCH_INDEX_COLUMNS; other bits are ignored */
    uint32_t count;       /* 1..256 rows written */
    const uint16_t *rows; /* which entries of the arrays, ascending; NULL: the first `count` */
    const uint32_t *uid;
    const uint32_t *flags;
    const uint64_t *keyword_words; /* FETCH_KEYWORD_WORDS for each message; NULL: none has any */
    const uint64_t *modseq;
    const uint32_t *size_bytes;
    const uint64_t *internal_ms;
    const uint32_t *zone_biased; /* minutes east of UTC + FETCH_ZONE_BIAS */
    const uint8_t (*email_id)[FETCH_ID_BYTES];
    const uint8_t (*thread_id)[FETCH_ID_BYTES];
    const uint64_t *save_ms;
};
void fetch_stream_append_block(struct vy_buf *out, const struct fetch_columns *columns);
/* columns->count is 1. texts[i].data == NULL: that text is absent. Then exactly section_count
 * fetch_stream_append_section. */
void fetch_stream_append_message(struct vy_buf *out, const struct fetch_columns *columns,
                                 const struct vy_bytes texts[FETCH_TEXT_COUNT],
                                 uint32_t section_count);
/* `data` is used with INLINE only, and total_bytes with LITERAL and SIZE only. */
void fetch_stream_append_section(struct vy_buf *out, uint32_t index,
                                 enum fetch_section_status status, uint64_t total_bytes,
                                 struct vy_bytes data);
/* At most FETCH_LITERAL_BYTES_MAX bytes a call. */
void fetch_stream_append_literal(struct vy_buf *out, struct vy_bytes data);
void fetch_stream_append_missing(struct vy_buf *out, enum fetch_missing why, const uint32_t *uids,
                                 size_t count);

/* ---- reading (the frontend) ---- */

/* Columns of a checked BLOCK payload: borrowed, unaligned, big-endian; absent ones are NULL. */
struct fetch_block {
    uint32_t columns;
    uint32_t count;
    uint32_t keyword_bytes;
    const uint8_t *uid;
    const uint8_t *flags;
    const uint8_t *keyword_bits;
    const uint8_t *modseq;
    const uint8_t *size_bytes;
    const uint8_t *internal_ms;
    const uint8_t *zone_biased;
    const uint8_t *email_id;
    const uint8_t *thread_id;
    const uint8_t *save_ms;
};
static inline uint32_t fetch_block_uid(const struct fetch_block *block, size_t row)
{
    return vy_get_be32(block->uid + 4 * row);
}
static inline uint32_t fetch_block_flags(const struct fetch_block *block, size_t row)
{
    return block->flags[row];
}
static inline struct vy_bytes fetch_block_keywords(const struct fetch_block *block, size_t row)
{
    return vy_bytes(block->keyword_bits + block->keyword_bytes * row, block->keyword_bytes);
}
static inline uint64_t fetch_block_modseq(const struct fetch_block *block, size_t row)
{
    return vy_get_be64(block->modseq + 8 * row);
}
static inline uint64_t fetch_block_size(const struct fetch_block *block, size_t row)
{
    return vy_get_be64(block->size_bytes + 8 * row);
}
static inline uint64_t fetch_block_internal_ms(const struct fetch_block *block, size_t row)
{
    return vy_get_be64(block->internal_ms + 8 * row);
}
static inline int32_t fetch_block_zone_minutes(const struct fetch_block *block, size_t row)
{
    return (int32_t)vy_get_be16(block->zone_biased + 2 * row) - (int32_t)FETCH_ZONE_BIAS;
}
static inline const uint8_t *fetch_block_email_id(const struct fetch_block *block, size_t row)
{
    return block->email_id + FETCH_ID_BYTES * row;
}
static inline const uint8_t *fetch_block_thread_id(const struct fetch_block *block, size_t row)
{
    return block->thread_id + FETCH_ID_BYTES * row;
}
static inline uint64_t fetch_block_save_ms(const struct fetch_block *block, size_t row)
{
    return vy_get_be64(block->save_ms + 8 * row);
}

enum fetch_event_kind {
    FETCH_EVENT_NONE,         /* all input is taken; more is needed */
    FETCH_EVENT_BLOCK,        /* block */
    FETCH_EVENT_MESSAGE,      /* block (one row), texts, section_count */
    FETCH_EVENT_SECTION,      /* section_index, status, total_bytes; bytes when INLINE */
    FETCH_EVENT_SECTION_DATA, /* bytes: the next ones of the last section */
    FETCH_EVENT_MISSING       /* missing, bytes: u32 uids */
};
/* Borrowed from the input chunk or the reader; good until the next call. */
struct fetch_event {
    enum fetch_event_kind kind;
    struct fetch_block block;
    struct vy_bytes texts[FETCH_TEXT_COUNT]; /* data == NULL: absent */
    uint32_t section_count;
    uint32_t section_index;
    enum fetch_section_status status;
    uint64_t total_bytes;
    struct vy_bytes bytes;
    bool section_ends; /* SECTION, SECTION_DATA: nothing more of this section */
    bool message_ends; /* MESSAGE, SECTION, SECTION_DATA: nothing more of this message */
    enum fetch_missing missing;
};

struct fetch_reader {
    struct vy_buf partial;  /* owned; a record cut by the chunk's end. Empty in the steady state */
    uint32_t literal_left;  /* of the LITERAL record being read */
    uint64_t section_left;  /* of the section being read */
    uint32_t sections_left; /* of the message being read, the current one included */
    uint32_t last_uid;
    bool partial_done; /* its record was reported: to be emptied */
    bool failed;       /* CORRUPT was returned: nothing more is read */
};
void fetch_reader_init(struct fetch_reader *reader);
void fetch_reader_deinit(struct fetch_reader *reader);
/*
 * Takes bytes from the front of *in and reports the next event; call until NONE.
 *
 * @errors CORRUPT what no writer makes; NOMEM. The reader is dead then.
 */
VY_CHECKED struct vy_err fetch_reader_next(struct fetch_reader *reader, struct vy_bytes *in,
                                           struct fetch_event *out);
/* May the stream end here? False inside a record or a message. */
bool fetch_reader_is_at_end(const struct fetch_reader *reader);
/* One whole BLOCK payload. @errors CORRUPT */
VY_CHECKED struct vy_err fetch_block_parse(struct vy_bytes payload, struct fetch_block *out);
