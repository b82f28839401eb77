/* SPDX-License-Identifier: Apache-2.0 */
#include "shard/peers.h"
#include "base/assert.h"
#include "proto/meta_members.h"
#include <stdio.h>
#include <stdlib.h>

#define MAP_BYTES_MAX (4U * 1024U * 1024U)
#define MAP_FRESH_MS 10000U /* how long a map is taken for the present one */
#define MAP_DEADLINE_MS 5000U
#define ASK_DEADLINE_MS 5000U
#define REQUEST_BYTES_MAX 1024U
#define REPLY_ARENA_BYTES_MAX 4096U

struct peer_group {
    uint64_t id;
    struct rpc_group *calls; /* owned */
};

struct peers {
    struct rpc_config rpc;
    struct rpc_group *meta; /* owned; any member answers */
    struct rpc_group_call *map_call;
    uint64_t map_epoch; /* 0: none yet */
    uint64_t map_at_ms; /* monotonic: when it was asked for */
    struct peer_group groups[PEERS_GROUPS_MAX];
    size_t group_count;
    struct vy_list questions; /* of struct question.list */
    size_t question_count;
};

struct question {
    struct peers *peers;
    uint64_t group_id;
    uint8_t delivery_id[SHARD_ID_BYTES];
    struct rpc_group_call *call; /* NULL: waits for the map */
    shard_peer_answer_fn done;
    void *arg;
    struct vy_list list;
};

static void question_finish(struct question *question, struct vy_err err, bool is_committed)
{
    const shard_peer_answer_fn done = question->done;
    void *arg = question->arg;

    vy_list_remove(&question->list);
    question->peers->question_count--;
    free(question);
    done(arg, err, is_committed);
}

/* ---- asking a group ---- */

static void ask_on_end(void *arg, const struct rpc_status *status, struct vy_bytes reply)
{
    struct question *question = arg;
    struct delivery_ask_reply answer = {.committed = false};
    struct vy_arena arena;

    question->call = NULL;
    vy_arena_init(&arena, REPLY_ARENA_BYTES_MAX);
    struct vy_err err = rpc_status_err(status);
    if (!vy_failed(err)) {
        err = vy_pb_decode(&delivery_ask_reply_desc, &arena, reply, &answer);
    }
    vy_arena_deinit(&arena);
    question_finish(question, err, answer.committed);
}

static const struct rpc_call_events ask_events = {.on_end = ask_on_end};

static struct peer_group *find_group(struct peers *peers, uint64_t group_id)
{
    for (size_t i = 0; i < peers->group_count; i++) {
        if (peers->groups[i].id == group_id) {
            return &peers->groups[i];
        }
    }
    return NULL;
}

static void ask_group(struct question *question)
{
    const struct peer_group *group = find_group(question->peers, question->group_id);
    const struct delivery_ask_request request = {
        .delivery_id = vy_bytes(question->delivery_id, SHARD_ID_BYTES)};
    /* The first answer holds for good: asking again gets the same. */
    const struct rpc_call_options options = {.deadline_ms = ASK_DEADLINE_MS, .idempotent = true};
    VY_CLEANUP(vy_buf_deinit) struct vy_buf bytes;

    vy_buf_init(&bytes, REQUEST_BYTES_MAX);
    if (group == NULL) {
        question_finish(question,
                        vy_error(VY_CODE_UNAVAILABLE, "deciding group is not in the cluster map"),
                        false);
        return;
    }
    if (!vy_failed(vy_pb_encode(&delivery_ask_request_desc, &request, &bytes))) {
        question->call = rpc_group_call(group->calls, METHOD_SHARD_DELIVERY_ASK,
                                        vy_buf_bytes(&bytes), &options, &ask_events, question);
    }
    if (question->call == NULL) {
        question_finish(question, vy_error(VY_CODE_BUSY, "ask the deciding group"), false);
    }
}

static void ask_waiting(struct peers *peers)
{
    struct vy_list waiting;

    vy_list_init(&waiting);
    for (struct vy_list *item = peers->questions.next; item != &peers->questions;) {
        struct question *question = VY_CONTAINER_OF(item, struct question, list);
        item = item->next;
        if (question->call == NULL) {
            vy_list_remove(&question->list);
            vy_list_push_back(&waiting, &question->list);
        }
    }
    while (!vy_list_is_empty(&waiting)) {
        struct question *question = VY_CONTAINER_OF(waiting.next, struct question, list);
        vy_list_remove(&question->list);
        vy_list_push_back(&peers->questions, &question->list);
        ask_group(question);
    }
}

/* ---- the map ---- */

static struct vy_err set_group(struct peers *peers, uint64_t id,
                               const struct rpc_group_member *members, size_t count)
{
    struct peer_group *group = find_group(peers, id);
    char name[40];

    if (group != NULL) {
        return rpc_group_set_members(group->calls, members, count);
    }
    if (peers->group_count == PEERS_GROUPS_MAX) {
        return vy_error(VY_CODE_LIMIT, "groups in the cluster map");
    }
    group = &peers->groups[peers->group_count];
    (void)snprintf(name, sizeof(name), "shard-%llu", (unsigned long long)id);
    const struct rpc_group_options options = {.name = name, .peer_roles = RPC_ROLE_SHARD};
    VY_TRY(rpc_group_new(&peers->rpc, &options, members, count, &group->calls));
    group->id = id;
    peers->group_count++;
    return vy_ok();
}

/* Only groups that somebody waits for: the others need no links. */
static bool is_wanted(const struct peers *peers, uint64_t group_id)
{
    VY_LIST_FOREACH(item, &peers->questions)
    {
        if (VY_CONTAINER_OF(item, struct question, list)->group_id == group_id) {
            return true;
        }
    }
    return false;
}

static struct vy_err take_group(struct peers *peers, struct vy_arena *arena,
                                const struct map_group *group)
{
    struct rpc_group_member members[RPC_GROUP_MEMBERS_MAX];

    if (group->members_count == 0) {
        return vy_error(VY_CODE_LIMIT, "members of a group");
    }
    VY_TRY(meta_members_of_group(arena, group, members));
    return set_group(peers, group->group_id, members, group->members_count);
}

static struct vy_err take_map(struct peers *peers, struct vy_bytes reply)
{
    struct cluster_map_reply map;
    struct vy_arena arena;

    vy_arena_init(&arena, MAP_BYTES_MAX);
    struct vy_err err = vy_pb_decode(&cluster_map_reply_desc, &arena, reply, &map);
    for (size_t i = 0; !vy_failed(err) && i < map.groups_count; i++) {
        if (is_wanted(peers, map.groups[i].group_id)) {
            err = take_group(peers, &arena, &map.groups[i]);
        }
    }
    if (!vy_failed(err)) {
        peers->map_epoch = map.epoch;
    }
    vy_arena_deinit(&arena);
    return err;
}

/* Without a map the groups that are known already are asked where they were. */
static void map_on_end(void *arg, const struct rpc_status *status, struct vy_bytes reply)
{
    struct peers *peers = arg;

    peers->map_call = NULL;
    if (status->code != VY_CODE_OK || vy_failed(take_map(peers, reply))) {
        peers->map_epoch = 0;
    }
    ask_waiting(peers);
}

static const struct rpc_call_events map_events = {.on_end = map_on_end};

static void ask_map(struct peers *peers)
{
    const struct cluster_map_request request = {.known_epoch = 0}; /* all of it */
    const struct rpc_call_options options = {.deadline_ms = MAP_DEADLINE_MS, .idempotent = true};
    VY_CLEANUP(vy_buf_deinit) struct vy_buf bytes;

    vy_buf_init(&bytes, REQUEST_BYTES_MAX);
    peers->map_at_ms = vy_loop_now_ms(peers->rpc.loop);
    if (!vy_failed(vy_pb_encode(&cluster_map_request_desc, &request, &bytes))) {
        peers->map_call = rpc_group_call(peers->meta, METHOD_META_CLUSTER_MAP, vy_buf_bytes(&bytes),
                                         &options, &map_events, peers);
    }
    if (peers->map_call == NULL) {
        ask_waiting(peers);
    }
}

/* ---- questions ---- */

static void ask(void *arg, uint64_t group_id, const uint8_t delivery_id[SHARD_ID_BYTES],
                shard_peer_answer_fn done, void *done_arg)
{
    struct peers *peers = arg;
    struct question *question =
        peers->question_count == PEERS_QUESTIONS_MAX ? NULL : calloc(1, sizeof(*question));

    if (question == NULL) {
        done(done_arg, vy_error(VY_CODE_BUSY, "ask the deciding group"), false);
        return;
    }
    *question =
        (struct question){.peers = peers, .group_id = group_id, .done = done, .arg = done_arg};
    memcpy(question->delivery_id, delivery_id, SHARD_ID_BYTES);
    vy_list_push_back(&peers->questions, &question->list);
    peers->question_count++;
    if (peers->map_call != NULL) {
        return;
    }
    const bool is_fresh = peers->map_epoch != 0 && find_group(peers, group_id) != NULL &&
                          vy_loop_now_ms(peers->rpc.loop) - peers->map_at_ms < MAP_FRESH_MS;
    if (is_fresh) {
        ask_group(question);
    } else {
        ask_map(peers);
    }
}

const struct shard_peer_ops peers_ops = {.ask = ask};

/* ---- life ---- */

struct vy_err peers_new(const struct peers_config *config, struct peers **out)
{
    const struct rpc_group_options any = {
        .name = "meta-any", .peer_roles = RPC_ROLE_META, .any_member = true};
    struct peers *peers = calloc(1, sizeof(*peers));

    if (peers == NULL) {
        return vy_error(VY_CODE_NOMEM, "links to other groups");
    }
    peers->rpc = *config->rpc;
    vy_list_init(&peers->questions);
    const struct vy_err err = rpc_group_new(&peers->rpc, &any, config->meta_members,
                                            config->meta_member_count, &peers->meta);
    if (vy_failed(err)) {
        peers_free(peers);
        return err;
    }
    *out = peers;
    return vy_ok();
}

void peers_free(struct peers *peers)
{
    if (peers == NULL) {
        return;
    }
    rpc_group_call_cancel(peers->map_call);
    peers->map_call = NULL;
    for (size_t i = 0; i < peers->group_count; i++) {
        rpc_group_free(peers->groups[i].calls); /* their calls end */
    }
    while (!vy_list_is_empty(&peers->questions)) {
        question_finish(VY_CONTAINER_OF(peers->questions.next, struct question, list),
                        vy_error(VY_CODE_CANCELLED, "shard is stopping"), false);
    }
    rpc_group_free(peers->meta);
    free(peers);
}
