/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/loop.h"

#include "base/assert.h"
#include "base/bytes.h"
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#define WATCHES_MAX 64U

struct sim_post {
    vy_loop_fn fn;
    void *arg;
};
struct sim_timer {
    struct vy_timer base;
    struct sim_timer *next;
    struct sim_timer *prev;
    struct sim_loop *loop;
    vy_loop_fn fn;
    void *arg;
    uint64_t due_ms; /* UINT64_MAX: stopped */
    uint64_t serial;
};
struct sim_watch {
    struct vy_watch base;
    struct sim_watch *next;
    struct sim_loop *loop;
    int fd;
    int events;
    void (*fn)(void *arg, int events);
    void *arg;
};

static struct sim_loop *loop_of(struct vy_loop *base)
{
    return VY_CONTAINER_OF(base, struct sim_loop, base);
}

static void *must_have(void *memory)
{
    VY_ASSERT(memory != NULL);
    return memory;
}

/* ---- posts ---- */

static void loop_post(struct vy_loop *base, vy_loop_fn fn, void *arg)
{
    struct sim_loop *loop = loop_of(base);
    if (loop->posts_count == loop->posts_capacity) {
        loop->posts_capacity = VY_MAX(64U, loop->posts_capacity * 2);
        loop->posts = must_have(realloc(loop->posts, loop->posts_capacity * sizeof(*loop->posts)));
    }
    loop->posts[loop->posts_count++] = (struct sim_post){.fn = fn, .arg = arg};
}

void sim_loop_run_posts(struct sim_loop *loop)
{
    while (loop->posts_head < loop->posts_count) {
        const struct sim_post post = loop->posts[loop->posts_head++]; /* the array may move */
        post.fn(post.arg);
    }
    loop->posts_head = 0;
    loop->posts_count = 0;
}

/* ---- timers ---- */

static struct vy_timer *timer_new(struct vy_loop *base, vy_loop_fn fn, void *arg)
{
    struct sim_loop *loop = loop_of(base);
    struct sim_timer *timer = must_have(malloc(sizeof(*timer)));
    *timer = (struct sim_timer){.base = {.ops = base->ops},
                                .next = loop->timers,
                                .loop = loop,
                                .fn = fn,
                                .arg = arg,
                                .due_ms = UINT64_MAX};
    if (loop->timers != NULL) {
        loop->timers->prev = timer;
    }
    loop->timers = timer;
    return &timer->base;
}

static void timer_start(struct vy_timer *base, uint64_t delay_ms)
{
    struct sim_timer *timer = VY_CONTAINER_OF(base, struct sim_timer, base);
    struct sim_loop *loop = timer->loop;
    timer->due_ms = vy_loop_now_ms(&loop->base) + delay_ms;
    timer->serial = loop->next_serial++;
    if (loop->first == timer) {
        loop->first = NULL;
    } else if (loop->first != NULL && timer->due_ms < loop->first->due_ms) {
        loop->first = timer;
    }
}

static void timer_stop(struct vy_timer *base)
{
    struct sim_timer *timer = VY_CONTAINER_OF(base, struct sim_timer, base);
    timer->due_ms = UINT64_MAX;
    if (timer->loop->first == timer) {
        timer->loop->first = NULL;
    }
}

static void timer_free(struct vy_timer *base)
{
    struct sim_timer *timer = VY_CONTAINER_OF(base, struct sim_timer, base);
    timer_stop(base);
    if (timer->prev != NULL) {
        timer->prev->next = timer->next;
    } else {
        timer->loop->timers = timer->next;
    }
    if (timer->next != NULL) {
        timer->next->prev = timer->prev;
    }
    free(timer);
}

static struct sim_timer *first_timer(struct sim_loop *loop)
{
    if (loop->first != NULL) {
        return loop->first;
    }
    for (struct sim_timer *timer = loop->timers; timer != NULL; timer = timer->next) {
        const struct sim_timer *first = loop->first;
        if (timer->due_ms != UINT64_MAX &&
            (first == NULL || timer->due_ms < first->due_ms ||
             (timer->due_ms == first->due_ms && timer->serial < first->serial))) {
            loop->first = timer;
        }
    }
    return loop->first;
}

uint64_t sim_loop_due_ms(struct sim_loop *loop)
{
    const struct sim_timer *first = first_timer(loop);
    return first == NULL ? UINT64_MAX : first->due_ms;
}

void sim_loop_run_timer(struct sim_loop *loop)
{
    struct sim_timer *first = first_timer(loop);
    VY_ASSERT(first != NULL && first->due_ms <= vy_loop_now_ms(&loop->base));
    first->due_ms = UINT64_MAX;
    loop->first = NULL;
    first->fn(first->arg);
}

/* ---- sockets ---- */

static struct vy_watch *watch_new(struct vy_loop *base, int fd, void (*fn)(void *arg, int events),
                                  void *arg)
{
    struct sim_loop *loop = loop_of(base);
    struct sim_watch *watch = must_have(malloc(sizeof(*watch)));
    *watch = (struct sim_watch){.base = {.ops = base->ops},
                                .next = loop->watches,
                                .loop = loop,
                                .fd = fd,
                                .fn = fn,
                                .arg = arg};
    loop->watches = watch;
    return &watch->base;
}

static void watch_set(struct vy_watch *base, int events)
{
    VY_CONTAINER_OF(base, struct sim_watch, base)->events = events;
}

static void watch_free(struct vy_watch *base)
{
    struct sim_watch *watch = VY_CONTAINER_OF(base, struct sim_watch, base);
    struct sim_watch **at = &watch->loop->watches;
    while (*at != watch) {
        at = &(*at)->next;
    }
    *at = watch->next;
    free(watch);
}

bool sim_loop_poll(struct sim_loop *loop)
{
    struct pollfd fds[WATCHES_MAX];
    struct sim_watch *watches[WATCHES_MAX];
    nfds_t count = 0;
    for (struct sim_watch *watch = loop->watches; watch != NULL; watch = watch->next) {
        const int events = ((watch->events & VY_WATCH_READ) != 0 ? POLLIN : 0) |
                           ((watch->events & VY_WATCH_WRITE) != 0 ? POLLOUT : 0);
        if (events != 0) {
            VY_ASSERT(count < WATCHES_MAX);
            watches[count] = watch;
            fds[count++] = (struct pollfd){.fd = watch->fd, .events = (short)events};
        }
    }
    if (count == 0 || poll(fds, count, 0) <= 0) {
        return false;
    }
    for (nfds_t i = 0; i < count; i++) {
        const int ready =
            ((fds[i].revents & (POLLIN | POLLHUP | POLLERR)) != 0 ? VY_WATCH_READ : 0) |
            ((fds[i].revents & POLLOUT) != 0 ? VY_WATCH_WRITE : 0);
        if (ready != 0) {
            watches[i]->fn(watches[i]->arg, ready); /* the list may have changed: look again */
            return true;
        }
    }
    return false;
}

/* ---- life ---- */

static const struct vy_loop_ops loop_ops = {.post = loop_post,
                                            .timer_new = timer_new,
                                            .timer_start = timer_start,
                                            .timer_stop = timer_stop,
                                            .timer_free = timer_free,
                                            .watch_new = watch_new,
                                            .watch_set = watch_set,
                                            .watch_free = watch_free};

void sim_loop_init(struct sim_loop *loop, struct vy_clock *clock)
{
    *loop = (struct sim_loop){
        .base = {.ops = &loop_ops, .clock = clock}
    };
}

void sim_loop_deinit(struct sim_loop *loop)
{
    VY_ASSERT(loop->posts_head == loop->posts_count);
    VY_ASSERT(loop->timers == NULL);
    VY_ASSERT(loop->watches == NULL);
    free(loop->posts);
    loop->posts = NULL;
}
