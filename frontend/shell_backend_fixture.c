/* SPDX-License-Identifier: Apache-2.0 */
#include "frontend/shell_backend_fixture.h"

#include "base/assert.h"
#include "base/loop.h"
#include "base/map.h"
#include "base/rng.h"
#include "frontend/imap/imap.h"
#include "proto/event_stream.h"
#include "proto/fetch_stream.h"
#include "proto/rpc_server.h"
#include "tests/transcript/smtp_backend.h"
#include "tests/transcript/transcript.h"
#include <pthread.h>
#include <stdlib.h>

#define ARENA_BYTES_MAX (64U * 1024U * 1024U)
#define STREAM_BYTES_MAX (64U * 1024U * 1024U)
#define WATCHES_MAX 64U
#define EVENTS_BYTES_MAX 65536U
#define ROWS_MAILBOX_ID 500U

struct shell_backend {
    struct vy_loop *loop;
    pthread_t thread;
    struct rpc_server *meta;
    struct rpc_server *shard;
    struct rpc_config meta_rpc;
    struct rpc_config shard_rpc;
    struct smtp_backend *smtp;
    void *imap;
    uint32_t fetch_rows;
    bool discards_mail;
    uint64_t map_epoch;
    uint64_t cursor;
    unsigned moved_left;
    struct rpc_server_call *watches[WATCHES_MAX]; /* META_WATCH */
    pthread_mutex_t paused;                       /* held while nothing is answered */
    atomic_size_t cancelled;
    atomic_uint_fast64_t rows_sent;
};

static const struct vy_log quiet = {.sink = NULL};

/* The doubles' directives that play client text have no place here. */
void transcript_send(struct transcript *transcript, struct vy_bytes bytes)
{
    (void)transcript;
    (void)bytes;
    VY_ASSERT(false && "a directive that plays text");
}

void transcript_skip_output(struct transcript *transcript)
{
    (void)transcript;
}

/* ---- a call: its body, then its answer ---- */

struct served {
    struct shell_backend *backend;
    struct rpc_server_call *call;
    uint32_t method;
    struct vy_buf request;
    struct vy_buf body;
    struct vy_buf stream; /* not taken by the link yet */
    struct vy_buf reply;
    uint32_t next_row; /* of fetch_rows; 0: not that kind */
    bool stays_open;
};

static struct served *served_new(struct shell_backend *b, struct rpc_server_call *call,
                                 struct vy_bytes request)
{
    struct served *served = calloc(1, sizeof(*served));
    VY_ASSERT(served != NULL);
    served->backend = b;
    served->call = call;
    served->method = rpc_server_call_method(call)->id;
    vy_buf_init(&served->request, STREAM_BYTES_MAX);
    vy_buf_init(&served->body, STREAM_BYTES_MAX);
    vy_buf_init(&served->stream, STREAM_BYTES_MAX);
    vy_buf_init(&served->reply, STREAM_BYTES_MAX);
    vy_buf_append(&served->request, request);
    return served;
}

static void served_end(struct served *served, struct vy_err err)
{
    if (vy_failed(err)) {
        rpc_server_call_fail(served->call, err, NULL, 0);
    } else {
        rpc_server_call_reply(served->call, vy_buf_bytes(&served->reply));
    }
    vy_buf_deinit(&served->request);
    vy_buf_deinit(&served->body);
    vy_buf_deinit(&served->stream);
    vy_buf_deinit(&served->reply);
    free(served);
}

static bool is_smtp(uint32_t method)
{
    return method == METHOD_META_RESOLVE || method == METHOD_META_SENDER_CHECK ||
           method == METHOD_SHARD_MESSAGE_DELIVER;
}

/* Sign-ins of both protocols: the same names and passwords, but other accounts. */
static bool is_smtp_login(const struct served *served)
{
    struct vy_arena arena;
    struct login_request request;
    vy_arena_init(&arena, ARENA_BYTES_MAX);
    const struct vy_err err =
        vy_pb_decode(&login_request_desc, &arena, vy_buf_bytes(&served->request), &request);
    const bool is_smtp = !vy_failed(err) && request.context != NULL &&
                         request.context->protocol == LOGIN_PROTOCOL_SUBMISSION;
    vy_arena_deinit(&arena);
    return is_smtp;
}

/* One recipient, stored and forgotten. */
static struct vy_err discard(struct served *served)
{
    struct vy_arena arena;
    struct message_deliver_request request;
    vy_arena_init(&arena, ARENA_BYTES_MAX);
    struct vy_err err = vy_pb_decode(&message_deliver_request_desc, &arena,
                                     vy_buf_bytes(&served->request), &request);
    if (!vy_failed(err)) {
        VY_ASSERT(request.recipients_count == 1);
        const struct deliver_result result = {.account_id = request.recipients[0].account_id,
                                              .outcome = DELIVER_OUTCOME_STORED};
        const struct message_deliver_reply reply = {.results_count = 1, .results = &result};
        err = vy_pb_encode(&message_deliver_reply_desc, &reply, &served->reply);
    }
    vy_arena_deinit(&arena);
    return err;
}

static struct vy_err ask_double(struct served *served)
{
    struct shell_backend *b = served->backend;
    if (b->discards_mail && served->method == METHOD_SHARD_MESSAGE_DELIVER) {
        return discard(served);
    }
    if (is_smtp(served->method) || (served->method == METHOD_META_LOGIN && is_smtp_login(served))) {
        return smtp_backend_call(b->smtp, served->method, vy_buf_bytes(&served->request),
                                 vy_buf_bytes(&served->body),
                                 rpc_server_call_idempotency_key(served->call), &served->reply);
    }
    const struct transcript_call call = {.method = served->method,
                                         .request = vy_buf_bytes(&served->request),
                                         .body = vy_buf_bytes(&served->body)};
    return transcript_imap.call(b->imap, &call, &served->reply, &served->stream,
                                &served->stays_open);
}

/* ---- rows without messages ---- */

static struct vy_err open_rows(struct served *served)
{
    struct vy_arena arena;
    struct uidset uids = {.ranges = NULL};
    const uint32_t rows = served->backend->fetch_rows;
    const struct mailbox_info info = {.mailbox_id = ROWS_MAILBOX_ID,
                                      .name = VY_LIT("INBOX"),
                                      .uidvalidity = 1,
                                      .uidnext = rows + 1,
                                      .message_count = rows,
                                      .highest_modseq = 9};
    struct mailbox_open_reply reply = {.info = &info};
    vy_arena_init(&arena, ARENA_BYTES_MAX);
    uidset_add_range(&uids, 1, rows);
    struct vy_err err = imap_uids_encode(&arena, &uids, &reply.uids);
    if (!vy_failed(err)) {
        err = vy_pb_encode(&mailbox_open_reply_desc, &reply, &served->reply);
    }
    uidset_deinit(&uids);
    vy_arena_deinit(&arena);
    return err;
}

static uint32_t append_rows(struct vy_buf *out, uint32_t first, uint32_t last)
{
    uint32_t uid[FETCH_ROWS_MAX];
    uint32_t flags[FETCH_ROWS_MAX];
    uint64_t modseq[FETCH_ROWS_MAX];
    uint32_t size[FETCH_ROWS_MAX];
    uint64_t when[FETCH_ROWS_MAX];
    uint32_t zone[FETCH_ROWS_MAX];
    struct fetch_columns columns = {.columns = FETCH_COLUMN_FLAGS | FETCH_COLUMN_MODSEQ |
                                               FETCH_COLUMN_SIZE | FETCH_COLUMN_INTERNALDATE,
                                    .uid = uid,
                                    .flags = flags,
                                    .modseq = modseq,
                                    .size_bytes = size,
                                    .internal_ms = when,
                                    .zone_biased = zone};
    for (; columns.count < FETCH_ROWS_MAX && first <= last; first++, columns.count++) {
        uid[columns.count] = first;
        flags[columns.count] = first % 2 == 0 ? 1 : 0;
        modseq[columns.count] = first;
        size[columns.count] = 1000 + first;
        when[columns.count] = 1700000000000ULL + first * 60000ULL;
        zone[columns.count] = FETCH_ZONE_BIAS + 60;
    }
    fetch_stream_append_block(out, &columns);
    return columns.count;
}

/* More of the stream; false: there is no more. */
static bool fill_stream(struct served *served)
{
    struct shell_backend *b = served->backend;
    while (served->next_row != 0 && served->next_row <= b->fetch_rows &&
           vy_buf_len(&served->stream) < 65536) {
        const uint32_t count = append_rows(&served->stream, served->next_row, b->fetch_rows);
        served->next_row += count;
        (void)atomic_fetch_add(&b->rows_sent, count);
    }
    return vy_buf_len(&served->stream) > 0;
}

static void pump(void *arg)
{
    struct served *served = arg;
    while (fill_stream(served)) {
        const size_t taken = rpc_server_call_send(served->call, vy_buf_bytes(&served->stream));
        if (taken == 0) {
            return; /* on_writable */
        }
        vy_buf_consume(&served->stream, taken);
    }
    if (!served->stays_open) {
        served_end(served, vy_ok());
    }
}

/* ---- handlers ---- */

static void served_on_cancel(void *arg)
{
    struct served *served = arg;
    (void)atomic_fetch_add(&served->backend->cancelled, 1);
    served_end(served, vy_error(VY_CODE_CANCELLED, "nobody waits"));
}

static void served_on_body(void *arg, struct vy_bytes bytes)
{
    struct served *served = arg;
    vy_buf_append(&served->body, bytes);
    rpc_server_call_consumed(served->call, bytes.len);
}

static bool is_away(struct shell_backend *b, uint32_t method)
{
    if (b->moved_left == 0 || method >> 16 != 1) {
        return false;
    }
    b->moved_left--;
    b->map_epoch++;
    return true;
}

static void served_on_body_end(void *arg)
{
    struct served *served = arg;
    if (is_away(served->backend, served->method)) {
        served_end(served, vy_error(VY_CODE_MOVED, "slot lives elsewhere"));
        return;
    }
    served_end(served, ask_double(served));
}

static const struct rpc_server_call_events served_events = {
    .on_data = served_on_body, .on_data_end = served_on_body_end, .on_cancel = served_on_cancel};
static const struct rpc_server_call_events down_events = {.on_writable = pump,
                                                          .on_cancel = served_on_cancel};

static void serve(void *arg, struct rpc_server_call *call, struct vy_bytes request)
{
    struct shell_backend *b = arg;
    struct served *served = served_new(b, call, request);
    if (is_away(b, served->method)) {
        served_end(served, vy_error(VY_CODE_MOVED, "slot lives elsewhere"));
        return;
    }
    const bool has_rows = b->fetch_rows > 0;
    served_end(served, has_rows && served->method == METHOD_SHARD_MAILBOX_OPEN
                           ? open_rows(served)
                           : ask_double(served));
}

static void serve_up(void *arg, struct rpc_server_call *call, struct vy_bytes request)
{
    rpc_server_call_set_events(call, &served_events, served_new(arg, call, request));
}

static void serve_down(void *arg, struct rpc_server_call *call, struct vy_bytes request)
{
    struct shell_backend *b = arg;
    struct served *served = served_new(b, call, request);
    rpc_server_call_set_events(call, &down_events, served);
    if (b->fetch_rows > 0 && served->method == METHOD_SHARD_MESSAGE_FETCH) {
        served->next_row = 1;
    } else {
        const struct vy_err err = ask_double(served);
        if (vy_failed(err)) {
            served_end(served, err);
            return;
        }
    }
    pump(served);
}

/* ---- meta's own ---- */

static void serve_map(void *arg, struct rpc_server_call *call, struct vy_bytes request)
{
    struct shell_backend *b = arg;
    (void)request;
    const struct map_member member = {
        .member_id = 1, .node = VY_LIT("shard-1"), .link_address = VY_LIT("inproc:shard-1")};
    const struct map_group group = {.group_id = 1, .members_count = 1, .members = &member};
    const struct slot_range range = {.first = 0, .last = VY_SLOT_COUNT - 1, .group_id = 1};
    const struct cluster_map_reply reply = {.epoch = b->map_epoch,
                                            .groups_count = 1,
                                            .groups = &group,
                                            .slots_count = 1,
                                            .slots = &range};
    struct vy_buf bytes;
    vy_buf_init(&bytes, STREAM_BYTES_MAX);
    vy_ignore(vy_pb_encode(&cluster_map_reply_desc, &reply, &bytes), "it fits");
    rpc_server_call_reply(call, vy_buf_bytes(&bytes));
    vy_buf_deinit(&bytes);
}

static void serve_register(void *arg, struct rpc_server_call *call, struct vy_bytes request)
{
    const struct shell_backend *b = arg;
    struct vy_arena arena;
    struct node_register_request node;
    vy_arena_init(&arena, ARENA_BYTES_MAX);
    const struct vy_err err = vy_pb_decode(&node_register_request_desc, &arena, request, &node);
    VY_ASSERT(!vy_failed(err) && node.group_id == 0);
    VY_ASSERT(vy_bytes_equal(node.role, VY_LIT("frontend")) && node.node.len > 0);
    vy_arena_deinit(&arena);
    const struct node_register_reply reply = {.cursor = b->cursor};
    struct vy_buf bytes;
    vy_buf_init(&bytes, STREAM_BYTES_MAX);
    vy_ignore(vy_pb_encode(&node_register_reply_desc, &reply, &bytes), "it fits");
    rpc_server_call_reply(call, vy_buf_bytes(&bytes));
    vy_buf_deinit(&bytes);
}

struct meta_stream {
    struct shell_backend *backend;
    size_t index; /* in watches */
};

static void meta_stream_on_cancel(void *arg)
{
    struct meta_stream *stream = arg;
    struct rpc_server_call **slot = &stream->backend->watches[stream->index];
    rpc_server_call_fail(*slot, vy_error(VY_CODE_CANCELLED, "nobody waits"), NULL, 0);
    *slot = NULL;
    free(stream);
}

static const struct rpc_server_call_events meta_stream_events = {.on_cancel =
                                                                     meta_stream_on_cancel};

static void serve_meta_watch(void *arg, struct rpc_server_call *call, struct vy_bytes request)
{
    struct shell_backend *b = arg;
    (void)request;
    for (size_t i = 0; i < WATCHES_MAX; i++) {
        if (b->watches[i] == NULL) {
            struct meta_stream *stream = malloc(sizeof(*stream));
            VY_ASSERT(stream != NULL);
            *stream = (struct meta_stream){.backend = b, .index = i};
            b->watches[i] = call;
            rpc_server_call_set_events(call, &meta_stream_events, stream);
            return;
        }
    }
    rpc_server_call_fail(call, vy_error(VY_CODE_BUSY, "watches"), NULL, 0);
}

static void push_event(struct shell_backend *b, const struct meta_event *event)
{
    struct vy_buf bytes;
    vy_buf_init(&bytes, EVENTS_BYTES_MAX);
    vy_ignore(event_stream_append(&bytes, &meta_event_desc, event), "it fits");
    for (size_t i = 0; i < WATCHES_MAX; i++) {
        if (b->watches[i] != NULL) {
            const size_t taken = rpc_server_call_send(b->watches[i], vy_buf_bytes(&bytes));
            VY_ASSERT(taken == vy_buf_len(&bytes));
        }
    }
    vy_buf_deinit(&bytes);
}

/* ---- the servers ---- */

#define HANDLER_NONE serve
#define HANDLER_UP serve_up
#define HANDLER_DOWN serve_down
#define IS_ENDLESS(number) ((number) == METHOD_SHARD_ACCOUNT_WATCH)

/* clang-format off */
static const struct rpc_server_method shard_methods[] = {
#define X(method, number, request, reply, peer_roles, stream)                                      \
    {.id = (number), .name = #method, .roles = (peer_roles), .request_bytes_max = 4194304,         \
     .in_flight_max = 65536, .endless = IS_ENDLESS(number), .handler = HANDLER_##stream},
    SHARD_METHODS(X)
#undef X
};
#define META_METHOD(method, peer_roles, is_endless, fn)                                            \
    {.id = METHOD_##method, .name = #method, .roles = (peer_roles), .in_flight_max = 4096,         \
     .endless = (is_endless), .handler = (fn)}
static const struct rpc_server_method meta_methods[] = {
    META_METHOD(META_LOGIN,        RPC_ROLE_FRONTEND, false, serve),
    META_METHOD(META_RESOLVE,      RPC_ROLE_FRONTEND, false, serve),
    META_METHOD(META_SENDER_CHECK, RPC_ROLE_FRONTEND, false, serve),
    META_METHOD(META_NODE_REGISTER, RPC_ROLE_FRONTEND, false, serve_register),
    META_METHOD(META_CLUSTER_MAP,  RPC_ROLE_FRONTEND, false, serve_map),
    META_METHOD(META_WATCH,        RPC_ROLE_FRONTEND, true,  serve_meta_watch),
};
/* clang-format on */

static struct rpc_config role_config(struct shell_backend *b, struct rpc_inproc *hub,
                                     const char *node, enum rpc_role role)
{
    return (struct rpc_config){.loop = b->loop,
                               .rng = vy_rng_system(),
                               .log = &quiet,
                               .cluster = "test",
                               .node = node,
                               .role = role,
                               .inproc = hub};
}

static void open_servers(void *arg)
{
    struct shell_backend *b = arg;
    struct vy_err err = rpc_server_new(&b->meta_rpc, &b->meta);
    VY_ASSERT(!vy_failed(err));
    err = rpc_server_new(&b->shard_rpc, &b->shard);
    VY_ASSERT(!vy_failed(err));
    err = rpc_server_add_methods(b->meta, meta_methods, VY_COUNT_OF(meta_methods), b);
    VY_ASSERT(!vy_failed(err));
    err = rpc_server_add_methods(b->shard, shard_methods, VY_COUNT_OF(shard_methods), b);
    VY_ASSERT(!vy_failed(err));
    err = rpc_server_listen(b->meta, "inproc:meta-1");
    VY_ASSERT(!vy_failed(err));
    err = rpc_server_listen(b->shard, "inproc:shard-1");
    VY_ASSERT(!vy_failed(err));
}

static void close_servers(void *arg)
{
    struct shell_backend *b = arg;
    rpc_server_free(b->meta);
    rpc_server_free(b->shard);
}

static void *run_loop(void *arg)
{
    vy_loop_uv_run(arg);
    return NULL;
}

struct shell_backend *shell_backend_new(struct rpc_inproc *hub, const struct shell_options *options)
{
    struct shell_backend *b = calloc(1, sizeof(*b));
    VY_ASSERT(b != NULL);
    const struct vy_err err = vy_loop_uv_new(&b->loop);
    VY_ASSERT(!vy_failed(err));
    b->fetch_rows = options->fetch_rows;
    b->discards_mail = options->discards_mail;
    b->map_epoch = 1;
    b->cursor = 1;
    (void)pthread_mutex_init(&b->paused, NULL);
    b->meta_rpc = role_config(b, hub, "meta-1", RPC_ROLE_META);
    b->shard_rpc = role_config(b, hub, "shard-1", RPC_ROLE_SHARD);
    b->smtp = smtp_backend_new();
    b->imap = transcript_imap.backend_new();
    const int failed = pthread_create(&b->thread, NULL, run_loop, b->loop);
    VY_ASSERT(failed == 0);
    shell_backend_run(b, open_servers, b);
    return b;
}

void shell_backend_free(struct shell_backend *b)
{
    shell_backend_run(b, close_servers, b);
    vy_loop_uv_stop(b->loop);
    (void)pthread_join(b->thread, NULL);
    vy_loop_uv_free(b->loop);
    transcript_imap.backend_free(b->imap);
    smtp_backend_free(b->smtp);
    free(b);
}

struct errand {
    void (*fn)(void *arg);
    void *arg;
    pthread_mutex_t lock;
    pthread_cond_t done;
    bool is_done;
};

static void run_errand(void *arg)
{
    struct errand *errand = arg;
    errand->fn(errand->arg);
    (void)pthread_mutex_lock(&errand->lock);
    errand->is_done = true;
    (void)pthread_cond_signal(&errand->done);
    (void)pthread_mutex_unlock(&errand->lock);
}

void shell_backend_run(struct shell_backend *b, void (*fn)(void *arg), void *arg)
{
    struct errand errand = {
        .fn = fn, .arg = arg, .lock = PTHREAD_MUTEX_INITIALIZER, .done = PTHREAD_COND_INITIALIZER};
    vy_loop_post(b->loop, run_errand, &errand);
    (void)pthread_mutex_lock(&errand.lock);
    while (!errand.is_done) {
        (void)pthread_cond_wait(&errand.done, &errand.lock);
    }
    (void)pthread_mutex_unlock(&errand.lock);
}

/* ---- what tests ask ---- */

struct question {
    struct shell_backend *backend;
    const char *line;
    uint64_t account_id;
    uint64_t epoch;
    unsigned count;
    struct vy_bytes body;
    size_t copies;
    bool is_same;
};

static void setup_imap(void *arg)
{
    struct question *q = arg;
    const bool is_known = transcript_imap.directive(q->backend->imap, NULL, vy_cstr(q->line));
    VY_ASSERT(is_known);
}

void shell_imap_setup(struct shell_fixture *f, const char *line)
{
    struct question q = {.backend = f->backend, .line = line};
    shell_backend_run(f->backend, setup_imap, &q);
}

static void count_copies(void *arg)
{
    struct question *q = arg;
    const struct smtp_copy *last = smtp_backend_last(q->backend->smtp, q->account_id);
    q->copies = smtp_backend_copies(q->backend->smtp, q->account_id);
    q->is_same = last != NULL && vy_bytes_equal(last->body, q->body);
}

size_t shell_copies(struct shell_fixture *f, uint64_t account_id)
{
    struct question q = {.backend = f->backend, .account_id = account_id};
    shell_backend_run(f->backend, count_copies, &q);
    return q.copies;
}

bool shell_last_copy_is(struct shell_fixture *f, uint64_t account_id, struct vy_bytes body)
{
    struct question q = {.backend = f->backend, .account_id = account_id, .body = body};
    shell_backend_run(f->backend, count_copies, &q);
    return q.is_same;
}

static void raise_epoch(void *arg)
{
    struct question *q = arg;
    const struct meta_event event = {.cursor = ++q->backend->cursor,
                                     .account_id = q->account_id,
                                     .account_epoch = q->epoch,
                                     .reset = q->account_id == 0};
    push_event(q->backend, &event);
}

void shell_raise_epoch(struct shell_fixture *f, uint64_t account_id, uint64_t epoch)
{
    struct question q = {.backend = f->backend, .account_id = account_id, .epoch = epoch};
    shell_backend_run(f->backend, raise_epoch, &q);
}

static void move_away(void *arg)
{
    struct question *q = arg;
    q->backend->moved_left = q->count;
}

void shell_move_away(struct shell_fixture *f, unsigned calls)
{
    struct question q = {.backend = f->backend, .count = calls};
    shell_backend_run(f->backend, move_away, &q);
}

static void wait_for_resume(void *arg)
{
    struct shell_backend *b = arg;
    (void)pthread_mutex_lock(&b->paused);
    (void)pthread_mutex_unlock(&b->paused);
}

void shell_pause(struct shell_fixture *f)
{
    (void)pthread_mutex_lock(&f->backend->paused);
    vy_loop_post(f->backend->loop, wait_for_resume, f->backend);
}

void shell_resume(struct shell_fixture *f)
{
    (void)pthread_mutex_unlock(&f->backend->paused);
}

size_t shell_cancelled_calls(const struct shell_fixture *f)
{
    return atomic_load(&f->backend->cancelled);
}

uint64_t shell_rows_sent(const struct shell_fixture *f)
{
    return atomic_load(&f->backend->rows_sent);
}
