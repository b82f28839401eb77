/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A seeded generator (xoshiro256**): the same seed gives the same run. Never for keys. */
#include "base/rng.h"

struct fake_rng {
    struct vy_rng base;
    uint64_t state[4];
};
void fake_rng_init(struct fake_rng *rng, uint64_t seed);
