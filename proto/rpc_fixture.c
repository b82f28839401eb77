/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/rpc_fixture.h"

#include "base/assert.h"
#include <stdlib.h>

/* ---- server ---- */

static void remember(struct fixture_server *fixture, const struct rpc_server_call *call)
{
    const uint8_t *key = rpc_server_call_idempotency_key(call);
    const uint8_t *trace = rpc_server_call_trace_id(call);
    const struct rpc_peer *peer = rpc_server_call_peer(call);
    fixture->executed++;
    fixture->last_attempt = rpc_server_call_attempt(call);
    fixture->last_role = peer->role;
    memcpy(fixture->last_node, peer->node, strlen(peer->node) + 1);
    if (key != NULL) {
        memcpy(fixture->last_key, key, RPC_ID_BYTES);
    }
    if (trace != NULL) {
        memcpy(fixture->last_trace, trace, RPC_ID_BYTES);
    }
}

static void on_echo(void *arg, struct rpc_server_call *call, struct vy_bytes request)
{
    remember(arg, call);
    rpc_server_call_reply(call, request);
}

static void hold_on_cancel(void *arg)
{
    struct fixture_server *fixture = arg;
    fixture->cancelled++;
}

static const struct rpc_server_call_events hold_events = {.on_cancel = hold_on_cancel};

static void on_hold(void *arg, struct rpc_server_call *call, struct vy_bytes request)
{
    struct fixture_server *fixture = arg;
    (void)request;
    remember(fixture, call);
    VY_ASSERT(fixture->held_count < FIXTURE_HELD_MAX);
    fixture->held[fixture->held_count++] = call;
    rpc_server_call_set_events(call, &hold_events, fixture);
}

static void fail_busy(struct rpc_server_call *call)
{
    rpc_server_call_fail(call, vy_error(VY_CODE_BUSY, "memory"), NULL, 0);
}

struct up {
    struct fixture_server *fixture;
    struct rpc_server_call *call;
    uint64_t total;
};

static void up_on_data(void *arg, struct vy_bytes bytes)
{
    struct up *up = arg;
    up->total += bytes.len;
    if (up->fixture->is_consuming) {
        rpc_server_call_consumed(up->call, bytes.len);
    } else {
        up->fixture->unconsumed += bytes.len;
    }
}

static void up_on_data_end(void *arg)
{
    struct up *up = arg;
    uint8_t reply[8];
    vy_put_be64(reply, up->total);
    up->fixture->up_call = NULL;
    rpc_server_call_reply(up->call, vy_bytes(reply, sizeof(reply)));
    free(up);
}

static void up_on_cancel(void *arg)
{
    struct up *up = arg;
    up->fixture->cancelled++;
    up->fixture->up_call = NULL;
    rpc_server_call_fail(up->call, vy_error(VY_CODE_CANCELLED, "gone"), NULL, 0);
    free(up);
}

static const struct rpc_server_call_events up_events = {
    .on_data = up_on_data, .on_data_end = up_on_data_end, .on_cancel = up_on_cancel};

static void on_up(void *arg, struct rpc_server_call *call, struct vy_bytes request)
{
    struct fixture_server *fixture = arg;
    (void)request;
    remember(fixture, call);
    struct up *up = calloc(1, sizeof(*up));
    if (up == NULL) {
        fail_busy(call);
        return;
    }
    *up = (struct up){.fixture = fixture, .call = call};
    fixture->up_call = call;
    rpc_server_call_set_events(call, &up_events, up);
}

struct down {
    struct fixture_server *fixture;
    struct rpc_server_call *call;
    uint64_t left;
};

static void down_pump(struct down *down)
{
    static const uint8_t zeros[65536];
    while (down->left > 0) {
        const size_t want = (size_t)VY_MIN(down->left, sizeof(zeros));
        const size_t taken = rpc_server_call_send(down->call, vy_bytes(zeros, want));
        down->left -= taken;
        if (taken < want) {
            return;
        }
    }
    rpc_server_call_reply(down->call, VY_LIT("done"));
    free(down);
}

static void down_on_writable(void *arg)
{
    struct down *down = arg;
    down->fixture->writable++;
    down_pump(down);
}

static void down_on_cancel(void *arg)
{
    struct down *down = arg;
    down->fixture->cancelled++;
    rpc_server_call_fail(down->call, vy_error(VY_CODE_CANCELLED, "gone"), NULL, 0);
    free(down);
}

static const struct rpc_server_call_events down_events = {.on_writable = down_on_writable,
                                                          .on_cancel = down_on_cancel};

#define COUNT_MAX (256U * 1024U * 1024U)

/* The number that a request is. False: it is none; the call has its answer. */
static bool take_count(struct rpc_server_call *call, struct vy_bytes request, uint64_t *out)
{
    *out = request.len == 8 ? vy_get_be64(request.data) : UINT64_MAX;
    if (*out > COUNT_MAX) {
        rpc_server_call_fail(call, vy_error(VY_CODE_ARGUMENT, "count"), NULL, 0);
        return false;
    }
    return true;
}

static void on_down(void *arg, struct rpc_server_call *call, struct vy_bytes request)
{
    remember(arg, call);
    uint64_t count = 0;
    if (!take_count(call, request, &count)) {
        return;
    }
    struct down *down = calloc(1, sizeof(*down));
    if (down == NULL) {
        fail_busy(call);
        return;
    }
    *down = (struct down){.fixture = arg, .call = call, .left = count};
    rpc_server_call_set_events(call, &down_events, down);
    down_pump(down);
}

static void on_big(void *arg, struct rpc_server_call *call, struct vy_bytes request)
{
    remember(arg, call);
    uint64_t count = 0;
    if (!take_count(call, request, &count)) {
        return;
    }
    const size_t len = (size_t)VY_MIN(count, RPC_REPLY_BYTES_MAX);
    uint8_t *reply = malloc(len + 1);
    if (reply == NULL) {
        fail_busy(call);
        return;
    }
    for (size_t i = 0; i < len; i++) {
        reply[i] = (uint8_t)(i * 7);
    }
    rpc_server_call_reply(call, vy_bytes(reply, len));
    free(reply);
}

static void on_fail(void *arg, struct rpc_server_call *call, struct vy_bytes request)
{
    struct fixture_server *fixture = arg;
    (void)request;
    remember(fixture, call);
    rpc_server_call_fail(call, vy_error(VY_CODE_NOT_LEADER, "follower"), fixture->hint, 0);
}

/* clang-format off */
static const struct rpc_server_method methods[] = {
    {.id = FIXTURE_ECHO,  .name = "echo",  .roles = RPC_ROLE_ALL, .request_bytes_max = 8U << 20, .handler = on_echo},
    {.id = FIXTURE_HOLD,  .name = "hold",  .roles = RPC_ROLE_ALL, .handler = on_hold, .in_flight_max = 2000},
    {.id = FIXTURE_UP,    .name = "up",    .roles = RPC_ROLE_ALL, .handler = on_up},
    {.id = FIXTURE_DOWN,  .name = "down",  .roles = RPC_ROLE_ALL, .handler = on_down},
    {.id = FIXTURE_BIG,   .name = "big",   .roles = RPC_ROLE_ALL, .handler = on_big},
    {.id = FIXTURE_WATCH, .name = "watch", .roles = RPC_ROLE_ALL, .handler = on_hold, .endless = true},
    {.id = FIXTURE_META,  .name = "meta",  .roles = RPC_ROLE_META, .handler = on_echo},
    {.id = FIXTURE_ONE,   .name = "one",   .roles = RPC_ROLE_ALL, .handler = on_hold, .in_flight_max = 1},
    {.id = FIXTURE_FAIL,  .name = "fail",  .roles = RPC_ROLE_ALL, .handler = on_fail},
};
/* clang-format on */

void fixture_server_init(struct fixture_server *fixture, const struct rpc_config *config)
{
    *fixture = (struct fixture_server){.is_consuming = true};
    VY_ASSERT(!vy_failed(rpc_server_new(config, &fixture->server)));
    VY_ASSERT(!vy_failed(
        rpc_server_add_methods(fixture->server, methods, VY_COUNT_OF(methods), fixture)));
}

void fixture_server_release(struct fixture_server *fixture)
{
    while (fixture->held_count > 0) {
        rpc_server_call_reply(fixture->held[--fixture->held_count], VY_LIT("released"));
    }
}

bool fixture_server_push(struct fixture_server *fixture, size_t index, const char *text)
{
    return rpc_server_call_send_message(fixture->held[index], vy_cstr(text));
}

/* ---- caller ---- */

static void call_on_data(void *arg, struct vy_bytes bytes)
{
    struct fixture_call *call = arg;
    call->data_len += bytes.len;
    call->data_count++;
    if (!call->is_lazy) {
        rpc_call_consumed(call->call, bytes.len);
    }
}

static void call_on_writable(void *arg)
{
    struct fixture_call *call = arg;
    call->writable++;
    fixture_call_pump(call);
}

static void copy_text(char *out, size_t size, struct vy_bytes text)
{
    const struct vy_bytes cut = vy_bytes_slice(text, 0, size - 1);
    if (cut.len > 0) {
        memcpy(out, cut.data, cut.len);
    }
    out[cut.len] = '\0';
}

static void call_on_end(void *arg, const struct rpc_status *status, struct vy_bytes reply)
{
    struct fixture_call *call = arg;
    VY_ASSERT(!call->is_ended);
    call->call = NULL;
    call->is_ended = true;
    call->code = status->code;
    call->is_not_executed = status->not_executed;
    call->retry_after_ms = status->retry_after_ms;
    copy_text(call->hint, sizeof(call->hint), status->leader_hint);
    copy_text(call->message, sizeof(call->message), status->message);
    call->reply_len = reply.len;
    const struct vy_bytes start = vy_bytes_slice(reply, 0, sizeof(call->reply));
    if (start.len > 0) {
        memcpy(call->reply, start.data, start.len);
    }
    if (call->on_end != NULL) {
        call->on_end(call);
    }
}

const struct rpc_call_events fixture_call_events = {
    .on_data = call_on_data, .on_writable = call_on_writable, .on_end = call_on_end};

bool fixture_call_start(struct fixture_call *call, struct rpc_link *link, uint32_t method,
                        struct vy_bytes request, const struct rpc_call_options *options)
{
    call->is_ended = false;
    call->call = rpc_call_start(link, method, request, options, &fixture_call_events, call);
    return call->call != NULL;
}

void fixture_call_pump(struct fixture_call *call)
{
    static const uint8_t zeros[65536];
    while (call->to_send > 0) {
        const size_t want = VY_MIN(call->to_send, sizeof(zeros));
        const size_t taken = rpc_call_send(call->call, vy_bytes(zeros, want));
        call->to_send -= taken;
        if (taken < want) {
            return;
        }
    }
    rpc_call_send_end(call->call);
}

/* ---- log ---- */

static void log_write(void *arg, enum vy_log_level level, const char *line, size_t len)
{
    struct fixture_log *log = arg;
    log->errors += level == VY_LOG_ERROR;
    if (len + 2 > sizeof(log->text) - log->len) {
        log->len = 0; /* old lines do not matter */
    }
    memcpy(log->text + log->len, line, len);
    log->len += len;
    log->text[log->len++] = '\n';
    log->text[log->len] = '\0';
}

void fixture_log_init(struct fixture_log *log, struct vy_clock *clock)
{
    *log = (struct fixture_log){.errors = 0};
    log->sink = (struct vy_log_sink){.write = log_write, .arg = log};
    log->log = (struct vy_log){.sink = &log->sink, .clock = clock, .level = VY_LOG_DEBUG};
}

bool fixture_log_has(const struct fixture_log *log, const char *text)
{
    return strstr(log->text, text) != NULL;
}
