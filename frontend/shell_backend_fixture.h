/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A meta and a shard for the tests of the shell, behind real RPC servers ("inproc:meta-1",
 * "inproc:shard-1") on a thread of their own. The doubles of tests/transcript answer; this file
 * adds the link, the cluster map, meta's events, and rows that exist in the index only.
 */
#include "frontend/shell_fixture.h"
#include "proto/rpc_inproc.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct shell_backend;
/* options: fetch_rows, discards_mail. */
struct shell_backend *shell_backend_new(struct rpc_inproc *hub,
                                        const struct shell_options *options);
void shell_backend_free(struct shell_backend *backend);
/* Runs fn(arg) on the backend's thread and waits for it. */
void shell_backend_run(struct shell_backend *backend, void (*fn)(void *arg), void *arg);
