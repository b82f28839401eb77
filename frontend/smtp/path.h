/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What MAIL and RCPT say: a path (RFC 5321 section 4.1.2, RFC 6531 section 3.3) and parameters
 * (keyword[=value]). Syntax only; what an address means is decided by mail/address and by meta.
 */
#include "base/bytes.h"
#include "base/err.h"

#define SMTP_LOCAL_BYTES_MAX                                                                       \
    128U /* RFC 5321 says 64; bounce addresses of big senders are longer                           \
          */
#define SMTP_DOMAIN_BYTES_MAX 255U

struct smtp_path {
    struct vy_bytes text;   /* the mailbox as given, without route and brackets; empty for <> */
    struct vy_bytes local;  /* as given, with its quotes */
    struct vy_bytes domain; /* as given; "[...]" for an address literal; empty: none (postmaster) */
    bool has_route;         /* "@a,@b:" stood in front */
    bool is_utf8;           /* has bytes above 0x7F; they are valid UTF-8 */
};
/* Takes "<...>" off *rest, which is then empty or begins behind a space.
 * @errors  SYNTAX; ARGUMENT not UTF-8 (S28) */
VY_CHECKED struct vy_err smtp_path_parse(struct vy_bytes *rest, struct smtp_path *out);

struct smtp_param {
    struct vy_bytes key;
    struct vy_bytes value; /* data is NULL when there was no '=' */
};
/* Takes the next parameter off *rest; key is empty at the end.
 * @errors  SYNTAX */
VY_CHECKED struct vy_err smtp_param_next(struct vy_bytes *rest, struct smtp_param *out);

/* A domain or an address literal as EHLO gives it: bounded, no control bytes, nothing that could
 * end a header (S19). Lenient with what clients are called in practice ("my_pc"). */
bool smtp_helo_is_fine(struct vy_bytes name);
