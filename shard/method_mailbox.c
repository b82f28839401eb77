/* SPDX-License-Identifier: Apache-2.0 */
/* MAILBOX_CREATE, _DELETE, _RENAME and _SUBSCRIBE. */
#include "shard/mailbox_names.h"
#include "shard/names.h"
#include "shard/service_private.h"

/* ---- create ---- */

static void create_result(struct call *call, const struct shard_result *result)
{
    if (result->code != SHARD_CODE_DONE) {
        call_refuse(call, result, "create mailbox");
        return;
    }
    call_reply(call, &(struct mailbox_create_reply){.mailbox_id = result->mailbox_id});
}

void method_create_start(struct call *call)
{
    const struct mailbox_create_request *request = call->request;
    struct new_mailbox *mailboxes = NULL;
    struct sealed_name name;
    size_t count = 0;

    struct vy_err err = mailbox_superiors_build(call, request->name, &mailboxes, &count);
    if (!vy_failed(err)) {
        err = names_seal_mailbox(call_keys(call), call->service->config.rng, call->account_id,
                                 request->name, &call->arena, &name);
    }
    if (vy_failed(err)) {
        call_fail(call, err);
        return;
    }
    mailboxes[count++] = (struct new_mailbox){.name = &name, .role = request->role};
    const struct cmd_mailbox_create create = {.mailboxes_count = count, .mailboxes = mailboxes};
    call_propose(call, &(struct shard_command){.mailbox_create = &create}, NULL, 0, create_result);
}

/* ---- delete and rename decide by the list of names, and look again when it changed meanwhile ----
 */

struct names_run {
    struct shard_command command;
    struct cmd_mailbox_delete delete_;
    struct cmd_mailbox_rename rename_;
    uint8_t hash[SHARD_HASH_BYTES];
};

static bool must_look_again(struct call *call, const struct shard_result *result)
{
    return result->code == SHARD_CODE_CONFLICT && call->conflict_tries++ < CALL_CONFLICT_TRIES_MAX;
}

static bool new_run(struct call *call)
{
    call->state = VY_ARENA_NEW(&call->arena, struct names_run);
    if (call->state == NULL) {
        call_fail(call, vy_error(VY_CODE_LIMIT, "change mailboxes"));
    }
    return call->state != NULL;
}

static void end_changed(struct call *call, const struct shard_result *result, const char *what)
{
    if (result->code != SHARD_CODE_DONE) {
        call_refuse(call, result, what);
        return;
    }
    call_reply(call, &(struct shard_empty_reply){.modseq = result->modseq});
}

static struct vy_err delete_work(struct call *call)
{
    const struct mailbox_delete_request *request = call->request;
    struct names_run *run = call->state;
    struct mailbox_names names;

    VY_TRY(mailbox_names_read(call, &names));
    if (mailbox_names_find(&names, request->name) == NULL) {
        return vy_error(VY_CODE_NOT_FOUND, "delete mailbox");
    }
    names_hash_mailbox(call_keys(call), request->name, run->hash);
    run->delete_ = (struct cmd_mailbox_delete){.name_hash = vy_bytes(run->hash, sizeof(run->hash)),
                                               .names_version = names.version};
    for (size_t i = 0; i < names.count && !run->delete_.with_children; i++) {
        run->delete_.with_children = mailbox_name_is_below(names.items[i].name, request->name);
    }
    return vy_ok();
}

static void delete_propose(struct call *call);

static void delete_result(struct call *call, const struct shard_result *result)
{
    if (must_look_again(call, result)) {
        call_read(call, delete_work, delete_propose);
        return;
    }
    end_changed(call, result, "delete mailbox");
}

static void delete_propose(struct call *call)
{
    struct names_run *run = call->state;

    run->command = (struct shard_command){.mailbox_delete = &run->delete_};
    call_propose(call, &run->command, NULL, 0, delete_result);
}

void method_delete_start(struct call *call)
{
    if (new_run(call)) {
        call_read(call, delete_work, delete_propose);
    }
}

/* ---- rename ---- */

static struct vy_err join_name(struct call *call, struct vy_bytes front, struct vy_bytes tail,
                               struct vy_bytes *out)
{
    VY_CLEANUP(vy_buf_deinit) struct vy_buf name;

    vy_buf_init(&name, NAMES_MAILBOX_BYTES_MAX);
    vy_buf_append(&name, front);
    vy_buf_append(&name, tail);
    VY_TRY(vy_buf_error(&name));
    return vy_arena_dup(&call->arena, vy_buf_bytes(&name), out);
}

static struct vy_err add_new_name(struct call *call, uint64_t mailbox_id, struct vy_bytes name,
                                  struct mailbox_new_name *out)
{
    struct sealed_name *sealed = VY_ARENA_NEW(&call->arena, struct sealed_name);

    if (sealed == NULL) {
        return vy_error(VY_CODE_LIMIT, "rename mailboxes");
    }
    *out = (struct mailbox_new_name){.mailbox_id = mailbox_id, .name = sealed};
    return names_seal_mailbox(call_keys(call), call->service->config.rng, call->account_id, name,
                              &call->arena, sealed);
}

/* The mailbox and everything below it. */
static struct vy_err collect_names(struct call *call, const struct mailbox_names *names,
                                   struct mailbox_new_name *out, size_t *out_count)
{
    const struct mailbox_rename_request *request = call->request;

    *out_count = 0;
    for (size_t i = 0; i < names->count; i++) {
        const struct mailbox_name *item = &names->items[i];
        struct vy_bytes name;
        if (!vy_bytes_equal(item->name, request->from) &&
            !mailbox_name_is_below(item->name, request->from)) {
            continue;
        }
        VY_TRY(join_name(call, request->to, vy_bytes_from(item->name, request->from.len), &name));
        VY_TRY(add_new_name(call, item->mailbox_id, name, &out[(*out_count)++]));
    }
    return vy_ok();
}

static struct vy_err rename_work(struct call *call)
{
    const struct mailbox_rename_request *request = call->request;
    struct names_run *run = call->state;
    struct mailbox_names names;
    struct new_mailbox *superiors = NULL;

    VY_TRY(mailbox_names_read(call, &names));
    const struct mailbox_name *from = mailbox_names_find(&names, request->from);
    if (from == NULL) {
        return vy_error(VY_CODE_NOT_FOUND, "rename mailbox");
    }
    const bool is_inbox = vy_bytes_equal(request->from, VY_LIT("INBOX"));
    if (!is_inbox && mailbox_name_is_below(request->to, request->from)) {
        return vy_error(VY_CODE_PRECONDITION, "rename mailbox below itself");
    }
    struct mailbox_new_name *new_names =
        VY_ARENA_ARRAY(&call->arena, names.count, struct mailbox_new_name);
    if (new_names == NULL) {
        return vy_error(VY_CODE_LIMIT, "rename mailboxes");
    }
    run->rename_ = (struct cmd_mailbox_rename){.names = new_names, .names_version = names.version};
    run->rename_.from_inbox = is_inbox;
    if (is_inbox) { /* its children stay (RFC 9051 section 6.3.6) */
        run->rename_.names_count = 1;
        VY_TRY(add_new_name(call, from->mailbox_id, request->to, &new_names[0]));
    } else {
        VY_TRY(collect_names(call, &names, new_names, &run->rename_.names_count));
    }
    VY_TRY(mailbox_superiors_build(call, request->to, &superiors, &run->rename_.superiors_count));
    run->rename_.superiors = superiors;
    return vy_ok();
}

static void rename_propose(struct call *call);

static void rename_result(struct call *call, const struct shard_result *result)
{
    if (must_look_again(call, result)) {
        call_read(call, rename_work, rename_propose);
        return;
    }
    end_changed(call, result, "rename mailbox");
}

static void rename_propose(struct call *call)
{
    struct names_run *run = call->state;

    run->command = (struct shard_command){.mailbox_rename = &run->rename_};
    call_propose(call, &run->command, NULL, 0, rename_result);
}

void method_rename_start(struct call *call)
{
    if (new_run(call)) {
        call_read(call, rename_work, rename_propose);
    }
}

/* ---- subscribe ---- */

static void subscribe_result(struct call *call, const struct shard_result *result)
{
    end_changed(call, result, "subscribe mailbox");
}

void method_subscribe_start(struct call *call)
{
    const struct mailbox_subscribe_request *request = call->request;
    struct sealed_name name;

    const struct vy_err err =
        names_seal_mailbox(call_keys(call), call->service->config.rng, call->account_id,
                           request->name, &call->arena, &name);
    if (vy_failed(err)) {
        call_fail(call, err);
        return;
    }
    const struct cmd_mailbox_subscribe subscribe = {.name = &name,
                                                    .subscribed = request->subscribed};
    call_propose(call, &(struct shard_command){.mailbox_subscribe = &subscribe}, NULL, 0,
                 subscribe_result);
}
