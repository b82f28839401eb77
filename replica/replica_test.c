/* SPDX-License-Identifier: Apache-2.0 */
/* A group of one over a disk in memory: opening, leading, proposing, applying, restarting, ends. */
#include "replica/replica.h"

#include "base/assert.h"
#include "replica/replica_fixture.h"
#include "replica/store_mem.h"
#include "tests/lib/fake_clock.h"
#include "tests/lib/fake_loop.h"
#include "tests/lib/fake_rng.h"
#include "tests/lib/test.h"
#include <stdio.h>
#include <stdlib.h>

struct world {
    struct fake_clock clock;
    struct fake_loop loop;
    struct fake_rng rng;
    struct store_mem_disk *disk;
    struct kv_fsm fsm;
    struct replica_config config;
    struct replica *replica;
    unsigned failures;
    bool is_stopped;
};

static void on_fail_stop(void *arg, struct vy_err err)
{
    struct world *world = arg;
    assert_true(vy_failed(err));
    world->failures++;
}

static void on_stopped(void *arg)
{
    struct world *world = arg;
    world->is_stopped = true;
}

static struct world *world_new(void)
{
    struct world *world = calloc(1, sizeof(*world));
    assert_non_null(world);
    fake_clock_init(&world->clock);
    fake_loop_init(&world->loop, &world->clock);
    fake_rng_init(&world->rng, 7);
    assert_false(vy_failed(store_mem_disk_new(&world->disk)));
    world->config = (struct replica_config){.dir = "unused",
                                            .name = "test",
                                            .open_store = store_mem_open_as,
                                            .open_store_arg = world->disk,
                                            .bootstrap_alone = true,
                                            .clock = &world->clock.base,
                                            .rng = &world->rng.base,
                                            .loop = &world->loop.base,
                                            .fsm = &world->fsm.base,
                                            .writer_mode = REPLICA_WRITER_LOOP,
                                            .on_fail_stop = on_fail_stop,
                                            .on_fail_stop_arg = world};
    return world;
}

static void start(struct world *world)
{
    kv_init(&world->fsm);
    world->is_stopped = false;
    assert_false(vy_failed(replica_open(&world->config, &world->replica)));
    assert_false(replica_is_leader(world->replica));
    assert_false(vy_failed(replica_start(world->replica)));
    fake_loop_run_posts(&world->loop);
}

static void stop(struct world *world)
{
    replica_stop(world->replica, on_stopped, world);
    assert_false(world->is_stopped);
    while (world->config.writer_mode == REPLICA_WRITER_MANUAL && !world->is_stopped) {
        fake_loop_run_posts(&world->loop);
        replica_pump(world->replica);
    }
    fake_loop_run_posts(&world->loop);
    assert_true(world->is_stopped);
    replica_free(world->replica);
    world->replica = NULL;
}

static void world_free(struct world *world)
{
    if (world->replica != NULL) {
        stop(world);
    }
    fake_loop_deinit(&world->loop);
    store_mem_disk_free(world->disk);
    free(world);
}

static struct replica_status status_of(struct world *world)
{
    struct replica_status status;
    replica_get_status(world->replica, &status);
    return status;
}

static void a_lone_member_leads_after_a_turn_of_the_loop(void **state)
{
    (void)state;
    struct world *world = world_new();
    struct replica_member leader;
    struct replica_identity identity;
    start(world);
    assert_true(replica_is_leader(world->replica));
    assert_true(world->fsm.is_leader);
    assert_true(replica_leader_hint(world->replica, &leader));
    replica_get_identity(world->replica, &identity);
    assert_int_equal(leader.id, identity.member_id);
    assert_int_equal(identity.incarnation, 1);
    assert_int_equal(replica_get_members(world->replica, &leader, 1), 1);
    assert_int_equal(status_of(world).role, REPLICA_ROLE_LEADER);
    world_free(world);
}

static void a_proposal_is_answered_with_its_result_and_is_in_the_store(void **state)
{
    (void)state;
    struct world *world = world_new();
    struct call first;
    struct call second;
    char value[32];
    start(world);
    assert_false(vy_failed(kv_propose(world->replica, &first, "add n one")));
    assert_false(vy_failed(kv_propose(world->replica, &second, "add n two")));
    assert_int_equal(first.answers, 0); /* never inside the call */
    fake_loop_run_posts(&world->loop);
    assert_int_equal(first.answers, 1);
    assert_int_equal(first.code, VY_CODE_OK);
    assert_string_equal(first.result, "1");
    assert_string_equal(second.result, "2");
    assert_string_equal(kv_get(world->replica, "n", value, sizeof(value)), "2");
    assert_int_equal(status_of(world).commands_applied, 2);
    assert_int_equal(status_of(world).queue_bytes, 0);
    assert_int_equal(status_of(world).inflight_bytes, 0);
    world_free(world);
}

/* Design section 5: one sync serves append and apply of everything that queued. */
static void many_proposals_of_a_turn_cost_one_sync(void **state)
{
    (void)state;
    struct world *world = world_new();
    struct call calls[100];
    start(world);
    const uint64_t before = store_mem_sync_count(world->disk);
    for (size_t i = 0; i < VY_COUNT_OF(calls); i++) {
        assert_false(vy_failed(kv_propose(world->replica, &calls[i], "add n %zu", i)));
    }
    fake_loop_run_posts(&world->loop);
    for (size_t i = 0; i < VY_COUNT_OF(calls); i++) {
        assert_int_equal(calls[i].answers, 1);
        assert_int_equal(calls[i].code, VY_CODE_OK);
    }
    assert_int_equal(store_mem_sync_count(world->disk), before + 1);
    assert_int_equal(store_mem_unsynced(world->disk), 0);
    world_free(world);
}

/* P1: what was acknowledged survives, and is not done again. */
static void a_restart_keeps_what_was_acknowledged_and_repeats_nothing(void **state)
{
    (void)state;
    struct world *world = world_new();
    struct call call;
    char value[32];
    start(world);
    for (unsigned i = 0; i < 10; i++) {
        assert_false(vy_failed(kv_propose(world->replica, &call, "add n t%u", i)));
        fake_loop_run_posts(&world->loop);
    }
    const struct replica_status before = status_of(world);
    stop(world);
    store_mem_crash(world->disk, 0);
    start(world);
    assert_true(replica_is_leader(world->replica));
    assert_int_equal(world->fsm.apply_count, 0);
    assert_string_equal(kv_get(world->replica, "n", value, sizeof(value)), "10");
    assert_true(status_of(world).term >= before.term);
    assert_true(status_of(world).applied_index >= before.applied_index);
    assert_false(vy_failed(kv_propose(world->replica, &call, "add n t3"))); /* a retry: R4 */
    fake_loop_run_posts(&world->loop);
    assert_string_equal(call.result, "4");
    assert_string_equal(kv_get(world->replica, "n", value, sizeof(value)), "10");
    world_free(world);
}

/* P14: the first failed write ends the member; nobody is told that it worked. */
static void a_failed_write_ends_the_member(void **state)
{
    (void)state;
    struct world *world = world_new();
    struct call call;
    struct call later;
    start(world);
    store_mem_fail_write(world->disk, 1);
    assert_false(vy_failed(kv_propose(world->replica, &call, "set a 1")));
    fake_loop_run_posts(&world->loop);
    assert_int_equal(world->failures, 1);
    assert_int_equal(call.answers, 0);
    assert_false(replica_is_leader(world->replica));
    assert_int_equal(kv_propose(world->replica, &later, "set a 2").code, VY_CODE_CLOSED);
    fake_loop_run_ms(&world->loop, 10000);
    assert_int_equal(world->failures, 1);
    stop(world);
    assert_int_equal(call.answers, 1);
    assert_int_equal(call.code, VY_CODE_UNKNOWN);
    world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lone_member_leads_after_a_turn_of_the_loop),
        cmocka_unit_test(a_proposal_is_answered_with_its_result_and_is_in_the_store),
        cmocka_unit_test(many_proposals_of_a_turn_cost_one_sync),
        cmocka_unit_test(a_restart_keeps_what_was_acknowledged_and_repeats_nothing),
        cmocka_unit_test(a_failed_write_ends_the_member),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
