/* SPDX-License-Identifier: Apache-2.0 */
#include "meta/fence.h"

#include "proto/shard.pb.h"
#include <stdlib.h>

struct fence_call {
    const struct vy_log *log;
    uint64_t group_id;
    uint64_t account_id;
    struct vy_err failed; /* that it could not be sent */
    void (*done)(void *done_arg, struct vy_err err);
    void *done_arg;
};

static void fence_end(struct fence_call *call, struct vy_err err)
{
    if (vy_failed(err)) {
        vy_log(call->log, VY_LOG_WARN, "meta.fence.failed", VY_U64("shard.group", call->group_id),
               VY_U64("u.id", call->account_id), VY_LOG_ERR(err));
    }
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

/* ---- the call ---- */

static struct vy_err send_fence(struct meta_fencer *fencer, const struct meta_fence *fence,
                                struct fence_call *call)
{
    const struct account_fence_request request = {.account_id = fence->account_id,
                                                  .account_epoch = fence->account_epoch,
                                                  .quota_bytes = fence->quota_bytes,
                                                  .set_quota = fence->set_quota,
                                                  .erase = fence->erase};
    const struct rpc_call_options options = {.deadline_ms = META_FENCE_DEADLINE_MS,
                                             .idempotent = true};
    struct rpc_group *group = NULL;
    struct vy_buf buf;
    VY_TRY(meta_shard_links_group(fencer->links, fence->group_id, &group));
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
    *call = (struct fence_call){.log = fencer->links->rpc->log,
                                .group_id = fence->group_id,
                                .account_id = fence->account_id,
                                .done = done,
                                .done_arg = done_arg};
    call->failed = send_fence(fencer, fence, call);
    if (vy_failed(call->failed)) {
        vy_loop_post(fencer->links->rpc->loop, fence_on_failed, call);
    }
}
const struct meta_fence_ops meta_fencer_ops = {.fence = fencer_fence};
