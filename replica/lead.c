/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Leadership as seen from outside the core: when it begins and ends, handing it over, and the time
 * of entries, which never goes back and runs ahead of the log's own pace only as far as a majority
 * of the members' clocks does (P15).
 */
#include "replica/replica_private.h"

#define CLOCK_OFF_MS 10000U /* a clock further off than this is worth a line */

/* ---- beginning and ending ---- */

static void end_leading(struct replica *replica)
{
    const bool was_leader = replica->is_leader;
    const uint64_t term = replica->led_term;
    replica->led_term = 0;
    replica->is_leader = false;
    queue_fail_waiting(replica, vy_error(VY_CODE_NOT_LEADER, "leadership is over"));
    queue_fail_flights(replica, vy_error(VY_CODE_UNKNOWN, "leadership is over"));
    read_fail_all(replica, vy_error(VY_CODE_NOT_LEADER, "leadership is over"));
    if (replica->scrub != NULL) {
        scrub_lead_changed(replica->scrub);
    }
    if (was_leader) {
        vy_log(&replica->log, VY_LOG_INFO, "replica.lead.ended", VY_U64("raft.term", term));
        if (replica->config.fsm->ops->on_leader_change != NULL) {
            replica->config.fsm->ops->on_leader_change(replica->config.fsm, false, term);
        }
    }
}

static void begin_leading(struct replica *replica)
{
    replica->is_leader = true;
    replica->leader_term = core_term(replica->core);
    replica->led_term = replica->leader_term;
    vy_log(&replica->log, VY_LOG_INFO, "replica.lead.began",
           VY_U64("raft.term", replica->leader_term),
           VY_U64("raft.index", core_last_index(replica->core)));
    if (replica->config.fsm->ops->on_leader_change != NULL) {
        replica->config.fsm->ops->on_leader_change(replica->config.fsm, true, replica->leader_term);
    }
}

static void count_changes(struct replica *replica)
{
    uint64_t leader = 0;
    const char *address = NULL;
    const bool is_candidate = core_role(replica->core) == REPLICA_ROLE_CANDIDATE;
    core_leader(replica->core, &leader, &address);
    if (leader != 0 && leader != replica->known_leader) {
        replica->known_leader = leader;
        replica->counts.leader_changes++;
    }
    replica->counts.elections += is_candidate && !replica->was_candidate;
    replica->was_candidate = is_candidate;
}

static void settle_transfer(struct replica *replica)
{
    if (replica->transfer_to == 0 || core_transferee(replica->core) == replica->transfer_to) {
        return;
    }
    const bool is_done = core_role(replica->core) != REPLICA_ROLE_LEADER;
    const replica_read_fn callback = replica->transfer_fn;
    replica->transfer_to = 0;
    callback(replica->transfer_arg,
             is_done ? vy_ok() : vy_error(VY_CODE_UNAVAILABLE, "leadership was not taken over"));
}

void lead_settle(struct replica *replica)
{
    const bool leads = core_role(replica->core) == REPLICA_ROLE_LEADER;
    const uint64_t term = core_term(replica->core);
    count_changes(replica);
    if (replica->led_term != 0 && (!leads || replica->led_term != term)) {
        end_leading(replica);
    }
    settle_transfer(replica);
    if (leads && !replica->is_leader && core_is_ready(replica->core) &&
        replica->applied.index >= core_noop_index(replica->core)) {
        begin_leading(replica);
    }
}

bool replica_is_leader(const struct replica *replica)
{
    return replica->is_leader && replica_is_running(replica) && core_is_ready(replica->core) &&
           replica->led_term == core_term(replica->core);
}

bool replica_leader_hint(const struct replica *replica, struct replica_member *out)
{
    uint64_t id = 0;
    const char *address = NULL;
    if (!replica_is_running(replica) || !core_leader(replica->core, &id, &address)) {
        return false;
    }
    *out = (struct replica_member){.id = id, .address = address};
    return true;
}

/* ---- handing over ---- */

bool lead_has_better_peer(const struct replica *replica)
{
    for (size_t i = 0; i < replica->peer_count; i++) {
        const struct replica_peer *peer = &replica->peers[i];
        if (peer->votes && !peer->is_full && members_is_heard(replica, peer->id)) {
            return true;
        }
    }
    return false;
}

/* Of those with space on their disks, if there are any. */
static uint64_t furthest_peer(const struct replica *replica)
{
    const bool wants_space = lead_has_better_peer(replica);
    uint64_t best = 0;
    uint64_t best_match = 0;
    for (size_t i = 0; i < replica->peer_count; i++) {
        const struct replica_peer *peer = &replica->peers[i];
        uint64_t match = 0;
        if (peer->votes && !(wants_space && peer->is_full) && members_is_heard(replica, peer->id) &&
            core_match_index(replica->core, peer->id, &match) &&
            (best == 0 || match > best_match)) {
            best = peer->id;
            best_match = match;
        }
    }
    return best;
}

static struct vy_err may_hand_over(const struct replica *replica)
{
    if (!replica_is_leader(replica)) {
        return vy_error(VY_CODE_NOT_LEADER, "hand over");
    }
    return replica->transfer_to != 0 ? vy_error(VY_CODE_BUSY, "handing over already") : vy_ok();
}

static void hand_over(struct replica *replica, uint64_t to, replica_read_fn callback, void *arg)
{
    replica->transfer_to = to;
    replica->transfer_fn = callback;
    replica->transfer_arg = arg;
    const struct vy_err err =
        core_transfer(replica->core, replica_now_ms(replica), replica->transfer_to);
    replica_stepped(replica, err);
}

struct vy_err replica_transfer(struct replica *replica, replica_read_fn callback, void *arg)
{
    VY_TRY(may_hand_over(replica));
    const uint64_t to = furthest_peer(replica);
    if (to == 0) {
        return vy_error(VY_CODE_NOT_FOUND, "there is no other voter that answers");
    }
    hand_over(replica, to, callback, arg);
    return vy_ok();
}

struct vy_err replica_transfer_to(struct replica *replica, uint64_t member_id,
                                  replica_read_fn callback, void *arg)
{
    VY_TRY(may_hand_over(replica));
    for (size_t i = 0; i < replica->peer_count; i++) {
        const struct replica_peer *peer = &replica->peers[i];
        if (peer->id != member_id || !peer->votes) {
            continue;
        }
        if (peer->is_full || !members_is_heard(replica, peer->id)) {
            return vy_error(VY_CODE_PRECONDITION, "it does not answer, or its disk is full");
        }
        hand_over(replica, member_id, callback, arg);
        return vy_ok();
    }
    return vy_error(VY_CODE_NOT_FOUND, "no other voter of that id");
}

/* ---- the time of entries ---- */

/* The latest wall-clock time that a majority of the members has reached, as far as was heard. */
static uint64_t majority_clock(const struct replica *replica, uint64_t wall_ms)
{
    uint64_t clocks[REPLICA_MEMBERS_MAX + 1];
    size_t count = 0;
    clocks[count++] = wall_ms;
    for (size_t i = 0; i < replica->peer_count; i++) {
        const struct replica_peer *peer = &replica->peers[i];
        if (!peer->votes) {
            continue;
        }
        const uint64_t passed_ms = replica_now_ms(replica) - peer->heard_mono_ms;
        const uint64_t theirs = peer->wall_ms == 0 ? 0 : peer->wall_ms + passed_ms;
        size_t at = count++;
        for (; at > 0 && clocks[at - 1] < theirs; at--) {
            clocks[at] = clocks[at - 1];
        }
        clocks[at] = theirs;
    }
    return clocks[count / 2]; /* descending: a majority has reached it */
}

uint64_t lead_entry_time(struct replica *replica)
{
    const uint64_t wall_ms = vy_clock_wall_ms(replica->config.clock);
    const uint64_t passed_ms = replica_now_ms(replica) - replica->last_time_mono_ms;
    const uint64_t own_pace = replica->last_time_ms + passed_ms;
    const uint64_t agreed_ms = majority_clock(replica, wall_ms);
    const uint64_t paced_ms = VY_MAX(agreed_ms, VY_MIN(wall_ms, own_pace));
    const uint64_t time_ms = VY_MAX(replica->last_time_ms, paced_ms);
    const uint64_t off_ms = wall_ms > time_ms ? wall_ms - time_ms : time_ms - wall_ms;
    const bool is_off = off_ms > CLOCK_OFF_MS;
    if (is_off && !replica->is_clock_off) {
        vy_log(&replica->log, VY_LOG_WARN, "replica.clock.off",
               VY_I64("sys.clock_off_ms", (int64_t)(wall_ms - time_ms)));
    }
    replica->is_clock_off = is_off;
    return time_ms;
}

void lead_note_time(struct replica *replica, const struct entry *entry)
{
    const uint64_t time_ms = entry_time_ms(entry);
    if (time_ms > replica->last_time_ms) {
        replica->last_time_ms = time_ms;
        replica->last_time_mono_ms = replica_now_ms(replica);
    }
}
