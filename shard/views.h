/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The mailboxes that sessions have selected, and how far each session was told: content expunged
 * behind that point is kept for it until it is told or its lease is over (IMAP-F2). In the leader's
 * memory only; a new leader waits one lease before it purges anything.
 *
 * @thread  the service's loop
 */
#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VIEWS_MAX 1048576U      /* on this member; more are BUSY */
#define VIEWS_ACCOUNT_MAX 1024U /* of one account, so that one cannot use up the table */

struct service;
struct views;

VY_CHECKED struct vy_err views_new(struct service *service, struct views **out);
void views_free(struct views *views); /* NULL is allowed */

struct view_state {
    uint64_t view_id;
    uint64_t mailbox_id;
    uint64_t told_modseq; /* the session knows everything up to here */
    bool is_read_only;    /* EXAMINE; of a new view */
};
/* Registers a view, or renews it; what it was told never becomes less. A view id that opens another
 * mailbox moves there. @errors BUSY, NOMEM */
VY_CHECKED struct vy_err views_open(struct views *views, uint64_t account_id,
                                    const struct view_state *state);
/* Selected for writing: new messages become \Recent to it. */
bool views_takes_recent(const struct views *views, uint64_t account_id, uint64_t view_id);
/* Mailboxes that the account's sessions have selected, each with the least that one of them was
 * told; at most `max`. Returns how many. */
struct view_told {
    uint64_t mailbox_id;
    uint64_t modseq;
};
size_t views_told(const struct views *views, uint64_t account_id, struct view_told *out,
                  size_t max);
/* The session gave a sign of life; unknown views are ignored. */
void views_touch(struct views *views, uint64_t account_id, uint64_t view_id);
void views_close(struct views *views, uint64_t account_id, uint64_t view_id);
void views_drop_account(struct views *views, uint64_t account_id);
void views_clear(struct views *views);

/* Does a view need what was expunged from the mailbox at this modseq? */
bool views_hold(struct views *views, uint64_t account_id, uint64_t mailbox_id, uint64_t modseq);
/* Forgets views whose lease is over; called now and then. */
void views_expire(struct views *views);
size_t views_count(const struct views *views);
