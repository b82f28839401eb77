/* SPDX-License-Identifier: Apache-2.0 */
#include "base/workers.h"

#include "base/assert.h"
#include <pthread.h>
#include <stdlib.h>

struct job {
    struct vy_loop *loop;
    vy_loop_fn work;
    vy_loop_fn done;
    void *arg;
};

struct vy_workers {
    pthread_mutex_t lock; /* guards everything below but threads */
    pthread_cond_t wake;
    struct job *ring; /* owned; capacity is queue_max */
    size_t queue_max;
    size_t head;
    size_t count;
    bool is_stopping;
    pthread_t *threads; /* owned */
    unsigned thread_count;
};

static bool take_job(struct vy_workers *workers, struct job *out)
{
    (void)pthread_mutex_lock(&workers->lock);
    while (workers->count == 0 && !workers->is_stopping) {
        (void)pthread_cond_wait(&workers->wake, &workers->lock);
    }
    const bool has_job = workers->count > 0;
    if (has_job) {
        *out = workers->ring[workers->head];
        workers->head = (workers->head + 1) % workers->queue_max;
        workers->count--;
    }
    (void)pthread_mutex_unlock(&workers->lock);
    return has_job;
}

static void *worker_main(void *arg)
{
    struct job job;
    while (take_job(arg, &job)) {
        job.work(job.arg);
        vy_loop_post(job.loop, job.done, job.arg);
    }
    return NULL;
}

static struct vy_err start_threads(struct vy_workers *workers, unsigned thread_count)
{
    for (unsigned i = 0; i < thread_count; i++) {
        const int sys = pthread_create(&workers->threads[i], NULL, worker_main, workers);
        if (sys != 0) {
            return vy_error_sys(VY_CODE_NOMEM, sys, "worker thread");
        }
        workers->thread_count++;
    }
    return vy_ok();
}

struct vy_err vy_workers_new(unsigned thread_count, size_t queue_max, struct vy_workers **out)
{
    VY_ASSERT(queue_max > 0);
    struct vy_workers *workers = calloc(1, sizeof(*workers));
    if (workers == NULL) {
        return vy_error(VY_CODE_NOMEM, "workers");
    }
    (void)pthread_mutex_init(&workers->lock, NULL);
    (void)pthread_cond_init(&workers->wake, NULL);
    workers->queue_max = queue_max;
    workers->ring = calloc(queue_max, sizeof(*workers->ring));
    workers->threads = calloc(thread_count + 1U, sizeof(*workers->threads));
    const struct vy_err err = workers->ring == NULL || workers->threads == NULL
                                  ? vy_error(VY_CODE_NOMEM, "workers")
                                  : start_threads(workers, thread_count);
    if (vy_failed(err)) {
        vy_workers_free(workers);
        return err;
    }
    *out = workers;
    return vy_ok();
}

void vy_workers_free(struct vy_workers *workers)
{
    if (workers == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&workers->lock);
    workers->is_stopping = true;
    (void)pthread_cond_broadcast(&workers->wake);
    (void)pthread_mutex_unlock(&workers->lock);
    for (unsigned i = 0; i < workers->thread_count; i++) {
        (void)pthread_join(workers->threads[i], NULL);
    }
    (void)pthread_cond_destroy(&workers->wake);
    (void)pthread_mutex_destroy(&workers->lock);
    free(workers->threads);
    free(workers->ring);
    free(workers);
}

struct vy_err vy_workers_submit(struct vy_workers *workers, struct vy_loop *loop, vy_loop_fn work,
                                vy_loop_fn done, void *arg)
{
    if (workers->thread_count == 0) {
        work(arg);
        vy_loop_post(loop, done, arg);
        return vy_ok();
    }
    (void)pthread_mutex_lock(&workers->lock);
    const bool is_full = workers->count == workers->queue_max;
    if (!is_full) {
        const size_t at = (workers->head + workers->count) % workers->queue_max;
        workers->ring[at] = (struct job){.loop = loop, .work = work, .done = done, .arg = arg};
        workers->count++;
        (void)pthread_cond_signal(&workers->wake);
    }
    (void)pthread_mutex_unlock(&workers->lock);
    return is_full ? vy_error(VY_CODE_BUSY, "worker queue is full") : vy_ok();
}
