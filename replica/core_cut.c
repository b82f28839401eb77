/* SPDX-License-Identifier: Apache-2.0 */
/* Cutting the log: raft is told by what it takes for a snapshot that nobody will ever need. */
#include "replica/core_private.h"

/*
 * A log that begins right behind entry 1 must not be: raft 0.22 knows the term of entry 1 then,
 * takes it for one that it can send, and sends nothing. A new member would wait for ever (seed 5085
 * of the simulation with changes of members). CORE_CUT_MIN
 */

/* Zero: not in the log. */
static uint64_t term_of(const struct core *core, uint64_t index)
{
    const struct raft_trail *trail = &core->raft.trail;
    if (index <= trail->offset) {
        return 0;
    }
    for (unsigned i = trail->front; i != trail->back; i = (i + 1) % trail->size) {
        if (trail->records[i].index >= index) {
            return trail->records[i].term; /* a record is a run of entries of one term */
        }
    }
    return 0;
}

/* The newest change of members up to `index` stays, as the first one; older ones are forgotten. */
static const struct core_change *keep_members(struct core *core, uint64_t index)
{
    size_t newest = 0;
    while (newest + 1 < core->change_count && core->changes[newest + 1].index <= index) {
        entry_unref(core->changes[newest].entry);
        newest++;
    }
    core->change_count -= newest;
    memmove(core->changes, core->changes + newest, core->change_count * sizeof(*core->changes));
    VY_ASSERT(core->change_count > 0 && core->changes[0].index <= index);
    return &core->changes[0];
}

struct vy_err core_cut(struct core *core, uint64_t now_ms, uint64_t index, struct core_base *out)
{
    struct raft_event event = {.type = RAFT_SNAPSHOT, .time = now_ms};
    const uint64_t term = term_of(core, index);
    VY_ASSERT(index > core->base_index && index >= CORE_CUT_MIN && index <= guard_applicable(core));
    if (term == 0) {
        return vy_error(VY_CODE_INTERNAL, "the log is to be cut behind an entry it does not have");
    }
    const struct core_change *members = keep_members(core, index);
    const struct raft_buffer bytes = {.base = members->entry->memory,
                                      .len = members->entry->body.len};
    event.snapshot.metadata = (struct raft_snapshot_metadata){
        .index = index, .term = term, .configuration_index = members->index};
    event.snapshot.trailing = 0; /* the tail that stays is the caller's choice */
    if (raft_configuration_decode(&bytes, &event.snapshot.metadata.configuration) != 0) {
        return vy_error(VY_CODE_CORRUPT, "members in the log");
    }
    *out = (struct core_base){
        .index = index, .term = term, .members_index = members->index, .members = members->entry};
    core->base_index = index;
    core->base_term = term;
    return core_step(core, &event, NULL);
}

uint64_t core_term_at(const struct core *core, uint64_t index)
{
    return index == core->base_index ? core->base_term : term_of(core, index);
}

uint64_t core_base_index(const struct core *core)
{
    return core->base_index;
}
