/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The calls of a connection's session: to meta and shards through the route, and Argon2id in the
 * worker pool. Reply bytes that the session has no room for are held here without returning their
 * credit, so a slow client slows the shard.
 */
#include "base/assert.h"
#include "base/secret.h"
#include "frontend/conn_private.h"
#include <argon2.h>
#include <stdlib.h>

#define CALL_REQUEST_BYTES_MAX (4U * 1024U * 1024U)
#define CALL_BODY_WINDOW_BYTES (256U * 1024U) /* body bytes a session may be ahead of the link */
#define CALL_BODY_BYTES_MAX (2U * CALL_BODY_WINDOW_BYTES)
#define CALL_HELD_BYTES_MAX (2U * RPC_STREAM_WINDOW_BYTES)
#define CALL_DEADLINE_MS 30000U
#define HASH_TAG_BYTES 32U

struct conn_call {
    struct vy_list link; /* in conn->calls */
    struct conn *conn;
    uint64_t id;
    struct rpc_group_call *rpc; /* NULL: ended */
    struct vy_buf held;         /* reply bytes the session has not taken */
    struct vy_buf unsent;       /* body bytes the link has not taken */
    size_t room_owed_bytes;     /* body bytes the session may be told of */
    bool is_body_over;          /* end the body once unsent is empty */
    bool is_ended;              /* err and reply wait to be told */
    struct vy_err err;
    struct vy_buf reply;
    uint32_t retry_after_ms;
};

struct conn_hash {
    struct conn *conn; /* NULL: the connection is gone */
    struct vy_loop *loop;
    uint64_t call_id;
    struct vy_secret *password; /* owned */
    uint8_t salt[64];
    size_t salt_len;
    uint32_t memory_kib;
    uint32_t passes;
    uint32_t lanes;
    uint8_t tag[HASH_TAG_BYTES];
    struct vy_err err;
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

static void call_free(struct conn_call *call)
{
    rpc_group_call_cancel(call->rpc);
    vy_list_remove(&call->link);
    vy_buf_deinit(&call->held);
    vy_buf_deinit(&call->unsent);
    vy_buf_deinit(&call->reply);
    free(call);
}

static void call_fail(struct conn_call *call, struct vy_err err)
{
    rpc_group_call_cancel(call->rpc);
    call->rpc = NULL;
    call->is_ended = true;
    call->err = err;
}

/* ---- body bytes, towards the shard ---- */

static void call_push(struct conn_call *call)
{
    while (call->rpc != NULL && vy_buf_len(&call->unsent) > 0) {
        const size_t taken = rpc_group_call_send(call->rpc, vy_buf_bytes(&call->unsent));
        if (taken == 0) {
            return;
        }
        vy_buf_consume(&call->unsent, taken);
        call->room_owed_bytes += taken;
    }
    vy_buf_release(&call->unsent);
    if (call->is_body_over && call->rpc != NULL) {
        call->is_body_over = false;
        rpc_group_call_send_end(call->rpc);
    }
}

void conn_call_send(struct conn *conn, const struct session_action *action)
{
    struct conn_call *call = find_call(conn, action->call_id);
    if (call == NULL || call->rpc == NULL) {
        return; /* its end is already on the way to the session */
    }
    vy_buf_append(&call->unsent, action->bytes);
    if (vy_failed(vy_buf_error(&call->unsent))) {
        call_fail(call,
                  vy_error(VY_CODE_INTERNAL, "session sent more body than it was given room for"));
        return;
    }
    call_push(call);
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
    if (conn->is_closing || conn->session == NULL) {
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

static void call_on_end(void *arg, const struct rpc_status *status, struct vy_bytes reply)
{
    struct conn_call *call = arg;
    call->rpc = NULL;
    call->is_ended = true;
    call->err = rpc_status_err(status);
    call->retry_after_ms = status->retry_after_ms;
    if (status->code == VY_CODE_OK) {
        vy_buf_append(&call->reply, reply);
    }
    if (status->code == VY_CODE_MOVED) {
        route_refresh(call->conn->host->route);
    }
    conn_go_on(call->conn);
}

static const struct rpc_call_events call_events = {
    .on_data = call_on_data, .on_writable = call_on_writable, .on_end = call_on_end};

/* ---- start and end ---- */

static struct conn_call *call_new(struct conn *conn, uint64_t call_id)
{
    struct conn_call *call = calloc(1, sizeof(*call));
    if (call == NULL) {
        return NULL;
    }
    call->conn = conn;
    call->id = call_id;
    vy_buf_init(&call->held, CALL_HELD_BYTES_MAX);
    vy_buf_init(&call->unsent, CALL_BODY_BYTES_MAX);
    vy_buf_init(&call->reply, RPC_REPLY_BYTES_MAX);
    vy_list_push_back(&conn->calls, &call->link);
    return call;
}

static struct rpc_call_options call_options(const struct conn *conn,
                                            const struct session_action *action)
{
    struct rpc_call_options options = {
        .deadline_ms = action->deadline_ms == 0 ? CALL_DEADLINE_MS : action->deadline_ms,
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

static struct vy_err call_dispatch(struct conn_call *call, const struct session_action *action)
{
    struct conn *conn = call->conn;
    struct rpc_group *group = action->target == SESSION_TO_META
                                  ? route_meta(conn->host->route)
                                  : route_shard(conn->host->route, action->account_id);
    if (group == NULL) {
        return vy_error(VY_CODE_UNAVAILABLE, "no cluster map yet");
    }
    const struct rpc_call_options options = call_options(conn, action);
    struct vy_buf request;
    vy_buf_init(&request, CALL_REQUEST_BYTES_MAX);
    struct vy_err err = vy_pb_encode(action->request_desc, action->request, &request);
    if (!vy_failed(err)) {
        call->rpc = rpc_group_call(group, action->method, vy_buf_bytes(&request), &options,
                                   &call_events, call);
        if (call->rpc == NULL) {
            err = vy_error(VY_CODE_BUSY, "too many calls in flight");
        }
    }
    vy_buf_deinit(&request);
    if (!vy_failed(err) && options.has_body) {
        call->room_owed_bytes = CALL_BODY_WINDOW_BYTES;
    }
    return err;
}

void conn_call_start(struct conn *conn, const struct session_action *action)
{
    struct conn_call *call = call_new(conn, action->call_id);
    if (call == NULL) {
        conn->is_dead = true; /* no memory even to say so */
        return;
    }
    const struct vy_err err = call_dispatch(call, action);
    if (vy_failed(err)) {
        call_fail(call, err);
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
    if (conn->hash != NULL) {
        conn->hash->conn = NULL;
        conn->hash = NULL;
    }
}

/* ---- Argon2id ---- */

static void hash_free(struct conn_hash *hash)
{
    vy_secret_free(hash->password);
    vy_wipe(hash->tag, sizeof(hash->tag));
    free(hash);
}

/* On a pool thread. */
static void hash_work(void *arg)
{
    struct conn_hash *hash = arg;
    const struct vy_bytes password = vy_secret_bytes(hash->password);
    const int result =
        argon2id_hash_raw(hash->passes, hash->memory_kib, hash->lanes, password.data, password.len,
                          hash->salt, hash->salt_len, hash->tag, sizeof(hash->tag));
    hash->err = result == ARGON2_OK ? vy_ok() : vy_error(VY_CODE_NOMEM, "Argon2id");
}

static void hash_done(void *arg)
{
    struct conn_hash *hash = arg;
    struct conn *conn = hash->conn;
    if (conn == NULL) {
        hash_free(hash);
        return;
    }
    conn->hash = NULL;
    if (!conn->is_closing) {
        conn_set_time(conn);
        conn->session->ops->hash_done(
            conn->session, hash->call_id, hash->err,
            vy_bytes(hash->tag, vy_failed(hash->err) ? 0 : sizeof(hash->tag)));
    }
    hash_free(hash);
    conn_go_on(conn);
}

/* Answers a hash that could not be queued, from the top of the loop as any other. */
static void hash_refuse(struct conn_hash *hash, struct vy_err err)
{
    hash->err = err;
    vy_loop_post(hash->loop, hash_done, hash);
}

void conn_hash_start(struct conn *conn, const struct session_action *action)
{
    VY_ASSERT(conn->hash == NULL);
    struct conn_hash *hash = calloc(1, sizeof(*hash));
    if (hash == NULL) {
        conn->is_dead = true;
        return;
    }
    hash->conn = conn;
    hash->loop = conn->host->loop;
    hash->call_id = action->call_id;
    hash->memory_kib = action->argon2_memory_kib;
    hash->passes = action->argon2_passes;
    hash->lanes = action->argon2_lanes;
    hash->salt_len = action->salt.len;
    conn->hash = hash;
    if (action->salt.len > sizeof(hash->salt)) {
        hash_refuse(hash, vy_error(VY_CODE_LIMIT, "Argon2id salt"));
        return;
    }
    memcpy(hash->salt, action->salt.data, action->salt.len);
    struct vy_err err = vy_secret_new(action->password, &hash->password);
    if (!vy_failed(err)) {
        err = vy_workers_submit(conn->host->hash_workers, hash->loop, hash_work, hash_done, hash);
    }
    if (vy_failed(err)) {
        hash_refuse(hash, err);
    }
}

void conn_log(struct conn *conn, const struct session_action *action)
{
    struct vy_log_field fields[16] = {VY_HEX("conn", conn->trace_id[1]),
                                      VY_CSTR("conn.service", conn->service->name),
                                      VY_CSTR("conn.ip", conn->remote_ip)};
    size_t count = 3;
    for (size_t i = 0; i < action->fields_count && count < VY_COUNT_OF(fields); i++) {
        fields[count++] = action->fields[i];
    }
    vy_log_write(conn->host->log, action->level, action->event, fields, count);
}
