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
void run_print_sums(const struct run_sums *sums);
/* The faults left room for work, and the work for faults. */
bool run_was_busy(const struct run_sums *sums);
