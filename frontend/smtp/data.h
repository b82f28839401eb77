/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A message as it arrives, by DATA (dot-stuffed, RFC 5321 section 4.5.2) or in BDAT chunks
 * (RFC 3030), any split: undoes the stuffing, finds the end, refuses what must not pass (S1 to S5,
 * S22, S30). Memory does not grow with the message; lines may have any length (S6).
 */
#include "frontend/smtp/header.h"
#include "frontend/smtp/line.h"

enum smtp_data_fault {
    SMTP_DATA_FINE,
    SMTP_DATA_BARE_EOL, /* S1 to S3 */
    SMTP_DATA_NUL,      /* S5 */
    SMTP_DATA_TOO_LARGE,
    SMTP_DATA_HEADER_TOO_LARGE,
    SMTP_DATA_LOOP,
    SMTP_DATA_UNWANTED, /* smtp_data_discard(): the answer is known elsewhere */
    SMTP_DATA_FAULT_COUNT
};

enum smtp_data_status {
    SMTP_DATA_MORE, /* all of *in is used, or *out is full */
    SMTP_DATA_OVER  /* CRLF.CRLF was met, or the chunk is complete; the rest stays in *in */
};

struct smtp_data {
    struct smtp_line line;
    struct smtp_header header;
    enum smtp_data_fault fault; /* the first; from then on bytes are thrown away */
    bool is_at_line_start;
    bool has_dot; /* a dot at the line's start, not yet known for what it is */
    uint64_t size_bytes;
    uint64_t size_bytes_max;
    uint64_t discarded_bytes; /* since the fault */
};

void smtp_data_init(struct smtp_data *data, uint64_t size_bytes_max,
                    const struct smtp_header_config *header);
/*
 * Takes from *in and appends to *out while it holds less than out_max bytes; goes past that by less
 * than 8 KiB. Stops at once at BARE_EOL: the caller answers and closes, so that no byte behind it
 * is ever a command.
 */
enum smtp_data_status smtp_data_take_dotted(struct smtp_data *data, struct vy_bytes *in,
                                            struct vy_buf *out, size_t out_max);
/* *left counts down what is missing of the chunk. After a fault the rest of it is thrown away. */
enum smtp_data_status smtp_data_take_chunk(struct smtp_data *data, uint64_t *left,
                                           struct vy_bytes *in, struct vy_buf *out, size_t out_max);
/* The rest is read past. */
void smtp_data_discard(struct smtp_data *data);
/* The message is complete: looks at what may still be open and lets go what is held back. */
void smtp_data_finish(struct smtp_data *data, struct vy_buf *out);

const char *smtp_data_fault_reply(enum smtp_data_fault fault); /* "550 5.5.2" */
const char *smtp_data_fault_text(enum smtp_data_fault fault);
