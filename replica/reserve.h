/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Disk space that is taken while there is enough of it, and given back when the disk is full: for
 * what must go on then (flags, deletes, sign-ins, votes), and for the next start, which writes its
 * log into tables before it can serve (promises.md E4). A file RESERVE in the database's directory.
 *
 * @thread  one at a time
 */
#include "base/err.h"

struct reserve {
    char *path; /* owned */
    bool is_held;
};
/* Finds out whether it is held from an earlier life. @errors NOMEM */
VY_CHECKED struct vy_err reserve_init(struct reserve *reserve, const char *dir);
void reserve_deinit(struct reserve *reserve); /* the file stays */
/* False: not possible here; a memory disk has nothing to reserve. @blocks a moment */
bool reserve_hold(struct reserve *reserve, uint64_t bytes);
/* False: there was nothing to give back. */
bool reserve_release(struct reserve *reserve);
