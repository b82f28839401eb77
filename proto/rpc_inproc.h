/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The third transport: links between roles of one process. Blocks of frames change hands by
 * vy_loop_post; no sockets, no second copy. Names are those of the hub: two hubs never meet, so
 * that tests and the simulator build several clusters in one process. With fake loops everything
 * runs in virtual time.
 *
 * @thread  any; roles on different loops share one hub. Links and servers are freed before their
 * loops, the hub last.
 */
#include "base/err.h"

struct rpc_inproc;
VY_CHECKED struct vy_err rpc_inproc_new(struct rpc_inproc **out);
void rpc_inproc_free(struct rpc_inproc *hub); /* NULL is allowed */
