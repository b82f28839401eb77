/* SPDX-License-Identifier: Apache-2.0 */
#include "meta/group.h"

#include "base/assert.h"
#include <stdlib.h>

struct replica_group {
    struct meta_group base;
    struct replica *replica; /* borrowed */
};

static struct replica *replica_of(struct meta_group *group)
{
    return VY_CONTAINER_OF(group, struct replica_group, base)->replica;
}

static struct vy_err group_propose(struct meta_group *group, struct vy_bytes command, bool reserve,
                                   replica_propose_fn callback, void *arg)
{
    const struct replica_proposal proposal = {.command = command, .reserve = reserve};
    return replica_propose(replica_of(group), &proposal, callback, arg);
}

static struct vy_err group_barrier(struct meta_group *group, replica_read_fn callback, void *arg)
{
    return replica_read_index(replica_of(group), 0, callback, arg);
}

static struct vy_err group_snapshot(struct meta_group *group, struct store_snapshot **out,
                                    uint64_t *applied_index)
{
    return replica_snapshot(replica_of(group), out, applied_index);
}

static const struct store_reader *group_newest(struct meta_group *group)
{
    return store_newest(replica_store(replica_of(group)));
}

static struct vy_err group_compact(struct meta_group *group, unsigned family, struct vy_bytes from,
                                   struct vy_bytes to)
{
    struct store *store = replica_store(replica_of(group));
    VY_TRY(store_flush(store));
    return store_compact(store, family, from, to);
}

static bool group_is_leader(struct meta_group *group)
{
    return replica_is_leader(replica_of(group));
}

static bool group_leader_hint(struct meta_group *group, struct replica_member *out)
{
    return replica_leader_hint(replica_of(group), out);
}

static void group_get_status(struct meta_group *group, struct replica_status *out)
{
    replica_get_status(replica_of(group), out);
}

static void group_get_identity(struct meta_group *group, struct replica_identity *out)
{
    replica_get_identity(replica_of(group), out);
}

static size_t group_get_members(struct meta_group *group, struct replica_member *out,
                                size_t out_max)
{
    return replica_get_members(replica_of(group), out, out_max);
}

static void group_free(struct meta_group *group)
{
    free(VY_CONTAINER_OF(group, struct replica_group, base));
}

static const struct meta_group_ops replica_group_ops = {
    .propose = group_propose,
    .barrier = group_barrier,
    .snapshot = group_snapshot,
    .newest = group_newest,
    .compact = group_compact,
    .is_leader = group_is_leader,
    .leader_hint = group_leader_hint,
    .get_status = group_get_status,
    .get_identity = group_get_identity,
    .get_members = group_get_members,
    .free = group_free,
};

struct vy_err meta_group_of_replica(struct replica *replica, struct meta_group **out)
{
    struct replica_group *group = calloc(1, sizeof(*group));
    if (group == NULL) {
        return vy_error(VY_CODE_NOMEM, "meta's group");
    }
    group->base.ops = &replica_group_ops;
    group->replica = replica;
    *out = &group->base;
    return vy_ok();
}
