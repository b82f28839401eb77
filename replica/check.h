/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Checking a stopped member's directory (P4, C6): every row of every family is read, so that the
 * checksums of the store see every byte; the engine's own rows are compared with each other, log
 * rows with the payloads they refer to; then the state machine compares its tables. Changes
 * nothing.
 *
 * @thread  one; @blocks for as long as reading all data takes
 */
#include "replica/replica.h"

#define CHECK_PROBLEMS_TOLD_MAX 100U /* further ones are counted */
#define CHECK_TEXT_BYTES_MAX 512U

struct check {
    /* One line without end of line; valid during the call. */
    void (*on_problem)(void *arg, struct vy_bytes text);
    /* Now and then: what is being read, and how much of everything was. */
    void (*on_progress)(void *arg, const struct check *check, const char *what);
    void *arg;

    struct replica_identity identity; /* of the directory, once it was read */
    uint64_t applied_index;
    uint64_t row_count;
    uint64_t byte_count;
    uint64_t problem_count;
};

/* Counts and tells a problem. */
void check_problem(struct check *check, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* A row was looked at: for the progress. */
void check_count_row(struct check *check, const char *what, size_t bytes);

struct check_config {
    const char *dir;                     /* of the database */
    const struct store_family *families; /* the state machine's */
    size_t family_count;
    /* Compares the tables of the state machine with each other; problems go to check_problem. What
     * it returns ended it early, and is a problem too. NULL: nothing to compare. */
    struct vy_err (*check_tables)(const struct store_reader *reader, struct check *check);
};
/* Problems that were found are no error. @errors NOT_FOUND no database there; BUSY a process has it
 * open; UNSUPPORTED of a newer version; NOMEM; PERMISSION */
VY_CHECKED struct vy_err check_directory(const struct check_config *config, struct check *check);

/*
 * The same as a command, `volary-shard check DIR`: DIR is data.dir or the database in it (named
 * `inside`, as "shard"). Progress and errors on stderr; problems, then one line with the result on
 * stdout. Returns the exit code: 0 nothing found, 1 it could not be done, 3 no database, 9
 * problems.
 */
int check_main(const char *dir, const char *inside, const struct check_config *config);
