/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/rpc_frame.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the four above first */
#include <cmocka.h>

static size_t write_frame(uint8_t *out, struct rpc_frame frame, const void *payload)
{
    rpc_frame_write_header(&frame, out);
    if (payload != NULL) {
        memcpy(out + RPC_FRAME_HEADER_BYTES, payload, frame.payload.len);
    }
    return RPC_FRAME_HEADER_BYTES + frame.payload.len;
}

static struct rpc_frame data_frame(uint32_t id, size_t len)
{
    return (struct rpc_frame){
        .type = RPC_FRAME_DATA, .stream_id = id, .payload = vy_bytes(NULL, len)};
}

/* Feeds `all` in pieces of `step` bytes and counts frames and payload bytes. */
static struct vy_err feed(struct vy_bytes all, size_t step, size_t *frames, size_t *bytes)
{
    struct rpc_frame_parser parser;
    struct vy_err err = vy_ok();
    rpc_frame_parser_init(&parser);
    *frames = 0;
    *bytes = 0;
    for (size_t at = 0; at < all.len && !vy_failed(err); at += step) {
        struct vy_bytes in = vy_bytes_slice(all, at, step);
        bool is_ready = true;
        while (is_ready && !vy_failed(err)) {
            struct rpc_frame frame;
            err = rpc_frame_parser_next(&parser, &in, &frame, &is_ready);
            if (!vy_failed(err) && is_ready) {
                (*frames)++;
                *bytes += frame.payload.len;
            }
        }
    }
    rpc_frame_parser_deinit(&parser);
    return err;
}

static void frames_survive_any_split(void **state)
{
    (void)state;
    uint8_t all[512];
    uint8_t payload[100];
    memset(payload, 'x', sizeof(payload));
    size_t len = 0;
    len += write_frame(all + len, (struct rpc_frame){.type = RPC_FRAME_PING, .aux = 7}, NULL);
    len += write_frame(all + len, data_frame(1, 100), payload);
    len += write_frame(all + len, data_frame(3, 0), NULL);
    len += write_frame(
        all + len, (struct rpc_frame){.type = RPC_FRAME_CREDIT, .stream_id = 1, .aux = 9}, NULL);
    for (size_t step = 1; step <= len; step++) {
        size_t frames = 0;
        size_t bytes = 0;
        assert_int_equal(feed(vy_bytes(all, len), step, &frames, &bytes).code, VY_CODE_OK);
        assert_int_equal(frames, 4);
        assert_int_equal(bytes, 100);
    }
}

static void fields_come_back_as_they_were_written(void **state)
{
    (void)state;
    uint8_t raw[64];
    struct rpc_frame frame = {.type = RPC_FRAME_CALL,
                              .flags = RPC_FRAME_LAST,
                              .stream_id = 0xfffffffd,
                              .aux = 2,
                              .payload = vy_bytes(NULL, 5)};
    const size_t len = write_frame(raw, frame, "mmreq");
    struct rpc_frame_parser parser;
    rpc_frame_parser_init(&parser);
    struct vy_bytes in = vy_bytes(raw, len);
    bool is_ready = false;
    assert_int_equal(rpc_frame_parser_next(&parser, &in, &frame, &is_ready).code, VY_CODE_OK);
    assert_true(is_ready);
    assert_int_equal(frame.type, RPC_FRAME_CALL);
    assert_int_equal(frame.flags, RPC_FRAME_LAST);
    assert_int_equal(frame.stream_id, 0xfffffffd);
    assert_int_equal(frame.aux, 2);
    assert_memory_equal(frame.payload.data, "mmreq", 5);
    assert_ptr_equal(frame.payload.data, raw + RPC_FRAME_HEADER_BYTES); /* not copied */
    assert_int_equal(in.len, 0);
    rpc_frame_parser_deinit(&parser);
}

static enum vy_code code_of_header(uint32_t len, uint8_t type, uint8_t flags, uint16_t zero,
                                   uint32_t stream, uint32_t aux)
{
    uint8_t raw[RPC_FRAME_HEADER_BYTES];
    vy_put_be32(raw, len);
    raw[4] = type;
    raw[5] = flags;
    vy_put_be16(raw + 6, zero);
    vy_put_be32(raw + 8, stream);
    vy_put_be32(raw + 12, aux);
    size_t frames = 0;
    size_t bytes = 0;
    return feed(vy_bytes(raw, sizeof(raw)), sizeof(raw), &frames, &bytes).code;
}

/* R3: 4 GiB length prefix, limits at n-1, n and n+1. */
static void lengths_beyond_the_limit_are_refused_from_the_header(void **state)
{
    (void)state;
    const uint32_t max = RPC_FRAME_PAYLOAD_BYTES_MAX;
    assert_int_equal(code_of_header(max - 1, RPC_FRAME_DATA, 0, 0, 1, 0), VY_CODE_OK);
    assert_int_equal(code_of_header(max, RPC_FRAME_DATA, 0, 0, 1, 0), VY_CODE_OK);
    assert_int_equal(code_of_header(max + 1, RPC_FRAME_DATA, 0, 0, 1, 0), VY_CODE_LIMIT);
    assert_int_equal(code_of_header(UINT32_MAX, RPC_FRAME_DATA, 0, 0, 1, 0), VY_CODE_LIMIT);
    assert_int_equal(code_of_header(RPC_FRAME_HELLO_BYTES_MAX, RPC_FRAME_HELLO, 0, 0, 0, 0),
                     VY_CODE_OK);
    assert_int_equal(code_of_header(RPC_FRAME_HELLO_BYTES_MAX + 1, RPC_FRAME_HELLO, 0, 0, 0, 0),
                     VY_CODE_LIMIT);
    assert_int_equal(code_of_header(1, RPC_FRAME_PING, 0, 0, 0, 0), VY_CODE_LIMIT);
}

/* R3 and R12: what this version does not know closes the link instead of being skipped. */
static void headers_that_mean_nothing_are_refused(void **state)
{
    (void)state;
    assert_int_equal(code_of_header(0, 0, 0, 0, 0, 0), VY_CODE_SYNTAX);
    assert_int_equal(code_of_header(0, RPC_FRAME_TYPE_END, 0, 0, 0, 0), VY_CODE_SYNTAX);
    assert_int_equal(code_of_header(0, 255, 0, 0, 0, 0), VY_CODE_SYNTAX);
    assert_int_equal(code_of_header(0, RPC_FRAME_PING, RPC_FRAME_LAST, 0, 0, 0), VY_CODE_SYNTAX);
    assert_int_equal(code_of_header(0, RPC_FRAME_DATA, 4, 0, 1, 0), VY_CODE_SYNTAX);
    assert_int_equal(code_of_header(0, RPC_FRAME_PING, 0, 1, 0, 0), VY_CODE_SYNTAX);
    assert_int_equal(code_of_header(0, RPC_FRAME_PING, 0, 0, 1, 0), VY_CODE_SYNTAX);
    assert_int_equal(code_of_header(0, RPC_FRAME_DATA, 0, 0, 0, 0), VY_CODE_SYNTAX);
    assert_int_equal(code_of_header(0, RPC_FRAME_CREDIT, 0, 0, 1, 0), VY_CODE_SYNTAX);
    assert_int_equal(code_of_header(4, RPC_FRAME_CALL, 0, 0, 1, 5), VY_CODE_SYNTAX);
    assert_int_equal(code_of_header(4, RPC_FRAME_END, 0, 0, 1, UINT32_MAX), VY_CODE_SYNTAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_survive_any_split),
        cmocka_unit_test(fields_come_back_as_they_were_written),
        cmocka_unit_test(lengths_beyond_the_limit_are_refused_from_the_header),
        cmocka_unit_test(headers_that_mean_nothing_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
