/* SPDX-License-Identifier: Apache-2.0 */
#include "frontend/smtp/delivery.h"

#include "base/assert.h"
#include "frontend/smtp/delivery_private.h"
#include <openssl/sha.h>

void smtp_delivery_init(struct smtp_delivery *d, struct vy_arena *arena, uint64_t seed)
{
    *d = (struct smtp_delivery){.arena = arena};
    vy_map_init(&d->by_account, seed);
    vy_buf_init(&d->body, 2U * SMTP_DELIVERY_WINDOW_BYTES);
}

void smtp_delivery_deinit(struct smtp_delivery *d)
{
    vy_map_deinit(&d->by_account);
    vy_buf_deinit(&d->body);
}

/* ---- targets and their groups ---- */

static struct vy_err grow_targets(struct smtp_delivery *d)
{
    const size_t capacity = d->targets_capacity == 0 ? 8 : d->targets_capacity * 2;
    struct smtp_target *targets = VY_ARENA_ARRAY(d->arena, capacity, struct smtp_target);
    if (targets == NULL) {
        return vy_error(VY_CODE_LIMIT, "recipients of a message");
    }
    if (d->targets_count > 0) {
        memcpy(targets, d->targets, d->targets_count * sizeof(*targets));
    }
    d->targets = targets;
    d->targets_capacity = capacity;
    return vy_ok();
}

/* The map keeps 1 + index: the array moves when it grows. */
size_t smtp_delivery_find(const struct smtp_delivery *d, uint64_t account_id)
{
    const uintptr_t found = (uintptr_t)vy_map_get(&d->by_account, account_id);
    return found == 0 ? SIZE_MAX : (size_t)found - 1;
}

struct vy_err smtp_delivery_add(struct smtp_delivery *d, const struct smtp_target *target,
                                uint32_t *index)
{
    const size_t found = smtp_delivery_find(d, target->account_id);
    if (found != SIZE_MAX) {
        *index = (uint32_t)found;
        return vy_ok();
    }
    if (d->targets_count == d->targets_capacity) {
        VY_TRY(grow_targets(d));
    }
    VY_TRY(vy_map_put(&d->by_account, target->account_id, (void *)(d->targets_count + 1)));
    d->targets[d->targets_count] = *target;
    *index = (uint32_t)d->targets_count++;
    return vy_ok();
}

void smtp_delivery_take_back(struct smtp_delivery *d, size_t count)
{
    while (d->targets_count > count) {
        d->targets_count--;
        (void)vy_map_remove(&d->by_account, d->targets[d->targets_count].account_id);
    }
}

static struct smtp_delivery_call *call_of_group(struct smtp_delivery *d, uint64_t group)
{
    for (size_t i = 0; i < d->calls_count; i++) {
        if (d->calls[i].group == group) {
            return &d->calls[i];
        }
    }
    struct smtp_delivery_call *call = &d->calls[d->calls_count++];
    call->group = group;
    return call;
}

/* One call for each group, with room for all of its recipients. */
static struct vy_err make_calls(struct smtp_delivery *d)
{
    size_t groups_max = 0;
    for (size_t i = 0; i < d->targets_count; i++) {
        groups_max += i == 0 || d->targets[i].group != d->targets[i - 1].group;
    }
    d->calls_count = 0;
    d->calls = VY_ARENA_ARRAY(d->arena, groups_max, struct smtp_delivery_call);
    if (d->calls == NULL) {
        return vy_error(VY_CODE_LIMIT, "groups of a message");
    }
    for (size_t i = 0; i < d->targets_count; i++) {
        call_of_group(d, d->targets[i].group)->recipients_count++;
    }
    for (size_t i = 0; i < d->calls_count; i++) {
        struct smtp_delivery_call *call = &d->calls[i];
        call->recipients =
            VY_ARENA_ARRAY(d->arena, call->recipients_count, struct deliver_recipient);
        if (call->recipients == NULL) {
            return vy_error(VY_CODE_LIMIT, "recipients of a message");
        }
        call->recipients_count = 0;
    }
    return vy_ok();
}

struct vy_err smtp_delivery_begin(struct smtp_delivery *d, const struct smtp_delivery_plan *plan)
{
    VY_ASSERT(d->targets_count > 0 && !d->is_begun);
    d->plan = *plan;
    VY_TRY(make_calls(d));
    for (size_t i = 0; i < d->targets_count; i++) {
        const struct smtp_target *target = &d->targets[i];
        struct smtp_delivery_call *call = call_of_group(d, target->group);
        call->recipients[call->recipients_count++] =
            (struct deliver_recipient){.account_id = target->account_id,
                                       .account_epoch = target->account_epoch,
                                       .address = target->address};
    }
    d->is_begun = true;
    return d->calls_count > 1 && !d->plan.is_per_recipient ? smtp_delivery_split(d) : vy_ok();
}

/* ---- the body ---- */

static uint64_t body_end(const struct smtp_delivery *d)
{
    return d->body_base_bytes + vy_buf_len(&d->body);
}

void smtp_delivery_trim(struct smtp_delivery *d)
{
    if (smtp_delivery_is_whole(d) && vy_buf_len(&d->body) < SMTP_DELIVERY_WINDOW_BYTES) {
        return; /* kept for repeats */
    }
    uint64_t least = body_end(d);
    for (size_t i = 0; i < d->calls_count; i++) {
        if (smtp_call_is_live(&d->calls[i]) && smtp_call_has_body(&d->calls[i])) {
            least = VY_MIN(least, d->calls[i].sent_bytes);
        }
    }
    VY_ASSERT(least >= d->body_base_bytes);
    vy_buf_consume(&d->body, (size_t)(least - d->body_base_bytes));
    d->body_base_bytes = least;
}

void smtp_delivery_body_over(struct smtp_delivery *d, uint64_t now_ms)
{
    d->is_body_over = true;
    d->commit_deadline_ms = now_ms + d->plan.commit_ms;
}

/* ---- calls ---- */

struct smtp_delivery_call *smtp_delivery_find_call(struct smtp_delivery *d, uint64_t call_id)
{
    for (size_t i = 0; i < d->calls_count; i++) {
        struct smtp_delivery_call *call = &d->calls[i];
        if (call->id == call_id && (call->state == CALL_OPEN || call->state == CALL_SENT)) {
            return call;
        }
    }
    return NULL;
}

bool smtp_delivery_writable(struct smtp_delivery *d, uint64_t call_id, size_t bytes)
{
    struct smtp_delivery_call *call = smtp_delivery_find_call(d, call_id);
    if (call != NULL) {
        call->room_bytes += bytes;
    }
    return call != NULL;
}

void smtp_delivery_cancel_unsent(struct smtp_delivery *d)
{
    for (size_t i = 0; i < d->calls_count; i++) {
        struct smtp_delivery_call *call = &d->calls[i];
        if (smtp_call_is_live(call) && call->state != CALL_SENT && call->state != CALL_HELD &&
            !call->is_in_doubt) {
            call->wants_cancel = call->state == CALL_OPEN;
            smtp_delivery_call_over(d, call, SMTP_TARGET_FAILED,
                                    vy_error(VY_CODE_CANCELLED, "given up"));
        }
    }
}

void smtp_delivery_give_up(struct smtp_delivery *d)
{
    VY_ASSERT(!d->is_body_over);
    d->is_given_up = true;
    smtp_delivery_cancel_unsent(d);
    vy_buf_reset(&d->body);
    vy_buf_release(&d->body);
}

void smtp_delivery_list_open(const struct smtp_delivery *d, struct vy_buf *ids)
{
    for (size_t i = 0; i < d->calls_count; i++) {
        const struct smtp_delivery_call *call = &d->calls[i];
        if (call->state == CALL_OPEN || call->state == CALL_SENT || call->wants_cancel) {
            vy_buf_append_be64(ids, call->id);
        }
    }
}

/* No time is left. Without a decision nothing held is ever stored, so that only the deciding call
 * leaves a doubt. */
static void end_late(struct smtp_delivery *d, struct smtp_delivery_call *call)
{
    const struct vy_err err = vy_error(VY_CODE_UNAVAILABLE, "no answer in time");
    if (!smtp_call_has_body(call)) {
        smtp_delivery_word_failed(d, call, err);
        return;
    }
    if (call->state == CALL_HELD) {
        smtp_delivery_call_over(
            d, call, d->word == SMTP_WORD_UNKNOWN ? SMTP_TARGET_UNKNOWN : SMTP_TARGET_FAILED, err);
        return;
    }
    const bool is_unknown = call->is_in_doubt && call->kind != CALL_HOLD;
    if (is_unknown && call->kind == CALL_DECIDE) {
        d->word = SMTP_WORD_UNKNOWN;
    }
    smtp_delivery_call_over(d, call, is_unknown ? SMTP_TARGET_UNKNOWN : SMTP_TARGET_FAILED, err);
}

void smtp_delivery_tick(struct smtp_delivery *d, uint64_t now_ms)
{
    for (size_t i = 0; i < d->calls_count; i++) {
        struct smtp_delivery_call *call = &d->calls[i];
        if (call->state == CALL_PAUSED && now_ms >= call->retry_at_ms) {
            call->state = CALL_READY;
        }
        if (d->is_body_over && now_ms >= d->commit_deadline_ms && smtp_call_is_live(call)) {
            call->wants_cancel = call->state == CALL_OPEN || call->state == CALL_SENT;
            call->is_in_doubt |= call->state == CALL_SENT;
            end_late(d, call);
        }
    }
    smtp_delivery_advance(d);
}

uint64_t smtp_delivery_wake_ms(const struct smtp_delivery *d)
{
    uint64_t wake = UINT64_MAX;
    for (size_t i = 0; i < d->calls_count; i++) {
        if (d->calls[i].state == CALL_PAUSED) {
            wake = VY_MIN(wake, d->calls[i].retry_at_ms);
        }
    }
    return d->is_body_over ? VY_MIN(wake, d->commit_deadline_ms) : wake;
}

bool smtp_delivery_is_finished(const struct smtp_delivery *d)
{
    for (size_t i = 0; i < d->calls_count; i++) {
        if (smtp_call_is_live(&d->calls[i])) {
            return false;
        }
    }
    return true;
}

bool smtp_delivery_is_lost(const struct smtp_delivery *d)
{
    size_t bad = 0;
    for (size_t i = 0; i < d->targets_count; i++) {
        bad += d->targets[i].result != SMTP_TARGET_PENDING &&
               d->targets[i].result != SMTP_TARGET_STORED;
    }
    return d->plan.is_per_recipient ? bad == d->targets_count : bad > 0;
}

/* ---- actions ---- */

static void put_key(const struct smtp_delivery *d, const struct smtp_delivery_call *call,
                    uint8_t key[16])
{
    static const char label[] = "volary smtp delivery";
    uint8_t source[sizeof(label) + 8 * sizeof(uint64_t)] = {0};
    uint8_t digest[SHA256_DIGEST_LENGTH];
    const uint64_t numbers[] = {d->plan.seed[0], d->plan.seed[1], d->plan.seed[2], d->plan.seed[3],
                                d->plan.serial,  call->group,     call->round,     call->kind};
    memcpy(source, label, sizeof(label));
    for (size_t i = 0; i < VY_COUNT_OF(numbers); i++) {
        vy_put_be64(source + sizeof(label) + i * sizeof(uint64_t), numbers[i]);
    }
    (void)SHA256(source, sizeof(source), digest);
    memcpy(key, digest, 16);
}

static uint32_t call_deadline_ms(const struct smtp_delivery *d, uint64_t now_ms)
{
    const uint64_t end =
        d->is_body_over ? d->commit_deadline_ms : d->plan.body_deadline_ms + d->plan.commit_ms;
    return end > now_ms ? (uint32_t)VY_MIN(end - now_ms, (uint64_t)UINT32_MAX) : 1;
}

static void start_body(struct smtp_delivery *d, struct smtp_delivery_call *call,
                       struct session_action *out)
{
    const bool is_split = call->kind != CALL_DELIVER;
    call->state = CALL_OPEN;
    call->sent_bytes = 0;
    call->room_bytes = 0;
    call->request = (struct message_deliver_request){
        .recipients_count = call->recipients_count,
        .recipients = call->recipients,
        .reverse_path = d->plan.reverse_path,
        .size_bytes = d->is_body_over ? body_end(d) : 0,
        .trace_headers = d->plan.trace_headers,
        .retry_scope = d->plan.retry_scope,
        .delivery_id =
            is_split ? vy_bytes(d->delivery_id, sizeof(d->delivery_id)) : vy_bytes(NULL, 0),
        .hold = call->kind == CALL_HOLD,
        .decider_group = call->kind == CALL_HOLD ? d->calls[0].group : 0,
        .hold_ms = call->kind == CALL_HOLD ? SMTP_DELIVERY_HOLD_MS : 0,
    };
    out->method = METHOD_SHARD_MESSAGE_DELIVER;
    out->request_desc = &message_deliver_request_desc;
    out->request = &call->request;
}

static void start_call(struct smtp_delivery *d, struct smtp_delivery_call *call, uint64_t call_id,
                       uint64_t now_ms, struct session_action *out)
{
    call->id = call_id;
    *out = (struct session_action){
        .kind = SESSION_CALL,
        .call_id = call_id,
        .target = SESSION_TO_SHARD,
        .account_id = call->recipients[0].account_id,
        .deadline_ms = call_deadline_ms(d, now_ms),
        .is_write = true,
        .has_key = true,
    };
    if (smtp_call_has_body(call)) {
        start_body(d, call, out);
    } else {
        smtp_delivery_start_word(d, call, out);
    }
    put_key(d, call, out->idempotency_key);
}

/* Without its end a message is not stored: the deciding group gets it last. */
static bool may_end(const struct smtp_delivery *d, const struct smtp_delivery_call *call)
{
    return d->is_body_over && (call->kind != CALL_DECIDE || d->phase == SMTP_DELIVERY_DECIDING);
}

static bool send_body(struct smtp_delivery *d, struct smtp_delivery_call *call,
                      struct session_action *out)
{
    const uint64_t left = body_end(d) - call->sent_bytes;
    if (left == 0 && may_end(d, call)) {
        call->state = CALL_SENT;
        *out = (struct session_action){.kind = SESSION_CALL_END, .call_id = call->id};
        return true;
    }
    const size_t len =
        (size_t)VY_MIN(left, (uint64_t)VY_MIN(call->room_bytes, (size_t)SMTP_DELIVERY_SEND_BYTES));
    if (len == 0) {
        return false;
    }
    const size_t at = (size_t)(call->sent_bytes - d->body_base_bytes);
    *out = (struct session_action){.kind = SESSION_CALL_SEND,
                                   .call_id = call->id,
                                   .bytes = vy_bytes_slice(vy_buf_bytes(&d->body), at, len)};
    call->sent_bytes += len;
    call->room_bytes -= len;
    return true;
}

static bool may_start(const struct smtp_delivery *d)
{
    return !d->is_given_up && (d->is_body_over || body_end(d) >= SMTP_DELIVERY_BEGIN_BYTES);
}

bool smtp_delivery_next_action(struct smtp_delivery *d, uint64_t *next_call_id, uint64_t now_ms,
                               struct session_action *out)
{
    for (size_t i = 0; i < d->calls_count; i++) {
        struct smtp_delivery_call *call = &d->calls[i];
        if (call->wants_cancel) {
            call->wants_cancel = false;
            *out = (struct session_action){.kind = SESSION_CALL_CANCEL, .call_id = call->id};
            return true;
        }
        if (call->state == CALL_READY && (may_start(d) || !smtp_call_has_body(call))) {
            start_call(d, call, (*next_call_id)++, now_ms, out);
            return true;
        }
        if (call->state == CALL_OPEN && send_body(d, call, out)) {
            return true;
        }
    }
    return false;
}
