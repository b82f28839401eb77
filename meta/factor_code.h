/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Codes of second factors where secrets can be opened: on meta's leader. Says which code it is;
 * that it is used once, and how many tries there are, is the state machine's (factor.c).
 */
#include "meta/meta_private.h"
#include "meta/totp.h"

/* Three groups of four letters of PASSWORD_ALPHABET: 59 bits, "abcd-efgh-jkmn". */
#define RECOVERY_GROUP_COUNT 3U
#define RECOVERY_GROUP_LETTERS 4U
#define RECOVERY_LETTERS (RECOVERY_GROUP_COUNT * RECOVERY_GROUP_LETTERS)
#define RECOVERY_SHOWN_BYTES (RECOVERY_LETTERS + RECOVERY_GROUP_COUNT - 1)

struct recovery_codes {
    char shown[META_RECOVERY_CODES][RECOVERY_SHOWN_BYTES + 1];
    uint8_t macs[META_RECOVERY_CODES][32];
    struct vy_bytes mac_bytes[META_RECOVERY_CODES]; /* for a command; points to macs */
};
/* The same seed and context give the same codes: they are stored nowhere, and an operator who asks
 * again after a lost answer gets them again. @errors LIMIT */
VY_CHECKED struct vy_err recovery_codes_make(const struct cluster_key *key, uint64_t account_id,
                                             struct vy_bytes seed, struct vy_bytes context,
                                             struct recovery_codes *out);

/* What is typed may be one: letters of the alphabet with any spaces and dashes, in any case. */
bool recovery_code_parse(struct vy_bytes typed, uint8_t letters[RECOVERY_LETTERS]);

/* @errors CORRUPT, LIMIT */
VY_CHECKED struct vy_err factor_seal_secret(struct meta_call *call, uint64_t account_id,
                                            const uint8_t secret[TOTP_SECRET_BYTES],
                                            struct vy_bytes *out);
/* out: wipe it. @errors CORRUPT does not open */
VY_CHECKED struct vy_err factor_open_secret(struct meta_call *call, uint64_t account_id,
                                            const struct factor_row *row,
                                            uint8_t out[TOTP_SECRET_BYTES]);
/* What the typed code proves about the factor; kind NONE: nothing. @errors CORRUPT, LIMIT */
VY_CHECKED struct vy_err factor_judge(struct meta_call *call, uint64_t account_id,
                                      const struct factor_row *row, struct vy_bytes typed,
                                      struct factor_proof *out);
