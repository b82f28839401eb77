/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who gets a snapshot: members that need entries which were cut. They pull; what is read for them
 * is limited in bytes a second over all of them, and never queues before raft's messages.
 */
#include "replica/snapshot.h"
#include <stdlib.h>

#define IDLE_MS (5U * 60 * 1000) /* nothing heard: a receiver may have restarted meanwhile */
#define TAKEN_MS 60000U          /* to put it in place and say so */
#define REST_MS 1000U            /* after a failure */
#define REST_LONG_MS 10000U      /* after one that will not go away by itself */
#define READS_MAX 2U             /* at a time, on their way from the disk */
#define BURST_MS 100U            /* of tokens that may be saved */

static struct snapshot_send *find_send(struct replica *replica, uint64_t member)
{
    struct snapshot_send *sends = replica->snapshots->sends;
    for (size_t i = 0; i < REPLICA_MEMBERS_MAX; i++) {
        if (sends[i].member == member) {
            return &sends[i];
        }
    }
    return NULL;
}

static struct snapshot_send *find_place(struct replica *replica, uint64_t member)
{
    struct snapshot_send *found = find_send(replica, member);
    struct snapshot_send *sends = replica->snapshots->sends;
    for (size_t i = 0; i < REPLICA_MEMBERS_MAX && found == NULL; i++) {
        if (sends[i].state == SNAPSHOT_SEND_REST) {
            found = &sends[i];
            *found = (struct snapshot_send){.member = member};
        }
    }
    return found;
}

static bool is_active(const struct snapshot_send *send)
{
    return send->state == SNAPSHOT_SEND_ACTIVE || send->state == SNAPSHOT_SEND_TAKEN;
}

void send_want(struct replica *replica, uint64_t member)
{
    const struct replica_transport *transport = replica->config.transport;
    struct snapshot_send *send = find_place(replica, member);
    if (transport == NULL || transport->send_bulk == NULL || send == NULL ||
        send->state != SNAPSHOT_SEND_REST || replica_now_ms(replica) < send->rest_until_ms) {
        return;
    }
    send->state = SNAPSHOT_SEND_WANTED;
    send->is_rebuild = false;
    vy_log(&replica->log, VY_LOG_INFO, "replica.member.behind", VY_HEX("raft.peer", member),
           VY_U64("raft.index", replica->spans.base + 1));
    snapshots_want_tick(replica);
}

static bool is_source_used(const struct replica *replica)
{
    for (size_t i = 0; i < REPLICA_MEMBERS_MAX; i++) {
        if (is_active(&replica->snapshots->sends[i])) {
            return true;
        }
    }
    return false;
}

void send_want_beyond(struct replica *replica, uint64_t member, uint64_t last_index)
{
    const struct snapshot_source *source = &replica->snapshots->source;
    if (source->state != SNAPSHOT_SOURCE_NONE && source->offer.index <= last_index) {
        if (!is_source_used(replica)) {
            source_drop(replica);
        }
        return; /* it asks again */
    }
    send_want(replica, member);
    struct snapshot_send *send = find_send(replica, member);
    if (send != NULL && send->state != SNAPSHOT_SEND_REST) {
        send->is_rebuild = true;
    }
}

uint64_t send_hold(const struct replica *replica)
{
    const struct snapshots *snapshots = replica->snapshots;
    bool is_held = false;
    for (size_t i = 0; i < REPLICA_MEMBERS_MAX; i++) {
        is_held = is_held || is_active(&snapshots->sends[i]) ||
                  (snapshots->sends[i].state == SNAPSHOT_SEND_WANTED &&
                   snapshots->source.state == SNAPSHOT_SOURCE_MAKING);
    }
    return is_held ? snapshots->source.offer.index : UINT64_MAX;
}

/* ---- beginning and ending ---- */

static void offer(struct replica *replica, struct snapshot_send *send)
{
    struct snapshot_frame frame = {.kind = SNAPSHOT_OFFER,
                                   .offer = replica->snapshots->source.offer};
    send->offered_ms = replica_now_ms(replica);
    snapshots_send_frame(replica, send->member, &frame);
}

static void begin(struct replica *replica, struct snapshot_send *send)
{
    send->state = SNAPSHOT_SEND_ACTIVE;
    send->begun_ms = replica_now_ms(replica);
    send->heard_ms = send->begun_ms;
    send->bytes = 0;
    send->fetch_count = 0;
    vy_log(&replica->log, VY_LOG_INFO, "replica.snapshot.offered",
           VY_HEX("raft.peer", send->member),
           VY_U64("raft.index", replica->snapshots->source.offer.index),
           VY_U64("snapshot.bytes", replica->snapshots->source.manifest.bytes));
    offer(replica, send);
}

static void end(struct replica *replica, struct snapshot_send *send, struct vy_err err)
{
    const uint64_t now_ms = replica_now_ms(replica);
    const uint64_t took_ms = now_ms - send->begun_ms;
    struct replica_snapshot_status *status = &replica->snapshots->status;
    if (vy_failed(err)) {
        const bool is_lasting =
            err.code == VY_CODE_CORRUPT || err.code == VY_CODE_FULL || err.code == VY_CODE_IO;
        status->failures++;
        send->rest_until_ms = now_ms + (is_lasting ? REST_LONG_MS : REST_MS);
        vy_log(&replica->log, VY_LOG_WARN, "replica.snapshot.not_sent",
               VY_HEX("raft.peer", send->member), VY_LOG_ERR(err));
    } else {
        status->sent++;
        status->last_ms = took_ms;
        vy_log(&replica->log, VY_LOG_INFO, "replica.snapshot.sent",
               VY_HEX("raft.peer", send->member), VY_U64("snapshot.bytes", send->bytes),
               VY_U64("snapshot.ms", took_ms));
    }
    send->state = SNAPSHOT_SEND_REST;
    send->fetch_count = 0;
}

static bool has_caught_up(const struct replica *replica, const struct snapshot_send *send)
{
    uint64_t match = 0;
    return core_match_index(replica->core, send->member, &match) &&
           match >= replica->snapshots->source.offer.index;
}

static void take_back(struct replica *replica, struct snapshot_send *send, struct vy_err err)
{
    struct snapshot_frame gone = {.kind = SNAPSHOT_GONE, .offer = replica->snapshots->source.offer};
    snapshots_send_frame(replica, send->member, &gone);
    end(replica, send, err);
}

static void tick_active(struct replica *replica, struct snapshot_send *send)
{
    const uint64_t now_ms = replica_now_ms(replica);
    const uint64_t silent_ms = now_ms - send->heard_ms;
    const bool is_leader = core_role(replica->core) == REPLICA_ROLE_LEADER;
    if (has_caught_up(replica, send) || (send->state == SNAPSHOT_SEND_TAKEN && !is_leader)) {
        end(replica, send, vy_ok());
    } else if (send->is_rebuild && is_leader && rebuild_is_needed(replica, send->member)) {
        take_back(replica, send, vy_error(VY_CODE_UNAVAILABLE, "the majority needs the member"));
    } else if (send->state == SNAPSHOT_SEND_TAKEN && silent_ms >= TAKEN_MS) {
        end(replica, send, vy_error(VY_CODE_UNAVAILABLE, "the snapshot was not put in place"));
    } else if (silent_ms >= IDLE_MS) {
        end(replica, send, vy_error(VY_CODE_UNAVAILABLE, "the member does not fetch it"));
    } else if (VY_MIN(silent_ms, now_ms - send->offered_ms) >= SNAPSHOT_REPEAT_MS) {
        offer(replica, send); /* also when all was taken: it may have died before the swap */
    }
}

/* Nobody can go on with it: the log was cut beyond it, or the disk is full. */
static void give_up(struct replica *replica, struct vy_err err)
{
    struct snapshots *snapshots = replica->snapshots;
    for (size_t i = 0; i < REPLICA_MEMBERS_MAX; i++) {
        if (is_active(&snapshots->sends[i])) {
            take_back(replica, &snapshots->sends[i], err);
        }
    }
    source_drop(replica);
}

static void check_source(struct replica *replica)
{
    const struct snapshot_source *source = &replica->snapshots->source;
    if (source->state != SNAPSHOT_SOURCE_READY) {
        return;
    }
    if (replica->is_full) {
        give_up(replica, vy_error(VY_CODE_FULL, "free space of the disk"));
    } else if (source->offer.index < replica->spans.base) {
        give_up(replica, vy_error(VY_CODE_LIMIT, "the log grew faster than the snapshot was sent"));
    }
}

static void tick_wanted(struct replica *replica, struct snapshot_send *send)
{
    if (core_role(replica->core) != REPLICA_ROLE_LEADER) {
        send->state = SNAPSHOT_SEND_REST; /* its leader knows */
    } else if (replica->snapshots->source.state == SNAPSHOT_SOURCE_READY) {
        begin(replica, send);
    }
}

void send_tick(struct replica *replica)
{
    struct snapshots *snapshots = replica->snapshots;
    bool is_wanted = false;
    bool is_used = false;
    for (size_t i = 0; i < REPLICA_MEMBERS_MAX; i++) {
        if (is_active(&snapshots->sends[i])) {
            tick_active(replica, &snapshots->sends[i]);
        }
    }
    check_source(replica);
    for (size_t i = 0; i < REPLICA_MEMBERS_MAX; i++) {
        struct snapshot_send *send = &snapshots->sends[i];
        if (send->state == SNAPSHOT_SEND_WANTED) {
            tick_wanted(replica, send);
        }
        is_wanted = is_wanted || send->state == SNAPSHOT_SEND_WANTED;
        is_used = is_used || is_active(send);
    }
    source_tick(replica, is_wanted, is_used);
    snapshots_want_tick(replica);
}

/* ---- pieces ---- */

struct read_job {
    struct snapshot_job job;
    uint64_t member;
    uint8_t id[SNAPSHOT_ID_BYTES];
    char dir[INSTALL_PATH_BYTES_MAX];
    char name[SNAPSHOT_NAME_BYTES_MAX + 1];
    struct snapshot_fetch fetch;
    struct vy_buf bytes;
};

static void send_data(struct replica *replica, uint64_t member, const struct snapshot_fetch *fetch,
                      struct vy_bytes bytes)
{
    struct snapshot_frame frame = {.kind = SNAPSHOT_DATA,
                                   .offer = replica->snapshots->source.offer,
                                   .file = fetch->file,
                                   .offset = fetch->offset,
                                   .bytes = bytes};
    struct snapshot_send *send = find_send(replica, member);
    if (send != NULL) {
        send->bytes += bytes.len;
    }
    replica->snapshots->status.bytes_sent += bytes.len;
    snapshots_send_frame(replica, member, &frame);
}

static void read_work(struct snapshot_job *base)
{
    struct read_job *job = VY_CONTAINER_OF(base, struct read_job, job);
    base->err =
        snapshot_read(job->dir, job->name, job->fetch.offset, job->fetch.length, &job->bytes);
}

static void read_done(struct snapshot_job *base)
{
    struct replica *replica = base->replica;
    struct read_job *job = VY_CONTAINER_OF(base, struct read_job, job);
    const struct snapshot_source *source = &replica->snapshots->source;
    const bool is_current = source->state == SNAPSHOT_SOURCE_READY &&
                            memcmp(source->offer.id, job->id, sizeof(job->id)) == 0;
    replica->snapshots->reads--;
    if (replica_is_running(replica) && is_current) {
        if (vy_failed(base->err)) {
            vy_log(&replica->log, VY_LOG_ERROR, "replica.snapshot.failed", VY_LOG_ERR(base->err));
            give_up(replica, base->err);
        } else {
            send_data(replica, job->member, &job->fetch, vy_buf_bytes(&job->bytes));
        }
    }
    vy_buf_deinit(&job->bytes);
    free(job);
    if (replica_is_running(replica)) {
        send_pump(replica);
    }
}

static bool read_file(struct replica *replica, uint64_t member, const struct snapshot_fetch *fetch)
{
    const struct snapshot_source *source = &replica->snapshots->source;
    struct read_job *job = calloc(1, sizeof(*job));
    if (job == NULL) {
        return false;
    }
    job->job = (struct snapshot_job){.work = read_work, .done = read_done};
    job->member = member;
    job->fetch = *fetch;
    memcpy(job->id, source->offer.id, sizeof(job->id));
    memcpy(job->dir, source->dir, sizeof(job->dir));
    memcpy(job->name, source->manifest.files[fetch->file - 1].name, sizeof(job->name));
    vy_buf_init(&job->bytes, SNAPSHOT_PIECE_BYTES);
    if (!snapshots_run(replica, &job->job)) {
        free(job);
        return false;
    }
    replica->snapshots->reads++;
    return true;
}

/* What it asks for, cut to what there is. False: nothing of it. */
static bool clip(const struct snapshot_source *source, struct snapshot_fetch *fetch)
{
    if (fetch->file > source->manifest.count) {
        return false;
    }
    const uint64_t bytes = fetch->file == 0 ? vy_buf_len(&source->list)
                                            : source->manifest.files[fetch->file - 1].bytes;
    if (fetch->offset >= bytes) {
        return false;
    }
    fetch->length = (uint32_t)VY_MIN((uint64_t)fetch->length, bytes - fetch->offset);
    return true;
}

static void serve(struct replica *replica, struct snapshot_send *send)
{
    struct snapshots *snapshots = replica->snapshots;
    struct snapshot_fetch fetch = send->fetches[0];
    send->fetch_count--;
    memmove(send->fetches, send->fetches + 1, send->fetch_count * sizeof(fetch));
    if (!clip(&snapshots->source, &fetch)) {
        return;
    }
    snapshots->tokens -= fetch.length;
    if (fetch.file == 0) {
        const struct vy_bytes list = vy_buf_bytes(&snapshots->source.list);
        send_data(replica, send->member, &fetch, vy_bytes(list.data + fetch.offset, fetch.length));
    } else if (!read_file(replica, send->member, &fetch)) {
        return; /* no memory: it will be asked for again */
    }
}

static void earn(struct replica *replica)
{
    struct snapshots *snapshots = replica->snapshots;
    const uint64_t now_ms = replica_now_ms(replica);
    const uint64_t rate = replica->config.snapshot_bytes_per_s;
    const uint64_t passed_ms = VY_MIN(now_ms - snapshots->tokens_ms, (uint64_t)10000);
    const int64_t most = (int64_t)VY_MAX(rate * BURST_MS / 1000, (uint64_t)SNAPSHOT_PIECE_BYTES);
    snapshots->tokens_ms = now_ms;
    snapshots->tokens = VY_MIN(snapshots->tokens + (int64_t)(rate * passed_ms / 1000), most);
}

static struct snapshot_send *next_send(struct snapshots *snapshots)
{
    for (size_t i = 0; i < REPLICA_MEMBERS_MAX; i++) {
        struct snapshot_send *send =
            &snapshots->sends[(snapshots->next_send + i) % REPLICA_MEMBERS_MAX];
        if (send->fetch_count > 0 && is_active(send)) {
            snapshots->next_send = (snapshots->next_send + i + 1) % REPLICA_MEMBERS_MAX;
            return send;
        }
    }
    return NULL;
}

void send_pump(struct replica *replica)
{
    struct snapshots *snapshots = replica->snapshots;
    earn(replica);
    while (snapshots->source.state == SNAPSHOT_SOURCE_READY && snapshots->reads < READS_MAX) {
        if (snapshots->tokens <= 0) {
            const uint64_t rate = replica->config.snapshot_bytes_per_s;
            const uint64_t debt = (uint64_t)-snapshots->tokens;
            vy_timer_start(snapshots->pace, debt * 1000 / rate + 1);
            return;
        }
        struct snapshot_send *send = next_send(snapshots);
        if (send == NULL) {
            return;
        }
        serve(replica, send);
    }
}

/* ---- what the members say ---- */

static bool is_of_source(const struct replica *replica, const struct snapshot_frame *frame)
{
    const struct snapshot_source *source = &replica->snapshots->source;
    return source->state == SNAPSHOT_SOURCE_READY &&
           memcmp(source->offer.id, frame->offer.id, SNAPSHOT_ID_BYTES) == 0;
}

static void on_done(struct replica *replica, struct snapshot_send *send,
                    enum snapshot_outcome outcome)
{
    switch (outcome) {
    case SNAPSHOT_TAKEN:
        send->state = SNAPSHOT_SEND_TAKEN;
        break;
    case SNAPSHOT_NOT_NEEDED: /* any more, or at all */
        end(replica, send,
            send->state == SNAPSHOT_SEND_TAKEN
                ? vy_ok()
                : vy_error(VY_CODE_CONFLICT, "the member needs no snapshot"));
        break;
    case SNAPSHOT_DAMAGED:
        end(replica, send, vy_error(VY_CODE_CORRUPT, "the snapshot arrives damaged"));
        break;
    case SNAPSHOT_NO_SPACE:
        end(replica, send, vy_error(VY_CODE_FULL, "the member has no space for the snapshot"));
        break;
    case SNAPSHOT_FAILED:
        end(replica, send, vy_error(VY_CODE_IO, "the member could not take the snapshot"));
        break;
    }
}

void send_on_frame(struct replica *replica, uint64_t from, const struct snapshot_frame *frame)
{
    struct snapshot_send *send = find_send(replica, from);
    if (!is_of_source(replica, frame) || send == NULL || !is_active(send)) {
        struct snapshot_frame gone = {.kind = SNAPSHOT_GONE, .offer = frame->offer};
        if (frame->kind == SNAPSHOT_FETCH) {
            snapshots_send_frame(replica, from, &gone);
        }
        return;
    }
    send->heard_ms = replica_now_ms(replica);
    if (frame->kind == SNAPSHOT_DONE) {
        on_done(replica, send, frame->outcome);
    } else if (send->fetch_count < VY_COUNT_OF(send->fetches)) {
        send->state = SNAPSHOT_SEND_ACTIVE; /* again, when what it had taken is gone */
        send->fetches[send->fetch_count++] = (struct snapshot_fetch){
            .file = frame->file, .offset = frame->offset, .length = frame->length};
        send_pump(replica);
    }
}
