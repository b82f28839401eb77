/* SPDX-License-Identifier: Apache-2.0 */
/* MAIL (RFC 5321 section 4.1.1.2; SIZE RFC 1870, BODY RFC 6152, SMTPUTF8 RFC 6531, DSN RFC 3461).
 */
#include "base/assert.h"
#include "frontend/smtp/address.h"
#include "frontend/smtp/path.h"
#include "frontend/smtp/smtp_private.h"
#include <stdlib.h>

#define SIZE_DIGITS_MAX 20U /* RFC 1870 section 3 */
#define ENVID_BYTES_MAX 100U

struct mail_params {
    struct vy_bytes envid;
    bool is_utf8;
    bool wants_header;
    const char *refusal_code; /* NULL: none */
    const char *refusal_text;
    unsigned seen; /* bits of the rows */
};

static void refuse_param(struct mail_params *params, const char *code, const char *text)
{
    params->refusal_code = code;
    params->refusal_text = text;
}

static void take_size(struct smtp_session *s, struct mail_params *params, struct vy_bytes value)
{
    uint64_t size = 0;
    bool is_number = value.len > 0 && value.len <= SIZE_DIGITS_MAX;
    for (size_t i = 0; i < value.len; i++) {
        is_number &= vy_ascii_is_digit(value.data[i]);
    }
    if (!is_number) {
        refuse_param(params, "501 5.5.4", "SIZE is not a number");
    } else if (!vy_parse_u64(value, &size) || size > s->limits->message_bytes_max) {
        refuse_param(params, "552 5.3.4", "Message is larger than the announced limit");
    }
}

static void take_body(struct smtp_session *s, struct mail_params *params, struct vy_bytes value)
{
    (void)s; /* every path of ours is clean for 8 bits */
    if (!vy_bytes_equal_nocase(value, VY_LIT("7BIT")) &&
        !vy_bytes_equal_nocase(value, VY_LIT("8BITMIME"))) {
        refuse_param(params, "501 5.5.4", "BODY is not known");
    }
}

static void take_utf8(struct smtp_session *s, struct mail_params *params, struct vy_bytes value)
{
    (void)s;
    params->is_utf8 = true;
    if (value.data != NULL) {
        refuse_param(params, "501 5.5.4", "SMTPUTF8 has no value");
    }
}

static void take_ret(struct smtp_session *s, struct mail_params *params, struct vy_bytes value)
{
    (void)s;
    params->wants_header = vy_bytes_equal_nocase(value, VY_LIT("HDRS"));
    if (!params->wants_header && !vy_bytes_equal_nocase(value, VY_LIT("FULL"))) {
        refuse_param(params, "501 5.5.4", "RET is not known");
    }
}

static void take_envid(struct smtp_session *s, struct mail_params *params, struct vy_bytes value)
{
    (void)s;
    params->envid = value;
    if (value.len == 0 || value.len > ENVID_BYTES_MAX) {
        refuse_param(params, "501 5.5.4", "ENVID is not acceptable");
    }
}

/* RFC 4954 section 5: what another says about who signed in there is not believed. */
static void take_auth(struct smtp_session *s, struct mail_params *params, struct vy_bytes value)
{
    (void)s;
    if (value.len == 0) {
        refuse_param(params, "501 5.5.4", "AUTH needs a value");
    }
}

static const struct {
    const char *key;
    void (*take)(struct smtp_session *s, struct mail_params *params, struct vy_bytes value);
} param_rows[] = {
    {"SIZE",     take_size },
    {"BODY",     take_body },
    {"SMTPUTF8", take_utf8 },
    {"RET",      take_ret  },
    {"ENVID",    take_envid},
    {"AUTH",     take_auth },
};

static void take_param(struct smtp_session *s, struct mail_params *params,
                       const struct smtp_param *param)
{
    for (size_t i = 0; i < VY_COUNT_OF(param_rows); i++) {
        if (!vy_bytes_equal_nocase(param->key, vy_cstr(param_rows[i].key))) {
            continue;
        }
        if ((params->seen & (1U << i)) != 0) {
            refuse_param(params, "501 5.5.4", "Parameter is given twice");
            return;
        }
        params->seen |= 1U << i;
        param_rows[i].take(s, params, param->value);
        return;
    }
    refuse_param(params, "555 5.5.4", "Parameter is not known");
}

/* False: answered. */
static bool parse_params(struct smtp_session *s, struct vy_bytes rest, struct mail_params *params)
{
    struct smtp_param param = {.key = {.data = NULL}};
    do {
        if (vy_failed(smtp_param_next(&rest, &param))) {
            smtp_reply(s, "501 5.5.4", "Parameters are not well formed");
            return false;
        }
        if (param.key.len > 0) {
            take_param(s, params, &param);
        }
        if (params->refusal_code != NULL) {
            smtp_reply(s, params->refusal_code, params->refusal_text);
            return false;
        }
    } while (param.key.len > 0);
    return true;
}

static struct vy_err open_tx(struct smtp_session *s, const struct smtp_path *path,
                             const struct mail_params *params)
{
    struct smtp_tx *tx = calloc(1, sizeof(*tx));
    if (tx == NULL) {
        return vy_error(VY_CODE_NOMEM, "mail transaction");
    }
    vy_arena_init(&tx->arena, SMTP_TX_ARENA_BYTES_MAX);
    smtp_delivery_init(&tx->delivery, &tx->arena, s->peer.seed[0]);
    s->tx = tx;
    tx->is_utf8 = params->is_utf8;
    tx->wants_header = params->wants_header;
    tx->deadline_ms = s->base.now_ms + s->limits->transaction_ms;
    VY_TRY(vy_arena_dup(&tx->arena, path->text, &tx->sender));
    return vy_arena_dup(&tx->arena, params->envid, &tx->envid);
}

/* The sender's own group knows whether the sign-in still holds, also where no event of meta has
 * come through (P18): a submission begins there. Its quota is the least that can be asked. */
static void ask_session(struct smtp_session *s)
{
    s->request.quota = (struct quota_request){.actor = &s->actor};
    smtp_lookup(s, METHOD_SHARD_QUOTA, &quota_request_desc, &s->request.quota, false);
    s->lookup.target = SESSION_TO_SHARD;
    s->lookup.account_id = s->account_id;
}

/* S26: a submission is sent in a name that the account may use. The null sender is anyone's. */
static void ask_sender(struct smtp_session *s)
{
    s->request.sender_check =
        (struct sender_check_request){.account_id = s->account_id, .address = s->tx->canonical};
    smtp_lookup(s, METHOD_META_SENDER_CHECK, &sender_check_request_desc, &s->request.sender_check,
                false);
}

static void begin_submission(struct smtp_session *s, const struct smtp_path *path)
{
    if (path->text.len > 0 && vy_failed(smtp_address_canonical(
                                  &s->tx->arena, path, s->profile->hostname, &s->tx->canonical))) {
        smtp_tx_end(s);
        smtp_reply(s, "553 5.1.7", "Sender address is not acceptable");
        return;
    }
    ask_session(s);
}

void smtp_start_mail(struct smtp_session *s, struct vy_bytes argument)
{
    struct smtp_path path;
    struct mail_params params = {.refusal_code = NULL};
    struct vy_bytes rest = vy_bytes_from(argument, VY_MIN(argument.len, sizeof("FROM:") - 1));
    const struct vy_err err = smtp_path_parse(&rest, &path);
    if (err.code == VY_CODE_ARGUMENT) {
        smtp_reply(s, "553 5.6.7", "Address is not UTF-8");
        return;
    }
    if (vy_failed(err) || !vy_bytes_starts_with_nocase(argument, VY_LIT("FROM:")) ||
        (path.text.len > 0 && path.domain.len == 0)) {
        smtp_reply(s, "501 5.1.7", "MAIL FROM:<address> is expected");
        return;
    }
    if (!parse_params(s, rest, &params)) {
        return;
    }
    if (path.is_utf8 && !params.is_utf8) {
        smtp_reply(s, "553 5.6.7", "An international address needs SMTPUTF8");
        return;
    }
    if (vy_failed(open_tx(s, &path, &params))) {
        smtp_tx_end(s);
        smtp_reply_failure(s, vy_error(VY_CODE_NOMEM, "mail transaction"));
        return;
    }
    if (s->profile->service == SMTP_SERVICE_SUBMISSION) {
        begin_submission(s, &path);
    } else {
        smtp_reply(s, "250 2.1.0", "Sender ok");
    }
}

static void resume_session(struct smtp_session *s, struct vy_err err)
{
    s->tx->is_session_checked = true;
    if (err.code == VY_CODE_STALE || err.code == VY_CODE_AUTH) {
        smtp_tx_end(s);
        smtp_reply(s, "421 4.7.0", "Session is over, sign in again");
        smtp_close(s, "account epoch is over");
        return;
    }
    if (!vy_failed(err) && s->tx->canonical.len > 0) {
        ask_sender(s);
        return;
    }
    if (vy_failed(err)) {
        smtp_tx_end(s);
        smtp_reply_failure(s, err);
    } else {
        smtp_reply(s, "250 2.1.0", "Sender ok");
    }
    smtp_command_done(s, 0);
}

void smtp_resume_mail(struct smtp_session *s, struct vy_err err, struct vy_bytes reply,
                      uint32_t retry_after_ms)
{
    (void)retry_after_ms;
    struct sender_check_reply answer = {.allowed = false};
    if (!s->tx->is_session_checked) {
        resume_session(s, err);
        return;
    }
    if (!vy_failed(err)) {
        err = vy_pb_decode(&sender_check_reply_desc, &s->tx->arena, reply, &answer);
    }
    if (vy_failed(err)) {
        smtp_tx_end(s);
        smtp_reply_failure(s, err);
    } else if (!answer.allowed) {
        smtp_log(s, VY_LOG_INFO, "smtp.sender.refused", VY_HEX("u.id", s->account_id),
                 VY_STR("smtp.sender", s->tx->sender));
        smtp_tx_end(s);
        smtp_reply(s, "553 5.7.1", "This sender address is not yours");
    } else {
        smtp_reply(s, "250 2.1.0", "Sender ok");
    }
    smtp_command_done(s, 0);
}
