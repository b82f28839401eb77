/* SPDX-License-Identifier: Apache-2.0 */
/* Meta on a link: calls, roles, NOT_LEADER with its hint, and the stream of changes. */
#include "proto/event_stream.h"
#include "proto/rpc_inproc.h"
#include "proto/rpc_server.h"
#include "tests/lib/meta_local.h"
#include "tests/lib/test.h"

#include "base/assert.h"
#include <stdio.h>

#define EVENTS_MAX 64U

struct world {
    struct meta_local *local;
    struct rpc_inproc *hub;
    struct rpc_config server_config;
    struct rpc_config client_config;
    struct rpc_server *server;
    struct rpc_link *link;

    struct rpc_call *call;
    bool is_ended;
    enum vy_code code;
    char hint[RPC_NAME_BYTES_MAX + 1];
    uint8_t reply[1024];
    size_t reply_len;

    struct event_reader reader;
    struct meta_event events[EVENTS_MAX]; /* addresses are not kept */
    char addresses[EVENTS_MAX][64];
    size_t event_count;
};

static void take_event(struct world *w, struct vy_bytes bytes)
{
    struct vy_arena arena;
    struct meta_event event;
    vy_arena_init(&arena, 4096);
    assert_true(w->event_count < EVENTS_MAX);
    assert_false(vy_failed(vy_pb_decode(&meta_event_desc, &arena, bytes, &event)));
    (void)snprintf(w->addresses[w->event_count], 64, "%.*s", VY_PRI(event.address));
    event.address = vy_bytes(NULL, 0);
    w->events[w->event_count++] = event;
    vy_arena_deinit(&arena);
}

static void on_data(void *arg, struct vy_bytes bytes)
{
    struct world *w = arg;
    struct vy_bytes rest = bytes;
    struct vy_bytes message = {.len = 0};
    bool is_found = true;
    while (is_found) {
        assert_false(vy_failed(event_reader_next(&w->reader, &rest, &message, &is_found)));
        if (is_found) {
            take_event(w, message);
        }
    }
    rpc_call_consumed(w->call, bytes.len);
}

static void on_end(void *arg, const struct rpc_status *status, struct vy_bytes reply)
{
    struct world *w = arg;
    w->is_ended = true;
    w->call = NULL;
    w->code = status->code;
    (void)snprintf(w->hint, sizeof(w->hint), "%.*s", VY_PRI(status->leader_hint));
    assert_true(reply.len <= sizeof(w->reply));
    if (reply.len > 0) {
        memcpy(w->reply, reply.data, reply.len);
    }
    w->reply_len = reply.len;
}

static const struct rpc_call_events call_events = {.on_data = on_data, .on_end = on_end};

static void connect_as(struct world *w, enum rpc_role role)
{
    const struct rpc_link_options options = {.address = "inproc:meta"};
    rpc_link_free(w->link);
    w->client_config.role = role;
    assert_false(vy_failed(rpc_link_new(&w->client_config, &options, &w->link)));
    meta_local_run_ms(w->local, 5);
    assert_true(rpc_link_is_up(w->link));
}

static int set_up(void **state)
{
    static struct world w;
    w = (struct world){.local = meta_local_new(0, NULL, NULL)};
    meta_local_add_domain(w.local, "d.test", NULL);
    (void)meta_local_add_account(w.local, "ada@d.test", NULL, NULL, 0);
    event_reader_init(&w.reader);
    assert_false(vy_failed(rpc_inproc_new(&w.hub)));
    w.server_config = (struct rpc_config){.loop = &w.local->loop.base,
                                          .rng = &w.local->rng.base,
                                          .log = &w.local->log,
                                          .cluster = "test",
                                          .node = "meta-1",
                                          .role = RPC_ROLE_META,
                                          .inproc = w.hub};
    w.client_config = w.server_config;
    w.client_config.node = "n1";
    assert_false(vy_failed(rpc_server_new(&w.server_config, &w.server)));
    assert_false(vy_failed(meta_rpc_add(w.local->meta, w.server)));
    assert_false(vy_failed(rpc_server_listen(w.server, "inproc:meta")));
    connect_as(&w, RPC_ROLE_FRONTEND);
    *state = &w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    rpc_link_free(w->link);
    meta_local_run_ms(w->local, 10);
    rpc_server_free(w->server);
    meta_local_run_ms(w->local, 1000);
    rpc_inproc_free(w->hub);
    event_reader_deinit(&w->reader);
    meta_local_free(w->local);
    return 0;
}

static enum vy_code call(struct world *w, uint32_t method, const struct vy_pb_desc *desc,
                         const void *request)
{
    struct vy_buf buf;
    w->is_ended = false;
    vy_buf_init(&buf, 4096);
    assert_false(vy_failed(vy_pb_encode(desc, request, &buf)));
    w->call = rpc_call_start(w->link, method, vy_buf_bytes(&buf), NULL, &call_events, w);
    vy_buf_deinit(&buf);
    assert_non_null(w->call);
    meta_local_run_ms(w->local, 5);
    assert_true(w->is_ended);
    return w->code;
}

static void watch(struct world *w, uint64_t cursor)
{
    const struct meta_watch_request request = {.cursor = cursor};
    const struct rpc_call_options options = {.endless = true};
    struct vy_buf buf;
    w->is_ended = false;
    w->event_count = 0;
    vy_buf_init(&buf, 4096);
    assert_false(vy_failed(vy_pb_encode(&meta_watch_request_desc, &request, &buf)));
    w->call =
        rpc_call_start(w->link, METHOD_META_WATCH, vy_buf_bytes(&buf), &options, &call_events, w);
    vy_buf_deinit(&buf);
    meta_local_run_ms(w->local, 5);
}

static void a_recipient_is_resolved_over_the_link(void **state)
{
    struct world *w = *state;
    struct vy_arena arena;
    struct resolve_reply reply;
    const struct resolve_request request = {.address = VY_LIT("ada@d.test"), .fresh = true};
    assert_int_equal(call(w, METHOD_META_RESOLVE, &resolve_request_desc, &request), VY_CODE_OK);
    vy_arena_init(&arena, 4096);
    assert_false(vy_failed(
        vy_pb_decode(&resolve_reply_desc, &arena, vy_bytes(w->reply, w->reply_len), &reply)));
    assert_int_equal(reply.result, RESOLVE_RESULT_LOCAL);
    vy_arena_deinit(&arena);
}

static void r1_methods_are_for_their_roles(void **state)
{
    struct world *w = *state;
    const struct account_key_request key = {.account_id = 1};
    const struct login_request login = {.context = NULL};
    assert_int_equal(call(w, METHOD_META_ACCOUNT_KEY, &account_key_request_desc, &key),
                     VY_CODE_DENIED);
    connect_as(w, RPC_ROLE_SHARD);
    assert_int_equal(call(w, METHOD_META_ACCOUNT_KEY, &account_key_request_desc, &key), VY_CODE_OK);
    assert_int_equal(call(w, METHOD_META_LOGIN, &login_request_desc, &login), VY_CODE_DENIED);
}

static void not_leader_comes_with_a_hint(void **state)
{
    struct world *w = *state;
    const struct resolve_request request = {.address = VY_LIT("ada@d.test"), .fresh = true};
    meta_local_set_leader(w->local, false);
    assert_int_equal(call(w, METHOD_META_RESOLVE, &resolve_request_desc, &request),
                     VY_CODE_NOT_LEADER);
    assert_string_equal(w->hint, "tcp://127.0.0.1:7070");
}

static void a_watch_tells_its_cursor_and_then_every_change(void **state)
{
    struct world *w = *state;
    struct meta_stats stats;
    watch(w, 0);
    assert_int_equal(w->event_count, 1);
    const uint64_t cursor = w->events[0].cursor;
    assert_int_equal(cursor, w->local->index);
    (void)meta_local_add_account(w->local, "bob@d.test", NULL, NULL, 0);
    meta_local_run_ms(w->local, 5);
    assert_int_equal(w->event_count, 3);
    assert_int_equal(w->events[1].account_id, 2);
    assert_int_equal(w->events[1].state, ACCOUNT_STATE_ACTIVE);
    assert_int_equal(w->events[1].cursor, w->local->index - 1); /* not the entry's last */
    assert_int_equal(w->events[2].cursor, w->local->index);
    assert_string_equal(w->addresses[2], "bob@d.test");
    meta_get_stats(w->local->meta, &stats);
    assert_int_equal(stats.watchers, 1);
    rpc_call_cancel(w->call);
    meta_local_run_ms(w->local, 5);
    meta_get_stats(w->local->meta, &stats);
    assert_int_equal(stats.watchers, 0);
    watch(w, cursor); /* comes back: nothing is missing */
    assert_int_equal(w->event_count, 2);
    rpc_call_cancel(w->call);
    meta_local_run_ms(w->local, 5);
}

static void a_watch_that_is_open_ends_with_the_server(void **state)
{
    struct world *w = *state;
    watch(w, 0);
    rpc_link_free(w->link);
    w->link = NULL;
    meta_local_run_ms(w->local, 50);
    struct meta_stats stats;
    meta_get_stats(w->local->meta, &stats);
    assert_int_equal(stats.watchers, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_recipient_is_resolved_over_the_link),
        TEST(r1_methods_are_for_their_roles),
        TEST(not_leader_comes_with_a_hint),
        TEST(a_watch_tells_its_cursor_and_then_every_change),
        TEST(a_watch_that_is_open_ends_with_the_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
