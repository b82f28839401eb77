/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of a connection: socket, TLS, output and its marks. */
#include "base/assert.h"
#include "frontend/conn_private.h"
#include <errno.h>
#include <sys/socket.h>

/* A piece of output so large goes to the socket from where it is, when nothing waits before it. */
#define SEND_DIRECT_BYTES 8192U

/* ---- output ---- */

/* As many bytes as the socket takes now. */
static size_t write_socket(struct conn *conn, struct vy_bytes bytes)
{
    size_t sent = 0;
    while (sent < bytes.len) {
        const ssize_t n = send(conn->fd, bytes.data + sent, bytes.len - sent, MSG_NOSIGNAL);
        if (n > 0) {
            sent += (size_t)n;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            break;
        } else if (errno != EINTR) {
            conn_abort(conn, "client is gone");
            break;
        }
    }
    if (sent > 0) {
        conn->progress_ms = vy_loop_now_ms(conn->host->loop);
        frontend_count_bytes(conn->host->metrics, conn->service->proto, FRONTEND_BYTES_OUT, sent);
    }
    return sent;
}

static void queue_plain(struct conn *conn, struct vy_bytes bytes)
{
    size_t sent = 0;
    if (vy_buf_len(&conn->out) == 0 && bytes.len >= SEND_DIRECT_BYTES) {
        sent = write_socket(conn, bytes);
    }
    if (!conn_is_over(conn)) {
        vy_buf_append(&conn->out, vy_bytes_from(bytes, sent));
    }
}

static void queue_tls(struct conn *conn, struct vy_bytes bytes)
{
    if (vy_failed(vy_tls_write(conn->tls, bytes))) {
        conn_abort(conn, "TLS write failed");
        return;
    }
    vy_tls_take(conn->tls, &conn->out);
}

void conn_send(struct conn *conn, struct vy_bytes bytes)
{
    if (conn_is_in_handshake(conn)) {
        return; /* a goodbye that nobody could read */
    }
    if (vy_buf_len(&conn->out) == 0) {
        conn->progress_ms = vy_loop_now_ms(conn->host->loop);
    }
    if (conn->tls == NULL) {
        queue_plain(conn, bytes);
    } else {
        queue_tls(conn, bytes);
    }
    if (vy_failed(vy_buf_error(&conn->out))) {
        conn_abort(conn, "output over its limit");
    }
    conn->turn_bytes += bytes.len;
    conn->session->output_full =
        vy_buf_len(&conn->out) > CONN_OUTPUT_HIGH_BYTES || conn->turn_bytes > CONN_TURN_BYTES;
}

void conn_flush(struct conn *conn)
{
    if (vy_buf_len(&conn->out) > 0 && conn->state != CONN_DEAD) {
        vy_buf_consume(&conn->out, write_socket(conn, vy_buf_bytes(&conn->out)));
    }
    vy_buf_release(&conn->out);
}

void conn_rewatch(struct conn *conn)
{
    int events = 0;
    if (!conn->is_eof &&
        (conn->state == CONN_LINGERING || (!conn_is_over(conn) && !conn->is_read_stopped))) {
        events |= VY_WATCH_READ;
    }
    if (vy_buf_len(&conn->out) > 0 || conn->wants_turn) {
        events |= VY_WATCH_WRITE;
    }
    if (events != conn->events) {
        conn->events = events;
        vy_watch_set(conn->watch, events);
    }
}

/* ---- input ---- */

static void hand_in(struct conn *conn, struct vy_bytes bytes)
{
    conn_set_time(conn);
    conn->session->ops->receive(conn->session, bytes, conn->session->now_ms);
    conn_perform_all(conn);
}

void conn_pump_tls(struct conn *conn)
{
    if (conn_is_in_handshake(conn) && vy_tls_is_established(conn->tls)) {
        conn_tls_ready(conn);
    }
    while (conn->has_tls_input && conn->state == CONN_OPEN && !conn->is_read_stopped) {
        size_t len = 0;
        if (vy_failed(vy_tls_read(conn->tls, conn->host->read_buffer, CONN_READ_BYTES, &len))) {
            conn_abort(conn, "TLS record damaged");
            return;
        }
        if (len == 0) {
            conn->has_tls_input = false;
            conn->is_eof = conn->is_eof || vy_tls_is_closed(conn->tls);
            vy_tls_take(conn->tls, &conn->out); /* answers to key updates */
            return;
        }
        hand_in(conn, vy_bytes(conn->host->read_buffer, len));
    }
}

static void receive_tls(struct conn *conn, struct vy_bytes bytes)
{
    const struct vy_err err = vy_tls_receive(conn->tls, bytes);
    vy_tls_take(conn->tls, &conn->out); /* the handshake's answer, or the alert */
    if (vy_failed(err)) {
        vy_log(conn->host->log, VY_LOG_INFO, "conn.tls.failed", VY_ID("trace", conn->trace_id),
               VY_CSTR("conn.service", conn->service->name), VY_CSTR("conn.ip", conn->remote_ip),
               VY_LOG_ERR(err));
        conn_close(conn, "TLS handshake failed");
        return;
    }
    conn->has_tls_input = true;
    conn_pump_tls(conn);
}

static void receive(struct conn *conn, struct vy_bytes bytes)
{
    frontend_count_bytes(conn->host->metrics, conn->service->proto, FRONTEND_BYTES_IN, bytes.len);
    if (conn->state == CONN_LINGERING) {
        return;
    }
    if (conn->tls != NULL) {
        receive_tls(conn, bytes);
    } else {
        hand_in(conn, bytes);
    }
}

void conn_read(struct conn *conn)
{
    const ssize_t got = recv(conn->fd, conn->host->read_buffer, CONN_READ_BYTES, 0);
    if (got > 0) {
        receive(conn, vy_bytes(conn->host->read_buffer, (size_t)got));
    } else if (got == 0) {
        conn->is_eof = true;
    } else if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) {
        conn_abort(conn, "client is gone");
    }
}
