/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A loop in virtual time on the caller's thread: posts run in order, timers by their due time
 * (ties: the earlier start first). Moving time moves the fake clock. Descriptors cannot be watched.
 */
#include "base/loop.h"
#include "tests/lib/fake_clock.h"
#include <stdbool.h>
#include <stddef.h>

struct fake_loop {
    struct vy_loop base;
    struct fake_clock *clock; /* borrowed; may be shared by loops of one world */
    struct fake_post *posts;  /* owned */
    size_t posts_head;        /* first that has not run */
    size_t posts_count;
    size_t posts_capacity;
    struct fake_timer *timers; /* owned list */
    uint64_t next_serial;
};
void fake_loop_init(struct fake_loop *loop, struct fake_clock *clock);
void fake_loop_deinit(struct fake_loop *loop); /* asserts that all timers were freed */
/* Runs posts until there are none, new ones included. Returns how many ran. */
size_t fake_loop_run_posts(struct fake_loop *loop);
/* Due time of the next timer; UINT64_MAX: none runs. */
uint64_t fake_loop_next_due_ms(const struct fake_loop *loop);
/* Runs the first timer that is due by now. False: none was. */
bool fake_loop_run_timer(struct fake_loop *loop);
/* Posts and timers, until vy_loop_now_ms() is `end_ms`. */
void fake_loop_run_until(struct fake_loop *loop, uint64_t end_ms);
/* Posts and timers until `ms` of virtual time have passed. */
void fake_loop_run_ms(struct fake_loop *loop, uint64_t ms);
