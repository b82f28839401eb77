/* SPDX-License-Identifier: Apache-2.0 */
#include "meta/fsm_private.h"

static struct vy_err find_domain(struct fsm_step *step, struct vy_bytes address,
                                 struct domain_row *row)
{
    struct vy_bytes name = address;
    while (vy_bytes_find_byte(name, '@', 0) != SIZE_MAX) {
        name = vy_bytes_from(name, vy_bytes_find_byte(name, '@', 0) + 1);
    }
    bool is_found = false;
    VY_TRY(domain_get(&step->view, name, row, &is_found));
    return is_found ? vy_ok()
                    : fsm_refuse(step, META_OUTCOME_NOT_FOUND,
                                 "domain %.*s does not exist: create it first", VY_PRI(name));
}

static struct vy_err check_targets(struct fsm_step *step, const struct cmd_alias_create *cmd)
{
    enum directory_verdict verdict = DIRECTORY_ALIAS_OK;
    struct vy_bytes target = {.len = 0};
    if (cmd->targets_count == 0 || cmd->targets_count > META_ALIAS_TARGETS_MAX) {
        return fsm_refuse(step, META_OUTCOME_LIMIT, "an alias has 1 to %u targets",
                          META_ALIAS_TARGETS_MAX);
    }
    VY_TRY(directory_check_alias(&step->view, cmd->address, cmd->targets, cmd->targets_count,
                                 &verdict, &target));
    switch (verdict) {
    case DIRECTORY_ALIAS_OK:
        return vy_ok();
    case DIRECTORY_ALIAS_LOOP:
        return fsm_refuse(step, META_OUTCOME_ARGUMENT, "alias %.*s would lead back to itself",
                          VY_PRI(cmd->address));
    case DIRECTORY_ALIAS_LIMIT:
        return fsm_refuse(step, META_OUTCOME_LIMIT,
                          "alias %.*s would expand to more than %u names or %u levels",
                          VY_PRI(cmd->address), META_ALIAS_TARGETS_MAX, META_ALIAS_DEPTH_MAX);
    case DIRECTORY_ALIAS_FOREIGN:
        return fsm_refuse(step, META_OUTCOME_ARGUMENT,
                          "target %.*s is of a domain that this cluster does not have",
                          VY_PRI(target));
    case DIRECTORY_ALIAS_UNKNOWN:
        return fsm_refuse(step, META_OUTCOME_NOT_FOUND, "target %.*s does not exist",
                          VY_PRI(target));
    }
    return vy_error(VY_CODE_INTERNAL, "verdict on an alias");
}

/* The way back: from an account to the aliases that lead to it (DEL-7). */
static void index_targets(struct fsm_step *step, const struct alias_row *alias, bool is_kept)
{
    for (size_t i = 0; i < alias->targets_count; i++) {
        const struct meta_key key = meta_key_target(alias->targets[i], alias->address);
        if (is_kept) {
            txn_put(step->txn, META_FAMILY_ALIAS_TARGET, meta_key_bytes(&key), VY_LIT("1"));
        } else {
            txn_delete(step->txn, META_FAMILY_ALIAS_TARGET, meta_key_bytes(&key));
        }
    }
}

static struct vy_err put_alias(struct fsm_step *step, const struct cmd_alias_create *cmd)
{
    const struct meta_key key = meta_key_address(cmd->address);
    const struct address_row address = {.kind = ADDRESS_KIND_ALIAS};
    const struct alias_row alias = {.address = cmd->address,
                                    .targets_count = cmd->targets_count,
                                    .targets = cmd->targets,
                                    .created_ms = step->entry->time_ms};
    VY_TRY(fsm_put(step, META_FAMILY_ADDRESS, meta_key_bytes(&key), &address_row_desc, &address));
    index_targets(step, &alias, true);
    return fsm_put(step, META_FAMILY_ALIAS, meta_key_bytes(&key), &alias_row_desc, &alias);
}

struct vy_err alias_apply_create(struct fsm_step *step)
{
    const struct cmd_alias_create *cmd = step->command->alias_create;
    struct domain_row domain = {.created_ms = 0};
    VY_TRY(fsm_check_address(step, cmd->address));
    if (!fsm_is_refused(step)) {
        VY_TRY(find_domain(step, cmd->address, &domain));
    }
    if (!fsm_is_refused(step)) {
        VY_TRY(domain_check_stays(step, &domain));
    }
    if (!fsm_is_refused(step)) {
        VY_TRY(fsm_check_free(step, cmd->address, /* release = */ false));
    }
    if (!fsm_is_refused(step)) {
        VY_TRY(check_targets(step, cmd));
    }
    if (fsm_is_refused(step) || fsm_is_dry(step)) {
        return vy_ok();
    }
    domain.alias_count++;
    VY_TRY(put_alias(step, cmd));
    fsm_tell_address(step, cmd->address);
    return fsm_put(step, META_FAMILY_DOMAIN, domain.name, &domain_row_desc, &domain);
}

struct vy_err alias_delete(struct fsm_step *step, struct vy_bytes address)
{
    const struct meta_key key = meta_key_address(address);
    struct domain_row domain = {.created_ms = 0};
    VY_TRY(find_domain(step, address, &domain));
    if (fsm_is_refused(step)) {
        return vy_ok();
    }
    if (vy_bytes_equal(domain.catch_all, address)) {
        return fsm_refuse(step, META_OUTCOME_PRECONDITION,
                          "alias %.*s is its domain's catch-all: change that first",
                          VY_PRI(address));
    }
    if (fsm_is_dry(step)) {
        return vy_ok();
    }
    struct alias_row alias;
    bool is_found = false;
    VY_TRY(alias_get(&step->view, address, &alias, &is_found));
    index_targets(step, &alias, false);
    domain.alias_count -= domain.alias_count > 0 ? 1 : 0;
    txn_delete(step->txn, META_FAMILY_ADDRESS, meta_key_bytes(&key));
    txn_delete(step->txn, META_FAMILY_ALIAS, meta_key_bytes(&key));
    fsm_tell_address(step, address);
    return fsm_put(step, META_FAMILY_DOMAIN, domain.name, &domain_row_desc, &domain);
}

struct vy_err alias_apply_delete(struct fsm_step *step)
{
    const struct vy_bytes address = step->command->alias_delete->address;
    struct address_row there;
    bool is_found = false;
    VY_TRY(address_get(&step->view, address, &there, &is_found));
    if (!is_found || there.kind != ADDRESS_KIND_ALIAS) {
        return fsm_refuse(step, META_OUTCOME_NOT_FOUND, "alias %.*s does not exist",
                          VY_PRI(address));
    }
    return alias_delete(step, address);
}
