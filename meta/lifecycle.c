/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DEL-1: the life of an account. Every edge is one command with its actor, reason and operation id;
 * what is not in the table does not happen.
 */
#include "meta/fsm_private.h"

struct lifecycle_edge {
    enum account_state from;
    enum lifecycle_cause cause;
    enum account_state to;
};
/* clang-format off */
static const struct lifecycle_edge edges[] = {
    /* from                        cause                  to */
    {ACCOUNT_STATE_ACTIVE,         LIFECYCLE_ENABLE,      ACCOUNT_STATE_ACTIVE},
    {ACCOUNT_STATE_ACTIVE,         LIFECYCLE_DISABLE,     ACCOUNT_STATE_LOGIN_DISABLED},
    {ACCOUNT_STATE_ACTIVE,         LIFECYCLE_SOFT_DELETE, ACCOUNT_STATE_SOFT_DELETED},
    {ACCOUNT_STATE_ACTIVE,         LIFECYCLE_DELETE,      ACCOUNT_STATE_ERASING},
    {ACCOUNT_STATE_LOGIN_DISABLED, LIFECYCLE_ENABLE,      ACCOUNT_STATE_ACTIVE},
    {ACCOUNT_STATE_LOGIN_DISABLED, LIFECYCLE_DISABLE,     ACCOUNT_STATE_LOGIN_DISABLED},
    {ACCOUNT_STATE_LOGIN_DISABLED, LIFECYCLE_SOFT_DELETE, ACCOUNT_STATE_SOFT_DELETED},
    {ACCOUNT_STATE_LOGIN_DISABLED, LIFECYCLE_DELETE,      ACCOUNT_STATE_ERASING},
    {ACCOUNT_STATE_SOFT_DELETED,   LIFECYCLE_SOFT_DELETE, ACCOUNT_STATE_SOFT_DELETED}, /* the group is told again */
    {ACCOUNT_STATE_SOFT_DELETED,   LIFECYCLE_RESTORE,     ACCOUNT_STATE_ACTIVE}, /* or disabled */
    {ACCOUNT_STATE_SOFT_DELETED,   LIFECYCLE_EXPIRE,      ACCOUNT_STATE_ERASING},
    {ACCOUNT_STATE_SOFT_DELETED,   LIFECYCLE_DELETE,      ACCOUNT_STATE_ERASING},
    {ACCOUNT_STATE_ERASING,        LIFECYCLE_DELETE,      ACCOUNT_STATE_ERASING}, /* the same job */
    {ACCOUNT_STATE_ERASING,        LIFECYCLE_ERASED,      ACCOUNT_STATE_ERASED},
    {ACCOUNT_STATE_ERASED,         LIFECYCLE_DELETE,      ACCOUNT_STATE_ERASING}, /* once more (DEL-10) */
};
/* clang-format on */

bool lifecycle_next(enum account_state from, enum lifecycle_cause cause, enum account_state *to)
{
    for (size_t i = 0; i < VY_COUNT_OF(edges); i++) {
        if (edges[i].from == from && edges[i].cause == cause) {
            *to = edges[i].to;
            return true;
        }
    }
    return false;
}

/* Moves the account along its edge; refuses when there is none. */
static struct vy_err move(struct fsm_step *step, struct meta_account_row *account,
                          enum lifecycle_cause cause)
{
    enum account_state to = ACCOUNT_STATE_NONE;
    if (lifecycle_next((enum account_state)account->state, cause, &to)) {
        account->state = (uint32_t)to;
        return vy_ok();
    }
    return fsm_refuse(
        step, META_OUTCOME_PRECONDITION, "the account's state does not allow this: %s",
        account->state == ACCOUNT_STATE_SOFT_DELETED ? "it is deleted and can be restored"
                                                     : "it is not deleted, or is being erased");
}

static void forget_soft(struct fsm_step *step, const struct meta_account_row *account)
{
    const struct meta_key key = meta_key_soft(account->restore_until_ms, account->id);
    if (account->restore_until_ms != 0) {
        txn_delete(step->txn, META_FAMILY_JOB, meta_key_bytes(&key));
    }
}

/* ---- enabled and disabled ---- */

struct vy_err account_apply_state(struct fsm_step *step)
{
    const struct cmd_account_state *cmd = step->command->account_state;
    struct meta_account_row account;
    VY_TRY(fsm_find_account(step, cmd->account_id, &account));
    if (fsm_is_refused(step)) {
        return vy_ok();
    }
    if (cmd->state != ACCOUNT_STATE_ACTIVE && cmd->state != ACCOUNT_STATE_LOGIN_DISABLED) {
        return fsm_refuse(step, META_OUTCOME_PRECONDITION,
                          "the account's state is not set to this: deleting has its own command");
    }
    const uint32_t before = account.state;
    VY_TRY(move(step, &account,
                cmd->state == ACCOUNT_STATE_ACTIVE ? LIFECYCLE_ENABLE : LIFECYCLE_DISABLE));
    if (fsm_is_refused(step) || fsm_is_dry(step)) {
        return vy_ok();
    }
    if (account.state == ACCOUNT_STATE_LOGIN_DISABLED && before == ACCOUNT_STATE_ACTIVE) {
        account.epoch++; /* sessions end (LOGIN-5, DEL-6) */
    }
    account.disabled_text = cmd->text;
    fsm_tell_account(step, &account);
    return fsm_put_account(step, &account);
}

/* ---- softly deleted and restored (DEL-2): rows, key and address stay ---- */

static struct vy_err delete_softly(struct fsm_step *step, struct meta_account_row *account)
{
    const uint32_t before = account->state;
    VY_TRY(move(step, account, LIFECYCLE_SOFT_DELETE));
    step->result.account_epoch = account->epoch;
    if (fsm_is_refused(step) || fsm_is_dry(step) || before == ACCOUNT_STATE_SOFT_DELETED) {
        return vy_ok();
    }
    account->state_before = before;
    account->restore_until_ms =
        step->entry->time_ms +
        VY_MIN(step->command->account_delete->retention_ms, UINT64_MAX - step->entry->time_ms);
    account->epoch++;
    const struct meta_key key = meta_key_soft(account->restore_until_ms, account->id);
    txn_put(step->txn, META_FAMILY_JOB, meta_key_bytes(&key), VY_LIT("1"));
    fsm_tell_account(step, account);
    fsm_tell_address(step, account->address);
    return fsm_put_account(step, account);
}

struct vy_err account_apply_restore(struct fsm_step *step)
{
    struct meta_account_row account;
    VY_TRY(fsm_find_account(step, step->command->account_restore->account_id, &account));
    if (fsm_is_refused(step)) {
        return vy_ok();
    }
    const uint32_t before = account.state_before;
    VY_TRY(move(step, &account, LIFECYCLE_RESTORE));
    if (!fsm_is_refused(step) && step->entry->time_ms >= account.restore_until_ms) {
        return fsm_refuse(step, META_OUTCOME_PRECONDITION,
                          "the time in which the account could be restored is over");
    }
    if (fsm_is_refused(step) || fsm_is_dry(step)) {
        return vy_ok();
    }
    forget_soft(step, &account);
    account.state = before;
    account.state_before = ACCOUNT_STATE_NONE;
    account.restore_until_ms = 0;
    account.epoch++;
    fsm_tell_account(step, &account);
    fsm_tell_address(step, account.address);
    return fsm_put_account(step, &account);
}

/* ---- deleted ---- */

/* DEL-3: confirmed for the account as it is now; or its time to be restored is over. */
static struct vy_err check_confirmation(struct fsm_step *step,
                                        const struct meta_account_row *account)
{
    const struct cmd_account_delete *cmd = step->command->account_delete;
    bool is_owned = false;
    if (cmd->parent_job_id != 0) { /* confirmed for the whole domain */
        VY_TRY(domain_owns_account(step, cmd->parent_job_id, account, &is_owned));
        return is_owned ? vy_ok()
                        : fsm_refuse(step, META_OUTCOME_STALE, "it is not of that domain any more");
    }
    if (cmd->expired) {
        return account->state == ACCOUNT_STATE_SOFT_DELETED &&
                       step->entry->time_ms >= account->restore_until_ms
                   ? vy_ok()
                   : fsm_refuse(step, META_OUTCOME_PRECONDITION, "it can still be restored");
    }
    return cmd->account_epoch == account->epoch
               ? vy_ok()
               : fsm_refuse(step, META_OUTCOME_PRECONDITION,
                            "the account has changed since the delete was confirmed: look at it "
                            "and confirm again");
}

#define CONSENT_MS (24ULL * 60 * 60 * 1000) /* within this the second one has to agree */

bool delete_is_agreed(struct fsm_step *step, const struct delete_consent *consent)
{
    const uint64_t now_ms = step->entry->time_ms;
    const bool is_asked =
        consent->asked_by->len > 0 &&
        now_ms < *consent->asked_ms + VY_MIN(CONSENT_MS, UINT64_MAX - *consent->asked_ms);
    const bool is_other = is_asked && !vy_bytes_equal(*consent->asked_by, consent->actor);
    if (!consent->is_needed || is_other) {
        return true;
    }
    if (!is_asked) {
        *consent->asked_by = consent->actor;
        *consent->asked_ms = now_ms;
    }
    step->result.waits = true;
    step->audit_action = AUDIT_ACTION_DELETE_ASK;
    return false;
}

/* True: nothing is deleted now. */
static struct vy_err wait_for_second(struct fsm_step *step, const struct meta_account_row *account,
                                     bool *waits)
{
    const struct cmd_account_delete *cmd = step->command->account_delete;
    struct meta_account_row asked = *account;
    const struct delete_consent consent = {.is_needed = cmd->second_admin && !cmd->expired &&
                                                        cmd->parent_job_id == 0,
                                           .actor = cmd->actor,
                                           .asked_by = &asked.delete_asked_by,
                                           .asked_ms = &asked.delete_asked_ms};
    *waits = !delete_is_agreed(step, &consent);
    if (!*waits || fsm_is_dry(step)) {
        return vy_ok();
    }
    if (!cmd->cascade) {
        VY_TRY(
            references_drop(step, account, /* cascade = */ false)); /* refuses, or does nothing */
    }
    step->audit_account_id = 0;
    return fsm_is_refused(step) ? vy_ok() : fsm_put_account(step, &asked);
}

static struct vy_err delete_for_good(struct fsm_step *step, struct meta_account_row *account)
{
    const struct cmd_account_delete *cmd = step->command->account_delete;
    const bool is_known = account->state == ACCOUNT_STATE_ERASING;
    bool waits = false;
    VY_TRY(check_confirmation(step, account));
    if (!fsm_is_refused(step) && !is_known) {
        VY_TRY(wait_for_second(step, account, &waits));
    }
    if (waits) {
        return vy_ok();
    }
    if (!fsm_is_refused(step)) {
        VY_TRY(move(step, account, cmd->expired ? LIFECYCLE_EXPIRE : LIFECYCLE_DELETE));
    }
    if (!fsm_is_refused(step) && !is_known) {
        VY_TRY(references_drop(step, account,
                               cmd->cascade || cmd->expired || cmd->parent_job_id != 0));
    }
    if (fsm_is_refused(step)) {
        return vy_ok();
    }
    step->audit_account_id = 0; /* that key goes; the record of the delete stays readable */
    if (!is_known && !fsm_is_dry(step)) {
        forget_soft(step, account);
        account->epoch++;
        VY_TRY(erase_begin(step, account, cmd));
    }
    step->result.account_epoch = account->epoch;
    step->result.job_id = account->job_id;
    return vy_ok();
}

struct vy_err account_apply_delete(struct fsm_step *step)
{
    const struct cmd_account_delete *cmd = step->command->account_delete;
    struct meta_account_row account;
    bool is_found = false;
    VY_TRY(account_get(&step->view, cmd->account_id, &account, &is_found));
    if (!is_found || (cmd->soft && account.state >= ACCOUNT_STATE_ERASING)) {
        return fsm_refuse(step, META_OUTCOME_NOT_FOUND, "account does not exist");
    }
    step->audit_account_id = account.id;
    step->result.account_id = account.id;
    return cmd->soft ? delete_softly(step, &account) : delete_for_good(step, &account);
}
