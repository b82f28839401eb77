/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * System flags as bits (on disk and on the wire between roles: frozen) and what a keyword may be
 * (RFC 3501 section 2.3.2, I19).
 */
#include "base/buf.h"

enum mail_flag {
    MAIL_FLAG_SEEN = 1,
    MAIL_FLAG_ANSWERED = 2,
    MAIL_FLAG_FLAGGED = 4,
    MAIL_FLAG_DELETED = 8,
    MAIL_FLAG_DRAFT = 16,
    MAIL_FLAG_RECENT = 32 /* of a session, never stored */
};
#define MAIL_FLAGS_STORABLE 31U
#define MAIL_KEYWORD_BYTES_MAX 64U
#define MAIL_KEYWORDS_MAX 256U /* in one mailbox */

/* "\Seen" in any case to its bit; 0: no system flag. */
uint32_t mail_flag_find(struct vy_bytes name);
/* 1..64 atom characters (RFC 3501 ATOM-CHAR), not beginning with '\'. */
bool mail_keyword_is_valid(struct vy_bytes keyword);
/* Appends "\Answered \Seen" in a fixed order, one space between. */
void mail_flags_append(struct vy_buf *out, uint32_t flags);
/* A flag list "(\Seen $Junk)" or "\Seen $Junk": system flags to *flags, keywords (first
 * `keywords_max` distinct ones, slices of text) to keywords.
 * @errors SYNTAX; LIMIT a keyword too long or too many */
VY_CHECKED struct vy_err mail_flags_parse(struct vy_bytes text, uint32_t *flags,
                                          struct vy_bytes *keywords, size_t keywords_max,
                                          size_t *keywords_count);
