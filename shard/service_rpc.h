/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The shard service on a link: the methods of methods.h, request streams up, reply streams down. */
#include "base/metrics.h"
#include "proto/rpc_server.h"
#include "shard/service.h"

struct service_rpc;

/* Registers every method. `seconds` (volary_shard_call_seconds, one series a method in the order of
 * service_methods) may be NULL. The service, the clock and the metric outlive the server. */
VY_CHECKED struct vy_err service_rpc_add(struct service *service, struct rpc_server *server,
                                         struct vy_clock *clock, struct vy_metric *seconds,
                                         struct service_rpc **out);
void service_rpc_free(struct service_rpc *rpc); /* after the server; NULL is allowed */
