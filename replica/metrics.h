/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What a replica tells Prometheus of itself: one table for every role, whose name stands in front
 * ("volary_shard_raft_term"). Averages are quotients of two counters: bytes of a batch, entries of
 * a sync, microseconds of a sync.
 *
 * @thread  the loop's
 */
#include "base/metrics.h"
#include "replica/replica.h"

struct replica_metric_row {
    const char *name; /* literal */
    const char *help;
    enum vy_metric_kind kind; /* COUNTER or GAUGE */
    size_t offset;            /* of a u64 in struct replica_status */
};
/* clang-format off */
#define REPLICA_METRIC_ROW(prefix, kind, name, member, help) \
    {prefix name, help, VY_METRIC_##kind, offsetof(struct replica_status, member)},
#define REPLICA_METRIC_ROWS(prefix)                                                                                        \
    REPLICA_METRIC_ROW(prefix, GAUGE,   "_raft_term",                       term,              "Term of the group.")        \
    REPLICA_METRIC_ROW(prefix, GAUGE,   "_raft_leader",                     is_leader,         "1 while this member leads.") \
    REPLICA_METRIC_ROW(prefix, GAUGE,   "_raft_commit_index",               commit_index,      "Entries that a majority has.") \
    REPLICA_METRIC_ROW(prefix, GAUGE,   "_raft_applied_index",              applied_index,     "Entries applied here.")     \
    REPLICA_METRIC_ROW(prefix, GAUGE,   "_raft_apply_lag",                  apply_lag,         "Entries committed and not applied here.") \
    REPLICA_METRIC_ROW(prefix, GAUGE,   "_raft_log_first_index",            log_first_index,   "First entry of the log on disk; those before were cut.") \
    REPLICA_METRIC_ROW(prefix, GAUGE,   "_raft_log_bytes",                  log_bytes,         "Bytes of the log on disk, payloads not counted.") \
    REPLICA_METRIC_ROW(prefix, GAUGE,   "_raft_held_index",                 held_index,        "What all members have on disk, as far as known.") \
    REPLICA_METRIC_ROW(prefix, GAUGE,   "_raft_queue_bytes",                queue_bytes,       "Proposals accepted and not answered.") \
    REPLICA_METRIC_ROW(prefix, GAUGE,   "_raft_inflight_bytes",             inflight_bytes,    "Of those, what is in the log.") \
    REPLICA_METRIC_ROW(prefix, GAUGE,   "_disk_free_bytes",                 free_bytes,        "Free bytes of the file system of data.dir.") \
    REPLICA_METRIC_ROW(prefix, COUNTER, "_raft_leader_changes_total",       leader_changes,    "Changes of leader seen.")   \
    REPLICA_METRIC_ROW(prefix, COUNTER, "_raft_elections_total",            elections,         "Elections started by this member.") \
    REPLICA_METRIC_ROW(prefix, COUNTER, "_raft_proposals_total",            proposals,         "Proposals accepted.")       \
    REPLICA_METRIC_ROW(prefix, COUNTER, "_raft_proposals_refused_total",    proposals_refused, "Proposals refused: queue or disk full.") \
    REPLICA_METRIC_ROW(prefix, COUNTER, "_raft_entries_appended_total",     entries_appended,  "Entries written to the log.") \
    REPLICA_METRIC_ROW(prefix, COUNTER, "_raft_commands_applied_total",     commands_applied,  "Commands applied.")         \
    REPLICA_METRIC_ROW(prefix, COUNTER, "_raft_batches_total",              batch_count,       "Batches written.")          \
    REPLICA_METRIC_ROW(prefix, COUNTER, "_raft_batch_bytes_total",          batch_bytes,       "Bytes of them.")            \
    REPLICA_METRIC_ROW(prefix, COUNTER, "_raft_syncs_total",                sync_count,        "Batches written with sync.") \
    REPLICA_METRIC_ROW(prefix, COUNTER, "_raft_sync_microseconds_total",    sync_us,           "Time in them.")             \
    REPLICA_METRIC_ROW(prefix, COUNTER, "_raft_read_rounds_total",          read_rounds,       "Rounds to the other members that made reads safe.") \
    REPLICA_METRIC_ROW(prefix, COUNTER, "_raft_frames_refused_total",       frames_refused,    "Frames that were damaged, or of strangers.") \
    REPLICA_METRIC_ROW(prefix, GAUGE,   "_raft_snapshots_sending",          snapshot.sending,  "Members that get a snapshot from this one.") \
    REPLICA_METRIC_ROW(prefix, GAUGE,   "_raft_snapshots_receiving",        snapshot.receiving, "1 while this member gets one.") \
    REPLICA_METRIC_ROW(prefix, GAUGE,   "_raft_snapshot_milliseconds",      snapshot.last_ms,  "How long the last one took, here or there.") \
    REPLICA_METRIC_ROW(prefix, COUNTER, "_raft_snapshots_sent_total",       snapshot.sent,     "Snapshots with which a member caught up.") \
    REPLICA_METRIC_ROW(prefix, COUNTER, "_raft_snapshots_received_total",   snapshot.received, "Snapshots put in place here.") \
    REPLICA_METRIC_ROW(prefix, COUNTER, "_raft_snapshots_failed_total",     snapshot.failures, "Transfers that ended without success.") \
    REPLICA_METRIC_ROW(prefix, COUNTER, "_raft_snapshots_damaged_total",    snapshot.damaged,  "Files that arrived damaged and were fetched again.") \
    REPLICA_METRIC_ROW(prefix, COUNTER, "_raft_snapshot_sent_bytes_total",  snapshot.bytes_sent, "Bytes of snapshots sent.") \
    REPLICA_METRIC_ROW(prefix, COUNTER, "_raft_snapshot_received_bytes_total", snapshot.bytes_received, "Bytes of snapshots received.") \
    REPLICA_METRIC_ROW(prefix, COUNTER, "_scrub_rounds_total",              scrub_rounds,     "Times that all data was read back and compared.") \
    REPLICA_METRIC_ROW(prefix, COUNTER, "_scrub_bytes_total",               scrub_bytes,      "Bytes read back by this member.") \
    REPLICA_METRIC_ROW(prefix, COUNTER, "_scrub_problems_total",            scrub_problems,   "Damage found here, and at others by this member as leader.")
/* clang-format on */

#define REPLICA_METRICS_MAX 48U
struct replica_metrics {
    const struct replica_metric_row *rows; /* borrowed */
    size_t count;                          /* 0: no registry */
    struct vy_metric *metrics[REPLICA_METRICS_MAX];
    uint64_t counted[REPLICA_METRICS_MAX];
};
/* registry NULL: nothing is counted. @errors as vy_metrics_add */
VY_CHECKED struct vy_err replica_metrics_init(struct vy_metrics *registry,
                                              const struct replica_metric_row *rows, size_t count,
                                              struct replica_metrics *out);
/* Now and then. */
void replica_metrics_set(struct replica_metrics *metrics, const struct replica_status *status);
