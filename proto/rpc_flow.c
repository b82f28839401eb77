/* SPDX-License-Identifier: Apache-2.0 */
#include "base/codec.h"
#include "proto/rpc_conn.h"

void rpc_flow_init(struct rpc_flow *stream, const struct rpc_flow_ops *ops, uint64_t deadline_ms)
{
    *stream = (struct rpc_flow){.ops = ops, .deadline_ms = deadline_ms};
    vy_list_init(&stream->node);
    vy_list_init(&stream->send_node);
    vy_list_init(&stream->wait_node);
    vy_list_init(&stream->credit_node);
    vy_buf_init(&stream->message, RPC_REPLY_BYTES_MAX);
    vy_buf_init(&stream->in_message, 0);
}

void rpc_flow_deinit(struct rpc_flow *stream)
{
    VY_ASSERT(stream->conn == NULL);
    vy_list_remove(&stream->node);
    rpc_block_free(stream->call);
    rpc_block_free(stream->end);
    rpc_block_list_clear(&stream->data);
    vy_buf_deinit(&stream->message);
    vy_buf_deinit(&stream->in_message);
}

/* ---- on and off a connection ---- */

static bool add_stream(struct rpc_conn *conn, struct rpc_flow *stream, uint32_t id)
{
    if (vy_failed(vy_map_put(&conn->by_id, id, stream))) {
        return false;
    }
    vy_list_remove(&stream->node);
    vy_list_push_back(&conn->streams, &stream->node);
    conn->stream_count++;
    stream->conn = conn;
    stream->id = id;
    rpc_conn_wake_at(conn, stream->deadline_ms);
    return true;
}

void rpc_conn_remove_stream(struct rpc_conn *conn, struct rpc_flow *stream)
{
    VY_ASSERT(stream->conn == conn);
    vy_map_remove(&conn->by_id, stream->id);
    vy_list_remove(&stream->node);
    vy_list_remove(&stream->send_node);
    vy_list_remove(&stream->wait_node);
    vy_list_remove(&stream->credit_node);
    rpc_block_list_clear(&stream->data);
    vy_buf_deinit(&stream->message);
    rpc_block_free(stream->end);
    stream->end = NULL;
    conn->stream_count--;
    rpc_flow_release(stream, stream->held_bytes);
    conn->credit_bytes -= stream->credit_bytes;
    stream->credit_bytes = 0;
    if (stream->outstanding_bytes > 0) {
        rpc_flow_credited(stream, stream->outstanding_bytes);
    }
    stream->conn = NULL;
    /* Others may use the room that this one leaves, and a connection that leaves may be finished.
     */
    if (!vy_list_is_empty(&conn->waiting) || conn->state == RPC_CONN_LEAVING) {
        rpc_conn_wake_at(conn, 0);
    }
}

void rpc_flow_abandon(struct rpc_flow *stream)
{
    struct rpc_conn *conn = stream->conn;
    if (conn == NULL) {
        return;
    }
    const uint32_t id = stream->id;
    const bool is_told = conn->is_dialer && stream->is_written && conn->state != RPC_CONN_DEAD;
    rpc_conn_remove_stream(conn, stream);
    if (is_told) {
        rpc_writer_control(
            conn, &(struct rpc_frame){.type = RPC_FRAME_CANCEL, .stream_id = id, .aux = 1});
        rpc_writer_flush(conn);
    }
}

/* ---- calls ---- */

bool rpc_conn_start_call(struct rpc_conn *conn, struct rpc_flow *stream)
{
    VY_ASSERT(conn->is_dialer && conn->state == RPC_CONN_UP && stream->call != NULL);
    if (conn->stream_count >= RPC_CALLS_PER_LINK_MAX) {
        return false;
    }
    uint32_t id = conn->last_id + 2;
    while (vy_map_get(&conn->by_id, id) !=
           NULL) { /* after 2^31 calls a watch may still hold an early id */
        id += 2;
    }
    if (!add_stream(conn, stream, id)) {
        return false;
    }
    conn->last_id = id;
    vy_list_push_back(&conn->calls, &stream->send_node);
    if (stream->wants_writable) {
        vy_list_push_back(&conn->waiting, &stream->wait_node);
        conn->has_new_credit = true;
        rpc_conn_wake_at(conn, 0);
    }
    rpc_writer_flush(conn);
    return true;
}

/* The request is whole. A stream without a body ends right behind it. */
void rpc_flow_deliver_request(struct rpc_flow *stream, struct vy_bytes request)
{
    struct rpc_conn *conn = stream->conn;
    const uint32_t id = stream->id;
    const bool is_last = stream->has_in_last;
    struct vy_buf whole = stream->in_message; /* the handler may end the stream while it reads */
    vy_buf_init(&stream->in_message, 0);
    stream->ops->on_message(stream, request);
    vy_buf_deinit(&whole);
    if (!is_last || conn->state == RPC_CONN_DEAD) {
        return;
    }
    stream = vy_map_get(&conn->by_id, id);
    if (stream != NULL) {
        stream->ops->on_data_end(stream);
    }
}

bool rpc_conn_accept_call(struct rpc_conn *conn, const struct rpc_frame *frame,
                          struct rpc_flow *stream, size_t request_bytes,
                          struct vy_bytes request_start)
{
    vy_buf_deinit(&stream->in_message);
    vy_buf_init(&stream->in_message, request_bytes);
    if (request_start.len < request_bytes) {
        vy_buf_append(&stream->in_message, request_start);
    }
    if (vy_failed(vy_buf_error(&stream->in_message)) ||
        !add_stream(conn, stream, frame->stream_id)) {
        const struct rpc_status status = {
            .code = VY_CODE_BUSY, .message = VY_LIT("memory"), .not_executed = true};
        rpc_conn_refuse_call(conn, frame->stream_id, &status);
        return false;
    }
    stream->in_message_bytes = request_bytes;
    stream->has_in_last = (frame->flags & RPC_FRAME_LAST) != 0;
    if (request_start.len == request_bytes) {
        stream->has_in_message = true;
        rpc_flow_deliver_request(stream, request_start);
    }
    return true;
}

/* ---- sending ---- */

/* The part of a stream's bytes that counts against the link's window. */
static uint32_t above_floor(uint32_t count)
{
    return count > RPC_STREAM_FLOOR_BYTES ? count - RPC_STREAM_FLOOR_BYTES : 0;
}

/* How much the stream may queue now. A stream may grow while it has less of the link's window than
 * is left: a few consumers that stall leave half of it to the next one, and never use up the
 * floors. */
uint32_t rpc_flow_room(const struct rpc_flow *stream)
{
    const struct rpc_conn *conn = stream->conn;
    if (conn == NULL || conn->state == RPC_CONN_DEAD) {
        return 0;
    }
    const uint32_t floor_left =
        RPC_STREAM_FLOOR_BYTES - VY_MIN(stream->outstanding_bytes, RPC_STREAM_FLOOR_BYTES);
    const uint64_t link_left = conn->send_link_window - conn->outstanding_bytes;
    const bool has_share = above_floor(stream->outstanding_bytes) < link_left;
    return (uint32_t)VY_MIN(floor_left + (has_share ? link_left : 0),
                            conn->send_stream_window - stream->outstanding_bytes);
}

void rpc_flow_spend(struct rpc_flow *stream, uint32_t count)
{
    const uint32_t before = stream->outstanding_bytes;
    stream->outstanding_bytes += count;
    stream->conn->outstanding_bytes += above_floor(before + count) - above_floor(before);
}

void rpc_flow_credited(struct rpc_flow *stream, uint32_t count)
{
    struct rpc_conn *conn = stream->conn;
    const uint32_t before = stream->outstanding_bytes;
    stream->outstanding_bytes -= count;
    conn->outstanding_bytes -= above_floor(before) - above_floor(before - count);
    conn->has_new_credit = true;
}

bool rpc_flow_hold(struct rpc_flow *stream, size_t count)
{
    struct rpc_conn *conn = stream->conn;
    if (count > conn->held_stream_window - stream->held_bytes) {
        return false;
    }
    const uint32_t after = stream->held_bytes + (uint32_t)count;
    const uint32_t growth = above_floor(after) - above_floor(stream->held_bytes);
    if (growth > conn->held_link_window - conn->held_bytes) {
        return false;
    }
    stream->held_bytes = after;
    conn->held_bytes += growth;
    return true;
}

void rpc_flow_release(struct rpc_flow *stream, uint32_t count)
{
    const uint32_t before = stream->held_bytes;
    stream->held_bytes -= count;
    stream->conn->held_bytes -= above_floor(before) - above_floor(before - count);
}

static void want_writable(struct rpc_flow *stream)
{
    stream->wants_writable = true;
    if (stream->conn != NULL) {
        vy_list_remove(&stream->wait_node);
        vy_list_push_back(&stream->conn->waiting, &stream->wait_node);
    }
}

/* Puts the stream in turn, unless its CALL has to go first or it has its turn already. */
static void schedule(struct rpc_flow *stream)
{
    struct rpc_conn *conn = stream->conn;
    if (vy_list_is_empty(&stream->send_node)) {
        vy_list_push_back(&conn->sending, &stream->send_node);
    }
    rpc_writer_flush(conn);
}

static bool queue_data(struct rpc_flow *stream, struct vy_bytes bytes, uint8_t flags)
{
    const struct rpc_frame frame = {.type = RPC_FRAME_DATA,
                                    .flags = flags,
                                    .stream_id = stream->id,
                                    .aux = vy_crc32c(0, bytes),
                                    .payload = bytes};
    struct rpc_block *block = rpc_block_new_frame(&frame);
    if (block == NULL) {
        rpc_conn_fail(stream->conn, vy_error(VY_CODE_NOMEM, "stream data"));
        return false;
    }
    rpc_block_list_push(&stream->data, block);
    rpc_flow_spend(stream, (uint32_t)bytes.len);
    return true;
}

/* A caller's stream goes behind its request: credit that it took before would be missing there, for
 * ever. */
static bool is_behind_request(const struct rpc_flow *stream)
{
    return stream->conn != NULL && stream->conn->is_dialer && vy_buf_len(&stream->message) > 0;
}

size_t rpc_flow_send(struct rpc_flow *stream, struct vy_bytes bytes)
{
    VY_ASSERT(!stream->has_sent_last);
    size_t taken = 0;
    while (taken < bytes.len && !is_behind_request(stream)) {
        const size_t room = VY_MIN(rpc_flow_room(stream), RPC_CHUNK_BYTES);
        const struct vy_bytes part = vy_bytes_slice(bytes, taken, room);
        if (part.len == 0 || !queue_data(stream, part, 0)) {
            break;
        }
        taken += part.len;
    }
    if (taken < bytes.len) {
        want_writable(stream);
    }
    if (taken > 0) {
        schedule(stream);
    }
    return taken;
}

bool rpc_flow_send_message(struct rpc_flow *stream, struct vy_bytes bytes)
{
    VY_ASSERT(!stream->has_sent_last && bytes.len > 0 && bytes.len <= RPC_FRAME_PAYLOAD_BYTES_MAX);
    if (is_behind_request(stream) || bytes.len > rpc_flow_room(stream) ||
        !queue_data(stream, bytes, 0)) {
        want_writable(stream);
        return false;
    }
    schedule(stream);
    return true;
}

void rpc_flow_send_last(struct rpc_flow *stream)
{
    if (stream->has_sent_last) {
        return;
    }
    stream->has_sent_last = true;
    /* A CALL that has not left yet says it itself. */
    const bool is_in_call = stream->call != NULL && rpc_block_list_is_empty(&stream->data);
    if (!is_in_call && stream->conn != NULL &&
        queue_data(stream, vy_bytes(NULL, 0), RPC_FRAME_LAST)) {
        schedule(stream);
    }
}

void rpc_flow_consumed(struct rpc_flow *stream, size_t count)
{
    struct rpc_conn *conn = stream->conn;
    if (conn == NULL) {
        return;
    }
    VY_ASSERT(count <= stream->held_bytes - stream->credit_bytes);
    stream->credit_bytes += (uint32_t)count;
    conn->credit_bytes += count;
    /* A consumer that has caught up says so at once: the sender may wait for just these bytes. */
    const bool is_due = stream->credit_bytes >= RPC_CREDIT_STEP_BYTES ||
                        (count > 0 && stream->credit_bytes == stream->held_bytes);
    if (is_due && vy_list_is_empty(&stream->credit_node)) {
        vy_list_push_back(&conn->credits, &stream->credit_node);
    }
    if (conn->credit_bytes >= conn->held_link_window / 4) {
        rpc_writer_gather_credits(conn);
    }
    if (!vy_list_is_empty(&conn->credits)) {
        rpc_writer_flush(conn);
    }
}

/* ---- the answer ---- */

static struct rpc_block *end_block(struct rpc_conn *conn, uint32_t id,
                                   const struct rpc_status *status, struct vy_bytes reply)
{
    vy_buf_reset(&conn->scratch);
    if (vy_failed(rpc_status_encode(status, &conn->scratch))) {
        return NULL;
    }
    const struct vy_bytes head = vy_buf_bytes(&conn->scratch);
    struct rpc_block *block = rpc_block_new(0, RPC_FRAME_HEADER_BYTES + head.len + reply.len);
    if (block == NULL) {
        return NULL;
    }
    const struct rpc_frame frame = {.type = RPC_FRAME_END,
                                    .stream_id = id,
                                    .aux = (uint32_t)head.len,
                                    .payload = vy_bytes(NULL, head.len + reply.len)};
    rpc_frame_write_header(&frame, block->data);
    block->end = RPC_FRAME_HEADER_BYTES;
    rpc_block_append(block, head);
    rpc_block_append(block, reply);
    return block;
}

void rpc_conn_refuse_call(struct rpc_conn *conn, uint32_t stream_id,
                          const struct rpc_status *status)
{
    struct rpc_block *block = end_block(conn, stream_id, status, vy_bytes(NULL, 0));
    if (block == NULL) {
        rpc_conn_fail(conn, vy_error(VY_CODE_NOMEM, "call end"));
        return;
    }
    rpc_writer_control_block(conn, block);
}

void rpc_flow_finish(struct rpc_flow *stream, const struct rpc_status *status,
                     struct vy_bytes reply)
{
    struct rpc_conn *conn = stream->conn;
    VY_ASSERT(conn != NULL && !conn->is_dialer && stream->end == NULL);
    const bool is_inline = reply.len <= RPC_CHUNK_BYTES;
    if (!is_inline) {
        vy_buf_append(&stream->message, reply);
    }
    stream->end = end_block(conn, stream->id, status, is_inline ? reply : vy_bytes(NULL, 0));
    if (stream->end == NULL || vy_failed(vy_buf_error(&stream->message))) {
        rpc_conn_fail(conn, vy_error(VY_CODE_NOMEM, "call end"));
        return;
    }
    vy_list_remove(&stream->wait_node);
    stream->wants_writable = false;
    if (vy_list_is_empty(&stream->send_node)) {
        const bool is_bulk = !rpc_block_list_is_empty(&stream->data) || !is_inline;
        vy_list_push_back(is_bulk ? &conn->sending : &conn->ending, &stream->send_node);
    }
    rpc_writer_flush(conn);
}
