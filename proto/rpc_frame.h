/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* clang-format off */
/*
 * Frames of the link: a header of 16 bytes, big endian, and a payload. Pure: bytes in any split go
 * in, frames come out.
 *
 *   u32 payload length | u8 type | u8 flags | u16 zero | u32 stream | u32 aux
 *
 * Streams are calls: odd ids of the dialling side, rising by use (even ones are kept for calls the
 * other way).
 *
 *   type    aux                   payload
 *   HELLO   zero (and stream 0)   RpcHello; the first frame of each side
 *   CALL    meta length           RpcCallMeta, then the request's first bytes; LAST: no request stream follows
 *   DATA    CRC-32C of payload    MESSAGE: more of the request or reply; else the stream; LAST: nothing follows
 *   END     status length         RpcCallStatus, then the reply's last bytes
 *   CREDIT  bytes                 none: that many bytes of the stream are consumed
 *   CANCEL  gRPC code             none: the caller gives up
 *   PING    any                   none: answered by a PONG with the same aux
 *   GOAWAY  last stream           RpcCallStatus; no later call was looked at, none will be
 *
 * DATA carries mail, hence its checksum from the sender's buffer on (P4): TLS does not see what
 * happens in memory, and plain links have none.
 */
/* clang-format on */
#include "base/buf.h"

#define RPC_FRAME_HEADER_BYTES 16U
/* Bounds what one frame can make the receiver hold; checked before memory is taken for it. */
#define RPC_FRAME_PAYLOAD_BYTES_MAX (256U * 1024U)
#define RPC_FRAME_HELLO_BYTES_MAX 4096U /* what a stranger may make us hold */
#define RPC_FRAME_GOAWAY_BYTES_MAX 4096U

enum rpc_frame_type {
    RPC_FRAME_HELLO = 1,
    RPC_FRAME_CALL,
    RPC_FRAME_DATA,
    RPC_FRAME_END,
    RPC_FRAME_CREDIT,
    RPC_FRAME_CANCEL,
    RPC_FRAME_PING,
    RPC_FRAME_PONG,
    RPC_FRAME_GOAWAY,
    RPC_FRAME_TYPE_END
};
enum { RPC_FRAME_LAST = 1, RPC_FRAME_MESSAGE = 2 };

struct rpc_frame {
    enum rpc_frame_type type;
    uint8_t flags;
    uint32_t stream_id;
    uint32_t aux;
    struct vy_bytes payload;
};

/* Writes the header that goes before frame->payload. The frame must be legal. */
void rpc_frame_write_header(const struct rpc_frame *frame, uint8_t out[RPC_FRAME_HEADER_BYTES]);

struct rpc_frame_parser {
    struct vy_buf partial; /* a frame that did not arrive in one piece */
    bool done;             /* partial holds a whole frame that was handed out */
};
void rpc_frame_parser_init(struct rpc_frame_parser *parser);
void rpc_frame_parser_deinit(struct rpc_frame_parser *parser);
/*
 * Takes bytes off the front of *in until a frame is whole.
 *
 * @in      what is left is to be given again; empty when *ready is false
 * @out     written when *ready is true; its payload borrows from *in or the parser until the next
 * call
 * @errors  SYNTAX unknown type or flag, a reserved bit, stream or aux where there is none; LIMIT
 * too long. The parser is of no more use then. (promise R3)
 */
VY_CHECKED struct vy_err rpc_frame_parser_next(struct rpc_frame_parser *parser, struct vy_bytes *in,
                                               struct rpc_frame *out, bool *ready);
