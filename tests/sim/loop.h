/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The event loop of one simulated process: posts in order, timers by due time, sockets of clients.
 * Nothing runs by itself: the world asks for one step at a time. Time is the world's.
 */
#include "base/loop.h"
#include <stdbool.h>
#include <stddef.h>

struct sim_loop {
    struct vy_loop base;
    struct sim_post *posts; /* owned ring */
    size_t posts_head;
    size_t posts_count;
    size_t posts_capacity;
    struct sim_timer *timers; /* owned list */
    struct sim_timer *first;  /* due first; NULL: look anew */
    uint64_t next_serial;
    struct sim_watch *watches; /* owned list */
};
void sim_loop_init(struct sim_loop *loop, struct vy_clock *clock);
void sim_loop_deinit(struct sim_loop *loop); /* asserts that no post, timer or watch is left */
/* Runs posts until there are none, new ones included. */
void sim_loop_run_posts(struct sim_loop *loop);
uint64_t sim_loop_due_ms(struct sim_loop *loop); /* of the first timer; UINT64_MAX: none runs */
void sim_loop_run_timer(struct sim_loop *loop);  /* the first one, which is due */
/* Tells one descriptor that is ready; false: none is. */
bool sim_loop_poll(struct sim_loop *loop);
