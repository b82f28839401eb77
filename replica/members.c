/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who belongs to the group. The log says so: a change counts from the moment it is in the log, and
 * for good once it is committed. The leader makes one change at a time, promotes a new member once
 * it has caught up, and corrects its own address. Everybody else follows the log: peers, readers
 * and the transport learn of it here.
 */
#include "replica/replica_private.h"

#define HEARD_TIMEOUTS 2U /* a member silent for so many election timeouts does not answer */

size_t members_list(const struct replica *replica, struct replica_member *out)
{
    const size_t count = core_members(replica->core, out, REPLICA_MEMBERS_MAX);
    if (count > 0 || replica->known_count == 0) {
        return VY_MIN(count, REPLICA_MEMBERS_MAX);
    }
    memcpy(out, replica->known, replica->known_count * sizeof(out[0]));
    return replica->known_count;
}

bool members_is_heard(const struct replica *replica, uint64_t id)
{
    const uint64_t limit_ms = (uint64_t)HEARD_TIMEOUTS * replica->config.election_timeout_ms;
    for (size_t i = 0; i < replica->peer_count; i++) {
        const struct replica_peer *peer = &replica->peers[i];
        if (peer->id == id) {
            return peer->wall_ms != 0 && replica_now_ms(replica) - peer->heard_mono_ms <= limit_ms;
        }
    }
    return id == replica->identity.member_id;
}

/* ---- telling the others in this process ---- */

static void tell_members(struct replica *replica)
{
    struct replica_member members[REPLICA_MEMBERS_MAX];
    const size_t count = members_list(replica, members);
    peer_sync(replica);
    read_on_members(replica);
    if (replica->config.on_members != NULL) {
        replica->config.on_members(replica->config.on_members_arg, members, count);
    }
}

static struct vy_err copy_members(const struct replica_member *members, size_t count,
                                  struct replica_member *out)
{
    for (size_t i = 0; i < count; i++) {
        out[i] = members[i];
        out[i].address = strdup(members[i].address);
        if (out[i].address == NULL) {
            core_members_free(out, i);
            return vy_error(VY_CODE_NOMEM, "addresses of members");
        }
    }
    return vy_ok();
}

struct vy_err replica_introduce(struct replica *replica, const struct replica_member *members,
                                size_t count)
{
    struct replica_member copies[REPLICA_MEMBERS_MAX];
    if (count > REPLICA_MEMBERS_MAX) {
        return vy_error(VY_CODE_LIMIT, "members that are introduced");
    }
    VY_TRY(copy_members(members, count, copies));
    core_members_free(replica->guests, replica->guest_count);
    memcpy(replica->guests, copies, count * sizeof(copies[0]));
    replica->guest_count = count;
    peer_sync(replica);
    read_on_members(replica);
    return vy_ok();
}

/* ---- asking for a change ---- */

static struct replica_member *find(struct replica_member *members, size_t count, uint64_t id)
{
    for (size_t i = 0; i < count; i++) {
        if (members[i].id == id) {
            return &members[i];
        }
    }
    return NULL;
}

static const struct replica_member *find_learner(const struct replica_member *members, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (members[i].is_learner) {
            return &members[i];
        }
    }
    return NULL;
}

/* Whether a majority of the voters among these answers. */
static bool has_quorum(const struct replica *replica, const struct replica_member *members,
                       size_t count)
{
    size_t voters = 0;
    size_t heard = 0;
    for (size_t i = 0; i < count; i++) {
        voters += !members[i].is_learner;
        heard += !members[i].is_learner && members_is_heard(replica, members[i].id);
    }
    return heard > voters / 2;
}

static struct vy_err submit(struct replica *replica, const struct replica_member *members,
                            size_t count, uint64_t *index)
{
    const struct vy_err err =
        core_set_members(replica->core, replica_now_ms(replica), members, count, index);
    if (err.code == VY_CODE_NOT_LEADER || err.code == VY_CODE_PRECONDITION ||
        err.code == VY_CODE_ARGUMENT) {
        return err; /* nothing happened */
    }
    replica_stepped(replica, err);
    return err;
}

static struct vy_err check_add(const struct replica *replica, const struct replica_change *change,
                               struct replica_member *members, size_t count)
{
    if (change->member_id == 0 || change->address == NULL || change->address[0] == '\0' ||
        strlen(change->address) > REPLICA_ADDRESS_BYTES_MAX) {
        return vy_error(VY_CODE_ARGUMENT, "id or address of a new member");
    }
    if (find(members, count, change->member_id) != NULL) {
        return vy_error(VY_CODE_EXISTS, "the group has this member already");
    }
    for (size_t i = 0; i < count; i++) {
        if (strcmp(members[i].address, change->address) == 0) {
            return vy_error(VY_CODE_EXISTS, "the group has a member with this address already");
        }
    }
    if (find_learner(members, count) != NULL) {
        return vy_error(VY_CODE_BUSY, "another new member is still catching up");
    }
    if (count == REPLICA_MEMBERS_MAX) {
        return vy_error(VY_CODE_LIMIT, "a group has at most 9 members");
    }
    return core_base_index(replica->core) == 0 || replica->config.transport->send_bulk != NULL
               ? vy_ok()
               : vy_error(VY_CODE_UNSUPPORTED, "the log was cut: a new member cannot be filled");
}

static struct vy_err add(struct replica *replica, const struct replica_change *change,
                         struct replica_member *members, size_t count, uint64_t *index)
{
    VY_TRY(check_add(replica, change, members, count));
    members[count] = (struct replica_member){
        .id = change->member_id, .address = change->address, .is_learner = true};
    return submit(replica, members, count + 1, index);
}

static struct vy_err check_remove(const struct replica *replica, const struct replica_member *gone,
                                  const struct replica_member *rest, size_t count)
{
    if (gone->is_learner) {
        return vy_ok();
    }
    if (core_voters(replica->core) == 1) {
        return vy_error(VY_CODE_PRECONDITION, "it is the last member that votes");
    }
    return has_quorum(replica, rest, count)
               ? vy_ok()
               : vy_error(VY_CODE_PRECONDITION,
                          "a majority of the members that would be left does not answer");
}

static struct vy_err take_away(struct replica *replica, uint64_t id, struct replica_member *members,
                               size_t count, uint64_t *index)
{
    struct replica_member *gone = find(members, count, id);
    if (gone == NULL) {
        return vy_error(VY_CODE_NOT_FOUND, "the group has no such member");
    }
    const struct replica_member removed = *gone;
    *gone = members[count - 1];
    VY_TRY(check_remove(replica, &removed, members, count - 1));
    return submit(replica, members, count - 1, index);
}

static struct vy_err hand_over(struct replica *replica, replica_read_fn callback, void *arg);

struct vy_err replica_change(struct replica *replica, const struct replica_change *change,
                             replica_read_fn callback, void *arg)
{
    struct replica_member members[REPLICA_MEMBERS_MAX + 1];
    uint64_t index = 0;
    if (!replica_is_leader(replica)) {
        return vy_error(VY_CODE_NOT_LEADER, "change of members");
    }
    if (replica->change.callback != NULL || core_uncommitted_change(replica->core) != 0) {
        return vy_error(VY_CODE_BUSY, "another change of members is not committed yet");
    }
    const size_t count = members_list(replica, members);
    if (change->kind == REPLICA_REMOVE && change->member_id == replica->identity.member_id) {
        return hand_over(replica, callback, arg);
    }
    VY_TRY(change->kind == REPLICA_ADD
               ? add(replica, change, members, count, &index)
               : take_away(replica, change->member_id, members, count, &index));
    replica->change = (struct replica_change_wait){
        .index = index, .term = core_term(replica->core), .callback = callback, .arg = arg};
    vy_log(&replica->log, VY_LOG_INFO,
           change->kind == REPLICA_ADD ? "replica.member.adding" : "replica.member.removing",
           VY_HEX("raft.peer", change->member_id), VY_U64("raft.index", index));
    return vy_ok();
}

/* ---- a leader that is to go ---- */

static void on_handed_over(void *arg, struct vy_err err)
{
    struct replica *replica = arg;
    members_fail_change(
        replica, vy_failed(err) ? err : vy_error(VY_CODE_NOT_LEADER, "leadership was handed over"));
}

static struct vy_err hand_over(struct replica *replica, replica_read_fn callback, void *arg)
{
    if (core_voters(replica->core) == 1) {
        return vy_error(VY_CODE_PRECONDITION, "it is the last member that votes");
    }
    const struct vy_err err = replica_transfer(replica, on_handed_over, replica);
    if (err.code == VY_CODE_NOT_FOUND) {
        return vy_error(VY_CODE_PRECONDITION,
                        "a majority of the members that would be left does not answer");
    }
    VY_TRY(err);
    replica->change = (struct replica_change_wait){.callback = callback, .arg = arg};
    return vy_ok();
}

/* ---- the end of a change ---- */

void members_fail_change(struct replica *replica, struct vy_err err)
{
    const struct replica_change_wait change = replica->change;
    replica->change = (struct replica_change_wait){.index = 0};
    if (change.callback != NULL) {
        change.callback(change.arg, err);
    }
}

static void settle_change(struct replica *replica)
{
    const struct replica_change_wait *change = &replica->change;
    if (change->index == 0) {
        return;
    }
    if (core_role(replica->core) != REPLICA_ROLE_LEADER ||
        core_term(replica->core) != change->term) {
        members_fail_change(replica, vy_error(VY_CODE_UNKNOWN, "leadership is over"));
    } else if (core_applicable(replica->core) >= change->index) {
        members_fail_change(replica, vy_ok());
    }
}

/* ---- what the leader does by itself ---- */

/* It reached, in less than an election timeout, what was the log's end when the round began: what
 * is missing now is little. */
static bool has_caught_up(struct replica *replica, uint64_t id)
{
    struct replica_catch_up *catch_up = &replica->catch_up;
    const uint64_t now_ms = replica_now_ms(replica);
    const uint64_t last_index = core_last_index(replica->core);
    uint64_t match = 0;
    if (!members_is_heard(replica, id) || !core_match_index(replica->core, id, &match)) {
        return false;
    }
    if (catch_up->id == id && match < catch_up->round_index) {
        return false;
    }
    const bool is_fast = catch_up->id == id && match > 0 &&
                         now_ms - catch_up->round_ms < replica->config.election_timeout_ms;
    *catch_up = (struct replica_catch_up){.id = id, .round_index = last_index, .round_ms = now_ms};
    return is_fast || match == last_index;
}

static void promote(struct replica *replica, struct replica_member *members, size_t count,
                    struct replica_member *learner)
{
    uint64_t index = 0;
    if (!has_caught_up(replica, learner->id)) {
        return;
    }
    learner->is_learner = false;
    if (!has_quorum(replica, members, count)) {
        return; /* it would not help: tried again when more of them answer */
    }
    const struct vy_err err = submit(replica, members, count, &index);
    if (!vy_failed(err)) {
        replica->catch_up = (struct replica_catch_up){.id = 0};
        vy_log(&replica->log, VY_LOG_INFO, "replica.member.promoted",
               VY_HEX("raft.peer", learner->id), VY_U64("raft.index", index));
    }
}

static bool is_address_wrong(const struct replica *replica, const struct replica_member *own)
{
    return own != NULL && replica->own_address != NULL &&
           strcmp(own->address, replica->own_address) != 0;
}

static void lead_members(struct replica *replica)
{
    struct replica_member members[REPLICA_MEMBERS_MAX];
    const size_t count = members_list(replica, members);
    struct replica_member *own = find(members, count, replica->identity.member_id);
    struct replica_member *learner =
        (struct replica_member *)(uintptr_t)find_learner(members, count);
    uint64_t index = 0;
    if (is_address_wrong(replica, own)) {
        own->address = replica->own_address;
        const struct vy_err err = submit(replica, members, count, &index);
        if (!vy_failed(err)) {
            vy_log(&replica->log, VY_LOG_INFO, "replica.member.moved", VY_U64("raft.index", index));
        }
    } else if (learner != NULL) {
        promote(replica, members, count, learner);
    }
}

void members_settle(struct replica *replica)
{
    const uint64_t version = core_members_version(replica->core);
    if (replica->members_version != version || (version == 0 && !replica->is_known_told)) {
        replica->members_version = version;
        replica->is_known_told = true;
        tell_members(replica);
    }
    settle_change(replica);
    if (replica_is_leader(replica) && core_uncommitted_change(replica->core) == 0 &&
        core_transferee(replica->core) == 0) {
        lead_members(replica);
    }
}
