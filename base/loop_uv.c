/* SPDX-License-Identifier: Apache-2.0 */
#include "base/assert.h"
#include "base/loop.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <uv.h>

struct post {
    vy_loop_fn fn;
    void *arg;
};

/*
 * Posts are run once a turn, behind its events. Only a loop that is about to wait, or waits, is
 * woken; one at work finds them by itself. uv_async_t is not used: its receiver spins until the
 * sender runs again, and on busy processors that is long.
 */
struct loop_uv {
    struct vy_loop base;
    uv_loop_t uv;
    int wake_fd; /* eventfd */
    uv_poll_t wake;
    uv_prepare_t before_wait; /* counts turns */
    uv_idle_t no_wait;        /* active while there are posts: the turn does not wait for events */
    uv_check_t behind_wait;
    uv_signal_t signals[3];
    bool has_signals;
    void (*on_signal)(void *arg, int signal);
    void *on_signal_arg;
    atomic_uint_fast64_t turn_count;
    atomic_bool is_stopping;
    pthread_mutex_t lock; /* guards the queue and is_waiting */
    bool is_waiting;      /* for events: a post must wake it */
    struct post *queue;   /* owned */
    size_t queue_count;
    size_t queue_capacity;
    struct post *running; /* owned; swapped with queue */
    size_t running_capacity;
};

struct timer_uv {
    struct vy_timer base;
    uv_timer_t uv;
    vy_loop_fn fn;
    void *arg;
};

struct watch_uv {
    struct vy_watch base;
    uv_poll_t uv;
    void (*fn)(void *arg, int events);
    void *arg;
};

static struct loop_uv *loop_of(struct vy_loop *loop)
{
    return (struct loop_uv *)(void *)loop;
}

static void wake_up(const struct loop_uv *loop)
{
    const uint64_t one = 1;
    ssize_t written = 0;
    do {
        written = write(loop->wake_fd, &one, sizeof(one));
    } while (written < 0 && errno == EINTR);
    VY_ASSERT(written == sizeof(one) || errno == EAGAIN); /* full: it is awake */
}

static void loop_post(struct vy_loop *base, vy_loop_fn fn, void *arg)
{
    struct loop_uv *loop = loop_of(base);
    (void)pthread_mutex_lock(&loop->lock);
    if (loop->queue_count == loop->queue_capacity) {
        const size_t capacity = loop->queue_capacity == 0 ? 64 : loop->queue_capacity * 2;
        struct post *queue = realloc(loop->queue, capacity * sizeof(*queue));
        VY_ASSERT(
            queue !=
            NULL); /* a lost post would lose an answer; memory for one pointer pair is our floor */
        loop->queue = queue;
        loop->queue_capacity = capacity;
    }
    loop->queue[loop->queue_count++] = (struct post){.fn = fn, .arg = arg};
    const bool must_wake = loop->is_waiting;
    loop->is_waiting = false;
    (void)pthread_mutex_unlock(&loop->lock);
    if (must_wake) {
        wake_up(loop);
    }
}

/* Returns how many there were. */
static size_t run_posts(struct loop_uv *loop)
{
    (void)pthread_mutex_lock(&loop->lock);
    loop->is_waiting = false;
    struct post *posts = loop->queue;
    const size_t count = loop->queue_count;
    const size_t capacity = loop->queue_capacity;
    loop->queue = loop->running;
    loop->queue_capacity = loop->running_capacity;
    loop->queue_count = 0;
    loop->running = posts;
    loop->running_capacity = capacity;
    (void)pthread_mutex_unlock(&loop->lock);
    for (size_t i = 0; i < count; i++) {
        posts[i].fn(posts[i].arg);
    }
    return count;
}

static void on_wake(uv_poll_t *wake, int status, int events)
{
    const struct loop_uv *loop = wake->data;
    uint64_t count = 0;
    (void)status;
    (void)events;
    vy_ignore(read(loop->wake_fd, &count, sizeof(count)) == sizeof(count)
                  ? vy_ok()
                  : vy_error_sys(VY_CODE_IO, errno, "read wake-up"),
              "read in an earlier turn");
}

static void do_nothing(uv_idle_t *idle)
{
    (void)idle;
}

static void on_before_wait(uv_prepare_t *prepare)
{
    struct loop_uv *loop = prepare->data;
    (void)atomic_fetch_add_explicit(&loop->turn_count, 1, memory_order_relaxed);
    (void)pthread_mutex_lock(&loop->lock);
    loop->is_waiting = loop->queue_count == 0;
    const bool waits = loop->is_waiting;
    (void)pthread_mutex_unlock(&loop->lock);
    if (waits) {
        (void)uv_idle_stop(&loop->no_wait);
    } else {
        (void)uv_idle_start(&loop->no_wait, do_nothing);
    }
}

static void on_behind_wait(uv_check_t *check)
{
    struct loop_uv *loop = check->data;
    (void)run_posts(loop);
    if (atomic_load(&loop->is_stopping)) {
        uv_stop(&loop->uv);
    }
}

/* ---- timers ---- */

static void on_timer(uv_timer_t *uv)
{
    struct timer_uv *timer = uv->data;
    timer->fn(timer->arg);
}

static struct vy_timer *timer_new(struct vy_loop *base, vy_loop_fn fn, void *arg)
{
    struct timer_uv *timer = calloc(1, sizeof(*timer));
    if (timer == NULL) {
        return NULL;
    }
    timer->base.ops = base->ops;
    timer->fn = fn;
    timer->arg = arg;
    (void)uv_timer_init(&loop_of(base)->uv, &timer->uv);
    timer->uv.data = timer;
    return &timer->base;
}

static void timer_start(struct vy_timer *base, uint64_t delay_ms)
{
    struct timer_uv *timer = (struct timer_uv *)(void *)base;
    uv_update_time(timer->uv.loop); /* the delay counts from now, not from the start of this turn */
    (void)uv_timer_start(&timer->uv, on_timer, delay_ms, 0);
}

static void timer_stop(struct vy_timer *base)
{
    (void)uv_timer_stop(&((struct timer_uv *)(void *)base)->uv);
}

static void free_handle_data(uv_handle_t *handle)
{
    free(handle->data);
}

static void timer_free(struct vy_timer *base)
{
    uv_close((uv_handle_t *)&((struct timer_uv *)(void *)base)->uv, free_handle_data);
}

/* ---- descriptors ---- */

static void on_poll(uv_poll_t *uv, int status, int events)
{
    struct watch_uv *watch = uv->data;
    int ready = status < 0 ? VY_WATCH_READ | VY_WATCH_WRITE
                           : 0; /* the owner finds the error when it reads */
    ready |= (events & (UV_READABLE | UV_DISCONNECT)) != 0 ? VY_WATCH_READ : 0;
    ready |= (events & UV_WRITABLE) != 0 ? VY_WATCH_WRITE : 0;
    watch->fn(watch->arg, ready);
}

static struct vy_watch *watch_new(struct vy_loop *base, int fd, void (*fn)(void *arg, int events),
                                  void *arg)
{
    struct watch_uv *watch = calloc(1, sizeof(*watch));
    if (watch == NULL) {
        return NULL;
    }
    watch->base.ops = base->ops;
    watch->fn = fn;
    watch->arg = arg;
    if (uv_poll_init(&loop_of(base)->uv, &watch->uv, fd) != 0) {
        free(watch);
        return NULL;
    }
    watch->uv.data = watch;
    return &watch->base;
}

static void watch_set(struct vy_watch *base, int events)
{
    struct watch_uv *watch = (struct watch_uv *)(void *)base;
    int wanted = 0;
    wanted |= (events & VY_WATCH_READ) != 0 ? UV_READABLE : 0;
    wanted |= (events & VY_WATCH_WRITE) != 0 ? UV_WRITABLE : 0;
    if (wanted == 0) {
        (void)uv_poll_stop(&watch->uv);
    } else {
        (void)uv_poll_start(&watch->uv, wanted, on_poll);
    }
}

static void watch_free(struct vy_watch *base)
{
    uv_close((uv_handle_t *)&((struct watch_uv *)(void *)base)->uv, free_handle_data);
}

static const struct vy_loop_ops uv_ops = {
    .post = loop_post,
    .timer_new = timer_new,
    .timer_start = timer_start,
    .timer_stop = timer_stop,
    .timer_free = timer_free,
    .watch_new = watch_new,
    .watch_set = watch_set,
    .watch_free = watch_free,
};

/* ---- the loop ---- */

static void start_handles(struct loop_uv *loop)
{
    (void)uv_poll_init(&loop->uv, &loop->wake, loop->wake_fd);
    (void)uv_prepare_init(&loop->uv, &loop->before_wait);
    (void)uv_idle_init(&loop->uv, &loop->no_wait);
    (void)uv_check_init(&loop->uv, &loop->behind_wait);
    loop->wake.data = loop;
    loop->before_wait.data = loop;
    loop->behind_wait.data = loop;
    (void)uv_poll_start(&loop->wake, UV_READABLE, on_wake);
    (void)uv_prepare_start(&loop->before_wait, on_before_wait);
    (void)uv_check_start(&loop->behind_wait, on_behind_wait);
}

struct vy_err vy_loop_uv_new(struct vy_loop **out)
{
    struct loop_uv *loop = calloc(1, sizeof(*loop));
    if (loop == NULL) {
        return vy_error(VY_CODE_NOMEM, "loop");
    }
    loop->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (loop->wake_fd < 0) {
        const int sys = errno;
        free(loop);
        return vy_error_sys(VY_CODE_IO, sys, "loop");
    }
    const int failed = uv_loop_init(&loop->uv);
    if (failed != 0) {
        (void)close(loop->wake_fd);
        free(loop);
        return vy_error_sys(VY_CODE_IO, -failed, "loop");
    }
    loop->base.ops = &uv_ops;
    loop->base.clock = vy_clock_system();
    (void)pthread_mutex_init(&loop->lock, NULL);
    start_handles(loop);
    *out = &loop->base;
    return vy_ok();
}

void vy_loop_uv_run(struct vy_loop *base)
{
    (void)uv_run(&loop_of(base)->uv, UV_RUN_DEFAULT);
}

void vy_loop_uv_stop(struct vy_loop *base)
{
    struct loop_uv *loop = loop_of(base);
    atomic_store(&loop->is_stopping, true);
    wake_up(loop);
}

uint64_t vy_loop_uv_turn_count(struct vy_loop *base)
{
    return atomic_load_explicit(&loop_of(base)->turn_count, memory_order_relaxed);
}

static void on_uv_signal(uv_signal_t *handle, int signum)
{
    struct loop_uv *loop = handle->data;
    loop->on_signal(loop->on_signal_arg, signum);
}

struct vy_err vy_loop_uv_on_signal(struct vy_loop *base, void (*fn)(void *arg, int signal),
                                   void *arg)
{
    static const int numbers[3] = {SIGTERM, SIGINT, SIGHUP};
    struct loop_uv *loop = loop_of(base);
    VY_ASSERT(!loop->has_signals);
    (void)signal(SIGPIPE, SIG_IGN);
    loop->on_signal = fn;
    loop->on_signal_arg = arg;
    loop->has_signals = true;
    for (size_t i = 0; i < VY_COUNT_OF(numbers); i++) {
        (void)uv_signal_init(&loop->uv, &loop->signals[i]);
        loop->signals[i].data = loop;
        const int failed = uv_signal_start(&loop->signals[i], on_uv_signal, numbers[i]);
        if (failed != 0) {
            return vy_error_sys(VY_CODE_IO, -failed, "signal handler");
        }
    }
    return vy_ok();
}

void vy_loop_uv_free(struct vy_loop *base)
{
    if (base == NULL) {
        return;
    }
    struct loop_uv *loop = loop_of(base);
    while (run_posts(loop) > 0) { /* what they hold is freed by them alone */
    }
    uv_close((uv_handle_t *)&loop->wake, NULL);
    uv_close((uv_handle_t *)&loop->before_wait, NULL);
    uv_close((uv_handle_t *)&loop->no_wait, NULL);
    uv_close((uv_handle_t *)&loop->behind_wait, NULL);
    for (size_t i = 0; i < VY_COUNT_OF(loop->signals) && loop->has_signals; i++) {
        uv_close((uv_handle_t *)&loop->signals[i], NULL);
    }
    (void)uv_run(&loop->uv, UV_RUN_DEFAULT); /* lets closed handles go */
    const int busy = uv_loop_close(&loop->uv);
    VY_ASSERT(busy == 0); /* timers and watches were freed before */
    (void)close(loop->wake_fd);
    (void)pthread_mutex_destroy(&loop->lock);
    free(loop->queue);
    free(loop->running);
    free(loop);
}
