/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the files of the saga share: one job being driven. */
#include "meta/erase.h"
#include "meta/meta_private.h"
#include "meta/saga.h"

/* What a member said when it was asked last. */
struct erase_answer {
    struct erase_run *run;
    struct erase_member_row *member; /* in the run's arena */
    bool is_working; /* reached, and busy with it: it is waited for longer than others */
    bool is_changed; /* there is something to write down */
};
struct erase_run {
    struct erase_saga *saga; /* NULL: free */
    struct vy_arena arena;   /* of one step */
    struct job_row job;
    uint64_t account_epoch;
    uint64_t group_id;
    enum erase_step step;
    struct vy_buf certificate;
    struct vy_err err; /* how the work of a step ended */
    /* of the step MEMBERS, and of GROUP when it writes down who they are */
    struct erase_member_row *members; /* in the arena; those that are told */
    size_t member_count;
    bool is_pending;              /* the step goes on */
    struct erase_answer *answers; /* in the arena */
    size_t answer_count;
    size_t open_count;
};

struct meta *erase_run_meta(const struct erase_run *run);
/* Ends the step, or with run->is_pending only writes down run->members; then the run goes on. */
void erase_run_done(struct erase_run *run, struct vy_err err);
/* What is next by the newest rows. */
void erase_run_next(struct erase_run *run);
/* Nothing to write down: a later round looks again, soon when somebody is about to be done. */
void erase_run_rest(struct erase_run *run, bool is_soon);

/* saga_domain.c: the steps of a domain's delete. */
void erase_domain_accounts(struct erase_run *run);
void erase_domain_aliases(struct erase_run *run);
void erase_domain_children(struct erase_run *run);

/* saga_watch.c: sets the metrics of erasures. */
VY_CHECKED struct vy_err erase_watch(struct meta *meta);

/* saga_members.c */
/* Fills run->members with everybody who has files of the account now. */
VY_CHECKED struct vy_err erase_members_list(struct erase_run *run);
void erase_members_start(struct erase_run *run);
