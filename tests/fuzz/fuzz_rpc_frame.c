/* SPDX-License-Identifier: Apache-2.0 */
/* A stream of bytes in one piece and in any pieces: the same frames come out, and the same error at
 * the same place (promise R3). The first byte seeds the splits. */
#include "base/assert.h"
#include "base/map.h"
#include "proto/rpc_frame.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct outcome {
    size_t frames;
    uint64_t hash;
    enum vy_code code;
};

/* What was read so far, in one number; each frame is checked against its own rules, too. */
static void note_frame(struct outcome *outcome, const struct rpc_frame *frame)
{
    uint8_t header[RPC_FRAME_HEADER_BYTES];
    VY_ASSERT(frame->payload.len <= RPC_FRAME_PAYLOAD_BYTES_MAX);
    rpc_frame_write_header(frame, header);
    outcome->frames++;
    outcome->hash ^= vy_siphash(outcome->frames, vy_bytes(header, sizeof(header)));
    outcome->hash ^= vy_siphash(outcome->frames + 1, frame->payload);
}

static struct outcome parse(struct vy_bytes all, uint32_t seed)
{
    struct rpc_frame_parser parser;
    struct outcome outcome = {.code = VY_CODE_OK};
    size_t at = 0;
    rpc_frame_parser_init(&parser);
    while (at < all.len && outcome.code == VY_CODE_OK) {
        seed = seed * 1664525U + 1013904223U;
        const size_t step = 1 + (seed >> 16) % 40;
        struct vy_bytes in = vy_bytes_slice(all, at, step);
        bool is_ready = true;
        at += in.len;
        while (is_ready && outcome.code == VY_CODE_OK) {
            struct rpc_frame frame;
            outcome.code = rpc_frame_parser_next(&parser, &in, &frame, &is_ready).code;
            if (outcome.code == VY_CODE_OK && is_ready) {
                note_frame(&outcome, &frame);
            }
        }
        VY_ASSERT(outcome.code != VY_CODE_OK || in.len == 0);
    }
    rpc_frame_parser_deinit(&parser);
    return outcome;
}

static struct outcome parse_whole(struct vy_bytes all)
{
    struct rpc_frame_parser parser;
    struct outcome outcome = {.code = VY_CODE_OK};
    bool is_ready = true;
    rpc_frame_parser_init(&parser);
    while (is_ready && outcome.code == VY_CODE_OK) {
        struct rpc_frame frame;
        outcome.code = rpc_frame_parser_next(&parser, &all, &frame, &is_ready).code;
        if (outcome.code == VY_CODE_OK && is_ready) {
            note_frame(&outcome, &frame);
        }
    }
    rpc_frame_parser_deinit(&parser);
    return outcome;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    const struct vy_bytes all = vy_bytes(data + 1, size - 1);
    const struct outcome whole = parse_whole(all);
    for (uint32_t i = 0; i < 4; i++) {
        const struct outcome split = parse(all, data[0] + i * 251U + 1U);
        VY_ASSERT(split.frames == whole.frames);
        VY_ASSERT(split.hash == whole.hash);
        VY_ASSERT(split.code == whole.code);
    }
    return 0;
}
