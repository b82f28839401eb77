/* SPDX-License-Identifier: Apache-2.0 */
#include "meta/fsm_private.h"

/* A catch-all is an account or alias of the domain itself that exists. */
static struct vy_err check_catch_all(struct fsm_step *step, struct vy_bytes domain,
                                     struct vy_bytes address)
{
    struct address_row row;
    bool is_found = false;
    if (address.len == 0) {
        return vy_ok();
    }
    VY_TRY(address_get(&step->view, address, &row, &is_found));
    if (!is_found || row.kind == ADDRESS_KIND_RETIRED) {
        return fsm_refuse(step, META_OUTCOME_NOT_FOUND,
                          "catch-all %.*s does not exist: create it first", VY_PRI(address));
    }
    const bool is_inside = address.len > domain.len && vy_bytes_ends_with(address, domain) &&
                           address.data[address.len - domain.len - 1] == '@';
    return is_inside
               ? vy_ok()
               : fsm_refuse(step, META_OUTCOME_ARGUMENT, "catch-all %.*s is not of the domain %.*s",
                            VY_PRI(address), VY_PRI(domain));
}

static struct vy_err put(struct fsm_step *step, const struct domain_row *row)
{
    return fsm_put(step, META_FAMILY_DOMAIN, row->name, &domain_row_desc, row);
}

struct vy_err domain_apply_create(struct fsm_step *step)
{
    const struct cmd_domain_create *cmd = step->command->domain_create;
    struct domain_row row;
    bool is_found = false;
    VY_TRY(domain_get(&step->view, cmd->name, &row, &is_found));
    if (is_found && row.deleting_job_id != 0) {
        return domain_check_stays(step, &row);
    }
    if (is_found) {
        return fsm_refuse(step, META_OUTCOME_EXISTS, "domain %.*s exists already",
                          VY_PRI(cmd->name));
    }
    VY_TRY(fsm_check_domain_name(step, cmd->name));
    if (!fsm_is_refused(step)) {
        VY_TRY(check_catch_all(step, cmd->name, cmd->catch_all));
    }
    if (fsm_is_refused(step) || fsm_is_dry(step)) {
        return vy_ok();
    }
    row = (struct domain_row){
        .name = cmd->name, .catch_all = cmd->catch_all, .created_ms = step->entry->time_ms};
    fsm_tell_address(step, cmd->name);
    return put(step, &row);
}

static struct vy_err find(struct fsm_step *step, struct vy_bytes name, struct domain_row *row)
{
    bool is_found = false;
    VY_TRY(domain_get(&step->view, name, row, &is_found));
    return is_found ? vy_ok()
                    : fsm_refuse(step, META_OUTCOME_NOT_FOUND, "domain %.*s does not exist",
                                 VY_PRI(name));
}

struct vy_err domain_apply_set(struct fsm_step *step)
{
    const struct cmd_domain_set *cmd = step->command->domain_set;
    struct domain_row row;
    VY_TRY(find(step, cmd->name, &row));
    if (fsm_is_refused(step)) {
        return vy_ok();
    }
    VY_TRY(domain_check_stays(step, &row));
    if (!fsm_is_refused(step)) {
        VY_TRY(check_catch_all(step, cmd->name, cmd->catch_all));
    }
    if (fsm_is_refused(step) || fsm_is_dry(step)) {
        return vy_ok();
    }
    row.catch_all = cmd->catch_all;
    fsm_tell_address(step, cmd->name);
    return put(step, &row);
}

struct vy_err domain_apply_delete(struct fsm_step *step)
{
    const struct cmd_domain_delete *cmd = step->command->domain_delete;
    struct domain_row row;
    VY_TRY(find(step, cmd->name, &row));
    if (fsm_is_refused(step)) {
        return vy_ok();
    }
    if (cmd->cascade) {
        return domain_begin_delete(step, &row);
    }
    if (row.account_count > 0 || row.alias_count > 0) { /* H20 */
        return fsm_refuse(
            step, META_OUTCOME_PRECONDITION,
            "domain %.*s still has %llu accounts and %llu aliases: delete them first, "
            "or all together with --cascade",
            VY_PRI(cmd->name), (unsigned long long)row.account_count,
            (unsigned long long)row.alias_count);
    }
    if (fsm_is_dry(step)) {
        return vy_ok();
    }
    txn_delete(step->txn, META_FAMILY_DOMAIN, cmd->name);
    fsm_tell_address(step, cmd->name);
    return vy_ok();
}
