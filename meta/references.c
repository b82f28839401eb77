/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DEL-7: what names an account besides itself: aliases that have it as a target, found by their
 * index, and its domain's catch-all.
 */
#include "meta/fsm_private.h"

#define ALIAS_BYTES_MAX (2U * 1024 * 1024) /* one row with all its targets */
#define NAMED_MAX 5U                       /* in a refusal; PrepareDelete lists all */

/* The alias of an index row: behind the hash stand domain, NUL, local part. */
static struct vy_err alias_of_key(struct vy_arena *arena, struct vy_bytes key, struct vy_bytes *out)
{
    const struct vy_bytes name = vy_bytes_from(key, META_TARGET_HASH_BYTES);
    const size_t end = vy_bytes_find_byte(name, 0, 0);
    if (key.len < META_TARGET_HASH_BYTES || end == SIZE_MAX) {
        return vy_error(VY_CODE_CORRUPT, "key of an alias's target");
    }
    const char *text = vy_arena_printf(arena, "%.*s@%.*s", VY_PRI(vy_bytes_from(name, end + 1)),
                                       VY_PRI(vy_bytes_slice(name, 0, end)));
    *out = text == NULL ? vy_bytes(NULL, 0) : vy_cstr(text);
    return text == NULL ? vy_error(VY_CODE_NOMEM, "name of an alias") : vy_ok();
}

static struct vy_err list_aliases(const struct meta_view *view, struct vy_bytes address,
                                  struct vy_bytes *out, size_t *out_count)
{
    uint8_t end[META_TARGET_HASH_BYTES];
    const struct meta_key first = meta_key_target(address, vy_bytes(NULL, 0));
    const struct table_page page = {.family = META_FAMILY_ALIAS_TARGET,
                                    .from = meta_key_bytes(&first),
                                    .to = store_prefix_end(meta_key_bytes(&first), end),
                                    .rows_max = META_REFERENCES_MAX};
    struct table_rows rows = {.count = 0};
    VY_TRY(table_read_page(view, &page, &rows));
    for (size_t i = 0; i < rows.count; i++) {
        VY_TRY(alias_of_key(view->arena, rows.keys[i], &out[i]));
    }
    *out_count = rows.count + (rows.is_more ? 1 : 0);
    if (rows.is_more) {
        out[rows.count] = VY_LIT("and more");
    }
    return vy_ok();
}

struct vy_err references_list(const struct meta_view *view, struct vy_bytes address,
                              const struct vy_bytes **out, size_t *out_count)
{
    struct domain_row domain;
    bool is_found = false;
    struct vy_bytes *names = VY_ARENA_ARRAY(view->arena, META_REFERENCES_MAX + 2, struct vy_bytes);
    if (names == NULL) {
        return vy_error(VY_CODE_NOMEM, "names of references");
    }
    *out = names;
    *out_count = 0;
    if (address.len == 0) {
        return vy_ok(); /* of an account that was erased before */
    }
    VY_TRY(list_aliases(view, address, names, out_count));
    VY_TRY(domain_get(view, fsm_domain_of(address), &domain, &is_found));
    if (is_found && vy_bytes_equal(domain.catch_all, address)) {
        names[(*out_count)++] = domain.name;
    }
    return vy_ok();
}

/* ---- leaving them ---- */

static bool is_target_of(struct vy_bytes target, struct vy_bytes address)
{
    const struct meta_key a = meta_key_target(target, vy_bytes(NULL, 0));
    const struct meta_key b = meta_key_target(address, vy_bytes(NULL, 0));
    return vy_bytes_equal(meta_key_bytes(&a), meta_key_bytes(&b));
}

/* The alias without the account; a list left empty stays, and is reported. */
static struct vy_err leave_alias(struct fsm_step *step, struct vy_arena *arena,
                                 struct vy_bytes name, struct vy_bytes address)
{
    const struct meta_view view = {.reader = step->view.reader, .arena = arena};
    const struct meta_key key = meta_key_address(name);
    const struct meta_key index = meta_key_target(address, name);
    struct alias_row row;
    bool is_found = false;
    VY_TRY(alias_get(&view, name, &row, &is_found));
    if (!is_found) {
        return vy_error(VY_CODE_CORRUPT, "alias of an index");
    }
    struct vy_bytes *targets = VY_ARENA_ARRAY(arena, row.targets_count + 1, struct vy_bytes);
    size_t count = 0;
    if (targets == NULL) {
        return vy_error(VY_CODE_NOMEM, "targets of an alias");
    }
    for (size_t i = 0; i < row.targets_count; i++) {
        if (!is_target_of(row.targets[i], address)) {
            targets[count++] = row.targets[i];
        }
    }
    row.targets = targets;
    row.targets_count = count;
    txn_delete(step->txn, META_FAMILY_ALIAS_TARGET, meta_key_bytes(&index));
    fsm_tell_address(step, name);
    if (count == 0) {
        struct vy_bytes *empty = (struct vy_bytes *)(uintptr_t)step->result.names;
        empty[step->result.names_count++] = name;
    }
    return fsm_put(step, META_FAMILY_ALIAS, meta_key_bytes(&key), &alias_row_desc, &row);
}

static struct vy_err leave_domain(struct fsm_step *step, struct vy_bytes name)
{
    struct domain_row domain;
    bool is_found = false;
    VY_TRY(domain_get(&step->view, name, &domain, &is_found));
    domain.catch_all = vy_bytes(NULL, 0);
    fsm_tell_address(step, name);
    return fsm_put(step, META_FAMILY_DOMAIN, name, &domain_row_desc, &domain);
}

static struct vy_err leave_all(struct fsm_step *step, const struct vy_bytes *names, size_t count,
                               struct vy_bytes address)
{
    struct vy_arena arena;
    struct vy_err err = vy_ok();
    step->result.names = VY_ARENA_ARRAY(step->view.arena, count, struct vy_bytes);
    if (step->result.names == NULL) {
        return vy_error(VY_CODE_NOMEM, "names of aliases");
    }
    vy_arena_init(&arena, ALIAS_BYTES_MAX);
    for (size_t i = 0; i < count && !vy_failed(err); i++) {
        vy_arena_reset(&arena);
        err = vy_bytes_find_byte(names[i], '@', 0) == SIZE_MAX
                  ? leave_domain(step, names[i])
                  : leave_alias(step, &arena, names[i], address);
    }
    vy_arena_deinit(&arena);
    return err;
}

static struct vy_err refuse(struct fsm_step *step, const struct meta_account_row *account,
                            const struct vy_bytes *names, size_t count)
{
    struct vy_buf list;
    vy_buf_init(&list, 4096);
    for (size_t i = 0; i < VY_MIN(count, NAMED_MAX); i++) {
        vy_buf_printf(&list, "%s%.*s", i == 0 ? "" : ", ", VY_PRI(vy_bytes_slice(names[i], 0, 64)));
    }
    const struct vy_bytes text = vy_buf_bytes(&list);
    const struct vy_err err =
        fsm_refuse(step, META_OUTCOME_PRECONDITION,
                   "%.*s is named by %.*s%s: take it out there first, or delete with --cascade",
                   VY_PRI(vy_bytes_slice(account->address, 0, 64)), VY_PRI(text),
                   count > NAMED_MAX ? " and others" : "");
    vy_buf_deinit(&list);
    return err;
}

struct vy_err references_drop(struct fsm_step *step, const struct meta_account_row *account,
                              bool cascade)
{
    const struct vy_bytes *names = NULL;
    size_t count = 0;
    VY_TRY(references_list(&step->view, account->address, &names, &count));
    if (count == 0) {
        return vy_ok();
    }
    if (!cascade) {
        return refuse(step, account, names, count);
    }
    if (count > META_REFERENCES_MAX) {
        return fsm_refuse(step, META_OUTCOME_LIMIT,
                          "more than %u aliases name the account: take it out of some first",
                          META_REFERENCES_MAX);
    }
    return fsm_is_dry(step) ? vy_ok() : leave_all(step, names, count, account->address);
}
