/* SPDX-License-Identifier: Apache-2.0 */
#include "replica/entry.h"

#include "base/codec.h"
#include <stdlib.h>

#define BODY_HEAD_BYTES 11U
#define COMMAND_HEAD_BYTES 6U
#define REFERENCE_HEAD_BYTES 10U
#define WIRE_HEAD_BYTES 13U

static void entry_free(struct entry *entry)
{
    free(entry->payloads);
    free(entry->memory);
    free(entry);
}

struct entry *entry_ref(struct entry *entry)
{
    atomic_fetch_add_explicit(&entry->refs, 1, memory_order_relaxed);
    return entry;
}

void entry_unref(struct entry *entry)
{
    if (entry != NULL && atomic_fetch_sub_explicit(&entry->refs, 1, memory_order_acq_rel) == 1) {
        entry_free(entry);
    }
}

static struct entry *entry_alloc(size_t memory_bytes, size_t payload_count)
{
    struct entry *entry = calloc(1, sizeof(*entry));
    if (entry == NULL) {
        return NULL;
    }
    atomic_init(&entry->refs, 1);
    entry->memory = malloc(memory_bytes + 1);
    if (payload_count > 0) {
        entry->payloads = calloc(payload_count, sizeof(*entry->payloads));
    }
    if (entry->memory == NULL || (payload_count > 0 && entry->payloads == NULL)) {
        entry_free(entry);
        return NULL;
    }
    entry->payload_count = payload_count;
    entry->bytes = sizeof(*entry) + memory_bytes + payload_count * sizeof(*entry->payloads);
    return entry;
}

size_t entry_command_bytes(const struct entry_command *command)
{
    size_t bytes = COMMAND_HEAD_BYTES + command->command.len;
    for (size_t i = 0; i < command->payload_count; i++) {
        bytes += REFERENCE_HEAD_BYTES + command->payloads[i].key.len;
    }
    return bytes;
}

static uint8_t *put_bytes(uint8_t *at, struct vy_bytes bytes)
{
    if (bytes.len > 0) {
        memcpy(at, bytes.data, bytes.len);
    }
    return at + bytes.len;
}

/* Writes the reference at *at and the value at *value_at. */
static void put_payload(const struct replica_payload *from, struct entry_payload *to, uint8_t **at,
                        uint8_t **value_at)
{
    to->family = from->family;
    to->value_bytes = (uint32_t)from->value.len;
    to->value_crc = vy_crc32c(0, from->value);
    (*at)[0] = (uint8_t)from->family;
    (*at)[1] = (uint8_t)from->key.len;
    vy_put_be32(*at + 2, to->value_bytes);
    vy_put_be32(*at + 6, to->value_crc);
    to->key = vy_bytes(*at + REFERENCE_HEAD_BYTES, from->key.len);
    *at = put_bytes(*at + REFERENCE_HEAD_BYTES, from->key);
    to->value = vy_bytes(*value_at, from->value.len);
    *value_at = put_bytes(*value_at, from->value);
}

static void put_commands(struct entry *entry, const struct entry_command *commands, size_t count,
                         uint8_t *at, uint8_t *value_at)
{
    struct entry_payload *payload = entry->payloads;
    for (size_t i = 0; i < count; i++) {
        vy_put_be32(at, (uint32_t)commands[i].command.len);
        vy_put_be16(at + 4, (uint16_t)commands[i].payload_count);
        at += COMMAND_HEAD_BYTES;
        for (size_t k = 0; k < commands[i].payload_count; k++) {
            put_payload(&commands[i].payloads[k], payload++, &at, &value_at);
        }
        at = put_bytes(at, commands[i].command);
    }
}

struct vy_err entry_new_commands(uint64_t term, uint64_t time_ms,
                                 const struct entry_command *commands, size_t count,
                                 struct entry **out)
{
    size_t body_bytes = BODY_HEAD_BYTES;
    size_t value_bytes = 0;
    size_t payload_count = 0;
    for (size_t i = 0; i < count; i++) {
        body_bytes += entry_command_bytes(&commands[i]);
        payload_count += commands[i].payload_count;
        for (size_t k = 0; k < commands[i].payload_count; k++) {
            value_bytes += commands[i].payloads[k].value.len;
        }
    }
    struct entry *entry = entry_alloc(body_bytes + value_bytes, payload_count);
    if (entry == NULL) {
        return vy_error(VY_CODE_NOMEM, "entry of the log");
    }
    entry->term = term;
    entry->type = ENTRY_COMMANDS;
    entry->body = vy_bytes(entry->memory, body_bytes);
    entry->memory[0] = ENTRY_VERSION;
    vy_put_be64(entry->memory + 1, time_ms);
    vy_put_be16(entry->memory + 9, (uint16_t)count);
    put_commands(entry, commands, count, entry->memory + BODY_HEAD_BYTES,
                 entry->memory + body_bytes);
    *out = entry;
    return vy_ok();
}

struct vy_err entry_new_raw(uint64_t term, enum entry_type type, struct vy_bytes body,
                            struct entry **out)
{
    struct entry *entry = entry_alloc(body.len, 0);
    if (entry == NULL) {
        return vy_error(VY_CODE_NOMEM, "entry of the log");
    }
    entry->term = term;
    entry->type = type;
    entry->body = vy_bytes(entry->memory, body.len);
    put_bytes(entry->memory, body);
    *out = entry;
    return vy_ok();
}

/* ---- reading ---- */

static bool take_reference(struct vy_bytes *rest, struct entry_payload *out)
{
    if (rest->len < REFERENCE_HEAD_BYTES) {
        return false;
    }
    const size_t key_bytes = rest->data[1];
    *out = (struct entry_payload){.family = rest->data[0],
                                  .value_bytes = vy_get_be32(rest->data + 2),
                                  .value_crc = vy_get_be32(rest->data + 6)};
    if (rest->len - REFERENCE_HEAD_BYTES < key_bytes || key_bytes == 0 ||
        out->value_bytes > REPLICA_PAYLOAD_BYTES_MAX) {
        return false;
    }
    out->key = vy_bytes(rest->data + REFERENCE_HEAD_BYTES, key_bytes);
    *rest = vy_bytes_from(*rest, REFERENCE_HEAD_BYTES + key_bytes);
    return true;
}

/* Takes one command; payloads may be NULL. Returns false when it is malformed. */
static bool take_command(struct vy_bytes *rest, struct vy_bytes *command,
                         struct entry_payload *payloads, size_t payloads_max, size_t *count)
{
    if (rest->len < COMMAND_HEAD_BYTES) {
        return false;
    }
    const size_t len = vy_get_be32(rest->data);
    const size_t references = vy_get_be16(rest->data + 4);
    *rest = vy_bytes_from(*rest, COMMAND_HEAD_BYTES);
    for (size_t i = 0; i < references; i++) {
        struct entry_payload payload;
        if (!take_reference(rest, &payload)) {
            return false;
        }
        if (*count < payloads_max && payloads != NULL) {
            payloads[*count] = payload;
        }
        *count += 1;
    }
    if (rest->len < len || len == 0) {
        return false;
    }
    *command = vy_bytes(rest->data, len);
    *rest = vy_bytes_from(*rest, len);
    return true;
}

/* Walks a body of commands; fills payloads when given. */
static struct vy_err walk_body(struct vy_bytes body, struct entry_payload *payloads, size_t max,
                               size_t *payload_count)
{
    *payload_count = 0;
    if (body.len < BODY_HEAD_BYTES) {
        return vy_error(VY_CODE_CORRUPT, "entry is too short");
    }
    if (body.data[0] != ENTRY_VERSION) {
        return vy_error(VY_CODE_UNSUPPORTED, "entry of a newer version");
    }
    const size_t count = vy_get_be16(body.data + 9);
    struct vy_bytes rest = vy_bytes_from(body, BODY_HEAD_BYTES);
    if (count == 0 || count > ENTRY_COMMANDS_MAX) {
        return vy_error(VY_CODE_CORRUPT, "number of commands in an entry");
    }
    for (size_t i = 0; i < count; i++) {
        struct vy_bytes command;
        if (!take_command(&rest, &command, payloads, max, payload_count)) {
            return vy_error(VY_CODE_CORRUPT, "command in an entry");
        }
    }
    if (rest.len != 0 || *payload_count > ENTRY_PAYLOADS_MAX) {
        return vy_error(VY_CODE_CORRUPT, "length of an entry");
    }
    return vy_ok();
}

/* A new entry with a copy of `body`, its references found, room for the values behind it. */
static struct vy_err entry_parse(enum entry_type type, struct vy_bytes body, size_t value_bytes,
                                 struct entry **out)
{
    size_t payload_count = 0;
    if (body.len > ENTRY_BODY_BYTES_MAX) {
        return vy_error(VY_CODE_LIMIT, "entry is too long");
    }
    if (type == ENTRY_COMMANDS) {
        VY_TRY(walk_body(body, NULL, 0, &payload_count));
    }
    struct entry *entry = entry_alloc(body.len + value_bytes, payload_count);
    if (entry == NULL) {
        return vy_error(VY_CODE_NOMEM, "entry of the log");
    }
    put_bytes(entry->memory, body);
    entry->body = vy_bytes(entry->memory, body.len);
    entry->type = type;
    entry->values_room = value_bytes;
    if (payload_count > 0) {
        vy_ignore(walk_body(entry->body, entry->payloads, payload_count, &payload_count),
                  "was just walked");
    }
    *out = entry;
    return vy_ok();
}

/* How many bytes of values a body refers to, no more than are there. */
static size_t values_bound(struct vy_bytes body, size_t available)
{
    struct vy_bytes rest = vy_bytes_from(body, BODY_HEAD_BYTES);
    const size_t count = body.len < BODY_HEAD_BYTES ? 0 : vy_get_be16(body.data + 9);
    size_t bytes = 0;
    for (size_t i = 0; i < count && rest.len >= COMMAND_HEAD_BYTES; i++) {
        const size_t len = vy_get_be32(rest.data);
        const size_t references = vy_get_be16(rest.data + 4);
        struct entry_payload payload;
        rest = vy_bytes_from(rest, COMMAND_HEAD_BYTES);
        for (size_t k = 0; k < references && take_reference(&rest, &payload); k++) {
            bytes += payload.value_bytes;
        }
        rest = vy_bytes_from(rest, VY_MIN(len, rest.len));
    }
    return VY_MIN(bytes, available);
}

struct vy_err entry_from_row(uint64_t index, uint64_t term, enum entry_type type,
                             struct vy_bytes body, bool with_room, struct entry **out)
{
    const bool has_values = with_room && type == ENTRY_COMMANDS;
    const size_t room = has_values ? values_bound(body, REPLICA_PROPOSAL_BYTES_MAX * 2U) : 0;
    VY_TRY(entry_parse(type, body, room, out));
    (*out)->index = index;
    (*out)->term = term;
    return vy_ok();
}

struct vy_err entry_set_value(struct entry *entry, size_t payload_index, struct vy_bytes value)
{
    struct entry_payload *payload = &entry->payloads[payload_index];
    if (value.len != payload->value_bytes || vy_crc32c(0, value) != payload->value_crc) {
        return vy_error(VY_CODE_CORRUPT, "checksum of a payload");
    }
    if (value.len > entry->values_room - entry->values_bytes) {
        return vy_error(VY_CODE_CORRUPT, "payloads of an entry are too long");
    }
    uint8_t *at = entry->memory + entry->body.len + entry->values_bytes;
    put_bytes(at, value);
    payload->value = vy_bytes(at, value.len);
    entry->values_bytes += value.len;
    return vy_ok();
}

void entry_begin(const struct entry *entry, struct entry_cursor *cursor)
{
    VY_ASSERT(entry->type == ENTRY_COMMANDS && entry->body.len >= BODY_HEAD_BYTES);
    cursor->version = entry->body.data[0];
    cursor->time_ms = vy_get_be64(entry->body.data + 1);
    cursor->left = vy_get_be16(entry->body.data + 9);
    cursor->rest = vy_bytes_from(entry->body, BODY_HEAD_BYTES);
}

bool entry_next(struct entry_cursor *cursor, struct vy_bytes *command)
{
    size_t ignored = 0;
    if (cursor->left == 0) {
        return false;
    }
    cursor->left--;
    return take_command(&cursor->rest, command, NULL, 0, &ignored);
}

uint64_t entry_time_ms(const struct entry *entry)
{
    const bool has_time = entry->type == ENTRY_COMMANDS && entry->body.len >= BODY_HEAD_BYTES;
    return has_time ? vy_get_be64(entry->body.data + 1) : 0;
}

/* ---- wire ---- */

void entry_to_wire(const struct entry *entry, struct vy_buf *out)
{
    vy_buf_append_be64(out, entry->term);
    vy_buf_append_byte(out, (uint8_t)entry->type);
    vy_buf_append_be32(out, (uint32_t)entry->body.len);
    vy_buf_append(out, entry->body);
    for (size_t i = 0; i < entry->payload_count; i++) {
        const struct entry_payload *payload = &entry->payloads[i];
        VY_ASSERT(payload->is_gone || payload->value.data != NULL);
        vy_buf_append_byte(out, payload->is_gone ? 0 : 1);
        if (!payload->is_gone) {
            vy_buf_append(out, payload->value);
        }
    }
}

/* The values of `entry` from *in. */
static struct vy_err take_values(struct vy_bytes *in, struct entry *entry)
{
    for (size_t i = 0; i < entry->payload_count; i++) {
        struct entry_payload *payload = &entry->payloads[i];
        if (in->len < 1 || in->data[0] > 1) {
            return vy_error(VY_CODE_CORRUPT, "payload of an entry");
        }
        payload->is_gone = in->data[0] == 0;
        *in = vy_bytes_from(*in, 1);
        if (payload->is_gone) {
            continue;
        }
        if (in->len < payload->value_bytes) {
            return vy_error(VY_CODE_CORRUPT, "payload is cut");
        }
        VY_TRY(entry_set_value(entry, i, vy_bytes(in->data, payload->value_bytes)));
        *in = vy_bytes_from(*in, payload->value_bytes);
    }
    return vy_ok();
}

struct vy_err entry_from_wire(struct vy_bytes *in, struct entry **out)
{
    if (in->len < WIRE_HEAD_BYTES) {
        return vy_error(VY_CODE_CORRUPT, "entry is cut");
    }
    const uint64_t term = vy_get_be64(in->data);
    const uint8_t type = in->data[8];
    const size_t body_bytes = vy_get_be32(in->data + 9);
    if (type < ENTRY_COMMANDS || type > ENTRY_CHANGE || term == 0) {
        return vy_error(VY_CODE_CORRUPT, "kind of an entry");
    }
    if (in->len - WIRE_HEAD_BYTES < body_bytes) {
        return vy_error(VY_CODE_CORRUPT, "entry is cut");
    }
    const struct vy_bytes body = vy_bytes(in->data + WIRE_HEAD_BYTES, body_bytes);
    struct vy_bytes rest = vy_bytes_from(*in, WIRE_HEAD_BYTES + body_bytes);
    const size_t value_bytes = type == ENTRY_COMMANDS ? values_bound(body, rest.len) : 0;
    struct entry *entry = NULL;
    VY_TRY(entry_parse((enum entry_type)type, body, value_bytes, &entry));
    entry->term = term;
    const struct vy_err err = take_values(&rest, entry);
    if (vy_failed(err)) {
        entry_unref(entry);
        return err;
    }
    *in = rest;
    *out = entry;
    return vy_ok();
}
