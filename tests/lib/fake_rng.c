/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/fake_rng.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/codec.h"

static uint64_t rotate(uint64_t x, unsigned bits)
{
    return x << bits | x >> (64 - bits);
}

static uint64_t next(uint64_t s[4])
{
    const uint64_t result = rotate(s[1] * 5, 7) * 9;
    const uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return result;
}

static void fill(struct vy_rng *base, void *out, size_t len)
{
    struct fake_rng *rng = VY_CONTAINER_OF(base, struct fake_rng, base);
    uint8_t *at = out;
    while (len > 0) {
        const uint64_t value = next(rng->state);
        const size_t n = VY_MIN(len, sizeof(value));
        memcpy(at, &value, n);
        at += n;
        len -= n;
    }
}

void fake_rng_init(struct fake_rng *rng, uint64_t seed)
{
    rng->base.fill = fill;
    for (size_t i = 0; i < VY_COUNT_OF(rng->state); i++) {
        seed += VY_MIX64_STEP;
        rng->state[i] = vy_mix64(seed);
    }
}
