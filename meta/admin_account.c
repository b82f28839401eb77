/* SPDX-License-Identifier: Apache-2.0 */
#include "base/secret.h"
#include "meta/admin_private.h"
#include "meta/names.h"

/* ---- creating ---- */

static void create_propose(struct meta_call *call);

static void create_answer(struct meta_call *call)
{
    const struct admin_write *write = admin_write_of(call);
    struct admin_create_account_reply reply = {.account = write->name};
    if (call->result.outcome == META_OUTCOME_CONFLICT &&
        ++call->stale_tries <= CALL_STALE_TRIES_MAX) {
        call->meta->next_account_id = 0; /* the tables know better */
        create_propose(call);
        return;
    }
    if (admin_is_refused(call)) {
        return;
    }
    if (!write->options->validate_only) {
        const struct vy_err err = admin_text_u64(&call->arena, call->result.account_id, &reply.id);
        if (vy_failed(err)) {
            meta_call_fail(call, err);
            return;
        }
    }
    reply.password = admin_shown_secret(call);
    meta_call_reply(call, &reply);
}

/* The least number that no entry of ours has; the machine refuses one that was used. */
static struct vy_err choose_id(struct meta_call *call, uint64_t *out)
{
    const struct meta_view view = meta_call_view(call);
    struct counter_row counter;
    VY_TRY(counter_get(&view, &counter));
    *out = VY_MAX(counter.next_account_id, call->meta->next_account_id);
    return vy_ok();
}

static struct vy_err make_key(struct meta_call *call, uint64_t account_id,
                              uint8_t wrapped[WRAPPED_KEY_BYTES])
{
    uint8_t key[ACCOUNT_KEY_BYTES];
    uint8_t nonce[12];
    vy_rng_fill(call->meta->config.rng, key, sizeof(key));
    vy_rng_fill(call->meta->config.rng, nonce, sizeof(nonce));
    const struct vy_err err =
        cluster_key_wrap(call->meta->config.key, account_id, nonce, key, wrapped);
    vy_wipe(key, sizeof(key));
    return err;
}

static void create_propose(struct meta_call *call)
{
    const struct admin_create_account_request *request = call->message;
    struct admin_write *write = admin_write_of(call);
    uint8_t wrapped[WRAPPED_KEY_BYTES];
    struct cmd_account_create body = {.address = write->name,
                                      .quota_bytes = request->quota_bytes,
                                      .wrapped_key = vy_bytes(wrapped, sizeof(wrapped)),
                                      .release_address = request->release_address,
                                      .credential = &write->secret->verifier.row};
    struct vy_err err = choose_id(call, &body.account_id);
    if (!vy_failed(err)) {
        err = make_key(call, body.account_id, wrapped);
    }
    if (vy_failed(err)) {
        meta_call_fail(call, err);
        return;
    }
    if (!write->options->validate_only) {
        call->meta->next_account_id = body.account_id + 1;
    }
    write->command.account_create = &body;
    admin_propose(call, body.account_id, create_answer);
}

void admin_create_account(struct meta_call *call)
{
    const struct admin_create_account_request *request = call->message;
    struct admin_write *write = admin_write_new(call, request->write);
    if (write == NULL) {
        return;
    }
    const struct vy_err err =
        names_canonical_new_address(&call->arena, request->account, &write->name);
    if (vy_failed(err)) {
        meta_call_fail(call, err);
        return;
    }
    admin_make_secret(call, request->password, CREDENTIAL_KIND_GENERATED, create_propose);
}

/* ---- one account ---- */

static struct vy_err fill_one(const struct meta_view *view, uint64_t account_id,
                              struct admin_account *out)
{
    struct meta_account_row row;
    struct cluster_row cluster;
    bool is_found = false;
    VY_TRY(cluster_get(view, &cluster, &is_found));
    VY_TRY(account_get(view, account_id, &row, &is_found));
    return is_found ? admin_fill_account(view, &row, &cluster, out)
                    : vy_error(VY_CODE_NOT_FOUND, "account does not exist");
}

void admin_answer_account(struct meta_call *call)
{
    const struct meta_view view = meta_call_view(call);
    struct admin_account reply;
    const struct vy_err err = fill_one(&view, admin_write_of(call)->account.id, &reply);
    if (vy_failed(err)) {
        meta_call_fail(call, err);
        return;
    }
    meta_call_reply(call, &reply);
}

static void get_now(struct meta_call *call)
{
    const struct admin_get_account_request *request = call->message;
    if (admin_write_new(call, NULL) != NULL && admin_find_account(call, request->account)) {
        admin_answer_account(call);
    }
}

void admin_get_account(struct meta_call *call)
{
    meta_call_barrier(call, get_now);
}

/* ---- changing ---- */

static void change_on_committed(struct meta_call *call)
{
    if (!admin_is_refused(call)) {
        admin_fence(call, admin_answer_account);
    }
}

void admin_set_account_state(struct meta_call *call)
{
    const struct admin_set_account_state_request *request = call->message;
    struct admin_write *write = admin_write_new(call, request->write);
    if (write == NULL || !admin_find_account(call, request->account)) {
        return;
    }
    if (request->text.len > META_TEXT_BYTES_MAX) {
        meta_call_fail(call, vy_error(VY_CODE_LIMIT, "text is longer than 1,024 bytes"));
        return;
    }
    const struct cmd_account_state body = {
        .account_id = write->account.id,
        .state = request->enabled ? ACCOUNT_STATE_ACTIVE : ACCOUNT_STATE_LOGIN_DISABLED,
        .text = request->enabled ? vy_bytes(NULL, 0) : request->text};
    write->command.account_state = &body;
    write->detail = request->enabled ? VY_LIT("enabled") : VY_LIT("disabled");
    admin_propose(call, write->account.id, change_on_committed);
}

void admin_set_quota(struct meta_call *call)
{
    const struct admin_set_quota_request *request = call->message;
    struct admin_write *write = admin_write_new(call, request->write);
    if (write == NULL || !admin_find_account(call, request->account)) {
        return;
    }
    const struct cmd_account_quota body = {.account_id = write->account.id,
                                           .quota_bytes = request->bytes};
    write->command.account_quota = &body;
    write->sets_quota = true;
    const struct vy_err err = admin_text_u64(&call->arena, request->bytes, &write->detail);
    if (vy_failed(err)) {
        meta_call_fail(call, err);
        return;
    }
    admin_propose(call, write->account.id, change_on_committed);
}

static void password_answer(struct meta_call *call)
{
    const struct admin_set_password_reply reply = {.account = admin_write_of(call)->name,
                                                   .password = admin_shown_secret(call),
                                                   .revoked_app_passwords = call->result.count};
    meta_call_reply(call, &reply);
}

static void password_on_committed(struct meta_call *call)
{
    if (!admin_is_refused(call)) {
        admin_fence(call, password_answer);
    }
}

static void password_propose(struct meta_call *call)
{
    const struct admin_set_password_request *request = call->message;
    struct admin_write *write = admin_write_of(call);
    const struct cmd_account_password body = {.account_id = write->account.id,
                                              .keep_app_passwords = request->keep_app_passwords,
                                              .credential = &write->secret->verifier.row};
    write->command.account_password = &body;
    const char *detail =
        vy_arena_printf(&call->arena, "%s%s",
                        write->secret->kind == CREDENTIAL_KIND_CHOSEN ? "chosen" : "generated",
                        request->keep_app_passwords ? "" : "; app passwords revoked");
    if (detail == NULL) {
        meta_call_fail(call, vy_error(VY_CODE_LIMIT, "memory for a record"));
        return;
    }
    write->detail = vy_cstr(detail);
    admin_propose(call, write->account.id, password_on_committed);
}

void admin_set_password(struct meta_call *call)
{
    const struct admin_set_password_request *request = call->message;
    struct admin_write *write = admin_write_new(call, request->write);
    if (write == NULL || !admin_find_account(call, request->account)) {
        return;
    }
    admin_make_secret(call, request->password, CREDENTIAL_KIND_GENERATED, password_propose);
}

/* ---- listing: addresses in order, those of aliases left out, so a page may be short ---- */

static struct vy_err fill_page(struct meta_call *call, const struct meta_view *view,
                               const struct table_rows *rows, struct admin_list_accounts_reply *out)
{
    const struct address_row *addresses = rows->rows;
    struct cluster_row cluster;
    bool is_found = false;
    struct admin_account *accounts =
        VY_ARENA_ARRAY(&call->arena, rows->count + 1, struct admin_account);
    if (accounts == NULL) {
        return vy_error(VY_CODE_LIMIT, "memory for a page");
    }
    VY_TRY(cluster_get(view, &cluster, &is_found));
    for (size_t i = 0; i < rows->count; i++) {
        struct meta_account_row row;
        if (addresses[i].kind != ADDRESS_KIND_ACCOUNT) {
            continue;
        }
        VY_TRY(account_get(view, addresses[i].account_id, &row, &is_found));
        if (is_found) {
            VY_TRY(admin_fill_account(view, &row, &cluster, &accounts[out->accounts_count++]));
        }
    }
    out->accounts = accounts;
    return vy_ok();
}

static struct vy_err read_accounts(struct meta_call *call, struct admin_list_accounts_reply *out)
{
    const struct admin_list_accounts_request *request = call->message;
    const struct meta_view view = meta_call_snapshot_view(call);
    const struct admin_list list = {.family = META_FAMILY_ADDRESS,
                                    .desc = &address_row_desc,
                                    .domain = request->domain,
                                    .page = request->page};
    struct table_rows rows = {.count = 0};
    VY_TRY(admin_read_addresses(&view, &list, &rows));
    VY_TRY(fill_page(call, &view, &rows, out));
    return rows.is_more ? admin_address_of_key(&call->arena, rows.keys[rows.count - 1], &out->next)
                        : vy_ok();
}

static void list_on_worker(struct meta_call *call)
{
    struct admin_list_accounts_reply *reply =
        VY_ARENA_NEW(&call->arena, struct admin_list_accounts_reply);
    call->state = reply;
    call->err =
        reply == NULL ? vy_error(VY_CODE_LIMIT, "memory for a page") : read_accounts(call, reply);
}

static void list_answer(struct meta_call *call)
{
    meta_call_reply(call, call->state);
}

void admin_list_accounts(struct meta_call *call)
{
    admin_read(call, list_on_worker, list_answer);
}
