/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The cluster key: 32 bytes from a file that only meta and shard processes may read, held outside
 * the data directories. Keys for each purpose are derived from it (HKDF-SHA-256, RFC 5869), so that
 * none stands for another.
 */
#include "base/arena.h"
#include "base/err.h"
#include "base/rng.h"
#include "base/secret.h"

#define CLUSTER_KEY_BYTES 32U

struct cluster_key; /* opaque; owns locked memory; @thread any, it never changes */

/* A file of 64 hex digits. @errors NOT_FOUND, DENIED readable by others (C2), SYNTAX */
VY_CHECKED struct vy_err cluster_key_load(const char *path, struct cluster_key **out);
/* Writes a new random key, mode 0400; EXISTS when there is one. The file and its directory are
 * synced. */
VY_CHECKED struct vy_err cluster_key_create(const char *path, struct vy_rng *rng);
/* From 32 bytes that the caller has already (tests, a key that came by another way). @errors NOMEM
 */
VY_CHECKED struct vy_err cluster_key_new(const uint8_t bytes[CLUSTER_KEY_BYTES],
                                         struct cluster_key **out);
void cluster_key_free(struct cluster_key *key); /* NULL is allowed */

#define ACCOUNT_KEY_BYTES 32U
#define WRAPPED_KEY_BYTES (12U + ACCOUNT_KEY_BYTES + 16U) /* nonce, ciphertext, tag */

/* AES-256-GCM under the wrapping key, account id as associated data: a wrapped key opens for its
 * account only. */
VY_CHECKED struct vy_err cluster_key_wrap(const struct cluster_key *key, uint64_t account_id,
                                          const uint8_t nonce[12],
                                          const uint8_t account_key[ACCOUNT_KEY_BYTES],
                                          uint8_t out[WRAPPED_KEY_BYTES]);
/* @errors CORRUPT not wrapped by this key for this account */
VY_CHECKED struct vy_err cluster_key_unwrap(const struct cluster_key *key, uint64_t account_id,
                                            struct vy_bytes wrapped,
                                            uint8_t out[ACCOUNT_KEY_BYTES]);

/* HMAC-SHA-256 under a derived key; purpose is a literal such as "credential", "session",
 * "fake-salt". */
void cluster_key_mac(const struct cluster_key *key, const char *purpose, struct vy_bytes text,
                     uint8_t out[32]);
