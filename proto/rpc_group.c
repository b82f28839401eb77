/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/rpc_group.h"

#include "proto/rpc_group_private.h"
#include <stdio.h>
#include <stdlib.h>

#define GROUP_CALLS_MAX RPC_CALLS_PER_LINK_MAX /* they may all go to the leader's link */
#define BACKOFF_MIN_MS 20U
#define BACKOFF_MAX_MS 500U
#define DEADLINE_DEFAULT_MS 30000U
#define NEVER_MS UINT64_MAX

static uint64_t now_ms(const struct rpc_group *group)
{
    return vy_loop_now_ms(group->config->loop);
}

static void group_unref(struct rpc_group *group)
{
    group->ref_count--;
    if (group->ref_count == 0) {
        vy_timer_free(group->timer);
        free(group);
    }
}

void rpc_group_wake_at(struct rpc_group *group, uint64_t when_ms)
{
    if (group->is_freed || when_ms >= group->wake_ms) {
        return;
    }
    const uint64_t now = now_ms(group);
    group->wake_ms = when_ms;
    vy_timer_start(group->timer, when_ms > now ? when_ms - now : 0);
}

/* ---- how a call ends ---- */

static void call_free(struct rpc_group_call *call)
{
    vy_list_remove(&call->node);
    call->group->call_count--;
    vy_buf_deinit(&call->request);
    free(call);
}

/* The call is gone when this returns, and its group may be. What one attempt leaves open the next
 * cannot deny. */
static void call_finish(struct rpc_group_call *call, const struct rpc_status *status,
                        struct vy_bytes reply)
{
    const struct rpc_call_events *events = call->events;
    void *arg = call->arg;
    struct rpc_status told = *status;
    if (call->is_outcome_open) {
        const bool is_transient = status->code == VY_CODE_NOT_LEADER ||
                                  status->code == VY_CODE_UNAVAILABLE ||
                                  status->code == VY_CODE_BUSY;
        told.code = is_transient ? VY_CODE_UNKNOWN : status->code;
        told.not_executed = false;
    }
    call_free(call);
    if (events->on_end != NULL) {
        events->on_end(arg, &told, reply);
    }
}

/* Out of time, or not to be repeated: the last that was heard. */
static void call_give_up(struct rpc_group_call *call)
{
    char text[sizeof(call->last_message)];
    memcpy(text, call->last_message, sizeof(text));
    const struct rpc_status status = {
        .code = call->last_code == VY_CODE_BUSY ? VY_CODE_BUSY : VY_CODE_UNAVAILABLE,
        .message = text[0] == '\0' ? VY_LIT("no member is reachable") : vy_cstr(text),
        .not_executed = true,
    };
    call_finish(call, &status, vy_bytes(NULL, 0));
}

static bool has_key(const struct rpc_call_options *options)
{
    static const uint8_t none[RPC_ID_BYTES];
    return memcmp(options->idempotency_key, none, RPC_ID_BYTES) != 0;
}

/* The rule of rpc_group.h. What is certain but no matter of who answers (STALE, MOVED, UNSUPPORTED)
 * is for the caller. */
static bool may_repeat(const struct rpc_group_call *call, const struct rpc_status *status)
{
    if (call->has_data || call->has_body_taken || now_ms(call->group) >= call->deadline_ms) {
        return false;
    }
    switch (status->code) {
    case VY_CODE_NOT_LEADER:
    case VY_CODE_UNAVAILABLE:
    case VY_CODE_BUSY:
        if (status->not_executed) {
            return true;
        }
        break;
    case VY_CODE_UNKNOWN:
        break;
    default:
        return false;
    }
    return has_key(&call->options) || call->options.idempotent;
}

static void remember(struct rpc_group_call *call, const struct rpc_status *status)
{
    call->last_code = status->code;
    call->is_outcome_open |= status->code == VY_CODE_UNKNOWN && !status->not_executed;
    (void)snprintf(call->last_message, sizeof(call->last_message), "%.*s",
                   VY_PRI(vy_bytes_slice(status->message, 0, sizeof(call->last_message) - 1)));
}

static void start_over_after(struct rpc_group_call *call, uint32_t at_least_ms)
{
    struct rpc_group *group = call->group;
    const uint32_t half = call->backoff_ms / 2;
    const uint32_t pause = half + (uint32_t)vy_rng_below(group->config->rng, half + 1);
    call->tried = 0;
    call->backoff_ms = VY_MIN(call->backoff_ms * 2, BACKOFF_MAX_MS);
    call->retry_at_ms = now_ms(group) + VY_MAX(pause, at_least_ms);
}

/* When, and with whom, the next attempt is made. */
static void schedule_repeat(struct rpc_group_call *call, const struct rpc_status *status)
{
    struct rpc_group *group = call->group;
    if (status->code == VY_CODE_BUSY) {
        start_over_after(call, status->retry_after_ms);
    } else if (rpc_group_choose(group, call->tried) != RPC_GROUP_NOBODY) {
        call->retry_at_ms = now_ms(group);
    } else if (rpc_group_choose(group, 0) != RPC_GROUP_NOBODY) {
        start_over_after(call, 0);
    } else {
        call->tried = 0;
        call->retry_at_ms = NEVER_MS;
    }
    rpc_group_wake_at(group, VY_MIN(call->retry_at_ms, call->deadline_ms));
}

/* ---- the call on a member ---- */

static void member_on_data(void *arg, struct vy_bytes bytes)
{
    struct rpc_group_call *call = arg;
    call->has_data = true;
    if (call->events->on_data == NULL) {
        rpc_call_consumed(call->rpc, bytes.len);
        return;
    }
    call->events->on_data(call->arg, bytes);
}

static void member_on_writable(void *arg)
{
    struct rpc_group_call *call = arg;
    if (call->events->on_writable != NULL) {
        call->events->on_writable(call->arg);
    }
}

/* Also from answers that are handed on: their callers start over, and find the leader then. */
static void learn_leader(const struct rpc_group_call *call, const struct rpc_status *status)
{
    struct rpc_group *group = call->group;
    if (status->code == VY_CODE_OK) {
        rpc_group_set_leader(group, call->member_index);
    } else if (status->code == VY_CODE_NOT_LEADER) {
        const size_t hinted = rpc_group_find(group, status->leader_hint);
        const size_t next = (call->member_index + 1) % group->member_count;
        const bool is_lost = call->member_index == group->leader_index;
        if (hinted != RPC_GROUP_NOBODY) {
            rpc_group_set_leader(group, hinted);
        } else if (is_lost) {
            rpc_group_set_leader(group, next);
        }
    }
}

static void member_on_end(void *arg, const struct rpc_status *status, struct vy_bytes reply)
{
    struct rpc_group_call *call = arg;
    call->rpc = NULL;
    learn_leader(call, status);
    if (!may_repeat(call, status)) {
        call_finish(call, status, reply);
        return;
    }
    remember(call, status);
    schedule_repeat(call, status);
}

static const struct rpc_call_events member_events = {
    .on_data = member_on_data, .on_writable = member_on_writable, .on_end = member_on_end};

static uint32_t remaining_ms(const struct rpc_group_call *call)
{
    const uint64_t now = now_ms(call->group);
    const uint64_t left = call->deadline_ms > now ? call->deadline_ms - now : 1;
    return (uint32_t)VY_MIN(left, UINT32_MAX);
}

/* Asks the next member, or waits for one. Calls nobody back. */
static void call_try(struct rpc_group_call *call)
{
    struct rpc_group *group = call->group;
    size_t index = rpc_group_choose(group, call->tried);
    if (index == RPC_GROUP_NOBODY) {
        call->tried = 0;
        index = rpc_group_choose(group, 0);
    }
    call->retry_at_ms = NEVER_MS;
    rpc_group_hurry(group);
    if (index == RPC_GROUP_NOBODY) {
        return;
    }
    struct rpc_call_options options = call->options;
    options.deadline_ms = options.endless ? 0 : remaining_ms(call);
    call->tried |= 1U << index;
    call->member_index = index;
    if (group->any_member) {
        group->leader_index = (index + 1) % group->member_count;
    }
    call->rpc = rpc_call_start(group->members[index]->link, call->method,
                               vy_buf_bytes(&call->request), &options, &member_events, call);
    if (call->rpc == NULL) {
        start_over_after(call, 0); /* no memory, or others have filled the link */
        return;
    }
    call->options.attempt++;
    if (call->is_body_ended) {
        rpc_call_send_end(call->rpc);
    }
}

/* ---- the timer ---- */

static bool is_due(const struct rpc_group_call *call, uint64_t now)
{
    if (call->rpc != NULL) {
        return false;
    }
    const bool waits_for_link = call->retry_at_ms == NEVER_MS;
    return call->is_over || call->deadline_ms <= now || call->retry_at_ms <= now ||
           (waits_for_link && rpc_group_is_up(call->group));
}

static void run_call(struct rpc_group_call *call)
{
    struct rpc_group *group = call->group;
    vy_list_push_back(&group->calls, &call->node);
    if (call->is_over || call->deadline_ms <= now_ms(group)) {
        call_give_up(call);
        return;
    }
    call_try(call);
    if (call->rpc != NULL && call->wants_writable) {
        call->wants_writable = false;
        member_on_writable(call); /* may cancel the call */
    }
}

static uint64_t next_wake(const struct rpc_group *group)
{
    uint64_t next = NEVER_MS;
    VY_LIST_FOREACH(item, &group->calls)
    {
        const struct rpc_group_call *call = VY_CONTAINER_OF(item, struct rpc_group_call, node);
        if (call->rpc == NULL) {
            next = VY_MIN(next, VY_MIN(call->retry_at_ms, call->deadline_ms));
        }
    }
    return next;
}

static void on_timer(void *arg)
{
    struct rpc_group *group = arg;
    const uint64_t now = now_ms(group);
    struct vy_list due;
    vy_list_init(&due);
    group->ref_count++;
    group->wake_ms = NEVER_MS;
    for (struct vy_list *item = group->calls.next; item != &group->calls;) {
        struct rpc_group_call *call = VY_CONTAINER_OF(item, struct rpc_group_call, node);
        item = item->next;
        if (is_due(call, now)) {
            vy_list_remove(&call->node);
            vy_list_push_back(&due, &call->node);
        }
    }
    /* Calls that are cancelled meanwhile leave this list by themselves; rpc_group_free finds the
     * rest through its own list only, so each goes back there before anything is called. */
    while (!group->is_freed && !vy_list_is_empty(&due)) {
        run_call(VY_CONTAINER_OF(vy_list_pop_front(&due), struct rpc_group_call, node));
    }
    while (!vy_list_is_empty(&due)) { /* freed by a callback: these have not heard of it yet */
        struct rpc_group_call *call =
            VY_CONTAINER_OF(vy_list_pop_front(&due), struct rpc_group_call, node);
        call_finish(call, &(struct rpc_status){.code = VY_CODE_CANCELLED}, vy_bytes(NULL, 0));
    }
    rpc_group_wake_at(group, next_wake(group));
    group_unref(group);
}

void rpc_group_call_leave(struct rpc_group_call *call)
{
    const struct rpc_status lost = {.code = VY_CODE_UNKNOWN,
                                    .message = VY_LIT("member left the group")};
    rpc_call_cancel(VY_TAKE(call->rpc));
    remember(call, &lost);
    call->is_over = !may_repeat(call, &lost);
    call->retry_at_ms = now_ms(call->group);
}

/* ---- life ---- */

struct vy_err rpc_group_new(const struct rpc_config *config,
                            const struct rpc_group_options *options,
                            const struct rpc_group_member *members, size_t count,
                            struct rpc_group **out)
{
    struct rpc_group *group = calloc(1, sizeof(*group));
    if (group == NULL) {
        return vy_error(VY_CODE_NOMEM, "link group");
    }
    group->timer = vy_timer_new(config->loop, on_timer, group);
    if (group->timer == NULL) {
        free(group);
        return vy_error(VY_CODE_NOMEM, "link group timer");
    }
    group->config = config;
    (void)snprintf(group->name, sizeof(group->name), "%s", options->name);
    group->peer_roles = options->peer_roles;
    group->any_member = options->any_member;
    group->ref_count = 1;
    group->wake_ms = NEVER_MS;
    vy_list_init(&group->calls);
    const struct vy_err err = rpc_group_set_members(group, members, count);
    if (vy_failed(err)) {
        group_unref(group);
        return err;
    }
    *out = group;
    return vy_ok();
}

void rpc_group_free(struct rpc_group *group)
{
    if (group == NULL) {
        return;
    }
    const struct rpc_status status = {.code = VY_CODE_CANCELLED,
                                      .message = VY_LIT("group is closed")};
    VY_ASSERT(!group->is_freed);
    group->is_freed = true;
    vy_timer_stop(group->timer);
    while (!vy_list_is_empty(&group->calls)) {
        struct rpc_group_call *call =
            VY_CONTAINER_OF(group->calls.next, struct rpc_group_call, node);
        rpc_call_cancel(VY_TAKE(call->rpc));
        call_finish(call, &status, vy_bytes(NULL, 0));
    }
    rpc_group_free_members(group);
    group_unref(group);
}

/* ---- calls ---- */

struct rpc_group_call *rpc_group_call(struct rpc_group *group, uint32_t method,
                                      struct vy_bytes request,
                                      const struct rpc_call_options *options,
                                      const struct rpc_call_events *events, void *arg)
{
    static const struct rpc_call_options no_options;
    options = options == NULL ? &no_options : options;
    VY_ASSERT(options->principal.len <= RPC_PRINCIPAL_BYTES_MAX);
    if (group->is_freed || group->call_count >= GROUP_CALLS_MAX) {
        return NULL;
    }
    struct rpc_group_call *call = calloc(1, sizeof(*call));
    if (call == NULL) {
        return NULL;
    }
    vy_buf_init(&call->request, RPC_REPLY_BYTES_MAX);
    vy_buf_append(&call->request, request);
    if (vy_failed(vy_buf_error(&call->request))) {
        vy_buf_deinit(&call->request);
        free(call);
        return NULL;
    }
    const uint32_t deadline_ms =
        options->deadline_ms == 0 ? DEADLINE_DEFAULT_MS : options->deadline_ms;
    call->group = group;
    call->method = method;
    call->options = *options;
    if (options->principal.len > 0) {
        memcpy(call->principal, options->principal.data, options->principal.len);
        call->options.principal = vy_bytes(call->principal, options->principal.len);
    }
    call->events = events;
    call->arg = arg;
    call->deadline_ms = options->endless ? NEVER_MS : now_ms(group) + deadline_ms;
    call->backoff_ms = BACKOFF_MIN_MS;
    vy_list_push_back(&group->calls, &call->node);
    group->call_count++;
    call_try(call);
    if (call->rpc == NULL) {
        rpc_group_wake_at(group, VY_MIN(call->retry_at_ms, call->deadline_ms));
    }
    return call;
}

size_t rpc_group_call_send(struct rpc_group_call *call, struct vy_bytes bytes)
{
    VY_ASSERT(call->options.has_body && !call->is_body_ended);
    if (call->rpc == NULL) {
        call->wants_writable = true;
        return 0;
    }
    const size_t taken = rpc_call_send(call->rpc, bytes);
    call->has_body_taken |= taken > 0;
    call->wants_writable = taken < bytes.len; /* on the next member, if this one cannot */
    return taken;
}

void rpc_group_call_send_end(struct rpc_group_call *call)
{
    call->is_body_ended = true;
    call->wants_writable = false;
    if (call->rpc != NULL) {
        rpc_call_send_end(call->rpc);
    }
}

void rpc_group_call_consumed(struct rpc_group_call *call, size_t count)
{
    if (call->rpc != NULL) {
        rpc_call_consumed(call->rpc, count);
    }
}

void rpc_group_call_cancel(struct rpc_group_call *call)
{
    if (call == NULL) {
        return;
    }
    rpc_call_cancel(VY_TAKE(call->rpc));
    call_free(call);
}
