/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * THE function that decides what a line end is, for commands and for messages. A line ends with
 * CRLF and with nothing else; a lone CR and a lone LF are pieces of their own, so that nothing
 * behind this file ever meets one unnamed (S1 to S3: message smuggling lives in that gap).
 */
#include "base/bytes.h"

enum smtp_piece {
    SMTP_PIECE_NONE, /* the input is used up */
    SMTP_PIECE_TEXT, /* `text`: at least one byte, no CR, LF or NUL */
    SMTP_PIECE_END,  /* CRLF */
    SMTP_PIECE_BARE_CR,
    SMTP_PIECE_BARE_LF,
    SMTP_PIECE_NUL
};

struct smtp_line {
    bool has_cr; /* a CR was taken; the next byte says what it is */
};

/* Takes the next piece off *in. Any split of the input gives the same pieces, but for where a TEXT
 * is cut. */
enum smtp_piece smtp_line_next(struct smtp_line *line, struct vy_bytes *in, struct vy_bytes *text);
