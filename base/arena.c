/* SPDX-License-Identifier: Apache-2.0 */
#include "base/arena.h"

#include "base/assert.h"
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__)
#define ARENA_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_ASAN 1
#endif
#endif
#ifdef ARENA_ASAN
#include <sanitizer/asan_interface.h>
#define POISON(address, size) ASAN_POISON_MEMORY_REGION(address, size)
#define UNPOISON(address, size) ASAN_UNPOISON_MEMORY_REGION(address, size)
#else
#define POISON(address, size) ((void)(address), (void)(size))
#define UNPOISON(address, size) ((void)(address), (void)(size))
#endif

#define ARENA_ALIGN 16U
#define ARENA_BLOCK_BYTES_FIRST 1024U
#define ARENA_BLOCK_BYTES_MAX (256U * 1024U)

struct vy_arena_block {
    struct vy_arena_block *next; /* older */
    size_t size;                 /* of data */
    size_t used;
    size_t unused; /* keeps data aligned */
    uint8_t data[];
};
static_assert(sizeof(struct vy_arena_block) % ARENA_ALIGN == 0, "block data must be aligned");

void vy_arena_init(struct vy_arena *arena, size_t limit_bytes)
{
    *arena = (struct vy_arena){.limit_bytes = limit_bytes};
}

static void free_blocks(struct vy_arena_block *block)
{
    while (block != NULL) {
        struct vy_arena_block *next = block->next;
        UNPOISON(block->data, block->size);
        free(block);
        block = next;
    }
}

void vy_arena_reset(struct vy_arena *arena)
{
    struct vy_arena_block *kept = arena->blocks;
    arena->used_bytes = 0;
    if (kept == NULL) {
        return;
    }
#ifdef VOLARY_ARENA_MALLOC
    free_blocks(kept);
    arena->blocks = NULL;
#else
    free_blocks(kept->next);
    kept->next = NULL;
    kept->used = 0;
    POISON(kept->data, kept->size);
    if (kept->size > ARENA_BLOCK_BYTES_MAX) { /* one large allocation is not the usual need */
        vy_arena_deinit(arena);
    }
#endif
}

void vy_arena_deinit(struct vy_arena *arena)
{
    free_blocks(arena->blocks);
    arena->blocks = NULL;
    arena->used_bytes = 0;
    arena->block_bytes = 0;
}

/* A new newest block with room for `size`. NULL: no memory. */
static struct vy_arena_block *add_block(struct vy_arena *arena, size_t size)
{
    size_t block_bytes = arena->block_bytes == 0 ? ARENA_BLOCK_BYTES_FIRST : arena->block_bytes;
#ifdef VOLARY_ARENA_MALLOC
    block_bytes = 0;
#endif
    block_bytes = VY_MIN(block_bytes, arena->limit_bytes - arena->used_bytes);
    block_bytes = VY_MAX(block_bytes, size);
    struct vy_arena_block *block = malloc(sizeof(*block) + block_bytes);
    if (block == NULL) {
        return NULL;
    }
    block->size = block_bytes;
    block->used = 0;
    block->next = arena->blocks;
    POISON(block->data, block->size);
    arena->blocks = block;
    arena->block_bytes = VY_MIN(block_bytes * 2, (size_t)ARENA_BLOCK_BYTES_MAX);
    return block;
}

void *vy_arena_alloc(struct vy_arena *arena, size_t size)
{
    const size_t wanted = size == 0 ? 1 : size;
    if (wanted > SIZE_MAX - ARENA_ALIGN) {
        return NULL;
    }
    const size_t rounded = (wanted + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);
    VY_DEBUG_ASSERT(arena->used_bytes <= arena->limit_bytes);
    if (rounded > arena->limit_bytes - arena->used_bytes) {
        return NULL;
    }
    struct vy_arena_block *block = arena->blocks;
    if (block == NULL || rounded > block->size - block->used) {
        block = add_block(arena, rounded);
        if (block == NULL) {
            return NULL;
        }
    }
    uint8_t *memory = block->data + block->used;
    block->used += rounded;
    arena->used_bytes += rounded;
    UNPOISON(memory, wanted);
    memset(memory, 0, wanted);
    return memory;
}

void *vy_arena_array(struct vy_arena *arena, size_t count, size_t item_size)
{
    size_t size = 0;
    return vy_mul_size(count, item_size, &size) ? vy_arena_alloc(arena, size) : NULL;
}

struct vy_err vy_arena_dup(struct vy_arena *arena, struct vy_bytes bytes, struct vy_bytes *out)
{
    uint8_t *copy = bytes.len == SIZE_MAX ? NULL : vy_arena_alloc(arena, bytes.len + 1);
    if (copy == NULL) {
        return vy_error(VY_CODE_LIMIT, "arena");
    }
    if (bytes.len > 0) {
        memcpy(copy, bytes.data, bytes.len);
    }
    *out = vy_bytes(copy, bytes.len);
    return vy_ok();
}

const char *vy_arena_cstr(struct vy_arena *arena, struct vy_bytes bytes)
{
    struct vy_bytes copy;
    return vy_failed(vy_arena_dup(arena, bytes, &copy)) ? NULL : (const char *)copy.data;
}

const char *vy_arena_printf(struct vy_arena *arena, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *text = len < 0 ? NULL : vy_arena_alloc(arena, (size_t)len + 1);
    if (text == NULL) {
        return NULL;
    }
    va_start(args, format);
    (void)vsnprintf(text, (size_t)len + 1, format, args);
    va_end(args);
    return text;
}
