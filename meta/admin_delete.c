/* SPDX-License-Identifier: Apache-2.0 */
/* Deleting accounts, in two steps (DEL-3), and restoring those that were deleted softly. */
#include "base/codec.h"
#include "base/secret.h"
#include "meta/admin_private.h"
#include "meta/names.h"
#include <openssl/crypto.h>

#define TOKEN_MAC_BYTES 16U

/* ---- the token: "EPOCH-MAC", for one account as it was when it was shown ---- */

static struct vy_err write_token(const struct meta *meta, uint64_t account_id, uint64_t epoch,
                                 struct vy_buf *out)
{
    uint8_t subject[16];
    uint8_t mac[32];
    vy_put_be64(subject, account_id);
    vy_put_be64(subject + 8, epoch);
    cluster_key_mac(meta->config.key, "delete-token", vy_bytes(subject, sizeof(subject)), mac);
    vy_buf_append_u64(out, epoch);
    vy_buf_append_byte(out, '-');
    vy_hex_encode(out, vy_bytes(mac, TOKEN_MAC_BYTES));
    return vy_buf_error(out);
}

/* False: none, or for another account. Whether the epoch still holds is the machine's to say. */
static bool read_token(const struct meta *meta, uint64_t account_id, struct vy_bytes token,
                       uint64_t *out_epoch)
{
    struct vy_buf expected;
    struct vy_bytes rest = token;
    const struct vy_bytes digits = vy_bytes_cut(&rest, '-');
    if (!vy_parse_u64(digits, out_epoch)) {
        return false;
    }
    vy_buf_init(&expected, 256);
    const struct vy_err err = write_token(meta, account_id, *out_epoch, &expected);
    const bool is_good = !vy_failed(err) && vy_buf_len(&expected) == token.len &&
                         CRYPTO_memcmp(vy_buf_bytes(&expected).data, token.data, token.len) == 0;
    vy_buf_deinit(&expected);
    return is_good;
}

/* ---- whom ---- */

/* An account in any state: by its address, also one that was retired with it, or by its id. */
static struct vy_err find_any(struct meta_call *call, struct vy_bytes typed, bool *is_retired,
                              bool *is_found)
{
    struct admin_write *write = admin_write_of(call);
    const struct meta_view view = meta_call_view(call);
    struct address_row there = {.account_id = 0};
    *is_retired = false;
    if (vy_parse_u64(typed, &there.account_id)) {
        VY_TRY(vy_arena_dup(&call->arena, typed, &write->name));
        return account_get(&view, there.account_id, &write->account, is_found);
    }
    VY_TRY(names_canonical_address(&call->arena, typed, &write->name));
    VY_TRY(address_get(&view, write->name, &there, is_found));
    if (!*is_found || there.kind == ADDRESS_KIND_ALIAS) {
        *is_found = false;
        return vy_ok();
    }
    *is_retired = there.kind == ADDRESS_KIND_RETIRED;
    return account_get(&view, there.account_id, &write->account, is_found);
}

static void fail_missing(struct meta_call *call)
{
    const char *text = vy_arena_printf(&call->arena, "account %.*s does not exist",
                                       VY_PRI(admin_write_of(call)->name));
    meta_call_fail_text(call, vy_error(VY_CODE_NOT_FOUND, "account does not exist"),
                        text == NULL ? "account does not exist" : text);
}

/* False: the call has ended. */
static bool find_or_fail(struct meta_call *call, struct vy_bytes typed, bool *is_retired)
{
    bool is_found = false;
    const struct vy_err err = find_any(call, typed, is_retired, &is_found);
    if (vy_failed(err)) {
        meta_call_fail(call, err);
    } else if (!is_found) {
        fail_missing(call);
    }
    return !vy_failed(err) && is_found;
}

/* ---- the first step ---- */

static struct vy_err fill_prepared(struct meta_call *call, struct admin_prepare_delete_reply *out)
{
    const struct meta_account_row *account = &admin_write_of(call)->account;
    const struct meta_view view = meta_call_view(call);
    struct vy_buf token;
    *out = (struct admin_prepare_delete_reply){.account = account->address,
                                               .state = admin_state_text(account->state),
                                               .epoch = account->epoch};
    VY_TRY(references_list(&view, account->address, &out->references, &out->references_count));
    VY_TRY(admin_text_u64(&call->arena, account->id, &out->id));
    vy_buf_init(&token, 256);
    struct vy_err err = write_token(call->meta, account->id, account->epoch, &token);
    if (!vy_failed(err)) {
        err = vy_arena_dup(&call->arena, vy_buf_bytes(&token), &out->token);
    }
    vy_buf_deinit(&token);
    return err;
}

static void prepare_now(struct meta_call *call)
{
    const struct admin_prepare_delete_request *request = call->message;
    struct admin_prepare_delete_reply reply;
    bool is_retired = false;
    if (admin_write_new(call, NULL) == NULL || !find_or_fail(call, request->account, &is_retired)) {
        return;
    }
    if (is_retired && admin_write_of(call)->account.state == ACCOUNT_STATE_ERASED) {
        fail_missing(call); /* gone; its id would erase it once more */
        return;
    }
    const struct vy_err err = fill_prepared(call, &reply);
    if (vy_failed(err)) {
        meta_call_fail(call, err);
        return;
    }
    meta_call_reply(call, &reply);
}

void admin_prepare_delete(struct meta_call *call)
{
    meta_call_barrier(call, prepare_now);
}

/* ---- who asks, as the machine compares it (DEL-3) ---- */

void admin_actor_mac(struct meta_call *call, uint8_t out[32])
{
    struct vy_buf text;
    vy_buf_init(&text, 4096);
    vy_buf_append(&text, call->actor.kind);
    vy_buf_append_byte(&text, 0);
    vy_buf_append(&text, call->actor.name);
    cluster_key_mac(call->meta->config.key, "delete-actor", vy_buf_bytes(&text), out);
    vy_buf_deinit(&text);
}

/* ---- the second ---- */

static struct vy_err fill_deleted(struct meta_call *call, struct admin_delete_account_reply *out)
{
    const struct admin_write *write = admin_write_of(call);
    const struct meta_account_row *account = &write->account;
    *out = (struct admin_delete_account_reply){.account = write->name,
                                               .state = admin_state_text(account->state),
                                               .restore_until_ms = account->restore_until_ms,
                                               .empty_aliases = call->result.names,
                                               .empty_aliases_count = call->result.names_count,
                                               .waits_for_second_admin = call->result.waits};
    if (call->result.job_id != 0) {
        VY_TRY(admin_text_u64(&call->arena, call->result.job_id, &out->intent));
    }
    return admin_text_u64(&call->arena, account->id, &out->id);
}

static void delete_answer(struct meta_call *call)
{
    struct admin_delete_account_reply reply;
    const struct vy_err err = fill_deleted(call, &reply);
    if (vy_failed(err)) {
        meta_call_fail(call, err);
        return;
    }
    meta_call_reply(call, &reply);
}

static void delete_on_committed(struct meta_call *call)
{
    if (admin_is_refused(call)) {
        return;
    }
    if (call->result.waits) {
        delete_answer(call);
        return;
    }
    erase_saga_kick(call->meta->saga);
    admin_fence(call, delete_answer); /* P8: done when the group takes nothing more */
}

static void delete_for_good(struct meta_call *call, uint64_t epoch)
{
    const struct admin_delete_account_request *request = call->message;
    struct admin_write *write = admin_write_of(call);
    uint8_t actor[32];
    admin_actor_mac(call, actor);
    const struct cmd_account_delete body = {.account_id = write->account.id,
                                            .account_epoch = epoch,
                                            .cascade = request->cascade,
                                            .quarantine_ms = meta_quarantine_ms(call->meta),
                                            .second_admin = call->meta->config.second_admin,
                                            .actor = vy_bytes(actor, sizeof(actor))};
    /* Under the cluster's key, with a number for a name: it must outlive the account's key. */
    const char *subject =
        vy_arena_printf(&call->arena, "account %llu", (unsigned long long)write->account.id);
    write->subject = subject == NULL ? VY_LIT("account") : vy_cstr(subject);
    write->command.account_delete = &body;
    write->detail = request->cascade ? VY_LIT("cascade") : vy_bytes(NULL, 0);
    write->erases = true;
    admin_propose(call, /* account_id = */ 0, delete_on_committed);
}

static void delete_softly(struct meta_call *call)
{
    struct admin_write *write = admin_write_of(call);
    const struct cmd_account_delete body = {.account_id = write->account.id,
                                            .soft = true,
                                            .retention_ms = meta_retention_ms(call->meta)};
    write->command.account_delete = &body;
    write->detail = VY_LIT("soft");
    admin_propose(call, write->account.id, delete_on_committed);
}

void admin_delete_account(struct meta_call *call)
{
    const struct admin_delete_account_request *request = call->message;
    uint64_t epoch = 0;
    bool is_retired = false;
    if (admin_write_new(call, request->write) == NULL ||
        !find_or_fail(call, request->account, &is_retired)) {
        return;
    }
    if (request->soft) {
        delete_softly(call);
    } else if (read_token(call->meta, admin_write_of(call)->account.id, request->token, &epoch)) {
        delete_for_good(call, epoch);
    } else {
        meta_call_fail(call, vy_error(VY_CODE_PRECONDITION,
                                      "a delete needs the token that PrepareDelete gives for "
                                      "this account"));
    }
}

/* ---- back again ---- */

static struct vy_err fill_restored(struct meta_call *call, struct admin_account *out)
{
    const struct meta_view view = meta_call_view(call);
    struct cluster_row cluster;
    bool is_found = false;
    VY_TRY(cluster_get(&view, &cluster, &is_found));
    return admin_fill_account(&view, &admin_write_of(call)->account, &cluster, out);
}

static void restore_answer(struct meta_call *call)
{
    struct admin_account reply;
    const struct vy_err err = fill_restored(call, &reply);
    if (vy_failed(err)) {
        meta_call_fail(call, err);
        return;
    }
    meta_call_reply(call, &reply);
}

static void restore_on_committed(struct meta_call *call)
{
    if (!admin_is_refused(call)) {
        admin_fence(call, restore_answer);
    }
}

void admin_restore_account(struct meta_call *call)
{
    const struct admin_restore_account_request *request = call->message;
    struct admin_write *write = admin_write_new(call, request->write);
    if (write == NULL || !admin_find_account(call, request->account)) {
        return;
    }
    const struct cmd_account_restore body = {.account_id = write->account.id};
    write->command.account_restore = &body;
    admin_propose(call, write->account.id, restore_on_committed);
}
