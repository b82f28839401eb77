/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What meta counts for Prometheus. Without a registry nothing is counted. */
#include "base/metrics.h"
#include "proto/meta.pb.h"
#include "proto/metalog.pb.h"

struct meta_metrics {
    struct vy_metric *auth;           /* volary_meta_auth_total{mech,result}; NULL: no registry */
    struct vy_metric *resolves;       /* volary_meta_resolves_total{result} */
    struct vy_metric *admin;          /* volary_meta_admin_calls_total{code_class} */
    struct vy_metric *watchers;       /* volary_meta_watchers */
    struct vy_metric *ready;          /* volary_meta_ready */
    struct vy_metric *erase_open;     /* volary_meta_erase_open */
    struct vy_metric *erase_waiting;  /* volary_meta_erase_waiting */
    struct vy_metric *erase_overdue;  /* volary_meta_erase_overdue */
    struct vy_metric *erase_oldest;   /* volary_meta_erase_oldest_seconds */
    struct vy_metric *leaders_moved;  /* volary_meta_leaders_moved_total */
    struct vy_metric *leaders_uneven; /* volary_meta_leaders_uneven */
};
/* registry NULL: leaves *out empty. @errors as vy_metrics_add */
VY_CHECKED struct vy_err meta_metrics_init(struct vy_metrics *registry, struct meta_metrics *out);
void meta_metrics_count_auth(const struct meta_metrics *metrics, enum login_mechanism mechanism,
                             enum login_verdict verdict);
void meta_metrics_count_resolve(const struct meta_metrics *metrics, enum resolve_result result);
void meta_metrics_count_admin(const struct meta_metrics *metrics, struct vy_err err);
/* Of the leader; zero elsewhere. */
struct meta_erasures {
    uint64_t open;      /* not certified yet */
    uint64_t waiting;   /* certified, with members pending */
    uint64_t overdue;   /* of both, those older than delete.alert_s */
    uint64_t oldest_ms; /* age of the oldest of both */
};
void meta_metrics_set_erasures(const struct meta_metrics *metrics,
                               const struct meta_erasures *erasures);
void meta_metrics_count_move(const struct meta_metrics *metrics);
void meta_metrics_set_uneven(const struct meta_metrics *metrics, uint64_t difference);
void meta_metrics_set_ready(const struct meta_metrics *metrics, bool is_ready);
void meta_metrics_change_watchers(const struct meta_metrics *metrics, int by);
