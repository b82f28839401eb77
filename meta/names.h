/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The one canonical form of names, at creation, login and delivery (S28): local part in NFC and
 * folded, '@', domain as lower-case A-labels. What people typed goes in here before it is looked up
 * anywhere.
 */
#include "base/arena.h"
#include "base/err.h"

/* @errors ARGUMENT not "local@domain", or longer than META_ADDRESS_BYTES_MAX; LIMIT arena */
VY_CHECKED struct vy_err names_canonical_address(struct vy_arena *arena, struct vy_bytes typed,
                                                 struct vy_bytes *out);
VY_CHECKED struct vy_err names_canonical_domain(struct vy_arena *arena, struct vy_bytes typed,
                                                struct vy_bytes *out);
/* For new accounts and aliases: also refuses '+', which begins a detail. */
VY_CHECKED struct vy_err names_canonical_new_address(struct vy_arena *arena, struct vy_bytes typed,
                                                     struct vy_bytes *out);
