/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as modified UTF-7 and as a pattern: what is accepted has one form (I10), and matching
 * ends (I12). */
#include "base/assert.h"
#include "base/codec.h"
#include "mail/mutf7.h"
#include "mail/wildcard.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct vy_bytes wire = vy_bytes(data, size);
    struct vy_arena arena;
    struct vy_buf again;
    struct vy_bytes utf8;
    vy_arena_init(&arena, 1024U * 1024U);
    vy_buf_init(&again, 4U * 1024U * 1024U);
    if (!vy_failed(mutf7_decode(&arena, wire, &utf8))) {
        VY_ASSERT(vy_utf8_is_valid(utf8));
        mutf7_encode(&again, utf8);
        VY_ASSERT(vy_bytes_equal(vy_buf_bytes(&again), wire));
    }
    vy_buf_reset(&again);
    mutf7_encode(&again, wire); /* as if it were UTF-8 */
    const struct vy_bytes name = vy_bytes_from(wire, size / 2);
    if (!vy_failed(wildcard_check(vy_bytes_slice(wire, 0, size / 2)))) {
        (void)wildcard_matches(vy_bytes_slice(wire, 0, size / 2), name);
    }
    vy_buf_deinit(&again);
    vy_arena_deinit(&arena);
    return 0;
}
