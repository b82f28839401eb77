/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The form in which meta is asked about addresses (meta.proto, ResolveRequest): one for all
 * spellings, the local part quoted only where it must be. */
#include "base/arena.h"
#include "frontend/smtp/path.h"

/* A path without a domain ("postmaster", RFC 5321 section 4.5.1) belongs to this host.
 * @errors  ARGUMENT, SYNTAX no mailbox can have this address: an address literal, dots where none
 *          may stand, a part that is too long, a domain that is none; LIMIT the arena is full */
VY_CHECKED struct vy_err smtp_address_canonical(struct vy_arena *arena,
                                                const struct smtp_path *path,
                                                struct vy_bytes hostname, struct vy_bytes *out);
