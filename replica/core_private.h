/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The body of the core, shared by core.c, core_cut.c, core_guard.c, core_lost.c and core_members.c.
 */
#include "replica/core.h"

#include <raft.h>

struct core_write {
    uint64_t ticket;
    uint64_t valid; /* last index of it that is still in the log */
};
struct core_change {
    uint64_t index;
    struct entry *entry; /* owned reference */
};

struct core {
    struct core_config config;
    struct raft raft;
    bool is_started;
    uint64_t base_index; /* the log begins behind it */
    uint64_t base_term;
    uint64_t commit;     /* never goes back (guard 4) */
    uint64_t reported;   /* highest index that raft was told is on disk */
    uint64_t configured; /* changes of members up to here were told to raft */
    uint64_t noop_index; /* first entry of the term we lead */
    uint64_t noop_term;
    uint64_t tail_term;        /* of the last entry */
    uint64_t last_append_ms;   /* a leader was heard */
    unsigned patience_ms;      /* election timeout before the leader was lost; 0: it was not */
    struct core_write *writes; /* owned; unfinished, in order */
    size_t write_count;
    size_t write_capacity;
    uint64_t members_version;
    bool refuses_old;            /* the append in hand is of an earlier term */
    struct core_change *changes; /* owned; in order; the first may lie before the log */
    size_t change_count;
    size_t change_capacity;
};

/* One raft_step and everything it asks for. entries: ours, one for each of the event's. */
struct vy_err core_step(struct core *core, struct raft_event *event, struct entry *const *entries);

/* core_lost.c: somebody leads or stood for election: silence counts in full again. */
void core_regain_patience(struct core *core);
/* core_message.c. False: nothing that we send. */
bool core_message_of_raft(const struct raft_message *from, struct core_message *to);
/* to->server_id is set; of an append only the type, for it is sent in parts. */
void core_message_to_raft(const struct core_message *from, struct raft_message *to);

/* ---- the guards; the number is the bit in the simulation that found it ---- */

/* 1: how many of the entries may go into one step, so that a change of members is alone. */
size_t guard_split_changes(struct entry *const *entries, size_t count);
/* 2: an append that begins before the log's base is rebased. */
void guard_rebase(const struct core *core, struct core_message *message);
/* 4: the commit index never goes back. */
void guard_keep_commit(struct core *core, uint64_t commit);
/* 8: a rejection of what the member is known to have is old. */
bool guard_is_stale_rejection(const struct core *core, uint64_t from,
                              const struct core_message *message);
/* 16: what is committed but not on this disk is neither applied nor told. */
uint64_t guard_applicable(const struct core *core);
/* 32: no change of members before an entry of the own term is committed. */
bool guard_may_change(const struct core *core);
/* 64: a member that its newest configuration does not count as voter still votes. */
struct guard_vote {
    struct raft_configuration saved;
    struct raft_server self;
    bool is_active;
};
void guard_vote_begin(struct core *core, uint64_t now_ms, struct raft_message *message,
                      struct guard_vote *guard);
void guard_vote_end(struct core *core, struct guard_vote *guard);
/* 256: who was told to take over at once disrupts the leader once. */
void guard_disrupt_once(struct core *core, uint64_t now_ms);
/* 512: the only voter leads from its start on, in a term of its own. */
VY_CHECKED struct vy_err guard_start_term(const struct core *core, uint64_t *term);
/* 128: a refused pre-vote carries the refuser's term. */
void guard_pre_vote_term(const struct core *core, struct core_message *message);
