/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Address lists of headers (RFC 5322 section 3.4 with the obsolete forms of section 4.4, 8-bit
 * tolerated), in the shape that ENVELOPE needs. Reads anything: what is no address becomes a name
 * without a host. One pass, no recursion: comments are a counter (M8). SMTP paths: smtp_path.h.
 */
#include "base/arena.h"
#include "base/buf.h"

#define ADDRESS_COUNT_MAX 10000U      /* of one field; the rest is left out (M6) */
#define ADDRESS_COMMENT_DEPTH_MAX 50U /* deeper: the rest of the field counts as comment */

enum address_kind { ADDRESS_MAILBOX, ADDRESS_GROUP_START, ADDRESS_GROUP_END };

/* data == NULL: absent (NIL). Values are unquoted, comments removed, not RFC 2047 decoded. */
struct address {
    enum address_kind kind;
    struct vy_bytes name;    /* display name, or the comment behind an address without one */
    struct vy_bytes route;   /* "@a,@b" of an obsolete route */
    struct vy_bytes mailbox; /* local part; GROUP_START: the group's name */
    struct vy_bytes host;    /* domain; empty: "@" with nothing behind; NULL: no "@" at all */
};
struct address_list {
    const struct address *items; /* arena */
    size_t count;
    bool is_cut; /* more than ADDRESS_COUNT_MAX */
};

/*
 * @arena  owns *out
 * @value  raw field value; folding is white space
 * @errors LIMIT the arena is full; nothing else: any bytes give a list
 */
VY_CHECKED struct vy_err address_list_parse(struct vy_arena *arena, struct vy_bytes value,
                                            struct address_list *out);
/* Decoded text for search and people: "Name <local@domain>, ...". Control characters are U+FFFD. */
void address_list_append_text(struct vy_buf *out, const struct address_list *list);
