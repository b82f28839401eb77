/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * FETCH in pieces: workers fill `out` from a snapshot, the loop sends it as credit allows, and the
 * next piece is made when it is gone. fetch.c: the call; fetch_rows.c: which messages, and their
 * index columns; fetch_message.c: stored texts and sections of bodies.
 *
 * @thread  a worker while a piece is made, else the loop
 */
#include "mail/cte.h"
#include "mail/section.h"
#include "proto/fetch_stream.h"
#include "shard/block.h"
#include "shard/body.h"
#include "shard/call.h"
#include "shard/read.h"
#include "shard/uids.h"

#define FETCH_PIECE_BYTES (256U * 1024U)
#define FETCH_OUT_BYTES_MAX                                                                        \
    (16U * 1024U * 1024U)             /* a piece, one message's texts and short parts              \
                                       */
#define FETCH_GONE_ROWS_MAX 16384U    /* expunged and not yet told, given by one call */
#define FETCH_MISSING_UIDS_MAX 65536U /* named as missing by one call */
#define FETCH_HELD_CHUNKS_MAX 4U /* of a message, checked before the first byte of it is sent */
#define FETCH_SHORT_BYTES_MAX                                                                      \
    (4U * 1024U * 1024U)                     /* filtered headers and decoded parts in memory */
#define FETCH_TEXT_BYTES_MAX (1024U * 1024U) /* of a text that is made again */
#define FETCH_SCRATCH_BYTES_MAX (16U * 1024U * 1024U)

/* Rows of one block that were asked for; a row of gone stands in a block of its own. */
struct fetch_batch {
    const struct block *block;
    uint16_t rows[BLOCK_MESSAGES_MAX];
    uint32_t count;
};

/* Where the messages come from: index blocks and, between them, rows of expunged ones. */
struct fetch_rows {
    uint64_t changed_since;
    struct uid_ranges wanted;
    size_t range;          /* first that may still have messages */
    struct uid_ranges met; /* wanted ones that exist, changed or not */
    struct vy_arena arena; /* of the open iterator */
    struct read_blocks blocks;
    struct block *block; /* being read; NULL: the next is due */
    uint32_t index;
    bool at_end;
    struct block_row *gone; /* arena of the call; ascending by UID */
    size_t gone_count;
    size_t gone_next;
    struct block *single; /* arena of the call */
};

/* A section longer than a record, on its way. */
struct fetch_literal {
    uint64_t offset; /* in the message, of the next byte to read */
    uint64_t end;
    uint64_t skip_bytes; /* decoded bytes in front of what was asked for */
    uint64_t left_bytes; /* owed to the client */
    bool is_decoded;
    struct cte_decoder decoder;
};

struct fetch {
    struct call *call;
    const struct message_fetch_request *request;
    uint32_t columns;
    bool is_index_only;
    bool is_open;
    struct fetch_rows rows;
    struct fetch_batch batch;
    uint32_t batch_next;
    struct vy_buf out;      /* the worker's */
    struct vy_buf sending;  /* the loop's */
    bool is_making;         /* a worker fills out */
    bool is_finished;       /* nothing more will be put into out */
    uint64_t damaged_count; /* since the last look of the loop */
    uint8_t damaged_id[SHARD_ID_BYTES];

    /* the message in work */
    bool in_message;
    struct vy_arena scratch; /* dies with the message */
    struct body body;
    struct mime_tree tree;
    uint32_t section; /* the next one */
    struct fetch_literal literal;
    struct vy_buf work; /* filtered headers, decoded text */
};

/* ---- fetch_rows.c ---- */
VY_CHECKED struct vy_err fetch_rows_open(struct fetch *fetch);
/* count is 0 at the end. The batch is good until the next call. */
VY_CHECKED struct vy_err fetch_rows_next(struct fetch *fetch, struct fetch_batch *out);
void fetch_rows_append(const struct fetch *fetch, const struct block *block, const uint16_t *rows,
                       uint32_t count, struct fetch_columns *out);
/* UIDs that were asked for and exist no more. */
void fetch_rows_append_missing(struct fetch *fetch);
void fetch_rows_close(struct fetch_rows *rows);

/* ---- fetch_message.c ---- */
/* Begins the message: its texts, and its sections as far as they are short. A damaged message is
 * reported in the stream and counted, not an error. */
VY_CHECKED struct vy_err fetch_message_begin(struct fetch *fetch, const struct block *block,
                                             uint16_t row);
/* Goes on with its sections until it is over or the piece is full. */
VY_CHECKED struct vy_err fetch_message_continue(struct fetch *fetch);
VY_CHECKED struct vy_err fetch_section_next(struct fetch *fetch);
VY_CHECKED struct vy_err fetch_literal_continue(struct fetch *fetch);
/* Where a section is in the message; false: there is none. */
bool fetch_section_range(const struct fetch *fetch, const struct fetch_section *section,
                         struct mail_section_range *out);
