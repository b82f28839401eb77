/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SCRAM-SHA-256 and -PLUS: the two rounds. State travels sealed with the frontend.
 *
 * The first answer is the same for all names, for it is made from the name alone. Only the proof of
 * the second round tells which of the account's secrets the client has, if any.
 */
#include "meta/login_service.h"

#include "base/codec.h"

#define SERVER_NONCE_BYTES 18U

static bool is_binding_allowed(const struct login *login, const struct scram_client_first *first)
{
    const bool is_plus = login->request->context->mechanism == LOGIN_MECHANISM_SCRAM_SHA_256_PLUS;
    switch (first->binding) {
    case SCRAM_BINDING_USED:
        return is_plus;
    case SCRAM_BINDING_NOT_THERE:
        /* A7: the client believes that we offer no -PLUS. The frontend hands over channel binding
         * data exactly when it did offer it: then somebody took it out of the list. */
        return !is_plus && login->request->channel_binding.len == 0;
    case SCRAM_BINDING_NONE:
        return !is_plus;
    }
    return false;
}

/* The client's nonce and ours behind it, base64 of random bytes. */
static struct vy_err extend_nonce(struct meta_call *call, struct vy_bytes client_nonce,
                                  struct vy_bytes *out)
{
    uint8_t random[SERVER_NONCE_BYTES];
    struct vy_buf buf;
    vy_rng_fill(call->meta->config.rng, random, sizeof(random));
    vy_buf_init(&buf, SCRAM_NONCE_BYTES_MAX + 64);
    vy_buf_append(&buf, client_nonce);
    vy_base64_encode(&buf, vy_bytes(random, sizeof(random)));
    struct vy_err err = vy_buf_error(&buf);
    if (!vy_failed(err)) {
        err = vy_arena_dup(&call->arena, vy_buf_bytes(&buf), out);
    }
    vy_buf_deinit(&buf);
    return err;
}

static struct vy_err make_server_first(struct meta_call *call, struct challenge_body *body)
{
    struct vy_buf buf;
    vy_buf_init(&buf, SCRAM_MESSAGE_BYTES_MAX);
    scram_append_server_first(&buf, body->nonce, body->salt, body->iterations);
    struct vy_err err = vy_buf_error(&buf);
    if (!vy_failed(err)) {
        err = vy_arena_dup(&call->arena, vy_buf_bytes(&buf), &body->server_first);
    }
    vy_buf_deinit(&buf);
    return err;
}

static struct vy_err answer_first(struct meta_call *call, const struct scram_client_first *first)
{
    const struct login *login = login_of(call);
    uint8_t salt[PASSWORD_SALT_BYTES];
    uint8_t name_hash[32];
    password_scram_salt(call->meta->config.key, login_name_for_hash(login), salt);
    login_name_hash(login, name_hash);
    struct challenge_body body = {.expires_ms = meta_now_ms(call->meta) + LOGIN_CHALLENGE_MS,
                                  .name_hash = vy_bytes(name_hash, sizeof(name_hash)),
                                  .salt = vy_bytes(salt, sizeof(salt)),
                                  .iterations = meta_scram_iterations(call->meta),
                                  .client_first_bare = first->bare,
                                  .gs2_header = first->gs2_header,
                                  .mechanism = (uint32_t)login->request->context->mechanism};
    struct login_reply reply = {.result = LOGIN_RESULT_SCRAM_CONTINUE};
    VY_TRY(extend_nonce(call, first->nonce, &body.nonce));
    VY_TRY(make_server_first(call, &body));
    VY_TRY(login_seal_challenge(call, &body, &reply.challenge));
    reply.server_message = body.server_first;
    meta_call_reply(call, &reply);
    return vy_ok();
}

static struct vy_err start(struct meta_call *call)
{
    struct login *login = login_of(call);
    struct scram_client_first first;
    bool is_limited = false;
    const struct vy_err err =
        scram_parse_client_first(&call->arena, login->request->scram_client_first, &first);
    if (vy_failed(err)) {
        login->typed_name = login->request->context->typed_name;
        login_finish(call, LOGIN_VERDICT_BADPROTOCOL);
        return vy_ok();
    }
    VY_TRY(login_find_account(call, first.name));
    login->authzid = first.authzid;
    VY_TRY(login_check_budget(call, &is_limited));
    if (is_limited) {
        login_finish(call, LOGIN_VERDICT_LIMITED);
        return vy_ok();
    }
    if (first.authzid.len > 0 && !vy_bytes_equal(first.authzid, first.name)) {
        login_finish(call, LOGIN_VERDICT_BADAUTHZID);
        return vy_ok();
    }
    if (!is_binding_allowed(login, &first)) {
        login_finish(call, LOGIN_VERDICT_BADCHANBIND);
        return vy_ok();
    }
    return answer_first(call, &first);
}

void login_scram_start(struct meta_call *call)
{
    const struct vy_err err = start(call);
    if (vy_failed(err)) {
        meta_call_fail(call, err);
    }
}

/* ---- the second round ---- */

/* "c=" is the header of the first message again, and the channel's data with -PLUS. */
static bool is_binding_right(const struct login *login, const struct challenge_body *body,
                             struct vy_bytes binding)
{
    const struct vy_bytes data = body->mechanism == LOGIN_MECHANISM_SCRAM_SHA_256_PLUS
                                     ? login->request->channel_binding
                                     : vy_bytes(NULL, 0);
    const bool is_empty_plus =
        body->mechanism == LOGIN_MECHANISM_SCRAM_SHA_256_PLUS && data.len == 0;
    return !is_empty_plus && binding.len == body->gs2_header.len + data.len &&
           vy_bytes_starts_with(binding, body->gs2_header) &&
           vy_bytes_equal_secret(vy_bytes_from(binding, body->gs2_header.len), data);
}

/* What a proof is held against. */
struct exchange {
    const struct challenge_body *body;
    struct vy_bytes message; /* what both sides signed */
    const uint8_t *proof;
    uint8_t server_key[SCRAM_KEY_BYTES]; /* of the secret that it proved; zeros: of none */
};

/* The verifiers of a secret. None: it has none, or they were made for another salt or count. */
static struct vy_err open_keys(struct meta_call *call, const struct exchange *exchange,
                               const struct new_credential *secret, struct scram_keys *out)
{
    struct scram_keys keys;
    *out = (struct scram_keys){.pairs_count = 0};
    if (secret == NULL || secret->scram_sealed.len == 0) {
        return vy_ok();
    }
    const struct vy_err err = seal_open_message(&call->meta->scram_key, &call->arena,
                                                secret->scram_sealed, &scram_keys_desc, &keys);
    if (err.code == VY_CODE_AUTH) {
        return vy_error(VY_CODE_CORRUPT, "SCRAM verifier does not open under the cluster key");
    }
    VY_TRY(err);
    if (keys.iterations == exchange->body->iterations &&
        vy_bytes_equal(keys.salt, exchange->body->salt)) {
        *out = keys;
    }
    return vy_ok();
}

/* Tries every form of the secret, and something in place of those that it has not. */
static struct vy_err try_secret(struct meta_call *call, struct exchange *exchange, uint64_t id,
                                const struct new_credential *secret)
{
    static const uint8_t nothing[SCRAM_KEY_BYTES] = {0};
    struct login *login = login_of(call);
    struct scram_keys keys;
    VY_TRY(open_keys(call, exchange, secret, &keys));
    for (size_t i = 0; i < PASSWORD_SCRAM_PAIRS; i++) {
        const bool is_real = i < keys.pairs_count &&
                             keys.pairs[i].stored_key.len == SCRAM_KEY_BYTES &&
                             keys.pairs[i].server_key.len == SCRAM_KEY_BYTES;
        const struct vy_bytes stored =
            is_real ? keys.pairs[i].stored_key : vy_bytes(nothing, sizeof(nothing));
        const bool is_right = scram_check_proof(stored, exchange->message, exchange->proof);
        if (is_right && is_real) {
            memcpy(exchange->server_key, keys.pairs[i].server_key.data, SCRAM_KEY_BYTES);
            login->matched = secret;
            login->matched_id = id;
        }
    }
    return vy_ok();
}

/* A proof costs about 5 us for each secret, so 50 app passwords stay far under what P18 allows. */
static struct vy_err try_app_passwords(struct meta_call *call, struct exchange *exchange)
{
    const struct login *login = login_of(call);
    const struct meta_view view = meta_call_view(call);
    const struct credential_row *rows = NULL;
    size_t count = 0;
    if (!login->is_known || login->account.app_password_count == 0) {
        return vy_ok();
    }
    VY_TRY(credential_list(&view, login->account.id, &rows, &count));
    for (size_t i = 0; i < count; i++) {
        if (rows[i].secret != NULL && rows[i].secret->kind == CREDENTIAL_KIND_APP) {
            const bool is_meant = login_means(login, rows[i].secret);
            VY_TRY(try_secret(call, exchange, rows[i].id, is_meant ? rows[i].secret : NULL));
        }
    }
    return vy_ok();
}

/* The server's own proof; made for a wrong one too, which is never told. */
static struct vy_err make_server_final(struct meta_call *call, const struct exchange *exchange)
{
    uint8_t signature[SCRAM_KEY_BYTES];
    struct login *login = login_of(call);
    struct vy_buf buf;
    scram_server_signature(vy_bytes(exchange->server_key, SCRAM_KEY_BYTES), exchange->message,
                           signature);
    vy_buf_init(&buf, 128);
    scram_append_server_final(&buf, signature);
    struct vy_err err = vy_buf_error(&buf);
    if (!vy_failed(err) && login->matched != NULL) {
        err = vy_arena_dup(&call->arena, vy_buf_bytes(&buf), &login->server_message);
    }
    vy_buf_deinit(&buf);
    return err;
}

/* Tries all secrets of the account, whether one was right already or not. */
static struct vy_err check_proof(struct meta_call *call, const struct challenge_body *body,
                                 const struct scram_client_final *final)
{
    const struct login *login = login_of(call);
    struct exchange exchange = {.body = body, .proof = final->proof};
    VY_TRY(scram_auth_message(&call->arena, body->client_first_bare, body->server_first,
                              final->without_proof, &exchange.message));
    VY_TRY(try_secret(call, &exchange, login->main.id, login->main.secret));
    VY_TRY(try_app_passwords(call, &exchange));
    return make_server_final(call, &exchange);
}

static enum login_verdict verdict_of(struct meta_call *call)
{
    struct login *login = login_of(call);
    if (login->matched != NULL) {
        return login_check_use(call, login);
    }
    return login->is_known ? LOGIN_VERDICT_BADPASSWORD : LOGIN_VERDICT_BADUSER;
}

static struct vy_err find_first_name(struct meta_call *call, const struct challenge_body *body)
{
    struct login *login = login_of(call);
    struct scram_client_first first;
    struct vy_buf buf;
    struct vy_bytes whole = {.len = 0};
    vy_buf_init(&buf, 2 * SCRAM_MESSAGE_BYTES_MAX);
    vy_buf_append(&buf, body->gs2_header);
    vy_buf_append(&buf, body->client_first_bare);
    struct vy_err err = vy_arena_dup(&call->arena, vy_buf_bytes(&buf), &whole);
    vy_buf_deinit(&buf);
    VY_TRY(err);
    VY_TRY(scram_parse_client_first(&call->arena, whole, &first));
    login->authzid = first.authzid;
    return login_find_account(call, first.name);
}

static struct vy_err finish(struct meta_call *call)
{
    struct login *login = login_of(call);
    struct challenge_body body;
    struct scram_client_final final;
    bool is_limited = false;
    login->matched = NULL;
    login->typed_name = login->request->context->typed_name;
    if (!login_open_challenge(call, &body)) {
        login_finish(call, LOGIN_VERDICT_BADPROTOCOL);
        return vy_ok();
    }
    VY_TRY(find_first_name(call, &body));
    VY_TRY(login_check_budget(call, &is_limited)); /* others may have spent it since the first */
    if (is_limited) {
        login_finish(call, LOGIN_VERDICT_LIMITED);
        return vy_ok();
    }
    if (vy_failed(
            scram_parse_client_final(&call->arena, login->request->scram_client_final, &final)) ||
        !vy_bytes_equal(final.nonce, body.nonce)) {
        login_finish(call, LOGIN_VERDICT_BADPROTOCOL);
        return vy_ok();
    }
    if (!is_binding_right(login, &body, final.binding)) {
        login_finish(call, LOGIN_VERDICT_BADCHANBIND);
        return vy_ok();
    }
    VY_TRY(check_proof(call, &body, &final));
    login->once = body.nonce;
    login_finish(call, verdict_of(call));
    return vy_ok();
}

void login_scram_finish(struct meta_call *call)
{
    const struct vy_err err = finish(call);
    if (vy_failed(err)) {
        meta_call_fail(call, err);
    }
}
