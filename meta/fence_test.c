/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fences: a command that ends sessions returns once the account's group has its new epoch (P17,
 * design 6). Meta and its groups of shards are real RPC peers in virtual time.
 */
#include "meta/fence.h"

#include "base/assert.h"
#include "proto/rpc_inproc.h"
#include "proto/rpc_server.h"
#include "proto/shard.pb.h"
#include "tests/lib/meta_local.h"
#include "tests/lib/test.h"
#include <stdio.h>

#define SHARDS_MAX 2U

struct shard {
    struct rpc_config config;
    struct rpc_server *server;
    struct vy_err refusal; /* OK: fences are taken */
    const char *hint;
    bool is_mute; /* answers nothing */
    struct rpc_server_call *held;
    size_t fence_count;
    struct account_fence_request last;
};
struct world {
    struct meta_shard_links links;
    struct meta_fencer fencer;
    struct rpc_config rpc;
    struct meta_local *local;
    struct rpc_inproc *hub;
    struct shard shards[SHARDS_MAX];
    uint64_t account_id;
    bool is_answered;
    struct vy_err err;
};

static void shard_on_fence(void *arg, struct rpc_server_call *call, struct vy_bytes request)
{
    struct shard *shard = arg;
    struct vy_arena arena;
    struct vy_buf reply;
    vy_arena_init(&arena, 4096);
    vy_buf_init(&reply, 256);
    shard->fence_count++;
    assert_int_equal(rpc_server_call_peer(call)->role, RPC_ROLE_META);
    assert_false(
        vy_failed(vy_pb_decode(&account_fence_request_desc, &arena, request, &shard->last)));
    if (shard->is_mute) {
        shard->held = call;
    } else if (vy_failed(shard->refusal)) {
        rpc_server_call_fail(call, shard->refusal, shard->hint, 0);
    } else {
        const struct account_fence_reply done = {.account_epoch = shard->last.account_epoch};
        assert_false(vy_failed(vy_pb_encode(&account_fence_reply_desc, &done, &reply)));
        rpc_server_call_reply(call, vy_buf_bytes(&reply));
    }
    vy_buf_deinit(&reply);
    vy_arena_deinit(&arena);
}
static const struct rpc_server_method shard_methods[] = {
    {.id = METHOD_SHARD_ACCOUNT_FENCE,
     .name = "SHARD_ACCOUNT_FENCE",
     .roles = RPC_ROLE_META,
     .handler = shard_on_fence}
};

static const char *const node_names[SHARDS_MAX] = {"shard-a", "shard-b"};
static const char *const node_addresses[SHARDS_MAX] = {"inproc:shard-a", "inproc:shard-b"};

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

static void register_node(struct world *w, size_t index, uint64_t group_id)
{
    struct node_register_reply reply;
    const struct node_register_request request = {.group_id = group_id,
                                                  .member_id = 100 + index,
                                                  .role = VY_LIT("shard"),
                                                  .node = vy_cstr(node_names[index]),
                                                  .link_address = vy_cstr(node_addresses[index]),
                                                  .incarnation = 1};
    assert_false(
        vy_failed(meta_local_call(w->local, METHOD_META_NODE_REGISTER, &node_register_request_desc,
                                  &request, &node_register_reply_desc, &reply)));
}

static int set_up(void **state)
{
    static struct world world;
    struct world *w = &world;
    *w = (struct world){.is_answered = false};
    meta_shard_links_init(&w->links, &w->rpc);
    w->fencer.links = &w->links;
    w->local = meta_local_new(0, &meta_fencer_ops, &w->fencer);
    w->links.meta = w->local->meta;
    assert_false(vy_failed(rpc_inproc_new(&w->hub)));
    w->rpc = (struct rpc_config){.loop = &w->local->loop.base,
                                 .rng = &w->local->rng.base,
                                 .log = &w->local->log,
                                 .cluster = "test",
                                 .node = "meta-1",
                                 .role = RPC_ROLE_META,
                                 .inproc = w->hub};
    meta_local_add_domain(w->local, "b.test", NULL);
    w->account_id = meta_local_add_account(w->local, "ada@b.test", NULL, NULL, 0);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    meta_shard_links_stop(&w->links);
    for (size_t i = 0; i < SHARDS_MAX; i++) {
        if (w->shards[i].held != NULL) {
            rpc_server_call_fail(w->shards[i].held, vy_error(VY_CODE_CANCELLED, "over"), NULL, 0);
        }
        rpc_server_free(w->shards[i].server);
    }
    (void)fake_loop_run_posts(&w->local->loop);
    meta_local_free(w->local);
    rpc_inproc_free(w->hub);
    return 0;
}

static void on_reply(void *arg, struct vy_err err, const char *message, struct vy_bytes reply)
{
    struct world *w = arg;
    (void)message;
    (void)reply;
    assert_false(w->is_answered);
    w->is_answered = true;
    w->err = err;
}

/* Begins; the answer comes with time. */
static void disable(struct world *w, const char *operation_id)
{
    const struct admin_write_options write = {.operation_id = vy_cstr(operation_id)};
    const struct admin_set_account_state_request request = {
        .account = VY_LIT("ada@b.test"), .enabled = false, .write = &write};
    const struct vy_pb_method *method =
        meta_admin_find_method(VY_LIT("volary.admin.v1.AccountService"), VY_LIT("SetAccountState"));
    struct vy_buf buf;
    vy_buf_init(&buf, 4096);
    assert_false(vy_failed(vy_pb_encode(&admin_set_account_state_request_desc, &request, &buf)));
    w->is_answered = false;
    meta_admin_call(w->local->meta, method, vy_buf_bytes(&buf), NULL, on_reply, w);
    vy_buf_deinit(&buf);
}

static void run_ms(struct world *w, uint64_t ms)
{
    fake_loop_run_ms(&w->local->loop, ms);
}

static void a_command_returns_once_the_group_has_the_epoch(void **state)
{
    struct world *w = *state;
    start_shard(w, 0);
    register_node(w, 0, META_LOCAL_GROUP_ID);
    disable(w, "1");
    run_ms(w, 1000);
    assert_true(w->is_answered);
    assert_false(vy_failed(w->err));
    assert_int_equal(w->shards[0].fence_count, 1);
    assert_int_equal(w->shards[0].last.account_id, w->account_id);
    assert_int_equal(w->shards[0].last.account_epoch, 2);
    assert_false(w->shards[0].last.set_quota || w->shards[0].last.erase);
}

static void without_a_member_it_fails_and_may_be_repeated(void **state)
{
    struct world *w = *state;
    disable(w, "1");
    run_ms(w, 10);
    assert_true(w->is_answered);
    assert_int_equal(w->err.code, VY_CODE_UNAVAILABLE);
    start_shard(w, 0);
    register_node(w, 0, META_LOCAL_GROUP_ID);
    disable(w, "1"); /* the same operation: nothing changes again, but the fence is told */
    run_ms(w, 1000);
    assert_false(vy_failed(w->err));
    assert_int_equal(w->shards[0].last.account_epoch, 2);
}

static void members_of_other_groups_are_not_told(void **state)
{
    struct world *w = *state;
    start_shard(w, 0);
    register_node(w, 0, META_LOCAL_GROUP_ID + 1);
    disable(w, "1");
    run_ms(w, 20000);
    assert_int_equal(w->err.code, VY_CODE_UNAVAILABLE);
    assert_int_equal(w->shards[0].fence_count, 0);
}

static void a_follower_leads_to_the_leader(void **state)
{
    struct world *w = *state;
    start_shard(w, 0);
    start_shard(w, 1);
    register_node(w, 0, META_LOCAL_GROUP_ID);
    register_node(w, 1, META_LOCAL_GROUP_ID);
    w->shards[0].refusal = vy_error(VY_CODE_NOT_LEADER, "follows");
    w->shards[0].hint = node_names[1];
    w->shards[1].refusal = vy_error(VY_CODE_NOT_LEADER, "follows");
    disable(w, "1");
    run_ms(w, 1000);
    assert_false(w->is_answered); /* an election may end before the deadline does */
    w->shards[1].refusal = vy_ok();
    run_ms(w, 2000);
    assert_true(w->is_answered);
    assert_false(vy_failed(w->err));
    assert_int_equal(w->shards[1].last.account_epoch, 2);
}

static void a_silent_group_fails_at_the_deadline(void **state)
{
    struct world *w = *state;
    start_shard(w, 0);
    register_node(w, 0, META_LOCAL_GROUP_ID);
    w->shards[0].is_mute = true;
    disable(w, "1");
    run_ms(w, META_FENCE_DEADLINE_MS - 100);
    assert_false(w->is_answered);
    run_ms(w, 1000);
    assert_true(w->is_answered);
    assert_int_equal(w->err.code, VY_CODE_UNAVAILABLE);
}

static void a_stop_ends_open_fences_and_refuses_new_ones(void **state)
{
    struct world *w = *state;
    start_shard(w, 0);
    register_node(w, 0, META_LOCAL_GROUP_ID);
    w->shards[0].is_mute = true;
    disable(w, "1");
    run_ms(w, 500);
    assert_false(w->is_answered);
    meta_shard_links_stop(&w->links);
    assert_true(w->is_answered);
    assert_int_equal(w->err.code, VY_CODE_UNAVAILABLE);
    disable(w, "2");
    run_ms(w, 10);
    assert_true(w->is_answered);
    assert_int_equal(w->err.code, VY_CODE_UNAVAILABLE);
}

/* A quota travels with the fence. */
static void a_quota_is_told_to_the_group(void **state)
{
    struct world *w = *state;
    const struct admin_set_quota_request request = {.account = VY_LIT("ada@b.test"),
                                                    .bytes = 1234567};
    struct vy_buf buf;
    start_shard(w, 0);
    register_node(w, 0, META_LOCAL_GROUP_ID);
    vy_buf_init(&buf, 4096);
    assert_false(vy_failed(vy_pb_encode(&admin_set_quota_request_desc, &request, &buf)));
    meta_admin_call(
        w->local->meta,
        meta_admin_find_method(VY_LIT("volary.admin.v1.AccountService"), VY_LIT("SetQuota")),
        vy_buf_bytes(&buf), NULL, on_reply, w);
    vy_buf_deinit(&buf);
    run_ms(w, 1000);
    assert_true(w->is_answered);
    assert_false(vy_failed(w->err));
    assert_true(w->shards[0].last.set_quota);
    assert_int_equal(w->shards[0].last.quota_bytes, 1234567);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_command_returns_once_the_group_has_the_epoch),
        TEST(without_a_member_it_fails_and_may_be_repeated),
        TEST(members_of_other_groups_are_not_told),
        TEST(a_follower_leads_to_the_leader),
        TEST(a_silent_group_fails_at_the_deadline),
        TEST(a_stop_ends_open_fences_and_refuses_new_ones),
        TEST(a_quota_is_told_to_the_group),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
