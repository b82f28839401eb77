/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Counters, gauges and histograms for Prometheus. A metric's labels are closed sets, given when it
 * is made; a series is named by the indexes of its label values, so nothing from outside becomes a
 * label and nothing is looked up on the hot path. Counting is one relaxed atomic addition to a
 * stripe of the calling thread; stripes are summed when the page is written. A histogram's series
 * is written from its first observation on.
 */
#include "base/buf.h"

#define VY_METRICS_SERIES_MAX 2000U /* of a registry; a histogram's buckets count as one series */
#define VY_METRIC_LABELS_MAX 3U

enum vy_metric_kind { VY_METRIC_COUNTER, VY_METRIC_GAUGE, VY_METRIC_HISTOGRAM };

struct vy_metric_label {
    const char *name;
    const char *const *values; /* literals */
    size_t value_count;
};
struct vy_metric_spec {
    const char *name; /* "volary_..."; counters end in _total, histograms in _seconds */
    const char *help; /* one sentence */
    enum vy_metric_kind kind;
    bool is_ms; /* GAUGE: set in milliseconds, written in seconds */
    struct vy_metric_label labels[VY_METRIC_LABELS_MAX]; /* name NULL: none further */
};

struct vy_metrics; /* a registry; opaque */
struct vy_metric;  /* owned by its registry */

VY_CHECKED struct vy_err vy_metrics_new(struct vy_metrics **out);
void vy_metrics_free(struct vy_metrics *metrics); /* NULL is allowed; no thread counts any more */
/* Before other threads use the registry. @errors LIMIT too many series; EXISTS the name is taken;
 * NOMEM */
VY_CHECKED struct vy_err vy_metrics_add(struct vy_metrics *metrics,
                                        const struct vy_metric_spec *spec, struct vy_metric **out);
/* fn runs at the start of every vy_metrics_write, to set gauges. @errors LIMIT */
VY_CHECKED struct vy_err vy_metrics_on_write(struct vy_metrics *metrics, void (*fn)(void *arg),
                                             void *arg);
/* Prometheus text format 0.0.4. @thread any, one at a time */
void vy_metrics_write(struct vy_metrics *metrics, struct vy_buf *out);

/* Index of a series from the indexes of its label values; 0 for labels that it has not. */
size_t vy_metric_series(const struct vy_metric *metric, size_t a, size_t b, size_t c);
void vy_metric_count(struct vy_metric *metric, size_t series, uint64_t by); /* COUNTER */
void vy_metric_set(struct vy_metric *metric, size_t series, int64_t value); /* GAUGE */
void vy_metric_change(struct vy_metric *metric, size_t series, int64_t by); /* GAUGE */
void vy_metric_observe_us(struct vy_metric *metric, size_t series, uint64_t microseconds);
