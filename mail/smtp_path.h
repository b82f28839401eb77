/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Mailbox addresses of SMTP commands and of accounts (RFC 5321 section 4.1.2, RFC 6531), strict, to
 * one canonical form: local part unquoted and in NFC, domain in lower case (S28). No expansion of
 * any kind (S9). Functions: mail_path_*, mail_domain_*.
 */
#include "base/arena.h"
#include "base/buf.h"

#define MAIL_LOCAL_BYTES_MAX 64U    /* RFC 5321 section 4.5.3.1.1, octets as given */
#define MAIL_DOMAIN_BYTES_MAX 255U  /* section 4.5.3.1.2 */
#define MAIL_ADDRESS_BYTES_MAX 254U /* without brackets: section 4.5.3.1.3 minus two */

struct mail_path {
    struct vy_bytes local; /* unquoted; empty only for <> */
    struct vy_bytes
        domain; /* lower case ASCII, or U-label UTF-8 as given; "[...]" for a literal; empty for
                   <> and <postmaster> */
    struct vy_bytes base;   /* local in front of the first '+' (or all of it) */
    struct vy_bytes detail; /* behind it; data == NULL: there is no '+', or it stands first */
    bool is_null;           /* <> */
    bool is_literal;        /* domain is an address literal */
    bool is_utf8;           /* has bytes above 0x7F: needs SMTPUTF8 */
};

/*
 * Parses "<...>", the whole of `text`: reverse-path or forward-path. A source route is read and
 * ignored (RFC 5321 appendix C). "<>" gives is_null; "<postmaster>" has no domain.
 *
 * @errors SYNTAX also CR, LF and other controls, unbalanced quotes, an empty local part, a trailing
 *         backslash, invalid UTF-8 (S7, S8); LIMIT a part is too long
 */
VY_CHECKED struct vy_err mail_path_parse(struct vy_arena *arena, struct vy_bytes text,
                                         struct mail_path *out);
/* The same without brackets, route and null: "local@domain". */
VY_CHECKED struct vy_err mail_address_parse(struct vy_arena *arena, struct vy_bytes text,
                                            struct mail_path *out);
/* "local@domain", the local part quoted when it must be. */
void mail_path_append(struct vy_buf *out, const struct mail_path *path);

/*
 * The one form of a domain for comparing and storing: IDNA 2008 (UTS 46 non-transitional) A-labels,
 * lower case, no dot at the end. "[...]" literals are only lowered.
 *
 * @errors SYNTAX not a domain name, overlong UTF-8, labels that IDNA forbids
 */
VY_CHECKED struct vy_err mail_domain_canonical(struct vy_arena *arena, struct vy_bytes domain,
                                               struct vy_bytes *out);
/* U-labels for people; what is no A-label stays. @errors SYNTAX */
VY_CHECKED struct vy_err mail_domain_unicode(struct vy_arena *arena, struct vy_bytes domain,
                                             struct vy_bytes *out);
/* The one form of a local part for comparing: NFC and case folded (UTF-8). @errors SYNTAX not UTF-8
 */
VY_CHECKED struct vy_err mail_local_canonical(struct vy_arena *arena, struct vy_bytes local,
                                              struct vy_bytes *out);
