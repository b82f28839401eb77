/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Makes what the state machine has deleted leave the files of this member (P8): cuts the log behind
 * it, flushes what is in memory, rewrites the tables that held it, and waits until the old files
 * are gone. What was asked for while one pass runs is done by the next, together.
 *
 * The log of a group can be cut only behind what all its members have: while one is away the tables
 * are rewritten all the same, and once more when the log was cut.
 *
 * Large values in blob files are not rewritten: they are sealed, and others' lie beside them.
 *
 * @thread  the loop's; rewriting runs on a worker
 */
#include "base/workers.h"
#include "replica/replica.h"

#define EXPEL_SUBJECTS_MAX 4096U /* asked for and not done yet; more have to ask again */
#define EXPEL_PREFIX_BYTES_MAX 16U

struct expeller;
struct expeller_config {
    struct replica *replica; /* all borrowed */
    struct vy_loop *loop;
    const struct vy_log *log;
    struct vy_workers *workers; /* NULL: a thread of its own */
    /* What the rows of a subject (an account) begin with in a table; returns its length, 0: the
     * whole table is small, and is rewritten. @thread worker */
    size_t (*write_prefix)(unsigned family, uint64_t subject, uint8_t out[EXPEL_PREFIX_BYTES_MAX]);
    uint64_t families; /* bits 1 << family: tables with rows of subjects. The log always is one */
};
VY_CHECKED struct vy_err expeller_new(const struct expeller_config *config, struct expeller **out);
/* Waits for a pass that runs. Before the replica is freed. NULL is allowed. */
void expeller_free(struct expeller *expeller);

struct expel_report {
    bool is_rewritten; /* the tables hold it no more */
    bool is_cut;       /* nor does the log: all is done */
};
/* How far a subject is, whose rows this member has deleted; begins the work when it is not known.
 * A subject that was done long ago may be forgotten, and is done once more. */
void expeller_ask(struct expeller *expeller, uint64_t subject, struct expel_report *out);
