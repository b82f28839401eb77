/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * One message on its way to the shards: a SHARD_MESSAGE_DELIVER call for each group of its
 * recipients, all fed from one buffer, the slowest governs. While the whole message still lies in
 * the buffer a call whose outcome is unknown is repeated under the same key, which stores one copy;
 * later a lost call cannot be repeated, and the client is left without an answer (P3).
 *
 * In LMTP a recipient that is refused does not refuse the others: the group is asked once more
 * without it. A group stores all or nothing (proto/shard.proto).
 *
 * The key lives as long as the session. A client's own retry on a new connection (P3) is known to
 * the group, by Message-ID, envelope and bytes (docs/decisions/0006-client-retries.md).
 *
 * In SMTP a message for several groups is stored by all of them or by none (P2; design section 8).
 * All groups but that of the first recipient hold their copies, durable and unseen. Then the first
 * group is sent the end of the message: by storing its own copies it decides, under the id of the
 * delivery. Then the others let theirs out, and the client hears 250. When the first group's answer
 * stays out it is asked; when that has no answer either, the groups settle it among themselves, and
 * the client is left without an answer. In LMTP each recipient has its own answer and nothing needs
 * to be decided for all.
 */
#include "base/map.h"
#include "frontend/session.h"
#include "proto/shard.pb.h"

/* Up to here a message is kept whole, for repeats. Also the most that lies in the buffer. */
#define SMTP_DELIVERY_WINDOW_BYTES (256U * 1024U)
/* A message that is not complete yet is begun at a shard only from here on: a client that is slow
 * or goes away costs the shards nothing. */
#define SMTP_DELIVERY_BEGIN_BYTES (64U * 1024U)
#define SMTP_DELIVERY_SEND_BYTES (64U * 1024U) /* a CALL_SEND at most */
#define SMTP_DELIVERY_BACKOFF_MS 50U           /* doubled up to ... */
#define SMTP_DELIVERY_BACKOFF_MS_MAX                                                               \
    200U /* a refusal is cheap, a new leader leads within a second */
/* A group that holds copies for so long without a word asks the deciding group. Longer than a group
 * takes to elect a leader. */
#define SMTP_DELIVERY_HOLD_MS 15000U
#define SMTP_DELIVERY_ID_BYTES 16U

enum smtp_target_result {
    SMTP_TARGET_PENDING,
    SMTP_TARGET_STORED,
    SMTP_TARGET_OVER_QUOTA,
    SMTP_TARGET_NO_ACCOUNT, /* gone, or changed since RCPT: the client may ask again */
    SMTP_TARGET_REFUSED,
    SMTP_TARGET_FAILED, /* `err`; not stored */
    SMTP_TARGET_UNKNOWN /* stored or not: nobody may say */
};

/* An account that gets a copy. */
struct smtp_target {
    uint64_t account_id;
    uint64_t account_epoch;
    uint64_t group;
    struct vy_bytes address; /* for Delivered-To */
    enum smtp_target_result result;
    struct vy_err err;
};

struct smtp_delivery_call; /* delivery_private.h */

enum smtp_delivery_phase {
    SMTP_DELIVERY_DIRECT,    /* one group, or each by itself */
    SMTP_DELIVERY_HOLDING,   /* several: all but the first take the message */
    SMTP_DELIVERY_DECIDING,  /* the first has the end of it, too */
    SMTP_DELIVERY_RELEASING, /* it was stored there */
    SMTP_DELIVERY_DROPPING   /* it will never be */
};
enum smtp_delivery_word { SMTP_WORD_NONE, SMTP_WORD_YES, SMTP_WORD_NO, SMTP_WORD_UNKNOWN };

struct smtp_delivery_plan {
    bool is_per_recipient; /* LMTP */
    struct vy_bytes reverse_path;
    struct vy_bytes trace_headers;
    struct vy_bytes retry_scope; /* who sends: only that sender's retry is one (P3) */
    uint64_t body_deadline_ms;   /* monotonic: when the body must be there */
    uint32_t commit_ms;          /* from the end of the body */
    uint64_t seed[4];            /* of the session, and ... */
    uint64_t serial;             /* ... of the message in it: the idempotency key's source */
};

struct smtp_delivery {
    struct vy_arena *arena; /* of the transaction; borrowed */
    struct smtp_delivery_plan plan;
    struct smtp_target *targets; /* in arena */
    size_t targets_count;
    size_t targets_capacity;
    struct vy_map by_account; /* account id -> target */
    struct smtp_delivery_call *calls;
    size_t calls_count;
    enum smtp_delivery_phase phase;
    enum smtp_delivery_word word; /* of the deciding group */
    uint8_t delivery_id[SMTP_DELIVERY_ID_BYTES];
    struct vy_buf body;
    uint64_t body_base_bytes; /* that have left the buffer */
    bool is_begun;
    bool is_body_over;
    bool is_given_up; /* nothing more is sent */
    uint64_t commit_deadline_ms;
};

void smtp_delivery_init(struct smtp_delivery *d, struct vy_arena *arena, uint64_t seed);
void smtp_delivery_deinit(struct smtp_delivery *d);
/* An account of a recipient; one that is there already is not added again (S11).
 * @errors  LIMIT arena full */
VY_CHECKED struct vy_err smtp_delivery_add(struct smtp_delivery *d,
                                           const struct smtp_target *target, uint32_t *index);
/* Forgets the targets behind the first `count`. */
void smtp_delivery_take_back(struct smtp_delivery *d, size_t count);
/* Groups the targets. Bytes for d->body may be appended from now on, up to
 * SMTP_DELIVERY_WINDOW_BYTES and one step of the parser.
 * @errors  LIMIT arena full */
VY_CHECKED struct vy_err smtp_delivery_begin(struct smtp_delivery *d,
                                             const struct smtp_delivery_plan *plan);
/* Makes room if there is any to be made. */
void smtp_delivery_trim(struct smtp_delivery *d);
void smtp_delivery_body_over(struct smtp_delivery *d, uint64_t now_ms);
/* The message is not wanted any more: calls are cancelled before their end was sent, so that they
 * leave nothing. Not once the body is over. */
void smtp_delivery_give_up(struct smtp_delivery *d);
/* The transaction ends: appends the ids of calls that the shell still knows, big-endian. */
void smtp_delivery_list_open(const struct smtp_delivery *d, struct vy_buf *ids);
bool smtp_delivery_next_action(struct smtp_delivery *d, uint64_t *next_call_id, uint64_t now_ms,
                               struct session_action *out);
/* False: not a call of this delivery. */
bool smtp_delivery_writable(struct smtp_delivery *d, uint64_t call_id, size_t bytes);
bool smtp_delivery_ended(struct smtp_delivery *d, uint64_t call_id, struct vy_err err,
                         struct vy_bytes reply, uint32_t retry_after_ms, uint64_t now_ms);
void smtp_delivery_tick(struct smtp_delivery *d, uint64_t now_ms);
uint64_t smtp_delivery_wake_ms(const struct smtp_delivery *d); /* UINT64_MAX: no need */
/* Every target has its result; SMTP: or one has a bad one while none can be stored any more. */
bool smtp_delivery_is_finished(const struct smtp_delivery *d);
/* A target was refused before the body is complete: the rest of it is not wanted. */
bool smtp_delivery_is_lost(const struct smtp_delivery *d);
