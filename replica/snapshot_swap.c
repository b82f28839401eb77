/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Putting a snapshot in place: the member leaves its group for a moment, as in a restart, and comes
 * back with the new database under its old identity, term and vote. Readers of the old state are
 * waited for, and nobody gets a new view of it meanwhile.
 */
#include "replica/snapshot.h"
#include <stdlib.h>

#define WAIT_TOLD_MS 5000U

struct swap_job {
    struct snapshot_job job;
    struct store *old; /* owned until it is closed */
    struct install_note note;
    struct replica fresh; /* what opening fills; of the rest only what it reads */
    struct vy_err swap_err;
};

/* ---- leaving ---- */

static void give_up(struct replica *replica, struct vy_err why)
{
    vy_log(&replica->log, VY_LOG_INFO, "replica.snapshot.interrupted",
           VY_HEX("raft.peer", replica->snapshots->receive.from),
           VY_U64("snapshot.bytes", replica->snapshots->receive.bytes), VY_LOG_ERR(why));
    replica_open_store(replica, true);
    const struct vy_err err = replica_start_scrub(replica);
    if (vy_failed(err)) {
        vy_log(&replica->log, VY_LOG_WARN, "replica.snapshot.failed", VY_LOG_ERR(err));
    }
    receive_reset(replica);
    replica->snapshots->is_leftover = true;
    replica->snapshots->leftover_ms = 0; /* of no use any more */
    snapshots_want_tick(replica);
}

static bool has_readers(struct replica *replica)
{
    struct snapshot_receive *receive = &replica->snapshots->receive;
    const size_t readers = store_pins(replica->store);
    const uint64_t waited_ms = replica_now_ms(replica) - receive->progress_ms;
    if (readers > 0 && waited_ms >= WAIT_TOLD_MS && !receive->is_wait_told) {
        receive->is_wait_told = true;
        vy_log(&replica->log, VY_LOG_WARN, "replica.snapshot.waiting",
               VY_U64("snapshot.readers", readers));
    }
    return readers > 0;
}

void swap_tick(struct replica *replica)
{
    struct snapshots *snapshots = replica->snapshots;
    if (core_role(replica->core) == REPLICA_ROLE_LEADER ||
        !receive_is_needed(replica, &snapshots->receive.offer)) {
        give_up(replica, vy_error(VY_CODE_CONFLICT, "the member has caught up without it"));
        return;
    }
    replica_open_store(replica, false);
    if (!replica_stop_scrub(replica) || replica->led_term != 0 || has_readers(replica)) {
        return; /* with the next tick */
    }
    snapshots->receive.state = SNAPSHOT_RECEIVE_SWAPPING;
    replica_leave(replica); /* then swap_on_written */
}

/* ---- on the helper ---- */

static void swap_work(struct snapshot_job *base)
{
    struct swap_job *job = VY_CONTAINER_OF(base, struct swap_job, job);
    store_close(VY_TAKE(job->old));
    job->swap_err = install_write_note(job->fresh.dir, &job->note);
    if (!vy_failed(job->swap_err)) {
        job->swap_err = install_swap(job->fresh.dir);
    }
    base->err = replica_open_identity(&job->fresh); /* the new one, or the old one still */
}

/* ---- coming back ---- */

static void tell_result(struct replica *replica, const struct swap_job *job)
{
    struct snapshots *snapshots = replica->snapshots;
    const uint64_t now_ms = replica_now_ms(replica);
    if (vy_failed(job->swap_err) || replica->applied.index < job->note.index) {
        snapshots->status.failures++;
        vy_log(&replica->log, VY_LOG_ERROR, "replica.snapshot.refused",
               VY_HEX("raft.peer", snapshots->receive.from), VY_LOG_ERR(job->swap_err));
        receive_tell_done(replica, SNAPSHOT_FAILED); /* not at once again: all of it was read */
        return;
    }
    snapshots->status.received++;
    snapshots->status.last_ms = now_ms - snapshots->receive.begun_ms;
    vy_log(&replica->log, VY_LOG_INFO, "replica.snapshot.installed",
           VY_U64("raft.index", replica->applied.index), VY_U64("raft.term", job->note.term),
           VY_U64("snapshot.bytes", snapshots->receive.manifest.bytes),
           VY_U64("snapshot.ms", snapshots->status.last_ms));
}

static void swap_done(struct snapshot_job *base)
{
    struct replica *replica = base->replica;
    struct swap_job *job = VY_CONTAINER_OF(base, struct swap_job, job);
    if (vy_failed(base->err)) {
        store_close(job->fresh.store);
        free(job->fresh.address);
        core_members_free(job->fresh.known, job->fresh.known_count);
        log_loaded_deinit(&job->fresh.loaded);
        replica_return(replica, NULL, base->err);
    } else {
        replica_return(replica, &job->fresh, vy_ok());
        tell_result(replica, job);
        receive_reset(replica);
        replica->snapshots->is_leftover = vy_failed(job->swap_err);
        replica->snapshots->leftover_ms = 0;
        source_resume(replica);
        snapshots_want_tick(replica);
    }
    free(job);
}

/* What replica_open_identity reads of a replica. */
static void prepare_fresh(struct replica *replica, struct replica *fresh)
{
    fresh->config = replica->config;
    fresh->chance = replica->chance;
    fresh->dir = replica->dir;
    fresh->name = replica->name;
    fresh->ticket_path = replica->ticket_path;
    fresh->log = replica->log;
    fresh->shared_reason = &replica->reason;
    log_spans_init(&fresh->spans, replica->config.log_keep_entries, replica->config.log_keep_bytes,
                   replica->config.log_max_entries, replica->config.log_max_bytes);
}

void swap_on_written(struct replica *replica)
{
    struct swap_job *job = calloc(1, sizeof(*job));
    if (job == NULL) {
        replica_fail(replica, vy_error(VY_CODE_NOMEM, "swap of a database"), 0);
        return;
    }
    job->job = (struct snapshot_job){.work = swap_work, .done = swap_done};
    job->note = (struct install_note){.identity = replica->identity,
                                      .term = core_term(replica->core),
                                      .voted_for = core_voted_for(replica->core),
                                      .index = replica->snapshots->receive.offer.index};
    prepare_fresh(replica, &job->fresh);
    writer_free(VY_TAKE(replica->writer));
    job->old = replica->store;
    replica->store = store_closed();
    if (!snapshots_run(replica, &job->job)) {
        store_close(job->old);
        free(job);
        replica_fail(replica, vy_error(VY_CODE_BUSY, "swap of a database"), 0);
    }
}
