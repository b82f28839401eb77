/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Arenas: memory of one lifetime (connection, command, step), freed at once, with a limit in bytes.
 * Allocation over the limit, or when the machine has none left, returns NULL; the caller answers
 * LIMIT. Memory is zeroed and aligned to 16. Poisoned on reset under ASan; -DVOLARY_ARENA_MALLOC
 * makes each allocation a malloc of its own.
 */
#include "base/bytes.h"
#include "base/err.h"

struct vy_arena_block;
struct vy_arena {
    struct vy_arena_block *blocks; /* owned, newest first */
    size_t used_bytes;             /* handed out since the last reset */
    size_t limit_bytes;
    size_t block_bytes; /* of the next block; 0: chosen */
};

void vy_arena_init(struct vy_arena *arena, size_t limit_bytes);
/* Keeps one block of ordinary size for reuse. Everything handed out is gone. */
void vy_arena_reset(struct vy_arena *arena);
/* Resets and gives all memory back; the arena stays usable. */
void vy_arena_deinit(struct vy_arena *arena);

void *vy_arena_alloc(struct vy_arena *arena, size_t size);
void *vy_arena_array(struct vy_arena *arena, size_t count, size_t item_size);
/* Copies; *out is a slice with a NUL behind it that is not counted. */
VY_CHECKED struct vy_err vy_arena_dup(struct vy_arena *arena, struct vy_bytes bytes,
                                      struct vy_bytes *out);
const char *vy_arena_cstr(struct vy_arena *arena, struct vy_bytes bytes); /* NULL: no memory */
const char *vy_arena_printf(struct vy_arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#define VY_ARENA_NEW(arena, type) ((type *)vy_arena_alloc((arena), sizeof(type)))
#define VY_ARENA_ARRAY(arena, count, type) ((type *)vy_arena_array((arena), (count), sizeof(type)))
