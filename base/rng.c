/* SPDX-License-Identifier: Apache-2.0 */
#include "base/rng.h"

#include "base/assert.h"
#include <errno.h>
#include <sys/random.h>

static void system_fill(struct vy_rng *rng, void *out, size_t len)
{
    (void)rng;
    uint8_t *at = out;
    while (len > 0) {
        const ssize_t got = getrandom(at, len, 0);
        if (got < 0) {
            VY_ASSERT(errno == EINTR);
            continue;
        }
        at += got;
        len -= (size_t)got;
    }
}

struct vy_rng *vy_rng_system(void)
{
    static struct vy_rng rng = {.fill = system_fill};
    return &rng;
}

uint64_t vy_rng_below(struct vy_rng *rng, uint64_t bound)
{
    VY_ASSERT(bound > 0);
    /* Values under 2^64 mod bound would make small results likelier. */
    const uint64_t reject_below = (0 - bound) % bound;
    uint64_t value = 0;
    do {
        value = vy_rng_u64(rng);
    } while (value < reject_below);
    return value % bound;
}
