/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Second factors: enrolled, confirmed by a first code, used, removed. A code is consumed here, by
 * compare-and-set in the log, so it works once in the whole cluster (P18, A9); wrong ones are
 * counted here too, so that asking many members or frontends gives nobody more tries.
 */
#include "meta/fsm_private.h"

/* A9: five wrong codes a minute, twenty an hour. The budgets fill up evenly. */
#define MINUTE_TRIES 5U
#define MINUTE_TRY_MS 12000U
#define HOUR_TRIES 20U
#define HOUR_TRY_MS 180000U
/* Whoever saw a secret long ago must not be able to make it the factor. */
#define PENDING_MS (60U * 60 * 1000)

static struct vy_err put_factor(struct fsm_step *step, uint64_t account_id,
                                const struct factor_row *row)
{
    const struct meta_key key = meta_key_u64(account_id);
    return fsm_put(step, META_FAMILY_FACTOR, meta_key_bytes(&key), &factor_row_desc, row);
}

/* The account and its factor in this state; refuses otherwise. */
static struct vy_err find_factor(struct fsm_step *step, uint64_t account_id,
                                 enum factor_state state, struct meta_account_row *account,
                                 struct factor_row *row)
{
    bool is_found = false;
    VY_TRY(fsm_find_account(step, account_id, account));
    if (fsm_is_refused(step)) {
        return vy_ok();
    }
    VY_TRY(factor_get(&step->view, account_id, row, &is_found));
    if (is_found && row->state == state) {
        step->audit_credential_id = row->id;
        step->result.credential_id = row->id;
        return vy_ok();
    }
    return state == FACTOR_STATE_PENDING
               ? fsm_refuse(step, META_OUTCOME_PRECONDITION,
                            "no second factor waits to be confirmed: begin with `factor enroll`")
               : fsm_refuse(step, META_OUTCOME_PRECONDITION, "the account has no second factor");
}

/* ---- enrolling ---- */

struct vy_err factor_apply_enroll(struct fsm_step *step)
{
    const struct cmd_factor_enroll *cmd = step->command->factor_enroll;
    struct meta_account_row account;
    struct factor_row before;
    bool is_found = false;
    VY_TRY(fsm_find_account(step, cmd->account_id, &account));
    if (fsm_is_refused(step)) {
        return vy_ok();
    }
    VY_TRY(factor_get(&step->view, cmd->account_id, &before, &is_found));
    if (is_found && before.state == FACTOR_STATE_ACTIVE) {
        return fsm_refuse(step, META_OUTCOME_EXISTS,
                          "the account has a second factor already: disable it first");
    }
    if (fsm_is_dry(step)) {
        return vy_ok();
    }
    const struct factor_row row = {.id = account.next_credential_id++,
                                   .state = FACTOR_STATE_PENDING,
                                   .created_ms = step->entry->time_ms,
                                   .secret_sealed = cmd->secret_sealed,
                                   .minute_ms = before.minute_ms, /* a new secret, no new tries */
                                   .hour_ms = before.hour_ms};
    step->audit_credential_id = row.id;
    step->result.credential_id = row.id;
    VY_TRY(put_factor(step, account.id, &row));
    return fsm_put_account(step, &account);
}

/* ---- proving ---- */

/* How long until another try is free: the later of both budgets. */
static uint64_t wait_ms(const struct factor_row *row, uint64_t now_ms)
{
    const uint64_t minute_ms = now_ms + (uint64_t)(MINUTE_TRIES - 1) * MINUTE_TRY_MS;
    const uint64_t hour_ms = now_ms + (uint64_t)(HOUR_TRIES - 1) * HOUR_TRY_MS;
    const uint64_t minute_wait_ms = row->minute_ms > minute_ms ? row->minute_ms - minute_ms : 0;
    const uint64_t hour_wait_ms = row->hour_ms > hour_ms ? row->hour_ms - hour_ms : 0;
    return VY_MAX(minute_wait_ms, hour_wait_ms);
}

static void count_wrong(struct factor_row *row, uint64_t now_ms)
{
    row->minute_ms = VY_MAX(row->minute_ms, now_ms) + MINUTE_TRY_MS;
    row->hour_ms = VY_MAX(row->hour_ms, now_ms) + HOUR_TRY_MS;
}

/* Takes the code out of what can be used; false: it was used, or is none. recovery: room for
 * META_RECOVERY_CODES rows, which *row then points to. */
static bool consume(struct factor_row *row, const struct factor_proof *proof, uint64_t now_ms,
                    struct recovery_row *recovery)
{
    switch (proof->kind) {
    case FACTOR_PROOF_KIND_TOTP:
        if (proof->number <= row->last_step) {
            return false;
        }
        row->last_step = proof->number;
        return true;
    case FACTOR_PROOF_KIND_RECOVERY:
        if (proof->number >= row->recovery_count || row->recovery_count > META_RECOVERY_CODES ||
            row->recovery[proof->number].used_ms != 0) {
            return false;
        }
        memcpy(recovery, row->recovery, row->recovery_count * sizeof(*recovery));
        recovery[proof->number].used_ms = now_ms;
        row->recovery = recovery;
        return true;
    case FACTOR_PROOF_KIND_NONE:
        break;
    }
    return false;
}

/* Refuses without a try left; else *is_right, and the verdict is told and recorded. A wrong code's
 * row is written; a right one's is the caller's to write. */
static struct vy_err prove(struct fsm_step *step, uint64_t account_id,
                           const struct factor_proof *proof, struct factor_row *row,
                           struct recovery_row *recovery, bool *is_right)
{
    const uint64_t now_ms = step->entry->time_ms;
    const uint64_t left_ms = wait_ms(row, now_ms);
    *is_right = false;
    if (left_ms > 0) {
        return fsm_refuse(step, META_OUTCOME_LIMIT,
                          "too many wrong codes: try again in %llu seconds",
                          (unsigned long long)(left_ms + 999) / 1000);
    }
    if (proof == NULL || proof->factor_id != row->id) {
        return fsm_refuse(step, META_OUTCOME_STALE, "the factor was enrolled anew");
    }
    *is_right = consume(row, proof, now_ms, recovery);
    step->audit_verdict = *is_right ? LOGIN_VERDICT_OK : LOGIN_VERDICT_BADCODE;
    step->result.code_verdict = step->audit_verdict;
    if (*is_right) {
        row->last_used_ms = now_ms;
        return vy_ok();
    }
    count_wrong(row, now_ms);
    return put_factor(step, account_id, row);
}

static uint32_t count_left(const struct factor_row *row)
{
    uint32_t left = 0;
    for (size_t i = 0; i < row->recovery_count; i++) {
        left += row->recovery[i].used_ms == 0 ? 1 : 0;
    }
    return left;
}

static struct vy_err check_codes(struct fsm_step *step, size_t count)
{
    return fsm_is_refused(step) || count == META_RECOVERY_CODES
               ? vy_ok()
               : fsm_refuse(step, META_OUTCOME_ARGUMENT, "there are %u recovery codes",
                            META_RECOVERY_CODES);
}

/* New recovery codes, from the command, as many as there must be. */
static void take_codes(const struct vy_bytes *macs, struct factor_row *row,
                       struct recovery_row *recovery)
{
    for (size_t i = 0; i < META_RECOVERY_CODES; i++) {
        recovery[i] = (struct recovery_row){.mac = macs[i]};
    }
    row->recovery_count = META_RECOVERY_CODES;
    row->recovery = recovery;
}

/* ---- confirming: from now on the main password opens no mail protocol (APP-2, APP-3) ---- */

static struct vy_err activate(struct fsm_step *step, struct meta_account_row *account,
                              struct factor_row *row)
{
    const struct cmd_factor_confirm *cmd = step->command->factor_confirm;
    struct recovery_row recovery[META_RECOVERY_CODES];
    take_codes(cmd->recovery_macs, row, recovery);
    row->state = FACTOR_STATE_ACTIVE;
    row->confirmed_ms = step->entry->time_ms;
    VY_TRY(put_factor(step, account->id, row));
    account->factor_count = 1;
    account->epoch++;
    step->result.seed = cmd->seed;
    fsm_tell_account(step, account);
    return fsm_put_account(step, account);
}

struct vy_err factor_apply_confirm(struct fsm_step *step)
{
    const struct cmd_factor_confirm *cmd = step->command->factor_confirm;
    struct meta_account_row account;
    struct factor_row row;
    bool is_right = false;
    VY_TRY(find_factor(step, cmd->account_id, FACTOR_STATE_PENDING, &account, &row));
    if (!fsm_is_refused(step) && step->entry->time_ms - row.created_ms > PENDING_MS) {
        return fsm_refuse(step, META_OUTCOME_PRECONDITION,
                          "the enrolment was not confirmed within an hour: begin anew with "
                          "`factor enroll`");
    }
    VY_TRY(check_codes(step, cmd->recovery_macs_count));
    if (fsm_is_refused(step) || fsm_is_dry(step)) {
        return vy_ok();
    }
    VY_TRY(prove(step, account.id, cmd->proof, &row, NULL, &is_right));
    return is_right ? activate(step, &account, &row) : vy_ok();
}

/* ---- using and removing ---- */

struct vy_err factor_apply_verify(struct fsm_step *step)
{
    const struct cmd_factor_verify *cmd = step->command->factor_verify;
    struct meta_account_row account;
    struct factor_row row;
    struct recovery_row recovery[META_RECOVERY_CODES];
    bool is_right = false;
    VY_TRY(find_factor(step, cmd->account_id, FACTOR_STATE_ACTIVE, &account, &row));
    if (fsm_is_refused(step) || fsm_is_dry(step)) {
        return vy_ok();
    }
    VY_TRY(prove(step, account.id, cmd->proof, &row, recovery, &is_right));
    if (!is_right) {
        return vy_ok();
    }
    step->result.count = count_left(&row);
    return put_factor(step, account.id, &row);
}

static struct vy_err remove_factor(struct fsm_step *step, struct meta_account_row *account)
{
    const struct meta_key key = meta_key_u64(account->id);
    txn_delete(step->txn, META_FAMILY_FACTOR, meta_key_bytes(&key));
    account->factor_count = 0;
    fsm_tell_account(step, account);
    return fsm_put_account(step, account);
}

struct vy_err factor_apply_disable(struct fsm_step *step)
{
    const struct cmd_factor_disable *cmd = step->command->factor_disable;
    const enum factor_state state = cmd->pending_only ? FACTOR_STATE_PENDING : FACTOR_STATE_ACTIVE;
    struct meta_account_row account;
    struct factor_row row;
    struct recovery_row recovery[META_RECOVERY_CODES];
    bool is_right = true;
    VY_TRY(find_factor(step, cmd->account_id, state, &account, &row));
    if (fsm_is_refused(step) || fsm_is_dry(step)) {
        return vy_ok();
    }
    if (cmd->proof != NULL) {
        VY_TRY(prove(step, account.id, cmd->proof, &row, recovery, &is_right));
    }
    return is_right ? remove_factor(step, &account) : vy_ok();
}

struct vy_err factor_apply_recovery_codes(struct fsm_step *step)
{
    const struct cmd_recovery_codes *cmd = step->command->recovery_codes;
    struct meta_account_row account;
    struct factor_row row;
    struct recovery_row recovery[META_RECOVERY_CODES];
    bool is_right = true;
    VY_TRY(find_factor(step, cmd->account_id, FACTOR_STATE_ACTIVE, &account, &row));
    VY_TRY(check_codes(step, cmd->recovery_macs_count));
    if (fsm_is_refused(step) || fsm_is_dry(step)) {
        return vy_ok();
    }
    if (cmd->proof != NULL) {
        VY_TRY(prove(step, account.id, cmd->proof, &row, recovery, &is_right));
    }
    if (!is_right) {
        return vy_ok();
    }
    take_codes(cmd->recovery_macs, &row, recovery);
    step->result.seed = cmd->seed;
    return put_factor(step, account.id, &row);
}

/* ---- policy ---- */

struct vy_err factor_apply_policy(struct fsm_step *step)
{
    const struct cmd_sign_in_policy *cmd = step->command->sign_in_policy;
    struct meta_account_row account;
    VY_TRY(fsm_find_account(step, cmd->account_id, &account));
    if (fsm_is_refused(step) || fsm_is_dry(step)) {
        return vy_ok();
    }
    if (cmd->app_passwords_only && !account.app_passwords_only) {
        account.epoch++; /* APP-2: sessions of the main password end */
    }
    account.app_passwords_only = cmd->app_passwords_only;
    fsm_tell_account(step, &account);
    return fsm_put_account(step, &account);
}
