/* SPDX-License-Identifier: Apache-2.0 */
#include "meta/meta_private.h"

#include "base/secret.h"
#include <stdlib.h>

#define COMMAND_BYTES_MAX (512U * 1024)

struct meta_call *meta_call_new(struct meta *meta, const struct vy_pb_desc *request_desc,
                                struct vy_bytes request, meta_reply_fn reply, void *arg)
{
    struct meta_call *call = calloc(1, sizeof(*call));
    if (call == NULL || meta->is_stopping) {
        free(call);
        const struct vy_err err = vy_error(VY_CODE_UNAVAILABLE, "meta is stopping");
        reply(arg, err, err.what, vy_bytes(NULL, 0));
        return NULL;
    }
    call->meta = meta;
    call->reply = reply;
    call->reply_arg = arg;
    meta->stats.calls_open++;
    vy_arena_init(&call->arena, CALL_ARENA_BYTES_MAX);
    struct vy_err err = vy_arena_dup(&call->arena, request, &call->request);
    void *message = vy_arena_alloc(&call->arena, request_desc->struct_bytes);
    if (!vy_failed(err) && message == NULL) {
        err = vy_error(VY_CODE_LIMIT, "memory for a request");
    }
    if (!vy_failed(err)) {
        err = vy_pb_decode(request_desc, &call->arena, call->request, message);
    }
    if (vy_failed(err)) {
        meta_call_fail(call, err);
        return NULL;
    }
    call->message = message;
    return call;
}

static void call_free(struct meta_call *call)
{
    struct meta *meta = call->meta;
    store_snapshot_free(call->snapshot);
    if (call->is_secret) {
        vy_wipe((void *)(uintptr_t)call->request.data, call->request.len); /* our own copy */
    }
    vy_arena_deinit(&call->arena);
    free(call);
    meta->stats.calls_open--;
    meta_on_call_closed(meta);
}

void meta_call_fail_text(struct meta_call *call, struct vy_err err, const char *text)
{
    if (call->is_admin) {
        call->meta->stats.admin_failures++;
        meta_metrics_count_admin(&call->meta->metrics, err);
    }
    call->reply(call->reply_arg, err, text, vy_bytes(NULL, 0));
    call_free(call);
}

void meta_call_fail(struct meta_call *call, struct vy_err err)
{
    meta_call_fail_text(call, err, err.what == NULL ? vy_code_text(err.code) : err.what);
}

void meta_call_reply(struct meta_call *call, const void *message)
{
    struct vy_buf buf;
    const bool is_secret = call->is_secret;
    vy_buf_init(&buf, CALL_REPLY_BYTES_MAX);
    const struct vy_err err = vy_pb_encode(call->reply_desc, message, &buf);
    if (vy_failed(err)) {
        meta_call_fail(call, err);
    } else {
        if (call->is_admin) {
            meta_metrics_count_admin(&call->meta->metrics, vy_ok());
        }
        call->reply(call->reply_arg, vy_ok(), "", vy_buf_bytes(&buf));
        call_free(call);
    }
    if (is_secret) {
        vy_wipe(buf.data, buf.capacity);
    }
    vy_buf_deinit(&buf);
}

static enum vy_code code_of(enum meta_outcome outcome)
{
    switch (outcome) {
    case META_OUTCOME_NONE:
        return VY_CODE_INTERNAL;
    case META_OUTCOME_OK:
        return VY_CODE_OK;
    case META_OUTCOME_EXISTS:
        return VY_CODE_EXISTS;
    case META_OUTCOME_NOT_FOUND:
        return VY_CODE_NOT_FOUND;
    case META_OUTCOME_ARGUMENT:
        return VY_CODE_ARGUMENT;
    case META_OUTCOME_LIMIT:
        return VY_CODE_LIMIT;
    case META_OUTCOME_STALE:
    case META_OUTCOME_CONFLICT:
        return VY_CODE_CONFLICT;
    case META_OUTCOME_PRECONDITION:
        return VY_CODE_PRECONDITION;
    }
    return VY_CODE_INTERNAL;
}

void meta_call_refuse(struct meta_call *call, const struct meta_result *result)
{
    const struct vy_err err = vy_error(code_of(result->outcome), "refused by meta");
    const char *text = vy_arena_cstr(&call->arena, result->text);
    meta_call_fail_text(call, err, text == NULL ? err.what : text);
}

/* ---- reading ---- */

struct meta_view meta_call_view(struct meta_call *call)
{
    struct meta_group *group = call->meta->group;
    return (struct meta_view){.reader = group->ops->newest(group), .arena = &call->arena};
}

struct meta_view meta_call_snapshot_view(struct meta_call *call)
{
    return (struct meta_view){.reader = store_snapshot_reader(call->snapshot),
                              .arena = &call->arena};
}

bool meta_call_needs_leader(struct meta_call *call)
{
    if (meta_is_ready(call->meta)) {
        return false;
    }
    meta_call_fail(call, vy_error(VY_CODE_NOT_LEADER, "another member of meta leads"));
    return true;
}

static void call_on_barrier(void *arg, struct vy_err err)
{
    struct meta_call *call = arg;
    if (vy_failed(err)) {
        meta_call_fail(call, err);
        return;
    }
    call->next(call);
}

void meta_call_barrier(struct meta_call *call, meta_call_fn next)
{
    struct meta_group *group = call->meta->group;
    call->next = next;
    const struct vy_err err = group->ops->barrier(group, call_on_barrier, call);
    if (vy_failed(err)) {
        meta_call_fail(call, err);
    }
}

/* ---- workers ---- */

static void call_on_work(void *arg)
{
    struct meta_call *call = arg;
    call->work(call);
}

static void call_on_worked(void *arg)
{
    struct meta_call *call = arg;
    store_snapshot_free(call->snapshot);
    call->snapshot = NULL;
    if (vy_failed(call->err)) {
        meta_call_fail(call, call->err);
        return;
    }
    call->next(call);
}

void meta_call_run(struct meta_call *call, meta_call_fn work, meta_call_fn next)
{
    struct meta_group *group = call->meta->group;
    call->work = work;
    call->next = next;
    call->err = vy_ok();
    struct vy_err err = group->ops->snapshot(group, &call->snapshot, NULL);
    if (!vy_failed(err)) {
        err = vy_workers_submit(call->meta->config.workers, call->meta->config.loop, call_on_work,
                                call_on_worked, call);
    }
    if (vy_failed(err)) {
        meta_call_fail(call, err);
    }
}

/* ---- writing ---- */

static void call_on_committed(void *arg, struct vy_err err, struct vy_bytes result)
{
    struct meta_call *call = arg;
    struct vy_bytes copy = {.len = 0};
    if (!vy_failed(err)) {
        err = vy_arena_dup(&call->arena, result, &copy);
    }
    if (!vy_failed(err)) {
        err = vy_pb_decode(&meta_result_desc, &call->arena, copy, &call->result);
    }
    if (vy_failed(err)) {
        meta_call_fail(call, err);
        return;
    }
    call->next(call);
}

void meta_call_propose(struct meta_call *call, const struct meta_command *command, bool reserve,
                       meta_call_fn next)
{
    struct meta_group *group = call->meta->group;
    struct vy_buf buf;
    vy_buf_init(&buf, COMMAND_BYTES_MAX);
    call->next = next;
    struct vy_err err = vy_pb_encode(&meta_command_desc, command, &buf);
    if (!vy_failed(err)) {
        err = group->ops->propose(group, vy_buf_bytes(&buf), reserve, call_on_committed, call);
    }
    vy_buf_deinit(&buf);
    if (vy_failed(err)) {
        meta_call_fail(call, err);
    }
}

/* ---- commands of no call ---- */

struct background {
    struct meta *meta;
    meta_background_fn done;
    void *arg;
};

static void background_on_committed(void *arg, struct vy_err err, struct vy_bytes bytes)
{
    struct background *background = arg;
    struct meta *meta = background->meta;
    struct vy_arena arena;
    struct meta_result result = {.outcome = META_OUTCOME_NONE};
    vy_arena_init(&arena, 64U * 1024);
    if (!vy_failed(err)) {
        err = vy_pb_decode(&meta_result_desc, &arena, bytes, &result);
    }
    background->done(meta, background->arg, err, &result);
    vy_arena_deinit(&arena);
    free(background);
    meta->stats.calls_open--;
    meta_on_call_closed(meta);
}

void meta_propose_background(struct meta *meta, const struct meta_command *command,
                             meta_background_fn done, void *arg)
{
    struct background *background = calloc(1, sizeof(*background));
    struct vy_buf buf;
    vy_buf_init(&buf, COMMAND_BYTES_MAX);
    struct vy_err err = background == NULL ? vy_error(VY_CODE_NOMEM, "command")
                                           : vy_pb_encode(&meta_command_desc, command, &buf);
    if (!vy_failed(err)) {
        *background = (struct background){.meta = meta, .done = done, .arg = arg};
        err = meta->group->ops->propose(meta->group, vy_buf_bytes(&buf), /* reserve = */ true,
                                        background_on_committed, background);
    }
    vy_buf_deinit(&buf);
    if (!vy_failed(err)) {
        meta->stats.calls_open++;
        return;
    }
    free(background);
    const struct meta_result none = {.outcome = META_OUTCOME_NONE};
    done(meta, arg, err, &none);
}
