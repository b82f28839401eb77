/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/check.h"

#include "base/bytes.h"
#include "base/codec.h"
#include "replica/log.h"
#include "shard/keys.h"
#include "tests/sim/roles.h"
#include <stdlib.h>
#include <string.h>

#define GROUPS (1U + SIM_GROUPS) /* meta first */
#define MEMBERS_MAX VY_MAX(SIM_META_COUNT, SIM_SHARD_COUNT)

/* An entry and everything in front of it, as one number. */
struct link {
    uint64_t term;
    uint64_t chain; /* 0: not known */
};
struct links {
    struct link *at; /* owned; by index */
    size_t count;
};
struct numbers {
    uint64_t *at; /* owned; by term or index; 0: not known */
    size_t count;
};
struct member {
    struct links log;   /* as far as it is on its disk */
    uint64_t persisted; /* of those */
    uint64_t applied;
    uint64_t appended; /* entries_appended of the last look */
    uint64_t commit;
    uint64_t led_term; /* of the last look; 0: it did not lead */
    unsigned boot;
};
struct group {
    struct numbers leaders; /* by term: process number + 1 */
    struct numbers digests; /* by index */
    struct links committed; /* by index, as applied first */
    uint64_t committed_last;
    uint64_t newest_term; /* that anybody led */
    struct member members[MEMBERS_MAX];
};
struct check {
    struct sim_world *world;
    struct group groups[GROUPS];
    uint64_t leaders;
    uint64_t installs;
};

/* ---- growing arrays ---- */

static uint64_t *number_at(struct numbers *numbers, uint64_t index)
{
    if (index >= numbers->count) {
        const size_t count = (size_t)index * 2 + 64;
        numbers->at = realloc(numbers->at, count * sizeof(*numbers->at));
        VY_ASSERT(numbers->at != NULL);
        memset(numbers->at + numbers->count, 0, (count - numbers->count) * sizeof(*numbers->at));
        numbers->count = count;
    }
    return &numbers->at[index];
}

static struct link *link_at(struct links *links, uint64_t index)
{
    if (index >= links->count) {
        const size_t count = (size_t)index * 2 + 64;
        links->at = realloc(links->at, count * sizeof(*links->at));
        VY_ASSERT(links->at != NULL);
        memset(links->at + links->count, 0, (count - links->count) * sizeof(*links->at));
        links->count = count;
    }
    return &links->at[index];
}

static size_t group_size(unsigned group)
{
    return group == 0 ? SIM_META_COUNT : SIM_SHARD_COUNT;
}

/* ---- logs ---- */

/* The entry as the disk has it, behind the one in front of it. */
static struct link read_link(struct sim_process *process, struct member *member, uint64_t index)
{
    struct entry *entry = NULL;
    const struct vy_err err =
        log_read_entry(store_newest(replica_store(sim_replica(process))), index, false, &entry);
    SIM_CHECK(process->world, !vy_failed(err), "%s: entry %llu cannot be read: %s", process->name,
              (unsigned long long)index, err.what);
    const uint64_t before = index <= 1 ? 1 : link_at(&member->log, index - 1)->chain;
    struct link link = {.term = entry->term};
    if (before != 0) {
        const uint64_t own = vy_mix64(entry->term * 31 + entry->type) + vy_crc32c(0, entry->body);
        link.chain = vy_mix64(before + own) | 1U;
    }
    entry_unref(entry);
    return link;
}

/* Raft's log matching: two logs that have an entry of the same index and term are the same up to
 * there. */
static void check_matching(struct check *check, struct sim_process *process, uint64_t index,
                           const struct link *link)
{
    struct group *group = &check->groups[process->group];
    for (size_t i = 0; i < group_size(process->group); i++) {
        struct member *other = &group->members[i];
        if (index > other->persisted) {
            continue;
        }
        const struct link *theirs = link_at(&other->log, index);
        SIM_CHECK(check->world,
                  theirs->term != link->term || theirs->chain == 0 || link->chain == 0 ||
                      theirs->chain == link->chain,
                  "%s and member %zu of its group have entry %llu of term %llu behind different "
                  "logs",
                  process->name, i, (unsigned long long)index, (unsigned long long)link->term);
    }
}

/* A snapshot took the place of the log: all up to `base` is as it was committed. */
static void take_snapshot(struct check *check, const struct sim_process *process,
                          struct member *member, uint64_t base)
{
    struct group *group = &check->groups[process->group];
    for (uint64_t index = member->applied + 1; index <= base; index++) {
        *link_at(&member->log, index) = *link_at(&group->committed, index);
    }
    check->installs++;
    sim_say(check->world, "%s has a snapshot of index %llu", process->name,
            (unsigned long long)base);
}

/* Takes over what changed on the disk since the last look. */
static void look_at_log(struct check *check, struct sim_process *process, struct member *member,
                        const struct replica_status *status)
{
    const uint64_t base = status->log_first_index - 1;
    if (base > member->applied) {
        take_snapshot(check, process, member, base);
    }
    uint64_t from = VY_MIN(member->persisted, status->persisted_index);
    while (from >= status->log_first_index) { /* entries that lost an election were replaced */
        const struct link now = read_link(process, member, from);
        if (now.chain == link_at(&member->log, from)->chain) {
            break;
        }
        from--;
    }
    for (uint64_t index = VY_MAX(from + 1, status->log_first_index);
         index <= status->persisted_index; index++) {
        const struct link link = read_link(process, member, index);
        check_matching(check, process, index, &link);
        *link_at(&member->log, index) = link;
    }
    member->persisted = status->persisted_index;
    member->appended = status->entries_appended;
}

/* ---- what was committed ---- */

static void check_majority(struct check *check, struct sim_process *process, uint64_t index,
                           uint64_t chain)
{
    struct group *group = &check->groups[process->group];
    const size_t size = group_size(process->group);
    size_t holders = 0;
    for (size_t i = 0; i < size; i++) {
        struct member *member = &group->members[i];
        const uint64_t theirs = link_at(&member->log, index)->chain;
        holders += member->persisted >= index && (theirs == chain || theirs == 0);
    }
    SIM_CHECK(check->world, holders > size / 2,
              "%s applied entry %llu, which is on %zu of %zu disks", process->name,
              (unsigned long long)index, holders, size);
}

static void look_at_applied(struct check *check, struct sim_process *process, struct member *member,
                            const struct replica_status *status)
{
    struct group *group = &check->groups[process->group];
    for (uint64_t index = member->applied + 1; index <= status->applied_index; index++) {
        const struct link mine = *link_at(&member->log, index);
        struct link *committed = link_at(&group->committed, index);
        if (mine.chain == 0) {
            continue; /* it came whole, in a snapshot */
        }
        if (committed->chain == 0) {
            check_majority(check, process, index, mine.chain);
            *committed = mine;
            group->committed_last = VY_MAX(group->committed_last, index);
        }
        SIM_CHECK(check->world, committed->chain == mine.chain,
                  "%s applied another entry %llu (term %llu) than was committed (term %llu)",
                  process->name, (unsigned long long)index, (unsigned long long)mine.term,
                  (unsigned long long)committed->term);
    }
    member->applied = status->applied_index;
    uint64_t *digest = number_at(&group->digests, status->applied_index);
    SIM_CHECK(check->world, status->applied_index == 0 || *digest == 0 || *digest == status->digest,
              "%s differs from its group in what it holds at index %llu", process->name,
              (unsigned long long)status->applied_index);
    *digest = status->digest;
}

/* ---- leaders ---- */

static void check_new_leader(struct check *check, struct sim_process *process,
                             struct member *member, const struct replica_status *status)
{
    struct group *group = &check->groups[process->group];
    uint64_t *leader = number_at(&group->leaders, status->term);
    SIM_CHECK(check->world, *leader == 0 || *leader == process->number + 1U,
              "two leaders in term %llu: %s and %s", (unsigned long long)status->term,
              process->name, check->world->processes[*leader - 1].name);
    if (*leader == 0) {
        check->leaders++;
        sim_say(check->world, "%s leads in term %llu", process->name,
                (unsigned long long)status->term);
    }
    *leader = process->number + 1U;
    if (status->term < group->newest_term) {
        return; /* elected before, and paused: what later leaders committed it need not have */
    }
    group->newest_term = status->term;
    const uint64_t last = group->committed_last;
    const bool is_known = last > 0 && last <= member->persisted;
    SIM_CHECK(check->world,
              status->last_index >= last &&
                  (!is_known ||
                   link_at(&member->log, last)->chain == link_at(&group->committed, last)->chain),
              "%s leads in term %llu without committed entry %llu", process->name,
              (unsigned long long)status->term, (unsigned long long)last);
}

/* Raft 5.4.2: a leader counts disks for entries of its own term only. */
static void check_commit(struct check *check, struct sim_process *process, struct member *member,
                         const struct replica_status *status)
{
    const bool is_known = status->commit_index <= member->persisted;
    if (member->led_term == status->term && status->commit_index > member->commit && is_known) {
        const struct link *link = link_at(&member->log, status->commit_index);
        SIM_CHECK(check->world, link->chain == 0 || link->term == status->term,
                  "%s, leader of term %llu, committed entry %llu of term %llu by counting",
                  process->name, (unsigned long long)status->term,
                  (unsigned long long)status->commit_index, (unsigned long long)link->term);
    }
}

/* ---- a step ---- */

/* Back from a crash: what its disk was said to hold is there. */
static void check_restart(struct check *check, struct sim_process *process, struct member *member,
                          const struct replica_status *status)
{
    SIM_CHECK(check->world, status->last_index >= member->persisted,
              "%s said that entry %llu was on its disk, and starts with %llu", process->name,
              (unsigned long long)member->persisted, (unsigned long long)status->last_index);
    member->boot = process->boot;
    member->appended = 0;
    member->led_term = 0;
    member->commit = 0;
    member->applied = VY_MIN(member->applied, status->applied_index);
}

void check_step(struct check *check, struct sim_process *process)
{
    struct replica *replica = sim_replica(process);
    struct replica_status status;
    if (replica == NULL || process->is_mute) {
        return;
    }
    struct member *member = &check->groups[process->group].members[process->place];
    replica_get_status(replica, &status);
    if (member->boot != process->boot) {
        check_restart(check, process, member, &status);
    }
    if (member->persisted != status.persisted_index ||
        member->appended != status.entries_appended) {
        look_at_log(check, process, member, &status);
    }
    if (member->applied != status.applied_index) {
        look_at_applied(check, process, member, &status);
    }
    const bool is_leader = status.role == REPLICA_ROLE_LEADER;
    if (is_leader && member->led_term != status.term) {
        check_new_leader(check, process, member, &status);
    } else if (is_leader) {
        check_commit(check, process, member, &status);
    }
    member->led_term = is_leader ? status.term : 0;
    member->commit = status.commit_index;
}

/* ---- life ---- */

bool check_is_settled(struct check *check)
{
    for (unsigned i = 0; i < SIM_PROCESSES_MAX; i++) {
        const struct sim_process *process = &check->world->processes[i];
        const struct group *group = &check->groups[process->group];
        struct replica_status status;
        if (process->ops->replica == NULL) {
            continue;
        }
        if (sim_replica(process) == NULL) {
            return false;
        }
        replica_get_status(sim_replica(process), &status);
        if (status.applied_index != group->committed_last) {
            return false;
        }
    }
    return true;
}

static bool holds_copies(const struct sim_process *process)
{
    const struct store_range all = {.from = {.data = NULL}};
    struct store_iter *iter = NULL;
    const struct vy_err err = store_iter_new(store_newest(replica_store(sim_replica(process))),
                                             shard_store_family(SHARD_HELD), &all, &iter);
    SIM_CHECK(process->world, !vy_failed(err), "%s: what is held cannot be read", process->name);
    const bool found = iter->is_valid;
    store_iter_free(iter);
    return found;
}

bool check_holds_nothing(struct check *check)
{
    for (unsigned i = 0; i < SIM_PROCESSES_MAX; i++) {
        struct sim_process *process = &check->world->processes[i];
        if (process->ops == &sim_role_shard &&
            (sim_replica(process) == NULL || holds_copies(process))) {
            return false;
        }
    }
    return true;
}

uint64_t check_leaders(const struct check *check)
{
    return check->leaders;
}

uint64_t check_installs(const struct check *check)
{
    return check->installs;
}

struct check *check_new(struct sim_world *world)
{
    struct check *check = sim_alloc(sizeof(*check));
    check->world = world;
    return check;
}

void check_free(struct check *check)
{
    for (unsigned i = 0; i < GROUPS; i++) {
        struct group *group = &check->groups[i];
        for (size_t k = 0; k < MEMBERS_MAX; k++) {
            free(group->members[k].log.at);
        }
        free(group->committed.at);
        free(group->digests.at);
        free(group->leaders.at);
    }
    free(check);
}
