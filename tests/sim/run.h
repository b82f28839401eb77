/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* One seed: a cluster is formed, used under faults, healed, and everything is counted. */
#include "tests/sim/world.h"

/* Over all seeds, to see that the runs do anything. */
struct run_sums {
    uint64_t seeds;
    uint64_t steps;
    uint64_t tried;
    uint64_t done;
    uint64_t reads;
    uint64_t changes; /* by the operator */
    uint64_t leaders;
    uint64_t installs; /* of snapshots */
    uint64_t durable_writes;
    uint64_t virtual_ms;
};
/* Ends the program when a promise is broken. Returns the hash of all that happened. */
uint64_t run_seed(uint64_t seed, unsigned verbosity, struct run_sums *sums);
/*
 * One delivery to both groups. Somebody dies at the n-th durable write since it began: who writes,
 * by kill or power cut, or the frontends; then the client sends again until it is stored, or gives
 * it up, and both have it or neither. False: it came to an end before the n-th write.
 */
enum run_victim { RUN_VICTIM_KILLED, RUN_VICTIM_CUT, RUN_VICTIM_FRONTENDS, RUN_VICTIM_COUNT };
struct run_crash {
    enum run_victim victim;
    uint64_t write;
    bool gives_up;
};
bool run_crash_at(uint64_t seed, unsigned verbosity, const struct run_crash *crash,
                  struct run_sums *sums);
void run_print_sums(const struct run_sums *sums);
/* The faults left room for work, and the work for faults. */
bool run_was_busy(const struct run_sums *sums);
