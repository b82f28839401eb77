/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * SEARCH keys (RFC 3501 section 6.4.4; MODSEQ: RFC 7162; OLDER, YOUNGER: RFC 5032; EMAILID,
 * THREADID: RFC 8474) into the shard's postfix program. Nesting stands on a stack of its own, not
 * on ours.
 */
#include "frontend/imap/imap.h"

#define IMAP_SEARCH_STEPS_MAX 1024U /* I17 */
#define IMAP_SEARCH_DEPTH_MAX 256U  /* I17 */

struct imap_search_program {
    struct search_step *steps; /* in cmd_arena; IMAP_SEARCH_STEPS_MAX of them */
    size_t step_count;
    bool uses_modseq;
};
/*
 * All keys up to the end of the command.
 *
 * @errors SYNTAX; LIMIT over steps or depth
 */
VY_CHECKED struct vy_err imap_search_parse_keys(struct imap_session *s, struct imap_parser *p,
                                                struct imap_search_program *out);
