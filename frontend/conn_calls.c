/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The calls of a connection's session, to meta and shards through the route. Reply bytes that the
 * session has no room for are held here without returning their credit, so a slow client slows the
 * shard. A call whose account lives elsewhere than the map said is asked again there (P22). The
 * body of a short APPEND is kept until its end, and sent again to whoever leads after a hand-over
 * (design 8: a failover is a pause).
 */
#include "base/assert.h"
#include "base/secret.h"
#include "frontend/conn_private.h"
#include <stdlib.h>

#define CALL_REQUEST_BYTES_MAX (4U * 1024U * 1024U)
#define CALL_BODY_WINDOW_BYTES (256U * 1024U) /* body bytes a session may be ahead of the link */
#define CALL_BODY_BYTES_MAX (2U * CALL_BODY_WINDOW_BYTES)
#define CALL_KEPT_BYTES_MAX CALL_BODY_WINDOW_BYTES /* of a body that can be sent again */
#define CALL_HELD_BYTES_MAX (2U * RPC_STREAM_WINDOW_BYTES)
#define CALL_DEADLINE_MS 30000U
#define CALL_REROUTE_MS 20U /* first pause of a call that cannot be started; doubles */
#define CALL_REROUTE_MS_MAX 320U

struct conn_call {
    struct vy_list link; /* in conn->calls */
    struct conn *conn;
    uint64_t id;
    uint32_t method;
    enum session_target target;
    uint64_t account_id;
    struct rpc_call_options options;
    struct vy_buf request; /* encoded */
    uint64_t deadline_ms;  /* UINT64_MAX: none */
    uint64_t started_ns;
    struct rpc_group_call *rpc; /* NULL: ended, or waiting for a map */
    uint32_t watch_ticket;      /* of route_watch_link; 0: none */
    struct vy_timer *timer;     /* to start it, or to see that it stalls; NULL: never needed */
    uint32_t reroute_ms;
    bool has_data;        /* a part of the reply stream came: not to be asked again */
    struct vy_buf held;   /* reply bytes the session has not taken */
    bool has_progress;    /* since the timer was started */
    struct vy_buf unsent; /* body bytes the link has not taken */
    struct vy_buf kept;   /* those that it has taken, all of them, or */
    bool is_not_kept;     /* too many, or of no use */
    size_t again_bytes;   /* at the front of unsent: the session was told that they are taken */
    bool has_given_room;
    size_t room_owed_bytes; /* body bytes the session may be told of */
    bool is_body_over;      /* end the body once unsent is empty */
    bool is_body_sent;      /* all of it, with its end */
    bool is_ended;          /* err and reply wait to be told */
    struct vy_err err;
    struct vy_buf reply;
    uint32_t retry_after_ms;
};

static bool method_has_body(uint32_t method)
{
    switch (method) {
#define RPC_STREAM_HAS_BODY_NONE false
#define RPC_STREAM_HAS_BODY_DOWN false
#define RPC_STREAM_HAS_BODY_UP true
#define X(name, id, request, reply, roles, stream)                                                 \
    case METHOD_##name:                                                                            \
        return RPC_STREAM_HAS_BODY_##stream;
        SHARD_METHODS(X)
        META_METHODS(X)
#undef X
    default:
        return false;
    }
}

static struct conn_call *find_call(struct conn *conn, uint64_t call_id)
{
    VY_LIST_FOREACH(item, &conn->calls)
    {
        struct conn_call *call = VY_CONTAINER_OF(item, struct conn_call, link);
        if (call->id == call_id) {
            return call;
        }
    }
    return NULL;
}

/* The link has no more to do with it. */
static void call_release_link(struct conn_call *call)
{
    call->rpc = NULL;
    if (call->watch_ticket != 0) {
        route_watch_done(call->conn->host->route, call->watch_ticket);
        call->watch_ticket = 0;
    }
}

static void call_free(struct conn_call *call)
{
    rpc_group_call_cancel(call->rpc);
    call_release_link(call);
    vy_timer_free(call->timer);
    vy_list_remove(&call->link);
    if (call->request.data != NULL) {
        vy_wipe(call->request.data, call->request.capacity); /* a sign-in or a session token */
    }
    vy_buf_deinit(&call->request);
    vy_buf_deinit(&call->held);
    vy_buf_deinit(&call->unsent);
    vy_buf_deinit(&call->kept);
    vy_buf_deinit(&call->reply);
    free(call);
}

static void call_fail(struct conn_call *call, struct vy_err err)
{
    rpc_group_call_cancel(call->rpc);
    call_release_link(call);
    call->is_ended = true;
    call->err = err;
}

/* ---- body bytes, towards the shard ---- */

/* What the link has taken: the session has room for as much, unless it was told before. */
static void call_note_taken(struct conn_call *call, struct vy_bytes bytes)
{
    const size_t again = VY_MIN(bytes.len, call->again_bytes);
    call->again_bytes -= again;
    call->room_owed_bytes += bytes.len - again;
    call->is_not_kept |= bytes.len > CALL_KEPT_BYTES_MAX - vy_buf_len(&call->kept);
    if (call->is_not_kept) {
        vy_buf_consume(&call->kept, vy_buf_len(&call->kept));
        vy_buf_release(&call->kept);
        return;
    }
    vy_buf_append(&call->kept, bytes);
    call->is_not_kept = vy_failed(vy_buf_error(&call->kept));
}

/* From the front, on the next attempt. False: not all of the body is here any more. */
static bool call_take_back(struct conn_call *call)
{
    const size_t taken = vy_buf_len(&call->kept);
    if (call->is_not_kept) {
        return false;
    }
    vy_buf_append(&call->kept, vy_buf_bytes(&call->unsent));
    if (vy_failed(vy_buf_error(&call->kept))) {
        return false;
    }
    vy_buf_deinit(&call->unsent);
    call->unsent = call->kept;
    vy_buf_init(&call->kept, CALL_BODY_BYTES_MAX);
    call->again_bytes += taken;
    call->is_body_over |= call->is_body_sent;
    call->is_body_sent = false;
    return true;
}

static void call_push(struct conn_call *call)
{
    while (call->rpc != NULL && vy_buf_len(&call->unsent) > 0) {
        const size_t taken = rpc_group_call_send(call->rpc, vy_buf_bytes(&call->unsent));
        if (taken == 0) {
            return;
        }
        call_note_taken(call, vy_bytes_slice(vy_buf_bytes(&call->unsent), 0, taken));
        vy_buf_consume(&call->unsent, taken);
        call->has_progress = true;
    }
    vy_buf_release(&call->unsent);
    if (call->is_body_over && call->rpc != NULL) {
        call->is_body_over = false;
        call->is_body_sent = true;
        call->has_progress = true;
        rpc_group_call_send_end(call->rpc);
    }
}

void conn_call_send(struct conn *conn, const struct session_action *action)
{
    struct conn_call *call = find_call(conn, action->call_id);
    if (call == NULL || call->is_ended) {
        return; /* its end is on the way to the session */
    }
    size_t taken = 0;
    if (call->rpc != NULL && vy_buf_len(&call->unsent) == 0) {
        taken = rpc_group_call_send(call->rpc, action->bytes);
        call_note_taken(call, vy_bytes_slice(action->bytes, 0, taken));
    }
    vy_buf_append(&call->unsent, vy_bytes_from(action->bytes, taken));
    if (vy_failed(vy_buf_error(&call->unsent))) {
        call_fail(call,
                  vy_error(VY_CODE_INTERNAL, "session sent more body than it was given room for"));
    }
}

void conn_call_send_end(struct conn *conn, uint64_t call_id)
{
    struct conn_call *call = find_call(conn, call_id);
    if (call != NULL) {
        call->is_body_over = true;
        call_push(call);
    }
}

static void call_on_writable(void *arg)
{
    struct conn_call *call = arg;
    call_push(call);
    conn_go_on(call->conn);
}

/* ---- replies, towards the session ---- */

static void call_on_timer(void *arg);

/* Hands held bytes to the session while it has room. True when it took some. */
static bool call_offer_held(struct conn_call *call)
{
    struct session *session = call->conn->session;
    bool took = false;
    while (vy_buf_len(&call->held) > 0 && !session->output_full) {
        const size_t n = session->ops->call_data(session, call->id, vy_buf_bytes(&call->held));
        if (n == 0) {
            break;
        }
        VY_ASSERT(n <= vy_buf_len(&call->held));
        vy_buf_consume(&call->held, n);
        if (call->rpc != NULL) {
            rpc_group_call_consumed(call->rpc, n);
        }
        took = true;
    }
    vy_buf_release(&call->held);
    return took;
}

static void call_tell_end(struct conn_call *call)
{
    struct session *session = call->conn->session;
    vy_list_remove(&call->link); /* the session may start another call under this id */
    session->ops->call_ended(session, call->id, call->err, vy_buf_bytes(&call->reply),
                             call->retry_after_ms);
    call_free(call);
}

/* One step of one call: room, bytes or the end. True when the session was given something. */
static bool call_offer(struct conn_call *call)
{
    struct session *session = call->conn->session;
    if (call->room_owed_bytes > 0) {
        const size_t room = call->room_owed_bytes;
        call->room_owed_bytes = 0;
        session->ops->call_writable(session, call->id, room);
        return true;
    }
    if (vy_buf_len(&call->held) > 0) {
        return call_offer_held(call);
    }
    if (!call->is_ended) {
        return false;
    }
    call_tell_end(call);
    return true;
}

bool conn_calls_offer(struct conn *conn)
{
    if (conn_is_over(conn) || conn->session == NULL) {
        return false;
    }
    VY_LIST_FOREACH(item, &conn->calls)
    {
        conn_set_time(conn);
        if (call_offer(VY_CONTAINER_OF(item, struct conn_call, link))) {
            return true; /* the list may have changed: the caller performs actions and asks again */
        }
    }
    return false;
}

static void call_on_data(void *arg, struct vy_bytes bytes)
{
    struct conn_call *call = arg;
    struct conn *conn = call->conn;
    size_t taken = 0;
    call->has_data = true;
    if (vy_buf_len(&call->held) == 0 && !conn->session->output_full) {
        conn_set_time(conn);
        taken = conn->session->ops->call_data(conn->session, call->id, bytes);
        rpc_group_call_consumed(call->rpc, taken);
    }
    vy_buf_append(&call->held, vy_bytes_from(bytes, taken));
    if (vy_failed(vy_buf_error(&call->held))) {
        call_fail(call, vy_error(VY_CODE_INTERNAL, "peer ignored flow control"));
    }
    conn_go_on(conn);
}

/* The account lives elsewhere; nothing was done, and nothing of the call is used up. */
static bool may_reroute(const struct conn_call *call, enum vy_code code)
{
    return code == VY_CODE_MOVED && call->target == SESSION_TO_SHARD && !call->has_data &&
           !call->options.has_body && !call->options.endless;
}

/* Its key makes it safe: what was stored is not stored again. Deliveries repeat themselves. */
static bool may_send_again(struct conn_call *call, enum vy_code code)
{
    const bool is_passing = code == VY_CODE_NOT_LEADER || code == VY_CODE_UNAVAILABLE ||
                            code == VY_CODE_UNKNOWN || code == VY_CODE_MOVED;
    return call->method == METHOD_SHARD_MESSAGE_APPEND && is_passing && call_take_back(call);
}

/* Not now: again in a moment, with the map of then, until the deadline. */
static void call_wait(struct conn_call *call, struct vy_err err)
{
    struct vy_loop *loop = call->conn->host->loop;
    if (call->timer == NULL) {
        call->timer = vy_timer_new(loop, call_on_timer, call);
    }
    if (call->timer == NULL || vy_loop_now_ms(loop) + call->reroute_ms >= call->deadline_ms) {
        call_fail(call, err);
        return;
    }
    vy_timer_start(call->timer, call->reroute_ms);
    call->reroute_ms = VY_MIN(call->reroute_ms * 2, CALL_REROUTE_MS_MAX);
}

static void call_on_end(void *arg, const struct rpc_status *status, struct vy_bytes reply)
{
    struct conn_call *call = arg;
    struct conn_host *host = call->conn->host;
    call_release_link(call);
    if (status->code == VY_CODE_MOVED) {
        route_refresh(host->route);
    }
    if (may_reroute(call, status->code) || may_send_again(call, status->code)) {
        call_wait(call, rpc_status_err(status));
        conn_go_on(call->conn);
        return;
    }
    call->is_ended = true;
    call->err = rpc_status_err(status);
    call->retry_after_ms = status->retry_after_ms;
    if (status->code == VY_CODE_OK) {
        vy_buf_append(&call->reply, reply);
    }
    frontend_observe_call(host->metrics, call->method, status->code,
                          vy_clock_mono_ns(host->clock) - call->started_ns);
    conn_go_on(call->conn);
}

static const struct rpc_call_events call_events = {
    .on_data = call_on_data, .on_writable = call_on_writable, .on_end = call_on_end};

/* ---- start and end ---- */

static struct rpc_call_options call_options(const struct conn *conn,
                                            const struct session_action *action)
{
    struct rpc_call_options options = {
        .endless = action->method == METHOD_SHARD_ACCOUNT_WATCH,
        .has_body = method_has_body(action->method),
        .idempotent = !action->is_write,
    };
    memcpy(options.trace_id, conn->trace_id, sizeof(options.trace_id));
    if (action->has_key) {
        memcpy(options.idempotency_key, action->idempotency_key, sizeof(options.idempotency_key));
    } else if (action->is_write) {
        vy_rng_fill(conn->host->rng, options.idempotency_key, sizeof(options.idempotency_key));
    }
    return options;
}

static struct conn_call *call_new(struct conn *conn, const struct session_action *action)
{
    struct conn_call *call = calloc(1, sizeof(*call));
    if (call == NULL) {
        return NULL;
    }
    const uint32_t within_ms = action->deadline_ms == 0 ? CALL_DEADLINE_MS : action->deadline_ms;
    call->conn = conn;
    call->id = action->call_id;
    call->method = action->method;
    call->target = action->target;
    call->account_id = action->account_id;
    call->options = call_options(conn, action);
    call->deadline_ms =
        call->options.endless ? UINT64_MAX : vy_loop_now_ms(conn->host->loop) + within_ms;
    call->started_ns = vy_clock_mono_ns(conn->host->clock);
    call->reroute_ms = CALL_REROUTE_MS;
    vy_buf_init(&call->request, CALL_REQUEST_BYTES_MAX);
    vy_buf_init(&call->held, CALL_HELD_BYTES_MAX);
    vy_buf_init(&call->unsent, CALL_BODY_BYTES_MAX);
    vy_buf_init(&call->kept, CALL_BODY_BYTES_MAX);
    call->is_not_kept = action->method != METHOD_SHARD_MESSAGE_APPEND;
    vy_buf_init(&call->reply, RPC_REPLY_BYTES_MAX);
    vy_list_push_back(&conn->calls, &call->link);
    return call;
}

/* NULL: the map is not there yet. Watches go over links of their own: they are many and stay. */
static struct rpc_group *call_group(struct conn_call *call)
{
    struct route *route = call->conn->host->route;
    if (call->target == SESSION_TO_META) {
        return call->method == METHOD_META_RESOLVE ? route_meta_any(route) : route_meta(route);
    }
    return call->options.endless ? route_watch_link(route, call->account_id, &call->watch_ticket)
                                 : route_shard(route, call->account_id);
}

static void call_watch_stall(struct conn_call *call);

static void call_dispatch(struct conn_call *call)
{
    struct rpc_group *group = call_group(call);
    if (group == NULL) {
        call_wait(call, vy_error(VY_CODE_UNAVAILABLE, "no cluster map yet"));
        return;
    }
    if (!call->options.endless) {
        const uint64_t now_ms = vy_loop_now_ms(call->conn->host->loop);
        call->options.deadline_ms =
            call->deadline_ms > now_ms ? (uint32_t)(call->deadline_ms - now_ms) : 1;
    }
    call->rpc = rpc_group_call(group, call->method, vy_buf_bytes(&call->request), &call->options,
                               &call_events, call);
    if (call->rpc == NULL) { /* as many calls as a link carries wait for answers: so does this */
        call_release_link(call);
        call_wait(call, vy_error(VY_CODE_BUSY, "too many calls in flight"));
        return;
    }
    call_watch_stall(call);
    if (call->options.has_body) {
        call->room_owed_bytes += call->has_given_room ? 0 : CALL_BODY_WINDOW_BYTES;
        call->has_given_room = true;
        call_push(call); /* the end of an empty body may have come already */
    }
}

/* Calls that last as long as their client takes have long deadlines; a group that does not answer
 * at all is not waited for that long (P6). */
static void call_watch_stall(struct conn_call *call)
{
    struct conn_host *host = call->conn->host;
    if (call->options.endless || call->options.deadline_ms <= host->call_stall_ms) {
        return;
    }
    if (call->timer == NULL) {
        call->timer = vy_timer_new(host->loop, call_on_timer, call);
    }
    if (call->timer != NULL) { /* without memory its deadline is all that there is */
        call->has_progress = false;
        vy_timer_start(call->timer, host->call_stall_ms);
    }
}

/* Does the session wait for the shard? For the first byte of an answer, with bytes of a body that
 * are not taken, or for what became of a whole body. */
static bool call_is_stalled(const struct conn_call *call)
{
    const bool is_waiting = call->options.has_body
                                ? vy_buf_len(&call->unsent) > 0 || call->is_body_sent
                                : !call->has_data;
    return is_waiting && !call->has_progress;
}

static void call_on_timer(void *arg)
{
    struct conn_call *call = arg;
    if (call->is_ended) {
        return;
    }
    if (call->rpc == NULL) {
        call_dispatch(call);
    } else if (call_is_stalled(call)) {
        call_fail(call, call->is_body_sent
                            ? vy_error(VY_CODE_UNKNOWN, "shard does not say what it did")
                            : vy_error(VY_CODE_UNAVAILABLE, "shard does not answer"));
    } else {
        call_watch_stall(call);
        return;
    }
    conn_go_on(call->conn);
}

void conn_call_start(struct conn *conn, const struct session_action *action)
{
    struct conn_call *call = call_new(conn, action);
    if (call == NULL) {
        conn_abort(conn, "no memory for a call"); /* not even to say so */
        return;
    }
    const struct vy_err err = vy_pb_encode(action->request_desc, action->request, &call->request);
    if (vy_failed(err)) {
        call_fail(call, err);
    } else {
        call_dispatch(call);
    }
}

void conn_call_cancel(struct conn *conn, uint64_t call_id)
{
    struct conn_call *call = find_call(conn, call_id);
    if (call != NULL) {
        call_free(call);
    }
}

void conn_calls_drop(struct conn *conn)
{
    while (!vy_list_is_empty(&conn->calls)) {
        call_free(VY_CONTAINER_OF(conn->calls.next, struct conn_call, link));
    }
}
