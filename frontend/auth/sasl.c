/* SPDX-License-Identifier: Apache-2.0 */
/* The exchange around the mechanisms: base64, states, meta's answers, the table of results. */
#include "base/assert.h"
#include "base/codec.h"
#include "frontend/auth/sasl_private.h"
#include <stdlib.h>

#define TO(state) (1U << SASL_STATE_##state)
static const uint32_t sasl_state_next[SASL_STATE_COUNT] = {
    [SASL_STATE_NEW] = TO(LINE) | TO(CALL) | TO(OVER),
    [SASL_STATE_LINE] = TO(LINE) | TO(CALL) | TO(OVER),
    [SASL_STATE_CALL] = TO(LINE) | TO(HASH) | TO(LAST_LINE) | TO(OVER),
    [SASL_STATE_HASH] = TO(CALL) | TO(OVER),
    [SASL_STATE_LAST_LINE] = TO(OVER),
    [SASL_STATE_OVER] = 0,
};

/* In the order in which they are offered. */
static const struct sasl_mechanism *const mechanisms[] = {
    &sasl_scram_sha_256_plus, &sasl_scram_sha_256, &sasl_plain, &sasl_login};

struct sasl_result_row {
    const char *name;
    const char *smtp;
    const char *imap;
    bool is_bad;
    const char *text;
};
/* clang-format off */
static const struct sasl_result_row result_rows[SASL_RESULT_COUNT] = {
    [SASL_RESULT_OK]           = { "ok",           "235 2.7.0",  "",                     false, "Signed in" },
    [SASL_RESULT_REFUSED]      = { "refused",      "535 5.7.8",  "AUTHENTICATIONFAILED", false, "Authentication credentials invalid" },
    [SASL_RESULT_DISABLED]     = { "disabled",     "525 5.7.13", "",                     false, "Account is disabled" },
    [SASL_RESULT_NEED_APP]     = { "need_app",     "534 5.7.9",  "AUTHENTICATIONFAILED", false, "An app password is needed for this" },
    [SASL_RESULT_LIMITED]      = { "limited",      "454 4.7.0",  "LIMIT",                false, "Too many sign-in attempts, try again later" },
    [SASL_RESULT_UNAVAILABLE]  = { "unavailable",  "454 4.7.0",  "UNAVAILABLE",          false, "Sign-in is not possible right now, try again later" },
    [SASL_RESULT_SYNTAX]       = { "syntax",       "501 5.5.2",  "",                     true,  "Authentication exchange is not well formed" },
    [SASL_RESULT_CANCELLED]    = { "cancelled",    "501 5.7.0",  "",                     true,  "Authentication cancelled" },
    [SASL_RESULT_PRIVACY]      = { "privacy",      "538 5.7.11", "PRIVACYREQUIRED",      false, "Encryption is required first" },
    [SASL_RESULT_NO_MECHANISM] = { "no_mechanism", "504 5.5.4",  "CANNOT",               false, "Authentication mechanism is not offered" },
};
/* clang-format on */

const char *sasl_result_smtp_reply(enum sasl_result result)
{
    return result_rows[result].smtp;
}
const char *sasl_result_imap_code(enum sasl_result result)
{
    return result_rows[result].imap;
}
bool sasl_result_is_bad(enum sasl_result result)
{
    return result_rows[result].is_bad;
}
const char *sasl_result_text(enum sasl_result result)
{
    return result_rows[result].text;
}
const char *sasl_result_name(enum sasl_result result)
{
    return result_rows[result].name;
}

void sasl_wipe(struct vy_bytes bytes)
{
    if (bytes.len > 0) {
        vy_wipe((void *)(uintptr_t)bytes.data, bytes.len);
    }
}

static void sasl_move(struct sasl_exchange *x, enum sasl_state next)
{
    VY_ASSERT((sasl_state_next[x->state] & (1U << next)) != 0);
    x->state = next;
}

/* ---- what is offered ---- */

bool sasl_has_binding(const struct sasl_peer *peer)
{
    return peer->is_secured && (peer->tls.exporter.len > 0 || peer->tls.end_point.len > 0);
}

static bool is_offered(const struct sasl_mechanism *mechanism, const struct sasl_peer *peer)
{
    return !mechanism->needs_binding || sasl_has_binding(peer);
}

static bool may_sign_in(const struct sasl_peer *peer)
{
    return peer->is_secured || peer->is_trusted;
}

struct vy_bytes sasl_mechanisms(const struct sasl_peer *peer, char out[SASL_MECHANISMS_BYTES_MAX])
{
    size_t len = 0;
    for (size_t i = 0; may_sign_in(peer) && i < VY_COUNT_OF(mechanisms); i++) {
        const struct vy_bytes name = vy_cstr(mechanisms[i]->name);
        if (!is_offered(mechanisms[i], peer)) {
            continue;
        }
        VY_ASSERT(len + 1 + name.len <= SASL_MECHANISMS_BYTES_MAX);
        if (len > 0) {
            out[len++] = ' ';
        }
        memcpy(out + len, name.data, name.len);
        len += name.len;
    }
    return vy_bytes(out, len);
}

static const struct sasl_mechanism *find_mechanism(struct vy_bytes name)
{
    for (size_t i = 0; i < VY_COUNT_OF(mechanisms); i++) {
        if (vy_bytes_equal_nocase(name, vy_cstr(mechanisms[i]->name))) {
            return mechanisms[i];
        }
    }
    return NULL;
}

/* ---- begin and end ---- */

/* Text that travels as a string of the link: what is not UTF-8 would fail the whole message. */
static struct vy_bytes text_for_link(struct vy_bytes text)
{
    const struct vy_bytes cut = vy_bytes_slice(text, 0, SASL_USER_AGENT_BYTES_MAX);
    return vy_utf8_is_valid(cut) ? cut : vy_bytes(NULL, 0);
}

struct vy_err sasl_new(const struct sasl_peer *peer, struct sasl_exchange **out)
{
    struct sasl_exchange *x = calloc(1, sizeof(*x));
    if (x == NULL) {
        return vy_error(VY_CODE_NOMEM, "sign-in");
    }
    x->peer = *peer;
    vy_arena_init(&x->arena, SASL_ARENA_BYTES_MAX);
    vy_buf_init(&x->challenge, SASL_LINE_BYTES_MAX);
    vy_put_be64(x->trace_id, peer->trace_id[0]);
    vy_put_be64(x->trace_id + 8, peer->trace_id[1]);
    x->context = (struct login_context){
        .protocol = peer->protocol,
        .remote_ip = peer->remote_ip,
        .local_ip = peer->local_ip,
        .tls = peer->is_secured ? text_for_link(peer->tls.info) : vy_bytes(NULL, 0),
        .user_agent = text_for_link(peer->user_agent),
        .trace_id = vy_bytes(x->trace_id, sizeof(x->trace_id)),
        .is_trusted = peer->is_trusted,
    };
    x->request.context = &x->context;
    *out = x;
    return vy_ok();
}

void sasl_free(struct sasl_exchange *exchange)
{
    if (exchange == NULL) {
        return;
    }
    vy_secret_free(exchange->password);
    vy_arena_deinit(&exchange->arena);
    vy_buf_deinit(&exchange->challenge);
    vy_wipe(exchange, sizeof(*exchange));
    free(exchange);
}

/* ---- steps ---- */

struct sasl_step sasl_step_done(struct sasl_exchange *x, enum sasl_result result)
{
    sasl_move(x, SASL_STATE_OVER);
    x->done.result = result;
    x->done.typed_name = x->context.typed_name;
    x->done.mechanism = x->mechanism == NULL ? "" : x->mechanism->name;
    vy_secret_free(x->password);
    x->password = NULL;
    vy_wipe(x->password_hash, sizeof(x->password_hash));
    return (struct sasl_step){.kind = SASL_STEP_DONE, .done = x->done};
}

static struct sasl_step step_question(struct sasl_exchange *x, struct vy_bytes plain,
                                      enum sasl_state next)
{
    vy_buf_reset(&x->challenge);
    vy_base64_encode(&x->challenge, plain);
    if (vy_failed(vy_buf_error(&x->challenge))) {
        return sasl_step_done(x, SASL_RESULT_UNAVAILABLE);
    }
    sasl_move(x, next);
    return (struct sasl_step){.kind = SASL_STEP_CHALLENGE,
                              .challenge = vy_buf_bytes(&x->challenge)};
}

struct sasl_step sasl_step_challenge(struct sasl_exchange *x, struct vy_bytes plain)
{
    return step_question(x, plain, SASL_STATE_LINE);
}

struct sasl_step sasl_step_last_challenge(struct sasl_exchange *x, struct vy_bytes plain)
{
    return step_question(x, plain, SASL_STATE_LAST_LINE);
}

struct sasl_step sasl_step_call(struct sasl_exchange *x)
{
    sasl_move(x, SASL_STATE_CALL);
    return (struct sasl_step){.kind = SASL_STEP_CALL, .request = &x->request};
}

struct sasl_step sasl_step_hash(struct sasl_exchange *x, const struct login_reply *reply)
{
    sasl_move(x, SASL_STATE_HASH);
    return (struct sasl_step){
        .kind = SASL_STEP_HASH,
        .password = vy_secret_bytes(x->password),
        .salt = reply->salt,
        .argon2_memory_kib = reply->argon2_memory_kib,
        .argon2_passes = reply->argon2_passes,
        .argon2_lanes = reply->argon2_lanes,
        .argon2_cache_key = reply->argon2_cache_key,
    };
}

struct vy_err sasl_set_name(struct sasl_exchange *x, struct vy_bytes name)
{
    x->is_doomed |= name.len == 0 || name.len > SASL_NAME_BYTES_MAX;
    return vy_arena_dup(&x->arena, vy_bytes_slice(name, 0, SASL_NAME_BYTES_MAX),
                        &x->context.typed_name);
}

struct vy_err sasl_set_authzid(struct sasl_exchange *x, struct vy_bytes authzid)
{
    x->is_doomed |= authzid.len > 0 && !vy_bytes_equal(authzid, x->context.typed_name);
    return vy_arena_dup(&x->arena, vy_bytes_slice(authzid, 0, SASL_NAME_BYTES_MAX),
                        &x->context.authzid);
}

/* ---- input ---- */

static struct sasl_step receive_line(struct sasl_exchange *x, struct vy_bytes line)
{
    struct vy_bytes message = {.data = NULL};
    if (line.len > SASL_LINE_BYTES_MAX) {
        return sasl_step_done(x, SASL_RESULT_SYNTAX);
    }
    if (vy_failed(vy_base64_decode(&x->arena, line, &message))) {
        return sasl_step_done(x, SASL_RESULT_SYNTAX);
    }
    const struct sasl_step step = x->mechanism->receive(x, message);
    sasl_wipe(message);
    return step;
}

struct sasl_step sasl_start(struct sasl_exchange *exchange, struct vy_bytes mechanism,
                            const struct vy_bytes *initial)
{
    VY_ASSERT(exchange->state == SASL_STATE_NEW);
    exchange->mechanism = find_mechanism(mechanism);
    if (exchange->mechanism == NULL) {
        return sasl_step_done(exchange, SASL_RESULT_NO_MECHANISM);
    }
    if (!may_sign_in(&exchange->peer)) {
        return sasl_step_done(exchange, SASL_RESULT_PRIVACY);
    }
    if (!is_offered(exchange->mechanism, &exchange->peer)) {
        return sasl_step_done(exchange, SASL_RESULT_NO_MECHANISM);
    }
    exchange->context.mechanism = exchange->mechanism->id;
    if (initial == NULL) {
        return sasl_step_challenge(exchange, vy_cstr(exchange->mechanism->first_question));
    }
    const bool is_empty = vy_bytes_equal(*initial, VY_LIT("="));
    return receive_line(exchange, is_empty ? vy_bytes(NULL, 0) : *initial);
}

struct sasl_step sasl_start_login(struct sasl_exchange *exchange, struct vy_bytes name,
                                  struct vy_bytes password)
{
    VY_ASSERT(exchange->state == SASL_STATE_NEW);
    exchange->mechanism = &sasl_login;
    exchange->context.mechanism = sasl_login.id;
    if (!may_sign_in(&exchange->peer)) {
        return sasl_step_done(exchange, SASL_RESULT_PRIVACY);
    }
    return sasl_password_check(exchange, vy_bytes(NULL, 0), name, password);
}

struct sasl_step sasl_feed(struct sasl_exchange *exchange, struct vy_bytes line)
{
    VY_ASSERT(exchange->state == SASL_STATE_LINE || exchange->state == SASL_STATE_LAST_LINE);
    if (vy_bytes_equal(line, VY_LIT("*"))) {
        return sasl_step_done(exchange, SASL_RESULT_CANCELLED);
    }
    if (exchange->state == SASL_STATE_LINE) {
        return receive_line(exchange, line);
    }
    return sasl_step_done(exchange, line.len == 0 ? SASL_RESULT_OK : SASL_RESULT_SYNTAX);
}

/* ---- meta's answers ---- */

static struct sasl_step accept(struct sasl_exchange *x, const struct login_reply *reply)
{
    x->done.account_id = reply->account_id;
    x->done.account_epoch = reply->account_epoch;
    x->done.session_token = reply->session_token;
    x->done.account_name = reply->account_name;
    x->done.expires_ms = reply->expires_ms;
    if (reply->server_message.len > 0) {
        return sasl_step_last_challenge(x, reply->server_message);
    }
    return sasl_step_done(x, SASL_RESULT_OK);
}

static struct sasl_step take_reply(struct sasl_exchange *x, const struct login_reply *reply)
{
    switch (reply->result) {
    case LOGIN_RESULT_OK:
        return x->is_doomed ? sasl_step_done(x, SASL_RESULT_REFUSED) : accept(x, reply);
    case LOGIN_RESULT_NEED_ARGON2:
    case LOGIN_RESULT_SCRAM_CONTINUE:
        return x->mechanism->resume(x, reply);
    case LOGIN_RESULT_REFUSED:
        return sasl_step_done(x, SASL_RESULT_REFUSED);
    case LOGIN_RESULT_DISABLED:
        x->done.text = x->is_doomed ? vy_bytes(NULL, 0) : reply->text;
        return sasl_step_done(x, x->is_doomed ? SASL_RESULT_REFUSED : SASL_RESULT_DISABLED);
    case LOGIN_RESULT_NEED_APP:
        return sasl_step_done(x, x->is_doomed ? SASL_RESULT_REFUSED : SASL_RESULT_NEED_APP);
    case LOGIN_RESULT_LIMITED:
        x->done.retry_after_ms = reply->retry_after_ms;
        return sasl_step_done(x, SASL_RESULT_LIMITED);
    case LOGIN_RESULT_NONE:
        break;
    }
    return sasl_step_done(x, SASL_RESULT_UNAVAILABLE);
}

struct sasl_step sasl_answered(struct sasl_exchange *exchange, struct vy_err err,
                               struct vy_bytes reply, uint32_t retry_after_ms)
{
    VY_ASSERT(exchange->state == SASL_STATE_CALL);
    struct login_reply message = {.result = LOGIN_RESULT_NONE};
    struct vy_bytes kept = {.data = NULL};
    exchange->done.retry_after_ms = retry_after_ms;
    if (err.code == VY_CODE_SYNTAX || err.code == VY_CODE_ARGUMENT) {
        return sasl_step_done(exchange, SASL_RESULT_SYNTAX); /* a SCRAM message of the client's */
    }
    if (vy_failed(err) || vy_failed(vy_arena_dup(&exchange->arena, reply, &kept)) ||
        vy_failed(vy_pb_decode(&login_reply_desc, &exchange->arena, kept, &message))) {
        return sasl_step_done(exchange, SASL_RESULT_UNAVAILABLE);
    }
    return take_reply(exchange, &message);
}

struct sasl_step sasl_hashed(struct sasl_exchange *exchange, struct vy_err err, struct vy_bytes tag)
{
    VY_ASSERT(exchange->state == SASL_STATE_HASH);
    if (vy_failed(err) ||
        vy_failed(vy_arena_dup(&exchange->arena, tag, &exchange->request.argon2_tag))) {
        return sasl_step_done(exchange, SASL_RESULT_UNAVAILABLE);
    }
    return sasl_step_call(exchange);
}
