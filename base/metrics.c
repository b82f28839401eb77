/* SPDX-License-Identifier: Apache-2.0 */
#include "base/metrics.h"

#include "base/assert.h"
#include <inttypes.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdlib.h>

#define STRIPE_COUNT 4U /* threads that count at once are few: loops and some workers */
#define HOOKS_MAX 16U
#define METRICS_MAX 256U

/* From what memory answers to what a person gives up on, in steps of about four: every bound is a
 * line for each series in use, and a process has at most 2,000 lines. */
static const uint64_t bounds_us[] = {200, 1000, 5000, 20000, 100000, 500000, 2000000, 10000000};
#define BOUND_COUNT VY_COUNT_OF(bounds_us)

struct stripe {
    alignas(64) atomic_uint_fast64_t value; /* alone on its cache line */
};
struct histogram {
    alignas(64) atomic_uint_fast64_t sum_us;
    atomic_uint_fast64_t
        buckets[BOUND_COUNT + 1]; /* not cumulative; the last is above all bounds */
};
struct vy_metric {
    struct vy_metric_spec spec;
    size_t series_count;
    struct stripe *stripes;       /* COUNTER: series_count * STRIPE_COUNT; owned */
    atomic_int_fast64_t *gauges;  /* owned */
    struct histogram *histograms; /* series_count * STRIPE_COUNT; owned */
};
struct hook {
    void (*fn)(void *arg);
    void *arg;
};
struct vy_metrics {
    struct vy_metric *metrics[METRICS_MAX]; /* owned */
    size_t count;
    size_t series_count;
    struct hook hooks[HOOKS_MAX];
    size_t hook_count;
};

/* A thread's place; only spreads, so no harm when two share one. */
static size_t stripe_of_thread(void)
{
    static atomic_uint next;
    static _Thread_local unsigned mine; /* 0: none yet */
    if (mine == 0) {
        mine = atomic_fetch_add_explicit(&next, 1, memory_order_relaxed) % STRIPE_COUNT + 1;
    }
    return mine - 1;
}

/* ---- registry ---- */

struct vy_err vy_metrics_new(struct vy_metrics **out)
{
    struct vy_metrics *metrics = calloc(1, sizeof(*metrics));
    if (metrics == NULL) {
        return vy_error(VY_CODE_NOMEM, "metrics");
    }
    *out = metrics;
    return vy_ok();
}

static void metric_free(struct vy_metric *metric)
{
    free(metric->stripes);
    free(metric->gauges);
    free(metric->histograms);
    free(metric);
}

void vy_metrics_free(struct vy_metrics *metrics)
{
    for (size_t i = 0; metrics != NULL && i < metrics->count; i++) {
        metric_free(metrics->metrics[i]);
    }
    free(metrics);
}

/* Also a table of ours: a wrong name is our bug. */
static void check_spec(const struct vy_metric_spec *spec)
{
    const struct vy_bytes name = vy_cstr(spec->name);
    VY_ASSERT(vy_bytes_starts_with(name, VY_LIT("volary_")));
    VY_ASSERT(spec->kind != VY_METRIC_COUNTER || vy_bytes_ends_with(name, VY_LIT("_total")));
    VY_ASSERT(spec->kind != VY_METRIC_HISTOGRAM || vy_bytes_ends_with(name, VY_LIT("_seconds")));
    for (size_t i = 0; i < name.len; i++) {
        VY_ASSERT(vy_ascii_is_lower(name.data[i]) || vy_ascii_is_digit(name.data[i]) ||
                  name.data[i] == '_');
    }
}

static size_t series_of(const struct vy_metric_spec *spec)
{
    size_t series = 1;
    for (size_t i = 0; i < VY_METRIC_LABELS_MAX && spec->labels[i].name != NULL; i++) {
        VY_ASSERT(spec->labels[i].value_count > 0);
        if (!vy_mul_size(series, spec->labels[i].value_count, &series)) {
            return SIZE_MAX;
        }
    }
    return series;
}

static void *aligned_zeros(size_t count, size_t size)
{
    void *memory = aligned_alloc(64, count * size); /* both sizes are multiples of 64 */
    if (memory != NULL) {
        memset(memory, 0, count * size);
    }
    return memory;
}

static struct vy_metric *metric_new(const struct vy_metric_spec *spec, size_t series_count)
{
    struct vy_metric *metric = calloc(1, sizeof(*metric));
    if (metric == NULL) {
        return NULL;
    }
    metric->spec = *spec;
    metric->series_count = series_count;
    void *cells = NULL;
    switch (spec->kind) {
    case VY_METRIC_COUNTER:
        cells = metric->stripes = aligned_zeros(series_count * STRIPE_COUNT, sizeof(struct stripe));
        break;
    case VY_METRIC_GAUGE:
        cells = metric->gauges = calloc(series_count, sizeof(*metric->gauges));
        break;
    case VY_METRIC_HISTOGRAM:
        cells = metric->histograms =
            aligned_zeros(series_count * STRIPE_COUNT, sizeof(struct histogram));
        break;
    }
    if (cells == NULL) {
        metric_free(metric);
        return NULL;
    }
    return metric;
}

struct vy_err vy_metrics_add(struct vy_metrics *metrics, const struct vy_metric_spec *spec,
                             struct vy_metric **out)
{
    const size_t series_count = series_of(spec);
    check_spec(spec);
    if (metrics->count == METRICS_MAX ||
        series_count > VY_METRICS_SERIES_MAX - metrics->series_count) {
        return vy_error(VY_CODE_LIMIT, "metric series");
    }
    for (size_t i = 0; i < metrics->count; i++) {
        if (vy_bytes_equal(vy_cstr(metrics->metrics[i]->spec.name), vy_cstr(spec->name))) {
            return vy_error(VY_CODE_EXISTS, "metric");
        }
    }
    struct vy_metric *metric = metric_new(spec, series_count);
    if (metric == NULL) {
        return vy_error(VY_CODE_NOMEM, "metric");
    }
    metrics->metrics[metrics->count++] = metric;
    metrics->series_count += series_count;
    *out = metric;
    return vy_ok();
}

struct vy_err vy_metrics_on_write(struct vy_metrics *metrics, void (*fn)(void *arg), void *arg)
{
    if (metrics->hook_count == HOOKS_MAX) {
        return vy_error(VY_CODE_LIMIT, "metric hooks");
    }
    metrics->hooks[metrics->hook_count++] = (struct hook){.fn = fn, .arg = arg};
    return vy_ok();
}

/* ---- counting ---- */

size_t vy_metric_series(const struct vy_metric *metric, size_t a, size_t b, size_t c)
{
    const size_t at[VY_METRIC_LABELS_MAX] = {a, b, c};
    size_t series = 0;
    for (size_t i = 0; i < VY_METRIC_LABELS_MAX; i++) {
        const struct vy_metric_label *label = &metric->spec.labels[i];
        if (label->name == NULL) {
            break;
        }
        VY_ASSERT(at[i] < label->value_count);
        series = series * label->value_count + at[i];
    }
    return series;
}

void vy_metric_count(struct vy_metric *metric, size_t series, uint64_t by)
{
    VY_ASSERT(metric->stripes != NULL && series < metric->series_count);
    struct stripe *stripe = &metric->stripes[series * STRIPE_COUNT + stripe_of_thread()];
    (void)atomic_fetch_add_explicit(&stripe->value, by, memory_order_relaxed);
}

void vy_metric_set(struct vy_metric *metric, size_t series, int64_t value)
{
    VY_ASSERT(metric->gauges != NULL && series < metric->series_count);
    atomic_store_explicit(&metric->gauges[series], value, memory_order_relaxed);
}

void vy_metric_change(struct vy_metric *metric, size_t series, int64_t by)
{
    VY_ASSERT(metric->gauges != NULL && series < metric->series_count);
    (void)atomic_fetch_add_explicit(&metric->gauges[series], by, memory_order_relaxed);
}

void vy_metric_observe_us(struct vy_metric *metric, size_t series, uint64_t microseconds)
{
    VY_ASSERT(metric->histograms != NULL && series < metric->series_count);
    struct histogram *histogram = &metric->histograms[series * STRIPE_COUNT + stripe_of_thread()];
    size_t bucket = 0;
    while (bucket < BOUND_COUNT && microseconds > bounds_us[bucket]) {
        bucket++;
    }
    (void)atomic_fetch_add_explicit(&histogram->buckets[bucket], 1, memory_order_relaxed);
    (void)atomic_fetch_add_explicit(&histogram->sum_us, microseconds, memory_order_relaxed);
}

/* ---- the page ---- */

static uint64_t load(const atomic_uint_fast64_t *cell)
{
    return atomic_load_explicit(cell, memory_order_relaxed);
}

/* Millionths or thousandths as a decimal number, exactly and in no locale. */
static void write_scaled(struct vy_buf *out, uint64_t value, uint64_t scale)
{
    vy_buf_append_u64(out, value / scale);
    uint64_t rest = value % scale;
    if (rest > 0) {
        vy_buf_append_byte(out, '.');
    }
    for (uint64_t digit = scale / 10; rest > 0; digit /= 10) {
        vy_buf_append_byte(out, (uint8_t)('0' + rest / digit));
        rest %= digit;
    }
}

static void write_escaped(struct vy_buf *out, const char *text, bool is_quoted)
{
    for (; *text != '\0'; text++) {
        if (*text == '\n') {
            vy_buf_append_cstr(out, "\\n");
        } else {
            if (*text == '\\' || (is_quoted && *text == '"')) {
                vy_buf_append_byte(out, '\\');
            }
            vy_buf_append_byte(out, (uint8_t)*text);
        }
    }
}

/* name_suffix{a="x",b="y"} ; bound: NULL, or the value of the label "le". */
static void write_name(struct vy_buf *out, const struct vy_metric *metric, size_t series,
                       const char *suffix, struct vy_bytes bound)
{
    size_t rest = metric->series_count;
    const char *gap = "{";
    vy_buf_append_cstr(out, metric->spec.name);
    vy_buf_append_cstr(out, suffix);
    for (size_t i = 0; i < VY_METRIC_LABELS_MAX && metric->spec.labels[i].name != NULL; i++) {
        const struct vy_metric_label *label = &metric->spec.labels[i];
        rest /= label->value_count;
        vy_buf_printf(out, "%s%s=\"", gap, label->name);
        write_escaped(out, label->values[series / rest % label->value_count], true);
        vy_buf_append_byte(out, '"');
        gap = ",";
    }
    if (bound.len > 0) {
        vy_buf_printf(out, "%sle=\"%.*s\"", gap, VY_PRI(bound));
        gap = ",";
    }
    vy_buf_append_cstr(out, gap[0] == ',' ? "} " : " ");
}

static void write_counter(struct vy_buf *out, const struct vy_metric *metric, size_t series)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < STRIPE_COUNT; i++) {
        sum += load(&metric->stripes[series * STRIPE_COUNT + i].value);
    }
    write_name(out, metric, series, "", VY_LIT(""));
    vy_buf_append_u64(out, sum);
    vy_buf_append_byte(out, '\n');
}

static void write_gauge(struct vy_buf *out, const struct vy_metric *metric, size_t series)
{
    const int64_t value = atomic_load_explicit(&metric->gauges[series], memory_order_relaxed);
    write_name(out, metric, series, "", VY_LIT(""));
    if (value < 0) {
        vy_buf_append_byte(out, '-');
    }
    write_scaled(out, value < 0 ? 0 - (uint64_t)value : (uint64_t)value,
                 metric->spec.is_ms ? 1000 : 1);
    vy_buf_append_byte(out, '\n');
}

/* Of a command or a call that nobody has made there is nothing to show. */
static bool is_observed(const struct vy_metric *metric, size_t series)
{
    const struct histogram *stripes = &metric->histograms[series * STRIPE_COUNT];
    uint64_t count = 0;
    for (size_t i = 0; i < STRIPE_COUNT; i++) {
        for (size_t b = 0; b <= BOUND_COUNT; b++) {
            count += load(&stripes[i].buckets[b]);
        }
    }
    return count > 0;
}

/* The count is the sum of what was read, so that the lines of one page agree. */
static void write_histogram(struct vy_buf *out, const struct vy_metric *metric, size_t series)
{
    const struct histogram *stripes = &metric->histograms[series * STRIPE_COUNT];
    uint64_t count = 0;
    uint64_t sum_us = 0;
    for (size_t b = 0; b <= BOUND_COUNT; b++) {
        struct vy_buf bound;
        vy_buf_init(&bound, 32);
        if (b < BOUND_COUNT) {
            write_scaled(&bound, bounds_us[b], 1000000);
        } else {
            vy_buf_append_cstr(&bound, "+Inf");
        }
        for (size_t i = 0; i < STRIPE_COUNT; i++) {
            count += load(&stripes[i].buckets[b]);
        }
        write_name(out, metric, series, "_bucket", vy_buf_bytes(&bound));
        vy_buf_append_u64(out, count);
        vy_buf_append_byte(out, '\n');
        vy_buf_deinit(&bound);
    }
    for (size_t i = 0; i < STRIPE_COUNT; i++) {
        sum_us += load(&stripes[i].sum_us);
    }
    write_name(out, metric, series, "_sum", VY_LIT(""));
    write_scaled(out, sum_us, 1000000);
    vy_buf_append_byte(out, '\n');
    write_name(out, metric, series, "_count", VY_LIT(""));
    vy_buf_append_u64(out, count);
    vy_buf_append_byte(out, '\n');
}

static void write_metric(struct vy_buf *out, const struct vy_metric *metric)
{
    static const char *const kinds[] = {"counter", "gauge", "histogram"};
    vy_buf_printf(out, "# HELP %s ", metric->spec.name);
    write_escaped(out, metric->spec.help, false);
    vy_buf_printf(out, "\n# TYPE %s %s\n", metric->spec.name, kinds[metric->spec.kind]);
    for (size_t series = 0; series < metric->series_count; series++) {
        switch (metric->spec.kind) {
        case VY_METRIC_COUNTER:
            write_counter(out, metric, series);
            break;
        case VY_METRIC_GAUGE:
            write_gauge(out, metric, series);
            break;
        case VY_METRIC_HISTOGRAM:
            if (metric->series_count == 1 || is_observed(metric, series)) {
                write_histogram(out, metric, series);
            }
            break;
        }
    }
}

void vy_metrics_write(struct vy_metrics *metrics, struct vy_buf *out)
{
    for (size_t i = 0; i < metrics->hook_count; i++) {
        metrics->hooks[i].fn(metrics->hooks[i].arg);
    }
    for (size_t i = 0; i < metrics->count; i++) {
        write_metric(out, metrics->metrics[i]);
    }
}
