/* SPDX-License-Identifier: Apache-2.0 */
/* Members that fell behind a log which was cut: they get a snapshot, whatever happens on the way.
 */
#include "replica/cluster_fixture.h"
#include "tests/lib/test.h"

static void propose_ok(struct cluster *cluster, const char *command)
{
    struct call call;
    struct cluster_node *leader = cluster_wait_leader(cluster, 5000);
    assert_non_null(leader);
    assert_false(vy_failed(kv_propose(leader->replica, &call, "%s", command)));
    cluster_wait_call(cluster, &call, 5000);
    assert_int_equal(call.answers, 1);
    assert_int_equal(call.code, VY_CODE_OK);
}

static struct cluster_node *leave_one_behind(struct cluster *cluster)
{
    propose_ok(cluster, "set a early");
    struct cluster_node *away = cluster_follower(cluster);
    cluster_crash_node(cluster, away->number);
    for (unsigned i = 0; i < 100; i++) {
        propose_ok(cluster, i % 2 == 0 ? "set a late" : "add n token");
    }
    cluster_run_ms(cluster, 500);
    return away;
}

static void assert_same_state(struct cluster *cluster)
{
    struct replica_status first;
    struct replica_status status;
    replica_get_status(cluster->nodes[0].replica, &first);
    for (unsigned i = 1; i < cluster->count; i++) {
        replica_get_status(cluster->nodes[i].replica, &status);
        assert_int_equal(status.applied_index, first.applied_index);
        assert_int_equal(status.digest, first.digest);
    }
}

static void a_member_behind_a_cut_log_gets_a_snapshot(void **state)
{
    (void)state;
    struct cluster *cluster =
        cluster_new_with(&(struct cluster_options){.count = 3, .seed = 7, .log_max_entries = 32});
    struct replica_status status;
    char value[64];
    struct cluster_node *away = leave_one_behind(cluster);
    replica_get_status(cluster_leader(cluster)->replica, &status);
    assert_true(status.log_first_index > away->persisted_index + 1);
    assert_true(status.last_index - status.log_first_index < 40);
    cluster_start_node(cluster, away->number);
    cluster_run_ms(cluster, 5000);
    assert_int_equal(away->fsm.installs, 1);
    assert_string_equal(kv_get(away->replica, "a", value, sizeof(value)), "late");
    assert_same_state(cluster);
    propose_ok(cluster, "set a last");
    cluster_run_ms(cluster, 500);
    assert_string_equal(kv_get(away->replica, "a", value, sizeof(value)), "last");
    replica_get_status(away->replica, &status);
    assert_int_equal(status.snapshot.received, 1);
    cluster_stop_node(cluster, away->number); /* a start from what was installed */
    cluster_start_node(cluster, away->number);
    cluster_run_ms(cluster, 1000);
    assert_same_state(cluster);
    assert_int_equal(away->fsm.installs, 0);
    cluster_free(cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_member_behind_a_cut_log_gets_a_snapshot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
