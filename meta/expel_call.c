/* SPDX-License-Identifier: Apache-2.0 */
#include "meta/expel_call.h"

#include "proto/shard.pb.h"
#include <stdlib.h>

#define REPLY_BYTES_MAX 1024U

struct expel_question {
    uint64_t group_id;
    uint64_t member_id;
    struct vy_err failed; /* that it could not be sent */
    meta_expel_fn done;
    void *done_arg;
};

static void question_end(struct expel_question *question, struct vy_err err,
                         const struct account_expel_reply *reply)
{
    question->done(question->done_arg, err, reply);
    free(question);
}

static void question_on_end(void *arg, const struct rpc_status *status, struct vy_bytes bytes)
{
    struct expel_question *question = arg;
    struct account_expel_reply reply = {.applied = false};
    struct vy_arena arena;
    struct vy_err err = rpc_status_err(status);
    vy_arena_init(&arena, 2 * REPLY_BYTES_MAX);
    if (!vy_failed(err)) {
        err = vy_pb_decode(&account_expel_reply_desc, &arena, bytes, &reply);
    }
    if (!vy_failed(err) &&
        (reply.group_id != question->group_id || reply.member_id != question->member_id)) {
        err = vy_error(VY_CODE_CONFLICT, "another member answers at this address");
    }
    question_end(question, err, &reply);
    vy_arena_deinit(&arena);
}
static const struct rpc_call_events question_events = {.on_end = question_on_end};

static void question_on_failed(void *arg)
{
    struct expel_question *question = arg;
    question_end(question, question->failed, NULL);
}

static struct vy_err send_question(struct meta_shard_links *links, const struct meta_expel *what,
                                   struct expel_question *question)
{
    static const struct rpc_call_options options = {.deadline_ms = META_EXPEL_DEADLINE_MS,
                                                    .wait_ready = true,
                                                    .idempotent = true,
                                                    .reply_bytes_max = REPLY_BYTES_MAX};
    const struct account_expel_request request = {.account_id = what->account_id};
    const bool is_meta = what->group_id == 0;
    const uint32_t method = is_meta ? METHOD_META_ACCOUNT_EXPEL : METHOD_SHARD_ACCOUNT_EXPEL;
    struct rpc_link *link = NULL;
    struct vy_buf buf;
    VY_TRY(meta_shard_links_member(links, is_meta ? RPC_ROLE_META : RPC_ROLE_SHARD, what->node,
                                   what->address, &link));
    vy_buf_init(&buf, 1024);
    struct vy_err err = vy_pb_encode(&account_expel_request_desc, &request, &buf);
    if (!vy_failed(err) && rpc_call_start(link, method, vy_buf_bytes(&buf), &options,
                                          &question_events, question) == NULL) {
        err = vy_error(VY_CODE_BUSY, "too many calls to a member");
    }
    vy_buf_deinit(&buf);
    return err;
}

static void caller_ask(void *arg, const struct meta_expel *what, meta_expel_fn done, void *done_arg)
{
    struct meta_expel_caller *caller = arg;
    struct expel_question *question = calloc(1, sizeof(*question));
    if (question == NULL) {
        done(done_arg, vy_error(VY_CODE_NOMEM, "question to a member"), NULL);
        return;
    }
    *question = (struct expel_question){.group_id = what->group_id,
                                        .member_id = what->member_id,
                                        .done = done,
                                        .done_arg = done_arg};
    question->failed = send_question(caller->links, what, question);
    if (vy_failed(question->failed)) {
        vy_loop_post(caller->links->rpc->loop, question_on_failed, question);
    }
}
const struct meta_expel_ops meta_expel_caller_ops = {.ask = caller_ask};
