/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * How a call ended, as bytes: the one place where error codes of base/err_table.h meet the numbers
 * of the wire.
 */
#include "base/buf.h"
#include "proto/rpc.h"

/* Message and hint on the wire are cut to these. */
#define RPC_STATUS_MESSAGE_BYTES_MAX 512U
#define RPC_STATUS_BYTES_MAX 1024U /* encoded, with everything in it */

uint32_t rpc_code_to_wire(enum vy_code code);
/* A code this version does not know becomes the nearest one for its gRPC status. */
enum vy_code rpc_code_from_wire(uint32_t code, uint32_t grpc_code);
/* Of an error without further knowledge: true when the code itself says that nothing was done. */
bool rpc_code_means_not_executed(enum vy_code code);

VY_CHECKED struct vy_err rpc_status_encode(const struct rpc_status *status, struct vy_buf *out);
/* Slices of *out borrow from `in`. @errors SYNTAX */
VY_CHECKED struct vy_err rpc_status_decode(struct vy_bytes in, struct rpc_status *out);
