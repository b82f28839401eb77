/* SPDX-License-Identifier: Apache-2.0 */
/* Three members: electing, replicating, losing and getting back members, reads that are never old.
 */
#include "replica/cluster_fixture.h"
#include "replica/frame.h"
#include "replica/replica_private.h"
#include "tests/lib/test.h"
#include <stdio.h>

static void assert_all_have(struct cluster *cluster, const char *key, const char *value)
{
    char text[64];
    for (unsigned i = 0; i < cluster->count; i++) {
        if (cluster->nodes[i].replica != NULL) {
            assert_string_equal(kv_get(cluster->nodes[i].replica, key, text, sizeof(text)), value);
        }
    }
}

static void three_members_elect_one_and_apply_the_same(void **state)
{
    (void)state;
    struct cluster *cluster = cluster_new(3, 1);
    struct replica_member hint;
    cluster_propose_ok(cluster, "set a 1");
    cluster_propose_ok(cluster, "set a 2");
    cluster_run_ms(cluster, 500);
    assert_all_have(cluster, "a", "2");
    struct cluster_node *leader = cluster_leader(cluster);
    struct cluster_node *follower = cluster_follower(cluster);
    assert_true(replica_leader_hint(follower->replica, &hint));
    assert_string_equal(hint.address, leader->address);
    struct call call;
    assert_int_equal(kv_propose(follower->replica, &call, "set a 3").code, VY_CODE_NOT_LEADER);
    cluster_free(cluster);
}

/* P1, P11: the others go on; what was acknowledged is with the next leader. */
static void a_killed_leader_is_replaced_and_nothing_acknowledged_is_lost(void **state)
{
    (void)state;
    struct cluster *cluster = cluster_new(3, 2);
    char value[64];
    for (unsigned round = 0; round < 6; round++) {
        cluster_propose_ok(cluster, round % 2 == 0 ? "add n even" : "add n odd"); /* two tokens */
        struct cluster_node *leader = cluster_leader(cluster);
        assert_non_null(leader);
        cluster_crash_node(cluster, leader->number);
        struct cluster_node *next = cluster_wait_leader(cluster, 3000);
        assert_non_null(next);
        assert_string_equal(kv_get(next->replica, "n", value, sizeof(value)),
                            round == 0 ? "1" : "2");
        cluster_start_node(cluster, leader->number);
    }
    cluster_run_ms(cluster, 2000);
    assert_all_have(cluster, "n", "2");
    cluster_free(cluster);
}

/* P11, P13: one full disk is no outage, and full disks everywhere make nobody run in circles. */
static void a_leader_whose_disk_is_full_hands_over_to_one_with_space(void **state)
{
    (void)state;
    struct cluster *cluster = cluster_new(3, 21);
    struct replica_status status;
    cluster_propose_ok(cluster, "set a 1");
    const struct cluster_node *full = cluster_leader(cluster);
    store_mem_set_free_bytes(full->disk, 0);
    cluster_run_ms(cluster, 5000);
    const struct cluster_node *next = cluster_leader(cluster);
    assert_non_null(next);
    assert_ptr_not_equal(next, full);
    cluster_propose_ok(cluster, "set a 2");

    for (unsigned i = 0; i < cluster->count; i++) {
        store_mem_set_free_bytes(cluster->nodes[i].disk, 0);
    }
    cluster_run_ms(cluster, 15000);
    next = cluster_leader(cluster);
    assert_non_null(next);
    replica_get_status(next->replica, &status);
    const uint64_t term = status.term;
    cluster_run_ms(cluster, 60000);
    next = cluster_leader(cluster);
    assert_non_null(next);
    replica_get_status(next->replica, &status);
    assert_int_equal(status.term, term);
    for (unsigned i = 0; i < cluster->count; i++) {
        store_mem_set_free_bytes(cluster->nodes[i].disk, 1ULL << 40);
    }
    cluster_run_ms(cluster, 1000);
    cluster_propose_ok(cluster, "set a 3");
    cluster_run_ms(cluster, 2000);
    assert_all_have(cluster, "a", "3");
    cluster_free(cluster);
}

/* P13: it falls behind instead of ending, and catches up. */
static void a_member_without_space_takes_nothing_until_there_is_some(void **state)
{
    (void)state;
    struct cluster *cluster = cluster_new(3, 22);
    char value[64];
    cluster_propose_ok(cluster, "set a 1");
    cluster_run_ms(cluster, 500);
    struct cluster_node *follower = cluster_follower(cluster);
    store_mem_set_free_bytes(follower->disk, 0);
    cluster_run_ms(cluster, 500);
    cluster_propose_ok(cluster, "set a 2");
    cluster_run_ms(cluster, 5000);
    assert_string_equal(kv_get(follower->replica, "a", value, sizeof(value)), "1");
    store_mem_set_free_bytes(follower->disk, 1ULL << 40);
    cluster_run_ms(cluster, 5000);
    assert_all_have(cluster, "a", "2");
    cluster_free(cluster);
}

/* P6, P10: an old leader that is cut off answers neither reads nor writes. */
static void a_cut_off_leader_neither_reads_nor_acknowledges(void **state)
{
    (void)state;
    struct cluster *cluster = cluster_new(3, 3);
    struct call read = {.code = VY_CODE_COUNT};
    struct call write;
    cluster_propose_ok(cluster, "set a old");
    struct cluster_node *old = cluster_leader(cluster);
    cluster_isolate(cluster, old->number, true);
    assert_true(replica_is_leader(old->replica)); /* it does not know yet */
    assert_false(vy_failed(replica_read_index(old->replica, 0, call_on_read, &read)));
    assert_false(vy_failed(kv_propose(old->replica, &write, "set a lost")));
    cluster_run_ms(cluster, 3000);
    assert_int_equal(read.answers, 1);
    assert_true(read.code == VY_CODE_UNAVAILABLE || read.code == VY_CODE_NOT_LEADER);
    assert_int_equal(write.answers, 1);
    assert_int_equal(write.code, VY_CODE_UNKNOWN);
    assert_false(replica_is_leader(old->replica)); /* it stepped down */
    cluster_propose_ok(cluster, "set a new");
    cluster_heal(cluster);
    cluster_run_ms(cluster, 3000);
    assert_all_have(cluster, "a", "new");
    cluster_free(cluster);
}

static void a_read_costs_a_round_and_many_share_it(void **state)
{
    (void)state;
    struct cluster *cluster = cluster_new(3, 4);
    struct call reads[50];
    struct replica_status before;
    struct replica_status after;
    cluster_propose_ok(cluster, "set a 1");
    struct cluster_node *leader = cluster_leader(cluster);
    replica_get_status(leader->replica, &before);
    for (size_t i = 0; i < 50; i++) {
        reads[i] = (struct call){.code = VY_CODE_COUNT};
        assert_false(vy_failed(replica_read_index(leader->replica, 0, call_on_read, &reads[i])));
    }
    cluster_run_ms(cluster, 500);
    for (size_t i = 0; i < 50; i++) {
        assert_int_equal(reads[i].answers, 1);
        assert_int_equal(reads[i].code, VY_CODE_OK);
    }
    replica_get_status(leader->replica, &after);
    assert_int_equal(after.read_rounds, before.read_rounds + 1);
    cluster_free(cluster);
}

static void leadership_is_handed_over_without_an_election_timeout(void **state)
{
    (void)state;
    struct cluster *cluster = cluster_new(3, 5);
    struct call call = {.code = VY_CODE_COUNT};
    cluster_propose_ok(cluster, "set a 1");
    struct cluster_node *old = cluster_leader(cluster);
    assert_false(vy_failed(replica_transfer(old->replica, call_on_read, &call)));
    assert_int_equal(replica_transfer(old->replica, call_on_read, &call).code, VY_CODE_BUSY);
    cluster_run_ms(cluster, 150); /* less than the election timeout of 200 */
    assert_int_equal(call.answers, 1);
    assert_int_equal(call.code, VY_CODE_OK);
    assert_non_null(cluster_leader(cluster));
    assert_ptr_not_equal(cluster_leader(cluster), old);
    cluster_propose_ok(cluster, "set a 2");
    cluster_free(cluster);
}

static void leadership_is_handed_to_the_member_that_was_asked_for(void **state)
{
    (void)state;
    struct cluster *cluster = cluster_new(3, 5);
    cluster_propose_ok(cluster, "set a 1");
    for (unsigned i = 0; i < 4; i++) {
        struct call call = {.code = VY_CODE_COUNT};
        struct replica_identity wanted;
        struct cluster_node *old = cluster_leader(cluster);
        struct cluster_node *next = cluster_follower(cluster);
        replica_get_identity(next->replica, &wanted);
        assert_int_equal(replica_transfer_to(old->replica, 999, call_on_read, &call).code,
                         VY_CODE_NOT_FOUND);
        assert_int_equal(
            replica_transfer_to(next->replica, wanted.member_id, call_on_read, &call).code,
            VY_CODE_NOT_LEADER);
        assert_false(
            vy_failed(replica_transfer_to(old->replica, wanted.member_id, call_on_read, &call)));
        cluster_run_ms(cluster, 150); /* less than the election timeout of 200 */
        assert_int_equal(call.answers, 1);
        assert_int_equal(call.code, VY_CODE_OK);
        assert_ptr_equal(cluster_leader(cluster), next);
        cluster_propose_ok(cluster, "set a 2");
    }
    cluster_free(cluster);
}

/* The log's tail in memory is 64 KiB here: the rest comes from the store, bodies included. */
static void a_member_far_behind_is_served_from_the_disk(void **state)
{
    (void)state;
    struct cluster *cluster = cluster_new(3, 6);
    static uint8_t body[8192];
    struct replica_status status;
    cluster_propose_ok(cluster, "set a 0");
    const unsigned away = cluster_follower(cluster)->number;
    cluster_crash_node(cluster, away);
    for (unsigned i = 0; i < 60; i++) {
        struct call call = {.code = VY_CODE_COUNT};
        char key[8] = {'k', (char)('0' + i / 10), (char)('0' + i % 10)};
        memset(body, (int)i, sizeof(body));
        const struct replica_payload payload = {
            .family = KV_FAMILY_BODIES, .key = vy_cstr(key), .value = vy_bytes(body, sizeof(body))};
        const struct replica_proposal proposal = {
            .command = VY_LIT("set b 1"), .payloads = &payload, .payload_count = 1};
        struct cluster_node *leader = cluster_wait_leader(cluster, 5000);
        assert_false(
            vy_failed(replica_propose(leader->replica, &proposal, call_on_proposed, &call)));
        cluster_wait_call(cluster, &call, 5000);
        assert_int_equal(call.code, VY_CODE_OK);
    }
    cluster_propose_ok(cluster, "drop k07");
    struct cluster_node *leader = cluster_leader(cluster);
    replica_get_status(leader->replica, &status);
    assert_true(status.tail_bytes <= 64 * 1024);
    cluster_start_node(cluster, away);
    cluster_run_ms(cluster, 5000);
    replica_get_status(cluster_leader(cluster)->replica, &status);
    assert_true(status.store_reads > 0);
    const struct store_reader *reader = store_newest(replica_store(cluster->nodes[away].replica));
    struct store_value value = {.is_found = false};
    assert_false(vy_failed(store_get(reader, KV_FAMILY_BODIES, VY_LIT("k42"), &value)));
    assert_true(value.is_found);
    assert_int_equal(value.bytes.len, sizeof(body));
    assert_int_equal(value.bytes.data[100], 42);
    store_value_release(&value);
    assert_false(vy_failed(store_get(reader, KV_FAMILY_BODIES, VY_LIT("k07"), &value)));
    assert_false(value.is_found);
    cluster_free(cluster);
}

static uint64_t first_index_of(const struct cluster_node *node)
{
    struct replica_status status;
    replica_get_status(node->replica, &status);
    return status.log_first_index;
}

static void a_member_that_is_away_holds_the_cut_back_until_it_has_caught_up(void **state)
{
    (void)state;
    struct cluster *cluster = cluster_new(3, 11); /* a tail of twelve entries */
    for (unsigned i = 0; i < 30; i++) {
        cluster_propose_ok(cluster, "set a early");
    }
    cluster_run_ms(cluster, 500);
    for (unsigned i = 0; i < 3; i++) {
        assert_true(first_index_of(&cluster->nodes[i]) > 10); /* followers cut as well */
    }
    struct cluster_node *away = cluster_follower(cluster);
    cluster_crash_node(cluster, away->number);
    for (unsigned i = 0; i < 60; i++) {
        cluster_propose_ok(cluster, "set a late");
    }
    cluster_run_ms(cluster, 500);
    for (unsigned i = 0; i < 3; i++) {
        assert_true(i == away->number ||
                    first_index_of(&cluster->nodes[i]) <= away->persisted_index + 1);
    }
    const uint64_t held = first_index_of(cluster_leader(cluster));
    cluster_start_node(cluster, away->number);
    cluster_run_ms(cluster, 2000);
    assert_all_have(cluster, "a", "late");
    for (unsigned i = 0; i < 3; i++) {
        assert_true(first_index_of(&cluster->nodes[i]) > held + 40);
        assert_int_equal(cluster->nodes[i].failures, 0);
    }
    cluster_free(cluster);
}

/* P15: one clock a day ahead moves nobody's entries. */
static void one_clock_that_is_a_day_ahead_does_not_move_the_time_of_entries(void **state)
{
    (void)state;
    struct cluster *cluster = cluster_new(3, 7);
    struct call call;
    uint64_t time_ms = 0;
    cluster_propose_ok(cluster, "set a 1");
    struct cluster_node *leader = cluster_leader(cluster);
    cluster_run_ms(cluster, 300); /* clocks are heard */
    leader->wall_offset_ms = 86400000;
    assert_false(vy_failed(kv_propose(leader->replica, &call, "time")));
    cluster_wait_call(cluster, &call, 1000);
    assert_true(vy_parse_u64(vy_cstr(call.result), &time_ms));
    assert_true(time_ms <= cluster->clock.wall_ms);
    const uint64_t first_ms = time_ms;
    leader->wall_offset_ms = -86400000;
    assert_false(vy_failed(kv_propose(leader->replica, &call, "time")));
    cluster_wait_call(cluster, &call, 1000);
    assert_true(vy_parse_u64(vy_cstr(call.result), &time_ms));
    assert_true(time_ms >= first_ms);
    cluster_free(cluster);
}

/* P14, E2: a leader whose disk fails says nothing more; the others agree without it. */
static void a_leader_with_a_failed_disk_is_silent_and_the_others_agree(void **state)
{
    (void)state;
    struct cluster *cluster = cluster_new(3, 8);
    struct call a;
    struct call b;
    cluster_propose_ok(cluster, "set x 0");
    struct cluster_node *bad = cluster_leader(cluster);
    store_mem_fail_write(bad->disk, 1);
    assert_false(vy_failed(kv_propose(bad->replica, &a, "set x A")));
    cluster_run_ms(cluster, 50);
    assert_int_equal(bad->failures, 1);
    assert_int_equal(kv_propose(bad->replica, &b, "set x B").code, VY_CODE_CLOSED);
    assert_int_equal(a.answers, 0);
    cluster_crash_node(cluster, bad->number);
    assert_int_equal(a.answers, 1);
    assert_int_equal(a.code, VY_CODE_UNKNOWN);
    cluster_propose_ok(cluster, "set y 1");
    cluster_start_node(cluster, bad->number);
    cluster_run_ms(cluster, 2000);
    assert_all_have(cluster, "y", "1");
    char first[64];
    kv_get(cluster->nodes[0].replica, "x", first, sizeof(first));
    assert_all_have(cluster, "x", first);
    cluster_free(cluster);
}

/* ---- frames by hand ---- */

static const struct frame_head head_of_1 = {
    .cluster_id = {1, 2, 3},
    .group_id = 5,
    .from = 102,
    .to = 101,
    .incarnation = 50ULL << 40,
    .number = 10
};

/* Member 0 receives a request for a vote in term 9. */
static struct replica_status ask_for_vote(struct cluster *cluster, const struct frame_head *head,
                                          uint64_t proven_id)
{
    const struct core_message vote = {
        .kind = CORE_VOTE, .version = 2, .term = 9, .last_index = 1, .last_term = 1};
    struct replica_status status;
    struct vy_buf frame;
    vy_buf_init(&frame, REPLICA_FRAME_BYTES_MAX);
    assert_false(vy_failed(frame_encode(head, &vote, &frame)));
    replica_receive(cluster->nodes[0].replica, proven_id, vy_buf_bytes(&frame));
    vy_buf_deinit(&frame);
    fake_loop_run_posts(&cluster->loop);
    replica_get_status(cluster->nodes[0].replica, &status);
    return status;
}

/* raft-step.md 1: term and vote are on disk before anybody hears of them. */
static void a_vote_leaves_only_when_it_is_on_disk(void **state)
{
    (void)state;
    struct cluster *cluster = cluster_new(3, 9);
    struct replica_status status = ask_for_vote(cluster, &head_of_1, 102);
    assert_int_equal(status.term, 9);
    assert_int_equal(status.frames_sent, 0);
    assert_true(replica_pump(cluster->nodes[0].replica));
    fake_loop_run_posts(&cluster->loop);
    replica_get_status(cluster->nodes[0].replica, &status);
    assert_int_equal(status.frames_sent, 1);
    ask_for_vote(cluster, &head_of_1, 102); /* the same frame once more: R4 */
    assert_false(replica_pump(cluster->nodes[0].replica));
    replica_get_status(cluster->nodes[0].replica, &status);
    assert_int_equal(status.frames_sent, 1);
    struct frame_head next = head_of_1;
    next.number++;
    ask_for_vote(cluster, &next, 102); /* asked again, answered again */
    replica_pump(cluster->nodes[0].replica);
    fake_loop_run_posts(&cluster->loop);
    replica_get_status(cluster->nodes[0].replica, &status);
    assert_int_equal(status.frames_sent, 2);
    assert_int_equal(status.frames_refused, 0);
    cluster_free(cluster);
}

/* R2, R7, R11 */
static void frames_of_others_and_of_earlier_lives_are_refused(void **state)
{
    (void)state;
    struct cluster *cluster = cluster_new(3, 10);
    struct frame_head head = head_of_1;
    head.cluster_id[0] = 9;
    assert_int_equal(ask_for_vote(cluster, &head, 102).frames_refused, 1);
    head = head_of_1;
    head.group_id = 6;
    assert_int_equal(ask_for_vote(cluster, &head, 102).frames_refused, 2);
    head = head_of_1;
    assert_int_equal(ask_for_vote(cluster, &head, 103).frames_refused, 3); /* says it is 102 */
    head.from = 999;
    assert_int_equal(ask_for_vote(cluster, &head, 999).frames_refused, 4);
    head = head_of_1;
    head.to = 103;
    assert_int_equal(ask_for_vote(cluster, &head, 102).frames_refused, 5);
    replica_receive(cluster->nodes[0].replica, 102, VY_LIT("not a frame"));
    assert_int_equal(ask_for_vote(cluster, &head_of_1, 102).frames_refused, 6);
    head = head_of_1;
    head.incarnation = 49ULL << 40;
    head.number = 1000;
    const struct replica_status status = ask_for_vote(cluster, &head, 102);
    assert_int_equal(status.frames_refused, 7);
    assert_int_equal(status.frames_received, 8);
    assert_int_equal(status.term, 9); /* of the one that was taken */
    cluster_free(cluster);
}

/* ---- scrub.h ---- */

static uint64_t scrub_rounds(const struct cluster_node *node)
{
    struct replica_status status;
    replica_get_status(node->replica, &status);
    return status.scrub_rounds;
}

static void propose_body(struct cluster_node *leader, unsigned number, struct call *call)
{
    static const uint8_t body[REPLICA_PAYLOAD_BYTES_MIN];
    char key[16];
    (void)snprintf(key, sizeof(key), "b%u", number);
    const struct replica_payload payload = {
        .family = KV_FAMILY_BODIES, .key = vy_cstr(key), .value = vy_bytes(body, sizeof(body))};
    const struct replica_proposal proposal = {
        .command = VY_LIT("set a 1"), .payloads = &payload, .payload_count = 1};
    *call = (struct call){.answers = 0};
    vy_ignore(replica_propose(leader->replica, &proposal, call_on_proposed, call),
              "leadership may move");
}

/* Writes go on while it reads: payloads of entries behind a mark are in some snapshots only. The
 * next leader goes on where the round stands. */
static void p4_a_scrub_of_whole_members_finds_nothing(void **state)
{
    (void)state;
    static struct call calls[4000];
    struct cluster *cluster =
        cluster_new_with(&(struct cluster_options){.count = 3, .seed = 31, .scrub_period_ms = 100});
    cluster->disk_ms_max = 20;
    for (unsigned i = 0; i < VY_COUNT_OF(calls); i++) {
        struct cluster_node *leader = cluster_wait_leader(cluster, 5000);
        assert_non_null(leader);
        propose_body(leader, i, &calls[i]);
        cluster_run_ms(cluster, cluster_random(cluster, 10));
        if (i % 1000 == 500) {
            cluster_crash_node(cluster, leader->number);
            cluster_run_ms(cluster, 3000);
            cluster_start_node(cluster, leader->number);
        }
    }
    cluster_run_ms(cluster, 60000);
    assert_true(scrub_rounds(cluster_leader(cluster)) > 2);
    cluster_free(cluster);
}

static uint64_t snapshots_received(const struct cluster_node *node)
{
    struct replica_status status;
    replica_get_status(node->replica, &status);
    return status.snapshot.received;
}

/* A bit flips on the disk of one member, where the store's own checksums do not see it. */
static void damage_and_wait(struct cluster *cluster, struct cluster_node *node)
{
    char text[64];
    cluster_propose_ok(cluster, "set a 1");
    cluster_propose_ok(cluster, "set b 2");
    cluster_run_ms(cluster, 1000);
    cluster->may_differ = true;
    assert_true(store_mem_flip_bit(node->disk, KV_FAMILY_ROWS, VY_LIT("b"), 3));
    cluster_run_ms(cluster, 100000);
    assert_int_equal(snapshots_received(node), 1);
    assert_string_equal(kv_get(node->replica, "b", text, sizeof(text)), "2");
    cluster_propose_ok(cluster, "set b 3");
    cluster_run_ms(cluster, 1000);
    assert_all_have(cluster, "b", "3");
}

/* P4: found by the next round, and filled anew by the leader. */
static void p4_a_member_whose_rows_differ_is_filled_anew(void **state)
{
    (void)state;
    const struct cluster_options options = {.count = 3, .seed = 32, .scrub_period_ms = 10000};
    struct cluster *cluster = cluster_new_with(&options);
    assert_non_null(cluster_wait_leader(cluster, 5000));
    damage_and_wait(cluster, cluster_follower(cluster));
    cluster_free(cluster);
}

/* P4: the leader is the one: it hands over first. */
static void p4_a_leader_whose_rows_differ_hands_over_and_is_filled_anew(void **state)
{
    (void)state;
    const struct cluster_options options = {.count = 3, .seed = 34, .scrub_period_ms = 10000};
    struct cluster *cluster = cluster_new_with(&options);
    struct cluster_node *leader = cluster_wait_leader(cluster, 5000);
    assert_non_null(leader);
    damage_and_wait(cluster, leader);
    assert_false(replica_is_leader(leader->replica));
    cluster_free(cluster);
}

/* It is needed for the majority: it goes on as it is, and is filled once the third is back. */
static void p4_a_damaged_member_that_is_needed_goes_on(void **state)
{
    (void)state;
    const struct cluster_options options = {.count = 3, .seed = 35, .scrub_period_ms = 10000};
    struct cluster *cluster = cluster_new_with(&options);
    struct cluster_node *leader = cluster_wait_leader(cluster, 5000);
    assert_non_null(leader);
    cluster_propose_ok(cluster, "set b 2");
    cluster_run_ms(cluster, 1000);
    struct cluster_node *damaged = cluster_follower(cluster);
    struct cluster_node *away = NULL;
    for (unsigned i = 0; i < cluster->count; i++) {
        if (&cluster->nodes[i] != leader && &cluster->nodes[i] != damaged) {
            away = &cluster->nodes[i];
        }
    }
    cluster->may_differ = true;
    assert_true(store_mem_flip_bit(damaged->disk, KV_FAMILY_ROWS, VY_LIT("b"), 3));
    cluster_run_ms(cluster, 15000); /* it has been told */
    cluster_crash_node(cluster, away->number);
    for (unsigned i = 0; i < 20; i++) {
        cluster_propose_ok(cluster, "set c 1");
        cluster_run_ms(cluster, 500);
    }
    cluster_start_node(cluster, away->number);
    cluster_run_ms(cluster, 100000);
    char text[64];
    assert_string_equal(kv_get(damaged->replica, "b", text, sizeof(text)), "2");
    cluster_free(cluster);
}

/* One of three is damaged, and the snapshot that fills it anew takes long. */
static struct cluster_node *damage_and_fill_slowly(struct cluster *cluster)
{
    struct replica_status status = {.snapshot = {.is_fetching = false}};
    cluster->snapshot_bytes_per_s = 1;
    for (unsigned i = 0; i < cluster->count; i++) { /* again, with that */
        cluster_stop_node(cluster, i);
        cluster_start_node(cluster, i);
    }
    cluster_propose_ok(cluster, "set b 2");
    cluster_run_ms(cluster, 1000);
    struct cluster_node *damaged = cluster_follower(cluster);
    cluster->may_differ = true;
    assert_true(store_mem_flip_bit(damaged->disk, KV_FAMILY_ROWS, VY_LIT("b"), 3));
    for (unsigned i = 0; i < 1000 && !status.snapshot.is_fetching; i++) {
        cluster_run_ms(cluster, 50);
        replica_get_status(damaged->replica, &status);
    }
    assert_true(status.snapshot.is_fetching);
    return damaged;
}

/* P4, P11: a member that takes no entries while it is filled takes them again when the rest is no
 * majority any more: another one dies, the leader that fills it or not. */
static void p4_a_member_that_is_being_filled_is_there_when_it_is_needed(void **state)
{
    (void)state;
    for (unsigned kills_leader = 0; kills_leader < 2; kills_leader++) {
        const struct cluster_options options = {.count = 3, .seed = 36, .scrub_period_ms = 10000};
        struct cluster *cluster = cluster_new_with(&options);
        char text[64];
        assert_non_null(cluster_wait_leader(cluster, 5000));
        struct cluster_node *damaged = damage_and_fill_slowly(cluster);
        cluster_propose_ok(cluster, "set c 1"); /* without it */
        struct cluster_node *dies = cluster_leader(cluster);
        for (unsigned i = 0; i < cluster->count && kills_leader == 0; i++) {
            if (&cluster->nodes[i] != damaged && !replica_is_leader(cluster->nodes[i].replica)) {
                dies = &cluster->nodes[i];
            }
        }
        cluster_crash_node(cluster, dies->number);
        cluster_run_ms(cluster, 5000);
        cluster_propose_ok(cluster, "set c 2");
        cluster_start_node(cluster, dies->number);
        cluster->snapshot_bytes_per_s = 0;
        for (unsigned i = 0; i < cluster->count; i++) {
            cluster_stop_node(cluster, i);
            cluster_start_node(cluster, i);
        }
        cluster_run_ms(cluster, 100000); /* found again, and filled */
        assert_int_equal(snapshots_received(damaged), 1);
        assert_string_equal(kv_get(damaged->replica, "b", text, sizeof(text)), "2");
        assert_all_have(cluster, "c", "2");
        cluster_free(cluster);
    }
}

/* The group is not held up by one that is away, and the round ends. */
static void a_scrub_leaves_out_who_is_away(void **state)
{
    (void)state;
    struct cluster *cluster = cluster_new_with(
        &(struct cluster_options){.count = 3, .seed = 33, .scrub_period_ms = 60000});
    cluster_propose_ok(cluster, "set a 1");
    cluster_crash_node(cluster, cluster_follower(cluster)->number);
    cluster_run_ms(cluster, 400000);
    assert_true(scrub_rounds(cluster_leader(cluster)) >= 1);
    cluster_free(cluster);
}

/* More than the writer keeps in memory (64 KiB here) is on its way: all of it is answered, and what
 * comes later is not held up by it. */
static void what_outgrows_the_tail_is_answered_all_the_same(void **state)
{
    (void)state;
    static const uint8_t body[128U * 1024];
    struct cluster *cluster = cluster_new_with(&(struct cluster_options){.count = 3, .seed = 37});
    for (unsigned i = 0; i < 10; i++) {
        const struct replica_payload payload = {
            .family = KV_FAMILY_BODIES, .key = VY_LIT("b"), .value = vy_bytes(body, sizeof(body))};
        const struct replica_proposal proposal = {
            .command = VY_LIT("set a 1"), .payloads = &payload, .payload_count = 1};
        struct call call = {.answers = 0};
        struct replica *leader = cluster_wait_leader(cluster, 5000)->replica;
        assert_false(vy_failed(replica_propose(leader, &proposal, call_on_proposed, &call)));
        cluster_wait_call(cluster, &call, 5000);
        assert_int_equal(call.answers, 1);
        assert_int_equal(call.code, VY_CODE_OK);
    }
    cluster_free(cluster);
}

/* A leader of a newer version, while members are upgraded one by one, scrubs tables that this one
 * does not have. */
static void a_scrub_of_unknown_tables_is_left_out(void **state)
{
    (void)state;
    struct cluster *cluster = cluster_new_with(
        &(struct cluster_options){.count = 3, .seed = 36, .scrub_period_ms = 600000});
    cluster_propose_ok(cluster, "set a 1");
    struct replica *leader = cluster_leader(cluster)->replica;
    const struct scrub_mark mark = {.family = STORE_FAMILIES_MAX, .key = VY_LIT("k")};
    struct entry *entry = NULL;
    struct vy_buf body;
    vy_buf_init(&body, 64);
    scrub_encode(&mark, &body);
    assert_false(vy_failed(
        entry_new_raw(core_term(leader->core), ENTRY_BARRIER, vy_buf_bytes(&body), &entry)));
    replica_stepped(leader, core_submit(leader->core, replica_now_ms(leader), &entry, 1));
    entry_unref(entry);
    vy_buf_deinit(&body);
    cluster_run_ms(cluster, 60000);
    cluster_propose_ok(cluster, "set a 2");
    cluster_run_ms(cluster, 500);
    assert_all_have(cluster, "a", "2");
    cluster_free(cluster);
}

/* Member 0 hears a message of member 1 in some life. */
static struct replica_status hear(struct cluster *cluster, uint64_t life, uint64_t number,
                                  const struct core_message *message)
{
    struct frame_head head = head_of_1;
    struct replica_status status;
    struct vy_buf frame;
    head.incarnation = life;
    head.number = number;
    vy_buf_init(&frame, REPLICA_FRAME_BYTES_MAX);
    assert_false(vy_failed(frame_encode(&head, message, &frame)));
    replica_receive(cluster->nodes[0].replica, head.from, vy_buf_bytes(&frame));
    vy_buf_deinit(&frame);
    fake_loop_run_posts(&cluster->loop);
    replica_get_status(cluster->nodes[0].replica, &status);
    return status;
}

static struct core_message vote_in(uint64_t term)
{
    return (struct core_message){
        .kind = CORE_VOTE, .version = 2, .term = term, .last_index = 1, .last_term = 1};
}

static void say_life(struct cluster *cluster, uint64_t life, uint64_t count, uint64_t was)
{
    const struct core_message message = {
        .kind = CORE_LIFE, .term = 1, .last_index = count, .round = was};
    hear(cluster, life, 1, &message);
}

/* R11: a disk that was put back from an old copy lacks the life that its peers know, also when they
 * were restarted, and however often it is started. */
static void an_old_copy_of_a_disk_is_refused_also_by_peers_that_were_restarted(void **state)
{
    (void)state;
    static const uint64_t life_7 = 7ULL << 40 | 0x77;
    struct cluster *cluster = cluster_new(3, 30);
    struct core_message vote = vote_in(9);
    assert_int_equal(hear(cluster, life_7, 1, &vote).term, 9); /* the first one that is heard */
    cluster_stop_node(cluster, 0);
    cluster_start_node(cluster, 0);
    vote = vote_in(20);
    const uint64_t copies[] = {6ULL << 40 | 1, 7ULL << 40 | 0x78, 8ULL << 40 | 1, 300ULL << 40 | 1};
    for (size_t i = 0; i < VY_COUNT_OF(copies); i++) {
        assert_int_equal(hear(cluster, copies[i], 1, &vote).term, 9);
        say_life(cluster, copies[i], 7, 7ULL << 40 | 0x78); /* its own seventh life was another */
        assert_int_equal(hear(cluster, copies[i], 2, &vote).term, 9);
        say_life(cluster, copies[i], 7, 0); /* or it never had one */
        assert_int_equal(hear(cluster, copies[i], 3, &vote).term, 9);
    }
    const uint64_t next = 8ULL << 40 | 0x88;
    assert_int_equal(hear(cluster, next, 1, &vote).term, 9); /* asked first */
    say_life(cluster, next, 7, life_7);
    assert_int_equal(hear(cluster, next, 2, &vote).term, 20); /* the same disk, started again */
    vote = vote_in(30);
    assert_int_equal(hear(cluster, life_7, 99, &vote).term, 20); /* its earlier life is over */
    cluster_free(cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(three_members_elect_one_and_apply_the_same),
        cmocka_unit_test(a_killed_leader_is_replaced_and_nothing_acknowledged_is_lost),
        cmocka_unit_test(a_leader_whose_disk_is_full_hands_over_to_one_with_space),
        cmocka_unit_test(a_member_without_space_takes_nothing_until_there_is_some),
        cmocka_unit_test(a_cut_off_leader_neither_reads_nor_acknowledges),
        cmocka_unit_test(a_read_costs_a_round_and_many_share_it),
        cmocka_unit_test(leadership_is_handed_over_without_an_election_timeout),
        cmocka_unit_test(leadership_is_handed_to_the_member_that_was_asked_for),
        cmocka_unit_test(a_member_far_behind_is_served_from_the_disk),
        cmocka_unit_test(a_member_that_is_away_holds_the_cut_back_until_it_has_caught_up),
        cmocka_unit_test(one_clock_that_is_a_day_ahead_does_not_move_the_time_of_entries),
        cmocka_unit_test(a_leader_with_a_failed_disk_is_silent_and_the_others_agree),
        cmocka_unit_test(a_vote_leaves_only_when_it_is_on_disk),
        cmocka_unit_test(frames_of_others_and_of_earlier_lives_are_refused),
        cmocka_unit_test(an_old_copy_of_a_disk_is_refused_also_by_peers_that_were_restarted),
        cmocka_unit_test(p4_a_scrub_of_whole_members_finds_nothing),
        cmocka_unit_test(p4_a_member_whose_rows_differ_is_filled_anew),
        cmocka_unit_test(p4_a_leader_whose_rows_differ_hands_over_and_is_filled_anew),
        cmocka_unit_test(p4_a_damaged_member_that_is_needed_goes_on),
        cmocka_unit_test(p4_a_member_that_is_being_filled_is_there_when_it_is_needed),
        cmocka_unit_test(a_scrub_leaves_out_who_is_away),
        cmocka_unit_test(what_outgrows_the_tail_is_answered_all_the_same),
        cmocka_unit_test(a_scrub_of_unknown_tables_is_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
