/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What users do: several at once, each one operation after the other over SMTP, LMTP or IMAP at a
 * frontend of its choice, with what was answered written into the ledger. An operation that got no
 * answer may have happened; it is never done again under another name, so that a second copy is the
 * cluster's fault.
 */
#include "tests/sim/client.h"
#include "tests/sim/ledger.h"

#define WORKLOAD_USERS 5U
#define WORKLOAD_RECIPIENTS_MAX 4U

struct workload_op; /* a row of the table in workload.c */
struct workload;

struct workload_user {
    struct workload *workload;
    struct client client;
    const struct workload_op *op; /* NULL: rests */
    unsigned account;
    uint32_t token;
    enum ledger_flag flag;
    bool is_lmtp;
    bool wants_again;   /* the delivery: as a mail server, under the same Message-ID */
    struct vy_buf body; /* of the delivery */
    unsigned recipients[WORKLOAD_RECIPIENTS_MAX];
    unsigned recipient_count;
    unsigned body_step; /* of the script: from there on it may have happened */
    uint64_t began_at;  /* moment */
    uint64_t rests_until_ms;
    uint64_t uid_max_before;
    char password[LEDGER_PASSWORD_BYTES];
    struct ledger_listing listing;
};
struct workload {
    struct sim_world *world;
    struct ledger *ledger;
    struct workload_user users[WORKLOAD_USERS];
    bool is_stopping;   /* nothing new is begun */
    bool to_each_group; /* workload_deliver_to_groups() */
    uint64_t pause_ms_max;
    unsigned hot_account; /* used by everybody at once */
    uint64_t done;        /* operations that were acknowledged */
    uint64_t tried;       /* all that were begun */
    uint64_t reads;       /* listings that were checked */
};

struct workload *workload_new(struct sim_world *world, struct ledger *ledger);
void workload_free(struct workload *workload);
void workload_start(struct workload *workload);
/* Nothing is on its way. */
bool workload_is_idle(const struct workload *workload);
/* A step touched this frontend: its clients read. */
void workload_look(struct workload *workload, const struct sim_process *frontend);
/* Begins a delivery by SMTP to one account of each group, or the last one once more. */
void workload_deliver_to_groups(struct workload *workload);
/* Its client has no good answer yet. */
bool workload_wants_again(const struct workload *workload);
/* Creates the second mailbox of an account, when nothing is broken. */
void workload_make_box(struct workload *workload, unsigned account);
/* Begins a listing of a mailbox, for the end of a run; it is over when the workload is idle. */
void workload_list(struct workload *workload, unsigned account, enum ledger_box box);
