/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a stored summary: CORRUPT, or one that encodes to the same bytes; its parts table is
 * a tree. */
#include "base/assert.h"
#include "mail/section.h"
#include "mail/summary.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_parts(const struct summary *summary)
{
    struct vy_arena arena;
    struct mime_tree tree;
    vy_arena_init(&arena, 1024U * 1024U);
    if (!vy_failed(summary_parts(&arena, summary, &tree))) {
        const uint16_t path[3] = {1, 2, 1};
        for (size_t depth = 0; depth <= 3; depth++) {
            const struct mail_section section = {path, depth, MAIL_SECTION_TEXT};
            struct mail_section_range range;
            if (mail_section_resolve(&tree, &section, &range)) {
                VY_ASSERT(range.offset + range.len <= tree.nodes[0].body_end);
            }
        }
    }
    vy_arena_deinit(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct vy_bytes encoded = vy_bytes(data, size);
    struct summary summary;
    struct vy_bytes id;
    struct vy_buf again;
    vy_buf_init(&again, size + 16);
    vy_ignore(summary_decode_texts(encoded, &summary), "only to be survived");
    if (!vy_failed(summary_decode(encoded, &summary))) {
        summary_encode(&again, &summary);
        VY_ASSERT(vy_bytes_equal(vy_buf_bytes(&again), encoded));
        while (summary_next_reference(&summary.references, &id)) {
            VY_ASSERT(id.len <= size);
        }
        check_parts(&summary);
    }
    vy_buf_deinit(&again);
    return 0;
}
