/* SPDX-License-Identifier: Apache-2.0 */
/* PLAIN (RFC 4616), and what follows for every mechanism that carries a password. */
#include "base/assert.h"
#include "frontend/auth/sasl_private.h"
#include "proto/password_prep.h"
#include <assert.h>
#include <openssl/sha.h>

/* More is not what meta hands out: a damaged reply must not cost memory or minutes here. */
#define ARGON2_MEMORY_KIB_MAX (1024U * 1024U)
#define ARGON2_PASSES_MAX 64U
#define ARGON2_LANES_MAX 64U
#define ARGON2_SALT_BYTES_MAX 64U
static_assert(SASL_HASH_BYTES == SHA256_DIGEST_LENGTH, "SHA-256");

/*
 * Stands in for a password that cannot be one (too long, not UTF-8, forbidden characters): begins
 * with NUL, which no prepared password contains, so it matches nothing and costs what any wrong
 * password costs (A1, A6).
 */
static struct vy_err unfit_password(struct sasl_exchange *x, struct vy_bytes password)
{
    uint8_t digest[1 + SHA256_DIGEST_LENGTH] = {0};
    (void)SHA256(password.data, password.len, digest + 1);
    const struct vy_err err = vy_secret_new(vy_bytes(digest, sizeof(digest)), &x->password);
    vy_wipe(digest, sizeof(digest));
    return err;
}

static struct vy_err keep_password(struct sasl_exchange *x, struct vy_bytes password)
{
    struct vy_bytes prepared = {.data = NULL};
    if (password.len == 0 || password.len > SASL_PASSWORD_BYTES_MAX ||
        vy_failed(password_prepare(&x->arena, password, &prepared))) {
        return unfit_password(x, password);
    }
    const struct vy_err err = vy_secret_new(prepared, &x->password);
    sasl_wipe(prepared);
    return err;
}

struct sasl_step sasl_password_check(struct sasl_exchange *x, struct vy_bytes authzid,
                                     struct vy_bytes name, struct vy_bytes password)
{
    if (vy_failed(sasl_set_name(x, name)) || vy_failed(sasl_set_authzid(x, authzid))) {
        return sasl_step_done(x, SASL_RESULT_UNAVAILABLE);
    }
    const struct vy_err err =
        x->is_doomed ? unfit_password(x, password) : keep_password(x, password);
    if (vy_failed(err)) {
        return sasl_step_done(x, SASL_RESULT_UNAVAILABLE);
    }
    const struct vy_bytes kept = vy_secret_bytes(x->password);
    password_hash(kept, x->password_hash);
    x->request.password_hash = vy_bytes(x->password_hash, sizeof(x->password_hash));
    return sasl_step_call(x);
}

struct sasl_step sasl_password_resume(struct sasl_exchange *x, const struct login_reply *reply)
{
    const bool is_asked_before = x->request.argon2_tag.len > 0;
    if (reply->result != LOGIN_RESULT_NEED_ARGON2 || is_asked_before || x->password == NULL ||
        reply->argon2_memory_kib > ARGON2_MEMORY_KIB_MAX || reply->argon2_passes == 0 ||
        reply->argon2_passes > ARGON2_PASSES_MAX || reply->argon2_lanes == 0 ||
        reply->argon2_lanes > ARGON2_LANES_MAX || reply->salt.len > ARGON2_SALT_BYTES_MAX) {
        return sasl_step_done(x, SASL_RESULT_UNAVAILABLE);
    }
    x->request.challenge = reply->challenge;
    return sasl_step_hash(x, reply);
}

/* [authzid] NUL authcid NUL passwd */
static struct sasl_step plain_receive(struct sasl_exchange *x, struct vy_bytes message)
{
    const size_t first = vy_bytes_find_byte(message, 0, 0);
    const size_t second = first == SIZE_MAX ? SIZE_MAX : vy_bytes_find_byte(message, 0, first + 1);
    if (second == SIZE_MAX) {
        return sasl_step_done(x, SASL_RESULT_SYNTAX);
    }
    return sasl_password_check(x, vy_bytes_slice(message, 0, first),
                               vy_bytes_slice(message, first + 1, second - first - 1),
                               vy_bytes_from(message, second + 1));
}

const struct sasl_mechanism sasl_plain = {
    .name = "PLAIN",
    .id = LOGIN_MECHANISM_PLAIN,
    .first_question = "",
    .receive = plain_receive,
    .resume = sasl_password_resume,
};
