/* SPDX-License-Identifier: Apache-2.0 */
/* RCPT (RFC 5321 section 4.1.1.3; DSN RFC 3461): meta says whose mail it is. */
#include "base/assert.h"
#include "frontend/smtp/address.h"
#include "frontend/smtp/path.h"
#include "frontend/smtp/smtp_private.h"

#define ORCPT_BYTES_MAX 500U

enum smtp_notify {
    SMTP_NOTIFY_NEVER = 1U << 0,
    SMTP_NOTIFY_SUCCESS = 1U << 1,
    SMTP_NOTIFY_FAILURE = 1U << 2,
    SMTP_NOTIFY_DELAY = 1U << 3
};

static bool parse_notify(struct vy_bytes value, uint32_t *out)
{
    static const struct {
        const char *name;
        uint32_t bit;
    } words[] = {
        {"NEVER",   SMTP_NOTIFY_NEVER  },
        {"SUCCESS", SMTP_NOTIFY_SUCCESS},
        {"FAILURE", SMTP_NOTIFY_FAILURE},
        {"DELAY",   SMTP_NOTIFY_DELAY  }
    };
    *out = 0;
    while (value.len > 0) {
        const struct vy_bytes word = vy_bytes_cut(&value, ',');
        uint32_t bit = 0;
        for (size_t i = 0; i < VY_COUNT_OF(words); i++) {
            bit |= vy_bytes_equal_nocase(word, vy_cstr(words[i].name)) ? words[i].bit : 0;
        }
        if (bit == 0) {
            return false;
        }
        *out |= bit;
    }
    return *out != 0 && ((*out & SMTP_NOTIFY_NEVER) == 0 || *out == SMTP_NOTIFY_NEVER);
}

/* The answer, or NULL when all is well. */
static const char *take_param(struct smtp_rcpt *rcpt, const struct smtp_param *param)
{
    if (vy_bytes_equal_nocase(param->key, VY_LIT("NOTIFY"))) {
        return rcpt->notify == 0 && parse_notify(param->value, &rcpt->notify) ? NULL : "501 5.5.4";
    }
    if (vy_bytes_equal_nocase(param->key, VY_LIT("ORCPT"))) {
        const bool is_fine = rcpt->orcpt.len == 0 && param->value.len <= ORCPT_BYTES_MAX &&
                             vy_bytes_find_byte(param->value, ';', 0) != SIZE_MAX;
        rcpt->orcpt = param->value;
        return is_fine ? NULL : "501 5.5.4";
    }
    return "555 5.5.4";
}

/* False: answered. */
static bool parse_params(struct smtp_session *s, struct vy_bytes rest, struct smtp_rcpt *rcpt)
{
    struct smtp_param param = {.key = {.data = NULL}};
    do {
        const char *refusal = NULL;
        if (vy_failed(smtp_param_next(&rest, &param))) {
            refusal = "501 5.5.4";
        } else if (param.key.len > 0) {
            refusal = take_param(rcpt, &param);
        }
        if (refusal != NULL) {
            smtp_reply(s, refusal, "Parameters are not acceptable");
            return false;
        }
    } while (param.key.len > 0);
    return true;
}

/* ---- limits ---- */

/* S10, S29. False: answered; what was accepted before stays. */
static bool has_room(struct smtp_session *s)
{
    const struct smtp_tx *tx = s->tx;
    if (tx->rcpts_count >= s->limits->recipients_max ||
        tx->delivery.targets_count >= s->limits->targets_max) {
        smtp_reply(s, "452 4.5.3", "Too many recipients, send the rest in another message");
        return false;
    }
    if (s->profile->service == SMTP_SERVICE_MX && tx->sender.len == 0 && tx->rcpts_count > 0) {
        smtp_reply(s, "452 4.5.3", "One recipient for the null sender");
        return false;
    }
    return true;
}

static struct vy_err keep_rcpt(struct smtp_session *s, const struct smtp_path *path)
{
    struct smtp_tx *tx = s->tx;
    if (tx->rcpts == NULL) {
        tx->rcpts = VY_ARENA_ARRAY(&tx->arena, s->limits->recipients_max, struct smtp_rcpt);
    }
    if (tx->rcpts == NULL) {
        return vy_error(VY_CODE_LIMIT, "recipients of a message");
    }
    VY_TRY(vy_arena_dup(&tx->arena, path->text, &tx->rcpt.address));
    return vy_arena_dup(&tx->arena, tx->rcpt.orcpt, &tx->rcpt.orcpt);
}

/* ---- the question ---- */

static void ask(struct smtp_session *s, bool is_fresh)
{
    s->tx->is_fresh = is_fresh;
    s->request.resolve = (struct resolve_request){.address = s->tx->canonical, .fresh = is_fresh};
    smtp_lookup(s, METHOD_META_RESOLVE, &resolve_request_desc, &s->request.resolve, false);
}

static bool parse_rcpt(struct smtp_session *s, struct vy_bytes argument, struct smtp_path *path)
{
    struct vy_bytes rest = vy_bytes_from(argument, VY_MIN(argument.len, sizeof("TO:") - 1));
    s->tx->rcpt = (struct smtp_rcpt){.notify = 0};
    const struct vy_err err = smtp_path_parse(&rest, path);
    if (err.code == VY_CODE_ARGUMENT) {
        smtp_reply(s, "553 5.6.7", "Address is not UTF-8");
        return false;
    }
    if (vy_failed(err) || !vy_bytes_starts_with_nocase(argument, VY_LIT("TO:")) ||
        path->text.len == 0) {
        smtp_reply(s, "501 5.1.3", "RCPT TO:<address> is expected");
        return false;
    }
    if (!parse_params(s, rest, &s->tx->rcpt)) {
        return false;
    }
    if (path->is_utf8 && !s->tx->is_utf8) {
        smtp_reply(s, "553 5.6.7", "An international address needs SMTPUTF8");
        return false;
    }
    if (path->has_route) { /* S27 */
        smtp_reply(s, "550 5.7.1", "Source routes are not relayed");
        return false;
    }
    return true;
}

static void refuse_rcpt(struct smtp_session *s, const char *code, const char *text)
{
    s->tx->has_refused_rcpt = true;
    s->rcpt_refusals++;
    smtp_log(s, VY_LOG_INFO, "smtp.rcpt.refused", VY_STR("smtp.rcpt", s->tx->rcpt.address),
             VY_CSTR("smtp.reply", code));
    smtp_reply(s, code, text);
}

void smtp_start_rcpt(struct smtp_session *s, struct vy_bytes argument)
{
    struct smtp_path path;
    if (!parse_rcpt(s, argument, &path)) {
        s->tx->has_refused_rcpt = true;
        return;
    }
    if (!has_room(s)) {
        return;
    }
    struct vy_err err = keep_rcpt(s, &path);
    if (!vy_failed(err)) {
        err = smtp_address_canonical(&s->tx->arena, &path, s->profile->hostname, &s->tx->canonical);
    }
    if (err.code == VY_CODE_LIMIT || err.code == VY_CODE_NOMEM) {
        smtp_reply(s, "452 4.5.3", "Too many recipients, send the rest in another message");
    } else if (vy_failed(err)) {
        refuse_rcpt(s, "550 5.1.1", "No such mailbox here"); /* nobody can be called so (S9) */
    } else {
        ask(s, false);
    }
}

/* ---- the answer ---- */

static struct vy_err add_targets(struct smtp_session *s, const struct resolve_reply *answer)
{
    struct smtp_tx *tx = s->tx;
    tx->rcpt.targets = VY_ARENA_ARRAY(&tx->arena, answer->targets_count, uint32_t);
    if (tx->rcpt.targets == NULL) {
        return vy_error(VY_CODE_LIMIT, "recipients of a message");
    }
    for (size_t i = 0; i < answer->targets_count; i++) {
        const uint64_t account_id = answer->targets[i].account_id;
        const struct smtp_target target = {
            .account_id = account_id,
            .account_epoch = answer->targets[i].account_epoch,
            .group = s->profile->group_of(s->profile->group_of_arg, account_id),
            .address = tx->rcpt.address,
        };
        if (target.group == 0) { /* two of unknown groups would be taken for one group's */
            return vy_error(VY_CODE_UNAVAILABLE, "no cluster map yet");
        }
        VY_TRY(
            smtp_delivery_add(&tx->delivery, &target, &tx->rcpt.targets[tx->rcpt.targets_count]));
        tx->rcpt.targets_count++;
    }
    return vy_ok();
}

static void accept_rcpt(struct smtp_session *s, const struct resolve_reply *answer)
{
    struct smtp_tx *tx = s->tx;
    const size_t targets_before = tx->delivery.targets_count;
    const bool fits = targets_before + answer->targets_count <= s->limits->targets_max;
    const struct vy_err err =
        fits ? add_targets(s, answer) : vy_error(VY_CODE_LIMIT, "recipients of a message");
    if (vy_failed(err)) {
        smtp_delivery_take_back(&tx->delivery, targets_before);
        if (err.code == VY_CODE_UNAVAILABLE) {
            smtp_reply_failure(s, err);
        } else {
            smtp_reply(s, "452 4.5.3", "Too many recipients, send the rest in another message");
        }
        return;
    }
    tx->rcpts[tx->rcpts_count++] = tx->rcpt;
    smtp_reply(s, "250 2.1.5", "Recipient ok");
}

static void refuse_foreign(struct smtp_session *s)
{
    if (s->profile->service == SMTP_SERVICE_SUBMISSION) {
        refuse_rcpt(s, "550 5.7.1", "Outbound delivery is not built yet: only local recipients");
    } else {
        refuse_rcpt(s, "550 5.7.1", "Relaying is denied");
    }
}

static void take_answer(struct smtp_session *s, const struct resolve_reply *answer)
{
    if (answer->result == RESOLVE_RESULT_LOCAL && answer->targets_count > 0) {
        accept_rcpt(s, answer);
        return;
    }
    if (!s->tx->is_fresh) {
        ask(s, true); /* a refusal must be certain */
        return;
    }
    switch (answer->result) {
    case RESOLVE_RESULT_LOCAL:
    case RESOLVE_RESULT_UNKNOWN:
        refuse_rcpt(s, "550 5.1.1", "No such mailbox here");
        return;
    case RESOLVE_RESULT_FOREIGN:
        refuse_foreign(s);
        return;
    case RESOLVE_RESULT_EXPANSION_LIMIT:
        refuse_rcpt(s, "550 5.4.6", "Alias leads to too many addresses, or in a circle");
        return;
    case RESOLVE_RESULT_DISABLED:
        refuse_rcpt(s, "550 5.2.1", "Mailbox takes no mail");
        return;
    case RESOLVE_RESULT_NONE:
        break;
    }
    smtp_reply_failure(s, vy_error(VY_CODE_INTERNAL, "resolve reply"));
}

static uint64_t refusal_delay_ms(const struct smtp_session *s)
{
    const bool is_slow = s->rcpt_refusals > s->limits->rcpt_slow_count && !smtp_is_lenient(s);
    return is_slow ? s->limits->tarpit_ms : 0;
}

void smtp_resume_rcpt(struct smtp_session *s, struct vy_err err, struct vy_bytes reply,
                      uint32_t retry_after_ms)
{
    (void)retry_after_ms;
    const unsigned refusals_before = s->rcpt_refusals;
    struct resolve_reply answer = {.result = RESOLVE_RESULT_NONE};
    struct vy_arena scratch;
    vy_arena_init(&scratch, SMTP_TX_ARENA_BYTES_MAX);
    if (!vy_failed(err)) {
        err = vy_pb_decode(&resolve_reply_desc, &scratch, reply, &answer);
    }
    if (err.code == VY_CODE_ARGUMENT) {
        refuse_rcpt(s, "550 5.1.1", "No such mailbox here"); /* meta knows no such name */
    } else if (vy_failed(err)) {
        smtp_reply_failure(s, err);
    } else {
        take_answer(s, &answer);
    }
    vy_arena_deinit(&scratch);
    if (!s->has_lookup) {
        smtp_command_done(s, s->rcpt_refusals > refusals_before ? refusal_delay_ms(s) : 0);
    }
}
