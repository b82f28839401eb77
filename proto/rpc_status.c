/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/rpc_status.h"

#include "base/assert.h"
#include "proto/rpc.pb.h"
#include <assert.h>

/* Frozen numbers; a new code takes the next one, an old one is never reused. 0 is absent. */
/* clang-format off */
static const uint32_t wire_of_code[VY_CODE_COUNT] = {
    [VY_CODE_OK] = 1,           [VY_CODE_SYNTAX] = 2,      [VY_CODE_ARGUMENT] = 3,      [VY_CODE_LIMIT] = 4,
    [VY_CODE_BUSY] = 5,         [VY_CODE_NOMEM] = 6,       [VY_CODE_NOT_FOUND] = 7,     [VY_CODE_EXISTS] = 8,
    [VY_CODE_PRECONDITION] = 9, [VY_CODE_CONFLICT] = 10,   [VY_CODE_AUTH] = 11,         [VY_CODE_DISABLED] = 12,
    [VY_CODE_DENIED] = 13,      [VY_CODE_PRIVACY] = 14,    [VY_CODE_QUOTA] = 15,        [VY_CODE_FULL] = 16,
    [VY_CODE_STALE] = 17,       [VY_CODE_MOVED] = 18,      [VY_CODE_NOT_LEADER] = 19,   [VY_CODE_UNAVAILABLE] = 20,
    [VY_CODE_UNKNOWN] = 21,     [VY_CODE_CANCELLED] = 22,  [VY_CODE_UNSUPPORTED] = 23,  [VY_CODE_CORRUPT] = 24,
    [VY_CODE_IO] = 25,          [VY_CODE_CLOSED] = 26,     [VY_CODE_INTERNAL] = 27,
};
/* For codes newer than this process: what its gRPC status (0..16) means for the caller. */
static const enum vy_code code_of_grpc[] = {
    [0] = VY_CODE_OK,            [1] = VY_CODE_CANCELLED,   [2] = VY_CODE_UNKNOWN,    [3] = VY_CODE_ARGUMENT,
    [4] = VY_CODE_UNKNOWN,       [5] = VY_CODE_NOT_FOUND,   [6] = VY_CODE_EXISTS,     [7] = VY_CODE_DENIED,
    [8] = VY_CODE_BUSY,          [9] = VY_CODE_PRECONDITION, [10] = VY_CODE_CONFLICT, [11] = VY_CODE_ARGUMENT,
    [12] = VY_CODE_UNSUPPORTED,  [13] = VY_CODE_INTERNAL,   [14] = VY_CODE_UNKNOWN,   [15] = VY_CODE_CORRUPT,
    [16] = VY_CODE_AUTH,
};
/* clang-format on */
static_assert(VY_CODE_COUNT == 27, "a new code needs a wire number above");

uint32_t rpc_code_to_wire(enum vy_code code)
{
    VY_ASSERT(code < VY_CODE_COUNT);
    return wire_of_code[code];
}

enum vy_code rpc_code_from_wire(uint32_t code, uint32_t grpc_code)
{
    for (size_t i = 0; i < VY_CODE_COUNT; i++) {
        if (wire_of_code[i] == code) {
            return (enum vy_code)i;
        }
    }
    return grpc_code < VY_COUNT_OF(code_of_grpc) ? code_of_grpc[grpc_code] : VY_CODE_UNKNOWN;
}

bool rpc_code_means_not_executed(enum vy_code code)
{
    return code == VY_CODE_NOT_LEADER || code == VY_CODE_UNAVAILABLE || code == VY_CODE_BUSY ||
           code == VY_CODE_STALE || code == VY_CODE_MOVED || code == VY_CODE_UNSUPPORTED;
}

struct vy_err rpc_status_encode(const struct rpc_status *status, struct vy_buf *out)
{
    const struct rpc_call_status wire = {
        .grpc_code = (uint32_t)vy_code_grpc_status(status->code),
        .code = rpc_code_to_wire(status->code),
        .message = vy_bytes_slice(status->message, 0, RPC_STATUS_MESSAGE_BYTES_MAX),
        .not_executed = status->not_executed,
        .retry_after_ms = status->retry_after_ms,
        .leader_hint = vy_bytes_slice(status->leader_hint, 0, RPC_NAME_BYTES_MAX),
    };
    return vy_pb_encode(&rpc_call_status_desc, &wire, out);
}

struct vy_err rpc_status_decode(struct vy_bytes in, struct rpc_status *out)
{
    struct vy_arena arena;
    struct rpc_call_status wire;
    vy_arena_init(&arena, RPC_STATUS_BYTES_MAX);
    const struct vy_err err = vy_pb_decode(&rpc_call_status_desc, &arena, in, &wire);
    vy_arena_deinit(&arena);
    VY_TRY(err);
    *out = (struct rpc_status){
        .code = rpc_code_from_wire(wire.code, wire.grpc_code),
        .message = vy_bytes_slice(wire.message, 0, RPC_STATUS_MESSAGE_BYTES_MAX),
        .not_executed = wire.not_executed,
        .leader_hint = vy_bytes_slice(wire.leader_hint, 0, RPC_NAME_BYTES_MAX),
        .retry_after_ms = wire.retry_after_ms,
    };
    return vy_ok();
}

struct vy_err rpc_status_err(const struct rpc_status *status)
{
    return status->code == VY_CODE_OK ? vy_ok() : vy_error(status->code, "call");
}
