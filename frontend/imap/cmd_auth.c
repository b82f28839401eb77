/* SPDX-License-Identifier: Apache-2.0 */
/*
 * STARTTLS, LOGIN and AUTHENTICATE (RFC 3501 section 6.2, RFC 4959). The SASL exchange says what is
 * to be done next; this file carries it to the client, to meta and to the hash pool, and makes its
 * end a tagged line.
 */
#include "base/assert.h"
#include "frontend/auth/sasl.h"
#include "frontend/imap/commands.h"

#define LOGIN_FREE_FAILURES 1U /* are answered without delay: anyone mistypes once */
#define LOGIN_FAILURES_MAX 6U  /* then BYE; the budgets over connections are meta's */

struct auth_args {
    struct vy_bytes mechanism;
    struct vy_bytes initial;
    bool has_initial;
    struct vy_bytes name;
    struct vy_bytes password;
};

static void take_step(struct imap_session *s, const struct sasl_step *step);

/* ---- STARTTLS ---- */

static void starttls_start(struct imap_session *s)
{
    if (s->is_tls || !s->peer.can_start_tls) {
        imap_end_bad(s, s->is_tls ? "TLS is active already" : "TLS is not available");
        return;
    }
    /* I7: whatever came behind STARTTLS in plaintext was injected, or the client is broken. */
    if (vy_buf_len(&s->input) > 0) {
        vy_buf_reset(&s->input);
        imap_end_bad(s, "Nothing may follow STARTTLS before the handshake");
        s->run.closes = true;
        return;
    }
    imap_end_ok(s, NULL, "Begin TLS negotiation now");
    s->is_starting_tls = imap_run_complete(s) && imap_action_new(s, SESSION_START_TLS, 0) != NULL;
}

/* ---- the exchange ---- */

static void drop_exchange(struct imap_session *s)
{
    sasl_free(s->sasl);
    s->sasl = NULL;
    s->run.on_answer = NULL;
}

static bool open_exchange(struct imap_session *s)
{
    const struct sasl_peer peer = {
        .protocol = LOGIN_PROTOCOL_IMAP,
        .remote_ip = s->peer.remote_ip,
        .local_ip = s->peer.local_ip,
        .trace_id = {s->peer.trace_id[0], s->peer.trace_id[1]},
        .is_secured = s->is_tls,
        .is_trusted = s->peer.is_trusted,
        .tls = s->peer.tls,
    };
    const struct vy_err err = sasl_new(&peer, &s->sasl);
    if (vy_failed(err)) {
        imap_end_error(s, err);
        return false;
    }
    return true;
}

static void auth_on_line(struct imap_session *s, struct vy_bytes line)
{
    s->run.on_line = NULL;
    const struct sasl_step step = sasl_feed(s->sasl, line);
    take_step(s, &step);
}

static void auth_on_answer(struct imap_session *s, struct vy_err err, struct vy_bytes reply,
                           uint32_t retry_after_ms)
{
    const struct sasl_step step = sasl_answered(s->sasl, err, reply, retry_after_ms);
    take_step(s, &step);
}

void imap_auth_hashed(struct imap_session *s, struct vy_err err, struct vy_bytes tag)
{
    const struct sasl_step step = sasl_hashed(s->sasl, err, tag);
    take_step(s, &step);
}

static void start_hash(struct imap_session *s, const struct sasl_step *step)
{
    struct imap_action *const item = imap_action_new(s, SESSION_HASH, 0);
    if (item == NULL) {
        return;
    }
    item->action.call_id = ++s->next_call_id;
    item->action.password = step->password;
    item->action.salt = step->salt;
    item->action.argon2_memory_kib = step->argon2_memory_kib;
    item->action.argon2_passes = step->argon2_passes;
    item->action.argon2_lanes = step->argon2_lanes;
    item->action.argon2_cache_key = step->argon2_cache_key;
    s->run.call_id = item->action.call_id;
}

/* ---- its end ---- */

static bool keep_account(struct imap_session *s, const struct sasl_done *done)
{
    struct imap_account *const account = &s->account;
    account->id = done->account_id;
    account->epoch = done->account_epoch;
    s->base.account_id = done->account_id;
    s->base.account_epoch = done->account_epoch;
    vy_buf_append(&account->token, done->session_token);
    vy_buf_append(&account->name, done->account_name);
    account->actor = (struct shard_actor){
        .account_id = account->id,
        .session_token = vy_buf_bytes(&account->token),
        .account_epoch = account->epoch,
    };
    return !account->token.failed && !account->name.failed;
}

static void end_logged_in(struct imap_session *s, const struct sasl_done *done)
{
    if (!keep_account(s, done)) {
        imap_end_no(s, "UNAVAILABLE", "Out of memory");
        s->run.closes = true;
        return;
    }
    imap_session_move(s, IMAP_STATE_AUTHENTICATED);
    s->active_ms = s->base.now_ms;
    struct vy_buf line;
    vy_buf_init(&line, 4096);
    vy_buf_append_cstr(&line, "OK [CAPABILITY ");
    imap_write_capabilities(s, &line);
    vy_buf_append_cstr(&line, "] Logged in");
    struct vy_bytes kept = VY_LIT("OK Logged in");
    vy_ignore(vy_arena_dup(&s->cmd_arena, vy_buf_bytes(&line), &kept), "the short form will do");
    vy_buf_deinit(&line);
    imap_end_line(s, kept);
}

static bool is_failed_guess(enum sasl_result result)
{
    return result == SASL_RESULT_REFUSED || result == SASL_RESULT_DISABLED ||
           result == SASL_RESULT_NEED_APP || result == SASL_RESULT_LIMITED;
}

/* Of all connections as meta counts them, and of this one. */
static uint64_t answer_delay_ms(const struct imap_session *s, const struct sasl_done *done)
{
    const uint64_t limit_ms = done->result == SASL_RESULT_LIMITED ? done->retry_after_ms : 0;
    if (!is_failed_guess(done->result) || s->login_failures <= LOGIN_FREE_FAILURES ||
        s->login_failures >= LOGIN_FAILURES_MAX || s->peer.is_trusted) {
        return limit_ms;
    }
    return VY_MAX(limit_ms,
                  (uint64_t)s->limits->auth_delay_ms * (s->login_failures - LOGIN_FREE_FAILURES));
}

static void end_refused(struct imap_session *s, const struct sasl_done *done)
{
    const char *text = sasl_result_text(done->result);
    if (done->text.len > 0) {
        struct vy_buf clean;
        vy_buf_init(&clean, 1024);
        imap_write_text(&clean, done->text);
        const char *const kept = vy_arena_cstr(&s->cmd_arena, vy_buf_bytes(&clean));
        text = kept == NULL ? text : kept;
        vy_buf_deinit(&clean);
    }
    if (sasl_result_is_bad(done->result)) {
        imap_end_bad(s, text);
    } else {
        imap_end_no(s, sasl_result_imap_code(done->result), text);
    }
    s->login_failures++;
    const uint64_t delay_ms = answer_delay_ms(s, done);
    if (delay_ms > 0 && s->base.is_tarpit_full) {
        vy_buf_append_cstr(&s->out, "* BYE [LIMIT] Too many refused logins at once\r\n");
        s->run.closes = true;
    } else if (delay_ms > 0) {
        s->run.hold_ms = s->base.now_ms + delay_ms;
        s->base.is_held = true;
    }
    if (s->login_failures >= LOGIN_FAILURES_MAX && !s->run.closes) {
        vy_buf_append_cstr(&s->out, "* BYE Too many failed logins\r\n");
        s->run.closes = true;
    }
}

static void end_exchange(struct imap_session *s, const struct sasl_done *done)
{
    const bool is_ok = done->result == SASL_RESULT_OK;
    const struct vy_log_field fields[] = {
        VY_STR("u.typed", done->typed_name),
        VY_CSTR("auth.mechanism", done->mechanism),
        VY_CSTR("auth.result", sasl_result_name(done->result)),
        VY_U64("u.id", is_ok ? done->account_id : 0),
    };
    imap_log(s, VY_LOG_INFO, is_ok ? "imap.login.ok" : "imap.login.refused", fields,
             VY_COUNT_OF(fields));
    if (is_ok) {
        end_logged_in(s, done);
    } else {
        end_refused(s, done);
    }
    drop_exchange(s);
}

static void take_step(struct imap_session *s, const struct sasl_step *step)
{
    switch (step->kind) {
    case SASL_STEP_CHALLENGE:
        vy_buf_append_cstr(&s->out, "+ ");
        vy_buf_append(&s->out, step->challenge);
        vy_buf_append_cstr(&s->out, "\r\n");
        s->run.on_line = auth_on_line;
        return;
    case SASL_STEP_CALL:
        s->run.on_answer = auth_on_answer;
        imap_call(s, METHOD_META_LOGIN, step->request, true);
        return;
    case SASL_STEP_HASH:
        start_hash(s, step);
        return;
    case SASL_STEP_DONE:
        end_exchange(s, &step->done);
        return;
    }
}

/* ---- LOGIN and AUTHENTICATE ---- */

static struct vy_err login_parse(struct imap_session *s, struct imap_parser *p)
{
    struct auth_args *const args = VY_ARENA_NEW(p->arena, struct auth_args);
    if (args == NULL) {
        return vy_error(VY_CODE_LIMIT, "command is too large");
    }
    s->run.args = args;
    VY_TRY(imap_parse_space(p));
    VY_TRY(imap_parse_astring(p, &args->name));
    VY_TRY(imap_parse_space(p));
    return imap_parse_astring(p, &args->password);
}

static void login_start(struct imap_session *s)
{
    const struct auth_args *const args = s->run.args;
    if (open_exchange(s)) {
        const struct sasl_step step = sasl_start_login(s->sasl, args->name, args->password);
        take_step(s, &step);
    }
}

static bool is_word_char(uint8_t c)
{
    return c > ' ' && c < 0x7f;
}

static struct vy_err authenticate_parse(struct imap_session *s, struct imap_parser *p)
{
    struct auth_args *const args = VY_ARENA_NEW(p->arena, struct auth_args);
    if (args == NULL) {
        return vy_error(VY_CODE_LIMIT, "command is too large");
    }
    s->run.args = args;
    VY_TRY(imap_parse_space(p));
    VY_TRY(imap_parse_atom(p, &args->mechanism));
    if (!imap_parse_try(p, ' ')) {
        return vy_ok();
    }
    const size_t from = p->at;
    while (is_word_char(imap_parser_peek(p))) {
        p->at++;
    }
    args->initial = vy_bytes_slice(p->in, from, p->at - from);
    args->has_initial = true;
    return args->initial.len > 0 ? vy_ok()
                                 : vy_error(VY_CODE_SYNTAX, "initial response is missing");
}

static void authenticate_start(struct imap_session *s)
{
    const struct auth_args *const args = s->run.args;
    if (open_exchange(s)) {
        const struct sasl_step step =
            sasl_start(s->sasl, args->mechanism, args->has_initial ? &args->initial : NULL);
        take_step(s, &step);
    }
}

/* clang-format off */
static const struct imap_command auth_rows[] = {
    /* name           legal in                  traits        parse               start               resume */
    { "STARTTLS",     IMAP_IN(UNAUTHENTICATED), IMAP_NO_SYNC, NULL,               starttls_start,     NULL },
    { "LOGIN",        IMAP_IN(UNAUTHENTICATED), IMAP_NO_SYNC, login_parse,        login_start,        NULL },
    { "AUTHENTICATE", IMAP_IN(UNAUTHENTICATED), IMAP_NO_SYNC, authenticate_parse, authenticate_start, NULL },
};
/* clang-format on */
const struct imap_extension imap_auth_commands = {IMAP_COMMANDS(auth_rows)};
