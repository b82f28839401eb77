/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What delivery.c (groups, body, actions), delivery_result.c (answers) and delivery_split.c
 * (several groups, one decision) share. */
#include "frontend/smtp/delivery.h"

enum smtp_call_state {
    CALL_READY,  /* starts when there is something to send */
    CALL_OPEN,   /* the body goes out */
    CALL_SENT,   /* its end is out: the shard may have stored it */
    CALL_PAUSED, /* starts again at retry_at_ms */
    CALL_HELD,   /* the group holds its copies: waits for the decision */
    CALL_DONE
};

/* What is asked of the group. With several groups one call is after the other: HOLD, then RELEASE
 * or DROP; of the first group DECIDE, and ASK when its outcome is in doubt. */
enum smtp_call_kind { CALL_DELIVER, CALL_HOLD, CALL_DECIDE, CALL_ASK, CALL_RELEASE, CALL_DROP };

struct smtp_delivery_call {
    enum smtp_call_state state;
    enum smtp_call_kind kind;
    uint64_t id;
    uint64_t group;
    struct deliver_recipient *recipients; /* in the arena; refused ones are taken out */
    size_t recipients_count;
    struct message_deliver_request request;
    struct delivery_account *accounts; /* in the arena: those recipients, for `end` */
    struct delivery_end_request end;
    struct delivery_ask_request ask;
    uint64_t sent_bytes; /* of the body, from its beginning */
    size_t room_bytes;   /* may be sent */
    uint32_t round;      /* another set of recipients is another request: another key */
    uint32_t repeats;
    uint64_t retry_at_ms;
    bool is_in_doubt; /* an attempt may have been stored; only an answer under the same key tells */
    bool wants_cancel;
};

/* Index, or SIZE_MAX. */
size_t smtp_delivery_find(const struct smtp_delivery *d, uint64_t account_id);
/* One that the shell knows, or NULL. */
struct smtp_delivery_call *smtp_delivery_find_call(struct smtp_delivery *d, uint64_t call_id);
/* No more for this call; recipients without a result get this one. */
void smtp_delivery_call_over(struct smtp_delivery *d, struct smtp_delivery_call *call,
                             enum smtp_target_result result, struct vy_err err);
/* Ends the calls that cannot have stored anything: without the end of the body nothing is. */
void smtp_delivery_cancel_unsent(struct smtp_delivery *d);

/* ---- delivery_split.c ---- */
/* Makes the calls of several groups one delivery. @errors LIMIT arena full */
VY_CHECKED struct vy_err smtp_delivery_split(struct smtp_delivery *d);
/* Something has ended: goes on to the next phase, if it is time. */
void smtp_delivery_advance(struct smtp_delivery *d);
/* The call is to ask for, release or drop; fills the action. */
void smtp_delivery_start_word(struct smtp_delivery *d, struct smtp_delivery_call *call,
                              struct session_action *out);
/* The answer to one of these. */
void smtp_delivery_word_answered(struct smtp_delivery *d, struct smtp_delivery_call *call,
                                 struct vy_bytes reply);
/* It ended without an answer and is not repeated. */
void smtp_delivery_word_failed(struct smtp_delivery *d, struct smtp_delivery_call *call,
                               struct vy_err err);
/* The call starts anew as another kind. */
void smtp_delivery_call_next(struct smtp_delivery_call *call, enum smtp_call_kind kind);

static inline bool smtp_call_has_body(const struct smtp_delivery_call *call)
{
    return call->kind == CALL_DELIVER || call->kind == CALL_HOLD || call->kind == CALL_DECIDE;
}
static inline bool smtp_delivery_is_whole(const struct smtp_delivery *d)
{
    return d->body_base_bytes == 0;
}
static inline bool smtp_call_is_live(const struct smtp_delivery_call *call)
{
    return call->state != CALL_DONE;
}
