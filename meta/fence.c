/* SPDX-License-Identifier: Apache-2.0 */
#include "meta/fence.h"

#include "meta/meta_private.h"
#include "proto/shard.pb.h"
#include <stdio.h>
#include <stdlib.h>

#define FENCE_ARENA_BYTES_MAX (4U * 1024 * 1024) /* all registered nodes */

struct fence_call {
    struct vy_list link;
    struct meta_fencer *fencer;
    uint64_t group_id;
    uint64_t account_id;
    struct vy_err failed; /* that it could not be sent */
    void (*done)(void *done_arg, struct vy_err err);
    void *done_arg;
};

static void fence_end(struct fence_call *call, struct vy_err err)
{
    if (vy_failed(err)) {
        vy_log(call->fencer->rpc->log, VY_LOG_WARN, "meta.fence.failed",
               VY_U64("shard.group", call->group_id), VY_U64("u.id", call->account_id),
               VY_LOG_ERR(err));
    }
    vy_list_remove(&call->link);
    call->done(call->done_arg, err);
    free(call);
}

static void fence_on_end(void *arg, const struct rpc_status *status, struct vy_bytes reply)
{
    (void)reply; /* the epoch it has now: ours, or a newer one */
    fence_end(arg, rpc_status_err(status));
}
static const struct rpc_call_events fence_events = {.on_end = fence_on_end};

static void fence_on_failed(void *arg)
{
    struct fence_call *call = arg;
    fence_end(call, call->failed);
}

/* ---- the group ---- */

static struct vy_err read_members(struct meta_fencer *fencer, struct vy_arena *arena,
                                  uint64_t group_id, struct rpc_group_member *out, size_t *count)
{
    const struct meta_view view = {.reader = fencer->meta->group->ops->newest(fencer->meta->group),
                                   .arena = arena};
    const struct node_row *nodes = NULL;
    size_t node_count = 0;
    VY_TRY(node_list(&view, &nodes, &node_count));
    for (size_t i = 0; i < node_count && *count < RPC_GROUP_MEMBERS_MAX; i++) {
        if (nodes[i].group_id != group_id) {
            continue;
        }
        struct rpc_group_member *member = &out[*count];
        member->node = vy_arena_cstr(arena, nodes[i].node);
        member->address = vy_arena_cstr(arena, nodes[i].link_address);
        if (member->node == NULL || member->address == NULL) {
            return vy_error(VY_CODE_NOMEM, "members of a group");
        }
        (*count)++;
    }
    return *count > 0 ? vy_ok()
                      : vy_error(VY_CODE_UNAVAILABLE, "no member of the group has registered");
}

static struct vy_err add_group(struct meta_fencer *fencer, uint64_t group_id,
                               const struct rpc_group_member *members, size_t count)
{
    struct meta_fencer_group *group = &fencer->groups[fencer->group_count];
    char name[40];
    if (fencer->group_count == META_GROUPS_MAX) {
        return vy_error(VY_CODE_LIMIT, "groups of shards");
    }
    (void)snprintf(name, sizeof(name), "shard-%llu", (unsigned long long)group_id);
    const struct rpc_group_options options = {.name = name, .peer_roles = RPC_ROLE_SHARD};
    VY_TRY(rpc_group_new(fencer->rpc, &options, members, count, &group->calls));
    group->group_id = group_id;
    fencer->group_count++;
    return vy_ok();
}

/* With the members of now. */
static struct vy_err find_group(struct meta_fencer *fencer, uint64_t group_id,
                                struct rpc_group **out)
{
    struct rpc_group_member members[RPC_GROUP_MEMBERS_MAX];
    struct vy_arena arena;
    size_t count = 0;
    size_t at = 0;
    vy_arena_init(&arena, FENCE_ARENA_BYTES_MAX);
    struct vy_err err = read_members(fencer, &arena, group_id, members, &count);
    while (at < fencer->group_count && fencer->groups[at].group_id != group_id) {
        at++;
    }
    if (!vy_failed(err)) {
        err = at < fencer->group_count
                  ? rpc_group_set_members(fencer->groups[at].calls, members, count)
                  : add_group(fencer, group_id, members, count);
    }
    vy_arena_deinit(&arena);
    if (!vy_failed(err)) {
        *out = fencer->groups[at].calls;
    }
    return err;
}

/* ---- the call ---- */

static struct vy_err send_fence(struct meta_fencer *fencer, const struct meta_fence *fence,
                                struct fence_call *call)
{
    const struct account_fence_request request = {.account_id = fence->account_id,
                                                  .account_epoch = fence->account_epoch,
                                                  .quota_bytes = fence->quota_bytes,
                                                  .set_quota = fence->set_quota};
    const struct rpc_call_options options = {.deadline_ms = META_FENCE_DEADLINE_MS,
                                             .idempotent = true};
    struct rpc_group *group = NULL;
    struct vy_buf buf;
    if (fencer->is_stopping) {
        return vy_error(VY_CODE_UNAVAILABLE, "meta is stopping");
    }
    VY_TRY(find_group(fencer, fence->group_id, &group));
    vy_buf_init(&buf, 1024);
    struct vy_err err = vy_pb_encode(&account_fence_request_desc, &request, &buf);
    if (!vy_failed(err) && rpc_group_call(group, METHOD_SHARD_ACCOUNT_FENCE, vy_buf_bytes(&buf),
                                          &options, &fence_events, call) == NULL) {
        err = vy_error(VY_CODE_BUSY, "too many calls to the group");
    }
    vy_buf_deinit(&buf);
    return err;
}

static void fencer_fence(void *arg, const struct meta_fence *fence,
                         void (*done)(void *done_arg, struct vy_err err), void *done_arg)
{
    struct meta_fencer *fencer = arg;
    struct fence_call *call = calloc(1, sizeof(*call));
    if (call == NULL) {
        done(done_arg, vy_error(VY_CODE_NOMEM, "fence")); /* nothing is left to wait with */
        return;
    }
    *call = (struct fence_call){.fencer = fencer,
                                .group_id = fence->group_id,
                                .account_id = fence->account_id,
                                .done = done,
                                .done_arg = done_arg};
    vy_list_push_back(&fencer->open, &call->link);
    call->failed = send_fence(fencer, fence, call);
    if (vy_failed(call->failed)) {
        vy_loop_post(fencer->rpc->loop, fence_on_failed, call);
    }
}
const struct meta_fence_ops meta_fencer_ops = {.fence = fencer_fence};

void meta_fencer_init(struct meta_fencer *fencer, const struct rpc_config *rpc)
{
    *fencer = (struct meta_fencer){.rpc = rpc};
    vy_list_init(&fencer->open);
}

void meta_fencer_stop(struct meta_fencer *fencer)
{
    fencer->is_stopping = true;
    for (size_t i = 0; i < fencer->group_count; i++) {
        rpc_group_free(fencer->groups[i].calls); /* ends its calls */
    }
    fencer->group_count = 0;
}
