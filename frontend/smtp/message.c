/* SPDX-License-Identifier: Apache-2.0 */
#include "frontend/smtp/message.h"

#include "base/assert.h"
#include "frontend/smtp/trace.h"

#define TRACE_BYTES_MAX 2048U

/* ---- begin ---- */

static bool is_recipient(void *arg, struct vy_bytes address)
{
    const struct smtp_tx *tx = arg;
    for (size_t i = 0; i < tx->rcpts_count; i++) {
        if (vy_bytes_equal_nocase(address, tx->rcpts[i].address)) {
            return true;
        }
    }
    return false;
}

static struct vy_err keep_lines(struct smtp_tx *tx, struct vy_buf *lines, struct vy_bytes *out)
{
    VY_TRY(vy_buf_error(lines));
    VY_TRY(vy_arena_dup(&tx->arena, vy_buf_bytes(lines), out));
    vy_buf_reset(lines);
    return vy_ok();
}

static struct smtp_trace trace_of(const struct smtp_session *s)
{
    const bool has_peer_info = s->tls.info.len == 0;
    return (struct smtp_trace){
        .service = s->profile->service,
        .is_esmtp = s->is_esmtp,
        .is_secured = s->is_secured,
        .is_signed_in = s->is_signed_in,
        .is_utf8 = s->tx->is_utf8,
        .helo = smtp_helo(s),
        .remote_ip = s->peer.remote_ip,
        .tls_info = has_peer_info ? s->peer.tls_info : s->tls.info,
        .hostname = s->profile->hostname,
        .trace_id = {s->peer.trace_id[0], s->peer.trace_id[1]},
        .wall_ms = s->base.wall_ms,
    };
}

/* RFC 6409 section 8: what a submitted message lacks. */
static struct vy_err add_missing_fields(struct smtp_session *s, struct smtp_message *message,
                                        struct vy_buf *lines)
{
    if (s->profile->service != SMTP_SERVICE_SUBMISSION) {
        return vy_ok(); /* bytes out are bytes in (P4) */
    }
    const uint64_t unique[2] = {s->peer.seed[1] ^ s->message_serial, s->peer.seed[2]};
    smtp_trace_date_line(lines, s->base.wall_ms);
    VY_TRY(keep_lines(s->tx, lines, &message->header.date_line));
    smtp_trace_message_id_line(lines, unique, s->profile->hostname);
    return keep_lines(s->tx, lines, &message->header.message_id_line);
}

static struct vy_err prepare(struct smtp_session *s, struct smtp_message *message,
                             struct smtp_delivery_plan *plan)
{
    const struct smtp_trace trace = trace_of(s);
    struct vy_buf lines;
    vy_buf_init(&lines, TRACE_BYTES_MAX);
    smtp_trace_received(&lines, &trace);
    struct vy_err err = keep_lines(s->tx, &lines, &plan->trace_headers);
    if (!vy_failed(err) && s->is_signed_in) { /* a stranger's forgery is not the account's retry */
        vy_buf_append_be64(&lines, s->base.account_id);
        err = keep_lines(s->tx, &lines, &plan->retry_scope);
    }
    if (!vy_failed(err)) {
        err = add_missing_fields(s, message, &lines);
    }
    vy_buf_deinit(&lines);
    return err;
}

struct vy_err smtp_message_begin(struct smtp_session *s)
{
    struct smtp_tx *tx = s->tx;
    struct smtp_message *message = VY_ARENA_NEW(&tx->arena, struct smtp_message);
    if (message == NULL) {
        return vy_error(VY_CODE_LIMIT, "message");
    }
    struct smtp_delivery_plan plan = {
        .is_per_recipient = s->profile->service == SMTP_SERVICE_LMTP,
        .reverse_path = tx->sender,
        .body_deadline_ms = tx->deadline_ms,
        .commit_ms = s->limits->commit_ms,
        .serial = s->message_serial++,
    };
    memcpy(plan.seed, s->peer.seed, sizeof(plan.seed));
    VY_TRY(prepare(s, message, &plan));
    VY_TRY(smtp_delivery_begin(&tx->delivery, &plan));
    message->header.is_recipient = is_recipient;
    message->header.is_recipient_arg = tx;
    smtp_data_init(&message->data, s->limits->message_bytes_max, &message->header);
    tx->message = message;
    return vy_ok();
}

bool smtp_message_is_out_of_turn(const struct smtp_session *s)
{
    return s->pipelining.is_flagged && smtp_policy(s) == SMTP_PIPELINING_REJECT_AT_DATA;
}

/* ---- while it comes ---- */

void smtp_message_step(struct smtp_session *s)
{
    struct smtp_delivery *delivery = &s->tx->delivery;
    struct smtp_data *data = &s->tx->message->data;
    const bool is_torn = vy_failed(vy_buf_error(&delivery->body)); /* bytes found no memory */
    if ((is_torn || smtp_delivery_is_lost(delivery)) && !delivery->is_given_up) {
        smtp_data_discard(data); /* the answer is known; the rest only has to pass by */
    }
    if (data->fault != SMTP_DATA_FINE && !delivery->is_given_up) {
        smtp_delivery_give_up(delivery);
    }
    smtp_delivery_trim(delivery);
}

/* ---- answers ---- */

static void end_message(struct smtp_session *s)
{
    smtp_tx_end(s);
    s->junk_count = 0;
    smtp_command_done(s, 0);
}

/* Worst first: one answer speaks for all of its targets, and a client may always ask again unless
 * every refusal is for good. */
static const enum smtp_target_result result_ranks[] = {
    SMTP_TARGET_UNKNOWN,    SMTP_TARGET_FAILED,  SMTP_TARGET_OVER_QUOTA,
    SMTP_TARGET_NO_ACCOUNT, SMTP_TARGET_REFUSED, SMTP_TARGET_STORED,
};

/* A failure that only says that others failed. */
static bool is_fallout(const struct smtp_target *target)
{
    return target->result == SMTP_TARGET_FAILED &&
           (target->err.code == VY_CODE_CONFLICT || target->err.code == VY_CODE_CANCELLED);
}

static unsigned rank_of(const struct smtp_target *target)
{
    unsigned rank = 0;
    while (result_ranks[rank] != target->result) {
        rank++;
        VY_ASSERT(rank < VY_COUNT_OF(result_ranks));
    }
    return is_fallout(target) ? VY_COUNT_OF(result_ranks) - 2 : rank;
}

struct outcome {
    const struct smtp_target *worst;
    size_t stored_count;
    size_t count;
};

static void add_outcome(struct outcome *outcome, const struct smtp_target *target)
{
    outcome->count++;
    outcome->stored_count += target->result == SMTP_TARGET_STORED;
    if (outcome->worst == NULL || rank_of(target) < rank_of(outcome->worst) ||
        (is_fallout(outcome->worst) && !is_fallout(target) &&
         rank_of(target) == rank_of(outcome->worst))) {
        outcome->worst = target;
    }
}

static void outcome_log(struct smtp_session *s, enum vy_log_level level, const char *event,
                        const struct outcome *outcome)
{
    smtp_log(s, level, event, VY_STR("smtp.sender", s->tx->sender),
             VY_STR("smtp.rcpt", outcome->worst->address), VY_U64("smtp.targets", outcome->count),
             VY_U64("smtp.stored", outcome->stored_count),
             VY_U64("msg.bytes", s->tx->message->data.size_bytes),
             VY_CSTR("err.code", vy_code_name(outcome->worst->err.code)),
             VY_CSTR("err.what", outcome->worst->err.what == NULL ? "" : outcome->worst->err.what));
}

/* Few failures of a shard say that trying again is in vain; the others may pass. */
static void reply_failed(struct smtp_session *s, struct vy_err err)
{
    if (err.code == VY_CODE_LIMIT || err.code == VY_CODE_DENIED) {
        smtp_reply_trace_id(s, vy_code_smtp_reply(err.code), "Message refused");
    } else {
        smtp_reply_failure(s, err);
    }
}

static void reply_refused(struct smtp_session *s, const struct outcome *outcome)
{
    switch (outcome->worst->result) {
    case SMTP_TARGET_OVER_QUOTA:
        smtp_reply(s, vy_code_smtp_reply(VY_CODE_QUOTA), "Mailbox is full");
        return;
    case SMTP_TARGET_NO_ACCOUNT:
        smtp_reply_trace_id(s, "451 4.2.1", "Mailbox has just changed, try again");
        return;
    case SMTP_TARGET_REFUSED:
        smtp_reply_trace_id(s, "550 5.7.1", "Message refused");
        return;
    case SMTP_TARGET_FAILED:
    case SMTP_TARGET_PENDING:
    case SMTP_TARGET_STORED:
    case SMTP_TARGET_UNKNOWN:
        break;
    }
    reply_failed(s, outcome->worst->err);
}

/* False: nothing may be answered, the session is over. */
static bool reply_outcome(struct smtp_session *s, const struct outcome *outcome)
{
    if (outcome->worst->result == SMTP_TARGET_UNKNOWN) {
        /* P3: "no" would be a lie if a copy is there, "yes" if none is. Only a broken connection
         * leaves it open. */
        outcome_log(s, VY_LOG_WARN, "smtp.delivery.unknown", outcome);
        smtp_close(s, "outcome of a delivery is unknown");
        return false;
    }
    if (outcome->stored_count == outcome->count) {
        outcome_log(s, VY_LOG_INFO, "smtp.delivery.stored", outcome);
        smtp_reply_trace_id(s, "250 2.0.0", "Stored");
        return true;
    }
    if (outcome->stored_count > 0) {
        /* LMTP, a recipient that stands for several: a retry finds the copies that are there. */
        outcome_log(s, VY_LOG_WARN, "smtp.delivery.partial", outcome);
        smtp_reply_failure(s, vy_error(VY_CODE_CONFLICT, "stored for some recipients only"));
        return true;
    }
    outcome_log(s, VY_LOG_INFO, "smtp.delivery.refused", outcome);
    reply_refused(s, outcome);
    return true;
}

static bool answer_all(struct smtp_session *s)
{
    struct outcome outcome = {.worst = NULL};
    const struct smtp_delivery *delivery = &s->tx->delivery;
    for (size_t i = 0; i < delivery->targets_count; i++) {
        add_outcome(&outcome, &delivery->targets[i]);
    }
    return reply_outcome(s, &outcome);
}

/* RFC 2033 section 4.2: an answer for each RCPT that was accepted, in their order. */
static bool answer_each(struct smtp_session *s)
{
    const struct smtp_tx *tx = s->tx;
    for (size_t i = 0; i < tx->rcpts_count; i++) {
        struct outcome outcome = {.worst = NULL};
        for (size_t k = 0; k < tx->rcpts[i].targets_count; k++) {
            add_outcome(&outcome, &tx->delivery.targets[tx->rcpts[i].targets[k]]);
        }
        if (!reply_outcome(s, &outcome)) {
            return false;
        }
    }
    return true;
}

static void answer_fault(struct smtp_session *s)
{
    const enum smtp_data_fault fault = s->tx->message->data.fault;
    const bool is_lmtp = s->profile->service == SMTP_SERVICE_LMTP;
    smtp_log(s, VY_LOG_INFO, "smtp.message.refused", VY_STR("smtp.sender", s->tx->sender),
             VY_CSTR("smtp.reply", smtp_data_fault_reply(fault)));
    for (size_t i = 0; i < (is_lmtp ? s->tx->rcpts_count : 1); i++) {
        smtp_reply(s, smtp_data_fault_reply(fault), smtp_data_fault_text(fault));
    }
    end_message(s);
}

void smtp_delivery_check(struct smtp_session *s)
{
    if (s->state == SMTP_STATE_DATA || s->state == SMTP_STATE_CHUNK) {
        if (s->tx != NULL && s->tx->message != NULL) {
            smtp_message_step(s);
        }
        return;
    }
    if (s->state != SMTP_STATE_COMMIT || !smtp_delivery_is_finished(&s->tx->delivery)) {
        return;
    }
    const bool is_lmtp = s->profile->service == SMTP_SERVICE_LMTP;
    if (is_lmtp ? answer_each(s) : answer_all(s)) {
        end_message(s);
    }
}

void smtp_message_over(struct smtp_session *s)
{
    struct smtp_message *message = s->tx->message;
    smtp_data_finish(&message->data, &s->tx->delivery.body);
    smtp_message_step(s);
    if (message->data.fault != SMTP_DATA_FINE && message->data.fault != SMTP_DATA_UNWANTED) {
        answer_fault(s);
        return;
    }
    smtp_delivery_body_over(&s->tx->delivery, s->base.now_ms);
    smtp_move(s, SMTP_STATE_COMMIT);
    smtp_delivery_check(s);
}
