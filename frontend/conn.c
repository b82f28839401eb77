/* SPDX-License-Identifier: Apache-2.0 */
/* A connection's life, its session and the actions of that. */
#include "frontend/conn.h"

#include "base/assert.h"
#include "frontend/conn_private.h"
#include <netinet/in.h>
#include <stdlib.h>
#include <unistd.h>

#define CONN_ROUNDS_MAX 64U /* of a step, before other connections get their turn */
#define LOG_FIELDS_MAX 16U

static void conn_step(struct conn *conn);

/* ---- state and time ---- */

#define TO(state) (1U << CONN_##state)
static const uint32_t conn_state_next[CONN_STATE_COUNT] = {
    [CONN_HANDSHAKE] = TO(OPEN) | TO(FLUSHING) | TO(DEAD),
    [CONN_OPEN] = TO(SECURING) | TO(FLUSHING) | TO(DEAD),
    [CONN_SECURING] = TO(OPEN) | TO(FLUSHING) | TO(DEAD),
    [CONN_FLUSHING] = TO(LINGERING) | TO(DEAD),
    [CONN_LINGERING] = TO(DEAD),
    [CONN_DEAD] = TO(DEAD),
};

/* One timer serves the session, the state and a drain: whichever is due first. */
void conn_arm_timer(struct conn *conn)
{
    const uint64_t now_ms = vy_loop_now_ms(conn->host->loop);
    uint64_t due_ms = UINT64_MAX;
    if (conn->session_due_ms != 0 && conn->state == CONN_OPEN) {
        due_ms = conn->session_due_ms;
    }
    if (conn->deadline_ms != 0) {
        due_ms = VY_MIN(due_ms, conn->deadline_ms);
    }
    if (conn->drain_due_ms != 0 && !conn_is_over(conn)) {
        due_ms = VY_MIN(due_ms, conn->drain_due_ms);
    }
    if (due_ms == UINT64_MAX) {
        vy_timer_stop(conn->timer);
    } else {
        vy_timer_start(conn->timer, due_ms > now_ms ? due_ms - now_ms : 0);
    }
}

void conn_move(struct conn *conn, enum conn_state next, uint64_t within_ms)
{
    VY_ASSERT((conn_state_next[conn->state] & (1U << next)) != 0);
    conn->state = next;
    conn->deadline_ms = within_ms == 0 ? 0 : vy_loop_now_ms(conn->host->loop) + within_ms;
    conn_arm_timer(conn);
}

void conn_set_time(struct conn *conn)
{
    conn->session->now_ms = vy_loop_now_ms(conn->host->loop);
    conn->session->wall_ms = vy_clock_wall_ms(conn->host->clock);
    conn->session->is_tarpit_full =
        !conn->is_in_tarpit && atomic_load(&conn->host->tarpit->count) >= conn->host->tarpit->max;
}

/* Takes and gives back the connection's place in the tarpit. */
static void count_tarpit(struct conn *conn, bool is_held)
{
    if (is_held == conn->is_in_tarpit) {
        return;
    }
    conn->is_in_tarpit = is_held;
    if (is_held) {
        (void)atomic_fetch_add(&conn->host->tarpit->count, 1);
    } else {
        (void)atomic_fetch_sub(&conn->host->tarpit->count, 1);
    }
    frontend_count_tarpit(conn->host->metrics, is_held ? 1 : -1);
}

/* ---- the end ---- */

void conn_free(struct conn *conn)
{
    struct conn_host *host = conn->host;
    const struct sockaddr_storage peer = conn->peer;

    conn_calls_drop(conn);
    conn_hash_drop(conn);
    count_tarpit(conn, false);
    if (conn->session != NULL) {
        conn->session->ops->free(conn->session);
    }
    vy_timer_free(conn->timer);
    vy_watch_free(conn->watch);
    vy_tls_free(conn->tls);
    vy_buf_deinit(&conn->out);
    (void)close(conn->fd);
    vy_list_remove(&conn->link);
    host->conns_count--;
    frontend_count_closed(host->metrics, conn->service->proto);
    vy_log(host->log, VY_LOG_DEBUG, "conn.client.closed", VY_ID("trace", conn->trace_id),
           VY_CSTR("conn.reason", conn->close_reason == NULL ? "closed" : conn->close_reason));
    free(conn);
    host->on_closed(host->on_closed_arg, &peer);
}

void conn_close(struct conn *conn, const char *reason)
{
    if (conn_is_over(conn)) {
        return;
    }
    conn->close_reason = reason;
    conn_calls_drop(conn);
    conn_hash_drop(conn);
    if (conn->tls != NULL) {
        vy_tls_close(conn->tls);
        vy_tls_take(conn->tls, &conn->out);
    }
    conn_move(conn, CONN_FLUSHING, CONN_FLUSH_MS);
}

void conn_abort(struct conn *conn, const char *reason)
{
    conn_close(conn, reason);
    conn_move(conn, CONN_DEAD, 0);
}

/* Everything was said. A client that may still be sending gets time to read it: closing now would
 * reset the connection and could take the last answer with it. */
static void end_flushed(struct conn *conn)
{
    if (conn->is_eof || shutdown(conn->fd, SHUT_WR) != 0) {
        conn_move(conn, CONN_DEAD, 0);
    } else {
        conn_move(conn, CONN_LINGERING, CONN_LINGER_MS);
    }
}

/* ---- session ---- */

static void describe_tls(struct conn *conn)
{
    vy_tls_describe(conn->tls, conn->tls_info, sizeof(conn->tls_info));
    conn->has_exporter = vy_tls_exporter(conn->tls, conn->exporter);
    if (!vy_tls_end_point(conn->tls, conn->end_point, &conn->end_point_len)) {
        conn->end_point_len = 0;
    }
}

static struct session_tls session_tls(const struct conn *conn)
{
    return (struct session_tls){
        .info = vy_cstr(conn->tls_info),
        .exporter = vy_bytes(conn->exporter, conn->has_exporter ? sizeof(conn->exporter) : 0),
        .end_point = vy_bytes(conn->end_point, conn->end_point_len),
    };
}

static struct vy_err start_session(struct conn *conn)
{
    struct conn_host *host = conn->host;
    struct session_peer peer = {
        .remote_ip = vy_cstr(conn->remote_ip),
        .remote_port = conn->remote_port,
        .local_ip = vy_cstr(conn->local_ip),
        .is_tls = conn->tls != NULL,
        .tls_info = vy_cstr(conn->tls_info),
        .is_trusted = vy_net_list_contains(host->trusted, host->trusted_count, &conn->peer),
        .now_ms = vy_loop_now_ms(host->loop),
        .wall_ms = vy_clock_wall_ms(host->clock),
        .can_start_tls = host->tls != NULL && conn->tls == NULL,
    };
    if (conn->tls != NULL) {
        peer.tls = session_tls(conn);
    }
    peer.trace_id[0] = vy_get_be64(conn->trace_id);
    peer.trace_id[1] = vy_get_be64(conn->trace_id + 8);
    vy_rng_fill(host->rng, peer.seed, sizeof(peer.seed));
    VY_TRY(conn->service->session_new(conn->service->arg, &peer, &conn->session));
    if (host->is_draining) {
        conn->session->ops->drain(conn->session);
    }
    return vy_ok();
}

void conn_tls_ready(struct conn *conn)
{
    conn_move(conn, CONN_OPEN, 0);
    describe_tls(conn);
    if (conn->session == NULL) {
        if (vy_failed(start_session(conn))) {
            conn_abort(conn, "no memory for a session");
        }
    } else {
        const struct session_tls tls = session_tls(conn);
        conn_set_time(conn);
        conn->session->ops->tls_started(conn->session, &tls);
    }
    conn_perform_all(conn);
}

static void start_tls(struct conn *conn)
{
    if (conn->host->tls == NULL || conn->tls != NULL ||
        vy_failed(vy_tls_new(conn->host->tls, &conn->tls))) {
        conn_abort(conn, "TLS is not available");
        return;
    }
    conn_move(conn, CONN_SECURING, conn->host->handshake_ms);
}

/* ---- actions ---- */

/* Strangers cause these at will. */
static bool is_refusal(const char *event)
{
    return strcmp(event, "imap.login.refused") == 0 || strcmp(event, "smtp.auth.refused") == 0;
}

static void write_log(struct conn *conn, const struct session_action *action)
{
    struct vy_log_field fields[LOG_FIELDS_MAX] = {VY_ID("trace", conn->trace_id),
                                                  VY_CSTR("conn.service", conn->service->name),
                                                  VY_CSTR("conn.ip", conn->remote_ip)};
    size_t count = 3;
    for (size_t i = 0; i < action->fields_count && count < VY_COUNT_OF(fields); i++) {
        fields[count++] = action->fields[i];
    }
    frontend_count_event(conn->host->metrics, conn->service->proto, action);
    if (is_refusal(action->event) && !conn_host_may_log_refusal(conn->host)) {
        return;
    }
    vy_log_write(conn->host->log, action->level, action->event, fields, count);
}

static void set_session_timer(struct conn *conn, uint64_t delay_ms)
{
    conn->session_due_ms = vy_loop_now_ms(conn->host->loop) + delay_ms;
    conn_arm_timer(conn);
}

static void perform(struct conn *conn, const struct session_action *action)
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
        start_tls(conn);
        break;
    case SESSION_TIMER:
        set_session_timer(conn, action->delay_ms);
        break;
    case SESSION_READ_STOP:
        conn->is_read_stopped = true;
        break;
    case SESSION_READ_START:
        conn->is_read_stopped = false;
        break;
    case SESSION_LOG:
        write_log(conn, action);
        break;
    case SESSION_COMMAND:
        frontend_observe_command(conn->host->metrics, conn->service->proto, action,
                                 vy_loop_now_ms(conn->host->loop));
        break;
    case SESSION_CLOSE:
        conn_close(conn, action->reason);
        break;
    }
}

void conn_perform_all(struct conn *conn)
{
    struct session_action action;
    while (conn->session != NULL && !conn_is_over(conn) &&
           conn->session->ops->next_action(conn->session, &action)) {
        perform(conn, &action);
    }
}

/* ---- accounts ---- */

void conn_tell_account_over(struct conn *conn, bool is_certain)
{
    conn_set_time(conn);
    conn->session->ops->account_over(conn->session, is_certain);
}

/* A sign-in may have been decided before the account changed and be heard of behind it. */
static void check_sign_in(struct conn *conn)
{
    const struct conn_host *host = conn->host;
    if (conn_is_over(conn) || conn->session == NULL ||
        conn->session->account_id == conn->account_id) {
        return;
    }
    conn->account_id = conn->session->account_id;
    conn_hash_keep(conn);
    for (size_t i = 0; i < CONN_EPOCHS_KEPT; i++) {
        if (host->epochs[i].account_id == conn->account_id &&
            host->epochs[i].epoch > conn->session->account_epoch) {
            conn_tell_account_over(conn, /* is_certain = */ true);
            return;
        }
    }
}

/* ---- a step ---- */

/* Room again: the session goes on. True when there may be new actions. */
static bool resume_output(struct conn *conn)
{
    if (conn_is_over(conn) || conn->session == NULL || !conn->session->output_full ||
        vy_buf_len(&conn->out) > CONN_OUTPUT_LOW_BYTES) {
        return false;
    }
    if (conn->turn_bytes > CONN_TURN_BYTES) {
        conn->wants_turn = true;
        return false;
    }
    conn->session->output_full = false;
    conn_set_time(conn);
    conn->session->ops->output_drained(conn->session);
    return true;
}

/* The session answers what it got, then it ends the connection. Without one, or in a handshake,
 * there is nothing to answer. */
static void tell_eof(struct conn *conn)
{
    if (!conn->is_eof || conn_is_over(conn)) {
        return;
    }
    if (conn_is_in_handshake(conn)) {
        conn_abort(conn, "client closed in the handshake");
    } else if (!conn->is_eof_told) {
        conn->is_eof_told = true;
        conn_set_time(conn);
        conn->session->ops->closed(conn->session);
        conn_perform_all(conn);
    }
}

/* Carries on until nothing moves: actions, flush, room for more actions. Frees the connection when
 * it is over. */
static void conn_step(struct conn *conn)
{
    bool moved = true;
    conn->turn_bytes = 0;
    conn->wants_turn = false;
    for (unsigned i = 0; moved && i < CONN_ROUNDS_MAX; i++) {
        check_sign_in(conn);
        conn_perform_all(conn);
        if (conn->tls != NULL && !conn_is_over(conn)) {
            conn_pump_tls(conn);
        }
        tell_eof(conn);
        conn_flush(conn);
        moved = resume_output(conn) || conn_calls_offer(conn);
    }
    conn->wants_turn = conn->wants_turn || moved;
    if (conn->is_eof && !conn_is_over(conn) && conn->session != NULL && conn->session->is_held) {
        conn_abort(conn, "client left while it was held back"); /* gives its place to others */
    }
    count_tarpit(conn, conn->session != NULL && !conn_is_over(conn) && conn->session->is_held);
    if (conn->state == CONN_FLUSHING && vy_buf_len(&conn->out) == 0) {
        end_flushed(conn);
    }
    if (conn->state == CONN_DEAD || (conn->state == CONN_LINGERING && conn->is_eof)) {
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
    if ((events & VY_WATCH_READ) != 0 && (conn->events & VY_WATCH_READ) != 0) {
        conn_read(conn);
    }
    conn_step(conn);
}

static const char *late_reason(const struct conn *conn)
{
    return conn_is_in_handshake(conn) ? "TLS handshake timed out" : "client does not read the end";
}

void conn_drain_session(struct conn *conn)
{
    conn->drain_due_ms = 0;
    conn_set_time(conn);
    conn->session->ops->drain(conn->session);
}

static void conn_on_timer(void *arg)
{
    struct conn *conn = arg;
    const uint64_t now_ms = vy_loop_now_ms(conn->host->loop);
    if (conn->drain_due_ms != 0 && now_ms >= conn->drain_due_ms && !conn_is_over(conn)) {
        conn_drain_session(conn);
    }
    if (conn->deadline_ms != 0 && now_ms >= conn->deadline_ms) {
        conn_abort(conn, late_reason(conn));
    } else if (conn->state == CONN_OPEN && conn->session_due_ms != 0 &&
               now_ms >= conn->session_due_ms) {
        conn->session_due_ms = 0;
        conn_set_time(conn);
        conn->session->ops->tick(conn->session, conn->session->now_ms);
    }
    conn_arm_timer(conn);
    conn_step(conn);
}

/* ---- the start ---- */

static void name_ends(struct conn *conn)
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
    name_ends(conn);
    conn->timer = vy_timer_new(conn->host->loop, conn_on_timer, conn);
    conn->watch = vy_watch_new(conn->host->loop, conn->fd, conn_on_ready, conn);
    if (conn->timer == NULL || conn->watch == NULL) {
        return vy_error(VY_CODE_NOMEM, "connection");
    }
    vy_log(conn->host->log, VY_LOG_DEBUG, "conn.client.opened", VY_ID("trace", conn->trace_id),
           VY_CSTR("conn.service", conn->service->name), VY_CSTR("conn.ip", conn->remote_ip));
    if (!conn->service->is_implicit_tls) {
        conn->state = CONN_OPEN;
        return start_session(conn);
    }
    VY_ASSERT(conn->host->tls != NULL); /* such a port is not opened without a certificate */
    conn->deadline_ms = vy_loop_now_ms(conn->host->loop) + conn->host->handshake_ms;
    conn_arm_timer(conn);
    return vy_tls_new(conn->host->tls, &conn->tls);
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
    frontend_count_opened(host->metrics, service->proto);
    const struct vy_err err = conn_start(conn);
    if (vy_failed(err)) {
        conn_free(conn);
        return err;
    }
    conn_step(conn);
    return vy_ok();
}
