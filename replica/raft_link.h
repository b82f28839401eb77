/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The transport of a replica over the link: to each other member one connection of its own, with
 * one unending call of RAFT_METHOD_MESSAGES on it, so that raft messages never queue behind mail;
 * and a server on the raft port for theirs to us. Frames beyond one message of the link travel in
 * pieces. Nothing is kept for a member that cannot be reached: raft sends again.
 *
 * Snapshots have a second connection to a member while they are on their way (raft_bulk.c).
 *
 * Who may speak for a member is decided by its node's name, which TLS proves (R2): a peer that
 * claims another node's member is cut off and logged as an error.
 *
 * @thread  that of config->rpc->loop, which is the replica's
 */
#include "proto/rpc.h"
#include "replica/replica.h"

#define RAFT_LINK_QUEUE_BYTES (16U * 1024U * 1024U) /* per member: two of the largest frames */
#define RAFT_LINK_QUEUE_FRAMES_MAX 4096U

struct raft_link;

struct raft_link_member {
    uint64_t id;
    const char *node;    /* as certificates name it */
    const char *address; /* of its raft port (rpc.h) */
};
#define RAFT_LINK_PEERS_MAX                                                                        \
    (2U * REPLICA_MEMBERS_MAX) /* members, and those that are introduced                           \
                                */
struct raft_link_config {
    const struct rpc_config *rpc;           /* borrowed whole, must outlive the link */
    uint64_t member_id;                     /* ours */
    const struct raft_link_member *members; /* the group; ours may be among them. Copied */
    size_t member_count;                    /* at most RAFT_LINK_PEERS_MAX */
    const char *listen;       /* address of our raft port; NULL: we are alone, nobody calls */
    uint64_t queue_bytes_max; /* per member; 0: RAFT_LINK_QUEUE_BYTES */
    /* A whole frame from a member that has proven who it is: replica_receive. `frame` is valid
     * during the call. */
    void (*on_frame)(void *arg, uint64_t member_id, struct vy_bytes frame);
    /* The same for replica_receive_bulk. */
    void (*on_bulk)(void *arg, uint64_t member_id, struct vy_bytes frame);
    void *arg;
};
/* Listens and starts dialling. @errors ARGUMENT; what rpc_server_listen says */
VY_CHECKED struct vy_err raft_link_new(const struct raft_link_config *config,
                                       struct raft_link **out);
/* Other members; connections to those that stay where they were are kept. Not inside on_frame.
 * @errors ARGUMENT; what rpc_link_new says, and then it has some of them */
VY_CHECKED struct vy_err
raft_link_set_members(struct raft_link *link, const struct raft_link_member *members, size_t count);
/* The replica must not send any more. NULL is allowed. */
void raft_link_free(struct raft_link *link);
/* For replica_config; lives as long as the link. */
struct replica_transport *raft_link_transport(struct raft_link *link);
uint16_t raft_link_port(const struct raft_link *link);
/* A call to that member is open: frames go out now. */
bool raft_link_reaches(const struct raft_link *link, uint64_t member_id);

/* Counted since the start. */
struct raft_link_stats {
    uint64_t frames_sent;
    uint64_t frames_dropped; /* member not reachable, queue full, or never finished */
    uint64_t frames_received;
    uint64_t peers_denied; /* claimed a member of another node, or one that is none (R2) */
    uint64_t peers_broken; /* sent pieces that make no frame */
    uint64_t bulk_sent;    /* frames of snapshots */
    uint64_t bulk_dropped;
};
const struct raft_link_stats *raft_link_stats(const struct raft_link *link);
