/* SPDX-License-Identifier: Apache-2.0 */
#include "shard/service_rpc.h"
#include "base/assert.h"
#include "proto/methods.h"
#include "shard/service_private.h"
#include <stdlib.h>

/* Uid sets and lists of recipients; bodies travel as streams. */
#define SHARD_REQUEST_BYTES_MAX (1024U * 1024U)
#define SHARD_METHODS_MAX 32U

struct service_rpc {
    struct service *service; /* borrowed */
    struct vy_clock *clock;  /* borrowed */
    struct vy_metric *seconds;
    struct rpc_server_method methods[SHARD_METHODS_MAX];
};

/* One call between the two. */
struct carrier {
    struct service_rpc *rpc;
    struct rpc_server_call *link_call;
    struct call *call;
    uint64_t started_ns;
    size_t series;
};

/* ---- service to link ---- */

static size_t carrier_send(void *transport, struct vy_bytes bytes)
{
    const struct carrier *carrier = transport;

    return rpc_server_call_send(carrier->link_call, bytes);
}

static void carrier_consumed(void *transport, size_t count)
{
    const struct carrier *carrier = transport;

    rpc_server_call_consumed(carrier->link_call, count);
}

/* Before the answer is handed to the link: the call is gone then, with its trace. */
static void carrier_observe(const struct carrier *carrier, enum vy_code code)
{
    const struct service_rpc *rpc = carrier->rpc;
    const uint64_t took_ns =
        rpc->clock == NULL ? 0 : vy_clock_mono_ns(rpc->clock) - carrier->started_ns;

    if (rpc->seconds != NULL) {
        vy_metric_observe_us(rpc->seconds, carrier->series, took_ns / 1000);
    }
    vy_log(rpc->service->config.log, VY_LOG_DEBUG, "shard.call.done",
           VY_ID("trace", rpc_server_call_trace_id(carrier->link_call)),
           VY_CSTR("rpc.method", rpc_server_call_method(carrier->link_call)->name),
           VY_CSTR("err.code", vy_code_name(code)), VY_U64("call.ms", took_ns / 1000000));
}

static void carrier_reply(void *transport, struct vy_bytes reply)
{
    struct carrier *carrier = transport;

    carrier_observe(carrier, VY_CODE_OK);
    rpc_server_call_reply(carrier->link_call, reply);
    free(carrier);
}

static void carrier_fail(void *transport, struct vy_err err, const char *leader_hint,
                         uint32_t retry_after_ms)
{
    struct carrier *carrier = transport;

    carrier_observe(carrier, err.code);
    rpc_server_call_fail(carrier->link_call, err, leader_hint, retry_after_ms);
    free(carrier);
}

static const uint8_t *carrier_trace_id(void *transport)
{
    const struct carrier *carrier = transport;

    return rpc_server_call_trace_id(carrier->link_call);
}

static const struct call_transport_ops carrier_ops = {
    .send = carrier_send,
    .consumed = carrier_consumed,
    .reply = carrier_reply,
    .fail = carrier_fail,
    .trace_id = carrier_trace_id,
};

/* ---- link to service ---- */

static void on_data(void *arg, struct vy_bytes bytes)
{
    const struct carrier *carrier = arg;

    service_call_data(carrier->call, bytes);
}

static void on_data_end(void *arg)
{
    const struct carrier *carrier = arg;

    service_call_data_end(carrier->call);
}

static void on_writable(void *arg)
{
    const struct carrier *carrier = arg;

    service_call_writable(carrier->call);
}

static void on_cancel(void *arg)
{
    const struct carrier *carrier = arg;

    service_call_cancel(carrier->call);
}

static const struct rpc_server_call_events carrier_events = {
    .on_data = on_data,
    .on_data_end = on_data_end,
    .on_writable = on_writable,
    .on_cancel = on_cancel,
};

static size_t series_of(const struct service_rpc *rpc, uint32_t method_id)
{
    size_t index = 0;

    while (rpc->methods[index].id != method_id) {
        index++;
    }
    return vy_metric_series(rpc->seconds, index, 0, 0);
}

static void serve(void *arg, struct rpc_server_call *link_call, struct vy_bytes request)
{
    struct service_rpc *rpc = arg;
    const uint32_t method_id = rpc_server_call_method(link_call)->id;
    struct carrier *carrier = malloc(sizeof(*carrier));

    if (carrier == NULL) {
        rpc_server_call_fail(link_call, vy_error(VY_CODE_NOMEM, "call of a shard"), NULL, 0);
        return;
    }
    *carrier = (struct carrier){.rpc = rpc, .link_call = link_call};
    if (rpc->clock != NULL) {
        carrier->started_ns = vy_clock_mono_ns(rpc->clock);
    }
    if (rpc->seconds != NULL) {
        carrier->series = series_of(rpc, method_id);
    }
    rpc_server_call_set_events(link_call, &carrier_events, carrier);
    struct call *call =
        service_call_start(rpc->service, method_id, request,
                           rpc_server_call_idempotency_key(link_call), &carrier_ops, carrier);
    if (call != NULL) { /* else it was answered, and the carrier is gone */
        carrier->call = call;
    }
}

/* ---- the table ---- */

/* clang-format off */
static const struct {
    uint32_t id;
    uint32_t roles;
} allowed[] = {
#define X(method, number, request, reply, peer_roles, stream) {(number), (peer_roles)},
    SHARD_METHODS(X)
#undef X
};
/* clang-format on */

static uint32_t roles_of(uint32_t method_id)
{
    for (size_t i = 0; i < VY_COUNT_OF(allowed); i++) {
        if (allowed[i].id == method_id) {
            return allowed[i].roles;
        }
    }
    return 0; /* in the service's table alone: nobody may call it */
}

struct vy_err service_rpc_add(struct service *service, struct rpc_server *server,
                              struct vy_clock *clock, struct vy_metric *seconds,
                              struct service_rpc **out)
{
    size_t count = 0;
    const struct call_method *methods = service_methods(&count);
    struct service_rpc *rpc = calloc(1, sizeof(*rpc));

    if (rpc == NULL) {
        return vy_error(VY_CODE_NOMEM, "methods of the shard");
    }
    VY_ASSERT(count == VY_COUNT_OF(allowed) && count < SHARD_METHODS_MAX);
    *rpc = (struct service_rpc){.service = service, .clock = clock, .seconds = seconds};
    for (size_t i = 0; i < count; i++) {
        rpc->methods[i] = (struct rpc_server_method){
            .id = methods[i].id,
            .name = methods[i].name,
            .roles = roles_of(methods[i].id),
            .request_bytes_max = SHARD_REQUEST_BYTES_MAX,
            .in_flight_max = SERVICE_CALLS_MAX,
            .endless = methods[i].id == METHOD_SHARD_ACCOUNT_WATCH,
            .handler = serve,
        };
    }
    const struct vy_err err = rpc_server_add_methods(server, rpc->methods, count, rpc);
    if (vy_failed(err)) {
        free(rpc);
        return err;
    }
    *out = rpc;
    return vy_ok();
}

void service_rpc_free(struct service_rpc *rpc)
{
    free(rpc);
}
