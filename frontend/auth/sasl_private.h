/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the mechanisms share with sasl.c, one file each. */
#include "base/secret.h"
#include "frontend/auth/sasl.h"

#define SASL_ARENA_BYTES_MAX (128U * 1024U)
#define SASL_USER_AGENT_BYTES_MAX 256U
#define SASL_HASH_BYTES 32U

enum sasl_state {
    SASL_STATE_NEW,       /* waits for sasl_start() */
    SASL_STATE_LINE,      /* a challenge is out: waits for the client's line */
    SASL_STATE_CALL,      /* waits for meta */
    SASL_STATE_HASH,      /* waits for Argon2id */
    SASL_STATE_LAST_LINE, /* accepted; the last challenge waits for the client's empty line */
    SASL_STATE_OVER,
    SASL_STATE_COUNT
};

struct sasl_mechanism {
    const char *name;
    enum login_mechanism id;
    bool needs_binding;         /* offered only where TLS gives channel bindings */
    const char *first_question; /* when the client sent no initial response */
    /* One decoded client message. `message` is wiped after the call: keep copies. */
    struct sasl_step (*receive)(struct sasl_exchange *x, struct vy_bytes message);
    /* Meta said NEED_ARGON2 or SCRAM_CONTINUE; or OK with a last message for the client. */
    struct sasl_step (*resume)(struct sasl_exchange *x, const struct login_reply *reply);
};
extern const struct sasl_mechanism sasl_plain;
extern const struct sasl_mechanism sasl_login;
extern const struct sasl_mechanism sasl_scram_sha_256;
extern const struct sasl_mechanism sasl_scram_sha_256_plus;

struct sasl_scram {
    struct vy_bytes gs2_header;
    struct vy_bytes binding; /* cbind-data; empty without */
    bool has_first;
};

struct sasl_exchange {
    struct sasl_peer peer;
    enum sasl_state state;
    const struct sasl_mechanism *mechanism;
    struct vy_arena arena; /* everything that lives as long as the exchange */
    struct vy_buf challenge;
    struct vy_secret *password; /* owned; prepared; kept for Argon2id only */
    struct login_context context;
    struct login_request request;
    struct sasl_done done;
    struct vy_bytes name; /* of LOGIN, between its two lines */
    bool has_name;
    struct sasl_scram scram;
    /* Something is wrong that meta cannot see (authzid, binding): asked all the same, so that time
     * and audit are as for any wrong password, and refused whatever it says. */
    bool is_doomed;
    uint8_t trace_id[16];
    uint8_t password_hash[SASL_HASH_BYTES];
};

/* Steps. Each moves the exchange to the state that waits for its answer. */
struct sasl_step sasl_step_challenge(struct sasl_exchange *x, struct vy_bytes plain);
struct sasl_step sasl_step_last_challenge(struct sasl_exchange *x, struct vy_bytes plain);
struct sasl_step sasl_step_call(struct sasl_exchange *x);
struct sasl_step sasl_step_hash(struct sasl_exchange *x, const struct login_reply *reply);
struct sasl_step sasl_step_done(struct sasl_exchange *x, enum sasl_result result);

/* Copies, cut to SASL_NAME_BYTES_MAX, into the context. An empty name dooms the exchange (A14). */
VY_CHECKED struct vy_err sasl_set_name(struct sasl_exchange *x, struct vy_bytes name);
/* Copies; one that is neither empty nor the name dooms the exchange (AUTH-3). After the name. */
VY_CHECKED struct vy_err sasl_set_authzid(struct sasl_exchange *x, struct vy_bytes authzid);
/* PLAIN, LOGIN and the LOGIN command once name and password are there. */
struct sasl_step sasl_password_check(struct sasl_exchange *x, struct vy_bytes authzid,
                                     struct vy_bytes name, struct vy_bytes password);
struct sasl_step sasl_password_resume(struct sasl_exchange *x, const struct login_reply *reply);
/* Whether -PLUS is offered. */
bool sasl_has_binding(const struct sasl_peer *peer);
/* Wipes bytes that lie in memory of ours. */
void sasl_wipe(struct vy_bytes bytes);
