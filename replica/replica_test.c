/* SPDX-License-Identifier: Apache-2.0 */
/* A group of one over a disk in memory: opening, leading, proposing, applying, restarting, ends. */
#include "replica/life.h"
#include "replica/replica.h"

#include "base/assert.h"
#include "replica/replica_fixture.h"
#include "replica/store_mem.h"
#include "tests/lib/fake_clock.h"
#include "tests/lib/fake_loop.h"
#include "tests/lib/fake_rng.h"
#include "tests/lib/fault.h"
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
    assert_int_equal(life_count(identity.incarnation), 1);
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

static struct vy_err propose_bytes(struct world *world, struct call *call, size_t command_bytes,
                                   const struct replica_payload *payloads, size_t count,
                                   bool reserve)
{
    static uint8_t bytes[REPLICA_COMMAND_BYTES_MAX + 1];
    memcpy(bytes, "set big ", 8);
    memset(bytes + 8, 'x', sizeof(bytes) - 8);
    *call = (struct call){.code = VY_CODE_COUNT};
    const struct replica_proposal proposal = {.command = vy_bytes(bytes, command_bytes),
                                              .payloads = payloads,
                                              .payload_count = count,
                                              .reserve = reserve};
    return replica_propose(world->replica, &proposal, call_on_proposed, call);
}

/* P16 */
static void proposals_have_limits(void **state)
{
    (void)state;
    struct world *world = world_new();
    struct call call;
    static uint8_t bytes[REPLICA_PAYLOAD_BYTES_MAX + 1];
    struct replica_payload payloads[5];
    start(world);
    for (size_t i = 0; i < VY_COUNT_OF(payloads); i++) {
        payloads[i] = (struct replica_payload){.family = KV_FAMILY_BODIES,
                                               .key = vy_bytes("abcde" + i, 1),
                                               .value = vy_bytes(bytes, 4096)};
    }
    assert_int_equal(propose_bytes(world, &call, 0, NULL, 0, false).code, VY_CODE_ARGUMENT);
    assert_int_equal(
        propose_bytes(world, &call, REPLICA_COMMAND_BYTES_MAX + 1, NULL, 0, false).code,
        VY_CODE_LIMIT);
    payloads[0].value.len = REPLICA_PAYLOAD_BYTES_MIN - 1;
    assert_int_equal(propose_bytes(world, &call, 20, payloads, 1, false).code, VY_CODE_LIMIT);
    payloads[0].value.len = REPLICA_PAYLOAD_BYTES_MAX + 1;
    assert_int_equal(propose_bytes(world, &call, 20, payloads, 1, false).code, VY_CODE_LIMIT);
    payloads[0].value.len = REPLICA_PAYLOAD_BYTES_MAX;
    payloads[0].family = REPLICA_FAMILY_SYS;
    assert_int_equal(propose_bytes(world, &call, 20, payloads, 1, false).code, VY_CODE_ARGUMENT);
    payloads[0].family = KV_FAMILY_END;
    assert_int_equal(propose_bytes(world, &call, 20, payloads, 1, false).code, VY_CODE_ARGUMENT);
    payloads[0].family = KV_FAMILY_BODIES;
    payloads[0].key.len = 0;
    assert_int_equal(propose_bytes(world, &call, 20, payloads, 1, false).code, VY_CODE_ARGUMENT);
    payloads[0].key.len = 1;
    for (size_t i = 0; i < 4; i++) {
        payloads[i].value.len = REPLICA_PAYLOAD_BYTES_MAX;
    }
    assert_int_equal(propose_bytes(world, &call, 20, payloads, 4, false).code, VY_CODE_LIMIT);
    assert_false(vy_failed(propose_bytes(world, &call, REPLICA_COMMAND_BYTES_MAX, payloads, 2,
                                         false))); /* the largest of each */
    fake_loop_run_posts(&world->loop);
    assert_int_equal(call.code, VY_CODE_OK);
    world_free(world);
}

static void a_full_queue_refuses_and_recovers(void **state)
{
    (void)state;
    struct world *world = world_new();
    struct call first;
    struct call second;
    world->config.queue_bytes_max = 100000;
    start(world);
    assert_false(vy_failed(propose_bytes(world, &first, 90000, NULL, 0, false)));
    assert_int_equal(propose_bytes(world, &second, 20000, NULL, 0, false).code, VY_CODE_BUSY);
    fake_loop_run_posts(&world->loop);
    assert_int_equal(first.code, VY_CODE_OK);
    assert_false(vy_failed(propose_bytes(world, &second, 20000, NULL, 0, false)));
    fake_loop_run_posts(&world->loop);
    assert_int_equal(second.code, VY_CODE_OK);
    assert_int_equal(status_of(world).proposals_refused, 1);
    world_free(world);
}

/* P13: below the floor only the reserve is taken; with space again everything is. */
static void a_full_disk_takes_the_reserve_only(void **state)
{
    (void)state;
    struct world *world = world_new();
    struct call call;
    world->config.free_floor_bytes = 1000000;
    start(world);
    store_mem_set_free_bytes(world->disk, 999999);
    fake_loop_run_ms(&world->loop, 1000);
    assert_int_equal(propose_bytes(world, &call, 20, NULL, 0, false).code, VY_CODE_FULL);
    assert_true(status_of(world).is_full);
    assert_false(vy_failed(propose_bytes(world, &call, 20, NULL, 0, true)));
    fake_loop_run_posts(&world->loop);
    assert_int_equal(call.code, VY_CODE_OK);
    store_mem_set_free_bytes(world->disk, 1000000);
    fake_loop_run_ms(&world->loop, 1000);
    assert_false(vy_failed(propose_bytes(world, &call, 20, NULL, 0, false)));
    fake_loop_run_posts(&world->loop);
    assert_int_equal(call.code, VY_CODE_OK);
    world_free(world);
}

static void propose_until(struct world *world, struct call *call, uint64_t deadline_ms)
{
    *call = (struct call){.code = VY_CODE_COUNT};
    const struct replica_proposal proposal = {.command = VY_LIT("add n once"),
                                              .deadline_ms = deadline_ms};
    assert_false(vy_failed(replica_propose(world->replica, &proposal, call_on_proposed, call)));
}

/* In the queue: not done. In the log: nobody knows. */
static void deadlines_say_what_is_known(void **state)
{
    (void)state;
    struct world *world = world_new();
    struct call calls[4];
    char value[32];
    world->config.writer_mode = REPLICA_WRITER_MANUAL;
    kv_init(&world->fsm);
    assert_false(vy_failed(replica_open(&world->config, &world->replica)));
    assert_false(vy_failed(replica_start(world->replica)));
    for (unsigned i = 0; i < 3; i++) {
        replica_pump(world->replica);
        fake_loop_run_posts(&world->loop);
    }
    assert_true(replica_is_leader(world->replica));
    const uint64_t now_ms = vy_loop_now_ms(&world->loop.base);
    for (unsigned i = 0; i < 4; i++) { /* two fly, two wait behind them */
        propose_until(world, &calls[i], now_ms + 100);
        fake_loop_run_posts(&world->loop);
    }
    fake_loop_run_ms(&world->loop, 99);
    assert_int_equal(calls[0].answers + calls[3].answers, 0);
    fake_loop_run_ms(&world->loop, 20);
    assert_int_equal(calls[0].code, VY_CODE_UNKNOWN);
    assert_int_equal(calls[1].code, VY_CODE_UNKNOWN);
    assert_int_equal(calls[2].code, VY_CODE_UNAVAILABLE);
    assert_int_equal(calls[3].code, VY_CODE_UNAVAILABLE);
    while (replica_pump(world->replica)) {
        fake_loop_run_posts(&world->loop);
    }
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(calls[i].answers, 1);
    }
    assert_string_equal(kv_get(world->replica, "n", value, sizeof(value)), "1");
    assert_int_equal(status_of(world).queue_bytes, 0);
    world_free(world);
}

static void a_read_alone_costs_nothing_and_sees_what_was_acknowledged(void **state)
{
    (void)state;
    struct world *world = world_new();
    struct call write;
    struct call read = {.code = VY_CODE_COUNT};
    struct store_snapshot *snapshot = NULL;
    uint64_t index = 0;
    start(world);
    assert_false(vy_failed(kv_propose(world->replica, &write, "set a 1")));
    fake_loop_run_posts(&world->loop);
    const uint64_t batches = status_of(world).batch_count;
    assert_false(vy_failed(replica_read_index(world->replica, 0, call_on_read, &read)));
    assert_int_equal(read.answers, 0);
    fake_loop_run_posts(&world->loop);
    assert_int_equal(read.answers, 1);
    assert_int_equal(read.code, VY_CODE_OK);
    assert_int_equal(status_of(world).batch_count, batches);
    assert_false(vy_failed(replica_snapshot(world->replica, &snapshot, &index)));
    assert_int_equal(index, status_of(world).applied_index);
    store_snapshot_free(snapshot);
    world_free(world);
}

/* Design section 5: a body is written once, under its final key. */
static void a_payload_is_stored_once_under_its_key(void **state)
{
    (void)state;
    struct world *world = world_new();
    static uint8_t body[50000];
    struct call call;
    struct store_value value = {.is_found = false};
    const struct replica_payload payload = {
        .family = KV_FAMILY_BODIES, .key = VY_LIT("body-1"), .value = vy_bytes(body, sizeof(body))};
    memset(body, 7, sizeof(body));
    start(world);
    const uint64_t before = status_of(world).batch_bytes;
    assert_false(vy_failed(propose_bytes(world, &call, 20, &payload, 1, false)));
    fake_loop_run_posts(&world->loop);
    assert_int_equal(call.code, VY_CODE_OK);
    assert_true(status_of(world).batch_bytes - before < sizeof(body) + 1000);
    assert_false(vy_failed(store_get(store_newest(replica_store(world->replica)), KV_FAMILY_BODIES,
                                     payload.key, &value)));
    assert_true(value.is_found && vy_bytes_equal(value.bytes, payload.value));
    store_value_release(&value);
    assert_false(vy_failed(kv_propose(world->replica, &call, "drop body-1")));
    fake_loop_run_posts(&world->loop);
    stop(world);
    start(world); /* replays nothing that brings it back */
    assert_false(vy_failed(store_get(store_newest(replica_store(world->replica)), KV_FAMILY_BODIES,
                                     payload.key, &value)));
    assert_false(value.is_found);
    world_free(world);
}

static void a_command_that_the_machine_does_not_know_ends_the_member(void **state)
{
    (void)state;
    struct world *world = world_new();
    struct call call;
    start(world);
    assert_false(vy_failed(kv_propose(world->replica, &call, "fail")));
    fake_loop_run_posts(&world->loop);
    assert_int_equal(world->failures, 1);
    assert_int_equal(call.answers, 0);
    world_free(world);
}

static void stopping_answers_what_waits_and_writes_what_was_accepted(void **state)
{
    (void)state;
    struct world *world = world_new();
    struct call flying;
    struct call waiting;
    struct call read = {.code = VY_CODE_COUNT};
    start(world);
    assert_false(vy_failed(kv_propose(world->replica, &flying, "set a 1")));
    fake_loop_run_posts(&world->loop);
    assert_false(vy_failed(kv_propose(world->replica, &waiting, "set a 2")));
    assert_false(vy_failed(replica_read_index(world->replica, 0, call_on_read, &read)));
    stop(world);
    assert_int_equal(flying.code, VY_CODE_OK);
    assert_int_equal(waiting.answers, 1);
    assert_int_equal(waiting.code, VY_CODE_NOT_LEADER);
    assert_int_equal(read.answers, 1);
    assert_int_equal(read.code, VY_CODE_NOT_LEADER);
    world_free(world);
}

/* ---- C4, P12: whose directory it is ---- */

static enum vy_code open_code(struct world *world)
{
    kv_init(&world->fsm);
    const struct vy_err err = replica_open(&world->config, &world->replica);
    if (!vy_failed(err)) {
        replica_free(world->replica);
        world->replica = NULL;
    }
    return err.code;
}

static void an_empty_directory_needs_permission(void **state)
{
    (void)state;
    struct world *world = world_new();
    world->config.bootstrap_alone = false;
    assert_int_equal(open_code(world), VY_CODE_PRECONDITION);
    world->config.ticket_path = "/nonexistent/ticket";
    assert_int_equal(open_code(world), VY_CODE_PRECONDITION);
    world->config.bootstrap_alone = true;
    assert_int_equal(open_code(world), VY_CODE_OK);
    world->config.bootstrap_alone = false;
    assert_int_equal(open_code(world), VY_CODE_OK); /* it is not empty any more */
    world_free(world);
}

static void a_directory_of_somebody_else_is_refused(void **state)
{
    (void)state;
    struct world *world = world_new();
    struct replica_identity identity;
    world->config.group_id = 3;
    world->config.member_id = 77;
    world->config.cluster_id[0] = 1;
    start(world);
    replica_get_identity(world->replica, &identity);
    assert_int_equal(identity.group_id, 3);
    assert_int_equal(identity.member_id, 77);
    stop(world);
    world->config.group_id = 4;
    assert_int_equal(open_code(world), VY_CODE_PRECONDITION);
    world->config.group_id = 0;
    world->config.member_id = 78;
    assert_int_equal(open_code(world), VY_CODE_PRECONDITION);
    world->config.member_id = 77;
    world->config.cluster_id[0] = 2;
    assert_int_equal(open_code(world), VY_CODE_PRECONDITION);
    world->config.cluster_id[0] = 0;
    start(world);
    replica_get_identity(world->replica, &identity);
    assert_int_equal(identity.cluster_id[0], 1);
    assert_true(life_count(identity.incarnation) > 1); /* raised at every start */
    world_free(world);
}

/* C6: a damaged vote is never "no vote yet", a damaged row is never skipped. */
static void damage_is_found_at_the_start(void **state)
{
    (void)state;
    static const uint8_t third[9] = {'e', 0, 0, 0, 0, 0, 0, 0, 3}; /* behind members, no-op */
    const struct {
        unsigned family;
        struct vy_bytes key;
        size_t bit;
    } rows[] = {
  /* clang-format off */
        { REPLICA_FAMILY_RAFT, VY_LIT("h"),                      20 },
        { REPLICA_FAMILY_RAFT, vy_bytes(third, sizeof(third)),   200 },
        { REPLICA_FAMILY_RAFT, vy_bytes(third, sizeof(third)),   30 },
        { REPLICA_FAMILY_SYS,  VY_LIT("applied"),                30 },
        { REPLICA_FAMILY_SYS,  VY_LIT("identity"),               100 },
  /* clang-format on */
    };
    struct world *world = world_new();
    struct call call;
    start(world);
    assert_false(vy_failed(kv_propose(world->replica, &call, "set a some value to be damaged")));
    fake_loop_run_posts(&world->loop);
    stop(world);
    for (size_t i = 0; i < VY_COUNT_OF(rows); i++) {
        assert_true(store_mem_flip_bit(world->disk, rows[i].family, rows[i].key, rows[i].bit));
        assert_int_equal(open_code(world), VY_CODE_CORRUPT);
        assert_true(store_mem_flip_bit(world->disk, rows[i].family, rows[i].key, rows[i].bit));
        assert_int_equal(open_code(world), VY_CODE_OK);
    }
    world_free(world);
}

static void add_each(struct world *world, unsigned from, unsigned to)
{
    struct call call;
    for (unsigned i = from; i < to; i++) {
        assert_false(vy_failed(kv_propose(world->replica, &call, "add n c%u", i)));
        fake_loop_run_posts(&world->loop);
        assert_int_equal(call.code, VY_CODE_OK);
    }
}

static unsigned count_log_rows(struct world *world)
{
    const struct store_range range = {.from = VY_LIT("e"), .to = VY_LIT("f")};
    struct store_iter *iter = NULL;
    unsigned count = 0;
    assert_false(vy_failed(store_iter_new(store_newest(replica_store(world->replica)),
                                          REPLICA_FAMILY_RAFT, &range, &iter)));
    for (; iter->is_valid; store_iter_next(iter)) {
        count++;
    }
    store_iter_free(iter);
    return count;
}

static void a_lone_member_cuts_its_log_and_starts_from_the_rest(void **state)
{
    (void)state;
    struct world *world = world_new();
    char value[32];
    world->config.log_keep_entries = 5;
    start(world);
    for (unsigned life = 0; life < 4; life++) {
        add_each(world, life * 20, life * 20 + 20);
        const struct replica_status before = status_of(world);
        assert_int_equal(before.last_index - before.log_first_index + 1, 5);
        assert_int_equal(count_log_rows(world), 5);
        stop(world);
        store_mem_crash(world->disk, 0);
        assert_true(store_mem_flip_bit(world->disk, REPLICA_FAMILY_RAFT, VY_LIT("b"), 70));
        assert_int_equal(open_code(world), VY_CODE_CORRUPT); /* C6 */
        assert_true(store_mem_flip_bit(world->disk, REPLICA_FAMILY_RAFT, VY_LIT("b"), 70));
        start(world);
        assert_true(replica_is_leader(world->replica));
        assert_int_equal(world->fsm.apply_count, 0);
        assert_true(status_of(world).log_first_index >= before.log_first_index);
        assert_true(status_of(world).last_index >= before.last_index);
    }
    assert_string_equal(kv_get(world->replica, "n", value, sizeof(value)), "80");
    world_free(world);
}

/* The member believes in the cut before the disk has it; the disk may never get it. */
static void a_cut_that_did_not_get_to_the_disk_is_made_again(void **state)
{
    (void)state;
    for (uint64_t nth = 1; nth < 30; nth++) {
        struct world *world = world_new();
        struct call call;
        char value[32];
        unsigned acknowledged = 0;
        world->config.log_keep_entries = 2;
        start(world);
        store_mem_fail_write(world->disk, nth);
        for (unsigned i = 0; i < 16; i++) {
            call = (struct call){.code = VY_CODE_COUNT};
            vy_ignore(kv_propose(world->replica, &call, "add n c%u", i), "it may have ended");
            fake_loop_run_posts(&world->loop);
            acknowledged += call.answers == 1 && call.code == VY_CODE_OK;
        }
        const uint64_t first = status_of(world).log_first_index;
        stop(world);
        store_mem_fail_write(world->disk, 0);
        store_mem_crash(world->disk, 0);
        start(world);
        const struct replica_status status = status_of(world);
        assert_true(status.log_first_index + 3 >= first);
        assert_int_equal(count_log_rows(world), status.last_index - status.log_first_index + 1);
        uint32_t number = 0;
        kv_get(world->replica, "n", value, sizeof(value));
        assert_true(value[0] == '\0' || vy_parse_u32(vy_cstr(value), &number));
        assert_int_equal(number, acknowledged);
        add_each(world, 100, 110);
        assert_int_equal(count_log_rows(world), 2);
        world_free(world);
    }
}

/* Unsynced batches may be lost at any place; applying is repeated from the log, never doubled. */
static void a_crash_at_any_write_keeps_effects_and_index_together(void **state)
{
    (void)state;
    for (uint64_t nth = 1; nth < 12; nth++) {
        struct world *world = world_new();
        struct call calls[8];
        char value[32];
        unsigned acknowledged = 0;
        start(world);
        store_mem_fail_write(world->disk, nth);
        for (unsigned i = 0; i < 8; i++) {
            vy_ignore(kv_propose(world->replica, &calls[i], "add n k%u", i), "it may have ended");
            fake_loop_run_posts(&world->loop);
            acknowledged += calls[i].code == VY_CODE_OK ? 1 : 0;
        }
        stop(world);
        store_mem_fail_write(world->disk, 0);
        store_mem_crash(world->disk, 0);
        start(world);
        uint32_t number = 0;
        kv_get(world->replica, "n", value, sizeof(value));
        assert_true(value[0] == '\0' || vy_parse_u32(vy_cstr(value), &number));
        assert_int_equal(number, acknowledged);
        world_free(world);
    }
}

/* Opening fails cleanly wherever memory runs out; the directory stays usable. */
static void opening_without_memory_fails_and_can_be_repeated(void **state)
{
    (void)state;
    struct world *world = world_new();
    uint64_t n = 1;
    kv_init(&world->fsm);
    for (; fault_begin(n); n++) {
        const struct vy_err err = replica_open(&world->config, &world->replica);
        if (!fault_end()) {
            assert_false(vy_failed(err));
            break;
        }
        if (!vy_failed(err)) { /* it could do without */
            replica_free(world->replica);
        }
        world->replica = NULL;
    }
    assert_true(n > 20);
    replica_free(world->replica);
    world->replica = NULL;
    start(world);
    assert_true(replica_is_leader(world->replica));
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
        cmocka_unit_test(proposals_have_limits),
        cmocka_unit_test(a_full_queue_refuses_and_recovers),
        cmocka_unit_test(a_full_disk_takes_the_reserve_only),
        cmocka_unit_test(deadlines_say_what_is_known),
        cmocka_unit_test(a_read_alone_costs_nothing_and_sees_what_was_acknowledged),
        cmocka_unit_test(a_payload_is_stored_once_under_its_key),
        cmocka_unit_test(a_command_that_the_machine_does_not_know_ends_the_member),
        cmocka_unit_test(stopping_answers_what_waits_and_writes_what_was_accepted),
        cmocka_unit_test(an_empty_directory_needs_permission),
        cmocka_unit_test(a_directory_of_somebody_else_is_refused),
        cmocka_unit_test(damage_is_found_at_the_start),
        cmocka_unit_test(a_lone_member_cuts_its_log_and_starts_from_the_rest),
        cmocka_unit_test(a_cut_that_did_not_get_to_the_disk_is_made_again),
        cmocka_unit_test(a_crash_at_any_write_keeps_effects_and_index_together),
        cmocka_unit_test(opening_without_memory_fails_and_can_be_repeated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
