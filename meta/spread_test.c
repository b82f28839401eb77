/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Leaders are spread over hosts: the decision by tables, and how the leader of meta has it done by
 * fakes that answer for the shards. In virtual time.
 */
#include "meta/spread.h"

#include "meta/meta_private.h"
#include "tests/lib/meta_local.h"
#include "tests/lib/test.h"
#include <stdio.h>

#define HOSTS 3U
#define GROUPS 4U
#define AFTER_MS 30000U

/* ---- the decision ---- */

static void a_host_is_what_stands_before_the_port(void **state)
{
    (void)state;
    assert_true(vy_bytes_equal(spread_host(VY_LIT("tcp://192.0.2.1:7210")), VY_LIT("192.0.2.1")));
    assert_true(vy_bytes_equal(spread_host(VY_LIT("tcp://[::1]:7210")), VY_LIT("[::1]")));
    assert_true(vy_bytes_equal(spread_host(VY_LIT("inproc:shard")), VY_LIT("inproc")));
    assert_true(vy_bytes_equal(spread_host(VY_LIT("")), VY_LIT("")));
}

struct world {
    struct meta_local *local;
    unsigned leader[GROUPS]; /* host */
    uint64_t term[GROUPS];
    bool is_away[GROUPS][HOSTS];
    bool is_learner[GROUPS][HOSTS];
    uint64_t lacks;       /* entries, of every follower */
    enum vy_code refusal; /* of a transfer */
    unsigned transfers;
};

static const char *const addresses[HOSTS] = {"tcp://192.0.2.1:7210", "tcp://192.0.2.2:7210",
                                             "tcp://192.0.2.3:7210"};

static uint64_t member_id(size_t group, size_t host)
{
    return 100 * (group + 1) + host;
}

static struct meta_probe member_of(const struct world *w, size_t group, size_t host)
{
    return (struct meta_probe){.group_id = group + 1,
                               .member_id = member_id(group, host),
                               .address = vy_cstr(addresses[host]),
                               .is_reached = !w->is_away[group][host],
                               .leads = w->leader[group] == host && !w->is_away[group][host],
                               .term = w->term[group]};
}

static bool choose(const struct world *w, struct spread_move *out)
{
    struct meta_probe members[GROUPS * HOSTS];
    for (size_t i = 0; i < GROUPS * HOSTS; i++) {
        members[i] = member_of(w, i / HOSTS, i % HOSTS);
    }
    return spread_choose(members, GROUPS * HOSTS, out);
}

static void the_decision_evens_until_nothing_differs_by_two(void **state)
{
    (void)state;
    for (unsigned start = 0; start < 81;
         start++) { /* every way that three hosts lead four groups */
        struct world w = {
            .leader = {start % 3, start / 3 % 3, start / 9 % 3, start / 27}
        };
        struct spread_move move;
        unsigned moves = 0;
        unsigned led[HOSTS] = {0};
        while (choose(&w, &move)) {
            assert_true(move.difference >= 2);
            w.leader[move.group_id - 1] = (unsigned)(move.member_id % 100);
            assert_true(++moves <= GROUPS);
        }
        for (size_t i = 0; i < GROUPS; i++) {
            led[w.leader[i]]++;
        }
        for (size_t i = 0; i < HOSTS; i++) {
            assert_in_range(led[i], 1, 2);
        }
    }
}

static void a_group_with_a_member_away_is_let_be(void **state)
{
    (void)state;
    struct world w = {
        .leader = {0, 0, 1, 2}
    };
    struct spread_move move;
    assert_false(choose(&w, &move)); /* 2, 1, 1 */
    w.leader[2] = 0;
    assert_true(choose(&w, &move)); /* 3, 0, 1 */
    assert_int_equal(move.difference, 3);
    for (size_t i = 0; i < GROUPS; i++) {
        w.is_away[i][2] = true;
    }
    assert_false(choose(&w, &move));
}

static void of_two_that_say_so_the_newer_term_leads(void **state)
{
    (void)state;
    const struct meta_probe members[] = {
        {.group_id = 1,
         .member_id = 1,
         .address = VY_LIT("a:1"),
         .is_reached = true,
         .leads = true,
         .term = 3},
        {.group_id = 1,
         .member_id = 2,
         .address = VY_LIT("b:1"),
         .is_reached = true,
         .leads = true,
         .term = 4},
        {.group_id = 2,
         .member_id = 3,
         .address = VY_LIT("a:2"),
         .is_reached = true,
         .leads = true,
         .term = 1},
        {.group_id = 2,     .member_id = 4, .address = VY_LIT("b:2"),        .is_reached = true     },
    };
    struct spread_move move;
    assert_false(spread_choose(members, VY_COUNT_OF(members), &move));
}

/* ---- having it done ---- */

static void fake_probe(void *arg, struct meta_probe *members, size_t count,
                       void (*done)(void *done_arg, struct vy_err err), void *done_arg)
{
    const struct world *w = arg;
    for (size_t i = 0; i < count; i++) {
        const struct meta_probe known =
            member_of(w, (size_t)members[i].group_id - 1, (size_t)(members[i].member_id % 100));
        members[i].is_reached = known.is_reached;
        members[i].leads = known.leads;
        members[i].term = known.term;
    }
    done(done_arg, vy_ok());
}
static const struct meta_probe_ops fake_probe_ops = {.probe = fake_probe};

static void fake_transfer(struct world *w, size_t group, uint64_t to)
{
    w->transfers++;
    if (w->refusal == VY_CODE_OK) {
        w->leader[group] = (unsigned)(to % 100);
        w->term[group]++;
    }
}

static void fake_ask(void *arg, uint64_t group_id, const struct group_members_request *request,
                     meta_group_fn done, void *done_arg)
{
    struct world *w = arg;
    const size_t group = (size_t)group_id - 1;
    struct group_member members[HOSTS];
    for (size_t i = 0; i < HOSTS; i++) {
        const bool leads = w->leader[group] == i;
        members[i] = (struct group_member){.member_id = member_id(group, i),
                                           .learner = w->is_learner[group][i],
                                           .answers = !leads,
                                           .match_index = 5000 - (leads ? 0 : w->lacks)};
    }
    const struct group_members_reply reply = {.group_id = group_id,
                                              .leader_id = member_id(group, w->leader[group]),
                                              .last_index = 5000,
                                              .members_count = HOSTS,
                                              .members = members};
    if (request->operation == GROUP_OPERATION_TRANSFER) {
        fake_transfer(w, group, request->member_id);
        const bool is_ok = w->refusal == VY_CODE_OK;
        done(done_arg, is_ok ? vy_ok() : vy_error(w->refusal, "hand over"), VY_LIT(""),
             is_ok ? &reply : NULL);
        return;
    }
    assert_int_equal(request->operation, GROUP_OPERATION_LIST);
    done(done_arg, vy_ok(), VY_LIT(""), &reply);
}
static const struct meta_groups_ops fake_groups_ops = {.ask = fake_ask};

static void register_member(struct world *w, size_t group, size_t host)
{
    char node[32];
    (void)snprintf(node, sizeof(node), "shard-%zu-%zu", group + 1, host);
    const struct node_register_request request = {.group_id = group + 1,
                                                  .member_id = member_id(group, host),
                                                  .role = VY_LIT("shard"),
                                                  .node = vy_cstr(node),
                                                  .link_address = vy_cstr(addresses[host]),
                                                  .incarnation = 1};
    struct node_register_reply reply;
    assert_false(
        vy_failed(meta_local_call(w->local, METHOD_META_NODE_REGISTER, &node_register_request_desc,
                                  &request, &node_register_reply_desc, &reply)));
}

/* All led by the first host. */
static int set_up(void **state)
{
    static struct world world;
    struct world *w = &world;
    *w = (struct world){.refusal = VY_CODE_OK};
    w->local = meta_local_new(0, NULL, NULL);
    struct meta_config *config = &w->local->meta->config;
    config->probe = &fake_probe_ops;
    config->probe_arg = w;
    config->groups = &fake_groups_ops;
    config->groups_arg = w;
    config->spread_after_ms = AFTER_MS;
    for (size_t i = 0; i < GROUPS * HOSTS; i++) {
        register_member(w, i / HOSTS, i % HOSTS);
    }
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    meta_local_free(w->local);
    return 0;
}

static void lead(struct world *w)
{
    meta_local_set_leader(w->local, true);
    meta_local_run_ms(w->local, 1);
}

static void one_group_at_a_time_moves_once_all_is_quiet(void **state)
{
    struct world *w = *state;
    lead(w);
    meta_local_run_ms(w->local, AFTER_MS);
    assert_int_equal(w->transfers, 0);
    meta_local_run_ms(w->local, 10000);
    assert_int_equal(w->transfers, 1);
    meta_local_run_ms(w->local, AFTER_MS - 5000);
    assert_int_equal(w->transfers, 1);
    meta_local_run_ms(w->local, 10ULL * AFTER_MS);
    assert_int_equal(w->transfers, 2); /* 2, 1, 1: even */
}

static void whatever_changes_begins_the_wait_anew(void **state)
{
    struct world *w = *state;
    lead(w);
    for (unsigned i = 0; i < 10; i++) {
        meta_local_run_ms(w->local, AFTER_MS / 2);
        w->term[i % GROUPS]++;
    }
    assert_int_equal(w->transfers, 0);
}

static void nothing_moves_while_a_member_is_away_or_added_or_behind(void **state)
{
    struct world *w = *state;
    lead(w);
    for (size_t i = 0; i < GROUPS; i++) {
        w->is_away[i][2] = true;
    }
    meta_local_run_ms(w->local, 10ULL * AFTER_MS);
    assert_int_equal(w->transfers, 0);
    for (size_t i = 0; i < GROUPS; i++) {
        w->is_away[i][2] = false;
        w->is_learner[i][2] = true;
    }
    meta_local_run_ms(w->local, 10ULL * AFTER_MS);
    assert_int_equal(w->transfers, 0);
    for (size_t i = 0; i < GROUPS; i++) {
        w->is_learner[i][2] = false;
    }
    w->lacks = 1001;
    meta_local_run_ms(w->local, 10ULL * AFTER_MS);
    assert_int_equal(w->transfers, 0);
    w->lacks = 1000;
    meta_local_run_ms(w->local, 10ULL * AFTER_MS);
    assert_int_equal(w->transfers, 2);
}

static void a_group_that_refuses_is_asked_again_after_the_whole_wait(void **state)
{
    struct world *w = *state;
    w->refusal = VY_CODE_PRECONDITION;
    lead(w);
    meta_local_run_ms(w->local, 10ULL * AFTER_MS);
    assert_in_range(w->transfers, 5, 10);
}

static void it_can_be_switched_off_and_ends_with_leading(void **state)
{
    struct world *w = *state;
    w->local->meta->config.spread_after_ms = 0;
    lead(w);
    meta_local_run_ms(w->local, 10ULL * AFTER_MS);
    assert_int_equal(w->transfers, 0);
    w->local->meta->config.spread_after_ms = AFTER_MS;
    lead(w);
    meta_local_set_leader(w->local, false);
    meta_local_run_ms(w->local, 10ULL * AFTER_MS);
    assert_int_equal(w->transfers, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_host_is_what_stands_before_the_port),
        cmocka_unit_test(the_decision_evens_until_nothing_differs_by_two),
        cmocka_unit_test(a_group_with_a_member_away_is_let_be),
        cmocka_unit_test(of_two_that_say_so_the_newer_term_leads),
        cmocka_unit_test_setup_teardown(one_group_at_a_time_moves_once_all_is_quiet, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(whatever_changes_begins_the_wait_anew, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nothing_moves_while_a_member_is_away_or_added_or_behind,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_group_that_refuses_is_asked_again_after_the_whole_wait,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(it_can_be_switched_off_and_ends_with_leading, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
