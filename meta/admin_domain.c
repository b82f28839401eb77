/* SPDX-License-Identifier: Apache-2.0 */
#include "base/codec.h"
#include "meta/admin_private.h"
#include "meta/names.h"
#include <openssl/crypto.h>

static void fill_domain(const struct domain_row *row, struct admin_domain *out)
{
    *out = (struct admin_domain){.name = row->name,
                                 .catch_all = row->catch_all,
                                 .created_ms = row->created_ms,
                                 .account_count = row->account_count};
}

static void domain_answer(struct meta_call *call)
{
    const struct admin_write *write = admin_write_of(call);
    const struct meta_view view = meta_call_view(call);
    struct domain_row row;
    struct admin_domain reply;
    bool is_found = false;
    if (admin_is_refused(call)) {
        return;
    }
    const struct vy_err err = domain_get(&view, write->name, &row, &is_found);
    if (vy_failed(err)) {
        meta_call_fail(call, err);
        return;
    }
    if (!is_found) {
        row.name = write->name; /* validate_only */
    }
    fill_domain(&row, &reply);
    meta_call_reply(call, &reply);
}

/* Canonical names of a request. False: the call has ended. */
static bool read_names(struct meta_call *call, struct vy_bytes name, struct vy_bytes typed,
                       struct vy_bytes *catch_all)
{
    struct admin_write *write = admin_write_of(call);
    struct vy_err err = names_canonical_domain(&call->arena, name, &write->name);
    if (!vy_failed(err) && typed.len > 0) {
        err = names_canonical_address(&call->arena, typed, catch_all);
        write->detail = *catch_all;
    }
    if (vy_failed(err)) {
        meta_call_fail(call, err);
        return false;
    }
    return true;
}

void admin_create_domain(struct meta_call *call)
{
    const struct admin_create_domain_request *request = call->message;
    struct admin_write *write = admin_write_new(call, request->write);
    struct cmd_domain_create body = {.name = {.len = 0}};
    if (write == NULL || !read_names(call, request->name, request->catch_all, &body.catch_all)) {
        return;
    }
    body.name = write->name;
    write->command.domain_create = &body;
    admin_propose(call, 0, domain_answer);
}

void admin_set_domain(struct meta_call *call)
{
    const struct admin_set_domain_request *request = call->message;
    struct admin_write *write = admin_write_new(call, request->write);
    struct cmd_domain_set body = {.name = {.len = 0}};
    if (write == NULL || !read_names(call, request->name, request->catch_all, &body.catch_all)) {
        return;
    }
    body.name = write->name;
    write->command.domain_set = &body;
    admin_propose(call, 0, domain_answer);
}

/* ---- deleting; with accounts and aliases in two steps (DEL-3, DEL-9) ---- */

#define TOKEN_MAC_BYTES 16U

/* "ACCOUNTS-ALIASES-MAC": for this domain as it is. */
static struct vy_err write_token(const struct meta *meta, const struct domain_row *row,
                                 struct vy_buf *out)
{
    uint8_t mac[32];
    struct vy_buf subject;
    vy_buf_init(&subject, 4096);
    vy_buf_printf(&subject, "%llu-%llu-%llu-%.*s", (unsigned long long)row->created_ms,
                  (unsigned long long)row->account_count, (unsigned long long)row->alias_count,
                  VY_PRI(row->name));
    const struct vy_err err = vy_buf_error(&subject);
    cluster_key_mac(meta->config.key, "delete-domain-token", vy_buf_bytes(&subject), mac);
    vy_buf_deinit(&subject);
    VY_TRY(err);
    vy_buf_printf(out, "%llu-%llu-", (unsigned long long)row->account_count,
                  (unsigned long long)row->alias_count);
    vy_hex_encode(out, vy_bytes(mac, TOKEN_MAC_BYTES));
    return vy_buf_error(out);
}

/* False: none, or for another domain. Whether the counts still hold is the machine's to say. */
static bool read_token(const struct meta *meta, struct domain_row *row, struct vy_bytes token)
{
    struct vy_buf expected;
    struct vy_bytes rest = token;
    if (!vy_parse_u64(vy_bytes_cut(&rest, '-'), &row->account_count) ||
        !vy_parse_u64(vy_bytes_cut(&rest, '-'), &row->alias_count)) {
        return false;
    }
    vy_buf_init(&expected, 256);
    const struct vy_err err = write_token(meta, row, &expected);
    const bool is_good = !vy_failed(err) && vy_buf_len(&expected) == token.len &&
                         CRYPTO_memcmp(vy_buf_bytes(&expected).data, token.data, token.len) == 0;
    vy_buf_deinit(&expected);
    return is_good;
}

/* False: the call has ended. */
static bool find_domain(struct meta_call *call, struct vy_bytes typed, struct domain_row *row)
{
    struct admin_write *write = admin_write_of(call);
    const struct meta_view view = meta_call_view(call);
    struct vy_bytes unused = {.len = 0};
    bool is_found = false;
    if (!read_names(call, typed, vy_bytes(NULL, 0), &unused)) {
        return false;
    }
    const struct vy_err err = domain_get(&view, write->name, row, &is_found);
    if (vy_failed(err)) {
        meta_call_fail(call, err);
    } else if (!is_found) {
        const char *text =
            vy_arena_printf(&call->arena, "domain %.*s does not exist", VY_PRI(write->name));
        meta_call_fail_text(call, vy_error(VY_CODE_NOT_FOUND, "domain does not exist"),
                            text == NULL ? "domain does not exist" : text);
    }
    return !vy_failed(err) && is_found;
}

static struct vy_err fill_prepared(struct meta_call *call, const struct domain_row *row,
                                   struct admin_prepare_delete_domain_reply *out)
{
    struct vy_buf token;
    *out = (struct admin_prepare_delete_domain_reply){
        .name = row->name, .account_count = row->account_count, .alias_count = row->alias_count};
    vy_buf_init(&token, 256);
    struct vy_err err = write_token(call->meta, row, &token);
    if (!vy_failed(err)) {
        err = vy_arena_dup(&call->arena, vy_buf_bytes(&token), &out->token);
    }
    vy_buf_deinit(&token);
    return err;
}

static void prepare_now(struct meta_call *call)
{
    const struct admin_prepare_delete_domain_request *request = call->message;
    struct admin_prepare_delete_domain_reply reply;
    struct domain_row row;
    if (admin_write_new(call, NULL) == NULL || !find_domain(call, request->name, &row)) {
        return;
    }
    const struct vy_err err = fill_prepared(call, &row, &reply);
    if (vy_failed(err)) {
        meta_call_fail(call, err);
        return;
    }
    meta_call_reply(call, &reply);
}

void admin_prepare_delete_domain(struct meta_call *call)
{
    meta_call_barrier(call, prepare_now);
}

static void delete_answer(struct meta_call *call)
{
    const struct admin_write *write = admin_write_of(call);
    struct admin_delete_domain_reply reply = {.name = write->name,
                                              .account_count = write->domain_accounts,
                                              .alias_count = write->domain_aliases,
                                              .waits_for_second_admin = call->result.waits};
    struct vy_err err = vy_ok();
    if (admin_is_refused(call)) {
        return;
    }
    if (call->result.job_id != 0) {
        erase_saga_kick(call->meta->saga);
        err = admin_text_u64(&call->arena, call->result.job_id, &reply.intent);
    }
    if (vy_failed(err)) {
        meta_call_fail(call, err);
        return;
    }
    meta_call_reply(call, &reply);
}

void admin_delete_domain(struct meta_call *call)
{
    const struct admin_delete_domain_request *request = call->message;
    struct admin_write *write = admin_write_new(call, request->write);
    struct domain_row row;
    if (write == NULL || !find_domain(call, request->name, &row)) {
        return;
    }
    struct domain_row confirmed = row;
    if (request->cascade && !read_token(call->meta, &confirmed, request->token)) {
        meta_call_fail(call, vy_error(VY_CODE_PRECONDITION,
                                      "a delete with all accounts needs the token that "
                                      "PrepareDeleteDomain gives for this domain"));
        return;
    }
    uint8_t actor[32];
    admin_actor_mac(call, actor);
    const struct cmd_domain_delete body = {.name = write->name,
                                           .second_admin = call->meta->config.second_admin,
                                           .actor = vy_bytes(actor, sizeof(actor)),
                                           .cascade = request->cascade,
                                           .account_count = confirmed.account_count,
                                           .alias_count = confirmed.alias_count};
    write->domain_accounts = confirmed.account_count;
    write->domain_aliases = confirmed.alias_count;
    write->detail = request->cascade ? VY_LIT("cascade") : vy_bytes(NULL, 0);
    write->command.domain_delete = &body;
    admin_propose(call, 0, delete_answer);
}

/* ---- listing ---- */

static struct vy_err read_domains(struct meta_call *call, struct admin_list_domains_reply *out)
{
    const struct admin_list_domains_request *request = call->message;
    const struct meta_view view = meta_call_snapshot_view(call);
    struct vy_bytes after = {.len = 0};
    struct vy_bytes from = {.len = 0};
    if (request->page != NULL && request->page->after.len > 0) {
        VY_TRY(names_canonical_domain(&call->arena, request->page->after, &after));
        uint8_t *key = vy_arena_alloc(&call->arena, after.len + 1); /* the next possible name */
        if (key == NULL) {
            return vy_error(VY_CODE_LIMIT, "memory for a page");
        }
        memcpy(key, after.data, after.len);
        from = vy_bytes(key, after.len + 1);
    }
    const struct table_page page = {.family = META_FAMILY_DOMAIN,
                                    .from = from,
                                    .rows_max = admin_page_rows(request->page),
                                    .desc = &domain_row_desc};
    struct table_rows rows = {.count = 0};
    VY_TRY(table_read_page(&view, &page, &rows));
    struct admin_domain *domains =
        VY_ARENA_ARRAY(&call->arena, rows.count + 1, struct admin_domain);
    if (domains == NULL) {
        return vy_error(VY_CODE_LIMIT, "memory for a page");
    }
    const struct domain_row *domain_rows = rows.rows;
    for (size_t i = 0; i < rows.count; i++) {
        fill_domain(&domain_rows[i], &domains[i]);
    }
    *out = (struct admin_list_domains_reply){.domains_count = rows.count, .domains = domains};
    if (rows.is_more) {
        out->next = domains[rows.count - 1].name;
    }
    return vy_ok();
}

static void list_on_worker(struct meta_call *call)
{
    struct admin_list_domains_reply *reply =
        VY_ARENA_NEW(&call->arena, struct admin_list_domains_reply);
    call->state = reply;
    call->err =
        reply == NULL ? vy_error(VY_CODE_LIMIT, "memory for a page") : read_domains(call, reply);
}

static void list_answer(struct meta_call *call)
{
    meta_call_reply(call, call->state);
}

void admin_list_domains(struct meta_call *call)
{
    admin_read(call, list_on_worker, list_answer);
}
