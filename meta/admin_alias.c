/* SPDX-License-Identifier: Apache-2.0 */
#include "meta/admin_private.h"
#include "meta/names.h"

static struct vy_err read_targets(struct meta_call *call, struct cmd_alias_create *body)
{
    const struct admin_create_alias_request *request = call->message;
    if (request->targets_count == 0 || request->targets_count > META_ALIAS_TARGETS_MAX) {
        return vy_error(VY_CODE_LIMIT, "an alias has 1 to 1,000 targets");
    }
    struct vy_bytes *targets =
        VY_ARENA_ARRAY(&call->arena, request->targets_count, struct vy_bytes);
    if (targets == NULL) {
        return vy_error(VY_CODE_LIMIT, "memory for targets");
    }
    for (size_t i = 0; i < request->targets_count; i++) {
        VY_TRY(names_canonical_address(&call->arena, request->targets[i], &targets[i]));
    }
    body->targets = targets;
    body->targets_count = request->targets_count;
    return vy_ok();
}

static void create_answer(struct meta_call *call)
{
    const struct admin_write *write = admin_write_of(call);
    const struct cmd_alias_create *body = write->command.alias_create;
    const struct admin_alias reply = {
        .alias = write->name, .targets_count = body->targets_count, .targets = body->targets};
    if (!admin_is_refused(call)) {
        meta_call_reply(call, &reply);
    }
}

void admin_create_alias(struct meta_call *call)
{
    const struct admin_create_alias_request *request = call->message;
    struct admin_write *write = admin_write_new(call, request->write);
    if (write == NULL) {
        return;
    }
    struct cmd_alias_create *body = VY_ARENA_NEW(&call->arena, struct cmd_alias_create);
    struct vy_err err = body == NULL ? vy_error(VY_CODE_LIMIT, "memory for an alias") : vy_ok();
    if (!vy_failed(err)) {
        err = names_canonical_new_address(&call->arena, request->alias, &write->name);
    }
    if (!vy_failed(err)) {
        err = read_targets(call, body);
    }
    if (vy_failed(err)) {
        meta_call_fail(call, err);
        return;
    }
    body->address = write->name;
    write->command.alias_create = body;
    write->detail = body->targets[0];
    admin_propose(call, 0, create_answer);
}

void admin_delete_alias(struct meta_call *call)
{
    const struct admin_delete_alias_request *request = call->message;
    struct admin_write *write = admin_write_new(call, request->write);
    if (write == NULL) {
        return;
    }
    const struct vy_err err = names_canonical_address(&call->arena, request->alias, &write->name);
    if (vy_failed(err)) {
        meta_call_fail(call, err);
        return;
    }
    const struct cmd_alias_delete body = {.address = write->name};
    write->command.alias_delete = &body;
    admin_propose(call, 0, admin_reply_empty);
}

/* ---- listing ---- */

static struct vy_err read_aliases(struct meta_call *call, struct admin_list_aliases_reply *out)
{
    const struct admin_list_aliases_request *request = call->message;
    const struct meta_view view = meta_call_snapshot_view(call);
    const struct admin_list list = {.family = META_FAMILY_ALIAS,
                                    .desc = &alias_row_desc,
                                    .domain = request->domain,
                                    .page = request->page};
    struct table_rows rows = {.count = 0};
    VY_TRY(admin_read_addresses(&view, &list, &rows));
    struct admin_alias *aliases = VY_ARENA_ARRAY(&call->arena, rows.count + 1, struct admin_alias);
    if (aliases == NULL) {
        return vy_error(VY_CODE_LIMIT, "memory for a page");
    }
    const struct alias_row *alias_rows = rows.rows;
    for (size_t i = 0; i < rows.count; i++) {
        aliases[i] = (struct admin_alias){.alias = alias_rows[i].address,
                                          .targets_count = alias_rows[i].targets_count,
                                          .targets = alias_rows[i].targets};
    }
    *out = (struct admin_list_aliases_reply){.aliases_count = rows.count, .aliases = aliases};
    if (rows.is_more) {
        out->next = aliases[rows.count - 1].alias;
    }
    return vy_ok();
}

static void list_on_worker(struct meta_call *call)
{
    struct admin_list_aliases_reply *reply =
        VY_ARENA_NEW(&call->arena, struct admin_list_aliases_reply);
    call->state = reply;
    call->err =
        reply == NULL ? vy_error(VY_CODE_LIMIT, "memory for a page") : read_aliases(call, reply);
}

static void list_answer(struct meta_call *call)
{
    meta_call_reply(call, call->state);
}

void admin_list_aliases(struct meta_call *call)
{
    admin_read(call, list_on_worker, list_answer);
}
