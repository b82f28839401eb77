/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Blocks: heap memory that holds whole frames on their way out. They are moved, not copied: from
 * the call to the writer, to the transport, and in a process to the peer.
 */
#include "proto/rpc_frame.h"

struct rpc_block {
    struct rpc_block *next;
    uint32_t start; /* first byte to send; room before it for headers written late */
    uint32_t end;
    uint32_t capacity;
    uint8_t data[];
};
struct rpc_block_list {
    struct rpc_block *first; /* owned */
    struct rpc_block *last;
    size_t bytes;
};

/* Room for `size` bytes behind `headroom` ones. NULL: no memory. */
struct rpc_block *rpc_block_new(size_t headroom, size_t size);
void rpc_block_free(struct rpc_block *block); /* NULL is allowed */
/* A block with one frame; frame->payload is copied. NULL: no memory. */
struct rpc_block *rpc_block_new_frame(const struct rpc_frame *frame);
static inline struct vy_bytes rpc_block_bytes(const struct rpc_block *block)
{
    return vy_bytes(block->data + block->start, block->end - block->start);
}
static inline size_t rpc_block_room(const struct rpc_block *block)
{
    return block->capacity - block->end;
}
void rpc_block_append(struct rpc_block *block, struct vy_bytes bytes); /* must fit */

static inline bool rpc_block_list_is_empty(const struct rpc_block_list *list)
{
    return list->first == NULL;
}
void rpc_block_list_push(struct rpc_block_list *list, struct rpc_block *block);
struct rpc_block *rpc_block_list_pop(struct rpc_block_list *list); /* NULL: empty */
void rpc_block_list_join(struct rpc_block_list *list,
                         struct rpc_block_list *tail); /* tail becomes empty */
void rpc_block_list_clear(struct rpc_block_list *list);
