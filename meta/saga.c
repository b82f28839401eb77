/* SPDX-License-Identifier: Apache-2.0 */
#include "meta/saga_private.h"

#include "meta/certificate.h"
#include <stdlib.h>

#define RUNS_MAX 32U     /* jobs at once; a group that is down holds up its own jobs only */
#define PAGE_ROWS 64U    /* open jobs looked at in a round; the next round goes on behind */
#define ROUND_MS 1000U   /* between looks, and between tries of a step that failed */
#define SOON_MS 50U      /* when members are about to be done */
#define WAITING_MS 5000U /* between looks at jobs that ended with members pending */
#define EXPIRE_MS 5000U  /* how exact the end of a soft delete is */
#define ARENA_BYTES_MAX (1024U * 1024)
#define CERTIFICATE_BYTES_MAX (32U * 1024)

struct erase_saga {
    struct meta *meta;
    struct vy_timer *timer; /* owned */
    struct erase_run runs[RUNS_MAX];
    uint64_t after_job;     /* the round goes on behind this one */
    uint64_t after_waiting; /* the same for jobs with members pending */
    uint64_t waiting_at_ms;
    uint64_t expire_at_ms;
    bool is_expiring;
    bool is_stopping;
};

struct meta *erase_run_meta(const struct erase_run *run)
{
    return run->saga->meta;
}

static void run_end(struct erase_run *run)
{
    struct meta *meta = run->saga->meta;
    vy_arena_deinit(&run->arena);
    vy_buf_deinit(&run->certificate);
    run->saga = NULL;
    meta->stats.calls_open--;
    meta_on_call_closed(meta);
}

/* ---- what was done is committed ---- */

static void step_on_committed(struct meta *meta, void *arg, struct vy_err err,
                              const struct meta_result *result)
{
    struct erase_run *run = arg;
    const bool is_last = run->step == ERASE_STEP_CERTIFICATE;
    const bool is_failure = vy_failed(run->err);
    if (vy_failed(err) || is_failure || run->is_pending || result->outcome != META_OUTCOME_OK) {
        run_end(run); /* the next round looks again */
        return;
    }
    if (is_last) {
        vy_log(meta->config.log, VY_LOG_INFO, "meta.erase.done", VY_U64("meta.job", run->job.id),
               VY_U64("u.id", run->job.account_id));
    }
    erase_run_next(run);
}

/* The same failure is written down once: a group that is down must not fill the log. */
static bool is_told(const struct erase_run *run, const char *text)
{
    for (size_t i = 0; i < run->job.steps_count; i++) {
        if (run->job.steps[i].step == run->step) {
            return vy_bytes_equal(run->job.steps[i].error, vy_cstr(text));
        }
    }
    return true;
}

void erase_run_rest(struct erase_run *run, bool is_soon)
{
    struct erase_saga *saga = run->saga;
    run_end(run);
    if (is_soon && !saga->is_stopping) {
        vy_timer_start(saga->timer, SOON_MS);
    }
}

void erase_run_done(struct erase_run *run, struct vy_err err)
{
    struct meta *meta = run->saga->meta;
    const char *text = err.what == NULL ? vy_code_text(err.code) : err.what;
    run->err = err;
    if (run->saga->is_stopping || (vy_failed(err) && is_told(run, text))) {
        run_end(run);
        return;
    }
    if (vy_failed(err)) {
        vy_log(meta->config.log, VY_LOG_WARN, "meta.erase.failed", VY_U64("meta.job", run->job.id),
               VY_U64("u.id", run->job.account_id), VY_U64("meta.step", run->step),
               VY_LOG_ERR(err));
    }
    const struct cmd_erase_step body = {.job_id = run->job.id,
                                        .step = run->step,
                                        .error = vy_failed(err) ? vy_cstr(text) : vy_bytes(NULL, 0),
                                        .certificate = vy_buf_bytes(&run->certificate),
                                        .members_count = vy_failed(err) ? 0 : run->member_count,
                                        .members = run->members,
                                        .pending = run->is_pending};
    const struct meta_command command = {.version = META_COMMAND_VERSION, .erase_step = &body};
    meta_propose_background(meta, &command, step_on_committed, run);
}

/* ---- the steps ---- */

static void group_on_fenced(void *arg, struct vy_err err)
{
    struct erase_run *run = arg;
    if (!vy_failed(err)) {
        err = erase_members_list(run);
    }
    erase_run_done(run, err);
}

static void start_group(struct erase_run *run)
{
    const struct meta_config *config = &run->saga->meta->config;
    const struct meta_fence fence = {.account_id = run->job.account_id,
                                     .account_epoch = run->account_epoch,
                                     .group_id = run->group_id,
                                     .erase = true};
    if (config->fence == NULL) {
        erase_run_done(run, vy_error(VY_CODE_UNSUPPORTED, "this meta has no way to shards"));
        return;
    }
    config->fence->fence(config->fence_arg, &fence, group_on_fenced, run);
}

static void start_certificate(struct erase_run *run)
{
    struct meta *meta = run->saga->meta;
    struct replica_identity identity;
    meta->group->ops->get_identity(meta->group, &identity);
    const struct certificate_facts facts = {
        .cluster_id = vy_bytes(identity.cluster_id, sizeof(identity.cluster_id)),
        .job = &run->job,
        .group_id = run->group_id,
        .now_ms = meta_now_ms(meta)};
    erase_run_done(run, certificate_write(meta->config.key, &facts, &run->certificate));
}

struct erase_stage {
    enum erase_step step;
    void (*start)(struct erase_run *run); /* ends in erase_run_done, _next or _rest */
};
static const struct erase_stage stages[] = {
    {ERASE_STEP_GROUP,       start_group          },
    {ERASE_STEP_MEMBERS,     erase_members_start  },
    {ERASE_STEP_ACCOUNTS,    erase_domain_accounts},
    {ERASE_STEP_ALIASES,     erase_domain_aliases },
    {ERASE_STEP_CHILDREN,    erase_domain_children},
    {ERASE_STEP_CERTIFICATE, start_certificate    },
};

/* ---- a run ---- */

static struct vy_err read_job(struct erase_run *run, uint64_t job_id, bool *is_found)
{
    struct meta_group *group = run->saga->meta->group;
    const struct meta_view view = {.reader = group->ops->newest(group), .arena = &run->arena};
    struct meta_account_row account;
    struct cluster_row cluster;
    VY_TRY(cluster_get(&view, &cluster, is_found));
    VY_TRY(job_get(&view, job_id, &run->job, is_found));
    run->step = erase_next_step(&run->job);
    if (!*is_found || run->job.kind == JOB_KIND_DOMAIN) {
        return vy_ok();
    }
    VY_TRY(account_get(&view, run->job.account_id, &account, is_found));
    run->account_epoch = account.epoch;
    run->group_id = meta_group_of_slot(&cluster, vy_slot_of_account(run->job.account_id));
    return vy_ok();
}

void erase_run_next(struct erase_run *run)
{
    struct meta *meta = run->saga->meta;
    const uint64_t job_id = run->job.id;
    bool is_found = false;
    run->member_count = 0;
    run->is_pending = false;
    vy_arena_reset(&run->arena);
    vy_buf_reset(&run->certificate);
    if (run->saga->is_stopping || !meta_is_ready(meta)) {
        run_end(run);
        return;
    }
    const struct vy_err err = read_job(run, job_id, &is_found);
    if (vy_failed(err)) {
        vy_log(meta->config.log, VY_LOG_ERROR, "meta.erase.unreadable", VY_U64("meta.job", job_id),
               VY_LOG_ERR(err));
    }
    for (size_t i = 0; i < VY_COUNT_OF(stages) && !vy_failed(err) && is_found; i++) {
        if (stages[i].step == run->step) {
            stages[i].start(run);
            return;
        }
    }
    run_end(run);
}

static void run_begin(struct erase_saga *saga, uint64_t job_id)
{
    struct erase_run *run = NULL;
    if (job_id == UINT64_MAX) {
        return; /* no key of a job */
    }
    for (size_t i = 0; i < RUNS_MAX; i++) {
        if (saga->runs[i].saga != NULL && saga->runs[i].job.id == job_id) {
            return;
        }
        if (saga->runs[i].saga == NULL) {
            run = &saga->runs[i];
        }
    }
    if (run == NULL) {
        return; /* its turn comes */
    }
    *run = (struct erase_run){.saga = saga, .job = {.id = job_id}};
    vy_arena_init(&run->arena, ARENA_BYTES_MAX);
    vy_buf_init(&run->certificate, CERTIFICATE_BYTES_MAX);
    saga->meta->stats.calls_open++;
    erase_run_next(run);
}

/* ---- rounds ---- */

static struct vy_err read_page(struct erase_saga *saga, struct vy_arena *arena,
                               const struct meta_key *from, const struct meta_key *to,
                               struct table_rows *out)
{
    struct meta_group *group = saga->meta->group;
    const struct meta_view view = {.reader = group->ops->newest(group), .arena = arena};
    const struct table_page page = {.family = META_FAMILY_JOB,
                                    .from = meta_key_bytes(from),
                                    .to = meta_key_bytes(to),
                                    .rows_max = PAGE_ROWS};
    return table_read_page(&view, &page, out);
}

/* From behind *after on; at the end it begins from the front. */
static struct vy_err begin_runs(struct erase_saga *saga, struct meta_key (*key_of)(uint64_t job_id),
                                uint64_t *after)
{
    const struct meta_key from = key_of(*after + 1);
    const struct meta_key to = key_of(UINT64_MAX);
    struct vy_arena arena;
    struct table_rows rows = {.count = 0};
    vy_arena_init(&arena, ARENA_BYTES_MAX);
    const struct vy_err err = read_page(saga, &arena, &from, &to, &rows);
    for (size_t i = 0; i < rows.count; i++) {
        run_begin(saga, meta_key_parse_open_job(rows.keys[i]));
    }
    *after = rows.is_more ? meta_key_parse_open_job(rows.keys[rows.count - 1]) : 0;
    vy_arena_deinit(&arena);
    return err;
}

static void expire_on_committed(struct meta *meta, void *arg, struct vy_err err,
                                const struct meta_result *result)
{
    struct erase_saga *saga = arg;
    saga->is_expiring = false;
    if (!vy_failed(err) && result->outcome == META_OUTCOME_OK) {
        erase_saga_kick(saga);
        return;
    }
    vy_log(meta->config.log, VY_LOG_WARN, "meta.erase.not_begun", VY_LOG_ERR(err),
           VY_U64("meta.outcome", result->outcome));
}

/* The soft delete that ended first, one at a time. */
static struct vy_err begin_expired(struct erase_saga *saga)
{
    const struct meta_key from = meta_key_soft(0, 0);
    const struct meta_key to = meta_key_soft(meta_now_ms(saga->meta), 0);
    struct vy_arena arena;
    struct table_rows rows = {.count = 0};
    uint64_t until_ms = 0;
    struct cmd_account_delete body = {.expired = true,
                                      .quarantine_ms = meta_quarantine_ms(saga->meta)};
    vy_arena_init(&arena, ARENA_BYTES_MAX);
    const struct vy_err err = read_page(saga, &arena, &from, &to, &rows);
    if (rows.count > 0 && meta_key_parse_soft(rows.keys[0], &until_ms, &body.account_id)) {
        const struct meta_command command = {.version = META_COMMAND_VERSION,
                                             .account_delete = &body};
        saga->is_expiring = true;
        meta_propose_background(saga->meta, &command, expire_on_committed, saga);
    }
    vy_arena_deinit(&arena);
    return err;
}

static void round_on_timer(void *arg)
{
    struct erase_saga *saga = arg;
    struct meta *meta = saga->meta;
    const uint64_t now_ms = vy_clock_mono_ms(meta->config.clock);
    if (saga->is_stopping || meta->group == NULL || !meta_is_ready(meta)) {
        const struct meta_erasures none = {.open = 0};
        meta_metrics_set_erasures(&meta->metrics, &none);
        return; /* kicked when it leads again */
    }
    struct vy_err err = begin_runs(saga, meta_key_open_job, &saga->after_job);
    if (!vy_failed(err) && now_ms >= saga->waiting_at_ms) {
        saga->waiting_at_ms = now_ms + WAITING_MS;
        err = begin_runs(saga, meta_key_waiting_job, &saga->after_waiting);
        if (!vy_failed(err)) {
            err = erase_watch(meta);
        }
    }
    if (!vy_failed(err) && !saga->is_expiring && now_ms >= saga->expire_at_ms) {
        saga->expire_at_ms = now_ms + EXPIRE_MS;
        err = begin_expired(saga);
    }
    if (vy_failed(err)) {
        vy_log(meta->config.log, VY_LOG_ERROR, "meta.erase.unreadable", VY_U64("meta.job", 0),
               VY_LOG_ERR(err));
    }
    vy_timer_start(saga->timer, ROUND_MS);
}

void erase_saga_kick(struct erase_saga *saga)
{
    if (!saga->is_stopping) {
        vy_timer_start(saga->timer, 0);
    }
}

struct vy_err erase_saga_new(struct meta *meta, struct erase_saga **out)
{
    struct erase_saga *saga = calloc(1, sizeof(*saga));
    if (saga == NULL) {
        return vy_error(VY_CODE_NOMEM, "erasures");
    }
    saga->meta = meta;
    saga->timer = vy_timer_new(meta->config.loop, round_on_timer, saga);
    if (saga->timer == NULL) {
        free(saga);
        return vy_error(VY_CODE_NOMEM, "timer of erasures");
    }
    *out = saga;
    return vy_ok();
}

void erase_saga_stop(struct erase_saga *saga)
{
    saga->is_stopping = true;
    vy_timer_stop(saga->timer);
}

void erase_saga_free(struct erase_saga *saga)
{
    if (saga != NULL) {
        vy_timer_free(saga->timer);
        free(saga);
    }
}
