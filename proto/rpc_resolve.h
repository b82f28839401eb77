/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Host names to addresses, off the loop: getaddrinfo in a thread of its own (it may take half a
 * minute), the answer by a post. Redialling is rare and backs off, so a thread per question is
 * cheap enough. Internal to the link.
 */
#include "base/loop.h"
#include "proto/rpc_address.h"

struct rpc_resolve;
/*
 * Calls fn(arg) on the loop once; never within the call.
 * @errors UNAVAILABLE no thread; NOMEM
 */
VY_CHECKED struct vy_err rpc_resolve_start(struct vy_loop *loop, const char *host, vy_loop_fn fn,
                                           void *arg, struct rpc_resolve **out);
/* In fn: up to `max` literal addresses with this port; 0: the name has none. */
size_t rpc_resolve_take(const struct rpc_resolve *resolve, uint16_t port, struct rpc_address *out,
                        size_t max);
/* Gives up or cleans up: fn is not called any more. */
void rpc_resolve_free(struct rpc_resolve *resolve);
