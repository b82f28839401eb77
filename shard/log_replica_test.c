/* SPDX-License-Identifier: Apache-2.0 */
/* The shard's log on the replica engine: a group of one over a disk in memory. */
#include "replica/store_mem.h"
#include "shard/log_replica.h"
#include "shard/read.h"
#include "tests/lib/fake_loop.h"
#include "tests/lib/fake_rng.h"
#include "tests/lib/test.h"

#include "base/assert.h"
#include "proto/shard.pb.h"
#include <stdio.h>

#define ADA 5U

static struct world {
    struct store_mem_disk *disk;
    struct fake_clock clock;
    struct fake_loop loop;
    struct fake_rng rng;
    struct vy_log log;
    struct log_replica *machine;
    struct replica *replica;
    struct vy_arena arena;
    bool is_stopped;
    bool is_leader;
    unsigned failures;
    char heard[1024]; /* events and answers in their order: "f1 a1 " */
    size_t heard_len;
} w;

static void hear(const char *what, uint64_t number)
{
    w.heard_len += (size_t)snprintf(w.heard + w.heard_len, sizeof(w.heard) - w.heard_len, "%s%llu ",
                                    what, (unsigned long long)number);
}

static void on_event(void *arg, const struct fsm_event *event)
{
    (void)arg;
    hear(event->kind == FSM_EVENT_FENCE ? "fence" : "event", event->modseq);
}

static void on_leader(void *arg, bool is_leader)
{
    (void)arg;
    w.is_leader = is_leader;
}

static void on_fail_stop(void *arg, struct vy_err err)
{
    (void)arg;
    assert_true(vy_failed(err));
    w.failures++;
}

static const char *name_member(void *arg, uint64_t member_id)
{
    (void)arg;
    return member_id == 9 ? "node-9" : NULL;
}

static void start(void)
{
    static const struct log_listener listener = {.on_event = on_event, .on_leader = on_leader};
    const struct log_replica_config config = {.log = &w.log, .name_member = name_member};
    const struct replica_member self = {.id = 9, .address = "inproc:shard"};

    assert_false(vy_failed(log_replica_new(&config, &w.machine)));
    const struct replica_config replica = {.dir = "mem",
                                           .name = "shard-1",
                                           .open_store = store_mem_open_as,
                                           .open_store_arg = w.disk,
                                           .group_id = 1,
                                           .member_id = 9,
                                           .members = &self,
                                           .member_count = 1,
                                           .bootstrap_alone = true,
                                           .clock = &w.clock.base,
                                           .rng = &w.rng.base,
                                           .loop = &w.loop.base,
                                           .log = &w.log,
                                           .fsm = log_replica_fsm(w.machine),
                                           .writer_mode = REPLICA_WRITER_LOOP,
                                           .on_fail_stop = on_fail_stop};
    assert_false(vy_failed(replica_open(&replica, &w.replica)));
    assert_false(vy_failed(log_replica_attach(w.machine, w.replica, &w.loop.base)));
    log_replica_set_listener(w.machine, &listener, NULL);
    assert_false(vy_failed(replica_start(w.replica)));
    fake_loop_run_posts(&w.loop);
    assert_true(w.is_leader);
}

static void on_stopped(void *arg)
{
    (void)arg;
    w.is_stopped = true;
}

static void stop(void)
{
    w.is_stopped = false;
    replica_stop(w.replica, on_stopped, NULL);
    fake_loop_run_posts(&w.loop);
    assert_true(w.is_stopped);
    log_replica_detach(w.machine);
    replica_free(w.replica);
    log_replica_free(w.machine);
}

static int set_up(void **state)
{
    (void)state;
    w = (struct world){.is_leader = false};
    fake_clock_init(&w.clock);
    fake_loop_init(&w.loop, &w.clock);
    fake_rng_init(&w.rng, 1);
    vy_arena_init(&w.arena, 1024 * 1024);
    assert_false(vy_failed(store_mem_disk_new(&w.disk)));
    start();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    stop();
    store_mem_disk_free(w.disk);
    vy_arena_deinit(&w.arena);
    fake_loop_deinit(&w.loop);
    return 0;
}

static struct shard_log *log_of(void)
{
    return log_replica_log(w.machine);
}

static enum vy_code last_code;
static struct shard_result last_result;

static void on_done(void *arg, struct vy_err err, struct vy_bytes bytes)
{
    struct vy_bytes copy;

    (void)arg;
    last_code = err.code;
    if (!vy_failed(err)) {
        assert_false(vy_failed(vy_arena_dup(&w.arena, bytes, &copy)));
        assert_false(vy_failed(vy_pb_decode(&shard_result_desc, &w.arena, copy, &last_result)));
    }
    hear("done", last_result.account_epoch);
}

static void on_ready(void *arg, struct vy_err err)
{
    (void)arg;
    last_code = err.code;
    hear("ready", err.code);
}

static void propose(const struct shard_command *command, const struct shard_payload *payloads,
                    size_t count)
{
    struct shard_command versioned = *command;
    struct vy_buf encoded;

    versioned.version = SHARD_COMMAND_VERSION;
    vy_buf_init(&encoded, SHARD_COMMAND_BYTES_MAX);
    assert_false(vy_failed(vy_pb_encode(&shard_command_desc, &versioned, &encoded)));
    const struct shard_proposal proposal = {
        .command = vy_buf_bytes(&encoded), .payloads = payloads, .payload_count = count};
    last_code = VY_CODE_COUNT;
    log_of()->ops->propose(log_of(), &proposal, on_done, NULL);
    vy_buf_deinit(&encoded);
    assert_int_equal(last_code, VY_CODE_COUNT); /* never within the call */
    fake_loop_run_posts(&w.loop);
}

static void fence(uint64_t epoch)
{
    const struct cmd_fence body = {.set_quota = true, .quota_bytes = 10};

    propose(&(struct shard_command){.account_id = ADA, .account_epoch = epoch, .fence = &body},
            NULL, 0);
}

static struct account_row account(void)
{
    struct store_snapshot *snapshot = NULL;
    struct account_row row = {.version = 0};
    bool found = false;

    assert_false(vy_failed(log_of()->ops->snapshot_open(log_of(), &snapshot)));
    assert_false(
        vy_failed(read_account(store_snapshot_reader(snapshot), &w.arena, ADA, &row, &found)));
    store_snapshot_free(snapshot);
    return row;
}

static void events_come_before_the_answer_and_in_order(void **state)
{
    (void)state;
    fence(3);
    fence(5);
    assert_int_equal(last_code, VY_CODE_OK);
    assert_string_equal(w.heard, "fence3 done3 fence5 done5 ");
    assert_int_equal(account().epoch, 5);
}

static void a_restart_finds_everything(void **state)
{
    (void)state;
    fence(4);
    stop();
    w.heard_len = 0;
    start();
    assert_int_equal(account().epoch, 4);
    fence(2);
    assert_int_equal(last_result.account_epoch, 4);
}

/* P1: what was answered survives a power cut. */
static void a_power_cut_loses_nothing_that_was_answered(void **state)
{
    (void)state;
    fence(7);
    stop();
    store_mem_crash(w.disk, 0);
    start();
    assert_int_equal(account().epoch, 7);
}

static void a_chunk_beside_the_command_is_stored_under_its_key(void **state)
{
    (void)state;
    static uint8_t chunk[REPLICA_PAYLOAD_BYTES_MIN];
    static const uint8_t id[SHARD_ID_BYTES] = {1};
    const struct sealed_name name = {.hash = vy_bytes(id, sizeof(id)), .sealed = VY_LIT("x")};
    const struct new_mailbox inbox = {.name = &name, .role = MAILBOX_ROLE_INBOX};
    const struct cmd_account_init init = {.mailboxes_count = 1, .mailboxes = &inbox};
    const struct cmd_stage stage = {.email_id = vy_bytes(id, sizeof(id)), .bytes = sizeof(chunk)};
    const struct shard_key key = keys_body(ADA, id, 0);
    const struct shard_payload payload = {shard_key_bytes(&key), vy_bytes(chunk, sizeof(chunk))};
    struct store_snapshot *snapshot = NULL;
    struct store_value value;

    memset(chunk, 7, sizeof(chunk));
    propose(&(struct shard_command){.account_id = ADA, .account_init = &init}, NULL, 0);
    propose(&(struct shard_command){.account_id = ADA, .stage = &stage}, &payload, 1);
    assert_int_equal(last_code, VY_CODE_OK);
    assert_int_equal(last_result.code, SHARD_CODE_DONE);
    assert_false(vy_failed(log_of()->ops->snapshot_open(log_of(), &snapshot)));
    assert_false(
        vy_failed(store_get(store_snapshot_reader(snapshot), shard_store_family(SHARD_BODY),
                            shard_key_bytes(&key), &value)));
    assert_true(value.is_found);
    assert_true(vy_bytes_equal(value.bytes, vy_bytes(chunk, sizeof(chunk))));
    store_value_release(&value);
    store_snapshot_free(snapshot);
}

static void reads_wait_for_the_leader(void **state)
{
    (void)state;
    struct shard_log_status status;

    last_code = VY_CODE_COUNT;
    log_of()->ops->read_barrier(log_of(), on_ready, NULL);
    assert_int_equal(last_code, VY_CODE_COUNT);
    fake_loop_run_posts(&w.loop);
    assert_int_equal(last_code, VY_CODE_OK);
    assert_true(log_of()->ops->is_leader(log_of()));
    log_of()->ops->status(log_of(), &status);
    assert_true(status.is_leader);
    assert_true(status.applied_index >= 1);
    assert_string_equal(log_of()->ops->leader_hint(log_of()), "node-9");
}

static void what_the_log_cannot_take_is_refused_from_the_loop(void **state)
{
    (void)state;
    static uint8_t big[SHARD_COMMAND_BYTES_MAX + 1];
    const struct shard_proposal proposal = {.command = vy_bytes(big, sizeof(big))};

    last_code = VY_CODE_COUNT;
    log_of()->ops->propose(log_of(), &proposal, on_done, NULL);
    assert_int_equal(last_code, VY_CODE_COUNT);
    fake_loop_run_posts(&w.loop);
    assert_int_equal(last_code, VY_CODE_LIMIT);
    assert_int_equal(w.failures, 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(events_come_before_the_answer_and_in_order),
        T(a_restart_finds_everything),
        T(a_power_cut_loses_nothing_that_was_answered),
        T(a_chunk_beside_the_command_is_stored_under_its_key),
        T(reads_wait_for_the_leader),
        T(what_the_log_cannot_take_is_refused_from_the_loop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
