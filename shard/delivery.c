/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands of delivery: one message to several accounts of this group, stored at once for all of
 * them or for none (P2), and once (P3). When there are recipients in other groups too, those groups
 * hold their copies; this one decides by storing its own; then they let theirs out (design, section
 * 8).
 */
#include "base/assert.h"
#include "proto/shard.pb.h"
#include "shard/email_row.h"
#include "shard/once.h"

/* Where one recipient's copy goes, decided before anything is written. */
struct target {
    const struct new_delivery *delivery;
    struct fsm_account *account;
    struct box *box;
    bool is_known;          /* there already, as its result says: this copy is not wanted */
    bool is_ended;          /* and that is remembered under the delivery's id */
    uint64_t pending_bytes; /* of earlier recipients of this command in the same account */
    uint64_t pending_count;
};

/* The recipients of a command. */
struct plan {
    const struct new_delivery *recipients;
    size_t count;
    struct vy_bytes held_as;          /* delivery id of a hold; else empty */
    struct target *targets;           /* arena */
    struct recipient_result *results; /* arena; the command's */
};

static uint32_t outcome_of(enum shard_code code)
{
    switch (code) {
    case SHARD_CODE_DONE:
        return DELIVER_OUTCOME_STORED;
    case SHARD_CODE_QUOTA:
        return DELIVER_OUTCOME_OVER_QUOTA;
    case SHARD_CODE_NO_ACCOUNT:
    case SHARD_CODE_STALE:
        return DELIVER_OUTCOME_NO_ACCOUNT;
    case SHARD_CODE_NOT_FOUND:
    case SHARD_CODE_EXISTS:
    case SHARD_CODE_LIMIT:
    case SHARD_CODE_CONFLICT:
    case SHARD_CODE_PRECONDITION:
    case SHARD_CODE_NO_STAGE:
    case SHARD_CODE_NO_TARGET:
    case SHARD_CODE_NO_INIT:
    case SHARD_CODE_PENDING:
    case SHARD_CODE_DECIDED_NO:
        break;
    }
    return DELIVER_OUTCOME_REFUSED;
}

/* ---- held copies ---- */

static bool held_read(struct apply *apply, uint64_t account_id, struct vy_bytes delivery_id,
                      struct held_row *out)
{
    struct vy_bytes value;

    if (delivery_id.len != SHARD_DELIVERY_ID_BYTES) {
        return false;
    }
    const struct shard_key key = keys_id(account_id, delivery_id.data);
    if (!tx_get(apply->tx, SHARD_HELD, &key, &value)) {
        return false;
    }
    if (vy_failed(vy_pb_decode(&held_row_desc, apply->arena, value, out)) || out->version != 1 ||
        out->delivery == NULL || out->delivery->message == NULL ||
        out->delivery->message->email_id.len != SHARD_ID_BYTES) {
        tx_fail(apply->tx, vy_error(VY_CODE_CORRUPT, "read held copy"));
        return false;
    }
    return true;
}

bool held_is_of(struct apply *apply, uint64_t account_id, struct vy_bytes delivery_id,
                struct vy_bytes email_id)
{
    struct held_row row;

    return held_read(apply, account_id, delivery_id, &row) &&
           vy_bytes_equal(row.delivery->message->email_id, email_id);
}

/* ---- checks ---- */

static struct box *delivery_box(struct apply *apply, const struct fsm_account *account,
                                struct vy_bytes hash)
{
    struct box *box = NULL;

    if (hash.len == SHARD_HASH_BYTES) {
        box = apply_find_box(apply, account->account_id, hash);
    }
    /* A mailbox that went away meanwhile: mail is not lost for it. */
    if (box == NULL || box->row.no_select) {
        box = apply_open_box(apply, account->account_id, account->row.inbox_id);
    }
    return box;
}

static enum shard_code check_new(struct apply *apply, const struct plan *plan, size_t index)
{
    struct target *target = &plan->targets[index];
    const struct new_delivery *delivery = target->delivery;

    target->box = delivery_box(apply, target->account, delivery->name_hash);
    if (target->box == NULL) {
        return SHARD_CODE_NO_ACCOUNT;
    }
    const enum shard_code code = message_check(apply, delivery->account_id, delivery->message);
    if (code != SHARD_CODE_DONE) {
        return code;
    }
    for (size_t i = 0; i < index; i++) {
        if (plan->targets[i].account == target->account) {
            target->pending_bytes = plan->targets[i].pending_bytes;
            target->pending_count = plan->targets[i].pending_count;
        }
    }
    /* An account holds one copy of a delivery: their names are its id. */
    if (plan->held_as.len > 0 && target->pending_count > 0) {
        return SHARD_CODE_PRECONDITION;
    }
    target->pending_bytes += delivery->message->size_bytes;
    target->pending_count++;
    return message_check_room(target->account, target->box, target->pending_count,
                              target->pending_bytes);
}

/* Held by an earlier command of this delivery, or even ended since? */
static bool find_held(struct apply *apply, const struct plan *plan, struct target *target,
                      struct recipient_result *result)
{
    const uint64_t account_id = target->delivery->account_id;
    struct held_row row;

    if (plan->held_as.len == 0) {
        return false;
    }
    target->is_ended = once_find_end(apply, account_id, plan->held_as, result);
    if (target->is_ended) {
        return true;
    }
    if (!held_read(apply, account_id, plan->held_as, &row)) {
        return false;
    }
    target->is_ended = true; /* nothing is to be noted */
    result->outcome = DELIVER_OUTCOME_HELD;
    result->email_id = row.delivery->message->email_id;
    return true;
}

static enum shard_code check_target(struct apply *apply, const struct plan *plan, size_t index)
{
    struct target *target = &plan->targets[index];
    struct recipient_result *result = &plan->results[index];
    const struct new_delivery *delivery = &plan->recipients[index];

    target->delivery = delivery;
    result->account_id = delivery->account_id;
    const enum shard_code code =
        apply_open_account(apply, delivery->account_id, delivery->account_epoch, &target->account);
    /* What an earlier attempt has stored is answered to a later one, a newer epoch or not. */
    if (code != SHARD_CODE_DONE && code != SHARD_CODE_STALE) {
        return code;
    }
    target->is_known = find_held(apply, plan, target, result);
    if (target->is_known) {
        return SHARD_CODE_DONE;
    }
    switch (once_find_copy(apply, delivery->account_id, delivery->retry_token, result)) {
    case ONCE_COPY_NEW:
        break;
    case ONCE_COPY_HELD: /* an earlier attempt; it is not decided what becomes of it */
        return SHARD_CODE_PENDING;
    case ONCE_COPY_STORED:
        target->is_known = true;
        return SHARD_CODE_DONE;
    }
    return code == SHARD_CODE_DONE ? check_new(apply, plan, index) : code;
}

/* Nothing is stored unless all can be (P2); the outcomes say who refused. */
static enum shard_code check_plan(struct apply *apply, struct plan *plan)
{
    enum shard_code refusal = SHARD_CODE_DONE;

    if (plan->count == 0 || plan->count > SHARD_RECIPIENTS_MAX) {
        return SHARD_CODE_LIMIT;
    }
    plan->targets = VY_ARENA_ARRAY(apply->arena, plan->count, struct target);
    plan->results = VY_ARENA_ARRAY(apply->arena, plan->count, struct recipient_result);
    apply->unused = VY_ARENA_ARRAY(apply->arena, plan->count, const struct new_delivery *);
    if (plan->targets == NULL || plan->results == NULL || apply->unused == NULL) {
        tx_fail(apply->tx, vy_error(VY_CODE_NOMEM, "check delivery"));
        return SHARD_CODE_LIMIT;
    }
    apply->result->recipients = plan->results;
    apply->result->recipients_count = plan->count;
    for (size_t i = 0; i < plan->count; i++) {
        const enum shard_code code = check_target(apply, plan, i);
        /* What is there already, or pending, has said so itself. */
        if (!plan->targets[i].is_known && code != SHARD_CODE_PENDING) {
            plan->results[i].outcome = outcome_of(code);
        }
        if (refusal == SHARD_CODE_DONE || code == SHARD_CODE_PENDING) {
            refusal = code;
        }
    }
    return refusal;
}

/* A copy that is there already: the body that came with this one goes, if it came. */
static void leave_unused(struct apply *apply, const struct new_delivery *delivery,
                         struct vy_bytes known_email_id)
{
    const struct new_message *message = delivery->message;

    if (message != NULL && message->email_id.len == SHARD_ID_BYTES &&
        !vy_bytes_equal(message->email_id, known_email_id)) {
        apply->unused[apply->unused_count++] = delivery;
    }
}

/* ---- deliver ---- */

static void store_copy(struct apply *apply, const struct new_delivery *delivery,
                       struct fsm_account *account, struct box *box,
                       struct recipient_result *result)
{
    struct uid_ranges uids;

    /* Two recipients may share a mailbox, and a modseq names one change record of it: each gets its
     * own. */
    account->modseq = 0;
    result->account_id = account->account_id;
    result->outcome = DELIVER_OUTCOME_STORED;
    result->uid = message_store(apply, account, box, delivery->message);
    result->email_id = delivery->message->email_id;
    uids_init(&uids, apply->arena);
    uids_add(&uids, result->uid);
    message_note_added(apply, account, box, &uids);
}

/* It was decided under another key of the caller: all of its copies are stored. */
static enum shard_code answer_decided(struct apply *apply, const struct cmd_deliver *cmd)
{
    struct plan plan = {.recipients = cmd->recipients, .count = cmd->recipients_count};
    const enum shard_code code = check_plan(apply, &plan);

    if (plan.results == NULL) {
        return code;
    }
    for (size_t i = 0; i < plan.count; i++) {
        if (plan.targets[i].is_known) {
            leave_unused(apply, plan.targets[i].delivery, plan.results[i].email_id);
        } else {
            plan.results[i].outcome = DELIVER_OUTCOME_STORED;
            leave_unused(apply, plan.targets[i].delivery, vy_bytes(NULL, 0));
        }
    }
    return SHARD_CODE_DONE;
}

static enum once_decision decision_before(struct apply *apply, const struct cmd_deliver *cmd)
{
    return cmd->delivery_id.len == SHARD_DELIVERY_ID_BYTES
               ? once_find_decision(apply, cmd->delivery_id)
               : ONCE_UNDECIDED;
}

enum shard_code fsm_deliver(struct apply *apply)
{
    const struct cmd_deliver *cmd = apply->command->deliver;
    struct plan plan = {.recipients = cmd->recipients, .count = cmd->recipients_count};
    const enum once_decision before = decision_before(apply, cmd);

    if (before != ONCE_UNDECIDED) {
        return before == ONCE_YES ? answer_decided(apply, cmd) : SHARD_CODE_DECIDED_NO;
    }
    const enum shard_code code = check_plan(apply, &plan);
    if (code != SHARD_CODE_DONE) {
        return code;
    }
    for (size_t i = 0; i < plan.count; i++) {
        const struct target *target = &plan.targets[i];
        if (target->is_known) {
            leave_unused(apply, target->delivery, plan.results[i].email_id);
            continue;
        }
        store_copy(apply, target->delivery, target->account, target->box, &plan.results[i]);
        once_note_stored(apply, target->delivery->retry_token, &plan.results[i],
                         cmd->retry_keep_ms);
    }
    if (cmd->delivery_id.len == SHARD_DELIVERY_ID_BYTES) {
        once_decide(apply, cmd->delivery_id, ONCE_YES, cmd->decision_keep_ms);
    }
    return SHARD_CODE_DONE;
}

enum shard_code fsm_decide(struct apply *apply)
{
    const struct cmd_decide *cmd = apply->command->decide;

    if (cmd->delivery_id.len != SHARD_DELIVERY_ID_BYTES) {
        return SHARD_CODE_PRECONDITION;
    }
    const enum once_decision decision = once_find_decision(apply, cmd->delivery_id);
    if (decision == ONCE_UNDECIDED) {
        once_decide(apply, cmd->delivery_id, ONCE_NO, cmd->keep_ms);
    }
    apply->result->committed = decision == ONCE_YES;
    return SHARD_CODE_DONE;
}

/* ---- hold ---- */

static void hold_copy(struct apply *apply, const struct cmd_hold *cmd, const struct target *target,
                      struct recipient_result *result)
{
    const struct new_delivery *delivery = target->delivery;
    const struct new_message *message = delivery->message;
    const struct held_row row = {
        .version = 1,
        .decider_group = cmd->decider_group,
        .ask_at_ms = apply->time_ms + VY_MIN(cmd->ask_after_ms, (uint64_t)SHARD_KEEP_MS_MAX),
        .expires_ms = apply->time_ms + VY_MIN(cmd->keep_ms, (uint64_t)SHARD_KEEP_MS_MAX),
        .retry_keep_ms = cmd->retry_keep_ms,
        .delivery = delivery,
    };
    const struct shard_key key = keys_id(delivery->account_id, cmd->delivery_id.data);
    VY_CLEANUP(vy_buf_deinit) struct vy_buf value;

    vy_buf_init(&value, SHARD_COMMAND_BYTES_MAX);
    if (vy_failed(vy_pb_encode(&held_row_desc, &row, &value))) {
        tx_fail(apply->tx, vy_error(VY_CODE_NOMEM, "encode held copy"));
        return;
    }
    tx_put(apply->tx, SHARD_HELD, &key, vy_buf_bytes(&value));
    if (message->staged) { /* its chunks are the held copy's now */
        const struct shard_key stage = keys_id(delivery->account_id, message->email_id.data);
        tx_delete(apply->tx, SHARD_STAGE, &stage);
    }
    target->account->row.held_bytes += message->size_bytes;
    target->account->row.held_count++;
    apply_touch_account(target->account);
    once_note_held(apply, delivery->account_id, delivery->retry_token, cmd->delivery_id,
                   row.expires_ms);
    result->outcome = DELIVER_OUTCOME_HELD;
    result->email_id = message->email_id;
}

enum shard_code fsm_hold(struct apply *apply)
{
    const struct cmd_hold *cmd = apply->command->hold;
    struct plan plan = {
        .recipients = cmd->recipients, .count = cmd->recipients_count, .held_as = cmd->delivery_id};

    if (cmd->delivery_id.len != SHARD_DELIVERY_ID_BYTES) {
        return SHARD_CODE_PRECONDITION;
    }
    const enum shard_code code = check_plan(apply, &plan);
    if (code != SHARD_CODE_DONE) {
        return code;
    }
    for (size_t i = 0; i < plan.count; i++) {
        const struct target *target = &plan.targets[i];
        if (!target->is_known) {
            hold_copy(apply, cmd, target, &plan.results[i]);
            continue;
        }
        leave_unused(apply, target->delivery, plan.results[i].email_id);
        if (!target->is_ended) { /* a retry of what is stored: its end is known beforehand */
            once_note_end(apply, cmd->delivery_id, &plan.results[i], cmd->keep_ms);
        }
    }
    return SHARD_CODE_DONE;
}

/* ---- the end of held copies ---- */

static void let_go(struct apply *apply, struct fsm_account *account, struct vy_bytes delivery_id,
                   const struct new_message *message)
{
    const struct shard_key key = keys_id(account->account_id, delivery_id.data);

    tx_delete(apply->tx, SHARD_HELD, &key);
    account->row.held_bytes -= VY_MIN(account->row.held_bytes, message->size_bytes);
    account->row.held_count -= VY_MIN(account->row.held_count, (uint64_t)1);
    apply_touch_account(account);
}

/* NULL: the account is not what it was when it took the copy; who was asked to keep it is gone. */
static struct box *box_of_held(struct apply *apply, const struct fsm_account *account,
                               const struct new_delivery *delivery)
{
    if (account->row.erased || account->row.inbox_id == 0 ||
        delivery->account_epoch < account->row.epoch) {
        return NULL;
    }
    return delivery_box(apply, account, delivery->name_hash);
}

static void end_copy(struct apply *apply, const struct cmd_held_end *cmd,
                     struct recipient_result *result)
{
    struct fsm_account *account = apply_find_account(apply, result->account_id);
    struct held_row row;

    result->outcome = DELIVER_OUTCOME_NO_ACCOUNT;
    if (account == NULL || !account->exists ||
        (cmd->commit && once_find_end(apply, result->account_id, cmd->delivery_id, result)) ||
        !held_read(apply, result->account_id, cmd->delivery_id, &row)) {
        return;
    }
    struct new_message message = *row.delivery->message;
    struct new_delivery delivery = *row.delivery;
    struct box *box = cmd->commit ? box_of_held(apply, account, &delivery) : NULL;
    message.staged = false;
    delivery.message = &message;
    let_go(apply, account, cmd->delivery_id, &message);
    if (box == NULL) {
        body_rows_drop(apply, account->account_id, &message);
        once_forget_held(apply, account->account_id, delivery.retry_token);
        return;
    }
    store_copy(apply, &delivery, account, box, result);
    once_note_stored(apply, delivery.retry_token, result, row.retry_keep_ms);
    once_note_end(apply, cmd->delivery_id, result, cmd->keep_ms);
}

enum shard_code fsm_held_end(struct apply *apply)
{
    const struct cmd_held_end *cmd = apply->command->held_end;

    if (cmd->delivery_id.len != SHARD_DELIVERY_ID_BYTES) {
        return SHARD_CODE_PRECONDITION;
    }
    if (cmd->copies_count > SHARD_RECIPIENTS_MAX) {
        return SHARD_CODE_LIMIT;
    }
    struct recipient_result *results =
        VY_ARENA_ARRAY(apply->arena, cmd->copies_count, struct recipient_result);
    if (results == NULL) {
        tx_fail(apply->tx, vy_error(VY_CODE_NOMEM, "end held copies"));
        return SHARD_CODE_LIMIT;
    }
    apply->result->recipients = results;
    apply->result->recipients_count = cmd->copies_count;
    for (size_t i = 0; i < cmd->copies_count; i++) {
        results[i].account_id = cmd->copies[i].account_id;
        end_copy(apply, cmd, &results[i]);
    }
    return SHARD_CODE_DONE;
}
