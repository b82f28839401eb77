/* SPDX-License-Identifier: Apache-2.0 */
/* The real loop, the fake one, and the pool that posts to either. */
#include "base/loop.h"

#include "base/assert.h"
#include "base/workers.h"
#include "tests/lib/fake_loop.h"
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

struct run {
    struct vy_loop *loop;
    struct fake_loop *fake;
    struct vy_timer *timer;
    struct vy_watch *watch;
    int fd;
    int events;
    unsigned count;
    unsigned wanted;
    char order[32];
    size_t order_len;
    atomic_uint worked;
};

static void stop_when_done(void *arg)
{
    struct run *run = arg;
    if (++run->count == run->wanted) {
        vy_loop_uv_stop(run->loop);
    }
}

static void *post_many(void *arg)
{
    struct run *run = arg;
    for (unsigned i = 0; i < 1000; i++) {
        vy_loop_post(run->loop, stop_when_done, run);
    }
    return NULL;
}

static void posts_of_several_threads_all_arrive(void **state)
{
    (void)state;
    pthread_t threads[3];
    struct run run = {.wanted = 3000};
    assert_false(vy_failed(vy_loop_uv_new(&run.loop)));
    for (size_t i = 0; i < VY_COUNT_OF(threads); i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, post_many, &run), 0);
    }
    vy_loop_uv_run(run.loop);
    for (size_t i = 0; i < VY_COUNT_OF(threads); i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(run.count, 3000);
    assert_true(vy_loop_uv_turn_count(run.loop) > 0);
    vy_loop_uv_free(run.loop);
}

static void fire_and_free(void *arg)
{
    struct run *run = arg;
    vy_timer_free(run->timer); /* from inside its own call */
    vy_loop_uv_stop(run->loop);
    run->count++;
}

static void a_timer_fires_once_and_not_early(void **state)
{
    (void)state;
    struct run run = {0};
    assert_false(vy_failed(vy_loop_uv_new(&run.loop)));
    run.timer = vy_timer_new(run.loop, fire_and_free, &run);
    struct vy_timer *stopped = vy_timer_new(run.loop, fire_and_free, &run);
    const uint64_t start_ms = vy_loop_now_ms(run.loop);
    vy_timer_start(stopped, 1);
    vy_timer_stop(stopped);
    vy_timer_start(run.timer, 60000);
    vy_timer_start(run.timer, 5); /* moves it */
    vy_loop_uv_run(run.loop);
    assert_int_equal(run.count, 1);
    assert_true(vy_loop_now_ms(run.loop) + 1 >= start_ms + 5); /* libuv counts whole ms */
    vy_timer_free(stopped);
    vy_timer_free(NULL);
    vy_loop_uv_free(run.loop);
}

static void on_ready(void *arg, int events)
{
    struct run *run = arg;
    run->events |= events;
    vy_watch_free(run->watch);
    vy_loop_uv_stop(run->loop);
}

static void a_readable_descriptor_is_told(void **state)
{
    (void)state;
    int ends[2];
    struct run run = {0};
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_false(vy_failed(vy_loop_uv_new(&run.loop)));
    run.watch = vy_watch_new(run.loop, ends[0], on_ready, &run);
    assert_non_null(run.watch);
    vy_watch_set(run.watch, VY_WATCH_READ);
    assert_int_equal(write(ends[1], "x", 1), 1);
    vy_loop_uv_run(run.loop);
    assert_int_equal(run.events, VY_WATCH_READ);
    vy_loop_uv_free(run.loop);
    (void)close(ends[0]);
    (void)close(ends[1]);
}

/* ---- workers ---- */

static void work(void *arg)
{
    struct run *run = arg;
    (void)atomic_fetch_add(&run->worked, 1);
}

static void work_runs_on_the_pool_and_done_on_the_loop(void **state)
{
    (void)state;
    struct vy_workers *workers = NULL;
    struct run run = {.wanted = 500};
    assert_false(vy_failed(vy_loop_uv_new(&run.loop)));
    assert_false(vy_failed(vy_workers_new(2, 500, &workers)));
    for (unsigned i = 0; i < 500; i++) {
        assert_false(vy_failed(vy_workers_submit(workers, run.loop, work, stop_when_done, &run)));
    }
    vy_loop_uv_run(run.loop);
    assert_int_equal(run.count, 500);
    assert_int_equal(atomic_load(&run.worked), 500);
    vy_workers_free(workers);
    vy_workers_free(NULL);
    vy_loop_uv_free(run.loop);
}

static pthread_barrier_t barrier;

static void work_and_wait(void *arg)
{
    (void)arg;
    (void)pthread_barrier_wait(&barrier); /* has begun */
    (void)pthread_barrier_wait(&barrier); /* may end */
}

static void nothing(void *arg)
{
    (void)arg;
}

static void a_full_queue_answers_busy(void **state)
{
    (void)state;
    struct vy_workers *workers = NULL;
    struct run run = {0};
    assert_int_equal(pthread_barrier_init(&barrier, NULL, 2), 0);
    assert_false(vy_failed(vy_loop_uv_new(&run.loop)));
    assert_false(vy_failed(vy_workers_new(1, 2, &workers)));
    vy_ignore(vy_workers_submit(workers, run.loop, work_and_wait, nothing, &run), "checked below");
    (void)pthread_barrier_wait(&barrier);
    assert_false(vy_failed(vy_workers_submit(workers, run.loop, work, nothing, &run)));
    assert_false(vy_failed(vy_workers_submit(workers, run.loop, work, nothing, &run)));
    assert_int_equal(vy_workers_submit(workers, run.loop, work, nothing, &run).code, VY_CODE_BUSY);
    (void)pthread_barrier_wait(&barrier);
    vy_workers_free(workers); /* finishes what is queued */
    assert_int_equal(atomic_load(&run.worked), 2);
    vy_loop_uv_free(run.loop);
    (void)pthread_barrier_destroy(&barrier);
}

/* ---- the fake ---- */

static void note(struct run *run, char what)
{
    run->order[run->order_len++] = what;
}
static void note_a(void *arg)
{
    note(arg, 'a');
}
static void note_b(void *arg)
{
    note(arg, 'b');
}
static void note_c_and_post_a(void *arg)
{
    struct run *run = arg;
    note(run, 'c');
    vy_loop_post(&run->fake->base, note_a, run);
}

static void the_fake_runs_posts_in_order_and_timers_by_time(void **state)
{
    (void)state;
    struct fake_clock clock;
    struct fake_loop fake;
    struct run run = {.fake = &fake};
    fake_clock_init(&clock);
    fake_loop_init(&fake, &clock);
    const uint64_t start_ms = vy_loop_now_ms(&fake.base);
    struct vy_timer *late = vy_timer_new(&fake.base, note_b, &run);
    struct vy_timer *tie = vy_timer_new(&fake.base, note_a, &run);
    struct vy_timer *early = vy_timer_new(&fake.base, note_c_and_post_a, &run);
    vy_timer_start(late, 20);
    vy_timer_start(tie, 20);
    vy_timer_start(early, 10);
    vy_loop_post(&fake.base, note_b, &run);
    vy_loop_post(&fake.base, note_c_and_post_a, &run);
    assert_int_equal(run.order_len, 0);
    assert_int_equal(fake_loop_next_due_ms(&fake), start_ms + 10);
    fake_loop_run_until(&fake, start_ms + 19);
    assert_string_equal(run.order, "bcaca");
    fake_loop_run_ms(&fake, 1);
    assert_string_equal(run.order, "bcacaba");
    assert_int_equal(vy_loop_now_ms(&fake.base), start_ms + 20);
    vy_timer_free(late);
    vy_timer_free(tie);
    vy_timer_free(early);
    fake_loop_deinit(&fake);
}

static void a_pool_without_threads_works_at_once_and_posts(void **state)
{
    (void)state;
    struct fake_clock clock;
    struct fake_loop fake;
    struct vy_workers *workers = NULL;
    struct run run = {.fake = &fake};
    fake_clock_init(&clock);
    fake_loop_init(&fake, &clock);
    assert_false(vy_failed(vy_workers_new(0, 1, &workers)));
    assert_false(vy_failed(vy_workers_submit(workers, &fake.base, note_a, note_b, &run)));
    assert_string_equal(run.order, "a");
    assert_int_equal(fake_loop_run_posts(&fake), 1);
    assert_string_equal(run.order, "ab");
    vy_workers_free(workers);
    fake_loop_deinit(&fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(posts_of_several_threads_all_arrive),
        cmocka_unit_test(a_timer_fires_once_and_not_early),
        cmocka_unit_test(a_readable_descriptor_is_told),
        cmocka_unit_test(work_runs_on_the_pool_and_done_on_the_loop),
        cmocka_unit_test(a_full_queue_answers_busy),
        cmocka_unit_test(the_fake_runs_posts_in_order_and_timers_by_time),
        cmocka_unit_test(a_pool_without_threads_works_at_once_and_posts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
