/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Planted bugs, for the simulator to find (tests/sim, docs/simulation.md). It compiles its own
 * copies of the few sources that hold one with VOLARY_PLANT; in every other build VY_PLANT() is the
 * constant false and nothing of it is left in the program.
 */
#include <stdbool.h>

/* X(NAME, "name on the command line", what is wrong) */
#define VY_PLANTS(X)                                                                               \
    X(SKIP_SYNC, "skip-sync", "writes are not synced before they are told to be durable")          \
    X(ACK_EARLY, "ack-early", "a leader acknowledges what is on its own disk alone")               \
    X(OLD_TERMS, "old-terms", "a leader commits entries of old terms by counting disks")           \
    X(STALE_READS, "stale-reads", "a leader serves reads without asking for its majority")         \
    X(FORGET_KEYS, "forget-keys", "a command under a known idempotency key is done again")         \
    X(GUESS_NO, "guess-no", "a group that hears no word on a delivery takes it for refused")       \
    X(FORGET_TOKENS, "forget-tokens", "a message that its client sends again is stored again")     \
    X(REUSE_UID, "reuse-uid", "the UID of an expunged last message is given out again")

#ifdef VOLARY_PLANT
enum vy_plant {
#define X(name, text, what) VY_PLANT_##name,
    VY_PLANTS(X)
#undef X
        VY_PLANT_COUNT
};
bool vy_plant_is_on(enum vy_plant plant); /* tests/sim/plant.c */
#define VY_PLANT(name) vy_plant_is_on(VY_PLANT_##name)
#else
#define VY_PLANT(name) false
#endif
