/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Starts nng with few threads. nng 1.5.2 sizes its thread pools by the number of processors of the
 * machine (88 threads on 64 of them, also in a container with one) and has no setting for it. It
 * asks by sysconf(_SC_NPROCESSORS_ONLN), once, in the thread that uses it first. So nng_threads.c
 * defines sysconf: it answers one processor to that thread during that call, and passes every other
 * question on to libc. What stays is 11 threads; all they do is move bytes.
 */
#include "base/err.h"

/* Before any other use of nng; once is enough, more is harmless. @thread any */
VY_CHECKED struct vy_err nng_threads_start(void);
