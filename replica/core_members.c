/* SPDX-License-Identifier: Apache-2.0 */
/* Who belongs to the group, as the newest configuration in the log says. */
#include "replica/core_private.h"
#include <stdlib.h>

size_t core_voters(const struct core *core)
{
    size_t count = 0;
    for (unsigned i = 0; i < core->raft.configuration.n; i++) {
        count += core->raft.configuration.servers[i].role == RAFT_VOTER;
    }
    return count;
}

bool core_is_alone(const struct core *core)
{
    const struct raft_configuration *members = &core->raft.configuration;
    return members->n == 1 && members->servers[0].id == core->raft.id &&
           members->servers[0].role == RAFT_VOTER;
}

size_t core_members(const struct core *core, struct replica_member *out, size_t out_max)
{
    const struct raft_configuration *members = &core->raft.configuration;
    for (unsigned i = 0; i < members->n && i < out_max; i++) {
        out[i] = (struct replica_member){.id = members->servers[i].id,
                                         .address = members->servers[i].address,
                                         .is_learner = members->servers[i].role != RAFT_VOTER};
    }
    return members->n;
}

bool core_has_member(const struct core *core, uint64_t id)
{
    for (unsigned i = 0; i < core->raft.configuration.n; i++) {
        if (core->raft.configuration.servers[i].id == id) {
            return true;
        }
    }
    return false;
}

bool core_leader(const struct core *core, uint64_t *id, const char **address)
{
    raft_id leader = 0;
    struct raft *raft = (struct raft *)(uintptr_t)&core->raft; /* only read by raft_leader */
    raft_leader(raft, &leader, address);
    *id = leader;
    return leader != 0;
}

static struct vy_err add_sorted(struct raft_configuration *conf,
                                const struct replica_member *members, size_t count)
{
    uint64_t last = 0;
    for (size_t done = 0; done < count; done++) {
        const struct replica_member *next = NULL;
        for (size_t i = 0; i < count; i++) {
            if (members[i].id > last && (next == NULL || members[i].id < next->id)) {
                next = &members[i];
            }
        }
        if (next == NULL) {
            return vy_error(VY_CODE_ARGUMENT, "members of a group: an id is zero or twice there");
        }
        last = next->id;
        /* STANDBY: gets the log and counts for nothing */
        const int role = next->is_learner ? RAFT_STANDBY : RAFT_VOTER;
        if (raft_configuration_add(conf, next->id, next->address, role) != 0) {
            return vy_error(VY_CODE_ARGUMENT, "members of a group: an address is twice there");
        }
    }
    return vy_ok();
}

struct vy_err core_encode_members(const struct replica_member *members, size_t count,
                                  struct vy_buf *out)
{
    struct raft_configuration conf;
    struct raft_buffer bytes = {.base = NULL};
    raft_configuration_init(&conf);
    struct vy_err err = add_sorted(&conf, members, count);
    if (!vy_failed(err) && raft_configuration_encode(&conf, &bytes) != 0) {
        err = vy_error(VY_CODE_NOMEM, "members of a group");
    }
    raft_configuration_close(&conf);
    if (vy_failed(err)) {
        return err;
    }
    vy_buf_append(out, vy_bytes(bytes.base, bytes.len));
    raft_free(bytes.base);
    return vy_buf_error(out);
}

static struct vy_err copy_members(const struct raft_configuration *conf, struct replica_member *out,
                                  size_t *count)
{
    if (conf->n > REPLICA_MEMBERS_MAX) {
        return vy_error(VY_CODE_LIMIT, "more members than a group may have");
    }
    for (unsigned i = 0; i < conf->n; i++) {
        const char *address = strdup(conf->servers[i].address);
        if (address == NULL) {
            core_members_free(out, i);
            return vy_error(VY_CODE_NOMEM, "address");
        }
        out[i] = (struct replica_member){.id = conf->servers[i].id,
                                         .address = address,
                                         .is_learner = conf->servers[i].role != RAFT_VOTER};
    }
    *count = conf->n;
    return vy_ok();
}

struct vy_err core_decode_members(struct vy_bytes body, struct replica_member *out, size_t *count)
{
    const struct raft_buffer bytes = {.base = (void *)(uintptr_t)body.data, .len = body.len};
    struct raft_configuration conf;
    raft_configuration_init(&conf);
    if (raft_configuration_decode(&bytes, &conf) != 0) {
        return vy_error(VY_CODE_CORRUPT, "members in the log");
    }
    const struct vy_err err = copy_members(&conf, out, count);
    raft_configuration_close(&conf);
    return err;
}

void core_members_free(struct replica_member *members, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free((char *)(uintptr_t)members[i].address);
        members[i].address = NULL;
    }
}

uint64_t core_members_version(const struct core *core)
{
    return core->members_version;
}

uint64_t core_uncommitted_change(const struct core *core)
{
    return core->raft.configuration_uncommitted_index;
}

struct vy_err core_set_members(struct core *core, uint64_t now_ms,
                               const struct replica_member *members, size_t count, uint64_t *index)
{
    struct vy_buf body;
    struct entry *entry = NULL;
    vy_buf_init(&body, ENTRY_BODY_BYTES_MAX);
    struct vy_err err = core_encode_members(members, count, &body);
    if (!vy_failed(err)) {
        err = entry_new_raw(core_term(core), ENTRY_CHANGE, vy_buf_bytes(&body), &entry);
    }
    vy_buf_deinit(&body);
    if (!vy_failed(err)) {
        err = core_submit(core, now_ms, &entry, 1);
    }
    if (!vy_failed(err)) {
        *index = entry->index;
    }
    entry_unref(entry);
    return err;
}

const char *core_member_address(const struct replica_member *members, size_t count, uint64_t id)
{
    for (size_t i = 0; i < count; i++) {
        if (members[i].id == id) {
            return members[i].address;
        }
    }
    return NULL;
}
