/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Sealing: what has content in it leaves memory only as AES-256-GCM under its account's key, with a
 * random nonce and the key of the row it stands in as associated data, so that rows cannot be
 * swapped between accounts or places. zstd comes first where it helps. Hashes of names are
 * HMAC-SHA-256 under a key derived from the account key: equal names can be found without being
 * shown.
 *
 * Sealed: u8 form (0 plain, 1 zstd), nonce 12, ciphertext, tag 16. The form is authenticated with
 * the row key.
 *
 * @thread  any; the cipher context and the compressor are per thread and kept for the next call
 */
#include "base/arena.h"
#include "base/buf.h"
#include "base/rng.h"
#include "shard/keys.h"

#define SEAL_KEY_BYTES 32U
#define SEAL_OVERHEAD_BYTES 29U
#define SEAL_CHUNK_BYTES (256U * 1024U) /* the most one sealed row holds */
#define SEAL_CHUNK_SEALED_MAX (SEAL_CHUNK_BYTES + SEAL_OVERHEAD_BYTES)

/* The keys of one account in use: copies in locked memory (account_keys.h). */
struct seal_keys {
    uint64_t serial; /* in this process: contexts that were set up for these keys know them by it */
    uint8_t data[SEAL_KEY_BYTES];
    uint8_t hash[SEAL_KEY_BYTES];
};

/* Derives the hash key (HMAC of a label under the account key). */
void seal_keys_derive(const uint8_t account_key[SEAL_KEY_BYTES], struct seal_keys *out);

enum seal_squeeze { SEAL_PLAIN, SEAL_SQUEEZE }; /* SQUEEZE: zstd, when it makes the text smaller */

/*
 * Appends the sealed form of text.
 *
 * @row_key  associated data: the key under which the result is stored
 * @errors   LIMIT out is full or text over SEAL_CHUNK_BYTES; INTERNAL the library failed
 */
VY_CHECKED struct vy_err seal_text(const struct seal_keys *keys, struct vy_rng *rng,
                                   struct vy_bytes row_key, enum seal_squeeze squeeze,
                                   struct vy_bytes text, struct vy_buf *out);
/* Appends the text. @errors CORRUPT altered, of another row or account; LIMIT larger than out
 * allows */
VY_CHECKED struct vy_err seal_open(const struct seal_keys *keys, struct vy_bytes row_key,
                                   struct vy_bytes sealed, struct vy_buf *out);

/* What a hash is of: equal texts of two kinds have unequal hashes. */
enum seal_hash_kind {
    SEAL_HASH_MAILBOX = 1,
    SEAL_HASH_KEYWORD = 2,
    SEAL_HASH_MESSAGE_ID = 3,
    SEAL_HASH_DELIVERY = 4
};
void seal_hash(const struct seal_keys *keys, enum seal_hash_kind kind, struct vy_bytes text,
               uint8_t out[SHARD_HASH_BYTES]);
