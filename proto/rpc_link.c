/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/rpc.h"

#include "proto/rpc.pb.h"
#include "proto/rpc_conn.h"
#include <stdio.h>
#include <stdlib.h>

#define BACKOFF_MIN_MS 50U
#define BACKOFF_MAX_MS 5000U
#define HURRY_MS 100U   /* between dials of a link that somebody waits for */
#define STEADY_MS 5000U /* a link that was up this long starts over with the shortest backoff */
#define CALL_DEADLINE_MS 30000U

struct rpc_link {
    const struct rpc_config *config; /* borrowed */
    struct rpc_address address;
    char label[RPC_ADDRESS_BYTES_MAX + 16];
    uint32_t peer_roles;
    char peer_node[RPC_NAME_BYTES_MAX + 1];
    void (*on_state)(void *arg, bool up);
    void *arg;
    unsigned ref_count; /* the holder, and each step of ours that calls out */
    bool is_freed;
    struct rpc_conn *conn; /* owned reference; NULL while waiting to redial */
    bool is_up;
    bool has_failed; /* since it was last up: calls fail at once, the log stays quiet */
    bool is_refused; /* the peer sent us away; until it keeps us for STEADY_MS the log is quiet */
    uint64_t up_since_ms;
    uint64_t redial_at_ms; /* UINT64_MAX: not waiting */
    uint64_t dialled_ms;
    uint32_t backoff_ms;
    struct vy_timer *timer;
    uint64_t wake_ms;
    struct vy_list calls;   /* all */
    struct vy_list pending; /* of those, waiting for the link (stream.node) */
    struct vy_list failing; /* of those, to be told that there is no link (stream.node) */
    size_t call_count;
};

struct rpc_call {
    struct rpc_flow stream;
    struct rpc_link *link;
    struct vy_list node;                  /* link->calls */
    const struct rpc_call_events *events; /* borrowed */
    void *arg;
    uint32_t method;
    uint32_t request_bytes;
    uint32_t attempt;
    bool wait_ready;
    uint64_t span_id;
    uint8_t idempotency_key[RPC_ID_BYTES];
    uint8_t trace_id[RPC_ID_BYTES];
    uint32_t principal_bytes;
    uint8_t principal[RPC_PRINCIPAL_BYTES_MAX];
};

static struct rpc_call *call_of(struct rpc_flow *stream)
{
    return VY_CONTAINER_OF(stream, struct rpc_call, stream);
}

static uint64_t link_now_ms(const struct rpc_link *link)
{
    return vy_loop_now_ms(link->config->loop);
}

static void link_unref(struct rpc_link *link)
{
    link->ref_count--;
    if (link->ref_count == 0) {
        vy_timer_free(link->timer);
        free(link);
    }
}

static void link_wake_at(struct rpc_link *link, uint64_t when_ms)
{
    if (link->is_freed || when_ms >= link->wake_ms) {
        return;
    }
    const uint64_t now = link_now_ms(link);
    link->wake_ms = when_ms;
    vy_timer_start(link->timer, when_ms > now ? when_ms - now : 0);
}

/* ---- calls ---- */

static bool id_is_set(const uint8_t id[RPC_ID_BYTES])
{
    static const uint8_t none[RPC_ID_BYTES];
    return memcmp(id, none, RPC_ID_BYTES) != 0;
}

static struct vy_bytes id_bytes(const uint8_t id[RPC_ID_BYTES])
{
    return vy_bytes(id, id_is_set(id) ? RPC_ID_BYTES : 0);
}

/* What is left of the deadline, as the peer is told: at least 1, as 0 means "not said". */
static uint32_t remaining_ms(const struct rpc_call *call)
{
    if (call->stream.deadline_ms == UINT64_MAX) {
        return 0;
    }
    const uint64_t now = link_now_ms(call->link);
    const uint64_t left = call->stream.deadline_ms > now ? call->stream.deadline_ms - now : 1;
    return (uint32_t)VY_MIN(left, UINT32_MAX);
}

static bool call_on_write(struct rpc_flow *stream, struct rpc_block *block)
{
    const struct rpc_call *call = call_of(stream);
    const struct rpc_call_meta meta = {
        .method = call->method,
        .timeout_ms = remaining_ms(call),
        .idempotency_key = id_bytes(call->idempotency_key),
        .trace_id = id_bytes(call->trace_id),
        .span_id = call->span_id,
        .attempt = call->attempt,
        .principal = vy_bytes(call->principal, call->principal_bytes),
        .request_bytes = call->request_bytes,
    };
    struct vy_buf *scratch = &stream->conn->scratch;
    vy_buf_reset(scratch);
    if (vy_failed(vy_pb_encode(&rpc_call_meta_desc, &meta, scratch))) {
        return false;
    }
    const struct vy_bytes head = vy_buf_bytes(scratch);
    VY_ASSERT(head.len + RPC_FRAME_HEADER_BYTES <= block->start);
    const bool is_last = stream->has_sent_last && rpc_block_list_is_empty(&stream->data);
    const struct rpc_frame frame = {.type = RPC_FRAME_CALL,
                                    .flags = is_last ? RPC_FRAME_LAST : 0,
                                    .stream_id = stream->id,
                                    .aux = (uint32_t)head.len,
                                    .payload =
                                        vy_bytes(NULL, head.len + (block->end - block->start))};
    block->start -= (uint32_t)head.len;
    memcpy(block->data + block->start, head.data, head.len);
    block->start -= RPC_FRAME_HEADER_BYTES;
    rpc_frame_write_header(&frame, block->data + block->start);
    return true;
}

/* Off the link; memory stays until call_free. */
static void call_detach(struct rpc_call *call)
{
    vy_list_remove(&call->node);
    call->link->call_count--;
}

static void call_free(struct rpc_call *call)
{
    rpc_flow_deinit(&call->stream);
    free(call);
}

static void call_on_data(struct rpc_flow *stream, struct vy_bytes bytes)
{
    struct rpc_call *call = call_of(stream);
    if (call->events->on_data == NULL) {
        rpc_flow_consumed(stream, bytes.len);
        return;
    }
    call->events->on_data(call->arg, bytes);
}

static void call_on_writable(struct rpc_flow *stream)
{
    struct rpc_call *call = call_of(stream);
    if (call->events->on_writable != NULL) {
        call->events->on_writable(call->arg);
    }
}

static void call_on_end(struct rpc_flow *stream, const struct rpc_status *status,
                        struct vy_bytes reply)
{
    struct rpc_call *call = call_of(stream);
    call_detach(call);
    if (call->events->on_end != NULL) {
        call->events->on_end(call->arg, status, reply);
    }
    call_free(call);
}

static const struct rpc_flow_ops call_stream_ops = {.on_write_call = call_on_write,
                                                    .on_data = call_on_data,
                                                    .on_writable = call_on_writable,
                                                    .on_end = call_on_end};

static struct rpc_call *call_new(struct rpc_link *link, uint32_t method, struct vy_bytes request,
                                 const struct rpc_call_options *options)
{
    struct rpc_call *call = calloc(1, sizeof(*call));
    if (call == NULL) {
        return NULL;
    }
    const uint64_t timeout_ms = options->deadline_ms == 0 ? CALL_DEADLINE_MS : options->deadline_ms;
    rpc_flow_init(&call->stream, &call_stream_ops,
                  options->endless ? UINT64_MAX : link_now_ms(link) + timeout_ms);
    call->link = link;
    call->method = method;
    call->request_bytes = (uint32_t)request.len;
    call->attempt = options->attempt;
    call->wait_ready = options->wait_ready;
    call->span_id = options->span_id;
    memcpy(call->idempotency_key, options->idempotency_key, RPC_ID_BYTES);
    memcpy(call->trace_id, options->trace_id, RPC_ID_BYTES);
    call->principal_bytes = (uint32_t)options->principal.len;
    if (options->principal.len > 0) {
        memcpy(call->principal, options->principal.data, options->principal.len);
    }
    call->stream.has_sent_last = !options->has_body;
    vy_buf_init(&call->stream.in_message,
                options->reply_bytes_max == 0 ? RPC_REPLY_BYTES_MAX : options->reply_bytes_max);
    return call;
}

/* The first part rides in the CALL, the rest follows in MESSAGE frames. */
static bool call_set_request(struct rpc_call *call, struct vy_bytes request)
{
    const struct vy_bytes first = vy_bytes_slice(request, 0, RPC_CHUNK_BYTES);
    call->stream.call = rpc_block_new(RPC_CALL_HEADROOM_BYTES, first.len);
    if (call->stream.call == NULL) {
        return false;
    }
    rpc_block_append(call->stream.call, first);
    vy_buf_append(&call->stream.message, vy_bytes_from(request, first.len));
    return !vy_failed(vy_buf_error(&call->stream.message));
}

/* Onto the connection, or to wait for one, or to be told that there is none. False: the connection
 * is full. */
static bool call_place(struct rpc_call *call)
{
    struct rpc_link *link = call->link;
    if (link->conn != NULL && rpc_conn_is_up(link->conn)) {
        return rpc_conn_start_call(link->conn, &call->stream);
    }
    const bool is_dialling = !link->is_up && !link->has_failed;
    const bool waits = call->wait_ready || is_dialling;
    vy_list_push_back(waits ? &link->pending : &link->failing, &call->stream.node);
    link_wake_at(link, waits ? call->stream.deadline_ms : 0);
    return true;
}

struct rpc_call *rpc_call_start(struct rpc_link *link, uint32_t method, struct vy_bytes request,
                                const struct rpc_call_options *options,
                                const struct rpc_call_events *events, void *arg)
{
    static const struct rpc_call_options no_options;
    options = options == NULL ? &no_options : options;
    VY_ASSERT(options->principal.len <= RPC_PRINCIPAL_BYTES_MAX);
    if (link->is_freed || link->call_count >= RPC_CALLS_PER_LINK_MAX ||
        request.len > RPC_REPLY_BYTES_MAX) {
        return NULL;
    }
    struct rpc_call *call = call_new(link, method, request, options);
    if (call == NULL) {
        return NULL;
    }
    call->events = events;
    call->arg = arg;
    if (!call_set_request(call, request) || !call_place(call)) {
        call_free(call);
        return NULL;
    }
    vy_list_push_back(&link->calls, &call->node);
    link->call_count++;
    return call;
}

size_t rpc_call_send(struct rpc_call *call, struct vy_bytes bytes)
{
    return rpc_flow_send(&call->stream, bytes);
}

bool rpc_call_send_message(struct rpc_call *call, struct vy_bytes bytes)
{
    return rpc_flow_send_message(&call->stream, bytes);
}

void rpc_call_send_end(struct rpc_call *call)
{
    rpc_flow_send_last(&call->stream);
}

void rpc_call_consumed(struct rpc_call *call, size_t count)
{
    rpc_flow_consumed(&call->stream, count);
}

void rpc_call_cancel(struct rpc_call *call)
{
    if (call == NULL) {
        return;
    }
    call_detach(call);
    rpc_flow_abandon(&call->stream);
    call_free(call);
}

/* ---- calls that are on no connection ---- */

static void end_unsent(struct rpc_call *call, const char *why)
{
    const struct rpc_status status = {
        .code = VY_CODE_UNAVAILABLE, .message = vy_cstr(why), .not_executed = true};
    vy_list_remove(&call->stream.node);
    call_on_end(&call->stream, &status, vy_bytes(NULL, 0));
}

static struct rpc_call *first_call(struct vy_list *list)
{
    return VY_CONTAINER_OF(list->next, struct rpc_call, stream.node);
}

static void move_to_failing(struct rpc_link *link,
                            bool (*choose)(const struct rpc_call *call, uint64_t now))
{
    const uint64_t now = link_now_ms(link);
    for (struct vy_list *item = link->pending.next; item != &link->pending;) {
        struct rpc_call *call = VY_CONTAINER_OF(item, struct rpc_call, stream.node);
        item = item->next;
        if (choose(call, now)) {
            vy_list_remove(&call->stream.node);
            vy_list_push_back(&link->failing, &call->stream.node);
        }
    }
}

static bool is_expired(const struct rpc_call *call, uint64_t now)
{
    return call->stream.deadline_ms <= now;
}

static bool is_impatient(const struct rpc_call *call, uint64_t now)
{
    (void)now;
    return !call->wait_ready;
}

static void end_failing(struct rpc_link *link)
{
    while (!vy_list_is_empty(&link->failing)) {
        end_unsent(first_call(&link->failing), "no link");
    }
}

static void place_pending(struct rpc_link *link)
{
    while (!link->is_freed && link->conn != NULL && rpc_conn_is_up(link->conn) &&
           !vy_list_is_empty(&link->pending)) {
        struct rpc_call *call = first_call(&link->pending);
        vy_list_remove(&call->stream.node);
        if (!rpc_conn_start_call(link->conn, &call->stream)) {
            end_unsent(call, "link is full");
        }
    }
}

/* ---- the connection ---- */

static const struct rpc_conn_owner link_conn_owner;

static void schedule_redial(struct rpc_link *link)
{
    const uint32_t half = link->backoff_ms / 2;
    link->redial_at_ms = link_now_ms(link) + half + vy_rng_below(link->config->rng, half + 1);
    link->backoff_ms = VY_MIN(link->backoff_ms * 2, BACKOFF_MAX_MS);
    link_wake_at(link, link->redial_at_ms);
}

/* Says once per outage that the peer cannot be reached, and always that a link that was up is down.
 */
static void log_down(struct rpc_link *link, struct vy_err why, enum rpc_conn_fault fault)
{
    const bool is_refused = fault == RPC_CONN_REFUSED;
    if (link->is_refused) {
        return;
    }
    if (link->is_up && !is_refused) {
        const bool is_calm = fault == RPC_CONN_FINISHED;
        vy_log(link->config->log, is_calm ? VY_LOG_INFO : VY_LOG_WARN, "rpc.link.down",
               VY_CSTR("rpc.peer", link->label), VY_LOG_ERR(why));
    } else if (!link->has_failed) {
        vy_log(link->config->log, VY_LOG_WARN,
               is_refused ? "rpc.link.refused" : "rpc.link.unreachable",
               VY_CSTR("rpc.peer", link->label), VY_LOG_ERR(why));
    }
}

static void link_lost(struct rpc_link *link, struct vy_err why, enum rpc_conn_fault fault)
{
    log_down(link, why, fault);
    const bool was_up = link->is_up;
    const bool was_steady = was_up && link_now_ms(link) - link->up_since_ms >= STEADY_MS;
    link->is_up = false;
    link->has_failed = true;
    link->is_refused = fault == RPC_CONN_REFUSED || (link->is_refused && !was_steady);
    if (was_steady || fault == RPC_CONN_FINISHED) {
        link->backoff_ms = BACKOFF_MIN_MS;
    }
    schedule_redial(link);
    move_to_failing(link, is_impatient);
    link->ref_count++;
    if (was_up && link->on_state != NULL) {
        link->on_state(link->arg, false);
    }
    if (!link->is_freed) {
        end_failing(link);
    }
    link_unref(link);
}

static void link_dial(struct rpc_link *link)
{
    const struct rpc_pipe_expect expect = {.peer_roles = link->peer_roles,
                                           .peer_node =
                                               link->peer_node[0] == '\0' ? NULL : link->peer_node};
    link->redial_at_ms = UINT64_MAX;
    link->dialled_ms = link_now_ms(link);
    struct rpc_pipe *pipe = NULL;
    struct vy_err err = rpc_pipe_dial(link->config, &link->address, &pipe);
    if (!vy_failed(err)) {
        const struct rpc_conn_setup setup = {.config = link->config,
                                             .pipe = pipe,
                                             .is_dialer = true,
                                             .expect = expect,
                                             .owner = &link_conn_owner,
                                             .arg = link};
        err = rpc_conn_new(&setup, &link->conn);
    }
    if (vy_failed(err)) {
        link_lost(link, err, RPC_CONN_LOST);
    }
}

static void log_up(const struct rpc_link *link)
{
    vy_log(link->config->log, VY_LOG_INFO, "rpc.link.up", VY_CSTR("rpc.peer", link->label),
           VY_CSTR("rpc.node", link->conn->peer.node), VY_U64("rpc.role", link->conn->peer.role));
}

/* A peer that refused us before has kept us long enough. */
static void forgive(struct rpc_link *link)
{
    if (link->is_refused && link->is_up && link_now_ms(link) - link->up_since_ms >= STEADY_MS) {
        link->is_refused = false;
        log_up(link);
    }
}

static void link_on_up(void *arg, struct rpc_conn *conn)
{
    struct rpc_link *link = arg;
    VY_ASSERT(link->conn == conn);
    link->ref_count++;
    link->is_up = true;
    link->has_failed = false;
    link->up_since_ms = link_now_ms(link);
    if (link->is_refused) {
        link_wake_at(link, link->up_since_ms + STEADY_MS);
    } else {
        log_up(link);
    }
    place_pending(link);
    if (link->on_state != NULL && !link->is_freed) {
        link->on_state(link->arg, true);
    }
    link_unref(link);
}

static void link_on_leaving(void *arg, struct rpc_conn *conn)
{
    struct rpc_link *link = arg;
    if (!vy_failed(conn->refusal)) {
        vy_log(link->config->log, VY_LOG_INFO, "rpc.link.leaving",
               VY_CSTR("rpc.peer", link->label));
    }
}

static void link_on_down(void *arg, struct rpc_conn *conn, struct vy_err why,
                         enum rpc_conn_fault fault)
{
    struct rpc_link *link = arg;
    VY_ASSERT(link->conn == conn);
    link->conn = NULL;
    rpc_conn_unref(conn);
    link_lost(link, why, fault);
}

static const struct rpc_conn_owner link_conn_owner = {
    .on_up = link_on_up, .on_leaving = link_on_leaving, .on_down = link_on_down};

/* ---- the timer: redial, calls that wait too long or in vain ---- */

static uint64_t link_next_wake(const struct rpc_link *link)
{
    uint64_t next = link->redial_at_ms;
    if (link->is_refused && link->is_up) {
        next = VY_MIN(next, link->up_since_ms + STEADY_MS);
    }
    VY_LIST_FOREACH(item, &link->pending)
    {
        next =
            VY_MIN(next, VY_CONTAINER_OF(item, struct rpc_call, stream.node)->stream.deadline_ms);
    }
    return next;
}

static void link_on_timer(void *arg)
{
    struct rpc_link *link = arg;
    link->ref_count++;
    link->wake_ms = UINT64_MAX;
    if (link->redial_at_ms <= link_now_ms(link)) {
        link_dial(link);
    }
    forgive(link);
    if (!link->is_freed) {
        move_to_failing(link, is_expired);
        end_failing(link);
    }
    if (!link->is_freed) {
        link_wake_at(link, link_next_wake(link));
    }
    link_unref(link);
}

/* ---- life ---- */

struct vy_err rpc_link_new(const struct rpc_config *config, const struct rpc_link_options *options,
                           struct rpc_link **out)
{
    struct rpc_address address;
    VY_TRY(rpc_address_parse(options->address, &address));
    if (address.kind == RPC_ADDRESS_TCP && address.port == 0) {
        return vy_error(VY_CODE_ARGUMENT, "link address port");
    }
    if (options->peer_node != NULL && strlen(options->peer_node) > RPC_NAME_BYTES_MAX) {
        return vy_error(VY_CODE_ARGUMENT, "link peer name");
    }
    struct rpc_link *link = calloc(1, sizeof(*link));
    if (link == NULL) {
        return vy_error(VY_CODE_NOMEM, "link");
    }
    link->timer = vy_timer_new(config->loop, link_on_timer, link);
    if (link->timer == NULL) {
        free(link);
        return vy_error(VY_CODE_NOMEM, "link timer");
    }
    link->config = config;
    link->address = address;
    snprintf(link->label, sizeof(link->label), "%s", options->address);
    if (options->peer_node != NULL) {
        memcpy(link->peer_node, options->peer_node, strlen(options->peer_node) + 1);
    }
    link->peer_roles = options->peer_roles;
    link->on_state = options->on_state;
    link->arg = options->arg;
    link->ref_count = 1;
    link->backoff_ms = BACKOFF_MIN_MS;
    link->wake_ms = UINT64_MAX;
    link->redial_at_ms = 0;
    vy_list_init(&link->calls);
    vy_list_init(&link->pending);
    vy_list_init(&link->failing);
    link_wake_at(link, 0); /* the first dial, from the loop */
    *out = link;
    return vy_ok();
}

static void cancel_all(struct rpc_link *link)
{
    const struct rpc_status status = {.code = VY_CODE_CANCELLED,
                                      .message = VY_LIT("link is closed")};
    while (!vy_list_is_empty(&link->calls)) {
        struct rpc_call *call = VY_CONTAINER_OF(link->calls.next, struct rpc_call, node);
        if (call->stream.conn != NULL) {
            rpc_conn_remove_stream(call->stream.conn, &call->stream);
        }
        vy_list_remove(&call->stream.node);
        call_on_end(&call->stream, &status, vy_bytes(NULL, 0));
    }
}

void rpc_link_free(struct rpc_link *link)
{
    if (link == NULL) {
        return;
    }
    VY_ASSERT(!link->is_freed);
    link->is_freed = true;
    vy_timer_stop(link->timer);
    cancel_all(link);
    if (link->conn != NULL) {
        rpc_conn_close(link->conn);
        rpc_conn_unref(link->conn);
        link->conn = NULL;
    }
    link_unref(link);
}

bool rpc_link_is_up(const struct rpc_link *link)
{
    return link->conn != NULL && rpc_conn_is_up(link->conn);
}

void rpc_link_hurry(struct rpc_link *link)
{
    const uint64_t soon_ms = link->dialled_ms + HURRY_MS;
    if (link->redial_at_ms != UINT64_MAX && link->redial_at_ms > soon_ms && !link->is_refused) {
        link->redial_at_ms = VY_MAX(soon_ms, link_now_ms(link));
        link_wake_at(link, link->redial_at_ms);
    }
}

const char *rpc_link_address(const struct rpc_link *link)
{
    return link->label;
}

size_t rpc_link_open_calls(const struct rpc_link *link)
{
    return link->call_count;
}
