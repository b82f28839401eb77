/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/rpc_resolve.h"

#include "base/assert.h"
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

/* Shared by the asker and the thread; whoever is last frees it. The thread posts under the lock and
 * only while the asker is there, so the asker's loop is, too. */
struct rpc_resolve {
    pthread_mutex_t lock;
    unsigned ref_count;
    bool is_abandoned;
    struct vy_loop *loop;
    vy_loop_fn fn;
    void *arg;
    char host[RPC_ADDRESS_BYTES_MAX];
    struct addrinfo *found; /* owned; NULL: none */
};

static void resolve_unref(struct rpc_resolve *resolve)
{
    pthread_mutex_lock(&resolve->lock);
    resolve->ref_count--;
    const bool is_last = resolve->ref_count == 0;
    pthread_mutex_unlock(&resolve->lock);
    if (!is_last) {
        return;
    }
    if (resolve->found != NULL) {
        freeaddrinfo(resolve->found);
    }
    pthread_mutex_destroy(&resolve->lock);
    free(resolve);
}

static void resolve_on_done(void *arg)
{
    struct rpc_resolve *resolve = arg;
    if (!resolve->is_abandoned) {
        resolve->fn(resolve->arg);
    }
    resolve_unref(resolve);
}

static void *resolve_run(void *arg)
{
    struct rpc_resolve *resolve = arg;
    const struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    struct addrinfo *found = NULL;
    if (getaddrinfo(resolve->host, NULL, &hints, &found) != 0) {
        found = NULL;
    }
    pthread_mutex_lock(&resolve->lock);
    resolve->found = found;
    if (!resolve->is_abandoned) {
        resolve->ref_count++;
        vy_loop_post(resolve->loop, resolve_on_done, resolve);
    }
    pthread_mutex_unlock(&resolve->lock);
    resolve_unref(resolve);
    return NULL;
}

/* Signals are for the loops' threads. */
static int start_thread(struct rpc_resolve *resolve)
{
    sigset_t all;
    sigset_t before;
    pthread_t thread;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int result = pthread_create(&thread, NULL, resolve_run, resolve);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (result == 0) {
        pthread_detach(thread);
    }
    return result;
}

struct vy_err rpc_resolve_start(struct vy_loop *loop, const char *host, vy_loop_fn fn, void *arg,
                                struct rpc_resolve **out)
{
    VY_ASSERT(strlen(host) < RPC_ADDRESS_BYTES_MAX);
    struct rpc_resolve *resolve = calloc(1, sizeof(*resolve));
    if (resolve == NULL) {
        return vy_error(VY_CODE_NOMEM, "resolve");
    }
    pthread_mutex_init(&resolve->lock, NULL);
    resolve->ref_count = 2; /* the asker's and the thread's */
    resolve->loop = loop;
    resolve->fn = fn;
    resolve->arg = arg;
    memcpy(resolve->host, host, strlen(host) + 1);
    const int result = start_thread(resolve);
    if (result != 0) {
        resolve->ref_count = 1;
        resolve_unref(resolve);
        return vy_error_sys(VY_CODE_UNAVAILABLE, result, "resolver thread");
    }
    *out = resolve;
    return vy_ok();
}

size_t rpc_resolve_take(const struct rpc_resolve *resolve, uint16_t port, struct rpc_address *out,
                        size_t max)
{
    size_t count = 0;
    for (const struct addrinfo *item = resolve->found; item != NULL && count < max;
         item = item->ai_next) {
        out[count] = (struct rpc_address){.kind = RPC_ADDRESS_TCP, .port = port};
        if (getnameinfo(item->ai_addr, item->ai_addrlen, out[count].name, sizeof(out[count].name),
                        NULL, 0, NI_NUMERICHOST) == 0) {
            count++;
        }
    }
    return count;
}

void rpc_resolve_free(struct rpc_resolve *resolve)
{
    if (resolve == NULL) {
        return;
    }
    pthread_mutex_lock(&resolve->lock);
    resolve->is_abandoned = true;
    pthread_mutex_unlock(&resolve->lock);
    resolve_unref(resolve);
}
