/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/nng_threads.h"

#include <nng/nng.h>
#include <pthread.h>
#include <unistd.h>

/* glibc's own name of sysconf: exported, and needs no symbol lookup (which would allocate inside
 * malloc's start-up). */
extern long __sysconf(int name);
long sysconf(int name);

static _Thread_local bool is_starting_nng;

/* The thread sanitizer asks before it can watch anything: it gets libc's, and nng more threads. */
#ifndef __SANITIZE_THREAD__
long sysconf(int name)
{
    if (is_starting_nng && (name == _SC_NPROCESSORS_ONLN || name == _SC_NPROCESSORS_CONF)) {
        return 1;
    }
    return __sysconf(name);
}
#endif

static pthread_once_t start_once = PTHREAD_ONCE_INIT;
static int start_result;

/* Any call starts the library; this one leaves nothing behind. */
static void start(void)
{
    nng_aio *aio = NULL;
    is_starting_nng = true;
    start_result = nng_aio_alloc(&aio, NULL, NULL);
    is_starting_nng = false;
    if (start_result == 0) {
        nng_aio_free(aio);
    }
}

struct vy_err nng_threads_start(void)
{
    pthread_once(&start_once, start);
    return start_result == 0 ? vy_ok() : vy_error(VY_CODE_NOMEM, "start nng");
}
