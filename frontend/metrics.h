/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What the frontend counts (operations.md 1.7). All labels are closed sets: what a client sends
 * never becomes one. Counting is safe from any thread and does nothing with a NULL registry.
 */
#include "base/metrics.h"
#include "frontend/session.h"

enum frontend_proto {
    FRONTEND_PROTO_SMTP,
    FRONTEND_PROTO_LMTP,
    FRONTEND_PROTO_SUBMISSION,
    FRONTEND_PROTO_IMAP,
    FRONTEND_PROTO_COUNT
};
enum frontend_refusal {
    FRONTEND_REFUSED_LIMIT,        /* limits.connections */
    FRONTEND_REFUSED_LIMIT_PER_IP, /* limits.connections_per_ip */
    FRONTEND_REFUSED_NETWORK,      /* LMTP from a stranger */
    FRONTEND_REFUSED_COUNT
};
enum frontend_direction { FRONTEND_BYTES_IN, FRONTEND_BYTES_OUT };

struct frontend_metrics {
    struct vy_metric *connections;
    struct vy_metric *accepted;
    struct vy_metric *refused;
    struct vy_metric *bytes;
    struct vy_metric *auth;
    struct vy_metric *deliveries;
    struct vy_metric *message_bytes;
    struct vy_metric *calls;
    struct vy_metric *commands;
    struct vy_metric *tarpit;
    struct vy_metric *hashes;
};

/* registry NULL: nothing is counted. @errors of vy_metrics_add */
VY_CHECKED struct vy_err frontend_metrics_init(struct vy_metrics *registry,
                                               struct frontend_metrics *out);

void frontend_count_opened(const struct frontend_metrics *metrics, enum frontend_proto proto);
void frontend_count_closed(const struct frontend_metrics *metrics, enum frontend_proto proto);
void frontend_count_refused(const struct frontend_metrics *metrics, enum frontend_proto proto,
                            enum frontend_refusal why);
/* Argon2id for a sign-in. REFUSED: the queue is full, or there is no memory. */
enum frontend_hash { FRONTEND_HASH_COMPUTED, FRONTEND_HASH_REMEMBERED, FRONTEND_HASH_REFUSED };
void frontend_count_hash(const struct frontend_metrics *metrics, enum frontend_hash how);
void frontend_count_tarpit(const struct frontend_metrics *metrics, int by);
/* Bytes of the socket, TLS included. */
void frontend_count_bytes(const struct frontend_metrics *metrics, enum frontend_proto proto,
                          enum frontend_direction direction, size_t bytes);
/* A LOG action of a session: sign-ins and deliveries are counted by their events. */
void frontend_count_event(const struct frontend_metrics *metrics, enum frontend_proto proto,
                          const struct session_action *action);
/* A call to meta or a shard ended. */
void frontend_observe_call(const struct frontend_metrics *metrics, uint32_t method,
                           enum vy_code code, uint64_t elapsed_ns);
/* A COMMAND action of a session. */
void frontend_observe_command(const struct frontend_metrics *metrics, enum frontend_proto proto,
                              const struct session_action *action, uint64_t now_ms);
