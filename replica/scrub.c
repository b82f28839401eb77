/* SPDX-License-Identifier: Apache-2.0 */
#include "replica/scrub.h"

#include "base/assert.h"
#include <stdlib.h>

#define LOOK_MS 50U       /* between looks at the log, and at old files */
#define CUT_WAIT_MS 2000U /* then the tables are rewritten although the log is not cut */
#define RETRY_MS 5000U    /* after a pass that failed */
#define RANGES_MAX 16U    /* more subjects in a pass: whole tables are rewritten */
#define PASS_MAX 1024U    /* subjects of one pass */
#define DONE_MAX 4096U    /* remembered */

struct scrub_subject {
    uint64_t id;
    uint64_t behind;   /* the log up to here may name it */
    uint64_t asked_ms; /* monotonic */
    bool is_rewritten;
};

enum pass_step { PASS_REWRITE, PASS_SETTLE };

/* One pass. Outlives the scrubber when the loop ends first. */
struct scrub_pass {
    struct scrubber *owner; /* NULL: gone */
    struct store *store;    /* borrowed */
    const struct scrubber_config *config;
    enum pass_step step;
    bool is_submitted; /* its end is posted, or will be */
    struct scrub_subject subjects[PASS_MAX];
    bool is_cut[PASS_MAX];
    size_t count;
    size_t dead_files;
    struct vy_err err;
    uint64_t began_ms;
};

struct scrubber {
    struct scrubber_config config;
    struct vy_workers *own_workers; /* owned; NULL: the config's */
    struct vy_timer *timer;         /* owned; runs while something waits */
    struct scrub_subject waiting[SCRUB_SUBJECTS_MAX];
    size_t waiting_count;
    struct scrub_pass *pass; /* owned; NULL: none runs */
    uint64_t done[DONE_MAX]; /* a ring */
    size_t done_count;
    uint64_t retry_at_ms;
};

/* ---- a pass, on the worker ---- */

static struct vy_err rewrite_range(const struct scrub_pass *pass, unsigned family, uint64_t subject,
                                   bool *is_whole)
{
    uint8_t from[SCRUB_PREFIX_BYTES_MAX];
    uint8_t to[SCRUB_PREFIX_BYTES_MAX];
    const size_t len = pass->config->write_prefix(family, subject, from);
    *is_whole = len == 0;
    return store_compact(pass->store, family, vy_bytes(from, len),
                         store_prefix_end(vy_bytes(from, len), to));
}

static struct vy_err rewrite_family(const struct scrub_pass *pass, unsigned family)
{
    const bool has_rows = (pass->config->families & 1ULL << family) != 0;
    bool is_whole = family == REPLICA_FAMILY_RAFT || (has_rows && pass->count > RANGES_MAX);
    if (is_whole) {
        return store_compact(pass->store, family, vy_bytes(NULL, 0), vy_bytes(NULL, 0));
    }
    for (size_t i = 0; i < pass->count && has_rows && !is_whole; i++) {
        VY_TRY(rewrite_range(pass, family, pass->subjects[i].id, &is_whole));
    }
    return vy_ok();
}

static struct vy_err rewrite(struct scrub_pass *pass)
{
    VY_TRY(store_flush(pass->store)); /* with it the write-ahead log before now becomes useless */
    for (unsigned family = 0; family < pass->store->family_count; family++) {
        VY_TRY(rewrite_family(pass, family));
    }
    return vy_ok();
}

static void pass_on_worker(void *arg)
{
    struct scrub_pass *pass = arg;
    switch (pass->step) {
    case PASS_REWRITE:
        pass->err = rewrite(pass);
        VY_FALLTHROUGH;
    case PASS_SETTLE:
        if (!vy_failed(pass->err)) {
            pass->err = store_count_dead_files(pass->store, &pass->dead_files);
        }
        break;
    }
}

/* ---- and on the loop ---- */

static void look(void *arg);

static uint64_t now_ms(const struct scrubber *scrubber)
{
    return vy_loop_now_ms(scrubber->config.loop);
}

static struct scrub_subject *find_waiting(struct scrubber *scrubber, uint64_t id)
{
    for (size_t i = 0; i < scrubber->waiting_count; i++) {
        if (scrubber->waiting[i].id == id) {
            return &scrubber->waiting[i];
        }
    }
    return NULL;
}

static void remember_done(struct scrubber *scrubber, uint64_t id)
{
    scrubber->done[scrubber->done_count++ % DONE_MAX] = id;
}

static bool is_done(const struct scrubber *scrubber, uint64_t id)
{
    for (size_t i = 0; i < VY_MIN(scrubber->done_count, (size_t)DONE_MAX); i++) {
        if (scrubber->done[i] == id) {
            return true;
        }
    }
    return false;
}

static void take_result(struct scrubber *scrubber, const struct scrub_pass *pass)
{
    for (size_t i = 0; i < pass->count; i++) {
        struct scrub_subject *subject = find_waiting(scrubber, pass->subjects[i].id);
        VY_ASSERT(subject != NULL);
        subject->is_rewritten = true;
        if (pass->is_cut[i]) {
            remember_done(scrubber, subject->id);
            *subject = scrubber->waiting[--scrubber->waiting_count];
        }
    }
    vy_log(scrubber->config.log, VY_LOG_INFO, "replica.scrub.done",
           VY_U64("scrub.subjects", pass->count),
           VY_U64("scrub.ms", now_ms(scrubber) - pass->began_ms));
}

static void pass_on_worked(void *arg)
{
    struct scrub_pass *pass = arg;
    struct scrubber *scrubber = pass->owner;
    pass->is_submitted = false;
    if (scrubber == NULL) {
        free(pass);
        return;
    }
    if (!vy_failed(pass->err) && pass->dead_files > 0) {
        pass->step = PASS_SETTLE;
        vy_timer_start(scrubber->timer, LOOK_MS);
        return;
    }
    if (vy_failed(pass->err)) {
        scrubber->retry_at_ms = now_ms(scrubber) + RETRY_MS;
        vy_log(scrubber->config.log, VY_LOG_WARN, "replica.scrub.failed",
               VY_U64("scrub.subjects", pass->count), VY_LOG_ERR(pass->err));
    } else {
        take_result(scrubber, pass);
    }
    scrubber->pass = NULL;
    free(pass);
    look(scrubber);
}

static void pass_submit(struct scrubber *scrubber)
{
    struct vy_workers *workers =
        scrubber->own_workers != NULL ? scrubber->own_workers : scrubber->config.workers;
    const struct vy_err err = vy_workers_submit(workers, scrubber->config.loop, pass_on_worker,
                                                pass_on_worked, scrubber->pass);
    scrubber->pass->is_submitted = !vy_failed(err);
    if (vy_failed(err)) {
        vy_timer_start(scrubber->timer, LOOK_MS); /* the workers are busy */
    }
}

/* Those whose log is cut, and those that waited long enough for it. */
static size_t choose(struct scrubber *scrubber, struct scrub_pass *pass)
{
    const uint64_t now = now_ms(scrubber);
    for (size_t i = 0; i < scrubber->waiting_count && pass->count < PASS_MAX; i++) {
        const struct scrub_subject *subject = &scrubber->waiting[i];
        const bool is_cut = replica_is_cut_behind(scrubber->config.replica, subject->behind);
        if (is_cut || (!subject->is_rewritten && now - subject->asked_ms >= CUT_WAIT_MS)) {
            pass->is_cut[pass->count] = is_cut;
            pass->subjects[pass->count++] = *subject;
        }
    }
    return pass->count;
}

static void pass_begin(struct scrubber *scrubber)
{
    struct scrub_pass *pass = calloc(1, sizeof(*pass));
    if (pass == NULL || choose(scrubber, pass) == 0) {
        free(pass);
        vy_timer_start(scrubber->timer, LOOK_MS);
        return;
    }
    pass->owner = scrubber;
    pass->store = replica_store(scrubber->config.replica);
    pass->config = &scrubber->config;
    pass->began_ms = now_ms(scrubber);
    scrubber->pass = pass;
    pass_submit(scrubber);
}

static void look(void *arg)
{
    struct scrubber *scrubber = arg;
    if (scrubber->pass != NULL) {
        if (!scrubber->pass->is_submitted) {
            pass_submit(scrubber); /* once more: are the old files gone? */
        }
        return;
    }
    if (scrubber->waiting_count == 0) {
        return;
    }
    if (now_ms(scrubber) < scrubber->retry_at_ms) {
        vy_timer_start(scrubber->timer, LOOK_MS);
        return;
    }
    pass_begin(scrubber);
}

void scrubber_ask(struct scrubber *scrubber, uint64_t subject, struct scrub_report *out)
{
    struct replica_status status;
    const struct scrub_subject *known = find_waiting(scrubber, subject);
    *out = (struct scrub_report){.is_rewritten = known != NULL && known->is_rewritten};
    if (known != NULL) {
        return;
    }
    if (is_done(scrubber, subject)) {
        *out = (struct scrub_report){.is_rewritten = true, .is_cut = true};
        return;
    }
    if (scrubber->waiting_count == SCRUB_SUBJECTS_MAX) {
        return;
    }
    replica_get_status(scrubber->config.replica, &status);
    scrubber->waiting[scrubber->waiting_count++] = (struct scrub_subject){
        .id = subject, .behind = status.applied_index, .asked_ms = now_ms(scrubber)};
    replica_cut_behind(scrubber->config.replica, status.applied_index);
    if (scrubber->pass == NULL) {
        vy_timer_start(scrubber->timer, 0);
    }
}

/* ---- life ---- */

struct vy_err scrubber_new(const struct scrubber_config *config, struct scrubber **out)
{
    struct scrubber *scrubber = calloc(1, sizeof(*scrubber));
    if (scrubber == NULL) {
        return vy_error(VY_CODE_NOMEM, "scrubber");
    }
    scrubber->config = *config;
    scrubber->timer = vy_timer_new(config->loop, look, scrubber);
    struct vy_err err =
        scrubber->timer == NULL ? vy_error(VY_CODE_NOMEM, "timer of the scrubber") : vy_ok();
    if (!vy_failed(err) && config->workers == NULL) {
        err = vy_workers_new(1, 4, &scrubber->own_workers);
    }
    if (vy_failed(err)) {
        scrubber_free(scrubber);
        return err;
    }
    *out = scrubber;
    return vy_ok();
}

void scrubber_free(struct scrubber *scrubber)
{
    if (scrubber == NULL) {
        return;
    }
    vy_workers_free(scrubber->own_workers);
    vy_timer_free(scrubber->timer);
    if (scrubber->pass != NULL && scrubber->pass->is_submitted) {
        scrubber->pass->owner = NULL; /* the loop still has the post of its end */
    } else {
        free(scrubber->pass);
    }
    free(scrubber);
}
