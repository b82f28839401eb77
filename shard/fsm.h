/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The shard's state machine: commands of the raft log (proto/shardlog.proto) in, rows and a result
 * out. Deterministic: no clock, no chance, no keys; what a command needs of those stands in it. A
 * command takes effect whole or not at all: everything is checked first, and what fails after that
 * (storage, damaged rows) ends the process. One write batch holds messages, index, counters, quota,
 * change records and the result under the idempotency key.
 *
 * @thread  the replica's writer
 */
#include "proto/shardlog.pb.h"
#include "shard/box.h"

#define SHARD_COMMAND_VERSION 1U
#define SHARD_COMMAND_BYTES_MAX (1024U * 1024U) /* what the log takes */
/* Memory of decoding and running one command: 10,000 expunged ranges or 100 recipients with their
 * summaries. */
#define FSM_ARENA_BYTES_MAX (16U * 1024U * 1024U)
#define SHARD_MAILBOXES_MAX 10000U /* I11 */
#define SHARD_NEW_MAILBOXES_MAX                                                                    \
    64U /* of one command: an account's first ones, a name's 32 levels */
#define SHARD_RECIPIENTS_MAX                                                                       \
    1000U /* of one delivery in one group; SMTP stops at 100, aliases expand to 1,000 (S12) */
#define SHARD_THREAD_HASHES_MAX 16U /* own Message-ID and those it answers */
#define SHARD_STORE_KEYWORDS_MAX 256U
#define SHARD_GONE_ROWS_MAX 64U /* of one purge */
#define SHARD_IDEMPOTENCY_KEY_BYTES 16U
#define SHARD_DELIVERY_ID_BYTES SHARD_ID_BYTES
/* Commands carry how long things are remembered; nothing asks for longer. */
#define SHARD_KEEP_MS_MAX (31ULL * 24 * 60 * 60 * 1000)

/* X(NAME, number, vy code): what a command answered. The numbers stand in the idempotency table:
 * frozen. */
#define SHARD_CODES(X)                                                                             \
    X(DONE, 0, OK)                                                                                 \
    X(STALE, 1, STALE)                                                                             \
    X(NO_ACCOUNT, 2, NOT_FOUND)                                                                    \
    X(NOT_FOUND, 3, NOT_FOUND)                                                                     \
    X(EXISTS, 4, EXISTS)                                                                           \
    X(QUOTA, 5, QUOTA)                                                                             \
    X(LIMIT, 6, LIMIT)                                                                             \
    X(CONFLICT, 7, CONFLICT)                                                                       \
    X(PRECONDITION, 8, PRECONDITION)                                                               \
    X(NO_STAGE, 9, UNKNOWN)                                                                        \
    X(NO_TARGET, 10, NOT_FOUND)                                                                    \
    X(NO_INIT, 11, UNAVAILABLE)                                                                    \
    X(PENDING, 12, BUSY)                                                                           \
    X(DECIDED_NO, 13, PRECONDITION)

enum shard_code {
#define X(name, number, code) SHARD_CODE_##name = (number),
    SHARD_CODES(X)
#undef X
};
enum vy_code shard_code_to_vy(uint32_t code);

/* What others want to know of an applied command; hints, told in order. */
enum fsm_event_kind {
    FSM_EVENT_MAILBOX, /* messages or flags of a mailbox changed, up to modseq */
    FSM_EVENT_LIST,    /* mailboxes of the account were made, deleted, renamed, subscribed */
    FSM_EVENT_FENCE,   /* account epoch is now `modseq`; `is_erased` */
    FSM_EVENT_GONE     /* a row of gone was written: content waits for its purge */
};
struct fsm_event {
    enum fsm_event_kind kind;
    bool is_erased;
    uint32_t part;
    uint64_t account_id;
    uint64_t mailbox_id;
    uint64_t modseq;
};

struct fsm;
struct fsm_config {
    size_t cache_bytes; /* decoded mailboxes; 0: 64 MiB */
    uint64_t hash_seed;
    /* After each command that had effects. NULL: nobody listens. @thread the writer */
    void (*on_event)(void *arg, const struct fsm_event *event);
    void *arg;
};
VY_CHECKED struct vy_err fsm_new(const struct fsm_config *config, struct fsm **out);
void fsm_free(struct fsm *fsm);

/*
 * Applies one command. One that was done before under the same account and idempotency key is
 * answered again, without effect; a refused one is judged anew. The body rows of a command that has
 * no effect go, whether they came in it or as payloads of its entry; but for NO_INIT and CONFLICT,
 * after which the same command may be proposed again: its email ids are used up.
 *
 * @time_ms  the entry's: the leader's wall clock, never going back (P15)
 * @result   filled with an encoded ShardResult
 * @errors   anything: the entry cannot be applied here and the process must end
 */
VY_CHECKED struct vy_err fsm_apply_command(struct fsm *fsm, struct txn *txn, uint64_t time_ms,
                                           struct vy_bytes command, struct vy_buf *result);
/* The database was replaced (snapshot): nothing cached holds any more. */
void fsm_reset(struct fsm *fsm);
