/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A streaming writer of JSON (STD 90) with two spaces of indentation, and messages of the admin
 * API as JSON objects with their field names, all of them, in the order of their numbers. Text that
 * is not UTF-8 becomes U+FFFD; controls and marks of direction are escaped, so that nothing reaches
 * a terminal as a command (promises M17).
 */
#include "base/buf.h"
#include "proto/pb.h"

#define CTL_JSON_DEPTH_MAX 16U

struct ctl_json {
    struct vy_buf *out; /* borrowed; its error says whether all of it fitted */
    unsigned depth;
    bool is_compact; /* one line */
    bool has_items[CTL_JSON_DEPTH_MAX];
    bool follows_key;
};
void ctl_json_init(struct ctl_json *json, struct vy_buf *out, bool is_compact);
void ctl_json_begin_object(struct ctl_json *json);
void ctl_json_end_object(struct ctl_json *json);
void ctl_json_begin_array(struct ctl_json *json);
void ctl_json_end_array(struct ctl_json *json);
void ctl_json_key(struct ctl_json *json, const char *name);
void ctl_json_string(struct ctl_json *json, struct vy_bytes text);
void ctl_json_u64(struct ctl_json *json, uint64_t value);
void ctl_json_bool(struct ctl_json *json, bool value);
/* @message  a struct of desc->struct_bytes bytes, as vy_pb_decode fills it */
void ctl_json_message(struct ctl_json *json, const struct vy_pb_desc *desc, const void *message);

/* Is a field's value, for tables. */
const struct vy_pb_field *ctl_field_find(const struct vy_pb_desc *desc, const char *name);
uint64_t ctl_field_u64(const struct vy_pb_field *field, const void *message);
struct vy_bytes ctl_field_bytes(const struct vy_pb_field *field, const void *message);
/* Of a repeated field. */
size_t ctl_field_count(const struct vy_pb_field *field, const void *message);
const void *ctl_field_item(const struct vy_pb_field *field, const void *message, size_t index);
