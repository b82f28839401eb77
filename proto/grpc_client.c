/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/grpc_client.h"

#include "base/assert.h"
#include "base/clock.h"
#include "proto/grpc_client_private.h"
#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>

#define CONNECT_TIMEOUT_MS 5000U
#define DEADLINE_DEFAULT_MS 30000U
#define TIMEOUT_MS_MAX 99999999U /* grpc-timeout has eight digits */
#define WINDOW_BYTES (1024 * 1024)
#define HEADER_LIST_BYTES 32768U
#define MESSAGE_HEADER_BYTES 5U /* compressed flag, u32 length */
#define REQUEST_BYTES_MAX (4U * 1024U * 1024U)

struct grpc_client {
    struct grpc_socket_address address;
    char server_name[GRPC_SOCKET_HOST_BYTES];
    char authority[GRPC_SOCKET_HOST_BYTES + 8];
    struct ssl_ctx_st *tls; /* owned; NULL: plain */
    uint32_t timeout_ms;
    struct grpc_socket *socket; /* owned; NULL: not connected */
    nghttp2_session *http;      /* owned, with the socket */
    bool is_leaving;            /* GOAWAY came: no more calls on this connection */
    struct exchange *now;       /* borrowed: the call under way */
};

/* One call. */
struct exchange {
    int32_t stream_id;
    struct vy_bytes unsent; /* of the framed request */
    struct vy_buf in;       /* reply bytes, framed */
    int http_status;
    int status; /* -1: none came */
    struct vy_buf *message;
    bool is_written; /* the request may have reached the server */
    bool is_closed;
    uint32_t close_error;
    bool is_too_long;
};

static uint64_t now_ms(void)
{
    return vy_clock_mono_ms(vy_clock_system());
}

static void explain(struct vy_buf *out, const char *text)
{
    if (out != NULL && text != NULL) {
        vy_buf_append_cstr(out, text);
    }
}

/* ---- what comes back ---- */

static int hex_digit(uint8_t c)
{
    if (vy_ascii_is_digit(c)) {
        return c - '0';
    }
    const uint8_t lower = c | 0x20;
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* Undoes grpc-message's percent-encoding; what is none stays as it is. */
static void append_decoded(struct vy_buf *out, struct vy_bytes text)
{
    for (size_t i = 0; i < text.len && i < GRPC_CLIENT_MESSAGE_BYTES_MAX; i++) {
        const bool is_escape = text.data[i] == '%' && text.len - i > 2 &&
                               hex_digit(text.data[i + 1]) >= 0 && hex_digit(text.data[i + 2]) >= 0;
        if (is_escape) {
            vy_buf_append_byte(
                out, (uint8_t)(hex_digit(text.data[i + 1]) * 16 + hex_digit(text.data[i + 2])));
            i += 2;
        } else {
            vy_buf_append_byte(out, text.data[i]);
        }
    }
}

static int on_header(nghttp2_session *http, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *arg)
{
    const struct grpc_client *client = arg;
    struct exchange *now = client->now;
    const struct vy_bytes n = vy_bytes(name, name_len);
    const struct vy_bytes v = vy_bytes(value, value_len);
    uint32_t number = 0;
    (void)http;
    (void)flags;
    if (now == NULL || frame->hd.stream_id != now->stream_id) {
        return 0;
    }
    if (vy_bytes_equal(n, VY_LIT(":status")) && vy_parse_u32(v, &number)) {
        now->http_status = (int)VY_MIN(number, 999U);
    } else if (vy_bytes_equal(n, VY_LIT("grpc-status")) && vy_parse_u32(v, &number)) {
        now->status = (int)VY_MIN(number, 999U);
    } else if (vy_bytes_equal(n, VY_LIT("grpc-message")) && now->message != NULL) {
        append_decoded(now->message, v);
    }
    return 0;
}

static int on_data(nghttp2_session *http, uint8_t flags, int32_t stream_id, const uint8_t *data,
                   size_t len, void *arg)
{
    const struct grpc_client *client = arg;
    struct exchange *now = client->now;
    (void)flags;
    if (now == NULL || stream_id != now->stream_id) {
        return 0;
    }
    vy_buf_append(&now->in, vy_bytes(data, len));
    if (vy_failed(vy_buf_error(&now->in)) && !now->is_too_long) {
        now->is_too_long = true;
        (void)nghttp2_submit_rst_stream(http, NGHTTP2_FLAG_NONE, stream_id, NGHTTP2_CANCEL);
    }
    return 0;
}

static int on_stream_close(nghttp2_session *http, int32_t stream_id, uint32_t error, void *arg)
{
    const struct grpc_client *client = arg;
    (void)http;
    if (client->now != NULL && stream_id == client->now->stream_id) {
        client->now->is_closed = true;
        client->now->close_error = error;
    }
    return 0;
}

static int on_frame(nghttp2_session *http, const nghttp2_frame *frame, void *arg)
{
    struct grpc_client *client = arg;
    (void)http;
    client->is_leaving = client->is_leaving || frame->hd.type == NGHTTP2_GOAWAY;
    return 0;
}

/* ---- the connection ---- */

static void disconnect(struct grpc_client *client)
{
    nghttp2_session_del(client->http);
    client->http = NULL;
    grpc_socket_free(VY_TAKE(client->socket));
    client->is_leaving = false;
}

static struct vy_err start_http(struct grpc_client *client)
{
    static const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH,          0                },
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE,  WINDOW_BYTES     },
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, HEADER_LIST_BYTES},
    };
    nghttp2_session_callbacks *callbacks = NULL;
    if (nghttp2_session_callbacks_new(&callbacks) != 0) {
        return vy_error(VY_CODE_NOMEM, "HTTP/2");
    }
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    const int failed = nghttp2_session_client_new(&client->http, callbacks, client);
    nghttp2_session_callbacks_del(callbacks);
    if (failed != 0 ||
        nghttp2_submit_settings(client->http, NGHTTP2_FLAG_NONE, settings, VY_COUNT_OF(settings)) !=
            0 ||
        nghttp2_session_set_local_window_size(client->http, NGHTTP2_FLAG_NONE, 0, WINDOW_BYTES) !=
            0) {
        return vy_error(VY_CODE_NOMEM, "HTTP/2");
    }
    return vy_ok();
}

static struct vy_err dial(struct grpc_client *client, uint64_t deadline_ms, struct vy_buf *why)
{
    const struct grpc_socket_config config = {
        .address = &client->address,
        .tls = client->tls,
        .server_name = client->server_name,
        .deadline_ms = VY_MIN(deadline_ms, now_ms() + client->timeout_ms)};
    VY_TRY(grpc_socket_open(&config, &client->socket, why));
    const struct vy_err err = start_http(client);
    if (vy_failed(err)) {
        disconnect(client);
    }
    return err;
}

static struct vy_err send_frames(struct grpc_client *client, uint64_t deadline_ms)
{
    for (;;) {
        const uint8_t *data = NULL;
        const ssize_t len = nghttp2_session_mem_send(client->http, &data);
        if (len < 0) {
            return vy_error(VY_CODE_SYNTAX, nghttp2_strerror((int)len));
        }
        if (len == 0) {
            return vy_ok();
        }
        VY_TRY(grpc_socket_send(client->socket, vy_bytes(data, (size_t)len), deadline_ms));
    }
}

/* A deadline of 0 takes what is there. */
static struct vy_err receive_frames(struct grpc_client *client, uint64_t deadline_ms, size_t *len)
{
    uint8_t bytes[16384];
    VY_TRY(grpc_socket_receive(client->socket, bytes, sizeof(bytes), deadline_ms, len));
    const ssize_t used = nghttp2_session_mem_recv(client->http, bytes, *len);
    return used < 0 ? vy_error(VY_CODE_SYNTAX, nghttp2_strerror((int)used)) : vy_ok();
}

/* A connection that rested may be gone, or its server about to go: look before it is used. */
static struct vy_err be_connected(struct grpc_client *client, uint64_t deadline_ms,
                                  struct vy_buf *why)
{
    size_t len = 1;
    while (client->socket != NULL && len > 0) {
        const struct vy_err err = receive_frames(client, 0, &len);
        if (vy_failed(err) || client->is_leaving) {
            disconnect(client);
        }
    }
    return client->socket != NULL ? vy_ok() : dial(client, deadline_ms, why);
}

/* ---- life ---- */

static struct vy_err set_up(struct grpc_client *client, const struct grpc_client_config *config,
                            struct vy_buf *why)
{
    const struct vy_err err = grpc_socket_parse(config->address, &client->address);
    if (vy_failed(err)) {
        explain(why, err.what);
        return err;
    }
    const bool has_name = config->tls != NULL && config->tls->server_name != NULL;
    const char *name = has_name ? config->tls->server_name : client->address.host;
    if (strlen(name) >= sizeof(client->server_name)) {
        return vy_error(VY_CODE_ARGUMENT, "server name");
    }
    memcpy(client->server_name, name, strlen(name) + 1);
    const bool is_v6 = strchr(client->address.host, ':') != NULL;
    (void)snprintf(client->authority, sizeof(client->authority), is_v6 ? "[%s]:%s" : "%s:%s",
                   client->address.is_unix ? "localhost" : client->address.host,
                   client->address.is_unix ? "0" : client->address.port);
    client->timeout_ms = config->timeout_ms == 0 ? CONNECT_TIMEOUT_MS : config->timeout_ms;
    return config->tls == NULL ? vy_ok() : grpc_socket_tls_new(config->tls, &client->tls, why);
}

struct vy_err grpc_client_open(const struct grpc_client_config *config, struct grpc_client **out,
                               struct vy_buf *why)
{
    struct grpc_client *client = calloc(1, sizeof(*client));
    if (client == NULL) {
        return vy_error(VY_CODE_NOMEM, "gRPC client");
    }
    struct vy_err err = set_up(client, config, why);
    if (!vy_failed(err)) {
        err = dial(client, UINT64_MAX, why);
    }
    if (vy_failed(err)) {
        grpc_client_free(client);
        return err;
    }
    *out = client;
    return vy_ok();
}

void grpc_client_free(struct grpc_client *client)
{
    if (client == NULL) {
        return;
    }
    disconnect(client);
    grpc_socket_tls_free(client->tls);
    free(client);
}

/* ---- a call ---- */

static ssize_t read_request(nghttp2_session *http, int32_t stream_id, uint8_t *room, size_t size,
                            uint32_t *flags, nghttp2_data_source *source, void *arg)
{
    struct exchange *now = source->ptr;
    const size_t len = VY_MIN(size, now->unsent.len);
    (void)http;
    (void)stream_id;
    (void)arg;
    memcpy(room, now->unsent.data, len);
    now->unsent = vy_bytes_from(now->unsent, len);
    if (now->unsent.len == 0) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    }
    return (ssize_t)len;
}

static nghttp2_nv header(const char *name, const char *value)
{
    /* nghttp2 copies both; its type is only not const. */
    union {
        const char *in;
        uint8_t *out;
    } n = {.in = name}, v = {.in = value};
    return (nghttp2_nv){n.out, v.out, strlen(name), strlen(value), NGHTTP2_NV_FLAG_NONE};
}

static struct vy_err submit(struct grpc_client *client, const char *path, uint64_t deadline_ms,
                            struct exchange *now)
{
    const uint64_t now_time = now_ms();
    const uint64_t left = deadline_ms > now_time ? deadline_ms - now_time : 1;
    char timeout[16];
    (void)snprintf(timeout, sizeof(timeout), "%um", (unsigned)VY_MIN(left, TIMEOUT_MS_MAX));
    const nghttp2_nv headers[] = {
        header(":method", "POST"),       header(":scheme", client->tls == NULL ? "http" : "https"),
        header(":path", path),           header(":authority", client->authority),
        header("te", "trailers"),        header("content-type", "application/grpc"),
        header("grpc-timeout", timeout), header("user-agent", "volary"),
    };
    const nghttp2_data_provider provider = {.source.ptr = now, .read_callback = read_request};
    now->stream_id =
        nghttp2_submit_request(client->http, NULL, headers, VY_COUNT_OF(headers), &provider, NULL);
    return now->stream_id < 0 ? vy_error(VY_CODE_NOMEM, "HTTP/2 request") : vy_ok();
}

/* Sends and receives until the stream is closed. */
static struct vy_err run(struct grpc_client *client, uint64_t deadline_ms)
{
    struct exchange *now = client->now;
    for (;;) {
        size_t len = 0;
        now->is_written = true; /* from here on nobody can tell */
        VY_TRY(send_frames(client, deadline_ms));
        if (now->is_closed) {
            return vy_ok();
        }
        if (nghttp2_session_want_read(client->http) == 0) { /* our GOAWAY has gone out */
            return vy_error(VY_CODE_SYNTAX, "the server does not speak HTTP/2");
        }
        VY_TRY(receive_frames(client, deadline_ms, &len));
    }
}

/* The one message of a unary reply. */
static struct vy_err take_reply(const struct exchange *now, struct vy_buf *reply)
{
    const struct vy_bytes in = vy_buf_bytes(&now->in);
    if (in.len < MESSAGE_HEADER_BYTES || in.data[0] != 0 ||
        vy_get_be32(in.data + 1) != in.len - MESSAGE_HEADER_BYTES) {
        return vy_error(VY_CODE_SYNTAX, "the reply is not one whole message");
    }
    vy_buf_append(reply, vy_bytes_from(in, MESSAGE_HEADER_BYTES));
    return vy_buf_error(reply);
}

static struct vy_err conclude(const struct exchange *now, struct vy_buf *reply, int *grpc_status)
{
    if (now->is_too_long) {
        return vy_error(VY_CODE_LIMIT, "the reply is over 4 MiB");
    }
    if (now->close_error == NGHTTP2_REFUSED_STREAM) {
        return vy_error(VY_CODE_UNAVAILABLE, "the server takes no more calls");
    }
    if (now->status >= 0) {
        if (now->status == 0) {
            VY_TRY(take_reply(now, reply));
        }
        *grpc_status = now->status;
        return vy_ok();
    }
    return now->http_status != 0 && now->http_status != 200
               ? vy_error(VY_CODE_SYNTAX, "not a gRPC server: HTTP status is not 200")
               : vy_error(VY_CODE_UNKNOWN, "the call ended without a status");
}

static struct vy_err exchange_run(struct grpc_client *client, const char *path,
                                  uint64_t deadline_ms, struct exchange *now, struct vy_buf *why)
{
    VY_TRY(be_connected(client, deadline_ms, why));
    client->now = now;
    struct vy_err err = submit(client, path, deadline_ms, now);
    if (!vy_failed(err)) {
        err = run(client, deadline_ms);
    }
    client->now = NULL;
    if (vy_failed(err)) {
        disconnect(client); /* the server hears of it, and what comes late is nobody's answer */
    }
    return err;
}

static struct vy_err frame_request(struct vy_bytes request, struct vy_buf *out)
{
    if (request.len > REQUEST_BYTES_MAX) {
        return vy_error(VY_CODE_LIMIT, "the request is over 4 MiB");
    }
    vy_buf_append_byte(out, 0);
    vy_buf_append_be32(out, (uint32_t)request.len);
    vy_buf_append(out, request);
    return vy_buf_error(out);
}

struct vy_err grpc_client_call(struct grpc_client *client, const char *path,
                               struct vy_bytes request, uint32_t deadline_ms, struct vy_buf *reply,
                               int *grpc_status, struct vy_buf *message)
{
    const uint64_t until = now_ms() + (deadline_ms == 0 ? DEADLINE_DEFAULT_MS : deadline_ms);
    struct exchange now = {.status = -1, .message = message};
    struct vy_buf framed;
    vy_buf_init(&framed, REQUEST_BYTES_MAX + MESSAGE_HEADER_BYTES);
    vy_buf_init(&now.in, GRPC_CLIENT_REPLY_BYTES_MAX + MESSAGE_HEADER_BYTES);
    const size_t said = message == NULL ? 0 : vy_buf_len(message);
    struct vy_err err = frame_request(request, &framed);
    if (!vy_failed(err)) {
        now.unsent = vy_buf_bytes(&framed);
        err = exchange_run(client, path, until, &now, message);
        if (vy_failed(err) && err.code != VY_CODE_SYNTAX && err.code != VY_CODE_AUTH &&
            now.is_written) {
            err = vy_error_sys(VY_CODE_UNKNOWN, err.sys, err.what);
        }
    }
    if (!vy_failed(err)) {
        err = conclude(&now, reply, grpc_status);
    }
    if (vy_failed(err) && message != NULL && vy_buf_len(message) == said) {
        explain(message, err.what);
    }
    vy_buf_deinit(&framed);
    vy_buf_deinit(&now.in);
    return err;
}
