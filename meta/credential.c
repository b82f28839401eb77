/* SPDX-License-Identifier: Apache-2.0 */
/* Credentials: one main password and app passwords, each under a number of its account. */
#include "meta/fsm_private.h"

struct vy_err credential_put_new(struct fsm_step *step, struct meta_account_row *account,
                                 const struct new_credential *secret)
{
    const uint64_t id = account->next_credential_id++;
    const struct meta_key key = meta_key_u64_pair(account->id, id);
    const struct credential_row row = {
        .id = id, .created_ms = step->entry->time_ms, .secret = secret};
    if (secret->kind == CREDENTIAL_KIND_APP) {
        account->app_password_count++;
    } else {
        account->main_credential_id = id;
    }
    step->audit_credential_id = id;
    step->result.credential_id = id;
    step->result.seed = secret->seed;
    return fsm_put(step, META_FAMILY_CREDENTIAL, meta_key_bytes(&key), &credential_row_desc, &row);
}

static void delete_row(struct fsm_step *step, uint64_t account_id, uint64_t credential_id)
{
    const struct meta_key key = meta_key_u64_pair(account_id, credential_id);
    txn_delete(step->txn, META_FAMILY_CREDENTIAL, meta_key_bytes(&key));
}

/* APP-7 */
static struct vy_err revoke_app_passwords(struct fsm_step *step, struct meta_account_row *account)
{
    const struct credential_row *rows = NULL;
    size_t count = 0;
    VY_TRY(credential_list(&step->view, account->id, &rows, &count));
    for (size_t i = 0; i < count; i++) {
        if (rows[i].secret != NULL && rows[i].secret->kind == CREDENTIAL_KIND_APP) {
            delete_row(step, account->id, rows[i].id);
            step->result.count++;
        }
    }
    account->app_password_count = 0;
    return vy_ok();
}

struct vy_err credential_apply_password(struct fsm_step *step)
{
    const struct cmd_account_password *cmd = step->command->account_password;
    struct meta_account_row account;
    VY_TRY(fsm_find_account(step, cmd->account_id, &account));
    if (fsm_is_refused(step) || fsm_is_dry(step)) {
        return vy_ok();
    }
    if (cmd->credential == NULL) {
        return fsm_refuse(step, META_OUTCOME_ARGUMENT, "no password given");
    }
    if (account.main_credential_id != 0) {
        delete_row(step, account.id, account.main_credential_id);
    }
    if (!cmd->keep_app_passwords) {
        VY_TRY(revoke_app_passwords(step, &account));
    }
    account.epoch++; /* P18: a changed password ends sessions everywhere */
    VY_TRY(credential_put_new(step, &account, cmd->credential));
    fsm_tell_account(step, &account);
    return fsm_put_account(step, &account);
}

struct vy_err credential_apply_app_create(struct fsm_step *step)
{
    const struct cmd_app_password_create *cmd = step->command->app_password_create;
    struct meta_account_row account;
    VY_TRY(fsm_find_account(step, cmd->account_id, &account));
    if (fsm_is_refused(step)) {
        return vy_ok();
    }
    if (account.app_password_count >= META_APP_PASSWORDS_MAX) {
        return fsm_refuse(step, META_OUTCOME_LIMIT,
                          "the account has %u app passwords already: delete one first",
                          META_APP_PASSWORDS_MAX);
    }
    if (fsm_is_dry(step) || cmd->credential == NULL) {
        return vy_ok();
    }
    VY_TRY(credential_put_new(step, &account, cmd->credential));
    return fsm_put_account(step, &account);
}

struct vy_err credential_apply_app_delete(struct fsm_step *step)
{
    const struct cmd_app_password_delete *cmd = step->command->app_password_delete;
    struct meta_account_row account;
    struct credential_row row;
    bool is_found = false;
    VY_TRY(fsm_find_account(step, cmd->account_id, &account));
    if (fsm_is_refused(step)) {
        return vy_ok();
    }
    VY_TRY(credential_get(&step->view, cmd->account_id, cmd->credential_id, &row, &is_found));
    if (!is_found || row.secret == NULL || row.secret->kind != CREDENTIAL_KIND_APP) {
        return fsm_refuse(step, META_OUTCOME_NOT_FOUND, "app password %llu does not exist",
                          (unsigned long long)cmd->credential_id);
    }
    if (fsm_is_dry(step)) {
        return vy_ok();
    }
    delete_row(step, account.id, cmd->credential_id);
    step->audit_credential_id = cmd->credential_id;
    account.app_password_count -= account.app_password_count > 0 ? 1 : 0;
    /* APP-7, A10: its sessions end. The epoch is the account's, so the others sign in again too. */
    account.epoch++;
    fsm_tell_account(step, &account);
    return fsm_put_account(step, &account);
}
