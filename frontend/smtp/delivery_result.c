/* SPDX-License-Identifier: Apache-2.0 */
/* What the shards answered, and what is repeated. */
#include "frontend/smtp/delivery_private.h"

static void set_results(struct smtp_delivery *d, struct smtp_delivery_call *call,
                        enum smtp_target_result result, struct vy_err err)
{
    for (size_t i = 0; i < call->recipients_count; i++) {
        struct smtp_target *target =
            &d->targets[smtp_delivery_find(d, call->recipients[i].account_id)];
        if (target->result == SMTP_TARGET_PENDING) {
            target->result = result;
            target->err = err;
        }
    }
}

void smtp_delivery_call_over(struct smtp_delivery *d, struct smtp_delivery_call *call,
                             enum smtp_target_result result, struct vy_err err)
{
    call->state = CALL_DONE;
    set_results(d, call, result, err);
}

/* Whether the shard may have carried out a call that ended so. */
static bool may_be_stored(const struct smtp_delivery_call *call, struct vy_err err)
{
    if (call->state != CALL_SENT) {
        return false; /* without the end of the body nothing is stored */
    }
    return err.code == VY_CODE_UNKNOWN || err.code == VY_CODE_CLOSED || err.code == VY_CODE_IO ||
           err.code == VY_CODE_CANCELLED || err.code == VY_CODE_INTERNAL;
}

static bool is_worth_repeating(struct vy_err err)
{
    return vy_code_is_retryable(err.code) && err.code != VY_CODE_FULL && err.code != VY_CODE_NOMEM;
}

static bool may_repeat(const struct smtp_delivery *d, const struct smtp_delivery_call *call,
                       struct vy_err err, uint64_t retry_at_ms)
{
    const uint64_t deadline =
        d->is_body_over ? d->commit_deadline_ms : d->plan.body_deadline_ms + d->plan.commit_ms;
    if (call->kind == CALL_DROP ||
        (call->kind == CALL_HOLD && d->phase == SMTP_DELIVERY_DROPPING)) {
        return false; /* nobody needs it any more */
    }
    return (smtp_delivery_is_whole(d) || !smtp_call_has_body(call)) && is_worth_repeating(err) &&
           retry_at_ms < deadline;
}

static void call_fail(struct smtp_delivery *d, struct smtp_delivery_call *call, struct vy_err err,
                      uint32_t retry_after_ms, uint64_t now_ms)
{
    const uint32_t backoff =
        VY_MIN(SMTP_DELIVERY_BACKOFF_MS << VY_MIN(call->repeats, 8U), SMTP_DELIVERY_BACKOFF_MS_MAX);
    const uint64_t retry_at_ms = now_ms + VY_MAX(backoff, retry_after_ms);
    call->is_in_doubt |= may_be_stored(call, err);
    if (may_repeat(d, call, err, retry_at_ms)) {
        /* The same key even where the outcome is unknown: what was stored is not stored again. */
        call->state = CALL_PAUSED;
        call->sent_bytes = 0; /* all of it is needed again: none may leave the buffer */
        call->retry_at_ms = retry_at_ms;
        call->repeats++;
        return;
    }
    if (!smtp_call_has_body(call)) {
        smtp_delivery_word_failed(d, call, err);
    } else if (call->is_in_doubt && call->kind == CALL_DECIDE) {
        smtp_delivery_call_next(call, CALL_ASK);
    } else {
        const bool is_unknown = call->is_in_doubt && call->kind != CALL_HOLD;
        smtp_delivery_call_over(d, call, is_unknown ? SMTP_TARGET_UNKNOWN : SMTP_TARGET_FAILED,
                                err);
    }
}

static enum smtp_target_result result_of(enum deliver_outcome outcome)
{
    switch (outcome) {
    case DELIVER_OUTCOME_STORED:
        return SMTP_TARGET_STORED;
    case DELIVER_OUTCOME_OVER_QUOTA:
        return SMTP_TARGET_OVER_QUOTA;
    case DELIVER_OUTCOME_NO_ACCOUNT:
        return SMTP_TARGET_NO_ACCOUNT;
    case DELIVER_OUTCOME_NONE:
    case DELIVER_OUTCOME_REFUSED:
    case DELIVER_OUTCOME_HELD: /* not asked for */
        break;
    }
    return SMTP_TARGET_REFUSED;
}

static enum deliver_outcome outcome_for(const struct message_deliver_reply *reply,
                                        uint64_t account_id)
{
    for (size_t i = 0; i < reply->results_count; i++) {
        if (reply->results[i].account_id == account_id) {
            return reply->results[i].outcome;
        }
    }
    return DELIVER_OUTCOME_NONE;
}

/* Gives refused recipients their result and takes them off the call. How many went. */
static size_t take_refusals(struct smtp_delivery *d, struct smtp_delivery_call *call,
                            const struct message_deliver_reply *reply)
{
    size_t kept = 0;
    for (size_t i = 0; i < call->recipients_count; i++) {
        const uint64_t account_id = call->recipients[i].account_id;
        const enum deliver_outcome outcome = outcome_for(reply, account_id);
        if (outcome == DELIVER_OUTCOME_STORED || outcome == DELIVER_OUTCOME_HELD ||
            outcome == DELIVER_OUTCOME_NONE) {
            call->recipients[kept++] = call->recipients[i];
        } else {
            d->targets[smtp_delivery_find(d, account_id)].result = result_of(outcome);
        }
    }
    const size_t gone = call->recipients_count - kept;
    call->recipients_count = kept;
    return gone;
}

/* What a group holds may be stored already: a retry (P3). */
static bool is_all_taken(const struct smtp_delivery_call *call,
                         const struct message_deliver_reply *reply)
{
    for (size_t i = 0; i < call->recipients_count; i++) {
        const enum deliver_outcome outcome = outcome_for(reply, call->recipients[i].account_id);
        if (outcome != DELIVER_OUTCOME_STORED &&
            (outcome != DELIVER_OUTCOME_HELD || call->kind != CALL_HOLD)) {
            return false;
        }
    }
    return true;
}

static void call_taken(struct smtp_delivery *d, struct smtp_delivery_call *call)
{
    if (call->kind == CALL_HOLD) {
        call->state = CALL_HELD;
        return;
    }
    if (call->kind == CALL_DECIDE) {
        d->word = SMTP_WORD_YES;
    }
    smtp_delivery_call_over(d, call, SMTP_TARGET_STORED, vy_ok());
}

/* An answer that says neither yes nor no. */
static void call_unclear(struct smtp_delivery *d, struct smtp_delivery_call *call,
                         struct vy_err err)
{
    if (call->kind == CALL_DECIDE) {
        smtp_delivery_call_next(call, CALL_ASK);
    } else {
        smtp_delivery_call_over(
            d, call, call->kind == CALL_HOLD ? SMTP_TARGET_FAILED : SMTP_TARGET_UNKNOWN, err);
    }
}

/* An account that was erased has forgotten what an earlier attempt stored; the others may have it.
 */
static bool is_somebody_gone(const struct message_deliver_reply *reply)
{
    for (size_t i = 0; i < reply->results_count; i++) {
        if (reply->results[i].outcome == DELIVER_OUTCOME_NO_ACCOUNT) {
            return true;
        }
    }
    return false;
}

/* Some recipients were refused, so the group stored nothing. */
static void call_refused(struct smtp_delivery *d, struct smtp_delivery_call *call,
                         const struct message_deliver_reply *reply)
{
    if (call->is_in_doubt && is_somebody_gone(reply)) {
        call_unclear(d, call,
                     vy_error(VY_CODE_UNKNOWN, "account changed since it may have stored"));
        return;
    }
    const size_t gone = take_refusals(d, call, reply);
    if (gone == 0) { /* neither stored nor refused: not an answer */
        call_unclear(d, call, vy_error(VY_CODE_INTERNAL, "delivery reply without results"));
        return;
    }
    if (call->kind == CALL_DECIDE && call->is_in_doubt) {
        smtp_delivery_call_next(call, CALL_ASK); /* an earlier attempt might still be stored */
        return;
    }
    if (call->recipients_count > 0 && d->plan.is_per_recipient && smtp_delivery_is_whole(d)) {
        call->state = CALL_READY; /* once more for those that remain */
        call->round++;
        call->repeats = 0;
        call->is_in_doubt = false;
        return;
    }
    smtp_delivery_call_over(d, call, SMTP_TARGET_FAILED,
                            vy_error(VY_CODE_CONFLICT, "another recipient was refused"));
}

static void call_answered(struct smtp_delivery *d, struct smtp_delivery_call *call,
                          struct vy_bytes reply)
{
    struct message_deliver_reply message = {.results_count = 0};
    struct vy_arena scratch;
    vy_arena_init(&scratch, SMTP_DELIVERY_WINDOW_BYTES);
    const struct vy_err err = vy_pb_decode(&message_deliver_reply_desc, &scratch, reply, &message);
    if (vy_failed(err)) {
        call_unclear(d, call, err);
    } else if (is_all_taken(call, &message)) {
        call_taken(d, call);
    } else {
        call_refused(d, call, &message);
    }
    vy_arena_deinit(&scratch);
}

bool smtp_delivery_ended(struct smtp_delivery *d, uint64_t call_id, struct vy_err err,
                         struct vy_bytes reply, uint32_t retry_after_ms, uint64_t now_ms)
{
    struct smtp_delivery_call *call = smtp_delivery_find_call(d, call_id);
    if (call == NULL) {
        return false;
    }
    if (vy_failed(err)) {
        call_fail(d, call, err, retry_after_ms, now_ms);
    } else if (smtp_call_has_body(call)) {
        call_answered(d, call, reply);
    } else {
        smtp_delivery_word_answered(d, call, reply);
    }
    smtp_delivery_advance(d);
    smtp_delivery_trim(d);
    return true;
}
