/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A pool of threads for work that must not hold up a loop (parsing, sealing, password hashing,
 * storage reads), with a bounded queue. `work` runs on a pool thread; `done` afterwards on the
 * loop. Tests use a pool of 0 threads: work runs at once in the caller, done is posted.
 */
#include "base/loop.h"
#include <stddef.h>

struct vy_workers;
VY_CHECKED struct vy_err vy_workers_new(unsigned thread_count, size_t queue_max,
                                        struct vy_workers **out);
void vy_workers_free(struct vy_workers *workers); /* finishes what is queued, joins */
/* BUSY when the queue is full: nothing was started. @thread any */
VY_CHECKED struct vy_err vy_workers_submit(struct vy_workers *workers, struct vy_loop *loop,
                                           vy_loop_fn work, vy_loop_fn done, void *arg);
