/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The shard service: the method table over proto/methods.h, the one check of who acts, and what the
 * leader keeps in memory: account keys, views, watches, content waiting for its purge. Knows no
 * link and no replica: both are behind tables of functions (call.h, shard_log.h).
 *
 * @thread  everything belongs to the loop of its config
 */
#include "base/loop.h"
#include "base/rng.h"
#include "shard/call.h"

struct service;
struct views;
struct watches;
struct purger;

#define SERVICE_VIEW_LEASE_MS_DEFAULT                                                              \
    300000U                      /* a view that was not told for so long no longer holds content */
#define SERVICE_CALLS_MAX 65536U /* open at once, watches included; more are BUSY */

/* How a shard asks another group for its decision on a delivery. The callback comes once, from the
 * loop, perhaps within the call. */
typedef void (*shard_peer_answer_fn)(void *arg, struct vy_err err, bool is_committed);
struct shard_peer_ops {
    void (*ask)(void *peers, uint64_t group_id, const uint8_t delivery_id[SHARD_ID_BYTES],
                shard_peer_answer_fn done, void *arg);
};

struct service_config {
    struct vy_loop *loop;
    struct vy_workers *workers;
    struct vy_rng *rng; /* fit for keys; used on workers too */
    struct vy_clock *clock;
    const struct vy_log *log;
    struct shard_log *replica;
    const struct cluster_key *cluster_key;
    const struct shard_meta_ops *meta_ops;
    void *meta;
    const struct shard_peer_ops *peer_ops; /* NULL: there is no other group */
    void *peers;
    uint64_t group_id;
    uint64_t member_id;
    uint64_t view_lease_ms; /* 0: SERVICE_VIEW_LEASE_MS_DEFAULT */
    uint64_t search_cpu_ms; /* 0: 10,000 (I17) */
    uint64_t hash_seed;
    size_t accounts_max; /* keys in memory; 0: 65,536 */
};

/* For metrics; all but the last three only grow. */
struct service_stats {
    uint64_t calls;
    uint64_t calls_denied;
    uint64_t calls_failed;
    uint64_t messages_stored;
    uint64_t messages_stored_bytes;
    uint64_t copies_repeated;   /* deliveries of what was there already */
    uint64_t copies_held;       /* for deliveries to several groups */
    uint64_t copies_released;   /* of those, became messages */
    uint64_t copies_dropped;    /* of those, went */
    uint64_t copies_abandoned;  /* of those dropped, because the decider never answered */
    uint64_t deliveries_asked;  /* by this member, about what it holds */
    uint64_t deliveries_denied; /* asked about here, and decided "no" */
    uint64_t purged_rows;
    uint64_t checksum_failures;
    uint64_t calls_open;
    uint64_t views_open;
    uint64_t held_bytes; /* of copies that wait for a decision, as of the last look */
};

VY_CHECKED struct vy_err service_new(const struct service_config *config, struct service **out);
/* Ends open calls with UNAVAILABLE. Workers must have finished. */
void service_free(struct service *service);

/* No step of a call runs on a worker, in the log or at meta: service_free would find nothing to
 * wait for. */
bool service_is_quiet(const struct service *service);

/* The table, for tests and for the link (service_rpc.c). */
const struct call_method *service_methods(size_t *count);
const struct call_method *service_find_method(uint32_t id);

/*
 * A call arrives. The answer comes through ops, perhaps within this call; NULL then, or when the
 * call was refused.
 *
 * @request          borrowed during this call
 * @idempotency_key  16 bytes, or NULL
 */
struct call *service_call_start(struct service *service, uint32_t method_id,
                                struct vy_bytes request, const uint8_t *idempotency_key,
                                const struct call_transport_ops *ops, void *transport);
/* What the carrier of an open call reports. */
void service_call_data(struct call *call, struct vy_bytes bytes);
void service_call_data_end(struct call *call);
void service_call_writable(struct call *call);
void service_call_cancel(struct call *call); /* nobody waits any more; the call still ends itself */

/* A command was applied and is durable; events in order. */
void service_on_event(struct service *service, const struct fsm_event *event);
/* Events were lost: whoever lives by them looks anew. */
void service_on_events_lost(struct service *service);
/* A snapshot took the place of the database: events were missed, fences among them. */
void service_on_installed(struct service *service);
/* Meta says that the account's state, quota or epoch changed: what is known of it is asked anew. */
void service_on_account_change(struct service *service, uint64_t account_id, uint64_t epoch);
/* Meta has a leader again: what it said without one is asked anew. */
void service_on_meta_leader(struct service *service);
/* This member began or ceased to lead. */
void service_on_leader(struct service *service, bool is_leader);
const struct service_stats *service_stats(struct service *service);
