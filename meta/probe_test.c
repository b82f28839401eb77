/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The status of the cluster: every shard is asked itself. Meta and its shards are
 * real RPC peers in virtual time.
 */
#include "meta/probe.h"

#include "base/assert.h"
#include "proto/rpc_inproc.h"
#include "proto/rpc_server.h"
#include "proto/shard.pb.h"
#include "tests/lib/meta_local.h"
#include "tests/lib/test.h"

#define SHARDS_MAX 3U
#define GROUP META_LOCAL_GROUP_ID

struct shard {
    struct rpc_config config;
    struct rpc_server *server;
    struct shard_status_reply status;
    struct vy_err refusal; /* OK: it answers */
    bool is_mute;
    struct rpc_server_call *held;
};
struct world {
    struct meta_shard_links links;
    struct meta_prober prober;
    struct rpc_config rpc;
    struct meta_local *local;
    struct rpc_inproc *hub;
    struct shard shards[SHARDS_MAX];
    struct vy_arena arena;
    bool is_answered;
    struct vy_err err;
    struct admin_cluster_status_reply reply;
};

static const char *const node_names[SHARDS_MAX] = {"shard-a", "shard-b", "shard-c"};
static const char *const node_addresses[SHARDS_MAX] = {"inproc:shard-a", "inproc:shard-b",
                                                       "inproc:shard-c"};

/* ---- shards ---- */

static void shard_on_status(void *arg, struct rpc_server_call *call, struct vy_bytes request)
{
    struct shard *shard = arg;
    struct vy_buf reply;
    assert_int_equal(request.len, 0);
    assert_int_equal(rpc_server_call_peer(call)->role, RPC_ROLE_META);
    if (shard->is_mute) {
        shard->held = call;
        return;
    }
    if (vy_failed(shard->refusal)) {
        rpc_server_call_fail(call, shard->refusal, NULL, 0);
        return;
    }
    vy_buf_init(&reply, 256);
    assert_false(vy_failed(vy_pb_encode(&shard_status_reply_desc, &shard->status, &reply)));
    rpc_server_call_reply(call, vy_buf_bytes(&reply));
    vy_buf_deinit(&reply);
}
static const struct rpc_server_method shard_methods[] = {
    {.id = METHOD_SHARD_STATUS,
     .name = "SHARD_STATUS",
     .roles = RPC_ROLE_META,
     .handler = shard_on_status}
};

static void start_shard(struct world *w, size_t index)
{
    struct shard *shard = &w->shards[index];
    shard->config = w->rpc;
    shard->config.role = RPC_ROLE_SHARD;
    shard->config.node = node_names[index];
    assert_false(vy_failed(rpc_server_new(&shard->config, &shard->server)));
    assert_false(vy_failed(rpc_server_add_methods(shard->server, shard_methods, 1, shard)));
    assert_false(vy_failed(rpc_server_listen(shard->server, node_addresses[index])));
}

static void stop_shard(struct world *w, size_t index)
{
    struct shard *shard = &w->shards[index];
    if (shard->held != NULL) {
        rpc_server_call_fail(shard->held, vy_error(VY_CODE_CANCELLED, "over"), NULL, 0);
        shard->held = NULL;
    }
    rpc_server_free(shard->server);
    shard->server = NULL;
}

static void register_node(struct world *w, const struct node_register_request *request)
{
    struct node_register_reply reply;
    assert_false(
        vy_failed(meta_local_call(w->local, METHOD_META_NODE_REGISTER, &node_register_request_desc,
                                  request, &node_register_reply_desc, &reply)));
}

/* Runs, registers, follows in term 7. */
static void add_shard(struct world *w, size_t index, uint64_t group_id)
{
    const struct node_register_request request = {.group_id = group_id,
                                                  .member_id = 100 + index,
                                                  .role = VY_LIT("shard"),
                                                  .node = vy_cstr(node_names[index]),
                                                  .link_address = vy_cstr(node_addresses[index]),
                                                  .incarnation = 1};
    w->shards[index].status = (struct shard_status_reply){.group_id = group_id,
                                                          .member_id = 100 + index,
                                                          .term = 7,
                                                          .commit_index = 40,
                                                          .applied_index = 39};
    start_shard(w, index);
    register_node(w, &request);
}

/* ---- the world ---- */

static int set_up(void **state)
{
    static struct world world;
    struct world *w = &world;
    *w = (struct world){.is_answered = false};
    meta_shard_links_init(&w->links, &w->rpc);
    w->prober.links = &w->links;
    w->local = meta_local_new(0, NULL, NULL);
    meta_local_set_probe(w->local, &meta_prober_ops, &w->prober);
    w->links.meta = w->local->meta;
    assert_false(vy_failed(rpc_inproc_new(&w->hub)));
    vy_arena_init(&w->arena, 1024U * 1024);
    w->rpc = (struct rpc_config){.loop = &w->local->loop.base,
                                 .rng = &w->local->rng.base,
                                 .log = &w->local->log,
                                 .cluster = "test",
                                 .node = "meta-1",
                                 .role = RPC_ROLE_META,
                                 .inproc = w->hub};
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    meta_shard_links_stop(&w->links);
    for (size_t i = 0; i < SHARDS_MAX; i++) {
        stop_shard(w, i);
    }
    (void)fake_loop_run_posts(&w->local->loop);
    meta_local_free(w->local);
    rpc_inproc_free(w->hub);
    vy_arena_deinit(&w->arena);
    return 0;
}

static void on_reply(void *arg, struct vy_err err, const char *message, struct vy_bytes reply)
{
    struct world *w = arg;
    struct vy_bytes copy = {.len = 0};
    (void)message;
    assert_false(w->is_answered);
    w->is_answered = true;
    w->err = err;
    assert_false(vy_failed(vy_arena_dup(&w->arena, reply, &copy)));
    if (!vy_failed(err)) {
        assert_false(
            vy_failed(vy_pb_decode(&admin_cluster_status_reply_desc, &w->arena, copy, &w->reply)));
    }
}

static void run_ms(struct world *w, uint64_t ms)
{
    fake_loop_run_ms(&w->local->loop, ms);
}

/* Begins; the answer comes with time. */
static void ask(struct world *w)
{
    const struct vy_pb_method *method =
        meta_admin_find_method(VY_LIT("volary.admin.v1.ClusterService"), VY_LIT("GetStatus"));
    w->is_answered = false;
    meta_admin_call(w->local->meta, method, vy_bytes(NULL, 0), NULL, on_reply, w);
}

static void get_status(struct world *w)
{
    ask(w);
    run_ms(w, META_PROBE_DEADLINE_MS + 100);
    assert_true(w->is_answered);
    assert_false(vy_failed(w->err));
}

static const struct admin_member_status *member(const struct world *w, const char *node)
{
    for (size_t i = 0; i < w->reply.members_count; i++) {
        if (vy_bytes_equal(w->reply.members[i].node, vy_cstr(node))) {
            return &w->reply.members[i];
        }
    }
    fail_msg("no member %s", node);
    return NULL;
}

static void expect_role(const struct world *w, const char *node, const char *role)
{
    const struct vy_bytes got = member(w, node)->role;
    if (!vy_bytes_equal(got, vy_cstr(role))) {
        fail_msg("%s is %.*s, not %s", node, VY_PRI(got), role);
    }
}

/* ---- tests ---- */

static void each_shard_says_its_role_and_figures(void **state)
{
    struct world *w = *state;
    for (size_t i = 0; i < SHARDS_MAX; i++) {
        add_shard(w, i, GROUP);
    }
    w->shards[1].status.leader = true;
    w->shards[1].status.applied_index = 40;
    get_status(w);
    expect_role(w, "shard-a", "follower");
    expect_role(w, "shard-b", "leader");
    expect_role(w, "shard-c", "follower");
    assert_int_equal(w->reply.members_count, 4); /* and meta itself */
    assert_int_equal(member(w, "shard-a")->term, 7);
    assert_int_equal(member(w, "shard-a")->commit_index, 40);
    assert_int_equal(member(w, "shard-a")->applied_index, 39);
    assert_int_equal(member(w, "shard-b")->applied_index, 40);
    assert_int_equal(member(w, "shard-a")->group_id, GROUP);
    assert_true(vy_bytes_equal(member(w, "shard-a")->member_id, VY_LIT("0000000000000064")));
}

/* All are asked at once: two silent ones cost no more than one. */
static void who_does_not_answer_is_unreachable_and_costs_a_second_at_most(void **state)
{
    struct world *w = *state;
    for (size_t i = 0; i < SHARDS_MAX; i++) {
        add_shard(w, i, GROUP);
    }
    w->shards[0].is_mute = true;
    stop_shard(w, 1);
    w->shards[2].status.leader = true;
    ask(w);
    run_ms(w, META_PROBE_DEADLINE_MS - 100);
    assert_false(w->is_answered);
    run_ms(w, 200);
    assert_true(w->is_answered);
    assert_false(vy_failed(w->err));
    expect_role(w, "shard-a", "unreachable");
    expect_role(w, "shard-b", "unreachable");
    expect_role(w, "shard-c", "leader");
    assert_int_equal(member(w, "shard-a")->term, 0);
}

/* It was away for so long that its link waits seconds between dials. */
static void who_comes_back_is_seen_by_the_next_question(void **state)
{
    struct world *w = *state;
    add_shard(w, 0, GROUP);
    w->shards[0].status.leader = true;
    stop_shard(w, 0);
    get_status(w);
    expect_role(w, "shard-a", "unreachable");
    run_ms(w, 60000);
    start_shard(w, 0);
    get_status(w);
    expect_role(w, "shard-a", "leader");
}

static void a_leader_that_was_replaced_and_does_not_know_leads_no_more(void **state)
{
    struct world *w = *state;
    add_shard(w, 0, GROUP);
    add_shard(w, 1, GROUP);
    add_shard(w, 2, GROUP + 1);
    for (size_t i = 0; i < SHARDS_MAX; i++) {
        w->shards[i].status.leader = true;
    }
    w->shards[1].status.term = 8;
    w->shards[2].status.term = 3; /* terms of other groups are other terms */
    get_status(w);
    expect_role(w, "shard-a", "follower");
    expect_role(w, "shard-b", "leader");
    expect_role(w, "shard-c", "leader");
}

static void another_member_at_the_address_does_not_count(void **state)
{
    struct world *w = *state;
    add_shard(w, 0, GROUP);
    add_shard(w, 1, GROUP);
    w->shards[0].status.leader = true;
    w->shards[0].status.member_id = 999;
    w->shards[1].refusal = vy_error(VY_CODE_INTERNAL, "cannot say");
    get_status(w);
    expect_role(w, "shard-a", "unreachable");
    expect_role(w, "shard-b", "unreachable");
}

static void frontends_count_as_long_as_they_register(void **state)
{
    struct world *w = *state;
    const struct node_register_request request = {
        .role = VY_LIT("frontend"), .node = VY_LIT("front-1"), .incarnation = 1};
    register_node(w, &request);
    get_status(w);
    expect_role(w, "front-1", "frontend");
    assert_true(member(w, "front-1")->seen_ms > 0);
    run_ms(w, 120U * 1000);
    get_status(w);
    expect_role(w, "front-1", "unreachable");
    register_node(w, &request);
    get_status(w);
    expect_role(w, "front-1", "frontend");
}

static void rows_come_by_group_and_frontends_last(void **state)
{
    struct world *w = *state;
    const struct node_register_request front = {
        .role = VY_LIT("frontend"), .node = VY_LIT("front-1"), .incarnation = 1};
    register_node(w, &front);
    add_shard(w, 0, GROUP + 1);
    add_shard(w, 1, GROUP);
    get_status(w);
    assert_int_equal(w->reply.members_count, 4);
    assert_int_equal(w->reply.members[0].group_id, 0);
    assert_ptr_equal(&w->reply.members[1], member(w, "shard-b"));
    assert_ptr_equal(&w->reply.members[2], member(w, "shard-a"));
    assert_ptr_equal(&w->reply.members[3], member(w, "front-1"));
}

static void a_stop_ends_open_questions_and_refuses_new_ones(void **state)
{
    struct world *w = *state;
    add_shard(w, 0, GROUP);
    w->shards[0].is_mute = true;
    ask(w);
    run_ms(w, 500);
    assert_false(w->is_answered);
    meta_shard_links_stop(&w->links);
    assert_true(w->is_answered);
    ask(w);
    run_ms(w, 10);
    assert_true(w->is_answered);
    assert_int_equal(w->err.code, VY_CODE_UNAVAILABLE);
}

static void without_a_way_to_ask_nothing_is_claimed(void **state)
{
    struct world *w = *state;
    add_shard(w, 0, GROUP);
    meta_local_set_probe(w->local, NULL, NULL);
    ask(w);
    run_ms(w, 10);
    assert_true(w->is_answered);
    assert_int_equal(w->err.code, VY_CODE_UNSUPPORTED);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(each_shard_says_its_role_and_figures),
        TEST(who_does_not_answer_is_unreachable_and_costs_a_second_at_most),
        TEST(who_comes_back_is_seen_by_the_next_question),
        TEST(a_leader_that_was_replaced_and_does_not_know_leads_no_more),
        TEST(another_member_at_the_address_does_not_count),
        TEST(frontends_count_as_long_as_they_register),
        TEST(rows_come_by_group_and_frontends_last),
        TEST(a_stop_ends_open_questions_and_refuses_new_ones),
        TEST(without_a_way_to_ask_nothing_is_claimed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
