/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The arguments of FETCH: items as bits, sections with the label their data is given back under. */
#include "frontend/imap/fetch.h"

#define IMAP_FETCH_SECTIONS_MAX FETCH_SECTIONS_MAX /* I16 */
#define IMAP_SECTION_DEPTH_MAX 100U  /* parts nest to 50 (M1): anything deeper names nothing */
#define IMAP_SECTION_FIELDS_MAX 256U /* names in one HEADER.FIELDS (I15) */

struct imap_fetch_args {
    struct seqset set;
    uint32_t items; /* enum imap_fetch_item */
    struct fetch_section sections[IMAP_FETCH_SECTIONS_MAX];
    struct vy_bytes labels[IMAP_FETCH_SECTIONS_MAX]; /* "BODY[1]<0>", "RFC822.TEXT" */
    size_t section_count;
    size_t item_count; /* all that was asked for, repeated ones too */
    bool sets_seen;    /* one of the sections is not a PEEK */
    uint64_t changed_since;
    bool has_changed_since;
};
/* Arguments behind the name. @errors SYNTAX; LIMIT over 64 items */
VY_CHECKED struct vy_err imap_fetch_parse(struct imap_session *s, struct imap_parser *p);
