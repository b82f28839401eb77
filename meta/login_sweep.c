/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LOGIN-2: sign-in records are kept for 30 days, networks for 90 (fsm.h). A sign-in removes what is
 * old of its own account; this walks over all the others, a part of the tables every few seconds,
 * and proposes the accounts that have something too old.
 */
#include "meta/meta_private.h"
#include <stdlib.h>

#define SWEEP_MS (10U * 1000)
#define LOOKS_MAX 1000U /* of one step: rows read */
#define NET_ROWS 500U
#define ARENA_BYTES_MAX (8U * 1024 * 1024)

enum sweep_pass { SWEEP_ROWS, SWEEP_NETS };

struct login_sweep {
    struct meta *meta;
    struct vy_timer *timer; /* owned */
    struct store_snapshot *snapshot;
    enum sweep_pass pass;
    uint64_t account_id; /* where the next step begins */
    uint64_t now_ms;
    uint64_t due[META_LOGIN_EXPIRE_ACCOUNTS_MAX];
    size_t due_count;
    bool is_busy; /* on a worker, or its command is on the way */
    bool is_stopped;
};

/* ---- looking, on a worker ---- */

static uint64_t limit_of(const struct login_sweep *sweep, uint64_t keep_ms)
{
    return sweep->now_ms > keep_ms ? sweep->now_ms - keep_ms : 0;
}

static void add_due(struct login_sweep *sweep, uint64_t account_id)
{
    if (sweep->due_count == 0 || sweep->due[sweep->due_count - 1] != account_id) {
        sweep->due[sweep->due_count++] = account_id;
    }
}

/* The oldest row from this key on; false: none. */
static struct vy_err find_row(const struct meta_view *view, const struct meta_key *from,
                              uint64_t *account_id, bool *is_failed, uint64_t *last_ms,
                              bool *is_found)
{
    const struct table_page page = {
        .family = META_FAMILY_LOGIN_TIME, .from = meta_key_bytes(from), .rows_max = 1};
    struct table_rows rows;
    VY_TRY(table_read_page(view, &page, &rows));
    *is_found = rows.count > 0;
    if (*is_found) {
        *account_id = vy_get_be64(rows.keys[0].data);
        *is_failed = rows.keys[0].data[8] != 0;
        *last_ms = vy_get_be64(rows.keys[0].data + 9);
    }
    return vy_ok();
}

/* One account of the rows by time: the oldest of each class tells. */
static struct vy_err look_at_rows(struct login_sweep *sweep, const struct meta_view *view)
{
    const uint64_t limit_ms = limit_of(sweep, META_LOGIN_KEEP_MS);
    const struct meta_key from = meta_key_login_time(sweep->account_id, false, 0, VY_LIT(""));
    uint64_t account_id = 0;
    uint64_t last_ms = 0;
    bool is_failed = false;
    bool is_found = false;
    VY_TRY(find_row(view, &from, &account_id, &is_failed, &last_ms, &is_found));
    if (!is_found) {
        sweep->pass = SWEEP_NETS;
        sweep->account_id = 0;
        return vy_ok();
    }
    if (last_ms < limit_ms) {
        add_due(sweep, account_id);
    }
    sweep->account_id = account_id + 1;
    if (!is_failed) {
        const struct meta_key failed = meta_key_login_time(account_id, true, 0, VY_LIT(""));
        uint64_t other_id = 0;
        VY_TRY(find_row(view, &failed, &other_id, &is_failed, &last_ms, &is_found));
        if (is_found && other_id == account_id && last_ms < limit_ms) {
            add_due(sweep, account_id);
        }
    }
    return vy_ok();
}

/* Networks have no order by time: they are all looked at. */
static struct vy_err look_at_nets(struct login_sweep *sweep, const struct meta_view *view)
{
    const uint64_t limit_ms = limit_of(sweep, META_LOGIN_NET_KEEP_MS);
    const struct meta_key from = meta_key_u64(sweep->account_id);
    const struct table_page page = {.family = META_FAMILY_LOGIN_NET,
                                    .from = meta_key_bytes(&from),
                                    .rows_max = NET_ROWS,
                                    .desc = &login_net_row_desc};
    struct table_rows rows;
    VY_TRY(table_read_page(view, &page, &rows));
    const struct login_net_row *nets = rows.rows;
    uint64_t account_id = sweep->account_id;
    for (size_t i = 0; i < rows.count && sweep->due_count < VY_COUNT_OF(sweep->due); i++) {
        account_id = vy_get_be64(rows.keys[i].data);
        if (nets[i].last_ms < limit_ms) {
            add_due(sweep, account_id);
        }
    }
    /* The last account again, unless a page is all its own: it may have more rows. */
    const bool is_whole = rows.count > 0 && vy_get_be64(rows.keys[0].data) == account_id;
    sweep->account_id = is_whole ? account_id + 1 : account_id;
    if (!rows.is_more) {
        sweep->pass = SWEEP_ROWS;
        sweep->account_id = 0;
    }
    return vy_ok();
}

static void sweep_on_worker(void *arg)
{
    struct login_sweep *sweep = arg;
    struct vy_arena arena;
    vy_arena_init(&arena, ARENA_BYTES_MAX);
    const struct meta_view view = {.reader = store_snapshot_reader(sweep->snapshot),
                                   .arena = &arena};
    const enum sweep_pass pass = sweep->pass;
    struct vy_err err = vy_ok();
    for (unsigned i = 0; i < LOOKS_MAX && sweep->pass == pass && !vy_failed(err) &&
                         sweep->due_count < VY_COUNT_OF(sweep->due);
         i += pass == SWEEP_ROWS ? 2 : NET_ROWS) {
        vy_arena_reset(&arena);
        err = pass == SWEEP_ROWS ? look_at_rows(sweep, &view) : look_at_nets(sweep, &view);
    }
    if (vy_failed(err)) { /* a damaged row: the others are not held up by it */
        sweep->account_id++;
    }
    vy_arena_deinit(&arena);
}

/* ---- proposing ---- */

static void end_step(struct login_sweep *sweep)
{
    sweep->is_busy = false;
    if (!sweep->is_stopped) {
        vy_timer_start(sweep->timer, SWEEP_MS);
    }
}

static void sweep_on_committed(struct meta *meta, void *arg, struct vy_err err,
                               const struct meta_result *result)
{
    (void)meta;
    (void)result;
    vy_ignore(err, "they are found again the next time round");
    end_step(arg);
}

static void sweep_on_looked(void *arg)
{
    struct login_sweep *sweep = arg;
    struct meta *meta = sweep->meta;
    store_snapshot_free(sweep->snapshot);
    sweep->snapshot = NULL;
    const struct cmd_login_expire expire = {.account_ids = sweep->due,
                                            .account_ids_count = sweep->due_count};
    const struct meta_command command = {.version = META_COMMAND_VERSION, .login_expire = &expire};
    if (sweep->due_count > 0 && meta_is_ready(meta) && !meta->is_stopping) {
        meta_propose_background(meta, &command, sweep_on_committed, sweep);
    } else {
        end_step(sweep);
    }
    meta->stats.calls_open--;
    meta_on_call_closed(meta);
}

static void sweep_on_timer(void *arg)
{
    struct login_sweep *sweep = arg;
    struct meta *meta = sweep->meta;
    struct vy_err err = vy_error(VY_CODE_NOT_LEADER, "does not lead");
    if (meta_is_ready(meta)) {
        err = meta->group->ops->snapshot(meta->group, &sweep->snapshot, NULL);
    }
    if (!vy_failed(err)) {
        sweep->due_count = 0;
        sweep->now_ms = meta_now_ms(meta);
        sweep->is_busy = true;
        err = vy_workers_submit(meta->config.workers, meta->config.loop, sweep_on_worker,
                                sweep_on_looked, sweep);
    }
    if (vy_failed(err)) {
        store_snapshot_free(sweep->snapshot);
        sweep->snapshot = NULL;
        end_step(sweep);
        return;
    }
    meta->stats.calls_open++;
}

/* ---- life ---- */

struct vy_err login_sweep_new(struct meta *meta, struct login_sweep **out)
{
    struct login_sweep *sweep = calloc(1, sizeof(*sweep));
    if (sweep == NULL) {
        return vy_error(VY_CODE_NOMEM, "sweep of sign-in records");
    }
    sweep->meta = meta;
    sweep->timer = vy_timer_new(meta->config.loop, sweep_on_timer, sweep);
    if (sweep->timer == NULL) {
        free(sweep);
        return vy_error(VY_CODE_NOMEM, "sweep of sign-in records");
    }
    *out = sweep;
    return vy_ok();
}

void login_sweep_start(struct login_sweep *sweep)
{
    vy_timer_start(sweep->timer, SWEEP_MS);
}

void login_sweep_stop(struct login_sweep *sweep)
{
    sweep->is_stopped = true;
    vy_timer_stop(sweep->timer);
}

void login_sweep_free(struct login_sweep *sweep)
{
    if (sweep != NULL) {
        vy_timer_free(sweep->timer);
        free(sweep);
    }
}
