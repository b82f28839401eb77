/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The replicated group as meta's services see it: propose, read, know who leads. One implementation
 * stands on the replica engine (meta_group_of_replica); tests have one that applies at once.
 *
 * @thread the loop's; callbacks come from the loop, never inside the call that asked for them
 */
#include "replica/expel.h"
#include "replica/replica.h"

struct meta_group;
struct meta_group_ops {
    /* As replica_propose; reserve: allowed below the free-space floor. */
    struct vy_err (*propose)(struct meta_group *group, struct vy_bytes command, bool reserve,
                             replica_propose_fn callback, void *arg);
    struct vy_err (*barrier)(struct meta_group *group, replica_read_fn callback, void *arg);
    struct vy_err (*snapshot)(struct meta_group *group, struct store_snapshot **out,
                              uint64_t *applied_index);
    const struct store_reader *(*newest)(struct meta_group *group);
    /* How far the files of this member are rid of an account whose rows are deleted (expel.h). */
    void (*expel)(struct meta_group *group, uint64_t account_id, struct expel_report *out);
    bool (*is_leader)(struct meta_group *group);
    bool (*leader_hint)(struct meta_group *group, struct replica_member *out);
    void (*get_status)(struct meta_group *group, struct replica_status *out);
    void (*get_identity)(struct meta_group *group, struct replica_identity *out);
    size_t (*get_members)(struct meta_group *group, struct replica_member *out, size_t out_max);
    void (*free)(struct meta_group *group);
};
struct meta_group {
    const struct meta_group_ops *ops;
};

/* replica, loop and log: borrowed. expel_workers: NULL, or borrowed (expel.h). The group is freed
 * before the replica. */
VY_CHECKED struct vy_err meta_group_of_replica(struct replica *replica, struct vy_loop *loop,
                                               const struct vy_log *log,
                                               struct vy_workers *expel_workers,
                                               struct meta_group **out);
