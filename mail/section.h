/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * IMAP sections ("BODY[1.2.HEADER]", RFC 3501 section 6.4.5) to byte ranges of the stored message,
 * and the header subsets of HEADER.FIELDS. Works on the parts table; reads no message itself.
 */
#include "mail/mime.h"

enum mail_section_kind {                         /* on the wire between roles: frozen */
                         MAIL_SECTION_WHOLE = 0, /* BODY[] and BODY[1.2] */
                         MAIL_SECTION_HEADER = 1,
                         MAIL_SECTION_HEADER_FIELDS = 2,
                         MAIL_SECTION_HEADER_FIELDS_NOT = 3,
                         MAIL_SECTION_TEXT = 4,
                         MAIL_SECTION_MIME = 5
};
#define MAIL_SECTION_DEPTH_MAX 100U

struct mail_section {
    const uint16_t *path; /* part numbers, >= 1; borrowed */
    size_t path_count;
    enum mail_section_kind kind;
};
struct mail_section_range {
    uint64_t offset;
    uint64_t len;
    uint16_t part; /* index of the part meant, or of the message whose header it is */
};
/*
 * False: there is no such section; IMAP answers NIL (I15). For HEADER.FIELDS(.NOT) the range is
 * that of the whole header, to be filtered with mail_section_filter(). `message` alone has no MIME
 * header: MIME needs a path. BODY[1] of what is no multipart is its text.
 */
bool mail_section_resolve(const struct mime_tree *tree, const struct mail_section *section,
                          struct mail_section_range *out);
/* The same with a path of big-endian u16 (FetchSection.part_path). */
bool mail_section_resolve_path(const struct mime_tree *tree, struct vy_bytes path_be16,
                               enum mail_section_kind kind, struct mail_section_range *out);
/*
 * Appends the fields of `header` that are named (or, with `exclude`, those that are not) as they
 * stand, then the blank line.
 */
void mail_section_filter(struct vy_buf *out, struct vy_bytes header, const struct vy_bytes *names,
                         size_t name_count, bool exclude);
/* Cuts a range as "<offset.length>" says; an offset behind the end gives an empty range. */
void mail_section_partial(struct mail_section_range *range, uint32_t offset, uint32_t length);
/* Parses the text inside "[...]": path, keyword and, for HEADER.FIELDS, nothing behind it.
 * @errors SYNTAX also part number 0; LIMIT deeper than MAIL_SECTION_DEPTH_MAX */
VY_CHECKED struct vy_err mail_section_parse(struct vy_arena *arena, struct vy_bytes text,
                                            struct mail_section *out);
