/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The checkpoint that is sent: one at a time, hard links beside the database (DIR.outgoing/db), its
 * files hashed once, slowly. It serves every member that needs one while the log still reaches
 * back to it, and goes when nobody does.
 */
#include "replica/dir.h"
#include "replica/snapshot.h"
#include <stdlib.h>

#define LINGER_MS 30000U /* unused, for whoever comes next */
#define RETRY_MS 10000U  /* after a failure */
#define HASH_SHARE 4U    /* hashing may read so many times what sending may */

struct source_job {
    struct snapshot_job job;
    struct store *store; /* pinned */
    char dir[INSTALL_PATH_BYTES_MAX];
    char outgoing[INSTALL_PATH_BYTES_MAX];
    struct snapshot_manifest manifest;
    size_t file; /* being hashed */
    struct snapshot_hasher *hasher;
    uint64_t step_bytes; /* of the last step */
};

static struct snapshot_source *source_of(const struct replica *replica)
{
    return &replica->snapshots->source;
}

static void job_free(struct source_job *job)
{
    snapshot_hasher_free(job->hasher);
    snapshot_manifest_deinit(&job->manifest);
    free(job);
}

/* ---- removing ---- */

static void remove_work(struct snapshot_job *base)
{
    const struct source_job *job = VY_CONTAINER_OF(base, struct source_job, job);
    base->err = dir_remove(job->outgoing);
}

static void remove_done(struct snapshot_job *base)
{
    struct snapshot_source *source = source_of(base->replica);
    if (vy_failed(base->err)) {
        vy_log(&base->replica->log, VY_LOG_WARN, "replica.snapshot.failed", VY_LOG_ERR(base->err));
    }
    source->state = SNAPSHOT_SOURCE_NONE;
    job_free(VY_CONTAINER_OF(base, struct source_job, job));
}

static struct source_job *job_new(struct replica *replica)
{
    struct source_job *job = calloc(1, sizeof(*job));
    if (job == NULL || vy_failed(install_path(replica->dir, INSTALL_OUTGOING, job->outgoing)) ||
        vy_failed(install_path(replica->dir, INSTALL_OUTGOING "/db", job->dir))) {
        free(job);
        return NULL;
    }
    return job;
}

static void remove_files(struct replica *replica)
{
    struct snapshot_source *source = source_of(replica);
    struct source_job *job = job_new(replica);
    snapshot_manifest_deinit(&source->manifest);
    vy_buf_reset(&source->list);
    vy_buf_release(&source->list);
    source->is_unwanted = false;
    source->state = SNAPSHOT_SOURCE_NONE; /* without memory the next one removes them */
    if (job == NULL) {
        return;
    }
    job->job.work = remove_work;
    job->job.done = remove_done;
    if (!snapshots_run(replica, &job->job)) {
        job_free(job);
        return;
    }
    source->state = SNAPSHOT_SOURCE_REMOVING;
}

void source_drop(struct replica *replica)
{
    struct snapshot_source *source = source_of(replica);
    if (source->state == SNAPSHOT_SOURCE_READY) {
        remove_files(replica);
    } else if (source->state == SNAPSHOT_SOURCE_MAKING) {
        source->is_unwanted = true;
    }
}

/* ---- making ---- */

static void fail(struct replica *replica, struct source_job *job, struct vy_err err)
{
    struct snapshot_source *source = source_of(replica);
    if (vy_failed(err)) {
        replica->snapshots->status.failures++;
        vy_log(&replica->log, VY_LOG_ERROR, "replica.snapshot.failed", VY_LOG_ERR(err));
    }
    source->retry_ms = replica_now_ms(replica) + RETRY_MS;
    job_free(job);
    source->state = SNAPSHOT_SOURCE_READY; /* as far as removing goes */
    remove_files(replica);
}

static void finish(struct replica *replica, struct source_job *job)
{
    struct snapshot_source *source = source_of(replica);
    const struct vy_err err = snapshot_manifest_encode(&job->manifest, &source->list);
    if (vy_failed(err)) {
        fail(replica, job, err);
        return;
    }
    source->manifest = job->manifest;
    job->manifest = (struct snapshot_manifest){.files = NULL};
    memcpy(source->dir, job->dir, sizeof(source->dir));
    vy_rng_fill(replica->config.rng, source->offer.id, sizeof(source->offer.id));
    source->offer.manifest_bytes = vy_buf_len(&source->list);
    snapshot_hash(vy_buf_bytes(&source->list), source->offer.manifest_hash);
    source->state = SNAPSHOT_SOURCE_READY;
    source->used_ms = replica_now_ms(replica);
    vy_log(&replica->log, VY_LOG_INFO, "replica.snapshot.made",
           VY_U64("raft.index", source->offer.index),
           VY_U64("snapshot.files", source->manifest.count),
           VY_U64("snapshot.bytes", source->manifest.bytes));
    job_free(job);
    send_tick(replica);
}

static void hash_work(struct snapshot_job *base)
{
    struct source_job *job = VY_CONTAINER_OF(base, struct source_job, job);
    job->step_bytes = 0;
    while (job->file < job->manifest.count && job->step_bytes < SNAPSHOT_STEP_BYTES &&
           !vy_failed(base->err)) {
        struct snapshot_file *file = &job->manifest.files[job->file];
        bool is_done = false;
        if (job->hasher == NULL) {
            base->err = snapshot_hasher_open(job->dir, file, false, &job->hasher);
        }
        if (!vy_failed(base->err)) {
            base->err = snapshot_hasher_step(job->hasher, &is_done, file->hash);
            job->step_bytes += VY_MIN(file->bytes, (uint64_t)SNAPSHOT_STEP_BYTES);
        }
        if (is_done) {
            snapshot_hasher_free(VY_TAKE(job->hasher));
            job->file++;
        }
    }
}

static void hash_next(struct replica *replica, struct source_job *job);

static void hash_done(struct snapshot_job *base)
{
    struct replica *replica = base->replica;
    struct source_job *job = VY_CONTAINER_OF(base, struct source_job, job);
    if (vy_failed(base->err) || source_of(replica)->is_unwanted || !replica_is_running(replica)) {
        fail(replica, job, base->err);
    } else if (job->file == job->manifest.count) {
        finish(replica, job);
    } else {
        const uint64_t rate = replica->config.snapshot_bytes_per_s * HASH_SHARE;
        replica->snapshots->hashing = job;
        vy_timer_start(replica->snapshots->hasher, job->step_bytes * 1000 / rate);
    }
}

static void hash_next(struct replica *replica, struct source_job *job)
{
    job->job.work = hash_work;
    job->job.done = hash_done;
    if (!snapshots_run(replica, &job->job)) {
        fail(replica, job, vy_error(VY_CODE_BUSY, "jobs of snapshots"));
    }
}

void source_on_timer(void *arg)
{
    struct replica *replica = arg;
    struct source_job *job = VY_TAKE(replica->snapshots->hashing);
    if (job != NULL) {
        hash_next(replica, job);
    }
}

void source_resume(struct replica *replica)
{
    if (replica->snapshots->hashing != NULL) {
        vy_timer_start(replica->snapshots->hasher, 0);
    }
}

void source_abandon(struct snapshots *snapshots)
{
    if (snapshots->hashing != NULL) {
        job_free(VY_TAKE(snapshots->hashing));
    }
}

static void checkpoint_work(struct snapshot_job *base)
{
    struct source_job *job = VY_CONTAINER_OF(base, struct source_job, job);
    base->err = dir_remove(job->outgoing);
    if (!vy_failed(base->err)) {
        base->err = dir_make(job->outgoing);
    }
    if (!vy_failed(base->err)) {
        base->err = store_checkpoint(job->store, job->dir);
    }
    if (!vy_failed(base->err)) {
        base->err = snapshot_manifest_scan(job->dir, &job->manifest);
    }
}

static void checkpoint_done(struct snapshot_job *base)
{
    struct replica *replica = base->replica;
    struct source_job *job = VY_CONTAINER_OF(base, struct source_job, job);
    store_unpin(job->store);
    if (vy_failed(base->err) || source_of(replica)->is_unwanted || !replica_is_running(replica)) {
        fail(replica, job, base->err);
        return;
    }
    hash_next(replica, job);
}

void source_make(struct replica *replica)
{
    struct snapshot_source *source = source_of(replica);
    const uint64_t index = replica->applied.index;
    const uint64_t term = core_term_at(replica->core, index);
    queue_check_space(replica);
    if (replica_now_ms(replica) < source->retry_ms || index < CORE_CUT_MIN || term == 0 ||
        replica->is_full) {
        return; /* with the next tick */
    }
    struct source_job *job = job_new(replica);
    if (job == NULL) {
        return;
    }
    job->job.work = checkpoint_work;
    job->job.done = checkpoint_done;
    job->store = replica->store;
    store_pin(job->store);
    if (!snapshots_run(replica, &job->job)) {
        store_unpin(job->store);
        job_free(job);
        return;
    }
    source->state = SNAPSHOT_SOURCE_MAKING;
    source->begun_ms = replica_now_ms(replica);
    source->offer = (struct snapshot_offer){.index = index, .term = term};
}

void source_tick(struct replica *replica, bool is_wanted, bool is_used)
{
    struct snapshot_source *source = source_of(replica);
    const uint64_t now_ms = replica_now_ms(replica);
    if (is_used) {
        source->used_ms = now_ms;
    }
    if (source->state == SNAPSHOT_SOURCE_NONE && is_wanted) {
        source_make(replica);
    }
    if (source->state != SNAPSHOT_SOURCE_READY) {
        return;
    }
    const bool is_old = source->offer.index < replica->spans.base;
    if (!is_used && (is_old || (!is_wanted && now_ms - source->used_ms >= LINGER_MS))) {
        remove_files(replica);
    }
}
