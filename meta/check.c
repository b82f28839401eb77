/* SPDX-License-Identifier: Apache-2.0 */
#include "meta/check.h"

#include "meta/audit.h"
#include "meta/tables.h"
#include "proto/meta.pb.h"

#define ARENA_BYTES_MAX (4U * 1024 * 1024)

static void problem(struct check *check, const struct meta_account_row *account, const char *what)
{
    check_problem(check, "account %016llx: %s", (unsigned long long)account->id, what);
}

static struct vy_err check_key(const struct meta_view *view, struct check *check,
                               const struct meta_account_row *account)
{
    struct vy_bytes wrapped = {.len = 0};
    bool has_key = false;
    VY_TRY(account_key_get(view, account->id, &wrapped, &has_key));
    const bool is_gone =
        account->state == ACCOUNT_STATE_ERASING || account->state == ACCOUNT_STATE_ERASED;
    if (is_gone && has_key) {
        problem(check, account, "it is erased and still has a key");
    }
    if (!is_gone && !has_key) {
        problem(check, account, "its mail cannot be read: it has no key");
    }
    return vy_ok();
}

static struct vy_err check_address(const struct meta_view *view, struct check *check,
                                   const struct meta_account_row *account)
{
    struct address_row row;
    bool is_found = false;
    if (account->state == ACCOUNT_STATE_ERASING || account->state == ACCOUNT_STATE_ERASED) {
        return vy_ok(); /* the address may be another's by now */
    }
    VY_TRY(address_get(view, account->address, &row, &is_found));
    if (!is_found || row.account_id != account->id) {
        problem(check, account, "its address does not lead to it");
    }
    return vy_ok();
}

/* What an account may sign in with, as its row counts it. */
static struct vy_err check_credentials(const struct meta_view *view, struct check *check,
                                       const struct meta_account_row *account)
{
    const struct credential_row *rows = NULL;
    struct factor_row factor;
    size_t count = 0;
    uint32_t app_passwords = 0;
    bool has_factor = false;
    VY_TRY(credential_list(view, account->id, &rows, &count));
    for (size_t i = 0; i < count; i++) {
        const bool is_app = rows[i].secret != NULL && rows[i].secret->kind == CREDENTIAL_KIND_APP;
        app_passwords += is_app ? 1 : 0;
    }
    if (app_passwords != account->app_password_count) {
        problem(check, account, "its app passwords are not as many as it counts");
    }
    VY_TRY(factor_get(view, account->id, &factor, &has_factor));
    if ((has_factor && factor.state == FACTOR_STATE_ACTIVE) != (account->factor_count > 0)) {
        problem(check, account, "its second factor is not what it counts");
    }
    if (account->state >= ACCOUNT_STATE_ERASING && (count > 0 || has_factor)) {
        problem(check, account, "it is erased and still has credentials");
    }
    return vy_ok();
}

static struct vy_err check_account(const struct meta_view *view, struct check *check,
                                   struct vy_bytes key, struct vy_bytes value)
{
    struct meta_account_row account;
    vy_arena_reset(view->arena);
    VY_TRY(table_decode(view, &meta_account_row_desc, value, &account));
    if (key.len != sizeof(uint64_t) || vy_get_be64(key.data) != account.id) {
        return vy_error(VY_CODE_CORRUPT, "an account stands in another's place");
    }
    check_count_row(check, "tables", 0);
    VY_TRY(check_key(view, check, &account));
    VY_TRY(check_credentials(view, check, &account));
    return check_address(view, check, &account);
}

static struct vy_err check_accounts(const struct meta_view *view, struct check *check)
{
    const struct store_range all = {.is_reverse = false};
    struct store_iter *iter = NULL;
    VY_TRY(store_iter_new(view->reader, META_FAMILY_ACCOUNT, &all, &iter));
    struct vy_err err = vy_ok();
    for (; iter->is_valid && !vy_failed(err); store_iter_next(iter)) {
        err = check_account(view, check, iter->key, iter->value);
        if (err.code == VY_CODE_CORRUPT) {
            check_problem(check, "accounts: %s", err.what);
            err = vy_ok();
        }
    }
    if (!vy_failed(err)) {
        err = store_iter_error(iter);
    }
    store_iter_free(iter);
    return err;
}

struct vy_err meta_check_tables(const struct store_reader *reader, struct check *check)
{
    struct audit_check audit;
    struct vy_arena arena;
    VY_TRY(audit_verify(reader, &audit));
    if (!audit.is_intact) {
        check_problem(check, "audit chain: record %llu is missing or was altered",
                      (unsigned long long)audit.first_bad_sequence);
    }
    vy_arena_init(&arena, ARENA_BYTES_MAX);
    const struct meta_view view = {.reader = reader, .arena = &arena};
    const struct vy_err err = check_accounts(&view, check);
    vy_arena_deinit(&arena);
    return err;
}

int meta_check_main(const char *data_dir)
{
    const struct check_config config = {.families = meta_families,
                                        .family_count = META_FAMILY_COUNT,
                                        .check_tables = meta_check_tables};
    return check_main(data_dir, "meta", &config);
}
