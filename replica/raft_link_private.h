/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The two halves of a raft link: raft_link.c sends, raft_link_in.c receives. */
#include "base/list.h"
#include "proto/rpc_server.h"
#include "replica/raft_link.h"

/* A piece: u32 bytes of the frame that are still to come behind it, then its own. */
#define PIECE_HEADER_BYTES 4U
#define PIECE_BYTES_MAX (128U * 1024U)
/* The request that opens a call: version, who sends, whom it is meant for. */
#define OPENING_VERSION 1U
#define OPENING_BYTES 17U

struct raft_peer {
    struct raft_link *owner;
    uint64_t id;
    char node[RPC_NAME_BYTES_MAX + 1];
    char address[REPLICA_ADDRESS_BYTES_MAX + 1];
    struct rpc_link *link; /* owned */
    struct rpc_call *call; /* NULL: not reachable */
    uint64_t opened_ms;    /* when it was */
    uint64_t reopen_at_ms; /* UINT64_MAX: when the link is up again */
    uint32_t reopen_ms;    /* the next pause before it */
    enum vy_code ended;    /* why the last short one did: the log says it once */
    struct vy_list frames; /* queue; the first may be under way */
    uint64_t queue_bytes;
    size_t queue_frames;
    struct raft_incoming *incoming;           /* its call to us; NULL: none */
    struct raft_bulk *bulk;                   /* owned; NULL: nothing was sent lately */
    struct raft_bulk_incoming *bulk_incoming; /* its call to us; NULL: none */
};

struct raft_link {
    struct replica_transport transport;
    struct rpc_config rpc; /* whole copy, of what it points to nothing */
    uint64_t member_id;
    uint64_t queue_bytes_max;
    void (*on_frame)(void *arg, uint64_t member_id, struct vy_bytes frame);
    void (*on_bulk)(void *arg, uint64_t member_id, struct vy_bytes frame);
    void *arg;
    struct rpc_server *server;                    /* owned; NULL: alone */
    struct rpc_server_method methods[2];          /* its table: messages, bulk */
    struct vy_timer *timer;                       /* opens calls that ended on a link that is up */
    struct raft_peer *peers[RAFT_LINK_PEERS_MAX]; /* owned */
    size_t peer_count;
    struct raft_link_stats stats;
    uint8_t piece[PIECE_HEADER_BYTES + PIECE_BYTES_MAX]; /* being built */
};

/* Tells the replica when nothing is left in either direction. */
void raft_link_note_loss(struct raft_peer *peer);
struct raft_peer *raft_link_find(struct raft_link *link, uint64_t member_id);
/* raft_bulk.c */
void raft_bulk_send(struct replica_transport *transport, uint64_t member_id, struct vy_bytes bytes);
struct rpc_server_method raft_bulk_method(const struct raft_link *link);
void raft_bulk_end(struct raft_peer *peer);
void raft_bulk_end_incoming(struct raft_peer *peer); /* it is to be freed */
/* raft_link_in.c */
/* The peer that opens a call, if it may (R2); NULL: the call was refused. */
struct raft_peer *raft_link_admit(struct raft_link *link, struct rpc_server_call *call,
                                  struct vy_bytes opening);
void raft_link_end_incoming(struct raft_peer *peer); /* it is to be freed */
VY_CHECKED struct vy_err raft_link_listen(struct raft_link *link, const char *address);
