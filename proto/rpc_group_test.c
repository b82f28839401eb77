/* SPDX-License-Identifier: Apache-2.0 */
/* A caller of a group of three members, in virtual time over the inproc transport: what is
 * repeated, where, and what never is. */
#include "proto/rpc_fixture.h"
#include "proto/rpc_group.h"

#include "base/assert.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
/* cmocka wants these first */
#include <cmocka.h>

enum {
    METHOD_WORK = 0x7e0001,  /* answered by whoever leads, else NOT_LEADER */
    METHOD_BUSY = 0x7e0002,  /* BUSY for the first `busy` times */
    METHOD_STALE = 0x7e0003, /* certain, and no matter of who answers */
    METHOD_HOLD = 0x7e0004,
    METHOD_BODY = 0x7e0005,  /* takes a request stream; the reply is its length */
    METHOD_WATCH = 0x7e0006, /* streams one message, then holds */
    METHOD_ANY = 0x7e0007    /* every member answers */
};
#define MEMBERS 3U

struct node {
    struct world *world;
    size_t index;
    char name[16];
    char address[32];
    struct rpc_config config;
    struct rpc_server *server; /* NULL: down */
    size_t asked;
    struct rpc_server_call *held[8];
    size_t held_count;
    uint8_t key[RPC_ID_BYTES];
    uint32_t attempt;
    uint64_t body_bytes;
};
struct world {
    struct fake_clock clock;
    struct fake_loop loop;
    struct fake_rng rng;
    struct fixture_log log;
    struct rpc_inproc *hub;
    struct rpc_config client;
    struct node nodes[MEMBERS];
    size_t leader; /* MEMBERS: nobody leads */
    bool gives_hints;
    const char *false_hint;
    size_t busy;
    struct rpc_group *group;
};

/* ---- members ---- */

static struct node *note_call(void *arg, struct rpc_server_call *call)
{
    struct node *node = arg;
    const uint8_t *key = rpc_server_call_idempotency_key(call);
    node->asked++;
    node->attempt = rpc_server_call_attempt(call);
    if (key != NULL) {
        memcpy(node->key, key, RPC_ID_BYTES);
    }
    return node;
}

/* True: refused. */
static bool refuse_as_follower(struct node *node, struct rpc_server_call *call)
{
    struct world *world = node->world;
    if (world->leader == node->index) {
        return false;
    }
    const char *hint = world->false_hint;
    if (world->gives_hints && world->leader < MEMBERS) {
        hint = world->nodes[world->leader].name;
    }
    rpc_server_call_fail(call, vy_error(VY_CODE_NOT_LEADER, "follower"), hint, 0);
    return true;
}

static void on_work(void *arg, struct rpc_server_call *call, struct vy_bytes request)
{
    struct node *node = note_call(arg, call);
    if (!refuse_as_follower(node, call)) {
        rpc_server_call_reply(call, request);
    }
}

static void on_any(void *arg, struct rpc_server_call *call, struct vy_bytes request)
{
    note_call(arg, call);
    rpc_server_call_reply(call, request);
}

static void on_busy(void *arg, struct rpc_server_call *call, struct vy_bytes request)
{
    struct node *node = note_call(arg, call);
    if (refuse_as_follower(node, call)) {
        return;
    }
    if (node->world->busy == 0) {
        rpc_server_call_reply(call, request);
        return;
    }
    node->world->busy--;
    rpc_server_call_fail(call, vy_error(VY_CODE_BUSY, "queue"), NULL, 700);
}

static void on_stale(void *arg, struct rpc_server_call *call, struct vy_bytes request)
{
    note_call(arg, call);
    (void)request;
    rpc_server_call_fail(call, vy_error(VY_CODE_STALE, "epoch"), NULL, 0);
}

static void on_hold(void *arg, struct rpc_server_call *call, struct vy_bytes request)
{
    struct node *node = note_call(arg, call);
    (void)request;
    if (!refuse_as_follower(node, call)) {
        node->held[node->held_count++] = call;
    }
}

static void on_watch(void *arg, struct rpc_server_call *call, struct vy_bytes request)
{
    struct node *node = note_call(arg, call);
    (void)request;
    assert_true(rpc_server_call_send_message(call, VY_LIT("event")));
    node->held[node->held_count++] = call;
}

static void body_on_data(void *arg, struct vy_bytes bytes)
{
    struct node *node = arg;
    node->body_bytes += bytes.len;
    rpc_server_call_consumed(node->held[0], bytes.len);
}

static void body_on_end(void *arg)
{
    struct node *node = arg;
    uint8_t reply[8];
    vy_put_be64(reply, node->body_bytes);
    rpc_server_call_reply(node->held[--node->held_count], vy_bytes(reply, sizeof(reply)));
}

static void on_body(void *arg, struct rpc_server_call *call, struct vy_bytes request)
{
    static const struct rpc_server_call_events events = {.on_data = body_on_data,
                                                         .on_data_end = body_on_end};
    struct node *node = note_call(arg, call);
    (void)request;
    if (refuse_as_follower(node, call)) {
        return;
    }
    node->held[node->held_count++] = call;
    rpc_server_call_set_events(call, &events, node);
}

/* clang-format off */
static const struct rpc_server_method methods[] = {
    {.id = METHOD_WORK,  .name = "work",  .roles = RPC_ROLE_ALL, .handler = on_work},
    {.id = METHOD_BUSY,  .name = "busy",  .roles = RPC_ROLE_ALL, .handler = on_busy},
    {.id = METHOD_STALE, .name = "stale", .roles = RPC_ROLE_ALL, .handler = on_stale},
    {.id = METHOD_HOLD,  .name = "hold",  .roles = RPC_ROLE_ALL, .handler = on_hold},
    {.id = METHOD_BODY,  .name = "body",  .roles = RPC_ROLE_ALL, .handler = on_body},
    {.id = METHOD_WATCH, .name = "watch", .roles = RPC_ROLE_ALL, .handler = on_watch, .endless = true},
    {.id = METHOD_ANY,   .name = "any",   .roles = RPC_ROLE_ALL, .handler = on_any},
};
/* clang-format on */

static void node_start(struct node *node)
{
    assert_int_equal(rpc_server_new(&node->config, &node->server).code, VY_CODE_OK);
    assert_int_equal(rpc_server_add_methods(node->server, methods, VY_COUNT_OF(methods), node).code,
                     VY_CODE_OK);
    assert_int_equal(rpc_server_listen(node->server, node->address).code, VY_CODE_OK);
}

/* As kill -9 would: links close without a word. */
static void node_kill(struct node *node)
{
    rpc_server_free(VY_TAKE(node->server));
    while (node->held_count > 0) {
        rpc_server_call_fail(node->held[--node->held_count], vy_error(VY_CODE_CANCELLED, "gone"),
                             NULL, 0);
    }
}

static void run_ms(struct world *world, uint64_t ms)
{
    fake_loop_run_ms(&world->loop, ms);
}

static void group_members(struct world *world, struct rpc_group_member *out)
{
    for (size_t i = 0; i < MEMBERS; i++) {
        out[i] = (struct rpc_group_member){.node = world->nodes[i].name,
                                           .address = world->nodes[i].address};
    }
}

static void world_init(struct world *world, bool any_member)
{
    *world = (struct world){.gives_hints = true};
    fake_clock_init(&world->clock);
    fake_loop_init(&world->loop, &world->clock);
    fake_rng_init(&world->rng, 1);
    fixture_log_init(&world->log, &world->clock.base);
    assert_int_equal(rpc_inproc_new(&world->hub).code, VY_CODE_OK);
    world->client = (struct rpc_config){.loop = &world->loop.base,
                                        .rng = &world->rng.base,
                                        .log = &world->log.log,
                                        .cluster = "test",
                                        .node = "front-1",
                                        .role = RPC_ROLE_FRONTEND,
                                        .inproc = world->hub};
    for (size_t i = 0; i < MEMBERS; i++) {
        struct node *node = &world->nodes[i];
        *node = (struct node){.world = world, .index = i, .config = world->client};
        (void)snprintf(node->name, sizeof(node->name), "shard-%zu", i);
        (void)snprintf(node->address, sizeof(node->address), "inproc:shard-%zu", i);
        node->config.node = node->name;
        node->config.role = RPC_ROLE_SHARD;
        node_start(node);
    }
    struct rpc_group_member members[MEMBERS];
    group_members(world, members);
    const struct rpc_group_options options = {
        .name = "shard-1", .peer_roles = RPC_ROLE_SHARD, .any_member = any_member};
    assert_int_equal(rpc_group_new(&world->client, &options, members, MEMBERS, &world->group).code,
                     VY_CODE_OK);
}

static void world_up(struct world *world)
{
    world_init(world, false);
    run_ms(world, 1);
    assert_true(rpc_group_is_up(world->group));
}

static void world_down(struct world *world)
{
    rpc_group_free(world->group);
    for (size_t i = 0; i < MEMBERS; i++) {
        node_kill(&world->nodes[i]);
    }
    run_ms(world, 10000);
    rpc_inproc_free(world->hub);
    fake_loop_deinit(&world->loop);
    assert_int_equal(world->log.errors, 0);
}

/* ---- caller ---- */

struct asked {
    struct rpc_group_call *call;
    struct world *world;
    bool is_ended;
    enum vy_code code;
    bool is_not_executed;
    char hint[64];
    uint8_t reply[64];
    size_t reply_len;
    size_t data_len;
    size_t to_send;
    size_t writable;
    void (*on_end)(struct asked *asked);
};

static void asked_pump(struct asked *asked)
{
    static const uint8_t zeros[65536];
    while (asked->to_send > 0) {
        const size_t want = VY_MIN(asked->to_send, sizeof(zeros));
        const size_t taken = rpc_group_call_send(asked->call, vy_bytes(zeros, want));
        asked->to_send -= taken;
        if (taken < want) {
            return;
        }
    }
    rpc_group_call_send_end(asked->call);
}

static void asked_on_data(void *arg, struct vy_bytes bytes)
{
    struct asked *asked = arg;
    asked->data_len += bytes.len;
    rpc_group_call_consumed(asked->call, bytes.len);
}

static void asked_on_writable(void *arg)
{
    struct asked *asked = arg;
    asked->writable++;
    asked_pump(asked);
}

static void asked_on_end(void *arg, const struct rpc_status *status, struct vy_bytes reply)
{
    struct asked *asked = arg;
    assert_false(asked->is_ended);
    asked->call = NULL;
    asked->is_ended = true;
    asked->code = status->code;
    asked->is_not_executed = status->not_executed;
    (void)snprintf(asked->hint, sizeof(asked->hint), "%.*s", VY_PRI(status->leader_hint));
    asked->reply_len = VY_MIN(reply.len, sizeof(asked->reply));
    if (reply.len > 0) {
        memcpy(asked->reply, reply.data, asked->reply_len);
    }
    if (asked->on_end != NULL) {
        asked->on_end(asked);
    }
}

static const struct rpc_call_events asked_events = {
    .on_data = asked_on_data, .on_writable = asked_on_writable, .on_end = asked_on_end};

static void ask(struct world *world, struct asked *asked, uint32_t method,
                const struct rpc_call_options *options)
{
    asked->world = world;
    asked->call =
        rpc_group_call(world->group, method, VY_LIT("question"), options, &asked_events, asked);
    assert_non_null(asked->call);
    assert_false(asked->is_ended);
}

static void assert_answered(const struct asked *asked)
{
    assert_true(asked->is_ended);
    assert_int_equal(asked->code, VY_CODE_OK);
    assert_int_equal(asked->reply_len, 8);
    assert_memory_equal(asked->reply, "question", 8);
}

static size_t asked_in_all(const struct world *world)
{
    return world->nodes[0].asked + world->nodes[1].asked + world->nodes[2].asked;
}

/* ---- tests ---- */

static void a_hint_is_followed_at_once_and_remembered(void **state)
{
    (void)state;
    struct world world;
    world_up(&world);
    world.leader = 2;
    struct asked first = {.call = NULL};
    ask(&world, &first, METHOD_WORK, NULL);
    run_ms(&world, 1);
    assert_answered(&first);
    assert_int_equal(world.nodes[0].asked, 1);
    assert_int_equal(world.nodes[1].asked, 0);
    assert_int_equal(world.nodes[2].asked, 1);
    assert_int_equal(world.nodes[2].attempt, 1);
    struct asked second = {.call = NULL};
    ask(&world, &second, METHOD_WORK, NULL);
    run_ms(&world, 1);
    assert_answered(&second);
    assert_int_equal(world.nodes[0].asked, 1); /* straight to the leader */
    assert_true(fixture_log_has(&world.log, "event=rpc.group.leader"));
    world_down(&world);
}

static void without_hints_every_member_is_asked_in_one_round(void **state)
{
    (void)state;
    struct world world;
    world_up(&world);
    world.leader = 2;
    world.gives_hints = false;
    struct asked asked = {.call = NULL};
    ask(&world, &asked, METHOD_WORK, NULL);
    run_ms(&world, 1);
    assert_answered(&asked);
    assert_int_equal(asked_in_all(&world), 3);
    world_down(&world);
}

/* An election takes a while: rounds go on, ever slower, and hints that lead nowhere do no harm. */
static void a_call_outlasts_an_election(void **state)
{
    (void)state;
    struct world world;
    world_up(&world);
    world.leader = MEMBERS;
    world.false_hint = "shard-0";
    struct asked asked = {.call = NULL};
    const struct rpc_call_options options = {.deadline_ms = 10000};
    ask(&world, &asked, METHOD_WORK, &options);
    run_ms(&world, 3000);
    assert_false(asked.is_ended);
    assert_in_range(asked_in_all(&world), 3 * 5, 3 * 20);
    world.leader = 1;
    run_ms(&world, 600);
    assert_answered(&asked);
    world_down(&world);
}

static void the_deadline_ends_a_search_with_nothing_done(void **state)
{
    (void)state;
    struct world world;
    world_up(&world);
    world.leader = MEMBERS;
    struct asked asked = {.call = NULL};
    const struct rpc_call_options options = {.deadline_ms = 2000};
    ask(&world, &asked, METHOD_WORK, &options);
    run_ms(&world, 1990);
    assert_false(asked.is_ended);
    run_ms(&world, 10);
    assert_true(asked.is_ended);
    assert_int_equal(asked.code, VY_CODE_UNAVAILABLE);
    assert_true(asked.is_not_executed);
    world_down(&world);
}

static void a_call_waits_while_no_member_is_up(void **state)
{
    (void)state;
    struct world world;
    world_up(&world);
    for (size_t i = 0; i < MEMBERS; i++) {
        node_kill(&world.nodes[i]);
    }
    run_ms(&world, 10);
    assert_false(rpc_group_is_up(world.group));
    struct asked lost = {.call = NULL};
    struct asked patient = {.call = NULL};
    const struct rpc_call_options briefly = {.deadline_ms = 500};
    ask(&world, &lost, METHOD_WORK, &briefly);
    ask(&world, &patient, METHOD_WORK, NULL);
    run_ms(&world, 1000);
    assert_int_equal(lost.code, VY_CODE_UNAVAILABLE);
    assert_true(lost.is_not_executed);
    assert_false(patient.is_ended);
    node_start(&world.nodes[0]);
    run_ms(&world, 5000); /* the longest backoff of a link */
    assert_answered(&patient);
    world_down(&world);
}

/* R9: the server says when to come back. */
static void busy_is_asked_again_not_sooner_than_told(void **state)
{
    (void)state;
    struct world world;
    world_up(&world);
    world.busy = 2;
    struct asked asked = {.call = NULL};
    ask(&world, &asked, METHOD_BUSY, NULL);
    run_ms(&world, 690);
    assert_int_equal(world.nodes[0].asked, 1);
    run_ms(&world, 20);
    assert_int_equal(world.nodes[0].asked, 2);
    run_ms(&world, 1000);
    assert_answered(&asked);
    assert_int_equal(asked_in_all(&world), 3); /* nobody else was bothered */
    world_down(&world);
}

static void what_another_member_would_say_too_is_handed_on(void **state)
{
    (void)state;
    struct world world;
    world_up(&world);
    struct asked asked = {.call = NULL};
    ask(&world, &asked, METHOD_STALE, NULL);
    run_ms(&world, 1);
    assert_int_equal(asked.code, VY_CODE_STALE);
    assert_int_equal(asked_in_all(&world), 1);
    world_down(&world);
}

/* R4: an unknown outcome is repeated under the same key, or as a read, and else never. */
static void an_unknown_outcome_is_repeated_only_when_that_is_safe(void **state)
{
    (void)state;
    struct world world;
    world_up(&world);
    struct asked bare = {.call = NULL};
    struct asked keyed = {.call = NULL};
    struct asked read = {.call = NULL};
    struct rpc_call_options with_key = {.attempt = 0};
    const struct rpc_call_options as_read = {.idempotent = true};
    memset(with_key.idempotency_key, 0x5a, RPC_ID_BYTES);
    ask(&world, &bare, METHOD_HOLD, NULL);
    ask(&world, &keyed, METHOD_HOLD, &with_key);
    ask(&world, &read, METHOD_HOLD, &as_read);
    run_ms(&world, 1);
    assert_int_equal(world.nodes[0].held_count, 3);
    world.leader = 1;
    node_kill(&world.nodes[0]);
    run_ms(&world, 1000);
    assert_true(bare.is_ended);
    assert_int_equal(bare.code, VY_CODE_UNKNOWN);
    assert_false(bare.is_not_executed);
    assert_false(keyed.is_ended || read.is_ended);
    assert_int_equal(world.nodes[1].held_count, 2);
    assert_memory_equal(world.nodes[1].key, with_key.idempotency_key, RPC_ID_BYTES);
    while (world.nodes[1].held_count > 0) {
        rpc_server_call_reply(world.nodes[1].held[--world.nodes[1].held_count], VY_LIT("question"));
    }
    run_ms(&world, 1);
    assert_answered(&keyed);
    assert_answered(&read);
    world_down(&world);
}

/* "Not executed" by the second member says nothing about the first. */
static void what_one_attempt_leaves_open_stays_open(void **state)
{
    (void)state;
    struct world world;
    world_up(&world);
    struct asked asked = {.call = NULL};
    struct rpc_call_options options = {.deadline_ms = 3000};
    memset(options.idempotency_key, 0x5a, RPC_ID_BYTES);
    ask(&world, &asked, METHOD_HOLD, &options);
    run_ms(&world, 1);
    world.leader = MEMBERS;
    node_kill(&world.nodes[0]);
    run_ms(&world, 3000);
    assert_true(asked.is_ended);
    assert_int_equal(asked.code, VY_CODE_UNKNOWN);
    assert_false(asked.is_not_executed);
    world_down(&world);
}

static void a_stream_that_began_is_never_repeated(void **state)
{
    (void)state;
    struct world world;
    world_up(&world);
    struct asked watch = {.call = NULL};
    const struct rpc_call_options options = {.endless = true, .idempotent = true};
    ask(&world, &watch, METHOD_WATCH, &options);
    run_ms(&world, 1);
    assert_int_equal(watch.data_len, 5);
    node_kill(&world.nodes[0]);
    run_ms(&world, 1000);
    assert_true(watch.is_ended);
    assert_int_equal(watch.code, VY_CODE_UNKNOWN);
    assert_int_equal(asked_in_all(&world), 1);
    world_down(&world);
}

static void a_body_goes_to_the_leader_and_is_never_repeated(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, false);
    world.leader = 1;
    struct asked lost = {.to_send = 1000000};
    struct rpc_call_options options = {.has_body = true, .idempotent = true};
    ask(&world, &lost, METHOD_BODY, &options); /* before any link is up */
    asked_pump(&lost);
    assert_int_equal(lost.to_send, 1000000);
    run_ms(&world, 1);
    assert_true(lost.writable > 0);
    assert_true(lost.is_ended); /* some of it was taken by a follower */
    assert_int_equal(lost.code, VY_CODE_NOT_LEADER);
    assert_true(lost.is_not_executed);
    assert_string_equal(lost.hint, "shard-1");
    struct asked again = {.to_send = 1000000};
    ask(&world, &again, METHOD_BODY, &options);
    asked_pump(&again);
    run_ms(&world, 1);
    assert_int_equal(again.code, VY_CODE_OK);
    assert_int_equal(vy_get_be64(again.reply), 1000000);
    assert_int_equal(asked_in_all(&world), 2);
    world_down(&world);
}

static void an_empty_body_is_ended_again_on_the_next_member(void **state)
{
    (void)state;
    struct world world;
    world_up(&world);
    world.leader = 1;
    struct asked asked = {.to_send = 0};
    const struct rpc_call_options options = {.has_body = true};
    ask(&world, &asked, METHOD_BODY, &options);
    asked_pump(&asked);
    run_ms(&world, 1);
    assert_int_equal(asked.code, VY_CODE_OK);
    assert_int_equal(vy_get_be64(asked.reply), 0);
    world_down(&world);
}

static void members_that_leave_give_their_calls_to_others(void **state)
{
    (void)state;
    struct world world;
    world_up(&world);
    struct asked bare = {.call = NULL};
    struct asked read = {.call = NULL};
    const struct rpc_call_options as_read = {.idempotent = true};
    ask(&world, &bare, METHOD_HOLD, NULL);
    ask(&world, &read, METHOD_HOLD, &as_read);
    run_ms(&world, 1);
    struct rpc_group_member members[MEMBERS];
    group_members(&world, members);
    world.leader = 2;
    const uint64_t accepted = rpc_server_stats(world.nodes[2].server)->links_accepted;
    assert_int_equal(rpc_group_set_members(world.group, members + 1, 2).code, VY_CODE_OK);
    assert_false(bare.is_ended); /* told from the loop only */
    run_ms(&world, 1);
    assert_int_equal(bare.code, VY_CODE_UNKNOWN);
    assert_false(bare.is_not_executed);
    assert_int_equal(world.nodes[2].held_count, 1);
    /* Links of members that stay are kept; that of the one that left is closed. */
    assert_int_equal(rpc_server_stats(world.nodes[2].server)->links_accepted, accepted);
    assert_int_equal(rpc_server_stats(world.nodes[0].server)->links_open, 0);
    rpc_server_call_reply(world.nodes[2].held[--world.nodes[2].held_count], VY_LIT("question"));
    run_ms(&world, 1);
    assert_answered(&read);
    world_down(&world);
}

static void a_set_of_members_that_is_wrong_changes_nothing(void **state)
{
    (void)state;
    struct world world;
    world_up(&world);
    struct rpc_group_member members[MEMBERS];
    group_members(&world, members);
    members[1].address = members[0].address;
    assert_int_equal(rpc_group_set_members(world.group, members, 3).code, VY_CODE_ARGUMENT);
    members[1].address = "nowhere";
    assert_int_equal(rpc_group_set_members(world.group, members, 3).code, VY_CODE_ARGUMENT);
    assert_int_equal(rpc_group_set_members(world.group, members, 0).code, VY_CODE_ARGUMENT);
    assert_int_equal(rpc_group_set_members(world.group, members, RPC_GROUP_MEMBERS_MAX + 1).code,
                     VY_CODE_ARGUMENT);
    struct asked asked = {.call = NULL};
    ask(&world, &asked, METHOD_WORK, NULL);
    run_ms(&world, 1);
    assert_answered(&asked);
    world_down(&world);
}

static void reads_of_any_member_are_spread(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, true);
    run_ms(&world, 1);
    for (size_t i = 0; i < 9; i++) {
        struct asked asked = {.call = NULL};
        ask(&world, &asked, METHOD_ANY, NULL);
        run_ms(&world, 1);
        assert_answered(&asked);
    }
    for (size_t i = 0; i < MEMBERS; i++) {
        assert_int_equal(world.nodes[i].asked, 3);
    }
    world_down(&world);
}

/* A planned stop: what is under way is answered, what is new goes to the next leader, a watch is
 * told to look elsewhere. */
static void a_member_that_drains_loses_no_call(void **state)
{
    (void)state;
    struct world world;
    world_up(&world);
    struct asked held = {.call = NULL};
    struct asked watch = {.call = NULL};
    const struct rpc_call_options endless = {.endless = true};
    ask(&world, &held, METHOD_HOLD, NULL);
    ask(&world, &watch, METHOD_WATCH, &endless);
    run_ms(&world, 1);
    rpc_server_drain(world.nodes[0].server, 5000, NULL, NULL);
    world.leader = 1;
    struct asked crossing = {.call = NULL};
    ask(&world, &crossing, METHOD_WORK, NULL); /* before the GOAWAY is read */
    run_ms(&world, 10);
    assert_answered(&crossing);
    assert_int_equal(world.nodes[1].asked, 1);
    assert_int_equal(watch.code, VY_CODE_UNAVAILABLE);
    assert_false(held.is_ended);
    rpc_server_call_reply(world.nodes[0].held[0], VY_LIT("question"));
    /* The watch's handler answers into the void. */
    rpc_server_call_fail(world.nodes[0].held[1], vy_error(VY_CODE_CANCELLED, "gone"), NULL, 0);
    world.nodes[0].held_count = 0;
    run_ms(&world, 10);
    assert_answered(&held);
    assert_int_equal(rpc_server_stats(world.nodes[0].server)->links_broken, 0);
    world_down(&world);
}

static void a_cancelled_call_says_nothing_more(void **state)
{
    (void)state;
    struct world world;
    world_up(&world);
    struct asked open = {.call = NULL};
    struct asked waiting = {.call = NULL};
    ask(&world, &open, METHOD_HOLD, NULL);
    run_ms(&world, 1);
    world.leader = MEMBERS;
    ask(&world, &waiting, METHOD_WORK, NULL);
    run_ms(&world, 5);
    rpc_group_call_cancel(open.call);
    rpc_group_call_cancel(waiting.call);
    rpc_group_call_cancel(NULL);
    const size_t asked = asked_in_all(&world);
    run_ms(&world, 5000);
    assert_false(open.is_ended || waiting.is_ended);
    assert_int_equal(asked_in_all(&world), asked);
    world_down(&world);
}

static void free_the_group(struct asked *asked)
{
    rpc_group_free(VY_TAKE(asked->world->group));
}

/* Calls that are open, that wait, and that are about to be told: each ends once. */
static void a_group_may_be_freed_by_its_own_callback(void **state)
{
    (void)state;
    struct world world;
    world_up(&world);
    world.leader = MEMBERS;
    struct asked first = {.on_end = free_the_group};
    struct asked same_time = {.call = NULL};
    struct asked open = {.call = NULL};
    const struct rpc_call_options options = {.deadline_ms = 1000};
    ask(&world, &first, METHOD_WORK, &options);
    ask(&world, &same_time, METHOD_WORK, &options);
    world.leader = 0;
    ask(&world, &open, METHOD_HOLD, NULL);
    run_ms(&world, 1);
    assert_answered(&first);
    assert_int_equal(open.code, VY_CODE_CANCELLED);
    assert_true(same_time.is_ended);
    world_down(&world);
}

static void calls_due_at_once_survive_the_groups_end(void **state)
{
    (void)state;
    struct world world;
    world_up(&world);
    for (size_t i = 0; i < MEMBERS; i++) {
        node_kill(&world.nodes[i]);
    }
    run_ms(&world, 1);
    struct asked first = {.on_end = free_the_group};
    struct asked second = {.call = NULL};
    const struct rpc_call_options options = {.deadline_ms = 1000};
    ask(&world, &first, METHOD_WORK, &options);
    ask(&world, &second, METHOD_WORK, &options);
    run_ms(&world, 1000);
    assert_int_equal(first.code, VY_CODE_UNAVAILABLE);
    assert_int_equal(second.code, VY_CODE_CANCELLED);
    world_down(&world);
}

/* Limits at n and n+1. */
static void no_more_than_1024_calls_are_open_on_a_group(void **state)
{
    (void)state;
    struct world world;
    world_up(&world);
    world.leader = MEMBERS;
    struct asked *asked = calloc(RPC_CALLS_PER_LINK_MAX + 1, sizeof(*asked));
    const struct rpc_call_options options = {.deadline_ms = 200};
    for (size_t i = 0; i < RPC_CALLS_PER_LINK_MAX; i++) {
        ask(&world, &asked[i], METHOD_WORK, &options);
    }
    assert_null(rpc_group_call(world.group, METHOD_WORK, VY_LIT("x"), NULL, &asked_events,
                               &asked[RPC_CALLS_PER_LINK_MAX]));
    run_ms(&world, 1000);
    for (size_t i = 0; i < RPC_CALLS_PER_LINK_MAX; i++) {
        assert_int_equal(asked[i].code, VY_CODE_UNAVAILABLE);
    }
    free(asked);
    world_down(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hint_is_followed_at_once_and_remembered),
        cmocka_unit_test(without_hints_every_member_is_asked_in_one_round),
        cmocka_unit_test(a_call_outlasts_an_election),
        cmocka_unit_test(the_deadline_ends_a_search_with_nothing_done),
        cmocka_unit_test(a_call_waits_while_no_member_is_up),
        cmocka_unit_test(busy_is_asked_again_not_sooner_than_told),
        cmocka_unit_test(what_another_member_would_say_too_is_handed_on),
        cmocka_unit_test(an_unknown_outcome_is_repeated_only_when_that_is_safe),
        cmocka_unit_test(what_one_attempt_leaves_open_stays_open),
        cmocka_unit_test(a_stream_that_began_is_never_repeated),
        cmocka_unit_test(a_body_goes_to_the_leader_and_is_never_repeated),
        cmocka_unit_test(an_empty_body_is_ended_again_on_the_next_member),
        cmocka_unit_test(members_that_leave_give_their_calls_to_others),
        cmocka_unit_test(a_set_of_members_that_is_wrong_changes_nothing),
        cmocka_unit_test(reads_of_any_member_are_spread),
        cmocka_unit_test(a_member_that_drains_loses_no_call),
        cmocka_unit_test(a_cancelled_call_says_nothing_more),
        cmocka_unit_test(a_group_may_be_freed_by_its_own_callback),
        cmocka_unit_test(calls_due_at_once_survive_the_groups_end),
        cmocka_unit_test(no_more_than_1024_calls_are_open_on_a_group),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
