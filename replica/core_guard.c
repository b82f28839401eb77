/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ten guards around libraft 0.22.1. Each says what goes wrong without it; the number is its
 * bit in the simulation that found it. core_test.c has a case for each.
 */
#include "base/plant.h"
#include "replica/core_private.h"

/* A follower records a change of members at the index of the first entry of its batch, so that it
 * is never marked committed, and a truncation in between keeps members that were removed. */
size_t guard_split_changes(struct entry *const *entries, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (entries[i]->type == ENTRY_CHANGE) {
            return i == 0 ? 1 : i;
        }
    }
    return count;
}

/* An append whose prev lies below a log that was cut is refused for ever or, with prev 0, appended
 * at the tail. What the base covers is committed, hence the same with every leader. */
void guard_rebase(const struct core *core, struct core_message *message)
{
    if (message->prev_index >= core->base_index || message->term < core_term(core)) {
        return;
    }
    const uint64_t known = VY_MIN(core->base_index - message->prev_index, message->count);
    message->entries += known;
    message->count -= (size_t)known;
    message->prev_index = core->base_index;
    message->prev_term = core->base_term;
}

/* A follower's commit index follows each leader's, also downwards. */
void guard_keep_commit(struct core *core, uint64_t commit)
{
    core->commit = VY_MAX(core->commit, commit);
}

/* In probe state it makes next <= match: an underflow, and empty appends until the leader changes.
 */
bool guard_is_stale_rejection(const struct core *core, uint64_t from,
                              const struct core_message *message)
{
    uint64_t match = 0;
    return message->kind == CORE_APPEND_RESULT && message->rejected > 0 &&
           message->term == core_term(core) && core_match_index(core, from, &match) &&
           message->rejected <= match;
}

/* The others' majority may commit before our own write is done; a crash would leave effects
 * without their entry. */
uint64_t guard_applicable(const struct core *core)
{
    if (VY_PLANT(ACK_EARLY) && core_role(core) == REPLICA_ROLE_LEADER) {
        return core->reported;
    }
    return VY_MIN(core->commit, core->reported);
}

/* The known single-server bug of 2015: two leaders in one term, committed entries lost. */
bool guard_may_change(const struct core *core)
{
    return core_is_ready(core) && core->raft.configuration_uncommitted_index == 0;
}

static bool is_voter(const struct core *core)
{
    const struct raft_configuration *members = &core->raft.configuration;
    for (unsigned i = 0; i < members->n; i++) {
        if (members->servers[i].id == core->raft.id && members->servers[i].role == RAFT_VOTER) {
            return true;
        }
    }
    return false;
}

/* It would refuse its vote and never forget its leader: no leader ever, after churn and crashes. It
 * shows itself as the only voter while raft looks at the request. */
void guard_vote_begin(struct core *core, uint64_t now_ms, struct raft_message *message,
                      struct guard_vote *guard)
{
    guard->is_active = message->type == RAFT_REQUEST_VOTE &&
                       raft_state(&core->raft) == RAFT_FOLLOWER && !is_voter(core);
    if (!guard->is_active) {
        return;
    }
    guard->saved = core->raft.configuration;
    guard->self = (struct raft_server){
        .id = core->raft.id, .address = core->raft.address, .role = RAFT_VOTER};
    core->raft.configuration = (struct raft_configuration){.servers = &guard->self, .n = 1};
    if (now_ms - core->last_append_ms > core->config.election_timeout_ms) {
        message->request_vote.disrupt_leader = true;
    }
}

void guard_vote_end(struct core *core, struct guard_vote *guard)
{
    if (guard->is_active) {
        core->raft.configuration = guard->saved;
    }
}

/* raft makes it the leader of the term that its disk has: the one in which it led before. A learner
 * may hold entries of that term that a power cut took from the voter, and would take others at the
 * same places for them. Its newest members count, committed or not. */
struct vy_err guard_start_term(const struct core *core, uint64_t *term)
{
    struct replica_member members[REPLICA_MEMBERS_MAX];
    size_t count = 0;
    size_t others = 0;
    bool is_voter = false;
    if (core->change_count == 0) {
        return vy_ok(); /* it joins, and has nothing yet */
    }
    VY_TRY(core_decode_members(core->changes[core->change_count - 1].entry->body, members, &count));
    for (size_t i = 0; i < count; i++) {
        others += !members[i].is_learner && members[i].id != core->config.id;
        is_voter = is_voter || (!members[i].is_learner && members[i].id == core->config.id);
    }
    core_members_free(members, count);
    *term += is_voter && others == 0 ? 1 : 0;
    return vy_ok();
}

/* It echoes the request's term otherwise, and a longer log at a lower term never learns the higher
 * one: a group without leader for ever. */
void guard_pre_vote_term(const struct core *core, struct core_message *message)
{
    if (message->kind == CORE_VOTE_RESULT && message->pre_vote && !message->is_granted &&
        core_term(core) > message->term) {
        message->term = core_term(core);
    }
}

/* A candidate that a leader had asked to take over begins every further election in the same way:
 * without a pre-vote, and not to be refused for the sake of a leader. One that was removed
 * meanwhile would end every leader's term for ever. */
void guard_disrupt_once(struct core *core, uint64_t now_ms)
{
    if (core->is_started && raft_state(&core->raft) == RAFT_CANDIDATE &&
        core->raft.candidate_state.disrupt_leader && now_ms >= raft_timeout(&core->raft)) {
        core->raft.candidate_state.disrupt_leader = false;
        core->raft.candidate_state.in_pre_vote = true;
    }
}
