/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A clock that stands still until it is told to move. */
#include "base/clock.h"

struct fake_clock {
    struct vy_clock base;
    uint64_t mono_ns;
    uint64_t wall_ms;
};
void fake_clock_init(struct fake_clock *clock); /* starts at 1 s monotonic, 2026-01-01T00:00:00Z */
void fake_clock_advance_ms(struct fake_clock *clock, uint64_t ms); /* both times */
