/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Messages between members as bytes: one frame is one message, bounded, with a checksum over
 * everything, the cluster and group it belongs to, who sent it in which life and as which number.
 * Decoding checks everything that can be checked without knowing the log (R7).
 */
#include "replica/core.h"

#define FRAME_VERSION 1U
#define FRAME_HEAD_BYTES 78U
#define FRAME_ENTRIES_MAX 4096U
#define FRAME_INDEX_MAX (1ULL << 62) /* terms and indexes; nobody gets there */
/* Entries of one frame are this long together, unless it is a single one. */
#define FRAME_ENTRIES_BYTES (1024U * 1024)

struct frame_head {
    uint8_t cluster_id[REPLICA_CLUSTER_ID_BYTES];
    uint64_t group_id;
    uint64_t from;
    uint64_t to;
    uint64_t incarnation; /* of the sender */
    uint64_t number;      /* rises within an incarnation */
    uint64_t wall_ms;     /* the sender's clock (P15) */
    bool is_full;         /* the sender's disk (P13) */
};

/* An append's entries must be in message->entries with their payloads. @errors LIMIT too long */
VY_CHECKED struct vy_err frame_encode(const struct frame_head *head,
                                      const struct core_message *message, struct vy_buf *out);
/* message->entries is an array on the heap: frame_message_deinit. @errors CORRUPT, LIMIT,
 * UNSUPPORTED, NOMEM */
VY_CHECKED struct vy_err frame_decode(struct vy_bytes frame, struct frame_head *head,
                                      struct core_message *message);
void frame_message_deinit(struct core_message *message);
