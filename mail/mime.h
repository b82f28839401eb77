/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The MIME structure of a message (RFC 2045-2049) in one pass over its bytes, any split of them:
 * a flat array of parts with byte offsets into the message as stored (CRLF or bare LF). Knows
 * nothing of IMAP. No recursion; bounded by the limits below whatever comes in (M1-M7).
 *
 * Rules where readers differ: a boundary line is "--boundary" or "--boundary--" and white space,
 * nothing else; the outermost matching boundary wins; the line end in front of it is not part of
 * the body; the first usable field of a name counts; a broken Content-Type is text/plain. What is
 * too deep, too many, or a multipart without (usable) boundary or without any part in it, is one
 * opaque part: shown as application/octet-stream.
 */
#include "base/arena.h"
#include "base/buf.h"
#include "mail/cte.h"
#include "mail/header.h"
#include "mail/param.h"

#define MIME_DEPTH_MAX 50U          /* parts inside parts; the message itself is depth 0 */
#define MIME_PARTS_MAX 1000U        /* one more stands for all that follow */
#define MIME_BOUNDARY_BYTES_MAX 70U /* RFC 2046 section 5.1.1 */
#define MIME_LANGUAGES_MAX 16U
#define MIME_NONE UINT16_MAX

enum mime_kind { /* on disk: append only */
                 MIME_LEAF = 0,
                 MIME_MULTIPART = 1, /* has at least one child */
                 MIME_MESSAGE =
                     2 /* message/rfc822 or message/global: exactly one child, the message inside */
};
enum mime_text { MIME_TEXT_NONE = 0, MIME_TEXT_PLAIN = 1, MIME_TEXT_HTML = 2, MIME_TEXT_OTHER = 3 };

/* Where a part is: all that sections and search need; kept per message in the summary. Offsets are
 * from the start of the message; header_start <= body_start <= body_end; children lie inside their
 * parent's body in ascending order (M4). */
struct mime_node {
    uint64_t header_start; /* of a part inside a message/rfc822: where that message begins */
    uint64_t body_start;   /* behind the blank line */
    uint64_t body_end;
    uint32_t header_lines;
    uint32_t body_lines; /* LFs in the body */
    uint16_t parent;     /* MIME_NONE: the root */
    uint16_t first_child;
    uint16_t next_sibling;
    uint16_t charset; /* mail/charset.h, of a text part */
    uint8_t depth;
    uint8_t kind;       /* enum mime_kind */
    uint8_t encoding;   /* enum cte */
    uint8_t text;       /* enum mime_text */
    bool is_attachment; /* Content-Disposition says so */
};
struct mime_tree {
    const struct mime_node *nodes; /* [0] is the message; parents in front of children */
    size_t count;                  /* >= 1 */
};

/* What the fields of a part say; data == NULL: absent. All in the parser's arena. */
struct mime_fields {
    struct vy_bytes type; /* lower case, never absent */
    struct vy_bytes subtype;
    struct param_list params;
    struct vy_bytes id;          /* Content-ID, unfolded, as sent */
    struct vy_bytes description; /* unfolded, not decoded */
    struct vy_bytes encoding;    /* as sent, lower case; "7bit" when absent */
    struct vy_bytes md5;
    struct vy_bytes disposition; /* lower case */
    struct param_list disposition_params;
    const struct vy_bytes *languages; /* at most MIME_LANGUAGES_MAX */
    size_t language_count;
    struct vy_bytes location;
    struct vy_bytes header; /* the header block as sent, with its blank line */
};
struct mime_structure {
    struct mime_tree tree;
    const struct mime_fields *fields; /* [tree.count] */
    uint64_t size_bytes;              /* of the message */
    bool is_header_over_limit; /* HEADER_* limits broken (M6): refuse, or show what there is */
    bool is_cut;               /* something became opaque for a limit */
};

struct mime_parser;
/* @arena  owns parser and result. About 3 KiB, 300 bytes a part, and the header text.
 * @errors LIMIT */
VY_CHECKED struct vy_err mime_parser_new(struct vy_arena *arena, struct mime_parser **out);
/* Also after an error: then nothing more is read, and finish says it. */
void mime_parser_feed(struct mime_parser *parser, struct vy_bytes bytes);
/* Once. The parser is dead afterwards; also to be called when a message is given up (heap memory).
 * @errors LIMIT arena is full; NOMEM */
VY_CHECKED struct vy_err mime_parser_finish(struct mime_parser *parser, struct mime_structure *out);
/* new, feed, finish. @errors LIMIT, NOMEM */
VY_CHECKED struct vy_err mime_parse(struct vy_arena *arena, struct vy_bytes message,
                                    struct mime_structure *out);
