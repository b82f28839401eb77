/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The meta role as one object: a replica of meta's group, the service that frontends and shards
 * call (service.h) and the admin API (admin.h). Everything is built here and handed down; two of
 * them can live in one process.
 *
 * @thread  the loop's
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/metrics.h"
#include "base/rng.h"
#include "base/workers.h"
#include "meta/group.h"
#include "meta/guess.h"
#include "proto/cluster_key.h"
#include "proto/group.pb.h"

#define META_SESSION_MS (24ULL * 60 * 60 * 1000) /* a session token's life */
#define META_RETENTION_MS (30ULL * 24 * 60 * 60 * 1000)
#define META_QUARANTINE_MS (30ULL * 24 * 60 * 60 * 1000)
#define META_ALERT_MS (24ULL * 60 * 60 * 1000)
#define META_GROUPS_MAX 64U /* of shards, at bootstrap */

struct meta;
struct account_expel_reply; /* proto/shard.pb.h */

/*
 * Tells an account's group what must hold before a command returns (design 6: fence). Called by the
 * leader after a disable, a new password, a revoked credential or a new quota was committed; `done`
 * once, from the loop, later: ok, or UNAVAILABLE when the group could not be told (the operator's
 * command then ends with UNAVAILABLE; it may be repeated under its operation id).
 */
struct meta_fence {
    uint64_t account_id;
    uint64_t account_epoch;
    uint64_t group_id; /* that owns the account's slot by the map */
    bool set_quota;
    uint64_t quota_bytes;
    bool erase; /* all rows of the account go, its key leaves the members' memory (design 6) */
};
struct meta_fence_ops {
    void (*fence)(void *arg, const struct meta_fence *fence,
                  void (*done)(void *done_arg, struct vy_err err), void *done_arg);
};

/*
 * Asks members of groups of shards how they do, for the status of the cluster. `members` stays the
 * caller's and valid until `done`, which comes once, from the loop, later: ok, with is_reached and
 * what follows it filled in, or why nobody could be asked. Bounded in time: who is silent is not
 * reached.
 */
struct meta_probe {
    uint64_t group_id; /* whom, as it has registered */
    uint64_t member_id;
    struct vy_bytes node;
    struct vy_bytes address;
    bool is_reached;
    bool leads; /* it says so */
    uint64_t term;
    uint64_t commit_index;
    uint64_t applied_index;
};
struct meta_probe_ops {
    void (*probe)(void *arg, struct meta_probe *members, size_t count,
                  void (*done)(void *done_arg, struct vy_err err), void *done_arg);
};

/*
 * Asks one member of a group of shards, or another one of meta's (group 0), how far its files are
 * rid of an erased account. `done` once, from the loop, later: ok with its answer, valid during the
 * call, or UNAVAILABLE when it could not be asked.
 */
struct meta_expel {
    uint64_t group_id;
    uint64_t member_id;
    struct vy_bytes node;
    struct vy_bytes address; /* of its link */
    uint64_t account_id;
};
typedef void (*meta_expel_fn)(void *arg, struct vy_err err,
                              const struct account_expel_reply *reply);
struct meta_expel_ops {
    void (*ask)(void *arg, const struct meta_expel *what, meta_expel_fn done, void *done_arg);
};

/* How meta asks the leader of a group for its members, and has it change them (group.proto). text
 * says of a failure what and why; reply and text live during the call, which comes once, from the
 * loop or inside ask. group_id 0: meta's own. */
typedef void (*meta_group_fn)(void *arg, struct vy_err err, struct vy_bytes text,
                              const struct group_members_reply *reply);
struct meta_groups_ops {
    void (*ask)(void *arg, uint64_t group_id, const struct group_members_request *request,
                meta_group_fn done, void *done_arg);
};
struct meta_place { /* where a member of meta's own group is; strings borrowed */
    const char *node;
    const char *link;
    const char *raft; /* "" when it has none */
};

struct meta_config {
    /* Borrowed for the object's life. */
    struct vy_clock *clock;
    struct vy_rng *rng;
    struct vy_loop *loop;
    const struct vy_log *log;
    struct vy_workers *workers; /* password hashing, lists, verification */
    const struct cluster_key *key;
    struct vy_metrics *metrics;         /* NULL: nothing is counted */
    const struct meta_fence_ops *fence; /* NULL: shards learn by the watch alone */
    void *fence_arg;
    const struct meta_probe_ops *probe; /* NULL: shards cannot be asked, status is UNSUPPORTED */
    void *probe_arg;
    const struct meta_expel_ops *expel; /* NULL: no other member can be asked */
    void *expel_arg;
    const struct meta_groups_ops *groups; /* NULL: members of groups cannot be changed */
    void *groups_arg;
    uint64_t spread_after_ms; /* leaders are spread over hosts (spread.h); 0: they are not */
    /* The groups of shards that a new cluster begins with; slots are split evenly, in this order.
     * Used by the first leader of an empty cluster. None: somebody else bootstraps. Copied. */
    const uint64_t *group_ids;
    size_t group_count;
    uint32_t feature_level;
    uint32_t scram_iterations; /* 0: PASSWORD_SCRAM_ITERATIONS; the same on all members */
    /* acceptance 1.2: who types the right main password where an app password is needed hears so.
     * It tells a guesser that the password is right, so it is off unless somebody wants it. */
    bool tells_need_app;
    uint64_t session_ms;   /* 0: META_SESSION_MS */
    uint64_t retention_ms; /* 0: META_RETENTION_MS; how long a soft delete can be undone */
    const struct guess_limits *guesses; /* NULL: guessing costs nothing. Copied */
    uint64_t quarantine_ms; /* 0: META_QUARANTINE_MS; how long its address stays unused */
    bool second_admin;      /* deletes for good need two administrators (DEL-3) */
    uint64_t alert_ms;      /* 0: META_ALERT_MS; an erasure that takes longer is told by a metric */
    struct vy_workers *expel_workers; /* NULL: a thread of its own (replica/expel.h) */
    /* Of another member of meta's group: the node that it runs on (NULL: not known), and whether it
     * can be reached now. For hints and status; NULL: members are told by address alone. */
    const char *(*name_member)(void *arg, uint64_t member_id);
    const char *(*member_link)(void *arg, uint64_t member_id); /* address of its link, or NULL */
    bool (*reaches_member)(void *arg, uint64_t member_id);
    /* What the process's file says of a member. False: it does not name it. May be NULL. */
    bool (*place_member)(void *arg, uint64_t member_id, struct meta_place *out);
    void *member_arg;
};

/* Opens the replica. replica: fsm is set here; clock, rng, loop and log too.
 * @blocks  while the store recovers. @errors as replica_open */
VY_CHECKED struct vy_err meta_open(const struct meta_config *config,
                                   const struct replica_config *replica, struct meta **out);
/* With a group that somebody else runs on meta_get_fsm(): tests. group: owned, may be set later. */
VY_CHECKED struct vy_err meta_new(const struct meta_config *config, struct meta **out);
void meta_set_group(struct meta *meta, struct meta_group *group);

VY_CHECKED struct vy_err meta_start(struct meta *meta);
/* Answers what is open, stops the replica, then calls done. */
void meta_stop(struct meta *meta, vy_loop_fn done, void *arg);
void meta_free(struct meta *meta); /* stopped, or never started; NULL is allowed */

struct meta_fsm *meta_get_fsm(struct meta *meta);
struct replica *meta_get_replica(struct meta *meta); /* NULL without meta_open */
/* Leads, and sees everything that was acknowledged before it led. */
bool meta_is_ready(const struct meta *meta);
/* The leader's node or address, for NOT_LEADER; NULL: unknown. Valid until the loop turns. */
const char *meta_leader_hint(const struct meta *meta);

/* Counted since the start, for metrics. */
struct meta_stats {
    uint64_t logins_ok;
    uint64_t logins_refused; /* all other verdicts, folded ones included */
    uint64_t logins_folded;
    uint64_t resolves;
    uint64_t admin_calls;
    uint64_t admin_failures;
    uint64_t watchers;
    uint64_t calls_open;
};
void meta_get_stats(const struct meta *meta, struct meta_stats *out);

/*
 * How a call ends. err.what is a literal; message is for people (what and why), the same as
 * err.what when there is nothing better; both and reply are valid during the call only.
 */
typedef void (*meta_reply_fn)(void *arg, struct vy_err err, const char *message,
                              struct vy_bytes reply);
