/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What the files of meta's services share: the object graph, and a call from its request to its
 * answer. A call owns an arena; whatever it needs across commits and workers lives there.
 */
#include "base/list.h"
#include "base/map.h"
#include "meta/admin.h"
#include "meta/fsm.h"
#include "meta/guess.h"
#include "meta/login_fold.h"
#include "meta/member_saga.h"
#include "meta/meta.h"
#include "meta/metrics.h"
#include "meta/saga.h"
#include "meta/seal.h"
#include "meta/service.h"
#include "meta/spread.h"
#include "meta/watch.h"

#define CALL_ARENA_BYTES_MAX (16U * 1024 * 1024) /* a page of aliases with all their targets */
#define CALL_REPLY_BYTES_MAX (4U * 1024 * 1024)  /* promises 4: one RPC message */
#define CALL_STALE_TRIES_MAX 4U                  /* decisions overtaken by other entries */

struct meta {
    struct meta_config config;
    uint64_t group_ids[META_GROUPS_MAX];
    struct meta_group *group; /* owned */
    struct replica *replica;  /* owned; NULL in tests */
    struct meta_fsm fsm;
    struct meta_watch *watch; /* owned */
    struct login_folds folds;
    struct vy_timer *fold_timer; /* owned */
    struct login_sweep *sweep;   /* owned; of records that are too old */
    struct guess_table *guesses; /* owned; NULL: no budgets. Of the leader */
    uint64_t guess_seed;
    struct erase_saga *saga;     /* owned */
    struct member_saga *members; /* owned */
    struct lead_spread *spread;  /* owned */
    struct seal_key challenge_key;
    struct seal_key scram_key; /* of the verifiers */
    bool is_ready;
    bool is_stopping;
    bool is_replica_stopped;
    uint64_t term;
    uint64_t next_account_id; /* the least number not proposed yet; 0: ask the tables */
    char leader_hint[REPLICA_ADDRESS_BYTES_MAX + 1];
    vy_loop_fn on_stopped;
    void *on_stopped_arg;
    struct meta_stats stats;
    struct meta_metrics metrics;
};

struct meta_call;
typedef void (*meta_call_fn)(struct meta_call *call);
struct meta_call {
    struct meta *meta;
    struct vy_arena arena;
    struct vy_bytes request; /* copied into the arena */
    const void *message;     /* the request, decoded */
    struct meta_actor actor; /* of the admin API; strings in the arena */
    struct meta_peer peer;   /* of the link; node and attempt as long as the call starts */
    struct vy_bytes attempt; /* a copy; empty: none */
    meta_reply_fn reply;
    void *reply_arg;
    const struct vy_pb_desc *reply_desc;
    void *state; /* the handler's, in the arena */
    unsigned stale_tries;

    meta_call_fn next; /* what comes behind the barrier, commit or work */
    meta_call_fn work;
    meta_call_fn after_read;         /* behind barrier and work of a list */
    meta_call_fn after_secret;       /* behind the making of a password */
    bool is_admin;                   /* counted as a call of the admin API */
    bool is_secret;                  /* request and reply may hold passwords: wiped */
    struct store_snapshot *snapshot; /* while work runs; freed behind it */
    struct vy_err err;               /* how the step before ended */
    struct meta_result result;       /* of a commit; text in the arena */
};

/* NULL: no memory or no more calls; reply was called. */
struct meta_call *meta_call_new(struct meta *meta, const struct vy_pb_desc *request_desc,
                                struct vy_bytes request, meta_reply_fn reply, void *arg);
/* These end the call; the pointer is dead. */
void meta_call_reply(struct meta_call *call, const void *message);
void meta_call_fail(struct meta_call *call, struct vy_err err);
void meta_call_fail_text(struct meta_call *call, struct vy_err err, const char *text);
/* A result that is not OK. */
void meta_call_refuse(struct meta_call *call, const struct meta_result *result);

/* The newest state here; rows live in the call's arena. */
struct meta_view meta_call_view(struct meta_call *call);
/* The state inside work. */
struct meta_view meta_call_snapshot_view(struct meta_call *call);
/* next(call) once a snapshot would show everything acknowledged before. Ends the call on failure.
 */
void meta_call_barrier(struct meta_call *call, meta_call_fn next);
/* Encodes and proposes; next(call) with call->result, whatever the machine said. Ends the call when
 * the outcome is not known or nothing was done. */
void meta_call_propose(struct meta_call *call, const struct meta_command *command, bool reserve,
                       meta_call_fn next);
/* work(call) on a worker, with a snapshot to read from; it sets call->err. Then next(call) if that
 * is ok, else the call ends. */
void meta_call_run(struct meta_call *call, meta_call_fn work, meta_call_fn next);

/* Ends the call with NOT_LEADER unless this member is ready to write. */
bool meta_call_needs_leader(struct meta_call *call);

/* Proposes a command that belongs to no call. */
typedef void (*meta_background_fn)(struct meta *meta, void *arg, struct vy_err err,
                                   const struct meta_result *result);
void meta_propose_background(struct meta *meta, const struct meta_command *command,
                             meta_background_fn done, void *arg);
void meta_on_call_closed(struct meta *meta);

uint64_t meta_now_ms(const struct meta *meta); /* wall clock */
uint64_t meta_retention_ms(const struct meta *meta);
uint64_t meta_alert_ms(const struct meta *meta);
uint64_t meta_quarantine_ms(const struct meta *meta);
uint32_t meta_scram_iterations(const struct meta *meta);
/* The group that the map gives an account's slot to; 0: the cluster has no map. */
uint64_t meta_group_of_slot(const struct cluster_row *cluster, uint16_t slot);

const char *meta_member_node(const struct meta *meta, uint64_t member_id); /* NULL: not known */
const char *meta_member_link(const struct meta *meta, uint64_t member_id); /* NULL: not known */
bool meta_reaches_member(const struct meta *meta, uint64_t member_id);

/* LOGIN-2: looks for sign-in records that are too old, some accounts at a time, while this member
 * leads (login_sweep.c). @errors NOMEM */
struct login_sweep;
VY_CHECKED struct vy_err login_sweep_new(struct meta *meta, struct login_sweep **out);
void login_sweep_start(struct login_sweep *sweep);
void login_sweep_stop(struct login_sweep *sweep);
void login_sweep_free(struct login_sweep *sweep); /* NULL is allowed */
/* This member leads: its budgets of guessing are what the audit chain tells of the last hour. */
void login_rebuild_budgets(struct meta *meta);

/* Handlers of service.c by method. */
void login_call_start(struct meta_call *call);
void resolve_call_start(struct meta_call *call);
void sender_call_start(struct meta_call *call);
void account_key_call_start(struct meta_call *call);
void node_register_call_start(struct meta_call *call);
void cluster_map_call_start(struct meta_call *call);
void expel_call_start(struct meta_call *call);
