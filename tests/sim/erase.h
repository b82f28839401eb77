/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * DEL-5, swept: an account is deleted again and again, and each time the process that does the n-th
 * durable write since the delete began dies there, by kill -9 or by a power cut, for every n until
 * a delete ends without reaching it. Steps of an erasure are durable writes, so every boundary
 * between two steps, on every role that has a disk, is among them.
 */
#include "tests/sim/world.h"

/* Ends the program when a delete does not converge. Returns how many deaths were survived. */
unsigned erase_sweep(uint64_t seed, unsigned verbosity);
