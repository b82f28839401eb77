/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Drives erasures to their end (design 6, DEL-5): the leader reads the open jobs from the
 * replicated rows, does the next step of each and commits that it is done; a step is safe to
 * repeat, so that the next leader, or the next start, goes on where the rows say. Also begins the
 * erasure of accounts that were softly deleted and not restored in time.
 *
 * @thread  the loop's
 */
#include "base/err.h"

struct meta;
struct erase_saga;

VY_CHECKED struct vy_err erase_saga_new(struct meta *meta, struct erase_saga **out);
void erase_saga_free(struct erase_saga *saga); /* nothing runs; NULL is allowed */
/* There may be a job: look now, and from then on every second while this member leads. */
void erase_saga_kick(struct erase_saga *saga);
void erase_saga_stop(struct erase_saga *saga); /* begins nothing more */
