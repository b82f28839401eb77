/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as an address list (M8). */
#include "base/assert.h"
#include "base/codec.h"
#include "mail/address.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vy_arena arena;
    struct address_list list;
    struct vy_buf text;
    vy_arena_init(&arena, 16U * 1024U * 1024U);
    vy_buf_init(&text, 16U * 1024U * 1024U);
    if (!vy_failed(address_list_parse(&arena, vy_bytes(data, size), &list))) {
        bool in_group = false;
        for (size_t i = 0; i < list.count; i++) {
            const struct address *const address = &list.items[i];
            VY_ASSERT(address->kind != ADDRESS_GROUP_START || !in_group);
            VY_ASSERT(address->kind != ADDRESS_GROUP_END || in_group);
            in_group = address->kind == ADDRESS_GROUP_START ||
                       (in_group && address->kind != ADDRESS_GROUP_END);
            VY_ASSERT(address->kind != ADDRESS_MAILBOX || address->mailbox.data != NULL);
            VY_ASSERT(address->mailbox.len <= size && address->host.len <= size);
        }
        VY_ASSERT(!in_group && list.count <= ADDRESS_COUNT_MAX + 2);
        address_list_append_text(&text, &list);
        VY_ASSERT(text.failed || vy_utf8_is_valid(vy_buf_bytes(&text)));
    }
    vy_buf_deinit(&text);
    vy_arena_deinit(&arena);
    return 0;
}
