/* SPDX-License-Identifier: Apache-2.0 */
/* QUOTA for sessions; ACCOUNT_FENCE, ACCOUNT_EXPEL and STATUS for meta. */
#include "shard/read.h"
#include "shard/service_private.h"

static struct vy_err quota_work(struct call *call)
{
    struct quota_reply *reply = call->state;
    struct account_row row;
    bool found = false;

    VY_TRY(read_account(call_reader(call), &call->arena, call->account_id, &row, &found));
    *reply = (struct quota_reply){.used_bytes = row.used_bytes,
                                  .limit_bytes = row.quota_bytes,
                                  .message_count = row.message_count};
    return vy_ok();
}

static void quota_done(struct call *call)
{
    call_reply(call, call->state);
}

void method_quota_start(struct call *call)
{
    call->state = VY_ARENA_NEW(&call->arena, struct quota_reply);
    if (call->state == NULL) {
        call_fail(call, vy_error(VY_CODE_LIMIT, "read quota"));
        return;
    }
    call_read(call, quota_work, quota_done);
}

static void fence_result(struct call *call, const struct shard_result *result)
{
    if (result->code != SHARD_CODE_DONE) {
        call_refuse(call, result, "fence account");
        return;
    }
    call_reply(call, &(struct account_fence_reply){.account_epoch = result->account_epoch});
}

void method_fence_start(struct call *call)
{
    const struct account_fence_request *request = call->request;
    const struct cmd_fence fence = {.erase = request->erase,
                                    .quota_bytes = request->quota_bytes,
                                    .set_quota = request->set_quota};

    if (request->account_id == 0) {
        call_fail(call, vy_error(VY_CODE_ARGUMENT, "fence without account"));
        return;
    }
    call_propose(call,
                 &(struct shard_command){.account_id = request->account_id,
                                         .account_epoch = request->account_epoch,
                                         .fence = &fence},
                 NULL, 0, fence_result);
}

/* ---- what an erased account left in the files of this member, leader or not ---- */

static struct vy_err read_erased(struct call *call, uint64_t account_id, bool *is_erased)
{
    struct shard_log *replica = call->service->config.replica;
    struct store_snapshot *snapshot = NULL;
    struct account_row row;
    bool is_found = false;

    VY_TRY(replica->ops->snapshot_open(replica, &snapshot));
    const struct vy_err err =
        read_account(store_snapshot_reader(snapshot), &call->arena, account_id, &row, &is_found);
    store_snapshot_free(snapshot);
    *is_erased = !vy_failed(err) && is_found && row.erased;
    return err;
}

void method_expel_start(struct call *call)
{
    const struct account_expel_request *request = call->request;
    const struct service_config *config = &call->service->config;
    struct account_expel_reply reply = {.group_id = config->group_id,
                                        .member_id = config->member_id};
    struct expel_report report = {.is_cut = false};
    const struct vy_err err = read_erased(call, request->account_id, &reply.applied);

    if (vy_failed(err)) {
        call_fail(call, err);
        return;
    }
    if (reply.applied) {
        config->replica->ops->expel(config->replica, request->account_id, &report);
    }
    reply.rewritten = report.is_rewritten;
    reply.log_cut = report.is_cut;
    call_reply(call, &reply);
}

void method_status_start(struct call *call)
{
    const struct service_config *config = &call->service->config;
    struct shard_log_status status;

    config->replica->ops->status(config->replica, &status);
    call_reply(call, &(struct shard_status_reply){.group_id = config->group_id,
                                                  .member_id = config->member_id,
                                                  .leader = status.is_leader,
                                                  .term = status.term,
                                                  .commit_index = status.commit_index,
                                                  .applied_index = status.applied_index});
}
