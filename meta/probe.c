/* SPDX-License-Identifier: Apache-2.0 */
#include "meta/probe.h"

#include "proto/shard.pb.h"
#include <stdlib.h>

#define REPLY_BYTES_MAX 1024U /* six numbers */

/* One member that is asked. */
struct probe_call {
    struct probe_round *round;
    struct meta_probe *member; /* borrowed: the asker's */
};
struct probe_round {
    const struct vy_log *log;
    size_t open_count; /* members, and the asking itself */
    struct vy_err err; /* why they could not even be asked */
    void (*done)(void *done_arg, struct vy_err err);
    void *done_arg;
    struct probe_call calls[];
};

static void round_unref(struct probe_round *round)
{
    round->open_count--;
    if (round->open_count == 0) {
        round->done(round->done_arg, round->err);
        free(round);
    }
}

/* ---- answers ---- */

static struct vy_err read_answer(struct meta_probe *member, struct vy_bytes bytes)
{
    struct shard_status_reply reply;
    struct vy_arena arena;
    vy_arena_init(&arena, 2 * REPLY_BYTES_MAX);
    struct vy_err err = vy_pb_decode(&shard_status_reply_desc, &arena, bytes, &reply);
    if (!vy_failed(err) &&
        (reply.group_id != member->group_id || reply.member_id != member->member_id)) {
        err = vy_error(VY_CODE_CONFLICT, "another member answers at this address");
    }
    if (!vy_failed(err)) {
        member->is_reached = true;
        member->leads = reply.leader;
        member->term = reply.term;
        member->commit_index = reply.commit_index;
        member->applied_index = reply.applied_index;
    }
    vy_arena_deinit(&arena);
    return err;
}

static void log_silent(const struct probe_round *round, const struct meta_probe *member,
                       struct vy_err err)
{
    vy_log(round->log, VY_LOG_DEBUG, "meta.probe.failed", VY_U64("shard.group", member->group_id),
           VY_STR("rpc.node", member->node), VY_LOG_ERR(err));
}

static void probe_on_end(void *arg, const struct rpc_status *status, struct vy_bytes reply)
{
    struct probe_call *call = arg;
    struct vy_err err = rpc_status_err(status);
    if (!vy_failed(err)) {
        err = read_answer(call->member, reply);
    }
    if (vy_failed(err)) {
        log_silent(call->round, call->member, err);
    }
    round_unref(call->round);
}
static const struct rpc_call_events probe_events = {.on_end = probe_on_end};

/* ---- questions ---- */

static struct vy_err ask_member(struct meta_shard_links *links, struct probe_call *call)
{
    static const struct rpc_call_options options = {.deadline_ms = META_PROBE_DEADLINE_MS,
                                                    .wait_ready = true,
                                                    .idempotent = true,
                                                    .reply_bytes_max = REPLY_BYTES_MAX};
    struct rpc_link *link = NULL;
    VY_TRY(meta_shard_links_member(links, RPC_ROLE_SHARD, call->member->node, call->member->address,
                                   &link));
    if (rpc_call_start(link, METHOD_SHARD_STATUS, vy_bytes(NULL, 0), &options, &probe_events,
                       call) == NULL) {
        return vy_error(VY_CODE_BUSY, "too many calls to a shard");
    }
    call->round->open_count++;
    return vy_ok();
}

static void ask_all(struct meta_shard_links *links, struct probe_round *round, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct vy_err err = ask_member(links, &round->calls[i]);
        if (err.code == VY_CODE_ARGUMENT) { /* nobody can be there */
            log_silent(round, round->calls[i].member, err);
        } else if (vy_failed(err)) {
            round->err = err; /* says nothing about the member */
            return;
        }
    }
}

static void round_on_asked(void *arg)
{
    round_unref(arg);
}

static void prober_probe(void *arg, struct meta_probe *members, size_t count,
                         void (*done)(void *done_arg, struct vy_err err), void *done_arg)
{
    struct meta_prober *prober = arg;
    struct meta_shard_links *links = prober->links;
    struct probe_round *round = calloc(1, sizeof(*round) + count * sizeof(round->calls[0]));
    if (round == NULL) {
        done(done_arg, vy_error(VY_CODE_NOMEM, "questions to shards")); /* nothing to wait with */
        return;
    }
    round->log = links->rpc->log;
    round->open_count = 1;
    round->done = done;
    round->done_arg = done_arg;
    for (size_t i = 0; i < count; i++) {
        round->calls[i] = (struct probe_call){.round = round, .member = &members[i]};
    }
    ask_all(links, round, count);
    vy_loop_post(links->rpc->loop, round_on_asked, round);
}
const struct meta_probe_ops meta_prober_ops = {.probe = prober_probe};
