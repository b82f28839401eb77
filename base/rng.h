/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The only door to chance. The system generator is getrandom(2), fit for keys; fakes are seeded.
 */
#include <stddef.h>
#include <stdint.h>

struct vy_rng {
    void (*fill)(struct vy_rng *rng, void *out, size_t len); /* cannot fail */
};
static inline void vy_rng_fill(struct vy_rng *rng, void *out, size_t len)
{
    rng->fill(rng, out, len);
}
static inline uint64_t vy_rng_u64(struct vy_rng *rng)
{
    uint64_t value = 0;
    rng->fill(rng, &value, sizeof(value));
    return value;
}
uint64_t vy_rng_below(struct vy_rng *rng, uint64_t bound); /* uniform in [0, bound), bound > 0 */
struct vy_rng *vy_rng_system(void);                        /* stateless, any thread */
