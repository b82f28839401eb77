/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The core alone, driven by hand: each of the ten guards in the situation that needs it, and the
 * two faults of older libraft that lost entries (promises.md E1; E2 is in replica_group_test.c).
 */
#include "base/assert.h"
#include "replica/core_private.h"
#include "tests/lib/test.h"
#include <stdlib.h>

#define ENTRIES_MAX 64U
#define SENT_MAX 64U

struct desk {
    struct core *core;
    uint64_t id;
    uint64_t now_ms;
    uint64_t tickets;
    uint64_t persisted_term;
    uint64_t voted_for;
    uint64_t last_append_index;
    size_t last_append_count;
    unsigned appends;
    struct core_message sent[SENT_MAX];
    uint64_t sent_to[SENT_MAX];
    size_t sent_count;
    struct entry *log[ENTRIES_MAX]; /* by index; references */
    struct core_row rows[ENTRIES_MAX];
    struct entry *owned[ENTRIES_MAX]; /* freed at the end */
    size_t owned_count;
};

static struct vy_err on_persist(void *arg, uint64_t term, uint64_t voted_for)
{
    struct desk *desk = arg;
    assert_true(term >= desk->persisted_term);
    desk->persisted_term = term;
    desk->voted_for = voted_for;
    return vy_ok();
}

static uint64_t on_append(void *arg, uint64_t index, struct entry *const *entries, size_t count)
{
    struct desk *desk = arg;
    assert_non_null(entries);
    desk->last_append_index = index;
    desk->last_append_count = count;
    desk->appends++;
    for (size_t i = 0; i < count; i++) {
        assert_true(index + i < ENTRIES_MAX);
        entry_unref(desk->log[index + i]);
        desk->log[index + i] = entry_ref(entries[i]);
    }
    return ++desk->tickets;
}

static void on_send(void *arg, uint64_t to, const struct core_message *message)
{
    struct desk *desk = arg;
    assert_true(desk->sent_count < SENT_MAX);
    desk->sent_to[desk->sent_count] = to;
    desk->sent[desk->sent_count++] = *message;
}

static const struct core_ops desk_ops = {
    .persist = on_persist, .append = on_append, .send = on_send};

static struct entry *own(struct desk *desk, struct entry *entry)
{
    assert_true(desk->owned_count < ENTRIES_MAX);
    desk->owned[desk->owned_count++] = entry;
    return entry;
}

static struct entry *command(struct desk *desk, uint64_t term)
{
    const struct entry_command text = {.command = VY_LIT("x")};
    struct entry *entry = NULL;
    assert_false(vy_failed(entry_new_commands(term, 1, &text, 1, &entry)));
    return own(desk, entry);
}

/* Members 1 .. voters, and one more that does not vote if `spare`. */
static struct entry *change(struct desk *desk, uint64_t term, unsigned voters, uint64_t spare)
{
    static const char *const addresses[] = {"", "1", "2", "3", "4", "5"};
    struct raft_configuration conf;
    struct raft_buffer bytes;
    struct entry *entry = NULL;
    raft_configuration_init(&conf);
    for (unsigned i = 1; i <= voters; i++) {
        assert_int_equal(raft_configuration_add(&conf, i, addresses[i], RAFT_VOTER), 0);
    }
    if (spare != 0) {
        assert_int_equal(raft_configuration_add(&conf, spare, addresses[spare], RAFT_SPARE), 0);
    }
    assert_int_equal(raft_configuration_encode(&conf, &bytes), 0);
    raft_configuration_close(&conf);
    assert_false(
        vy_failed(entry_new_raw(term, ENTRY_CHANGE, vy_bytes(bytes.base, bytes.len), &entry)));
    raft_free(bytes.base);
    return own(desk, entry);
}

/* A core with id `id` whose log has these terms; entry 1 is the change. */
static struct desk *desk_new(uint64_t id, uint64_t term, const uint64_t *terms, size_t count,
                             unsigned voters, uint64_t spare)
{
    struct desk *desk = calloc(1, sizeof(*desk));
    assert_non_null(desk);
    const struct core_config config = {.id = id,
                                       .address = id == 1 ? "1" : "3",
                                       .seed = 1,
                                       .election_timeout_ms = 100,
                                       .heartbeat_ms = 20,
                                       .ops = &desk_ops,
                                       .arg = desk};
    desk->id = id;
    desk->now_ms = 1000;
    desk->persisted_term = term;
    assert_false(vy_failed(core_new(&config, &desk->core)));
    desk->rows[0].change = change(desk, terms[0], voters, spare);
    for (size_t i = 0; i < count; i++) {
        desk->rows[i].term = terms[i];
        desk->log[i + 1] = entry_ref(i == 0 ? desk->rows[0].change : command(desk, terms[i]));
    }
    const struct core_state state = {.term = term, .rows = desk->rows, .row_count = count};
    assert_false(vy_failed(core_start(desk->core, desk->now_ms, &state)));
    return desk;
}

static void desk_free(struct desk *desk)
{
    core_free(desk->core);
    for (size_t i = 0; i < desk->owned_count; i++) {
        entry_unref(desk->owned[i]);
    }
    for (size_t i = 0; i < ENTRIES_MAX; i++) {
        entry_unref(desk->log[i]);
    }
    free(desk);
}

static void receive(struct desk *desk, uint64_t from, struct core_message message)
{
    message.version = message.kind == CORE_VOTE || message.kind == CORE_VOTE_RESULT ? 2 : 1;
    desk->sent_count = 0;
    assert_false(vy_failed(core_receive(desk->core, desk->now_ms, from, &message)));
}

static void written(struct desk *desk)
{
    assert_false(vy_failed(core_written(desk->core, desk->now_ms, desk->tickets)));
}

/* Pre-vote, vote, both granted by member 2. */
static void elect(struct desk *desk)
{
    desk->now_ms = core_timeout_ms(desk->core);
    desk->sent_count = 0;
    assert_false(vy_failed(core_tick(desk->core, desk->now_ms)));
    for (unsigned i = 0; i < 2 && core_role(desk->core) != REPLICA_ROLE_LEADER; i++) {
        const struct core_message request = desk->sent[0];
        assert_int_equal(request.kind, CORE_VOTE);
        receive(desk, 2,
                (struct core_message){.kind = CORE_VOTE_RESULT,
                                      .term = request.term,
                                      .pre_vote = request.pre_vote,
                                      .is_granted = true});
    }
    assert_int_equal(core_role(desk->core), REPLICA_ROLE_LEADER);
}

static void acknowledge(struct desk *desk, uint64_t from, uint64_t index)
{
    receive(desk, from,
            (struct core_message){
                .kind = CORE_APPEND_RESULT, .term = core_term(desk->core), .last_index = index});
}

static void append_from_2(struct desk *desk, uint64_t term, uint64_t prev, uint64_t prev_term,
                          struct entry **entries, size_t count, uint64_t commit)
{
    receive(desk, 2,
            (struct core_message){.kind = CORE_APPEND,
                                  .term = term,
                                  .prev_index = prev,
                                  .prev_term = prev_term,
                                  .commit = commit,
                                  .entries = entries,
                                  .count = count});
}

/* E1, Raft 5.4.2, Figure 8: an entry of an old term on a majority is not committed by counting. */
static void entries_of_old_terms_are_committed_by_one_of_the_own_term_only(void **state)
{
    (void)state;
    struct desk *desk = desk_new(1, 3, (const uint64_t[]){1, 2}, 2, 3, 0);
    elect(desk);
    assert_int_equal(core_term(desk->core), 4);
    assert_int_equal(core_noop_index(desk->core), 3);
    acknowledge(desk, 2, 2); /* a majority has entry 2 of term 2 */
    assert_true(core_commit_index(desk->core) < 2);
    written(desk);
    assert_true(core_commit_index(desk->core) < 2);
    assert_false(core_is_ready(desk->core));
    acknowledge(desk, 2, 3);
    assert_int_equal(core_commit_index(desk->core), 3);
    assert_true(core_is_ready(desk->core));
    desk_free(desk);
}

static void guard_1_a_change_of_members_is_recorded_at_its_own_index(void **state)
{
    (void)state;
    struct desk *desk = desk_new(1, 1, (const uint64_t[]){1}, 1, 3, 0);
    struct entry *entries[] = {command(desk, 2), command(desk, 2), change(desk, 2, 3, 4)};
    append_from_2(desk, 2, 1, 1, entries, 3, 1);
    assert_int_equal(core_last_index(desk->core), 4);
    assert_int_equal(desk->core->raft.configuration_uncommitted_index, 4);
    assert_true(core_has_member(desk->core, 4));
    written(desk);
    struct entry *other = command(desk, 3); /* the next leader never saw 3 and 4 */
    append_from_2(desk, 3, 2, 2, &other, 1, 1);
    assert_int_equal(core_last_index(desk->core), 3);
    assert_false(core_has_member(desk->core, 4));
    desk_free(desk);
}

static void guard_2_an_append_below_a_cut_log_is_rebased(void **state)
{
    (void)state;
    struct desk *desk = calloc(1, sizeof(*desk));
    const struct core_config config = {.id = 1,
                                       .address = "1",
                                       .seed = 1,
                                       .election_timeout_ms = 100,
                                       .heartbeat_ms = 20,
                                       .ops = &desk_ops,
                                       .arg = desk};
    assert_false(vy_failed(core_new(&config, &desk->core)));
    desk->now_ms = 1000;
    desk->persisted_term = 2;
    const struct core_state cut = {.term = 2,
                                   .base_index = 10,
                                   .base_term = 2,
                                   .base_members_index = 1,
                                   .base_members = change(desk, 1, 3, 0)->body};
    assert_false(vy_failed(core_start(desk->core, desk->now_ms, &cut)));
    struct entry *entries[7];
    for (size_t i = 0; i < VY_COUNT_OF(entries); i++) {
        entries[i] = command(desk, 2);
    }
    append_from_2(desk, 2, 5, 2, entries, 7, 5);
    assert_int_equal(core_last_index(desk->core), 12);
    assert_int_equal(desk->last_append_index, 11);
    assert_int_equal(desk->last_append_count, 2);
    append_from_2(desk, 2, 3, 2, entries, 2, 5); /* nothing of it is new */
    assert_int_equal(core_last_index(desk->core), 12);
    assert_int_equal(desk->appends, 1);
    assert_true(desk->sent_count > 0); /* and the leader hears so */
    desk_free(desk);
}

static void guard_4_the_commit_index_never_goes_back(void **state)
{
    (void)state;
    struct desk *desk = desk_new(1, 1, (const uint64_t[]){1, 1, 1, 1}, 4, 3, 0);
    append_from_2(desk, 2, 4, 1, NULL, 0, 4);
    assert_int_equal(core_commit_index(desk->core), 4);
    guard_keep_commit(desk->core, 2); /* what raft says after some changes of leaders */
    assert_int_equal(core_commit_index(desk->core), 4);
    guard_keep_commit(desk->core, 5);
    assert_int_equal(core_commit_index(desk->core), 5);
    desk_free(desk);
}

static void guard_8_an_old_rejection_is_dropped(void **state)
{
    (void)state;
    struct desk *desk = desk_new(1, 1, (const uint64_t[]){1, 1, 1}, 3, 3, 0);
    elect(desk);
    written(desk);
    acknowledge(desk, 2, 4);
    struct core_message rejection = {
        .kind = CORE_APPEND_RESULT, .term = core_term(desk->core), .rejected = 3, .last_index = 2};
    assert_true(guard_is_stale_rejection(desk->core, 2, &rejection));
    assert_false(guard_is_stale_rejection(desk->core, 3, &rejection));
    receive(desk, 2, rejection);
    assert_int_equal(desk->sent_count, 0);
    uint64_t match = 0;
    assert_true(core_match_index(desk->core, 2, &match));
    assert_int_equal(match, 4);
    rejection.last_index = 1; /* of a member that has nothing yet it is news */
    receive(desk, 3, rejection);
    assert_true(desk->sent_count > 0);
    desk_free(desk);
}

static void guard_16_what_is_not_on_our_disk_is_not_applicable(void **state)
{
    (void)state;
    struct desk *desk = desk_new(1, 1, (const uint64_t[]){1}, 1, 3, 0);
    elect(desk);
    acknowledge(desk, 2, 2);
    acknowledge(desk, 3, 2); /* both others have the no-op before we do */
    assert_int_equal(core_commit_index(desk->core), 2);
    assert_int_equal(core_applicable(desk->core), 1);
    assert_false(core_is_ready(desk->core));
    written(desk);
    assert_int_equal(core_applicable(desk->core), 2);
    assert_true(core_is_ready(desk->core));
    desk_free(desk);
}

static void guard_32_members_change_only_behind_an_entry_of_the_own_term(void **state)
{
    (void)state;
    struct desk *desk = desk_new(1, 1, (const uint64_t[]){1}, 1, 3, 0);
    elect(desk);
    struct entry *entry = change(desk, core_term(desk->core), 3, 4);
    assert_int_equal(desk->last_append_index, 2); /* the no-op is on its way already */
    assert_int_equal(core_submit(desk->core, desk->now_ms, &entry, 1).code, VY_CODE_PRECONDITION);
    written(desk);
    assert_int_equal(core_submit(desk->core, desk->now_ms, &entry, 1).code, VY_CODE_PRECONDITION);
    acknowledge(desk, 2, 2);
    assert_false(vy_failed(core_submit(desk->core, desk->now_ms, &entry, 1)));
    struct entry *second = change(desk, core_term(desk->core), 3, 5);
    assert_int_equal(core_submit(desk->core, desk->now_ms, &second, 1).code,
                     VY_CODE_PRECONDITION); /* one at a time */
    desk_free(desk);
}

static void guard_64_a_member_that_does_not_vote_yet_still_votes_when_asked(void **state)
{
    (void)state;
    struct desk *desk = desk_new(3, 1, (const uint64_t[]){1}, 1, 2, 3);
    desk->now_ms += 1000;
    receive(desk, 2,
            (struct core_message){.kind = CORE_VOTE, .term = 2, .last_index = 1, .last_term = 1});
    assert_int_equal(desk->sent_count, 1);
    assert_int_equal(desk->sent[0].kind, CORE_VOTE_RESULT);
    assert_true(desk->sent[0].is_granted);
    assert_int_equal(desk->persisted_term, 2);
    assert_int_equal(desk->voted_for, 2);
    assert_int_equal(desk->core->raft.configuration.n, 3); /* as it was */
    desk_free(desk);
}

static void guard_128_a_refused_pre_vote_tells_the_higher_term(void **state)
{
    (void)state;
    struct desk *desk = desk_new(1, 7, (const uint64_t[]){1, 6}, 2, 3, 0);
    desk->now_ms += 1000;
    receive(desk, 2,
            (struct core_message){
                .kind = CORE_VOTE, .term = 3, .pre_vote = true, .last_index = 1, .last_term = 1});
    assert_int_equal(desk->sent_count, 1);
    assert_int_equal(desk->sent[0].kind, CORE_VOTE_RESULT);
    assert_false(desk->sent[0].is_granted);
    assert_int_equal(desk->sent[0].term, 7);
    desk_free(desk);
}

/* Found by replica_sim_test's groups that change: a member that was removed after it had been asked
 * to take over ended the term of every leader for ever. */
static void guard_256_a_candidate_disrupts_the_leader_once(void **state)
{
    (void)state;
    struct desk *desk = desk_new(1, 2, (const uint64_t[]){1, 2}, 2, 3, 0);
    append_from_2(desk, 2, 2, 2, NULL, 0, 2);
    desk->sent_count = 0;
    receive(
        desk, 2,
        (struct core_message){
            .kind = CORE_TIMEOUT_NOW, .version = 1, .term = 2, .last_index = 2, .last_term = 2});
    assert_int_equal(desk->sent_count, 2);
    assert_int_equal(desk->sent[0].kind, CORE_VOTE);
    assert_true(desk->sent[0].disrupt_leader);
    assert_false(desk->sent[0].pre_vote);
    const uint64_t term = core_term(desk->core);
    desk->sent_count = 0;
    for (unsigned i = 0; i < 30 && desk->sent_count == 0; i++) {
        desk->now_ms += 10; /* nobody answers */
        assert_false(vy_failed(core_tick(desk->core, desk->now_ms)));
    }
    assert_int_equal(desk->sent_count, 2);
    assert_int_equal(desk->sent[0].kind, CORE_VOTE);
    assert_false(desk->sent[0].disrupt_leader);
    assert_true(desk->sent[0].pre_vote);
    assert_int_equal(core_term(desk->core), term);
    desk_free(desk);
}

/* Found by replica_sim_test's groups that change (seeds 40769 and 44885): a learner kept entries of
 * the term that a power cut had taken from the only voter, which led on in that term (P10). */
static void guard_512_the_only_voter_starts_a_term_of_its_own(void **state)
{
    (void)state;
    for (uint64_t spare = 0; spare <= 3; spare += 3) {
        struct desk *desk = desk_new(1, 2, (const uint64_t[]){1, 2}, 2, 1, spare);
        assert_int_equal(core_role(desk->core), REPLICA_ROLE_LEADER);
        assert_int_equal(core_term(desk->core), 3);
        assert_int_equal(desk->persisted_term, 3);
        assert_int_equal(desk->voted_for, 1);
        desk_free(desk);
    }
    struct desk *desk = desk_new(1, 2, (const uint64_t[]){1, 2}, 2, 3, 0);
    assert_int_equal(core_term(desk->core), 2); /* others vote: an election raises it */
    desk_free(desk);
}

static void hear_leader_2(struct desk *desk)
{
    append_from_2(desk, 7, 2, 7, NULL, 0, 1);
}

/* P11: the first of the members left stands within a heartbeat, the next one turn later. */
static void a_lost_leader_is_replaced_early_and_in_turns(void **state)
{
    static const struct {
        uint64_t id;
        uint64_t delay_ms;
    } rows[] = {
        {1, 10},
        {3, 50}
    };
    (void)state;
    for (size_t i = 0; i < VY_COUNT_OF(rows); i++) {
        struct desk *desk = desk_new(rows[i].id, 7, (const uint64_t[]){1, 7}, 2, 3, 0);
        hear_leader_2(desk);
        desk->now_ms += 15;
        assert_false(core_leader_lost(desk->core, desk->now_ms, 4 - rows[i].id)); /* a follower */
        assert_true(core_timeout_ms(desk->core) >= desk->now_ms + 85);
        assert_true(core_leader_lost(desk->core, desk->now_ms, 2));
        assert_int_equal(core_timeout_ms(desk->core), desk->now_ms + rows[i].delay_ms);
        assert_false(core_leader_lost(desk->core, desk->now_ms, 2)); /* told again */
        desk->now_ms += rows[i].delay_ms;
        desk->sent_count = 0;
        assert_false(vy_failed(core_tick(desk->core, desk->now_ms)));
        assert_int_equal(desk->sent[0].kind, CORE_VOTE);
        assert_true(desk->sent[0].pre_vote);
        assert_int_equal(core_term(desk->core), 7); /* nobody is disturbed by asking */
        assert_true(core_timeout_ms(desk->core) >= desk->now_ms + 100);
        desk_free(desk);
    }
}

/* A connection that was reset is no lost leader: elections must not flap. */
static void a_leader_that_is_heard_again_is_followed_with_the_old_patience(void **state)
{
    (void)state;
    struct desk *desk = desk_new(3, 7, (const uint64_t[]){1, 7}, 2, 3, 0);
    hear_leader_2(desk);
    const uint64_t patience_ms = core_timeout_ms(desk->core) - desk->now_ms;
    assert_true(core_leader_lost(desk->core, desk->now_ms, 2));
    desk->now_ms += 30;
    hear_leader_2(desk);
    assert_int_equal(core_timeout_ms(desk->core), desk->now_ms + patience_ms);
    receive(desk, 1,
            (struct core_message){
                .kind = CORE_VOTE, .term = 8, .pre_vote = true, .last_index = 2, .last_term = 7});
    assert_false(desk->sent[0].is_granted); /* it knows its leader again */
    desk_free(desk);
}

/* raft-step.md 1: a write that was cut under it does not count, even when it ends later. */
static void a_write_of_entries_that_were_replaced_is_not_reported(void **state)
{
    (void)state;
    struct desk *desk = desk_new(1, 1, (const uint64_t[]){1}, 1, 3, 0);
    struct entry *old[] = {command(desk, 2), command(desk, 2), command(desk, 2)};
    append_from_2(desk, 2, 1, 1, old, 3, 1);
    const uint64_t first_ticket = desk->tickets;
    struct entry *other = command(desk, 3);
    append_from_2(desk, 3, 2, 2, &other, 1, 1);
    assert_false(vy_failed(core_written(desk->core, desk->now_ms, first_ticket)));
    assert_int_equal(core_persisted_index(desk->core), 2);
    written(desk);
    assert_int_equal(core_persisted_index(desk->core), 3);
    desk_free(desk);
}

/* ---- entries that are not taken: peer.c hands the append over without them ---- */

static const struct core_message *answer_to_empty_append(struct desk *desk, uint64_t prev,
                                                         uint64_t prev_term)
{
    append_from_2(desk, 2, prev, prev_term, NULL, 0, 9);
    assert_int_equal(desk->sent_count, 1);
    assert_int_equal(desk->sent[0].kind, CORE_APPEND_RESULT);
    return &desk->sent[0];
}

/* P1: the answer to an append without its entries speaks of what is on the disk in front of them,
 * never of them, nor of entries behind that the leader may not have. */
static void entries_that_are_not_taken_are_not_acknowledged(void **state)
{
    (void)state;
    struct desk *desk = desk_new(1, 1, (const uint64_t[]){1, 1, 1, 1}, 4, 3, 0);
    const struct core_message *answer = answer_to_empty_append(desk, 2, 1);
    assert_int_equal(answer->rejected, 0);
    assert_int_equal(answer->last_index, 2); /* 3 and 4 may be others with this leader */
    assert_int_equal(core_commit_index(desk->core), 2);
    answer = answer_to_empty_append(desk, 4, 2); /* of another term here */
    assert_int_equal(answer->rejected, 4);
    assert_int_equal(answer->last_index, 3);
    answer = answer_to_empty_append(desk, 7, 2); /* those in front of it were not taken, too */
    assert_int_equal(answer->rejected, 7);
    assert_int_equal(answer->last_index, 4);
    struct entry *entry = command(desk, 2);
    append_from_2(desk, 2, 4, 1, &entry, 1, 9);
    answer = answer_to_empty_append(desk, 5, 2);
    assert_int_equal(answer->rejected, 0);
    assert_int_equal(answer->last_index, 4); /* 5 is being written */
    assert_int_equal(core_applicable(desk->core), 4);
    written(desk);
    assert_int_equal(answer_to_empty_append(desk, 5, 2)->last_index, 5);
    assert_int_equal(core_applicable(desk->core), 5);
    desk_free(desk);
}

static void carry(struct desk *from, struct desk *to, bool has_entries)
{
    struct core_message sent[SENT_MAX];
    uint64_t sent_to[SENT_MAX];
    const size_t count = from->sent_count;
    memcpy(sent, from->sent, sizeof(sent));
    memcpy(sent_to, from->sent_to, sizeof(sent_to));
    from->sent_count = 0;
    for (size_t i = 0; i < count; i++) {
        struct core_message message = sent[i];
        message.entries = &from->log[message.prev_index + 1];
        message.count = has_entries ? message.count : 0;
        if (sent_to[i] == to->id) {
            assert_false(vy_failed(core_receive(to->core, to->now_ms, from->id, &message)));
        }
    }
}

/* What the leader takes for held is on the member's disk, and the same; with the third one silent,
 * no more than that is committed. */
static void check_held(const struct desk *leader, const struct desk *member)
{
    uint64_t match = 0;
    assert_true(core_match_index(leader->core, member->id, &match));
    assert_true(match <= core_persisted_index(member->core));
    for (uint64_t i = 1; i <= match; i++) {
        assert_int_equal(core_term_at(leader->core, i), core_term_at(member->core, i));
    }
    assert_true(core_commit_index(leader->core) <= VY_MAX(match, 1U));
}

/* Some heartbeats. How often entries were sent to the member. */
static unsigned converse(struct desk *leader, struct desk *member, bool takes)
{
    unsigned sent = 0;
    for (unsigned i = 0; i < 20; i++) {
        leader->now_ms += 10;
        member->now_ms = leader->now_ms;
        assert_false(vy_failed(core_tick(leader->core, leader->now_ms)));
        for (unsigned k = 0; k < 4; k++) {
            for (size_t n = 0; n < leader->sent_count; n++) {
                sent += leader->sent_to[n] == member->id && leader->sent[n].count > 0;
            }
            carry(leader, member, takes);
            check_held(leader, member);
            written(member);
            carry(member, leader, false);
            check_held(leader, member);
        }
    }
    assert_int_equal(core_role(leader->core), REPLICA_ROLE_LEADER); /* it hears a majority */
    return sent;
}

static void submit_commands(struct desk *leader, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct entry *entry = command(leader, core_term(leader->core));
        assert_false(vy_failed(core_submit(leader->core, leader->now_ms, &entry, 1)));
    }
    written(leader);
}

/* P1, P13: a member that takes no entries for a while, because its disk is full, behind or to be
 * filled anew, does not count for them, and gets them once it takes them: with a log that agrees,
 * and with one that has to be cut first. */
static void a_member_that_takes_no_entries_does_not_count_and_is_sent_them_again(void **state)
{
    static const struct {
        uint64_t terms[4];
        size_t count;
    } logs[] = {
        {{1, 2},       2},
        {{1, 1, 1, 1}, 4},
        {{1},          1}
    };
    (void)state;
    for (size_t i = 0; i < VY_COUNT_OF(logs); i++) {
        struct desk *leader = desk_new(1, 3, (const uint64_t[]){1, 2}, 2, 3, 0);
        struct desk *member = desk_new(3, 3, logs[i].terms, logs[i].count, 3, 0);
        elect(leader);
        submit_commands(leader, 3);
        assert_true(converse(leader, member, false) > 1);
        assert_true(core_commit_index(leader->core) < core_noop_index(leader->core));
        assert_true(converse(leader, member, true) > 0);
        assert_int_equal(core_commit_index(leader->core), core_last_index(leader->core));
        submit_commands(leader, 5); /* in a pipeline now: sent on the guess that they are taken */
        assert_true(converse(leader, member, false) > 1);
        assert_int_equal(core_commit_index(leader->core), core_last_index(leader->core) - 5);
        converse(leader, member, true);
        assert_int_equal(core_commit_index(leader->core), core_last_index(leader->core));
        assert_int_equal(core_last_index(member->core), core_last_index(leader->core));
        desk_free(member);
        desk_free(leader);
    }
}

/* R5, R7: terms and members that cannot be. */
static void messages_that_nobody_honest_sends_change_nothing(void **state)
{
    (void)state;
    struct desk *desk = desk_new(1, 1, (const uint64_t[]){1}, 1, 3, 0);
    elect(desk);
    struct entry *entry = command(desk, core_term(desk->core));
    const uint64_t last = core_last_index(desk->core);
    append_from_2(desk, core_term(desk->core), 1, 1, &entry, 1,
                  1); /* a second leader of the term */
    assert_int_equal(core_role(desk->core), REPLICA_ROLE_LEADER);
    acknowledge(desk, 2, 1000); /* stores what was never sent */
    assert_true(core_commit_index(desk->core) <= last);
    const struct core_message vote = {
        .kind = CORE_VOTE, .version = 2, .term = 50, .last_index = 99, .last_term = 49};
    assert_false(vy_failed(core_receive(desk->core, desk->now_ms, 9, &vote))); /* a stranger */
    assert_int_equal(core_role(desk->core), REPLICA_ROLE_LEADER);
    assert_int_equal(core_last_index(desk->core), last);
    desk_free(desk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_of_old_terms_are_committed_by_one_of_the_own_term_only),
        cmocka_unit_test(guard_1_a_change_of_members_is_recorded_at_its_own_index),
        cmocka_unit_test(guard_2_an_append_below_a_cut_log_is_rebased),
        cmocka_unit_test(guard_4_the_commit_index_never_goes_back),
        cmocka_unit_test(guard_8_an_old_rejection_is_dropped),
        cmocka_unit_test(guard_16_what_is_not_on_our_disk_is_not_applicable),
        cmocka_unit_test(guard_32_members_change_only_behind_an_entry_of_the_own_term),
        cmocka_unit_test(guard_64_a_member_that_does_not_vote_yet_still_votes_when_asked),
        cmocka_unit_test(guard_128_a_refused_pre_vote_tells_the_higher_term),
        cmocka_unit_test(guard_256_a_candidate_disrupts_the_leader_once),
        cmocka_unit_test(guard_512_the_only_voter_starts_a_term_of_its_own),
        cmocka_unit_test(a_lost_leader_is_replaced_early_and_in_turns),
        cmocka_unit_test(a_leader_that_is_heard_again_is_followed_with_the_old_patience),
        cmocka_unit_test(a_write_of_entries_that_were_replaced_is_not_reported),
        cmocka_unit_test(entries_that_are_not_taken_are_not_acknowledged),
        cmocka_unit_test(a_member_that_takes_no_entries_does_not_count_and_is_sent_them_again),
        cmocka_unit_test(messages_that_nobody_honest_sends_change_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
