/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What SMTP must know of a message's header section while it streams by: how often it was received
 * (S30), whether it was delivered to one of its recipients before (S30), whether Date and
 * Message-ID are there (RFC 6409 section 8). Holds back the beginning of one line, no more.
 */
#include "base/buf.h"

#define SMTP_HEADER_HELD_BYTES 512U
#define SMTP_HEADER_BYTES_MAX (1024U * 1024U) /* of the whole section */
#define SMTP_HEADER_RECEIVED_MAX 100U         /* S30 */

enum smtp_header_fault {
    SMTP_HEADER_FINE,
    SMTP_HEADER_TOO_LONG,
    SMTP_HEADER_LOOP /* too often received, or delivered here before */
};

/* Borrowed, lives as long as the message. */
struct smtp_header_config {
    /* Added at the end of the section if it has none; whole lines with CRLF; empty: never. */
    struct vy_bytes message_id_line;
    struct vy_bytes date_line;
    /* Whether the value of a Delivered-To field is one of the recipients. NULL: not asked. */
    bool (*is_recipient)(void *arg, struct vy_bytes address);
    void *is_recipient_arg;
};

struct smtp_header {
    const struct smtp_header_config *config;
    size_t size_bytes;
    unsigned received_count;
    bool has_message_id;
    bool has_date;
    bool is_over;
    bool is_line_judged; /* the rest of this line goes straight through */
    size_t held_len;
    uint8_t held[SMTP_HEADER_HELD_BYTES]; /* the beginning of the current line */
};

void smtp_header_init(struct smtp_header *header, const struct smtp_header_config *config);
/* Text of a line, any split; what is not held back goes to *out. Not after is_over. */
enum smtp_header_fault smtp_header_text(struct smtp_header *header, struct vy_bytes text,
                                        struct vy_buf *out);
/* The line ended; its CRLF goes to *out too. */
enum smtp_header_fault smtp_header_line_end(struct smtp_header *header, struct vy_buf *out);
/* The message ended within the section. */
void smtp_header_finish(struct smtp_header *header, struct vy_buf *out);
