/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A group of replicas in one thread: virtual time, a network that delays, loses, repeats, reorders
 * and cuts by seed, disks that take their time and lose what was not synced. Checks after every
 * step what the group owes: one leader in a term, equal digests at equal indexes.
 */
#include "replica/replica_fixture.h"
#include "replica/store_mem.h"
#include "tests/lib/fake_clock.h"
#include "tests/lib/fake_loop.h"
#include "tests/lib/fake_rng.h"

#define CLUSTER_NODES_MAX 8U

struct cluster;
struct cluster_node {
    struct cluster *cluster;
    unsigned number;
    uint64_t id;           /* of the member that lives here; 0: none */
    struct vy_clock clock; /* the cluster's, with a wall clock of its own */
    int64_t wall_offset_ms;
    struct store_mem_disk *disk;
    struct kv_fsm fsm;
    struct replica_transport transport;
    struct replica *replica; /* NULL: down */
    uint64_t pump_due_ms;    /* UINT64_MAX: the disk rests */
    unsigned failures;
    unsigned opened;
    uint64_t persisted_index; /* last known, also while down */
    unsigned installs_seen;
    uint64_t installs; /* snapshots put in place, in all its lives */
    uint64_t cuts;     /* times the log was seen to begin later */
    uint64_t log_first_index;
    bool is_stopped;
    bool is_member; /* as the newest entry of its log says */
    char address[24];
    char dir[96];
    char ticket[128];
};
struct cluster_packet {
    uint64_t due_ms;
    uint64_t serial;
    unsigned from;
    uint64_t to_id;
    bool is_bulk;
    uint64_t from_id;
    uint8_t *bytes; /* owned */
    size_t len;
};
struct cluster {
    struct fake_clock clock;
    struct fake_loop loop;
    struct fake_rng rng;
    unsigned count;
    struct cluster_node nodes[CLUSTER_NODES_MAX];
    struct cluster_packet *packets;
    size_t packet_count;
    size_t packet_capacity;
    uint64_t serial;
    bool is_cut[CLUSTER_NODES_MAX][CLUSTER_NODES_MAX];
    unsigned loss_permille;
    unsigned repeat_permille;
    uint64_t delay_ms_max;
    uint64_t disk_ms_max;
    uint64_t log_keep_entries;     /* of nodes started from now on */
    uint64_t log_max_entries;      /* likewise */
    uint64_t snapshot_bytes_per_s; /* likewise */
    struct vy_log log;             /* likewise; silent unless CLUSTER_LOG is set */
    uint64_t last_index;           /* of any log, ever */
    uint64_t scrub_period_ms;      /* likewise; 0: no scrub */
    bool may_differ;               /* a test damages a disk */
    uint64_t next_id;              /* of members that join */
    uint64_t *leaders;             /* by term: number + 1 */
    size_t leader_terms;
    uint64_t *digests; /* by index; 0: not seen */
    size_t digest_count;
    char dir[64];
};

struct cluster *cluster_new(unsigned count, uint64_t seed);
struct cluster_options {
    unsigned count;
    uint64_t seed;
    uint64_t scrub_period_ms; /* members compare their tables, and must find them equal; 0: never */
    uint64_t log_max_entries; /* who is away longer needs a snapshot; 0: the default */
};
struct cluster *cluster_new_with(const struct cluster_options *options);
/* Flips a bit in a file of a snapshot that is on its way to this node. False: there is none. */
bool cluster_damage_snapshot(struct cluster *cluster, unsigned number);
void cluster_free(struct cluster *cluster);
unsigned cluster_random(struct cluster *cluster, unsigned below);
void cluster_start_node(struct cluster *cluster, unsigned number);
/* A place for one more member: an empty disk, a new id, and a ticket to join those of the leader.
 * Not started, and nobody was told. */
struct cluster_node *cluster_new_node(struct cluster *cluster);
/* Its disk is gone for good; the place can be used again. */
void cluster_lose_node(struct cluster *cluster, unsigned number);
struct cluster_node *cluster_find_node(struct cluster *cluster, uint64_t id); /* NULL: none */
void cluster_stop_node(struct cluster *cluster, unsigned number);
uint64_t cluster_member_id(unsigned number); /* of a node, in raft */
/* As a power cut: keeps a random part of what was not synced. */
void cluster_crash_node(struct cluster *cluster, unsigned number);
void cluster_isolate(struct cluster *cluster, unsigned number, bool is_cut);
void cluster_heal(struct cluster *cluster);
/* One event: posts, the next packet, write or timer. False: nothing is due before `end_ms`, where
 * time stands then. */
bool cluster_step(struct cluster *cluster, uint64_t end_ms);
void cluster_run_ms(struct cluster *cluster, uint64_t ms);
/* The member that leads and can prove it to itself; NULL within `ms`: none. */
struct cluster_node *cluster_wait_leader(struct cluster *cluster, uint64_t ms);
struct cluster_node *cluster_leader(struct cluster *cluster); /* of the highest term; or NULL */
struct cluster_node *cluster_follower(struct cluster *cluster);
/* Until *answers of the call is not zero. */
void cluster_wait_call(struct cluster *cluster, const struct call *call, uint64_t ms);
/* Through whoever leads; it is applied when this returns. */
void cluster_propose_ok(struct cluster *cluster, const char *command);
