/* SPDX-License-Identifier: Apache-2.0 */
/* The shard's methods on a link: roles, streams both ways, cancelled calls, leader hints. */
#include "proto/fetch_stream.h"
#include "proto/rpc_inproc.h"
#include "shard/service_rpc.h"
#include "tests/lib/shard_local.h"
#include "tests/lib/test.h"

#include "base/assert.h"
#include <stdio.h>

#define ADA 5U

static struct world {
    struct shard_local *local;
    struct rpc_inproc *hub;
    struct rpc_config server_config;
    struct rpc_config client_config;
    struct rpc_server *server;
    struct service_rpc *rpc;
    struct rpc_link *link;
    struct rpc_call *call;
    bool is_ended;
    bool is_holding; /* gives no credit back */
    enum vy_code code;
    char hint[RPC_NAME_BYTES_MAX + 1];
    struct vy_buf reply;
    struct vy_buf stream;
    struct vy_bytes to_send;
} w;

static void run(void)
{
    fake_loop_run_ms(&w.local->loop, 5);
}

static void on_data(void *arg, struct vy_bytes bytes)
{
    (void)arg;
    vy_buf_append(&w.stream, bytes);
    if (!w.is_holding) {
        rpc_call_consumed(w.call, bytes.len);
    }
}

static void send_more(void)
{
    while (w.to_send.len > 0) {
        const size_t taken = rpc_call_send(w.call, w.to_send);
        w.to_send = vy_bytes_from(w.to_send, taken);
        if (taken == 0) {
            return;
        }
    }
    rpc_call_send_end(w.call);
}

static void on_writable(void *arg)
{
    (void)arg;
    send_more();
}

static void on_end(void *arg, const struct rpc_status *status, struct vy_bytes reply)
{
    (void)arg;
    w.is_ended = true;
    w.call = NULL;
    w.code = status->code;
    (void)snprintf(w.hint, sizeof(w.hint), "%.*s", VY_PRI(status->leader_hint));
    vy_buf_append(&w.reply, reply);
}

static const struct rpc_call_events call_events = {
    .on_data = on_data, .on_writable = on_writable, .on_end = on_end};

static void connect_as(enum rpc_role role)
{
    const struct rpc_link_options options = {.address = "inproc:shard"};

    rpc_link_free(w.link);
    w.client_config.role = role;
    assert_false(vy_failed(rpc_link_new(&w.client_config, &options, &w.link)));
    run();
    assert_true(rpc_link_is_up(w.link));
}

static int set_up(void **state)
{
    (void)state;
    w = (struct world){.local = shard_local_new()};
    vy_buf_init(&w.reply, 1024 * 1024);
    vy_buf_init(&w.stream, 16 * 1024 * 1024);
    assert_false(vy_failed(rpc_inproc_new(&w.hub)));
    w.server_config = (struct rpc_config){.loop = &w.local->loop.base,
                                          .rng = &w.local->rng.base,
                                          .log = &w.local->vy_log,
                                          .cluster = "test",
                                          .node = "node-1",
                                          .role = RPC_ROLE_SHARD,
                                          .inproc = w.hub};
    w.client_config = w.server_config;
    w.client_config.node = "edge-1";
    assert_false(vy_failed(rpc_server_new(&w.server_config, &w.server)));
    assert_false(
        vy_failed(service_rpc_add(w.local->service, w.server, &w.local->clock.base, NULL, &w.rpc)));
    assert_false(vy_failed(rpc_server_listen(w.server, "inproc:shard")));
    connect_as(RPC_ROLE_FRONTEND);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    rpc_link_free(w.link);
    run();
    rpc_server_free(w.server);
    fake_loop_run_ms(&w.local->loop, 1000);
    rpc_inproc_free(w.hub);
    service_rpc_free(w.rpc);
    shard_local_free(w.local);
    vy_buf_deinit(&w.reply);
    vy_buf_deinit(&w.stream);
    return 0;
}

static void begin(uint32_t method, const void *request, const struct rpc_call_options *options)
{
    struct vy_buf encoded;

    w.is_ended = false;
    vy_buf_reset(&w.reply);
    vy_buf_reset(&w.stream);
    vy_buf_init(&encoded, 1024 * 1024);
    assert_false(
        vy_failed(vy_pb_encode(service_find_method(method)->request_desc, request, &encoded)));
    w.call = rpc_call_start(w.link, method, vy_buf_bytes(&encoded), options, &call_events, NULL);
    vy_buf_deinit(&encoded);
    assert_non_null(w.call);
}

static enum vy_code call(uint32_t method, const void *request)
{
    begin(method, request, NULL);
    run();
    assert_true(w.is_ended);
    return w.code;
}

static const struct shard_actor *ada(void)
{
    return shard_local_actor(w.local, ADA, 1);
}

static void append_bytes(size_t size)
{
    static uint8_t body[1024 * 1024];
    const struct append_message message = {.size_bytes = size};
    const struct message_append_request request = {
        .actor = ada(), .mailbox_name = VY_LIT("INBOX"), .messages_count = 1, .messages = &message};
    const struct rpc_call_options options = {.has_body = true};

    assert_true(size <= sizeof(body));
    memset(body, 'x', size);
    memcpy(body, "Subject: s\r\n\r\n", 14);
    begin(METHOD_SHARD_MESSAGE_APPEND, &request, &options);
    w.to_send = vy_bytes(body, size);
    send_more();
    fake_loop_run_ms(&w.local->loop, 50);
    assert_true(w.is_ended);
    assert_int_equal(w.code, VY_CODE_OK);
}

static uint64_t inbox_id(void)
{
    const struct mailbox_list_request request = {.actor = ada(), .only_name = VY_LIT("INBOX")};
    struct mailbox_list_reply reply;

    assert_int_equal(call(METHOD_SHARD_MAILBOX_LIST, &request), VY_CODE_OK);
    assert_false(vy_failed(
        vy_pb_decode(&mailbox_list_reply_desc, &w.local->arena, vy_buf_bytes(&w.reply), &reply)));
    assert_int_equal(reply.mailboxes_count, 1);
    return reply.mailboxes[0].mailbox_id;
}

/* R1 */
static void methods_are_for_their_roles(void **state)
{
    (void)state;
    const struct shard_status_request status = {.unused = 0};
    const struct mailbox_list_request list = {.actor = ada()};

    assert_int_equal(call(METHOD_SHARD_STATUS, &status), VY_CODE_DENIED);
    assert_int_equal(call(METHOD_SHARD_MAILBOX_LIST, &list), VY_CODE_OK);
    connect_as(RPC_ROLE_META);
    assert_int_equal(call(METHOD_SHARD_STATUS, &status), VY_CODE_OK);
    assert_int_equal(call(METHOD_SHARD_MAILBOX_LIST, &list), VY_CODE_DENIED);
}

/* A15, R6: one call's session is not the next one's, on the same link neither. */
static void a15_a_call_without_a_session_inherits_none_from_its_link(void **state)
{
    (void)state;
    struct mailbox_list_request list = {.actor = ada()};
    struct shard_actor bare = *ada();

    assert_int_equal(call(METHOD_SHARD_MAILBOX_LIST, &list), VY_CODE_OK);
    bare.session_token = vy_bytes(NULL, 0);
    list.actor = &bare;
    assert_int_equal(call(METHOD_SHARD_MAILBOX_LIST, &list), VY_CODE_DENIED);
    list.actor = NULL;
    assert_int_equal(call(METHOD_SHARD_MAILBOX_LIST, &list), VY_CODE_DENIED);
    list.actor = ada();
    assert_int_equal(call(METHOD_SHARD_MAILBOX_LIST, &list), VY_CODE_OK);
}

static void a_follower_names_the_leader(void **state)
{
    (void)state;
    const struct mailbox_list_request list = {.actor = ada()};

    shard_local_set_leader(w.local, false);
    assert_int_equal(call(METHOD_SHARD_MAILBOX_LIST, &list), VY_CODE_NOT_LEADER);
    assert_string_equal(w.hint, "node-2");
}

/* A message larger than the windows goes up, and comes down only as fast as it is taken. */
static void streams_go_both_ways_with_credit(void **state)
{
    (void)state;
    const size_t size = 900000;
    const struct fetch_section whole = {.kind = 0};

    append_bytes(size);
    const struct message_fetch_request request = {.actor = ada(),
                                                  .mailbox_id = inbox_id(),
                                                  .uids = VY_LIT("\x01\x00"),
                                                  .sections_count = 1,
                                                  .sections = &whole};
    w.is_holding = true;
    begin(METHOD_SHARD_MESSAGE_FETCH, &request, NULL);
    fake_loop_run_ms(&w.local->loop, 50);
    assert_false(w.is_ended);
    const size_t first = vy_buf_len(&w.stream);
    assert_true(first > 0 && first < size);
    w.is_holding = false;
    rpc_call_consumed(w.call, first);
    fake_loop_run_ms(&w.local->loop, 50);
    assert_true(w.is_ended);
    assert_int_equal(w.code, VY_CODE_OK);
    assert_true(vy_buf_len(&w.stream) > size);
}

static void a_cancelled_call_leaves_nothing_open(void **state)
{
    (void)state;
    const struct account_watch_request watch = {.actor = ada()};
    const struct rpc_call_options options = {.endless = true};

    begin(METHOD_SHARD_ACCOUNT_WATCH, &watch, &options);
    run();
    assert_false(w.is_ended);
    assert_int_equal(service_stats(w.local->service)->calls_open, 1);
    rpc_call_cancel(w.call);
    run();
    assert_int_equal(service_stats(w.local->service)->calls_open, 0);
    /* Half a message, and the sender goes away. */
    const struct append_message message = {.size_bytes = 1000};
    const struct message_append_request append = {
        .actor = ada(), .mailbox_name = VY_LIT("INBOX"), .messages_count = 1, .messages = &message};
    const struct rpc_call_options up = {.has_body = true};
    begin(METHOD_SHARD_MESSAGE_APPEND, &append, &up);
    assert_int_equal(rpc_call_send(w.call, VY_LIT("Subject")), 7);
    run();
    assert_int_equal(service_stats(w.local->service)->calls_open, 1);
    rpc_call_cancel(w.call);
    fake_loop_run_ms(&w.local->loop, 50);
    assert_int_equal(service_stats(w.local->service)->calls_open, 0);
    assert_int_equal(shard_machine_count_rows(&w.local->machine, SHARD_EMAIL), 0);
}

static void draining_ends_feeds_and_waits_for_the_rest(void **state)
{
    (void)state;
    const struct account_watch_request watch = {.actor = ada()};
    const struct rpc_call_options options = {.endless = true};

    begin(METHOD_SHARD_ACCOUNT_WATCH, &watch, &options);
    run();
    rpc_server_drain(w.server, 1000, NULL, NULL);
    run();
    assert_true(w.is_ended);
    assert_int_equal(w.code, VY_CODE_UNAVAILABLE);
    assert_int_equal(service_stats(w.local->service)->calls_open, 0);
    assert_true(service_is_quiet(w.local->service));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(methods_are_for_their_roles),
        T(a15_a_call_without_a_session_inherits_none_from_its_link),
        T(a_follower_names_the_leader),
        T(streams_go_both_ways_with_credit),
        T(a_cancelled_call_leaves_nothing_open),
        T(draining_ends_feeds_and_waits_for_the_rest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
