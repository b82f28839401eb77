/* SPDX-License-Identifier: Apache-2.0 */
#include "shard/metrics.h"
#include "base/assert.h"
#include "proto/methods.h"

/* In the order of service_methods(). */
static const char *const method_names[] = {
    "mailbox_list",    "mailbox_create", "mailbox_delete", "mailbox_rename", "mailbox_subscribe",
    "mailbox_open",    "mailbox_close",  "mailbox_sync",   "message_store",  "message_copy",
    "message_expunge", "message_fetch",  "message_search", "message_append", "message_deliver",
    "quota",           "account_watch",  "account_fence",  "status",         "delivery_end",
    "delivery_ask",    "account_expel"};
#define X(name, id, request, reply, roles, stream) +1
_Static_assert(VY_COUNT_OF(method_names) == 0 SHARD_METHODS(X), "a name for every method");
#undef X

static const struct vy_metric_spec seconds_spec = {
    .name = "volary_shard_call_seconds",
    .help = "Time from a call's arrival to its answer; watches when they end.",
    .kind = VY_METRIC_HISTOGRAM,
    .labels = {{"method", method_names, VY_COUNT_OF(method_names)}}};

struct named {
    const char *name;
    const char *help;
    size_t offset; /* of the u64 */
};
/* clang-format off */
static const struct named counters[] = {
    {"volary_shard_calls_total",             "Calls that arrived.",                        offsetof(struct service_stats, calls)},
    {"volary_shard_calls_denied_total",      "Calls without a valid session.",             offsetof(struct service_stats, calls_denied)},
    {"volary_shard_calls_failed_total",      "Calls that ended with an error.",            offsetof(struct service_stats, calls_failed)},
    {"volary_shard_messages_stored_total",   "Messages stored by delivery and APPEND.",    offsetof(struct service_stats, messages_stored)},
    {"volary_shard_stored_bytes_total",      "Bytes of messages stored.",                  offsetof(struct service_stats, messages_stored_bytes)},
    {"volary_shard_copies_repeated_total", "Copies of deliveries that were there already: a client or frontend sent again.", offsetof(struct service_stats, copies_repeated)},
    {"volary_shard_copies_held_total",     "Copies held for a delivery to several groups.", offsetof(struct service_stats, copies_held)},
    {"volary_shard_copies_released_total", "Held copies that became messages.",             offsetof(struct service_stats, copies_released)},
    {"volary_shard_copies_dropped_total",  "Held copies of deliveries that were refused.",  offsetof(struct service_stats, copies_dropped)},
    {"volary_shard_copies_abandoned_total", "Held copies dropped because no decision could be had.", offsetof(struct service_stats, copies_abandoned)},
    {"volary_shard_deliveries_asked_total", "Times another group was asked how it decided.", offsetof(struct service_stats, deliveries_asked)},
    {"volary_shard_deliveries_denied_total", "Deliveries refused here because a group asked first.", offsetof(struct service_stats, deliveries_denied)},
    {"volary_shard_purged_rows_total",       "Rows of expunged messages removed for good.", offsetof(struct service_stats, purged_rows)},
    {"volary_shard_checksum_failures_total", "Bodies that did not match their checksum.",  offsetof(struct service_stats, checksum_failures)},
};
static const struct named service_gauges[] = {
    {"volary_shard_calls_open", "Calls not answered yet, watches included.", offsetof(struct service_stats, calls_open)},
    {"volary_shard_views_open", "Mailboxes selected by sessions.",           offsetof(struct service_stats, views_open)},
    {"volary_shard_held_bytes", "Bytes of copies that wait for a decision.", offsetof(struct service_stats, held_bytes)},
};
/* clang-format on */
static const struct replica_metric_row replica_rows[] = {REPLICA_METRIC_ROWS("volary_shard")};

_Static_assert(VY_COUNT_OF(service_gauges) <= SHARD_GAUGES_MAX, "room for every gauge");
_Static_assert(VY_COUNT_OF(counters) <= SHARD_COUNTERS_MAX, "room for every counter");

static struct vy_err add_named(struct vy_metrics *registry, const struct named *rows, size_t count,
                               enum vy_metric_kind kind, struct vy_metric **out)
{
    for (size_t i = 0; i < count; i++) {
        const struct vy_metric_spec spec = {
            .name = rows[i].name, .help = rows[i].help, .kind = kind};
        VY_TRY(vy_metrics_add(registry, &spec, &out[i]));
    }
    return vy_ok();
}

struct vy_err shard_metrics_init(struct vy_metrics *registry, struct shard_metrics *out)
{
    *out = (struct shard_metrics){.seconds = NULL};
    if (registry == NULL) {
        return vy_ok();
    }
    VY_TRY(add_named(registry, counters, VY_COUNT_OF(counters), VY_METRIC_COUNTER, out->counters));
    VY_TRY(add_named(registry, service_gauges, VY_COUNT_OF(service_gauges), VY_METRIC_GAUGE,
                     out->gauges));
    VY_TRY(replica_metrics_init(registry, replica_rows, VY_COUNT_OF(replica_rows), &out->replica));
    return vy_metrics_add(registry, &seconds_spec, &out->seconds);
}

static uint64_t number_at(const void *object, size_t offset)
{
    uint64_t value = 0;

    memcpy(&value, (const uint8_t *)object + offset, sizeof(value));
    return value;
}

void shard_metrics_set(struct shard_metrics *metrics, const struct service_stats *service,
                       const struct replica_status *replica)
{
    if (metrics->seconds == NULL) {
        return;
    }
    for (size_t i = 0; i < VY_COUNT_OF(counters); i++) {
        const uint64_t value = number_at(service, counters[i].offset);
        vy_metric_count(metrics->counters[i], 0, value - metrics->counted[i]);
        metrics->counted[i] = value;
    }
    struct vy_metric **gauge = metrics->gauges;
    for (size_t i = 0; i < VY_COUNT_OF(service_gauges); i++) {
        vy_metric_set(*gauge++, 0, (int64_t)number_at(service, service_gauges[i].offset));
    }
    replica_metrics_set(&metrics->replica, replica);
}
