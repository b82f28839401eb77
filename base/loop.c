/* SPDX-License-Identifier: Apache-2.0 */
#include "base/loop.h"

#include <stddef.h>

void vy_timer_start(struct vy_timer *timer, uint64_t delay_ms)
{
    timer->ops->timer_start(timer, delay_ms);
}

void vy_timer_stop(struct vy_timer *timer)
{
    timer->ops->timer_stop(timer);
}

void vy_timer_free(struct vy_timer *timer)
{
    if (timer != NULL) {
        timer->ops->timer_free(timer);
    }
}

void vy_watch_set(struct vy_watch *watch, int events)
{
    watch->ops->watch_set(watch, events);
}

void vy_watch_free(struct vy_watch *watch)
{
    if (watch != NULL) {
        watch->ops->watch_free(watch);
    }
}
