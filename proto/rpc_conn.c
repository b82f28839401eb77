/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/rpc_conn.h"

#include "proto/rpc.pb.h"
#include <stdlib.h>

#define HELLO_TIMEOUT_MS 3000U
#define PING_INTERVAL_MS 1000U
#define CLOSING_TIMEOUT_MS 1000U /* for a last GOAWAY to leave, or the peer to go first */

#define TO(state) (1U << RPC_CONN_##state)
static const uint32_t conn_state_next[RPC_CONN_STATE_COUNT] = {
    [RPC_CONN_OPENING] = TO(GREETING) | TO(DEAD),
    [RPC_CONN_GREETING] = TO(UP) | TO(CLOSING) | TO(DEAD),
    [RPC_CONN_UP] = TO(LEAVING) | TO(DEAD),
    [RPC_CONN_LEAVING] = TO(DEAD),
    [RPC_CONN_CLOSING] = TO(DEAD),
};

static void conn_move(struct rpc_conn *conn, enum rpc_conn_state next)
{
    VY_ASSERT((conn_state_next[conn->state] & (1U << next)) != 0);
    conn->state = next;
}

static uint64_t now_ms(const struct rpc_conn *conn)
{
    return vy_loop_now_ms(conn->config->loop);
}

static uint32_t or_default(uint32_t value, uint32_t fallback)
{
    return value == 0 ? fallback : value;
}

/* ---- life ---- */

struct rpc_conn *rpc_conn_ref(struct rpc_conn *conn)
{
    conn->ref_count++;
    return conn;
}

void rpc_conn_unref(struct rpc_conn *conn)
{
    VY_ASSERT(conn->ref_count > 0);
    conn->ref_count--;
    if (conn->ref_count > 0) {
        return;
    }
    VY_ASSERT(conn->pipe == NULL && conn->stream_count == 0);
    vy_timer_free(conn->timer);
    rpc_block_list_clear(&conn->control);
    rpc_frame_parser_deinit(&conn->parser);
    vy_buf_deinit(&conn->scratch);
    vy_map_deinit(&conn->by_id);
    free(conn);
}

static void close_pipe(struct rpc_conn *conn)
{
    vy_timer_stop(conn->timer);
    if (conn->pipe != NULL) {
        rpc_pipe_close(conn->pipe);
        conn->pipe = NULL;
    }
}

void rpc_conn_close(struct rpc_conn *conn)
{
    VY_ASSERT(conn->stream_count == 0);
    conn->owner = NULL;
    if (conn->state != RPC_CONN_DEAD) {
        conn_move(conn, RPC_CONN_DEAD);
    }
    close_pipe(conn);
}

bool rpc_conn_is_up(const struct rpc_conn *conn)
{
    return conn->state == RPC_CONN_UP;
}

/* ---- going down ---- */

/* What a caller may conclude when its call ends without an answer. */
static struct rpc_status lost_status(const struct rpc_conn *conn, const struct rpc_flow *stream,
                                     const char *why)
{
    const bool is_unknown = !conn->is_dialer || stream->is_written;
    return (struct rpc_status){.code = is_unknown ? VY_CODE_UNKNOWN : VY_CODE_UNAVAILABLE,
                               .message = vy_cstr(why),
                               .not_executed = !is_unknown};
}

static void lose_stream(struct rpc_conn *conn, struct rpc_flow *stream, const char *why)
{
    const struct rpc_status status = lost_status(conn, stream, why);
    rpc_conn_remove_stream(conn, stream);
    stream->ops->on_end(stream, &status, vy_bytes(NULL, 0));
}

static void conn_down(struct rpc_conn *conn, struct vy_err why, enum rpc_conn_fault fault)
{
    if (conn->state == RPC_CONN_DEAD) {
        return;
    }
    if (fault == RPC_CONN_FINISHED && vy_failed(conn->refusal)) {
        why = conn->refusal;
        fault = RPC_CONN_REFUSED;
    }
    rpc_conn_ref(conn);
    conn_move(conn, RPC_CONN_DEAD);
    close_pipe(conn);
    while (!vy_list_is_empty(&conn->streams)) {
        lose_stream(conn, VY_CONTAINER_OF(conn->streams.next, struct rpc_flow, node), "link lost");
    }
    if (conn->owner != NULL) {
        conn->owner->on_down(conn->arg, conn, why, fault);
    }
    rpc_conn_unref(conn);
}

void rpc_conn_fail(struct rpc_conn *conn, struct vy_err why)
{
    if (!vy_failed(conn->failure)) {
        conn->failure = why;
    }
    rpc_conn_wake_at(conn, 0);
}

/* ---- the timer: handshake deadline, watchdog, deadlines of calls ---- */

void rpc_conn_wake_at(struct rpc_conn *conn, uint64_t when_ms)
{
    if (conn->state == RPC_CONN_DEAD || when_ms >= conn->wake_ms) {
        return;
    }
    const uint64_t now = now_ms(conn);
    conn->wake_ms = when_ms;
    vy_timer_start(conn->timer, when_ms > now ? when_ms - now : 0);
}

static void expire_stream(struct rpc_conn *conn, struct rpc_flow *stream)
{
    const char *const why = "deadline exceeded";
    if (!conn->is_dialer) {
        const struct rpc_status status = lost_status(conn, stream, why);
        rpc_conn_refuse_call(conn, stream->id, &status);
    } else if (stream->is_written) {
        rpc_writer_control(
            conn, &(struct rpc_frame){.type = RPC_FRAME_CANCEL, .stream_id = stream->id, .aux = 4});
    }
    lose_stream(conn, stream, why);
}

static void expire_streams(struct rpc_conn *conn, uint64_t now)
{
    struct vy_list expired;
    vy_list_init(&expired);
    for (struct vy_list *item = conn->streams.next; item != &conn->streams;) {
        struct rpc_flow *stream = VY_CONTAINER_OF(item, struct rpc_flow, node);
        item = item->next;
        if (stream->deadline_ms <= now) {
            vy_list_remove(&stream->node);
            vy_list_push_back(&expired, &stream->node);
        }
    }
    /* Owners may take any stream off meanwhile: it leaves this list, too. */
    while (!vy_list_is_empty(&expired)) {
        expire_stream(conn, VY_CONTAINER_OF(expired.next, struct rpc_flow, node));
    }
}

/* Every interval in which nothing came costs the peer one PING, and its life after
 * RPC_PINGS_MISSED_MAX of them. Counting intervals instead of time forgives a stall of our own.
 * True: the peer is dead. */
static bool watch_peer(struct rpc_conn *conn, uint64_t now)
{
    if (now < conn->next_ping_ms) {
        return false;
    }
    conn->next_ping_ms = now + or_default(conn->config->ping_interval_ms, PING_INTERVAL_MS);
    if (conn->has_heard) {
        conn->has_heard = false;
        conn->pings_missed = 0;
        return false;
    }
    if (conn->pings_missed >= RPC_PINGS_MISSED_MAX) {
        return true;
    }
    conn->pings_missed++;
    conn->is_ping_due = true;
    return false;
}

static uint64_t next_wake(const struct rpc_conn *conn)
{
    const bool is_open = conn->state == RPC_CONN_UP || conn->state == RPC_CONN_LEAVING;
    uint64_t next = VY_MIN(conn->state_until_ms, is_open ? conn->next_ping_ms : UINT64_MAX);
    VY_LIST_FOREACH(item, &conn->streams)
    {
        next = VY_MIN(next, VY_CONTAINER_OF(item, struct rpc_flow, node)->deadline_ms);
    }
    return next;
}

/* What the end of the current state's patience means. */
static void run_out_of_time(struct rpc_conn *conn)
{
    const bool is_leaving = conn->state == RPC_CONN_CLOSING || conn->state == RPC_CONN_LEAVING;
    if (conn->state == RPC_CONN_CLOSING) {
        conn_down(conn, conn->failure, RPC_CONN_REFUSED);
    } else if (is_leaving) {
        conn_down(conn, vy_error(VY_CODE_CLOSED, "left"), RPC_CONN_FINISHED);
    } else {
        conn_down(conn, vy_error(VY_CODE_UNAVAILABLE, "no greeting in time"), RPC_CONN_LOST);
    }
}

static void conn_tick(struct rpc_conn *conn, uint64_t now)
{
    if (vy_failed(conn->failure) && conn->state != RPC_CONN_CLOSING) {
        const bool is_ours = conn->failure.code == VY_CODE_NOMEM;
        conn_down(conn, conn->failure, is_ours ? RPC_CONN_LOST : RPC_CONN_BROKEN);
        return;
    }
    if (now >= conn->state_until_ms) {
        run_out_of_time(conn);
        return;
    }
    const bool is_open = conn->state == RPC_CONN_UP || conn->state == RPC_CONN_LEAVING;
    if (is_open && watch_peer(conn, now)) {
        conn_down(conn, vy_error(VY_CODE_UNAVAILABLE, "peer is silent"), RPC_CONN_LOST);
        return;
    }
    expire_streams(conn, now);
}

/* ---- after anything that came from below ---- */

/* The dialler closes first, so that no answer is lost in a reset; the acceptor waits a moment for
 * that. */
static void leave_if_finished(struct rpc_conn *conn)
{
    if (conn->state != RPC_CONN_LEAVING || conn->stream_count > 0) {
        return;
    }
    if (conn->is_dialer) {
        conn_down(conn, vy_error(VY_CODE_CLOSED, "peer left"), RPC_CONN_FINISHED);
    } else if (conn->state_until_ms == UINT64_MAX) {
        conn->state_until_ms = now_ms(conn) + CLOSING_TIMEOUT_MS;
        rpc_conn_wake_at(conn, conn->state_until_ms);
    }
}

static void settle(struct rpc_conn *conn)
{
    rpc_writer_flush(conn);
    rpc_writer_wake_waiting(conn);
    rpc_writer_flush(conn);
    leave_if_finished(conn);
}

static void conn_on_timer(void *arg)
{
    struct rpc_conn *conn = rpc_conn_ref(arg);
    conn->wake_ms = UINT64_MAX;
    conn_tick(conn, now_ms(conn));
    settle(conn);
    if (conn->state != RPC_CONN_DEAD) {
        rpc_conn_wake_at(conn, next_wake(conn));
    }
    rpc_conn_unref(conn);
}

/* ---- events of the pipe ---- */

static void send_hello(struct rpc_conn *conn)
{
    const struct rpc_hello hello = {
        .version = RPC_VERSION,
        .version_min = RPC_VERSION_MIN,
        .cluster = vy_cstr(conn->config->cluster),
        .node = vy_cstr(conn->config->node),
        .role = conn->config->role,
        .stream_window_bytes = conn->held_stream_window,
        .link_window_bytes = conn->held_link_window,
    };
    vy_buf_reset(&conn->scratch);
    const struct vy_err err = vy_pb_encode(&rpc_hello_desc, &hello, &conn->scratch);
    if (vy_failed(err)) {
        rpc_conn_fail(conn, err);
        return;
    }
    rpc_writer_control(conn, &(struct rpc_frame){.type = RPC_FRAME_HELLO,
                                                 .payload = vy_buf_bytes(&conn->scratch)});
}

static void conn_on_open(void *arg, const struct rpc_pipe_peer *peer)
{
    struct rpc_conn *conn = arg;
    conn->transport_peer = *peer;
    conn_move(conn, RPC_CONN_GREETING);
    send_hello(conn);
    rpc_writer_flush(conn);
}

/* A stranger that is refused is told why, and given a moment to read it. */
static void refuse_peer(struct rpc_conn *conn, struct vy_err why)
{
    if (conn->is_dialer) {
        conn_down(conn, why, RPC_CONN_REFUSED);
        return;
    }
    conn->failure = why;
    rpc_conn_send_goaway(conn, why.code, why.what);
    conn_move(conn, RPC_CONN_CLOSING);
    conn->state_until_ms = now_ms(conn) + CLOSING_TIMEOUT_MS;
    rpc_conn_wake_at(conn, conn->state_until_ms);
}

static void conn_on_bad_frame(struct rpc_conn *conn, struct vy_err why)
{
    if (conn->state == RPC_CONN_DEAD || conn->state == RPC_CONN_CLOSING) {
        return;
    }
    if (conn->state == RPC_CONN_GREETING && why.code != VY_CODE_SYNTAX &&
        why.code != VY_CODE_LIMIT) {
        refuse_peer(conn, why);
        return;
    }
    const bool is_ours = why.code == VY_CODE_NOMEM;
    conn_down(conn, why, is_ours ? RPC_CONN_LOST : RPC_CONN_BROKEN);
}

static void conn_on_data(void *arg, struct vy_bytes bytes)
{
    struct rpc_conn *conn = rpc_conn_ref(arg);
    conn->has_heard = true;
    conn->is_dispatching = true;
    while (conn->state != RPC_CONN_DEAD && conn->state != RPC_CONN_CLOSING) {
        struct rpc_frame frame;
        bool is_ready = false;
        struct vy_err err = rpc_frame_parser_next(&conn->parser, &bytes, &frame, &is_ready);
        if (!vy_failed(err) && !is_ready) {
            break;
        }
        if (!vy_failed(err)) {
            err = rpc_dispatch_frame(conn, &frame);
        }
        if (vy_failed(err)) {
            conn_on_bad_frame(conn, err);
            break;
        }
    }
    conn->is_dispatching = false;
    settle(conn);
    rpc_conn_unref(conn);
}

static void conn_on_sent(void *arg)
{
    struct rpc_conn *conn = rpc_conn_ref(arg);
    conn->is_sending = false;
    settle(conn);
    rpc_conn_unref(conn);
}

static void conn_on_closed(void *arg, struct vy_err why)
{
    struct rpc_conn *conn = arg;
    if (conn->state == RPC_CONN_CLOSING) {
        conn_down(conn, conn->failure, RPC_CONN_REFUSED);
        return;
    }
    const bool is_leaving = conn->state == RPC_CONN_LEAVING && conn->stream_count == 0;
    /* A certificate that is refused shows as DENIED or AUTH from the pipe. */
    const bool is_refused = why.code == VY_CODE_DENIED || why.code == VY_CODE_AUTH;
    conn_down(conn, why,
              is_leaving   ? RPC_CONN_FINISHED
              : is_refused ? RPC_CONN_REFUSED
                           : RPC_CONN_LOST);
}

static const struct rpc_pipe_events conn_pipe_events = {.on_open = conn_on_open,
                                                        .on_data = conn_on_data,
                                                        .on_sent = conn_on_sent,
                                                        .on_closed = conn_on_closed};

static void init_lists(struct rpc_conn *conn)
{
    vy_list_init(&conn->streams);
    vy_list_init(&conn->calls);
    vy_list_init(&conn->ending);
    vy_list_init(&conn->sending);
    vy_list_init(&conn->credits);
    vy_list_init(&conn->waiting);
    vy_map_init(&conn->by_id, vy_rng_u64(conn->config->rng));
    vy_buf_init(&conn->scratch, RPC_FRAME_HELLO_BYTES_MAX);
    rpc_frame_parser_init(&conn->parser);
}

static void init_conn(struct rpc_conn *conn, const struct rpc_conn_setup *setup)
{
    conn->config = setup->config;
    conn->owner = setup->owner;
    conn->arg = setup->arg;
    conn->pipe = setup->pipe;
    conn->expect = setup->expect;
    conn->is_dialer = setup->is_dialer;
    conn->ref_count = 1;
    conn->peer.node = conn->peer_node;
    conn->last_id = setup->is_dialer ? UINT32_MAX : 0; /* the first is 1 */
    conn->held_stream_window =
        or_default(setup->config->stream_window_bytes, RPC_STREAM_WINDOW_BYTES);
    conn->held_link_window = or_default(setup->config->link_window_bytes, RPC_LINK_WINDOW_BYTES);
    conn->wake_ms = UINT64_MAX;
    init_lists(conn);
}

struct vy_err rpc_conn_new(const struct rpc_conn_setup *setup, struct rpc_conn **out)
{
    struct rpc_conn *conn = calloc(1, sizeof(*conn));
    struct vy_timer *timer =
        conn == NULL ? NULL : vy_timer_new(setup->config->loop, conn_on_timer, conn);
    if (timer == NULL) {
        free(conn);
        rpc_pipe_close(setup->pipe);
        return vy_error(VY_CODE_NOMEM, "link connection");
    }
    init_conn(conn, setup);
    conn->timer = timer;
    conn->state_until_ms =
        now_ms(conn) + or_default(setup->config->hello_timeout_ms, HELLO_TIMEOUT_MS);
    rpc_conn_wake_at(conn, conn->state_until_ms);
    *out = conn;
    rpc_pipe_start(conn->pipe, &conn_pipe_events, conn);
    return vy_ok();
}

/* ---- the peer's greeting ---- */

static struct vy_err check_hello(const struct rpc_conn *conn, const struct rpc_hello *hello)
{
    const uint32_t common = VY_MIN(RPC_VERSION, hello->version);
    if (common < VY_MAX(RPC_VERSION_MIN, hello->version_min)) {
        return vy_error(VY_CODE_UNSUPPORTED, "no common link version");
    }
    if (!vy_bytes_equal(hello->cluster, vy_cstr(conn->config->cluster))) {
        return vy_error(VY_CODE_DENIED, "peer of another cluster");
    }
    if (hello->node.len == 0 || hello->node.len > RPC_NAME_BYTES_MAX ||
        vy_bytes_find_byte(hello->node, 0, 0) != SIZE_MAX || hello->role == 0 ||
        hello->role > RPC_ROLE_ALL) {
        return vy_error(VY_CODE_SYNTAX, "greeting without node or role");
    }
    if (hello->stream_window_bytes < RPC_STREAM_WINDOW_BYTES_MIN ||
        hello->link_window_bytes < hello->stream_window_bytes ||
        hello->link_window_bytes > RPC_WINDOW_BYTES_MAX) {
        return vy_error(VY_CODE_UNSUPPORTED, "link window");
    }
    /* R2: whoever holds one node's key may not speak for another. */
    if (conn->transport_peer.has_identity &&
        !vy_bytes_equal(hello->node, vy_cstr(conn->transport_peer.node))) {
        return vy_error(VY_CODE_DENIED, "node name differs from certificate");
    }
    return vy_ok();
}

/* Whom the dialler meant to reach. */
static struct vy_err check_expected(const struct rpc_conn *conn)
{
    if (conn->expect.peer_roles != 0 &&
        (conn->expect.peer_roles & (uint32_t)conn->peer.role) == 0) {
        return vy_error(VY_CODE_DENIED, "peer has another role");
    }
    if (conn->expect.peer_node != NULL && strcmp(conn->expect.peer_node, conn->peer.node) != 0) {
        return vy_error(VY_CODE_DENIED, "peer is another node");
    }
    return vy_ok();
}

struct vy_err rpc_conn_greet(struct rpc_conn *conn, const struct rpc_hello *hello)
{
    VY_TRY(check_hello(conn, hello));
    memcpy(conn->peer_node, hello->node.data, hello->node.len);
    conn->peer_node[hello->node.len] = '\0';
    conn->peer.role =
        conn->transport_peer.has_identity ? conn->transport_peer.role : (enum rpc_role)hello->role;
    conn->peer.authenticated = conn->transport_peer.is_authenticated;
    VY_TRY(check_expected(conn));
    conn->send_stream_window = hello->stream_window_bytes;
    conn->send_link_window = hello->link_window_bytes;
    conn_move(conn, RPC_CONN_UP);
    conn->state_until_ms = UINT64_MAX;
    conn->has_heard = true;
    conn->next_ping_ms =
        now_ms(conn) + or_default(conn->config->ping_interval_ms, PING_INTERVAL_MS);
    rpc_conn_wake_at(conn, conn->next_ping_ms);
    conn->owner->on_up(conn->arg, conn);
    return vy_ok();
}

/* ---- leaving ---- */

void rpc_conn_send_goaway(struct rpc_conn *conn, enum vy_code code, const char *message)
{
    const struct rpc_status status = {
        .code = code, .message = vy_cstr(message), .not_executed = true};
    vy_buf_reset(&conn->scratch);
    const struct vy_err err = rpc_status_encode(&status, &conn->scratch);
    if (vy_failed(err)) {
        rpc_conn_fail(conn, err);
        return;
    }
    rpc_writer_control(conn, &(struct rpc_frame){.type = RPC_FRAME_GOAWAY,
                                                 .aux = conn->last_id,
                                                 .payload = vy_buf_bytes(&conn->scratch)});
    if (conn->state == RPC_CONN_UP) {
        conn_move(conn, RPC_CONN_LEAVING);
        rpc_conn_wake_at(conn, 0);
    }
    rpc_writer_flush(conn);
}

/* The peer leaves: calls that it did not look at have certainly not been executed. */
void rpc_conn_leave(struct rpc_conn *conn, uint32_t last_id)
{
    conn_move(conn, RPC_CONN_LEAVING);
    struct vy_list refused;
    vy_list_init(&refused);
    for (struct vy_list *item = conn->streams.next; item != &conn->streams;) {
        struct rpc_flow *stream = VY_CONTAINER_OF(item, struct rpc_flow, node);
        item = item->next;
        if (!stream->is_written || (int32_t)(stream->id - last_id) > 0) {
            stream->is_written = false;
            vy_list_remove(&stream->node);
            vy_list_push_back(&refused, &stream->node);
        }
    }
    while (!vy_list_is_empty(&refused)) {
        lose_stream(conn, VY_CONTAINER_OF(refused.next, struct rpc_flow, node), "peer is leaving");
    }
    if (conn->owner != NULL) {
        conn->owner->on_leaving(conn->arg, conn);
    }
}
