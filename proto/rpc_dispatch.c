/* SPDX-License-Identifier: Apache-2.0 */
/* What each frame does to a connection: one row per type, one function per row. */
#include "base/codec.h"
#include "proto/rpc.pb.h"
#include "proto/rpc_conn.h"

#define META_ARENA_BYTES 1024U

static struct rpc_flow *find_stream(const struct rpc_conn *conn, uint32_t id)
{
    return vy_map_get(&conn->by_id, id);
}

/* Frames for a stream that is over may still be on their way; frames for one that never was are an
 * error. Ids wrap after 2^31 calls, so "before" is counted modulo 2^32. */
static struct vy_err check_stale(const struct rpc_conn *conn, uint32_t id)
{
    if (!conn->is_dialer && conn->state == RPC_CONN_LEAVING && id % 2 == 1) {
        return vy_ok(); /* of a call behind our GOAWAY, which was not looked at */
    }
    const bool has_been = id % 2 == 1 && (int32_t)(id - conn->last_id) <= 0;
    const bool is_first = conn->is_dialer && conn->last_id == UINT32_MAX;
    return has_been && !is_first ? vy_ok()
                                 : vy_error(VY_CODE_SYNTAX, "frame of a stream that never was");
}

static struct vy_err on_hello(struct rpc_conn *conn, const struct rpc_frame *frame)
{
    if (conn->state != RPC_CONN_GREETING) {
        return vy_error(VY_CODE_SYNTAX, "second greeting");
    }
    struct vy_arena arena;
    struct rpc_hello hello;
    vy_arena_init(&arena, META_ARENA_BYTES);
    const struct vy_err err = vy_pb_decode(&rpc_hello_desc, &arena, frame->payload, &hello);
    vy_arena_deinit(&arena);
    VY_TRY(err);
    return rpc_conn_greet(conn, &hello);
}

static bool is_id_or_absent(struct vy_bytes bytes)
{
    return bytes.len == 0 || bytes.len == RPC_ID_BYTES;
}

static struct vy_err decode_meta(struct vy_bytes bytes, size_t inline_bytes,
                                 struct rpc_call_meta *out)
{
    struct vy_arena arena;
    vy_arena_init(&arena, META_ARENA_BYTES);
    const struct vy_err err = vy_pb_decode(&rpc_call_meta_desc, &arena, bytes, out);
    vy_arena_deinit(&arena);
    VY_TRY(err);
    if (!is_id_or_absent(out->idempotency_key) || !is_id_or_absent(out->trace_id) ||
        out->principal.len > RPC_PRINCIPAL_BYTES_MAX) {
        return vy_error(VY_CODE_SYNTAX, "call with a damaged key, trace or principal");
    }
    if (inline_bytes > out->request_bytes) {
        return vy_error(VY_CODE_SYNTAX, "call longer than it says");
    }
    return vy_ok();
}

static struct vy_err on_call(struct rpc_conn *conn, const struct rpc_frame *frame)
{
    /* Ids rise, so a frame that is replayed or duplicated is no second call (promise R4). */
    if (conn->is_dialer || frame->stream_id % 2 == 0 ||
        (int32_t)(frame->stream_id - conn->last_id) <= 0 ||
        find_stream(conn, frame->stream_id) != NULL) {
        return vy_error(VY_CODE_SYNTAX, "call with a used stream");
    }
    const struct vy_bytes request_start = vy_bytes_from(frame->payload, frame->aux);
    struct rpc_call_meta meta;
    VY_TRY(decode_meta(vy_bytes_slice(frame->payload, 0, frame->aux), request_start.len, &meta));
    if (conn->state == RPC_CONN_LEAVING) {
        return vy_ok(); /* behind our GOAWAY: the peer knows that it was not looked at */
    }
    conn->last_id = frame->stream_id;
    conn->owner->on_call(conn->arg, conn, frame, &meta, request_start);
    return vy_ok();
}

/* END with an error that we found ourselves; the peer hears CANCEL. */
static void end_locally(struct rpc_conn *conn, struct rpc_flow *stream, enum vy_code code,
                        const char *why)
{
    const struct rpc_status status = {.code = code, .message = vy_cstr(why)};
    rpc_writer_control(
        conn, &(struct rpc_frame){.type = RPC_FRAME_CANCEL, .stream_id = stream->id, .aux = 8});
    rpc_conn_remove_stream(conn, stream);
    stream->ops->on_end(stream, &status, vy_bytes(NULL, 0));
}

/* Part of a request or reply that is too large for its CALL or END frame. */
static struct vy_err on_message_part(struct rpc_conn *conn, struct rpc_flow *stream,
                                     struct vy_bytes part)
{
    if (!conn->is_dialer &&
        (stream->has_in_message ||
         part.len > stream->in_message_bytes - vy_buf_len(&stream->in_message))) {
        return vy_error(VY_CODE_SYNTAX, "request longer than it says");
    }
    vy_buf_append(&stream->in_message, part);
    if (vy_failed(vy_buf_error(&stream->in_message))) {
        if (!conn->is_dialer) {
            return vy_error(VY_CODE_NOMEM, "request");
        }
        end_locally(conn, stream, VY_CODE_LIMIT, "reply over its limit");
        return vy_ok();
    }
    rpc_flow_consumed(stream, part.len);
    if (!conn->is_dialer && vy_buf_len(&stream->in_message) == stream->in_message_bytes) {
        stream->has_in_message = true;
        rpc_flow_deliver_request(stream, vy_buf_bytes(&stream->in_message));
    }
    return vy_ok();
}

static struct vy_err on_stream_part(struct rpc_conn *conn, struct rpc_flow *stream,
                                    const struct rpc_frame *frame)
{
    const bool is_last = (frame->flags & RPC_FRAME_LAST) != 0;
    if (conn->is_dialer ? is_last : (!stream->has_in_message || stream->has_in_last)) {
        return vy_error(VY_CODE_SYNTAX, "data where none may be");
    }
    stream->has_in_last = is_last;
    if (frame->payload.len > 0) {
        stream->ops->on_data(stream, frame->payload);
    }
    /* The handler may have ended the stream, and with it perhaps the connection. */
    stream = conn->state == RPC_CONN_DEAD ? NULL : find_stream(conn, frame->stream_id);
    if (is_last && stream != NULL) {
        stream->ops->on_data_end(stream);
    }
    return vy_ok();
}

static struct vy_err on_data(struct rpc_conn *conn, const struct rpc_frame *frame)
{
    const bool is_message = (frame->flags & RPC_FRAME_MESSAGE) != 0;
    const bool is_last = (frame->flags & RPC_FRAME_LAST) != 0;
    if (vy_crc32c(0, frame->payload) != frame->aux) {
        return vy_error(VY_CODE_CORRUPT, "data that does not match its checksum");
    }
    if (frame->payload.len == 0 ? !is_last : (is_message && is_last)) {
        return vy_error(VY_CODE_SYNTAX, "data with wrong flags");
    }
    struct rpc_flow *stream = find_stream(conn, frame->stream_id);
    if (stream == NULL) {
        return check_stale(conn, frame->stream_id);
    }
    /* The windows that we granted; a peer that exceeds them does not count (promise R9). */
    if (!rpc_flow_hold(stream, frame->payload.len)) {
        return vy_error(VY_CODE_LIMIT, "data beyond the credit given");
    }
    if (is_message) {
        return on_message_part(conn, stream, frame->payload);
    }
    return on_stream_part(conn, stream, frame);
}

/* Reply = what came in MESSAGE frames, then the END frame's tail. */
static void end_with_reply(struct rpc_conn *conn, struct rpc_flow *stream,
                           struct rpc_status *status, struct vy_bytes tail)
{
    struct vy_buf whole = stream->in_message; /* outlives the stream's leave-taking */
    vy_buf_init(&stream->in_message, 0);
    rpc_conn_remove_stream(conn, stream);
    if (vy_buf_len(&whole) > 0) {
        vy_buf_append(&whole, tail);
        tail = vy_buf_bytes(&whole);
    }
    if (status->code == VY_CODE_OK && (whole.failed || tail.len > whole.limit_bytes)) {
        *status =
            (struct rpc_status){.code = VY_CODE_LIMIT, .message = VY_LIT("reply over its limit")};
    }
    stream->ops->on_end(stream, status, status->code == VY_CODE_OK ? tail : vy_bytes(NULL, 0));
    vy_buf_deinit(&whole);
}

static struct vy_err on_end(struct rpc_conn *conn, const struct rpc_frame *frame)
{
    if (!conn->is_dialer) {
        return vy_error(VY_CODE_SYNTAX, "end from a caller");
    }
    struct rpc_status status;
    VY_TRY(rpc_status_decode(vy_bytes_slice(frame->payload, 0, frame->aux), &status));
    struct rpc_flow *stream = find_stream(conn, frame->stream_id);
    if (stream == NULL) {
        return check_stale(conn, frame->stream_id);
    }
    if (!stream->is_written) {
        return vy_error(VY_CODE_SYNTAX, "end before the call");
    }
    end_with_reply(conn, stream, &status, vy_bytes_from(frame->payload, frame->aux));
    return vy_ok();
}

static struct vy_err on_credit(struct rpc_conn *conn, const struct rpc_frame *frame)
{
    struct rpc_flow *stream = find_stream(conn, frame->stream_id);
    if (stream == NULL) {
        return check_stale(conn, frame->stream_id);
    }
    if (frame->aux > stream->outstanding_bytes) {
        return vy_error(VY_CODE_SYNTAX, "credit for more than was sent");
    }
    rpc_flow_credited(stream, frame->aux);
    return vy_ok();
}

static struct vy_err on_cancel(struct rpc_conn *conn, const struct rpc_frame *frame)
{
    if (conn->is_dialer) {
        return vy_error(VY_CODE_SYNTAX, "cancel from a server");
    }
    struct rpc_flow *stream = find_stream(conn, frame->stream_id);
    if (stream == NULL) {
        return check_stale(conn, frame->stream_id);
    }
    const struct rpc_status status = {.code = VY_CODE_CANCELLED,
                                      .message = VY_LIT("cancelled by the caller")};
    rpc_conn_remove_stream(conn, stream);
    stream->ops->on_end(stream, &status, vy_bytes(NULL, 0));
    return vy_ok();
}

/* Only the newest PING is answered: a flood of them costs its sender alone. */
static struct vy_err on_ping(struct rpc_conn *conn, const struct rpc_frame *frame)
{
    conn->is_pong_due = true;
    conn->pong_aux = frame->aux;
    return vy_ok();
}

static struct vy_err on_pong(struct rpc_conn *conn, const struct rpc_frame *frame)
{
    (void)conn;
    (void)frame;
    return vy_ok(); /* that something came is all that the watchdog asks */
}

static struct vy_err on_goaway(struct rpc_conn *conn, const struct rpc_frame *frame)
{
    struct rpc_status status;
    VY_TRY(rpc_status_decode(frame->payload, &status));
    if (!conn->is_dialer) {
        return vy_error(VY_CODE_SYNTAX, "goaway from a caller");
    }
    if (conn->state == RPC_CONN_GREETING) {
        const enum vy_code code = status.code == VY_CODE_OK ? VY_CODE_UNAVAILABLE : status.code;
        return vy_error(code, "refused by the peer");
    }
    if (conn->state == RPC_CONN_UP) {
        /* Its greeting crossed ours: only now it knows that it does not want us. */
        const bool is_refusal = status.code != VY_CODE_OK && status.code != VY_CODE_UNAVAILABLE;
        conn->refusal = is_refusal ? vy_error(status.code, "refused by the peer") : vy_ok();
        rpc_conn_leave(conn, frame->aux);
    }
    return vy_ok();
}

struct frame_row {
    bool before_up; /* a stranger may send it */
    struct vy_err (*handle)(struct rpc_conn *conn, const struct rpc_frame *frame);
};
/* clang-format off */
static const struct frame_row frame_rows[RPC_FRAME_TYPE_END] = {
    [RPC_FRAME_HELLO]  = { true,  on_hello  },
    [RPC_FRAME_CALL]   = { false, on_call   },
    [RPC_FRAME_DATA]   = { false, on_data   },
    [RPC_FRAME_END]    = { false, on_end    },
    [RPC_FRAME_CREDIT] = { false, on_credit },
    [RPC_FRAME_CANCEL] = { false, on_cancel },
    [RPC_FRAME_PING]   = { false, on_ping   },
    [RPC_FRAME_PONG]   = { false, on_pong   },
    [RPC_FRAME_GOAWAY] = { true,  on_goaway },
};
/* clang-format on */

struct vy_err rpc_dispatch_frame(struct rpc_conn *conn, const struct rpc_frame *frame)
{
    const struct frame_row *row = &frame_rows[frame->type];
    if (conn->state == RPC_CONN_GREETING && !row->before_up) {
        return vy_error(VY_CODE_SYNTAX, "frame before the greeting");
    }
    return row->handle(conn, frame);
}
