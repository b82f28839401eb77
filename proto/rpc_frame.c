/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/rpc_frame.h"

#include "base/assert.h"

enum aux_rule { AUX_FREE, AUX_ZERO, AUX_SOME, AUX_IN_PAYLOAD };

/* What each type may look like; a type without a row is unknown. */
struct frame_rule {
    bool known;
    bool has_stream;
    uint8_t flags;
    enum aux_rule aux;
    uint32_t payload_bytes_max;
};
/* clang-format off */
static const struct frame_rule frame_rules[RPC_FRAME_TYPE_END] = {
    /*                    known stream flags                              aux             payload                     */
    [RPC_FRAME_HELLO]  = { true, false, 0,                                AUX_ZERO,       RPC_FRAME_HELLO_BYTES_MAX   },
    [RPC_FRAME_CALL]   = { true, true,  RPC_FRAME_LAST,                   AUX_IN_PAYLOAD, RPC_FRAME_PAYLOAD_BYTES_MAX },
    [RPC_FRAME_DATA]   = { true, true,  RPC_FRAME_LAST | RPC_FRAME_MESSAGE, AUX_FREE,     RPC_FRAME_PAYLOAD_BYTES_MAX },
    [RPC_FRAME_END]    = { true, true,  0,                                AUX_IN_PAYLOAD, RPC_FRAME_PAYLOAD_BYTES_MAX },
    [RPC_FRAME_CREDIT] = { true, true,  0,                                AUX_SOME,       0                           },
    [RPC_FRAME_CANCEL] = { true, true,  0,                                AUX_FREE,       0                           },
    [RPC_FRAME_PING]   = { true, false, 0,                                AUX_FREE,       0                           },
    [RPC_FRAME_PONG]   = { true, false, 0,                                AUX_FREE,       0                           },
    [RPC_FRAME_GOAWAY] = { true, false, 0,                                AUX_FREE,       RPC_FRAME_GOAWAY_BYTES_MAX  },
};
/* clang-format on */

static bool aux_is_legal(enum aux_rule rule, uint32_t aux, size_t payload_len)
{
    switch (rule) {
    case AUX_FREE:
        return true;
    case AUX_ZERO:
        return aux == 0;
    case AUX_SOME:
        return aux > 0;
    case AUX_IN_PAYLOAD:
        return aux <= payload_len;
    }
    return false;
}

void rpc_frame_write_header(const struct rpc_frame *frame, uint8_t out[RPC_FRAME_HEADER_BYTES])
{
    VY_ASSERT(frame->type > 0 && frame->type < RPC_FRAME_TYPE_END);
    const struct frame_rule *rule = &frame_rules[frame->type];
    VY_ASSERT(frame->payload.len <= rule->payload_bytes_max);
    VY_ASSERT((frame->stream_id != 0) == rule->has_stream);
    VY_ASSERT(aux_is_legal(rule->aux, frame->aux, frame->payload.len));
    vy_put_be32(out, (uint32_t)frame->payload.len);
    out[4] = (uint8_t)frame->type;
    out[5] = frame->flags;
    vy_put_be16(out + 6, 0);
    vy_put_be32(out + 8, frame->stream_id);
    vy_put_be32(out + 12, frame->aux);
}

/* Reads and checks 16 bytes. On success out->payload has its length, no data. */
static struct vy_err read_header(const uint8_t *in, struct rpc_frame *out)
{
    const uint8_t type = in[4];
    if (type >= RPC_FRAME_TYPE_END || !frame_rules[type].known) {
        return vy_error(VY_CODE_SYNTAX, "frame of unknown type");
    }
    const struct frame_rule *rule = &frame_rules[type];
    const uint32_t len = vy_get_be32(in);
    const uint32_t stream_id = vy_get_be32(in + 8);
    const uint32_t aux = vy_get_be32(in + 12);
    if (len > rule->payload_bytes_max) {
        return vy_error(VY_CODE_LIMIT, "frame too long");
    }
    if ((in[5] & ~rule->flags) != 0 || vy_get_be16(in + 6) != 0) {
        return vy_error(VY_CODE_SYNTAX, "frame with unknown flags");
    }
    if ((stream_id != 0) != rule->has_stream) {
        return vy_error(VY_CODE_SYNTAX, "frame with wrong stream");
    }
    if (!aux_is_legal(rule->aux, aux, len)) {
        return vy_error(VY_CODE_SYNTAX, "frame with wrong aux");
    }
    *out = (struct rpc_frame){.type = (enum rpc_frame_type)type,
                              .flags = in[5],
                              .stream_id = stream_id,
                              .aux = aux,
                              .payload = vy_bytes(NULL, len)};
    return vy_ok();
}

void rpc_frame_parser_init(struct rpc_frame_parser *parser)
{
    vy_buf_init(&parser->partial, RPC_FRAME_HEADER_BYTES + RPC_FRAME_PAYLOAD_BYTES_MAX);
    parser->done = false;
}

void rpc_frame_parser_deinit(struct rpc_frame_parser *parser)
{
    vy_buf_deinit(&parser->partial);
}

/* Moves bytes from *in until partial holds `want`. False: there are not enough. */
static bool gather(struct rpc_frame_parser *parser, struct vy_bytes *in, size_t want)
{
    const size_t have = vy_buf_len(&parser->partial);
    if (have >= want) {
        return true;
    }
    const struct vy_bytes take = vy_bytes_slice(*in, 0, want - have);
    vy_buf_append(&parser->partial, take);
    *in = vy_bytes_from(*in, take.len);
    return have + take.len == want;
}

static struct vy_err next_gathered(struct rpc_frame_parser *parser, struct vy_bytes *in,
                                   struct rpc_frame *out, bool *ready)
{
    const bool has_header = gather(parser, in, RPC_FRAME_HEADER_BYTES);
    VY_TRY(vy_buf_error(&parser->partial));
    if (!has_header) {
        return vy_ok();
    }
    struct rpc_frame frame;
    VY_TRY(read_header(vy_buf_bytes(&parser->partial).data, &frame));
    const bool is_whole = gather(parser, in, RPC_FRAME_HEADER_BYTES + frame.payload.len);
    VY_TRY(vy_buf_error(&parser->partial));
    if (!is_whole) {
        return vy_ok();
    }
    *out = frame;
    out->payload = vy_bytes_from(vy_buf_bytes(&parser->partial), RPC_FRAME_HEADER_BYTES);
    parser->done = true;
    *ready = true;
    return vy_ok();
}

struct vy_err rpc_frame_parser_next(struct rpc_frame_parser *parser, struct vy_bytes *in,
                                    struct rpc_frame *out, bool *ready)
{
    *ready = false;
    if (parser->done) {
        vy_buf_reset(&parser->partial);
        parser->done = false;
    }
    if (vy_buf_len(&parser->partial) > 0 || in->len < RPC_FRAME_HEADER_BYTES) {
        return next_gathered(parser, in, out, ready);
    }
    struct rpc_frame frame;
    VY_TRY(read_header(in->data, &frame));
    if (frame.payload.len > in->len - RPC_FRAME_HEADER_BYTES) {
        return next_gathered(parser, in, out, ready);
    }
    /* The common case: whole in the input, not copied. */
    *out = frame;
    out->payload = vy_bytes_slice(*in, RPC_FRAME_HEADER_BYTES, frame.payload.len);
    *in = vy_bytes_from(*in, RPC_FRAME_HEADER_BYTES + frame.payload.len);
    *ready = true;
    return vy_ok();
}
