/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A message for several groups, one decision for all (delivery.h): the first call decides, the
 * others hold, then release or drop. Only the word of the deciding group moves the others.
 */
#include "base/assert.h"
#include "frontend/smtp/delivery_private.h"
#include <openssl/sha.h>

/* ---- begin ---- */

/* Unique in the cluster and never guessed: the session's seed is chance. */
static void make_id(struct smtp_delivery *d)
{
    static const char label[] = "volary smtp delivery id";
    uint8_t source[sizeof(label) + 5 * sizeof(uint64_t)];
    uint8_t digest[SHA256_DIGEST_LENGTH];
    memcpy(source, label, sizeof(label));
    for (size_t i = 0; i < 4; i++) {
        vy_put_be64(source + sizeof(label) + i * sizeof(uint64_t), d->plan.seed[i]);
    }
    vy_put_be64(source + sizeof(label) + 4 * sizeof(uint64_t), d->plan.serial);
    (void)SHA256(source, sizeof(source), digest);
    memcpy(d->delivery_id, digest, sizeof(d->delivery_id));
}

struct vy_err smtp_delivery_split(struct smtp_delivery *d)
{
    make_id(d);
    d->phase = SMTP_DELIVERY_HOLDING;
    for (size_t i = 0; i < d->calls_count; i++) {
        struct smtp_delivery_call *call = &d->calls[i];
        call->kind = i == 0 ? CALL_DECIDE : CALL_HOLD;
        call->accounts = VY_ARENA_ARRAY(d->arena, call->recipients_count, struct delivery_account);
        if (call->accounts == NULL) {
            return vy_error(VY_CODE_LIMIT, "recipients of a message");
        }
        for (size_t k = 0; k < call->recipients_count; k++) {
            call->accounts[k].account_id = call->recipients[k].account_id;
        }
    }
    return vy_ok();
}

/* ---- calls of one word ---- */

void smtp_delivery_call_next(struct smtp_delivery_call *call, enum smtp_call_kind kind)
{
    call->kind = kind;
    call->state = CALL_READY;
    call->repeats = 0;
    call->is_in_doubt = false;
}

void smtp_delivery_start_word(struct smtp_delivery *d, struct smtp_delivery_call *call,
                              struct session_action *out)
{
    const struct vy_bytes id = vy_bytes(d->delivery_id, sizeof(d->delivery_id));
    call->state = CALL_SENT; /* it has no body */
    if (call->kind == CALL_ASK) {
        call->ask = (struct delivery_ask_request){.delivery_id = id};
        out->method = METHOD_SHARD_DELIVERY_ASK;
        out->request_desc = &delivery_ask_request_desc;
        out->request = &call->ask;
        return;
    }
    call->end = (struct delivery_end_request){
        .delivery_id = id,
        .commit = call->kind == CALL_RELEASE,
        .accounts_count = call->recipients_count,
        .accounts = call->accounts,
    };
    out->method = METHOD_SHARD_DELIVERY_END;
    out->request_desc = &delivery_end_request_desc;
    out->request = &call->end;
}

static void asked(struct smtp_delivery *d, struct smtp_delivery_call *call, bool is_committed)
{
    d->word = is_committed ? SMTP_WORD_YES : SMTP_WORD_NO;
    smtp_delivery_call_over(d, call, is_committed ? SMTP_TARGET_STORED : SMTP_TARGET_FAILED,
                            is_committed ? vy_ok()
                                         : vy_error(VY_CODE_CONFLICT, "decided not to store"));
}

/* An account that was deleted or fenced since it took its copy has lost it. The others have theirs,
 * so that "no" would be wrong as well as "yes" (P3). */
static void released(struct smtp_delivery *d, struct smtp_delivery_call *call,
                     const struct delivery_end_reply *reply)
{
    for (size_t i = 0; i < reply->results_count; i++) {
        const size_t index = smtp_delivery_find(d, reply->results[i].account_id);
        if (index == SIZE_MAX || d->targets[index].result != SMTP_TARGET_PENDING) {
            continue;
        }
        const bool is_stored = reply->results[i].outcome == DELIVER_OUTCOME_STORED;
        d->targets[index].result = is_stored ? SMTP_TARGET_STORED : SMTP_TARGET_UNKNOWN;
        d->targets[index].err =
            is_stored ? vy_ok()
                      : vy_error(VY_CODE_STALE, "account changed while it took a message");
    }
    smtp_delivery_call_over(d, call, SMTP_TARGET_UNKNOWN,
                            vy_error(VY_CODE_INTERNAL, "release without results"));
}

void smtp_delivery_word_answered(struct smtp_delivery *d, struct smtp_delivery_call *call,
                                 struct vy_bytes reply)
{
    struct delivery_ask_reply ask = {.committed = false};
    struct delivery_end_reply end = {.results_count = 0};
    struct vy_arena scratch;
    vy_arena_init(&scratch, SMTP_DELIVERY_WINDOW_BYTES);
    const bool is_ask = call->kind == CALL_ASK;
    const struct vy_err err = is_ask
                                  ? vy_pb_decode(&delivery_ask_reply_desc, &scratch, reply, &ask)
                                  : vy_pb_decode(&delivery_end_reply_desc, &scratch, reply, &end);
    if (vy_failed(err)) {
        smtp_delivery_word_failed(d, call, err);
    } else if (is_ask) {
        asked(d, call, ask.committed);
    } else if (call->kind == CALL_RELEASE) {
        released(d, call, &end);
    } else {
        call->state = CALL_DONE;
    }
    vy_arena_deinit(&scratch);
}

void smtp_delivery_word_failed(struct smtp_delivery *d, struct smtp_delivery_call *call,
                               struct vy_err err)
{
    if (call->kind == CALL_DROP) {
        call->state = CALL_DONE; /* what is still held there is asked about, and goes */
        return;
    }
    if (call->kind == CALL_ASK) {
        d->word = SMTP_WORD_UNKNOWN;
    }
    smtp_delivery_call_over(d, call, SMTP_TARGET_UNKNOWN, err);
}

/* ---- phases ---- */

static bool is_everything_held(const struct smtp_delivery *d)
{
    for (size_t i = 1; i < d->calls_count; i++) {
        if (d->calls[i].state != CALL_HELD) {
            return false;
        }
    }
    return true;
}

static void release_all(struct smtp_delivery *d)
{
    d->phase = SMTP_DELIVERY_RELEASING;
    for (size_t i = 1; i < d->calls_count; i++) {
        smtp_delivery_call_next(&d->calls[i], CALL_RELEASE);
    }
}

/* Nothing will be stored. A group that may yet hold its copies is waited for, to drop them. */
static void drop_all(struct smtp_delivery *d)
{
    const bool is_late = d->phase == SMTP_DELIVERY_DROPPING;
    d->phase = SMTP_DELIVERY_DROPPING;
    for (size_t i = 0; i < d->calls_count; i++) {
        struct smtp_delivery_call *call = &d->calls[i];
        if (call->state == CALL_HELD) {
            smtp_delivery_call_next(call, CALL_DROP);
        } else if (!is_late && smtp_call_is_live(call) && call->state != CALL_SENT) {
            call->wants_cancel |= call->state == CALL_OPEN;
            call->state = CALL_DONE;
        }
    }
    for (size_t i = 0; i < d->targets_count; i++) {
        if (d->targets[i].result == SMTP_TARGET_PENDING) {
            d->targets[i].result = SMTP_TARGET_FAILED;
            d->targets[i].err = vy_error(VY_CODE_CANCELLED, "given up");
        }
    }
}

/* Decided, but nobody says how: neither may the client be told. */
static void leave_open(struct smtp_delivery *d)
{
    for (size_t i = 1; i < d->calls_count; i++) {
        if (d->calls[i].state == CALL_HELD) {
            smtp_delivery_call_over(d, &d->calls[i], SMTP_TARGET_UNKNOWN,
                                    vy_error(VY_CODE_UNKNOWN, "decision is not known"));
        }
    }
}

static void take_decision(struct smtp_delivery *d)
{
    if (d->calls[0].state != CALL_DONE) {
        return;
    }
    switch (d->word) {
    case SMTP_WORD_YES:
        release_all(d);
        return;
    case SMTP_WORD_UNKNOWN:
        leave_open(d);
        return;
    case SMTP_WORD_NONE: /* it failed, and certainly stored nothing */
    case SMTP_WORD_NO:
        drop_all(d);
        return;
    }
}

void smtp_delivery_advance(struct smtp_delivery *d)
{
    switch (d->phase) {
    case SMTP_DELIVERY_DIRECT:
        if (smtp_delivery_is_lost(d)) {
            smtp_delivery_cancel_unsent(d);
        }
        return;
    case SMTP_DELIVERY_HOLDING:
        if (smtp_delivery_is_lost(d)) {
            drop_all(d);
        } else if (is_everything_held(d)) {
            d->phase = SMTP_DELIVERY_DECIDING;
            take_decision(d);
        }
        return;
    case SMTP_DELIVERY_DECIDING:
        take_decision(d);
        return;
    case SMTP_DELIVERY_DROPPING:
        drop_all(d); /* one that was waited for holds now */
        return;
    case SMTP_DELIVERY_RELEASING:
        return;
    }
}
