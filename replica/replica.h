/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * One member of a Raft group: a log of commands and a state machine's tables in one store. Meta and
 * shard differ only in struct replica_fsm. Nothing is applied, acknowledged or shown to readers
 * that a majority has not on disk. Built on libraft's core by raft_step (core.h has its guards).
 *
 * The log is cut behind what is applied here and on the disks of all members, but for a tail. A
 * member that is away holds the cut back only so far: beyond log_max_entries or log_max_bytes it is
 * cut all the same, and that member gets a snapshot of the store when it is back.
 *
 * Members are added and removed one at a time (replica_change). A new one gets the log first and
 * votes once it has caught up.
 *
 * @thread  all functions and callbacks: the loop's, unless said otherwise; never inside the call
 *          that asked for them. Applying runs on a writer thread of the replica.
 */
#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/rng.h"
#include "replica/store.h"
#include "replica/txn.h"

#define REPLICA_MEMBERS_MAX 9U
#define REPLICA_ADDRESS_BYTES_MAX 255U
#define REPLICA_CLUSTER_ID_BYTES 16U
/* Families of the engine: raft (log, term, vote), sys (identity, applied index, digest), idem. A
 * state machine numbers its own from REPLICA_FAMILY_FIRST on, in the order of fsm->families. */
enum { REPLICA_FAMILY_RAFT, REPLICA_FAMILY_SYS, REPLICA_FAMILY_IDEM, REPLICA_FAMILY_FIRST };

#define REPLICA_COMMAND_BYTES_MAX (1024U * 1024)      /* of one proposal; longer: LIMIT */
#define REPLICA_RESULT_BYTES_MAX (1024U * 1024)       /* of one result */
#define REPLICA_PAYLOADS_MAX 64U                      /* of one proposal */
#define REPLICA_PAYLOAD_BYTES_MAX (1024U * 1024)      /* of one payload */
#define REPLICA_PROPOSAL_BYTES_MAX (4U * 1024 * 1024) /* command and payloads together */
#define REPLICA_PAYLOAD_BYTES_MIN 4096U               /* smaller ones belong into the command */

/* ---- the state machine ---- */

struct replica_entry_meta {
    uint64_t index;
    uint64_t term;
    uint64_t time_ms; /* the leader's wall clock when it took the command; never goes back */
    uint32_t version; /* of the entry format: the group's feature level */
};

struct replica_fsm; /* embed it first in the state machine's own struct */
struct replica_fsm_ops {
    /* Applies one command. Deterministic: no clock, chance, float, locale, pointer or hash order.
     * What the command is refused for goes into *result, in the machine's own words, like success;
     * that is what the proposer gets. `result` arrives empty. A failure returned here (CORRUPT,
     * UNSUPPORTED: an unknown command version) ends the process. @thread writer */
    struct vy_err (*apply)(struct replica_fsm *fsm, struct txn *txn,
                           const struct replica_entry_meta *meta, struct vy_bytes command,
                           struct vy_buf *result);
    /* Everything up to `index` is in the store and visible to new snapshots. For caches that belong
     * to the writer. May be NULL. @thread writer */
    void (*on_written)(struct replica_fsm *fsm, uint64_t index);
    /* The same told to the loop, before the callbacks of the proposals it contains; several entries
     * may be told as one. May be NULL. */
    void (*on_applied)(struct replica_fsm *fsm, uint64_t index);
    /* This member began (own no-op committed: reads and proposals work) or ceased to lead. May be
     * NULL. */
    void (*on_leader_change)(struct replica_fsm *fsm, bool is_leader, uint64_t term);
    /* A snapshot has taken the place of the store: it holds everything up to `index`, of which no
     * apply told. Whatever was kept of the old one is void. The writer rests. May be NULL. */
    void (*on_installed)(struct replica_fsm *fsm, uint64_t index);
};
struct replica_fsm {
    const struct replica_fsm_ops *ops;
    const struct store_family *families; /* its own; at most STORE_FAMILIES_MAX less ours */
    size_t family_count;
};

/* ---- links to the other members ---- */

/* Frames are whole messages of at most REPLICA_FRAME_BYTES_MAX. They may be lost; those of an older
 * link may come late, and frames may come twice: each carries its sender's boot and number, and
 * what is not newer than the last is dropped. */
#define REPLICA_FRAME_BYTES_MAX (8U * 1024 * 1024)
struct replica_transport {
    /* Takes a copy, or drops it when the member cannot be reached or its queue is full. */
    void (*send)(struct replica_transport *transport, uint64_t member_id, const char *address,
                 struct vy_bytes frame);
    /* The same for the pieces of snapshots, on a link that raft's messages do not wait for. Frames
     * are short of 256 KiB. NULL: no snapshots. */
    void (*send_bulk)(struct replica_transport *transport, uint64_t member_id,
                      struct vy_bytes frame);
    /* Set by the replica from its start to its stop; NULL: nobody listens. The transport calls it,
     * from the loop, when no way to or from the member is left: it has probably ended. A hint. */
    void (*lost)(void *arg, uint64_t member_id);
    void *lost_arg;
};

/* ---- life ---- */

struct replica_member {
    uint64_t id; /* random, never 0, never reused */
    const char *address;
    bool is_learner; /* gets the log and does not vote yet: it is being added */
};

enum replica_writer_mode {
    REPLICA_WRITER_THREAD, /* a thread of its own: production */
    REPLICA_WRITER_LOOP,   /* passes run as posts on the loop: tests with a fake loop */
    REPLICA_WRITER_MANUAL  /* the owner calls replica_pump: simulation with slow disks */
};

struct replica_config {
    /* All pointers borrowed for the replica's life, except strings, which are copied. */
    const char *dir;  /* of the database */
    const char *name; /* of the group in logs: "meta", "shard-2" */
    struct vy_err (*open_store)(void *arg, const struct store_options *options,
                                struct store **out); /* NULL: store_rocks_open */
    void *open_store_arg;
    uint64_t memory_bytes; /* of the store; 0: its default */

    /* Zero where the disk, the ticket or chance is to decide; a directory that says otherwise is
     * refused (C4). */
    uint8_t cluster_id[REPLICA_CLUSTER_ID_BYTES];
    uint64_t group_id;
    uint64_t member_id;
    /* The first members, this one included. Used once, when the directory is empty; afterwards the
     * log knows them. */
    const struct replica_member *members;
    size_t member_count;
    /* What allows an empty directory to be filled; without either it is refused (P12). */
    const char *ticket_path; /* one-use file (ticket.h), deleted once used; NULL: none */
    bool bootstrap_alone;    /* a group of one member; ids are random where zero */

    struct vy_clock *clock;
    struct vy_rng *rng;
    struct vy_loop *loop;
    const struct vy_log *log;
    struct replica_fsm *fsm;
    struct replica_transport *transport; /* NULL: one member */
    /* The members as the newest entry of the log says, at the start and whenever they change; for
     * a member that joins and knows no log yet, those of its ticket. Not this one among them: it
     * was removed, or is being filled. Valid during the call. May be NULL. */
    void (*on_members)(void *arg, const struct replica_member *members, size_t count);
    void *on_members_arg;
    /* Where the others find this member: the leader puts it into the log when that says otherwise.
     * NULL: what the log says. */
    const char *address;
    enum replica_writer_mode writer_mode;
    void (*writer_wake)(void *arg); /* MANUAL: there is work for replica_pump; may be NULL */
    void *writer_wake_arg;

    uint32_t election_timeout_ms;  /* 0: 1000; an election starts after 1x to 2x of silence */
    uint32_t heartbeat_ms;         /* 0: a tenth of it */
    uint64_t queue_bytes_max;      /* proposals accepted and not yet answered; 0: 16 MiB */
    uint64_t inflight_bytes_max;   /* proposals in the log and not yet committed; 0: 4 MiB */
    uint64_t tail_bytes_max;       /* of the log kept in memory; 0: 8 MiB */
    uint64_t log_keep_entries;     /* of the log on disk that stay when it is cut, at most half its
                                      maximum; 0: 4096 */
    uint64_t log_keep_bytes;       /* the same in bytes, whichever is less; 0: 8 MiB */
    uint64_t log_max_entries;      /* of the log on disk; beyond, no member is waited for; 0: 1 M */
    uint64_t log_max_bytes;        /* the same in bytes, payloads not counted; 0: 256 MiB */
    uint64_t snapshot_bytes_per_s; /* sent to all that need one; 0: 32 MiB */
    uint64_t free_floor_bytes;     /* 0: what the store says (E4) */
    uint64_t scrub_period_ms;      /* all data is read back and compared once in it; 0: never */
    uint64_t scrub_bytes_per_s;    /* at most; 0: 8 MiB */
    /* Called instead of ending the process when the disk fails. Tests only. @thread any */
    void (*on_fail_stop)(void *arg, struct vy_err err);
    void *on_fail_stop_arg;
};

struct replica;

/* Opens the store, checks or writes the identity, loads the log. Starts nothing.
 * @blocks  while the store recovers
 * @errors  PRECONDITION empty directory without permission, or another cluster, group or member;
 *          UNSUPPORTED newer format; BUSY other process; CORRUPT; ARGUMENT; what the store says.
 *          The reason is also logged once: replica.open.refused */
VY_CHECKED struct vy_err replica_open(const struct replica_config *config, struct replica **out);
/* From here on it votes, follows and leads. A lone member leads after a turn of the loop. */
VY_CHECKED struct vy_err replica_start(struct replica *replica);
/* Stops taking part, answers what waits (NOT_LEADER if not yet in the log, else UNKNOWN), writes
 * what was accepted, then calls done. No callback comes after it. */
void replica_stop(struct replica *replica, vy_loop_fn done, void *arg);
/* Cuts the log up to `index` as soon as that is safe, and leaves no tail there: for what must not
 * stay in a log (P8). Forgotten when the process ends. */
void replica_cut_behind(struct replica *replica, uint64_t index);
/* Beside the database there is no copy of its files, whole or in part, that was begun before this
 * moment (monotonic): of snapshots that are sent, or came. */
bool replica_has_no_copy_before(const struct replica *replica, uint64_t moment_ms);
/* The log on disk begins behind `index`. */
bool replica_is_cut_behind(const struct replica *replica, uint64_t index);
/* After replica_stop is done, or never started. All snapshots must have been freed. NULL is
 * allowed. */
void replica_free(struct replica *replica);
/* One pass of the writer. False: there was nothing to do. Only with REPLICA_WRITER_MANUAL. */
bool replica_pump(struct replica *replica);

/* ---- proposing ---- */

/* A large value that is stored once: under its final key when the entry is appended, even before it
 * is applied, and removed again if the entry loses an election. Keys must be new (random or
 * sequenced) and the row must not be trusted before the command that mentions it was applied. */
struct replica_payload {
    unsigned family;
    struct vy_bytes key;   /* 1 to 255 bytes */
    struct vy_bytes value; /* REPLICA_PAYLOAD_BYTES_MIN to REPLICA_PAYLOAD_BYTES_MAX bytes */
};
struct replica_proposal {
    struct vy_bytes command; /* not empty */
    const struct replica_payload *payloads;
    size_t payload_count;
    uint64_t
        deadline_ms; /* monotonic; 0: none. Passed in the queue: UNAVAILABLE, in the log: UNKNOWN */
    bool reserve;    /* allowed below the free-space floor: deletes, flags, audit (P13) */
};
/* err: ok, and result is the machine's (valid during the call); NOT_LEADER, UNAVAILABLE: was not
 * done; UNKNOWN: may or may not be done, now or later. */
typedef void (*replica_propose_fn)(void *arg, struct vy_err err, struct vy_bytes result);
/* Bytes are copied. Commands of one member are applied in the order proposed, unless leadership is
 * lost. @errors (no callback then) NOT_LEADER; BUSY queue full; FULL disk; LIMIT, ARGUMENT; CLOSED
 */
VY_CHECKED struct vy_err replica_propose(struct replica *replica,
                                         const struct replica_proposal *proposal,
                                         replica_propose_fn callback, void *arg);

/* ---- reading ---- */

/* ok: a snapshot taken now shows everything acknowledged anywhere before the call. */
typedef void (*replica_read_fn)(void *arg, struct vy_err err);
/* A round to the other members, shared by all reads that wait; free when alone. @errors in the call
 * NOT_LEADER, BUSY, CLOSED; by the callback NOT_LEADER, UNAVAILABLE no majority until the deadline
 * (monotonic; 0: one election timeout) */
VY_CHECKED struct vy_err replica_read_index(struct replica *replica, uint64_t deadline_ms,
                                            replica_read_fn callback, void *arg);
/* The state as of now, for any thread. *applied_index: it holds at least this much; may be NULL.
 * @errors UNAVAILABLE while a snapshot is being put in place */
VY_CHECKED struct vy_err replica_snapshot(struct replica *replica, struct store_snapshot **out,
                                          uint64_t *applied_index);
/* For reads and care on the loop; never write to it. Another one after on_installed. */
struct store *replica_store(struct replica *replica);
/* The same for work beside the loop: not closed until store_unpin. NULL while a snapshot is being
 * put in place. @thread any */
struct store *replica_pin_store(struct replica *replica);

/* ---- leadership ---- */

bool replica_is_leader(const struct replica *replica); /* and able to propose and read */
/* Who leads, as far as known here. False: nobody. The address is valid until the loop turns. */
bool replica_leader_hint(const struct replica *replica, struct replica_member *out);
/* Hands leadership to the member that is furthest; before a planned stop. @errors NOT_LEADER;
 * NOT_FOUND alone; BUSY already doing so. err of the callback: ok, or UNAVAILABLE after an election
 * timeout */
VY_CHECKED struct vy_err replica_transfer(struct replica *replica, replica_read_fn callback,
                                          void *arg);
/* The same to one member. @errors PRECONDITION it does not answer, or its disk is full; NOT_FOUND
 * it is no other voter */
VY_CHECKED struct vy_err replica_transfer_to(struct replica *replica, uint64_t member_id,
                                             replica_read_fn callback, void *arg);

/* ---- members ---- */

enum replica_change_kind { REPLICA_ADD, REPLICA_REMOVE };
struct replica_change {
    enum replica_change_kind kind;
    uint64_t member_id;  /* of ADD: random, never used before in this group */
    const char *address; /* of ADD */
};
/*
 * Adds a member, which gets the log and becomes a voter by itself once it has caught up, or removes
 * one. A dead member is replaced by adding first and removing last. One change at a time: BUSY
 * while a member is catching up (that one may be removed) or a change is not committed. A leader
 * that is to be removed hands over first and answers NOT_LEADER: the next one is to be asked.
 *
 * err of the callback: ok, it is committed; NOT_LEADER nothing was done; UNKNOWN leadership was
 * lost before the end. @errors NOT_LEADER; BUSY; EXISTS; NOT_FOUND; LIMIT; ARGUMENT; PRECONDITION
 * the rest would have no majority that answers, or it is the last member
 */
VY_CHECKED struct vy_err replica_change(struct replica *replica,
                                        const struct replica_change *change,
                                        replica_read_fn callback, void *arg);

/*
 * Others that may speak, though the newest entry of this log does not name them: a member that was
 * away does not know those that came meanwhile, and one of them may lead. Whoever keeps a map of
 * the cluster says who they are; they count in no majority. Replaces what was said before; copied,
 * at most REPLICA_MEMBERS_MAX. @errors LIMIT, NOMEM
 */
VY_CHECKED struct vy_err replica_introduce(struct replica *replica,
                                           const struct replica_member *members, size_t count);

/* A frame from a peer whose identity the link has proven to be `member_id` (R2). */
void replica_receive(struct replica *replica, uint64_t member_id, struct vy_bytes frame);

/* A frame that came by send_bulk. */
void replica_receive_bulk(struct replica *replica, uint64_t member_id, struct vy_bytes frame);

/* ---- facts ---- */

struct replica_identity {
    uint8_t cluster_id[REPLICA_CLUSTER_ID_BYTES];
    uint64_t group_id;
    uint64_t member_id;
    uint64_t incarnation; /* raised at every start */
};
void replica_get_identity(const struct replica *replica, struct replica_identity *out);
/* Members as the log says; returns how many. Addresses are valid until the loop turns. */
size_t replica_get_members(const struct replica *replica, struct replica_member *out,
                           size_t out_max);

/* As leader: whether a member was heard lately, and up to where it has the log on disk (0: not
 * known). */
bool replica_member_answers(const struct replica *replica, uint64_t member_id);
uint64_t replica_member_match(const struct replica *replica, uint64_t member_id);

enum replica_role {
    REPLICA_ROLE_STOPPED,
    REPLICA_ROLE_FOLLOWER,
    REPLICA_ROLE_CANDIDATE,
    REPLICA_ROLE_LEADER
};
struct replica_snapshot_status {
    uint64_t sending;   /* members that get one now */
    uint64_t receiving; /* 1: this member gets one */
    bool is_fetching;   /* and nothing of it is verified yet */
    uint64_t sent;      /* all that follows: since start */
    uint64_t received;
    uint64_t failures; /* of either */
    uint64_t damaged;  /* files that came damaged */
    uint64_t bytes_sent;
    uint64_t bytes_received;
    uint64_t frames_refused;
    uint64_t last_ms; /* how long the last one took */
};
struct replica_status {
    enum replica_role role;
    uint64_t is_leader; /* 1: it leads, whether or not it is ready yet */
    uint64_t term;
    uint64_t commit_index;
    uint64_t applied_index;
    uint64_t apply_lag; /* commit_index less applied_index */
    uint64_t persisted_index;
    uint64_t last_index;
    uint64_t log_first_index;   /* of the log on disk: everything before it was cut */
    uint64_t log_bytes;         /* of the log on disk, payloads not counted; roughly */
    uint64_t held_index;        /* all members have everything up to it on disk, as far as known */
    uint64_t digest;            /* of everything up to applied_index (P10) */
    uint64_t queue_bytes;       /* accepted and not answered */
    uint64_t inflight_bytes;    /* of those, in the log */
    uint64_t tail_bytes;        /* of the log in memory */
    uint64_t proposals;         /* accepted since start */
    uint64_t proposals_refused; /* BUSY and FULL */
    uint64_t entries_appended;
    uint64_t entries_applied;
    uint64_t commands_applied;
    uint64_t sync_count;  /* batches written with sync */
    uint64_t sync_us;     /* time in them */
    uint64_t batch_count; /* all batches */
    uint64_t batch_bytes;
    uint64_t leader_changes; /* seen by this member */
    uint64_t elections;      /* started by this member */
    uint64_t read_rounds;
    uint64_t frames_sent;
    uint64_t frames_received;
    uint64_t frames_refused; /* damaged, of another cluster, old incarnation */
    uint64_t scrub_rounds;   /* ended since the start */
    uint64_t scrub_bytes;    /* read back here */
    uint64_t scrub_problems; /* damage found here, and as leader at members */
    uint64_t store_reads;    /* log rows read back for a slow follower */
    uint64_t free_bytes;
    bool is_full; /* below the floor */
    struct replica_snapshot_status snapshot;
};
void replica_get_status(const struct replica *replica, struct replica_status *out);
