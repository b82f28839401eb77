/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/fake_clock.h"

#include "base/assert.h"

#define FAKE_WALL_START_MS 1767225600000ULL

static uint64_t mono_ns(struct vy_clock *clock)
{
    return VY_CONTAINER_OF(clock, struct fake_clock, base)->mono_ns;
}

static uint64_t wall_ms(struct vy_clock *clock)
{
    return VY_CONTAINER_OF(clock, struct fake_clock, base)->wall_ms;
}

void fake_clock_init(struct fake_clock *clock)
{
    *clock = (struct fake_clock){
        .base = {.mono_ns = mono_ns, .wall_ms = wall_ms},
        .mono_ns = 1000000000ULL,
        .wall_ms = FAKE_WALL_START_MS
    };
}

void fake_clock_advance_ms(struct fake_clock *clock, uint64_t ms)
{
    clock->mono_ns += ms * 1000000U;
    clock->wall_ms += ms;
}
