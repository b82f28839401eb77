/* SPDX-License-Identifier: Apache-2.0 */
/* What a replica tells about itself. */
#include "replica/snapshot.h"

struct store *replica_store(struct replica *replica)
{
    return replica->store;
}

struct store *replica_pin_store(struct replica *replica)
{
    struct store *store = NULL;
    pthread_mutex_lock(&replica->store_lock);
    if (replica->is_store_open) {
        store = replica->store;
        store_pin(store);
    }
    pthread_mutex_unlock(&replica->store_lock);
    return store;
}

void replica_open_store(struct replica *replica, bool is_open)
{
    pthread_mutex_lock(&replica->store_lock);
    replica->is_store_open = is_open;
    pthread_mutex_unlock(&replica->store_lock);
}

struct vy_err replica_snapshot(struct replica *replica, struct store_snapshot **out,
                               uint64_t *applied_index)
{
    struct store *store = replica_pin_store(replica);
    if (store == NULL) {
        return vy_error(VY_CODE_UNAVAILABLE, "the database is being replaced");
    }
    const uint64_t index = writer_applied_index(replica->writer); /* before: at least this much */
    const struct vy_err err = store_snapshot_new(store, out);
    store_unpin(store);
    VY_TRY(err);
    if (applied_index != NULL) {
        *applied_index = index;
    }
    return vy_ok();
}

void replica_get_identity(const struct replica *replica, struct replica_identity *out)
{
    *out = replica->identity;
}

size_t replica_get_members(const struct replica *replica, struct replica_member *out,
                           size_t out_max)
{
    return core_members(replica->core, out, out_max);
}

void replica_get_status(const struct replica *replica, struct replica_status *out)
{
    *out = replica->counts;
    out->role = replica_is_running(replica) ? core_role(replica->core) : REPLICA_ROLE_STOPPED;
    out->term = core_term(replica->core);
    out->commit_index = core_commit_index(replica->core);
    out->applied_index = replica->applied.index;
    out->is_leader = out->role == REPLICA_ROLE_LEADER ? 1 : 0;
    out->apply_lag = out->commit_index - VY_MIN(out->commit_index, out->applied_index);
    out->persisted_index = core_persisted_index(replica->core);
    out->last_index = log_tail_next(&replica->tail) - 1;
    out->log_first_index = replica->spans.base + 1;
    out->log_bytes = replica->spans.bytes;
    out->held_index = replica->held_index;
    out->digest = replica->applied.digest;
    out->inflight_bytes = replica->queue.inflight_bytes;
    out->tail_bytes = replica->tail.bytes;
    out->entries_appended = replica->written.entries_appended;
    out->entries_applied = replica->written.entries_applied;
    out->commands_applied = replica->written.commands_applied;
    out->sync_count = replica->written.sync_count;
    out->sync_us = replica->written.sync_us;
    out->batch_count = replica->written.batch_count;
    out->batch_bytes = replica->written.batch_bytes;
    out->is_full = replica->is_full;
    out->snapshot = replica->snapshots->status;
    out->snapshot.receiving = replica->snapshots->receive.state != SNAPSHOT_RECEIVE_REST;
    out->snapshot.is_fetching = out->snapshot.receiving != 0 &&
                                replica->snapshots->receive.state < SNAPSHOT_RECEIVE_VERIFYING;
    for (size_t i = 0; i < REPLICA_MEMBERS_MAX; i++) {
        out->snapshot.sending += replica->snapshots->sends[i].state != SNAPSHOT_SEND_REST;
    }
}

bool replica_member_answers(const struct replica *replica, uint64_t member_id)
{
    return members_is_heard(replica, member_id);
}

uint64_t replica_member_match(const struct replica *replica, uint64_t member_id)
{
    uint64_t match = 0;
    if (member_id == replica->identity.member_id) {
        return core_persisted_index(replica->core);
    }
    return core_match_index(replica->core, member_id, &match) ? match : 0;
}
