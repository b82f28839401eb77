/* SPDX-License-Identifier: Apache-2.0 */
#include "base/assert.h"
#include "base/net.h"
#include "proto/grpc_private.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define GRPC_READ_BYTES 16384U
#define GRPC_WINDOW_BYTES (1024 * 1024)
#define GRPC_HEADER_LIST_BYTES 32768U /* H2 */
#define HEADER_OVERHEAD_BYTES 32U     /* RFC 9113 section 6.5.2 */
#define GRPC_CONTINUATIONS_MAX 8U     /* H2 */
#define GRPC_ACKS_MAX 100U            /* H2: of PING and SETTINGS that wait for the socket */
#define GRPC_RESETS_BURST 100U        /* H1 */
#define GRPC_RESETS_PER_S 33U
#define GRPC_POLL_MS 1000U

/* ---- streams ---- */

static uint64_t now_ms(const struct grpc_conn *conn)
{
    return vy_loop_now_ms(conn->server->config.loop);
}

static struct grpc_call *find_call(struct grpc_conn *conn, int32_t stream_id)
{
    return nghttp2_session_get_stream_user_data(conn->http, stream_id);
}

static int on_begin_headers(nghttp2_session *http, const nghttp2_frame *frame, void *arg)
{
    struct grpc_conn *conn = arg;
    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST) {
        return 0;
    }
    struct grpc_call *call = calloc(1, sizeof(*call));
    if (call == NULL) {
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }
    call->conn = conn;
    call->stream_id = frame->hd.stream_id;
    call->deadline_ms = UINT64_MAX;
    call->active_ms = now_ms(conn);
    vy_buf_init(&call->in, GRPC_MESSAGE_BYTES_MAX + GRPC_MESSAGE_HEADER_BYTES);
    vy_buf_init(&call->out, 2U * (GRPC_MESSAGE_BYTES_MAX + GRPC_MESSAGE_HEADER_BYTES));
    vy_list_push_back(&conn->calls, &call->link);
    (void)nghttp2_session_set_stream_user_data(http, call->stream_id, call);
    return 0;
}

static void set_deadline(struct grpc_call *call, struct vy_bytes value)
{
    const uint64_t timeout_ms = grpc_parse_timeout(value);
    if (timeout_ms != UINT64_MAX) {
        call->deadline_ms = now_ms(call->conn) + timeout_ms;
    }
}

static int on_header(nghttp2_session *http, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *arg)
{
    (void)http;
    (void)flags;
    struct grpc_call *call = find_call(arg, frame->hd.stream_id);
    const struct vy_bytes n = vy_bytes(name, name_len);
    const struct vy_bytes v = vy_bytes(value, value_len);
    if (call == NULL) {
        return 0;
    }
    call->header_bytes += n.len + v.len + HEADER_OVERHEAD_BYTES;
    if (call->header_bytes > GRPC_HEADER_LIST_BYTES) {
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE; /* the stream is reset */
    }
    if (vy_bytes_equal(n, VY_LIT(":path"))) {
        (void)snprintf(call->path, sizeof(call->path), "%.*s", VY_PRI(v));
    } else if (vy_bytes_equal(n, VY_LIT(":method"))) {
        call->is_post = vy_bytes_equal(v, VY_LIT("POST"));
    } else if (vy_bytes_equal(n, VY_LIT("content-type"))) {
        call->is_grpc = vy_bytes_starts_with(v, VY_LIT("application/grpc"));
    } else if (vy_bytes_equal(n, VY_LIT("grpc-timeout"))) {
        set_deadline(call, v);
    } else if (vy_bytes_equal(n, VY_LIT("grpc-encoding"))) {
        call->is_compressed = !vy_bytes_equal(v, VY_LIT("identity"));
    }
    return 0;
}

static int on_data(nghttp2_session *http, uint8_t flags, int32_t stream_id, const uint8_t *data,
                   size_t len, void *arg)
{
    (void)http;
    (void)flags;
    struct grpc_call *call = find_call(arg, stream_id);
    if (call != NULL && !call->is_ended && !call->is_started) {
        call->active_ms = now_ms(call->conn);
        vy_buf_append(&call->in, vy_bytes(data, len));
    }
    return 0;
}

/* ---- dispatch ---- */

static void reject_http(struct grpc_call *call, const char *status)
{
    uint8_t name[] = ":status";
    uint8_t value[4];
    memcpy(value, status, sizeof(value));
    const nghttp2_nv headers[1] = {
        {name, value, sizeof(name) - 1, 3, NGHTTP2_NV_FLAG_NONE}
    };
    call->is_ended = true;
    call->has_responded = true;
    (void)nghttp2_submit_response(call->conn->http, call->stream_id, headers, 1, NULL);
}

static const struct grpc_service *find_service(const struct grpc_server *server, const char *path,
                                               const struct vy_pb_method **out)
{
    for (size_t s = 0; s < server->config.services_count; s++) {
        const struct grpc_service *service = &server->config.services[s];
        for (size_t m = 0; m < service->methods_count; m++) {
            char whole[GRPC_PATH_BYTES_MAX];
            (void)snprintf(whole, sizeof(whole), "/%s/%s", service->methods[m].service,
                           service->methods[m].method);
            if (strcmp(whole, path) == 0) {
                *out = &service->methods[m];
                return service;
            }
        }
    }
    return NULL;
}

static void start_unary(struct grpc_call *call)
{
    const struct vy_pb_method *method = NULL;
    const struct grpc_service *service = find_service(call->conn->server, call->path, &method);
    struct vy_bytes request;
    size_t used = 0;
    if (service == NULL) {
        grpc_call_end(call, vy_code_grpc_status(VY_CODE_UNSUPPORTED), "no such method here");
        return;
    }
    if (!grpc_call_take_message(call, &request, &used)) {
        grpc_call_end(call, vy_code_grpc_status(VY_CODE_SYNTAX),
                      "the request message is missing or cut");
        return;
    }
    call->is_started = true;
    service->on_call(service->arg, call, method, request);
}

/* All there is of a request so far: refuse what is not gRPC, answer what is whole. */
static void look_at(struct grpc_call *call, bool is_over)
{
    call->input_is_over = call->input_is_over || is_over;
    if (call->is_ended || call->is_started) {
        return;
    }
    if (!call->is_post) {
        reject_http(call, "405");
    } else if (!call->is_grpc) {
        reject_http(call, "415");
    } else if (call->is_compressed) {
        grpc_call_end(call, vy_code_grpc_status(VY_CODE_UNSUPPORTED),
                      "compressed messages are not supported");
    } else if (vy_failed(vy_buf_error(&call->in))) {
        grpc_call_end(call, vy_code_grpc_status(VY_CODE_LIMIT), "the request is larger than 4 MiB");
    } else if (!grpc_builtin_handle(call) && is_over) {
        start_unary(call);
    }
}

static int on_frame(nghttp2_session *http, const nghttp2_frame *frame, void *arg)
{
    (void)http;
    struct grpc_conn *conn = arg;
    struct grpc_call *call = find_call(conn, frame->hd.stream_id);
    conn->is_greeted = conn->is_greeted || frame->hd.type == NGHTTP2_SETTINGS;
    if (call != NULL && (frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA)) {
        look_at(call, (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0);
    }
    return 0;
}

static int on_stream_close(nghttp2_session *http, int32_t stream_id, uint32_t error, void *arg)
{
    (void)http;
    (void)error;
    struct grpc_call *call = find_call(arg, stream_id);
    if (call != NULL) {
        grpc_call_unlink(call);
    }
    return 0;
}

/* ---- connections ---- */

static void conn_free(struct grpc_conn *conn)
{
    while (!vy_list_is_empty(&conn->calls)) {
        grpc_call_unlink(VY_CONTAINER_OF(conn->calls.next, struct grpc_call, link));
    }
    nghttp2_session_del(conn->http);
    vy_watch_free(conn->watch);
    vy_tls_free(conn->tls);
    vy_buf_deinit(&conn->out);
    (void)close(conn->fd);
    vy_list_remove(&conn->link);
    conn->server->conns_count--;
    free(conn);
}

/* Moves frames from nghttp2 to the output, only while it is small: the peer's pace is ours. */
static void pull_frames(struct grpc_conn *conn)
{
    while (vy_buf_len(&conn->out) < GRPC_OUTPUT_HIGH_BYTES) {
        const uint8_t *data = NULL;
        const ssize_t len = nghttp2_session_mem_send(conn->http, &data);
        if (len <= 0) {
            conn->is_dead = conn->is_dead || len < 0;
            return;
        }
        if (conn->tls == NULL) {
            vy_buf_append(&conn->out, vy_bytes(data, (size_t)len));
        } else {
            conn->is_dead =
                conn->is_dead || vy_failed(vy_tls_write(conn->tls, vy_bytes(data, (size_t)len)));
            vy_tls_take(conn->tls, &conn->out);
        }
    }
}

static void send_output(struct grpc_conn *conn)
{
    while (vy_buf_len(&conn->out) > 0) {
        const struct vy_bytes bytes = vy_buf_bytes(&conn->out);
        const ssize_t sent = send(conn->fd, bytes.data, bytes.len, MSG_NOSIGNAL);
        if (sent < 0 && errno != EINTR) {
            conn->is_dead = conn->is_dead || (errno != EAGAIN && errno != EWOULDBLOCK);
            return;
        }
        vy_buf_consume(&conn->out, sent > 0 ? (size_t)sent : 0);
    }
}

/* What pulling stopped at may have gone out whole: then nothing would wake us for the rest. */
static void move_output(struct grpc_conn *conn)
{
    bool is_full = true;
    send_output(conn);
    while (is_full && !conn->is_dead && vy_buf_len(&conn->out) < GRPC_OUTPUT_HIGH_BYTES) {
        if (conn->tls == NULL || vy_tls_is_established(conn->tls)) {
            pull_frames(conn);
        }
        is_full = vy_buf_len(&conn->out) >= GRPC_OUTPUT_HIGH_BYTES;
        send_output(conn);
    }
}

void grpc_conn_flush(struct grpc_conn *conn)
{
    if (conn->is_busy) {
        return; /* whoever is inside flushes when it leaves */
    }
    move_output(conn);
    const bool is_over = nghttp2_session_want_read(conn->http) == 0 &&
                         nghttp2_session_want_write(conn->http) == 0 && vy_buf_len(&conn->out) == 0;
    if (conn->is_dead || is_over || vy_failed(vy_buf_error(&conn->out))) {
        conn_free(conn);
        return;
    }
    vy_watch_set(conn->watch, VY_WATCH_READ | (vy_buf_len(&conn->out) > 0 ? VY_WATCH_WRITE : 0));
}

static void feed_http(struct grpc_conn *conn, struct vy_bytes bytes)
{
    const ssize_t used = nghttp2_session_mem_recv(conn->http, bytes.data, bytes.len);
    conn->is_dead = conn->is_dead || used < 0;
}

static void name_authenticated(struct grpc_conn *conn)
{
    if (conn->peer.is_authenticated || !vy_tls_is_established(conn->tls)) {
        return;
    }
    conn->peer.is_authenticated = true;
    if (vy_tls_peer_uri(conn->tls, conn->uri, sizeof(conn->uri))) {
        conn->peer.uri = vy_cstr(conn->uri);
    }
}

static void feed_tls(struct grpc_conn *conn, struct vy_bytes bytes)
{
    uint8_t plain[GRPC_READ_BYTES];
    size_t len = 0;
    bool failed = vy_failed(vy_tls_receive(conn->tls, bytes));
    vy_tls_take(conn->tls, &conn->out);
    while (!failed && !conn->is_dead) {
        failed = vy_failed(vy_tls_read(conn->tls, plain, sizeof(plain), &len));
        if (failed || len == 0) {
            break;
        }
        name_authenticated(conn); /* before a call can ask */
        feed_http(conn, vy_bytes(plain, len));
    }
    if (failed) {
        vy_log(conn->server->config.log, VY_LOG_INFO, "admin.tls.refused",
               VY_STR("conn.ip", conn->peer.address));
        send_output(conn); /* the alert */
    }
    conn->is_dead = conn->is_dead || failed || vy_tls_is_closed(conn->tls);
}

static void conn_feed(struct grpc_conn *conn, struct vy_bytes bytes)
{
    conn->is_busy = true;
    conn->active_ms = now_ms(conn);
    if (conn->tls == NULL) {
        feed_http(conn, bytes);
    } else {
        feed_tls(conn, bytes);
    }
    conn->is_busy = false;
    grpc_conn_flush(conn);
}

static void conn_on_ready(void *arg, int events)
{
    struct grpc_conn *conn = arg;
    uint8_t bytes[GRPC_READ_BYTES];
    if ((events & VY_WATCH_READ) == 0) {
        grpc_conn_flush(conn);
        return;
    }
    const ssize_t got = recv(conn->fd, bytes, sizeof(bytes), 0);
    if (got > 0) {
        conn_feed(conn, vy_bytes(bytes, (size_t)got));
        return;
    }
    conn->is_dead = got == 0 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
    grpc_conn_flush(conn);
}

static struct vy_err start_http(struct grpc_conn *conn)
{
    static const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, GRPC_STREAMS_MAX      },
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE,    GRPC_WINDOW_BYTES     },
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE,   GRPC_HEADER_LIST_BYTES},
    };
    nghttp2_session_callbacks *callbacks = NULL;
    nghttp2_option *option = NULL;
    if (nghttp2_session_callbacks_new(&callbacks) != 0) {
        return vy_error(VY_CODE_NOMEM, "HTTP/2 callbacks");
    }
    if (nghttp2_option_new(&option) != 0) {
        nghttp2_session_callbacks_del(callbacks);
        return vy_error(VY_CODE_NOMEM, "HTTP/2 options");
    }
    nghttp2_option_set_stream_reset_rate_limit(option, GRPC_RESETS_BURST, GRPC_RESETS_PER_S);
    nghttp2_option_set_max_continuations(option, GRPC_CONTINUATIONS_MAX);
    nghttp2_option_set_max_outbound_ack(option, GRPC_ACKS_MAX);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    const int failed = nghttp2_session_server_new2(&conn->http, callbacks, conn, option);
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    if (failed != 0 ||
        nghttp2_submit_settings(conn->http, NGHTTP2_FLAG_NONE, settings, VY_COUNT_OF(settings)) !=
            0 ||
        nghttp2_session_set_local_window_size(conn->http, NGHTTP2_FLAG_NONE, 0,
                                              GRPC_WINDOW_BYTES) != 0) {
        return vy_error(VY_CODE_NOMEM, "HTTP/2 session");
    }
    return vy_ok();
}

static void name_peer(struct grpc_conn *conn, const struct sockaddr_storage *peer, bool is_unix)
{
    char ip[VY_NET_IP_TEXT_BYTES];
    uint16_t port = 0;
    vy_net_ip_text(peer, ip, &port);
    conn->peer.is_local = is_unix;
    (void)snprintf(conn->address, sizeof(conn->address), "%s", is_unix ? "unix" : ip);
    conn->peer.address = vy_cstr(conn->address);
}

struct grpc_conn *grpc_conn_new(struct grpc_server *server, int fd,
                                const struct sockaddr_storage *peer, bool is_unix, bool with_tls)
{
    struct grpc_conn *conn =
        server->conns_count < GRPC_CONNECTIONS_MAX ? calloc(1, sizeof(*conn)) : NULL;
    if (conn == NULL) {
        (void)close(fd);
        return NULL;
    }
    conn->server = server;
    conn->fd = fd;
    conn->opened_ms = now_ms(conn);
    conn->active_ms = conn->opened_ms;
    vy_list_init(&conn->calls);
    vy_list_push_back(&server->conns, &conn->link);
    server->conns_count++;
    vy_buf_init(&conn->out, 4U * GRPC_MESSAGE_BYTES_MAX);
    name_peer(conn, peer, is_unix);
    conn->watch = vy_watch_new(server->config.loop, fd, conn_on_ready, conn);
    struct vy_err err = conn->watch == NULL ? vy_error(VY_CODE_NOMEM, "watch") : start_http(conn);
    if (!vy_failed(err) && with_tls) {
        err = vy_tls_new(server->config.tls, &conn->tls);
    }
    if (vy_failed(err)) {
        vy_log(server->config.log, VY_LOG_WARN, "admin.client.failed", VY_LOG_ERR(err));
        conn_free(conn);
        return NULL;
    }
    return conn;
}

void grpc_server_adopt(struct grpc_server *server, int fd, struct vy_bytes first)
{
    struct sockaddr_storage peer = {0};
    socklen_t len = sizeof(peer);
    (void)getpeername(fd, (struct sockaddr *)&peer, &len);
    struct grpc_conn *conn = grpc_conn_new(server, fd, &peer, false, false);
    if (conn != NULL) {
        conn_feed(conn, first);
    }
}

/* ---- life ---- */

static void on_poll(void *arg)
{
    struct grpc_server *server = arg;
    grpc_builtin_tell_health(server);
    struct vy_list *next = NULL;
    for (struct vy_list *item = server->conns.next; item != &server->conns; item = next) {
        struct grpc_conn *conn = VY_CONTAINER_OF(item, struct grpc_conn, link);
        next = item->next;
        conn->is_dead = conn->is_dead || !grpc_sweep_conn(conn);
        grpc_conn_flush(conn);
    }
    vy_timer_start(server->poll_timer, GRPC_POLL_MS);
}

static void set_default(uint32_t *value, uint32_t fallback)
{
    *value = *value == 0 ? fallback : *value;
}

struct vy_err grpc_server_new(const struct grpc_server_config *config, struct grpc_server **out)
{
    struct grpc_server *server = calloc(1, sizeof(*server));
    if (server == NULL) {
        return vy_error(VY_CODE_NOMEM, "admin server");
    }
    server->config = *config;
    vy_list_init(&server->conns);
    set_default(&server->config.greeting_timeout_ms, GRPC_GREETING_TIMEOUT_MS);
    set_default(&server->config.stream_idle_timeout_ms, GRPC_STREAM_IDLE_TIMEOUT_MS);
    set_default(&server->config.idle_timeout_ms, GRPC_IDLE_TIMEOUT_MS);
    server->poll_timer = vy_timer_new(config->loop, on_poll, server);
    if (server->poll_timer == NULL) {
        free(server);
        return vy_error(VY_CODE_NOMEM, "admin server");
    }
    vy_timer_start(server->poll_timer, GRPC_POLL_MS);
    *out = server;
    return vy_ok();
}

void grpc_server_free(struct grpc_server *server)
{
    if (server == NULL) {
        return;
    }
    while (!vy_list_is_empty(&server->conns)) {
        conn_free(VY_CONTAINER_OF(server->conns.next, struct grpc_conn, link));
    }
    grpc_listeners_close(server);
    vy_timer_free(server->poll_timer);
    free(server);
}
