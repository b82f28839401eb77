/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Sealing what names people (audit bodies, login records) and what clients carry for us
 * (challenges): AES-256-GCM under keys derived from the account's key or the cluster's. A random
 * nonce, the ciphertext, a tag.
 */
#include "base/arena.h"
#include "base/buf.h"
#include "meta/tables.h"
#include "proto/cluster_key.h"

#define SEAL_KEY_BYTES 32U
#define SEAL_OVERHEAD_BYTES (12U + 16U)

struct seal_key {
    uint8_t bytes[SEAL_KEY_BYTES]; /* wipe after use */
};
/* For records of no account, and for challenges; purpose is a literal. */
void seal_key_of_cluster(const struct cluster_key *key, const char *purpose, struct seal_key *out);
/*
 * For the records of an account: derived from its mail key, so erasing that erases them.
 *
 * @wrapped  as in the family of keys
 * @errors   CORRUPT does not open
 */
VY_CHECKED struct vy_err seal_key_of_account(const struct cluster_key *key, uint64_t account_id,
                                             struct vy_bytes wrapped, struct seal_key *out);
/* The same, found in the tables. No key there: the cluster's, and *is_found false. */
VY_CHECKED struct vy_err seal_key_find(const struct cluster_key *key, const struct meta_view *view,
                                       uint64_t account_id, struct seal_key *out, bool *is_found);

/* Appends. @errors LIMIT of out; NOMEM */
VY_CHECKED struct vy_err seal_append(const struct seal_key *key, struct vy_rng *rng,
                                     struct vy_bytes plain, struct vy_buf *out);
/* @errors AUTH altered, or of another key; LIMIT arena */
VY_CHECKED struct vy_err seal_read(const struct seal_key *key, struct vy_arena *arena,
                                   struct vy_bytes sealed, struct vy_bytes *out);

/* A message, encoded and sealed; *out lives in the arena. */
VY_CHECKED struct vy_err seal_message(const struct seal_key *key, struct vy_rng *rng,
                                      struct vy_arena *arena, const struct vy_pb_desc *desc,
                                      const void *message, struct vy_bytes *out);
/* @errors AUTH; LIMIT; CORRUPT it opens but does not decode */
VY_CHECKED struct vy_err seal_open_message(const struct seal_key *key, struct vy_arena *arena,
                                           struct vy_bytes sealed, const struct vy_pb_desc *desc,
                                           void *message);
