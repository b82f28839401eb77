/* SPDX-License-Identifier: Apache-2.0 */
#include "replica/expel.h"

#include "base/assert.h"
#include <stdlib.h>

#define LOOK_MS 50U       /* between looks at the log, and at old files */
#define CUT_WAIT_MS 2000U /* then the tables are rewritten although the log is not cut */
#define WATCH_MS 5000U    /* between looks whether a snapshot was installed */
#define RETRY_MS 5000U    /* after a pass that failed */
#define RANGES_MAX 16U    /* more subjects in a pass: whole tables are rewritten */
#define PASS_MAX 1024U    /* subjects of one pass */
#define DONE_MAX 4096U    /* remembered */

struct expel_subject {
    uint64_t id;
    uint64_t behind;   /* the log up to here may name it */
    uint64_t asked_ms; /* monotonic */
    bool is_rewritten;
};

enum pass_step { PASS_REWRITE, PASS_SETTLE };

/* One pass. Outlives the expeller when the loop ends first. */
struct expel_pass {
    struct expeller *owner; /* NULL: gone */
    struct store *store;    /* borrowed; pinned while a worker has it */
    const struct expeller_config *config;
    enum pass_step step;
    bool is_submitted; /* its end is posted, or will be */
    struct expel_subject subjects[PASS_MAX];
    bool is_cut[PASS_MAX];
    size_t count;
    size_t dead_files;
    struct vy_err err;
    uint64_t began_ms;
    uint64_t rewritten_ms; /* 0: not yet */
    uint64_t installed;    /* snapshots, when the work began */
};

struct expeller {
    struct expeller_config config;
    struct vy_workers *own_workers; /* owned; NULL: the config's */
    struct vy_timer *timer;         /* owned; runs while something waits */
    struct vy_timer *watch;         /* owned; is it still the same database? */
    uint64_t installed;             /* snapshots, when `done` was last true */
    struct expel_subject waiting[EXPEL_SUBJECTS_MAX];
    size_t waiting_count;
    struct expel_pass *pass; /* owned; NULL: none runs */
    uint64_t done[DONE_MAX]; /* a ring */
    size_t done_count;
    uint64_t retry_at_ms;
};

/* ---- a pass, on the worker ---- */

static struct vy_err rewrite_range(const struct expel_pass *pass, unsigned family, uint64_t subject,
                                   bool *is_whole)
{
    uint8_t from[EXPEL_PREFIX_BYTES_MAX];
    uint8_t to[EXPEL_PREFIX_BYTES_MAX];
    const size_t len = pass->config->write_prefix(family, subject, from);
    *is_whole = len == 0;
    return store_compact(pass->store, family, vy_bytes(from, len),
                         store_prefix_end(vy_bytes(from, len), to));
}

static struct vy_err rewrite_family(const struct expel_pass *pass, unsigned family)
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

static struct vy_err rewrite(struct expel_pass *pass)
{
    VY_TRY(store_flush(pass->store)); /* with it the write-ahead log before now becomes useless */
    for (unsigned family = 0; family < pass->store->family_count; family++) {
        VY_TRY(rewrite_family(pass, family));
    }
    return vy_ok();
}

static void pass_on_worker(void *arg)
{
    struct expel_pass *pass = arg;
    switch (pass->step) {
    case PASS_REWRITE:
        pass->err = rewrite(pass);
        VY_FALLTHROUGH;
    case PASS_SETTLE:
        if (!vy_failed(pass->err)) {
            pass->err = store_remove_dead_files(pass->store, &pass->dead_files);
        }
        break;
    }
}

/* ---- and on the loop ---- */

static void look(void *arg);

static uint64_t now_ms(const struct expeller *expeller)
{
    return vy_loop_now_ms(expeller->config.loop);
}

static uint64_t snapshots_installed(const struct expeller *expeller)
{
    struct replica_status status;
    replica_get_status(expeller->config.replica, &status);
    return status.snapshot.received;
}

static struct expel_subject *find_waiting(struct expeller *expeller, uint64_t id)
{
    for (size_t i = 0; i < expeller->waiting_count; i++) {
        if (expeller->waiting[i].id == id) {
            return &expeller->waiting[i];
        }
    }
    return NULL;
}

static void remember_done(struct expeller *expeller, uint64_t id)
{
    expeller->done[expeller->done_count++ % DONE_MAX] = id;
}

static bool is_done(const struct expeller *expeller, uint64_t id)
{
    for (size_t i = 0; i < VY_MIN(expeller->done_count, (size_t)DONE_MAX); i++) {
        if (expeller->done[i] == id) {
            return true;
        }
    }
    return false;
}

static void take_result(struct expeller *expeller, const struct expel_pass *pass)
{
    for (size_t i = 0; i < pass->count; i++) {
        struct expel_subject *subject = find_waiting(expeller, pass->subjects[i].id);
        VY_ASSERT(subject != NULL);
        subject->is_rewritten = true;
        if (pass->is_cut[i]) {
            remember_done(expeller, subject->id);
            *subject = expeller->waiting[--expeller->waiting_count];
        }
    }
    vy_log(expeller->config.log, VY_LOG_INFO, "replica.expel.done",
           VY_U64("expel.subjects", pass->count),
           VY_U64("expel.ms", now_ms(expeller) - pass->began_ms));
}

static void pass_on_worked(void *arg)
{
    struct expel_pass *pass = arg;
    struct expeller *expeller = pass->owner;
    pass->is_submitted = false;
    if (expeller == NULL) {
        free(pass);
        return;
    }
    store_unpin(pass->store);
    if (pass->rewritten_ms == 0) {
        pass->rewritten_ms = now_ms(expeller);
    }
    /* Old files are gone, and so are copies that were made of them for other members. */
    if (!vy_failed(pass->err) &&
        (pass->dead_files > 0 ||
         !replica_has_no_copy_before(expeller->config.replica, pass->rewritten_ms))) {
        pass->step = PASS_SETTLE;
        vy_timer_start(expeller->timer, LOOK_MS);
        return;
    }
    if (vy_failed(pass->err)) {
        expeller->retry_at_ms = now_ms(expeller) + RETRY_MS;
        vy_log(expeller->config.log, VY_LOG_WARN, "replica.expel.failed",
               VY_U64("expel.subjects", pass->count), VY_LOG_ERR(pass->err));
    } else {
        take_result(expeller, pass);
    }
    expeller->pass = NULL;
    free(pass);
    look(expeller);
}

/* A snapshot that was installed meanwhile is another database: all from the front. */
static void pass_take_store(struct expeller *expeller)
{
    struct expel_pass *pass = expeller->pass;
    const uint64_t installed = snapshots_installed(expeller);
    if (installed != pass->installed) {
        pass->step = PASS_REWRITE;
        pass->rewritten_ms = 0;
    }
    pass->installed = installed;
    pass->store = replica_store(expeller->config.replica);
    store_pin(pass->store);
}

static void pass_submit(struct expeller *expeller)
{
    pass_take_store(expeller);
    struct vy_workers *workers =
        expeller->own_workers != NULL ? expeller->own_workers : expeller->config.workers;
    const struct vy_err err = vy_workers_submit(workers, expeller->config.loop, pass_on_worker,
                                                pass_on_worked, expeller->pass);
    expeller->pass->is_submitted = !vy_failed(err);
    if (vy_failed(err)) {
        store_unpin(expeller->pass->store);
        vy_timer_start(expeller->timer, LOOK_MS); /* the workers are busy */
    }
}

/* Those whose log is cut, and those that waited long enough for it. */
static size_t choose(struct expeller *expeller, struct expel_pass *pass)
{
    const uint64_t now = now_ms(expeller);
    for (size_t i = 0; i < expeller->waiting_count && pass->count < PASS_MAX; i++) {
        const struct expel_subject *subject = &expeller->waiting[i];
        const bool is_cut = replica_is_cut_behind(expeller->config.replica, subject->behind);
        if (is_cut || (!subject->is_rewritten && now - subject->asked_ms >= CUT_WAIT_MS)) {
            pass->is_cut[pass->count] = is_cut;
            pass->subjects[pass->count++] = *subject;
        }
    }
    return pass->count;
}

static void pass_begin(struct expeller *expeller)
{
    struct expel_pass *pass = calloc(1, sizeof(*pass));
    if (pass == NULL || choose(expeller, pass) == 0) {
        free(pass);
        vy_timer_start(expeller->timer, LOOK_MS);
        return;
    }
    pass->owner = expeller;
    pass->config = &expeller->config;
    pass->began_ms = now_ms(expeller);
    expeller->pass = pass;
    pass_submit(expeller);
}

static void look(void *arg)
{
    struct expeller *expeller = arg;
    if (expeller->pass != NULL) {
        if (!expeller->pass->is_submitted) {
            pass_submit(expeller); /* once more: are the old files gone? */
        }
        return;
    }
    if (expeller->waiting_count == 0) {
        return;
    }
    if (now_ms(expeller) < expeller->retry_at_ms) {
        vy_timer_start(expeller->timer, LOOK_MS);
        return;
    }
    pass_begin(expeller);
}

static void wait_for(struct expeller *expeller, uint64_t subject)
{
    struct replica_status status;
    replica_get_status(expeller->config.replica, &status);
    expeller->waiting[expeller->waiting_count++] = (struct expel_subject){
        .id = subject, .behind = status.applied_index, .asked_ms = now_ms(expeller)};
    replica_cut_behind(expeller->config.replica, status.applied_index);
    if (expeller->pass == NULL) {
        vy_timer_start(expeller->timer, 0);
    }
}

/* Files of a snapshot that was installed come from a member that may not have been clean. */
static void on_watch(void *arg)
{
    struct expeller *expeller = arg;
    const uint64_t installed = snapshots_installed(expeller);
    const size_t count = VY_MIN(expeller->done_count, (size_t)DONE_MAX);
    vy_timer_start(expeller->watch, WATCH_MS);
    if (installed == expeller->installed) {
        return;
    }
    expeller->installed = installed;
    expeller->done_count = 0;
    for (size_t i = 0; i < count && expeller->waiting_count < EXPEL_SUBJECTS_MAX; i++) {
        if (find_waiting(expeller, expeller->done[i]) == NULL) {
            wait_for(expeller, expeller->done[i]);
        }
    }
}

void expeller_ask(struct expeller *expeller, uint64_t subject, struct expel_report *out)
{
    const struct expel_subject *known = find_waiting(expeller, subject);
    *out = (struct expel_report){.is_rewritten = known != NULL && known->is_rewritten};
    if (known != NULL) {
        return;
    }
    if (is_done(expeller, subject)) {
        *out = (struct expel_report){.is_rewritten = true, .is_cut = true};
        return;
    }
    if (expeller->waiting_count == EXPEL_SUBJECTS_MAX) {
        return;
    }
    wait_for(expeller, subject);
}

/* ---- life ---- */

struct vy_err expeller_new(const struct expeller_config *config, struct expeller **out)
{
    struct expeller *expeller = calloc(1, sizeof(*expeller));
    if (expeller == NULL) {
        return vy_error(VY_CODE_NOMEM, "expeller");
    }
    expeller->config = *config;
    expeller->timer = vy_timer_new(config->loop, look, expeller);
    expeller->watch = vy_timer_new(config->loop, on_watch, expeller);
    struct vy_err err = expeller->timer == NULL || expeller->watch == NULL
                            ? vy_error(VY_CODE_NOMEM, "timer of the expeller")
                            : vy_ok();
    if (!vy_failed(err) && config->workers == NULL) {
        err = vy_workers_new(1, 4, &expeller->own_workers);
    }
    if (vy_failed(err)) {
        expeller_free(expeller);
        return err;
    }
    vy_timer_start(expeller->watch, WATCH_MS);
    *out = expeller;
    return vy_ok();
}

void expeller_free(struct expeller *expeller)
{
    if (expeller == NULL) {
        return;
    }
    vy_workers_free(expeller->own_workers);
    vy_timer_free(expeller->timer);
    vy_timer_free(expeller->watch);
    if (expeller->pass != NULL && expeller->pass->is_submitted) {
        store_unpin(expeller->pass->store);
        expeller->pass->owner = NULL; /* the loop still has the post of its end */
    } else {
        free(expeller->pass);
    }
    free(expeller);
}
