/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What each group owes, looked at after every step: one leader in a term; logs that agree on an
 * entry agree on all before it; what was committed stays, is on the disks of a majority, and was
 * committed by an entry of the leader's own term; what a disk was said to hold it holds after a
 * crash; replicas at the same index have the same digest (P10, P12, P14, P15).
 */
#include "tests/sim/world.h"

struct check;
struct check *check_new(struct sim_world *world);
void check_free(struct check *check);
/* The process ran, died or started. */
void check_step(struct check *check, struct sim_process *process);
/* Nothing is on its way any more: every member of every group is at the same index. */
bool check_is_settled(struct check *check);
/* No group holds a copy whose delivery is open. */
bool check_holds_nothing(struct check *check);
uint64_t check_leaders(const struct check *check);  /* seen in all terms of all groups */
uint64_t check_installs(const struct check *check); /* of snapshots */
