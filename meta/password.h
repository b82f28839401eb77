/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Making passwords and what is stored of them: keyed SHA-256 and SCRAM verifiers for generated
 * ones, Argon2id and SCRAM verifiers for chosen ones (docs/decisions/0005-scram-for-all.md). How
 * typed passwords are read: password_prep.h.
 */
#include "meta/tables.h"
#include "proto/cluster_key.h"
#include "proto/password_prep.h"

#define PASSWORD_CHOSEN_BYTES_MIN 8U /* POL-1: bytes, after preparation */
#define PASSWORD_SALT_BYTES 16U
#define PASSWORD_TAG_BYTES 32U
#define PASSWORD_ARGON2_MEMORY_KIB 19456U
#define PASSWORD_ARGON2_PASSES 2U
#define PASSWORD_ARGON2_LANES 1U
#define PASSWORD_SCRAM_ITERATIONS 65536U /* the most that Debian's cyrus-sasl accepts */
#define PASSWORD_SEED_BYTES 16U

/* Letters from bytes: a byte below this bound is taken modulo the alphabet, others are thrown away;
 * so each letter is equally likely. */
#define PASSWORD_BYTE_BOUND ((256U / PASSWORD_ALPHABET_COUNT) * PASSWORD_ALPHABET_COUNT)

/* "abcde-fghjk-..." with a NUL behind it. */
void password_generate(struct vy_rng *rng, char out[PASSWORD_SHOWN_BYTES + 1]);
/*
 * The same from a seed that is kept for as long as an operation id is: so that an operator who asks
 * again after a lost answer gets the same secret, which is stored nowhere.
 *
 * @context  what the secret is for: operation id and account
 */
void password_generate_from_seed(const struct cluster_key *key, struct vy_bytes seed,
                                 struct vy_bytes context, char out[PASSWORD_SHOWN_BYTES + 1]);

/* Other secrets in groups of letters: recovery codes. out: all letters, the dashes, a NUL. */
struct password_shape {
    unsigned group_count;
    unsigned group_letters;
};
void password_shape_from_seed(const struct cluster_key *key, const struct password_shape *shape,
                              struct vy_bytes seed, struct vy_bytes context, char *out);

/*
 * The salt of everything that signs in under a name by SCRAM: the server tells it before it can
 * know which of the account's secrets the client has. Names without an account have one by the same
 * rule, so that it tells nothing (A8).
 *
 * @name  canonical, or as typed when it cannot be an address
 */
void password_scram_salt(const struct cluster_key *key, struct vy_bytes name,
                         uint8_t out[PASSWORD_SALT_BYTES]);

/* What is stored of one secret; `row` and `scram` point into the rest. */
#define PASSWORD_SCRAM_PAIRS 2U
struct password_verifier {
    struct new_credential row;
    uint8_t mac[32];
    uint8_t argon2_salt[PASSWORD_SALT_BYTES];
    uint8_t scram_salt[PASSWORD_SALT_BYTES];
    struct scram_keys scram; /* to be sealed into row.scram_sealed */
    struct scram_pair pairs[PASSWORD_SCRAM_PAIRS];
    uint8_t stored_keys[PASSWORD_SCRAM_PAIRS][32];
    uint8_t server_keys[PASSWORD_SCRAM_PAIRS][32];
    uint8_t seed[PASSWORD_SEED_BYTES];
};
/*
 * Fills out->scram, and out->row but for label, protocols, expires_ms, seed and scram_sealed. The
 * salts are in *out already.
 *
 * @shown   as made by password_generate; it is recognised with and without its dashes
 * @errors  NOMEM
 * @blocks  about 85 ms of CPU at 65,536 iterations: for workers
 */
VY_CHECKED struct vy_err password_make_generated(const struct cluster_key *key,
                                                 struct vy_bytes shown, enum credential_kind kind,
                                                 uint32_t iterations,
                                                 struct password_verifier *out);
/* POL-1: what an administrator may set for this address. @errors ARGUMENT and why not */
VY_CHECKED struct vy_err password_check_chosen(struct vy_bytes prepared, struct vy_bytes address);
/*
 * @prepared  what PLAIN and LOGIN compare, and one form for SCRAM
 * @typed     the other form: clients of SCRAM prepare little or nothing
 * @errors    ARGUMENT too short (PASSWORD_CHOSEN_BYTES_MIN); NOMEM
 * @blocks    about 150 ms: for workers
 */
VY_CHECKED struct vy_err password_make_chosen(const struct cluster_key *key,
                                              struct vy_bytes prepared, struct vy_bytes typed,
                                              uint32_t iterations, struct password_verifier *out);

/* What is compared at login. */
void password_mac_hash(const struct cluster_key *key, struct vy_bytes password_hash,
                       uint8_t out[32]);
void password_mac_argon2(const struct cluster_key *key, struct vy_bytes tag, uint8_t out[32]);

/* Argon2id of a prepared password; frontends compute the same. @blocks */
VY_CHECKED struct vy_err password_argon2(struct vy_bytes prepared, struct vy_bytes salt,
                                         uint8_t out[PASSWORD_TAG_BYTES]);
