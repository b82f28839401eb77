/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Protocol Buffers (proto3) wire format for plain C structs. proto/gen/protogen.py makes a struct
 * and a table of fields from each message of proto/NAME.proto; this module encodes and decodes any
 * of them by its table.
 *
 * A field is a plain C member: numbers, bool, enum (0: absent), `struct vy_bytes` for string and
 * bytes, `const struct x *` for a message (NULL: absent), `x_count` and `const T *x` for repeated
 * ones. Why not protobuf-c: docs/decisions/0001-protobuf-codec.md.
 */
#include "base/arena.h"
#include "base/buf.h"

enum vy_pb_kind {
    VY_PB_INT32,
    VY_PB_INT64,
    VY_PB_UINT32,
    VY_PB_UINT64,
    VY_PB_FIXED64,
    VY_PB_BOOL,
    VY_PB_ENUM,
    VY_PB_STRING, /* UTF-8, checked when decoded */
    VY_PB_BYTES,
    VY_PB_MESSAGE
};

struct vy_pb_desc;
struct vy_pb_field {
    const char *name;
    uint32_t number;
    enum vy_pb_kind kind;
    bool repeated;
    size_t offset;
    size_t count_offset;           /* of the size_t count, when repeated */
    const struct vy_pb_desc *desc; /* of a message */
};
struct vy_pb_desc {
    const char *name;
    size_t struct_bytes;
    const struct vy_pb_field *fields; /* ascending by number */
    size_t field_count;
};
/* One rpc of a service: "volary.admin.v1.AccountService", "CreateAccount". */
struct vy_pb_method {
    const char *service;
    const char *method;
    const struct vy_pb_desc *request;
    const struct vy_pb_desc *reply;
};

/* Messages hold messages to this depth at most; deeper is a bug of ours when encoding and LIMIT
 * when decoding. */
#define VY_PB_DEPTH_MAX 8

/* Appends the encoding of *message. Fields come in ascending order, so equal structs give equal
 * bytes. @errors LIMIT of out */
VY_CHECKED struct vy_err vy_pb_encode(const struct vy_pb_desc *desc, const void *message,
                                      struct vy_buf *out);
size_t vy_pb_encoded_size(const struct vy_pb_desc *desc, const void *message);

/*
 * Decodes into *message (of desc->struct_bytes bytes), which is overwritten.
 *
 * @in       strings and bytes of the result borrow from it
 * @arena    owns arrays and sub-messages; its limit is what bounds amplification
 * @errors   SYNTAX damaged, wrong wire type, text not UTF-8; LIMIT arena full or too deep. Unknown
 * fields are skipped.
 * @source   protobuf.dev, "Encoding"
 */
VY_CHECKED struct vy_err vy_pb_decode(const struct vy_pb_desc *desc, struct vy_arena *arena,
                                      struct vy_bytes in, void *message);
