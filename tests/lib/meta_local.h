/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Meta in memory, answering at once: the real services and the real state machine over store_mem,
 * with a group of one that applies when asked. For transcripts of protocols and tests of meta.
 * Fails the running cmocka test when meta does what it must not (no answer, undecodable reply).
 */
#include "base/arena.h"
#include "base/list.h"
#include "base/metrics.h"
#include "meta/admin.h"
#include "meta/service.h"
#include "proto/shard.pb.h"
#include "replica/store_mem.h"
#include "replica/txn.h"
#include "tests/lib/fake_clock.h"
#include "tests/lib/fake_loop.h"
#include "tests/lib/fake_rng.h"

#define META_LOCAL_GROUP_ID 2U /* the one group of shards, owner of all slots */

struct meta_local {
    struct meta *meta;
    struct cluster_key *key; /* 32 bytes of 7: open tokens and account keys with it */
    struct fake_clock clock;
    struct fake_loop loop;
    struct fake_rng rng;
    struct vy_log log; /* drops everything; set .sink to see */
    struct vy_workers *workers;
    struct store_mem_disk *disk;
    struct store *store;
    struct txn *txn;
    struct vy_arena arena; /* of replies, until the next call */
    uint64_t index;        /* of the last entry */
    uint64_t last_ms;
    bool is_leader;
    bool is_holding;                          /* entries wait for meta_local_release, in order */
    const char *actor;                        /* who calls the admin API; NULL: root */
    bool is_unexpelled;                       /* its files are never rid of what was deleted */
    struct account_expel_reply member_answer; /* of every other member, or */
    struct vy_err member_err;                 /* why it cannot be asked */
    uint64_t member_asked;                    /* the last one */
    char member_address[64];                  /* where it was asked */
    uint64_t added_member_id; /* a second member of meta's group; 0: there is none */
    struct vy_list held;      /* struct local_commit */
    struct vy_metrics *metrics;
    enum vy_code fail_next_propose; /* OK: no fault; UNKNOWN: applied, but not told */
    char message[512];              /* of the last admin call that failed */
    struct meta_group *group;
};

/* scram_iterations 0: 4,096, so that tests are quick. A formed cluster without domains. */
/* Deletes for good need two (DEL-3). */
void meta_local_need_second_admin(struct meta_local *local);
struct meta_local *meta_local_new(uint32_t scram_iterations, const struct meta_fence_ops *fence,
                                  void *fence_arg);
/* Who is asked how the shards do; without, status of a cluster with shards is UNSUPPORTED. */
void meta_local_set_probe(struct meta_local *local, const struct meta_probe_ops *probe, void *arg);
void meta_local_free(struct meta_local *local);

/* One call of META_METHODS. *reply is decoded into local->arena; untouched on errors. */
struct vy_err meta_local_call(struct meta_local *local, uint32_t method,
                              const struct vy_pb_desc *request_desc, const void *request,
                              const struct vy_pb_desc *reply_desc, void *reply);
/* The same with bytes, for those who carry messages themselves; *reply lives in local->arena. */
struct vy_err meta_local_call_bytes(struct meta_local *local, uint32_t method,
                                    struct vy_bytes request, struct vy_bytes *reply);
/* One call of the admin API: "AccountService", "CreateAccount". */
struct vy_err meta_local_admin(struct meta_local *local, const char *service, const char *method,
                               const void *request, void *reply);
struct vy_err meta_local_admin_bytes(struct meta_local *local, const struct vy_pb_method *method,
                                     struct vy_bytes request, struct vy_bytes *reply);

/* Shorthands that must succeed. password NULL: generated. The returned password lives as long as
 * `local`'s arena is not used again: copy it. */
void meta_local_add_domain(struct meta_local *local, const char *name, const char *catch_all);
uint64_t meta_local_add_account(struct meta_local *local, const char *address, const char *password,
                                char *out_password, size_t out_bytes);
void meta_local_add_alias(struct meta_local *local, const char *alias, const char *target);
/* A password login as a frontend does it, both calls, Argon2id included. */
struct vy_err meta_local_login(struct meta_local *local, const char *name, const char *password,
                               enum login_protocol protocol, struct login_reply *reply);
/* The same, from wherever the context says. */
struct vy_err meta_local_login_as(struct meta_local *local, const struct login_context *context,
                                  const char *password, struct login_reply *reply);
struct meta_command;
/* One entry of the log as it stands, whoever would be allowed to propose it; it must succeed. */
void meta_local_apply(struct meta_local *local, const struct meta_command *command);
/* Leadership comes or goes, as the replica would tell. */
void meta_local_set_leader(struct meta_local *local, bool is_leader);
/* Applies what waits and goes on. */
void meta_local_release(struct meta_local *local);
void meta_local_run_ms(struct meta_local *local, uint64_t ms);
