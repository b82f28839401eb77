/* SPDX-License-Identifier: Apache-2.0 */
/* What frontends and shards ask, over the real state machine. */
#include "meta/fsm.h"
#include "meta/login_fold.h"
#include "meta/seal.h"
#include "proto/cluster_key.h"
#include "tests/lib/fault.h"
#include "tests/lib/meta_local.h"
#include "tests/lib/test.h"

#include "base/assert.h"
#include <stdio.h>
#include <stdlib.h>

static int set_up(void **state)
{
    struct meta_local *local = meta_local_new(0, NULL, NULL);
    meta_local_add_domain(local, "d.test", NULL);
    *state = local;
    return 0;
}

static int tear_down(void **state)
{
    meta_local_free(*state);
    return 0;
}

static struct vy_err resolve(struct meta_local *local, const char *address, bool fresh,
                             struct resolve_reply *reply)
{
    const struct resolve_request request = {.address = vy_cstr(address), .fresh = fresh};
    return meta_local_call(local, METHOD_META_RESOLVE, &resolve_request_desc, &request,
                           &resolve_reply_desc, reply);
}

/* ---- recipients ---- */

static void recipients_are_resolved_in_any_spelling(void **state)
{
    struct meta_local *local = *state;
    const uint64_t id = meta_local_add_account(local, "ada@d.test", NULL, NULL, 0);
    static const char *const spellings[] = {"ada@d.test", "Ada@D.TEST", "\"ada\"@d.test"};
    for (size_t i = 0; i < VY_COUNT_OF(spellings); i++) {
        struct resolve_reply reply;
        assert_false(vy_failed(resolve(local, spellings[i], i % 2 == 0, &reply)));
        assert_int_equal(reply.result, RESOLVE_RESULT_LOCAL);
        assert_int_equal(reply.targets_count, 1);
        assert_int_equal(reply.targets[0].account_id, id);
        assert_int_equal(reply.targets[0].account_epoch, 1);
    }
    struct resolve_reply reply;
    assert_int_equal(resolve(local, "not an address", true, &reply).code, VY_CODE_ARGUMENT);
}

static void aliases_are_resolved_on_a_worker(void **state)
{
    struct meta_local *local = *state;
    struct resolve_reply reply;
    (void)meta_local_add_account(local, "ada@d.test", NULL, NULL, 0);
    meta_local_add_alias(local, "x@d.test", "ada+tag@d.test");
    assert_false(vy_failed(resolve(local, "x+more@d.test", true, &reply)));
    assert_int_equal(reply.result, RESOLVE_RESULT_LOCAL);
    assert_true(vy_bytes_equal(reply.targets[0].detail, VY_LIT("tag")));
}

static void login5_a_disabled_account_still_gets_mail(void **state)
{
    struct meta_local *local = *state;
    struct resolve_reply reply;
    const struct admin_set_account_state_request request = {.account = VY_LIT("ada@d.test")};
    struct admin_account account;
    (void)meta_local_add_account(local, "ada@d.test", NULL, NULL, 0);
    assert_false(vy_failed(
        meta_local_admin(local, "AccountService", "SetAccountState", &request, &account)));
    assert_false(vy_failed(resolve(local, "ada@d.test", true, &reply)));
    assert_int_equal(reply.result, RESOLVE_RESULT_LOCAL);
    assert_int_equal(reply.targets[0].account_epoch, 2);
}

static void a_follower_answers_what_may_be_old_and_nothing_else(void **state)
{
    struct meta_local *local = *state;
    struct resolve_reply reply;
    struct account_key_reply key;
    const uint64_t id = meta_local_add_account(local, "ada@d.test", NULL, NULL, 0);
    const struct account_key_request request = {.account_id = id};
    meta_local_set_leader(local, false);
    assert_false(vy_failed(resolve(local, "ada@d.test", false, &reply)));
    assert_int_equal(reply.result, RESOLVE_RESULT_LOCAL);
    assert_int_equal(resolve(local, "ada@d.test", true, &reply).code, VY_CODE_NOT_LEADER);
    assert_int_equal(meta_local_call(local, METHOD_META_ACCOUNT_KEY, &account_key_request_desc,
                                     &request, &account_key_reply_desc, &key)
                         .code,
                     VY_CODE_NOT_LEADER);
}

/* Mail flows while meta has no majority (design 6). */
static void a_follower_gives_a_key_to_whom_old_is_enough(void **state)
{
    struct meta_local *local = *state;
    struct account_key_reply key;
    const uint64_t id = meta_local_add_account(local, "ada@d.test", NULL, NULL, 0);
    struct account_key_request request = {.account_id = id, .allow_stale = true};
    meta_local_set_leader(local, false);
    assert_false(
        vy_failed(meta_local_call(local, METHOD_META_ACCOUNT_KEY, &account_key_request_desc,
                                  &request, &account_key_reply_desc, &key)));
    assert_true(key.is_stale);
    assert_int_equal(key.state, ACCOUNT_STATE_ACTIVE);
    assert_int_equal(key.wrapped_key.len, WRAPPED_KEY_BYTES);
    request.account_id = 99; /* perhaps made by entries that are not here: no final answer */
    assert_int_equal(meta_local_call(local, METHOD_META_ACCOUNT_KEY, &account_key_request_desc,
                                     &request, &account_key_reply_desc, &key)
                         .code,
                     VY_CODE_UNAVAILABLE);
}

static void senders_are_checked(void **state)
{
    struct meta_local *local = *state;
    const uint64_t ada = meta_local_add_account(local, "ada@d.test", NULL, NULL, 0);
    (void)meta_local_add_account(local, "bob@d.test", NULL, NULL, 0);
    static const char *const addresses[] = {"ADA@d.test", "ada+x@d.test", "bob@d.test", "<>"};
    for (size_t i = 0; i < VY_COUNT_OF(addresses); i++) {
        const struct sender_check_request request = {.account_id = ada,
                                                     .address = vy_cstr(addresses[i])};
        struct sender_check_reply reply;
        assert_false(
            vy_failed(meta_local_call(local, METHOD_META_SENDER_CHECK, &sender_check_request_desc,
                                      &request, &sender_check_reply_desc, &reply)));
        assert_int_equal(reply.allowed, i < 2);
    }
}

static void a_key_of_no_account_is_not_found(void **state)
{
    struct meta_local *local = *state;
    const struct account_key_request request = {.account_id = 99};
    struct account_key_reply reply;
    assert_int_equal(meta_local_call(local, METHOD_META_ACCOUNT_KEY, &account_key_request_desc,
                                     &request, &account_key_reply_desc, &reply)
                         .code,
                     VY_CODE_NOT_FOUND);
}

/* ---- nodes and the map ---- */

static struct vy_err register_node(struct meta_local *local, const char *node, uint64_t incarnation,
                                   struct node_register_reply *reply)
{
    const struct node_register_request request = {.group_id = META_LOCAL_GROUP_ID,
                                                  .member_id = 77,
                                                  .role = VY_LIT("shard"),
                                                  .node = vy_cstr(node),
                                                  .link_address = VY_LIT("tcp://127.0.0.1:1"),
                                                  .raft_address = VY_LIT("tcp://127.0.0.1:2"),
                                                  .incarnation = incarnation};
    return meta_local_call(local, METHOD_META_NODE_REGISTER, &node_register_request_desc, &request,
                           &node_register_reply_desc, reply);
}

static struct cluster_map_reply read_map(struct meta_local *local, uint64_t known_epoch)
{
    const struct cluster_map_request request = {.known_epoch = known_epoch};
    struct cluster_map_reply reply;
    assert_false(
        vy_failed(meta_local_call(local, METHOD_META_CLUSTER_MAP, &cluster_map_request_desc,
                                  &request, &cluster_map_reply_desc, &reply)));
    return reply;
}

static void registered_nodes_are_on_the_map(void **state)
{
    struct meta_local *local = *state;
    struct node_register_reply reply;
    struct cluster_map_reply map = read_map(local, 0);
    assert_int_equal(map.epoch, 1);
    assert_int_equal(map.groups_count, 1);
    assert_int_equal(map.groups[0].members_count, 0);
    assert_int_equal(map.slots_count, 1);
    assert_false(vy_failed(register_node(local, "n1", 1, &reply)));
    assert_true(reply.cursor > 0);
    map = read_map(local, 1);
    assert_int_equal(map.epoch, 2);
    assert_int_equal(map.groups[0].members_count, 1);
    assert_int_equal(map.groups[0].members[0].member_id, 77);
    assert_true(vy_bytes_equal(map.groups[0].members[0].node, VY_LIT("n1")));
    map = read_map(local, 2); /* nothing new */
    assert_int_equal(map.epoch, 2);
    assert_int_equal(map.groups_count, 0);
}

static void registering_again_is_an_entry_only_now_and_then(void **state)
{
    struct meta_local *local = *state;
    struct node_register_reply reply;
    assert_false(vy_failed(register_node(local, "n1", 1, &reply)));
    const uint64_t index = local->index;
    for (int i = 0; i < 10; i++) {
        assert_false(vy_failed(register_node(local, "n1", 1, &reply)));
    }
    assert_int_equal(local->index, index);
    fake_clock_advance_ms(&local->clock, 30000);
    assert_false(vy_failed(register_node(local, "n1", 1, &reply)));
    assert_int_equal(local->index, index + 1);
    assert_int_equal(register_node(local, "n1", 0, &reply).code, VY_CODE_PRECONDITION); /* R11 */
    assert_int_equal(register_node(local, "", 1, &reply).code, VY_CODE_ARGUMENT);
}

struct answer {
    bool is_there;
    struct vy_err err;
};

static void on_reply(void *arg, struct vy_err err, const char *message, struct vy_bytes reply)
{
    struct answer *answer = arg;
    (void)message;
    (void)reply;
    *answer = (struct answer){.is_there = true, .err = err};
}

static void r2_a_node_registers_under_its_proven_name_only(void **state)
{
    struct meta_local *local = *state;
    const struct node_register_request request = {.role = VY_LIT("shard"), .node = VY_LIT("n2")};
    const struct meta_peer peer = {.role = RPC_ROLE_SHARD, .node = "n1"};
    struct answer answer = {.is_there = false};
    struct vy_buf buf;
    vy_buf_init(&buf, 4096);
    assert_false(vy_failed(vy_pb_encode(&node_register_request_desc, &request, &buf)));
    meta_service_call(local->meta, METHOD_META_NODE_REGISTER, vy_buf_bytes(&buf), &peer, on_reply,
                      &answer);
    vy_buf_deinit(&buf);
    assert_true(answer.is_there);
    assert_int_equal(answer.err.code, VY_CODE_DENIED);
}

static void r3_damaged_and_unknown_calls_are_refused(void **state)
{
    struct meta_local *local = *state;
    static const uint32_t methods[] = {METHOD_META_LOGIN,         METHOD_META_RESOLVE,
                                       METHOD_META_SENDER_CHECK,  METHOD_META_ACCOUNT_KEY,
                                       METHOD_META_NODE_REGISTER, METHOD_META_CLUSTER_MAP};
    struct vy_bytes reply;
    for (size_t i = 0; i < VY_COUNT_OF(methods); i++) {
        assert_int_equal(
            meta_local_call_bytes(local, methods[i], VY_LIT("\xff\xff\xff"), &reply).code,
            VY_CODE_SYNTAX);
    }
    assert_int_equal(meta_local_call_bytes(local, 0x2FFFF, VY_LIT(""), &reply).code,
                     VY_CODE_UNSUPPORTED);
}

/* ---- leading ---- */

static void a_leader_serves_when_it_sees_what_was_acknowledged_before(void **state)
{
    struct meta_local *local = *state;
    struct replica_fsm *fsm = &meta_get_fsm(local->meta)->base;
    fsm->ops->on_leader_change(fsm, true, 2);
    assert_false(meta_is_ready(local->meta)); /* the barrier is still out */
    (void)fake_loop_run_posts(&local->loop);
    assert_true(meta_is_ready(local->meta));
    fsm->ops->on_leader_change(fsm, false, 3);
    assert_false(meta_is_ready(local->meta));
    fsm->ops->on_leader_change(fsm, true, 4);
    (void)fake_loop_run_posts(&local->loop);
}

static void del4_a_new_leader_goes_on_with_the_numbers_of_the_tables(void **state)
{
    struct meta_local *local = *state;
    const uint64_t first = meta_local_add_account(local, "a@d.test", NULL, NULL, 0);
    meta_local_set_leader(local, false);
    meta_local_set_leader(local, true);
    assert_true(meta_local_add_account(local, "b@d.test", NULL, NULL, 0) > first);
}

/* ---- sealing ---- */

static void sealed_text_opens_only_unaltered_and_with_its_key(void **state)
{
    struct meta_local *local = *state;
    struct seal_key key;
    struct seal_key other;
    struct vy_buf buf;
    struct vy_bytes plain;
    uint8_t sealed[64];
    seal_key_of_cluster(local->key, "records", &key);
    seal_key_of_cluster(local->key, "challenge", &other);
    vy_buf_init(&buf, 4096);
    assert_false(vy_failed(seal_append(&key, &local->rng.base, VY_LIT("who it was"), &buf)));
    const size_t len = vy_buf_len(&buf);
    assert_int_equal(len, 10 + SEAL_OVERHEAD_BYTES);
    memcpy(sealed, vy_buf_bytes(&buf).data, len);
    vy_buf_deinit(&buf);
    assert_false(vy_failed(seal_read(&key, &local->arena, vy_bytes(sealed, len), &plain)));
    assert_true(vy_bytes_equal(plain, VY_LIT("who it was")));
    assert_int_equal(seal_read(&other, &local->arena, vy_bytes(sealed, len), &plain).code,
                     VY_CODE_AUTH);
    for (size_t bit = 0; bit < 8 * len; bit++) {
        sealed[bit / 8] ^= (uint8_t)(1U << bit % 8);
        assert_int_equal(seal_read(&key, &local->arena, vy_bytes(sealed, len), &plain).code,
                         VY_CODE_AUTH);
        sealed[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
    for (size_t cut = 0; cut < len; cut++) {
        assert_int_equal(seal_read(&key, &local->arena, vy_bytes(sealed, cut), &plain).code,
                         VY_CODE_AUTH);
    }
}

/* ---- folding ---- */

static void folds_are_bounded_and_then_nothing_is_folded(void **state)
{
    (void)state;
    struct login_folds folds;
    char tuple[32];
    login_folds_init(&folds, 1);
    for (unsigned i = 0; i <= LOGIN_FOLDS_MAX; i++) {
        (void)snprintf(tuple, sizeof(tuple), "%016u", i);
        const struct cmd_login command = {.tuple_hash = vy_cstr(tuple)};
        login_folds_begin(&folds, &command, 0);
        assert_false(login_folds_add(&folds, 0, vy_cstr(tuple))); /* not committed yet */
        login_folds_committed(&folds, 0, vy_cstr(tuple));
        assert_int_equal(login_folds_add(&folds, 0, vy_cstr(tuple)), i < LOGIN_FOLDS_MAX);
    }
    assert_null(login_folds_take(&folds, LOGIN_FOLD_MS - 1));
    struct login_fold *fold = login_folds_take(&folds, LOGIN_FOLD_MS);
    assert_non_null(fold);
    assert_int_equal(fold->command.count, 1);
    free(fold);
    login_folds_deinit(&folds);
}

/* ---- counters, and memory that runs out ---- */

static bool page_has(struct meta_local *local, const char *line)
{
    struct vy_buf page;
    vy_buf_init(&page, 1024 * 1024);
    vy_metrics_write(local->metrics, &page);
    const bool has = vy_bytes_find(vy_buf_bytes(&page), vy_cstr(line), 0) != SIZE_MAX;
    vy_buf_deinit(&page);
    return has;
}

static void what_is_done_is_counted(void **state)
{
    struct meta_local *local = *state;
    struct resolve_reply reply;
    struct login_reply login;
    (void)meta_local_add_account(local, "ada@d.test", "correct horse", NULL, 0);
    assert_false(vy_failed(resolve(local, "no@d.test", true, &reply)));
    assert_false(vy_failed(
        meta_local_login(local, "ada@d.test", "correct horse", LOGIN_PROTOCOL_IMAP, &login)));
    assert_true(page_has(local, "volary_meta_resolves_total{result=\"unknown\"} 1\n"));
    assert_true(page_has(local, "volary_meta_auth_total{mech=\"plain\",result=\"ok\"} 1\n"));
    assert_true(page_has(local, "volary_meta_admin_calls_total{code_class=\"ok\"} 2\n"));
    assert_true(page_has(local, "volary_meta_ready 1\n"));
}

static void without_memory_calls_are_refused_and_nothing_is_lost(void **state)
{
    struct meta_local *local = *state;
    const struct resolve_request request = {.address = VY_LIT("x@d.test")};
    struct vy_buf buf;
    (void)meta_local_add_account(local, "ada@d.test", NULL, NULL, 0);
    meta_local_add_alias(local, "x@d.test", "ada@d.test");
    vy_buf_init(&buf, 4096);
    assert_false(vy_failed(vy_pb_encode(&resolve_request_desc, &request, &buf)));
    unsigned failures = 0;
    for (uint64_t n = 1; fault_begin(n); n++) {
        struct answer answer = {.is_there = false};
        meta_service_call(local->meta, METHOD_META_RESOLVE, vy_buf_bytes(&buf), NULL, on_reply,
                          &answer);
        (void)fake_loop_run_posts(&local->loop);
        const bool has_failed = fault_end();
        assert_true(answer.is_there);
        if (!has_failed) {
            assert_int_equal(answer.err.code, VY_CODE_OK);
            break;
        }
        failures += vy_failed(answer.err);
    }
    assert_true(failures > 3);
    vy_buf_deinit(&buf);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(recipients_are_resolved_in_any_spelling),
        TEST(aliases_are_resolved_on_a_worker),
        TEST(login5_a_disabled_account_still_gets_mail),
        TEST(a_follower_answers_what_may_be_old_and_nothing_else),
        TEST(a_follower_gives_a_key_to_whom_old_is_enough),
        TEST(senders_are_checked),
        TEST(a_key_of_no_account_is_not_found),
        TEST(registered_nodes_are_on_the_map),
        TEST(registering_again_is_an_entry_only_now_and_then),
        TEST(r2_a_node_registers_under_its_proven_name_only),
        TEST(r3_damaged_and_unknown_calls_are_refused),
        TEST(a_leader_serves_when_it_sees_what_was_acknowledged_before),
        TEST(del4_a_new_leader_goes_on_with_the_numbers_of_the_tables),
        TEST(sealed_text_opens_only_unaltered_and_with_its_key),
        TEST(what_is_done_is_counted),
        TEST(without_memory_calls_are_refused_and_nothing_is_lost),
        cmocka_unit_test(folds_are_bounded_and_then_nothing_is_folded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
