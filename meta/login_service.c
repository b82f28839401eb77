/* SPDX-License-Identifier: Apache-2.0 */
#include "meta/login_service.h"

#include "base/net.h"
#include "meta/names.h"
#include <openssl/sha.h>

/* ---- who ---- */

static struct vy_err find_known(struct meta_call *call, struct login *login)
{
    const struct meta_view view = meta_call_view(call);
    bool is_found = false;
    VY_TRY(account_find(&view, login->name, &login->account, &is_found));
    if (!is_found || login->account.state >= ACCOUNT_STATE_ERASING) {
        return vy_ok(); /* erasing is unknown (AUTH table) */
    }
    login->is_known = true;
    if (login->account.main_credential_id == 0 || login->label.len > 0) {
        return vy_ok();
    }
    return credential_get(&view, login->account.id, login->account.main_credential_id, &login->main,
                          &is_found);
}

/* "ada@d.test%phone". No domain has a '%', so an address is never taken for this. */
static struct vy_bytes cut_label(struct vy_bytes *name)
{
    const size_t at = vy_bytes_find_byte(*name, '@', 0);
    const size_t percent = at == SIZE_MAX ? SIZE_MAX : vy_bytes_find_byte(*name, '%', at);
    if (percent == SIZE_MAX) {
        return vy_bytes(NULL, 0);
    }
    const struct vy_bytes label = vy_bytes_from(*name, percent + 1);
    *name = label.len > 0 ? vy_bytes_slice(*name, 0, percent) : *name;
    return label;
}

static struct vy_err find_name(struct meta_call *call, struct vy_bytes typed_name)
{
    struct login *login = login_of(call);
    struct vy_bytes bare = typed_name;
    login->label = vy_bytes(NULL, 0);
    if (typed_name.len > LOGIN_NAME_BYTES_MAX) {
        return vy_error(VY_CODE_ARGUMENT, "name");
    }
    const struct vy_err err = names_canonical_address(&call->arena, typed_name, &login->name);
    if (err.code != VY_CODE_ARGUMENT) {
        return err;
    }
    login->label = cut_label(&bare);
    return login->label.len == 0 ? err : names_canonical_address(&call->arena, bare, &login->name);
}

bool login_means(const struct login *login, const struct new_credential *secret)
{
    return login->label.len == 0 || vy_bytes_equal_nocase(login->label, secret->label);
}

struct vy_err login_find_account(struct meta_call *call, struct vy_bytes typed_name)
{
    struct login *login = login_of(call);
    login->typed_name = vy_bytes_slice(typed_name, 0, LOGIN_NAME_BYTES_MAX);
    login->is_known = false;
    login->matched = NULL; /* it may be decided anew */
    login->matched_id = 0;
    login->main = (struct credential_row){.id = 0};
    const struct vy_err err = find_name(call, typed_name);
    if (err.code == VY_CODE_ARGUMENT) {
        login->name = vy_bytes(NULL, 0); /* cannot be parsed: unknown like others */
        return vy_ok();
    }
    VY_TRY(err);
    return find_known(call, login);
}

struct vy_bytes login_name_for_hash(const struct login *login)
{
    return login->name.len > 0 ? login->name : login->typed_name;
}

void login_fake_bytes(const struct meta *meta, const char *purpose, const struct login *login,
                      uint8_t out[32])
{
    cluster_key_mac(meta->config.key, purpose, login_name_for_hash(login), out);
}

void login_name_hash(const struct login *login, uint8_t out[32])
{
    const struct vy_bytes name = login_name_for_hash(login);
    SHA256(name.data, name.len, out);
}

/* ---- challenges ---- */

struct vy_err login_seal_challenge(struct meta_call *call, const struct challenge_body *body,
                                   struct vy_bytes *out)
{
    struct meta *meta = call->meta;
    return seal_message(&meta->challenge_key, meta->config.rng, &call->arena, &challenge_body_desc,
                        body, out);
}

bool login_open_challenge(struct meta_call *call, struct challenge_body *out)
{
    const struct login *login = login_of(call);
    const struct vy_err err =
        seal_open_message(&call->meta->challenge_key, &call->arena, login->request->challenge,
                          &challenge_body_desc, out);
    return !vy_failed(err) && meta_now_ms(call->meta) <= out->expires_ms &&
           out->mechanism == (uint32_t)login->request->context->mechanism;
}

/* ---- passwords ---- */

static bool is_mail_protocol(uint32_t protocol)
{
    return protocol != LOGIN_PROTOCOL_ADMIN && protocol != LOGIN_PROTOCOL_HTTP;
}

/* An address that cannot be read is outside of every network. */
static bool is_inside_networks(const struct new_credential *used, struct vy_bytes remote_ip)
{
    struct vy_net client;
    struct vy_net network;
    if (used->networks_count == 0) {
        return true;
    }
    if (vy_failed(vy_net_parse(remote_ip, &client))) {
        return false;
    }
    for (size_t i = 0; i < used->networks_count; i++) {
        if (!vy_failed(vy_net_parse(used->networks[i], &network)) &&
            vy_net_covers(&network, &client)) {
            return true;
        }
    }
    return false;
}

static enum login_verdict check_app_password(const struct meta_call *call,
                                             const struct login *login)
{
    const struct new_credential *used = login->matched;
    const uint32_t protocol = (uint32_t)login->request->context->protocol;
    if (used->expires_ms != 0 && meta_now_ms(call->meta) > used->expires_ms) {
        return LOGIN_VERDICT_EXPIRED;
    }
    const bool is_covered =
        used->protocols == 0 || (protocol < 32 && (used->protocols >> protocol & 1U) != 0);
    if (!is_covered || !is_mail_protocol(protocol)) { /* APP-4 */
        return LOGIN_VERDICT_NOPROTO;
    }
    return is_inside_networks(used, login->request->context->remote_ip) ? LOGIN_VERDICT_OK
                                                                        : LOGIN_VERDICT_BADNETWORK;
}

/* APP-3: behind a second factor the main password is for who can be asked for the code. */
static bool needs_app_password(const struct login *login)
{
    const struct meta_account_row *account = &login->account;
    return (account->factor_count > 0 || account->app_passwords_only) &&
           is_mail_protocol((uint32_t)login->request->context->protocol);
}

enum login_verdict login_check_use(const struct meta_call *call, const struct login *login)
{
    enum login_verdict verdict = LOGIN_VERDICT_OK;
    if (login->matched->kind == CREDENTIAL_KIND_APP) {
        verdict = check_app_password(call, login);
    } else if (needs_app_password(login)) {
        verdict = LOGIN_VERDICT_NEEDAPP;
    }
    if (verdict != LOGIN_VERDICT_OK) {
        return verdict; /* before the state: what does not open the account tells nothing of it */
    }
    return login->account.state == ACCOUNT_STATE_ACTIVE ? LOGIN_VERDICT_OK : LOGIN_VERDICT_DISABLED;
}

static bool matches(const struct new_credential *secret, const uint8_t mac[32])
{
    return vy_bytes_equal_secret(secret->mac, vy_bytes(mac, 32));
}

/* Compares with something in any case, so that a name without credential costs the same. */
static bool match_main(struct login *login, enum credential_kind kind, const uint8_t mac[32])
{
    static const uint8_t nothing[32] = {0};
    const struct new_credential dummy = {.mac = vy_bytes(nothing, sizeof(nothing))};
    const struct new_credential *secret = login->main.secret;
    const bool is_usable = secret != NULL && secret->kind == kind;
    const bool is_equal = matches(is_usable ? secret : &dummy, mac);
    if (is_usable && is_equal) {
        login->matched = secret;
        login->matched_id = login->main.id;
    }
    return is_usable && is_equal;
}

static struct vy_err match_app_passwords(struct meta_call *call, const uint8_t mac[32])
{
    struct login *login = login_of(call);
    const struct meta_view view = meta_call_view(call);
    const struct credential_row *rows = NULL;
    size_t count = 0;
    if (!login->is_known || login->account.app_password_count == 0) {
        return vy_ok();
    }
    VY_TRY(credential_list(&view, login->account.id, &rows, &count));
    for (size_t i = 0; i < count; i++) {
        const struct new_credential *secret = rows[i].secret;
        if (secret != NULL && secret->kind == CREDENTIAL_KIND_APP && login_means(login, secret) &&
            matches(secret, mac)) {
            login->matched = secret;
            login->matched_id = rows[i].id;
        }
    }
    return vy_ok();
}

/*
 * What a frontend may remember a tag by: another account, epoch or credential is another key. A
 * password that is right and refused all the same (APP-3) must not be found there: it would be told
 * faster than a wrong one.
 */
static void argon2_cache_key(const struct meta_call *call, const struct login *login,
                             uint8_t out[32])
{
    uint8_t text[3 * 8 + 1];
    if (!login->is_known) {
        login_fake_bytes(call->meta, "fake-argon2-cache", login, out);
        return;
    }
    vy_put_be64(text, login->account.id);
    vy_put_be64(text + 8, login->account.epoch);
    vy_put_be64(text + 16, login->account.main_credential_id);
    text[24] = needs_app_password(login) ? 1 : 0;
    cluster_key_mac(call->meta->config.key, "argon2-cache", vy_bytes(text, sizeof(text)), out);
}

/*
 * Asked of everybody who is not let in by the first call, so that all who are refused wait for the
 * same work: names without an account, accounts with a generated password only, and those whose
 * password is right but not for this (A1, AUTH-1).
 */
static struct vy_err ask_for_argon2(struct meta_call *call, enum login_verdict verdict)
{
    const struct login *login = login_of(call);
    uint8_t fake[32];
    uint8_t name_hash[32];
    uint8_t cache_key[32];
    login_fake_bytes(call->meta, "fake-argon2-salt", login, fake);
    login_name_hash(login, name_hash);
    argon2_cache_key(call, login, cache_key);
    const bool is_real = verdict == LOGIN_VERDICT_NONE && login->main.secret != NULL &&
                         login->main.secret->kind == CREDENTIAL_KIND_CHOSEN;
    const uint64_t credential_id = is_real ? login->main.id : login->matched_id;
    const struct vy_bytes salt =
        is_real ? login->main.secret->argon2_salt : vy_bytes(fake, PASSWORD_SALT_BYTES);
    const struct challenge_body body = {.expires_ms = meta_now_ms(call->meta) + LOGIN_CHALLENGE_MS,
                                        .name_hash = vy_bytes(name_hash, sizeof(name_hash)),
                                        .salt = salt,
                                        .mechanism = (uint32_t)login->request->context->mechanism,
                                        .credential_id = credential_id,
                                        .verdict = (uint32_t)verdict};
    struct login_reply reply = {.result = LOGIN_RESULT_NEED_ARGON2,
                                .salt = salt,
                                .argon2_memory_kib = PASSWORD_ARGON2_MEMORY_KIB,
                                .argon2_passes = PASSWORD_ARGON2_PASSES,
                                .argon2_lanes = PASSWORD_ARGON2_LANES,
                                .argon2_cache_key = vy_bytes(cache_key, sizeof(cache_key))};
    if (is_real) {
        reply.argon2_memory_kib = login->main.secret->argon2_memory_kib;
        reply.argon2_passes = login->main.secret->argon2_passes;
        reply.argon2_lanes = login->main.secret->argon2_lanes;
    }
    VY_TRY(login_seal_challenge(call, &body, &reply.challenge));
    meta_call_reply(call, &reply);
    return vy_ok();
}

static enum login_verdict verdict_of_match(const struct meta_call *call, const struct login *login)
{
    if (login->matched != NULL) {
        return login_check_use(call, login);
    }
    return login->is_known ? LOGIN_VERDICT_BADPASSWORD : LOGIN_VERDICT_BADUSER;
}

/* First call: SHA-256 of the password. */
static struct vy_err decide_by_hash(struct meta_call *call)
{
    struct login *login = login_of(call);
    uint8_t mac[32];
    password_mac_hash(call->meta->config.key, login->request->password_hash, mac);
    if (!match_main(login, CREDENTIAL_KIND_GENERATED, mac)) {
        VY_TRY(match_app_passwords(call, mac));
    }
    if (login->matched == NULL) {
        return ask_for_argon2(call, LOGIN_VERDICT_NONE);
    }
    const enum login_verdict verdict = login_check_use(call, login);
    if (verdict != LOGIN_VERDICT_OK && verdict != LOGIN_VERDICT_DISABLED) {
        return ask_for_argon2(call, verdict);
    }
    login_finish(call, verdict);
    return vy_ok();
}

/* The first call had the verdict already; which credential it was is for the record (APP-9). */
static struct vy_err finish_as_decided(struct meta_call *call, const struct challenge_body *body)
{
    struct login *login = login_of(call);
    const struct meta_view view = meta_call_view(call);
    struct credential_row row = {.id = 0};
    bool is_found = false;
    if (login->is_known) {
        VY_TRY(credential_get(&view, login->account.id, body->credential_id, &row, &is_found));
    }
    login->matched = row.secret;
    login->matched_id = body->credential_id;
    login_finish(call, (enum login_verdict)body->verdict);
    return vy_ok();
}

/* Second call: the Argon2id tag for the salt we gave. */
static struct vy_err decide_by_tag(struct meta_call *call)
{
    struct login *login = login_of(call);
    struct challenge_body body;
    uint8_t name_hash[32];
    uint8_t mac[32];
    login_name_hash(login, name_hash);
    if (!login_open_challenge(call, &body) ||
        !vy_bytes_equal(body.name_hash, vy_bytes(name_hash, sizeof(name_hash)))) {
        login_finish(call, LOGIN_VERDICT_BADPROTOCOL);
        return vy_ok();
    }
    password_mac_argon2(call->meta->config.key, login->request->argon2_tag, mac);
    const bool is_right = match_main(login, CREDENTIAL_KIND_CHOSEN, mac);
    if (body.verdict != LOGIN_VERDICT_NONE) { /* decided by the first call */
        return finish_as_decided(call, &body);
    }
    if (is_right && login->main.id != body.credential_id) {
        login->matched = NULL; /* the password was set anew in between */
        login->matched_id = 0;
    }
    login_finish(call, verdict_of_match(call, login));
    return vy_ok();
}

/* AUTH-3: acting for somebody else needs a grant, and there are none. */
static struct vy_err is_foreign_authzid(struct meta_call *call, bool *out)
{
    const struct login *login = login_of(call);
    struct vy_bytes canonical = {.len = 0};
    *out = false;
    if (login->authzid.len == 0 || vy_bytes_equal(login->authzid, login->typed_name)) {
        return vy_ok();
    }
    const struct vy_err err =
        login->authzid.len > LOGIN_NAME_BYTES_MAX
            ? vy_error(VY_CODE_ARGUMENT, "authorization identity")
            : names_canonical_address(&call->arena, login->authzid, &canonical);
    *out = err.code == VY_CODE_ARGUMENT || !vy_bytes_equal(canonical, login->name);
    return err.code == VY_CODE_ARGUMENT ? vy_ok() : err;
}

static struct vy_err decide_password(struct meta_call *call)
{
    struct login *login = login_of(call);
    bool is_foreign = false;
    bool is_limited = false;
    VY_TRY(login_find_account(call, login->request->context->typed_name));
    VY_TRY(is_foreign_authzid(call, &is_foreign));
    VY_TRY(login_check_budget(call, &is_limited));
    if (is_limited) {
        login_finish(call, LOGIN_VERDICT_LIMITED);
        return vy_ok();
    }
    if (is_foreign) {
        login_finish(call, LOGIN_VERDICT_BADAUTHZID);
        return vy_ok();
    }
    if (login->request->argon2_tag.len > 0) {
        return decide_by_tag(call);
    }
    return decide_by_hash(call);
}

void login_decide(struct meta_call *call)
{
    const struct login *login = login_of(call);
    if (login->request->scram_client_final.len > 0) {
        login_scram_finish(call);
        return;
    }
    if (login->request->scram_client_first.len > 0) {
        login_scram_start(call);
        return;
    }
    const struct vy_err err = decide_password(call);
    if (vy_failed(err)) { /* nothing was answered: a table could not be read */
        meta_call_fail(call, err);
    }
}

static bool is_well_formed(const struct login_request *request)
{
    const struct login_context *context = request->context;
    if (context == NULL || context->mechanism == LOGIN_MECHANISM_NONE ||
        context->protocol == LOGIN_PROTOCOL_NONE) {
        return false;
    }
    const bool is_scram = context->mechanism == LOGIN_MECHANISM_SCRAM_SHA_256 ||
                          context->mechanism == LOGIN_MECHANISM_SCRAM_SHA_256_PLUS;
    const size_t scram_bytes = request->scram_client_first.len + request->scram_client_final.len;
    return is_scram ? scram_bytes > 0
                    : scram_bytes == 0 && (request->password_hash.len == 32 ||
                                           request->argon2_tag.len == PASSWORD_TAG_BYTES);
}

void login_call_start(struct meta_call *call)
{
    const struct login_request *request = call->message;
    if (meta_call_needs_leader(call)) {
        return;
    }
    struct login *login = VY_ARENA_NEW(&call->arena, struct login);
    if (login == NULL || !is_well_formed(request)) {
        meta_call_fail(call, vy_error(VY_CODE_ARGUMENT, "login request"));
        return;
    }
    login->request = request;
    login->authzid = request->context->authzid;
    login->is_exempt = request->context->is_trusted;
    call->state = login;
    login_decide(call);
}
