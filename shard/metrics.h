/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What a shard counts for Prometheus. Without a registry nothing is counted. @thread the loop's */
#include "base/metrics.h"
#include "replica/metrics.h"
#include "shard/service.h"

#define SHARD_COUNTERS_MAX 16U
#define SHARD_GAUGES_MAX 8U

struct shard_metrics {
    struct vy_metric *seconds; /* volary_shard_call_seconds{method}; NULL: no registry */
    struct vy_metric *counters[SHARD_COUNTERS_MAX];
    uint64_t counted[SHARD_COUNTERS_MAX];
    struct vy_metric *gauges[SHARD_GAUGES_MAX];
    struct replica_metrics replica;
};
/* registry NULL: leaves *out empty. @errors as vy_metrics_add */
VY_CHECKED struct vy_err shard_metrics_init(struct vy_metrics *registry, struct shard_metrics *out);
/* Now and then: what was counted elsewhere since the last time. */
void shard_metrics_set(struct shard_metrics *metrics, const struct service_stats *service,
                       const struct replica_status *replica);
