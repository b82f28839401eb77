/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What changed, for the caches of frontends and shards: the last WATCH_EVENTS_MAX events of this
 * member in memory. A cursor is a log index, the same on every member: a watcher that comes back
 * gets what is behind its cursor, or a reset when that is no longer known. Of several events of one
 * entry only the last carries the entry's index, so that a cut stream repeats rather than skips.
 */
#include "meta/fsm.h"

#define WATCH_EVENTS_MAX 16384U /* about 5 MiB */
#define WATCHERS_MAX 2048U      /* every node has one or two */

struct meta_watch;
VY_CHECKED struct vy_err meta_watch_new(struct meta_watch **out);
void meta_watch_free(struct meta_watch *watch); /* no watchers left; NULL is allowed */

/* From the state machine. @thread the writer's */
void meta_watch_push(struct meta_watch *watch, const struct fsm_event *event);
/* Everything up to index is visible: hands out what was pushed for it. @thread the loop's */
void meta_watch_applied(struct meta_watch *watch, uint64_t index);
/* Of the entries up to index nothing was pushed: all watchers start over. @thread the loop's, while
 * the writer rests */
void meta_watch_skip(struct meta_watch *watch, uint64_t index);
/* Before the first meta_watch_applied: what a cursor may be at least. */
void meta_watch_set_start(struct meta_watch *watch, uint64_t index);
uint64_t meta_watch_cursor(const struct meta_watch *watch);

struct meta_watcher;
/* cursor 0: from now on. wake: there may be events; never called inside a function of this header
 * but meta_watch_applied. @errors BUSY too many */
VY_CHECKED struct vy_err meta_watcher_new(struct meta_watch *watch, uint64_t cursor,
                                          void (*wake)(void *arg), void *arg,
                                          struct meta_watcher **out);
void meta_watcher_free(struct meta_watcher *watcher); /* NULL is allowed */
/* The next event, borrowed until the next call or the loop turns. The first one only tells the
 * cursor, or is a reset. False: none now. */
bool meta_watcher_next(struct meta_watcher *watcher, struct meta_event *out);
