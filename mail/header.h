/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Header blocks as they were sent (RFC 5322 section 2.2): iteration with offsets, unfolding,
 * finding. Line ends are LF or CRLF. Tolerant (M7): a line without a colon, a continuation in
 * front, a space before the colon, NUL and 8-bit bytes are all reported as they stand, but such a
 * field has is_usable == false and must not be used for decisions. Knows no field by its meaning.
 */
#include "base/arena.h"
#include "base/buf.h"

#define HEADER_FIELDS_MAX 1000U               /* promises.md section 4, M6 */
#define HEADER_FIELD_BYTES_MAX (256U * 1024U) /* one field with its folding */
#define HEADER_BYTES_MAX (1024U * 1024U)      /* all headers of a message, those of its parts too */

/* Slices of the block. */
struct header_field {
    struct vy_bytes raw;   /* the whole field with its last line end */
    struct vy_bytes name;  /* in front of the colon; empty when there is none */
    struct vy_bytes value; /* behind the colon, folding inside, without the last line end */
    size_t offset;         /* of raw in the block */
    bool is_usable;        /* name is 1*ftext directly before a colon */
};

struct header_iter {
    struct vy_bytes block;
    size_t at;
};
/* @block  header fields; may end with the blank line or without, nothing behind that is read */
void header_iter_init(struct header_iter *iter, struct vy_bytes block);
/* False at the blank line or at the end of the block. */
bool header_iter_next(struct header_iter *iter, struct header_field *out);

/* First usable field of that name (ASCII case does not matter). */
bool header_find(struct vy_bytes block, struct vy_bytes name, struct header_field *out);
/* Number of usable fields of that name. */
size_t header_count(struct vy_bytes block, struct vy_bytes name);
/* Bytes of the header fields with the blank line behind them: where the body starts; the length of
 * `message` when there is no blank line. */
size_t header_block_bytes(struct vy_bytes message);

/* Line ends that are folding are taken out (RFC 5322 section 2.2.3), white space stays; outer white
 * space is trimmed. NUL stays: it is bytes, not a decision. */
void header_unfold(struct vy_buf *out, struct vy_bytes value);
/* The same; *out borrows from `value` when there is nothing to take out. @errors LIMIT arena */
VY_CHECKED struct vy_err header_unfold_arena(struct vy_arena *arena, struct vy_bytes value,
                                             struct vy_bytes *out);
/* @errors LIMIT over HEADER_FIELDS_MAX, HEADER_FIELD_BYTES_MAX or HEADER_BYTES_MAX (M6) */
VY_CHECKED struct vy_err header_check_limits(struct vy_bytes block);
