/* SPDX-License-Identifier: Apache-2.0 */
#include "shard/purger.h"
#include "base/list.h"
#include "shard/read.h"
#include "shard/service_private.h"
#include <stdlib.h>

#define PURGER_QUEUE_MAX 65536U /* rows of gone known to wait; the rest is found by a scan */
#define PURGER_TICK_MS 1000U
#define PURGER_REST_MS 2000U        /* a row rests this long: a view may just be opening */
#define PURGER_SCAN_EVERY_MS 60000U /* stages, and rows that did not fit the queue */
#define PURGER_SCAN_STAGES_MAX 256U
/* Deleting a row costs up to 256 emails: a few commands a tick keep the log free for mail. */
#define PURGER_COMMANDS_A_TICK 8U

struct gone_row {
    uint64_t account_id;
    uint64_t mailbox_id;
    uint64_t modseq;
    uint32_t part;
    uint64_t noted_ms;
};

/* What one scan of the tables found. */
struct purger_scan {
    struct gone_row rows[PURGER_QUEUE_MAX];
    size_t row_count;
    struct stage_name stages[PURGER_SCAN_STAGES_MAX];
    uint8_t stage_ids[PURGER_SCAN_STAGES_MAX][SHARD_ID_BYTES];
    size_t stage_count;
    uint64_t now_ms; /* wall clock: stages carry it */
    bool wants_gone;
    struct vy_err err;
};

struct purger {
    struct service *service; /* borrowed */
    struct vy_timer *timer;  /* owned; runs while this member leads */
    bool is_leader;
    uint64_t since_ms;      /* leads since; monotonic */
    struct gone_row *queue; /* owned ring */
    size_t head;
    size_t count;
    bool is_overflown; /* there may be rows that the queue does not know */
    bool is_busy;      /* a command or a scan runs */
    unsigned commands_left;
    uint64_t scanned_ms;
    size_t proposed_rows;
    struct purger_scan *scan; /* owned, while one runs */
};

static uint64_t now(const struct purger *purger)
{
    return vy_loop_now_ms(purger->service->config.loop);
}

static void put(struct purger *purger, const struct gone_row *row)
{
    if (purger->count == PURGER_QUEUE_MAX) {
        purger->is_overflown = true;
        return;
    }
    purger->queue[(purger->head + purger->count) % PURGER_QUEUE_MAX] = *row;
    purger->count++;
}

static struct gone_row take(struct purger *purger)
{
    const struct gone_row row = purger->queue[purger->head];

    purger->head = (purger->head + 1) % PURGER_QUEUE_MAX;
    purger->count--;
    return row;
}

void purger_note(struct purger *purger, const struct fsm_event *event)
{
    if (purger->is_leader) {
        put(purger, &(struct gone_row){event->account_id, event->mailbox_id, event->modseq,
                                       event->part, now(purger)});
    }
}

void purger_on_lost(struct purger *purger)
{
    purger->is_overflown = true;
}

/* ---- commands ---- */

static void run(struct purger *purger);

static void on_applied(void *arg, struct vy_err err, struct vy_bytes result)
{
    struct purger *purger = arg;

    (void)result; /* rows purged before, or erased, are no matter */
    purger->is_busy = false;
    if (vy_failed(err)) {
        purger->is_overflown = true; /* whether they went is found by the next scan */
        return;
    }
    purger->service->stats.purged_rows += purger->proposed_rows;
    run(purger);
}

static void propose(struct purger *purger, struct shard_command *command, size_t row_count)
{
    struct shard_log *replica = purger->service->config.replica;
    VY_CLEANUP(vy_buf_deinit) struct vy_buf encoded;

    vy_buf_init(&encoded, SHARD_COMMAND_BYTES_MAX);
    command->version = SHARD_COMMAND_VERSION;
    if (vy_failed(vy_pb_encode(&shard_command_desc, command, &encoded))) {
        purger->is_overflown = true;
        return;
    }
    const struct shard_proposal proposal = {.command = vy_buf_bytes(&encoded), .reserve = true};
    purger->is_busy = true;
    purger->proposed_rows = row_count;
    replica->ops->propose(replica, &proposal, on_applied, purger);
}

/* Rows that may go, the others to the back of the queue; each is looked at once. */
static size_t collect(struct purger *purger, struct purge_row *rows)
{
    const uint64_t now_ms = now(purger);
    size_t found = 0;

    for (size_t left = purger->count; left > 0 && found < SHARD_GONE_ROWS_MAX; left--) {
        const struct gone_row row = take(purger);
        if (now_ms - row.noted_ms < PURGER_REST_MS ||
            views_hold(purger->service->views, row.account_id, row.mailbox_id, row.modseq)) {
            put(purger, &row);
            continue;
        }
        rows[found++] = (struct purge_row){.account_id = row.account_id,
                                           .mailbox_id = row.mailbox_id,
                                           .modseq = row.modseq,
                                           .part = row.part};
    }
    return found;
}

static void run(struct purger *purger)
{
    struct purge_row rows[SHARD_GONE_ROWS_MAX];

    if (purger->is_busy || !purger->is_leader || purger->commands_left == 0) {
        return;
    }
    purger->commands_left--;
    const size_t count = collect(purger, rows);
    if (count > 0) {
        const struct cmd_purge purge = {.rows_count = count, .rows = rows};
        propose(purger, &(struct shard_command){.purge = &purge}, count);
    }
}

/* ---- the scan ---- */

/* @thread a worker */
static void scan_gone(struct purger_scan *scan, const struct store_reader *reader)
{
    const struct store_range all = {.from = {.data = NULL}};
    struct store_iter *iter = NULL;

    scan->err = store_iter_new(reader, shard_store_family(SHARD_GONE), &all, &iter);
    if (vy_failed(scan->err)) {
        return;
    }
    for (; iter->is_valid && scan->row_count < PURGER_QUEUE_MAX; store_iter_next(iter)) {
        struct gone_row *row = &scan->rows[scan->row_count];
        if (keys_parse_account(iter->key, &row->account_id) &&
            keys_parse_modseq(iter->key, &row->mailbox_id, &row->modseq)) {
            row->noted_ms = 0; /* long ago */
            row->part = vy_get_be32(iter->key.data + iter->key.len - 4);
            scan->row_count++;
        }
    }
    scan->err = store_iter_error(iter);
    store_iter_free(iter);
}

static void note_stage(struct purger_scan *scan, const struct store_iter *iter)
{
    struct stage_row row;
    struct vy_arena arena;
    uint64_t account_id = 0;

    vy_arena_init(&arena, 4096);
    const bool is_over = keys_parse_account(iter->key, &account_id) &&
                         iter->key.len > SHARD_ID_BYTES &&
                         !vy_failed(vy_pb_decode(&stage_row_desc, &arena, iter->value, &row)) &&
                         row.expires_ms < scan->now_ms;
    vy_arena_deinit(&arena);
    if (is_over) {
        uint8_t *id = scan->stage_ids[scan->stage_count];
        memcpy(id, iter->key.data + iter->key.len - SHARD_ID_BYTES, SHARD_ID_BYTES);
        scan->stages[scan->stage_count++] =
            (struct stage_name){.account_id = account_id, .email_id = vy_bytes(id, SHARD_ID_BYTES)};
    }
}

/* @thread a worker */
static void scan_stages(struct purger_scan *scan, const struct store_reader *reader)
{
    const struct store_range all = {.from = {.data = NULL}};
    struct store_iter *iter = NULL;

    scan->err = store_iter_new(reader, shard_store_family(SHARD_STAGE), &all, &iter);
    if (vy_failed(scan->err)) {
        return;
    }
    for (; iter->is_valid && scan->stage_count < PURGER_SCAN_STAGES_MAX; store_iter_next(iter)) {
        note_stage(scan, iter);
    }
    scan->err = store_iter_error(iter);
    store_iter_free(iter);
}

static void scan_work(void *arg)
{
    struct purger *purger = arg;
    struct shard_log *replica = purger->service->config.replica;
    struct store_snapshot *snapshot = NULL;
    struct purger_scan *scan = purger->scan;

    scan->err = replica->ops->snapshot_open(replica, &snapshot);
    if (!vy_failed(scan->err)) {
        scan_stages(scan, store_snapshot_reader(snapshot));
    }
    if (!vy_failed(scan->err) && scan->wants_gone) {
        scan_gone(scan, store_snapshot_reader(snapshot));
    }
    store_snapshot_free(snapshot);
}

static void scan_done(void *arg)
{
    struct purger *purger = arg;
    struct purger_scan *scan = purger->scan;

    purger->is_busy = false;
    purger->scan = NULL;
    if (vy_failed(scan->err)) {
        vy_log(purger->service->config.log, VY_LOG_ERROR, "shard.purge.failed",
               VY_LOG_ERR(scan->err));
        free(scan);
        return;
    }
    if (scan->wants_gone) {
        purger->is_overflown = scan->row_count == PURGER_QUEUE_MAX;
        for (size_t i = 0; i < scan->row_count; i++) {
            put(purger, &scan->rows[i]);
        }
    }
    if (scan->stage_count > 0 && purger->is_leader) {
        const struct cmd_stage_end end = {.stages_count = scan->stage_count,
                                          .stages = scan->stages,
                                          .expired_before_ms = scan->now_ms};
        propose(purger, &(struct shard_command){.stage_end = &end}, 0);
    }
    free(scan);
}

static void start_scan(struct purger *purger)
{
    const struct service_config *config = &purger->service->config;

    purger->scan = malloc(sizeof(*purger->scan));
    if (purger->scan == NULL) {
        return; /* the next tick tries again */
    }
    purger->scan->row_count = 0;
    purger->scan->stage_count = 0;
    purger->scan->now_ms = vy_clock_wall_ms(config->clock);
    /* Only into an empty queue: a row must not stand in it twice. */
    purger->scan->wants_gone = purger->is_overflown && purger->count == 0;
    purger->is_busy = true;
    purger->scanned_ms = now(purger);
    if (vy_failed(vy_workers_submit(config->workers, config->loop, scan_work, scan_done, purger))) {
        purger->is_busy = false;
        free(purger->scan);
        purger->scan = NULL;
    }
}

bool purger_is_quiet(const struct purger *purger)
{
    return !purger->is_busy;
}

/* ---- time ---- */

static void on_tick(void *arg)
{
    struct purger *purger = arg;
    const uint64_t now_ms = now(purger);

    vy_timer_start(purger->timer, PURGER_TICK_MS);
    views_expire(purger->service->views);
    if (purger->is_busy || now_ms - purger->since_ms < purger->service->config.view_lease_ms) {
        return;
    }
    if (now_ms - purger->scanned_ms >= PURGER_SCAN_EVERY_MS ||
        (purger->is_overflown && purger->count == 0)) {
        start_scan(purger);
        return;
    }
    purger->commands_left = PURGER_COMMANDS_A_TICK;
    run(purger);
}

void purger_on_leader(struct purger *purger, bool is_leader)
{
    purger->is_leader = is_leader;
    purger->head = 0;
    purger->count = 0;
    if (!is_leader) {
        vy_timer_stop(purger->timer);
        return;
    }
    purger->is_overflown = true; /* what leaders before left behind */
    purger->since_ms = now(purger);
    purger->scanned_ms = purger->since_ms;
    vy_timer_start(purger->timer, PURGER_TICK_MS);
}

struct vy_err purger_new(struct service *service, struct purger **out)
{
    struct purger *purger = calloc(1, sizeof(*purger));

    if (purger == NULL) {
        return vy_error(VY_CODE_NOMEM, "allocate purger");
    }
    purger->service = service;
    purger->queue = malloc(PURGER_QUEUE_MAX * sizeof(*purger->queue));
    purger->timer = vy_timer_new(service->config.loop, on_tick, purger);
    if (purger->queue == NULL || purger->timer == NULL) {
        purger_free(purger);
        return vy_error(VY_CODE_NOMEM, "allocate purger");
    }
    *out = purger;
    return vy_ok();
}

void purger_free(struct purger *purger)
{
    if (purger == NULL) {
        return;
    }
    vy_timer_free(purger->timer);
    free(purger->scan);
    free(purger->queue);
    free(purger);
}
