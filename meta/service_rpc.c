/* SPDX-License-Identifier: Apache-2.0 */
/* The service on a link: calls in and out, and the stream of META_WATCH. */
#include "meta/service.h"

#include "meta/meta_private.h"
#include "proto/event_stream.h"
#include "proto/rpc_server.h"
#include <stdlib.h>

#define META_REQUEST_BYTES_MAX (64U * 1024)

/* ---- calls ---- */

struct rpc_answer {
    struct meta *meta;
    struct rpc_server_call *call;
};

static void answer_on_reply(void *arg, struct vy_err err, const char *message,
                            struct vy_bytes reply)
{
    struct rpc_answer *answer = arg;
    (void)message; /* nodes act on codes; people are told by the admin API */
    if (vy_failed(err)) {
        const char *hint = err.code == VY_CODE_NOT_LEADER ? meta_leader_hint(answer->meta) : NULL;
        rpc_server_call_fail(answer->call, err, hint, 0);
    } else {
        rpc_server_call_reply(answer->call, reply);
    }
    free(answer);
}

static void serve(void *arg, struct rpc_server_call *call, struct vy_bytes request)
{
    struct meta *meta = arg;
    const struct rpc_peer *peer = rpc_server_call_peer(call);
    struct rpc_answer *answer = calloc(1, sizeof(*answer));
    if (answer == NULL) {
        rpc_server_call_fail(call, vy_error(VY_CODE_NOMEM, "call of meta"), NULL, 0);
        return;
    }
    *answer = (struct rpc_answer){.meta = meta, .call = call};
    /* The all-in-one calls itself under one name for all roles; there is nobody to tell apart. */
    const bool is_proven = peer->authenticated && peer->role != RPC_ROLE_ALL;
    const struct meta_peer caller = {.role = (uint32_t)peer->role,
                                     .node = is_proven ? peer->node : NULL,
                                     .attempt = rpc_server_call_idempotency_key(call)};
    meta_service_call(meta, rpc_server_call_method(call)->id, request, &caller, answer_on_reply,
                      answer);
}

/* ---- the watch ---- */

#define WATCH_BUFFER_BYTES_MAX (64U * 1024)

struct rpc_watch {
    struct meta *meta;
    struct rpc_server_call *call;
    struct meta_watcher *watcher; /* owned */
    struct vy_buf out;            /* events not taken by the link yet */
};

static bool fill(struct rpc_watch *watch)
{
    struct meta_event event;
    while (vy_buf_len(&watch->out) < WATCH_BUFFER_BYTES_MAX / 2 &&
           meta_watcher_next(watch->watcher, &event)) {
        if (vy_failed(event_stream_append(&watch->out, &meta_event_desc, &event))) {
            return false;
        }
    }
    return vy_buf_len(&watch->out) > 0;
}

static void watch_pump(void *arg)
{
    struct rpc_watch *watch = arg;
    while (fill(watch)) {
        const size_t taken = rpc_server_call_send(watch->call, vy_buf_bytes(&watch->out));
        if (taken == 0) {
            return; /* on_writable */
        }
        vy_buf_consume(&watch->out, taken);
    }
    vy_buf_release(&watch->out);
}

static void watch_on_cancel(void *arg)
{
    struct rpc_watch *watch = arg;
    meta_watcher_free(watch->watcher);
    vy_buf_deinit(&watch->out);
    watch->meta->stats.watchers--;
    meta_metrics_change_watchers(&watch->meta->metrics, -1);
    rpc_server_call_fail(watch->call, vy_error(VY_CODE_CANCELLED, "watch is over"), NULL, 0);
    free(watch);
}

static const struct rpc_server_call_events watch_events = {.on_writable = watch_pump,
                                                           .on_cancel = watch_on_cancel};

static struct vy_err watch_start(struct meta *meta, struct rpc_server_call *call,
                                 struct vy_bytes request)
{
    struct vy_arena arena;
    struct meta_watch_request message;
    vy_arena_init(&arena, 4096);
    const struct vy_err err = vy_pb_decode(&meta_watch_request_desc, &arena, request, &message);
    vy_arena_deinit(&arena);
    VY_TRY(err);
    struct rpc_watch *watch = calloc(1, sizeof(*watch));
    if (watch == NULL) {
        return vy_error(VY_CODE_NOMEM, "watch");
    }
    *watch = (struct rpc_watch){.meta = meta, .call = call};
    const struct vy_err made =
        meta_watcher_new(meta->watch, message.cursor, watch_pump, watch, &watch->watcher);
    if (vy_failed(made)) {
        free(watch);
        return made;
    }
    vy_buf_init(&watch->out, WATCH_BUFFER_BYTES_MAX);
    rpc_server_call_set_events(call, &watch_events, watch);
    meta->stats.watchers++;
    meta_metrics_change_watchers(&meta->metrics, 1);
    watch_pump(watch);
    return vy_ok();
}

static void serve_watch(void *arg, struct rpc_server_call *call, struct vy_bytes request)
{
    const struct vy_err err = watch_start(arg, call, request);
    if (vy_failed(err)) {
        rpc_server_call_fail(call, err, NULL, 0);
    }
}

/* ---- the table ---- */

#define IS_STREAM_NONE false
#define IS_STREAM_DOWN true
#define HANDLER_NONE serve
#define HANDLER_DOWN serve_watch

/* clang-format off */
static const struct rpc_server_method meta_rpc_methods[] = {
#define X(method, number, request, reply, peer_roles, stream)                                     \
    {.id = (number), .name = #method, .roles = (peer_roles),                                      \
     .request_bytes_max = META_REQUEST_BYTES_MAX, .in_flight_max = 4096,                          \
     .endless = IS_STREAM_##stream, .handler = HANDLER_##stream},
    META_METHODS(X)
#undef X
};
/* clang-format on */

struct vy_err meta_rpc_add(struct meta *meta, struct rpc_server *server)
{
    return rpc_server_add_methods(server, meta_rpc_methods, VY_COUNT_OF(meta_rpc_methods), meta);
}
