/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What is kept beside a message so that lists, envelopes, structure, search in common fields and
 * threading need no look at its bytes. Encoded with a version and varint lengths; reading borrows
 * slices and copies nothing, damage is CORRUPT.
 */
#include "mail/date.h"
#include "mail/mime.h"

#define SUMMARY_BYTES_MAX (200U * 1024U) /* of the encoding */
#define SUMMARY_TEXT_BYTES_MAX                                                                     \
    (40U * 1024U)                     /* envelope, body, bodystructure: longer ones are left out */
#define SUMMARY_FIELD_BYTES_MAX 8192U /* subject, from, to, cc; longer ones are cut */
#define SUMMARY_REFERENCES_MAX 100U   /* the last ones, and 8 KiB in all */
#define SUMMARY_MESSAGE_ID_BYTES_MAX 998U
#define SUMMARY_PREVIEW_CHARS_MAX 256U /* IMAP-P1; show at most 200 */
#define SUMMARY_PREVIEW_SCAN_BYTES (1024U * 1024U)

/* Slices of the encoded bytes (or of the arena, when just built). data == NULL: absent. */
struct summary {
    struct vy_bytes
        envelope; /* IMAP text; NULL: too long, summary_render() makes it from the message */
    struct vy_bytes body;          /* BODY; the same */
    struct vy_bytes bodystructure; /* the same */
    struct vy_bytes parts;         /* parts table: summary_parts() */
    struct vy_bytes subject;       /* decoded, UTF-8 */
    struct vy_bytes base_subject;  /* RFC 5256; empty: none */
    struct vy_bytes message_id;    /* with its brackets */
    struct vy_bytes references;    /* ids: References, then In-Reply-To: summary_next_reference() */
    struct vy_bytes from;          /* decoded text for SEARCH */
    struct vy_bytes to;
    struct vy_bytes cc;
    struct vy_bytes bcc;
    struct vy_bytes preview; /* up to 256 characters; empty is a value (IMAP-P1) */
    struct date_time date;   /* valid if has_date */
    uint64_t header_bytes;   /* with the blank line */
    uint64_t size_bytes;
    uint32_t body_lines;
    uint32_t part_count;
    bool has_date;
    bool is_reply;     /* the subject said so */
    bool is_field_cut; /* one of subject, from, to, cc, bcc was cut: a miss in them is no proof */
    bool has_attachment;
};

/*
 * Parses, builds and appends the encoding of one message.
 *
 * @message  all bytes of it
 * @scratch  work memory, 4 MiB + 2 * headers is enough for anything
 * @errors   LIMIT header limits (M6) unless `tolerate_limits`, or scratch; NOMEM
 */
VY_CHECKED struct vy_err summary_of_message(struct vy_buf *out, struct vy_arena *scratch,
                                            struct vy_bytes message, bool tolerate_limits);
/* The same from a structure; `head` is the first bytes of the message: its header at least, and as
 * much as the preview is to be made of. *out lives in the arena.
 * @errors LIMIT, NOMEM */
VY_CHECKED struct vy_err summary_build(struct vy_arena *arena,
                                       const struct mime_structure *structure, struct vy_bytes head,
                                       struct summary *out);
void summary_encode(struct vy_buf *out, const struct summary *summary);
/* @errors CORRUPT; UNSUPPORTED a version of the future */
VY_CHECKED struct vy_err summary_decode(struct vy_bytes encoded, struct summary *out);

/* Only what FETCH shows; cheaper than summary_decode(). @errors CORRUPT, UNSUPPORTED */
VY_CHECKED struct vy_err summary_decode_texts(struct vy_bytes encoded, struct summary *out);

/* Decodes the parts table. @errors CORRUPT; LIMIT arena */
VY_CHECKED struct vy_err summary_parts(struct vy_arena *arena, const struct summary *summary,
                                       struct mime_tree *out);
/* Takes the next id off *rest (start with summary->references); false at the end or on damage. */
bool summary_next_reference(struct vy_bytes *rest, struct vy_bytes *out);
/*
 * A text that was too long to keep, from the message itself. Always gives a valid text: where it
 * would be longer than `bytes_max`, one that says nothing (NILs; one opaque part).
 * @errors LIMIT scratch; NOMEM
 */
enum summary_text { SUMMARY_ENVELOPE, SUMMARY_BODY, SUMMARY_BODYSTRUCTURE };
VY_CHECKED struct vy_err summary_render(struct vy_buf *out, struct vy_arena *scratch,
                                        struct vy_bytes message, enum summary_text text,
                                        size_t bytes_max);
