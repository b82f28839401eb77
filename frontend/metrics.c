/* SPDX-License-Identifier: Apache-2.0 */
#include "frontend/metrics.h"

#include "base/assert.h"
#include "frontend/auth/sasl.h"
#include "frontend/imap/imap_session.h"
#include "frontend/smtp/smtp_session.h"
#include <assert.h>

/* In the order of the enums that index them. */
static const char *const protos[] = {"smtp", "lmtp", "submission", "imap"};
static const char *const refusals[] = {"limit", "limit_per_ip", "network"};
static const char *const directions[] = {"in", "out"};
static const char *const auth_results[] = {"ok",      "refused",     "disabled", "need_app",
                                           "limited", "unavailable", "syntax",   "cancelled",
                                           "privacy", "no_mechanism"};
static const char *const mechanisms[] = {"", "PLAIN", "LOGIN", "SCRAM-SHA-256",
                                         "SCRAM-SHA-256-PLUS"};
static const char *const deliveries[] = {"stored", "refused", "partial", "unknown", "rejected"};
static const char *const call_results[] = {"ok", "refused", "unavailable", "unknown"};
static const char *const methods[] = {
#define X(name, id, request, reply, roles, stream) #name,
    SHARD_METHODS(X) META_METHODS(X)
#undef X
};
static const char *const outcomes[] = {"ok", "no", "bad"};
static_assert(VY_COUNT_OF(protos) == FRONTEND_PROTO_COUNT, "a name for each");
static_assert(VY_COUNT_OF(refusals) == FRONTEND_REFUSED_COUNT, "a name for each");
static_assert(VY_COUNT_OF(auth_results) == SASL_RESULT_COUNT, "a name for each");
static_assert(VY_COUNT_OF(outcomes) == SESSION_OUTCOME_COUNT, "a name for each");

#define PROTO_LABEL                                                                                \
    {                                                                                              \
        "proto", protos, VY_COUNT_OF(protos)                                                       \
    }

/* clang-format off */
static const struct vy_metric_spec connections_spec = {
    .name = "volary_connections", .help = "Open client connections.",
    .kind = VY_METRIC_GAUGE, .labels = {PROTO_LABEL}};
static const struct vy_metric_spec accepted_spec = {
    .name = "volary_connections_total", .help = "Client connections taken since the start.",
    .kind = VY_METRIC_COUNTER, .labels = {PROTO_LABEL}};
static const struct vy_metric_spec refused_spec = {
    .name = "volary_connections_refused_total", .help = "Client connections refused, by the limit they met.",
    .kind = VY_METRIC_COUNTER, .labels = {PROTO_LABEL, {"reason", refusals, VY_COUNT_OF(refusals)}}};
static const struct vy_metric_spec bytes_spec = {
    .name = "volary_connection_bytes_total", .help = "Bytes on client connections, TLS included.",
    .kind = VY_METRIC_COUNTER, .labels = {PROTO_LABEL, {"direction", directions, VY_COUNT_OF(directions)}}};
static const struct vy_metric_spec auth_spec = {
    .name = "volary_auth_total", .help = "Tries to sign in, by how they ended.",
    .kind = VY_METRIC_COUNTER, .labels = {PROTO_LABEL, {"mech", mechanisms, VY_COUNT_OF(mechanisms)}, {"result", auth_results, VY_COUNT_OF(auth_results)}}};
static const struct vy_metric_spec deliveries_spec = {
    .name = "volary_deliveries_total", .help = "Messages that came in, by how they ended.",
    .kind = VY_METRIC_COUNTER, .labels = {PROTO_LABEL, {"result", deliveries, VY_COUNT_OF(deliveries)}}};
static const struct vy_metric_spec message_bytes_spec = {
    .name = "volary_delivered_bytes_total", .help = "Bytes of the messages that were stored, once a message.",
    .kind = VY_METRIC_COUNTER, .labels = {PROTO_LABEL}};
static const struct vy_metric_spec calls_spec = {
    .name = "volary_rpc_seconds", .help = "Calls to meta and shards, repeats and waiting included.",
    .kind = VY_METRIC_HISTOGRAM,
    .labels = {{"method", methods, VY_COUNT_OF(methods)}, {"result", call_results, VY_COUNT_OF(call_results)}}};
/* clang-format on */

static const char *const hash_results[] = {"computed", "remembered", "refused"};
static const struct vy_metric_spec hashes_spec = {
    .name = "volary_password_hashes_total",
    .help = "Argon2id asked for by sign-ins, by where the result came from.",
    .kind = VY_METRIC_COUNTER,
    .labels = {{"result", hash_results, VY_COUNT_OF(hash_results)}}};
static const struct vy_metric_spec tarpit_spec = {
    .name = "volary_tarpit_connections",
    .help = "Connections whose answer to a refused sign-in or command is held back.",
    .kind = VY_METRIC_GAUGE};

/* clang-format off */
static const char *const command_protos[] = {"smtp", "imap"}; /* smtp: with LMTP and submission */
/* The rows of imap/commands.c and smtp/commands.c; what is not here is counted as "other". */
static const char *const commands[] = {
    "other", "CAPABILITY", "NOOP", "LOGOUT", "STARTTLS", "LOGIN", "AUTHENTICATE", "SELECT", "EXAMINE", "CREATE", "DELETE",
    "RENAME", "SUBSCRIBE", "UNSUBSCRIBE", "LIST", "LSUB", "STATUS", "APPEND", "CHECK", "CLOSE", "UNSELECT", "EXPUNGE",
    "UID EXPUNGE", "SEARCH", "UID SEARCH", "FETCH", "UID FETCH", "STORE", "UID STORE", "COPY", "UID COPY", "MOVE",
    "UID MOVE", "ID", "ENABLE", "IDLE", "NAMESPACE", "GETQUOTA", "GETQUOTAROOT", "SETQUOTA", "EHLO", "HELO", "LHLO",
    "MAIL", "RCPT", "DATA", "BDAT", "RSET", "VRFY", "EXPN", "HELP", "QUIT", "AUTH"};
static const struct vy_metric_spec commands_spec = {
    .name = "volary_command_duration_seconds", .help = "Commands from their last byte to their answer.",
    .kind = VY_METRIC_HISTOGRAM,
    .labels = {{"proto", command_protos, VY_COUNT_OF(command_protos)}, {"command", commands, VY_COUNT_OF(commands)},
               {"result", outcomes, VY_COUNT_OF(outcomes)}}};
/* clang-format on */

struct vy_err frontend_metrics_init(struct vy_metrics *registry, struct frontend_metrics *out)
{
    struct frontend_metrics metrics = {.connections = NULL};
    if (registry != NULL) {
        VY_TRY(vy_metrics_add(registry, &connections_spec, &metrics.connections));
        VY_TRY(vy_metrics_add(registry, &accepted_spec, &metrics.accepted));
        VY_TRY(vy_metrics_add(registry, &refused_spec, &metrics.refused));
        VY_TRY(vy_metrics_add(registry, &bytes_spec, &metrics.bytes));
        VY_TRY(vy_metrics_add(registry, &auth_spec, &metrics.auth));
        VY_TRY(vy_metrics_add(registry, &deliveries_spec, &metrics.deliveries));
        VY_TRY(vy_metrics_add(registry, &message_bytes_spec, &metrics.message_bytes));
        VY_TRY(vy_metrics_add(registry, &calls_spec, &metrics.calls));
        VY_TRY(vy_metrics_add(registry, &commands_spec, &metrics.commands));
        VY_TRY(vy_metrics_add(registry, &tarpit_spec, &metrics.tarpit));
        VY_TRY(vy_metrics_add(registry, &hashes_spec, &metrics.hashes));
    }
    *out = metrics;
    return vy_ok();
}

static void count(struct vy_metric *metric, size_t a, size_t b, uint64_t by)
{
    if (metric != NULL) {
        vy_metric_count(metric, vy_metric_series(metric, a, b, 0), by);
    }
}

void frontend_count_opened(const struct frontend_metrics *metrics, enum frontend_proto proto)
{
    count(metrics->accepted, proto, 0, 1);
    if (metrics->connections != NULL) {
        vy_metric_change(metrics->connections, vy_metric_series(metrics->connections, proto, 0, 0),
                         1);
    }
}

void frontend_count_closed(const struct frontend_metrics *metrics, enum frontend_proto proto)
{
    if (metrics->connections != NULL) {
        vy_metric_change(metrics->connections, vy_metric_series(metrics->connections, proto, 0, 0),
                         -1);
    }
}

void frontend_count_refused(const struct frontend_metrics *metrics, enum frontend_proto proto,
                            enum frontend_refusal why)
{
    count(metrics->refused, proto, why, 1);
}

void frontend_count_hash(const struct frontend_metrics *metrics, enum frontend_hash how)
{
    count(metrics->hashes, how, 0, 1);
}

void frontend_count_tarpit(const struct frontend_metrics *metrics, int by)
{
    if (metrics->tarpit != NULL) {
        vy_metric_change(metrics->tarpit, 0, by);
    }
}

void frontend_count_bytes(const struct frontend_metrics *metrics, enum frontend_proto proto,
                          enum frontend_direction direction, size_t bytes)
{
    count(metrics->bytes, proto, direction, bytes);
}

/* ---- events of sessions ---- */

static const struct vy_log_field *find_field(const struct session_action *action, const char *key)
{
    for (size_t i = 0; i < action->fields_count; i++) {
        if (strcmp(action->fields[i].key, key) == 0) {
            return &action->fields[i];
        }
    }
    return NULL;
}

/* The value of a field among those that a label has; the first one when it has no such field. */
static size_t label_index(const struct session_action *action, const char *key,
                          const char *const *values, size_t value_count)
{
    const struct vy_log_field *field = find_field(action, key);
    for (size_t i = 0; field != NULL && i < value_count; i++) {
        if (vy_bytes_equal(field->str, vy_cstr(values[i]))) {
            return i;
        }
    }
    return 0;
}

static void count_auth(const struct frontend_metrics *metrics, enum frontend_proto proto,
                       const struct session_action *action)
{
    if (metrics->auth != NULL) {
        const size_t mechanism =
            label_index(action, "auth.mechanism", mechanisms, VY_COUNT_OF(mechanisms));
        const size_t result =
            label_index(action, "auth.result", auth_results, VY_COUNT_OF(auth_results));
        vy_metric_count(metrics->auth, vy_metric_series(metrics->auth, proto, mechanism, result),
                        1);
    }
}

static const struct {
    const char *event;
    size_t result; /* of deliveries */
} delivery_events[] = {
    {"smtp.delivery.stored",  0},
    {"smtp.delivery.refused", 1},
    {"smtp.delivery.partial", 2},
    {"smtp.delivery.unknown", 3},
    {"smtp.message.refused",  4},
    {"smtp.message.bare_eol", 4},
};

void frontend_count_event(const struct frontend_metrics *metrics, enum frontend_proto proto,
                          const struct session_action *action)
{
    static const char *const auth_events[] = {"imap.login.ok", "imap.login.refused", "smtp.auth.ok",
                                              "smtp.auth.refused"};
    for (size_t i = 0; i < VY_COUNT_OF(auth_events); i++) {
        if (strcmp(action->event, auth_events[i]) == 0) {
            count_auth(metrics, proto, action);
            return;
        }
    }
    for (size_t i = 0; i < VY_COUNT_OF(delivery_events); i++) {
        if (strcmp(action->event, delivery_events[i].event) != 0) {
            continue;
        }
        const struct vy_log_field *bytes = find_field(action, "msg.bytes");
        count(metrics->deliveries, proto, delivery_events[i].result, 1);
        if (i == 0 && bytes != NULL) {
            count(metrics->message_bytes, proto, 0, bytes->number);
        }
        return;
    }
}

/* ---- calls and commands ---- */

static size_t method_index(uint32_t method)
{
    static const uint32_t ids[] = {
#define X(name, id, request, reply, roles, stream) id,
        SHARD_METHODS(X) META_METHODS(X)
#undef X
    };
    for (size_t i = 0; i < VY_COUNT_OF(ids); i++) {
        if (ids[i] == method) {
            return i;
        }
    }
    VY_ASSERT(false && "no such method");
    return 0;
}

static size_t call_result(enum vy_code code)
{
    if (code == VY_CODE_OK) {
        return 0;
    }
    if (code == VY_CODE_UNKNOWN) {
        return 3;
    }
    return vy_code_is_retryable(code) ? 2 : 1;
}

void frontend_observe_call(const struct frontend_metrics *metrics, uint32_t method,
                           enum vy_code code, uint64_t elapsed_ns)
{
    if (metrics->calls != NULL) {
        vy_metric_observe_us(
            metrics->calls,
            vy_metric_series(metrics->calls, method_index(method), call_result(code), 0),
            elapsed_ns / 1000);
    }
}

static size_t command_index(const char *name)
{
    for (size_t i = 1; i < VY_COUNT_OF(commands); i++) {
        if (strcmp(commands[i], name) == 0) {
            return i;
        }
    }
    return 0;
}

void frontend_observe_command(const struct frontend_metrics *metrics, enum frontend_proto proto,
                              const struct session_action *action, uint64_t now_ms)
{
    if (metrics->commands != NULL) {
        const uint64_t elapsed_ms = now_ms > action->started_ms ? now_ms - action->started_ms : 0;
        vy_metric_observe_us(metrics->commands,
                             vy_metric_series(metrics->commands,
                                              proto == FRONTEND_PROTO_IMAP ? 1 : 0,
                                              command_index(action->command), action->outcome),
                             elapsed_ms * 1000);
    }
}
