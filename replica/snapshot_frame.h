/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What members say to each other about snapshots, on a link of its own. The receiver pulls: it asks
 * for pieces of files, so that it alone knows how far it is, and goes on after any interruption.
 *
 *   sender                         receiver
 *   OFFER id, index, list's hash ->
 *                                <- FETCH id, file, offset, length     (file 0: the list)
 *   DATA id, file, offset, bytes ->
 *                                <- DONE id, outcome
 *   GONE id ->                                                (there is no such snapshot any more)
 *
 * Frames may be lost, late or twice there. A checksum goes over the whole frame.
 */
#include "replica/snapshot_files.h"

#define SNAPSHOT_PIECE_BYTES (128U * 1024) /* with its head one message of the link */
#define SNAPSHOT_FRAME_BYTES_MAX (SNAPSHOT_PIECE_BYTES + 256U)

enum snapshot_kind {
    SNAPSHOT_OFFER = 1,
    SNAPSHOT_FETCH,
    SNAPSHOT_DATA,
    SNAPSHOT_DONE,
    SNAPSHOT_GONE
};
enum snapshot_outcome {
    SNAPSHOT_TAKEN = 1, /* whole, and about to be put in place */
    SNAPSHOT_NOT_NEEDED,
    SNAPSHOT_DAMAGED, /* it came damaged, more than once */
    SNAPSHOT_NO_SPACE,
    SNAPSHOT_FAILED /* the receiver's own trouble; its log says which */
};
struct snapshot_frame {
    enum snapshot_kind kind;
    uint8_t cluster_id[REPLICA_CLUSTER_ID_BYTES];
    uint64_t group_id;
    uint64_t from;
    uint64_t to;
    struct snapshot_offer offer;   /* OFFER; of the others only the id */
    uint32_t file;                 /* FETCH, DATA: 0 the list, else place in it + 1 */
    uint64_t offset;               /* FETCH, DATA */
    uint32_t length;               /* FETCH: 1 to SNAPSHOT_PIECE_BYTES */
    enum snapshot_outcome outcome; /* DONE */
    struct vy_bytes bytes;         /* DATA; borrowed */
};
/* @errors LIMIT */
VY_CHECKED struct vy_err snapshot_frame_encode(const struct snapshot_frame *frame,
                                               struct vy_buf *out);
/* @errors CORRUPT, LIMIT, UNSUPPORTED */
VY_CHECKED struct vy_err snapshot_frame_decode(struct vy_bytes bytes, struct snapshot_frame *out);
