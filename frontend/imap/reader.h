/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Gathers one command from client bytes in any split, every byte looked at once: lines, the
 * literals in them, and the limits that bind while reading (line, literal, parentheses). What the
 * words mean is the parser's business. A line ends with LF; a CR in front of it belongs to the end.
 */
#include "base/buf.h"
#include "base/err.h"

#define IMAP_PAREN_DEPTH_MAX 16U /* I3 */

enum imap_read {
    IMAP_READ_MORE,     /* all input is taken */
    IMAP_READ_COMMAND,  /* text holds a command without its last line end */
    IMAP_READ_LITERAL,  /* text ends with "{n}" and its line end: accept, stream, skip or drop it */
    IMAP_READ_SKIPPED,  /* the command that was being skipped is over */
    IMAP_READ_TOO_LONG, /* the line is over its limit: the stream cannot be followed any more */
    IMAP_READ_BAD,      /* quotes, depth or NUL: `what` says it; the line is gone */
    IMAP_READ_BAD_SIZE  /* "{" something that is no size "}": what follows cannot be told apart */
};

enum imap_read_state {
    IMAP_READ_LINE,
    IMAP_READ_LINE_BAD,   /* to the end of the line, then BAD */
    IMAP_READ_IN_LITERAL, /* literal_left bytes into text */
    IMAP_READ_SKIP_LINE,  /* to the end of the command, keeping only its last bytes */
    IMAP_READ_SKIP_LITERAL
};

struct imap_reader {
    struct vy_buf text; /* the command so far, literals included */
    enum imap_read_state state;
    uint32_t line_bytes_max;
    uint32_t line_bytes; /* of the command so far, literals excluded */
    uint64_t literal_left;
    uint64_t literal_bytes; /* the LITERAL just met, or accepted so far in this command */
    uint64_t literal_size;  /* the LITERAL just met */
    uint64_t skipped_bytes;
    const char *what; /* of BAD: literal */
    uint32_t depth;
    bool in_quotes;
    bool is_escaped;
    bool literal_is_sync;   /* the client waits for "+" */
    bool literal_is_binary; /* "~{" */
};

void imap_reader_init(struct imap_reader *reader, uint32_t line_bytes_max);
void imap_reader_deinit(struct imap_reader *reader);
/* Forgets the command; the next byte begins a new one. Gives back a large buffer. */
void imap_reader_reset(struct imap_reader *reader);
/* Takes bytes from the front of *in until something is to be told. */
enum imap_read imap_reader_take(struct imap_reader *reader, struct vy_bytes *in);
/* After LITERAL: its bytes become part of text. */
void imap_reader_accept_literal(struct imap_reader *reader);
/* After LITERAL: its bytes are not kept, nor the rest of the command (for "{n+}"). */
void imap_reader_skip_literal(struct imap_reader *reader);
/* One line without quoting, literals or parentheses (SASL, DONE): COMMAND, MORE or TOO_LONG. */
enum imap_read imap_reader_take_plain(struct imap_reader *reader, struct vy_bytes *in);
/* The command or line as gathered, without its line end. */
struct vy_bytes imap_reader_text(const struct imap_reader *reader);
