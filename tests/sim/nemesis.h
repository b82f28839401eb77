/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The faults of a run. Each seed draws the kinds that it may use, so that some runs are hit by one
 * kind only and others by all.
 */
#include "tests/sim/world.h"

struct nemesis;
struct nemesis *nemesis_new(struct sim_world *world);
void nemesis_free(struct nemesis *nemesis);
void nemesis_start(struct nemesis *nemesis);
/* No fault from here on: everything heals, whoever is down starts. */
void nemesis_stop(struct nemesis *nemesis);
