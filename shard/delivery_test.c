/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Delivery in the state machine: retries that find their copy (P3), and the two sides of a delivery
 * to several groups (P2, design section 8): one decides, the other holds. Every order of their
 * commands, repeated and with restarts between, ends with a copy for both or for none.
 */
#include "proto/shard.pb.h"
#include "shard/fsm.h"
#include "shard/read.h"
#include "tests/lib/shard_machine.h"
#include "tests/lib/test.h"

#include "base/assert.h"
#include <stdio.h>

#define ADA 5U /* in the group that decides */
#define BOB 6U /* in the group that holds */
#define DAY_MS (24ULL * 60 * 60 * 1000)
#define RETRY_KEEP_MS DAY_MS
#define KEEP_MS (8 * DAY_MS)
#define SIZE 10U

static struct shard_machine decider;
static struct shard_machine holder;

static const uint8_t inbox_hash[SHARD_HASH_BYTES] = "INBOX";

static struct shard_result init_account(struct shard_machine *m, uint64_t account_id,
                                        uint64_t quota_bytes)
{
    const struct sealed_name name = {.hash = vy_bytes(inbox_hash, sizeof(inbox_hash)),
                                     .sealed = VY_LIT("INBOX")};
    const struct new_mailbox inbox = {
        .name = &name, .role = MAILBOX_ROLE_INBOX, .subscribed = true};
    const struct cmd_account_init init = {
        .quota_bytes = quota_bytes, .mailboxes_count = 1, .mailboxes = &inbox};

    return shard_machine_apply(m, &(struct shard_command){.account_id = account_id,
                                                          .account_epoch = 1,
                                                          .account_init = &init});
}

static int set_up(void **state)
{
    (void)state;
    shard_machine_init(&decider);
    shard_machine_init(&holder);
    init_account(&decider, ADA, 0);
    init_account(&holder, BOB, 100);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    shard_machine_deinit(&decider);
    shard_machine_deinit(&holder);
    return 0;
}

/* ---- commands ---- */

static uint64_t next_email = 1;

static struct vy_bytes id_of(struct shard_machine *m, uint64_t number)
{
    uint8_t id[SHARD_ID_BYTES] = {0};
    struct vy_bytes copy;

    vy_put_be64(id + 8, number);
    assert_false(vy_failed(vy_arena_dup(&m->arena, vy_bytes(id, sizeof(id)), &copy)));
    return copy;
}

/* A recipient whose body came beside the command. token 0: none. */
static struct new_delivery copy_for(struct shard_machine *m, uint64_t account_id, uint64_t token)
{
    uint8_t row[64] = {1}; /* version 1, no Message-ID, one chunk */
    struct new_message *message = VY_ARENA_NEW(&m->arena, struct new_message);

    assert_non_null(message);
    vy_put_be16(row + 2 + SHARD_HASH_BYTES, 1);
    *message = (struct new_message){
        .size_bytes = SIZE, .no_message_id = true, .email_id = id_of(m, next_email++)};
    assert_false(
        vy_failed(vy_arena_dup(&m->arena, vy_bytes(row, sizeof(row)), &message->email_row)));
    const struct shard_key key = keys_body(account_id, message->email_id.data, 0);
    shard_machine_put_payload(m, shard_key_bytes(&key), VY_LIT("chunk"));
    return (struct new_delivery){.account_id = account_id,
                                 .account_epoch = 1,
                                 .message = message,
                                 .retry_token = token == 0 ? vy_bytes(NULL, 0) : id_of(m, token)};
}

static struct shard_result deliver_copies(struct shard_machine *m,
                                          const struct new_delivery *copies, size_t count,
                                          uint64_t delivery)
{
    const struct cmd_deliver body = {
        .recipients_count = count,
        .recipients = copies,
        .retry_keep_ms = RETRY_KEEP_MS,
        .delivery_id = delivery == 0 ? vy_bytes(NULL, 0) : id_of(m, delivery),
        .decision_keep_ms = KEEP_MS,
    };

    return shard_machine_apply(m, &(struct shard_command){.deliver = &body});
}

static struct shard_result deliver(struct shard_machine *m, uint64_t account_id, uint64_t token,
                                   uint64_t delivery)
{
    const struct new_delivery copy = copy_for(m, account_id, token);

    return deliver_copies(m, &copy, 1, delivery);
}

static struct shard_result hold_copies(const struct new_delivery *copies, size_t count,
                                       uint64_t delivery)
{
    const struct cmd_hold body = {.delivery_id = id_of(&holder, delivery),
                                  .decider_group = 1,
                                  .ask_after_ms = 15000,
                                  .keep_ms = 6 * DAY_MS,
                                  .retry_keep_ms = RETRY_KEEP_MS,
                                  .recipients_count = count,
                                  .recipients = copies};

    return shard_machine_apply(&holder, &(struct shard_command){.hold = &body});
}

static struct shard_result hold(uint64_t token, uint64_t delivery)
{
    const struct new_delivery copy = copy_for(&holder, BOB, token);

    return hold_copies(&copy, 1, delivery);
}

static struct shard_result end_copies(bool commit, uint64_t delivery)
{
    const struct held_copy copy = {.account_id = BOB};
    const struct cmd_held_end body = {.delivery_id = id_of(&holder, delivery),
                                      .commit = commit,
                                      .copies_count = 1,
                                      .copies = &copy,
                                      .keep_ms = KEEP_MS};

    return shard_machine_apply(&holder, &(struct shard_command){.held_end = &body});
}

static bool ask(uint64_t delivery)
{
    const struct cmd_decide body = {.delivery_id = id_of(&decider, delivery), .keep_ms = KEEP_MS};
    const struct shard_result result =
        shard_machine_apply(&decider, &(struct shard_command){.decide = &body});

    assert_int_equal(result.code, SHARD_CODE_DONE);
    return result.committed;
}

static struct shard_result fence(uint64_t epoch, bool erase)
{
    const struct cmd_fence body = {.erase = erase};

    return shard_machine_apply(
        &holder,
        &(struct shard_command){.account_id = BOB, .account_epoch = epoch, .fence = &body});
}

/* ---- what is there ---- */

static struct account_row account(struct shard_machine *m, uint64_t account_id)
{
    struct account_row row = {.version = 0};
    bool found = false;

    assert_false(
        vy_failed(read_account(store_newest(m->store), &m->arena, account_id, &row, &found)));
    return row;
}

static uint64_t copies(struct shard_machine *m, uint64_t account_id)
{
    const uint64_t count = account(m, account_id).message_count;

    assert_int_equal(shard_machine_count_rows(m, SHARD_EMAIL), count);
    return count;
}

static size_t rows(struct shard_machine *m, enum shard_family family)
{
    return shard_machine_count_rows(m, family);
}

/* ---- P3: the retry of a client ---- */

static void p3_a_retry_finds_its_copy_and_brings_no_second_one(void **state)
{
    (void)state;
    const struct shard_result first = deliver(&decider, ADA, 77, 0);
    assert_int_equal(first.code, SHARD_CODE_DONE);
    shard_machine_restart(&decider);
    const struct shard_result again = deliver(&decider, ADA, 77, 0);
    assert_int_equal(again.code, SHARD_CODE_DONE);
    assert_int_equal(again.recipients[0].outcome, DELIVER_OUTCOME_STORED);
    assert_int_equal(again.recipients[0].uid, first.recipients[0].uid);
    assert_true(vy_bytes_equal(again.recipients[0].email_id, first.recipients[0].email_id));
    assert_int_equal(copies(&decider, ADA), 1);
    assert_int_equal(rows(&decider, SHARD_BODY), 1); /* what came with the retry is gone */
    /* Another token, or none, is another message. */
    deliver(&decider, ADA, 78, 0);
    deliver(&decider, ADA, 0, 0);
    deliver(&decider, ADA, 0, 0);
    assert_int_equal(copies(&decider, ADA), 4);
}

/* A delivery of copies with tokens needs no row for its own key; one without keeps it. */
static void p3_one_row_a_copy_is_enough(void **state)
{
    (void)state;
    for (uint64_t token = 0; token < 100; token += 77) {
        const struct new_delivery copy = copy_for(&decider, ADA, token);
        const struct cmd_deliver body = {
            .recipients_count = 1, .recipients = &copy, .retry_keep_ms = RETRY_KEEP_MS};
        const struct shard_command command = {.deliver = &body,
                                              .idempotency_key = VY_LIT("0123456789abcdef")};
        const struct shard_result first = shard_machine_apply(&decider, &command);
        const struct shard_result again = shard_machine_apply(&decider, &command);
        assert_int_equal(again.code, SHARD_CODE_DONE);
        assert_int_equal(again.recipients[0].outcome, DELIVER_OUTCOME_STORED);
        assert_int_equal(again.recipients[0].uid, first.recipients[0].uid);
    }
    assert_int_equal(copies(&decider, ADA), 2);
    assert_int_equal(rows(&decider, SHARD_BODY), 2);
}

static void p3_a_token_holds_for_its_time_by_the_clock_of_the_entries(void **state)
{
    (void)state;
    deliver(&decider, ADA, 77, 0);
    decider.time_ms += RETRY_KEEP_MS - 1;
    deliver(&decider, ADA, 77, 0);
    assert_int_equal(copies(&decider, ADA), 1);
    decider.time_ms += 1;
    deliver(&decider, ADA, 77, 0);
    assert_int_equal(copies(&decider, ADA), 2);
}

static void p3_one_of_two_recipients_has_it_already(void **state)
{
    (void)state;
    init_account(&decider, BOB, 0);
    deliver(&decider, ADA, 77, 0);
    const struct new_delivery both[] = {copy_for(&decider, ADA, 77), copy_for(&decider, BOB, 77)};
    const struct shard_result result = deliver_copies(&decider, both, 2, 0);
    assert_int_equal(result.code, SHARD_CODE_DONE);
    assert_int_equal(result.recipients[0].outcome, DELIVER_OUTCOME_STORED);
    assert_int_equal(result.recipients[1].outcome, DELIVER_OUTCOME_STORED);
    assert_int_equal(account(&decider, ADA).message_count, 1);
    assert_int_equal(account(&decider, BOB).message_count, 1);
    assert_int_equal(rows(&decider, SHARD_BODY), 2);
}

/* A full mailbox is no reason to refuse what is in it; a token is of one account alone. */
static void p3_a_retry_into_a_full_mailbox_is_answered(void **state)
{
    (void)state;
    for (uint64_t token = 1; token <= 10; token++) {
        assert_int_equal(deliver(&holder, BOB, token, 0).code, SHARD_CODE_DONE);
    }
    assert_int_equal(deliver(&holder, BOB, 11, 0).code, SHARD_CODE_QUOTA);
    assert_int_equal(deliver(&holder, BOB, 10, 0).code, SHARD_CODE_DONE);
    assert_int_equal(copies(&holder, BOB), 10);
    assert_int_equal(rows(&holder, SHARD_BODY), 10);
    init_account(&holder, ADA, 0);
    assert_int_equal(deliver(&holder, ADA, 10, 0).code, SHARD_CODE_DONE);
    assert_int_equal(account(&holder, ADA).message_count, 1);
}

/* A frontend asks again under an epoch that is over by now: refused, its client would be told "no"
 * of what is stored. New mail under that epoch is refused. */
static void p3_a_newer_epoch_does_not_deny_what_is_stored(void **state)
{
    (void)state;
    deliver(&holder, BOB, 77, 0);
    fence(2, false);
    assert_int_equal(deliver(&holder, BOB, 77, 0).code, SHARD_CODE_DONE);
    assert_int_equal(deliver(&holder, BOB, 78, 0).code, SHARD_CODE_STALE);
    assert_int_equal(copies(&holder, BOB), 1);
    assert_int_equal(rows(&holder, SHARD_BODY), 1);
}

/* P8: an erased account remembers nothing, and is never answered "stored". */
static void p8_an_erased_account_has_no_tokens(void **state)
{
    (void)state;
    deliver(&holder, BOB, 77, 0);
    hold(78, 1000);
    fence(2, true);
    assert_int_equal(rows(&holder, SHARD_HELD), 0);
    assert_int_equal(rows(&holder, SHARD_BODY), 0);
    assert_int_equal(deliver(&holder, BOB, 77, 0).code, SHARD_CODE_NO_ACCOUNT);
    assert_int_equal(end_copies(true, 1000).recipients[0].outcome, DELIVER_OUTCOME_NO_ACCOUNT);
    assert_int_equal(rows(&holder, SHARD_EMAIL), 0);
    assert_int_equal(rows(&holder, SHARD_BODY), 0);
}

/* ---- a held copy ---- */

static void a_held_copy_is_durable_unseen_and_has_its_room(void **state)
{
    (void)state;
    const unsigned told = holder.events[FSM_EVENT_MAILBOX];
    const struct shard_result result = hold(0, 1000);
    assert_int_equal(result.code, SHARD_CODE_DONE);
    assert_int_equal(result.recipients[0].outcome, DELIVER_OUTCOME_HELD);
    assert_int_equal(copies(&holder, BOB), 0);
    assert_int_equal(account(&holder, BOB).used_bytes, 0);
    assert_int_equal(account(&holder, BOB).held_bytes, SIZE);
    assert_int_equal(rows(&holder, SHARD_HELD), 1);
    assert_int_equal(rows(&holder, SHARD_BODY), 1);
    assert_int_equal(rows(&holder, SHARD_MSG), 0);
    assert_int_equal(holder.events[FSM_EVENT_MAILBOX], told); /* nobody is told */
    for (uint64_t delivery = 1001; delivery < 1010; delivery++) {
        assert_int_equal(hold(0, delivery).code, SHARD_CODE_DONE);
    }
    const struct shard_result over = hold(0, 1010);
    assert_int_equal(over.code, SHARD_CODE_QUOTA);
    assert_int_equal(over.recipients[0].outcome, DELIVER_OUTCOME_OVER_QUOTA);
    assert_int_equal(deliver(&holder, BOB, 0, 0).code, SHARD_CODE_QUOTA);
    assert_int_equal(rows(&holder, SHARD_BODY), 10);
}

static void released_it_is_a_message_like_any_other(void **state)
{
    (void)state;
    hold(0, 1000);
    shard_machine_restart(&holder);
    const unsigned told = holder.events[FSM_EVENT_MAILBOX];
    const struct shard_result result = end_copies(true, 1000);
    assert_int_equal(result.recipients[0].outcome, DELIVER_OUTCOME_STORED);
    assert_int_equal(result.recipients[0].uid, 1);
    assert_int_equal(copies(&holder, BOB), 1);
    assert_int_equal(account(&holder, BOB).used_bytes, SIZE);
    assert_int_equal(account(&holder, BOB).held_bytes, 0);
    assert_int_equal(rows(&holder, SHARD_HELD), 0);
    assert_int_equal(rows(&holder, SHARD_BODY), 1);
    assert_int_equal(holder.events[FSM_EVENT_MAILBOX], told + 1);
    const struct shard_result again = end_copies(true, 1000);
    assert_int_equal(again.recipients[0].outcome, DELIVER_OUTCOME_STORED);
    assert_int_equal(again.recipients[0].uid, 1);
    assert_int_equal(copies(&holder, BOB), 1);
    /* A hold that was on its way for long does not bring it back. */
    hold(0, 1000);
    assert_int_equal(rows(&holder, SHARD_HELD), 0);
    assert_int_equal(rows(&holder, SHARD_BODY), 1);
}

static void dropped_it_leaves_nothing(void **state)
{
    (void)state;
    const uint32_t before = shard_machine_digest(&holder);
    hold(77, 1000);
    end_copies(false, 1000);
    end_copies(false, 1000);
    assert_int_equal(rows(&holder, SHARD_HELD), 0);
    assert_int_equal(rows(&holder, SHARD_BODY), 0);
    assert_int_equal(account(&holder, BOB).held_bytes, 0);
    assert_int_equal(shard_machine_digest(&holder), before);
    assert_int_equal(end_copies(true, 1000).recipients[0].outcome, DELIVER_OUTCOME_NO_ACCOUNT);
    assert_int_equal(deliver(&holder, BOB, 77, 0).code, SHARD_CODE_DONE); /* its token is free */
}

static void held_twice_is_held_once(void **state)
{
    (void)state;
    const struct shard_result first = hold(77, 1000);
    const struct shard_result again = hold(77, 1000);
    assert_int_equal(again.code, SHARD_CODE_DONE);
    assert_true(vy_bytes_equal(again.recipients[0].email_id, first.recipients[0].email_id));
    assert_int_equal(rows(&holder, SHARD_HELD), 1);
    assert_int_equal(rows(&holder, SHARD_BODY), 1);
    /* The very same command again must not take its body away, under its key or without one. */
    const struct new_delivery copy = copy_for(&holder, BOB, 0);
    const struct cmd_hold body = {.delivery_id = id_of(&holder, 2000),
                                  .decider_group = 1,
                                  .keep_ms = DAY_MS,
                                  .recipients_count = 1,
                                  .recipients = &copy};
    struct shard_command command = {.hold = &body};
    for (int i = 0; i < 4; i++) {
        command.idempotency_key = i < 2 ? vy_bytes(NULL, 0) : VY_LIT("0123456789abcdef");
        assert_int_equal(shard_machine_apply(&holder, &command).code, SHARD_CODE_DONE);
    }
    assert_int_equal(rows(&holder, SHARD_HELD), 2);
    assert_int_equal(rows(&holder, SHARD_BODY), 2);
}

static void an_account_holds_a_delivery_once(void **state)
{
    (void)state;
    const struct new_delivery twice[] = {copy_for(&holder, BOB, 0), copy_for(&holder, BOB, 0)};
    assert_int_equal(hold_copies(twice, 2, 1000).code, SHARD_CODE_PRECONDITION);
    assert_int_equal(rows(&holder, SHARD_HELD) + rows(&holder, SHARD_BODY), 0);
}

/* P2: one group's recipients are held all or not at all. */
static void one_refused_recipient_and_nothing_is_held(void **state)
{
    (void)state;
    init_account(&holder, ADA, SIZE - 1);
    const struct new_delivery both[] = {copy_for(&holder, BOB, 1), copy_for(&holder, ADA, 1)};
    const struct shard_result result = hold_copies(both, 2, 1000);
    assert_int_equal(result.code, SHARD_CODE_QUOTA);
    assert_int_equal(result.recipients[1].outcome, DELIVER_OUTCOME_OVER_QUOTA);
    assert_int_equal(rows(&holder, SHARD_HELD) + rows(&holder, SHARD_BODY), 0);
    assert_int_equal(account(&holder, BOB).held_bytes, 0);
}

/* A long body that was staged in chunks stays when it is held: its stage is over. */
static void a_staged_body_is_the_held_copys(void **state)
{
    (void)state;
    struct new_delivery copy = copy_for(&holder, BOB, 0);
    struct new_message message = *copy.message;
    const struct cmd_stage stage = {
        .email_id = message.email_id, .bytes = 5, .expires_ms = holder.time_ms + 1000};
    shard_machine_apply(
        &holder, &(struct shard_command){.account_id = BOB, .account_epoch = 1, .stage = &stage});
    message.staged = true;
    copy.message = &message;
    assert_int_equal(hold_copies(&copy, 1, 1000).code, SHARD_CODE_DONE);
    assert_int_equal(rows(&holder, SHARD_STAGE), 0);
    assert_int_equal(end_copies(true, 1000).recipients[0].outcome, DELIVER_OUTCOME_STORED);
    assert_int_equal(rows(&holder, SHARD_BODY), 1);
    hold_copies(&copy, 1, 1001); /* without its stage: refused */
    assert_int_equal(rows(&holder, SHARD_HELD), 0);
    assert_int_equal(rows(&holder, SHARD_BODY), 1);
}

/* DEL trap j: the account was fenced since (deleted, or its password changed): the copy goes, and
 * the frontend does not say 250. */
static void a_fence_between_hold_and_release_drops_the_copy(void **state)
{
    (void)state;
    hold(77, 1000);
    fence(2, false);
    assert_int_equal(end_copies(true, 1000).recipients[0].outcome, DELIVER_OUTCOME_NO_ACCOUNT);
    assert_int_equal(copies(&holder, BOB), 0);
    assert_int_equal(rows(&holder, SHARD_HELD) + rows(&holder, SHARD_BODY), 0);
    assert_int_equal(account(&holder, BOB).held_bytes, 0);
    struct new_delivery copy = copy_for(&holder, BOB, 77);
    copy.account_epoch = 2; /* the retry, after a fresh look-up */
    assert_int_equal(deliver_copies(&holder, &copy, 1, 0).code, SHARD_CODE_DONE);
    assert_int_equal(copies(&holder, BOB), 1);
}

/* ---- the decision ---- */

static void who_asks_first_is_told_no_for_good(void **state)
{
    (void)state;
    assert_false(ask(1000));
    assert_int_equal(deliver(&decider, ADA, 0, 1000).code, SHARD_CODE_DECIDED_NO);
    shard_machine_restart(&decider);
    assert_int_equal(deliver(&decider, ADA, 0, 1000).code, SHARD_CODE_DECIDED_NO);
    assert_false(ask(1000));
    assert_int_equal(copies(&decider, ADA), 0);
    assert_int_equal(rows(&decider, SHARD_BODY), 0);
}

static void what_is_stored_is_decided(void **state)
{
    (void)state;
    assert_int_equal(deliver(&decider, ADA, 0, 1000).code, SHARD_CODE_DONE);
    assert_true(ask(1000));
    /* Again, under another key of the frontend: stored as before. */
    const struct shard_result again = deliver(&decider, ADA, 0, 1000);
    assert_int_equal(again.code, SHARD_CODE_DONE);
    assert_int_equal(again.recipients[0].outcome, DELIVER_OUTCOME_STORED);
    assert_int_equal(copies(&decider, ADA), 1);
    assert_int_equal(rows(&decider, SHARD_BODY), 1);
    decider.time_ms += KEEP_MS - 1; /* as long as anybody could ask */
    assert_true(ask(1000));
}

static void a_refused_delivery_decides_nothing(void **state)
{
    (void)state;
    init_account(&decider, BOB, SIZE - 1);
    assert_int_equal(deliver(&decider, BOB, 0, 1000).code, SHARD_CODE_QUOTA);
    assert_false(ask(1000));
}

/* ---- every order ---- */

/* What happens to one delivery, as often as it likes and in any order. */
enum step { STEP_HOLD, STEP_STORE, STEP_ASK, STEP_END, STEP_RESTART, STEP_RETRY, STEP_COUNT };

struct story {
    uint64_t delivery; /* token and id of the first attempt; the retry's is one more */
    bool is_yes;       /* somebody heard it */
    bool is_no;
};

static void hear(struct story *story, bool is_yes)
{
    story->is_yes |= is_yes;
    story->is_no |= !is_yes;
    assert_false(story->is_yes && story->is_no); /* one word, for good */
}

/* A frontend stores at the decider once the others hold, and not before. */
static void store(struct story *story)
{
    if (rows(&holder, SHARD_HELD) == 0) {
        return;
    }
    const struct shard_result result = deliver(&decider, ADA, story->delivery, story->delivery);
    if (result.code == SHARD_CODE_DONE) {
        hear(story, true);
    } else {
        assert_int_equal(result.code, SHARD_CODE_DECIDED_NO);
        hear(story, false);
    }
}

static void end(const struct story *story)
{
    if (story->is_yes || story->is_no) {
        end_copies(story->is_yes, story->delivery);
    }
}

/* The client sends again, over another frontend: the whole of it, or what is refused meanwhile. */
static bool retry(const struct story *story)
{
    const uint64_t delivery = story->delivery + 1;
    const struct shard_result held = hold(story->delivery, delivery);

    if (held.code == SHARD_CODE_PENDING) {
        assert_true(vy_bytes_equal(held.recipients[0].email_id, id_of(&holder, story->delivery)));
        return false;
    }
    assert_int_equal(held.code, SHARD_CODE_DONE);
    assert_int_equal(deliver(&decider, ADA, story->delivery, delivery).code, SHARD_CODE_DONE);
    assert_int_equal(end_copies(true, delivery).recipients[0].outcome, DELIVER_OUTCOME_STORED);
    return true;
}

static void take_step(struct story *story, enum step step)
{
    switch (step) {
    case STEP_HOLD: {
        const enum shard_code code = (enum shard_code)hold(story->delivery, story->delivery).code;
        assert_true(code == SHARD_CODE_DONE || code == SHARD_CODE_PENDING);
        break;
    }
    case STEP_STORE:
        store(story);
        break;
    case STEP_ASK:
        hear(story, ask(story->delivery));
        break;
    case STEP_END:
        end(story);
        break;
    case STEP_RESTART:
        shard_machine_restart(&decider);
        shard_machine_restart(&holder);
        break;
    case STEP_RETRY:
        (void)retry(story);
        break;
    case STEP_COUNT:
        break;
    }
}

static void check_story(struct story *story)
{
    hear(story, ask(story->delivery)); /* the settler, in the end */
    end(story);
    assert_int_equal(rows(&holder, SHARD_HELD), 0);
    assert_int_equal(copies(&decider, ADA), copies(&holder, BOB));
    assert_true(copies(&decider, ADA) <= 1);
    assert_true(retry(story));
    assert_int_equal(copies(&decider, ADA), 1);
    assert_int_equal(copies(&holder, BOB), 1);
    assert_int_equal(rows(&decider, SHARD_BODY), copies(&decider, ADA));
    assert_int_equal(rows(&holder, SHARD_BODY), copies(&holder, BOB));
    assert_int_equal(account(&holder, BOB).held_bytes, 0);
}

#define STEPS 5U

static void p2_every_order_of_steps_ends_with_a_copy_for_both_or_for_none(void **state)
{
    uint64_t stories = 1;

    (void)state;
    for (unsigned i = 0; i < STEPS; i++) {
        stories *= STEP_COUNT;
    }
    for (uint64_t number = 0; number < stories; number++) {
        struct story story = {.delivery = 1000};
        uint64_t rest = number;
        for (unsigned i = 0; i < STEPS; i++, rest /= STEP_COUNT) {
            take_step(&story, (enum step)(rest % STEP_COUNT));
        }
        check_story(&story);
        tear_down(NULL);
        set_up(NULL);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(p3_a_retry_finds_its_copy_and_brings_no_second_one),
        TEST(p3_one_row_a_copy_is_enough),
        TEST(p3_a_token_holds_for_its_time_by_the_clock_of_the_entries),
        TEST(p3_one_of_two_recipients_has_it_already),
        TEST(p3_a_retry_into_a_full_mailbox_is_answered),
        TEST(p3_a_newer_epoch_does_not_deny_what_is_stored),
        TEST(p8_an_erased_account_has_no_tokens),
        TEST(a_held_copy_is_durable_unseen_and_has_its_room),
        TEST(released_it_is_a_message_like_any_other),
        TEST(dropped_it_leaves_nothing),
        TEST(held_twice_is_held_once),
        TEST(an_account_holds_a_delivery_once),
        TEST(one_refused_recipient_and_nothing_is_held),
        TEST(a_staged_body_is_the_held_copys),
        TEST(a_fence_between_hold_and_release_drops_the_copy),
        TEST(who_asks_first_is_told_no_for_good),
        TEST(what_is_stored_is_decided),
        TEST(a_refused_delivery_decides_nothing),
        TEST(p2_every_order_of_steps_ends_with_a_copy_for_both_or_for_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
