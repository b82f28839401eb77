/* SPDX-License-Identifier: Apache-2.0 */
#include "shard/settler.h"
#include "base/assert.h"
#include "base/plant.h"
#include "shard/service_private.h"
#include <stdlib.h>

#define SETTLER_TICK_MS 1000U
#define SETTLER_RETRY_MS_MAX 30000U /* between looks, while a group does not answer */
#define SETTLER_JOBS_MAX 64U        /* deliveries of one look; the next look takes more */
#define SETTLER_COPIES_MAX 4096U    /* of these deliveries */
#define SETTLER_HURRIED_MAX 64U
#define SETTLER_HURRY_MS 1000U /* a first attempt that lives has decided by then */
#define ROW_ARENA_BYTES_MAX (64U * 1024U)

/* A copy that is to be settled. */
struct due_copy {
    uint64_t account_id;
    size_t job;
};

/* A delivery that is to be settled. */
struct job {
    struct settler *settler;
    uint8_t delivery_id[SHARD_ID_BYTES];
    uint64_t decider_group;
    bool is_expired;
    bool is_committed;
    bool is_abandoned;
};

/* What one look at the table found. */
struct look {
    struct job jobs[SETTLER_JOBS_MAX];
    size_t job_count;
    struct due_copy copies[SETTLER_COPIES_MAX];
    size_t copy_count;
    uint64_t held_bytes;
    bool is_empty;
    uint64_t now_ms; /* wall clock: rows carry it */
    uint8_t hurried[SETTLER_HURRIED_MAX][SHARD_ID_BYTES];
    size_t hurried_count;
    struct vy_err err;
};

struct hurried {
    uint8_t delivery_id[SHARD_ID_BYTES];
    uint64_t since_ms; /* monotonic */
};

struct settler {
    struct service *service; /* borrowed */
    struct vy_timer *timer;  /* owned; runs while this member leads */
    bool is_leader;
    bool may_hold;     /* something, or it is not known */
    struct look *look; /* owned, while one runs or its jobs do */
    bool is_looking;
    size_t open_jobs;
    size_t failed_jobs;
    unsigned failures; /* looks in a row with jobs that got no answer */
    struct hurried hurried[SETTLER_HURRIED_MAX];
    size_t hurried_count;
};

/* ---- the look. @thread a worker ---- */

static bool is_hurried(const struct look *look, const uint8_t *delivery_id)
{
    for (size_t i = 0; i < look->hurried_count; i++) {
        if (memcmp(look->hurried[i], delivery_id, SHARD_ID_BYTES) == 0) {
            return true;
        }
    }
    return false;
}

static size_t find_job(struct look *look, const uint8_t *delivery_id, const struct held_row *row)
{
    for (size_t i = 0; i < look->job_count; i++) {
        if (memcmp(look->jobs[i].delivery_id, delivery_id, SHARD_ID_BYTES) == 0) {
            return i;
        }
    }
    if (look->job_count == SETTLER_JOBS_MAX) {
        return SIZE_MAX;
    }
    struct job *job = &look->jobs[look->job_count];
    *job = (struct job){.decider_group = row->decider_group,
                        .is_expired = row->expires_ms <= look->now_ms};
    memcpy(job->delivery_id, delivery_id, SHARD_ID_BYTES);
    return look->job_count++;
}

static void note_row(struct look *look, const struct store_iter *iter, struct vy_arena *arena)
{
    const uint8_t *delivery_id = iter->key.data + iter->key.len - SHARD_ID_BYTES;
    struct held_row row;
    uint64_t account_id = 0;

    vy_arena_reset(arena);
    if (iter->key.len != SHARD_ACCOUNT_PREFIX_BYTES + SHARD_ID_BYTES ||
        !keys_parse_account(iter->key, &account_id) ||
        vy_failed(vy_pb_decode(&held_row_desc, arena, iter->value, &row)) || row.delivery == NULL ||
        row.delivery->message == NULL) {
        look->err = vy_error(VY_CODE_CORRUPT, "read held copy");
        return;
    }
    look->is_empty = false;
    look->held_bytes += row.delivery->message->size_bytes;
    if ((row.ask_at_ms > look->now_ms && !is_hurried(look, delivery_id)) ||
        look->copy_count == SETTLER_COPIES_MAX) {
        return;
    }
    const size_t job = find_job(look, delivery_id, &row);
    if (job != SIZE_MAX) {
        look->copies[look->copy_count++] = (struct due_copy){.account_id = account_id, .job = job};
    }
}

static void look_at_rows(struct look *look, const struct store_reader *reader)
{
    const struct store_range all = {.from = {.data = NULL}};
    struct store_iter *iter = NULL;
    struct vy_arena arena;

    look->err = store_iter_new(reader, shard_store_family(SHARD_HELD), &all, &iter);
    if (vy_failed(look->err)) {
        return;
    }
    vy_arena_init(&arena, ROW_ARENA_BYTES_MAX);
    for (; iter->is_valid; store_iter_next(iter)) {
        note_row(look, iter, &arena);
    }
    vy_arena_deinit(&arena);
    if (!vy_failed(look->err)) {
        look->err = store_iter_error(iter);
    }
    store_iter_free(iter);
}

static void look_work(void *arg)
{
    struct settler *settler = arg;
    struct shard_log *replica = settler->service->config.replica;
    struct store_snapshot *snapshot = NULL;
    struct look *look = settler->look;

    look->err = replica->ops->snapshot_open(replica, &snapshot);
    if (!vy_failed(look->err)) {
        look_at_rows(look, store_snapshot_reader(snapshot));
    }
    store_snapshot_free(snapshot);
}

/* ---- jobs ---- */

static void job_over(struct job *job, bool is_settled)
{
    struct settler *settler = job->settler;

    settler->failed_jobs += is_settled ? 0 : 1;
    settler->open_jobs--;
    if (settler->open_jobs > 0) {
        return;
    }
    settler->failures = settler->failed_jobs == 0 ? 0 : settler->failures + 1;
    free(settler->look);
    settler->look = NULL;
    if (settler->is_leader) {
        const uint32_t pause_ms = SETTLER_TICK_MS << VY_MIN(settler->failures, 5U);
        vy_timer_start(settler->timer, VY_MIN(pause_ms, SETTLER_RETRY_MS_MAX));
    }
}

enum job_end { JOB_SETTLED, JOB_UNSETTLED, JOB_ABANDONED };

static const struct {
    enum vy_log_level level;
    const char *event;
} job_events[] = {
    [JOB_SETTLED] = {VY_LOG_INFO,  "shard.delivery.settled"  },
    [JOB_UNSETTLED] = {VY_LOG_WARN,  "shard.delivery.unsettled"},
    [JOB_ABANDONED] = {VY_LOG_ERROR, "shard.delivery.abandoned"},
};

static void log_job(const struct job *job, enum job_end end, struct vy_err err)
{
    vy_log(job->settler->service->config.log, job_events[end].level, job_events[end].event,
           VY_ID("shard.delivery", job->delivery_id),
           VY_U64("shard.decider_group", job->decider_group),
           VY_CSTR("shard.decision", job->is_committed ? "yes" : "no"), VY_LOG_ERR(err));
}

static void count_ended(struct settler *settler, const struct shard_result *result, bool is_drop)
{
    struct service_stats *stats = &settler->service->stats;

    for (size_t i = 0; i < result->recipients_count; i++) {
        const bool is_stored = result->recipients[i].outcome == DELIVER_OUTCOME_STORED;
        stats->copies_released += is_stored ? 1 : 0;
        stats->copies_dropped += is_stored ? 0 : 1;
        stats->copies_abandoned += is_drop ? 1 : 0;
    }
}

static void on_ended(void *arg, struct vy_err err, struct vy_bytes bytes)
{
    struct job *job = arg;
    struct shard_result result;
    struct vy_arena arena;

    vy_arena_init(&arena, CALL_ARENA_BYTES_MAX);
    if (!vy_failed(err)) {
        err = vy_pb_decode(&shard_result_desc, &arena, bytes, &result);
    }
    if (!vy_failed(err)) {
        count_ended(job->settler, &result, job->is_abandoned);
        if (!job->is_abandoned) {
            log_job(job, JOB_SETTLED, vy_ok());
        }
    }
    vy_arena_deinit(&arena);
    job_over(job, !vy_failed(err));
}

/* Its copies of this look: at most those of one command. */
static size_t copies_of(const struct job *job, struct held_copy *out)
{
    const struct look *look = job->settler->look;
    size_t count = 0;

    for (size_t i = 0; i < look->copy_count && count < SHARD_RECIPIENTS_MAX; i++) {
        if (&look->jobs[look->copies[i].job] == job) {
            out[count++].account_id = look->copies[i].account_id;
        }
    }
    return count;
}

static void end_copies(struct job *job)
{
    struct shard_log *replica = job->settler->service->config.replica;
    struct held_copy copies[SHARD_RECIPIENTS_MAX];
    VY_CLEANUP(vy_buf_deinit) struct vy_buf encoded;
    const struct cmd_held_end end = {
        .delivery_id = vy_bytes(job->delivery_id, SHARD_ID_BYTES),
        .commit = job->is_committed,
        .copies_count = copies_of(job, copies),
        .copies = copies,
        .keep_ms = SETTLER_DECISION_KEEP_MS,
    };
    const struct shard_command command = {.version = SHARD_COMMAND_VERSION, .held_end = &end};

    vy_buf_init(&encoded, SHARD_COMMAND_BYTES_MAX);
    if (vy_failed(vy_pb_encode(&shard_command_desc, &command, &encoded))) {
        job_over(job, false);
        return;
    }
    const struct shard_proposal proposal = {.command = vy_buf_bytes(&encoded), .reserve = true};
    replica->ops->propose(replica, &proposal, on_ended, job);
}

/* Nobody can be asked, rather than this member could not ask just now. */
static bool is_out_of_reach(struct vy_err err)
{
    return err.code != VY_CODE_CANCELLED && err.code != VY_CODE_BUSY && err.code != VY_CODE_NOMEM &&
           err.code != VY_CODE_NOT_LEADER;
}

static void on_answer(void *arg, struct vy_err err, bool is_committed)
{
    struct job *job = arg;

    if (!vy_failed(err)) {
        job->is_committed = is_committed;
        end_copies(job);
    } else if (job->is_expired && is_out_of_reach(err)) {
        job->is_abandoned = true;
        log_job(job, JOB_ABANDONED, err);
        end_copies(job);
    } else {
        log_job(job, JOB_UNSETTLED, err);
        job_over(job, false);
    }
}

/* This group decides itself: it held its own copies, under a map that has changed since. */
static void on_decided_here(void *arg, struct vy_err err, struct vy_bytes bytes)
{
    struct shard_result result = {.committed = false};
    struct vy_arena arena;

    vy_arena_init(&arena, CALL_ARENA_BYTES_MAX);
    if (!vy_failed(err)) {
        err = vy_pb_decode(&shard_result_desc, &arena, bytes, &result);
    }
    vy_arena_deinit(&arena);
    on_answer(arg, err, result.committed);
}

static void decide_here(struct job *job)
{
    struct shard_log *replica = job->settler->service->config.replica;
    VY_CLEANUP(vy_buf_deinit) struct vy_buf encoded;
    const struct cmd_decide decide = {.delivery_id = vy_bytes(job->delivery_id, SHARD_ID_BYTES),
                                      .keep_ms = SETTLER_DECISION_KEEP_MS};
    const struct shard_command command = {.version = SHARD_COMMAND_VERSION, .decide = &decide};

    vy_buf_init(&encoded, SHARD_COMMAND_BYTES_MAX);
    if (vy_failed(vy_pb_encode(&shard_command_desc, &command, &encoded))) {
        job_over(job, false);
        return;
    }
    const struct shard_proposal proposal = {.command = vy_buf_bytes(&encoded), .reserve = true};
    replica->ops->propose(replica, &proposal, on_decided_here, job);
}

static void start_job(struct job *job)
{
    const struct service_config *config = &job->settler->service->config;

    job->settler->service->stats.deliveries_asked++;
    if (VY_PLANT(GUESS_NO)) {
        on_answer(job, vy_ok(), false);
    } else if (job->decider_group == config->group_id) {
        decide_here(job);
    } else if (config->peer_ops == NULL) {
        on_answer(job, vy_error(VY_CODE_UNAVAILABLE, "no way to the deciding group"), false);
    } else {
        config->peer_ops->ask(config->peers, job->decider_group, job->delivery_id, on_answer, job);
    }
}

/* ---- looking ---- */

static void look_done(void *arg)
{
    struct settler *settler = arg;
    struct look *look = settler->look;

    settler->is_looking = false;
    settler->failed_jobs = 0;
    settler->open_jobs = 1; /* this function's own, so that the look stays until its end */
    struct job last = {.settler = settler};
    if (vy_failed(look->err)) {
        vy_log(settler->service->config.log, VY_LOG_ERROR, "shard.delivery.look_failed",
               VY_LOG_ERR(look->err));
        job_over(&last, false);
        return;
    }
    settler->service->stats.held_bytes = look->held_bytes;
    settler->may_hold = !look->is_empty;
    settler->open_jobs += settler->is_leader ? look->job_count : 0;
    for (size_t i = 0; settler->is_leader && i < look->job_count; i++) {
        look->jobs[i].settler = settler;
        start_job(&look->jobs[i]);
    }
    job_over(&last, true);
}

/* Those that were hurried for long enough; the others stay for the next look. */
static void take_hurried(struct settler *settler, struct look *look)
{
    const uint64_t now_ms = vy_loop_now_ms(settler->service->config.loop);
    size_t kept = 0;

    for (size_t i = 0; i < settler->hurried_count; i++) {
        if (now_ms - settler->hurried[i].since_ms < SETTLER_HURRY_MS) {
            settler->hurried[kept++] = settler->hurried[i];
        } else {
            memcpy(look->hurried[look->hurried_count++], settler->hurried[i].delivery_id,
                   SHARD_ID_BYTES);
        }
    }
    settler->hurried_count = kept;
}

static void on_tick(void *arg)
{
    struct settler *settler = arg;
    const struct service_config *config = &settler->service->config;

    vy_timer_start(settler->timer, SETTLER_TICK_MS);
    if (!settler->may_hold || settler->look != NULL) {
        return;
    }
    settler->look = calloc(1, sizeof(*settler->look));
    if (settler->look == NULL) {
        return; /* the next tick tries again */
    }
    settler->look->is_empty = true;
    settler->look->now_ms = vy_clock_wall_ms(config->clock);
    take_hurried(settler, settler->look);
    settler->is_looking = true;
    if (vy_failed(
            vy_workers_submit(config->workers, config->loop, look_work, look_done, settler))) {
        settler->is_looking = false;
        free(settler->look);
        settler->look = NULL;
    }
}

/* ---- what the service says ---- */

void settler_note_held(struct settler *settler, uint64_t bytes)
{
    settler->may_hold = true;
    settler->service->stats.held_bytes += bytes; /* until the next look counts */
}

void settler_hurry(struct settler *settler, const uint8_t delivery_id[SHARD_ID_BYTES])
{
    for (size_t i = 0; i < settler->hurried_count; i++) {
        if (memcmp(settler->hurried[i].delivery_id, delivery_id, SHARD_ID_BYTES) == 0) {
            return;
        }
    }
    if (settler->hurried_count == SETTLER_HURRIED_MAX) {
        return; /* it is asked about in its time */
    }
    struct hurried *hurried = &settler->hurried[settler->hurried_count++];
    memcpy(hurried->delivery_id, delivery_id, SHARD_ID_BYTES);
    hurried->since_ms = vy_loop_now_ms(settler->service->config.loop);
    settler->may_hold = true;
    if (settler->is_leader) {
        vy_timer_start(settler->timer, SETTLER_TICK_MS); /* it may be on a long pause */
    }
}

bool settler_is_full(const struct settler *settler)
{
    return settler->service->stats.held_bytes >= SETTLER_HELD_BYTES_MAX;
}

bool settler_is_quiet(const struct settler *settler)
{
    return settler->look == NULL;
}

void settler_on_leader(struct settler *settler, bool is_leader)
{
    settler->is_leader = is_leader;
    settler->hurried_count = 0;
    settler->failures = 0;
    settler->may_hold = is_leader; /* what leaders before left behind */
    if (is_leader) {
        vy_timer_start(settler->timer, SETTLER_TICK_MS);
    } else {
        vy_timer_stop(settler->timer);
        settler->service->stats.held_bytes = 0;
    }
}

struct vy_err settler_new(struct service *service, struct settler **out)
{
    struct settler *settler = calloc(1, sizeof(*settler));

    if (settler == NULL) {
        return vy_error(VY_CODE_NOMEM, "allocate settler");
    }
    settler->service = service;
    settler->timer = vy_timer_new(service->config.loop, on_tick, settler);
    if (settler->timer == NULL) {
        free(settler);
        return vy_error(VY_CODE_NOMEM, "allocate settler");
    }
    *out = settler;
    return vy_ok();
}

void settler_free(struct settler *settler)
{
    if (settler == NULL) {
        return;
    }
    vy_timer_free(settler->timer);
    free(settler->look);
    free(settler);
}
