/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The raft log: rows on disk (family REPLICA_FAMILY_RAFT), and the newest entries in memory,
 * bounded in bytes. Every row carries a checksum over its place and content, so a damaged, swapped
 * or missing one is found (C6, C7); a damaged vote is never taken for "no vote yet".
 */
#include "replica/core.h"
#include "replica/log_spans.h"
#include "replica/txn.h"

/* ---- rows ---- */

void log_put_hard(struct store_batch *batch, uint64_t term, uint64_t voted_for);
/* Row and payloads of an entry. scratch is used and left empty. @errors NOMEM */
VY_CHECKED struct vy_err log_put_entry(struct txn *txn, const struct entry *entry,
                                       struct vy_buf *scratch);
/* Removes an entry that lost an election, with its payloads. */
void log_remove_entry(struct txn *txn, const struct entry *entry);
/* with_values: the payloads too, those deleted since marked gone. @errors CORRUPT damaged or
 * missing; UNSUPPORTED; IO; NOMEM */
VY_CHECKED struct vy_err log_read_entry(const struct store_reader *reader, uint64_t index,
                                        bool with_values, struct entry **out);

/* In front of a log that was cut. */
struct log_base {
    uint64_t index; /* of the last entry that is gone */
    uint64_t term;  /* of that entry */
    uint64_t members_index;
    uint64_t last_time_ms; /* no entry to come is earlier */
    struct entry *members; /* the newest change of members up to there */
};
/* Writes the base and removes the rows behind `old_index` up to it; payloads stay. */
VY_CHECKED struct vy_err log_cut(struct store_batch *batch, uint64_t old_index,
                                 const struct log_base *base, struct vy_buf *scratch);
size_t log_row_bytes(const struct entry *entry); /* of its row, key included */

struct log_loaded {
    uint64_t term;
    uint64_t voted_for;
    struct log_base base;  /* zero: a whole log. Its members are owned */
    struct core_row *rows; /* owned; entries base.index + 1 and on */
    size_t row_count;
    uint64_t last_time_ms; /* of the newest entry that has one */
};
static inline uint64_t log_loaded_last(const struct log_loaded *loaded)
{
    return loaded->base.index + loaded->row_count;
}
/* spans is initialised, and filled here. A log without a row and a base is one that was never
 * filled, or is lost: the caller knows which. @errors CORRUPT; UNSUPPORTED; IO; NOMEM */
VY_CHECKED struct vy_err log_load(const struct store_reader *reader, struct log_spans *spans,
                                  struct log_loaded *out);
void log_loaded_deinit(struct log_loaded *loaded);

/* ---- the tail in memory ---- */

struct log_tail {
    struct entry **ring; /* owned references */
    size_t capacity;     /* a power of two, or 0 */
    size_t head;
    size_t count;
    uint64_t first; /* index of the entry at head */
    uint64_t bytes;
};
void log_tail_init(struct log_tail *tail, uint64_t next_index);
void log_tail_deinit(struct log_tail *tail);
static inline uint64_t log_tail_next(const struct log_tail *tail)
{
    return tail->first + tail->count;
}
/* Cuts from `index` on, then appends. @errors NOMEM */
VY_CHECKED struct vy_err log_tail_append(struct log_tail *tail, uint64_t index,
                                         struct entry *const *entries, size_t count);
struct entry *log_tail_get(const struct log_tail *tail, uint64_t index); /* NULL: not in memory */
/* Forgets from the front what is not above `upto`, while more than bytes_max are held. */
void log_tail_trim(struct log_tail *tail, uint64_t upto, uint64_t bytes_max);
/* The same, up to the first entry that somebody waits for: read back from the store it would not
 * know whom to answer. */
void log_tail_trim_others(struct log_tail *tail, uint64_t bytes_max);
