/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What the files of the state machine share. A handler checks everything first, then returns if
 * the step is dry (validate_only), then writes; it refuses by fsm_refuse, and an error it returns
 * ends the process.
 */
#include "base/assert.h"
#include "meta/directory.h"
#include "meta/fsm.h"

#define META_OPERATION_SCOPE 'A' /* in front of the operation ids among the idempotency keys */

struct fsm_step {
    struct meta_fsm *fsm;
    struct txn *txn;
    const struct replica_entry_meta *entry;
    struct meta_view view;
    const struct meta_command *command;
    struct meta_result result; /* outcome OK until refused */
    uint64_t audit_account_id; /* whose record it is; a handler sets it */
    uint64_t audit_credential_id;
    enum login_verdict audit_verdict; /* of a code that was to be proved */
    enum audit_action audit_action;   /* NONE: the command's */
};

/* Each takes the command's own member, which is set. */
VY_CHECKED struct vy_err domain_apply_create(struct fsm_step *step);
VY_CHECKED struct vy_err domain_apply_set(struct fsm_step *step);
VY_CHECKED struct vy_err domain_apply_delete(struct fsm_step *step);
VY_CHECKED struct vy_err account_apply_create(struct fsm_step *step);
VY_CHECKED struct vy_err account_apply_state(struct fsm_step *step);
VY_CHECKED struct vy_err account_apply_quota(struct fsm_step *step);
VY_CHECKED struct vy_err account_apply_delete(struct fsm_step *step);
VY_CHECKED struct vy_err account_apply_restore(struct fsm_step *step);
VY_CHECKED struct vy_err erase_apply_step(struct fsm_step *step);
VY_CHECKED struct vy_err alias_apply_create(struct fsm_step *step);
VY_CHECKED struct vy_err alias_apply_delete(struct fsm_step *step);
VY_CHECKED struct vy_err credential_apply_password(struct fsm_step *step);
VY_CHECKED struct vy_err credential_apply_app_create(struct fsm_step *step);
VY_CHECKED struct vy_err credential_apply_app_delete(struct fsm_step *step);
VY_CHECKED struct vy_err factor_apply_enroll(struct fsm_step *step);
VY_CHECKED struct vy_err factor_apply_confirm(struct fsm_step *step);
VY_CHECKED struct vy_err factor_apply_verify(struct fsm_step *step);
VY_CHECKED struct vy_err factor_apply_disable(struct fsm_step *step);
VY_CHECKED struct vy_err factor_apply_recovery_codes(struct fsm_step *step);
VY_CHECKED struct vy_err factor_apply_policy(struct fsm_step *step);
VY_CHECKED struct vy_err login_apply(struct fsm_step *step);
VY_CHECKED struct vy_err login_apply_expire(struct fsm_step *step);
VY_CHECKED struct vy_err topology_apply_bootstrap(struct fsm_step *step);
VY_CHECKED struct vy_err topology_apply_register(struct fsm_step *step);
VY_CHECKED struct vy_err member_apply_plan(struct fsm_step *step);
VY_CHECKED struct vy_err member_apply_step(struct fsm_step *step);
/* Raises the map's epoch: readers look again. */
VY_CHECKED struct vy_err topology_raise_epoch(struct fsm_step *step);

/* Writes a main or app credential under the account's next number, into *account too. */
VY_CHECKED struct vy_err credential_put_new(struct fsm_step *step, struct meta_account_row *account,
                                            const struct new_credential *secret);

/* Deleting, in the intent's entry: all rows of the account by the registry of tables.h, and the job
 * (account->job_id) that does the rest. */
VY_CHECKED struct vy_err erase_begin(struct fsm_step *step, struct meta_account_row *account,
                                     const struct cmd_account_delete *cmd);
/* A domain's job counts the erasures of its accounts. parent_job_id 0: there is none. */
enum erase_child { ERASE_CHILD_BEGUN, ERASE_CHILD_DONE, ERASE_CHILD_PENDING, ERASE_CHILD_COMPLETE };
VY_CHECKED struct vy_err domain_count_child(struct fsm_step *step, uint64_t parent_job_id,
                                            enum erase_child what);
/* Is this account of the domain that the job deletes? */
VY_CHECKED struct vy_err domain_owns_account(struct fsm_step *step, uint64_t parent_job_id,
                                             const struct meta_account_row *account, bool *out);
/* What ending a step of a domain's job does; *is_over: nothing of it is left. */
VY_CHECKED struct vy_err domain_end_step(struct fsm_step *step, const struct job_row *job,
                                         bool *is_over);
/* Of an alias that is there. */
VY_CHECKED struct vy_err alias_delete(struct fsm_step *step, struct vy_bytes address);
/* DEL-9: the intent to delete a domain with all that it has. */
VY_CHECKED struct vy_err domain_begin_delete(struct fsm_step *step, struct domain_row *domain);
/* Refuses what would add to a domain that is being deleted. */
VY_CHECKED struct vy_err domain_check_stays(struct fsm_step *step, const struct domain_row *domain);
VY_CHECKED struct vy_err erase_put_job(struct fsm_step *step, const struct job_row *job);
/* DEL-3: did another administrator ask for the same within a day? Else this one's asking is noted
 * in *asked_by and *asked_ms, for the caller to write, and *out is false. */
struct delete_consent {
    bool is_needed;
    struct vy_bytes actor;
    struct vy_bytes *asked_by;
    uint64_t *asked_ms;
};
bool delete_is_agreed(struct fsm_step *step, const struct delete_consent *consent);
/* DEL-7: takes the account out of what names it, or refuses with the list of it. */
VY_CHECKED struct vy_err references_drop(struct fsm_step *step,
                                         const struct meta_account_row *account, bool cascade);

/* Appends one record to the chain; sequence and hash are filled here. */
VY_CHECKED struct vy_err audit_append(struct fsm_step *step, struct audit_row *record);

/* Refuses the command: what and why, for people. Always ok, to be returned at once. */
VY_CHECKED struct vy_err fsm_refuse(struct fsm_step *step, enum meta_outcome outcome,
                                    const char *format, ...) VY_PRINTF(3, 4);
static inline bool fsm_is_refused(const struct fsm_step *step)
{
    return step->result.outcome != META_OUTCOME_OK;
}
static inline bool fsm_is_dry(const struct fsm_step *step)
{
    return step->command->validate_only;
}
VY_CHECKED struct vy_err fsm_put(struct fsm_step *step, unsigned family, struct vy_bytes key,
                                 const struct vy_pb_desc *desc, const void *row);
/* Names of new rows: the leader sends canonical ones, and the keys rest on their length. */
VY_CHECKED struct vy_err fsm_check_domain_name(struct fsm_step *step, struct vy_bytes name);
VY_CHECKED struct vy_err fsm_check_address(struct fsm_step *step, struct vy_bytes address);
struct vy_bytes fsm_domain_of(struct vy_bytes address);
/* A name for a new account or alias; release: although its quarantine is not over. */
VY_CHECKED struct vy_err fsm_check_free(struct fsm_step *step, struct vy_bytes address,
                                        bool release);
/* The account that an operator's command names; refuses when there is none or it is going. */
VY_CHECKED struct vy_err fsm_find_account(struct fsm_step *step, uint64_t account_id,
                                          struct meta_account_row *account);
VY_CHECKED struct vy_err fsm_put_account(struct fsm_step *step,
                                         const struct meta_account_row *account);
void fsm_tell_account(struct fsm_step *step, const struct meta_account_row *account);
void fsm_tell_address(struct fsm_step *step, struct vy_bytes address);
void fsm_tell_map(struct fsm_step *step);
