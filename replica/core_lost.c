/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A leader that is known to be gone is replaced before its silence has lasted an election timeout.
 *
 * The link tells: both connections to the leader broke. That may be a lie of the network, so it is
 * a hint and no more. The leader is forgotten, which lets pre-votes of others pass, and the own
 * election comes early; what the leader still sends takes both back. An election needs a majority
 * that has lost the leader, too: others refuse the pre-vote, and nobody's term has moved.
 */
#include "replica/core_private.h"

/* Members take turns of this many heartbeats, in the order of their ids, so that they do not split
 * the votes; the first begins half a heartbeat after the loss. A round of pre-vote and vote with
 * its syncs fits into a turn. */
#define TURN_HEARTBEATS 2U

static struct raft *raft_of(struct core *core)
{
    return &core->raft;
}

/* How many voters besides the lost one go first. */
static unsigned own_turn(const struct core *core, uint64_t lost)
{
    const struct raft_configuration *members = &core->raft.configuration;
    unsigned turn = 0;
    for (unsigned i = 0; i < members->n; i++) {
        const struct raft_server *server = &members->servers[i];
        turn += server->role == RAFT_VOTER && server->id != lost && server->id < core->raft.id;
    }
    return turn;
}

bool core_leader_lost(struct core *core, uint64_t now_ms, uint64_t lost)
{
    struct raft *raft = raft_of(core);
    if (raft_state(raft) != RAFT_FOLLOWER || lost == 0 ||
        raft->follower_state.current_leader.id != lost) {
        return false;
    }
    const uint64_t heartbeat_ms = core->config.heartbeat_ms;
    const uint64_t delay_ms =
        heartbeat_ms / 2 + own_turn(core, lost) * TURN_HEARTBEATS * heartbeat_ms;
    const uint64_t silent_ms = now_ms - raft->election_timer_start;
    raft->follower_state.current_leader.id = 0;
    raft_free(raft->follower_state.current_leader.address); /* else results go to member 0 */
    raft->follower_state.current_leader.address = NULL;
    if (silent_ms + delay_ms < raft->follower_state.randomized_election_timeout) {
        core->patience_ms = raft->follower_state.randomized_election_timeout;
        raft->follower_state.randomized_election_timeout = (unsigned)(silent_ms + delay_ms);
    }
    return true;
}

void core_regain_patience(struct core *core)
{
    struct raft *raft = raft_of(core);
    if (core->patience_ms != 0 && raft_state(raft) == RAFT_FOLLOWER) {
        raft->follower_state.randomized_election_timeout = core->patience_ms;
    }
    core->patience_ms = 0;
}
