/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Putting a received database in the place of a member's own, so that a crash at any point leaves
 * the whole old one or the whole new one. Beside the database DIR there may be
 *
 *   DIR.incoming/    what is being received; db/ in it is the database to be
 *   DIR.replaced/    the old database, until the new one was opened
 *   DIR.refused/     a new one that could not be opened, on its way out
 *   DIR.outgoing/    checkpoints for others; nothing of it outlives a process
 *
 * and in a database that was received, until it was opened once: MEMBER, the note by which it
 * becomes this member's. The steps: note, rename DIR to DIR.replaced, rename DIR.incoming/db to
 * DIR, open and write the note's rows, remove the note, remove the leftovers. From the note on
 * there is no way back but a database that cannot be opened.
 *
 * Knows files only, neither stores nor links. @blocks
 */
#include "replica/replica.h"

#define INSTALL_PATH_BYTES_MAX 4096U

/* The note. Term and vote are the member's own: they never go back (P4). */
struct install_note {
    struct replica_identity identity;
    uint64_t term;
    uint64_t voted_for;
    uint64_t index; /* the database holds at least this much */
};

/* "DIR" and suffix. @errors LIMIT */
VY_CHECKED struct vy_err install_path(const char *dir, const char *suffix,
                                      char out[INSTALL_PATH_BYTES_MAX]);
#define INSTALL_INCOMING ".incoming"
#define INSTALL_INCOMING_DB ".incoming/db"
#define INSTALL_OUTGOING ".outgoing"

/* The files of DIR.incoming/db are whole and synced. From here on the swap will happen, now or at
 * the next start: the member must take no part in its group any more. @errors IO */
VY_CHECKED struct vy_err install_write_note(const char *dir, const struct install_note *note);
/* No store may be open there. @errors BUSY another process has one open; IO */
VY_CHECKED struct vy_err install_swap(const char *dir);
/* Before a store is opened: ends a swap that was under way, and removes its leftovers. A transfer
 * that was interrupted stays, to be gone on with. @errors as install_swap */
VY_CHECKED struct vy_err install_recover(const char *dir);
/* The note in the database, if there is one. @errors CORRUPT, UNSUPPORTED, IO */
VY_CHECKED struct vy_err install_read_note(const char *dir, bool *is_found,
                                           struct install_note *out);
/* The note's rows are on disk. */
VY_CHECKED struct vy_err install_finish(const char *dir);
/* The new database is of no use: the old one comes back. *is_back false: there is none. */
VY_CHECKED struct vy_err install_roll_back(const char *dir, bool *is_back);
