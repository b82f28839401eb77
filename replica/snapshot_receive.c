/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a snapshot arrives: its list, its files piece by piece, then everything is read back and
 * compared before it may take the place of the member's own state. What came stays on disk until
 * the transfer is over, so that it goes on after a broken link or a restart.
 */
#include "replica/dir.h"
#include "replica/snapshot.h"
#include <stdlib.h>

#define IDLE_MS 60000U    /* nothing came: another sender may have the next word */
#define TAKEOVER_MS 3000U /* nothing came: whoever else offers one is heard */
#define DAMAGED_MAX 3U    /* files that may come damaged before it is given up */

static struct snapshot_receive *receive_of(const struct replica *replica)
{
    return &replica->snapshots->receive;
}

struct receive_job {
    struct snapshot_job job;
    struct snapshot_offer offer;
    const struct snapshot_manifest *manifest; /* the receiver's; it does not change meanwhile */
    uint64_t *lengths;
    struct vy_buf bytes; /* list, or piece */
    char dir[INSTALL_PATH_BYTES_MAX];
    char db[INSTALL_PATH_BYTES_MAX];
    char name[SNAPSHOT_NAME_BYTES_MAX + 1];
    uint64_t offset;
};

static void job_free(struct receive_job *job)
{
    vy_buf_deinit(&job->bytes);
    free(job);
}

static struct receive_job *job_new(struct replica *replica, void (*work)(struct snapshot_job *),
                                   void (*done)(struct snapshot_job *))
{
    struct receive_job *job = calloc(1, sizeof(*job));
    if (job == NULL) {
        return NULL;
    }
    job->job = (struct snapshot_job){.work = work, .done = done};
    job->offer = receive_of(replica)->offer;
    vy_buf_init(&job->bytes, SNAPSHOT_MANIFEST_BYTES_MAX);
    if (vy_failed(install_path(replica->dir, "", job->dir)) ||
        vy_failed(install_path(replica->dir, INSTALL_INCOMING_DB, job->db))) {
        job_free(job);
        return NULL;
    }
    return job;
}

/* Takes the job. */
static void run(struct replica *replica, struct receive_job *job)
{
    if (job == NULL || !snapshots_run(replica, &job->job)) {
        if (job != NULL) {
            job_free(job);
        }
        receive_end(replica, SNAPSHOT_FAILED, vy_error(VY_CODE_NOMEM, "work of a snapshot"));
    }
}

/* ---- ends ---- */

void receive_reset(struct replica *replica)
{
    struct snapshot_receive *receive = receive_of(replica);
    snapshot_manifest_deinit(&receive->manifest);
    snapshot_hasher_free(receive->hasher);
    free(receive->lengths);
    vy_buf_deinit(&receive->list);
    *receive = (struct snapshot_receive){.state = SNAPSHOT_RECEIVE_REST};
    vy_buf_init(&receive->list, SNAPSHOT_MANIFEST_BYTES_MAX);
}

void receive_tell_done(struct replica *replica, enum snapshot_outcome outcome)
{
    struct snapshot_frame frame = {
        .kind = SNAPSHOT_DONE, .offer = receive_of(replica)->offer, .outcome = outcome};
    snapshots_send_frame(replica, receive_of(replica)->from, &frame);
}

/* What came is kept for the next try, unless it was damaged. */
void receive_end(struct replica *replica, enum snapshot_outcome outcome, struct vy_err err)
{
    struct snapshots *snapshots = replica->snapshots;
    receive_tell_done(replica, outcome);
    snapshots->status.failures++;
    vy_log(&replica->log, VY_LOG_ERROR, "replica.snapshot.refused",
           VY_HEX("raft.peer", snapshots->receive.from), VY_LOG_ERR(err));
    receive_reset(replica);
    rebuild_put_off(replica);
    snapshots->is_leftover = true;
    const bool is_useless = outcome == SNAPSHOT_DAMAGED || outcome == SNAPSHOT_NO_SPACE;
    snapshots->leftover_ms = is_useless ? 0 : replica_now_ms(replica);
    snapshots_want_tick(replica);
}

static void pause_transfer(struct replica *replica, struct vy_err why)
{
    vy_log(&replica->log, VY_LOG_WARN, "replica.snapshot.interrupted",
           VY_HEX("raft.peer", receive_of(replica)->from),
           VY_U64("snapshot.bytes", receive_of(replica)->bytes), VY_LOG_ERR(why));
    receive_reset(replica);
    replica->snapshots->is_leftover = true;
    replica->snapshots->leftover_ms = replica_now_ms(replica);
}

/* ---- verifying: everything once more, from the disk ---- */

static void fetch_next_file(struct replica *replica);
static void verify_next(struct replica *replica);

static void verify_work(struct snapshot_job *base)
{
    struct receive_job *job = VY_CONTAINER_OF(base, struct receive_job, job);
    struct snapshot_receive *receive = receive_of(base->replica);
    const struct snapshot_file *file = &receive->manifest.files[receive->file];
    uint8_t hash[SNAPSHOT_HASH_BYTES];
    bool is_done = false;
    if (receive->hasher == NULL) {
        base->err = snapshot_hasher_open(job->db, file, /* sync = */ true, &receive->hasher);
    }
    if (!vy_failed(base->err)) {
        base->err = snapshot_hasher_step(receive->hasher, &is_done, hash);
    }
    if (is_done && memcmp(hash, file->hash, sizeof(hash)) != 0) {
        base->err = vy_error(VY_CODE_CORRUPT, "checksum of a file of a snapshot");
    }
    if (base->err.code == VY_CODE_CORRUPT) {
        const struct vy_err removed = staging_remove_file(job->dir, file->name);
        base->err = vy_failed(removed) ? removed : base->err;
    }
    if (is_done || vy_failed(base->err)) {
        snapshot_hasher_free(VY_TAKE(receive->hasher));
        job->offset = 1;
    }
}

static void on_whole(struct replica *replica)
{
    struct snapshot_receive *receive = receive_of(replica);
    receive->state = SNAPSHOT_RECEIVE_WHOLE;
    receive->progress_ms = replica_now_ms(replica);
    vy_log(&replica->log, VY_LOG_INFO, "replica.snapshot.received",
           VY_HEX("raft.peer", receive->from), VY_U64("raft.index", receive->offer.index),
           VY_U64("snapshot.bytes", receive->manifest.bytes),
           VY_U64("snapshot.ms", receive->progress_ms - receive->begun_ms));
    receive_tell_done(replica, SNAPSHOT_TAKEN);
    swap_tick(replica);
}

static void on_damaged(struct replica *replica, struct vy_err err)
{
    struct snapshot_receive *receive = receive_of(replica);
    vy_log(&replica->log, VY_LOG_WARN, "replica.snapshot.damaged",
           VY_HEX("raft.peer", receive->from),
           VY_CSTR("snapshot.file", receive->manifest.files[receive->file].name), VY_LOG_ERR(err));
    replica->snapshots->status.damaged++;
    if (++receive->damaged > DAMAGED_MAX) {
        receive_end(replica, SNAPSHOT_DAMAGED, err);
        return;
    }
    receive->lengths[receive->file] = 0;
    receive->state = SNAPSHOT_RECEIVE_FILES;
    receive->file = 0;
    fetch_next_file(replica);
}

static void verify_done(struct snapshot_job *base)
{
    struct replica *replica = base->replica;
    struct receive_job *job = VY_CONTAINER_OF(base, struct receive_job, job);
    struct snapshot_receive *receive = receive_of(replica);
    const struct vy_err err = base->err;
    const bool is_file_done = job->offset == 1;
    job_free(job);
    if (!replica_is_running(replica)) {
        return;
    }
    receive->progress_ms = replica_now_ms(replica);
    if (err.code == VY_CODE_CORRUPT) {
        on_damaged(replica, err);
    } else if (vy_failed(err)) {
        receive_end(replica, SNAPSHOT_FAILED, err);
    } else {
        receive->file += is_file_done ? 1 : 0;
        verify_next(replica);
    }
}

static void verify_next(struct replica *replica)
{
    struct snapshot_receive *receive = receive_of(replica);
    if (receive->file == receive->manifest.count) {
        on_whole(replica);
        return;
    }
    run(replica, job_new(replica, verify_work, verify_done));
}

/* ---- fetching ---- */

/* written: so much is done with; the window goes on from there. */
static void fetch(struct replica *replica, uint32_t file, uint64_t bytes, uint64_t written)
{
    struct snapshot_receive *receive = receive_of(replica);
    const uint64_t ahead = (uint64_t)SNAPSHOT_WINDOW * SNAPSHOT_PIECE_BYTES;
    while (receive->asked < bytes && receive->asked < written + ahead) {
        struct snapshot_frame frame = {.kind = SNAPSHOT_FETCH,
                                       .offer = receive->offer,
                                       .file = file,
                                       .offset = receive->asked};
        frame.length = (uint32_t)VY_MIN(bytes - receive->asked, (uint64_t)SNAPSHOT_PIECE_BYTES);
        receive->asked += frame.length;
        receive->asked_ms = replica_now_ms(replica);
        snapshots_send_frame(replica, receive->from, &frame);
    }
}

static void fetch_more(struct replica *replica)
{
    const struct snapshot_receive *receive = receive_of(replica);
    if (receive->state == SNAPSHOT_RECEIVE_LIST) {
        fetch(replica, 0, receive->offer.manifest_bytes, receive->offset);
    } else if (receive->state == SNAPSHOT_RECEIVE_FILES) {
        fetch(replica, (uint32_t)receive->file + 1, receive->manifest.files[receive->file].bytes,
              receive->lengths[receive->file]);
    }
}

/* From receive->file on, the next that is not whole. */
static void fetch_next_file(struct replica *replica)
{
    struct snapshot_receive *receive = receive_of(replica);
    while (receive->file < receive->manifest.count &&
           receive->lengths[receive->file] == receive->manifest.files[receive->file].bytes) {
        receive->file++;
    }
    if (receive->file == receive->manifest.count) {
        receive->state = SNAPSHOT_RECEIVE_VERIFYING;
        receive->file = 0;
        verify_next(replica);
        return;
    }
    receive->offset = receive->lengths[receive->file];
    receive->asked = receive->offset;
    fetch_more(replica);
}

static void write_work(struct snapshot_job *base)
{
    const struct receive_job *job = VY_CONTAINER_OF(base, struct receive_job, job);
    base->err = snapshot_write(job->db, job->name, job->offset, vy_buf_bytes(&job->bytes));
}

static void write_done(struct snapshot_job *base)
{
    struct replica *replica = base->replica;
    struct receive_job *job = VY_CONTAINER_OF(base, struct receive_job, job);
    struct snapshot_receive *receive = receive_of(replica);
    const struct vy_err err = base->err;
    const size_t bytes = vy_buf_len(&job->bytes);
    const bool is_current = memcmp(job->offer.id, receive->offer.id, sizeof(job->offer.id)) == 0 &&
                            receive->state == SNAPSHOT_RECEIVE_FILES && receive->writes > 0;
    job_free(job);
    if (!replica_is_running(replica) || !is_current) {
        return;
    }
    receive->writes--;
    if (vy_failed(err)) {
        receive_end(replica, err.code == VY_CODE_FULL ? SNAPSHOT_NO_SPACE : SNAPSHOT_FAILED, err);
        return;
    }
    receive->lengths[receive->file] += bytes;
    if (receive->lengths[receive->file] == receive->manifest.files[receive->file].bytes) {
        receive->file++;
        fetch_next_file(replica);
    } else {
        fetch_more(replica);
    }
}

static void take_piece(struct replica *replica, struct vy_bytes bytes)
{
    struct snapshot_receive *receive = receive_of(replica);
    struct receive_job *job = job_new(replica, write_work, write_done);
    if (job != NULL) {
        vy_buf_append(&job->bytes, bytes);
        job->offset = receive->offset;
        memcpy(job->name, receive->manifest.files[receive->file].name, sizeof(job->name));
        if (vy_failed(vy_buf_error(&job->bytes))) {
            job_free(job);
            return; /* it will be asked for again */
        }
    }
    receive->writes++;
    receive->offset += bytes.len;
    receive->bytes += bytes.len;
    replica->snapshots->status.bytes_received += bytes.len;
    run(replica, job);
}

/* ---- the list ---- */

static bool has_space(struct replica *replica)
{
    const struct snapshot_receive *receive = receive_of(replica);
    uint64_t have = 0;
    uint64_t free_bytes = 0;
    for (size_t i = 0; i < receive->manifest.count; i++) {
        have += receive->lengths[i];
    }
    if (vy_failed(store_free_bytes(replica->store, &free_bytes))) {
        return true; /* the write will say */
    }
    const uint64_t wanted = receive->manifest.bytes - have;
    return free_bytes > replica->config.free_floor_bytes &&
           free_bytes - replica->config.free_floor_bytes > wanted;
}

static void measure_work(struct snapshot_job *base)
{
    const struct receive_job *job = VY_CONTAINER_OF(base, struct receive_job, job);
    if (vy_buf_len(&job->bytes) > 0) {
        base->err = staging_write_manifest(job->dir, vy_buf_bytes(&job->bytes));
    }
    if (!vy_failed(base->err)) {
        base->err = staging_remove_strangers(job->dir, job->manifest);
    }
    if (!vy_failed(base->err)) {
        base->err = staging_measure(job->dir, job->manifest, job->lengths);
    }
}

static void measure_done(struct snapshot_job *base)
{
    struct replica *replica = base->replica;
    struct snapshot_receive *receive = receive_of(replica);
    const struct vy_err err = base->err;
    job_free(VY_CONTAINER_OF(base, struct receive_job, job));
    if (!replica_is_running(replica)) {
        return;
    }
    if (vy_failed(err)) {
        receive_end(replica, SNAPSHOT_FAILED, err);
        return;
    }
    if (!has_space(replica)) {
        receive_end(replica, SNAPSHOT_NO_SPACE, vy_error(VY_CODE_FULL, "space for a snapshot"));
        return;
    }
    for (size_t i = 0; i < receive->manifest.count; i++) {
        receive->bytes += receive->lengths[i];
    }
    receive->state = SNAPSHOT_RECEIVE_FILES;
    receive->file = 0;
    fetch_next_file(replica);
}

/* All of the list is in receive->list. is_new: it has to be written down. */
static void take_list(struct replica *replica, bool is_new)
{
    struct snapshot_receive *receive = receive_of(replica);
    uint8_t hash[SNAPSHOT_HASH_BYTES];
    snapshot_hash(vy_buf_bytes(&receive->list), hash);
    struct vy_err err =
        memcmp(hash, receive->offer.manifest_hash, sizeof(hash)) == 0
            ? snapshot_manifest_decode(vy_buf_bytes(&receive->list), &receive->manifest)
            : vy_error(VY_CODE_CORRUPT, "checksum of a list of files");
    if (vy_failed(err)) {
        receive_end(replica, SNAPSHOT_DAMAGED, err);
        return;
    }
    receive->state = SNAPSHOT_RECEIVE_MEASURING;
    receive->lengths = calloc(receive->manifest.count, sizeof(*receive->lengths));
    struct receive_job *job =
        receive->lengths == NULL ? NULL : job_new(replica, measure_work, measure_done);
    if (job != NULL) {
        job->manifest = &receive->manifest;
        job->lengths = receive->lengths;
        vy_buf_append(&job->bytes, is_new ? vy_buf_bytes(&receive->list) : vy_bytes(NULL, 0));
    }
    run(replica, job);
}

static void open_work(struct snapshot_job *base)
{
    struct receive_job *job = VY_CONTAINER_OF(base, struct receive_job, job);
    base->err = staging_open(job->dir, &job->offer, &job->bytes);
}

static void open_done(struct snapshot_job *base)
{
    struct replica *replica = base->replica;
    struct receive_job *job = VY_CONTAINER_OF(base, struct receive_job, job);
    struct snapshot_receive *receive = receive_of(replica);
    const struct vy_err err = base->err;
    const bool has_list = vy_buf_len(&job->bytes) > 0;
    if (has_list) {
        vy_buf_append(&receive->list, vy_buf_bytes(&job->bytes));
    }
    job_free(job);
    if (!replica_is_running(replica)) {
        return;
    }
    if (vy_failed(err)) {
        receive_end(replica, SNAPSHOT_FAILED, err);
    } else if (has_list) {
        take_list(replica, false);
    } else {
        receive->state = SNAPSHOT_RECEIVE_LIST;
        fetch_more(replica);
    }
}

/* ---- what the sender says ---- */

/* What this member has acknowledged may count for a majority: it must not lose it. When its log has
 * the very entry, or has applied as much, there is nothing to gain. An entry of another term at
 * that place proves that everything of its own from there on was never committed. */
bool receive_is_needed(const struct replica *replica, const struct snapshot_offer *offer)
{
    if (replica->applied.index >= offer->index || core_base_index(replica->core) >= offer->index) {
        return false;
    }
    return core_last_index(replica->core) < offer->index ||
           core_term_at(replica->core, offer->index) != offer->term;
}

/* The one in hand will not get on: its sender has another now, or is silent while this one talks.
 */
static bool is_lost(const struct replica *replica, uint64_t from,
                    const struct snapshot_offer *offer)
{
    const struct snapshot_receive *receive = receive_of(replica);
    if (receive->state != SNAPSHOT_RECEIVE_LIST && receive->state != SNAPSHOT_RECEIVE_FILES) {
        return false;
    }
    return from == receive->from ? memcmp(offer->id, receive->offer.id, SNAPSHOT_ID_BYTES) != 0
                                 : replica_now_ms(replica) - receive->progress_ms >= TAKEOVER_MS;
}

static void on_offer(struct replica *replica, uint64_t from, const struct snapshot_offer *offer)
{
    struct snapshot_receive *receive = receive_of(replica);
    if (is_lost(replica, from, offer)) {
        pause_transfer(replica, vy_error(VY_CODE_CANCELLED, "there is another one"));
    }
    if (receive->state != SNAPSHOT_RECEIVE_REST ||
        core_role(replica->core) == REPLICA_ROLE_LEADER) {
        return; /* the one in hand first; a leader lacks nothing */
    }
    receive->from = from;
    receive->offer = *offer;
    receive->offer.from = from;
    if (!receive_is_needed(replica, offer)) {
        receive_tell_done(replica, SNAPSHOT_NOT_NEEDED);
        receive_reset(replica);
        return;
    }
    receive->state = SNAPSHOT_RECEIVE_OPENING;
    receive->begun_ms = replica_now_ms(replica);
    receive->progress_ms = receive->begun_ms;
    replica->snapshots->is_leftover = false;
    vy_log(&replica->log, VY_LOG_INFO, "replica.snapshot.receiving", VY_HEX("raft.peer", from),
           VY_U64("raft.index", offer->index));
    run(replica, job_new(replica, open_work, open_done));
    snapshots_want_tick(replica);
}

static void on_data(struct replica *replica, const struct snapshot_frame *frame)
{
    struct snapshot_receive *receive = receive_of(replica);
    const bool is_list = receive->state == SNAPSHOT_RECEIVE_LIST && frame->file == 0;
    const bool is_file =
        receive->state == SNAPSHOT_RECEIVE_FILES && frame->file == receive->file + 1;
    if ((!is_list && !is_file) || frame->offset != receive->offset) {
        return; /* late, or there twice */
    }
    const uint64_t bytes =
        is_list ? receive->offer.manifest_bytes : receive->manifest.files[receive->file].bytes;
    if (frame->bytes.len > bytes - receive->offset) {
        return;
    }
    receive->progress_ms = replica_now_ms(replica);
    if (is_file) {
        take_piece(replica, frame->bytes);
        return;
    }
    vy_buf_append(&receive->list, frame->bytes);
    receive->offset += frame->bytes.len;
    if (receive->offset == bytes) {
        take_list(replica, true);
    } else {
        fetch_more(replica);
    }
}

void receive_on_frame(struct replica *replica, uint64_t from, const struct snapshot_frame *frame)
{
    const struct snapshot_receive *receive = receive_of(replica);
    if (frame->kind == SNAPSHOT_OFFER) {
        on_offer(replica, from, &frame->offer);
        return;
    }
    if (from != receive->from ||
        memcmp(frame->offer.id, receive->offer.id, SNAPSHOT_ID_BYTES) != 0) {
        return;
    }
    const bool is_fetching =
        receive->state == SNAPSHOT_RECEIVE_LIST || receive->state == SNAPSHOT_RECEIVE_FILES;
    if (frame->kind == SNAPSHOT_DATA) {
        on_data(replica, frame);
    } else if (is_fetching) {
        pause_transfer(replica, vy_error(VY_CODE_NOT_FOUND, "the sender has it no more"));
        rebuild_put_off(replica);
    }
}

/* ---- time ---- */

void receive_tick(struct replica *replica)
{
    struct snapshot_receive *receive = receive_of(replica);
    const uint64_t now_ms = replica_now_ms(replica);
    switch (receive->state) {
    case SNAPSHOT_RECEIVE_LIST:
    case SNAPSHOT_RECEIVE_FILES:
        if (now_ms - receive->progress_ms >= IDLE_MS) {
            pause_transfer(replica, vy_error(VY_CODE_UNAVAILABLE, "the sender is silent"));
            rebuild_put_off(replica);
        } else if (now_ms - VY_MAX(receive->progress_ms, receive->asked_ms) >= SNAPSHOT_REPEAT_MS) {
            receive->asked = receive->offset;
            fetch_more(replica);
        }
        break;
    case SNAPSHOT_RECEIVE_WHOLE:
        swap_tick(replica);
        break;
    case SNAPSHOT_RECEIVE_REST:
    case SNAPSHOT_RECEIVE_OPENING:
    case SNAPSHOT_RECEIVE_MEASURING:
    case SNAPSHOT_RECEIVE_VERIFYING:
    case SNAPSHOT_RECEIVE_SWAPPING:
    case SNAPSHOT_RECEIVE_CLOSING:
        break;
    }
}
