/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What the service needs of the group it is a member of: propose commands, wait until reads are
 * safe, look at a snapshot. The real one stands on replica/ (log_replica.c); tests apply straight
 * to a store in memory.
 */
#include "base/buf.h"
#include "base/err.h"
#include "replica/expel.h"
#include "replica/store.h"
#include "shard/fsm.h"
#include "shard/keys.h"

struct shard_log;

/* A body chunk that travels beside its command: written once, under its key in the family body. Of
 * at least REPLICA_PAYLOAD_BYTES_MIN bytes; call_propose puts shorter ones into the command. */
struct shard_payload {
    struct vy_bytes key;
    struct vy_bytes value;
};

struct shard_proposal {
    struct vy_bytes command;              /* an encoded ShardCommand; copied */
    const struct shard_payload *payloads; /* copied */
    size_t payload_count;
    bool reserve; /* brings no mail: allowed below the free-space floor (P13) */
};

struct shard_log_status {
    bool is_leader;
    uint64_t term;
    uint64_t commit_index;
    uint64_t applied_index;
};

/* `result` is an encoded ShardResult, valid during the call. UNKNOWN: it may or may not take
 * effect. */
typedef void (*shard_log_done_fn)(void *arg, struct vy_err err, struct vy_bytes result);
typedef void (*shard_log_ready_fn)(void *arg, struct vy_err err);

struct shard_log_ops {
    /* Both answer once, from the loop, never within the call. @thread the loop's */
    void (*propose)(struct shard_log *log, const struct shard_proposal *proposal,
                    shard_log_done_fn done, void *arg);
    void (*read_barrier)(struct shard_log *log, shard_log_ready_fn ready, void *arg);
    bool (*is_leader)(struct shard_log *log); /* able to propose and read; asked for every call */
    void (*status)(struct shard_log *log, struct shard_log_status *out);
    const char *(*leader_hint)(struct shard_log *log); /* NULL: not known */
    /* How far the files of this member are rid of an account whose rows are deleted (expel.h). */
    void (*expel)(struct shard_log *log, uint64_t account_id, struct expel_report *out);
    /* @thread any */
    struct vy_err (*snapshot_open)(struct shard_log *log, struct store_snapshot **out);
};
struct shard_log {
    const struct shard_log_ops *ops;
};
