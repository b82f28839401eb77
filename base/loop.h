/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Event loops: posts from any thread, timers, readiness of file descriptors. One loop is one
 * thread; an object belongs to one loop. The real loop is libuv (loop_uv.c); the fake runs in
 * virtual time (tests/lib/fake_loop.h).
 */
#include "base/clock.h"
#include "base/err.h"

struct vy_loop;
struct vy_timer;
struct vy_watch;
typedef void (*vy_loop_fn)(void *arg);

enum { VY_WATCH_READ = 1, VY_WATCH_WRITE = 2 };

struct vy_loop_ops {
    void (*post)(struct vy_loop *loop, vy_loop_fn fn, void *arg);
    struct vy_timer *(*timer_new)(struct vy_loop *loop, vy_loop_fn fn, void *arg);
    void (*timer_start)(struct vy_timer *timer, uint64_t delay_ms);
    void (*timer_stop)(struct vy_timer *timer);
    void (*timer_free)(struct vy_timer *timer);
    struct vy_watch *(*watch_new)(struct vy_loop *loop, int fd, void (*fn)(void *arg, int events),
                                  void *arg);
    void (*watch_set)(struct vy_watch *watch, int events);
    void (*watch_free)(struct vy_watch *watch);
};
struct vy_loop {
    const struct vy_loop_ops *ops;
    struct vy_clock *clock; /* borrowed */
};

/* Runs fn(arg) on the loop's thread, in the order of the posts. @thread any. Never runs it inside
 * the call. */
static inline void vy_loop_post(struct vy_loop *loop, vy_loop_fn fn, void *arg)
{
    loop->ops->post(loop, fn, arg);
}
static inline uint64_t vy_loop_now_ms(struct vy_loop *loop)
{
    return vy_clock_mono_ms(loop->clock);
}
/* Timers fire once; start again to repeat; starting a running one moves it. NULL: no memory.
 * @thread the loop's. */
static inline struct vy_timer *vy_timer_new(struct vy_loop *loop, vy_loop_fn fn, void *arg)
{
    return loop->ops->timer_new(loop, fn, arg);
}
void vy_timer_start(struct vy_timer *timer, uint64_t delay_ms);
void vy_timer_stop(struct vy_timer *timer);
void vy_timer_free(struct vy_timer *timer); /* NULL is allowed */
/* Readiness of a descriptor (level-triggered). The descriptor must outlive the watch. @thread the
 * loop's. */
static inline struct vy_watch *vy_watch_new(struct vy_loop *loop, int fd,
                                            void (*fn)(void *arg, int events), void *arg)
{
    return loop->ops->watch_new(loop, fd, fn, arg);
}
void vy_watch_set(struct vy_watch *watch, int events); /* VY_WATCH_* bits; 0 pauses */
void vy_watch_free(struct vy_watch *watch);            /* NULL is allowed; closes nothing */

/* Implementations put these first in their structs, so that the functions above find the
 * operations. */
struct vy_timer {
    const struct vy_loop_ops *ops;
};
struct vy_watch {
    const struct vy_loop_ops *ops;
};

/* The real loop (libuv). Not started: call vy_loop_run on the thread that is to own it. */
VY_CHECKED struct vy_err vy_loop_uv_new(struct vy_loop **out);
void vy_loop_uv_run(struct vy_loop *loop);  /* until vy_loop_uv_stop */
void vy_loop_uv_stop(struct vy_loop *loop); /* @thread any */
/* Stopped. Posts still queued run now, here; then no timers or watches may be left. */
void vy_loop_uv_free(struct vy_loop *loop);
/* SIGTERM, SIGINT and SIGHUP become fn on this loop; SIGPIPE is ignored. Once per process. */
VY_CHECKED struct vy_err vy_loop_uv_on_signal(struct vy_loop *loop,
                                              void (*fn)(void *arg, int signal), void *arg);
uint64_t
vy_loop_uv_turn_count(struct vy_loop *loop); /* how often it turned: for /livez. @thread any */
