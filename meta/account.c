/* SPDX-License-Identifier: Apache-2.0 */
/* Accounts: numbers that are never used twice, with a main address as an attribute. */
#include "meta/fsm_private.h"

/* A leader that is this far ahead of the counter is broken; numbers must not run out. */
#define ACCOUNT_ID_STEP_MAX 1000000U

/* A name is free if nobody has it, or had it so lately that mail for the old holder would come. */
struct vy_err fsm_check_free(struct fsm_step *step, struct vy_bytes address, bool release)
{
    struct address_row there;
    bool is_found = false;
    VY_TRY(address_get(&step->view, address, &there, &is_found));
    if (!is_found) {
        return vy_ok();
    }
    if (there.kind == ADDRESS_KIND_RETIRED) {
        if (release || step->entry->time_ms >= there.kept_until_ms) {
            return vy_ok();
        }
        const uint64_t left_s = (there.kept_until_ms - step->entry->time_ms) / 1000 + 1;
        return fsm_refuse(step, META_OUTCOME_EXISTS,
                          "%.*s belonged to a deleted account and is kept unused for %lu more "
                          "seconds; an account with --release-address may have it now",
                          VY_PRI(address), left_s);
    }
    return fsm_refuse(step, META_OUTCOME_EXISTS, "%s %.*s exists already",
                      there.kind == ADDRESS_KIND_ALIAS ? "alias" : "account", VY_PRI(address));
}

static struct vy_err check_address(struct fsm_step *step, struct vy_bytes address,
                                   struct domain_row *domain)
{
    const struct vy_bytes name = fsm_domain_of(address);
    bool is_found = false;
    VY_TRY(domain_get(&step->view, name, domain, &is_found));
    if (!is_found) {
        return fsm_refuse(step, META_OUTCOME_NOT_FOUND,
                          "domain %.*s does not exist: create it first", VY_PRI(name));
    }
    VY_TRY(domain_check_stays(step, domain));
    return fsm_is_refused(step)
               ? vy_ok()
               : fsm_check_free(step, address, step->command->account_create->release_address);
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
