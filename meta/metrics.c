/* SPDX-License-Identifier: Apache-2.0 */
#include "meta/metrics.h"

#include "base/assert.h"

/* In the order of the enums that index them. */
static const char *const mechanisms[] = {"none", "plain", "login", "scram_sha_256",
                                         "scram_sha_256_plus"};
static const char *const verdicts[] = {"none",        "ok",         "baduser",  "badpassword",
                                       "noproto",     "expired",    "disabled", "badchanbind",
                                       "badprotocol", "badauthzid", "needapp",  "limited",
                                       "aborted",     "badnetwork", "badcode"};
static const char *const results[] = {"none",    "local",           "unknown",
                                      "foreign", "expansion_limit", "disabled"};
static const char *const classes[] = {"ok", "refused", "unavailable"};

static const struct vy_metric_spec auth_spec = {
    .name = "volary_meta_auth_total",
    .help = "Decided sign-ins by mechanism and result; folded refusals included.",
    .kind = VY_METRIC_COUNTER,
    .labels = {{"mech", mechanisms, VY_COUNT_OF(mechanisms)},
               {"result", verdicts, VY_COUNT_OF(verdicts)}}
};
static const struct vy_metric_spec resolves_spec = {
    .name = "volary_meta_resolves_total",
    .help = "Recipients looked up, by result.",
    .kind = VY_METRIC_COUNTER,
    .labels = {{"result", results, VY_COUNT_OF(results)}}};
static const struct vy_metric_spec admin_spec = {
    .name = "volary_meta_admin_calls_total",
    .help = "Calls of the admin API, by how they ended.",
    .kind = VY_METRIC_COUNTER,
    .labels = {{"code_class", classes, VY_COUNT_OF(classes)}}};
static const struct vy_metric_spec watchers_spec = {
    .name = "volary_meta_watchers",
    .help = "Open streams of changes to frontends and shards.",
    .kind = VY_METRIC_GAUGE};
static const struct vy_metric_spec ready_spec = {
    .name = "volary_meta_ready",
    .help = "1 while this member leads and answers writes.",
    .kind = VY_METRIC_GAUGE};

static const struct vy_metric_spec erase_open_spec = {
    .name = "volary_meta_erase_open",
    .help = "Erasures of accounts that are not certified yet; of the leader, 256 at most.",
    .kind = VY_METRIC_GAUGE};
static const struct vy_metric_spec erase_waiting_spec = {
    .name = "volary_meta_erase_waiting",
    .help = "Certified erasures with members that were away and are not clean yet; 256 at most.",
    .kind = VY_METRIC_GAUGE};
static const struct vy_metric_spec erase_overdue_spec = {
    .name = "volary_meta_erase_overdue",
    .help = "Erasures, certified or not, that are incomplete for longer than delete.alert_s: alert "
            "when it is not 0.",
    .kind = VY_METRIC_GAUGE};
static const struct vy_metric_spec erase_oldest_spec = {
    .name = "volary_meta_erase_oldest_seconds",
    .help = "Age of the oldest erasure that is incomplete.",
    .kind = VY_METRIC_GAUGE};

static const struct vy_metric_spec leaders_moved_spec = {
    .name = "volary_meta_leaders_moved_total",
    .help = "Groups of shards that another host was made the leader of, to spread leaders evenly.",
    .kind = VY_METRIC_COUNTER};
static const struct vy_metric_spec leaders_uneven_spec = {
    .name = "volary_meta_leaders_uneven",
    .help = "Groups that one host leads more than another which could take one over; 0 below two.",
    .kind = VY_METRIC_GAUGE};

struct vy_err meta_metrics_init(struct vy_metrics *registry, struct meta_metrics *out)
{
    *out = (struct meta_metrics){.auth = NULL};
    if (registry == NULL) {
        return vy_ok();
    }
    struct meta_metrics metrics = {.auth = NULL};
    VY_TRY(vy_metrics_add(registry, &auth_spec, &metrics.auth));
    VY_TRY(vy_metrics_add(registry, &resolves_spec, &metrics.resolves));
    VY_TRY(vy_metrics_add(registry, &admin_spec, &metrics.admin));
    VY_TRY(vy_metrics_add(registry, &watchers_spec, &metrics.watchers));
    VY_TRY(vy_metrics_add(registry, &ready_spec, &metrics.ready));
    VY_TRY(vy_metrics_add(registry, &erase_open_spec, &metrics.erase_open));
    VY_TRY(vy_metrics_add(registry, &erase_waiting_spec, &metrics.erase_waiting));
    VY_TRY(vy_metrics_add(registry, &erase_overdue_spec, &metrics.erase_overdue));
    VY_TRY(vy_metrics_add(registry, &erase_oldest_spec, &metrics.erase_oldest));
    VY_TRY(vy_metrics_add(registry, &leaders_moved_spec, &metrics.leaders_moved));
    VY_TRY(vy_metrics_add(registry, &leaders_uneven_spec, &metrics.leaders_uneven));
    *out = metrics;
    return vy_ok();
}

void meta_metrics_count_auth(const struct meta_metrics *metrics, enum login_mechanism mechanism,
                             enum login_verdict verdict)
{
    if (metrics->auth == NULL || (size_t)mechanism >= VY_COUNT_OF(mechanisms) ||
        (size_t)verdict >= VY_COUNT_OF(verdicts)) {
        return;
    }
    const size_t series = vy_metric_series(metrics->auth, mechanism, verdict, 0);
    vy_metric_count(metrics->auth, series, 1);
}

void meta_metrics_count_resolve(const struct meta_metrics *metrics, enum resolve_result result)
{
    if (metrics->resolves != NULL && (size_t)result < VY_COUNT_OF(results)) {
        vy_metric_count(metrics->resolves, vy_metric_series(metrics->resolves, result, 0, 0), 1);
    }
}

void meta_metrics_count_admin(const struct meta_metrics *metrics, struct vy_err err)
{
    if (metrics->admin == NULL) {
        return;
    }
    const size_t refused = vy_code_is_retryable(err.code) ? 2 : 1;
    const size_t class = vy_failed(err) ? refused : 0;
    vy_metric_count(metrics->admin, vy_metric_series(metrics->admin, class, 0, 0), 1);
}

void meta_metrics_set_ready(const struct meta_metrics *metrics, bool is_ready)
{
    if (metrics->ready != NULL) {
        vy_metric_set(metrics->ready, 0, is_ready ? 1 : 0);
    }
}

void meta_metrics_count_move(const struct meta_metrics *metrics)
{
    if (metrics->leaders_moved != NULL) {
        vy_metric_count(metrics->leaders_moved, 0, 1);
    }
}

void meta_metrics_set_uneven(const struct meta_metrics *metrics, uint64_t difference)
{
    if (metrics->leaders_uneven != NULL) {
        vy_metric_set(metrics->leaders_uneven, 0, (int64_t)difference);
    }
}

void meta_metrics_change_watchers(const struct meta_metrics *metrics, int by)
{
    if (metrics->watchers != NULL) {
        vy_metric_change(metrics->watchers, 0, by);
    }
}

void meta_metrics_set_erasures(const struct meta_metrics *metrics,
                               const struct meta_erasures *erasures)
{
    if (metrics->erase_open == NULL) {
        return;
    }
    vy_metric_set(metrics->erase_open, 0, (int64_t)erasures->open);
    vy_metric_set(metrics->erase_waiting, 0, (int64_t)erasures->waiting);
    vy_metric_set(metrics->erase_overdue, 0, (int64_t)erasures->overdue);
    vy_metric_set(metrics->erase_oldest, 0, (int64_t)(erasures->oldest_ms / 1000));
}
