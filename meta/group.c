/* SPDX-License-Identifier: Apache-2.0 */
#include "meta/group.h"

#include "base/assert.h"
#include "meta/tables.h"
#include <stdlib.h>

struct replica_group {
    struct meta_group base;
    struct replica *replica;   /* borrowed */
    struct expeller *expeller; /* owned */
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

static void group_expel(struct meta_group *group, uint64_t account_id, struct expel_report *out)
{
    expeller_ask(VY_CONTAINER_OF(group, struct replica_group, base)->expeller, account_id, out);
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
    struct replica_group *of_replica = VY_CONTAINER_OF(group, struct replica_group, base);
    expeller_free(of_replica->expeller);
    free(of_replica);
}

static const struct meta_group_ops replica_group_ops = {
    .propose = group_propose,
    .barrier = group_barrier,
    .snapshot = group_snapshot,
    .newest = group_newest,
    .expel = group_expel,
    .is_leader = group_is_leader,
    .leader_hint = group_leader_hint,
    .get_status = group_get_status,
    .get_identity = group_get_identity,
    .get_members = group_get_members,
    .free = group_free,
};

/* ---- what an account leaves in files ---- */

/* By the handlers of the registry in tables.h: does it leave rows under the account's number? */
enum {
    LEAVES_erase_nothing = 0,
    LEAVES_erase_range = 1,
    LEAVES_erase_keep_row = 1,
    LEAVES_erase_retire_address = 0
};
#define X(name, family, prefix, erase) | (uint64_t)LEAVES_##erase << META_FAMILY_##name
static const uint64_t families_of_accounts = (uint64_t)0 META_FAMILIES(X);
#undef X

static size_t write_prefix(unsigned family, uint64_t account_id,
                           uint8_t out[EXPEL_PREFIX_BYTES_MAX])
{
    const struct meta_key key = meta_key_u64(account_id);
    if (family == REPLICA_FAMILY_IDEM) {
        return 0; /* answers of the last minutes */
    }
    memcpy(out, key.data, key.len);
    return key.len;
}

static struct vy_err expeller_of(struct replica_group *group, struct vy_loop *loop,
                                 const struct vy_log *log, struct vy_workers *workers)
{
    const struct expeller_config config = {.replica = group->replica,
                                           .loop = loop,
                                           .log = log,
                                           .workers = workers,
                                           .write_prefix = write_prefix,
                                           .families =
                                               1ULL << REPLICA_FAMILY_IDEM | families_of_accounts};
    return expeller_new(&config, &group->expeller);
}

struct vy_err meta_group_of_replica(struct replica *replica, struct vy_loop *loop,
                                    const struct vy_log *log, struct vy_workers *expel_workers,
                                    struct meta_group **out)
{
    struct replica_group *group = calloc(1, sizeof(*group));
    if (group == NULL) {
        return vy_error(VY_CODE_NOMEM, "meta's group");
    }
    group->base.ops = &replica_group_ops;
    group->replica = replica;
    const struct vy_err err = expeller_of(group, loop, log, expel_workers);
    if (vy_failed(err)) {
        free(group);
        return err;
    }
    *out = &group->base;
    return vy_ok();
}
