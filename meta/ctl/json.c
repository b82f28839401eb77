/* SPDX-License-Identifier: Apache-2.0 */
#include "meta/ctl/json.h"

#include "base/assert.h"
#include "base/codec.h"

/* ---- structure ---- */

void ctl_json_init(struct ctl_json *json, struct vy_buf *out, bool is_compact)
{
    *json = (struct ctl_json){.out = out, .is_compact = is_compact};
}

static void new_line(struct ctl_json *json)
{
    if (json->is_compact) {
        return;
    }
    vy_buf_append_byte(json->out, '\n');
    for (unsigned i = 0; i < json->depth; i++) {
        vy_buf_append_cstr(json->out, "  ");
    }
}

/* What stands before a value or a key. */
static void begin_item(struct ctl_json *json)
{
    if (json->follows_key) {
        json->follows_key = false;
        return;
    }
    if (json->depth == 0) {
        return;
    }
    if (json->has_items[json->depth - 1]) {
        vy_buf_append_byte(json->out, ',');
    }
    json->has_items[json->depth - 1] = true;
    new_line(json);
}

static void begin(struct ctl_json *json, char mark)
{
    VY_ASSERT(json->depth < CTL_JSON_DEPTH_MAX);
    begin_item(json);
    vy_buf_append_byte(json->out, (uint8_t)mark);
    json->has_items[json->depth] = false;
    json->depth++;
}

static void end(struct ctl_json *json, char mark)
{
    VY_ASSERT(json->depth > 0);
    json->depth--;
    if (json->has_items[json->depth]) {
        new_line(json);
    }
    vy_buf_append_byte(json->out, (uint8_t)mark);
}

void ctl_json_begin_object(struct ctl_json *json)
{
    begin(json, '{');
}

void ctl_json_end_object(struct ctl_json *json)
{
    end(json, '}');
}

void ctl_json_begin_array(struct ctl_json *json)
{
    begin(json, '[');
}

void ctl_json_end_array(struct ctl_json *json)
{
    end(json, ']');
}

/* ---- values ---- */

/* Controls, and what changes the direction or the lines of text around it. */
static bool needs_escape(uint32_t c)
{
    return c < 0x20 || (c >= 0x7F && c <= 0x9F) || c == 0x061C || c == 0x200E || c == 0x200F ||
           (c >= 0x2028 && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069) || c == 0xFEFF;
}

static void append_escaped(struct vy_buf *out, uint32_t c)
{
    static const char names[] = {
        ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'};
    if (c == '"' || c == '\\') {
        vy_buf_append_byte(out, '\\');
        vy_buf_append_byte(out, (uint8_t)c);
    } else if (c < sizeof(names) && names[c] != 0) {
        vy_buf_append_byte(out, '\\');
        vy_buf_append_byte(out, (uint8_t)names[c]);
    } else if (needs_escape(c)) {
        vy_buf_printf(out, "\\u%04x", (unsigned)c);
    } else {
        vy_utf8_append(out, c);
    }
}

static void append_string(struct vy_buf *out, struct vy_bytes text)
{
    size_t at = 0;
    uint32_t c = 0;
    vy_buf_append_byte(out, '"');
    while (vy_utf8_next(text, &at, &c)) {
        append_escaped(out, c);
    }
    vy_buf_append_byte(out, '"');
}

void ctl_json_key(struct ctl_json *json, const char *name)
{
    begin_item(json);
    append_string(json->out, vy_cstr(name));
    vy_buf_append_cstr(json->out, json->is_compact ? ":" : ": ");
    json->follows_key = true;
}

void ctl_json_string(struct ctl_json *json, struct vy_bytes text)
{
    begin_item(json);
    append_string(json->out, text);
}

void ctl_json_u64(struct ctl_json *json, uint64_t value)
{
    begin_item(json);
    vy_buf_append_u64(json->out, value);
}

void ctl_json_bool(struct ctl_json *json, bool value)
{
    begin_item(json);
    vy_buf_append_cstr(json->out, value ? "true" : "false");
}

/* ---- fields of messages ---- */

const struct vy_pb_field *ctl_field_find(const struct vy_pb_desc *desc, const char *name)
{
    for (size_t i = 0; i < desc->field_count; i++) {
        if (strcmp(desc->fields[i].name, name) == 0) {
            return &desc->fields[i];
        }
    }
    return NULL;
}

static const void *member_of(const struct vy_pb_field *field, const void *message)
{
    return (const char *)message + field->offset;
}

static size_t item_bytes(const struct vy_pb_field *field)
{
    switch (field->kind) {
    case VY_PB_INT32:
    case VY_PB_UINT32:
    case VY_PB_ENUM:
        return sizeof(uint32_t);
    case VY_PB_INT64:
    case VY_PB_UINT64:
    case VY_PB_FIXED64:
        return sizeof(uint64_t);
    case VY_PB_BOOL:
        return sizeof(bool);
    case VY_PB_STRING:
    case VY_PB_BYTES:
        return sizeof(struct vy_bytes);
    case VY_PB_MESSAGE:
        return field->desc->struct_bytes;
    }
    return 0;
}

static uint64_t number_at(const struct vy_pb_field *field, const void *place)
{
    if (field->kind == VY_PB_BOOL) {
        bool value = false;
        memcpy(&value, place, sizeof(value));
        return value ? 1 : 0;
    }
    if (item_bytes(field) == sizeof(uint32_t)) {
        uint32_t value = 0;
        memcpy(&value, place, sizeof(value));
        return value;
    }
    uint64_t value = 0;
    memcpy(&value, place, sizeof(value));
    return value;
}

uint64_t ctl_field_u64(const struct vy_pb_field *field, const void *message)
{
    return number_at(field, member_of(field, message));
}

struct vy_bytes ctl_field_bytes(const struct vy_pb_field *field, const void *message)
{
    struct vy_bytes value;
    memcpy(&value, member_of(field, message), sizeof(value));
    return value;
}

size_t ctl_field_count(const struct vy_pb_field *field, const void *message)
{
    size_t count = 0;
    memcpy(&count, (const char *)message + field->count_offset, sizeof(count));
    return count;
}

const void *ctl_field_item(const struct vy_pb_field *field, const void *message, size_t index)
{
    const void *items = NULL;
    memcpy(&items, member_of(field, message), sizeof(items));
    return (const char *)items + index * item_bytes(field);
}

/* ---- messages ---- */

static void write_value(struct ctl_json *json, const struct vy_pb_field *field, const void *place)
{
    struct vy_bytes bytes;
    switch (field->kind) {
    case VY_PB_STRING:
        memcpy(&bytes, place, sizeof(bytes));
        ctl_json_string(json, bytes);
        return;
    case VY_PB_BYTES:
        memcpy(&bytes, place, sizeof(bytes));
        begin_item(json);
        vy_buf_append_byte(json->out, '"');
        vy_base64_encode(json->out, bytes);
        vy_buf_append_byte(json->out, '"');
        return;
    case VY_PB_BOOL:
        ctl_json_bool(json, number_at(field, place) != 0);
        return;
    case VY_PB_MESSAGE:
        ctl_json_message(json, field->desc, place);
        return;
    case VY_PB_INT32:
    case VY_PB_INT64:
    case VY_PB_UINT32:
    case VY_PB_UINT64:
    case VY_PB_FIXED64:
    case VY_PB_ENUM:
        ctl_json_u64(json, number_at(field, place)); /* no field of the API is negative */
        return;
    }
}

static void write_field(struct ctl_json *json, const struct vy_pb_field *field, const void *message)
{
    if (field->repeated) {
        ctl_json_key(json, field->name);
        ctl_json_begin_array(json);
        for (size_t i = 0; i < ctl_field_count(field, message); i++) {
            write_value(json, field, ctl_field_item(field, message, i));
        }
        ctl_json_end_array(json);
        return;
    }
    if (field->kind != VY_PB_MESSAGE) {
        ctl_json_key(json, field->name);
        write_value(json, field, member_of(field, message));
        return;
    }
    const void *sub = NULL;
    memcpy(&sub, member_of(field, message), sizeof(sub));
    if (sub != NULL) {
        ctl_json_key(json, field->name);
        ctl_json_message(json, field->desc, sub);
    }
}

void ctl_json_message(struct ctl_json *json, const struct vy_pb_desc *desc, const void *message)
{
    ctl_json_begin_object(json);
    for (size_t i = 0; i < desc->field_count; i++) {
        write_field(json, &desc->fields[i], message);
    }
    ctl_json_end_object(json);
}
