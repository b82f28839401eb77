/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The consensus core: libraft's raft_step behind plain events and a table of what it asks for. The
 * only file that includes raft.h, and the place of the ten guards (core_guard.c) without
 * which 0.22 loses entries or its leader. Knows no disk, no link and no clock; time is an argument.
 *
 * Every call may ask, in this order and before it returns: persist, append, send. What fails with
 * NOMEM, CORRUPT or INTERNAL leaves the core unusable: the member has to end.
 */
#include "replica/entry.h"

struct core;

enum core_kind {
    CORE_VOTE = 1,
    CORE_VOTE_RESULT,
    CORE_APPEND,
    CORE_APPEND_RESULT,
    CORE_TIMEOUT_NOW,
    CORE_READ,         /* not raft's: "is your term still this one?" (read.c) */
    CORE_READ_RESULT,  /* its answer */
    CORE_SCRUB,        /* not raft's: "what is the sum behind the mark at last_index?" (scrub.c) */
    CORE_SCRUB_RESULT, /* rejected: enum scrub_answer_kind; round: the sum */
    /* From a leader: "your tables are not the majority's"; to it: "fill me anew, beyond last_index"
     * (rebuild.c). */
    CORE_REBUILD,
    CORE_LIFE_ASK, /* not raft's: "which was your life number last_index?" (life.c) */
    CORE_LIFE      /* its answer in round */
};
struct core_message {
    enum core_kind kind;
    uint8_t version; /* of libraft's message */
    uint64_t term;
    uint64_t last_index; /* VOTE, APPEND_RESULT, TIMEOUT_NOW */
    uint64_t last_term;  /* VOTE, TIMEOUT_NOW */
    bool disrupt_leader; /* VOTE */
    bool pre_vote;       /* VOTE, VOTE_RESULT */
    bool is_granted;     /* VOTE_RESULT */
    uint16_t features;   /* VOTE_RESULT, APPEND_RESULT; not used by us: zero when sent */
    uint16_t capacity;
    uint64_t rejected;   /* APPEND_RESULT: index, or 0 */
    uint64_t prev_index; /* APPEND */
    uint64_t prev_term;  /* APPEND */
    uint64_t commit;     /* APPEND */
    uint64_t held;       /* APPEND: every member has everything up to it on disk; 0: unknown */
    struct entry *
        *entries; /* APPEND received: borrowed. To be sent: NULL, take them from the log */
    size_t count;
    uint64_t round; /* READ, READ_RESULT */
};

struct core_ops {
    /* Term and vote, durable before any message of this or a later update leaves. */
    struct vy_err (*persist)(void *arg, uint64_t term, uint64_t voted_for);
    /* Entries from `index` on; what the log holds there is cut first. Returns a ticket above zero
     * that core_written is told of once they are durable; 0: failed, the member ends. */
    uint64_t (*append)(void *arg, uint64_t index, struct entry *const *entries, size_t count);
    void (*send)(void *arg, uint64_t to, const struct core_message *message);
    /* A member needs entries that were cut. May be NULL. */
    void (*behind)(void *arg, uint64_t member);
};

/* What a log holds, for START: terms, and the entries that change members. */
struct core_row {
    uint64_t term;
    struct entry *change; /* borrowed; NULL: no change of members */
};
struct core_config {
    uint64_t id;
    const char *address;
    uint32_t seed;
    uint32_t election_timeout_ms;
    uint32_t heartbeat_ms;
    const struct core_ops *ops;
    void *arg;
};
VY_CHECKED struct vy_err core_new(const struct core_config *config, struct core **out);
void core_free(struct core *core); /* NULL is allowed */

/* Once. base: index and term in front of the first row, with its members, for a log that was cut;
 * zero and NULL for a whole one. */
struct core_state {
    uint64_t term;
    uint64_t voted_for;
    const struct core_row *rows;
    size_t row_count;
    uint64_t base_index;
    uint64_t base_term;
    uint64_t base_members_index; /* of the entry that set them */
    struct vy_bytes base_members;
};
VY_CHECKED struct vy_err core_start(struct core *core, uint64_t now_ms,
                                    const struct core_state *state);
VY_CHECKED struct vy_err core_tick(struct core *core, uint64_t now_ms);
VY_CHECKED struct vy_err core_receive(struct core *core, uint64_t now_ms, uint64_t from,
                                      const struct core_message *message);
/* All writes up to this ticket are on disk. */
VY_CHECKED struct vy_err core_written(struct core *core, uint64_t now_ms, uint64_t ticket);
/* Appends as leader; each entry must have the current term. @errors NOT_LEADER (nothing happened);
 * PRECONDITION a change of members that must wait */
VY_CHECKED struct vy_err core_submit(struct core *core, uint64_t now_ms, struct entry **entries,
                                     size_t count);
/* The link to `lost` is broken both ways. If it leads, its silence counts from now on and the next
 * election comes within a few heartbeats, unless it is heard again. False: it does not lead. */
bool core_leader_lost(struct core *core, uint64_t now_ms, uint64_t lost);
VY_CHECKED struct vy_err core_transfer(struct core *core, uint64_t now_ms, uint64_t to);

/* Forgets the log up to `index`, which is applied; members of the base are borrowed until the next
 * call. The caller sees to it that no member needs what goes. */
struct core_base {
    uint64_t index;
    uint64_t term;
    uint64_t members_index;
    struct entry *members;
};
#define CORE_CUT_MIN 2U /* lower: see core_cut.c */
VY_CHECKED struct vy_err core_cut(struct core *core, uint64_t now_ms, uint64_t index,
                                  struct core_base *out);
uint64_t core_base_index(const struct core *core);              /* the log begins behind it */
uint64_t core_term_at(const struct core *core, uint64_t index); /* of an entry; 0: not known */

uint64_t core_timeout_ms(const struct core *core); /* when core_tick is due; may have passed */
uint64_t core_term(const struct core *core);
uint64_t core_voted_for(const struct core *core);
enum replica_role core_role(const struct core *core);
/* Leader, and an entry of its own term is committed (and on this disk). */
bool core_is_ready(const struct core *core);
uint64_t core_noop_index(const struct core *core); /* the entry that made it ready */
/* Committed and on this disk: what may be applied. */
uint64_t core_applicable(const struct core *core);
uint64_t core_commit_index(const struct core *core);
uint64_t core_persisted_index(const struct core *core);
uint64_t core_last_index(const struct core *core);
bool core_is_alone(const struct core *core); /* the only member, and a voter */
bool core_leader(const struct core *core, uint64_t *id, const char **address);
uint64_t core_transferee(const struct core *core);                          /* 0: none */
bool core_match_index(const struct core *core, uint64_t id, uint64_t *out); /* as leader */
size_t core_voters(const struct core *core);
size_t core_members(const struct core *core, struct replica_member *out, size_t out_max);
bool core_has_member(const struct core *core, uint64_t id);

uint64_t core_members_version(const struct core *core); /* another one: they may have changed */
/* Index of a change of members that is in the log and not committed; 0: none. */
uint64_t core_uncommitted_change(const struct core *core);
/* As leader: sets the members; at most one of them may come, go or become a voter, which is the
 * caller's care. *index: of the entry, which counts at once and for good once it is committed.
 * @errors as core_submit; ARGUMENT an id or address twice */
VY_CHECKED struct vy_err core_set_members(struct core *core, uint64_t now_ms,
                                          const struct replica_member *members, size_t count,
                                          uint64_t *index);

/* The body of an entry that sets the members, sorted by id. */
VY_CHECKED struct vy_err core_encode_members(const struct replica_member *members, size_t count,
                                             struct vy_buf *out);
/* The members of such a body; their addresses are owned: core_members_free. @errors CORRUPT, LIMIT
 * more than REPLICA_MEMBERS_MAX */
VY_CHECKED struct vy_err core_decode_members(struct vy_bytes body, struct replica_member *out,
                                             size_t *count);
void core_members_free(struct replica_member *members, size_t count);
/* Borrowed of the list; NULL: it does not name this member. */
const char *core_member_address(const struct replica_member *members, size_t count, uint64_t id);
