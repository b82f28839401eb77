/* SPDX-License-Identifier: Apache-2.0 */
#include "base/metrics.h"

#include "base/assert.h"
#include "tests/lib/fault.h"
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const char *const protos[] = {"imap", "smtp"};
static const char *const results[] = {"ok", "no\"\\\n", "bad"};

static const struct vy_metric_spec commands = {
    .name = "volary_commands_total",
    .help = "Commands.\nBy protocol.",
    .kind = VY_METRIC_COUNTER,
    .labels = {{"proto", protos, 2}, {"result", results, 3}}
};
static const struct vy_metric_spec lag = {
    .name = "volary_lag_seconds", .help = "Lag.", .kind = VY_METRIC_GAUGE, .is_ms = true};
static const struct vy_metric_spec wait = {
    .name = "volary_wait_seconds", .help = "Wait.", .kind = VY_METRIC_HISTOGRAM};

static void expect_page(struct vy_metrics *metrics, const char *wanted)
{
    struct vy_buf out;
    vy_buf_init(&out, 1U << 20);
    vy_metrics_write(metrics, &out);
    assert_false(vy_failed(vy_buf_error(&out)));
    if (vy_bytes_find(vy_buf_bytes(&out), vy_cstr(wanted), 0) == SIZE_MAX) {
        fail_msg("wanted:\n%s\npage:\n%.*s", wanted, VY_PRI(vy_buf_bytes(&out)));
    }
    vy_buf_deinit(&out);
}

static void a_counter_has_a_line_per_pair_of_labels(void **state)
{
    (void)state;
    struct vy_metrics *metrics = NULL;
    struct vy_metric *metric = NULL;
    assert_false(vy_failed(vy_metrics_new(&metrics)));
    assert_false(vy_failed(vy_metrics_add(metrics, &commands, &metric)));
    vy_metric_count(metric, vy_metric_series(metric, 1, 1, 0), 2);
    vy_metric_count(metric, vy_metric_series(metric, 1, 2, 0), UINT64_C(1) << 60);
    expect_page(metrics, "# HELP volary_commands_total Commands.\\nBy protocol.\n"
                         "# TYPE volary_commands_total counter\n"
                         "volary_commands_total{proto=\"imap\",result=\"ok\"} 0\n");
    expect_page(metrics, "volary_commands_total{proto=\"smtp\",result=\"no\\\"\\\\\\n\"} 2\n"
                         "volary_commands_total{proto=\"smtp\",result=\"bad\"} "
                         "1152921504606846976\n");
    vy_metrics_free(metrics);
}

static void set_lag(void *arg)
{
    vy_metric_set(arg, 0, -1050);
}

static void a_gauge_in_milliseconds_is_written_in_seconds(void **state)
{
    (void)state;
    struct vy_metrics *metrics = NULL;
    struct vy_metric *metric = NULL;
    assert_false(vy_failed(vy_metrics_new(&metrics)));
    assert_false(vy_failed(vy_metrics_add(metrics, &lag, &metric)));
    vy_metric_set(metric, 0, 3000);
    vy_metric_change(metric, 0, 7);
    expect_page(metrics, "volary_lag_seconds 3.007\n");
    assert_false(vy_failed(vy_metrics_on_write(metrics, set_lag, metric)));
    expect_page(metrics, "volary_lag_seconds -1.05\n");
    vy_metrics_free(metrics);
}

static void a_histogram_counts_up_to_and_with_each_bound(void **state)
{
    (void)state;
    struct vy_metrics *metrics = NULL;
    struct vy_metric *metric = NULL;
    assert_false(vy_failed(vy_metrics_new(&metrics)));
    assert_false(vy_failed(vy_metrics_add(metrics, &wait, &metric)));
    vy_metric_observe_us(metric, 0, 199);
    vy_metric_observe_us(metric, 0, 200);
    vy_metric_observe_us(metric, 0, 201);
    vy_metric_observe_us(metric, 0, 10000000);
    vy_metric_observe_us(metric, 0, 10000001);
    expect_page(metrics, "volary_wait_seconds_bucket{le=\"0.0002\"} 2\n"
                         "volary_wait_seconds_bucket{le=\"0.001\"} 3\n");
    expect_page(metrics, "volary_wait_seconds_bucket{le=\"2\"} 3\n"
                         "volary_wait_seconds_bucket{le=\"10\"} 4\n"
                         "volary_wait_seconds_bucket{le=\"+Inf\"} 5\n"
                         "volary_wait_seconds_sum 20.000601\n"
                         "volary_wait_seconds_count 5\n");
    vy_metrics_free(metrics);
}

static size_t count_lines(struct vy_metrics *metrics)
{
    struct vy_buf out;
    size_t lines = 0;
    vy_buf_init(&out, 1U << 20);
    vy_metrics_write(metrics, &out);
    const struct vy_bytes page = vy_buf_bytes(&out);
    for (size_t i = 0; i < page.len; i++) {
        lines += page.data[i] == '\n' ? 1 : 0;
    }
    vy_buf_deinit(&out);
    return lines;
}

static void a_histogram_shows_the_series_in_use(void **state)
{
    (void)state;
    static const struct vy_metric_spec spec = {.name = "volary_call_seconds",
                                               .help = "Calls.",
                                               .kind = VY_METRIC_HISTOGRAM,
                                               .labels = {{"proto", protos, 2}}};
    struct vy_metrics *metrics = NULL;
    struct vy_metric *metric = NULL;
    assert_false(vy_failed(vy_metrics_new(&metrics)));
    assert_false(vy_failed(vy_metrics_add(metrics, &spec, &metric)));
    assert_int_equal(count_lines(metrics), 2); /* HELP and TYPE */
    vy_metric_observe_us(metric, 1, 5);
    expect_page(metrics, "volary_call_seconds_count{proto=\"smtp\"} 1\n");
    assert_int_equal(count_lines(metrics), 13);
    vy_metrics_free(metrics);
}

static void *count_many(void *arg)
{
    for (unsigned i = 0; i < 10000; i++) {
        vy_metric_count(arg, 0, 1);
    }
    return NULL;
}

static void threads_lose_no_count(void **state)
{
    (void)state;
    pthread_t threads[6];
    struct vy_metrics *metrics = NULL;
    struct vy_metric *metric = NULL;
    assert_false(vy_failed(vy_metrics_new(&metrics)));
    assert_false(vy_failed(vy_metrics_add(metrics, &commands, &metric)));
    for (size_t i = 0; i < VY_COUNT_OF(threads); i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, count_many, metric), 0);
    }
    for (size_t i = 0; i < VY_COUNT_OF(threads); i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    expect_page(metrics, "volary_commands_total{proto=\"imap\",result=\"ok\"} 60000\n");
    vy_metrics_free(metrics);
}

static void series_are_limited_and_names_are_unique(void **state)
{
    (void)state;
    static const char *values[VY_METRICS_SERIES_MAX + 1];
    struct vy_metric_spec spec = {.name = "volary_x",
                                  .help = "X.",
                                  .kind = VY_METRIC_GAUGE,
                                  .labels = {{"v", values, VY_METRICS_SERIES_MAX + 1}}};
    struct vy_metrics *metrics = NULL;
    struct vy_metric *metric = NULL;
    for (size_t i = 0; i < VY_COUNT_OF(values); i++) {
        values[i] = "v";
    }
    assert_false(vy_failed(vy_metrics_new(&metrics)));
    assert_int_equal(vy_metrics_add(metrics, &spec, &metric).code, VY_CODE_LIMIT);
    spec.labels[0].value_count = VY_METRICS_SERIES_MAX - 1;
    assert_false(vy_failed(vy_metrics_add(metrics, &spec, &metric)));
    assert_int_equal(vy_metrics_add(metrics, &spec, &metric).code, VY_CODE_LIMIT);
    spec.labels[0].name = NULL;
    assert_int_equal(vy_metrics_add(metrics, &spec, &metric).code, VY_CODE_EXISTS);
    assert_false(vy_failed(vy_metrics_add(metrics, &lag, &metric)));
    assert_int_equal(vy_metrics_add(metrics, &wait, &metric).code, VY_CODE_LIMIT);
    vy_metrics_free(metrics);
}

static void lack_of_memory_is_an_error(void **state)
{
    (void)state;
    struct vy_metrics *metrics = NULL;
    struct vy_metric *metric = NULL;
    assert_false(vy_failed(vy_metrics_new(&metrics)));
    for (uint64_t n = 1; fault_begin(n); n++) {
        const struct vy_err err = vy_metrics_add(metrics, &lag, &metric);
        if (!fault_end()) {
            assert_false(vy_failed(err));
            break;
        }
        assert_int_equal(err.code, VY_CODE_NOMEM);
    }
    vy_metrics_free(metrics);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_counter_has_a_line_per_pair_of_labels),
        cmocka_unit_test(a_gauge_in_milliseconds_is_written_in_seconds),
        cmocka_unit_test(a_histogram_counts_up_to_and_with_each_bound),
        cmocka_unit_test(a_histogram_shows_the_series_in_use),
        cmocka_unit_test(threads_lose_no_count),
        cmocka_unit_test(series_are_limited_and_names_are_unique),
        cmocka_unit_test(lack_of_memory_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
