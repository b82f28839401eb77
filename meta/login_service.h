/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Signing in: what the three files share. login_service.c decides (passwords), login_scram.c runs
 * the two rounds of SCRAM, login_record.c commits the record and gives the answer.
 *
 * Unknown names take the same path as known ones: a dummy account whose credential never matches,
 * with a salt that a keyed hash of the name decides (AUTH-1, A1, A8). The salt of SCRAM is made so
 * for all names. Whatever the first call with a password does not let in is asked for an Argon2id
 * hash, so that all refusals cost the same.
 */
#include "meta/meta_private.h"
#include "meta/password.h"
#include "meta/scram.h"

#define LOGIN_NAME_BYTES_MAX 1024U
#define LOGIN_FIELD_BYTES_MAX 512U      /* of what frontends tell about a connection */
#define LOGIN_CHALLENGE_MS (60U * 1000) /* between the calls of one sign-in */

struct login {
    const struct login_request *request;
    struct vy_bytes typed_name; /* what the client said, cut at the limit */
    struct vy_bytes authzid;
    struct vy_bytes name;  /* canonical; empty: cannot be one */
    struct vy_bytes label; /* of the app passwords that count, from "name%label"; empty: all do */
    bool is_known;         /* account is set: an explicit main address, not erasing */
    struct meta_account_row account;
    struct credential_row main;           /* secret NULL: the account has none, or is not known */
    const struct new_credential *matched; /* which credential proved right; NULL: none */
    uint64_t matched_id;
    enum login_verdict verdict;
    struct vy_bytes server_message; /* of SCRAM, goes out with OK */
    struct vy_bytes tuple;
    struct vy_bytes once;    /* works once in the cluster: the nonce of SCRAM (P18) */
    bool is_exempt;          /* of a trusted network: no budgets of guessing */
    uint32_t retry_after_ms; /* of LIMITED */
};

static inline struct login *login_of(struct meta_call *call)
{
    return call->state;
}

/* Finds the account and its main credential. Ok with is_known false when there is none. */
VY_CHECKED struct vy_err login_find_account(struct meta_call *call, struct vy_bytes typed_name);
/* Of what a keyed hash says about a name: salts and kinds of accounts that are not there. */
void login_fake_bytes(const struct meta *meta, const char *purpose, const struct login *login,
                      uint8_t out[32]);
/* Whether a name with a label means this app password (APP-5). */
bool login_means(const struct login *login, const struct new_credential *secret);
/* The password is right: may this credential be used here, is the account allowed in? */
enum login_verdict login_check_use(const struct meta_call *call, const struct login *login);
/* Commits the record of login->verdict, then answers. */
void login_finish(struct meta_call *call, enum login_verdict verdict);
/* From the start again: the account changed between decision and commit. */
void login_decide(struct meta_call *call);

/* ---- budgets of guessing (login_guess.c) ---- */

/* Was something tried that was not right? */
static inline bool login_is_guess(enum login_verdict verdict)
{
    return verdict != LOGIN_VERDICT_OK && verdict != LOGIN_VERDICT_DISABLED &&
           verdict != LOGIN_VERDICT_LIMITED && verdict != LOGIN_VERDICT_ABORTED;
}
/* Once the account was looked for, before anything is compared. Limited: end with LIMITED. */
VY_CHECKED struct vy_err login_check_budget(struct meta_call *call, bool *is_limited);
/* With every verdict, once. */
void login_charge_budget(struct meta_call *call, enum login_verdict verdict);
void login_forgive_budget(struct meta_call *call);
/* The key of LOGIN_NET behind the account's. */
void login_net_hash(const struct meta *meta, uint64_t account_id, struct vy_bytes ip_text,
                    uint8_t out[META_NET_BYTES]);

void login_scram_start(struct meta_call *call);
void login_scram_finish(struct meta_call *call);

/* The name as the account has it; as typed when it cannot be one. */
struct vy_bytes login_name_for_hash(const struct login *login);
/* A hash that binds a challenge to the name it was made for. */
void login_name_hash(const struct login *login, uint8_t out[32]);
VY_CHECKED struct vy_err login_seal_challenge(struct meta_call *call,
                                              const struct challenge_body *body,
                                              struct vy_bytes *out);
/* False: not ours, altered, expired, of another name or mechanism. */
bool login_open_challenge(struct meta_call *call, struct challenge_body *out);
