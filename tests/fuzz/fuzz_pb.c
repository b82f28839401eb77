/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as any message: decoding must end in a struct that encodes and decodes to the same
 * bytes again. */
#include "base/assert.h"
#include "proto/meta.pb.h"
#include "proto/shard.pb.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct vy_pb_desc *const descs[] = {
    &message_append_request_desc, &message_fetch_request_desc, &message_search_request_desc,
    &mailbox_open_reply_desc,     &mailbox_sync_reply_desc,    &login_request_desc,
    &cluster_map_reply_desc,      &session_claims_desc,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    const struct vy_pb_desc *desc = descs[data[0] % VY_COUNT_OF(descs)];
    struct vy_arena arena;
    struct vy_buf first;
    struct vy_buf second;
    vy_arena_init(&arena, 256 * 1024);
    vy_buf_init(&first, 1024 * 1024);
    vy_buf_init(&second, 1024 * 1024);

    void *message = malloc(desc->struct_bytes);
    VY_ASSERT(message != NULL);
    if (!vy_failed(vy_pb_decode(desc, &arena, vy_bytes(data + 1, size - 1), message)) &&
        !vy_failed(vy_pb_encode(desc, message, &first))) {
        VY_ASSERT(vy_pb_encoded_size(desc, message) == vy_buf_len(&first));
        if (!vy_failed(vy_pb_decode(desc, &arena, vy_buf_bytes(&first), message))) {
            vy_ignore(vy_pb_encode(desc, message, &second), "compared below");
            VY_ASSERT(vy_bytes_equal(vy_buf_bytes(&first), vy_buf_bytes(&second)));
        }
    }
    free(message);
    vy_buf_deinit(&first);
    vy_buf_deinit(&second);
    vy_arena_deinit(&arena);
    return 0;
}
