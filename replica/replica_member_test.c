/* SPDX-License-Identifier: Apache-2.0 */
/* Groups that grow, shrink and replace members: one change at a time, nothing acknowledged lost. */
#include "replica/cluster_fixture.h"
#include "tests/lib/test.h"
#include <stdio.h>

static struct cluster *new_cluster(unsigned count, uint64_t seed)
{
    struct cluster *cluster = cluster_new(count, seed);
    cluster->log_keep_entries = 1000000;
    for (unsigned i = 0; i < count; i++) { /* again, with that */
        cluster_stop_node(cluster, i);
        cluster_start_node(cluster, i);
    }
    assert_non_null(cluster_wait_leader(cluster, 5000));
    return cluster;
}

static struct vy_err change(struct cluster *cluster, enum replica_change_kind kind,
                            const struct cluster_node *node, struct call *call)
{
    const struct replica_change wanted = {
        .kind = kind, .member_id = node->id, .address = node->address};
    struct cluster_node *leader = cluster_wait_leader(cluster, 5000);
    assert_non_null(leader);
    *call = (struct call){.code = VY_CODE_COUNT};
    return replica_change(leader->replica, &wanted, call_on_read, call);
}

static void change_ok(struct cluster *cluster, enum replica_change_kind kind,
                      const struct cluster_node *node)
{
    struct call call = {.code = VY_CODE_NOT_LEADER};
    for (unsigned i = 0; i < 20 && call.code == VY_CODE_NOT_LEADER; i++) {
        const struct vy_err err = change(cluster, kind, node, &call);
        if (vy_failed(err)) {
            fail_msg("%s: %s", vy_code_name(err.code), err.what);
        }
        cluster_wait_call(cluster, &call, 5000);
        assert_int_equal(call.answers, 1);
    }
    assert_int_equal(call.code, VY_CODE_OK);
}

static size_t count_voters(struct cluster *cluster)
{
    struct replica_member members[REPLICA_MEMBERS_MAX];
    struct cluster_node *leader = cluster_wait_leader(cluster, 5000);
    assert_non_null(leader);
    const size_t count = replica_get_members(leader->replica, members, REPLICA_MEMBERS_MAX);
    size_t voters = 0;
    for (size_t i = 0; i < count; i++) {
        voters += !members[i].is_learner;
    }
    return voters;
}

static void wait_voters(struct cluster *cluster, size_t wanted)
{
    for (unsigned i = 0; i < 200 && count_voters(cluster) != wanted; i++) {
        cluster_run_ms(cluster, 50);
    }
    assert_int_equal(count_voters(cluster), wanted);
}

static void grow(struct cluster *cluster)
{
    const size_t voters = count_voters(cluster);
    struct cluster_node *node = cluster_new_node(cluster);
    change_ok(cluster, REPLICA_ADD, node);
    assert_int_equal(count_voters(cluster), voters); /* it has nothing yet */
    cluster_start_node(cluster, node->number);
    wait_voters(cluster, voters + 1);
}

static void assert_all_have(struct cluster *cluster, const char *key, const char *value)
{
    char text[64];
    for (unsigned i = 0; i < cluster->count; i++) {
        const struct cluster_node *node = &cluster->nodes[i];
        if (node->replica != NULL && node->is_member) {
            assert_string_equal(kv_get(node->replica, key, text, sizeof(text)), value);
        }
    }
}

/* 1 -> 3 -> 5 and back to 1, the leader itself among those that go. */
static void a_group_grows_from_one_to_five_and_shrinks_again(void **state)
{
    (void)state;
    struct cluster *cluster = new_cluster(1, 1);
    char command[32];
    char value[8];
    cluster_propose_ok(cluster, "set a 1");
    for (unsigned i = 2; i <= 5; i++) {
        grow(cluster);
        (void)snprintf(command, sizeof(command), "set a %u", i);
        cluster_propose_ok(cluster, command);
    }
    cluster_run_ms(cluster, 500);
    assert_all_have(cluster, "a", "5");
    for (unsigned left = 4; left >= 1; left--) {
        struct cluster_node *gone =
            left % 2 == 0 ? cluster_leader(cluster) : cluster_follower(cluster);
        const unsigned number = gone->number;
        change_ok(cluster, REPLICA_REMOVE, gone);
        assert_int_equal(count_voters(cluster), left);
        cluster_lose_node(cluster, number);
        (void)snprintf(command, sizeof(command), "set a %u", 10 + left);
        cluster_propose_ok(cluster, command);
    }
    struct cluster_node *last = cluster_leader(cluster);
    assert_string_equal(kv_get(last->replica, "a", value, sizeof(value)), "11");
    struct call call;
    assert_int_equal(change(cluster, REPLICA_REMOVE, last, &call).code, VY_CODE_PRECONDITION);
    cluster_free(cluster);
}

static void a_dead_member_is_replaced(void **state)
{
    (void)state;
    struct cluster *cluster = new_cluster(3, 2);
    cluster_propose_ok(cluster, "set a 1");
    struct cluster_node *dead = cluster_follower(cluster);
    cluster_crash_node(cluster, dead->number);
    cluster_propose_ok(cluster, "set a 2");
    cluster_run_ms(cluster, 1000);
    grow(cluster);
    change_ok(cluster, REPLICA_REMOVE, dead);
    assert_int_equal(count_voters(cluster), 3);
    cluster_start_node(cluster, dead->number); /* it comes back: nobody listens to it */
    struct replica_status status;
    replica_get_status(cluster_leader(cluster)->replica, &status);
    const uint64_t term = status.term;
    cluster_propose_ok(cluster, "set a 3");
    cluster_run_ms(cluster, 5000);
    replica_get_status(cluster_leader(cluster)->replica, &status);
    assert_int_equal(status.term, term);
    assert_false(replica_is_leader(dead->replica));
    cluster_lose_node(cluster, dead->number);
    assert_all_have(cluster, "a", "3");
    cluster_free(cluster);
}

static void one_change_at_a_time_and_only_what_makes_sense(void **state)
{
    (void)state;
    struct cluster *cluster = new_cluster(3, 3);
    struct call call;
    struct call other;
    struct cluster_node *first = cluster_new_node(cluster);
    struct cluster_node *second = cluster_new_node(cluster);
    struct cluster_node *leader = cluster_leader(cluster);
    struct cluster_node *follower = cluster_follower(cluster);
    assert_false(vy_failed(change(cluster, REPLICA_ADD, first, &call)));
    assert_int_equal(change(cluster, REPLICA_ADD, second, &other).code, VY_CODE_BUSY);
    assert_int_equal(change(cluster, REPLICA_REMOVE, follower, &other).code, VY_CODE_BUSY);
    cluster_wait_call(cluster, &call, 5000);
    assert_int_equal(call.code, VY_CODE_OK);
    assert_int_equal(change(cluster, REPLICA_ADD, first, &other).code, VY_CODE_EXISTS);
    assert_int_equal(change(cluster, REPLICA_ADD, second, &other).code, VY_CODE_BUSY);
    assert_int_equal(change(cluster, REPLICA_REMOVE, second, &other).code, VY_CODE_NOT_FOUND);
    cluster_run_ms(cluster, 3000);
    assert_int_equal(count_voters(cluster), 3); /* it was never started, and does not count */
    change_ok(cluster, REPLICA_REMOVE, first);  /* given up */
    const struct replica_change twice = {
        .kind = REPLICA_ADD, .member_id = second->id, .address = leader->address};
    assert_int_equal(replica_change(leader->replica, &twice, call_on_read, &other).code,
                     VY_CODE_EXISTS);
    const struct replica_change nothing = {.kind = REPLICA_ADD, .address = "x"};
    assert_int_equal(replica_change(leader->replica, &nothing, call_on_read, &other).code,
                     VY_CODE_ARGUMENT);
    assert_int_equal(replica_change(follower->replica, &nothing, call_on_read, &other).code,
                     VY_CODE_NOT_LEADER);
    cluster_lose_node(cluster, first->number);
    cluster_lose_node(cluster, second->number);
    cluster_free(cluster);
}

/* Of three with one dead, removing a living one would leave two that need both. */
static void a_removal_that_would_lose_the_majority_is_refused(void **state)
{
    (void)state;
    struct cluster *cluster = new_cluster(3, 4);
    struct call call;
    cluster_propose_ok(cluster, "set a 1");
    struct cluster_node *dead = cluster_follower(cluster);
    cluster_crash_node(cluster, dead->number);
    cluster_run_ms(cluster, 2000);
    struct cluster_node *leader = cluster_wait_leader(cluster, 5000);
    struct cluster_node *other = cluster_follower(cluster);
    assert_ptr_not_equal(other, leader);
    assert_int_equal(change(cluster, REPLICA_REMOVE, other, &call).code, VY_CODE_PRECONDITION);
    change_ok(cluster, REPLICA_REMOVE, dead);
    cluster_propose_ok(cluster, "set a 2");
    cluster_free(cluster);
}

/* The new member restarts in the middle, the leader changes, and it is filled and promoted. */
static void a_new_member_is_filled_by_whoever_leads(void **state)
{
    (void)state;
    struct cluster *cluster = new_cluster(3, 5);
    char command[32];
    for (unsigned i = 0; i < 50; i++) {
        (void)snprintf(command, sizeof(command), "set k%u v", i);
        cluster_propose_ok(cluster, command);
    }
    struct cluster_node *node = cluster_new_node(cluster);
    change_ok(cluster, REPLICA_ADD, node);
    cluster_start_node(cluster, node->number);
    cluster_crash_node(cluster, node->number); /* before it heard anything */
    cluster_start_node(cluster, node->number); /* its ticket is used up: the disk knows */
    struct cluster_node *old = cluster_leader(cluster);
    cluster_crash_node(cluster, old->number);
    wait_voters(cluster, 4);
    cluster_start_node(cluster, old->number);
    cluster_propose_ok(cluster, "set a last");
    cluster_run_ms(cluster, 2000);
    assert_all_have(cluster, "a", "last");
    assert_all_have(cluster, "k49", "v");
    cluster_free(cluster);
}

/* Two voters that lose each other stop: neither leads alone. */
static void two_members_need_each_other(void **state)
{
    (void)state;
    struct cluster *cluster = new_cluster(1, 6);
    cluster_propose_ok(cluster, "set a 1");
    grow(cluster);
    cluster_isolate(cluster, 0, true);
    cluster_run_ms(cluster, 3000);
    assert_null(cluster_leader(cluster));
    cluster_heal(cluster);
    cluster_propose_ok(cluster, "set a 2");
    cluster_free(cluster);
}

/* A change whose leader is cut off before it is committed ends as UNKNOWN, and is taken back. */
static void a_change_that_was_not_committed_is_taken_back(void **state)
{
    (void)state;
    struct cluster *cluster = new_cluster(3, 7);
    struct call call;
    cluster_propose_ok(cluster, "set a 1");
    struct cluster_node *node = cluster_new_node(cluster);
    struct cluster_node *old = cluster_leader(cluster);
    cluster_isolate(cluster, old->number, true);
    assert_false(vy_failed(change(cluster, REPLICA_ADD, node, &call)));
    cluster_run_ms(cluster, 3000);
    assert_int_equal(call.answers, 1);
    assert_int_equal(call.code, VY_CODE_UNKNOWN);
    cluster_propose_ok(cluster, "set a 2");
    cluster_heal(cluster);
    cluster_run_ms(cluster, 2000);
    struct replica_member members[REPLICA_MEMBERS_MAX];
    assert_int_equal(replica_get_members(old->replica, members, REPLICA_MEMBERS_MAX), 3);
    cluster_lose_node(cluster, node->number);
    cluster_free(cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_group_grows_from_one_to_five_and_shrinks_again),
        cmocka_unit_test(a_dead_member_is_replaced),
        cmocka_unit_test(one_change_at_a_time_and_only_what_makes_sense),
        cmocka_unit_test(a_removal_that_would_lose_the_majority_is_refused),
        cmocka_unit_test(a_new_member_is_filled_by_whoever_leads),
        cmocka_unit_test(two_members_need_each_other),
        cmocka_unit_test(a_change_that_was_not_committed_is_taken_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
