/* SPDX-License-Identifier: Apache-2.0 */
#include "replica/metrics.h"
#include "base/assert.h"

struct vy_err replica_metrics_init(struct vy_metrics *registry,
                                   const struct replica_metric_row *rows, size_t count,
                                   struct replica_metrics *out)
{
    VY_ASSERT(count <= REPLICA_METRICS_MAX);
    *out = (struct replica_metrics){.rows = rows};
    if (registry == NULL) {
        return vy_ok();
    }
    for (size_t i = 0; i < count; i++) {
        const struct vy_metric_spec spec = {
            .name = rows[i].name, .help = rows[i].help, .kind = rows[i].kind};
        VY_TRY(vy_metrics_add(registry, &spec, &out->metrics[i]));
    }
    out->count = count;
    return vy_ok();
}

void replica_metrics_set(struct replica_metrics *metrics, const struct replica_status *status)
{
    for (size_t i = 0; i < metrics->count; i++) {
        uint64_t value = 0;
        memcpy(&value, (const uint8_t *)status + metrics->rows[i].offset, sizeof(value));
        if (metrics->rows[i].kind == VY_METRIC_GAUGE) {
            vy_metric_set(metrics->metrics[i], 0, (int64_t)value);
        } else {
            vy_metric_count(metrics->metrics[i], 0, value - metrics->counted[i]);
            metrics->counted[i] = value;
        }
    }
}
