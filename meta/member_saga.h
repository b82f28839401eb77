/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Carries out the plans of the members table: the leader of meta asks the leader of each group for
 * its members and has it add or remove, as the plan says, until the group's log has it. A step is
 * safe to repeat, so the next leader goes on from the rows. Also keeps meta's own members on the
 * map, which do not register.
 *
 * @thread  the loop's
 */
#include "base/err.h"

struct meta;
struct member_saga;

VY_CHECKED struct vy_err member_saga_new(struct meta *meta, struct member_saga **out);
void member_saga_free(struct member_saga *saga); /* nothing runs; NULL is allowed */
/* There may be a plan: look now, and from then on every second while this member leads. */
void member_saga_kick(struct member_saga *saga);
void member_saga_stop(struct member_saga *saga); /* begins nothing more */
