/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/rpc_block.h"

#include "base/assert.h"
#include <stdlib.h>

/* Above any sum of a headroom and a frame: sizes fit u32 without further thought. */
#define BLOCK_BYTES_MAX (1U << 30)

struct rpc_block *rpc_block_new(size_t headroom, size_t size)
{
    VY_ASSERT(headroom <= BLOCK_BYTES_MAX && size <= BLOCK_BYTES_MAX);
    struct rpc_block *block = malloc(sizeof(*block) + headroom + size);
    if (block == NULL) {
        return NULL;
    }
    block->next = NULL;
    block->start = (uint32_t)headroom;
    block->end = (uint32_t)headroom;
    block->capacity = (uint32_t)(headroom + size);
    return block;
}

void rpc_block_free(struct rpc_block *block)
{
    free(block);
}

struct rpc_block *rpc_block_new_frame(const struct rpc_frame *frame)
{
    struct rpc_block *block = rpc_block_new(0, RPC_FRAME_HEADER_BYTES + frame->payload.len);
    if (block == NULL) {
        return NULL;
    }
    rpc_frame_write_header(frame, block->data);
    block->end = RPC_FRAME_HEADER_BYTES;
    rpc_block_append(block, frame->payload);
    return block;
}

void rpc_block_append(struct rpc_block *block, struct vy_bytes bytes)
{
    VY_ASSERT(bytes.len <= rpc_block_room(block));
    if (bytes.len == 0) {
        return;
    }
    memcpy(block->data + block->end, bytes.data, bytes.len);
    block->end += (uint32_t)bytes.len;
}

void rpc_block_list_push(struct rpc_block_list *list, struct rpc_block *block)
{
    block->next = NULL;
    if (list->first == NULL) {
        list->first = block;
    } else {
        list->last->next = block;
    }
    list->last = block;
    list->bytes += block->end - block->start;
}

struct rpc_block *rpc_block_list_pop(struct rpc_block_list *list)
{
    struct rpc_block *block = list->first;
    if (block == NULL) {
        return NULL;
    }
    list->first = block->next;
    list->bytes -= block->end - block->start;
    block->next = NULL;
    return block;
}

void rpc_block_list_join(struct rpc_block_list *list, struct rpc_block_list *tail)
{
    if (tail->first == NULL) {
        return;
    }
    if (list->first == NULL) {
        list->first = tail->first;
    } else {
        list->last->next = tail->first;
    }
    list->last = tail->last;
    list->bytes += tail->bytes;
    *tail = (struct rpc_block_list){.first = NULL};
}

void rpc_block_list_clear(struct rpc_block_list *list)
{
    struct rpc_block *block = rpc_block_list_pop(list);
    while (block != NULL) {
        rpc_block_free(block);
        block = rpc_block_list_pop(list);
    }
}
