/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A shard in memory, for tests: the real state machine over store_mem and, around it, the real
 * service with a group of one that applies when the loop turns, account keys from a fake meta, and
 * a transport that keeps what is answered. Fails the running cmocka test when something happens
 * that must not.
 */
#include "shard/service.h"
#include "tests/lib/fake_clock.h"
#include "tests/lib/fake_loop.h"
#include "tests/lib/fake_rng.h"
#include "tests/lib/shard_machine.h"

/* One call and what became of it. */
struct shard_local_call {
    struct shard_local *local;
    struct call *call; /* NULL: ended */
    bool is_ended;
    struct vy_err err;
    struct vy_buf reply;
    struct vy_buf stream; /* what the service sent */
    size_t credit;        /* bytes the transport still takes */
    size_t consumed;      /* of the request stream */
};

struct shard_local {
    struct shard_machine machine;
    struct shard_log log;
    struct service *service;
    struct cluster_key *key;
    struct fake_clock clock;
    struct fake_loop loop;
    struct fake_rng rng;
    struct vy_log vy_log; /* drops everything; set .sink to see */
    struct vy_workers *workers;
    struct vy_arena arena; /* of replies, until shard_local_free */
    bool is_leader;
    bool is_holding; /* proposals wait for shard_local_release, in order */
    struct vy_list proposals;
    size_t proposal_count;
    enum vy_code fail_next_propose; /* OK: no fault; UNKNOWN: applied, but not told */
    uint64_t quota_bytes;           /* what meta says of accounts */
    uint64_t unknown_account_id;    /* meta does not know this one */
    bool is_meta_away;              /* nobody is known */
    uint64_t expelled_account_id;   /* the last one that was asked for */
    unsigned key_requests;
};

struct shard_local *shard_local_new(void); /* group 2, alone */
/* One of several groups; peer_ops and peers as in service_config. */
struct shard_local *shard_local_new_group(uint64_t group_id, const struct shard_peer_ops *peer_ops,
                                          void *peers);
void shard_local_free(struct shard_local *local);

/* The actor of a session of this account and epoch; lives in local->arena. */
const struct shard_actor *shard_local_actor(struct shard_local *local, uint64_t account_id,
                                            uint64_t epoch);
/* A whole call: request, `body` as its stream, until it ends. *reply is decoded into
 * local->arena; untouched on errors. `stream` gets what came back; may be NULL. */
struct vy_err shard_local_call(struct shard_local *local, uint32_t method,
                               const uint8_t *idempotency_key, const void *request,
                               struct vy_bytes body, void *reply, struct vy_buf *stream);
/* The same in steps: begin, run the loop, look, end. */
void shard_local_begin(struct shard_local *local, struct shard_local_call *call, uint32_t method,
                       const uint8_t *idempotency_key, const void *request);
void shard_local_run(struct shard_local *local);
/* Its `transport` is a struct shard_local_call: for requests that are no messages. */
const struct call_transport_ops *shard_local_transport(void);
void shard_local_end(struct shard_local_call *call); /* cancels it if need be, frees buffers */
void shard_local_set_leader(struct shard_local *local, bool is_leader);
void shard_local_release(struct shard_local *local);
