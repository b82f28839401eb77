/* SPDX-License-Identifier: Apache-2.0 */
#include "base/net.h"
#include "base/secret.h"
#include "meta/admin_private.h"

#define LABEL_BYTES_MAX 128U

/* ---- protocols by name; administration and the web are not for app passwords (APP-4) ---- */

struct protocol_name {
    struct vy_bytes name;
    enum login_protocol protocol;
};
static const struct protocol_name protocol_names[] = {
    {{(const uint8_t *)"imap", 4},  LOGIN_PROTOCOL_IMAP      },
    {{(const uint8_t *)"smtp", 4},  LOGIN_PROTOCOL_SUBMISSION},
    {{(const uint8_t *)"sieve", 5}, LOGIN_PROTOCOL_SIEVE     },
    {{(const uint8_t *)"pop3", 4},  LOGIN_PROTOCOL_POP3      },
};

static bool parse_protocols(const struct vy_bytes *names, size_t count, uint32_t *out)
{
    uint32_t bits = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t bit = 0;
        for (size_t k = 0; k < VY_COUNT_OF(protocol_names); k++) {
            if (vy_bytes_equal_nocase(protocol_names[k].name, names[i])) {
                bit = 1U << protocol_names[k].protocol;
            }
        }
        if (bit == 0) {
            return false;
        }
        bits |= bit;
    }
    *out = bits;
    return true;
}

static struct vy_err name_protocols(struct vy_arena *arena, uint32_t bits,
                                    struct admin_app_password *out)
{
    struct vy_bytes *names = VY_ARENA_ARRAY(arena, VY_COUNT_OF(protocol_names), struct vy_bytes);
    if (names == NULL) {
        return vy_error(VY_CODE_LIMIT, "memory for a page");
    }
    out->protocols = names;
    for (size_t k = 0; k < VY_COUNT_OF(protocol_names); k++) {
        if (bits == 0 || (bits >> protocol_names[k].protocol & 1U) != 0) {
            names[out->protocols_count++] = protocol_names[k].name;
        }
    }
    return vy_ok();
}

/* ---- creating ---- */

static void create_answer(struct meta_call *call)
{
    struct admin_create_app_password_reply reply = {.id = {.len = 0}};
    if (admin_is_refused(call)) {
        return;
    }
    const struct vy_err err = admin_text_u64(&call->arena, call->result.credential_id, &reply.id);
    if (vy_failed(err)) {
        meta_call_fail(call, err);
        return;
    }
    reply.secret = admin_shown_secret(call);
    meta_call_reply(call, &reply);
}

static void create_propose(struct meta_call *call)
{
    const struct admin_create_app_password_request *request = call->message;
    struct admin_write *write = admin_write_of(call);
    struct new_credential *row = &write->secret->verifier.row;
    row->label = request->label;
    row->expires_ms = request->expires_ms;
    row->networks = request->networks;
    row->networks_count = request->networks_count;
    (void)parse_protocols(request->protocols, request->protocols_count, &row->protocols);
    const struct cmd_app_password_create body = {.account_id = write->account.id,
                                                 .credential = row};
    write->command.app_password_create = &body;
    write->detail = request->label;
    admin_propose(call, write->account.id, create_answer);
}

static struct vy_err check_networks(const struct vy_bytes *networks, size_t count)
{
    struct vy_net unused;
    if (count > META_APP_NETWORKS_MAX) {
        return vy_error(VY_CODE_ARGUMENT, "an app password has at most 16 networks");
    }
    for (size_t i = 0; i < count; i++) {
        if (vy_failed(vy_net_parse(networks[i], &unused))) {
            return vy_error(VY_CODE_ARGUMENT, "a network is an address and its prefix, such as "
                                              "192.0.2.0/24, with nothing set behind it");
        }
    }
    return vy_ok();
}

static struct vy_err check_create(const struct meta_call *call)
{
    const struct admin_create_app_password_request *request = call->message;
    uint32_t unused = 0;
    if (request->label.len == 0 || request->label.len > LABEL_BYTES_MAX) {
        return vy_error(VY_CODE_ARGUMENT, "an app password has a label of 1 to 128 bytes");
    }
    if (!parse_protocols(request->protocols, request->protocols_count, &unused)) {
        return vy_error(VY_CODE_ARGUMENT, "protocols are imap, smtp, sieve and pop3");
    }
    VY_TRY(check_networks(request->networks, request->networks_count));
    if (request->expires_ms != 0 && request->expires_ms <= meta_now_ms(call->meta)) {
        return vy_error(VY_CODE_ARGUMENT, "the app password would have expired already");
    }
    return vy_ok();
}

void admin_create_app_password(struct meta_call *call)
{
    const struct admin_create_app_password_request *request = call->message;
    const struct vy_err err = check_create(call);
    if (vy_failed(err)) {
        meta_call_fail(call, err);
        return;
    }
    struct admin_write *write = admin_write_new(call, request->write);
    if (write == NULL || !admin_find_account(call, request->account)) {
        return;
    }
    admin_make_secret(call, vy_bytes(NULL, 0), CREDENTIAL_KIND_APP, create_propose);
}

/* ---- deleting ---- */

static void delete_on_committed(struct meta_call *call)
{
    if (!admin_is_refused(call)) {
        admin_fence(call, admin_reply_empty);
    }
}

/* APP-9: the record says which it was when the row is gone. */
static struct vy_err name_deleted(struct meta_call *call, uint64_t credential_id)
{
    struct admin_write *write = admin_write_of(call);
    const struct meta_view view = meta_call_view(call);
    struct credential_row row;
    bool is_found = false;
    VY_TRY(credential_get(&view, write->account.id, credential_id, &row, &is_found));
    const struct vy_bytes label =
        is_found && row.secret != NULL ? row.secret->label : vy_bytes(NULL, 0);
    const char *detail = vy_arena_printf(&call->arena, "%llu %.*s",
                                         (unsigned long long)credential_id, VY_PRI(label));
    if (detail == NULL) {
        return vy_error(VY_CODE_LIMIT, "memory for a record");
    }
    write->detail = vy_cstr(detail);
    return vy_ok();
}

void admin_delete_app_password(struct meta_call *call)
{
    const struct admin_delete_app_password_request *request = call->message;
    struct cmd_app_password_delete body = {.credential_id = 0};
    if (!vy_parse_u64(request->id, &body.credential_id)) {
        meta_call_fail(call, vy_error(VY_CODE_ARGUMENT, "id of an app password is a number"));
        return;
    }
    struct admin_write *write = admin_write_new(call, request->write);
    if (write == NULL || !admin_find_account(call, request->account)) {
        return;
    }
    body.account_id = write->account.id;
    write->command.app_password_delete = &body;
    const struct vy_err err = name_deleted(call, body.credential_id);
    if (vy_failed(err)) {
        meta_call_fail(call, err);
        return;
    }
    admin_propose(call, write->account.id, delete_on_committed);
}

/* ---- listing: all of an account, there are at most META_APP_PASSWORDS_MAX ---- */

/* Whence it was used last: under the account's key, as part of that sign-in's record. */
static struct vy_err fill_last_use(struct vy_arena *arena, const struct seal_key *key,
                                   const struct credential_row *row, struct admin_app_password *out)
{
    struct login_body body;
    if (row->last_used_sealed.len == 0) {
        return vy_ok();
    }
    const struct vy_err err =
        seal_open_message(key, arena, row->last_used_sealed, &login_body_desc, &body);
    if (err.code == VY_CODE_AUTH) {
        return vy_error(VY_CODE_CORRUPT, "last use of an app password does not open");
    }
    VY_TRY(err);
    out->last_used_ip = body.remote_ip;
    out->last_used_protocol = admin_protocol_text(row->last_used_protocol);
    return vy_ok();
}

static struct vy_err fill_one(struct vy_arena *arena, const struct seal_key *key,
                              const struct credential_row *row, struct admin_app_password *out)
{
    *out = (struct admin_app_password){.label = row->secret->label,
                                       .created_ms = row->created_ms,
                                       .expires_ms = row->secret->expires_ms,
                                       .last_used_ms = row->last_used_ms,
                                       .networks = row->secret->networks,
                                       .networks_count = row->secret->networks_count};
    VY_TRY(fill_last_use(arena, key, row, out));
    VY_TRY(name_protocols(arena, row->secret->protocols, out));
    return admin_text_u64(arena, row->id, &out->id);
}

static struct vy_err fill_list(struct meta_call *call, const struct seal_key *key,
                               struct admin_list_app_passwords_reply *out)
{
    const struct meta_view view = meta_call_view(call);
    const struct credential_row *rows = NULL;
    size_t count = 0;
    VY_TRY(credential_list(&view, admin_write_of(call)->account.id, &rows, &count));
    struct admin_app_password *list =
        VY_ARENA_ARRAY(&call->arena, count + 1, struct admin_app_password);
    if (list == NULL) {
        return vy_error(VY_CODE_LIMIT, "memory for a page");
    }
    for (size_t i = 0; i < count; i++) {
        if (rows[i].secret != NULL && rows[i].secret->kind == CREDENTIAL_KIND_APP) {
            VY_TRY(fill_one(&call->arena, key, &rows[i], &list[out->app_passwords_count++]));
        }
    }
    out->app_passwords = list;
    return vy_ok();
}

static struct vy_err read_list(struct meta_call *call, struct admin_list_app_passwords_reply *out)
{
    const struct meta_view view = meta_call_view(call);
    struct seal_key key;
    bool is_found = false;
    VY_TRY(seal_key_find(call->meta->config.key, &view, admin_write_of(call)->account.id, &key,
                         &is_found));
    const struct vy_err err = fill_list(call, &key, out);
    vy_wipe(&key, sizeof(key));
    return err;
}

static void list_now(struct meta_call *call)
{
    const struct admin_list_app_passwords_request *request = call->message;
    struct admin_list_app_passwords_reply reply = {.app_passwords_count = 0};
    if (admin_write_new(call, NULL) == NULL || !admin_find_account(call, request->account)) {
        return;
    }
    const struct vy_err err = read_list(call, &reply);
    if (vy_failed(err)) {
        meta_call_fail(call, err);
        return;
    }
    meta_call_reply(call, &reply);
}

void admin_list_app_passwords(struct meta_call *call)
{
    meta_call_barrier(call, list_now);
}
