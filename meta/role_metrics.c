/* SPDX-License-Identifier: Apache-2.0 */
#include "meta/role_private.h"

struct gauge {
    size_t offset; /* in struct meta_role_metrics */
    const char *name;
    const char *help;
};
/* clang-format off */
static const struct gauge gauges[] = {
    {offsetof(struct meta_role_metrics, term),           "volary_meta_raft_term",           "Term of meta's group."},
    {offsetof(struct meta_role_metrics, commit_index),   "volary_meta_raft_commit_index",   "Entries that a majority has."},
    {offsetof(struct meta_role_metrics, log_first_index), "volary_meta_raft_log_first_index", "First entry of the log on disk; those before were cut."},
    {offsetof(struct meta_role_metrics, apply_lag),      "volary_meta_raft_apply_lag",      "Entries committed and not applied here."},
    {offsetof(struct meta_role_metrics, is_leader),      "volary_meta_raft_leader",         "1 while this member leads."},
    {offsetof(struct meta_role_metrics, leader_changes), "volary_meta_raft_leader_changes", "Changes of leader seen since the start."},
    {offsetof(struct meta_role_metrics, elections),      "volary_meta_raft_elections",      "Elections started by this member."},
    {offsetof(struct meta_role_metrics, free_bytes),     "volary_meta_disk_free_bytes",     "Free bytes of the file system of data.dir."},
};
/* clang-format on */

struct vy_err meta_role_metrics_init(struct vy_metrics *registry, struct meta_role_metrics *out)
{
    *out = (struct meta_role_metrics){.term = NULL};
    for (size_t i = 0; registry != NULL && i < VY_COUNT_OF(gauges); i++) {
        const struct vy_metric_spec spec = {
            .name = gauges[i].name, .help = gauges[i].help, .kind = VY_METRIC_GAUGE};
        struct vy_metric **metric = (struct vy_metric **)(void *)((char *)out + gauges[i].offset);
        VY_TRY(vy_metrics_add(registry, &spec, metric));
    }
    return vy_ok();
}

void meta_role_metrics_set(const struct meta_role_metrics *metrics,
                           const struct replica_status *status)
{
    if (metrics->term == NULL) {
        return;
    }
    vy_metric_set(metrics->term, 0, (int64_t)status->term);
    vy_metric_set(metrics->commit_index, 0, (int64_t)status->commit_index);
    vy_metric_set(metrics->log_first_index, 0, (int64_t)status->log_first_index);
    vy_metric_set(metrics->apply_lag, 0, (int64_t)(status->commit_index - status->applied_index));
    vy_metric_set(metrics->is_leader, 0, status->role == REPLICA_ROLE_LEADER ? 1 : 0);
    vy_metric_set(metrics->leader_changes, 0, (int64_t)status->leader_changes);
    vy_metric_set(metrics->elections, 0, (int64_t)status->elections);
    vy_metric_set(metrics->free_bytes, 0, (int64_t)status->free_bytes);
}
