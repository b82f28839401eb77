/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The one writer of a replica: takes appends, term and vote, and committed entries to apply, and
 * writes all of a pass in one batch. A pass that appends is synced (group commit); one that only
 * applies is not, for the log can replay it. The applied index and the digest are in the batch of
 * their effects: a crash replays, never repeats.
 *
 * A lone member's appends are committed by their own write, so they are applied in the same batch:
 * one sync for everything.
 *
 * @thread  functions: the loop's; the pass runs on a thread of the writer, on the loop, or by
 *          writer_pump, as the mode says
 */
#include "replica/log.h"
#include <pthread.h>

#define WRITER_BATCH_BYTES_MAX (4U * 1024 * 1024) /* of one pass; more waits for the next */

struct writer_applied {
    uint64_t index;
    uint64_t digest;
};
/* Written at bootstrap, read at open. */
void writer_put_applied(struct store_batch *batch, const struct writer_applied *applied);
VY_CHECKED struct vy_err writer_load_applied(const struct store_reader *reader,
                                             struct writer_applied *out);

struct writer_stats {
    uint64_t sync_count;
    uint64_t sync_us;
    uint64_t batch_count;
    uint64_t batch_bytes;
    uint64_t entries_appended;
    uint64_t entries_applied;
    uint64_t commands_applied;
};
struct writer_config {
    struct store *store;
    struct replica_fsm *fsm;
    struct vy_clock *clock;
    struct vy_loop *loop;
    enum replica_writer_mode mode;
    void (*wake)(void *arg); /* MANUAL; may be NULL */
    void *wake_arg;
    uint64_t tail_bytes_max;
    uint64_t last_index; /* of the log on disk */
    struct writer_applied applied;
    const struct writer_stats *stats; /* to count on from; NULL: from zero */
    void (*on_done)(void *arg);       /* on the loop: writer_take has news */
    /* The disk or the state machine failed; nothing is written from here on. @thread the pass's */
    void (*on_fail)(void *arg, struct vy_err err, uint64_t index);
    void *arg;
};

/* The results of an entry that was proposed here: for each command its length u32 and bytes. */
struct writer_outcome {
    struct vy_list link;
    struct flight *flight;
    struct vy_buf results;
};
void writer_outcome_free(struct writer_outcome *outcome);

/* A barrier with a body was applied, and nothing behind it: a snapshot of that moment (scrub.h).
 */
struct writer_mark {
    uint64_t index;      /* 0: none */
    uint64_t last_index; /* of the log in the snapshot */
    uint64_t digest;
    struct store_snapshot *snapshot;
    struct entry *entry;
};
/* Of the row in REPLICA_FAMILY_SYS that keeps the body of the newest one. */
extern const struct vy_bytes writer_mark_key;

struct writer_news {
    uint64_t ticket; /* everything up to it is durable */
    struct writer_applied applied;
    struct vy_list outcomes; /* struct writer_outcome, in order; the taker frees them */
    struct writer_mark mark; /* the newest; snapshot and entry are the taker's */
    struct writer_stats stats;
    bool is_finished;
};

struct writer;
VY_CHECKED struct vy_err writer_new(const struct writer_config *config, struct writer **out);
VY_CHECKED struct vy_err writer_start(struct writer *writer);
void writer_free(struct writer *writer); /* finished or never started; NULL is allowed */

/* They queue; a ticket, or 0 when there is no memory. */
uint64_t writer_put_hard(struct writer *writer, uint64_t term, uint64_t voted_for);
uint64_t writer_append(struct writer *writer, uint64_t index, struct entry *const *entries,
                       size_t count, bool is_alone);
/* Removes the log's rows behind `old_index` up to the base, which is applied and in the store, and
 * writes base, term and vote with it. */
uint64_t writer_cut(struct writer *writer, const struct log_base *base, uint64_t old_index,
                    uint64_t term, uint64_t voted_for);
void writer_apply_to(struct writer *writer, uint64_t index);
void writer_kick(struct writer *writer); /* there may be work; once after several of the above */
bool writer_pump(struct writer *writer);
/* Something behind this ticket was asked for and is not known to be done. */
bool writer_is_behind(struct writer *writer, uint64_t ticket);
uint64_t writer_queued_bytes(struct writer *writer); /* entries not yet written */
/* Empties the news; out->outcomes is initialised. */
void writer_take(struct writer *writer, struct writer_news *out);
void writer_finish(struct writer *writer); /* writes what waits, then is_finished */
uint64_t writer_applied_index(const struct writer *writer); /* in the store. @thread any */
