/* SPDX-License-Identifier: Apache-2.0 */
/* AUTH (RFC 4954): carries the steps of the exchange (frontend/auth/sasl.h). */
#include "frontend/smtp/smtp_private.h"

#define AUTH_FREE_FAILURES 1U /* are answered without delay: anyone mistypes once */

void smtp_auth_peer(const struct smtp_session *s, struct sasl_peer *out)
{
    *out = (struct sasl_peer){
        .protocol = LOGIN_PROTOCOL_SUBMISSION,
        .remote_ip = s->peer.remote_ip,
        .local_ip = s->peer.local_ip,
        .user_agent = smtp_helo(s),
        .trace_id = {s->peer.trace_id[0], s->peer.trace_id[1]},
        .is_secured = s->is_secured,
        .is_trusted = s->peer.is_trusted,
        .tls = s->tls,
    };
}

static void sign_in(struct smtp_session *s, const struct sasl_done *done)
{
    s->is_signed_in = true;
    s->account_id = done->account_id;
    s->base.account_id = done->account_id;
    s->base.account_epoch = done->account_epoch;
    s->auth_failures = 0;
    vy_buf_reset(&s->account_name);
    vy_buf_append(&s->account_name, done->account_name);
    vy_buf_reset(&s->session_token);
    vy_buf_append(&s->session_token, done->session_token);
    s->actor = (struct shard_actor){.account_id = done->account_id,
                                    .account_epoch = done->account_epoch,
                                    .session_token = vy_buf_bytes(&s->session_token)};
    smtp_log(s, VY_LOG_INFO, "smtp.auth.ok", VY_HEX("u.id", done->account_id),
             VY_STR("u.typed", done->typed_name), VY_CSTR("auth.mechanism", done->mechanism));
}

static bool is_failed_guess(enum sasl_result result)
{
    return result == SASL_RESULT_REFUSED || result == SASL_RESULT_DISABLED ||
           result == SASL_RESULT_NEED_APP || result == SASL_RESULT_LIMITED;
}

static uint64_t count_failure(struct smtp_session *s, const struct sasl_done *done)
{
    smtp_log(s, VY_LOG_INFO, "smtp.auth.refused", VY_STR("u.typed", done->typed_name),
             VY_CSTR("auth.mechanism", done->mechanism),
             VY_CSTR("auth.result", sasl_result_name(done->result)));
    s->auth_failures += is_failed_guess(done->result);
    s->junk_count += !is_failed_guess(done->result);
    /* Of all connections as meta counts them, and of this one. */
    const uint64_t limit_ms = done->result == SASL_RESULT_LIMITED ? done->retry_after_ms : 0;
    if (s->auth_failures <= AUTH_FREE_FAILURES || smtp_is_lenient(s)) {
        return limit_ms;
    }
    return VY_MAX(limit_ms,
                  (uint64_t)s->limits->auth_delay_ms * (s->auth_failures - AUTH_FREE_FAILURES));
}

static void reply_result(struct smtp_session *s, const struct sasl_done *done)
{
    const char *code = sasl_result_smtp_reply(done->result);
    struct vy_buf text;
    vy_buf_init(&text, SASL_NAME_BYTES_MAX);
    for (size_t i = 0; i < done->text.len; i++) { /* an admin's words: one line of ASCII here */
        const uint8_t c = done->text.data[i];
        vy_buf_append_byte(&text, c >= ' ' && c < 0x7F ? c : '?');
    }
    const bool has_text = done->result == SASL_RESULT_DISABLED && vy_buf_len(&text) > 0 &&
                          !vy_failed(vy_buf_error(&text));
    smtp_reply_line(s, code, true,
                    has_text ? vy_buf_bytes(&text) : vy_cstr(sasl_result_text(done->result)));
    vy_buf_deinit(&text);
}

static void auth_done(struct smtp_session *s, const struct sasl_done *done)
{
    uint64_t delay_ms = 0;
    if (done->result == SASL_RESULT_OK) {
        sign_in(s, done);
    } else {
        delay_ms = count_failure(s, done);
    }
    reply_result(s, done);
    sasl_free(s->sasl);
    s->sasl = NULL;
    if (s->auth_failures >= s->limits->auth_failures_max) {
        smtp_reply(s, "421 4.7.0", "Too many failed sign-ins, closing");
        smtp_close(s, "failed sign-ins");
        return;
    }
    smtp_command_done(s, delay_ms);
}

static void start_hash(struct smtp_session *s, const struct sasl_step *step)
{
    s->call_id = s->next_call_id++;
    s->lookup = (struct session_action){
        .kind = SESSION_HASH,
        .call_id = s->call_id,
        .password = step->password,
        .salt = step->salt,
        .argon2_memory_kib = step->argon2_memory_kib,
        .argon2_passes = step->argon2_passes,
        .argon2_lanes = step->argon2_lanes,
        .argon2_cache_key = step->argon2_cache_key,
    };
    s->has_lookup = true;
    smtp_move(s, SMTP_STATE_LOOKUP);
}

static void take_step(struct smtp_session *s, const struct sasl_step *step)
{
    switch (step->kind) {
    case SASL_STEP_CHALLENGE:
        smtp_reply_line(s, "334", true, step->challenge);
        smtp_wait(s, SMTP_STATE_SASL, s->limits->idle_ms);
        return;
    case SASL_STEP_CALL:
        smtp_lookup(s, METHOD_META_LOGIN, &login_request_desc, step->request, true);
        return;
    case SASL_STEP_HASH:
        start_hash(s, step);
        return;
    case SASL_STEP_DONE:
        auth_done(s, &step->done);
        return;
    }
}

void smtp_start_no_auth(struct smtp_session *s, struct vy_bytes argument)
{
    (void)argument;
    smtp_reply(s, "503 5.5.1", "Signing in is for the submission service");
}

void smtp_start_auth(struct smtp_session *s, struct vy_bytes argument)
{
    struct sasl_peer peer;
    struct vy_bytes initial = argument;
    const struct vy_bytes mechanism = vy_bytes_cut(&initial, ' ');
    initial = vy_bytes_trim(initial);
    if (mechanism.len == 0) {
        smtp_reply(s, "501 5.5.4", "A mechanism is expected");
        return;
    }
    smtp_auth_peer(s, &peer);
    if (vy_failed(sasl_new(&peer, &s->sasl))) {
        smtp_reply_failure(s, vy_error(VY_CODE_NOMEM, "sign-in"));
        return;
    }
    const struct sasl_step step = sasl_start(s->sasl, mechanism, initial.len > 0 ? &initial : NULL);
    take_step(s, &step);
}

/* Not a line that the exchange could take: it is told so, and ends. */
static bool is_line_broken(const struct smtp_session *s)
{
    return s->is_line_too_long || s->is_line_bad || s->has_line_nul;
}

void smtp_auth_line(struct smtp_session *s)
{
    const struct vy_bytes line = is_line_broken(s) ? VY_LIT("not base64") : vy_buf_bytes(&s->line);
    const struct sasl_step step = sasl_feed(s->sasl, line);
    take_step(s, &step);
}

void smtp_resume_auth(struct smtp_session *s, struct vy_err err, struct vy_bytes reply,
                      uint32_t retry_after_ms)
{
    const struct sasl_step step = sasl_answered(s->sasl, err, reply, retry_after_ms);
    take_step(s, &step);
}

void smtp_auth_hashed(struct smtp_session *s, struct vy_err err, struct vy_bytes tag)
{
    const struct sasl_step step = sasl_hashed(s->sasl, err, tag);
    take_step(s, &step);
}
