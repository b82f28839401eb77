/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/fake_loop.h"

#include "base/assert.h"
#include "tests/lib/fault.h"
#include <stdlib.h>
#include <string.h>

struct fake_post {
    vy_loop_fn fn;
    void *arg;
};

struct fake_timer {
    struct vy_timer base;
    struct fake_timer *next;
    struct fake_loop *loop;
    vy_loop_fn fn;
    void *arg;
    uint64_t due_ms; /* UINT64_MAX: stopped */
    uint64_t serial;
};

static struct fake_loop *loop_of(struct vy_loop *base)
{
    return VY_CONTAINER_OF(base, struct fake_loop, base);
}

static struct fake_timer *timer_of(struct vy_timer *base)
{
    return VY_CONTAINER_OF(base, struct fake_timer, base);
}

static void post(struct vy_loop *base, vy_loop_fn fn, void *arg)
{
    struct fake_loop *loop = loop_of(base);
    if (loop->posts_count == loop->posts_capacity) {
        loop->posts_capacity = loop->posts_capacity == 0 ? 64 : loop->posts_capacity * 2;
        loop->posts = fault_safe_realloc(loop->posts, loop->posts_capacity * sizeof(*loop->posts));
    }
    loop->posts[loop->posts_count++] = (struct fake_post){.fn = fn, .arg = arg};
}

static struct vy_timer *timer_new(struct vy_loop *base, vy_loop_fn fn, void *arg)
{
    struct fake_loop *loop = loop_of(base);
    struct fake_timer *timer = fault_safe_realloc(NULL, sizeof(*timer));
    *timer = (struct fake_timer){.base = {.ops = base->ops},
                                 .next = loop->timers,
                                 .loop = loop,
                                 .fn = fn,
                                 .arg = arg,
                                 .due_ms = UINT64_MAX};
    loop->timers = timer;
    return &timer->base;
}

static void timer_start(struct vy_timer *base, uint64_t delay_ms)
{
    struct fake_timer *timer = timer_of(base);
    timer->due_ms = vy_loop_now_ms(&timer->loop->base) + delay_ms;
    timer->serial = timer->loop->next_serial++;
}

static void timer_stop(struct vy_timer *base)
{
    timer_of(base)->due_ms = UINT64_MAX;
}

static void timer_free(struct vy_timer *base)
{
    struct fake_timer *timer = timer_of(base);
    struct fake_timer **at = &timer->loop->timers;
    while (*at != timer) {
        at = &(*at)->next;
    }
    *at = timer->next;
    free(timer);
}

static struct vy_watch *watch_new(struct vy_loop *loop, int fd, void (*fn)(void *arg, int events),
                                  void *arg)
{
    (void)loop;
    (void)fd;
    (void)fn;
    (void)arg;
    return NULL;
}

static const struct vy_loop_ops fake_ops = {.post = post,
                                            .timer_new = timer_new,
                                            .timer_start = timer_start,
                                            .timer_stop = timer_stop,
                                            .timer_free = timer_free,
                                            .watch_new = watch_new};

void fake_loop_init(struct fake_loop *loop, struct fake_clock *clock)
{
    *loop = (struct fake_loop){
        .base = {.ops = &fake_ops, .clock = &clock->base},
          .clock = clock
    };
}

void fake_loop_deinit(struct fake_loop *loop)
{
    VY_ASSERT(loop->timers == NULL);
    free(loop->posts);
}

size_t fake_loop_run_posts(struct fake_loop *loop)
{
    size_t ran = 0;
    for (; loop->posts_head < loop->posts_count; ran++) {
        const struct fake_post post =
            loop->posts[loop->posts_head++]; /* running may move the array */
        if (loop->posts_head == loop->posts_count) {
            loop->posts_head = 0;
            loop->posts_count = 0;
        }
        post.fn(post.arg);
    }
    return ran;
}

static struct fake_timer *first_timer(const struct fake_loop *loop)
{
    struct fake_timer *first = NULL;
    for (struct fake_timer *timer = loop->timers; timer != NULL; timer = timer->next) {
        if (timer->due_ms != UINT64_MAX &&
            (first == NULL || timer->due_ms < first->due_ms ||
             (timer->due_ms == first->due_ms && timer->serial < first->serial))) {
            first = timer;
        }
    }
    return first;
}

uint64_t fake_loop_next_due_ms(const struct fake_loop *loop)
{
    const struct fake_timer *first = first_timer(loop);
    return first == NULL ? UINT64_MAX : first->due_ms;
}

bool fake_loop_run_timer(struct fake_loop *loop)
{
    struct fake_timer *first = first_timer(loop);
    if (first == NULL || first->due_ms > vy_loop_now_ms(&loop->base)) {
        return false;
    }
    first->due_ms = UINT64_MAX;
    first->fn(first->arg);
    return true;
}

/* Only forward: a callback may have moved a shared clock further. */
static void move_clock_to(struct fake_loop *loop, uint64_t at_ms)
{
    const uint64_t now_ms = vy_loop_now_ms(&loop->base);
    if (at_ms > now_ms) {
        fake_clock_advance_ms(loop->clock, at_ms - now_ms);
    }
}

void fake_loop_run_until(struct fake_loop *loop, uint64_t end_ms)
{
    for (;;) {
        (void)fake_loop_run_posts(loop);
        if (fake_loop_run_timer(loop)) {
            continue;
        }
        const uint64_t due_ms = fake_loop_next_due_ms(loop);
        if (due_ms > end_ms) {
            break;
        }
        move_clock_to(loop, due_ms);
    }
    move_clock_to(loop, end_ms);
}

void fake_loop_run_ms(struct fake_loop *loop, uint64_t ms)
{
    fake_loop_run_until(loop, vy_loop_now_ms(&loop->base) + ms);
}
