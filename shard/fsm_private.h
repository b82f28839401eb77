/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Shared by the command handlers of the state machine. A handler has two halves: checks, which may
 * refuse with a code and have touched nothing; then effects, which cannot fail (tx.h).
 */
#include "shard/change.h"
#include "shard/fsm.h"
#include "shard/uids.h"

struct fsm {
    struct fsm_config config;
    struct box_cache cache;
    struct tx tx;
    struct vy_arena arena; /* of the running command */
    struct vy_buf encoded;
};

/* An account that the running command touches. */
struct fsm_account {
    uint64_t account_id;
    bool exists;
    bool is_dirty;
    struct account_row row;
    uint64_t modseq; /* of this command in this account; 0: not taken yet */
};

/* One command on its way. */
struct apply {
    struct fsm *fsm;
    struct tx *tx;
    struct vy_arena *arena; /* dies with the command */
    const struct shard_command *command;
    uint64_t time_ms; /* the entry's; never goes back */
    struct shard_result *result;
    struct fsm_account **accounts; /* arena */
    size_t account_count;
    struct box **boxes; /* arena: to be flushed */
    size_t box_count;
    size_t box_capacity;
    const struct new_delivery **unused; /* arena: copies that were there before; theirs go */
    size_t unused_count;
};

typedef enum shard_code (*fsm_handler)(struct apply *apply);

/* ---- accounts ---- */
struct fsm_account *apply_find_account(struct apply *apply, uint64_t account_id);
/* The command's account if it may act: exists, not erased, epoch not over. */
enum shard_code apply_open_account(struct apply *apply, uint64_t account_id, uint64_t epoch,
                                   struct fsm_account **out);
/* The change number of this command in the account; all its changes share it. */
uint64_t apply_take_modseq(struct apply *apply, struct fsm_account *account);
static inline void apply_touch_account(struct fsm_account *account)
{
    account->is_dirty = true;
}

/* ---- mailboxes ---- */
/* Its id, UIDVALIDITY and highest modseq. */
void mailbox_fill_result(struct apply *apply, const struct box *box);
struct box *apply_open_box(struct apply *apply, uint64_t account_id, uint64_t mailbox_id);
/* Remembers to flush it. */
void apply_touch_box(struct apply *apply, struct box *box);
/* It is about to be deleted: not to be flushed. */
void apply_forget_box(struct apply *apply, const struct box *box);
/* NULL: no mailbox of that name. */
struct box *apply_find_box(struct apply *apply, uint64_t account_id, struct vy_bytes name_hash);
uint64_t apply_find_mailbox_id(struct apply *apply, uint64_t account_id, struct vy_bytes name_hash);
/* A new mailbox and its name row; returns its box. */
struct box *mailbox_make(struct apply *apply, struct fsm_account *account,
                         const struct new_mailbox *mailbox);
/* How many of these names are new, and whether the account has room for them. */
enum shard_code mailbox_check_new(struct apply *apply, const struct fsm_account *account,
                                  const struct new_mailbox *mailboxes, size_t count,
                                  uint32_t *out_new);
/* Makes those that are missing. */
void mailbox_make_missing(struct apply *apply, struct fsm_account *account,
                          const struct new_mailbox *mailboxes, size_t count);

/* ---- messages ---- */
/* Puts a row at the end of the mailbox: UID, counters, reference, quota. Returns the UID. */
uint32_t message_add_row(struct apply *apply, struct fsm_account *account, struct box *box,
                         struct block_row *row, bool is_bulk);
/* Counters of the mailbox when a message comes (+1) or goes (-1). */
void message_count_row(struct box *box, const struct block *block, uint32_t index, int sign);
/* Well formed, and its stage is still there. */
enum shard_code message_check(struct apply *apply, uint64_t account_id,
                              const struct new_message *message);
/* Makes it a message of the mailbox. Returns the UID. */
uint32_t message_store(struct apply *apply, struct fsm_account *account, struct box *box,
                       const struct new_message *message);
void message_note_added(struct apply *apply, struct fsm_account *account, struct box *box,
                        const struct uid_ranges *uids);
enum shard_code message_check_room(const struct fsm_account *account, const struct box *box,
                                   uint64_t count, uint64_t bytes);
/* Keyword names to bits of the mailbox. check: room for the new ones; bits: adds them (effect). */
enum shard_code keywords_check(struct apply *apply, struct box *box,
                               const struct sealed_name *keywords, size_t count);
struct block_keywords keywords_to_bits(struct apply *apply, struct box *box,
                                       const struct sealed_name *keywords, size_t count,
                                       bool add_missing);
/* The thread of a new email, noted for those to come. */
void thread_join(struct apply *apply, uint64_t account_id, const struct new_message *message,
                 uint8_t out_thread[SHARD_ID_BYTES]);
void thread_leave(struct apply *apply, uint64_t account_id,
                  const uint8_t message_id_hash[SHARD_HASH_BYTES]);

/* ---- taking messages out: rows move to gone, marked ones leave the blocks ---- */
struct expunge {
    struct apply *apply;
    struct box *box;
    uint64_t modseq;
    uint32_t part;
    struct block *gone; /* arena */
    struct uid_ranges vanished;
    uint64_t bytes;
    uint64_t count;
};
/* All messages of one mailbox to another of the account. */
void move_everything(struct apply *apply, struct fsm_account *account, struct box *source,
                     struct box *target);
bool expunge_begin(struct expunge *expunge, struct apply *apply, struct box *box, uint64_t modseq);
void expunge_row(struct expunge *expunge, struct box_block *block, uint32_t index);
void expunge_end(struct expunge *expunge, struct fsm_account *account);

/* ---- body rows that came with the command (body_rows.c) ---- */
enum shard_code body_rows_check(const struct shard_command *command);
void body_rows_put(struct apply *apply);
/* The command has no effect: nothing refers to the rows that it, or its entry, brought. */
void body_rows_discard(struct apply *apply);
/* The body of a copy that is not wanted, and its stage. */
void body_rows_drop(struct apply *apply, uint64_t account_id, const struct new_message *message);

/* ---- copies held for a decision (delivery.c) ---- */
bool held_is_of(struct apply *apply, uint64_t account_id, struct vy_bytes delivery_id,
                struct vy_bytes email_id);

/* ---- change records ---- */
void change_note(struct apply *apply, struct box *box, uint64_t modseq, enum change_kind kind,
                 const struct uid_ranges *uids);

/* ---- the rest ---- */
void apply_event(struct apply *apply, const struct fsm_event *event);
void erase_account(struct apply *apply, uint64_t account_id);

#define FSM_HANDLERS(X)                                                                            \
    X(account_init)                                                                                \
    X(mailbox_create)                                                                              \
    X(mailbox_delete)                                                                              \
    X(mailbox_rename)                                                                              \
    X(mailbox_subscribe)                                                                           \
    X(mailbox_open)                                                                                \
    X(deliver)                                                                                     \
    X(append)                                                                                      \
    X(store)                                                                                       \
    X(copy)                                                                                        \
    X(expunge)                                                                                     \
    X(stage)                                                                                       \
    X(stage_end)                                                                                   \
    X(fence)                                                                                       \
    X(purge)                                                                                       \
    X(hold)                                                                                        \
    X(held_end)                                                                                    \
    X(decide)
#define X(member) enum shard_code fsm_##member(struct apply *apply);
FSM_HANDLERS(X)
#undef X
