/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Meta's state machine: a command in, a result out, through a transaction. Deterministic: chance,
 * ids and key material are in the command, the time is the entry's. Knows neither links nor
 * threads; what changed is handed out as events, in the order of the log.
 *
 * One file per concern: domain.c account.c lifecycle.c erase.c references.c alias.c credential.c
 * factor.c login.c audit.c topology.c.
 */
#include "meta/tables.h"
#include "proto/meta.pb.h"
#include "replica/idem.h"
#include <pthread.h>

#define META_COMMAND_VERSION 1U
#define META_ALIAS_TARGETS_MAX 1000U /* S12; also the whole expansion */
#define META_ALIAS_DEPTH_MAX 10U     /* S12 */
#define META_TEXT_BYTES_MAX 1024U    /* disabled text, labels and the like */
#define META_OPERATION_BYTES_MAX 32U
#define META_FINGERPRINT_BYTES 16U
#define META_LOGIN_FAILED_ROWS_MAX 10000U                /* LOGIN-2, of one account */
#define META_LOGIN_KEEP_MS (30ULL * 24 * 60 * 60 * 1000) /* LOGIN-2 */
/* Networks of an account that have never signed in (LOGIN-4); what is more goes into one row. Those
 * that have are not limited: nobody makes them who has no password. */
#define META_LOGIN_NETS_MAX 1000U
#define META_LOGIN_ATTEMPTS_MAX 8U         /* of one tuple, known again when a frontend asks anew */
#define META_LOGIN_EXPIRE_ACCOUNTS_MAX 64U /* of one CmdLoginExpire */
#define META_LOGIN_NET_KEEP_MS (90ULL * 24 * 60 * 60 * 1000) /* how long a device is known */
#define META_LAST_USED_STEP_MS (60U * 1000) /* how exact an app password's last use is */
#define META_NO_ACCOUNT 0U                  /* logins of unknown names are rows of this one */

/*
 * DEL-1: what may happen to an account, as one table (lifecycle.c).
 */
enum lifecycle_cause {
    LIFECYCLE_ENABLE,
    LIFECYCLE_DISABLE,
    LIFECYCLE_SOFT_DELETE,
    LIFECYCLE_RESTORE, /* to the state before the soft delete, within its time */
    LIFECYCLE_EXPIRE,  /* that time is over */
    LIFECYCLE_DELETE,
    LIFECYCLE_ERASED, /* the job has ended */
};
/* False: there is no such edge. */
bool lifecycle_next(enum account_state from, enum lifecycle_cause cause, enum account_state *to);

#define META_REFERENCES_MAX 100U /* aliases that one delete leaves; their rows are rewritten */
/* The aliases, and the domain, that name an account's address; at most META_REFERENCES_MAX + 1. */
VY_CHECKED struct vy_err references_list(const struct meta_view *view, struct vy_bytes address,
                                         const struct vy_bytes **out, size_t *out_count);

/* What caches must know of; index of the entry that did it. */
struct fsm_event {
    uint64_t index;
    uint64_t account_id;
    uint64_t account_epoch;
    enum account_state state;
    uint8_t address_len;
    uint8_t address[META_ADDRESS_BYTES_MAX];
    bool map_changed;
};
/* @thread the writer's; inside apply. The event is the caller's. */
typedef void (*fsm_event_fn)(void *arg, const struct fsm_event *event);

struct meta_fsm {
    struct replica_fsm base; /* first */
    struct vy_arena arena;   /* of the entry being applied */
    struct vy_buf scratch;   /* a row being encoded */
    fsm_event_fn on_event;   /* may be NULL */
    void *on_event_arg;
    /* Told on the loop (replica.h); may be NULL. */
    void (*on_applied)(void *arg, uint64_t index);
    void (*on_leader_change)(void *arg, bool is_leader, uint64_t term);
    void (*on_installed)(void *arg, uint64_t index);
    void *listener_arg;
};

void meta_fsm_init(struct meta_fsm *fsm);
void meta_fsm_deinit(struct meta_fsm *fsm);

/* The row of a command: what to call it in the audit chain. NONE: not recorded by itself. */
enum audit_action meta_command_action(const struct meta_command *command);
