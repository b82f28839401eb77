/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * One IMAP connection as a pure core (frontend/session.h): client bytes and answers of meta and
 * shards in, actions out. IMAP4rev1 (RFC 3501) and the extensions listed in commands.c.
 */
#include "frontend/session.h"

/* What a client may make grow, and how long it may take (promises.md section 4). */
struct imap_limits {
    uint32_t line_bytes_max;            /* a command without its literals */
    uint32_t literal_bytes_max;         /* one literal, but for APPEND */
    uint32_t command_literal_bytes_max; /* all literals of a command, but for APPEND */
    uint64_t append_bytes_max;          /* one message */
    uint32_t pipelined_commands_max;    /* then reading stops */
    uint32_t bad_commands_max;          /* then BYE */
    uint32_t login_timeout_ms;
    uint32_t auth_delay_ms;   /* times the failures so far, from the second; 0 for trusted peers */
    uint32_t idle_timeout_ms; /* autologout, in IDLE too: RFC 3501 section 5.4, RFC 2177 */
};
struct imap_limits imap_limits_default(void);

/*
 * @peer      copied but for its slices, which live as long as the session
 * @limits    borrowed for the life of the session
 * @hostname  borrowed for the life of the session; named in the greeting
 * @errors    NOMEM
 */
VY_CHECKED struct vy_err imap_session_new(const struct session_peer *peer,
                                          const struct imap_limits *limits,
                                          struct vy_bytes hostname, struct session **out);
