/* SPDX-License-Identifier: Apache-2.0 */
#include "base/assert.h"
#include "proto/grpc_private.h"
#include <stdio.h>
#include <stdlib.h>

static nghttp2_nv header(const char *name, const char *value)
{
    /* nghttp2 copies both; its type is only not const. */
    union {
        const char *in;
        uint8_t *out;
    } n = {.in = name}, v = {.in = value};
    return (nghttp2_nv){n.out, v.out, strlen(name), strlen(value), NGHTTP2_NV_FLAG_NONE};
}

/* grpc-message: percent-encoding of all but printable ASCII. */
static void encode_message(const char *text, char *out, size_t size)
{
    size_t len = 0;
    for (; *text != '\0' && len + 4 < size; text++) {
        const uint8_t c = (uint8_t)*text;
        if (c >= 0x20 && c < 0x7F && c != '%') {
            out[len++] = (char)c;
        } else {
            len += (size_t)snprintf(out + len, size - len, "%%%02X", c);
        }
    }
    out[len] = '\0';
}

static void submit_trailer(struct grpc_call *call)
{
    char status[8];
    (void)snprintf(status, sizeof(status), "%d", call->status);
    const nghttp2_nv trailer[2] = {header("grpc-status", status),
                                   header("grpc-message", call->message)};
    call->has_trailers = true;
    (void)nghttp2_submit_trailer(call->conn->http, call->stream_id, trailer,
                                 call->message[0] == '\0' ? 1 : 2);
}

static ssize_t read_reply(nghttp2_session *http, int32_t stream_id, uint8_t *room, size_t size,
                          uint32_t *flags, nghttp2_data_source *source, void *arg)
{
    (void)http;
    (void)stream_id;
    (void)arg;
    struct grpc_call *call = source->ptr;
    const struct vy_bytes ready = vy_buf_bytes(&call->out);
    if (ready.len == 0 && !call->is_ended) {
        call->is_deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    if (ready.len == 0) {
        *flags |= NGHTTP2_DATA_FLAG_EOF |
                  NGHTTP2_DATA_FLAG_NO_END_STREAM; /* the trailers end the stream */
        if (!call->has_trailers) {
            submit_trailer(call);
        }
        return 0;
    }
    const size_t n = VY_MIN(size, ready.len);
    call->active_ms = vy_loop_now_ms(call->conn->server->config.loop);
    memcpy(room, ready.data, n);
    vy_buf_consume(&call->out, n);
    return (ssize_t)n;
}

/* Starts the response, or wakes it up. */
static void respond(struct grpc_call *call)
{
    nghttp2_session *http = call->conn->http;
    if (call->has_responded) {
        if (call->is_deferred) {
            call->is_deferred = false;
            (void)nghttp2_session_resume_data(http, call->stream_id);
        }
        return;
    }
    call->has_responded = true;
    char status[8];
    (void)snprintf(status, sizeof(status), "%d", call->status);
    const nghttp2_nv headers[4] = {
        header(":status", "200"), header("content-type", "application/grpc"),
        header("grpc-status", status), header("grpc-message", call->message)};
    if (call->is_ended && vy_buf_len(&call->out) == 0) {
        (void)nghttp2_submit_response(http, call->stream_id, headers,
                                      call->message[0] == '\0' ? 3 : 4, NULL);
        return;
    }
    const nghttp2_data_provider provider = {.source.ptr = call, .read_callback = read_reply};
    (void)nghttp2_submit_response(http, call->stream_id, headers, 2, &provider);
}

static void refuse_reply(struct grpc_call *call)
{
    vy_buf_reset(&call->out);
    grpc_call_end(call, vy_code_grpc_status(VY_CODE_LIMIT),
                  "the reply is larger than 4 MiB; ask for fewer rows");
}

void grpc_call_append(struct grpc_call *call, struct vy_bytes message)
{
    if (call->is_ended) {
        return;
    }
    if (message.len > GRPC_MESSAGE_BYTES_MAX) {
        refuse_reply(call);
        return;
    }
    vy_buf_append_byte(&call->out, 0);
    vy_buf_append_be32(&call->out, (uint32_t)message.len);
    vy_buf_append(&call->out, message);
    if (vy_failed(vy_buf_error(&call->out))) {
        refuse_reply(call);
        return;
    }
    respond(call);
}

void grpc_call_end(struct grpc_call *call, int status, const char *message)
{
    if (call->is_ended) {
        return;
    }
    call->is_ended = true;
    call->status = status;
    encode_message(message, call->message, sizeof(call->message));
    respond(call);
}

bool grpc_call_take_message(struct grpc_call *call, struct vy_bytes *out, size_t *out_used)
{
    const struct vy_bytes in = vy_buf_bytes(&call->in);
    if (in.len < GRPC_MESSAGE_HEADER_BYTES) {
        return false;
    }
    const uint32_t len = vy_get_be32(in.data + 1);
    if (in.data[0] != 0) {
        grpc_call_end(call, vy_code_grpc_status(VY_CODE_UNSUPPORTED),
                      "compressed messages are not supported");
        return false;
    }
    if (len > GRPC_MESSAGE_BYTES_MAX) {
        grpc_call_end(call, vy_code_grpc_status(VY_CODE_LIMIT), "the request is larger than 4 MiB");
        return false;
    }
    if (in.len - GRPC_MESSAGE_HEADER_BYTES < len) {
        return false;
    }
    *out = vy_bytes_slice(in, GRPC_MESSAGE_HEADER_BYTES, len);
    *out_used = GRPC_MESSAGE_HEADER_BYTES + len;
    return true;
}

static void call_free(struct grpc_call *call)
{
    vy_buf_deinit(&call->in);
    vy_buf_deinit(&call->out);
    free(call);
}

void grpc_call_unlink(struct grpc_call *call)
{
    vy_list_remove(&call->link);
    call->conn = NULL;
    if (!call->is_started || call->is_handler_done) {
        call_free(call);
    }
}

uint64_t grpc_call_remaining_ms(const struct grpc_call *call)
{
    if (call->conn == NULL || call->is_ended) {
        return 0;
    }
    if (call->deadline_ms == UINT64_MAX) {
        return UINT64_MAX;
    }
    const uint64_t now = vy_loop_now_ms(call->conn->server->config.loop);
    return call->deadline_ms > now ? call->deadline_ms - now : 0;
}

const struct grpc_peer *grpc_call_peer(const struct grpc_call *call)
{
    static const struct grpc_peer nobody;
    return call->conn == NULL ? &nobody : &call->conn->peer;
}

/* The handler's answer: false when nobody waits for it any more. */
static bool handler_done(struct grpc_call *call)
{
    VY_ASSERT(call->is_started && !call->is_handler_done);
    call->is_handler_done = true;
    if (call->conn == NULL) {
        call_free(call);
        return false;
    }
    return true;
}

void grpc_call_reply(struct grpc_call *call, struct vy_bytes reply)
{
    if (handler_done(call)) {
        grpc_call_append(call, reply);
        grpc_call_end(call, 0, "");
        grpc_conn_flush(call->conn);
    }
}

void grpc_call_fail(struct grpc_call *call, struct vy_err err, const char *message)
{
    if (handler_done(call)) {
        const char *text = message == NULL || message[0] == '\0' ? vy_code_text(err.code) : message;
        grpc_call_end(call, vy_code_grpc_status(err.code), text);
        grpc_conn_flush(call->conn);
    }
}
