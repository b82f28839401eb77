/* SPDX-License-Identifier: Apache-2.0 */
#include "meta/admin_private.h"
#include "meta/names.h"

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

void admin_delete_domain(struct meta_call *call)
{
    const struct admin_delete_domain_request *request = call->message;
    struct admin_write *write = admin_write_new(call, request->write);
    struct vy_bytes unused = {.len = 0};
    if (write == NULL || !read_names(call, request->name, vy_bytes(NULL, 0), &unused)) {
        return;
    }
    const struct cmd_domain_delete body = {.name = write->name};
    write->command.domain_delete = &body;
    admin_propose(call, 0, admin_reply_empty);
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
