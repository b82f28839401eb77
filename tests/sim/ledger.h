/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What the cluster has promised so far: which messages, flags, removals and copies were
 * acknowledged, and which were tried and may have happened. Every fact is stamped with a moment
 * (a counter), so that a read is held against what was promised before it began.
 *
 * Each message carries a token; a token is stored at most once in an account's INBOX, whatever was
 * retried, inside the cluster or by its client. Copies of it may lie in the second mailbox.
 */
#include "tests/sim/world.h"

#define LEDGER_ACCOUNTS 6U
#define LEDGER_TOKENS_MAX 1024U
#define LEDGER_PASSWORD_BYTES 64U
#define LEDGER_FENCES_MAX 256U

enum ledger_box { LEDGER_INBOX, LEDGER_COPIES, LEDGER_BOX_COUNT };
enum ledger_flag { LEDGER_SEEN, LEDGER_FLAGGED, LEDGER_ANSWERED, LEDGER_FLAG_COUNT };
extern const char *const ledger_flags[LEDGER_FLAG_COUNT]; /* "\\Seen" ... */
extern const char *const ledger_boxes[LEDGER_BOX_COUNT];  /* "INBOX", "Copies" */

/* Moments: 0 never. */
struct ledger_message {
    bool may_exist;        /* a store was tried, and not refused */
    bool may_have_existed; /* before the attempt that runs */
    uint64_t stored_at;
    uint64_t removal_tried_at; /* expunge or move */
    uint64_t removed_at;
    bool is_expunge_tried; /* then it may be gone without a copy */
    bool is_flag_tried[LEDGER_FLAG_COUNT];
    uint64_t flagged_at[LEDGER_FLAG_COUNT];
    unsigned copies_tried;
    unsigned copies_acked;
    uint64_t uid;    /* in INBOX; 0: not known */
    uint64_t modseq; /* as it was told at a moment */
    uint64_t modseq_at;
    unsigned inbox_count; /* in the last listings */
    unsigned copies_count;
};
struct ledger_mailbox {
    uint64_t uidvalidity;
    uint64_t uid_max;    /* highest that anybody was told of */
    uint64_t modseq_max; /* HIGHESTMODSEQ that anybody was told of */
};
struct ledger_account {
    unsigned number;
    unsigned group; /* of shards, that it lives in */
    char address[48];
    bool exists; /* as far as was acknowledged; a soft delete ends it, a restore begins it again */
    bool is_changing;    /* its password, or whether it exists: either may hold */
    uint64_t valid_at;   /* since then this password opens it */
    uint64_t deleted_at; /* since then nothing does; 0: it exists */
    char password[LEDGER_PASSWORD_BYTES];
    char old_password[LEDGER_PASSWORD_BYTES]; /* revoked at valid_at; empty: none */
    uint64_t fenced_ms[LEDGER_FENCES_MAX];    /* virtual: its epoch may have changed then */
    size_t fence_count;
    struct ledger_mailbox boxes[LEDGER_BOX_COUNT];
    struct ledger_message messages[LEDGER_TOKENS_MAX];
};
/* What was sent by SMTP, where all recipients have it or none (P2). Times are virtual. */
struct ledger_delivery {
    uint32_t recipients; /* bits: numbers of accounts; 0: not by SMTP */
    uint64_t began_ms;
    uint64_t ended_ms; /* of its last attempt */
};
struct ledger {
    struct sim_world *world;
    uint64_t moment;
    uint32_t next_token; /* from 1 */
    struct ledger_delivery deliveries[LEDGER_TOKENS_MAX];
    struct ledger_account accounts[LEDGER_ACCOUNTS];
};

/* The decimal digits at `text`; *end, if wanted: behind them. */
uint64_t ledger_number(const char *text, const char **end);
struct ledger *ledger_new(struct sim_world *world);
void ledger_free(struct ledger *ledger);
static inline uint64_t ledger_now(struct ledger *ledger)
{
    return ++ledger->moment;
}

/* One message of a listing. */
struct ledger_row {
    uint32_t token;
    uint64_t uid;
    uint64_t modseq;
    bool flags[LEDGER_FLAG_COUNT];
};
/* The answers to SELECT and to a FETCH of everything, and what had been promised before. */
struct ledger_listing {
    unsigned account;
    enum ledger_box box;
    uint64_t began_at; /* moment */
    uint64_t uid_max_before;
    uint64_t modseq_before;
    unsigned copies_before[LEDGER_TOKENS_MAX];
    uint64_t uidvalidity;
    uint64_t uidnext;
    uint64_t modseq;
    size_t count;
    struct ledger_row rows[LEDGER_TOKENS_MAX];
};
/* Before the first word is said. */
void ledger_begin(struct ledger *ledger, unsigned account, enum ledger_box box,
                  struct ledger_listing *out);
/* Parses the two replies. */
void ledger_parse(struct ledger *ledger, const char *select, const char *fetch,
                  struct ledger_listing *out);
/* Holds a listing against the promises; learns UIDs from it. */
void ledger_check(struct ledger *ledger, const struct ledger_listing *listing);
/* At the end, behind listings of both mailboxes: what was moved away arrived. */
void ledger_check_moves(struct ledger *ledger, unsigned account);
/* At the end, behind listings of all of them: no message is with some of its recipients only. */
void ledger_check_whole(struct ledger *ledger);
/* The account's password is being changed, or it is being deleted: a copy that a group holds for it
 * goes (docs/decisions/0007-one-decision.md). */
void ledger_note_fence(struct ledger *ledger, unsigned account);
/* The facts of a mailbox that an answer tells: APPENDUID and the like. */
void ledger_check_uid(struct ledger *ledger, unsigned account, enum ledger_box box,
                      uint64_t uidvalidity, uint64_t uid, uint64_t uid_max_before);
