/* SPDX-License-Identifier: Apache-2.0 */
/* Members that fell behind a log which was cut: they get a snapshot, whatever happens on the way.
 */
#include "base/assert.h"
#include "replica/cluster_fixture.h"
#include "replica/dir.h"
#include "replica/snapshot.h"
#include "tests/lib/test.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct cluster_node *leave_one_behind(struct cluster *cluster)
{
    cluster_propose_ok(cluster, "set a early");
    cluster_run_ms(cluster, 500); /* with all of them */
    struct cluster_node *away = cluster_follower(cluster);
    cluster_crash_node(cluster, away->number);
    for (unsigned i = 0; i < 100; i++) {
        cluster_propose_ok(cluster, i % 2 == 0 ? "set a late" : "add n token");
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
    cluster_propose_ok(cluster, "set a last");
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

static struct cluster *new_cluster(uint64_t seed)
{
    return cluster_new_with(
        &(struct cluster_options){.count = 3, .seed = seed, .log_max_entries = 32});
}

static struct replica_snapshot_status status_of(const struct cluster_node *node)
{
    struct replica_status status;
    replica_get_status(node->replica, &status);
    return status.snapshot;
}

/* Until the state is `is_fetching` (nothing verified yet), or behind that. */
static void run_to_transfer(struct cluster *cluster, const struct cluster_node *node,
                            bool is_fetching)
{
    const uint64_t end_ms = cluster->clock.mono_ns / 1000000U + 5000;
    while (cluster_step(cluster, end_ms)) {
        const struct replica_snapshot_status status = status_of(node);
        if (status.receiving && status.is_fetching == is_fetching &&
            (!is_fetching || status.bytes_received > 2000)) {
            return;
        }
    }
    fail_msg("no transfer began");
}

static void assert_caught_up(struct cluster *cluster)
{
    cluster_heal(cluster);
    cluster_run_ms(cluster, 20000);
    assert_same_state(cluster);
}

/* R8 */
static void a_damaged_file_is_fetched_again(void **state)
{
    (void)state;
    struct cluster *cluster = new_cluster(3);
    struct cluster_node *away = leave_one_behind(cluster);
    cluster->snapshot_bytes_per_s = 20000;
    cluster_start_node(cluster, away->number);
    run_to_transfer(cluster, away, true);
    while (!cluster_damage_snapshot(cluster, away->number)) {
        assert_true(cluster_step(cluster, UINT64_MAX));
    }
    assert_caught_up(cluster);
    assert_true(status_of(away).damaged >= 1);
    assert_int_equal(status_of(away).received, 1);
    cluster_free(cluster);
}

/* R8: the old state stays. */
static void what_arrives_damaged_all_the_time_is_given_up(void **state)
{
    (void)state;
    struct cluster *cluster = new_cluster(4);
    char value[64];
    struct cluster_node *away = leave_one_behind(cluster);
    cluster_start_node(cluster, away->number);
    const uint64_t end_ms = cluster->clock.mono_ns / 1000000U + 8000;
    while (cluster_step(cluster, end_ms)) {
        (void)cluster_damage_snapshot(cluster, away->number);
    }
    assert_true(status_of(away).failures >= 1);
    assert_int_equal(status_of(away).received, 0);
    assert_string_not_equal(kv_get(away->replica, "a", value, sizeof(value)), "late");
    assert_caught_up(cluster);
    assert_int_equal(status_of(away).received, 1);
    cluster_free(cluster);
}

static void a_broken_link_and_a_restart_go_on_where_they_were(void **state)
{
    (void)state;
    struct cluster *cluster = new_cluster(5);
    struct cluster_node *away = leave_one_behind(cluster);
    cluster_start_node(cluster, away->number);
    run_to_transfer(cluster, away, true);
    cluster_isolate(cluster, away->number, true);
    cluster_run_ms(cluster, 3000);
    const uint64_t first = status_of(away).bytes_received;
    cluster_crash_node(cluster, away->number);
    cluster_start_node(cluster, away->number);
    assert_caught_up(cluster);
    assert_int_equal(status_of(away).received, 1);
    const uint64_t whole = status_of(cluster_leader(cluster)).bytes_sent;
    assert_true(status_of(away).bytes_received + first <= whole);
    assert_true(status_of(away).bytes_received < whole); /* not all of it once more */
    cluster_free(cluster);
}

/* P4, P14: the n-th write of the new database fails, and the power is cut. */
static void a_crash_at_any_write_of_the_swap_is_survived(void **state)
{
    (void)state;
    for (uint64_t nth = 1; nth <= 5; nth++) {
        struct cluster *cluster = new_cluster(10 + nth);
        struct cluster_node *away = leave_one_behind(cluster);
        cluster_start_node(cluster, away->number);
        run_to_transfer(cluster, away, true);
        store_mem_fail_write(away->disk, nth);
        cluster_run_ms(cluster, 1000);
        const bool has_failed = away->failures > 0;
        cluster_crash_node(cluster, away->number);
        away->failures = 0;
        cluster_start_node(cluster, away->number);
        assert_caught_up(cluster);
        assert_true(has_failed || nth > 1);
        cluster_free(cluster);
    }
}

/* A view of the old state stays good, and holds the swap up; new ones are refused meanwhile. */
static void readers_of_the_old_state_are_waited_for(void **state)
{
    (void)state;
    struct cluster *cluster = new_cluster(6);
    struct store_snapshot *view = NULL;
    struct store_snapshot *late = NULL;
    struct store_value value = {.is_found = false};
    struct cluster_node *away = leave_one_behind(cluster);
    cluster_start_node(cluster, away->number);
    assert_false(vy_failed(replica_snapshot(away->replica, &view, NULL)));
    run_to_transfer(cluster, away, false);
    cluster_run_ms(cluster, 3000);
    assert_int_equal(away->fsm.installs, 0);
    assert_int_equal(replica_snapshot(away->replica, &late, NULL).code, VY_CODE_UNAVAILABLE);
    assert_false(
        vy_failed(store_get(store_snapshot_reader(view), KV_FAMILY_ROWS, VY_LIT("a"), &value)));
    assert_true(vy_bytes_equal(value.bytes, VY_LIT("early")));
    store_value_release(&value);
    store_snapshot_free(view);
    assert_caught_up(cluster);
    assert_int_equal(away->fsm.installs, 1);
    assert_false(vy_failed(replica_snapshot(away->replica, &late, NULL)));
    store_snapshot_free(late);
    cluster_free(cluster);
}

/* P4, R8: damaged after it was verified. The old state comes back, the sender hears so and rests
 * before it sends all of it again. */
static void what_cannot_be_opened_is_told_and_sent_again_later(void **state)
{
    (void)state;
    struct cluster *cluster = new_cluster(8);
    struct store_snapshot *view = NULL;
    char path[160];
    char value[64];
    struct cluster_node *away = leave_one_behind(cluster);
    cluster_start_node(cluster, away->number);
    assert_false(vy_failed(replica_snapshot(away->replica, &view, NULL))); /* holds the swap up */
    run_to_transfer(cluster, away, false);
    cluster_run_ms(cluster, 1000);
    (void)snprintf(path, sizeof(path), "%s.incoming/db/%03u.rows", away->dir, KV_FAMILY_ROWS);
    assert_int_equal(truncate(path, 1), 0);
    store_snapshot_free(view);
    cluster_run_ms(cluster, 8000);
    assert_int_equal(away->failures, 0);
    assert_int_equal(status_of(away).received, 0);
    assert_int_equal(status_of(away).failures, 1);
    assert_int_equal(status_of(cluster_leader(cluster)).failures, 1);
    assert_string_not_equal(kv_get(away->replica, "a", value, sizeof(value)), "late");
    assert_caught_up(cluster);
    assert_int_equal(status_of(away).received, 1);
    cluster_free(cluster);
}

/* It has said that it has all of it: the sender must not wait until that is long ago (seed 2134 of
 * replica_sim_test). */
static void a_death_between_the_last_byte_and_the_swap_costs_no_minute(void **state)
{
    (void)state;
    struct cluster *cluster = new_cluster(6);
    struct store_snapshot *view = NULL;
    struct cluster_node *away = leave_one_behind(cluster);
    cluster_start_node(cluster, away->number);
    assert_false(vy_failed(replica_snapshot(away->replica, &view, NULL))); /* holds the swap up */
    run_to_transfer(cluster, away, false);
    cluster_run_ms(cluster, 1000);
    store_snapshot_free(view);
    cluster_crash_node(cluster, away->number);
    cluster_start_node(cluster, away->number);
    cluster_run_ms(cluster, 5000);
    assert_same_state(cluster);
    assert_int_equal(status_of(away).received, 1);
    assert_int_equal(status_of(away).bytes_received, 0); /* in this life: it was all there */
    assert_int_equal(status_of(cluster_leader(cluster)).sent, 1);
    assert_int_equal(status_of(cluster_leader(cluster)).failures, 0);
    cluster_free(cluster);
}

/* E4: the floor stays free. */
static void a_disk_without_space_keeps_the_old_state(void **state)
{
    (void)state;
    struct cluster *cluster = new_cluster(7);
    struct cluster_node *away = leave_one_behind(cluster);
    store_mem_set_free_bytes(away->disk, 5U << 20);
    cluster_start_node(cluster, away->number);
    cluster_run_ms(cluster, 5000);
    assert_int_equal(status_of(away).received, 0);
    assert_true(status_of(away).failures >= 1);
    store_mem_set_free_bytes(away->disk, 1ULL << 40);
    assert_caught_up(cluster);
    assert_int_equal(status_of(away).received, 1);
    cluster_free(cluster);
}

/* R2, R8 */
static void snapshots_of_others_are_refused(void **state)
{
    (void)state;
    struct cluster *cluster = new_cluster(8);
    struct cluster_node *node = &cluster->nodes[0];
    struct vy_buf bytes;
    struct snapshot_frame frame = {
        .kind = SNAPSHOT_OFFER,
        .cluster_id = {1,                     2,                3           },
        .group_id = 5,
        .from = cluster->nodes[1].id,
        .to = node->id,
        .offer = {.manifest_bytes = 100, .index = 1000000, .term = 1000}
    };
    struct snapshot_frame wrong[] = {frame, frame, frame, frame};
    wrong[0].cluster_id[0] = 9;
    wrong[1].group_id = 6;
    wrong[2].from = cluster->nodes[2].id;
    wrong[3].to = cluster->nodes[2].id;
    vy_buf_init(&bytes, SNAPSHOT_FRAME_BYTES_MAX);
    cluster_run_ms(cluster, 1000);
    for (size_t i = 0; i < VY_COUNT_OF(wrong); i++) {
        vy_buf_reset(&bytes);
        assert_false(vy_failed(snapshot_frame_encode(&wrong[i], &bytes)));
        replica_receive_bulk(node->replica, frame.from, vy_buf_bytes(&bytes));
        assert_int_equal(status_of(node).frames_refused, i + 1);
        assert_int_equal(status_of(node).receiving, 0);
    }
    vy_buf_reset(&bytes);
    assert_false(vy_failed(snapshot_frame_encode(&frame, &bytes)));
    for (size_t i = 0; i < vy_buf_len(&bytes); i++) {
        bytes.data[bytes.start + i] ^= 1;
        replica_receive_bulk(node->replica, frame.from, vy_buf_bytes(&bytes));
        bytes.data[bytes.start + i] ^= 1;
        replica_receive_bulk(node->replica, frame.from, vy_bytes(vy_buf_bytes(&bytes).data, i));
    }
    assert_int_equal(status_of(node).frames_refused, 4 + 2 * vy_buf_len(&bytes));
    assert_int_equal(status_of(node).receiving, 0);
    vy_buf_deinit(&bytes);
    cluster_free(cluster);
}

/* A list may name no file outside of its directory, nor the note that is ours to write. */
static void names_that_lead_elsewhere_are_refused(void **state)
{
    (void)state;
    static const char *const names[] = {"..",   ".",      "a/b",        "/etc/passwd", "a\\b",
                                        ".ssh", "MEMBER", "MEMBER.new", "a b",         "x\n"};
    struct snapshot_file file = {.bytes = 1};
    struct snapshot_manifest out;
    const struct snapshot_manifest list = {.files = &file, .count = 1};
    struct vy_buf bytes;
    vy_buf_init(&bytes, 4096);
    for (size_t i = 0; i < VY_COUNT_OF(names); i++) {
        vy_buf_reset(&bytes);
        snprintf(file.name, sizeof(file.name), "%s", names[i]);
        assert_false(vy_failed(snapshot_manifest_encode(&list, &bytes)));
        assert_int_equal(snapshot_manifest_decode(vy_buf_bytes(&bytes), &out).code,
                         VY_CODE_CORRUPT);
    }
    vy_buf_reset(&bytes);
    snprintf(file.name, sizeof(file.name), "000123.sst");
    assert_false(vy_failed(snapshot_manifest_encode(&list, &bytes)));
    for (size_t len = 0; len < vy_buf_len(&bytes); len++) {
        assert_true(
            vy_failed(snapshot_manifest_decode(vy_bytes(vy_buf_bytes(&bytes).data, len), &out)));
    }
    assert_false(vy_failed(snapshot_manifest_decode(vy_buf_bytes(&bytes), &out)));
    snapshot_manifest_deinit(&out);
    vy_buf_deinit(&bytes);
}

/* A sender that had to begin anew has most files as before: they are not sent again. */
static void tables_of_an_earlier_offer_stay(void **state)
{
    (void)state;
    char parent[] = "/tmp/volary-staging-XXXXXX";
    char dir[64];
    char db[128];
    struct vy_buf list;
    struct snapshot_manifest found;
    struct snapshot_offer offer = {
        .id = {1}, .manifest_bytes = 9, .index = 5, .term = 1, .from = 7};
    assert_non_null(mkdtemp(parent));
    snprintf(dir, sizeof(dir), "%s/db", parent);
    snprintf(db, sizeof(db), "%s.incoming/db", dir);
    vy_buf_init(&list, 4096);
    assert_false(vy_failed(staging_open(dir, &offer, &list)));
    assert_false(vy_failed(snapshot_write(db, "000012.sst", 0, VY_LIT("table"))));
    assert_false(vy_failed(snapshot_write(db, "000013.blob", 0, VY_LIT("blob"))));
    assert_false(vy_failed(snapshot_write(db, "CURRENT", 0, VY_LIT("old"))));
    offer.id[0] = 2; /* the same member, another checkpoint */
    assert_false(vy_failed(staging_open(dir, &offer, &list)));
    assert_false(vy_failed(snapshot_manifest_scan(db, &found)));
    assert_int_equal(found.count, 2);
    assert_string_equal(found.files[0].name, "000012.sst");
    assert_string_equal(found.files[1].name, "000013.blob");
    snapshot_manifest_deinit(&found);
    offer.id[0] = 3;
    offer.from = 8; /* another member: the same names mean nothing */
    assert_false(vy_failed(staging_open(dir, &offer, &list)));
    assert_false(vy_failed(snapshot_manifest_scan(db, &found)));
    assert_int_equal(found.count, 0);
    snapshot_manifest_deinit(&found);
    vy_buf_deinit(&list);
    assert_false(vy_failed(dir_remove(parent)));
}

/* A swap that was given up while the scrub still read: it must not stay off until the next start.
 */
static void a_scrub_that_ends_for_a_snapshot_begins_again(void **state)
{
    (void)state;
    struct cluster *cluster = cluster_new_with(
        &(struct cluster_options){.count = 1, .seed = 15, .scrub_period_ms = 1000});
    cluster_propose_ok(cluster, "set a 1");
    struct replica *replica = cluster->nodes[0].replica;
    replica_open_store(replica, false);
    assert_false(replica_stop_scrub(replica)); /* not at once */
    replica_open_store(replica, true);
    assert_false(vy_failed(replica_start_scrub(replica)));
    cluster_run_ms(cluster, 100);
    assert_non_null(replica->scrub);
    cluster_free(cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_member_behind_a_cut_log_gets_a_snapshot),
        cmocka_unit_test(a_damaged_file_is_fetched_again),
        cmocka_unit_test(what_arrives_damaged_all_the_time_is_given_up),
        cmocka_unit_test(a_broken_link_and_a_restart_go_on_where_they_were),
        cmocka_unit_test(a_crash_at_any_write_of_the_swap_is_survived),
        cmocka_unit_test(readers_of_the_old_state_are_waited_for),
        cmocka_unit_test(what_cannot_be_opened_is_told_and_sent_again_later),
        cmocka_unit_test(a_death_between_the_last_byte_and_the_swap_costs_no_minute),
        cmocka_unit_test(a_disk_without_space_keeps_the_old_state),
        cmocka_unit_test(snapshots_of_others_are_refused),
        cmocka_unit_test(a_scrub_that_ends_for_a_snapshot_begins_again),
        cmocka_unit_test(tables_of_an_earlier_offer_stay),
        cmocka_unit_test(names_that_lead_elsewhere_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
