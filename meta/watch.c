/* SPDX-License-Identifier: Apache-2.0 */
#include "meta/watch.h"

#include "base/list.h"
#include <stdlib.h>

/* More than this waiting for the loop: the loop stands still, and watchers will be reset. */
#define PENDING_EVENTS_MAX WATCH_EVENTS_MAX

struct meta_watch {
    struct fsm_event *ring;  /* owned; WATCH_EVENTS_MAX places */
    uint64_t first;          /* number of the oldest event in it */
    uint64_t next;           /* number of the next one to come */
    uint64_t applied_index;  /* everything up to it was handed out */
    uint64_t floor_index;    /* cursors below it cannot be served */
    struct vy_list watchers; /* struct meta_watcher.item */
    size_t watcher_count;

    pthread_mutex_t lock; /* of the rest: filled by the writer, taken by the loop */
    struct fsm_event *pending;
    size_t pending_count;
    size_t pending_capacity;
    bool has_lost; /* pending was full: all watchers start over */
};

struct meta_watcher {
    struct vy_list item;
    struct meta_watch *watch; /* borrowed */
    uint64_t position;        /* number of the next event to tell */
    bool is_first;            /* has been told nothing yet */
    bool is_reset;            /* is to be told that it missed something */
    void (*wake)(void *arg);
    void *arg;
};

struct vy_err meta_watch_new(struct meta_watch **out)
{
    struct meta_watch *watch = calloc(1, sizeof(*watch));
    if (watch == NULL) {
        return vy_error(VY_CODE_NOMEM, "watch");
    }
    watch->ring = calloc(WATCH_EVENTS_MAX, sizeof(*watch->ring));
    if (watch->ring == NULL || pthread_mutex_init(&watch->lock, NULL) != 0) {
        free(watch->ring);
        free(watch);
        return vy_error(VY_CODE_NOMEM, "events of the watch");
    }
    vy_list_init(&watch->watchers);
    *out = watch;
    return vy_ok();
}

void meta_watch_free(struct meta_watch *watch)
{
    if (watch == NULL) {
        return;
    }
    VY_ASSERT(vy_list_is_empty(&watch->watchers));
    (void)pthread_mutex_destroy(&watch->lock);
    free(watch->pending);
    free(watch->ring);
    free(watch);
}

void meta_watch_set_start(struct meta_watch *watch, uint64_t index)
{
    watch->applied_index = index;
    watch->floor_index = index;
}

uint64_t meta_watch_cursor(const struct meta_watch *watch)
{
    return watch->applied_index;
}

/* ---- from the writer to the ring ---- */

static bool grow_pending(struct meta_watch *watch)
{
    if (watch->pending_count < watch->pending_capacity) {
        return true;
    }
    const size_t capacity = VY_MAX(watch->pending_capacity * 2, 64);
    if (capacity > PENDING_EVENTS_MAX) {
        return false;
    }
    struct fsm_event *grown = realloc(watch->pending, capacity * sizeof(*grown));
    if (grown == NULL) {
        return false;
    }
    watch->pending = grown;
    watch->pending_capacity = capacity;
    return true;
}

void meta_watch_push(struct meta_watch *watch, const struct fsm_event *event)
{
    (void)pthread_mutex_lock(&watch->lock);
    if (grow_pending(watch)) {
        watch->pending[watch->pending_count++] = *event;
    } else {
        watch->has_lost = true;
    }
    (void)pthread_mutex_unlock(&watch->lock);
}

static void ring_add(struct meta_watch *watch, const struct fsm_event *event)
{
    if (watch->next - watch->first == WATCH_EVENTS_MAX) {
        watch->floor_index = watch->ring[watch->first % WATCH_EVENTS_MAX].index;
        watch->first++;
    }
    watch->ring[watch->next % WATCH_EVENTS_MAX] = *event;
    watch->next++;
}

/* Moves what is visible by now from pending into the ring; tells whether something was lost. */
static bool take_pending(struct meta_watch *watch, uint64_t index)
{
    (void)pthread_mutex_lock(&watch->lock);
    size_t taken = 0;
    while (taken < watch->pending_count && watch->pending[taken].index <= index) {
        ring_add(watch, &watch->pending[taken]);
        taken++;
    }
    watch->pending_count -= taken;
    if (taken > 0 && watch->pending_count > 0) {
        memmove(watch->pending, watch->pending + taken,
                watch->pending_count * sizeof(*watch->pending));
    }
    const bool has_lost = watch->has_lost;
    watch->has_lost = false;
    (void)pthread_mutex_unlock(&watch->lock);
    return has_lost;
}

void meta_watch_applied(struct meta_watch *watch, uint64_t index)
{
    const uint64_t before = watch->next;
    const bool has_lost = take_pending(watch, index);
    watch->applied_index = VY_MAX(watch->applied_index, index);
    if (has_lost) {
        watch->floor_index = watch->applied_index;
    }
    if (!has_lost && watch->next == before) {
        return;
    }
    struct vy_list *item = watch->watchers.next;
    while (item != &watch->watchers) {
        struct vy_list *next = item->next; /* wake may free its watcher, but no other */
        struct meta_watcher *watcher = VY_CONTAINER_OF(item, struct meta_watcher, item);
        watcher->is_reset = watcher->is_reset || has_lost;
        watcher->wake(watcher->arg);
        item = next;
    }
}

void meta_watch_skip(struct meta_watch *watch, uint64_t index)
{
    (void)pthread_mutex_lock(&watch->lock);
    watch->pending_count = 0;
    watch->has_lost = true;
    (void)pthread_mutex_unlock(&watch->lock);
    meta_watch_applied(watch, index);
}

/* ---- watchers ---- */

/* The number of the first event behind a cursor. */
static uint64_t find_position(const struct meta_watch *watch, uint64_t cursor)
{
    uint64_t low = watch->first;
    uint64_t high = watch->next;
    while (low < high) {
        const uint64_t middle = low + (high - low) / 2;
        if (watch->ring[middle % WATCH_EVENTS_MAX].index > cursor) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low;
}

struct vy_err meta_watcher_new(struct meta_watch *watch, uint64_t cursor, void (*wake)(void *arg),
                               void *arg, struct meta_watcher **out)
{
    if (watch->watcher_count >= WATCHERS_MAX) {
        return vy_error(VY_CODE_BUSY, "too many watchers");
    }
    struct meta_watcher *watcher = calloc(1, sizeof(*watcher));
    if (watcher == NULL) {
        return vy_error(VY_CODE_NOMEM, "watcher");
    }
    *watcher = (struct meta_watcher){
        .watch = watch, .position = watch->next, .is_first = true, .wake = wake, .arg = arg};
    if (cursor != 0 && cursor < watch->floor_index) {
        watcher->is_reset = true;
    } else if (cursor != 0) {
        watcher->position = find_position(watch, cursor);
    }
    vy_list_push_back(&watch->watchers, &watcher->item);
    watch->watcher_count++;
    *out = watcher;
    return vy_ok();
}

void meta_watcher_free(struct meta_watcher *watcher)
{
    if (watcher == NULL) {
        return;
    }
    watcher->watch->watcher_count--;
    vy_list_remove(&watcher->item);
    free(watcher);
}

static void fill_event(const struct meta_watch *watch, uint64_t number, struct meta_event *out)
{
    const struct fsm_event *event = &watch->ring[number % WATCH_EVENTS_MAX];
    const bool is_last = number + 1 == watch->next ||
                         watch->ring[(number + 1) % WATCH_EVENTS_MAX].index != event->index;
    *out = (struct meta_event){.cursor = is_last ? event->index : event->index - 1,
                               .account_id = event->account_id,
                               .account_epoch = event->account_epoch,
                               .address = vy_bytes(event->address, event->address_len),
                               .map_changed = event->map_changed,
                               .state = event->state};
}

bool meta_watcher_next(struct meta_watcher *watcher, struct meta_event *out)
{
    struct meta_watch *watch = watcher->watch;
    if (watcher->is_reset || watcher->position < watch->first) {
        watcher->position = watch->next;
        *out = (struct meta_event){.cursor = watch->applied_index, .reset = true};
    } else if (watcher->is_first && watcher->position == watch->next) {
        *out = (struct meta_event){.cursor = watch->applied_index};
    } else if (watcher->position < watch->next) {
        fill_event(watch, watcher->position++, out);
    } else {
        return false;
    }
    watcher->is_reset = false;
    watcher->is_first = false;
    return true;
}
