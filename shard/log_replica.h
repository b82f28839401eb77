/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The shard's log on the replica engine: the state machine as the engine wants it (apply on its
 * writer, events handed to the loop in order once they are durable), and the log as the service
 * wants it (shard_log.h).
 *
 * Order of life: new, replica_open with log_replica_fsm(), attach, set_listener, replica_start;
 * replica_stop, free the service, detach, replica_free, free.
 */
#include "base/log.h"
#include "replica/replica.h"
#include "shard/shard_log.h"

struct log_replica;

struct log_replica_config {
    size_t cache_bytes; /* decoded mailboxes; 0: the state machine's default */
    uint64_t hash_seed;
    const struct vy_log *log;
    /* Node name of a member, for leader hints; NULL: not known. */
    const char *(*name_member)(void *arg, uint64_t member_id);
    void *name_member_arg;
    struct vy_workers *expel_workers; /* borrowed; NULL: a thread of its own (expel.h) */
};
/* @thread the loop's. NULL members are fine. */
struct log_listener {
    void (*on_event)(void *arg, const struct fsm_event *event);
    void (*on_events_lost)(void *arg); /* some before; fences are never among them */
    void (*on_installed)(void *arg);   /* a snapshot took the place of the database */
    void (*on_leader)(void *arg, bool is_leader);
};

/* As a shard's store is opened, in their order behind the engine's. */
void shard_list_families(struct store_family out[SHARD_FAMILY_COUNT]);
VY_CHECKED struct vy_err log_replica_new(const struct log_replica_config *config,
                                         struct log_replica **out);
void log_replica_free(struct log_replica *log); /* the replica is stopped; NULL is allowed */
struct replica_fsm *log_replica_fsm(struct log_replica *log);
/* replica and loop: borrowed. @errors NOMEM */
VY_CHECKED struct vy_err log_replica_attach(struct log_replica *log, struct replica *replica,
                                            struct vy_loop *loop);
/* Before the replica is freed; waits for what is being rewritten. Attached or not. */
void log_replica_detach(struct log_replica *log);
void log_replica_set_listener(struct log_replica *log, const struct log_listener *listener,
                              void *arg);
struct shard_log *log_replica_log(struct log_replica *log);
