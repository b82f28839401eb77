/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The words of one gathered command (RFC 3501 section 9): each function takes one production from
 * the front and fails with SYNTAX, saying what was expected. Knows no command.
 */
#include "base/arena.h"
#include "base/bytes.h"
#include "base/err.h"

struct imap_parser {
    struct vy_bytes in; /* a whole command: literals stand in it behind their "{n}" and line end */
    size_t at;
    struct vy_arena *arena; /* borrowed; owns what had to be unescaped */
};

static inline struct vy_bytes imap_parser_rest(const struct imap_parser *p)
{
    return vy_bytes_from(p->in, p->at);
}
static inline bool imap_parser_is_at_end(const struct imap_parser *p)
{
    return p->at >= p->in.len;
}
/* The next byte, or 0 at the end. */
static inline uint8_t imap_parser_peek(const struct imap_parser *p)
{
    return p->at < p->in.len ? p->in.data[p->at] : 0;
}
bool imap_is_atom_char(uint8_t c);
/* Takes `byte` when it is the next one. */
bool imap_parse_try(struct imap_parser *p, uint8_t byte);
/* Takes `word` (ASCII case does not matter) when it is next and no atom goes on behind it. */
bool imap_parse_try_word(struct imap_parser *p, const char *word);
VY_CHECKED struct vy_err imap_parse_byte(struct imap_parser *p, uint8_t byte, const char *what);
VY_CHECKED struct vy_err imap_parse_space(struct imap_parser *p);
/* Nothing may follow; one stray space is forgiven (older clients). */
VY_CHECKED struct vy_err imap_parse_end(struct imap_parser *p);
VY_CHECKED struct vy_err imap_parse_tag(struct imap_parser *p, struct vy_bytes *out);
VY_CHECKED struct vy_err imap_parse_atom(struct imap_parser *p, struct vy_bytes *out);
/* Quoted or literal. *out borrows from the command or the arena. */
VY_CHECKED struct vy_err imap_parse_string(struct imap_parser *p, struct vy_bytes *out);
VY_CHECKED struct vy_err imap_parse_astring(struct imap_parser *p, struct vy_bytes *out);
/* data == NULL for NIL. */
VY_CHECKED struct vy_err imap_parse_nstring(struct imap_parser *p, struct vy_bytes *out);
/* list-mailbox: an astring whose atom may hold '%' and '*'. */
VY_CHECKED struct vy_err imap_parse_pattern(struct imap_parser *p, struct vy_bytes *out);
VY_CHECKED struct vy_err imap_parse_u32(struct imap_parser *p, uint32_t *out);
VY_CHECKED struct vy_err imap_parse_u64(struct imap_parser *p, uint64_t *out);
/* The bytes of a sequence-set; their form is seqset's business. */
VY_CHECKED struct vy_err imap_parse_set_text(struct imap_parser *p, struct vy_bytes *out);
/* One flag: "\Seen" or a keyword. Without the backslash forms "\*" and "\Recent" being refused. */
VY_CHECKED struct vy_err imap_parse_flag(struct imap_parser *p, struct vy_bytes *out);
/* mailbox: an astring in modified UTF-7, given back as UTF-8; INBOX in upper case. @errors ARGUMENT
 * not such a name */
VY_CHECKED struct vy_err imap_parse_mailbox(struct imap_parser *p, struct vy_bytes *out);
/* The mailbox name as the cluster knows it, from the form on the wire. @errors ARGUMENT */
VY_CHECKED struct vy_err imap_mailbox_from_wire(struct vy_arena *arena, struct vy_bytes wire,
                                                struct vy_bytes *out);
/* Quoted date-time: Unix ms and minutes east of UTC. */
VY_CHECKED struct vy_err imap_parse_date_time(struct imap_parser *p, uint64_t *out_ms,
                                              int32_t *out_zone);
/* date of SEARCH ("1-Feb-1994", also quoted): the first millisecond of that day in UTC. */
VY_CHECKED struct vy_err imap_parse_date(struct imap_parser *p, uint64_t *out_ms);
