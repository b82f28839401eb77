/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Snapshots of a replica, from inside: snapshot.c has what both halves share (the helper thread,
 * frames, the timer), snapshot_source.c the checkpoint that is sent, snapshot_send.c who gets it,
 * snapshot_receive.c how one arrives, snapshot_swap.c how it is put in place. All on the loop;
 * disks are touched on the helper thread only.
 */
#include "base/workers.h"
#include "replica/replica_private.h"
#include "replica/snapshot_frame.h"

#define SNAPSHOT_TICK_MS 500U
#define SNAPSHOT_REPEAT_MS 2000U /* a frame without answer is said again */
#define SNAPSHOT_WINDOW 8U       /* pieces asked for and not there */

/* ---- the helper ---- */

/* Embedded first in a job's own struct, which `done` frees. err is the job's to set. */
struct snapshot_job {
    struct replica *replica;
    struct vy_err err;
    void (*work)(struct snapshot_job *job); /* @thread helper */
    void (*done)(struct snapshot_job *job); /* on the loop, also after the replica was stopped */
};

/* ---- sending ---- */

enum snapshot_source_state {
    SNAPSHOT_SOURCE_NONE,
    SNAPSHOT_SOURCE_MAKING, /* checkpoint, list, hashes */
    SNAPSHOT_SOURCE_READY,
    SNAPSHOT_SOURCE_REMOVING
};
struct snapshot_source {
    enum snapshot_source_state state;
    bool is_unwanted; /* to be removed once it is made */
    struct snapshot_offer offer;
    struct snapshot_manifest manifest;
    struct vy_buf list; /* the manifest's bytes */
    char dir[INSTALL_PATH_BYTES_MAX];
    uint64_t begun_ms; /* it holds nothing newer, and what was there then */
    uint64_t used_ms;
    uint64_t retry_ms; /* after a failure: not before */
};

enum snapshot_send_state {
    SNAPSHOT_SEND_REST,
    SNAPSHOT_SEND_WANTED,
    SNAPSHOT_SEND_ACTIVE,
    SNAPSHOT_SEND_TAKEN /* it has all, and puts it in place */
};
struct snapshot_fetch {
    uint32_t file;
    uint64_t offset;
    uint32_t length;
};
struct snapshot_send {
    uint64_t member;
    enum snapshot_send_state state;
    bool is_rebuild; /* it takes no entries meanwhile */
    uint64_t begun_ms;
    uint64_t offered_ms;
    uint64_t heard_ms;
    uint64_t rest_until_ms; /* after a failure */
    uint64_t bytes;
    struct snapshot_fetch fetches[2U * SNAPSHOT_WINDOW];
    size_t fetch_count;
};

/* ---- receiving ---- */

enum snapshot_receive_state {
    SNAPSHOT_RECEIVE_REST,
    SNAPSHOT_RECEIVE_OPENING,
    SNAPSHOT_RECEIVE_LIST,
    SNAPSHOT_RECEIVE_MEASURING,
    SNAPSHOT_RECEIVE_FILES,
    SNAPSHOT_RECEIVE_VERIFYING,
    SNAPSHOT_RECEIVE_WHOLE, /* waits for readers to end */
    SNAPSHOT_RECEIVE_SWAPPING,
    SNAPSHOT_RECEIVE_CLOSING /* gives up: the directory goes */
};
struct snapshot_receive {
    enum snapshot_receive_state state;
    uint64_t from;
    struct snapshot_offer offer;
    struct snapshot_manifest manifest;
    struct vy_buf list;
    uint64_t *lengths; /* owned; of the files, what is there */
    size_t file;       /* being fetched or verified */
    uint64_t offset;   /* what came of it */
    uint64_t asked;    /* asked for up to there */
    unsigned writes;   /* jobs on their way */
    struct snapshot_hasher *hasher;
    unsigned damaged; /* files that came damaged */
    uint64_t bytes;   /* came, of all files */
    uint64_t begun_ms;
    uint64_t progress_ms;
    uint64_t asked_ms;
    bool is_wait_told;
};

struct source_job;
struct snapshots {
    struct vy_workers *helper;
    size_t job_count; /* on their way */
    struct vy_timer *timer;
    bool is_tick_armed;
    struct vy_timer *pace;   /* sends when there are tokens again */
    struct vy_timer *hasher; /* goes on with the hashes of a checkpoint */
    int64_t tokens;          /* bytes that may be sent now; below zero: overdrawn */
    uint64_t tokens_ms;
    size_t next_send;           /* round robin */
    unsigned reads;             /* jobs that read for sending */
    struct source_job *hashing; /* owned, while the timer runs */
    struct snapshot_source source;
    struct snapshot_send sends[REPLICA_MEMBERS_MAX];
    struct snapshot_receive receive;
    bool is_leftover; /* a directory of a transfer that nobody goes on with */
    uint64_t leftover_ms;
    struct replica_snapshot_status status;
};

/* ---- snapshot.c ---- */

VY_CHECKED struct vy_err snapshots_init(struct replica *replica);
void snapshots_stop(struct replica *replica);
bool snapshots_are_quiet(const struct replica *replica); /* no job is on its way */
void snapshots_deinit(struct replica *replica);
/* False: the queue is full; nothing was started, and the job is still the caller's. */
bool snapshots_run(struct replica *replica, struct snapshot_job *job);
/* Cluster, group, from and to are filled in. */
void snapshots_send_frame(struct replica *replica, uint64_t to, struct snapshot_frame *frame);
void snapshots_want_tick(struct replica *replica);

/* ---- snapshot_source.c ---- */

void source_make(struct replica *replica);
void source_on_timer(void *replica);
void source_resume(struct replica *replica);      /* after its timers rested */
void source_abandon(struct snapshots *snapshots); /* when the life is over */
void source_drop(struct replica *replica);        /* its transfers are over */
void source_tick(struct replica *replica, bool is_wanted, bool is_used);

/* ---- snapshot_send.c ---- */

/* A member needs entries that were cut. */
void send_want(struct replica *replica, uint64_t member);
/* The same for one whose data is damaged: only a snapshot beyond its last entry is of use. */
void send_want_beyond(struct replica *replica, uint64_t member, uint64_t last_index);
void send_on_frame(struct replica *replica, uint64_t from, const struct snapshot_frame *frame);
void send_tick(struct replica *replica);
void send_pump(struct replica *replica);
/* The log must not be cut beyond it, while there is room; UINT64_MAX: nothing holds it. */
uint64_t send_hold(const struct replica *replica);

/* ---- snapshot_receive.c ---- */

void receive_on_frame(struct replica *replica, uint64_t from, const struct snapshot_frame *frame);
void receive_tick(struct replica *replica);
void receive_end(struct replica *replica, enum snapshot_outcome outcome, struct vy_err err);
void receive_reset(struct replica *replica);
/* What became of the snapshot in hand, to its sender. */
void receive_tell_done(struct replica *replica, enum snapshot_outcome outcome);
/* The snapshot may and should take the place of what this member has. */
bool receive_is_needed(const struct replica *replica, const struct snapshot_offer *offer);

/* ---- snapshot_swap.c ---- */

/* All of it is here and verified: put it in the place of the store as soon as that is possible. */
void swap_tick(struct replica *replica);
void swap_on_written(struct replica *replica); /* the writer has ended */
