/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The body of a replica. replica.c opens, starts, stops and carries events; queue.c holds
 * proposals, read.c reads, cut.c the length of the log, lead.c leadership and clocks, members.c who
 * belongs to the group, peer.c frames, identity.c who it is. All on the loop.
 */
#include "replica/frame.h"
#include "replica/life.h"
#include "replica/reserve.h"
#include "replica/scrub.h"
#include "replica/store_reason.h"
#include "replica/writer.h"

enum replica_life {
    REPLICA_LIFE_OPEN,
    REPLICA_LIFE_RUNNING,
    REPLICA_LIFE_INSTALLING, /* a snapshot takes the place of the store */
    REPLICA_LIFE_STOPPING,   /* waits for the writer */
    REPLICA_LIFE_STOPPED
};

struct replica_queue {
    struct vy_list waiting; /* struct proposal: not in the log */
    struct vy_list flights; /* struct flight: in the log, not applied */
    uint64_t waiting_bytes;
    uint64_t inflight_bytes;
    size_t flight_count;
    bool is_flush_posted;
    struct vy_timer *timer; /* owned; deadlines of proposals and reads */
    uint64_t timer_ms;      /* when it is due; UINT64_MAX: it rests */
    uint64_t space_checked_ms;
};

struct replica_reads {
    struct vy_list waiting; /* struct read: for the next round */
    struct vy_list asked;   /* struct read: in the round on its way */
    struct vy_list ready;   /* struct read: confirmed; wait for applying */
    size_t count;
    uint64_t round; /* of `asked` */
    uint64_t round_index;
    uint64_t round_sent_ms;
    uint64_t confirmed;     /* bits by member's place */
    struct vy_timer *timer; /* owned; asks again */
};

#define REPLICA_PEERS_MAX (2U * REPLICA_MEMBERS_MAX) /* members, and those that we are told of */

struct replica_peer {
    uint64_t id;
    bool votes; /* counts in majorities; others are learners, or not of the group as we know it */
    uint64_t incarnation; /* of the newest frame that was taken */
    uint64_t life;        /* newest that is believed, as our disk has it; 0: none yet */
    uint64_t life_asked_ms;
    bool is_copy; /* it could not name its life that we know: an old copy of its disk */
    uint64_t number;
    uint64_t wall_ms;       /* its clock when last heard; 0: never */
    uint64_t heard_mono_ms; /* and when that was */
    bool is_full;           /* its disk */
};

struct replica_care {
    struct vy_timer *timer; /* owned */
    struct reserve reserve; /* path NULL: no disk */
    bool has_no_reserve;    /* it is not possible here */
    bool is_short;          /* of space, with the reserve gone: no entries of others are taken */
    uint64_t ticket;        /* of the last write known to be done */
    uint64_t idle_ms;       /* since when it is that, or nothing was to be written */
    uint64_t hand_over_ms;  /* not before */
};

struct replica_rebuild {
    bool is_wanted; /* its data is damaged */
    bool is_frozen; /* takes no entries until it is filled anew */
    uint64_t asked_ms;
};

struct replica_outgoing;

struct replica_change_wait { /* index 0: none */
    uint64_t index;
    uint64_t term;
    replica_read_fn callback;
    void *arg;
};
struct replica_catch_up { /* of the learner, as its leader sees it */
    uint64_t id;          /* 0: none */
    uint64_t round_index; /* to be reached in this round */
    uint64_t round_ms;    /* when it began */
};

struct replica {
    struct replica_config config; /* strings owned */
    char *dir;
    char *name;
    char *ticket_path;
    struct vy_log log;
    struct vy_log_field log_context[1];
    enum replica_life life;
    atomic_bool is_dead; /* the disk failed */

    pthread_mutex_t store_lock; /* of the next two and the writer, against other threads */
    bool is_store_open;
    struct store *store;        /* owned */
    struct lives lives;         /* its own */
    uint64_t chance;            /* of this process's life: for the life's number and raft's seed */
    struct store_reason reason; /* the store's, in words */
    struct store_reason *shared_reason; /* of the replica that the store will be for; NULL: this */
    struct replica_identity identity;
    char *address;     /* owned; its own as the log said at the start */
    char *own_address; /* owned; as the configuration says; NULL: it does not */
    struct core *core;
    struct writer *writer;
    struct log_tail tail;
    struct log_spans spans;   /* of the log on disk */
    uint64_t held_index;      /* all members have it on disk */
    uint64_t cut_wanted;      /* no tail is to stay up to here */
    uint64_t cut_ticket;      /* of the newest cut */
    struct log_loaded loaded; /* until the start */
    struct writer_applied applied;
    struct writer_stats written;
    uint64_t ticket_done;
    uint64_t ticket_hard; /* messages wait for it */

    struct vy_timer *timer; /* owned; raft's */
    bool is_settle_posted;
    struct replica_queue queue;
    struct replica_reads reads;
    struct vy_list outbox; /* struct replica_outgoing: behind ticket_hard */
    uint64_t outbox_bytes;
    uint64_t frame_number;
    struct replica_peer peers[REPLICA_PEERS_MAX];
    size_t peer_count;
    uint64_t members_version;                         /* of the core, that peers are made of */
    struct replica_member known[REPLICA_MEMBERS_MAX]; /* by the ticket of one that joins; owned */
    size_t known_count;
    struct replica_member guests[REPLICA_MEMBERS_MAX]; /* introduced; owned */
    size_t guest_count;
    bool is_known_told; /* to the transport */
    struct replica_change_wait change;
    struct replica_catch_up catch_up;

    struct scrub *scrub; /* owned; NULL: off */
    struct replica_care care;
    struct replica_rebuild rebuild;

    bool is_leader; /* told to the state machine */
    uint64_t leader_term;
    uint64_t led_term; /* proposals and reads in hand are of this term */
    uint64_t known_leader;
    bool was_candidate;
    uint64_t transfer_to; /* 0: none */
    replica_read_fn transfer_fn;
    void *transfer_arg;
    uint64_t last_time_ms; /* of the newest entry's time, and when that was */
    uint64_t last_time_mono_ms;
    bool is_clock_off;

    struct snapshots *snapshots; /* owned */
    bool is_scrub_stopping;      /* for a snapshot */
    bool is_stop_wanted;         /* once the snapshot is in place */
    bool is_finish_wanted;       /* once the helper has ended */
    vy_loop_fn stop_fn;
    void *stop_arg;
    bool is_full;
    struct replica_status counts; /* those counted on the loop */
};

/* replica.c */
uint64_t replica_now_ms(const struct replica *replica);
bool replica_is_running(const struct replica *replica);
/* After every call of the core: ends the process on its failure, wakes the writer, arms the timer,
 * asks for a settling. */
void replica_stepped(struct replica *replica, struct vy_err err);
void replica_want_settle(struct replica *replica);
void replica_fail(struct replica *replica, struct vy_err err, uint64_t index);

/* Whether others may take views of the store. */
void replica_open_store(struct replica *replica, bool is_open);
/* For a snapshot: takes no part any more, and lets the writer end; then swap_on_written. */
void replica_leave(struct replica *replica);
/* Takes part again, with what opening has filled in `fresh`, whose members it takes; NULL: it could
 * not be opened, and the member fails. */
void replica_return(struct replica *replica, struct replica *fresh, struct vy_err err);
void replica_finish_if_quiet(struct replica *replica);
VY_CHECKED struct vy_err replica_start_scrub(struct replica *replica);
/* True: there is none any more, and nothing of it touches the store. */
bool replica_stop_scrub(struct replica *replica);

/* identity.c: opens the store and fills identity, address, loaded, applied. */
VY_CHECKED struct vy_err replica_open_identity(struct replica *replica);
/* The row of who the database belongs to. @errors CORRUPT, UNSUPPORTED, what the store says */
VY_CHECKED struct vy_err identity_read(const struct store_reader *reader,
                                       struct replica_identity *out, bool *is_found);
/* The engine's families, then the machine's, as the store is opened. @errors ARGUMENT too many */
VY_CHECKED struct vy_err identity_list_families(const struct replica_fsm *fsm,
                                                struct store_family out[STORE_FAMILIES_MAX],
                                                size_t *out_count);

/* Also forgets what a ticket said of the other members. */
void identity_put(struct store_batch *batch, const struct replica_identity *identity);

/* queue.c */
VY_CHECKED struct vy_err queue_init(struct replica *replica);
void queue_deinit(struct replica *replica);
void queue_flush(struct replica *replica);
void queue_want_flush(struct replica *replica);
void queue_answer(struct replica *replica, struct writer_outcome *outcome);
/* Leadership or the life is over. What is in the log stays until it is applied, unanswered. */
void queue_fail_waiting(struct replica *replica, struct vy_err err);
void queue_fail_flights(struct replica *replica, struct vy_err err);
void queue_drop_flight(struct replica *replica, struct flight *flight); /* its entry was cut */
void queue_arm(struct replica *replica, uint64_t deadline_ms);
void queue_check_space(struct replica *replica);

/* read.c */
VY_CHECKED struct vy_err read_init(struct replica *replica);
void read_deinit(struct replica *replica);
void read_progress(struct replica *replica); /* starts rounds, answers what may be answered */
void read_fail_all(struct replica *replica, struct vy_err err);
uint64_t read_expire(struct replica *replica, uint64_t now_ms); /* the next deadline */
void read_on_members(struct replica *replica); /* the peers are others: asks anew */
void read_on_message(struct replica *replica, uint64_t from, const struct core_message *message);

/* cut.c */
void cut_settle(struct replica *replica); /* cuts the log if there is something to cut */
void cut_note_entry(struct replica *replica, const struct entry *entry); /* being appended */
void cut_note_held(struct replica *replica, const struct core_message *message);

/* life.c */
uint64_t life_load_peer(struct replica *replica, uint64_t id); /* 0: never heard */
/* Whether a frame of that life of the peer is to be looked at. Questions about lives are answered
 * here. */
bool life_admit(struct replica *replica, struct replica_peer *peer, uint64_t life,
                const struct core_message *message);

/* members.c */
void members_settle(struct replica *replica);
/* The newest in the log, or while there is none those of the ticket. */
size_t members_list(const struct replica *replica, struct replica_member *out);
void members_fail_change(struct replica *replica, struct vy_err err);
bool members_is_heard(const struct replica *replica, uint64_t id); /* lately, or itself */

/* care.c */
VY_CHECKED struct vy_err care_init(struct replica *replica);
void care_start(struct replica *replica);
/* What the reserve lacks: space that is free and spoken for. */
uint64_t care_owed_bytes(const struct replica *replica);
/* Gives the reserve back when space is low, takes it again when there is enough. */
void care_mind_reserve(struct replica *replica);
void care_stop(struct replica *replica);
void care_deinit(struct replica *replica);
/* rebuild.c */
void rebuild_note(struct replica *replica); /* the data of this member is damaged */
bool rebuild_is_frozen(const struct replica *replica, uint64_t leader); /* for its entries */
void rebuild_tick(struct replica *replica);
void rebuild_put_off(struct replica *replica); /* what was to fill it has ended */
/* As leader: without `member` there is no majority that answers. */
bool rebuild_is_needed(const struct replica *replica, uint64_t member);
void rebuild_order(struct replica *replica, uint64_t member); /* as leader: it has to */
void rebuild_on_message(struct replica *replica, uint64_t from, const struct core_message *message);

/* lead.c */
bool lead_has_better_peer(const struct replica *replica); /* voter, heard, its disk has space */
void lead_settle(struct replica *replica);
uint64_t lead_entry_time(struct replica *replica);
void lead_note_time(struct replica *replica, const struct entry *entry);

/* peer.c */
void peer_sync(struct replica *replica); /* with members_list */
void peer_drop_outbox(struct replica *replica);
void peer_deinit(struct replica *replica);
void peer_send(struct replica *replica, uint64_t to, const struct core_message *message);
void peer_release(struct replica *replica); /* what waited for a ticket that is done now */
