/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Mailbox names and keywords as the state machine knows them: a hash to find them by and the sealed
 * text to show them. A name is bound to its account and hash, not to the row it stands in: a
 * keyword is copied with its messages, a name is sealed before its mailbox has an id.
 *
 * @thread  any
 */
#include "proto/shardlog.pb.h"
#include "shard/seal.h"

#define NAMES_MAILBOX_BYTES_MAX 8192U /* a path: 32 levels of 255 bytes (I11) */
#define NAMES_KEYWORD_BYTES_MAX 64U   /* I19 */

void names_hash_mailbox(const struct seal_keys *keys, struct vy_bytes name,
                        uint8_t out[SHARD_HASH_BYTES]);
/* Keywords are equal in any case (RFC 9051 section 2.3.2); shown as first written. `keyword` has at
 * most NAMES_KEYWORD_BYTES_MAX bytes. */
void names_hash_keyword(const struct seal_keys *keys, struct vy_bytes keyword,
                        uint8_t out[SHARD_HASH_BYTES]);
/* @errors LIMIT too long or the arena is full; ARGUMENT empty */
VY_CHECKED struct vy_err names_seal_mailbox(const struct seal_keys *keys, struct vy_rng *rng,
                                            uint64_t account_id, struct vy_bytes name,
                                            struct vy_arena *arena, struct sealed_name *out);
VY_CHECKED struct vy_err names_seal_keyword(const struct seal_keys *keys, struct vy_rng *rng,
                                            uint64_t account_id, struct vy_bytes keyword,
                                            struct vy_arena *arena, struct sealed_name *out);
/* The text, in the arena. @errors CORRUPT; LIMIT */
VY_CHECKED struct vy_err names_open(const struct seal_keys *keys, uint64_t account_id,
                                    struct vy_bytes hash, struct vy_bytes sealed,
                                    struct vy_arena *arena, struct vy_bytes *out);
