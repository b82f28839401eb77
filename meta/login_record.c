/* SPDX-License-Identifier: Apache-2.0 */
/* The record is committed before the client hears the answer (P9); then the session token. */
#include "meta/login_service.h"

#include "proto/session_token.h"

/* ---- what is recorded ---- */

static struct vy_bytes cut(struct vy_bytes text)
{
    return vy_bytes_slice(text, 0, LOGIN_FIELD_BYTES_MAX);
}

/* Strings of the schema must be UTF-8; what a frontend quotes from a client may not be. */
static struct vy_bytes as_text(struct vy_bytes text)
{
    const struct vy_bytes short_text = cut(text);
    size_t at = 0;
    while (at < short_text.len && short_text.data[at] >= 0x20 && short_text.data[at] < 0x7f) {
        at++;
    }
    return vy_bytes_slice(short_text, 0, at);
}

static void add_field(struct vy_buf *buf, struct vy_bytes field)
{
    vy_buf_append_be32(buf, (uint32_t)field.len); /* lengths keep fields apart (LOGIN-4's trap) */
    vy_buf_append(buf, field);
}

/* Everything that the client says varies as it likes: not in what folds a flood. */
static void add_limited_fields(struct vy_buf *buf, const struct login_body *body)
{
    const struct guess_net net = guess_net_of(body->remote_ip);
    add_field(buf, vy_bytes(net.bytes, sizeof(net.bytes)));
}

static void add_fields(struct vy_buf *buf, const struct login_context *context,
                       const struct login_body *body)
{
    vy_buf_append_be32(buf, (uint32_t)context->mechanism);
    add_field(buf, body->typed_name);
    add_field(buf, body->authzid);
    add_field(buf, body->remote_ip);
    add_field(buf, body->local_ip);
    add_field(buf, body->tls);
    add_field(buf, body->user_agent);
}

/* LOGIN-1: what makes two attempts the same. */
static struct vy_err make_tuple(struct meta_call *call, enum login_verdict verdict,
                                const struct login_body *body)
{
    struct login *login = login_of(call);
    const struct login_context *context = login->request->context;
    struct vy_buf buf;
    uint8_t hash[32];
    vy_buf_init(&buf, 16U * 1024);
    vy_buf_append_be64(&buf, login->is_known ? login->account.id : META_NO_ACCOUNT);
    vy_buf_append_be32(&buf, (uint32_t)verdict);
    vy_buf_append_be32(&buf, (uint32_t)context->protocol);
    if (verdict == LOGIN_VERDICT_LIMITED) {
        add_limited_fields(&buf, body);
    } else {
        add_fields(&buf, context, body);
        vy_buf_append_be64(&buf, login->matched_id);
    }
    struct vy_err err = vy_buf_error(&buf);
    if (!vy_failed(err)) {
        cluster_key_mac(call->meta->config.key, "login-tuple", vy_buf_bytes(&buf), hash);
        err = vy_arena_dup(&call->arena, vy_bytes(hash, META_TUPLE_BYTES), &login->tuple);
    }
    vy_buf_deinit(&buf);
    return err;
}

/* APP-9: by name too, for when it is deleted. */
static struct vy_bytes used_label(const struct login *login)
{
    const bool is_app = login->matched != NULL && login->matched->kind == CREDENTIAL_KIND_APP;
    return is_app ? login->matched->label : vy_bytes(NULL, 0);
}

static struct login_body make_body(const struct login *login)
{
    const struct login_context *context = login->request->context;
    return (struct login_body){.account =
                                   login->is_known ? login->account.address : vy_bytes(NULL, 0),
                               .typed_name = login->typed_name,
                               .authzid = cut(login->authzid),
                               .remote_ip = as_text(context->remote_ip),
                               .local_ip = as_text(context->local_ip),
                               .tls = as_text(context->tls),
                               .user_agent = as_text(context->user_agent),
                               .trace_id = cut(context->trace_id),
                               .app_password = used_label(login),
                               .is_trusted = context->is_trusted};
}

static struct vy_err seal_body(struct meta_call *call, const struct login_body *body,
                               uint64_t account_id, struct vy_bytes *out)
{
    const struct meta_view view = meta_call_view(call);
    struct seal_key key;
    bool is_found = false;
    VY_TRY(seal_key_find(call->meta->config.key, &view, account_id, &key, &is_found));
    if (account_id != 0 && !is_found) {
        return vy_error(VY_CODE_CORRUPT, "account without a key");
    }
    const struct vy_err err =
        seal_message(&key, call->meta->config.rng, &call->arena, &login_body_desc, body, out);
    vy_wipe(&key, sizeof(key));
    return err;
}

/* ---- answers ---- */

static struct vy_err make_token(struct meta_call *call, struct login_reply *reply)
{
    struct meta *meta = call->meta;
    const struct login *login = login_of(call);
    uint8_t nonce[16];
    vy_rng_fill(meta->config.rng, nonce, sizeof(nonce));
    const uint64_t now_ms = meta_now_ms(meta);
    const uint64_t life_ms =
        meta->config.session_ms == 0 ? META_SESSION_MS : meta->config.session_ms;
    const struct session_claims claims = {.account_id = login->account.id,
                                          .account_epoch = login->account.epoch,
                                          .credential_id = login->matched_id,
                                          .issued_ms = now_ms,
                                          .expires_ms = now_ms + life_ms,
                                          .protocol = login->request->context->protocol,
                                          .nonce = vy_bytes(nonce, sizeof(nonce))};
    struct vy_buf buf;
    vy_buf_init(&buf, SESSION_TOKEN_BYTES_MAX);
    struct vy_err err = session_token_seal(meta->config.key, &claims, &buf);
    if (!vy_failed(err)) {
        err = vy_arena_dup(&call->arena, vy_buf_bytes(&buf), &reply->session_token);
    }
    vy_buf_deinit(&buf);
    reply->expires_ms = claims.expires_ms;
    return err;
}

static void reply_ok(struct meta_call *call)
{
    const struct login *login = login_of(call);
    struct login_reply reply = {.result = LOGIN_RESULT_OK,
                                .server_message = login->server_message,
                                .account_id = login->account.id,
                                .account_epoch = login->account.epoch,
                                .account_name = login->account.address};
    const struct vy_err err = make_token(call, &reply);
    if (vy_failed(err)) {
        meta_call_fail(call, err);
        return;
    }
    call->meta->stats.logins_ok++;
    login_forgive_budget(call);
    meta_call_reply(call, &reply);
}

static void reply_verdict(struct meta_call *call)
{
    const struct login *login = login_of(call);
    struct login_reply reply = {.result = LOGIN_RESULT_REFUSED};
    meta_metrics_count_auth(&call->meta->metrics, login->request->context->mechanism,
                            login->verdict);
    if (login->verdict == LOGIN_VERDICT_OK) {
        reply_ok(call);
        return;
    }
    if (login->verdict == LOGIN_VERDICT_DISABLED) {
        reply.result = LOGIN_RESULT_DISABLED;
        reply.text = login->account.disabled_text;
    }
    if (login->verdict == LOGIN_VERDICT_NEEDAPP && call->meta->config.tells_need_app) {
        reply.result = LOGIN_RESULT_NEED_APP;
    }
    if (login->verdict == LOGIN_VERDICT_LIMITED) {
        reply.result = LOGIN_RESULT_LIMITED;
        reply.retry_after_ms = login->retry_after_ms;
    }
    call->meta->stats.logins_refused++;
    meta_call_reply(call, &reply);
}

/* ---- committing ---- */

static void login_on_committed(struct meta_call *call)
{
    struct login *login = login_of(call);
    switch (call->result.outcome) {
    case META_OUTCOME_OK:
        login_folds_committed(&call->meta->folds,
                              login->is_known ? login->account.id : META_NO_ACCOUNT, login->tuple);
        reply_verdict(call);
        return;
    case META_OUTCOME_STALE: /* disabled, deleted or a new password meanwhile */
        if (++call->stale_tries > CALL_STALE_TRIES_MAX) {
            meta_call_fail(call, vy_error(VY_CODE_CONFLICT, "account changes too often"));
            return;
        }
        login_decide(call);
        return;
    case META_OUTCOME_EXISTS: /* the nonce was used: a replay (P18) */
        login_finish(call, LOGIN_VERDICT_BADPROTOCOL);
        return;
    case META_OUTCOME_NONE:
    case META_OUTCOME_NOT_FOUND:
    case META_OUTCOME_ARGUMENT:
    case META_OUTCOME_LIMIT:
    case META_OUTCOME_PRECONDITION:
    case META_OUTCOME_CONFLICT:
        meta_call_fail(call, vy_error(VY_CODE_INTERNAL, "outcome of a login"));
        return;
    }
}

static bool is_foldable(enum login_verdict verdict)
{
    return verdict != LOGIN_VERDICT_OK && verdict != LOGIN_VERDICT_DISABLED;
}

static void commit(struct meta_call *call, const struct login_body *body)
{
    struct meta *meta = call->meta;
    struct login *login = login_of(call);
    uint8_t net[META_NET_BYTES];
    struct cmd_login command = {.account_id = login->is_known ? login->account.id : META_NO_ACCOUNT,
                                .account_epoch = login->is_known ? login->account.epoch : 0,
                                .credential_id = login->matched_id,
                                .verdict = login->verdict,
                                .protocol = (uint32_t)login->request->context->protocol,
                                .mechanism = (uint32_t)login->request->context->mechanism,
                                .tuple_hash = login->tuple,
                                .once = login->verdict == LOGIN_VERDICT_OK ? login->once
                                                                           : vy_bytes(NULL, 0),
                                .once_ms = LOGIN_CHALLENGE_MS,
                                .net = vy_bytes(net, sizeof(net)),
                                .attempt = call->attempt};
    login_net_hash(meta, command.account_id, login->request->context->remote_ip, net);
    const struct vy_err err = seal_body(call, body, command.account_id, &command.sealed);
    if (vy_failed(err)) {
        meta_call_fail(call, err);
        return;
    }
    if (is_foldable(login->verdict)) {
        login_folds_begin(&meta->folds, &command, vy_clock_mono_ms(meta->config.clock));
    }
    const struct meta_command whole = {.version = META_COMMAND_VERSION, .login = &command};
    meta_call_propose(call, &whole, /* reserve = */ true, login_on_committed);
}

void login_finish(struct meta_call *call, enum login_verdict verdict)
{
    struct login *login = login_of(call);
    login->verdict = verdict;
    login_charge_budget(call, verdict);
    const struct login_body body = make_body(login);
    const struct vy_err err = make_tuple(call, verdict, &body);
    if (vy_failed(err)) {
        meta_call_fail(call, err);
        return;
    }
    const uint64_t account_id = login->is_known ? login->account.id : META_NO_ACCOUNT;
    if (is_foldable(verdict) && login_folds_add(&call->meta->folds, account_id, login->tuple)) {
        call->meta->stats.logins_folded++;
        reply_verdict(call);
        return;
    }
    commit(call, &body);
}
