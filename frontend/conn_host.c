/* SPDX-License-Identifier: Apache-2.0 */
/* All connections of a loop: draining, accounts that changed, clients that take nothing. */
#include "frontend/conn_private.h"

/* Runs fn on every connection; fn may free the one it is given. */
static void for_each(struct conn_host *host, void (*fn)(struct conn *conn, void *arg), void *arg)
{
    struct vy_list *next = NULL;
    for (struct vy_list *item = host->conns.next; item != &host->conns; item = next) {
        next = item->next;
        fn(VY_CONTAINER_OF(item, struct conn, link), arg);
    }
}

struct drain_plan {
    uint64_t start_ms;
    uint64_t within_ms;
    uint64_t count; /* told so far */
};

static void drain_one(struct conn *conn, void *arg)
{
    struct drain_plan *plan = arg;
    const uint64_t turn_ms = plan->count++ / CONN_DRAINS_PER_MS;
    const uint64_t delay_ms = VY_MIN(turn_ms, plan->within_ms);
    if (conn->session == NULL) {
        conn_abort(conn, "server is stopping");
    } else if (delay_ms > 0) {
        conn->drain_due_ms = plan->start_ms + delay_ms;
        conn_arm_timer(conn);
        return;
    } else if (!conn_is_over(conn)) {
        conn_drain_session(conn);
    }
    conn_go_on(conn);
}

void conn_host_drain(struct conn_host *host, uint32_t within_ms)
{
    struct drain_plan plan = {.start_ms = vy_loop_now_ms(host->loop), .within_ms = within_ms};
    host->is_draining = true;
    for_each(host, drain_one, &plan);
}

void conn_host_close_all(struct conn_host *host)
{
    while (!vy_list_is_empty(&host->conns)) {
        struct conn *conn = VY_CONTAINER_OF(host->conns.next, struct conn, link);
        conn_abort(conn, "server stopped");
        conn_free(conn);
    }
}

struct account_change {
    uint64_t account_id; /* 0: any */
    uint64_t epoch;
};

static void account_over_one(struct conn *conn, void *arg)
{
    const struct account_change *change = arg;
    if (conn_is_over(conn) || conn->session == NULL || conn->session->account_id == 0) {
        return;
    }
    const bool is_certain = change->account_id != 0;
    if (!is_certain || (conn->session->account_id == change->account_id &&
                        conn->session->account_epoch < change->epoch)) {
        conn_tell_account_over(conn, is_certain);
        conn_go_on(conn);
    }
}

void conn_host_account_over(struct conn_host *host, uint64_t account_id, uint64_t epoch)
{
    struct account_change change = {.account_id = account_id, .epoch = epoch};
    if (account_id != 0) {
        host->epochs[host->epochs_next].account_id = account_id;
        host->epochs[host->epochs_next].epoch = epoch;
        host->epochs_next = (host->epochs_next + 1) % CONN_EPOCHS_KEPT;
    }
    for_each(host, account_over_one, &change);
}

static void sweep_one(struct conn *conn, void *arg)
{
    const uint64_t *now_ms = arg;
    if (!conn_is_over(conn) && vy_buf_len(&conn->out) > 0 &&
        *now_ms - conn->progress_ms > conn->host->write_stall_ms) {
        conn_abort(conn, "client reads nothing");
        conn_go_on(conn);
    }
}

/* ---- refusals in the log ---- */

static void say_left_out(struct conn_host *host, uint64_t now_ms)
{
    const uint64_t left_out = log_gate_take_left_out(&host->refusals, now_ms);
    if (left_out > 0) {
        vy_log(host->log, VY_LOG_INFO, "frontend.refusals.left_out", VY_U64("log.lines", left_out));
    }
}

bool conn_host_may_log_refusal(struct conn_host *host)
{
    const uint64_t now_ms = vy_loop_now_ms(host->loop);
    say_left_out(host, now_ms);
    return log_gate_pass(&host->refusals, now_ms);
}

/* ---- now and then ---- */

void conn_host_sweep(struct conn_host *host)
{
    uint64_t now_ms = vy_loop_now_ms(host->loop);
    for_each(host, sweep_one, &now_ms);
    say_left_out(host, now_ms);
}
