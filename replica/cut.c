/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cutting the log. An entry may go here once it is applied here and every member of the group has
 * it on disk: then nobody will ever ask for it. The leader knows by the acknowledgements, and says
 * so in its appends; what was once said stays true, also of earlier leaders and across restarts.
 * A log that became too long is cut all the same: who lacks what went gets a snapshot.
 */
#include "replica/snapshot.h"

/* What every member has on disk, as its leader knows. Zero: not known. */
static uint64_t held_by_all(const struct replica *replica)
{
    struct replica_member members[REPLICA_MEMBERS_MAX];
    const size_t count = core_members(replica->core, members, REPLICA_MEMBERS_MAX);
    uint64_t held = VY_MIN(core_commit_index(replica->core), core_persisted_index(replica->core));
    if (core_role(replica->core) != REPLICA_ROLE_LEADER || count > REPLICA_MEMBERS_MAX) {
        return 0;
    }
    for (size_t i = 0; i < count; i++) {
        uint64_t match = 0;
        if (members[i].id == replica->identity.member_id) {
            continue;
        }
        if (!core_match_index(replica->core, members[i].id, &match)) {
            return 0;
        }
        held = VY_MIN(held, match);
    }
    return held;
}

static struct vy_err cut_behind(struct replica *replica, uint64_t index)
{
    struct core_base base = {.index = 0};
    VY_TRY(core_cut(replica->core, replica_now_ms(replica), index, &base));
    const struct log_base row = {.index = base.index,
                                 .term = base.term,
                                 .members_index = base.members_index,
                                 .last_time_ms = replica->last_time_ms,
                                 .members = base.members};
    replica->cut_ticket = writer_cut(replica->writer, &row, replica->spans.base,
                                     core_term(replica->core), core_voted_for(replica->core));
    if (replica->cut_ticket == 0) {
        return vy_error(VY_CODE_NOMEM, "cut of the log");
    }
    log_spans_cut(&replica->spans, index);
    if (replica->cut_wanted > 0) {
        log_tail_trim(&replica->tail, VY_MIN(index, replica->cut_wanted), 0);
    }
    return vy_ok();
}

void replica_cut_behind(struct replica *replica, uint64_t index)
{
    replica->cut_wanted = VY_MAX(replica->cut_wanted, index);
    replica_want_settle(replica);
}

bool replica_is_cut_behind(const struct replica *replica, uint64_t index)
{
    return replica->spans.base >= index && replica->ticket_done >= replica->cut_ticket;
}

/* A new member has nothing: what all had until now is not what all have. */
void cut_note_entry(struct replica *replica, const struct entry *entry)
{
    if (entry->type == ENTRY_CHANGE) {
        replica->held_index = 0;
    }
}

void cut_note_held(struct replica *replica, const struct core_message *message)
{
    if (message->kind == CORE_APPEND && message->term == core_term(replica->core)) {
        replica->held_index = VY_MAX(replica->held_index, message->held);
    }
}

/* As leader: how far the log goes even from members that have not got it. They are sent a snapshot
 * when they are back. While one is on its way the log is kept from there on, up to twice as long.
 */
static uint64_t given_up(const struct replica *replica)
{
    const struct replica_transport *transport = replica->config.transport;
    if (core_role(replica->core) != REPLICA_ROLE_LEADER || transport == NULL ||
        transport->send_bulk == NULL) {
        return 0;
    }
    const uint64_t over = VY_MIN(log_spans_over(&replica->spans, 1), send_hold(replica));
    const uint64_t limit = VY_MAX(over, log_spans_over(&replica->spans, 2));
    /* What a snapshot left out here, the others may still have for each other. */
    return limit > replica->spans.base ? limit : 0;
}

void cut_settle(struct replica *replica)
{
    replica->held_index = VY_MAX(replica->held_index, held_by_all(replica));
    replica->held_index = VY_MAX(replica->held_index, given_up(replica));
    const uint64_t applied = VY_MIN(replica->applied.index, core_applicable(replica->core));
    const uint64_t safe = VY_MIN(replica->held_index, applied);
    const uint64_t wanted = VY_MIN(replica->cut_wanted, safe);
    const uint64_t limit = VY_MAX(wanted, log_spans_limit(&replica->spans, safe));
    if (limit > replica->spans.base && limit >= CORE_CUT_MIN) {
        replica_stepped(replica, cut_behind(replica, limit));
    }
}
