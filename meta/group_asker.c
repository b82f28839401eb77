/* SPDX-License-Identifier: Apache-2.0 */
#include "meta/group_asker.h"

#include "meta/meta_private.h"
#include "replica/group_service.h"
#include <stdlib.h>

struct group_question {
    struct vy_loop *loop;
    struct vy_err failed; /* that it could not be sent */
    meta_group_fn done;
    void *arg;
};

static void question_end(struct group_question *question, struct vy_err err, struct vy_bytes text,
                         const struct group_members_reply *reply)
{
    question->done(question->arg, err, text, reply);
    free(question);
}

/* ---- of shards ---- */

static void shard_on_end(void *arg, const struct rpc_status *status, struct vy_bytes bytes)
{
    struct group_question *question = arg;
    struct group_members_reply reply;
    struct vy_arena arena;
    struct vy_err err = rpc_status_err(status);
    vy_arena_init(&arena, 64U * 1024);
    if (!vy_failed(err)) {
        err = vy_pb_decode(&group_members_reply_desc, &arena, bytes, &reply);
    }
    const char *what = err.what == NULL ? vy_code_text(err.code) : err.what;
    const struct vy_bytes text = status->message.len > 0 ? status->message : vy_cstr(what);
    question_end(question, err, text, vy_failed(err) ? NULL : &reply);
    vy_arena_deinit(&arena);
}
static const struct rpc_call_events shard_events = {.on_end = shard_on_end};

static struct vy_err ask_shards(struct meta_shard_links *links, uint64_t group_id,
                                const struct group_members_request *request,
                                struct group_question *question)
{
    const struct rpc_call_options options = {
        .deadline_ms = META_GROUP_DEADLINE_MS,
        /* Asked again it says that it is done: EXISTS or NOT_FOUND, and the plan looks first. */
        .idempotent = true};
    struct rpc_group *group = NULL;
    struct vy_buf buf;
    VY_TRY(meta_shard_links_group(links, group_id, &group));
    vy_buf_init(&buf, 1024);
    struct vy_err err = vy_pb_encode(&group_members_request_desc, request, &buf);
    if (!vy_failed(err) && rpc_group_call(group, METHOD_GROUP_MEMBERS, vy_buf_bytes(&buf), &options,
                                          &shard_events, question) == NULL) {
        err = vy_error(VY_CODE_BUSY, "too many calls to the group");
    }
    vy_buf_deinit(&buf);
    return err;
}

static void question_on_failed(void *arg)
{
    struct group_question *question = arg;
    question_end(question, question->failed, vy_cstr(question->failed.what), NULL);
}

/* ---- of meta itself ---- */

static void own_on_end(void *arg, struct vy_err err, const struct group_members_reply *reply)
{
    const char *what = err.what == NULL ? vy_code_text(err.code) : err.what;
    question_end(arg, err, vy_cstr(what), reply);
}

static void asker_ask(void *arg, uint64_t group_id, const struct group_members_request *request,
                      meta_group_fn done, void *done_arg)
{
    struct meta_group_asker *asker = arg;
    struct group_question *question = calloc(1, sizeof(*question));
    if (question == NULL) {
        done(done_arg, vy_error(VY_CODE_NOMEM, "question to a group"), VY_LIT("memory"), NULL);
        return;
    }
    *question = (struct group_question){.done = done, .arg = done_arg};
    if (group_id == 0) {
        group_members_ask(meta_get_replica(asker->links->meta), request, own_on_end, question);
        return;
    }
    question->failed = ask_shards(asker->links, group_id, request, question);
    if (vy_failed(question->failed)) {
        vy_loop_post(asker->links->rpc->loop, question_on_failed, question);
    }
}
const struct meta_groups_ops meta_group_asker_ops = {.ask = asker_ask};
