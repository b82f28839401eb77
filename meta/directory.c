/* SPDX-License-Identifier: Apache-2.0 */
#include "meta/directory.h"

#include "base/map.h"
#include "meta/fsm.h"

/* ---- one name ---- */

static struct vy_err find_exact(const struct meta_view *view, struct vy_bytes address,
                                struct directory_entry *out)
{
    struct address_row row;
    bool is_found = false;
    VY_TRY(address_get(view, address, &row, &is_found));
    if (!is_found) {
        return vy_ok();
    }
    if (row.kind == ADDRESS_KIND_RETIRED) { /* P8: nobody's mail, the catch-all's neither */
        out->is_retired = true;
        return vy_ok();
    }
    if (row.kind == ADDRESS_KIND_ALIAS) {
        out->kind = DIRECTORY_ALIAS;
        VY_TRY(alias_get(view, address, &out->alias, &is_found));
    } else {
        out->kind = DIRECTORY_ACCOUNT;
        VY_TRY(account_get(view, row.account_id, &out->account, &is_found));
    }
    return is_found ? vy_ok() : vy_error(VY_CODE_CORRUPT, "address leads nowhere");
}

static size_t find_at(struct vy_bytes address)
{
    for (size_t i = address.len; i > 0; i--) {
        if (address.data[i - 1] == '@') {
            return i - 1;
        }
    }
    return SIZE_MAX;
}

static struct vy_err find_without_detail(const struct meta_view *view, struct vy_bytes address,
                                         size_t at, struct directory_entry *out)
{
    const size_t plus = vy_bytes_find_byte(vy_bytes_slice(address, 0, at), '+', 0);
    if (plus == SIZE_MAX || plus == 0) {
        return vy_ok();
    }
    const struct vy_bytes domain = vy_bytes_from(address, at);
    uint8_t *bare = vy_arena_alloc(view->arena, plus + domain.len);
    if (bare == NULL) {
        return vy_error(VY_CODE_LIMIT, "memory for an address");
    }
    memcpy(bare, address.data, plus);
    memcpy(bare + plus, domain.data, domain.len);
    VY_TRY(find_exact(view, vy_bytes(bare, plus + domain.len), out));
    if (out->kind != DIRECTORY_UNKNOWN) {
        out->detail = vy_bytes_slice(address, plus + 1, at - plus - 1);
    }
    return vy_ok();
}

struct vy_err directory_lookup(const struct meta_view *view, struct vy_bytes address,
                               struct directory_entry *out)
{
    *out = (struct directory_entry){.kind = DIRECTORY_FOREIGN};
    const size_t at = find_at(address);
    if (at == SIZE_MAX || at == 0 || address.len > META_ADDRESS_BYTES_MAX) {
        return vy_ok();
    }
    struct domain_row domain;
    bool is_found = false;
    VY_TRY(domain_get(view, vy_bytes_from(address, at + 1), &domain, &is_found));
    if (!is_found) {
        return vy_ok();
    }
    out->kind = DIRECTORY_UNKNOWN;
    VY_TRY(find_exact(view, address, out));
    if (out->kind == DIRECTORY_UNKNOWN && !out->is_retired) {
        VY_TRY(find_without_detail(view, address, at, out));
    }
    if (out->kind == DIRECTORY_UNKNOWN && !out->is_retired && domain.catch_all.len > 0) {
        VY_TRY(find_exact(view, domain.catch_all, out));
        out->is_catch_all = true;
    }
    return vy_ok();
}

/* ---- expansion: breadth first over a list, no recursion ---- */

struct pending {
    struct vy_bytes address;
    struct vy_bytes detail; /* inherited from the alias that led here */
    unsigned depth;
};

struct expansion {
    const struct meta_view *view;
    struct pending *pending; /* META_ALIAS_TARGETS_MAX + 1 places */
    size_t pending_count;
    size_t pending_done;
    struct resolve_target *targets;
    size_t target_count;
    struct vy_map accounts;   /* ids seen */
    struct vy_strmap aliases; /* addresses seen */
    bool is_over;             /* a limit was reached */
    bool has_loop;
    bool has_refusing; /* an account that takes no mail */
};

static struct vy_err expansion_init(struct expansion *x, const struct meta_view *view)
{
    const size_t places = META_ALIAS_TARGETS_MAX + 1;
    *x = (struct expansion){.view = view,
                            .pending = VY_ARENA_ARRAY(view->arena, places, struct pending),
                            .targets = VY_ARENA_ARRAY(view->arena, places, struct resolve_target)};
    vy_map_init(&x->accounts, 0);
    vy_strmap_init(&x->aliases, 0);
    return x->pending != NULL && x->targets != NULL
               ? vy_ok()
               : vy_error(VY_CODE_LIMIT, "memory for an expansion");
}

static void expansion_deinit(struct expansion *x)
{
    vy_map_deinit(&x->accounts);
    vy_strmap_deinit(&x->aliases);
}

static struct vy_err add_account(struct expansion *x, const struct meta_account_row *account,
                                 struct vy_bytes detail)
{
    if (account->state >= ACCOUNT_STATE_SOFT_DELETED) {
        x->has_refusing = true;
        return vy_ok();
    }
    if (vy_map_get(&x->accounts, account->id) != NULL) {
        return vy_ok(); /* S11 */
    }
    VY_TRY(vy_map_put(&x->accounts, account->id, x));
    x->targets[x->target_count++] = (struct resolve_target){
        .account_id = account->id, .account_epoch = account->epoch, .detail = detail};
    return vy_ok();
}

/* Adds an alias's targets to what is to be looked at. */
static struct vy_err add_alias(struct expansion *x, struct vy_bytes address,
                               const struct vy_bytes *targets, size_t count,
                               const struct pending *from)
{
    if (vy_strmap_get(&x->aliases, address) != NULL) {
        x->has_loop = true; /* or two ways to the same alias, which is harmless */
        return vy_ok();
    }
    VY_TRY(vy_strmap_put(&x->aliases, address, x));
    if (from->depth >= META_ALIAS_DEPTH_MAX || count > META_ALIAS_TARGETS_MAX - x->pending_count) {
        x->is_over = true;
        return vy_ok();
    }
    for (size_t i = 0; i < count; i++) {
        x->pending[x->pending_count++] = (struct pending){
            .address = targets[i], .detail = from->detail, .depth = from->depth + 1};
    }
    return vy_ok();
}

static struct vy_err add_entry(struct expansion *x, const struct directory_entry *entry,
                               const struct pending *item)
{
    struct pending from = *item;
    if (entry->detail.len > 0) {
        from.detail = entry->detail;
    }
    switch (entry->kind) {
    case DIRECTORY_FOREIGN:
    case DIRECTORY_UNKNOWN:
        return vy_ok(); /* a target that has gone since */
    case DIRECTORY_ACCOUNT:
        return add_account(x, &entry->account, from.detail);
    case DIRECTORY_ALIAS:
        return add_alias(x, entry->alias.address, entry->alias.targets, entry->alias.targets_count,
                         &from);
    }
    return vy_ok();
}

static struct vy_err expand(struct expansion *x)
{
    while (x->pending_done < x->pending_count && !x->is_over) {
        const struct pending item = x->pending[x->pending_done++];
        struct directory_entry entry;
        VY_TRY(directory_lookup(x->view, item.address, &entry));
        VY_TRY(add_entry(x, &entry, &item));
    }
    return vy_ok();
}

static enum resolve_result result_of(const struct expansion *x)
{
    if (x->is_over) {
        return RESOLVE_RESULT_EXPANSION_LIMIT;
    }
    if (x->target_count > 0) {
        return RESOLVE_RESULT_LOCAL;
    }
    if (x->has_refusing) {
        return RESOLVE_RESULT_DISABLED;
    }
    return x->has_loop ? RESOLVE_RESULT_EXPANSION_LIMIT : RESOLVE_RESULT_UNKNOWN;
}

static struct vy_err resolve_alias(const struct meta_view *view,
                                   const struct directory_entry *entry, struct resolve_reply *out)
{
    struct expansion x;
    const struct pending start = {.depth = 0};
    struct vy_err err = expansion_init(&x, view);
    if (!vy_failed(err)) {
        err = add_entry(&x, entry, &start);
    }
    if (!vy_failed(err)) {
        err = expand(&x);
    }
    *out = (struct resolve_reply){.result = result_of(&x)};
    if (out->result == RESOLVE_RESULT_LOCAL) {
        out->targets = x.targets;
        out->targets_count = x.target_count;
    }
    expansion_deinit(&x);
    return err;
}

static struct vy_err resolve_account(const struct meta_view *view,
                                     const struct directory_entry *entry, struct resolve_reply *out)
{
    if (entry->account.state >= ACCOUNT_STATE_ERASING) {
        *out = (struct resolve_reply){.result = RESOLVE_RESULT_UNKNOWN};
        return vy_ok();
    }
    if (entry->account.state >= ACCOUNT_STATE_SOFT_DELETED) {
        *out = (struct resolve_reply){.result = RESOLVE_RESULT_DISABLED};
        return vy_ok();
    }
    struct resolve_target *target = VY_ARENA_NEW(view->arena, struct resolve_target);
    if (target == NULL) {
        return vy_error(VY_CODE_LIMIT, "memory for a target");
    }
    *target = (struct resolve_target){.account_id = entry->account.id,
                                      .account_epoch = entry->account.epoch,
                                      .detail = entry->detail};
    *out = (struct resolve_reply){
        .result = RESOLVE_RESULT_LOCAL, .targets_count = 1, .targets = target};
    return vy_ok();
}

struct vy_err directory_resolve_entry(const struct meta_view *view,
                                      const struct directory_entry *entry,
                                      struct resolve_reply *out)
{
    switch (entry->kind) {
    case DIRECTORY_FOREIGN:
        *out = (struct resolve_reply){.result = RESOLVE_RESULT_FOREIGN};
        return vy_ok();
    case DIRECTORY_UNKNOWN:
        *out = (struct resolve_reply){.result = RESOLVE_RESULT_UNKNOWN};
        return vy_ok();
    case DIRECTORY_ACCOUNT:
        return resolve_account(view, entry, out);
    case DIRECTORY_ALIAS:
        return resolve_alias(view, entry, out);
    }
    return vy_error(VY_CODE_INTERNAL, "kind of a directory entry");
}

struct vy_err directory_resolve(const struct meta_view *view, struct vy_bytes address,
                                struct resolve_reply *out)
{
    struct directory_entry entry;
    VY_TRY(directory_lookup(view, address, &entry));
    return directory_resolve_entry(view, &entry, out);
}

struct vy_err directory_may_send(const struct meta_view *view, uint64_t account_id,
                                 struct vy_bytes address, bool *out)
{
    struct directory_entry entry;
    struct resolve_reply reply = {.targets_count = 0};
    *out = false;
    VY_TRY(directory_lookup(view, address, &entry));
    if (entry.kind == DIRECTORY_ACCOUNT && !entry.is_catch_all) {
        *out = entry.account.id == account_id;
    } else if (entry.kind == DIRECTORY_ALIAS && !entry.is_catch_all) {
        VY_TRY(resolve_alias(view, &entry, &reply));
        *out = reply.targets_count == 1 && reply.targets[0].account_id == account_id;
    }
    return vy_ok();
}

/* ---- before an alias is made ---- */

static struct vy_err check_targets(const struct meta_view *view, const struct vy_bytes *targets,
                                   size_t count, enum directory_verdict *out,
                                   struct vy_bytes *out_target)
{
    for (size_t i = 0; i < count; i++) {
        struct directory_entry entry;
        VY_TRY(directory_lookup(view, targets[i], &entry));
        if (entry.kind == DIRECTORY_FOREIGN || entry.kind == DIRECTORY_UNKNOWN) {
            *out =
                entry.kind == DIRECTORY_FOREIGN ? DIRECTORY_ALIAS_FOREIGN : DIRECTORY_ALIAS_UNKNOWN;
            *out_target = targets[i];
            return vy_ok();
        }
    }
    return vy_ok();
}

/* A loop through the new alias: some name on the way leads back to it. */
static struct vy_err expand_new(struct expansion *x, struct vy_bytes address, bool *is_loop)
{
    while (x->pending_done < x->pending_count && !x->is_over && !*is_loop) {
        const struct pending item = x->pending[x->pending_done++];
        struct directory_entry entry;
        VY_TRY(directory_lookup(x->view, item.address, &entry));
        *is_loop = vy_bytes_equal(item.address, address) ||
                   (entry.kind == DIRECTORY_ALIAS && vy_bytes_equal(entry.alias.address, address));
        VY_TRY(add_entry(x, &entry, &item));
    }
    return vy_ok();
}

static struct vy_err check_expansion(const struct meta_view *view, struct vy_bytes address,
                                     const struct vy_bytes *targets, size_t count,
                                     enum directory_verdict *out)
{
    struct expansion x;
    const struct pending start = {.depth = 0};
    bool is_loop = false;
    struct vy_err err = expansion_init(&x, view);
    if (!vy_failed(err)) {
        err = add_alias(&x, address, targets, count, &start);
    }
    if (!vy_failed(err)) {
        err = expand_new(&x, address, &is_loop);
    }
    if (is_loop) {
        *out = DIRECTORY_ALIAS_LOOP;
    } else if (x.is_over) {
        *out = DIRECTORY_ALIAS_LIMIT;
    }
    expansion_deinit(&x);
    return err;
}

struct vy_err directory_check_alias(const struct meta_view *view, struct vy_bytes address,
                                    const struct vy_bytes *targets, size_t target_count,
                                    enum directory_verdict *out, struct vy_bytes *out_target)
{
    *out = DIRECTORY_ALIAS_OK;
    *out_target = vy_bytes(NULL, 0);
    for (size_t i = 0; i < target_count; i++) {
        if (vy_bytes_equal(targets[i], address)) {
            *out = DIRECTORY_ALIAS_LOOP;
            *out_target = targets[i];
            return vy_ok();
        }
    }
    VY_TRY(check_targets(view, targets, target_count, out, out_target));
    return *out == DIRECTORY_ALIAS_OK ? check_expansion(view, address, targets, target_count, out)
                                      : vy_ok();
}
