/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/rpc.pb.h"
#include "proto/rpc_server_private.h"
#include <stdlib.h>

#define REQUEST_BYTES_DEFAULT (64U * 1024U)
#define DEADLINE_DEFAULT_MS 30000U
#define IN_FLIGHT_DEFAULT 1024U
#define BUSY_RETRY_MS 50U

static struct rpc_server_call *call_of(struct rpc_flow *stream)
{
    return VY_CONTAINER_OF(stream, struct rpc_server_call, stream);
}

static uint32_t or_default(uint32_t value, uint32_t fallback)
{
    return value == 0 ? fallback : value;
}

/* The handler is done: the call no longer counts, whatever is still to be sent. */
static void call_leave_server(struct rpc_server_call *call)
{
    struct rpc_server *server = VY_TAKE(call->server);
    if (server == NULL) {
        return;
    }
    vy_list_remove(&call->node);
    call->entry->in_flight--;
    call->entry = NULL;
    server->stats.calls_open--;
    rpc_server_check_drained(server);
}

static void call_free(struct rpc_server_call *call)
{
    call_leave_server(call);
    rpc_flow_deinit(&call->stream);
    rpc_conn_unref(call->conn);
    free(call);
}

/* ---- what comes from the link ---- */

static void call_on_message(struct rpc_flow *stream, struct vy_bytes request)
{
    struct rpc_server_call *call = call_of(stream);
    call->has_started = true;
    call->method->handler(call->entry->arg, call, request);
}

static void call_on_data(struct rpc_flow *stream, struct vy_bytes bytes)
{
    struct rpc_server_call *call = call_of(stream);
    if (call->is_answered || call->events == NULL || call->events->on_data == NULL) {
        rpc_flow_consumed(stream, bytes.len);
        return;
    }
    call->events->on_data(call->arg, bytes);
}

static void call_on_data_end(struct rpc_flow *stream)
{
    struct rpc_server_call *call = call_of(stream);
    if (!call->is_answered && call->events != NULL && call->events->on_data_end != NULL) {
        call->events->on_data_end(call->arg);
    }
}

static void call_on_writable(struct rpc_flow *stream)
{
    struct rpc_server_call *call = call_of(stream);
    if (!call->is_answered && call->events != NULL && call->events->on_writable != NULL) {
        call->events->on_writable(call->arg);
    }
}

static void count_lost(struct rpc_server_call *call)
{
    if (call->server == NULL || call->is_answered) {
        return;
    }
    const bool is_late = call->stream.deadline_ms <= vy_loop_now_ms(call->server->config->loop);
    if (is_late) {
        call->server->stats.calls_expired++;
    } else {
        call->server->stats.calls_cancelled++;
    }
}

/* The stream is off its link. Before the handler has the call, or after it has answered, nobody
 * else holds it. */
static void call_on_gone(struct rpc_flow *stream, const struct rpc_status *status,
                         struct vy_bytes reply)
{
    struct rpc_server_call *call = call_of(stream);
    (void)status;
    (void)reply;
    count_lost(call);
    if (call->is_answered || !call->has_started) {
        call_free(call);
        return;
    }
    call->is_cancelled = true;
    if (call->events != NULL && call->events->on_cancel != NULL) {
        call->events->on_cancel(call->arg);
    }
}

static void call_on_ended(struct rpc_flow *stream)
{
    call_free(call_of(stream));
}

static const struct rpc_flow_ops server_stream_ops = {.on_message = call_on_message,
                                                      .on_data = call_on_data,
                                                      .on_data_end = call_on_data_end,
                                                      .on_writable = call_on_writable,
                                                      .on_end = call_on_gone,
                                                      .on_ended = call_on_ended};

/* ---- a call comes in ---- */

struct refusal {
    enum vy_code code; /* OK: welcome */
    const char *why;
    uint32_t retry_after_ms;
    uint64_t *counter; /* may be NULL */
};

/* Everything that is checked before a handler sees a call, in one place. */
static struct refusal check_call(struct rpc_server *server, const struct rpc_server_entry *entry,
                                 const struct rpc_conn *conn, const struct rpc_call_meta *meta)
{
    if (entry == NULL) {
        return (struct refusal){.code = VY_CODE_UNSUPPORTED, .why = "unknown method"};
    }
    if ((entry->method->roles & (uint32_t)conn->peer.role) == 0) {
        return (struct refusal){.code = VY_CODE_DENIED,
                                .why = "role may not call this",
                                .counter = &server->stats.calls_denied};
    }
    if (meta->request_bytes > or_default(entry->method->request_bytes_max, REQUEST_BYTES_DEFAULT)) {
        return (struct refusal){.code = VY_CODE_LIMIT, .why = "request too large"};
    }
    if (entry->in_flight >= or_default(entry->method->in_flight_max, IN_FLIGHT_DEFAULT) ||
        conn->stream_count >= RPC_CALLS_PER_LINK_MAX) {
        return (struct refusal){.code = VY_CODE_BUSY,
                                .why = "too many calls in flight",
                                .retry_after_ms = BUSY_RETRY_MS,
                                .counter = &server->stats.calls_busy};
    }
    return (struct refusal){.code = VY_CODE_OK};
}

static void refuse_call(struct rpc_server *server, struct rpc_conn *conn, uint32_t stream_id,
                        const struct refusal *refusal)
{
    const struct rpc_status status = {.code = refusal->code,
                                      .message = vy_cstr(refusal->why),
                                      .not_executed = true,
                                      .retry_after_ms = refusal->retry_after_ms};
    if (refusal->counter != NULL) {
        (*refusal->counter)++;
    }
    if (refusal->code == VY_CODE_DENIED) {
        vy_log(server->config->log, VY_LOG_WARN, "rpc.call.denied",
               VY_CSTR("rpc.node", conn->peer.node), VY_U64("rpc.role", conn->peer.role));
    }
    rpc_conn_refuse_call(conn, stream_id, &status);
}

static void copy_meta(struct rpc_server_call *call, const struct rpc_call_meta *meta)
{
    call->has_key = meta->idempotency_key.len == RPC_ID_BYTES;
    call->has_trace = meta->trace_id.len == RPC_ID_BYTES;
    if (call->has_key) {
        memcpy(call->idempotency_key, meta->idempotency_key.data, RPC_ID_BYTES);
    }
    if (call->has_trace) {
        memcpy(call->trace_id, meta->trace_id.data, RPC_ID_BYTES);
    }
    if (meta->principal.len > 0) {
        memcpy(call->principal, meta->principal.data, meta->principal.len);
    }
    call->principal_bytes = (uint32_t)meta->principal.len;
    call->span_id = meta->span_id;
    call->attempt = meta->attempt;
}

static uint64_t deadline_of(const struct rpc_server *server, const struct rpc_server_method *method,
                            uint32_t timeout_ms)
{
    if (method->endless && timeout_ms == 0) {
        return UINT64_MAX;
    }
    const uint32_t fallback = or_default(method->deadline_ms, DEADLINE_DEFAULT_MS);
    return vy_loop_now_ms(server->config->loop) + or_default(timeout_ms, fallback);
}

void rpc_server_take_call(struct rpc_server *server, struct rpc_conn *conn,
                          const struct rpc_frame *frame, const struct rpc_call_meta *meta,
                          struct vy_bytes request_start)
{
    server->stats.calls++;
    struct rpc_server_entry *entry = vy_map_get(&server->methods, meta->method);
    struct refusal refusal = check_call(server, entry, conn, meta);
    struct rpc_server_call *call = refusal.code == VY_CODE_OK ? calloc(1, sizeof(*call)) : NULL;
    if (call == NULL) {
        if (refusal.code == VY_CODE_OK) {
            refusal = (struct refusal){
                .code = VY_CODE_BUSY, .why = "memory", .retry_after_ms = BUSY_RETRY_MS};
        }
        refuse_call(server, conn, frame->stream_id, &refusal);
        return;
    }
    rpc_flow_init(&call->stream, &server_stream_ops,
                  deadline_of(server, entry->method, meta->timeout_ms));
    call->server = server;
    call->entry = entry;
    call->method = entry->method;
    call->conn = rpc_conn_ref(conn);
    vy_list_push_back(&server->calls, &call->node);
    entry->in_flight++;
    server->stats.calls_open++;
    copy_meta(call, meta);
    if (!rpc_conn_accept_call(conn, frame, &call->stream, meta->request_bytes, request_start)) {
        call_free(call);
    }
}

/* ---- what handlers ask ---- */

const struct rpc_peer *rpc_server_call_peer(const struct rpc_server_call *call)
{
    return &call->conn->peer;
}

const struct rpc_server_method *rpc_server_call_method(const struct rpc_server_call *call)
{
    return call->method;
}

uint64_t rpc_server_call_remaining_ms(const struct rpc_server_call *call)
{
    if (call->is_cancelled) {
        return 0;
    }
    if (call->stream.deadline_ms == UINT64_MAX) {
        return UINT64_MAX;
    }
    const uint64_t now = vy_loop_now_ms(call->conn->config->loop);
    return call->stream.deadline_ms > now ? call->stream.deadline_ms - now : 0;
}

const uint8_t *rpc_server_call_idempotency_key(const struct rpc_server_call *call)
{
    return call->has_key ? call->idempotency_key : NULL;
}

const uint8_t *rpc_server_call_trace_id(const struct rpc_server_call *call)
{
    return call->has_trace ? call->trace_id : NULL;
}

uint64_t rpc_server_call_span_id(const struct rpc_server_call *call)
{
    return call->span_id;
}

uint32_t rpc_server_call_attempt(const struct rpc_server_call *call)
{
    return call->attempt;
}

struct vy_bytes rpc_server_call_principal(const struct rpc_server_call *call)
{
    return vy_bytes(call->principal, call->principal_bytes);
}

bool rpc_server_call_is_cancelled(const struct rpc_server_call *call)
{
    return call->is_cancelled;
}

/* ---- what handlers do ---- */

void rpc_server_call_set_events(struct rpc_server_call *call,
                                const struct rpc_server_call_events *events, void *arg)
{
    call->events = events;
    call->arg = arg;
}

size_t rpc_server_call_send(struct rpc_server_call *call, struct vy_bytes bytes)
{
    return call->is_cancelled ? bytes.len : rpc_flow_send(&call->stream, bytes);
}

bool rpc_server_call_send_message(struct rpc_server_call *call, struct vy_bytes message)
{
    return call->is_cancelled || rpc_flow_send_message(&call->stream, message);
}

void rpc_server_call_consumed(struct rpc_server_call *call, size_t count)
{
    rpc_flow_consumed(&call->stream, count);
}

void rpc_server_call_close_link(struct rpc_server_call *call, struct vy_err why)
{
    if (call->stream.conn != NULL) {
        rpc_conn_fail(call->conn, why);
    }
}

static void answer(struct rpc_server_call *call, const struct rpc_status *status,
                   struct vy_bytes reply)
{
    VY_ASSERT(!call->is_answered);
    call->is_answered = true;
    if (call->stream.conn == NULL) {
        call_free(call);
        return;
    }
    call_leave_server(call);
    rpc_flow_finish(&call->stream, status, reply);
}

void rpc_server_call_reply(struct rpc_server_call *call, struct vy_bytes reply)
{
    const struct rpc_status status = {.code = VY_CODE_OK};
    answer(call, &status, reply);
}

void rpc_server_call_fail(struct rpc_server_call *call, struct vy_err err, const char *leader_hint,
                          uint32_t retry_after_ms)
{
    VY_ASSERT(err.code != VY_CODE_OK);
    const struct rpc_status status = {
        .code = err.code,
        .message = err.what == NULL ? vy_bytes(NULL, 0) : vy_cstr(err.what),
        .not_executed = rpc_code_means_not_executed(err.code),
        .leader_hint = leader_hint == NULL ? vy_bytes(NULL, 0) : vy_cstr(leader_hint),
        .retry_after_ms = retry_after_ms,
    };
    answer(call, &status, vy_bytes(NULL, 0));
}

/* ---- drain ---- */

/* A watch has no end of its own: its caller is sent elsewhere, its handler hears on_cancel and
 * answers into the void. */
static void end_endless(struct rpc_server_call *call)
{
    struct rpc_conn *conn = call->stream.conn;
    const struct rpc_status status = {.code = VY_CODE_UNAVAILABLE,
                                      .message = VY_LIT("server is leaving")};
    rpc_conn_refuse_call(conn, call->stream.id, &status);
    rpc_conn_remove_stream(conn, &call->stream);
    rpc_writer_flush(conn);
    call_on_gone(&call->stream, &status, vy_bytes(NULL, 0));
}

void rpc_server_end_endless(struct rpc_server *server)
{
    struct vy_list endless;
    vy_list_init(&endless);
    for (struct vy_list *item = server->calls.next; item != &server->calls;) {
        struct rpc_server_call *call = VY_CONTAINER_OF(item, struct rpc_server_call, node);
        item = item->next;
        if (call->stream.deadline_ms == UINT64_MAX && call->stream.conn != NULL) {
            vy_list_remove(&call->node);
            vy_list_push_back(&endless, &call->node);
        }
    }
    struct vy_list *item = vy_list_pop_front(&endless);
    while (item != NULL) {
        struct rpc_server_call *call = VY_CONTAINER_OF(item, struct rpc_server_call, node);
        vy_list_push_back(&server->calls, &call->node);
        if (call->stream.conn != NULL) {
            end_endless(call);
        }
        item = vy_list_pop_front(&endless);
    }
}
