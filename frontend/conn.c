/* SPDX-License-Identifier: Apache-2.0 */
#include "frontend/conn.h"

#include "base/assert.h"
#include "frontend/conn_private.h"
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <unistd.h>

static void conn_step(struct conn *conn);

/* ---- life ---- */

static void conn_free(struct conn *conn)
{
    struct conn_host *host = conn->host;
    const struct sockaddr_storage peer = conn->peer;

    conn_calls_drop(conn);
    if (conn->session != NULL) {
        conn->session->ops->free(conn->session);
    }
    vy_timer_free(conn->timer);
    vy_watch_free(conn->watch);
    vy_tls_free(conn->tls);
    vy_buf_deinit(&conn->out);
    if (conn->fd >= 0) {
        (void)close(conn->fd);
    }
    vy_list_remove(&conn->link);
    host->conns_count--;
    vy_log(host->log, VY_LOG_DEBUG, "conn.client.closed", VY_HEX("conn", conn->trace_id[1]),
           VY_CSTR("conn.reason", conn->close_reason == NULL ? "closed" : conn->close_reason));
    free(conn);
    host->on_closed(host->on_closed_arg, &peer);
}

/* No more input or actions; what is queued is flushed, then the connection goes. */
static void conn_close(struct conn *conn, const char *reason)
{
    if (conn->is_closing) {
        return;
    }
    conn->is_closing = true;
    conn->close_reason = reason;
    conn_calls_drop(conn);
    if (conn->tls != NULL) {
        vy_tls_close(conn->tls);
        vy_tls_take(conn->tls, &conn->out);
    }
    vy_timer_start(conn->timer, CONN_FLUSH_MS);
}

static void conn_abort(struct conn *conn, const char *reason)
{
    conn_close(conn, reason);
    conn->is_dead = true;
}

/* ---- output ---- */

static void conn_send(struct conn *conn, struct vy_bytes bytes)
{
    if (conn->tls == NULL) {
        vy_buf_append(&conn->out, bytes);
    } else {
        if (vy_failed(vy_tls_write(conn->tls, bytes))) {
            conn_abort(conn, "TLS write failed");
            return;
        }
        vy_tls_take(conn->tls, &conn->out);
    }
    if (vy_failed(vy_buf_error(&conn->out))) {
        conn_abort(conn, "output over its limit");
    }
    conn->session->output_full = vy_buf_len(&conn->out) > CONN_OUTPUT_HIGH_BYTES;
}

static void conn_flush(struct conn *conn)
{
    while (vy_buf_len(&conn->out) > 0 && !conn->is_dead) {
        const struct vy_bytes bytes = vy_buf_bytes(&conn->out);
        const ssize_t sent = send(conn->fd, bytes.data, bytes.len, MSG_NOSIGNAL);
        if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            break;
        }
        if (sent < 0 && errno != EINTR) {
            conn_abort(conn, "client is gone");
            return;
        }
        if (sent > 0) {
            vy_buf_consume(&conn->out, (size_t)sent);
            conn->progress_ms = vy_loop_now_ms(conn->host->loop);
        }
    }
    vy_buf_release(&conn->out);
}

/* Room again: the session and its paused calls go on. True when there may be new actions. */
static bool conn_resume_output(struct conn *conn)
{
    if (conn->is_closing || conn->session == NULL || !conn->session->output_full ||
        vy_buf_len(&conn->out) > CONN_OUTPUT_LOW_BYTES) {
        return false;
    }
    conn->session->output_full = false;
    conn_set_time(conn);
    conn->session->ops->output_drained(conn->session);
    return true;
}

static void conn_rewatch(struct conn *conn)
{
    int events = 0;
    if (!conn->is_closing && !conn->is_eof && !conn->is_read_stopped) {
        events |= VY_WATCH_READ;
    }
    if (vy_buf_len(&conn->out) > 0) {
        events |= VY_WATCH_WRITE;
    }
    if (events != conn->events) {
        conn->events = events;
        vy_watch_set(conn->watch, events);
    }
}

/* ---- session ---- */

void conn_set_time(struct conn *conn)
{
    conn->session->now_ms = vy_loop_now_ms(conn->host->loop);
    conn->session->wall_ms = vy_clock_wall_ms(conn->host->clock);
}

static void conn_describe_tls(struct conn *conn)
{
    vy_tls_describe(conn->tls, conn->tls_info, sizeof(conn->tls_info));
    conn->has_exporter = vy_tls_exporter(conn->tls, conn->exporter);
    if (!vy_tls_end_point(conn->tls, conn->end_point, &conn->end_point_len)) {
        conn->end_point_len = 0;
    }
}

static struct session_tls conn_session_tls(const struct conn *conn)
{
    return (struct session_tls){
        .info = vy_cstr(conn->tls_info),
        .exporter = vy_bytes(conn->exporter, conn->has_exporter ? sizeof(conn->exporter) : 0),
        .end_point = vy_bytes(conn->end_point, conn->end_point_len),
    };
}

static struct vy_err conn_start_session(struct conn *conn)
{
    struct conn_host *host = conn->host;
    struct session_peer peer = {
        .remote_ip = vy_cstr(conn->remote_ip),
        .remote_port = conn->remote_port,
        .local_ip = vy_cstr(conn->local_ip),
        .is_tls = conn->tls != NULL,
        .tls_info = vy_cstr(conn->tls_info),
        .is_trusted = vy_net_list_contains(host->trusted, host->trusted_count, &conn->peer),
    };
    if (conn->tls != NULL) {
        peer.tls = conn_session_tls(conn);
    }
    memcpy(peer.trace_id, conn->trace_id, sizeof(peer.trace_id));
    vy_rng_fill(host->rng, peer.seed, sizeof(peer.seed));
    peer.now_ms = vy_loop_now_ms(host->loop);
    peer.wall_ms = vy_clock_wall_ms(host->clock);
    peer.can_start_tls = host->tls != NULL && conn->tls == NULL;
    return conn->service->session_new(conn->service->arg, &peer, &conn->session);
}

static void conn_start_tls(struct conn *conn)
{
    if (conn->host->tls == NULL || conn->tls != NULL ||
        vy_failed(vy_tls_new(conn->host->tls, &conn->tls))) {
        conn_abort(conn, "TLS is not available");
    }
}

static void conn_perform(struct conn *conn, const struct session_action *action)
{
    switch (action->kind) {
    case SESSION_SEND:
        conn_send(conn, action->bytes);
        break;
    case SESSION_CALL:
        conn_call_start(conn, action);
        break;
    case SESSION_CALL_SEND:
        conn_call_send(conn, action);
        break;
    case SESSION_CALL_END:
        conn_call_send_end(conn, action->call_id);
        break;
    case SESSION_CALL_CANCEL:
        conn_call_cancel(conn, action->call_id);
        break;
    case SESSION_HASH:
        conn_hash_start(conn, action);
        break;
    case SESSION_START_TLS:
        conn_start_tls(conn);
        break;
    case SESSION_TIMER:
        vy_timer_start(conn->timer, action->delay_ms);
        break;
    case SESSION_READ_STOP:
        conn->is_read_stopped = true;
        break;
    case SESSION_READ_START:
        conn->is_read_stopped = false;
        break;
    case SESSION_LOG:
        conn_log(conn, action);
        break;
    case SESSION_CLOSE:
        conn_close(conn, action->reason);
        break;
    }
}

static void conn_perform_all(struct conn *conn)
{
    struct session_action action;
    if (conn->session == NULL) {
        return;
    }
    while (!conn->is_closing && conn->session->ops->next_action(conn->session, &action)) {
        conn_perform(conn, &action);
    }
}

/* ---- input ---- */

static void conn_hand_in(struct conn *conn, struct vy_bytes bytes)
{
    conn_set_time(conn);
    conn->session->ops->receive(conn->session, bytes, conn->session->now_ms);
    conn_perform_all(conn);
}

/* The handshake has just ended: implicit TLS begins its session, STARTTLS goes on with the one
 * there is. */
static void conn_tls_ready(struct conn *conn)
{
    conn->is_tls_ready = true;
    conn_describe_tls(conn);
    if (conn->session == NULL) {
        if (vy_failed(conn_start_session(conn))) {
            conn_abort(conn, "no memory for a session");
        }
    } else {
        const struct session_tls tls = conn_session_tls(conn);
        conn_set_time(conn);
        conn->session->ops->tls_started(conn->session, &tls);
    }
    conn_perform_all(conn);
}

/* Plaintext that TLS holds; stops when the session does not want more. */
static void conn_pump_tls(struct conn *conn)
{
    if (!conn->is_tls_ready && vy_tls_is_established(conn->tls)) {
        conn_tls_ready(conn);
    }
    while (conn->is_tls_ready && !conn->is_closing && !conn->is_read_stopped) {
        size_t len = 0;
        if (vy_failed(vy_tls_read(conn->tls, conn->host->read_buffer, CONN_READ_BYTES, &len))) {
            conn_abort(conn, "TLS record damaged");
            return;
        }
        if (len == 0) {
            break;
        }
        conn_hand_in(conn, vy_bytes(conn->host->read_buffer, len));
    }
    if (vy_tls_is_closed(conn->tls)) {
        conn->is_eof = true;
    }
}

static void conn_receive(struct conn *conn, struct vy_bytes bytes)
{
    if (conn->tls == NULL) {
        conn_hand_in(conn, bytes);
        return;
    }
    const struct vy_err err = vy_tls_receive(conn->tls, bytes);
    if (vy_failed(err)) {
        vy_tls_take(conn->tls, &conn->out); /* the alert */
        vy_log(conn->host->log, VY_LOG_INFO, "conn.tls.failed", VY_HEX("conn", conn->trace_id[1]),
               VY_CSTR("conn.ip", conn->remote_ip), VY_LOG_ERR(err));
        conn_close(conn, "TLS handshake failed");
        return;
    }
    vy_tls_take(conn->tls, &conn->out);
    conn_pump_tls(conn);
}

static void conn_read(struct conn *conn)
{
    const ssize_t got = recv(conn->fd, conn->host->read_buffer, CONN_READ_BYTES, 0);
    if (got > 0) {
        conn_receive(conn, vy_bytes(conn->host->read_buffer, (size_t)got));
        return;
    }
    if (got == 0) {
        conn->is_eof = true;
        return;
    }
    if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) {
        conn_abort(conn, "client is gone");
    }
}

/* After the client's last byte the session may still answer; then the connection ends. */
static void conn_after_eof(struct conn *conn)
{
    if (!conn->is_eof || conn->is_closing) {
        return;
    }
    if (!conn->is_eof_told && conn->session != NULL) {
        conn->is_eof_told = true;
        conn_set_time(conn);
        conn->session->ops->closed(conn->session);
        conn_perform_all(conn);
    }
    if (vy_list_is_empty(&conn->calls)) {
        conn_close(conn, "client closed");
    }
}

/* Carries on until nothing moves: actions, flush, room for more actions. Frees the connection when
 * it is over. */
static void conn_step(struct conn *conn)
{
    do {
        conn_perform_all(conn);
        if (conn->tls != NULL && !conn->is_closing && !conn->is_read_stopped) {
            conn_pump_tls(conn);
        }
        conn_flush(conn);
    } while (conn_resume_output(conn) || conn_calls_offer(conn));
    conn_after_eof(conn);
    conn_flush(conn);
    if (conn->is_dead || (conn->is_closing && vy_buf_len(&conn->out) == 0)) {
        conn_free(conn);
        return;
    }
    conn_rewatch(conn);
}

void conn_go_on(struct conn *conn)
{
    conn_step(conn);
}

static void conn_on_ready(void *arg, int events)
{
    struct conn *conn = arg;
    if ((events & VY_WATCH_READ) != 0 && !conn->is_closing && !conn->is_read_stopped) {
        conn_read(conn);
    }
    conn_step(conn);
}

static void conn_on_timer(void *arg)
{
    struct conn *conn = arg;
    if (conn->is_closing) {
        conn->is_dead = true;
    } else if (conn->session == NULL) {
        conn_abort(conn, "TLS handshake timed out");
    } else {
        conn_set_time(conn);
        conn->session->ops->tick(conn->session, conn->session->now_ms);
    }
    conn_step(conn);
}

/* ---- start ---- */

static void conn_name_ends(struct conn *conn)
{
    struct sockaddr_storage local;
    socklen_t len = sizeof(local);
    uint16_t local_port = 0;
    vy_net_ip_text(&conn->peer, conn->remote_ip, &conn->remote_port);
    if (getsockname(conn->fd, (struct sockaddr *)&local, &len) == 0) {
        vy_net_ip_text(&local, conn->local_ip, &local_port);
    }
    vy_rng_fill(conn->host->rng, conn->trace_id, sizeof(conn->trace_id));
}

static struct vy_err conn_start(struct conn *conn)
{
    const int on = 1;
    (void)setsockopt(conn->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    conn_name_ends(conn);
    conn->timer = vy_timer_new(conn->host->loop, conn_on_timer, conn);
    conn->watch = vy_watch_new(conn->host->loop, conn->fd, conn_on_ready, conn);
    if (conn->timer == NULL || conn->watch == NULL) {
        return vy_error(VY_CODE_NOMEM, "connection");
    }
    vy_log(conn->host->log, VY_LOG_DEBUG, "conn.client.opened", VY_HEX("conn", conn->trace_id[1]),
           VY_CSTR("conn.service", conn->service->name), VY_CSTR("conn.ip", conn->remote_ip));
    if (!conn->service->is_implicit_tls) {
        return conn_start_session(conn);
    }
    vy_timer_start(conn->timer, CONN_HANDSHAKE_MS);
    return conn->host->tls == NULL ? vy_error(VY_CODE_UNSUPPORTED, "no TLS certificate")
                                   : vy_tls_new(conn->host->tls, &conn->tls);
}

struct vy_err conn_new(struct conn_host *host, const struct conn_service *service, int fd,
                       const struct sockaddr_storage *peer)
{
    struct conn *conn = calloc(1, sizeof(*conn));
    if (conn == NULL) {
        (void)close(fd);
        host->on_closed(host->on_closed_arg, peer);
        return vy_error(VY_CODE_NOMEM, "connection");
    }
    conn->host = host;
    conn->service = service;
    conn->fd = fd;
    conn->peer = *peer;
    vy_buf_init(&conn->out, CONN_OUTPUT_BYTES_MAX);
    vy_list_init(&conn->calls);
    vy_list_push_back(&host->conns, &conn->link);
    host->conns_count++;
    const struct vy_err err = conn_start(conn);
    if (vy_failed(err)) {
        conn_free(conn);
        return err;
    }
    conn_step(conn);
    return vy_ok();
}

/* ---- all of a loop ---- */

void conn_host_drain(struct conn_host *host)
{
    struct vy_list *next = NULL;
    for (struct vy_list *item = host->conns.next; item != &host->conns; item = next) {
        struct conn *conn = VY_CONTAINER_OF(item, struct conn, link);
        next = item->next;
        if (conn->session == NULL) {
            conn_abort(conn, "server is stopping");
        } else if (!conn->is_closing) {
            conn_set_time(conn);
            conn->session->ops->drain(conn->session);
        }
        conn_step(conn);
    }
}

void conn_host_close_all(struct conn_host *host)
{
    while (!vy_list_is_empty(&host->conns)) {
        struct conn *conn = VY_CONTAINER_OF(host->conns.next, struct conn, link);
        conn_abort(conn, "server stopped");
        conn_free(conn);
    }
}

void conn_host_sweep(struct conn_host *host)
{
    const uint64_t now_ms = vy_loop_now_ms(host->loop);
    struct vy_list *next = NULL;
    for (struct vy_list *item = host->conns.next; item != &host->conns; item = next) {
        struct conn *conn = VY_CONTAINER_OF(item, struct conn, link);
        next = item->next;
        if (vy_buf_len(&conn->out) > 0 && now_ms - conn->progress_ms > CONN_WRITE_STALL_MS) {
            conn_abort(conn, "client reads nothing");
            conn_step(conn);
        }
    }
}
