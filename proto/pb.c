/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/pb.h"

#include "base/assert.h"
#include "base/codec.h"

enum { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

static size_t varint_size(uint64_t value)
{
    size_t size = 1;
    while (value >= 0x80) {
        value >>= 7;
        size++;
    }
    return size;
}

static void append_varint(struct vy_buf *out, uint64_t value)
{
    uint8_t bytes[10];
    size_t len = 0;
    while (value >= 0x80) {
        bytes[len++] = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    bytes[len++] = (uint8_t)value;
    vy_buf_append(out, vy_bytes(bytes, len));
}

static unsigned wire_type(enum vy_pb_kind kind)
{
    switch (kind) {
    case VY_PB_INT32:
    case VY_PB_INT64:
    case VY_PB_UINT32:
    case VY_PB_UINT64:
    case VY_PB_BOOL:
    case VY_PB_ENUM:
        return WIRE_VARINT;
    case VY_PB_FIXED64:
        return WIRE_FIXED64;
    case VY_PB_STRING:
    case VY_PB_BYTES:
    case VY_PB_MESSAGE:
        return WIRE_BYTES;
    }
    VY_ASSERT(false);
}

/* Size in memory of one item of a repeated field. */
static size_t item_bytes(const struct vy_pb_field *field)
{
    switch (field->kind) {
    case VY_PB_INT32:
    case VY_PB_UINT32:
        return sizeof(uint32_t);
    case VY_PB_ENUM:
        return sizeof(enum vy_pb_kind);
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
    VY_ASSERT(false);
}

/* The number at `item` as its varint (negative ones sign-extended, as the format asks). */
static uint64_t number_load(enum vy_pb_kind kind, const void *item)
{
    if (kind == VY_PB_BOOL) {
        return *(const bool *)item ? 1 : 0;
    }
    if (kind == VY_PB_INT32 || kind == VY_PB_ENUM) {
        return (uint64_t)(int64_t) * (const int32_t *)item;
    }
    return kind == VY_PB_UINT32 ? *(const uint32_t *)item : *(const uint64_t *)item;
}

static void number_store(enum vy_pb_kind kind, void *item, uint64_t value)
{
    if (kind == VY_PB_BOOL) {
        *(bool *)item = value != 0;
    } else if (kind == VY_PB_INT32 || kind == VY_PB_UINT32 || kind == VY_PB_ENUM) {
        *(uint32_t *)item = (uint32_t)value;
    } else {
        *(uint64_t *)item = value;
    }
}

/* ---- encoding: sizes first, so that nested lengths need no second buffer ---- */

static size_t message_size(const struct vy_pb_desc *desc, const void *message, unsigned depth);

/* Size of the value without its key. */
static size_t value_size(const struct vy_pb_field *field, const void *item, unsigned depth)
{
    switch (wire_type(field->kind)) {
    case WIRE_VARINT:
        return varint_size(number_load(field->kind, item));
    case WIRE_FIXED64:
        return sizeof(uint64_t);
    default:
        break;
    }
    size_t len = field->kind == VY_PB_MESSAGE ? message_size(field->desc, item, depth + 1)
                                              : ((const struct vy_bytes *)item)->len;
    return varint_size(len) + len;
}

static bool is_packed(const struct vy_pb_field *field)
{
    return field->repeated && wire_type(field->kind) != WIRE_BYTES;
}

struct items {
    const uint8_t *first; /* NULL: absent */
    size_t count;
    size_t bytes; /* of one */
};

/* What stands in a field: no item when it has its zero value. */
static struct items field_items(const struct vy_pb_field *field, const void *message)
{
    const uint8_t *member = (const uint8_t *)message + field->offset;
    struct items items = {.first = member, .count = 1, .bytes = item_bytes(field)};

    if (field->repeated) {
        items.first = *(const uint8_t *const *)(const void *)member;
        items.count =
            *(const size_t *)(const void *)((const uint8_t *)message + field->count_offset);
    } else if (field->kind == VY_PB_MESSAGE) {
        items.first = *(const uint8_t *const *)(const void *)member;
        items.count = items.first == NULL ? 0 : 1;
    } else if (field->kind == VY_PB_STRING || field->kind == VY_PB_BYTES) {
        items.count = ((const struct vy_bytes *)(const void *)member)->len == 0 ? 0 : 1;
    } else {
        items.count = number_load(field->kind, member) == 0 ? 0 : 1;
    }
    return items;
}

static size_t packed_size(const struct vy_pb_field *field, struct items items)
{
    size_t size = 0;
    for (size_t i = 0; i < items.count; i++) {
        size += value_size(field, items.first + i * items.bytes, 0);
    }
    return size;
}

static size_t message_size(const struct vy_pb_desc *desc, const void *message, unsigned depth)
{
    VY_ASSERT(depth < VY_PB_DEPTH_MAX);
    size_t size = 0;
    for (size_t f = 0; f < desc->field_count; f++) {
        const struct vy_pb_field *field = &desc->fields[f];
        const struct items items = field_items(field, message);
        const size_t key = varint_size((uint64_t)field->number << 3);
        if (items.count == 0) {
            continue;
        }
        if (is_packed(field)) {
            const size_t len = packed_size(field, items);
            size += key + varint_size(len) + len;
            continue;
        }
        for (size_t i = 0; i < items.count; i++) {
            size += key + value_size(field, items.first + i * items.bytes, depth);
        }
    }
    return size;
}

static void append_message(const struct vy_pb_desc *desc, const void *message, struct vy_buf *out,
                           unsigned depth);

static void append_value(const struct vy_pb_field *field, const void *item, struct vy_buf *out,
                         unsigned depth)
{
    const unsigned type = wire_type(field->kind);
    if (type == WIRE_VARINT) {
        append_varint(out, number_load(field->kind, item));
        return;
    }
    if (type == WIRE_FIXED64) {
        uint8_t bytes[8];
        const uint64_t value = *(const uint64_t *)item;
        for (size_t i = 0; i < sizeof(bytes); i++) {
            bytes[i] = (uint8_t)(value >> (8 * i));
        }
        vy_buf_append(out, vy_bytes(bytes, sizeof(bytes)));
        return;
    }
    if (field->kind == VY_PB_MESSAGE) {
        append_varint(out, message_size(field->desc, item, depth + 1));
        append_message(field->desc, item, out, depth + 1);
        return;
    }
    const struct vy_bytes bytes = *(const struct vy_bytes *)item;
    append_varint(out, bytes.len);
    vy_buf_append(out, bytes);
}

static void append_field(const struct vy_pb_field *field, struct items items, struct vy_buf *out,
                         unsigned depth)
{
    const uint64_t key = (uint64_t)field->number << 3;
    if (is_packed(field)) {
        append_varint(out, key | WIRE_BYTES);
        append_varint(out, packed_size(field, items));
    }
    for (size_t i = 0; i < items.count; i++) {
        if (!is_packed(field)) {
            append_varint(out, key | wire_type(field->kind));
        }
        append_value(field, items.first + i * items.bytes, out, depth);
    }
}

static void append_message(const struct vy_pb_desc *desc, const void *message, struct vy_buf *out,
                           unsigned depth)
{
    for (size_t f = 0; f < desc->field_count; f++) {
        const struct items items = field_items(&desc->fields[f], message);
        if (items.count != 0) {
            append_field(&desc->fields[f], items, out, depth);
        }
    }
}

struct vy_err vy_pb_encode(const struct vy_pb_desc *desc, const void *message, struct vy_buf *out)
{
    append_message(desc, message, out, 0);
    return vy_buf_error(out);
}

size_t vy_pb_encoded_size(const struct vy_pb_desc *desc, const void *message)
{
    return message_size(desc, message, 0);
}

/* ---- decoding: one pass counts the items of repeated fields, the next fills ---- */

struct reader {
    const uint8_t *at;
    const uint8_t *end;
};

/* An empty message may have no address, and NULL + 0 is undefined. */
static struct reader reader_of(struct vy_bytes bytes)
{
    return (struct reader){.at = bytes.data,
                           .end = bytes.len == 0 ? bytes.data : bytes.data + bytes.len};
}

static bool read_varint(struct reader *in, uint64_t *out)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (in->at == in->end) {
            return false;
        }
        const uint8_t byte = *in->at++;
        if (shift == 63 && byte > 1) {
            return false;
        }
        value |= (uint64_t)(byte & 0x7F) << shift;
        if (byte < 0x80) {
            *out = value;
            return true;
        }
    }
    return false;
}

static bool read_fixed(struct reader *in, size_t size, uint64_t *out)
{
    if ((size_t)(in->end - in->at) < size) {
        return false;
    }
    uint64_t value = 0;
    for (size_t i = 0; i < size; i++) {
        value |= (uint64_t)in->at[i] << (8 * i);
    }
    in->at += size;
    *out = value;
    return true;
}

static bool read_bytes(struct reader *in, struct vy_bytes *out)
{
    uint64_t len = 0;
    if (!read_varint(in, &len) || len > (uint64_t)(in->end - in->at)) {
        return false;
    }
    *out = vy_bytes(in->at, (size_t)len);
    in->at += len;
    return true;
}

/* One field as it stands on the wire. */
struct wire_field {
    uint32_t number;
    unsigned type;
    uint64_t value;
    struct vy_bytes bytes;
};

static bool read_field(struct reader *in, struct wire_field *out)
{
    uint64_t key = 0;
    if (!read_varint(in, &key) || key >> 3 == 0 || key >> 3 > UINT32_MAX) {
        return false;
    }
    out->number = (uint32_t)(key >> 3);
    out->type = (unsigned)(key & 7);
    out->bytes = vy_bytes(NULL, 0);
    out->value = 0;
    switch (out->type) {
    case WIRE_VARINT:
        return read_varint(in, &out->value);
    case WIRE_FIXED64:
        return read_fixed(in, sizeof(uint64_t), &out->value);
    case WIRE_FIXED32:
        return read_fixed(in, sizeof(uint32_t), &out->value);
    case WIRE_BYTES:
        return read_bytes(in, &out->bytes);
    default:
        return false;
    }
}

static const struct vy_pb_field *find_field(const struct vy_pb_desc *desc, uint32_t number)
{
    for (size_t f = 0; f < desc->field_count; f++) {
        if (desc->fields[f].number == number) {
            return &desc->fields[f];
        }
    }
    return NULL;
}

static size_t *field_count(const struct vy_pb_field *field, void *message)
{
    return (size_t *)(void *)((uint8_t *)message + field->count_offset);
}

static void **field_pointer(const struct vy_pb_field *field, void *message)
{
    return (void **)(void *)((uint8_t *)message + field->offset);
}

/* How many numbers a packed run holds; SIZE_MAX when it is damaged. */
static size_t packed_count(const struct vy_pb_field *field, struct vy_bytes run)
{
    struct reader in = reader_of(run);
    size_t count = 0;
    uint64_t value = 0;
    while (in.at != in.end) {
        const bool ok = wire_type(field->kind) == WIRE_FIXED64
                            ? read_fixed(&in, sizeof(value), &value)
                            : read_varint(&in, &value);
        if (!ok) {
            return SIZE_MAX;
        }
        count++;
    }
    return count;
}

static struct vy_err count_items(const struct vy_pb_desc *desc, struct vy_bytes bytes,
                                 void *message)
{
    struct reader in = reader_of(bytes);
    while (in.at != in.end) {
        struct wire_field wire;
        if (!read_field(&in, &wire)) {
            return vy_error(VY_CODE_SYNTAX, "protobuf field");
        }
        const struct vy_pb_field *field = find_field(desc, wire.number);
        if (field == NULL) {
            continue;
        }
        const bool packed = is_packed(field) && wire.type == WIRE_BYTES;
        if (!packed && wire.type != wire_type(field->kind)) {
            return vy_error(VY_CODE_SYNTAX, "protobuf wire type");
        }
        if (field->repeated) {
            const size_t count = packed ? packed_count(field, wire.bytes) : 1;
            if (count == SIZE_MAX) {
                return vy_error(VY_CODE_SYNTAX, "protobuf packed field");
            }
            *field_count(field, message) += count;
        }
    }
    return vy_ok();
}

/* Arrays of the counted size; the counts start again at 0 for filling. */
static struct vy_err allocate_items(const struct vy_pb_desc *desc, struct vy_arena *arena,
                                    void *message)
{
    for (size_t f = 0; f < desc->field_count; f++) {
        const struct vy_pb_field *field = &desc->fields[f];
        if (!field->repeated || *field_count(field, message) == 0) {
            continue;
        }
        void *array = vy_arena_array(arena, *field_count(field, message), item_bytes(field));
        if (array == NULL) {
            return vy_error(VY_CODE_LIMIT, "protobuf array");
        }
        *field_pointer(field, message) = array;
        *field_count(field, message) = 0;
    }
    return vy_ok();
}

static struct vy_err decode_message(const struct vy_pb_desc *desc, struct vy_arena *arena,
                                    struct vy_bytes in, void *message, unsigned depth);

static struct vy_err store_bytes(const struct vy_pb_field *field, struct vy_arena *arena,
                                 struct vy_bytes bytes, void *item, unsigned depth)
{
    if (field->kind == VY_PB_MESSAGE) {
        return decode_message(field->desc, arena, bytes, item, depth + 1);
    }
    if (field->kind == VY_PB_STRING && !vy_utf8_is_valid(bytes)) {
        return vy_error(VY_CODE_SYNTAX, "protobuf string is not UTF-8");
    }
    *(struct vy_bytes *)item = bytes;
    return vy_ok();
}

static void store_packed(const struct vy_pb_field *field, struct vy_bytes run, void *message)
{
    struct reader in = reader_of(run);
    uint8_t *array = *field_pointer(field, message);
    size_t *count = field_count(field, message);
    while (in.at != in.end) {
        uint64_t value = 0;
        const bool ok = wire_type(field->kind) == WIRE_FIXED64
                            ? read_fixed(&in, sizeof(value), &value)
                            : read_varint(&in, &value);
        VY_ASSERT(ok); /* counted before */
        number_store(field->kind, array + *count * item_bytes(field), value);
        *count += 1;
    }
}

static struct vy_err store_field(const struct vy_pb_field *field, struct vy_arena *arena,
                                 const struct wire_field *wire, void *message, unsigned depth)
{
    if (is_packed(field) && wire->type == WIRE_BYTES) {
        store_packed(field, wire->bytes, message);
        return vy_ok();
    }
    uint8_t *item = (uint8_t *)message + field->offset;
    if (field->repeated) {
        item = (uint8_t *)*field_pointer(field, message) +
               *field_count(field, message) * item_bytes(field);
        *field_count(field, message) += 1;
    } else if (field->kind == VY_PB_MESSAGE) {
        item = vy_arena_alloc(arena, field->desc->struct_bytes);
        if (item == NULL) {
            return vy_error(VY_CODE_LIMIT, "protobuf message");
        }
        *field_pointer(field, message) = item;
    }
    if (wire->type == WIRE_BYTES) {
        return store_bytes(field, arena, wire->bytes, item, depth);
    }
    number_store(field->kind, item, wire->value);
    return vy_ok();
}

static struct vy_err decode_message(const struct vy_pb_desc *desc, struct vy_arena *arena,
                                    struct vy_bytes bytes, void *message, unsigned depth)
{
    if (depth >= VY_PB_DEPTH_MAX) {
        return vy_error(VY_CODE_LIMIT, "protobuf depth");
    }
    memset(message, 0, desc->struct_bytes);
    VY_TRY(count_items(desc, bytes, message));
    VY_TRY(allocate_items(desc, arena, message));

    struct reader in = reader_of(bytes);
    while (in.at != in.end) {
        struct wire_field wire;
        const bool ok = read_field(&in, &wire);
        VY_ASSERT(ok); /* counted before */
        const struct vy_pb_field *field = find_field(desc, wire.number);
        if (field != NULL) {
            VY_TRY(store_field(field, arena, &wire, message, depth));
        }
    }
    return vy_ok();
}

struct vy_err vy_pb_decode(const struct vy_pb_desc *desc, struct vy_arena *arena,
                           struct vy_bytes in, void *message)
{
    return decode_message(desc, arena, in, message, 0);
}
