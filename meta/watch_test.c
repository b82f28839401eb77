/* SPDX-License-Identifier: Apache-2.0 */
#include "meta/watch.h"

#include "tests/lib/test.h"

struct fixture {
    struct meta_watch *watch;
    struct meta_watcher *watcher;
    unsigned wakes;
};

static int set_up(void **state)
{
    static struct fixture f;
    f = (struct fixture){.wakes = 0};
    assert_false(vy_failed(meta_watch_new(&f.watch)));
    meta_watch_set_start(f.watch, 100);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    meta_watcher_free(f->watcher);
    meta_watch_free(f->watch);
    return 0;
}

static void on_wake(void *arg)
{
    ((struct fixture *)arg)->wakes++;
}

static void subscribe(struct fixture *f, uint64_t cursor)
{
    meta_watcher_free(f->watcher);
    f->watcher = NULL;
    assert_false(vy_failed(meta_watcher_new(f->watch, cursor, on_wake, f, &f->watcher)));
}

static void push(struct fixture *f, uint64_t index, uint64_t account_id)
{
    const struct fsm_event event = {.index = index, .account_id = account_id};
    meta_watch_push(f->watch, &event);
}

static void expect(struct fixture *f, uint64_t cursor, uint64_t account_id)
{
    struct meta_event event;
    assert_true(meta_watcher_next(f->watcher, &event));
    assert_false(event.reset);
    assert_int_equal(event.cursor, cursor);
    assert_int_equal(event.account_id, account_id);
}

static void expect_none(struct fixture *f)
{
    struct meta_event event;
    assert_false(meta_watcher_next(f->watcher, &event));
}

static void expect_reset(struct fixture *f, uint64_t cursor)
{
    struct meta_event event;
    assert_true(meta_watcher_next(f->watcher, &event));
    assert_true(event.reset);
    assert_int_equal(event.cursor, cursor);
}

static void a_new_watcher_is_told_where_it_stands(void **state)
{
    struct fixture *f = *state;
    subscribe(f, 0);
    expect(f, 100, 0);
    expect_none(f);
}

static void events_come_when_their_entry_is_applied(void **state)
{
    struct fixture *f = *state;
    subscribe(f, 0);
    expect(f, 100, 0);
    push(f, 101, 7);
    push(f, 103, 8);
    expect_none(f);
    assert_int_equal(f->wakes, 0);
    meta_watch_applied(f->watch, 102);
    assert_int_equal(f->wakes, 1);
    expect(f, 101, 7);
    expect_none(f);
    meta_watch_applied(f->watch, 103);
    assert_int_equal(f->wakes, 2);
    expect(f, 103, 8);
    meta_watch_applied(f->watch, 110); /* nothing for caches in these */
    assert_int_equal(f->wakes, 2);
    assert_int_equal(meta_watch_cursor(f->watch), 110);
}

static void only_the_last_event_of_an_entry_carries_its_index(void **state)
{
    struct fixture *f = *state;
    push(f, 105, 1);
    push(f, 105, 2);
    push(f, 105, 3);
    push(f, 106, 4);
    meta_watch_applied(f->watch, 106);
    subscribe(f, 100);
    expect(f, 104, 1);
    expect(f, 104, 2);
    subscribe(f, 104); /* cut here: all three of the entry come again */
    expect(f, 104, 1);
    expect(f, 104, 2);
    expect(f, 105, 3);
    subscribe(f, 105);
    expect(f, 106, 4);
    expect_none(f);
}

static void a_cursor_from_before_the_start_is_reset(void **state)
{
    struct fixture *f = *state;
    subscribe(f, 99);
    expect_reset(f, 100);
    expect_none(f);
    subscribe(f, 100);
    expect(f, 100, 0);
}

static void a_cursor_that_the_ring_has_lost_is_reset(void **state)
{
    struct fixture *f = *state;
    for (uint64_t i = 0; i < WATCH_EVENTS_MAX; i++) {
        push(f, 101 + i, 1);
        meta_watch_applied(f->watch, 101 + i);
    }
    subscribe(f, 100); /* everything is still there */
    expect(f, 101, 1);
    push(f, 101 + WATCH_EVENTS_MAX, 2);
    meta_watch_applied(f->watch, 101 + WATCH_EVENTS_MAX);
    subscribe(f, 100);
    expect_reset(f, 101 + WATCH_EVENTS_MAX);
    subscribe(f, 101);
    expect(f, 102, 1);
}

static void a_slow_watcher_is_reset_once_and_goes_on(void **state)
{
    struct fixture *f = *state;
    subscribe(f, 0);
    for (uint64_t i = 0; i <= WATCH_EVENTS_MAX; i++) {
        push(f, 101 + i, 1);
        meta_watch_applied(f->watch, 101 + i);
    }
    expect_reset(f, 101 + WATCH_EVENTS_MAX);
    expect_none(f);
    push(f, 102 + WATCH_EVENTS_MAX, 5);
    meta_watch_applied(f->watch, 102 + WATCH_EVENTS_MAX);
    expect(f, 102 + WATCH_EVENTS_MAX, 5);
}

static void a_loop_that_stands_still_resets_all(void **state)
{
    struct fixture *f = *state;
    subscribe(f, 0);
    expect(f, 100, 0);
    for (uint64_t i = 0; i <= WATCH_EVENTS_MAX; i++) {
        push(f, 101 + i, 1);
    }
    meta_watch_applied(f->watch, 101 + WATCH_EVENTS_MAX);
    expect_reset(f, 101 + WATCH_EVENTS_MAX);
    subscribe(f, 100 + WATCH_EVENTS_MAX);
    expect_reset(f, 101 + WATCH_EVENTS_MAX);
}

static void watchers_are_limited(void **state)
{
    struct fixture *f = *state;
    static struct meta_watcher *watchers[WATCHERS_MAX];
    for (size_t i = 0; i < WATCHERS_MAX; i++) {
        assert_false(vy_failed(meta_watcher_new(f->watch, 0, on_wake, f, &watchers[i])));
    }
    struct meta_watcher *more = NULL;
    assert_int_equal(meta_watcher_new(f->watch, 0, on_wake, f, &more).code, VY_CODE_BUSY);
    for (size_t i = 0; i < WATCHERS_MAX; i++) {
        meta_watcher_free(watchers[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_new_watcher_is_told_where_it_stands, set_up, tear_down),
        cmocka_unit_test_setup_teardown(events_come_when_their_entry_is_applied, set_up, tear_down),
        cmocka_unit_test_setup_teardown(only_the_last_event_of_an_entry_carries_its_index, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_cursor_from_before_the_start_is_reset, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_cursor_that_the_ring_has_lost_is_reset, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_slow_watcher_is_reset_once_and_goes_on, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_loop_that_stands_still_resets_all, set_up, tear_down),
        cmocka_unit_test_setup_teardown(watchers_are_limited, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
