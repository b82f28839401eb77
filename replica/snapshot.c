/* SPDX-License-Identifier: Apache-2.0 */
#include "replica/snapshot.h"

#include "replica/dir.h"
#include <stdlib.h>

#define JOBS_MAX 64U
#define REFUSED_LOG_EVERY 1024U
#define LEFTOVER_MS (10U * 60 * 1000) /* a transfer that nobody goes on with is thrown away */

/* ---- the helper ---- */

static void job_work(void *arg)
{
    struct snapshot_job *job = arg;
    job->work(job);
}

static void job_done(void *arg)
{
    struct snapshot_job *job = arg;
    struct replica *replica = job->replica;
    replica->snapshots->job_count--;
    job->done(job);
    replica_finish_if_quiet(replica);
}

bool snapshots_run(struct replica *replica, struct snapshot_job *job)
{
    struct snapshots *snapshots = replica->snapshots;
    job->replica = replica;
    if (vy_failed(
            vy_workers_submit(snapshots->helper, replica->config.loop, job_work, job_done, job))) {
        return false;
    }
    snapshots->job_count++;
    return true;
}

bool snapshots_are_quiet(const struct replica *replica)
{
    return replica->snapshots == NULL || replica->snapshots->job_count == 0;
}

/* ---- frames ---- */

void snapshots_send_frame(struct replica *replica, uint64_t to, struct snapshot_frame *frame)
{
    struct vy_buf bytes;
    struct replica_transport *transport = replica->config.transport;
    if (transport == NULL || transport->send_bulk == NULL) {
        return;
    }
    memcpy(frame->cluster_id, replica->identity.cluster_id, sizeof(frame->cluster_id));
    frame->group_id = replica->identity.group_id;
    frame->from = replica->identity.member_id;
    frame->to = to;
    vy_buf_init(&bytes, SNAPSHOT_FRAME_BYTES_MAX);
    if (!vy_failed(snapshot_frame_encode(frame, &bytes))) {
        transport->send_bulk(transport, to, vy_buf_bytes(&bytes)); /* else as if it was lost */
    }
    vy_buf_deinit(&bytes);
}

/* R8: of another cluster or group, or between others. */
static struct vy_err check_frame(const struct replica *replica, uint64_t member_id,
                                 const struct snapshot_frame *frame)
{
    if (memcmp(frame->cluster_id, replica->identity.cluster_id, REPLICA_CLUSTER_ID_BYTES) != 0 ||
        frame->group_id != replica->identity.group_id) {
        return vy_error(VY_CODE_DENIED, "snapshot of another cluster or group");
    }
    if (frame->from != member_id || frame->to != replica->identity.member_id) {
        return vy_error(VY_CODE_DENIED, "snapshot of another member");
    }
    return vy_ok();
}

void replica_receive_bulk(struct replica *replica, uint64_t member_id, struct vy_bytes bytes)
{
    struct snapshot_frame frame;
    if (!replica_is_running(replica)) {
        return;
    }
    struct vy_err err = snapshot_frame_decode(bytes, &frame);
    if (!vy_failed(err)) {
        err = check_frame(replica, member_id, &frame);
    }
    if (vy_failed(err)) {
        if (replica->snapshots->status.frames_refused++ % REFUSED_LOG_EVERY == 0) {
            vy_log(&replica->log, VY_LOG_WARN, "replica.frame.refused",
                   VY_HEX("raft.peer", member_id), VY_LOG_ERR(err));
        }
        return;
    }
    if (frame.kind == SNAPSHOT_FETCH || frame.kind == SNAPSHOT_DONE) {
        send_on_frame(replica, member_id, &frame);
    } else {
        receive_on_frame(replica, member_id, &frame);
    }
}

/* ---- time ---- */

struct leftover_job {
    struct snapshot_job job;
    char dir[INSTALL_PATH_BYTES_MAX];
};

static void leftover_work(struct snapshot_job *base)
{
    const struct leftover_job *job = VY_CONTAINER_OF(base, struct leftover_job, job);
    base->err = dir_remove(job->dir);
}

static void leftover_done(struct snapshot_job *base)
{
    struct replica *replica = base->replica;
    if (vy_failed(base->err)) {
        vy_log(&replica->log, VY_LOG_WARN, "replica.snapshot.failed", VY_LOG_ERR(base->err));
    }
    if (replica->snapshots->receive.state == SNAPSHOT_RECEIVE_CLOSING) {
        receive_reset(replica);
    }
    free(VY_CONTAINER_OF(base, struct leftover_job, job));
}

static void remove_leftover(struct replica *replica)
{
    struct snapshots *snapshots = replica->snapshots;
    struct leftover_job *job = calloc(1, sizeof(*job));
    if (job == NULL) {
        return; /* with the next tick */
    }
    job->job = (struct snapshot_job){.work = leftover_work, .done = leftover_done};
    if (vy_failed(install_path(replica->dir, INSTALL_INCOMING, job->dir)) ||
        !snapshots_run(replica, &job->job)) {
        free(job);
        return;
    }
    snapshots->receive.state = SNAPSHOT_RECEIVE_CLOSING;
    snapshots->is_leftover = false;
}

static void on_tick(void *arg)
{
    struct replica *replica = arg;
    struct snapshots *snapshots = replica->snapshots;
    snapshots->is_tick_armed = false;
    if (!replica_is_running(replica)) {
        return;
    }
    send_tick(replica);
    receive_tick(replica);
    if (!replica_is_running(replica)) {
        return; /* it is being replaced */
    }
    if (snapshots->receive.state == SNAPSHOT_RECEIVE_REST && snapshots->is_leftover &&
        replica_now_ms(replica) - snapshots->leftover_ms >= LEFTOVER_MS) {
        remove_leftover(replica);
    }
}

void snapshots_want_tick(struct replica *replica)
{
    if (replica_is_running(replica) && !replica->snapshots->is_tick_armed) {
        replica->snapshots->is_tick_armed = true;
        vy_timer_start(replica->snapshots->timer, SNAPSHOT_TICK_MS);
    }
}

static void on_pace(void *arg)
{
    struct replica *replica = arg;
    if (replica_is_running(replica)) {
        send_pump(replica);
    }
}

/* ---- life ---- */

struct vy_err snapshots_init(struct replica *replica)
{
    char path[INSTALL_PATH_BYTES_MAX];
    struct snapshots *snapshots = calloc(1, sizeof(*snapshots));
    if (snapshots == NULL) {
        return vy_error(VY_CODE_NOMEM, "snapshots");
    }
    replica->snapshots = snapshots;
    vy_buf_init(&snapshots->source.list, SNAPSHOT_MANIFEST_BYTES_MAX);
    vy_buf_init(&snapshots->receive.list, SNAPSHOT_MANIFEST_BYTES_MAX);
    snapshots->timer = vy_timer_new(replica->config.loop, on_tick, replica);
    snapshots->pace = vy_timer_new(replica->config.loop, on_pace, replica);
    snapshots->hasher = vy_timer_new(replica->config.loop, source_on_timer, replica);
    if (snapshots->timer == NULL || snapshots->pace == NULL || snapshots->hasher == NULL) {
        return vy_error(VY_CODE_NOMEM, "timer");
    }
    const unsigned threads = replica->config.writer_mode == REPLICA_WRITER_THREAD ? 1 : 0;
    VY_TRY(vy_workers_new(threads, JOBS_MAX, &snapshots->helper));
    VY_TRY(install_path(replica->dir, INSTALL_OUTGOING, path));
    VY_TRY(dir_remove(path)); /* of the last life */
    VY_TRY(install_path(replica->dir, INSTALL_INCOMING, path));
    snapshots->is_leftover = dir_exists(path);
    snapshots->leftover_ms = replica_now_ms(replica);
    return vy_ok();
}

void snapshots_stop(struct replica *replica)
{
    struct snapshots *snapshots = replica->snapshots;
    vy_timer_stop(snapshots->timer);
    vy_timer_stop(snapshots->pace);
    vy_timer_stop(snapshots->hasher);
    snapshots->is_tick_armed = false;
}

void snapshots_deinit(struct replica *replica)
{
    struct snapshots *snapshots = replica->snapshots;
    if (snapshots == NULL) {
        return;
    }
    vy_workers_free(snapshots->helper);
    vy_timer_free(snapshots->timer);
    vy_timer_free(snapshots->pace);
    vy_timer_free(snapshots->hasher);
    source_abandon(snapshots);
    snapshot_manifest_deinit(&snapshots->source.manifest);
    vy_buf_deinit(&snapshots->source.list);
    snapshot_manifest_deinit(&snapshots->receive.manifest);
    vy_buf_deinit(&snapshots->receive.list);
    snapshot_hasher_free(snapshots->receive.hasher);
    free(snapshots->receive.lengths);
    free(snapshots);
    replica->snapshots = NULL;
}

bool replica_has_no_copy_before(const struct replica *replica, uint64_t moment_ms)
{
    const struct snapshots *snapshots = replica->snapshots;
    if (snapshots == NULL) {
        return true;
    }
    const bool has_source =
        snapshots->source.state != SNAPSHOT_SOURCE_NONE && snapshots->source.begun_ms <= moment_ms;
    const bool has_staged =
        snapshots->is_leftover || (snapshots->receive.state != SNAPSHOT_RECEIVE_REST &&
                                   snapshots->receive.begun_ms <= moment_ms);
    return !has_source && !has_staged;
}
