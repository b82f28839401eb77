/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A member whose data is damaged is filled anew by a snapshot from its leader (P4). It finds out
 * itself, or the leader tells it that its tables are not those of the majority. What it has
 * acknowledged must not be lost with its old log: it takes no more entries from when it asks until
 * the snapshot is in place, and the snapshot has to go beyond its last entry. A leader hands over
 * first; it does not fill a member that the rest needs for its majority, and stops when it comes to
 * need it. Another leader than the one that fills it may need it, too: it takes that one's entries.
 */
#include "replica/snapshot.h"

#define ASK_MS 10000U  /* between tries */
#define OFFER_MS 3000U /* no offer until then: the leader cannot spare this member now */
#define ALIVE_MS 3000U /* a member that was heard within this counts */

static void on_transferred(void *arg, struct vy_err err)
{
    (void)arg;
    vy_ignore(err, "it is tried again");
}

void rebuild_note(struct replica *replica)
{
    if (replica->rebuild.is_wanted || core_voters(replica->core) < 2) {
        return;
    }
    replica->rebuild.is_wanted = true;
    replica->rebuild.asked_ms = 0;
    vy_log(&replica->log, VY_LOG_WARN, "replica.rebuild.wanted",
           VY_U64("raft.index", replica->applied.index));
}

bool rebuild_is_frozen(const struct replica *replica, uint64_t leader)
{
    const struct snapshot_receive *receive = &replica->snapshots->receive;
    const bool is_others = receive->state != SNAPSHOT_RECEIVE_REST && receive->from != leader;
    return replica->rebuild.is_frozen && !is_others &&
           core_role(replica->core) == REPLICA_ROLE_FOLLOWER;
}

void rebuild_put_off(struct replica *replica)
{
    replica->rebuild.is_frozen = false;
    replica->rebuild.asked_ms = replica_now_ms(replica);
}

static void ask(struct replica *replica)
{
    uint64_t leader = 0;
    const char *address = NULL;
    if (!core_leader(replica->core, &leader, &address) || leader == replica->identity.member_id) {
        return;
    }
    const struct core_message message = {.kind = CORE_REBUILD,
                                         .term = core_term(replica->core),
                                         .last_index = core_last_index(replica->core)};
    peer_send(replica, leader, &message);
}

void rebuild_tick(struct replica *replica)
{
    struct replica_rebuild *rebuild = &replica->rebuild;
    const uint64_t since_ms = replica_now_ms(replica) - rebuild->asked_ms;
    if (!rebuild->is_wanted) {
        return;
    }
    if (core_role(replica->core) == REPLICA_ROLE_LEADER) {
        vy_ignore(replica_transfer(replica, on_transferred, NULL), "it is tried again");
        return;
    }
    if (replica->snapshots->receive.state != SNAPSHOT_RECEIVE_REST) {
        return; /* it comes */
    }
    rebuild->is_frozen = rebuild->is_frozen && since_ms < OFFER_MS;
    if (rebuild->asked_ms == 0 || since_ms >= ASK_MS) {
        rebuild->is_frozen = true;
        rebuild->asked_ms = replica_now_ms(replica);
    }
    if (rebuild->is_frozen) {
        ask(replica);
    }
}

/* ---- as leader ---- */

void rebuild_order(struct replica *replica, uint64_t member)
{
    const struct core_message message = {.kind = CORE_REBUILD, .term = core_term(replica->core)};
    if (member == replica->identity.member_id) {
        rebuild_note(replica);
    } else {
        peer_send(replica, member, &message);
    }
}

/* Voters that answer, this one included, without `member`. */
static size_t count_others(const struct replica *replica, uint64_t member)
{
    struct replica_member members[REPLICA_MEMBERS_MAX];
    const size_t count = core_members(replica->core, members, REPLICA_MEMBERS_MAX);
    size_t alive = 1;
    for (size_t i = 0; i < replica->peer_count; i++) {
        const struct replica_peer *peer = &replica->peers[i];
        const bool is_recent =
            peer->heard_mono_ms > 0 && replica_now_ms(replica) - peer->heard_mono_ms < ALIVE_MS;
        for (size_t k = 0; k < VY_MIN(count, REPLICA_MEMBERS_MAX); k++) {
            alive += members[k].id == peer->id && !members[k].is_learner && peer->id != member &&
                             is_recent
                         ? 1
                         : 0;
        }
    }
    return alive;
}

bool rebuild_is_needed(const struct replica *replica, uint64_t member)
{
    return count_others(replica, member) <= core_voters(replica->core) / 2;
}

/* So that the snapshot can go beyond what the member has, also when nobody writes. */
static void add_entry(struct replica *replica)
{
    struct entry *entry = NULL;
    if (vy_failed(
            entry_new_raw(core_term(replica->core), ENTRY_BARRIER, vy_bytes(NULL, 0), &entry))) {
        return;
    }
    const struct vy_err err = core_submit(replica->core, replica_now_ms(replica), &entry, 1);
    if (err.code != VY_CODE_NOT_LEADER) {
        replica_stepped(replica, err);
    }
    entry_unref(entry);
}

static void fill(struct replica *replica, uint64_t member, uint64_t last_index)
{
    if (rebuild_is_needed(replica, member)) {
        return; /* it goes on, and asks again */
    }
    if (replica->applied.index <= last_index) {
        add_entry(replica);
        return; /* it asks again in a moment */
    }
    send_want_beyond(replica, member, last_index);
}

void rebuild_on_message(struct replica *replica, uint64_t from, const struct core_message *message)
{
    uint64_t leader = 0;
    const char *address = NULL;
    if (message->term != core_term(replica->core)) {
        return;
    }
    if (replica_is_leader(replica)) {
        fill(replica, from, message->last_index);
    } else if (core_leader(replica->core, &leader, &address) && leader == from) {
        rebuild_note(replica);
    }
}
