/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What goes into the next write of a connection: everything small first (greetings, credit, calls,
 * answers), then a little bulk from each stream in turn. One write is under way at a time; what
 * comes up meanwhile shares the next.
 */
#include "base/codec.h"
#include "proto/rpc.pb.h"
#include "proto/rpc_conn.h"

#define SMALL_BYTES 2048U /* frames up to this are copied together: fewer, larger writes */
#define GATHER_BYTES 8192U

static void no_memory(struct rpc_conn *conn)
{
    rpc_conn_fail(conn, vy_error(VY_CODE_NOMEM, "link writer"));
}

/* Takes the block. */
static void batch_add(struct rpc_block_list *batch, struct rpc_block *block)
{
    const struct vy_bytes bytes = rpc_block_bytes(block);
    if (bytes.len > SMALL_BYTES) {
        rpc_block_list_push(batch, block);
        return;
    }
    if (batch->last == NULL || rpc_block_room(batch->last) < bytes.len) {
        struct rpc_block *gather = rpc_block_new(0, GATHER_BYTES);
        if (gather == NULL) {
            rpc_block_list_push(batch, block); /* as good, only slower */
            return;
        }
        rpc_block_list_push(batch, gather);
    }
    rpc_block_append(batch->last, bytes);
    batch->bytes += bytes.len;
    rpc_block_free(block);
}

static void batch_add_frame(struct rpc_conn *conn, struct rpc_block_list *batch,
                            const struct rpc_frame *frame)
{
    struct rpc_block *block = rpc_block_new_frame(frame);
    if (block == NULL) {
        no_memory(conn);
        return;
    }
    batch_add(batch, block);
}

void rpc_writer_control_block(struct rpc_conn *conn, struct rpc_block *block)
{
    if (conn->state == RPC_CONN_DEAD) {
        rpc_block_free(block);
        return;
    }
    rpc_block_list_push(&conn->control, block);
    if (conn->control.bytes > RPC_CONTROL_QUEUE_BYTES_MAX) {
        rpc_conn_fail(conn, vy_error(VY_CODE_LIMIT, "peer does not read its answers"));
    }
}

void rpc_writer_control(struct rpc_conn *conn, const struct rpc_frame *frame)
{
    struct rpc_block *block = rpc_block_new_frame(frame);
    if (block == NULL) {
        no_memory(conn);
        return;
    }
    rpc_writer_control_block(conn, block);
}

/* ---- small things ---- */

void rpc_writer_gather_credits(struct rpc_conn *conn)
{
    VY_LIST_FOREACH(item, &conn->streams)
    {
        struct rpc_flow *stream = VY_CONTAINER_OF(item, struct rpc_flow, node);
        if (stream->credit_bytes > 0 && vy_list_is_empty(&stream->credit_node)) {
            vy_list_push_back(&conn->credits, &stream->credit_node);
        }
    }
}

static void add_credits(struct rpc_conn *conn, struct rpc_block_list *batch)
{
    while (!vy_list_is_empty(&conn->credits)) {
        struct rpc_flow *stream =
            VY_CONTAINER_OF(vy_list_pop_front(&conn->credits), struct rpc_flow, credit_node);
        batch_add_frame(conn, batch,
                        &(struct rpc_frame){.type = RPC_FRAME_CREDIT,
                                            .stream_id = stream->id,
                                            .aux = stream->credit_bytes});
        rpc_flow_release(stream, stream->credit_bytes);
        conn->credit_bytes -= stream->credit_bytes;
        stream->credit_bytes = 0;
    }
}

static void add_pings(struct rpc_conn *conn, struct rpc_block_list *batch)
{
    if (conn->is_pong_due) {
        conn->is_pong_due = false;
        batch_add_frame(conn, batch,
                        &(struct rpc_frame){.type = RPC_FRAME_PONG, .aux = conn->pong_aux});
    }
    if (conn->is_ping_due) {
        conn->is_ping_due = false;
        batch_add_frame(conn, batch,
                        &(struct rpc_frame){.type = RPC_FRAME_PING, .aux = conn->pings_missed});
    }
}

/* The CALL leaves: its headers are written into the room before the request. */
static void add_call(struct rpc_flow *stream, struct rpc_block_list *batch)
{
    struct rpc_conn *conn = stream->conn;
    struct rpc_block *block = VY_TAKE(stream->call);
    stream->is_written = true;
    if (!stream->ops->on_write_call(stream, block)) {
        rpc_block_free(block);
        no_memory(conn);
        return;
    }
    batch_add(batch, block);
    if (vy_buf_len(&stream->message) > 0 || !rpc_block_list_is_empty(&stream->data)) {
        vy_list_push_back(&conn->sending, &stream->send_node);
    }
}

/* The END leaves, and the stream with it. */
static void add_end(struct rpc_flow *stream, struct rpc_block_list *batch)
{
    batch_add(batch, VY_TAKE(stream->end));
    rpc_conn_remove_stream(stream->conn, stream);
    stream->ops->on_ended(stream);
}

/* True: nothing is left for the next write. */
static bool add_control(struct rpc_conn *conn, struct rpc_block_list *batch)
{
    if (conn->state == RPC_CONN_UP || conn->state == RPC_CONN_LEAVING) {
        add_pings(conn, batch);
        add_credits(conn, batch);
    }
    while (batch->bytes < RPC_WRITE_CONTROL_BYTES) {
        struct vy_list *item = NULL;
        if (!rpc_block_list_is_empty(&conn->control)) {
            batch_add(batch, rpc_block_list_pop(&conn->control));
        } else if ((item = vy_list_pop_front(&conn->ending)) != NULL) {
            add_end(VY_CONTAINER_OF(item, struct rpc_flow, send_node), batch);
        } else if ((item = vy_list_pop_front(&conn->calls)) != NULL) {
            add_call(VY_CONTAINER_OF(item, struct rpc_flow, send_node), batch);
        } else {
            return true;
        }
    }
    return false;
}

/* ---- bulk ---- */

/* The next part of a large request or reply. False: no credit. */
static bool add_message_part(struct rpc_flow *stream, struct rpc_block_list *batch)
{
    const uint32_t room = VY_MIN(rpc_flow_room(stream), RPC_CHUNK_BYTES);
    const struct vy_bytes part = vy_bytes_slice(vy_buf_bytes(&stream->message), 0, room);
    if (part.len == 0) {
        vy_list_remove(&stream->wait_node);
        vy_list_push_back(&stream->conn->waiting, &stream->wait_node);
        return false;
    }
    batch_add_frame(stream->conn, batch,
                    &(struct rpc_frame){.type = RPC_FRAME_DATA,
                                        .flags = RPC_FRAME_MESSAGE,
                                        .stream_id = stream->id,
                                        .aux = vy_crc32c(0, part),
                                        .payload = part});
    rpc_flow_spend(stream, (uint32_t)part.len);
    vy_buf_consume(&stream->message, part.len);
    if (vy_buf_len(&stream->message) == 0 && stream->wants_writable) {
        stream->conn->has_new_credit = true; /* what stood behind the message may go now */
        rpc_conn_wake_at(stream->conn, 0);
    }
    return true;
}

enum turn { TURN_AGAIN, TURN_DONE };

/* One frame of one stream. A request message goes before its stream, a reply message after it. */
static enum turn add_bulk_frame(struct rpc_flow *stream, struct rpc_block_list *batch)
{
    const bool has_message = vy_buf_len(&stream->message) > 0;
    const bool has_data = !rpc_block_list_is_empty(&stream->data);
    if (has_message && (stream->conn->is_dialer || !has_data)) {
        return add_message_part(stream, batch) ? TURN_AGAIN : TURN_DONE;
    }
    if (has_data) {
        batch_add(batch, rpc_block_list_pop(&stream->data));
        return TURN_AGAIN;
    }
    if (stream->end != NULL) {
        add_end(stream, batch);
    }
    return TURN_DONE;
}

static void add_bulk(struct rpc_conn *conn, struct rpc_block_list *batch)
{
    const size_t limit = batch->bytes + RPC_WRITE_BULK_BYTES;
    while (batch->bytes < limit) {
        struct vy_list *item = vy_list_pop_front(&conn->sending);
        if (item == NULL) {
            return;
        }
        struct rpc_flow *stream = VY_CONTAINER_OF(item, struct rpc_flow, send_node);
        if (add_bulk_frame(stream, batch) == TURN_AGAIN) {
            vy_list_push_back(&conn->sending, item);
        }
    }
}

void rpc_writer_flush(struct rpc_conn *conn)
{
    const bool can_write = conn->state != RPC_CONN_OPENING && conn->state != RPC_CONN_DEAD;
    if (conn->is_sending || conn->is_dispatching || conn->is_flushing || !can_write) {
        return;
    }
    conn->is_flushing = true;
    struct rpc_block_list batch = {.first = NULL};
    if (add_control(conn, &batch)) {
        add_bulk(conn, &batch);
    }
    conn->is_flushing = false;
    if (rpc_block_list_is_empty(&batch)) {
        return;
    }
    conn->is_sending = true;
    rpc_pipe_send(conn->pipe, &batch);
}

/* ---- streams that ran out of credit ---- */

static void wake_stream(struct rpc_conn *conn, struct rpc_flow *stream)
{
    if (rpc_flow_room(stream) == 0) {
        vy_list_push_back(&conn->waiting, &stream->wait_node);
        return;
    }
    if (vy_buf_len(&stream->message) > 0) {
        if (stream->call == NULL && vy_list_is_empty(&stream->send_node)) {
            vy_list_push_back(&conn->sending, &stream->send_node);
        }
        if (stream->wants_writable) {
            vy_list_push_back(&conn->waiting, &stream->wait_node);
        }
        return;
    }
    if (stream->wants_writable) {
        stream->wants_writable = false;
        stream->ops->on_writable(stream);
    }
}

void rpc_writer_wake_waiting(struct rpc_conn *conn)
{
    if (!conn->has_new_credit || conn->state == RPC_CONN_DEAD) {
        return;
    }
    conn->has_new_credit = false;
    struct vy_list batch;
    vy_list_init(&batch);
    struct vy_list *item = vy_list_pop_front(&conn->waiting);
    while (item != NULL) {
        vy_list_push_back(&batch, item);
        item = vy_list_pop_front(&conn->waiting);
    }
    /* Streams that end meanwhile leave this list by themselves; a dead connection has none. */
    item = vy_list_pop_front(&batch);
    while (item != NULL) {
        wake_stream(conn, VY_CONTAINER_OF(item, struct rpc_flow, wait_node));
        item = vy_list_pop_front(&batch);
    }
}
