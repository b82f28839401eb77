/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The only doors to time. Monotonic time rules every timeout; wall time is a fact to be recorded
 * (INTERNALDATE, logs). A fake stands behind the same interface (tests/lib/fake_clock.h).
 */
#include <stdint.h>

struct vy_clock {
    uint64_t (*mono_ns)(struct vy_clock *clock); /* monotonic, never goes back */
    uint64_t (*wall_ms)(struct vy_clock *clock); /* Unix time in milliseconds, UTC */
};
static inline uint64_t vy_clock_mono_ns(struct vy_clock *clock)
{
    return clock->mono_ns(clock);
}
static inline uint64_t vy_clock_mono_ms(struct vy_clock *clock)
{
    return clock->mono_ns(clock) / 1000000U;
}
static inline uint64_t vy_clock_wall_ms(struct vy_clock *clock)
{
    return clock->wall_ms(clock);
}
struct vy_clock *vy_clock_system(void); /* stateless, any thread */
