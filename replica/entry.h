/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * One entry of the log: many commands packed, or a no-op, or a change of members. Its body is what
 * the log row holds; large payloads are referred to there and lie under their own keys. Knows
 * neither raft nor threads, but for its reference count.
 *
 * Body of commands, big-endian: version u8, time u64, command count u16; each command: length u32,
 * payload count u16, payload references, bytes. A reference: family u8, key length u8, value length
 * u32, CRC-32C of the value u32, key.
 */
#include "base/buf.h"
#include "base/list.h"
#include "replica/replica.h"
#include <stdatomic.h>

enum entry_type { ENTRY_COMMANDS = 1, ENTRY_BARRIER = 2, ENTRY_CHANGE = 3 };

#define ENTRY_VERSION 1U
#define ENTRY_COMMANDS_MAX 1024U               /* of one entry */
#define ENTRY_PACK_BYTES 65536U                /* commands are packed up to this */
#define ENTRY_PACK_PAYLOAD_BYTES (256U * 1024) /* and payloads up to this */
/* A proposal at its limits, its references and frames. */
#define ENTRY_BODY_BYTES_MAX (REPLICA_COMMAND_BYTES_MAX + 131072U)
#define ENTRY_PAYLOADS_MAX 4096U /* of one entry */

struct entry_payload {
    unsigned family;
    struct vy_bytes key;
    struct vy_bytes value; /* data is NULL when it is not in memory */
    uint32_t value_bytes;
    uint32_t value_crc;
    bool is_gone; /* was deleted since: there is no value any more */
};

struct flight; /* the proposals of an entry that was made here (queue.c) */

struct entry {
    atomic_uint refs;
    uint64_t index; /* set once it has its place in the log */
    uint64_t term;
    enum entry_type type;
    struct vy_bytes body;
    struct entry_payload *payloads;
    size_t payload_count;
    size_t bytes;          /* of memory, roughly what its write costs */
    struct flight *flight; /* borrowed; the writer only hands it back */
    bool is_own;           /* had one from the start: somebody waits for what it does */
    uint8_t *memory;       /* owned: body, then values */
    size_t values_bytes;   /* of values there */
    size_t values_room;
};

/* One proposal as it is packed. */
struct entry_command {
    struct vy_bytes command;
    const struct replica_payload *payloads;
    size_t payload_count;
};

/* Copies everything; one reference. @errors NOMEM */
VY_CHECKED struct vy_err entry_new_commands(uint64_t term, uint64_t time_ms,
                                            const struct entry_command *commands, size_t count,
                                            struct entry **out);
VY_CHECKED struct vy_err entry_new_raw(uint64_t term, enum entry_type type, struct vy_bytes body,
                                       struct entry **out);
/* From a log row. with_room: entry_set_value will be called for every payload that is still there;
 * otherwise values stay on disk. @errors CORRUPT; UNSUPPORTED newer version; NOMEM */
VY_CHECKED struct vy_err entry_from_row(uint64_t index, uint64_t term, enum entry_type type,
                                        struct vy_bytes body, bool with_room, struct entry **out);
/* @errors CORRUPT not the value that was referred to */
VY_CHECKED struct vy_err entry_set_value(struct entry *entry, size_t payload,
                                         struct vy_bytes value);
struct entry *entry_ref(struct entry *entry);
void entry_unref(struct entry *entry); /* NULL is allowed. @thread any */

/* Bytes that a command adds to a body. */
size_t entry_command_bytes(const struct entry_command *command);

/* Reading the commands of a body that was checked. */
struct entry_cursor {
    struct vy_bytes rest;
    uint64_t time_ms;
    uint32_t version;
    size_t left;
};
void entry_begin(const struct entry *entry, struct entry_cursor *cursor);
bool entry_next(struct entry_cursor *cursor, struct vy_bytes *command);
uint64_t entry_time_ms(const struct entry *entry); /* 0: it has none */

/* Wire form: term u64, type u8, body length u32, body, then for every payload a presence byte and
 * the value. Values must be in memory or gone. */
void entry_to_wire(const struct entry *entry, struct vy_buf *out);
/* Takes one entry off the front of *in. @errors CORRUPT, LIMIT, UNSUPPORTED, NOMEM */
VY_CHECKED struct vy_err entry_from_wire(struct vy_bytes *in, struct entry **out);
