/* SPDX-License-Identifier: Apache-2.0 */
/* Accounts: numbers that are never used twice, with a main address as an attribute. */
#include "meta/fsm_private.h"

/* A leader that is this far ahead of the counter is broken; numbers must not run out. */
#define ACCOUNT_ID_STEP_MAX 1000000U

static struct vy_bytes domain_of(struct vy_bytes address)
{
    struct vy_bytes rest = address;
    while (vy_bytes_find_byte(rest, '@', 0) != SIZE_MAX) {
        rest = vy_bytes_from(rest, vy_bytes_find_byte(rest, '@', 0) + 1);
    }
    return rest;
}

static struct vy_err check_address(struct fsm_step *step, struct vy_bytes address,
                                   struct domain_row *domain)
{
    const struct vy_bytes name = domain_of(address);
    struct address_row there;
    bool is_found = false;
    VY_TRY(domain_get(&step->view, name, domain, &is_found));
    if (!is_found) {
        return fsm_refuse(step, META_OUTCOME_NOT_FOUND,
                          "domain %.*s does not exist: create it first", VY_PRI(name));
    }
    VY_TRY(address_get(&step->view, address, &there, &is_found));
    if (!is_found) {
        return vy_ok();
    }
    return fsm_refuse(step, META_OUTCOME_EXISTS, "%s %.*s exists already",
                      there.kind == ADDRESS_KIND_ALIAS ? "alias" : "account", VY_PRI(address));
}

static struct vy_err check_create(struct fsm_step *step, struct domain_row *domain,
                                  struct counter_row *counter)
{
    const struct cmd_account_create *cmd = step->command->account_create;
    VY_TRY(fsm_check_address(step, cmd->address));
    if (!fsm_is_refused(step)) {
        VY_TRY(check_address(step, cmd->address, domain));
    }
    if (fsm_is_refused(step)) {
        return vy_ok();
    }
    VY_TRY(counter_get(&step->view, counter));
    if (cmd->account_id < counter->next_account_id ||
        cmd->account_id - counter->next_account_id > ACCOUNT_ID_STEP_MAX) {
        step->result.account_id = counter->next_account_id;
        return fsm_refuse(step, META_OUTCOME_CONFLICT, "account number is taken");
    }
    return vy_ok();
}

static struct vy_err put_rows(struct fsm_step *step, struct meta_account_row *account)
{
    const struct cmd_account_create *cmd = step->command->account_create;
    const struct meta_key id_key = meta_key_u64(cmd->account_id);
    const struct meta_key address_key = meta_key_address(cmd->address);
    const struct address_row address = {.kind = ADDRESS_KIND_ACCOUNT,
                                        .account_id = cmd->account_id};
    if (cmd->credential != NULL) {
        VY_TRY(credential_put_new(step, account, cmd->credential));
    }
    VY_TRY(fsm_put_account(step, account));
    VY_TRY(fsm_put(step, META_FAMILY_ADDRESS, meta_key_bytes(&address_key), &address_row_desc,
                   &address));
    txn_put(step->txn, META_FAMILY_KEY, meta_key_bytes(&id_key), cmd->wrapped_key);
    return vy_ok();
}

static struct vy_err put_counts(struct fsm_step *step, struct domain_row *domain,
                                struct counter_row *counter)
{
    counter->next_account_id = step->command->account_create->account_id + 1;
    counter->account_count++;
    domain->account_count++;
    VY_TRY(fsm_put(step, META_FAMILY_CLUSTER, META_KEY_COUNTER, &counter_row_desc, counter));
    return fsm_put(step, META_FAMILY_DOMAIN, domain->name, &domain_row_desc, domain);
}

struct vy_err account_apply_create(struct fsm_step *step)
{
    const struct cmd_account_create *cmd = step->command->account_create;
    struct domain_row domain = {.created_ms = 0};
    struct counter_row counter = {.next_account_id = 0};
    VY_TRY(check_create(step, &domain, &counter));
    if (fsm_is_refused(step) || fsm_is_dry(step)) {
        return vy_ok();
    }
    struct meta_account_row account = {.id = cmd->account_id,
                                       .address = cmd->address,
                                       .state = ACCOUNT_STATE_ACTIVE,
                                       .created_ms = step->entry->time_ms,
                                       .quota_bytes = cmd->quota_bytes,
                                       .epoch = 1,
                                       .next_credential_id = 1};
    VY_TRY(put_rows(step, &account));
    VY_TRY(put_counts(step, &domain, &counter));
    step->audit_account_id = account.id;
    step->result.account_id = account.id;
    fsm_tell_account(step, &account);
    fsm_tell_address(step, account.address);
    return vy_ok();
}

/* ---- state ---- */

/* DEL-1: which state may follow which by SetAccountState. Deleting has commands of its own. */
static bool may_become(uint32_t from, uint32_t to)
{
    return (from == ACCOUNT_STATE_ACTIVE || from == ACCOUNT_STATE_LOGIN_DISABLED) &&
           (to == ACCOUNT_STATE_ACTIVE || to == ACCOUNT_STATE_LOGIN_DISABLED);
}

struct vy_err account_apply_state(struct fsm_step *step)
{
    const struct cmd_account_state *cmd = step->command->account_state;
    struct meta_account_row account;
    VY_TRY(fsm_find_account(step, cmd->account_id, &account));
    if (fsm_is_refused(step)) {
        return vy_ok();
    }
    if (!may_become(account.state, cmd->state)) {
        return fsm_refuse(step, META_OUTCOME_PRECONDITION,
                          "the account's state does not allow this: it is being deleted");
    }
    if (fsm_is_dry(step)) {
        return vy_ok();
    }
    if (cmd->state == ACCOUNT_STATE_LOGIN_DISABLED && account.state == ACCOUNT_STATE_ACTIVE) {
        account.epoch++; /* sessions end (LOGIN-5, DEL-6) */
    }
    account.state = cmd->state;
    account.disabled_text = cmd->text;
    fsm_tell_account(step, &account);
    return fsm_put_account(step, &account);
}

struct vy_err account_apply_quota(struct fsm_step *step)
{
    const struct cmd_account_quota *cmd = step->command->account_quota;
    struct meta_account_row account;
    VY_TRY(fsm_find_account(step, cmd->account_id, &account));
    if (fsm_is_refused(step) || fsm_is_dry(step)) {
        return vy_ok();
    }
    account.quota_bytes = cmd->quota_bytes;
    fsm_tell_account(step, &account);
    return fsm_put_account(step, &account);
}
