/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two groups and a frontend that stops at any step of a delivery to both (P2, P3): the settler of
 * the group that holds asks the one that decides, and in the end both have the message or neither.
 */
#include "proto/methods.h"
#include "proto/shard.pb.h"
#include "shard/service_private.h"
#include "tests/lib/shard_local.h"
#include "tests/lib/test.h"

#define DECIDER 1U
#define HOLDER 2U
#define ADA 5U
#define BOB 6U
#define BODY "Message-ID: <one@far.test>\r\nSubject: x\r\n\r\nbody\r\n"
#define HOLD_MS 15000U

static const char first_id[] = "first delivery..";
static const char second_id[] = "second delivery.";
_Static_assert(sizeof(first_id) == 17 && sizeof(second_id) == 17, "ids are 16 bytes");

static struct shard_local *decider;
static struct shard_local *holder;
static bool is_cut; /* between the two groups */
static unsigned asked;

/* ---- the way from one group to the other ---- */

static void ask(void *peers, uint64_t group_id, const uint8_t delivery_id[SHARD_ID_BYTES],
                shard_peer_answer_fn done, void *arg)
{
    const struct delivery_ask_request request = {.delivery_id =
                                                     vy_bytes(delivery_id, SHARD_ID_BYTES)};
    struct delivery_ask_reply reply = {.committed = false};

    (void)peers;
    assert_int_equal(group_id, DECIDER);
    asked++;
    const struct vy_err err = is_cut ? vy_error(VY_CODE_UNAVAILABLE, "cut")
                                     : shard_local_call(decider, METHOD_SHARD_DELIVERY_ASK, NULL,
                                                        &request, vy_bytes(NULL, 0), &reply, NULL);
    done(arg, err, reply.committed);
}

static const struct shard_peer_ops ops = {.ask = ask};

static int set_up(void **state)
{
    (void)state;
    decider = shard_local_new_group(DECIDER, NULL, NULL);
    holder = shard_local_new_group(HOLDER, &ops, NULL);
    is_cut = false;
    asked = 0;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    shard_local_free(decider);
    shard_local_free(holder);
    return 0;
}

static void run_ms(uint64_t ms)
{
    fake_loop_run_ms(&holder->loop, ms);
    fake_loop_run_ms(&decider->loop, ms);
}

/* ---- the frontend ---- */

static struct message_deliver_request request_of(const struct deliver_recipient *recipient,
                                                 const char *delivery_id, bool is_hold)
{
    return (struct message_deliver_request){
        .recipients_count = 1,
        .recipients = recipient,
        .reverse_path = VY_LIT("s@far.test"),
        .delivery_id = vy_cstr(delivery_id),
        .hold = is_hold,
        .decider_group = is_hold ? DECIDER : 0,
        .hold_ms = is_hold ? HOLD_MS : 0,
    };
}

static struct vy_err deliver_as(uint64_t account_id, const char *delivery_id, bool is_hold,
                                enum deliver_outcome *out)
{
    const struct deliver_recipient recipient = {
        .account_id = account_id, .account_epoch = 1, .address = VY_LIT("x@dev.test")};
    const struct message_deliver_request request = request_of(&recipient, delivery_id, is_hold);
    struct message_deliver_reply reply;

    VY_TRY(shard_local_call(is_hold ? holder : decider, METHOD_SHARD_MESSAGE_DELIVER, NULL,
                            &request, vy_cstr(BODY), &reply, NULL));
    *out = reply.results[0].outcome;
    return vy_ok();
}

static struct vy_err hold(const char *id)
{
    enum deliver_outcome outcome = DELIVER_OUTCOME_NONE;

    VY_TRY(deliver_as(BOB, id, true, &outcome));
    assert_true(outcome == DELIVER_OUTCOME_HELD || outcome == DELIVER_OUTCOME_STORED);
    return vy_ok();
}

static struct vy_err store(const char *id)
{
    enum deliver_outcome outcome = DELIVER_OUTCOME_NONE;

    VY_TRY(deliver_as(ADA, id, false, &outcome));
    assert_int_equal(outcome, DELIVER_OUTCOME_STORED);
    return vy_ok();
}

static enum deliver_outcome release(const char *id)
{
    const struct delivery_account account = {.account_id = BOB};
    const struct delivery_end_request request = {
        .delivery_id = vy_cstr(id), .commit = true, .accounts_count = 1, .accounts = &account};
    struct delivery_end_reply reply;

    assert_false(vy_failed(shard_local_call(holder, METHOD_SHARD_DELIVERY_END, NULL, &request,
                                            vy_bytes(NULL, 0), &reply, NULL)));
    assert_int_equal(reply.results_count, 1);
    return reply.results[0].outcome;
}

/* The whole of it; what went wrong, if anything did. */
static struct vy_err deliver(const char *id)
{
    VY_TRY(hold(id));
    VY_TRY(store(id));
    assert_int_equal(release(id), DELIVER_OUTCOME_STORED);
    return vy_ok();
}

static size_t rows(struct shard_local *local, enum shard_family family)
{
    return shard_machine_count_rows(&local->machine, family);
}

static void assert_copies(size_t count)
{
    assert_int_equal(rows(decider, SHARD_EMAIL), count);
    assert_int_equal(rows(holder, SHARD_EMAIL), count);
    assert_int_equal(rows(decider, SHARD_BODY), count);
    assert_int_equal(rows(holder, SHARD_BODY), count);
    assert_int_equal(rows(holder, SHARD_HELD), 0);
}

/* ---- tests ---- */

static void nobody_is_asked_when_all_goes_well(void **state)
{
    (void)state;
    assert_false(vy_failed(deliver(first_id)));
    assert_copies(1);
    run_ms(60000);
    assert_int_equal(asked, 0);
    assert_copies(1);
}

/* The frontend stops before the decision: it is "no", and what it may still say comes too late. */
static void p2_held_and_never_decided_it_goes(void **state)
{
    (void)state;
    assert_false(vy_failed(hold(first_id)));
    run_ms(HOLD_MS - 1000);
    assert_int_equal(asked, 0);
    assert_int_equal(rows(holder, SHARD_HELD), 1);
    run_ms(3000);
    assert_int_equal(asked, 1);
    assert_copies(0);
    assert_int_equal(service_stats(holder->service)->copies_dropped, 1);
    assert_int_equal(service_stats(decider->service)->deliveries_denied, 1);
    assert_int_equal(service_stats(holder->service)->held_bytes, 0);
    assert_int_equal(store(first_id).code, VY_CODE_PRECONDITION);
    assert_copies(0);
}

/* It stops behind the decision: the copy becomes a message without it. */
static void p2_decided_and_never_released_it_is_let_out(void **state)
{
    (void)state;
    assert_false(vy_failed(hold(first_id)));
    assert_false(vy_failed(store(first_id)));
    run_ms(HOLD_MS + 2000);
    assert_copies(1);
    assert_int_equal(service_stats(holder->service)->copies_released, 1);
    assert_int_equal(release(first_id), DELIVER_OUTCOME_STORED); /* the late frontend is told so */
    assert_copies(1);
}

static void another_leader_settles_what_the_first_one_held(void **state)
{
    (void)state;
    assert_false(vy_failed(hold(first_id)));
    assert_false(vy_failed(store(first_id)));
    shard_local_set_leader(holder, false);
    run_ms(HOLD_MS + 2000);
    assert_int_equal(asked, 0); /* a follower settles nothing */
    shard_local_set_leader(holder, true);
    run_ms(3000);
    assert_copies(1);
}

/* While the decider is away nothing is assumed; six days later the copy is given up. */
static void a_group_out_of_reach_is_waited_for(void **state)
{
    (void)state;
    assert_false(vy_failed(hold(first_id)));
    assert_false(vy_failed(store(first_id)));
    is_cut = true;
    run_ms(3600 * 1000);
    assert_int_equal(rows(holder, SHARD_HELD), 1);
    assert_true(asked > 10 && asked < 200); /* with longer and longer pauses */
    is_cut = false;
    run_ms(31000);
    assert_copies(1);
}

static void p16_what_can_never_be_settled_goes_in_the_end(void **state)
{
    (void)state;
    assert_false(vy_failed(hold(first_id)));
    is_cut = true;
    run_ms(3600 * 1000);
    holder->clock.wall_ms += SETTLER_HOLD_KEEP_MS;
    run_ms(40000);
    assert_copies(0);
    assert_int_equal(service_stats(holder->service)->copies_abandoned, 1);
}

/* P3: the client comes again at once. Its first attempt is asked about now, not when its time is
 * over; the second one is told to wait, and then finds what became of the first. */
static void p3_a_retry_hurries_what_is_open(void **state)
{
    (void)state;
    for (int is_decided = 0; is_decided < 2; is_decided++) {
        assert_false(vy_failed(hold(first_id)));
        if (is_decided == 1) {
            assert_false(vy_failed(store(first_id)));
        }
        assert_int_equal(deliver(second_id).code, VY_CODE_BUSY);
        run_ms(3000);
        assert_int_equal(rows(holder, SHARD_HELD), 0);
        assert_int_equal(asked, 1);
        assert_false(vy_failed(deliver(second_id)));
        assert_copies(1);
        run_ms(60000);
        assert_copies(1);
        tear_down(NULL);
        set_up(NULL);
    }
}

static void a_hold_without_its_decider_is_refused(void **state)
{
    const struct deliver_recipient recipient = {.account_id = BOB, .account_epoch = 1};
    struct message_deliver_request request = request_of(&recipient, first_id, true);

    (void)state;
    request.decider_group = 0;
    assert_int_equal(shard_local_call(holder, METHOD_SHARD_MESSAGE_DELIVER, NULL, &request,
                                      vy_cstr(BODY), NULL, NULL)
                         .code,
                     VY_CODE_ARGUMENT);
    request = request_of(&recipient, "short", true);
    assert_int_equal(shard_local_call(holder, METHOD_SHARD_MESSAGE_DELIVER, NULL, &request,
                                      vy_cstr(BODY), NULL, NULL)
                         .code,
                     VY_CODE_ARGUMENT);
}

/* P16: what waits for decisions is bounded. */
static void p16_a_group_holds_so_much_and_no_more(void **state)
{
    (void)state;
    assert_false(vy_failed(hold(first_id)));
    assert_true(service_stats(holder->service)->held_bytes > 0);
    settler_note_held(holder->service->settler, SETTLER_HELD_BYTES_MAX);
    assert_int_equal(hold(second_id).code, VY_CODE_BUSY);
    run_ms(HOLD_MS + 2000); /* the first one goes, and the next look counts anew */
    assert_false(vy_failed(hold(second_id)));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nobody_is_asked_when_all_goes_well),
        TEST(p2_held_and_never_decided_it_goes),
        TEST(p2_decided_and_never_released_it_is_let_out),
        TEST(another_leader_settles_what_the_first_one_held),
        TEST(a_group_out_of_reach_is_waited_for),
        TEST(p16_what_can_never_be_settled_goes_in_the_end),
        TEST(p3_a_retry_hurries_what_is_open),
        TEST(a_hold_without_its_decider_is_refused),
        TEST(p16_a_group_holds_so_much_and_no_more),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
